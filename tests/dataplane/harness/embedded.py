# SPDX-License-Identifier: Apache-2.0
"""p4jit in memory and in virtual time, behind its real P4Runtime server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack

from p4jit.p4runtime import P4RuntimeServer
from p4jit.target.device import Device
from p4jit.target.interface import Event, LinkSpec, Output, PortSpec, PortStatus, QueueSpec

from tests.dataplane.harness.node import CPU_PORT, DROP_PORT, PORTS, QUEUES, Frame, Node
from tests.dataplane.harness.program import Program, compile_pushed

#: Steps of time after which a node is held to be busy for ever.
_MAX_STEPS = 1_000_000
_EVENT_SECONDS = 10.0


class _Device(Device):
    """Tells when the server's thread has dealt with all events: it asks for more only then."""

    def __init__(self, device_id: int, queues: int) -> None:
        self._asked = threading.Condition()
        self._polls = 0
        self._found_none = 0
        super().__init__(device_id, clock="virtual", queues=queues, drop_port=DROP_PORT, cpu_port=CPU_PORT)

    def poll_events(self, timeout: float) -> list[Event]:
        with self._asked:
            self._polls += 1
            mine = self._polls
        events = super().poll_events(timeout)
        if not events:
            with self._asked:
                self._found_none = mine
                self._asked.notify_all()
        return events

    def events_delivered(self) -> None:
        """Wait for a poll that begins after this one did, and finds nothing."""
        deadline = time.monotonic() + _EVENT_SECONDS
        with self._asked:
            awaited = self._polls + 1
            while self._found_none < awaited:
                assert time.monotonic() < deadline, "the server does not take the device's events"
                self.wake_events()
                self._asked.wait(0.001)


class P4jitNode(Node):
    """``node.device`` is p4jit's own interface, for what P4Runtime lacks."""

    kind = "p4jit"
    is_embedded = True

    def __init__(
        self,
        program: Program,
        name: str = "switch",
        *,
        ports: Iterable[int] = PORTS,
        device_id: int = 1,
        queues: int = QUEUES,
    ) -> None:
        super().__init__(name)
        self._down: set[int] = set()
        self._links: dict[int, LinkSpec] = {}
        self._queues: dict[int, Sequence[QueueSpec]] = {}
        self._stack = ExitStack()
        try:
            self.device = _Device(device_id, queues)
            self._stack.callback(self.device.close)
            for port in ports:
                self.device.port_add(port, PortSpec("memory"))
            server = P4RuntimeServer([self.device], compile_pushed, "localhost:0")
            self._stack.enter_context(server)
            self._connect(server.port, device_id)
            self._stack.callback(self._leave)
            self.load(program)
        except BaseException:
            self._stack.close()
            raise

    def _leave(self) -> None:
        self.stream.cancel()
        self.client.close()

    def close(self) -> None:
        self._stack.close()

    # ---- packets -----------------------------------------------------------------------------------------

    def send(self, port: int, packet: Frame) -> None:
        if port not in self._down:
            self.device.inject(port, bytes(packet))

    def receive(self) -> list[tuple[int, bytes]]:
        return [(o.port, o.data) for o in self.outputs()]

    def outputs(self) -> list[Output]:
        """As `receive`, with times in ns."""
        self._drain()
        return self.device.take_outputs()

    def _drain(self) -> None:
        for _ in range(_MAX_STEPS):
            at = self.device.next_event()
            if at is None:
                return
            self.device.run_until(at)
        raise AssertionError(f"{self.name}: still busy after {_MAX_STEPS:,} steps, at {self.device.now} ns")

    def _before_packet_out(self) -> None:
        pass

    def settle(self) -> None:
        self._drain()
        self.device.events_delivered()

    # ---- time, ports and queues --------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """ns since the node was made."""
        return self.device.now

    def advance(self, nanoseconds: int) -> None:
        self.device.run_until(self.device.now + nanoseconds)

    def set_port(self, port: int, up: bool) -> None:
        if up:
            self._down.discard(port)
            self.device.port_add(port, PortSpec("memory"))
            self.device.port_set(port, link=self._links.get(port), queues=self._queues.get(port))
        else:
            self._down.add(port)
            self.device.port_remove(port)

    def configure(
        self, port: int, *, link: LinkSpec | None = None, queues: Sequence[QueueSpec] | None = None
    ) -> None:
        """Emulate a link behind a port (rate in bit/s, delay in ns), or set its queues from 0 up."""
        if link is not None:
            self._links[port] = link
        if queues is not None:
            self._queues[port] = queues
        self.device.port_set(port, link=link, queues=queues)

    def port_status(self, port: int) -> PortStatus:
        """With each queue's depth, packets sent and dropped."""
        return next(p for p in self.device.ports() if p.number == port)
