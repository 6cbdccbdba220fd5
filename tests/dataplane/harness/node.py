# SPDX-License-Identifier: Apache-2.0
"""A switch under test, whichever it is: programmed over P4Runtime, with packets in and out."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import grpc
import pytest
from finsy.proto import p4r

from tests.dataplane.harness.entries import Action, Entries, Match, Value, number
from tests.dataplane.harness.program import Program
from tests.p4jit.p4runtime.client import Client, StreamClient, WriteFailed
from tests.p4jit.p4runtime.names import to_bytes

CPU_PORT = 510
DROP_PORT = 511
QUEUES = 8
#: Ports that a node has, beside the CPU port. 0 is where packets go that nobody decided about: better seen
#: than lost.
PORTS = range(33)
_WAIT_SECONDS = 30.0

Frame = Any  # bytes, or what bytes() makes a frame of: a packet of scapy's


class Refused(AssertionError):
    """The switch refuses an entry; ``codes`` has one grpc.StatusCode an update."""

    def __init__(self, message: str, codes: list[grpc.StatusCode]) -> None:
        super().__init__(message)
        self.codes = codes


@dataclass(frozen=True)
class PacketIn:
    """A packet for the controller. ``metadata`` is the packet_in header by field name."""

    payload: bytes
    metadata: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Counter:
    packets: int
    bytes: int


class Node(abc.ABC):
    """See the package's docstring for how tests use it. Subclasses bring the switch: `client` to talk to its
    P4Runtime server, and the five methods at the end."""

    #: "p4jit" or "bmv2".
    kind: str
    #: Whether P4Runtime reads registers, queues can be looked into, and time is exact.
    is_embedded: bool

    def __init__(self, name: str = "switch") -> None:
        self.name = name
        self._client: Client | None = None
        self._entries: Entries | None = None
        self._packet_ins: list[PacketIn] = []
        self._sessions: set[int] = set()
        self._groups: set[int] = set()
        self._batch: list[p4r.Update] | None = None

    # ---- life --------------------------------------------------------------------------------------------

    @property
    def client(self) -> Client:
        assert self._client is not None, "load a program first"
        return self._client

    @property
    def stream(self) -> StreamClient:
        assert self.client.stream is not None
        return self.client.stream

    @property
    def names(self) -> Entries:
        assert self._entries is not None, "load a program first"
        return self._entries

    def load(self, program: Program) -> None:
        """Run a program from its initial state."""
        info = program.p4info
        self._entries = Entries(info)
        self.client.set_pipeline(info, program.config)
        self._packet_ins.clear()
        self._sessions.clear()
        self._groups.clear()

    @abc.abstractmethod
    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- tables ------------------------------------------------------------------------------------------

    def insert(
        self,
        table: str,
        match: Mapping[str, Match],
        action: Action,
        /,
        *,
        priority: int = 0,
        **params: Value,
    ) -> None:
        """Add an entry. ``action`` is its name, with ``params`` by name; or (name, {params}); or a list of
        `choice` for a selector's one-shot. Raises Refused."""
        entry = self.names.table_entry(table, match, action, params, priority)
        self._write("INSERT", table_entry=entry)

    def modify(
        self,
        table: str,
        match: Mapping[str, Match],
        action: Action,
        /,
        *,
        priority: int = 0,
        **params: Value,
    ) -> None:
        entry = self.names.table_entry(table, match, action, params, priority)
        self._write("MODIFY", table_entry=entry)

    def delete(self, table: str, match: Mapping[str, Match], /, *, priority: int = 0) -> None:
        self._write("DELETE", table_entry=self.names.table_entry(table, match, None, {}, priority))

    def set_default(self, table: str, action: Action, /, **params: Value) -> None:
        """The default entry; the whole of a table without keys."""
        entry = self.names.table_entry(table, {}, action, params, is_default_action=True)
        self._write("MODIFY", table_entry=entry)

    def reset_default(self, table: str) -> None:
        """Back to the program's own."""
        entry = self.names.table_entry(table, {}, None, {}, is_default_action=True)
        self._write("MODIFY", table_entry=entry)

    def entries(self, table: str) -> list[p4r.TableEntry]:
        query = p4r.TableEntry(table_id=self.names.thing(table).preamble.id)
        return self.client.read(table_entry=query)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """What is written inside goes in one request at the end: faster, for many entries."""
        assert self._batch is None, "batches do not nest"
        self._batch = []
        try:
            yield
            updates, self._batch = self._batch, None
            self._send_updates(updates)
        finally:
            self._batch = None

    def _write(self, kind: str, **entity: Any) -> None:
        one = p4r.Update(type=p4r.Update.Type.Value(kind), entity=p4r.Entity(**entity))
        if self._batch is None:
            self._send_updates([one])
        else:
            self._batch.append(one)

    def _send_updates(self, updates: list[p4r.Update]) -> None:
        if not updates:
            return
        try:
            self.client.write(updates)
        except WriteFailed as error:
            raise Refused(f"{self.kind} {self.name}: {error}", error.codes) from None
        except grpc.RpcError as error:
            raise Refused(f"{self.kind} {self.name}: {error.details()}", [error.code()]) from None

    # ---- counters, registers, meters ---------------------------------------------------------------------

    def counter(self, name: str, index: int) -> Counter:
        query = p4r.CounterEntry(counter_id=self.names.thing(name).preamble.id)
        query.index.index = index
        (found,) = self.client.read(counter_entry=query)
        return Counter(found.data.packet_count, found.data.byte_count)

    def direct_counter(self, table: str, match: Mapping[str, Match], *, priority: int = 0) -> Counter:
        """Of one entry."""
        query = p4r.DirectCounterEntry(table_entry=self.names.table_entry(table, match, None, {}, priority))
        (found,) = self.client.read(direct_counter_entry=query)
        return Counter(found.data.packet_count, found.data.byte_count)

    def register(self, name: str, index: int) -> int:
        """One cell. bmv2 has no way to read registers over P4Runtime: the test is skipped from here."""
        if not self.is_embedded:
            pytest.skip("bmv2 has no registers over P4Runtime")
        query = p4r.RegisterEntry(register_id=self.names.thing(name).preamble.id)
        query.index.index = index
        (found,) = self.client.read(register_entry=query)
        return int.from_bytes(found.data.bitstring, "big")

    def set_register(self, name: str, index: int, value: int) -> None:
        if not self.is_embedded:
            pytest.skip("bmv2 has no registers over P4Runtime")
        entry = p4r.RegisterEntry(register_id=self.names.thing(name).preamble.id)
        entry.index.index, entry.data.bitstring = index, to_bytes(value)
        self._write("MODIFY", register_entry=entry)

    def set_meter(self, name: str, index: int, *, cir: int, cburst: int, pir: int, pburst: int) -> None:
        """Rates a second and bursts, in the meter's unit (packets or bytes)."""
        entry = p4r.MeterEntry(meter_id=self.names.thing(name).preamble.id)
        entry.index.index = index
        entry.config.CopyFrom(p4r.MeterConfig(cir=cir, cburst=cburst, pir=pir, pburst=pburst))
        self._write("MODIFY", meter_entry=entry)

    def set_direct_meter(
        self,
        table: str,
        match: Mapping[str, Match],
        *,
        priority: int = 0,
        cir: int,
        cburst: int,
        pir: int,
        pburst: int,
    ) -> None:
        entry = p4r.DirectMeterEntry(table_entry=self.names.table_entry(table, match, None, {}, priority))
        entry.config.CopyFrom(p4r.MeterConfig(cir=cir, cburst=cburst, pir=pir, pburst=pburst))
        self._write("MODIFY", direct_meter_entry=entry)

    # ---- replication -------------------------------------------------------------------------------------

    def clone_session(self, session: int, *ports: int, truncate: int = 0, class_of_service: int = 0) -> None:
        """Make a clone session, or change it. bmv2 takes neither of the two options."""
        entry = p4r.PacketReplicationEngineEntry()
        clone = entry.clone_session_entry
        clone.session_id, clone.packet_length_bytes = session, truncate
        clone.class_of_service = class_of_service
        for instance, port in enumerate(ports, 1):
            clone.replicas.add(egress_port=port, instance=instance)
        self._write(
            "MODIFY" if session in self._sessions else "INSERT", packet_replication_engine_entry=entry
        )
        self._sessions.add(session)

    def multicast_group(self, group: int, *ports: int) -> None:
        entry = p4r.PacketReplicationEngineEntry()
        entry.multicast_group_entry.multicast_group_id = group
        for instance, port in enumerate(ports, 1):
            entry.multicast_group_entry.replicas.add(egress_port=port, instance=instance)
        self._write("MODIFY" if group in self._groups else "INSERT", packet_replication_engine_entry=entry)
        self._groups.add(group)

    # ---- packets -----------------------------------------------------------------------------------------

    def exchange(self, port: int, packet: Frame, *, expect: int | None = None) -> list[tuple[int, bytes]]:
        """Send one packet; everything that leaves because of it, as (port, frame). The node is idle again
        when this returns, so that an empty list means that nothing came out. With ``expect``, so many."""
        self.send(port, packet)
        found = self.receive()
        if expect is not None:
            assert len(found) == expect, f"{len(found)} packets left, not {expect}: {_shown(found)}"
        return found

    def packet_ins(self) -> list[PacketIn]:
        """Packets for the controller since this was last asked; the node is idle then."""
        self.settle()
        self._stream_barrier()
        found, self._packet_ins = self._packet_ins, []
        return found

    def packet_out(self, payload: Frame, /, **metadata: int) -> None:
        """From the controller, with the packet_out header's fields by name; those not named are 0. What
        leaves is for `receive`. Raises Refused."""
        fields = self.names.controller_header("packet_out")
        unknown = metadata.keys() - fields.keys()
        assert not unknown, f"packet_out has no {sorted(unknown)}; it has {sorted(fields)}"
        packet = p4r.PacketOut(payload=bytes(payload))
        for name, info in fields.items():
            value = number(metadata.get(name, 0), info.bitwidth, f"packet_out.{name}")
            packet.metadata.add(metadata_id=info.id, value=to_bytes(value))
        self._before_packet_out()
        self.stream.send(packet=packet)
        self._stream_barrier()

    @abc.abstractmethod
    def _before_packet_out(self) -> None:
        """Be ready for what leaves."""

    def _stream_barrier(self) -> None:
        """Wait until the stream's messages of before have been dealt with in both directions: they are in
        order, and a new election ID is answered (by bmv2, only a new one is)."""
        assert self.client.election_id is not None
        self.client.election_id += 1
        self.stream.arbitrate(self.client.election_id, self.client.device_id)
        while True:
            message = self.stream.receive(_WAIT_SECONDS)
            which = message.WhichOneof("update")
            if which == "arbitration":
                return
            if which == "packet":
                self._packet_ins.append(self._packet_in(message.packet))
            elif which == "error":
                error = message.error
                raise Refused(f"{self.kind} {self.name}: {error.message}", [_code(error.canonical_code)])

    def _packet_in(self, packet: p4r.PacketIn) -> PacketIn:
        names = {m.id: name for name, m in self.names.controller_header("packet_in").items()}
        metadata = {names[m.metadata_id]: int.from_bytes(m.value, "big") for m in packet.metadata}
        return PacketIn(packet.payload, metadata)

    def _connect(self, port: int, device_id: int) -> None:
        self._client = Client(port, election_id=1, device_id=device_id)
        self._client.become_primary()

    # ---- the switch --------------------------------------------------------------------------------------

    @abc.abstractmethod
    def send(self, port: int, packet: Frame) -> None:
        """A packet arrives on a port. Several may be sent before `receive`."""

    @abc.abstractmethod
    def receive(self) -> list[tuple[int, bytes]]:
        """Once nothing is under way any more: what has left since the last call, (port, frame), in order."""

    @abc.abstractmethod
    def settle(self) -> None:
        """Wait until nothing is under way any more, and all packets for the controller are with it."""

    @abc.abstractmethod
    def set_port(self, port: int, up: bool) -> None:
        """A port goes down or comes up, as selectors with watch ports see it."""

    @abc.abstractmethod
    def advance(self, nanoseconds: int) -> None:
        """Let time pass."""


def _code(number_: int) -> grpc.StatusCode:
    return next(code for code in grpc.StatusCode if code.value[0] == number_)


def _shown(packets: list[tuple[int, bytes]]) -> str:
    return ", ".join(f"port {port}: {data.hex()}" for port, data in packets) or "none"
