# SPDX-License-Identifier: Apache-2.0
"""Any bytes and any messages: the server answers each with a proper code, and goes on."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import grpc
import pytest
from finsy.proto import p4i, p4r
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from grpc import StatusCode
from hypothesis import given, settings
from hypothesis import strategies as st
from p4jit.p4runtime import P4RuntimeServer

from tests.p4jit.p4runtime.client import Client, details_of, grpc_code, update
from tests.p4jit.p4runtime.fake_device import FakeDevice, fake_compile
from tests.p4jit.p4runtime.names import Names
from tests.p4jit.p4runtime.real_device import compile_pushed, new_device

BROKEN = {StatusCode.INTERNAL, StatusCode.UNKNOWN, StatusCode.UNAVAILABLE}
_NUMBERS = [0, 1, 2, 3, 7, 8, 255, 256, 511, 65_535, 65_536, -1, -(1 << 31), (1 << 31) - 1]


@pytest.fixture(scope="module", params=["fake", "real"])
def fuzzed(request: pytest.FixtureRequest, p4info: p4i.P4Info, program_json: bytes) -> Iterator[Client]:
    real = request.param == "real"
    with closing(new_device(1) if real else FakeDevice()) as device:
        compile_program = compile_pushed if real else fake_compile
        with (
            P4RuntimeServer([device], compile_program, "localhost:0") as server,
            Client(server.port) as client,
        ):
            client.become_primary()
            client.set_pipeline(p4info, program_json)
            yield client


def codes(call: Any, data: bytes) -> set[StatusCode]:
    """Codes of the request as a whole and of each of its elements."""
    try:
        answer = call(data)
        if not isinstance(answer, bytes):
            list(answer)
    except grpc.RpcError as error:
        details = details_of(error)
        if error.code() is StatusCode.UNKNOWN and details:
            return {grpc_code(e.canonical_code) for e in details}
        return {error.code()}
    return set()


def end_of(call: Any) -> tuple[list[bytes], StatusCode]:
    """What a stream answers, and how it ends."""
    answers: list[bytes] = []
    try:
        answers.extend(call)
    except grpc.RpcError as error:
        code: StatusCode = error.code()
        return answers, code
    return answers, StatusCode.OK


def call_of(client: Client, method: str) -> Any:
    path = f"/p4.v1.P4Runtime/{method}"
    return client.channel.unary_stream(path) if method == "Read" else client.channel.unary_unary(path)


@given(
    method=st.sampled_from(
        ["Write", "Read", "SetForwardingPipelineConfig", "GetForwardingPipelineConfig", "Capabilities"]
    ),
    data=st.binary(max_size=200),
)
@settings(max_examples=300)
def test_any_bytes(fuzzed: Client, method: str, data: bytes) -> None:
    assert not BROKEN & codes(call_of(fuzzed, method), data)


@given(data=st.lists(st.binary(max_size=60), min_size=1, max_size=3), arbitrate=st.booleans())
@settings(max_examples=100)
def test_any_bytes_on_a_stream(fuzzed: Client, data: list[bytes], arbitrate: bool) -> None:
    hello = p4r.StreamMessageRequest()
    hello.arbitration.device_id = 1
    messages = [hello.SerializeToString()] * arbitrate + data
    call = fuzzed.channel.stream_stream("/p4.v1.P4Runtime/StreamChannel")(iter(messages))
    assert end_of(call)[1] not in BROKEN


# ---- mutated messages -------------------------------------------------------------------------------------


def seeds(names: Names) -> list[p4r.Entity]:
    """One good entity of each kind."""
    entry = names.entry("l2", {"dst": 1}, names.action("forward", 1), idle_timeout_ns=5)
    entry.counter_data.packet_count = 1
    acl = names.entry(
        "acl",
        {"type": (0x0800, 0xFF00), "sport": (1, 5), "proto": 6, "nibble": 1},
        names.action("drop"),
        priority=4,
    )
    one_shot = names.one_shot((names.action("forward", 1), 1, 3), (names.action("rewrite", 1, 2, 3), 2))
    info = names.p4info
    pre = p4r.PacketReplicationEngineEntry
    replica = p4r.Replica(port=b"\1", instance=1, backup_replicas=[{"port": b"\2", "instance": 1}])
    value_set = p4r.ValueSetEntry(value_set_id=info.value_sets[0].preamble.id)
    value_set.members.add().match.add(field_id=1).exact.value = b"\1"
    messages: list[dict[str, Any]] = [
        {"table_entry": entry},
        {"table_entry": acl},
        {"table_entry": names.entry("routes", {"flag": 1, "dst": (10 << 24, 8)}, names.action("metered", 1))},
        {"table_entry": names.entry("ecmp", {"dst": (0, 8)}, one_shot)},
        {"table_entry": names.entry("l2", {}, names.action("forward", 1), is_default_action=True)},
        {"table_entry": names.entry("translated", {"port": 1, "name": b"5"}, names.action("name_it", b"5"))},
        {"action_profile_member": names.member("shared", 1, names.action("forward", 1))},
        {"action_profile_group": names.group("limited", 1, [(1, 1, 2)], max_size=2)},
        {"counter_entry": p4r.CounterEntry(counter_id=names.id("port_counter"), index={"index": 1}, data={})},
        {
            "meter_entry": p4r.MeterEntry(
                meter_id=names.id("port_meter"), index={"index": 1}, config={"cir": 1}
            )
        },
        {
            "register_entry": p4r.RegisterEntry(
                register_id=names.id("seen"), index={"index": 1}, data={"bitstring": b"\1"}
            )
        },
        {"direct_counter_entry": p4r.DirectCounterEntry(table_entry=entry, data={"packet_count": 1})},
        {"direct_meter_entry": p4r.DirectMeterEntry(table_entry=entry, config={"cir": 1})},
        {"value_set_entry": value_set},
        {"digest_entry": p4r.DigestEntry(digest_id=info.digests[0].preamble.id, config={"max_list_size": 1})},
        {
            "packet_replication_engine_entry": pre(
                multicast_group_entry={"multicast_group_id": 1, "replicas": [replica]}
            )
        },
        {
            "packet_replication_engine_entry": pre(
                clone_session_entry={"session_id": 1, "replicas": [replica]}
            )
        },
        {"extern_entry": p4r.ExternEntry(extern_type_id=1)},
    ]
    return [p4r.Entity(**m) for m in messages]


def mutate(message: Message, rng: random.Random, changes: int) -> None:
    """Change a few fields, anywhere in the tree, to anything of their type."""
    for _ in range(changes):
        target = message
        while True:
            fields = target.DESCRIPTOR.fields
            if not fields:
                break
            field = rng.choice(fields)
            if field.type == FieldDescriptor.TYPE_MESSAGE and rng.random() < 0.85:
                set_fields = [f for f, _ in target.ListFields() if f.type == FieldDescriptor.TYPE_MESSAGE]
                field = rng.choice(set_fields or [field])
                value = getattr(target, field.name)
                if field.is_repeated:
                    if not hasattr(value, "add"):
                        break
                    target = rng.choice(value) if len(value) and rng.random() < 0.8 else value.add()
                else:
                    value.SetInParent()
                    target = value
                continue
            _set(target, field, rng)
            break


def _set(target: Message, field: FieldDescriptor, rng: random.Random) -> None:
    if rng.random() < 0.3:
        target.ClearField(field.name)
        return
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        items = getattr(target, field.name)
        if field.is_repeated and len(items) and hasattr(items, "add"):  # a map has no add
            items.add().CopyFrom(rng.choice(items))
        return
    value: Any
    if field.type == FieldDescriptor.TYPE_BYTES:
        value = rng.choice([b"", b"\0", b"\1", b"\0\1", b"\xff" * rng.choice([1, 2, 6, 7, 16, 17, 100])])
    elif field.type == FieldDescriptor.TYPE_STRING:
        value = rng.choice(["", "x"])
    elif field.type == FieldDescriptor.TYPE_BOOL:
        value = rng.random() < 0.5
    else:
        value = rng.choice(_NUMBERS)
        if field.type in (FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_UINT64):
            value &= 0xFFFFFFFF
    if field.is_repeated:
        getattr(target, field.name).append(value)
    else:
        setattr(target, field.name, value)


@given(seed=st.integers(0, 1 << 32), changes=st.integers(1, 4), count=st.integers(1, 8))
@settings(max_examples=500)
def test_mutated_writes(fuzzed: Client, names: Names, seed: int, changes: int, count: int) -> None:
    rng = random.Random(seed)
    updates = []
    for entity in rng.choices(seeds(names), k=count):
        mutate(entity, rng, changes)
        updates.append(p4r.Update(type=rng.choice([0, 1, 1, 2, 3]), entity=entity))  # type: ignore[arg-type]
    request = fuzzed.request(updates, rng.choice([0, 1, 2]))
    assert not BROKEN & codes(call_of(fuzzed, "Write"), request.SerializeToString())


@given(seed=st.integers(0, 1 << 32), changes=st.integers(0, 4))
@settings(max_examples=300)
def test_mutated_reads(fuzzed: Client, names: Names, seed: int, changes: int) -> None:
    rng = random.Random(seed)
    entities = rng.choices(seeds(names), k=3)
    for entity in entities:
        mutate(entity, rng, changes)
    request = p4r.ReadRequest(device_id=1, entities=entities)
    assert not BROKEN & codes(call_of(fuzzed, "Read"), request.SerializeToString())


@given(seed=st.integers(0, 1 << 32), changes=st.integers(1, 5))
@settings(max_examples=100)
def test_mutated_stream_messages(fuzzed: Client, names: Names, seed: int, changes: int) -> None:
    rng = random.Random(seed)
    hello = p4r.StreamMessageRequest()
    hello.arbitration.device_id = 1
    messages = [hello]
    for _ in range(3):
        message = p4r.StreamMessageRequest()
        message.packet.payload = b"x"
        message.packet.metadata.add(metadata_id=1, value=b"\1")
        mutate(message, rng, changes)
        # The primary of these tests must stay: what is above its election id is another test's.
        if message.HasField("arbitration"):
            message.arbitration.ClearField("election_id")
        messages.append(message)
    call = fuzzed.channel.stream_stream("/p4.v1.P4Runtime/StreamChannel")(
        m.SerializeToString() for m in messages
    )
    answers, code = end_of(call)
    assert code not in BROKEN
    for data in answers:
        answer = p4r.StreamMessageResponse.FromString(data)
        assert grpc_code(answer.error.canonical_code) not in BROKEN


@given(seed=st.integers(0, 1 << 32), changes=st.integers(1, 6))
@settings(max_examples=100)
def test_mutated_p4info(
    fuzzed: Client, p4info: p4i.P4Info, program_json: bytes, seed: int, changes: int
) -> None:
    rng = random.Random(seed)
    info = p4i.P4Info()
    info.CopyFrom(p4info)
    mutate(info, rng, changes)
    request = p4r.SetForwardingPipelineConfigRequest(device_id=1, election_id={"low": 1})
    request.action = p4r.SetForwardingPipelineConfigRequest.VERIFY
    request.config.p4info.CopyFrom(info)
    request.config.p4_device_config = program_json
    assert not BROKEN & codes(call_of(fuzzed, "SetForwardingPipelineConfig"), request.SerializeToString())


@given(seed=st.integers(0, 1 << 32))
@settings(max_examples=300)
def test_mutated_wire_format(fuzzed: Client, names: Names, seed: int) -> None:
    """Bytes of good requests changed, cut and doubled: most still parse, into something else."""
    rng = random.Random(seed)
    updates = [update("INSERT", **{_kind(e): getattr(e, _kind(e))}) for e in rng.choices(seeds(names), k=3)]
    data = bytearray(fuzzed.request(updates).SerializeToString())
    for _ in range(rng.randint(1, 5)):
        at = rng.randrange(len(data))
        match rng.randrange(3):
            case 0:
                data[at] = rng.randrange(256)
            case 1:
                del data[at : at + rng.randint(1, 4)]
            case 2:
                data[at:at] = data[at : at + rng.randint(1, 8)]
        if not data:
            return
    try:
        p4r.WriteRequest.FromString(bytes(data))
    except DecodeError:
        assert codes(call_of(fuzzed, "Write"), bytes(data)) == {StatusCode.INVALID_ARGUMENT}
        return
    assert not BROKEN & codes(call_of(fuzzed, "Write"), bytes(data))


def _kind(entity: p4r.Entity) -> str:
    kind = entity.WhichOneof("entity")
    assert kind is not None
    return kind


def test_it_still_works(fuzzed: Client, names: Names) -> None:
    """After all of the above, in the order of this file."""
    entry = names.entry("pairs", {"src": 1, "nibble": 1, "valid": 1}, names.action("forward", 1))
    fuzzed.write([update("INSERT", table_entry=entry)], p4r.WriteRequest.DATAPLANE_ATOMIC)
    assert fuzzed.read(table_entry=entry)
