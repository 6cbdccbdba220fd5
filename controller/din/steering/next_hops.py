# SPDX-License-Identifier: Apache-2.0
"""What nodes need for SIDs to work: the next hops to every node, and the way round a link that fails.

A packet to a neighbour's SID takes the link to it, even where a way round is shorter: the route said so. To
any other it takes what is shortest by delay, all that is equally short. Detours are loop-free alternates
(RFC 5286): a neighbour that forwards to the far end of the failed link without passing this node again.
That is asked of the next hops themselves, not of distances, because to neighbours they do not follow
distances.
"""

from __future__ import annotations

import heapq
from typing import Final

from din.model.wiring import Hop, Wiring

from .routes import MIN_MTU, both_ends, parallel

#: Alternatives of a port less the one that keeps it and the one that drops.
MAX_DETOURS: Final = 6


class NextHops:
    """Of one topology, less the links that are ``down``, by (switch, egress port)."""

    def __init__(self, wiring: Wiring, down: frozenset[tuple[str, int]] = frozenset()) -> None:
        away = both_ends(wiring, down)
        model = wiring.model
        self._wiring = wiring
        self._zones = {each.name: model.zone_of(each.name) for each in model.switches}
        self._encryption_matters = any(each.encrypted for each in model.labels) or any(
            each.encrypted for each in model.policies
        )
        self._hops: dict[str, list[Hop]] = {each.name: [] for each in model.switches}
        for hop in wiring.hops:
            if hop.key not in away and hop.mtu >= MIN_MTU and hop.src != hop.dst:
                self._hops[hop.src].append(hop)
        self._distance = {name: self._distances(name) for name in self._hops}

    def to(self, node: str, dst: str) -> tuple[Hop, ...]:
        """From ``node`` towards the SID of ``dst``, by port. Empty: there is no way."""
        direct = [hop for hop in self._hops[node] if hop.dst == dst]
        if direct:
            return tuple(parallel(direct))
        distance = self._distance[dst]
        if node not in distance or node == dst:
            return ()
        found: list[Hop] = []
        for neighbour in sorted({hop.dst for hop in self._hops[node]}):
            links = parallel([hop for hop in self._hops[node] if hop.dst == neighbour])
            ahead = distance[neighbour]
            # A hop counts too, after the delay: where delays are 0 it is what makes every step one forward.
            if (ahead[0] + links[0].link.delay, ahead[1] + 1) == distance[node]:
                found += links
        return tuple(sorted(found, key=lambda hop: hop.src_port))

    def protection(self, node: str, port: int) -> tuple[Hop, ...]:
        """Where ``node`` sends instead what would leave by ``port``, should that link fail: in order, the
        best first.

        First those that stay in the zones of the link's ends, since what bears a label may not leave them;
        then those that carry what the link does; then by delay. An encrypted link is replaced by encrypted
        ones only, if anything asks for encryption. KeyError: no link is there.
        """
        failed = self._wiring.by_port[node, port]
        found = []
        for hop in self._hops[node]:
            if hop.src_port == port:
                continue
            beyond = self._forwarding(hop.dst, failed.dst)
            if beyond is None or any(each.src == node for each in beyond):
                continue
            way = (hop, *beyond)
            if (
                self._encryption_matters
                and failed.link.encrypted
                and not all(each.link.encrypted for each in way)
            ):
                continue
            zones = {self._zones[node], self._zones[failed.dst]}
            leaves = any(self._zones[each.dst] not in zones for each in way)
            narrow = min(each.mtu for each in way) < failed.mtu
            delay = hop.link.delay + self._distance[failed.dst][hop.dst][0]
            found.append(((leaves, narrow, delay, hop.dst, hop.src_port), hop))
        return tuple(hop for _, hop in sorted(found, key=lambda each: each[0]))[:MAX_DETOURS]

    def _forwarding(self, src: str, dst: str) -> list[Hop] | None:
        """All hops that a packet from ``src`` to ``dst`` may take. None: it does not get there."""
        found: list[Hop] = []
        seen, waiting = {src, dst}, [src]
        while waiting:
            node = waiting.pop()
            if node == dst:
                continue
            hops = self.to(node, dst)
            if not hops:
                return None
            found += hops
            new = {hop.dst for hop in hops} - seen
            seen |= new
            waiting += sorted(new)
        return found

    def _distances(self, dst: str) -> dict[str, tuple[int, int]]:
        """Node -> (delay, hops) to ``dst``."""
        found: dict[str, tuple[int, int]] = {}
        heap = [(0, 0, dst)]
        while heap:
            delay, count, node = heapq.heappop(heap)
            if node in found:
                continue
            found[node] = delay, count
            for hop in self._hops[node]:
                if hop.dst not in found:
                    heapq.heappush(heap, (delay + hop.link.delay, count + 1, hop.dst))
        return found
