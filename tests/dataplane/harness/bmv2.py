# SPDX-License-Identifier: Apache-2.0
"""simple_switch_grpc as a node.

Its packets go over its data plane's gRPC stream, which stands in for interfaces: it needs no privileges, and,
what matters more, it has an end. When the client has no more to send, bmv2 waits until no packet exists in
it any more, be it in a queue, cloned or recirculating, and only then ends the stream: what has not come by
then does not come. Interfaces would leave that to a timeout.

One process serves many tests, each with a pipeline set anew. Things that outlive a pipeline (clone sessions,
multicast groups, ports that are down) are taken back.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Iterable
from typing import Any

import grpc
from finsy.proto import p4r

from tests.dataplane.harness.node import CPU_PORT, DROP_PORT, PORTS, QUEUES, Frame, Node
from tests.dataplane.harness.program import Program
from tests.p4jit.differential.bmv2 import Bmv2, available

__all__ = ["Bmv2Node", "Bmv2Pool", "available"]

#: Packets that are under way together at most: a queue of bmv2's holds 64 and drops more without a word.
_BURST = 16
_READY_SECONDS = 10.0
#: A port's state reaches selectors by a thread of the P4Runtime server's, which nothing tells about.
_PORT_SECONDS = 0.1


class Bmv2Node(Node):
    kind = "bmv2"
    is_embedded = False

    def __init__(
        self,
        name: str = "switch",
        *,
        ports: Iterable[int] = PORTS,
        device_id: int = 1,
        queues: int = QUEUES,
    ) -> None:
        """Without a program yet: `load` it."""
        super().__init__(name)
        self._ports = frozenset(ports)
        self._down: set[int] = set()
        self._left: list[tuple[int, bytes]] = []
        self._requests: queue.SimpleQueue[tuple[int, int, bytes] | None] = queue.SimpleQueue()
        self._packets: Any = None
        self._under_way = 0
        self._broken = False
        options = ("--cpu-port", str(CPU_PORT), "--drop-port", str(DROP_PORT))
        self.switch = Bmv2(device_id, options, queues)
        try:
            self._connect(int(self.switch.address.rpartition(":")[2]), device_id)
        except BaseException:
            self.switch.close()
            raise

    @property
    def usable(self) -> bool:
        return self.switch.running and not self._broken

    def load(self, program: Program) -> None:
        self.reset()
        super().load(program)

    def reset(self) -> None:
        """Take back what the next pipeline would find."""
        self._finish()
        for port in sorted(self._down):
            self.switch.set_port(port, True)
        self._down.clear()
        for session in self._sessions:
            entry = p4r.PacketReplicationEngineEntry()
            entry.clone_session_entry.session_id = session
            self.client.delete(packet_replication_engine_entry=entry)
        for group in self._groups:
            entry = p4r.PacketReplicationEngineEntry()
            entry.multicast_group_entry.multicast_group_id = group
            self.client.delete(packet_replication_engine_entry=entry)
        self._sessions.clear()
        self._groups.clear()
        if self._entries is not None:
            self._stream_barrier()
        self._packet_ins.clear()
        self._left.clear()

    def close(self) -> None:
        if self._packets is not None:
            self._requests.put(None)
            self._packets.cancel()
        self.stream.cancel()
        self.client.close()
        self.switch.close()

    # ---- packets -----------------------------------------------------------------------------------------

    def send(self, port: int, packet: Frame) -> None:
        data = bytes(packet)
        if not data or port in self._down:
            return
        if self._under_way >= _BURST:
            self._finish()
        self._begin()
        self._requests.put((self.switch.device_id, port, data))
        self._under_way += 1

    def receive(self) -> list[tuple[int, bytes]]:
        self._finish()
        found, self._left = self._left, []
        return found

    def settle(self) -> None:
        self._finish()

    def _begin(self) -> None:
        """Have the stream, once it can be had: it is refused until the first program runs."""
        if self._packets is not None:
            return
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            requests: queue.SimpleQueue[tuple[int, int, bytes] | None] = queue.SimpleQueue()
            packets = self.switch.packet_stream(iter(requests.get, None))
            # While there is one stream, another is refused, and that alone tells that there is one.
            reason = _refusal(self.switch.packet_stream(()))
            if reason is grpc.StatusCode.RESOURCE_EXHAUSTED:
                self._requests, self._packets = requests, packets
                return
            requests.put(None)
            packets.cancel()
            assert time.monotonic() < deadline, f"{self.name}: bmv2 takes no packets: {reason}"

    def _finish(self) -> None:
        if self._packets is None:
            return
        packets, self._packets = self._packets, None
        self._requests.put(None)
        self._under_way = 0
        try:
            self._left += [(port, data) for port, data in packets if self._leads_out(port)]
        except grpc.RpcError as error:
            self._broken = True
            raise AssertionError(
                f"{self.name}: packets are still under way in bmv2, or it has ended: {error.code()}"
            ) from None

    def _leads_out(self, port: int) -> bool:
        return port in self._ports and port not in self._down

    def _before_packet_out(self) -> None:
        self._begin()

    # ---- time and ports ----------------------------------------------------------------------------------

    def advance(self, nanoseconds: int) -> None:
        time.sleep(nanoseconds / 1e9)

    def set_port(self, port: int, up: bool) -> None:
        self._finish()
        self.switch.set_port(port, up)
        if up:
            self._down.discard(port)
        else:
            self._down.add(port)
        time.sleep(_PORT_SECONDS)


def _refusal(call: Any) -> grpc.StatusCode | None:
    """Why a stream without packets ended; None: as it should."""
    try:
        for _ in call:
            pass
    except grpc.RpcError as error:
        return error.code()
    return None


class Bmv2Pool:
    """Processes that are lent to one test after the other."""

    def __init__(self) -> None:
        self._nodes: list[Bmv2Node] = []

    def node(self, index: int, name: str, program: Program) -> Bmv2Node:
        """The process number ``index``, which runs the program from its initial state."""
        while len(self._nodes) <= index:
            self._nodes.append(Bmv2Node())
        if not self._nodes[index].usable:
            self._nodes[index].close()
            self._nodes[index] = Bmv2Node()
        node = self._nodes[index]
        node.name = name
        node.load(program)
        return node

    def close(self) -> None:
        for node in self._nodes:
            node.close()
