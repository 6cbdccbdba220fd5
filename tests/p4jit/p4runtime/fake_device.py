# SPDX-License-Identifier: Apache-2.0
"""A device in memory: it keeps what is written to it, and its packets and events come from the test."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from finsy.proto import p4i
from p4jit.codegen.layout import Layout
from p4jit.frontend import ir
from p4jit.frontend.load import load_program
from p4jit.p4runtime.staging import StagedDevice
from p4jit.target.interface import Event, PortStatus

if TYPE_CHECKING:
    from p4jit.target.build import CompiledProgram

PORTS = tuple(PortStatus(n, f"port{n}", True, 0, 0, 0, 0, 0, 0) for n in range(8))
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


class FakeDevice(StagedDevice):
    def __init__(self, device_id: int = 1) -> None:
        super().__init__(device_id, CPU_PORT, PORTS)
        self.injected: list[tuple[int, bytes]] = []
        self.events: queue.Queue[Event] = queue.Queue()
        #: Above 0 while the device is frozen; and how often it was.
        self.frozen_depth = 0
        self.freezes = 0
        self.idle = 12_345
        #: Method name -> exception to raise from it, once.
        self.failures: dict[str, Exception] = {}
        #: When set, every insert waits for it.
        self.gate: threading.Event | None = None
        self.waiting = threading.Event()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        self.frozen_depth += 1
        self.freezes += 1
        try:
            yield
        finally:
            self.frozen_depth -= 1

    def _fail(self, name: str) -> None:
        failure = self.failures.pop(name, None)
        if failure is not None:
            raise failure

    def table_insert(self, *args: Any, **kwargs: Any) -> int:
        self._fail("table_insert")
        if self.gate is not None:
            self.waiting.set()
            assert self.gate.wait(30)
        return super().table_insert(*args, **kwargs)

    def entry_set_meter(self, *args: Any) -> None:
        self._fail("entry_set_meter")
        super().entry_set_meter(*args)

    def group_add(self, *args: Any) -> int:
        self._fail("group_add")
        return super().group_add(*args)

    def entry_idle(self, table: int, handle: int) -> int:
        super().entry_idle(table, handle)
        return self.idle

    def inject(self, port: int, data: bytes, at: int | None = None) -> None:
        self.injected.append((port, data))

    def poll_events(self, timeout: float) -> list[Event]:
        events: list[Event] = []
        try:
            events.append(self.events.get(timeout=timeout))
            while True:
                events.append(self.events.get_nowait())
        except queue.Empty:
            return events
