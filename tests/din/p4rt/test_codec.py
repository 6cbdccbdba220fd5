# SPDX-License-Identifier: Apache-2.0
"""Entries to and from messages."""

from __future__ import annotations

import time

import pytest
from din.p4rt.canonical import canonical
from din.p4rt.codec import Codec, Op, UnknownEntityError, number_bytes
from din.p4rt.diff import diff
from din.p4rt.entry import AnyValue, CloneKey, Key, MeterKey, State, action, default, key
from din.p4rt.order import Order
from din.p4rt.program import Program, default_program
from finsy.proto import p4r
from hypothesis import given

from tests.din.p4rt.arbitrary import states
from tests.din.p4rt.switches import everything

MANY = 20_000


def encode(program: Program, state: State, op: Op = Op.INSERT) -> p4r.WriteRequest:
    codec, request = Codec(program), p4r.WriteRequest()
    for where, value in state.items():
        codec.add(request, op, where, value)
    return request


def decode(program: Program, request: p4r.WriteRequest) -> State:
    state: State = {}
    wire = p4r.ReadResponse(entities=[update.entity for update in request.updates]).SerializeToString()
    Codec(program).decode_into(state, p4r.ReadResponse.FromString(wire).entities)
    return state


@given(states(default_program()))
def test_what_is_written_reads_the_same(state: State) -> None:
    program = default_program()
    assert canonical(program, state) == state
    assert decode(program, encode(program, state)) == state


@pytest.mark.parametrize(
    ("value", "wire"),
    [(0, b"\0"), (1, b"\1"), (255, b"\xff"), (256, b"\1\0"), (1 << 127, b"\x80" + bytes(15))],
)
def test_byte_strings_are_canonical(value: int, wire: bytes) -> None:
    assert number_bytes(value) == wire


def test_an_entry_on_the_wire(program: Program) -> None:
    where = key("buckets", group=258, bucket=0)
    request = encode(program, {where: action("set_bucket", current=5, previous=6, state=1)}, Op.MODIFY)
    (update,) = request.updates
    assert update.type == p4r.Update.MODIFY
    entry = update.entity.table_entry
    assert entry.table_id == 0x02000603
    assert {m.field_id: m.exact.value for m in entry.match} == {1: b"\1\2", 2: b"\0"}
    assert entry.action.action.action_id == 0x01000604
    assert {p.param_id: p.value for p in entry.action.action.params} == {1: b"\5", 2: b"\6", 3: b"\1"}


def test_what_is_always_there_is_modified_and_deleted_by_forgetting_its_value(program: Program) -> None:
    state = {k: v for k, v in everything().items() if isinstance(k, MeterKey) or k == default("clock")}
    assert len(state) == 3
    for op in Op:
        for update in encode(program, state, op).updates:
            assert update.type == p4r.Update.MODIFY
            has_value = update.entity.table_entry.HasField("action") or update.entity.meter_entry.HasField(
                "config"
            )
            assert has_value == (op is not Op.DELETE)


def test_a_deletion_names_the_entry_alone(program: Program) -> None:
    entries = {
        k: v for k, v in everything().items() if isinstance(k, CloneKey | Key) and k != default("clock")
    }
    for update in encode(program, entries, Op.DELETE).updates:
        assert not update.entity.table_entry.HasField("action")
        assert not update.entity.packet_replication_engine_entry.clone_session_entry.replicas


def test_the_programs_own_is_not_read(program: Program) -> None:
    table = program.tables["boundaries"]
    entry = p4r.TableEntry(table_id=table.id, is_default_action=True)
    entry.action.action.action_id = program.actions["unknown_boundary"].id
    const = p4r.TableEntry(table_id=program.tables["gap_bins"].id, is_const=True)
    meter = p4r.MeterEntry(meter_id=program.meters["punt_ports"].id, index=p4r.Index(index=3))
    state: State = {}
    Codec(program).decode_into(
        state, [p4r.Entity(table_entry=entry), p4r.Entity(table_entry=const), p4r.Entity(meter_entry=meter)]
    )
    assert state == {}


def test_another_programs_entries_are_not_mistaken(program: Program) -> None:
    codec = Codec(program)
    buckets = program.tables["buckets"].id
    with pytest.raises(UnknownEntityError, match="a table 0x1"):
        codec.decode_into({}, [p4r.Entity(table_entry=p4r.TableEntry(table_id=1))])
    foreign = p4r.TableEntry(table_id=buckets)
    foreign.action.action.action_id = 1
    with pytest.raises(UnknownEntityError, match="an action 0x1"):
        codec.decode_into({}, [p4r.Entity(table_entry=foreign)])
    action_of_more = p4r.TableEntry(table_id=buckets)
    action_of_more.action.action.action_id = program.actions["set_bucket"].id
    action_of_more.action.action.params.add(param_id=9, value=b"\1")
    with pytest.raises(UnknownEntityError, match="action set_bucket has a parameter 9"):
        codec.decode_into({}, [p4r.Entity(table_entry=action_of_more)])
    meter = p4r.MeterEntry(meter_id=5, config=p4r.MeterConfig(cir=1))
    with pytest.raises(UnknownEntityError, match="a meter 0x5"):
        codec.decode_into({}, [p4r.Entity(meter_entry=meter)])
    field = p4r.TableEntry(table_id=buckets, match=[p4r.FieldMatch(field_id=77)])
    field.action.action.action_id = program.actions["set_bucket"].id
    with pytest.raises(UnknownEntityError, match="table buckets has a field 77"):
        codec.decode_into({}, [p4r.Entity(table_entry=field)])
    member = p4r.TableEntry(table_id=program.tables["routes"].id)
    member.action.action_profile_group_id = 4
    with pytest.raises(UnknownEntityError, match="another controller programs this switch"):
        codec.decode_into({}, [p4r.Entity(table_entry=member)])


def test_many_entries_take_little_time_both_ways(program: Program) -> None:
    """About 0.2 s each on a quiet machine; the bound is for a machine that has other things to do."""
    state: State = {}
    for number in range(MANY):
        value: AnyValue = action("set_bucket", current=1 + number % 50, previous=1 + number % 50, state=0)
        state[key("buckets", group=1 + number // 1024, bucket=number % 1024)] = value
    codec, requests = Codec(program), []
    start = time.perf_counter()
    for batch in Order(program).batches(diff({}, canonical(program, state))):
        request = p4r.WriteRequest()
        for change in batch:
            codec.add(request, change.op, change.key, change.value)
        requests.append(request)
    encoded = time.perf_counter() - start
    read = p4r.ReadResponse(entities=[u.entity for request in requests for u in request.updates])
    start = time.perf_counter()
    back: State = {}
    codec.decode_into(back, read.entities)
    assert back == state
    decoded = time.perf_counter() - start
    print(f"{MANY} entries: encoded in {encoded:.2f} s, decoded in {decoded:.2f} s")
    assert max(encoded, decoded) < 1.6
