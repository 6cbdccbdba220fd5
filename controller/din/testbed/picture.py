# SPDX-License-Identifier: Apache-2.0
"""The network as a picture: leaves with clients on the left, transit nodes between, leaves with model servers
on the right; links as wide as what responses use of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Final

from markupsafe import Markup

from din.model.emulated import EventKind, Phase
from din.model.network import Model
from din.model.topology import Role

from .results import ALL, ArmResult, Results
from .svg import hover, picture, tag, text
from .tables import routes

Place = tuple[float, float]
_WIDTH: Final = 900
_WIDEST: Final = 14.0


def network(model: Model) -> Markup:
    """All of it, with names, rates and delays."""
    rows = max(map(len, _columns(model)))
    height = 120.0 * max(rows, 2)
    places = _places(model, _WIDTH, height, 150)
    parts, labels = [], []
    for link in model.links:
        a, b = (each.partition(":")[0] for each in link.between)
        # Near the leaf, where links are furthest from each other.
        if model.switch[b].role is Role.LEAF:
            a, b = b, a
        is_leaf = model.switch[a].role is Role.LEAF
        curve, (x, y) = _curve(places[a], places[b], 0.34 if is_leaf else 0.5)
        parts.append(tag("path", d=curve, class_="link encrypted" if link.encrypted else "link"))
        said = f"{link.delay / 1e3:g} ms, {link.rate / 1e6:g} Mbit/s"
        labels.append(text(said, x, y - 5, class_="middle tiny halo" if is_leaf else "tiny halo"))
    parts += labels
    for name, (x, y) in places.items():
        parts.append(_node(model, name, x, y, 15))
        parts.append(text(name, x, y - 20, class_="middle bold halo"))
        site = model.switch[name].site
        parts.append(text(site, x, y + 29, class_="middle small halo"))
        for number, said in enumerate(_hosts(model, name)):
            parts.append(text(said, x, y + 43 + 13 * number, class_="middle tiny halo"))
    told = "; ".join(f"{' – '.join(each.between)} {each.delay / 1e3:g} ms" for each in model.links)
    return picture(f"The network {model.name}", f"Links: {told}", _WIDTH, height, parts)


def uses(results: Results) -> list[tuple[ArmResult, str, Markup]]:
    """(arm, phase, picture) of each whose paths are known."""
    comparison = results.model.emulation.comparison
    phases = {each.name: each for each in comparison.phases} if comparison else {}
    return [
        (arm, phase, _use(results, arm, phase, phases.get(phase)))
        for arm in results.arms
        for phase in results.phases
        if routes(results, arm, phase, ALL)
    ]


def _use(results: Results, arm: ArmResult, phase: str, what: Phase | None) -> Markup:
    model = results.model
    width, height = 210.0, 30.0 + 40 * max(map(len, _columns(model)))
    places = _places(model, width, height, 24)
    used = link_shares(routes(results, arm, phase, ALL))
    troubled, slow = _trouble(model, what)
    parts = []
    for link in model.links:
        a, b = (each.partition(":")[0] for each in link.between)
        share = used.get(frozenset((a, b)), 0.0)
        curve, _ = _curve(places[a], places[b], 0.5)
        parts.append(tag("path", d=curve, class_="trouble" if frozenset((a, b)) in troubled else "thin"))
        if share:
            said = hover(f"{a} – {b}: {share:.0%} of responses")
            parts.append(tag("path", said, d=curve, class_="use", stroke_width=max(share * _WIDEST, 0.8)))
    for name, (x, y) in places.items():
        parts.append(_node(model, name, x, y, 6, " trouble-node" if name in slow else ""))
    told = ", ".join(f"{' – '.join(sorted(link))} {share:.0%}" for link, share in used.items())
    return picture(f"{arm.name}, {phase}", f"Shares of responses by link: {told}", width, height, parts)


def link_shares(of_routes: Mapping[str, float]) -> dict[frozenset[str], float]:
    """Link, as its two ends -> share of responses that go over it."""
    found: dict[frozenset[str], float] = {}
    for route, share in of_routes.items():
        nodes = route.split()
        for pair in pairwise(nodes):
            found[frozenset(pair)] = found.get(frozenset(pair), 0.0) + share
    return found


def _trouble(model: Model, phase: Phase | None) -> tuple[set[frozenset[str]], set[str]]:
    """Links and leaves that a phase's events are about."""
    links, leaves = set(), set()
    for event in phase.events if phase else ():
        if event.link is not None:
            links.add(frozenset(each.partition(":")[0] for each in event.link))
        if event.kind is EventKind.SLOW_SERVER and event.instance is not None:
            leaves.add(model.host[model.instance[event.instance].host].leaf)
    return links, leaves


def _columns(model: Model) -> list[list[str]]:
    """Left, middle, right; those without a switch are left out."""
    comparison = model.emulation.comparison
    clients = {model.host[each.host].leaf for each in comparison.loads} if comparison else set()
    leaves = [each.name for each in model.switches if each.role is Role.LEAF]
    left = [each for each in leaves if each in clients]
    middle = [each.name for each in model.switches if each.role is not Role.LEAF]
    right = [each for each in leaves if each not in clients]
    return [each for each in (left, middle, right) if each]


def _places(model: Model, width: float, height: float, margin: float) -> dict[str, Place]:
    columns = _columns(model)
    apart = (width - 2 * margin) / max(len(columns) - 1, 1)
    return {
        name: (margin + column * apart, (row + 0.5) * height / len(names))
        for column, names in enumerate(columns)
        for row, name in enumerate(names)
    }


def _curve(a: Place, b: Place, share: float) -> tuple[str, Place]:
    """From a to b, and the place ``share`` of the way there: bent if both are in one column, lest it goes
    through who is between."""
    bend = 0.4 * abs(a[1] - b[1]) if a[0] == b[0] else 0.0
    control = ((a[0] + b[0]) / 2 + bend, (a[1] + b[1]) / 2)
    x, y = (
        (1 - share) ** 2 * first + 2 * share * (1 - share) * middle + share**2 * last
        for first, middle, last in zip(a, control, b, strict=True)
    )
    path = f"M{a[0]:.1f} {a[1]:.1f}Q{control[0]:.1f} {control[1]:.1f} {b[0]:.1f} {b[1]:.1f}"
    return path, (x, y)


def _node(model: Model, name: str, x: float, y: float, size: float, more: str = "") -> str:
    if model.switch[name].role is Role.LEAF:
        shape = {"x": x - size, "y": y - size * 0.7, "width": 2 * size, "height": 1.4 * size, "rx": size / 4}
        return tag("rect", hover(name), class_=f"leaf{more}", **shape)
    return tag("circle", hover(name), cx=x, cy=y, r=size * 0.8, class_=f"transit{more}")


def _hosts(model: Model, leaf: str) -> list[str]:
    """Who is there: clients, and servers with their service."""
    comparison = model.emulation.comparison
    clients = dict.fromkeys(
        each.host for each in (comparison.loads if comparison else ()) if model.host[each.host].leaf == leaf
    )
    servers = [each.name for each in model.instances if model.host[each.host].leaf == leaf]
    return [", ".join(names) for names in (list(clients), servers[:2], servers[2:4], servers[4:]) if names]
