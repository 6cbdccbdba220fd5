# SPDX-License-Identifier: Apache-2.0
"""Why traffic goes where it goes, as people read it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from din.api.schema import ChoiceView, DecisionView, RouteView
from din.model.units import show_time

from .tables import bad, table, way

#: It may answer, and others do better: nothing is against it.
_OUTDONE = {"ttft", "distance"}


def explanation(found: Sequence[DecisionView]) -> RenderableType:
    """A paragraph for each kind of traffic that the leaf sends to the service."""
    return Group(*(part for each in found for part in _decision(each)))


def _decision(found: DecisionView) -> Iterator[RenderableType]:
    label = f", labelled {found.label}" if found.label else ""
    yield Text(
        f"{found.service} from {found.leaf}, tenant {found.tenant}, class {found.traffic_class}{label}",
        style="bold",
    )
    outdone = {each.what for each in found.rejected if each.constraint in _OUTDONE}
    for choice in sorted(found.choices, key=lambda each: -each.share):
        yield from _choice(choice, choice.instance in outdone)
    if not found.choices:
        yield bad("  nobody may answer: every server is rejected below")
    if found.rejected:
        made = table("  rejected", "    what", "constraint", "why")
        for each in found.rejected:
            made.add_row(f"    {each.what}", each.constraint, each.detail)
        yield made
    yield Text()


def _choice(found: ChoiceView, outdone: bool) -> Iterator[Text]:
    share = f"{found.share:5.0%}" if found.share or outdone else "  keeps what it has:"
    yield Text.assemble(
        (f"  {share} ", "green" if found.share else "yellow"),
        (found.instance, "bold"),
        f" ({found.variant}), {_expected(found)}",
    )
    yield Text(f"          request   {_route(found.request)}")
    yield Text(f"          response  {_route(found.response)}")


def _expected(found: ChoiceView) -> str:
    parts = [
        f"{name} {show_time(us)}" for name, us in (("queue", found.queue), ("compute", found.compute)) if us
    ]
    network = found.total - (found.queue or 0.0) - (found.compute or 0.0)
    return f"{show_time(found.total)} expected: {', '.join([f'network {show_time(network)}', *parts])}"


def _route(found: RouteView) -> str:
    if not found.nodes:
        return way(found)
    latency = f"{show_time(found.base_latency)} by its links"
    if found.measured_latency is not None:
        latency += f", {show_time(found.measured_latency)} measured"
    mtu = f", MTU {found.mtu}" if found.mtu is not None else ""
    return f"{way(found)}  ({latency}; cost {found.cost:g}{mtu})"
