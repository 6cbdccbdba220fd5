# SPDX-License-Identifier: Apache-2.0
"""What hosts are told whose packets a switch has handed over, because they cannot go on."""

from __future__ import annotations

import asyncio
import logging
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from din.p4rt.connection import Connection, NotPrimaryError, SwitchError
from din.p4rt.events import PacketIn
from din.packet.constants import PuntReason

from . import icmp

LOG = logging.getLogger(__name__)

#: Under way at once. A switch that hangs takes none.
MOST: Final = 256


class Answers:
    def __init__(self) -> None:
        self._sending: set[asyncio.Task[None]] = set()

    def give(self, packet: PacketIn, switch: Connection, routers: list[IPv4Address | IPv6Address]) -> None:
        """To the host that has sent ``packet``, if there is anything to be said. ``routers``: the leaf's own
        addresses.
        """
        try:
            reason = PuntReason(packet.reason)
        except ValueError:
            return
        answer = icmp.answer(reason, packet.mtu, packet.payload, routers)
        if answer is not None and len(self._sending) < MOST:
            task = asyncio.create_task(self._send(packet, switch, answer))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def close(self) -> None:
        tasks = [*self._sending]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @staticmethod
    async def _send(packet: PacketIn, switch: Connection, answer: icmp.Answer) -> None:
        try:
            await switch.packet_out(
                packet.ingress_port, answer.frame, tenant=packet.tenant, submit=not answer.direct
            )
        except (NotPrimaryError, SwitchError) as error:
            LOG.debug("%s: no answer to a host: %s", packet.switch, error)
