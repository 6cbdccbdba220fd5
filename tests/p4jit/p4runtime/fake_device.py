# SPDX-License-Identifier: Apache-2.0
"""A device in memory: it keeps what is written to it, and its packets and events come from the test."""

from __future__ import annotations

import queue
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, cast

from finsy.proto import p4i
from p4jit.codegen.layout import Layout
from p4jit.frontend import ir
from p4jit.frontend.load import load_program
from p4jit.p4runtime.staging import StagedDevice
from p4jit.target.interface import Event, PortStatus

from tests.p4jit.p4runtime.rigged import Rigged

if TYPE_CHECKING:
    from p4jit.target.build import CompiledProgram

#: One of them needs all the bits of a port number.
PORT_NUMBERS = (*range(8), 0x103)
PORTS = tuple(PortStatus(n, f"port{n}", True, 0, 0, 0, 0, 0, 0) for n in PORT_NUMBERS)
CPU_PORT = 510


@dataclass(frozen=True)
class FakeProgram:
    ir: ir.Program
    layout: Layout


def fake_compile(json: bytes, p4info: p4i.P4Info) -> CompiledProgram:
    """All of compilation but the C."""
    return _translate(json)


@cache
def _translate(json: bytes) -> CompiledProgram:
    program = load_program(json, "test")
    return cast("CompiledProgram", FakeProgram(program, Layout(program)))


class _Unplugged(StagedDevice):
    def inject(self, port: int, data: bytes, at: int | None = None) -> None:
        """Frames go nowhere: the record of calls has them."""


class FakeDevice(Rigged, _Unplugged):
    def __init__(self, device_id: int = 1) -> None:
        super().__init__(device_id, CPU_PORT, PORTS)
        self.events: queue.Queue[Event] = queue.Queue()
        self.idle = 12_345

    @property
    def injected(self) -> list[tuple[int, bytes]]:
        return [(port, data) for port, data, *_ in self.told("inject")]

    def entry_idle(self, table: int, handle: int) -> int:
        super().entry_idle(table, handle)
        return self.idle

    def poll_events(self, timeout: float) -> list[Event]:
        events: list[Event] = []
        try:
            events.append(self.events.get(timeout=timeout))
            while True:
                events.append(self.events.get_nowait())
        except queue.Empty:
            return events
