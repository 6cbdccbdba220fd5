# SPDX-License-Identifier: Apache-2.0
"""Ways from leaf to leaf: the shortest ones that bounds permit.

A SID names a node and no link: where several links lead to the same neighbour, the data plane spreads over
those of least delay and protects with the others. A step is therefore what is true of all of them:
encrypted if every one of them is, and of the least MTU among those that carry it; it is up as long as one
of them is.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Final

from din.model.wiring import Hop, Wiring
from din.packet.constants import FABRIC_OVERHEAD, SID_COUNT

from .bounds import RouteBounds
from .plan import Route

#: Bytes of IP packet: IPv6 gets its 1280 inside the fabric's encapsulation.
MIN_MTU: Final = 1280 + FABRIC_OVERHEAD
#: After the ingress leaf: the last ID in a destination is the egress leaf's function.
MAX_NODES: Final = SID_COUNT - 1
#: Ways that are compared.
CANDIDATES: Final = 8


@dataclass(frozen=True)
class Step:
    """From a node to its neighbour."""

    hop: Hop  # the one that stands for all
    encrypted: bool
    mtu: int


@dataclass(frozen=True)
class Obstacle:
    """Why there is no way: as in `Rejection`."""

    constraint: str
    detail: str


class Routes:
    """Of one topology, less the links that are ``down`` (by (switch, egress port)). It remembers its
    answers.
    """

    def __init__(self, wiring: Wiring, down: frozenset[tuple[str, int]] = frozenset()) -> None:
        self.zones = {each.name: wiring.model.zone_of(each.name) for each in wiring.model.switches}
        self._steps = _steps(wiring, down)
        self._all_steps = _steps(wiring, frozenset())
        self._candidates: dict[tuple[str, str, RouteBounds], tuple[Route, ...]] = {}
        self._ahead: dict[tuple[str, RouteBounds], dict[str, tuple[int, float, int]]] = {}

    def candidates(self, src: str, dst: str, bounds: RouteBounds = RouteBounds()) -> tuple[Route, ...]:  # noqa: B008
        """At most `CANDIDATES`, simple, of at most `MAX_NODES` nodes: by delay, then cost, then names."""
        key = src, dst, bounds
        if key not in self._candidates:
            self._candidates[key] = tuple(islice(self._search(src, dst, bounds, MAX_NODES), CANDIDATES))
        return self._candidates[key]

    def shortest(self, src: str, dst: str, bounds: RouteBounds = RouteBounds()) -> Route | None:  # noqa: B008
        """Of least propagation delay. None: there is no way."""
        return next(iter(self.candidates(src, dst, bounds)), None)

    def obstacle(self, src: str, dst: str, bounds: RouteBounds) -> Obstacle:
        """What to blame if there are no candidates: the first of the bounds that can't be met together with
        those before it.
        """
        for node, what in ((src, "ingress"), (dst, "egress")):
            if not bounds.permits(self.zones[node]):
                return Obstacle("zone", f"{what} leaf {node} is in zone {self.zones[node]}")
        if not self._connected(src, dst, lambda step: True, self._all_steps):
            return Obstacle("route", f"no links lead from {src} to {dst}")
        if not self._connected(src, dst, lambda step: True, self._steps):
            return Obstacle("route", f"every way from {src} to {dst} has a link that is down")
        if not self._connected(src, dst, lambda step: step.mtu >= MIN_MTU, self._steps):
            return Obstacle("mtu", f"every way from {src} to {dst} has a link with an MTU below {MIN_MTU}")
        if not self._ahead_of(dst, RouteBounds(bounds.zones)).get(src):
            zones = ", ".join(sorted(bounds.zones or ())) or "none"
            return Obstacle("zone", f"every way from {src} to {dst} leaves the permitted zones ({zones})")
        if not self._ahead_of(dst, bounds).get(src):
            return Obstacle("encryption", f"every way from {src} to {dst} has a link that is not encrypted")
        return Obstacle("segments", f"every way from {src} to {dst} has more than {MAX_NODES} nodes")

    def _permitted(self, step: Step, bounds: RouteBounds) -> bool:
        return (
            step.mtu >= MIN_MTU
            and (step.encrypted or not bounds.encrypted)
            and bounds.permits(self.zones[step.hop.dst])
        )

    def _search(self, src: str, dst: str, bounds: RouteBounds, most: int) -> Iterator[Route]:
        """Best first (A*), in the order of delay, cost and names: what a partial way can become at best is
        known of delay and cost, and a name more comes behind the names so far. So of many ways that are
        alike the first are complete before the others are begun.
        """
        if not bounds.permits(self.zones[src]):
            return
        if src == dst:
            yield Route()
            return
        ahead = self._ahead_of(dst, bounds)
        if src not in ahead:
            return
        # (delay and cost of the whole at best, names, delay and cost so far, hops).
        heap: list[tuple[int, float, tuple[str, ...], int, float, tuple[Hop, ...]]] = [
            (ahead[src][0], ahead[src][1], (src,), 0, 0.0, ())
        ]
        while heap:
            _, _, nodes, delay, cost, hops = heapq.heappop(heap)
            if nodes[-1] == dst:
                yield Route(hops)
                continue
            for step in self._steps[nodes[-1]]:
                name = step.hop.dst
                if name in nodes or name not in ahead or not self._permitted(step, bounds):
                    continue
                if len(nodes) + ahead[name][2] > most:
                    continue
                delay_so_far, cost_so_far = delay + step.hop.link.delay, cost + step.hop.link.cost
                entry = (
                    delay_so_far + ahead[name][0],
                    cost_so_far + ahead[name][1],
                    (*nodes, name),
                    delay_so_far,
                    cost_so_far,
                    (*hops, step.hop),
                )
                heapq.heappush(heap, entry)

    def _ahead_of(self, dst: str, bounds: RouteBounds) -> dict[str, tuple[int, float, int]]:
        """Node -> (least delay, least cost, least number of hops) to ``dst``, each by itself."""
        key = dst, bounds
        if key not in self._ahead:
            delays = self._distances(dst, bounds, lambda step: step.hop.link.delay)
            costs = self._distances(dst, bounds, lambda step: step.hop.link.cost)
            counts = self._distances(dst, bounds, lambda step: 1)
            self._ahead[key] = {node: (int(delays[node]), costs[node], int(counts[node])) for node in delays}
        return self._ahead[key]

    def _distances(self, dst: str, bounds: RouteBounds, weight: Callable[[Step], float]) -> dict[str, float]:
        if not bounds.permits(self.zones[dst]):
            return {}
        found: dict[str, float] = {}
        heap: list[tuple[float, str]] = [(0, dst)]
        while heap:
            distance, node = heapq.heappop(heap)
            if node in found:
                continue
            found[node] = distance
            # Links are the same both ways: a step out of this node is one into it.
            for step in self._steps[node]:
                if self._permitted(step, bounds) and step.hop.dst not in found:
                    heapq.heappush(heap, (distance + weight(step), step.hop.dst))
        return found

    def _connected(
        self, src: str, dst: str, usable: Callable[[Step], bool], steps: dict[str, list[Step]]
    ) -> bool:
        seen, waiting = {src}, [src]
        while waiting:
            for step in steps[waiting.pop()]:
                if usable(step) and step.hop.dst not in seen:
                    seen.add(step.hop.dst)
                    waiting.append(step.hop.dst)
        return dst in seen


def both_ends(wiring: Wiring, down: frozenset[tuple[str, int]]) -> frozenset[tuple[str, int]]:
    """A link of which one end is down is down."""
    other = {(hop.dst, hop.dst_port) for key in down if (hop := wiring.by_port.get(key)) is not None}
    return down | other


def parallel(hops: list[Hop]) -> list[Hop]:
    """Those of ``hops``, all to one neighbour, that carry traffic: of least delay, by port."""
    least = min((hop.link.delay for hop in hops), default=0)
    return sorted((hop for hop in hops if hop.link.delay == least), key=lambda hop: hop.src_port)


def _steps(wiring: Wiring, down: frozenset[tuple[str, int]]) -> dict[str, list[Step]]:
    found: dict[str, list[Step]] = {}
    away = both_ends(wiring, down)
    for switch in wiring.model.switches:
        found[switch.name] = steps = []
        hops = list(wiring.hops_of(switch.name))
        for neighbour in sorted({hop.dst for hop in hops} - {switch.name}):
            links = [hop for hop in hops if hop.dst == neighbour]
            carrying = parallel([hop for hop in links if hop.key not in away])
            if carrying:
                stands = min(carrying, key=lambda hop: (hop.mtu, hop.src_port))
                # Also of a link that is down: it may come up before it is known here.
                steps.append(Step(stands, all(hop.link.encrypted for hop in links), stands.mtu))
    return found


@lru_cache(maxsize=16)
def routes_of(wiring: Wiring, down: frozenset[tuple[str, int]]) -> Routes:
    """The same for the same topology and links."""
    return Routes(wiring, down)
