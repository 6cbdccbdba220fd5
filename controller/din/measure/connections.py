# SPDX-License-Identifier: Apache-2.0
"""Connections of each instance, from the counter `connections` of all switches
(p4src/v1model/connections.p4).

A connection's packets are counted where they enter the fabric: SYNs and the client's FIN or RST at the
client's leaf, SYN-ACKs and the instance's at the instance's. So no switch knows how many there are; their
sum does.

What was closed lies between two bounds. Either end's FINs count each orderly end once: max(client's,
instance's) is the least. A RST may end a connection that saw no FIN, or follow a FIN to a socket that is
gone: where FINs of one end outnumber the other's, so many RSTs are answers to them; the rest may be ends.
Packets sent again are counted again, so over a long time the sums wander: an estimate below 0 shows it, and
moves the origin.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from .state import Connections

#: Of the counter: instance * 8 + event.
EVENTS: Final = 8


class Event(IntEnum):
    SYN = 0
    SYN_ACK = 1
    CLIENT_FIN = 2
    CLIENT_RST = 3
    INSTANCE_FIN = 4
    INSTANCE_RST = 5


_EVENTS: Final = frozenset(Event)


def index(instance: int, event: Event) -> int:
    """Of the counter's cell."""
    return instance * EVENTS + event


@dataclass
class _Switch:
    cells: Mapping[int, int]
    at: float
    #: By cell, packets between the readings since the last round, and the seconds between those.
    news: dict[int, int] = field(default_factory=dict)
    seconds: float = 0.0
    #: Instances whose cells have not been read yet since they came.
    new: set[int] = field(default_factory=set)
    #: Whether it was read since the last round, and that it was not for that one: its SYNs of then may have
    #: been answered in earlier rounds.
    fresh: bool = True
    missed: bool = False


@dataclass
class _Instance:
    total: dict[Event, int] = field(default_factory=lambda: dict.fromkeys(Event, 0))
    #: Those that were counted in the same time as their answers.
    witnessed: int = 0
    origin_most: int = 0
    origin_least: int = 0


@dataclass(frozen=True)
class Round:
    """What the readings since the last round say."""

    connections: Mapping[int, Connections]
    #: (switch, instance) -> new connections a second: SYNs where clients are.
    arrivals: Mapping[tuple[str, int], float]
    #: instance -> (SYNs, SYN-ACKs) since the beginning, of those whose own leaf was read: nobody else
    #: counts answers. Without SYNs of a switch from the time that it could not be read in.
    evidence: Mapping[int, tuple[int, int]]


class ConnectionCounts:
    """`observe` readings switch by switch as they come, then `round` for what they mean."""

    def __init__(self) -> None:
        self._switches: dict[str, _Switch] = {}
        self._instances: dict[int, _Instance] = {}
        self._kept: frozenset[int] | None = None

    def keep(self, instances: Collection[int]) -> None:
        """From now on readings are of these alone: that the others' cells are gone is no restart."""
        came = frozenset(instances) - (self._kept if self._kept is not None else frozenset(instances))
        self._kept = frozenset(instances)
        for switch in self._switches.values():
            switch.cells = {cell: n for cell, n in switch.cells.items() if cell // EVENTS in self._kept}
            switch.news = {cell: n for cell, n in switch.news.items() if cell // EVENTS in self._kept}
            switch.new |= came
        for gone in self._instances.keys() - self._kept:
            del self._instances[gone]

    def observe(self, switch: str, cells: Mapping[int, int], at: float) -> None:
        """``cells``: counter index -> packets, those that are not 0. A cell that fell or is gone: the switch
        restarted, and all it has came after that.
        """
        known = self._switches.get(switch)
        before: Mapping[int, int] = known.cells if known is not None else {}
        if any(cells.get(cell, 0) < packets for cell, packets in before.items()):
            before = {}
        added = {cell: n - before.get(cell, 0) for cell, n in cells.items() if n > before.get(cell, 0)}
        for cell, packets in added.items():
            instance, event = divmod(cell, EVENTS)
            if event in _EVENTS:
                self._of(instance).total[Event(event)] += packets
        if known is None:
            # The first reading holds all that was before us: it counts, but in no time that we know.
            self._switches[switch] = _Switch(dict(cells), at)
            return
        for cell, packets in added.items():
            if cell // EVENTS in known.new:
                continue  # it may be back, and all that it had before has no time that we know
            known.news[cell] = known.news.get(cell, 0) + packets
            if cell % EVENTS == Event.SYN and not known.missed:
                self._of(cell // EVENTS).witnessed += packets
        known.fresh, known.missed = True, False
        known.seconds += at - known.at
        known.cells, known.at = dict(cells), at
        known.new.clear()

    def restarted(self, switch: str) -> None:
        """It is known to have begun at 0 again, whatever it shows at its next reading."""
        if switch in self._switches:
            self._switches[switch].cells = {}

    def forget(self, but: Collection[str]) -> None:
        """Other switches are no part of the network any more. What they counted stays counted."""
        for switch in self._switches.keys() - set(but):
            del self._switches[switch]

    def _of(self, instance: int) -> _Instance:
        return self._instances.setdefault(instance, _Instance())

    def round(self, leaves: Mapping[int, str], at: float) -> Round:
        """Of the instances in ``leaves``: instance -> its own leaf."""
        for switch in self._switches.values():
            switch.fresh, switch.missed = False, not switch.fresh
        read = {name: each for name, each in self._switches.items() if each.seconds > 0}
        rates: dict[tuple[str, int, Event], float] = {}
        news: dict[tuple[int, Event], int] = {}
        for name, switch in read.items():
            for cell, packets in switch.news.items():
                instance, event = divmod(cell, EVENTS)
                if event in _EVENTS:
                    rates[name, instance, Event(event)] = packets / switch.seconds
                    news[instance, Event(event)] = news.get((instance, Event(event)), 0) + packets
            switch.news, switch.seconds = {}, 0.0
        return Round(
            connections={each: self._connections(each, rates, news, at) for each in leaves},
            arrivals={
                (name, each): r
                for (name, each, event), r in rates.items()
                if event is Event.SYN and each in leaves
            },
            evidence={
                each: (self._of(each).witnessed, self._of(each).total[Event.SYN_ACK])
                for each, leaf in leaves.items()
                if leaf in read
            },
        )

    def _connections(
        self,
        number: int,
        rates: Mapping[tuple[str, int, Event], float],
        news: Mapping[tuple[int, Event], int],
        at: float,
    ) -> Connections:
        instance = self._of(number)
        most, least = in_flight(instance.total)
        instance.origin_most = min(instance.origin_most, most)
        instance.origin_least = min(instance.origin_least, least)
        return Connections(
            at=at,
            in_flight=least - instance.origin_least,
            at_most=most - instance.origin_most,
            unanswered=max(0, news.get((number, Event.SYN), 0) - news.get((number, Event.SYN_ACK), 0)),
            opened_per_second=sum(
                rate for (_, each, event), rate in rates.items() if each == number and event is Event.SYN_ACK
            ),
        )


def in_flight(total: Mapping[Event, int]) -> tuple[int, int]:
    """(at most, at least) so many are open, of counts since a beginning. Below 0: packets were counted
    twice.
    """
    client, instance = total[Event.CLIENT_FIN], total[Event.INSTANCE_FIN]
    most = total[Event.SYN_ACK] - max(client, instance)
    resets = total[Event.CLIENT_RST] + total[Event.INSTANCE_RST]
    return most, most - max(0, resets - abs(client - instance))
