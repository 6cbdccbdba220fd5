# SPDX-License-Identifier: Apache-2.0
"""Table entries over gRPC: what is written is read back, and every refusal has the specification's code."""

from __future__ import annotations

from typing import Any

import pytest
from finsy.proto import p4r
from grpc import StatusCode
from p4jit.target.interface import DEFAULT_ENTRY, CounterValue, FullError, MeterRates

from tests.p4jit.p4runtime.client import Client, WriteFailed, update
from tests.p4jit.p4runtime.names import Names
from tests.p4jit.p4runtime.observe import AnyDevice, entry_count, frame, index_of, ipv4, let_through, ports_of

MAC = 0x0A0B0C0D0E0F


def l2(names: Names, dst: Any = MAC, port: int = 3, **fields: Any) -> p4r.TableEntry:
    return names.entry("l2", {"dst": dst}, names.action("forward", port), **fields)


def acl(names: Names, priority: int = 10, action: str = "drop", **match: Any) -> p4r.TableEntry:
    match.setdefault("nibble", 1)
    return names.entry("acl", match, names.action(action), priority=priority)


def refused(client: Client, kind: str, entry: p4r.TableEntry) -> StatusCode:
    """The code of a refused update, which must change nothing."""
    before = client.read(table_entry=p4r.TableEntry())
    with pytest.raises(WriteFailed) as failure:
        client.write([update(kind, table_entry=entry)])
    assert client.read(table_entry=p4r.TableEntry()) == before
    assert failure.value.errors[0].message
    return failure.value.codes[0]


def read_table(client: Client, names: Names, table: str, **fields: Any) -> list[p4r.TableEntry]:
    return client.read(table_entry=p4r.TableEntry(table_id=names.id(table), **fields))


# ---- write and read ---------------------------------------------------------------------------------------


def test_insert_read_modify_delete(client: Client, names: Names, device: AnyDevice) -> None:
    entry = l2(names)
    client.insert(table_entry=entry)
    assert read_table(client, names, "l2") == [entry]
    assert ports_of(device, "l2", frame(MAC), frame(MAC + 1)) == [3]

    changed = l2(names, port=5)
    client.modify(table_entry=changed)
    assert read_table(client, names, "l2") == [changed]
    assert ports_of(device, "l2", frame(MAC)) == [5]

    client.delete(table_entry=names.entry("l2", {"dst": MAC}))
    assert read_table(client, names, "l2") == []
    assert entry_count(device, "l2") == 0
    assert ports_of(device, "l2", frame(MAC)) == []


def test_every_match_kind_comes_back_as_written(client: Client, names: Names) -> None:
    entries = [
        names.entry("pairs", {"src": 1, "nibble": 0xF, "valid": 1}, names.action("rewrite", 2, 3, 1 << 127)),
        names.entry("routes", {"flag": 1, "dst": (0x0A000000, 8)}, names.action("metered", 1)),
        names.entry("routes", {"flag": 1}, names.action("metered", 2)),
        names.entry("wide_routes", {"wide": (0x20010DB8 << 96, 32)}, names.action("forward", 1)),
        names.entry("wide_routes", {"wide": ((1 << 128) - 1, 128)}, names.action("forward", 2)),
        names.entry("wide_routes", {}, names.action("forward", 3)),
        acl(names, type=(0x0800, 0xFF00), sport=(1, 1024), proto=6, src=(0x0A000000, 0xFF000000)),
        acl(names, priority=9),
    ]
    client.write([update("INSERT", table_entry=e) for e in entries])
    found = [e for e in client.read(table_entry=p4r.TableEntry()) if not e.is_const]
    started = read_table(client, names, "started")
    assert sorted(map(str, found)) == sorted(map(str, entries + started))


def test_keys_and_data_are_encoded_as_the_layout_says(
    client: Client, names: Names, device: AnyDevice
) -> None:
    """The server's own fast encoding, against `TableLayout.encode` and `ActionLayout.encode`."""
    from p4jit.frontend import ir

    client.insert(
        table_entry=names.entry(
            "pairs", {"src": 0x010203040506, "nibble": 9, "valid": 1}, names.action("rewrite", 7, 8, 9 << 64)
        )
    )
    assert device.program is not None
    index = index_of(device, "tables", "pairs")
    encoded = device.program.layout.tables[index].encode(
        [ir.MatchValue(0x010203040506), ir.MatchValue(9), ir.MatchValue(1)]
    )
    (told,) = device.told("table_insert")
    assert told[:5] == (index, encoded.key, encoded.mask, encoded.prefix_length, 0)
    action, data = told[5:7]
    assert data == device.program.layout.actions[action].encode([7, 8, 9 << 64])
    assert device.program.ir.actions[action].name == "I.rewrite"


def test_values_are_read_back_in_their_shortest_form(client: Client, names: Names) -> None:
    client.insert(table_entry=l2(names, dst=b"\0\0\0\0\0\x07", port=b"\0\x03"))  # type: ignore[arg-type]
    assert read_table(client, names, "l2") == [l2(names, dst=7)]
    client.insert(
        table_entry=acl(names, type=(b"\0\x10", b"\0\xf0"), sport=(b"\0\x01", b"\0\x02"), proto=b"\0\x06")
    )
    assert read_table(client, names, "acl") == [acl(names, type=(0x10, 0xF0), sport=(1, 2), proto=6)]
    client.insert(
        table_entry=names.entry("routes", {"flag": 0, "dst": (b"\0\0\0\0", 3)}, names.action("metered", 1))
    )
    assert read_table(client, names, "routes") == [
        names.entry("routes", {"flag": 0, "dst": (0, 3)}, names.action("metered", 1))
    ]


def test_metadata_and_controller_metadata_come_back(client: Client, names: Names) -> None:
    entry = l2(names, metadata=b"cookie", controller_metadata=77)
    client.insert(table_entry=entry)
    assert read_table(client, names, "l2") == [entry]


def test_translated_types(client: Client, names: Names) -> None:
    entry = names.entry("translated", {"port": 300, "name": b"4711"}, names.action("name_it", b"12"))
    client.insert(table_entry=entry)
    assert read_table(client, names, "translated") == [entry]
    for bad in (b"eth0", b"", b"007", b"-1", b"99999999999999999999"):
        wrong = names.entry("translated", {"port": 1, "name": bad}, names.action("name_it", b"12"))
        assert refused(client, "INSERT", wrong) is StatusCode.INVALID_ARGUMENT
    wrong = names.entry("translated", {"port": 1, "name": b"65536"}, names.action("name_it", b"12"))
    assert refused(client, "INSERT", wrong) is StatusCode.OUT_OF_RANGE
    wrong = names.entry("translated", {"port": 512, "name": b"1"}, names.action("name_it", b"12"))
    assert refused(client, "INSERT", wrong) is StatusCode.OUT_OF_RANGE


# ---- malformed entries ------------------------------------------------------------------------------------


def test_unknown_and_missing_ids(client: Client, names: Names) -> None:
    entry = l2(names)
    entry.table_id = 0
    assert refused(client, "INSERT", entry) is StatusCode.INVALID_ARGUMENT
    entry.table_id = 0x02ABCDEF
    assert refused(client, "INSERT", entry) is StatusCode.NOT_FOUND
    entry = l2(names)
    entry.match[0].field_id = 9
    assert refused(client, "INSERT", entry) is StatusCode.INVALID_ARGUMENT
    entry = l2(names)
    entry.action.action.action_id = 0x01ABCDEF
    assert refused(client, "INSERT", entry) is StatusCode.INVALID_ARGUMENT
    entry = l2(names)
    entry.action.action.params[0].param_id = 2
    assert refused(client, "INSERT", entry) is StatusCode.INVALID_ARGUMENT
    del entry.action.action.params[:]
    assert refused(client, "INSERT", entry) is StatusCode.INVALID_ARGUMENT
    entry = l2(names)
    entry.action.action.params.add(param_id=1, value=b"\1")
    assert refused(client, "INSERT", entry) is StatusCode.INVALID_ARGUMENT
    entry = l2(names)
    entry.action.Clear()
    assert refused(client, "INSERT", entry) is StatusCode.INVALID_ARGUMENT
    entry.ClearField("action")
    assert refused(client, "INSERT", entry) is StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("kind", ["INSERT", "MODIFY", "DELETE"])
def test_exact_fields_cannot_be_left_out_or_doubled(client: Client, names: Names, kind: str) -> None:
    entry = names.entry("l2", {}, names.action("forward", 1))
    assert refused(client, kind, entry) is StatusCode.INVALID_ARGUMENT
    entry = l2(names)
    entry.match.append(entry.match[0])
    assert refused(client, kind, entry) is StatusCode.INVALID_ARGUMENT
    entry = names.entry("pairs", {"src": 1, "nibble": 1}, names.action("forward", 1))
    assert refused(client, kind, entry) is StatusCode.INVALID_ARGUMENT
    entry = acl(names)
    del entry.match[:]
    assert refused(client, kind, entry) is StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"", StatusCode.OUT_OF_RANGE),
        (b"\1\0\0\0\0\0\0", StatusCode.OUT_OF_RANGE),
        (b"\0\0\0\1\0\0\0\0\0\0", StatusCode.OUT_OF_RANGE),
    ],
)
def test_byte_strings_out_of_range(client: Client, names: Names, value: bytes, code: StatusCode) -> None:
    assert refused(client, "INSERT", l2(names, dst=value)) is code
    assert refused(client, "INSERT", names.entry("l2", {"dst": 1}, names.action("forward", b""))) is code
    assert refused(client, "INSERT", names.entry("l2", {"dst": 1}, names.action("forward", b"\2\0"))) is code
    assert refused(client, "INSERT", acl(names, type=(b"", 1))) is code
    assert refused(client, "INSERT", acl(names, type=(0, b"\1\0\0"))) is code
    assert refused(client, "INSERT", acl(names, sport=(b"", 5))) is code
    assert refused(client, "INSERT", acl(names, sport=(1, b"\1\0\0"))) is code
    assert refused(client, "INSERT", acl(names, proto=b"\1\0")) is code
    route = names.entry("routes", {"flag": 1, "dst": (b"", 8)}, names.action("metered", 1))
    assert refused(client, "INSERT", route) is code


def test_match_rules(client: Client, names: Names) -> None:
    wrong = [
        acl(names, type=(0, 0)),  # don't care must be left out
        acl(names, type=(0x0801, 0xFF00)),  # a bit outside the mask
        acl(names, sport=(0, 0xFFFF)),
        acl(names, sport=(6, 5)),
        names.entry("routes", {"flag": 1, "dst": (0, 0)}, names.action("metered", 1)),
        names.entry("routes", {"flag": 1, "dst": (0, 33)}, names.action("metered", 1)),
        names.entry("routes", {"flag": 1, "dst": (0, -1)}, names.action("metered", 1)),
        names.entry("routes", {"flag": 1, "dst": (0x0A000001, 8)}, names.action("metered", 1)),
        names.entry("wide_routes", {"wide": (1, 127)}, names.action("forward", 1)),
    ]
    unset = l2(names)
    unset.match[0].ClearField("exact")
    other_kind = l2(names)
    other_kind.match[0].ternary.value = b"\1"
    for entry in [*wrong, unset, other_kind]:
        assert refused(client, "INSERT", entry) is StatusCode.INVALID_ARGUMENT


def test_priorities(client: Client, names: Names) -> None:
    assert refused(client, "INSERT", acl(names, priority=0)) is StatusCode.INVALID_ARGUMENT
    assert refused(client, "INSERT", acl(names, priority=-1)) is StatusCode.INVALID_ARGUMENT
    assert refused(client, "INSERT", l2(names, priority=1)) is StatusCode.INVALID_ARGUMENT
    client.insert(table_entry=acl(names, priority=1))
    client.insert(table_entry=acl(names, priority=2))
    assert refused(client, "INSERT", acl(names, priority=2, action="NoAction")) is StatusCode.ALREADY_EXISTS
    assert refused(client, "MODIFY", acl(names, priority=3)) is StatusCode.NOT_FOUND


def test_presence(client: Client, names: Names) -> None:
    assert refused(client, "MODIFY", l2(names)) is StatusCode.NOT_FOUND
    assert refused(client, "DELETE", l2(names)) is StatusCode.NOT_FOUND
    client.insert(table_entry=l2(names))
    assert refused(client, "INSERT", l2(names, port=1)) is StatusCode.ALREADY_EXISTS
    assert refused(client, "INSERT", l2(names, dst=MAC.to_bytes(8, "big"))) is StatusCode.ALREADY_EXISTS


def test_delete_looks_at_the_key_alone(client: Client, names: Names) -> None:
    client.insert(table_entry=l2(names))
    entry = names.entry("l2", {"dst": MAC}, p4r.TableAction(action_profile_member_id=5), metadata=b"x")
    entry.action.action.action_id = 12345
    entry.idle_timeout_ns = -5
    entry.meter_config.cir = -1
    client.delete(table_entry=entry)
    assert read_table(client, names, "l2") == []


def test_a_full_table(client: Client, names: Names, device: AnyDevice) -> None:
    for i in range(8):
        client.insert(
            table_entry=names.entry("pairs", {"src": i, "nibble": 0, "valid": 0}, names.action("forward", 1))
        )
    entry = names.entry("pairs", {"src": 9, "nibble": 0, "valid": 0}, names.action("forward", 1))
    assert refused(client, "INSERT", entry) is StatusCode.RESOURCE_EXHAUSTED
    device.failures["table_insert"] = FullError("no more memory")
    assert refused(client, "INSERT", l2(names)) is StatusCode.RESOURCE_EXHAUSTED


def test_update_types_and_entities(client: Client, names: Names) -> None:
    for kind in ("UNSPECIFIED",):
        assert refused(client, kind, l2(names)) is StatusCode.INVALID_ARGUMENT
    with pytest.raises(WriteFailed) as failure:
        client.write([p4r.Update(type=p4r.Update.INSERT), p4r.Update(type=7, entity=p4r.Entity())])  # type: ignore[arg-type]
    assert failure.value.codes == [StatusCode.INVALID_ARGUMENT] * 2


def test_a_table_without_a_key_has_a_default_only(client: Client, names: Names) -> None:
    entry = names.entry("keyless", {}, names.action("forward", 1))
    assert refused(client, "INSERT", entry) is StatusCode.INVALID_ARGUMENT
    assert refused(client, "DELETE", entry) is StatusCode.NOT_FOUND
    client.modify(table_entry=names.entry("keyless", {}, names.action("forward", 4), is_default_action=True))
    (default,) = read_table(client, names, "keyless", is_default_action=True)
    assert default.action.action == names.action("forward", 4)


# ---- const tables and entries of the program --------------------------------------------------------------


def test_entries_of_a_const_table(client: Client, names: Names) -> None:
    entries = read_table(client, names, "fixed")
    assert [(e.priority, e.is_const) for e in entries] == [(3, True), (2, True), (1, True)]
    assert entries[0].match == names.entry("fixed", {"type": (0x0800, 0xFF00)}).match
    assert entries[0].action.action == names.action("forward", 1)
    assert not entries[2].match
    match = {"type": (0x86DD, 0xFFFF)}
    entry = names.entry("fixed", match, names.action("forward", 2), priority=2)
    for kind in ("INSERT", "MODIFY", "DELETE"):
        assert refused(client, kind, entry) is StatusCode.PERMISSION_DENIED


def test_direct_counters_of_const_entries_can_be_written(client: Client, names: Names) -> None:
    match = {"type": (0x86DD, 0xFFFF)}
    entry = names.entry("fixed", match, priority=2)
    entry.counter_data.packet_count = 7
    client.modify(table_entry=entry)
    query = names.entry("fixed", match, priority=2)
    query.counter_data.SetInParent()
    (found,) = client.read(table_entry=query)
    assert found.counter_data.packet_count == 7
    assert found.action.action == names.action("forward", 2)
    entry.metadata = b"x"
    assert refused(client, "MODIFY", entry) is StatusCode.PERMISSION_DENIED


def test_initial_entries_that_are_not_const(client: Client, names: Names, device: AnyDevice) -> None:
    let_through(client, names)
    entries = read_table(client, names, "started")
    assert [e.is_const for e in entries] == [False, False]
    first = names.entry("started", {"type": 0x0800}, names.action("forward", 7))
    second = names.entry("started", {"type": 0x86DD}, names.action("forward", 6))
    client.write([update("MODIFY", table_entry=e) for e in (first, second)])
    frames = [frame(kind=0x0800, rest=bytes(27)), frame(kind=0x86DD)]
    assert ports_of(device, "started", *frames) == [6, 7]
    client.delete(table_entry=second)
    assert read_table(client, names, "started") == [first]
    assert ports_of(device, "started", frames[0]) == [7]
    assert entry_count(device, "started") == 1


def test_is_const_cannot_be_written(client: Client, names: Names) -> None:
    client.insert(table_entry=l2(names))
    for kind in ("INSERT", "MODIFY", "DELETE"):
        assert refused(client, kind, l2(names, is_const=True)) is StatusCode.INVALID_ARGUMENT


def test_action_scopes(client: Client, names: Names) -> None:
    entry = names.entry("l2", {"dst": 1}, names.action("drop"))
    assert refused(client, "INSERT", entry) is StatusCode.PERMISSION_DENIED
    entry = names.entry("l2", {}, names.action("rewrite", 1, 1, 1), is_default_action=True)
    assert refused(client, "MODIFY", entry) is StatusCode.PERMISSION_DENIED


# ---- default entries --------------------------------------------------------------------------------------


def test_default_entry(client: Client, names: Names, device: AnyDevice) -> None:
    (default,) = read_table(client, names, "l2", is_default_action=True)
    assert default == names.entry("l2", {}, names.action("drop"), is_default_action=True)

    changed = names.entry("l2", {}, names.action("forward", 6), is_default_action=True, metadata=b"m")
    client.modify(table_entry=changed)
    assert read_table(client, names, "l2", is_default_action=True) == [changed]
    assert read_table(client, names, "l2") == []  # not among the entries
    assert ports_of(device, "l2", frame()) == [6]

    client.modify(table_entry=names.entry("l2", {}, is_default_action=True))
    assert read_table(client, names, "l2", is_default_action=True) == [default]
    assert ports_of(device, "l2", frame()) == []
    assert device.told("table_reset_default") == [(index_of(device, "tables", "l2"),)]


def test_default_entry_refusals(client: Client, names: Names) -> None:
    good = names.entry("l2", {}, names.action("forward", 6), is_default_action=True)
    assert refused(client, "INSERT", good) is StatusCode.INVALID_ARGUMENT
    assert refused(client, "DELETE", good) is StatusCode.INVALID_ARGUMENT
    with_match = l2(names, is_default_action=True)
    assert refused(client, "MODIFY", with_match) is StatusCode.INVALID_ARGUMENT
    for field, value in (("priority", 5), ("idle_timeout_ns", 5)):
        entry = p4r.TableEntry()
        entry.CopyFrom(good)
        setattr(entry, field, value)
        assert refused(client, "MODIFY", entry) is StatusCode.INVALID_ARGUMENT
    entry = p4r.TableEntry()
    entry.CopyFrom(good)
    entry.time_since_last_hit.SetInParent()
    assert refused(client, "MODIFY", entry) is StatusCode.INVALID_ARGUMENT
    const = names.entry("pairs", {}, names.action("NoAction"), is_default_action=True)
    assert refused(client, "MODIFY", const) is StatusCode.PERMISSION_DENIED
    indirect = names.entry("ecmp", {}, names.action("forward", 1), is_default_action=True)
    assert refused(client, "MODIFY", indirect) is StatusCode.PERMISSION_DENIED
    member = names.entry("l2", {}, p4r.TableAction(action_profile_member_id=1), is_default_action=True)
    assert refused(client, "MODIFY", member) is StatusCode.INVALID_ARGUMENT


# ---- idle timeouts ----------------------------------------------------------------------------------------


def test_idle_timeout(client: Client, names: Names, device: AnyDevice) -> None:
    timeout = 60_000_000_000
    client.insert(table_entry=l2(names, idle_timeout_ns=timeout))
    (inserted,) = (call for call in device.calls if call.method == "table_insert")
    assert inserted.arguments[-1] == timeout
    index = index_of(device, "tables", "l2")
    before = device.entry_idle(index, inserted.result)
    query = p4r.TableEntry(table_id=names.id("l2"))
    query.time_since_last_hit.SetInParent()
    (found,) = client.read(table_entry=query)
    assert found.idle_timeout_ns == timeout
    assert 0 < before <= found.time_since_last_hit.elapsed_ns <= device.entry_idle(index, inserted.result)
    (found,) = read_table(client, names, "l2")
    assert not found.HasField("time_since_last_hit")


def test_idle_timeout_refusals(client: Client, names: Names) -> None:
    entry = names.entry("started", {"type": 1}, names.action("forward", 1), idle_timeout_ns=1)
    assert refused(client, "INSERT", entry) is StatusCode.INVALID_ARGUMENT
    assert refused(client, "INSERT", l2(names, idle_timeout_ns=-1)) is StatusCode.INVALID_ARGUMENT
    entry = l2(names)
    entry.time_since_last_hit.SetInParent()
    assert refused(client, "INSERT", entry) is StatusCode.INVALID_ARGUMENT
    query = p4r.TableEntry(table_id=names.id("started"))
    query.time_since_last_hit.SetInParent()
    with pytest.raises(WriteFailed) as failure:
        client.read(table_entry=query)
    assert failure.value.codes == [StatusCode.INVALID_ARGUMENT]


# ---- direct resources -------------------------------------------------------------------------------------


def with_counter(entry: p4r.TableEntry, packets: int = 0, size: int = 0) -> p4r.TableEntry:
    entry.counter_data.SetInParent()
    entry.counter_data.packet_count, entry.counter_data.byte_count = packets, size
    return entry


def with_meter(entry: p4r.TableEntry, *rates: int) -> p4r.TableEntry:
    entry.meter_config.SetInParent()
    for field, rate in zip(("cir", "cburst", "pir", "pburst"), rates, strict=False):
        setattr(entry.meter_config, field, rate)
    return entry


def test_counter_data_of_an_entry(client: Client, names: Names) -> None:
    client.insert(table_entry=with_counter(l2(names), 11, 1100))
    (found,) = read_table(client, names, "l2")
    assert not found.HasField("counter_data")
    (found,) = client.read(table_entry=with_counter(p4r.TableEntry(table_id=names.id("l2"))))
    assert (found.counter_data.packet_count, found.counter_data.byte_count) == (11, 1100)
    client.modify(table_entry=l2(names, port=1))  # unset: not changed
    (found,) = client.read(table_entry=with_counter(names.entry("l2", {"dst": MAC})))
    assert found.counter_data.packet_count == 11
    client.modify(table_entry=with_counter(l2(names), 1, 2))
    (found,) = client.read(table_entry=with_counter(p4r.TableEntry()))[:1]
    assert (found.counter_data.packet_count, found.counter_data.byte_count) == (1, 2)


def route(names: Names, port: int = 1) -> p4r.TableEntry:
    return names.entry("routes", {"flag": 0, "dst": (0x0A000000, 8)}, names.action("metered", port))


def test_meter_config_of_an_entry(client: Client, names: Names) -> None:
    client.insert(table_entry=with_meter(route(names), 1, 2, 3, 4))
    query = with_meter(p4r.TableEntry(table_id=names.id("routes")))
    (found,) = client.read(table_entry=query)
    assert found == with_meter(route(names), 1, 2, 3, 4)
    client.modify(table_entry=route(names, 2))  # unset: back to the default
    (found,) = client.read(table_entry=query)
    assert found == route(names, 2)


def test_modify_without_an_action_keeps_it(client: Client, names: Names) -> None:
    client.insert(table_entry=route(names, 7))
    client.modify(
        table_entry=with_meter(names.entry("routes", {"flag": 0, "dst": (0x0A000000, 8)}), 1, 1, 1, 1)
    )
    (found,) = client.read(table_entry=with_meter(p4r.TableEntry(table_id=names.id("routes"))))
    assert found == with_meter(route(names, 7), 1, 1, 1, 1)


def test_direct_resource_refusals(client: Client, names: Names) -> None:
    client.insert(table_entry=l2(names))
    wrong = [
        with_counter(route(names)),
        with_counter(l2(names, dst=5), -1),
        with_meter(l2(names, dst=5), 1, 1, 1, 1),
        with_meter(route(names), -1),
        with_meter(route(names), 5, 1, 4, 1),
    ]
    excess = with_meter(route(names), 1, 1, 1, 1)
    excess.meter_config.eburst = 1
    for entry in [*wrong, excess]:
        assert refused(client, "INSERT", entry) is StatusCode.INVALID_ARGUMENT
    counted = route(names)
    counted.meter_counter_data.SetInParent()
    assert refused(client, "INSERT", counted) is StatusCode.UNIMPLEMENTED
    for query, code in (
        (with_counter(p4r.TableEntry(table_id=names.id("routes"))), StatusCode.INVALID_ARGUMENT),
        (with_meter(p4r.TableEntry(table_id=names.id("l2"))), StatusCode.INVALID_ARGUMENT),
        (counted, StatusCode.UNIMPLEMENTED),
    ):
        with pytest.raises(WriteFailed) as failure:
            client.read(table_entry=query)
        assert failure.value.codes == [code]


def test_an_entry_whose_meter_is_refused_is_not_inserted(
    client: Client, names: Names, device: AnyDevice
) -> None:
    device.failures["entry_set_meter"] = FullError("no meters left")
    entry = with_meter(route(names), 1, 1, 1, 1)
    assert refused(client, "INSERT", entry) is StatusCode.RESOURCE_EXHAUSTED
    client.insert(table_entry=with_meter(route(names, 1), 9, 9, 9, 9))
    device.failures["entry_set_meter"] = FullError("no meters left")
    assert refused(client, "MODIFY", with_meter(route(names, 2), 1, 1, 1, 1)) is StatusCode.RESOURCE_EXHAUSTED
    (found,) = client.read(table_entry=with_meter(p4r.TableEntry(table_id=names.id("routes"))))
    assert found == with_meter(route(names, 1), 9, 9, 9, 9)
    assert entry_count(device, "routes") == 1
    handle = [call.result for call in device.calls if call.method == "table_insert"][-1]
    assert device.entry_meter(index_of(device, "tables", "routes"), handle) == MeterRates(9, 9, 9, 9)
    let_through(client, names)
    assert ports_of(device, "routes", ipv4(dst=0x0A000001)) == [1]


def test_direct_resources_of_the_default_entry(client: Client, names: Names, device: AnyDevice) -> None:
    default = names.entry("l2", {}, names.action("forward", 6), is_default_action=True)
    client.modify(table_entry=with_counter(default, 3, 4))
    query = with_counter(p4r.TableEntry(table_id=names.id("l2"), is_default_action=True))
    (found,) = client.read(table_entry=query)
    assert (found.counter_data.packet_count, found.counter_data.byte_count) == (3, 4)
    index = index_of(device, "tables", "l2")
    assert device.entry_counter(index, DEFAULT_ENTRY) == CounterValue(3, 4)
    client.modify(table_entry=names.entry("l2", {}, is_default_action=True))
    (found,) = client.read(table_entry=query)
    assert found.counter_data == p4r.CounterData()


# ---- filters ----------------------------------------------------------------------------------------------


def test_filters(client: Client, names: Names) -> None:
    entries = [
        acl(names, priority=5),
        acl(names, priority=6),
        acl(names, priority=6, type=(1, 1)),
        acl(names, priority=7, action="NoAction", type=(1, 1)),
    ]
    entries[0].metadata = b"a"
    entries[2].controller_metadata = 9
    client.write([update("INSERT", table_entry=e) for e in entries])

    def found(**fields: Any) -> list[int]:
        answers = read_table(client, names, "acl", **fields)
        return [entries.index(e) for e in answers]

    assert found() == [0, 1, 2, 3]
    assert found(priority=6) == [1, 2]
    assert found(metadata=b"a") == [0]
    assert found(controller_metadata=9) == [2]
    assert found(match=entries[2].match) == [2, 3]
    assert found(match=entries[2].match, priority=7) == [3]
    assert found(match=entries[2].match, priority=8) == []
    no_action = p4r.TableAction(action=p4r.Action(action_id=names.id("NoAction")))
    assert found(action=no_action) == [3]
    assert found(action=no_action, priority=5) == []


def test_filter_refusals(client: Client, names: Names) -> None:
    match = names.entry("l2", {"dst": 1}).match
    wrong = [
        p4r.TableEntry(match=match),
        p4r.TableEntry(priority=1),
        p4r.TableEntry(metadata=b"a"),
        p4r.TableEntry(controller_metadata=1),
        p4r.TableEntry(is_default_action=True),
        p4r.TableEntry(action=p4r.TableAction(action=names.action("drop"))),
        p4r.TableEntry(table_id=names.id("l2"), priority=1),
        p4r.TableEntry(table_id=names.id("acl"), priority=-1),
        p4r.TableEntry(table_id=names.id("acl"), match=match),
        p4r.TableEntry(table_id=names.id("l2"), match=match, is_default_action=True),
        p4r.TableEntry(table_id=names.id("l2"), action=p4r.TableAction(action_profile_member_id=1)),
        p4r.TableEntry(table_id=names.id("started"), action=p4r.TableAction(action=names.action("learn"))),
    ]
    for query in wrong:
        with pytest.raises(WriteFailed) as failure:
            client.read(table_entry=query)
        assert failure.value.codes == [StatusCode.INVALID_ARGUMENT]
    with pytest.raises(WriteFailed) as failure:
        client.read(table_entry=p4r.TableEntry(table_id=1234))
    assert failure.value.codes == [StatusCode.NOT_FOUND]


def test_one_entry_by_its_key(client: Client, names: Names) -> None:
    client.write([update("INSERT", table_entry=l2(names, dst=i)) for i in range(5)])
    assert client.read(table_entry=names.entry("l2", {"dst": 3})) == [l2(names, dst=3)]
    assert client.read(table_entry=names.entry("l2", {"dst": 9})) == []


def test_many_entries_come_in_messages_of_bounded_size(client: Client, names: Names) -> None:
    count = 30_000
    for start in range(0, count, 10_000):
        client.write([update("INSERT", table_entry=l2(names, dst=i)) for i in range(start, start + 10_000)])
    query = p4r.Entity(table_entry=p4r.TableEntry(table_id=names.id("l2")))
    answers = list(client.read_stream([query]))
    assert len(answers) > 1
    assert all(a.ByteSize() < 2 << 20 for a in answers)
    found = {e.table_entry.match[0].exact.value for a in answers for e in a.entities}
    assert len(found) == count
