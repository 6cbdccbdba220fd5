# SPDX-License-Identifier: Apache-2.0
"""The state of hops, from facts that others bring: what INT saw packets wait, ports that went up or down,
probes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from din.model.wiring import Hop

from .state import LinkState

#: (switch, egress port).
Key: TypeAlias = tuple[str, int]

#: Seconds in which an observation's weight falls to 1/e.
TIME_CONSTANT: Final = 1.0
#: Link probes without answer, one after the other, until the link counts as down.
PROBES_TO_FAIL: Final = 3


@dataclass
class _Latency:
    """The mean of observations, each weighing exp(-age / TIME_CONSTANT): many a second or few, it follows
    as fast.
    """

    at: float
    total: float = 0.0
    weight: float = 0.0

    def observe(self, value: float, at: float) -> None:
        # A late one counts as if it came now: reports of different switches overtake each other by
        # milliseconds.
        decay = math.exp(-max(0.0, at - self.at) / TIME_CONSTANT)
        self.total = self.total * decay + value
        self.weight = self.weight * decay + 1.0
        self.at = max(self.at, at)

    @property
    def mean(self) -> float:
        return self.total / self.weight


class Network:
    """Facts in, `links` out. Keys that are no hop's, as hosts' ports, may be told and asked as well."""

    def __init__(self, hops: Iterable[Hop], stale_after: float) -> None:
        """``stale_after``: seconds after which nothing is known of a hop's latency any more."""
        self._latency: dict[Key, _Latency] = {}
        self._ports_down: set[Key] = set()
        self._probes_missed: dict[Key, int] = {}
        self._far_ends: dict[Key, Key] = {}
        self.set(hops, stale_after)

    def set(self, hops: Iterable[Hop], stale_after: float) -> None:
        """From now on these hops, and stale after so long. What is known of those that stay, stays."""
        self._stale_after = stale_after
        self._far_ends = {hop.key: (hop.dst, hop.dst_port) for hop in hops}
        for known in (self._latency, self._probes_missed):
            for key in known.keys() - self._far_ends.keys():
                del known[key]

    def observe(self, key: Key, extra_latency: float, at: float) -> None:
        """A packet took ``extra_latency`` us beyond the propagation delay of the hop. Less than 0 is a
        clock's resolution, and counts as 0. Of hops that are not known nothing is kept.
        """
        if key in self._far_ends and math.isfinite(extra_latency):
            self._latency.setdefault(key, _Latency(at)).observe(max(0.0, extra_latency), at)

    def port_event(self, switch: str, port: int, up: bool) -> None:
        """A switch says so of its port. Either end down is the hop down, in both directions."""
        if up:
            self._ports_down.discard((switch, port))
        else:
            self._ports_down.add((switch, port))

    def link_probe(self, key: Key, arrived: bool) -> None:
        """A probe sent out of that port did or did not reach the other end."""
        self._probes_missed[key] = 0 if arrived else self._probes_missed.get(key, 0) + 1

    def up(self, key: Key) -> bool:
        return (
            key not in self._ports_down
            and self._far_ends.get(key) not in self._ports_down
            and self._probes_missed.get(key, 0) < PROBES_TO_FAIL
        )

    def links(self, at: float) -> Mapping[Key, LinkState]:
        """Of all hops. After ``stale_after`` without observations latency is None: then the hop's base is
        all we have. So it is when the hop is down: what waited in its queue is gone.
        """
        return {key: self._link(key, at) for key in self._far_ends}

    def _link(self, key: Key, at: float) -> LinkState:
        if not self.up(key):
            self._latency.pop(key, None)
            return LinkState(up=False)
        known = self._latency.get(key)
        if known is None:
            return LinkState()
        fresh = at - known.at <= self._stale_after
        return LinkState(at=known.at, latency=known.mean if fresh else None)
