# SPDX-License-Identifier: Apache-2.0
"""simple_switch_grpc as a switch under test, programmed over P4Runtime.

Packets go over its data plane's gRPC stream (``--dp-grpc-server-addr``), which stands in for interfaces and
needs no privileges. The stream's messages are {1: id, 2: device_id, 3: port, 4: packet}, put together here,
field by field.
"""

from __future__ import annotations

import queue
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import grpc
from finsy.proto import p4i, p4r, p4r_grpc, rpc_status
from google.protobuf import text_format
from p4jit.frontend import ir
from p4jit.target.interface import CounterValue, DeviceError, MeterRates, Output, Replica

BINARY = "simple_switch_grpc"
START_SECONDS = 10.0
EXCHANGE_SECONDS = 30.0


def available() -> str | None:
    """Why bmv2 cannot be compared with, or None."""
    return None if shutil.which(BINARY) else f"{BINARY} is not on PATH"


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


# ---- the data plane's two messages ---------------------------------------------------------------------


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def encode_packet(message: tuple[int, int, bytes]) -> bytes:
    device_id, port, data = message
    return b"\x10" + _varint(device_id) + b"\x18" + _varint(port) + b"\x22" + _varint(len(data)) + data


def decode_packet(message: bytes) -> tuple[int, bytes]:
    port, data, at = 0, b"", 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        value, at = _read_varint(message, at)
        if tag & 7 == 2:
            data = message[at : at + value]
            at += value
        elif tag >> 3 == 3:
            port = value
    return port, data


class Bmv2:
    """A running simple_switch_grpc. Use as a context manager; `load` it (or have another controller do so, at
    ``address``), then `exchange` packets. ``options`` are further ones of the target's own."""

    def __init__(self, device_id: int = 1, options: Sequence[str] = (), queues: int = 8) -> None:
        self.device_id = device_id
        self.address, packets = (f"127.0.0.1:{_free_port()}" for _ in range(2))
        # Eight queues, as many as v1model's priority can name: with fewer, bmv2 drops what is beyond.
        self._process = subprocess.Popen(
            [
                *(BINARY, "--no-p4", "--device-id", str(device_id), "-L", "off"),
                # Where bmv2 is built with Thrift, its port must not be another instance's.
                *("--thrift-port", str(_free_port()), "--"),
                *("--grpc-server-addr", self.address, "--dp-grpc-server-addr", packets),
                *("--priority-queues", str(queues), *options),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._channels = [grpc.insecure_channel(a) for a in (self.address, packets)]
        self._stream: Any = None
        self._requests: queue.Queue[p4r.StreamMessageRequest | None] = queue.Queue()
        try:
            for channel in self._channels:
                grpc.channel_ready_future(channel).result(START_SECONDS)
            self._control = p4r_grpc.P4RuntimeStub(self._channels[0])
        except Exception:
            self.close()
            raise

    def _arbitrate(self) -> None:
        request = p4r.StreamMessageRequest()
        request.arbitration.device_id = self.device_id
        request.arbitration.election_id.low = 1
        self._requests.put(request)
        self._stream = self._control.StreamChannel(iter(self._requests.get, None))
        reply = next(iter(self._stream))
        if reply.arbitration.status.code:
            raise DeviceError(f"bmv2 refuses arbitration: {reply}")

    def load(self, config: bytes, p4info: str) -> p4i.P4Info:
        """Run this program (bmv2 JSON, P4Info as text) from now on."""
        if self._stream is None:
            self._arbitrate()
        request = p4r.SetForwardingPipelineConfigRequest(device_id=self.device_id)
        request.election_id.low = 1
        request.action = p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT
        text_format.Parse(p4info, request.config.p4info, allow_unknown_field=True)
        request.config.p4_device_config = config
        self._control.SetForwardingPipelineConfig(request)
        return request.config.p4info

    def write(self, kind: int, entity: p4r.Entity) -> None:
        request = p4r.WriteRequest(device_id=self.device_id)
        request.election_id.low = 1
        request.updates.add(type=kind).entity.CopyFrom(entity)
        try:
            self._control.Write(request)
        except grpc.RpcError as error:
            raise DeviceError(f"bmv2: {_reason(error)}") from error

    def read(self, entity: p4r.Entity) -> Iterator[p4r.Entity]:
        request = p4r.ReadRequest(device_id=self.device_id)
        request.entities.add().CopyFrom(entity)
        try:
            for reply in self._control.Read(request):
                yield from reply.entities
        except grpc.RpcError as error:
            raise DeviceError(f"bmv2: {_reason(error)}") from error

    def exchange(self, packets: Sequence[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
        """Send packets (port, frame) and return all that left because of them, in order.

        When the client has no more to send, bmv2 ends the stream only after it is done with every packet.
        """
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return list(self.packet_stream((self.device_id, port, data) for port, data in packets))
            except grpc.RpcError as error:
                # The stream is refused until the switch has taken up its first program.
                if error.details() != "not ready" or time.monotonic() > deadline:
                    raise DeviceError(f"bmv2: {error.code()} {error.details()}") from error

    def packet_stream(self, requests: Iterable[tuple[int, int, bytes]]) -> Any:
        """The data plane's stream, which one client can have at a time: (device ID, port, frame) in, (port,
        frame) out."""
        call = self._channels[1].stream_stream(
            "/p4.bm.DataplaneInterface/PacketStream",
            request_serializer=encode_packet,
            response_deserializer=decode_packet,
        )
        return call(iter(requests), timeout=EXCHANGE_SECONDS)

    def set_port(self, port: int, up: bool) -> None:
        """Have a port seem up or down; all are up at first."""
        call = self._channels[1].unary_unary(
            "/p4.bm.DataplaneInterface/SetPortOperStatus",
            request_serializer=bytes,
            response_deserializer=bytes,
        )
        request = b"\x08" + _varint(self.device_id) + b"\x10" + _varint(port) + b"\x18" + _varint(1 + up)
        call(request, timeout=EXCHANGE_SECONDS)

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        self._requests.put(None)
        for channel in self._channels:
            channel.close()
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Bmv2:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _reason(error: grpc.RpcError) -> str:
    """What went wrong: the details of the first failed update, or the call's own."""
    for key, value in cast("Iterable[tuple[str, bytes]]", error.trailing_metadata() or ()):
        if key == "grpc-status-details-bin":
            status = rpc_status.Status.FromString(value)
            for detail in status.details:
                inner = p4r.Error()
                if detail.Unpack(inner) and inner.canonical_code:
                    return f"{inner.canonical_code} {inner.message}"
    return f"{error.code()} {error.details()}"


def canonical(value: int) -> bytes:
    """P4Runtime's byte string: no leading zero bytes, at least one byte."""
    return value.to_bytes(max((value.bit_length() + 7) // 8, 1), "big")


class Bmv2Target:
    """bmv2 as an STF target (`p4jit.stf.target.Target`). Registers and value sets it has no way to reach."""

    def __init__(self, switch: Bmv2, program: ir.Program, config: bytes, p4info: str) -> None:
        self.program = program
        self._switch = switch
        self._ports: set[int] = set()
        self._outputs: list[Output] = []
        self._entries: list[p4r.TableEntry] = []
        self._members: dict[tuple[str, int], p4r.ActionProfileMember] = {}
        self._groups: dict[tuple[str, int], p4r.ActionProfileGroup] = {}
        self._multicast: set[int] = set()
        self._sessions: set[int] = set()
        info = switch.load(config, p4info)
        self._tables = {t.preamble.name: t for t in info.tables}
        self._actions = {a.preamble.name: a for a in info.actions}
        self._ids = {
            o.preamble.name: o.preamble.id
            for objects in (info.action_profiles, info.counters, info.meters)
            for o in objects
        }

    def port_add(self, number: int) -> None:
        self._ports.add(number)

    # -- tables

    def match(self, table: ir.Table, match: Sequence[ir.MatchValue]) -> Iterator[p4r.FieldMatch]:
        """The fields that are not "anything", as P4Runtime wants them."""
        kinds = p4i.MatchField.MatchType
        for field, key, value in zip(self._tables[table.name].match_fields, table.key, match, strict=True):
            ones = (1 << key.width) - 1
            found = p4r.FieldMatch(field_id=field.id)
            if field.match_type == kinds.LPM:
                if not value.prefix_length:
                    continue
                found.lpm.prefix_len = value.prefix_length
                found.lpm.value = canonical(value.value & (ones ^ ones >> value.prefix_length))
            elif field.match_type in (kinds.TERNARY, kinds.OPTIONAL):
                mask = ones if value.mask is None else value.mask
                if not mask:
                    continue
                if field.match_type == kinds.OPTIONAL:
                    found.optional.value = canonical(value.value)
                else:
                    found.ternary.value = canonical(value.value & mask)
                    found.ternary.mask = canonical(mask)
            elif field.match_type == kinds.RANGE:
                high = value.value if value.high is None else value.high
                if (value.value, high) == (0, ones):
                    continue
                found.range.low = canonical(value.value)
                found.range.high = canonical(high)
            else:
                found.exact.value = canonical(value.value)
            yield found

    def _entry(self, table: ir.Table, match: Sequence[ir.MatchValue], priority: int) -> p4r.TableEntry:
        entry = p4r.TableEntry(table_id=self._tables[table.name].preamble.id)
        entry.match.extend(self.match(table, match))
        if table.kind in (ir.MatchKind.TERNARY, ir.MatchKind.RANGE):
            entry.priority = priority + 1  # P4Runtime's priorities start at 1
        return entry

    def action(self, call: ir.ActionCall) -> p4r.Action:
        info = self._actions[call.action.name]
        action = p4r.Action(action_id=info.preamble.id)
        for param, value in zip(info.params, call.arguments, strict=True):
            action.params.add(param_id=param.id, value=canonical(value))
        return action

    def _insert(self, entry: p4r.TableEntry) -> int:
        self._switch.write(p4r.Update.INSERT, p4r.Entity(table_entry=entry))
        self._entries.append(entry)
        return len(self._entries) - 1

    def insert(
        self, table: ir.Table, match: Sequence[ir.MatchValue], priority: int, call: ir.ActionCall
    ) -> int:
        entry = self._entry(table, match, priority)
        entry.action.action.CopyFrom(self.action(call))
        return self._insert(entry)

    def insert_indirect(
        self, table: ir.Table, match: Sequence[ir.MatchValue], priority: int, handle: int, group: bool
    ) -> int:
        entry = self._entry(table, match, priority)
        if group:
            entry.action.action_profile_group_id = handle
        else:
            entry.action.action_profile_member_id = handle
        return self._insert(entry)

    def delete(self, table: ir.Table, handle: int) -> None:
        self._switch.write(p4r.Update.DELETE, p4r.Entity(table_entry=self._entries[handle]))

    def set_default(self, table: ir.Table, call: ir.ActionCall) -> None:
        entry = p4r.TableEntry(table_id=self._tables[table.name].preamble.id, is_default_action=True)
        entry.action.action.CopyFrom(self.action(call))
        self._switch.write(p4r.Update.MODIFY, p4r.Entity(table_entry=entry))

    # -- action profiles

    def member_add(self, profile: ir.ActionProfile, call: ir.ActionCall) -> int:
        member = p4r.ActionProfileMember(
            action_profile_id=self._ids[profile.name], member_id=len(self._members) + 1
        )
        member.action.CopyFrom(self.action(call))
        self._switch.write(p4r.Update.INSERT, p4r.Entity(action_profile_member=member))
        self._members[profile.name, member.member_id] = member
        return member.member_id

    def group_add(self, profile: ir.ActionProfile) -> int:
        group = p4r.ActionProfileGroup(
            action_profile_id=self._ids[profile.name], group_id=len(self._groups) + 1, max_size=16
        )
        self._switch.write(p4r.Update.INSERT, p4r.Entity(action_profile_group=group))
        self._groups[profile.name, group.group_id] = group
        return group.group_id

    def group_set(self, profile: ir.ActionProfile, group: int, members: Sequence[int]) -> None:
        entity = self._groups[profile.name, group]
        del entity.members[:]
        for member in members:
            entity.members.add(member_id=member, weight=1)
        self._switch.write(p4r.Update.MODIFY, p4r.Entity(action_profile_group=entity))

    # -- externs

    def entry_counter(self, table: ir.Table, handle: int) -> CounterValue:
        wanted = p4r.Entity()
        wanted.direct_counter_entry.table_entry.CopyFrom(self._entries[handle])
        wanted.direct_counter_entry.table_entry.ClearField("action")
        (found,) = self._switch.read(wanted)
        data = found.direct_counter_entry.data
        return CounterValue(data.packet_count, data.byte_count)

    def _counter(self, counter: ir.CounterArray, index: int) -> p4r.Entity:
        entity = p4r.Entity()
        entity.counter_entry.counter_id = self._ids[counter.name]
        entity.counter_entry.index.index = index
        return entity

    def counter_read(self, counter: ir.CounterArray, index: int) -> CounterValue:
        (found,) = self._switch.read(self._counter(counter, index))
        data = found.counter_entry.data
        return CounterValue(data.packet_count, data.byte_count)

    def counter_write(self, counter: ir.CounterArray, index: int, value: CounterValue) -> None:
        entity = self._counter(counter, index)
        entity.counter_entry.data.packet_count = value.packets
        entity.counter_entry.data.byte_count = value.bytes
        self._switch.write(p4r.Update.MODIFY, entity)

    def register_read(self, register: ir.RegisterArray, index: int) -> int:
        raise DeviceError("bmv2's P4Runtime has no registers")

    def register_write(self, register: ir.RegisterArray, index: int, value: int) -> None:
        raise DeviceError("bmv2's P4Runtime has no registers")

    def value_set(self, value_set: ir.ValueSet, values: Sequence[int]) -> None:
        raise DeviceError("bmv2's P4Runtime has no value sets")

    def meter_read(self, meter: ir.MeterArray, index: int) -> MeterRates | None:
        raise DeviceError("not needed")

    def entry_meter(self, table: ir.Table, handle: int) -> MeterRates | None:
        raise DeviceError("not needed")

    def meter_write(self, meter: ir.MeterArray, index: int, rates: MeterRates) -> None:
        entity = p4r.Entity()
        entity.meter_entry.meter_id = self._ids[meter.name]
        entity.meter_entry.index.index = index
        _set_rates(entity.meter_entry.config, rates)
        self._switch.write(p4r.Update.MODIFY, entity)

    def entry_set_meter(self, table: ir.Table, handle: int, rates: MeterRates) -> None:
        entity = p4r.Entity()
        entity.direct_meter_entry.table_entry.CopyFrom(self._entries[handle])
        entity.direct_meter_entry.table_entry.ClearField("action")
        _set_rates(entity.direct_meter_entry.config, rates)
        self._switch.write(p4r.Update.MODIFY, entity)

    # -- packet replication

    def multicast(self, group: int, replicas: Sequence[Replica]) -> None:
        if not replicas:
            return  # P4Runtime has no empty groups to make
        entity = p4r.Entity()
        entry = entity.packet_replication_engine_entry.multicast_group_entry
        entry.multicast_group_id = group
        _set_replicas(entry, replicas)
        self._switch.write(p4r.Update.MODIFY if group in self._multicast else p4r.Update.INSERT, entity)
        self._multicast.add(group)

    def mirror(self, session: int, replicas: Sequence[Replica]) -> None:
        entity = p4r.Entity()
        entry = entity.packet_replication_engine_entry.clone_session_entry
        entry.session_id = session
        _set_replicas(entry, replicas)
        self._switch.write(p4r.Update.MODIFY if session in self._sessions else p4r.Update.INSERT, entity)
        self._sessions.add(session)

    def mirror_delete(self, session: int) -> None:
        entity = p4r.Entity()
        entity.packet_replication_engine_entry.clone_session_entry.session_id = session
        self._switch.write(p4r.Update.DELETE, entity)
        self._sessions.discard(session)

    # -- packets

    def send(self, port: int, data: bytes) -> None:
        for number, frame in self._switch.exchange([(port, data)]):
            if number in self._ports:
                self._outputs.append(Output(number, frame))

    def close(self) -> None:
        """Take back what the next program would find."""
        for session in list(self._sessions):
            self.mirror_delete(session)
        for group in self._multicast:
            entity = p4r.Entity()
            entity.packet_replication_engine_entry.multicast_group_entry.multicast_group_id = group
            self._switch.write(p4r.Update.DELETE, entity)

    def outputs(self) -> list[Output]:
        found, self._outputs = self._outputs, []
        return found

    def wait(self, nanoseconds: int) -> None:
        time.sleep(nanoseconds / 1e9)


def _set_rates(config: Any, rates: MeterRates) -> None:
    config.cir, config.cburst, config.pir, config.pburst = rates.cir, rates.cburst, rates.pir, rates.pburst


def _set_replicas(entry: Any, replicas: Sequence[Replica]) -> None:
    for replica in replicas:
        entry.replicas.add(egress_port=replica.port, instance=replica.instance)


def files(program: Path) -> tuple[bytes, str]:
    """A compiled program's JSON and P4Info."""
    return program.with_suffix(".json").read_bytes(), program.with_suffix(".p4info.txtpb").read_text()
