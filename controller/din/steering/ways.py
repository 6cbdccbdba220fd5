# SPDX-License-Identifier: Apache-2.0
"""Which of the permitted routes is taken: the one that is quickest now, without everybody changing over at
once.

A route is kept until another is quicker by more than max(1 ms, 15 %). Of all that would leave the same slow
link, one decision lets a third go, those that win most first: what that does is measured before the next
ones follow.

Of routes that are equally quick now (within 1 ms, which measurements do not tell apart) it is the shortest
by propagation: a longer one pays when links are so full that packets wait, and then their latency says so.
Of those that are equally long the one is taken whose links have the least of what was placed before, in
routes for each bit/s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Final, Generic, TypeVar

from .plan import Route

#: us, and of the present route's latency: what a change has to win.
LEAST_GAIN: Final = 1_000.0
LEAST_SHARE: Final = 0.15
#: us of propagation that count as none: a packet of 1,500 bytes at 100 Mbit/s takes more.
SAME: Final = 100
#: Of those that would leave a link, who may in one decision.
LEAVING: Final = 1 / 3

K = TypeVar("K", bound=Hashable)
Ports = tuple[tuple[str, int], ...]


def ports(route: Route) -> Ports:
    """What a route is known by: (switch, egress port) of its links."""
    return tuple(hop.key for hop in route.hops)


@dataclass(frozen=True)
class Wish(Generic[K]):
    """A route is to be had for ``key``: one of ``candidates``, the shortest first, at least one."""

    key: K
    candidates: tuple[Route, ...]


def shortest(wishes: Iterable[Wish[K]]) -> dict[K, Route]:
    """By propagation delay alone."""
    return {wish.key: wish.candidates[0] for wish in wishes}


def quickest(
    wishes: Iterable[Wish[K]],
    before: Mapping[K, Route],
    latency: Callable[[Route], float],
    extra: Callable[[tuple[str, int]], float],
) -> dict[K, Route]:
    """``latency`` of a route and ``extra`` of a link, us, are what is measured; ``before`` is what was chosen
    last.
    """
    found: dict[K, Route] = {}
    placed: Counter[tuple[str, int]] = Counter()
    leaving: dict[tuple[str, int], list[tuple[float, int, Wish[K], Route]]] = {}
    # Many wishes have the same candidates, and these live as long as the wishes.
    known: dict[int, list[float]] = {}

    def costs(wish: Wish[K]) -> list[float]:
        if id(wish.candidates) not in known:
            known[id(wish.candidates)] = [latency(route) for route in wish.candidates]
        return known[id(wish.candidates)]

    def place(key: K, route: Route) -> None:
        found[key] = route
        for hop in route.hops:
            placed[hop.src, hop.src_port] += 1

    wanted = list(wishes)
    undecided: list[Wish[K]] = []
    for order, wish in enumerate(wanted):
        k = _same(wish.candidates, before.get(wish.key))
        if k is None:
            undecided.append(wish)
            continue
        present, present_cost = wish.candidates[k], costs(wish)[k]
        gain = present_cost - min(costs(wish))
        if gain <= max(LEAST_GAIN, LEAST_SHARE * present_cost):
            place(wish.key, present)
        else:
            slowest = max((hop.key for hop in present.hops), key=lambda each: (extra(each), each))
            leaving.setdefault(slowest, []).append((-gain, order, wish, present))
    for _, would in sorted(leaving.items()):
        would.sort(key=lambda each: each[:2])
        may = ceil(len(would) * LEAVING)
        undecided += [wish for _, _, wish, _ in would[:may]]
        for _, _, wish, present in would[may:]:
            place(wish.key, present)
    for wish in undecided:
        place(wish.key, _first(wish.candidates, costs(wish), placed))
    return {wish.key: found[wish.key] for wish in wanted}


def _first(candidates: tuple[Route, ...], costs: list[float], placed: Counter[tuple[str, int]]) -> Route:
    least = min(costs)
    quick = [
        (route, cost) for route, cost in zip(candidates, costs, strict=True) if cost <= least + LEAST_GAIN
    ]
    nearest = min(route.base_latency for route, _ in quick)
    alike = [(route, cost) for route, cost in quick if route.base_latency <= nearest + SAME]
    return min(alike, key=lambda each: (_load(each[0], placed), each[1]))[0]


def _same(candidates: tuple[Route, ...], route: Route | None) -> int | None:
    """Which of the candidates is ``route``, whatever its links' figures were then."""
    if route is None:
        return None
    for k, each in enumerate(candidates):
        if each is route:
            return k
    wanted = ports(route)
    return next((k for k, each in enumerate(candidates) if ports(each) == wanted), None)


def _load(route: Route, placed: Counter[tuple[str, int]]) -> float:
    """Of the link that has most."""
    return max((placed[hop.key] / hop.link.rate for hop in route.hops), default=0.0)
