# SPDX-License-Identifier: Apache-2.0
"""How many queues a switch's ports have, which P4Runtime cannot tell: the switch is tried.

A packet-out to the CPU port comes back as a packet-in, if the queue that it names is there. The lowest queue
is asked last, and strict priority serves it last: when its packet is back, those that are missing have none.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Final

from finsy.proto import p4r

from din.p4rt.events import PacketIn
from din.p4rt.packet_io import encode_packet_out
from din.p4rt.program import Program
from din.p4rt.queues import FULL, count_queues
from din.packet.constants import CPU_PORT, PuntReason

#: simple_switch_grpc takes no packets until it has taken up its program, and says nothing then.
_TRIES: Final = 20
_TRY_SECONDS: Final = 0.5
#: Ethernet's least payload, so that no port pads it.
_LENGTH: Final = 60

Send = Callable[[p4r.PacketOut], Awaitable[None]]


class QueueProbe:
    """Of one connection. ``take`` every packet-in while `count` is under way."""

    def __init__(self, program: Program) -> None:
        self._program = program
        #: So that nobody's packet, and no late one of another probe, is taken for an answer.
        self._token = b""
        self._answered: set[int] = set()
        self._lowest = asyncio.Event()

    @staticmethod
    def is_possible(program: Program) -> bool:
        """Whether its packet-outs name a queue."""
        return {"port", "queue"} <= program.packet_out.keys()

    async def count(self, send: Send) -> int | None:
        """None: it does not answer."""
        before = None
        for _ in range(_TRIES):
            found = await self._try(send)
            # Fewer may be one that was lost, which is not lost twice.
            if found is not None and found in (FULL, before):
                return found
            before = found
        return None

    async def _try(self, send: Send) -> int | None:
        self._token = os.urandom(16)
        self._answered.clear()
        self._lowest.clear()
        for queue in reversed(range(FULL)):
            payload = (self._token + bytes((queue,))).ljust(_LENGTH, b"\0")
            await send(encode_packet_out(self._program, payload, port=CPU_PORT, queue=queue))
        try:
            async with asyncio.timeout(_TRY_SECONDS):
                await self._lowest.wait()
            return count_queues(self._answered)
        except (TimeoutError, ValueError):
            return None

    def take(self, packet: PacketIn) -> bool:
        """Whether it is an answer, and so nobody else's."""
        if packet.reason != PuntReason.PROBE or not self._token or not packet.payload.startswith(self._token):
            return False
        queue = packet.payload[len(self._token)]
        self._answered.add(queue)
        if queue == 0:
            self._lowest.set()
        return True
