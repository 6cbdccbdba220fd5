# SPDX-License-Identifier: Apache-2.0
"""Asking switches, again and again, how connections and links are. A switch that is slow, or does not answer
at all, keeps nobody else from being heard.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from din.measure.connections import Event, index
from din.measure.store import Measurements
from din.model.topology import Role
from din.p4rt.connection import Connection, NotPrimaryError, SwitchError
from din.p4rt.counters import read_counters
from din.p4rt.fleet import Fleet

from . import lldp
from .desired import Desired

LOG = logging.getLogger(__name__)

#: Seconds between readings of the leaves' connection counters, and between link probes.
COUNTER_SECONDS: Final = 0.5
PROBE_SECONDS: Final = 0.5
#: In which counters are to be there, to count together; those of others count next time.
ROUND_SECONDS: Final = 0.25
#: After which a reading is given up.
READ_SECONDS: Final = 2.0


class Sensing:
    """`count` and `probe_links` are to be called every so often. ``wake``: called when a link goes up or
    down.
    """

    def __init__(
        self, desired: Desired, fleet: Fleet, measurements: Measurements, wake: Callable[[], None]
    ) -> None:
        self.links = lldp.Links(desired.wiring, PROBE_SECONDS)
        self.set(desired)
        self._fleet = fleet
        self._measurements = measurements
        self._wake = wake
        self._reading: dict[str, asyncio.Task[None]] = {}

    def set(self, desired: Desired) -> None:
        self._desired = desired
        wiring = self.links.wiring = desired.wiring
        #: By switch: (port, frame), the same each time.
        self._probes = {
            name: [
                (hop.src_port, lldp.probe(name, hop.src_port, wiring.port_mac(name, hop.src_port)))
                for hop in wiring.hops_of(name)
            ]
            for name in desired.model.switch
        }

    async def close(self) -> None:
        tasks = [*self._reading.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def count(self) -> None:
        """The connection counters of all leaves."""
        numbers = self._desired.ids.numbers["instance"].values()
        cells = [index(number, event) for number in numbers for event in Event]
        for leaf in (each.name for each in self._desired.model.switches if each.role is Role.LEAF):
            if leaf not in self._reading:
                task = asyncio.create_task(self._read(self._fleet.connection(leaf), cells))
                self._reading[leaf] = task
                task.add_done_callback(lambda _, leaf=leaf: self._reading.pop(leaf))  # type: ignore[misc]
        if self._reading:
            await asyncio.wait([*self._reading.values()], timeout=ROUND_SECONDS)
        self._measurements.read(time.monotonic())

    async def _read(self, leaf: Connection, cells: list[int]) -> None:
        try:
            async with asyncio.timeout(READ_SECONDS):
                found = await read_counters(leaf, {"connections": cells})
        except (NotPrimaryError, SwitchError, TimeoutError):
            return
        counts = {cell: count.packets for cell, count in found["connections"].items() if count.packets}
        self._measurements.counters(leaf.name, counts, time.monotonic())

    async def probe_links(self) -> None:
        """What came of the last probes, and the next ones."""
        network = self._measurements.network
        ours = {name for name, each in self._fleet.switches.items() if each.connection.is_primary}
        for key, arrived in self.links.carrying(time.monotonic(), ours).items():
            was = network.up(key)
            network.link_probe(key, arrived)
            if was != network.up(key):
                self._wake()
        await asyncio.gather(*(self._probe(self._fleet.connection(name)) for name in ours))

    async def _probe(self, switch: Connection) -> None:
        try:
            for port, frame in self._probes.get(switch.name, ()):
                await switch.packet_out(port, frame)
        except (NotPrimaryError, SwitchError) as error:
            LOG.debug("%s: no link probes: %s", switch.name, error)
