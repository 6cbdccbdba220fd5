# SPDX-License-Identifier: Apache-2.0
"""Counters, meters, registers, value sets, digests and the packet replication engine."""

from __future__ import annotations

from typing import Any

import pytest
from finsy.proto import p4d, p4r
from grpc import StatusCode
from p4jit.target.interface import CounterValue, MeterRates, NotFoundError, Replica

from tests.p4jit.p4runtime.client import Client, WriteFailed, update
from tests.p4jit.p4runtime.fake_device import CPU_PORT
from tests.p4jit.p4runtime.names import Names
from tests.p4jit.p4runtime.observe import AnyDevice, clones_of, counters, meters, registers, replicas_of


def write_code(client: Client, kind: str, **entity: Any) -> StatusCode:
    with pytest.raises(WriteFailed) as failure:
        client.write([update(kind, **entity)])
    return failure.value.codes[0]


def read_code(client: Client, **entity: Any) -> StatusCode:
    with pytest.raises(WriteFailed) as failure:
        client.read(**entity)
    return failure.value.codes[0]


def at(index: int | None) -> p4r.Index | None:
    return None if index is None else p4r.Index(index=index)


# ---- arrays -----------------------------------------------------------------------------------------------


def counter(names: Names, index: int | None, packets: int | None = None, size: int = 0) -> p4r.CounterEntry:
    entry = p4r.CounterEntry(counter_id=names.id("port_counter"), index=at(index))
    if packets is not None:
        entry.data.packet_count, entry.data.byte_count = packets, size
        entry.data.SetInParent()
    return entry


def test_counters(client: Client, names: Names, device: AnyDevice) -> None:
    client.modify(counter_entry=counter(names, 3, 5, 500))
    assert counters(device, "port_counter", 8)[3] == CounterValue(5, 500)
    assert client.read(counter_entry=counter(names, 3)) == [counter(names, 3, 5, 500)]
    client.modify(counter_entry=counter(names, 3))  # no data: no change
    cells = client.read(counter_entry=counter(names, None))
    assert cells == [counter(names, i, 5 if i == 3 else 0, 500 if i == 3 else 0) for i in range(8)]
    assert client.read(counter_entry=p4r.CounterEntry()) == cells
    client.modify(counter_entry=counter(names, None, 1, 2))
    assert counters(device, "port_counter", 8) == [CounterValue(1, 2)] * 8


def meter(names: Names, index: int | None, *rates: int) -> p4r.MeterEntry:
    entry = p4r.MeterEntry(meter_id=names.id("port_meter"), index=at(index))
    if rates:
        cir, cburst, pir, pburst = rates
        entry.config.CopyFrom(p4r.MeterConfig(cir=cir, cburst=cburst, pir=pir, pburst=pburst))
    return entry


def test_meters(client: Client, names: Names, device: AnyDevice) -> None:
    client.modify(meter_entry=meter(names, 2, 1, 2, 3, 4))
    assert meters(device, "port_meter", 4) == [None, None, MeterRates(1, 2, 3, 4), None]
    assert client.read(meter_entry=meter(names, 2)) == [meter(names, 2, 1, 2, 3, 4)]
    cells = client.read(meter_entry=p4r.MeterEntry())
    assert cells == [meter(names, 0), meter(names, 1), meter(names, 2, 1, 2, 3, 4), meter(names, 3)]
    client.modify(meter_entry=meter(names, 2))  # no config: the default
    assert client.read(meter_entry=meter(names, 2)) == [meter(names, 2)]
    client.modify(meter_entry=meter(names, None, 5, 5, 5, 5))
    assert meters(device, "port_meter", 4) == [MeterRates(5, 5, 5, 5)] * 4


def register(names: Names, index: int | None, value: int | None = None) -> p4r.RegisterEntry:
    entry = p4r.RegisterEntry(register_id=names.id("seen"), index=at(index))
    if value is not None:
        entry.data.bitstring = value.to_bytes((value.bit_length() + 7) // 8 or 1, "big")
    return entry


def test_registers(client: Client, names: Names, device: AnyDevice) -> None:
    client.modify(register_entry=register(names, 15, (1 << 48) - 1))
    assert registers(device, "seen", 16) == [0] * 15 + [(1 << 48) - 1]
    assert client.read(register_entry=register(names, 15)) == [register(names, 15, (1 << 48) - 1)]
    cells = client.read(register_entry=register(names, None))
    assert cells == [register(names, i, 0 if i < 15 else (1 << 48) - 1) for i in range(16)]
    assert client.read(register_entry=p4r.RegisterEntry()) == cells
    client.modify(register_entry=register(names, None, 7))
    assert registers(device, "seen", 16) == [7] * 16


def test_array_refusals(client: Client, names: Names) -> None:
    unknown_counter = counter(names, 0, 1)
    unknown_counter.counter_id = 5
    no_data = register(names, 0)
    wrong_type = register(names, 0)
    wrong_type.data.CopyFrom(p4d.P4Data(bool=True))
    counted = meter(names, 0)
    counted.counter_data.SetInParent()
    excess = meter(names, 0, 1, 1, 1, 1)
    excess.config.eburst = 1
    invalid, beyond = StatusCode.INVALID_ARGUMENT, StatusCode.OUT_OF_RANGE
    cases: list[tuple[StatusCode, dict[str, Any]]] = [
        (beyond, {"counter_entry": counter(names, 8, 1)}),
        (invalid, {"counter_entry": counter(names, -1, 1)}),
        (invalid, {"counter_entry": counter(names, 0, -1)}),
        (invalid, {"counter_entry": counter(names, 0, 0, -1)}),
        (StatusCode.NOT_FOUND, {"counter_entry": unknown_counter}),
        (invalid, {"counter_entry": p4r.CounterEntry()}),
        (beyond, {"meter_entry": meter(names, 4, 1, 1, 1, 1)}),
        (invalid, {"meter_entry": meter(names, -5, 1, 1, 1, 1)}),
        (invalid, {"meter_entry": meter(names, 0, 2, 1, 1, 1)}),
        (invalid, {"meter_entry": meter(names, 0, -2, 1, 1, 1)}),
        (invalid, {"meter_entry": excess}),
        (StatusCode.UNIMPLEMENTED, {"meter_entry": counted}),
        (beyond, {"register_entry": register(names, 16, 1)}),
        (invalid, {"register_entry": register(names, -1, 1)}),
        (invalid, {"register_entry": register(names, 0, 1 << 48)}),
        (invalid, {"register_entry": no_data}),
        (invalid, {"register_entry": wrong_type}),
    ]
    for expected, entity in cases:
        assert write_code(client, "MODIFY", **entity) is expected, entity
    for kind in ("INSERT", "DELETE"):
        for entity in (
            {"counter_entry": counter(names, 0, 1)},
            {"meter_entry": meter(names, 0, 1, 1, 1, 1)},
            {"register_entry": register(names, 0, 1)},
        ):
            assert write_code(client, kind, **entity) is invalid
    assert read_code(client, counter_entry=counter(names, 8)) is beyond
    assert read_code(client, meter_entry=meter(names, -1)) is invalid
    assert read_code(client, register_entry=register(names, 16)) is beyond
    assert read_code(client, register_entry=p4r.RegisterEntry(register_id=3)) is StatusCode.NOT_FOUND
    assert read_code(client, counter_entry=p4r.CounterEntry(index=at(0))) is invalid


# ---- direct resources by their own entities ---------------------------------------------------------------


def test_direct_counters(client: Client, names: Names) -> None:
    entries = [names.entry("l2", {"dst": i}, names.action("forward", i)) for i in (1, 2)]
    client.write([update("INSERT", table_entry=e) for e in entries])
    key = names.entry("l2", {"dst": 2})
    client.modify(
        direct_counter_entry=p4r.DirectCounterEntry(table_entry=entries[1], data={"packet_count": 9})
    )
    (found,) = client.read(direct_counter_entry=p4r.DirectCounterEntry(table_entry=key))
    assert (found.table_entry, found.data.packet_count) == (key, 9)
    client.modify(direct_counter_entry=p4r.DirectCounterEntry(table_entry=key))  # no data: no change
    whole = p4r.DirectCounterEntry(table_entry=p4r.TableEntry(table_id=names.id("l2")))
    assert [c.data.packet_count for c in client.read(direct_counter_entry=whole)] == [0, 9]
    everything = client.read(direct_counter_entry=p4r.DirectCounterEntry())
    assert {c.table_entry.table_id for c in everything} == {names.id("l2"), names.id("fixed")}
    default = names.entry("l2", {}, is_default_action=True)
    client.modify(direct_counter_entry=p4r.DirectCounterEntry(table_entry=default, data={"byte_count": 4}))
    (found,) = client.read(direct_counter_entry=p4r.DirectCounterEntry(table_entry=default))
    assert (found.table_entry, found.data.byte_count) == (default, 4)


def test_direct_meters(client: Client, names: Names) -> None:
    entry = names.entry("routes", {"flag": 1, "dst": (0x0A000000, 8)}, names.action("metered", 1))
    client.insert(table_entry=entry)
    key = names.entry("routes", {"flag": 1, "dst": (0x0A000000, 8)})
    config = p4r.MeterConfig(cir=1, cburst=2, pir=3, pburst=4)
    client.modify(direct_meter_entry=p4r.DirectMeterEntry(table_entry=entry, config=config))
    assert client.read(direct_meter_entry=p4r.DirectMeterEntry(table_entry=key)) == [
        p4r.DirectMeterEntry(table_entry=key, config=config)
    ]
    client.modify(direct_meter_entry=p4r.DirectMeterEntry(table_entry=key))
    assert client.read(direct_meter_entry=p4r.DirectMeterEntry()) == [p4r.DirectMeterEntry(table_entry=key)]


def test_direct_resource_refusals(client: Client, names: Names) -> None:
    missing = names.entry("l2", {"dst": 5})
    no_counter = names.entry("started", {"type": 0x0800})
    route = names.entry("routes", {"flag": 1})
    config = p4r.MeterConfig(cir=1, pir=1)
    counted = p4r.DirectMeterEntry(table_entry=route)
    counted.counter_data.SetInParent()
    unknown = p4r.TableEntry(table_id=5)
    invalid, missed = StatusCode.INVALID_ARGUMENT, StatusCode.NOT_FOUND
    data = p4r.CounterData(packet_count=1)
    cases: list[tuple[StatusCode, dict[str, Any]]] = [
        (missed, {"direct_counter_entry": p4r.DirectCounterEntry(table_entry=missing, data=data)}),
        (invalid, {"direct_counter_entry": p4r.DirectCounterEntry(table_entry=no_counter, data=data)}),
        (missed, {"direct_counter_entry": p4r.DirectCounterEntry(table_entry=unknown, data=data)}),
        (invalid, {"direct_counter_entry": p4r.DirectCounterEntry(data=data)}),
        (missed, {"direct_meter_entry": p4r.DirectMeterEntry(table_entry=route, config=config)}),
        (invalid, {"direct_meter_entry": p4r.DirectMeterEntry(table_entry=missing, config=config)}),
        (StatusCode.UNIMPLEMENTED, {"direct_meter_entry": counted}),
    ]
    for expected, entity in cases:
        assert write_code(client, "MODIFY", **entity) is expected, entity
        assert write_code(client, "INSERT", **entity) is invalid
        assert write_code(client, "DELETE", **entity) is invalid
    assert read_code(client, direct_counter_entry=p4r.DirectCounterEntry(table_entry=missing)) is missed
    assert read_code(client, direct_counter_entry=p4r.DirectCounterEntry(table_entry=no_counter)) is invalid
    assert read_code(client, direct_meter_entry=counted) is StatusCode.UNIMPLEMENTED


# ---- value sets -------------------------------------------------------------------------------------------


def value_set(names: Names, *values: int) -> p4r.ValueSetEntry:
    info = names.p4info.value_sets[0]
    entry = p4r.ValueSetEntry(value_set_id=info.preamble.id)
    for value in values:
        match = p4r.FieldMatch(field_id=info.match[0].id)
        match.exact.value = value.to_bytes((value.bit_length() + 7) // 8 or 1, "big")
        entry.members.add(match=[match])
    return entry


def test_value_sets(client: Client, names: Names, device: AnyDevice) -> None:
    assert client.read(value_set_entry=p4r.ValueSetEntry()) == [value_set(names)]
    client.modify(value_set_entry=value_set(names, 0x22F3, 0x893B))
    # The device has no way to read it back; what packets make of it is in test_device.
    assert [value for ((value, _),) in device.told("value_set_write")[-1][1]] == [0x22F3, 0x893B]
    assert client.read(value_set_entry=value_set(names)) == [value_set(names, 0x22F3, 0x893B)]
    client.modify(value_set_entry=value_set(names))
    assert device.told("value_set_write")[-1][1] == []


def test_value_set_refusals(client: Client, names: Names) -> None:
    doubled = value_set(names, 1)
    doubled.members[0].match.append(doubled.members[0].match[0])
    missing = value_set(names, 1)
    del missing.members[0].match[:]
    unknown = value_set(names, 1)
    unknown.value_set_id = 4
    cases = [
        ("MODIFY", value_set(names, 1, 2, 1), StatusCode.ALREADY_EXISTS),
        ("MODIFY", value_set(names, 1, 2, 3, 4, 5), StatusCode.RESOURCE_EXHAUSTED),
        ("MODIFY", value_set(names, 1 << 16), StatusCode.OUT_OF_RANGE),
        ("MODIFY", doubled, StatusCode.INVALID_ARGUMENT),
        ("MODIFY", missing, StatusCode.INVALID_ARGUMENT),
        ("MODIFY", unknown, StatusCode.NOT_FOUND),
        ("MODIFY", p4r.ValueSetEntry(), StatusCode.INVALID_ARGUMENT),
        ("INSERT", value_set(names, 1), StatusCode.INVALID_ARGUMENT),
        ("DELETE", value_set(names, 1), StatusCode.INVALID_ARGUMENT),
    ]
    for kind, entry, expected in cases:
        assert write_code(client, kind, value_set_entry=entry) is expected, entry
    assert read_code(client, value_set_entry=unknown) is StatusCode.NOT_FOUND


# ---- packet replication engine ----------------------------------------------------------------------------


def multicast(group: int, *replicas: p4r.Replica, metadata: bytes = b"") -> p4r.PacketReplicationEngineEntry:
    return p4r.PacketReplicationEngineEntry(
        multicast_group_entry=p4r.MulticastGroupEntry(
            multicast_group_id=group, replicas=replicas, metadata=metadata
        )
    )


def clone(session: int, *replicas: p4r.Replica, **fields: int) -> p4r.PacketReplicationEngineEntry:
    return p4r.PacketReplicationEngineEntry(
        clone_session_entry=p4r.CloneSessionEntry(session_id=session, replicas=replicas, **fields)  # type: ignore[arg-type]
    )


def replica(port: bytes, instance: int = 0, *backups: bytes) -> p4r.Replica:
    return p4r.Replica(
        port=port,
        instance=instance,
        backup_replicas=[p4r.BackupReplica(port=b, instance=instance) for b in backups],
    )


def test_multicast_groups(client: Client, names: Names, device: AnyDevice) -> None:
    # The device has no ports 12 and 13: they are down.
    entries = [
        multicast(1, replica(b"\5", 1), replica(b"\x0c", 2, b"\x0d", b"\6"), metadata=b"m"),
        multicast(2),
    ]
    client.write([update("INSERT", packet_replication_engine_entry=e) for e in entries])
    assert device.told("multicast_set")[0] == (1, [Replica(5, 1), Replica(12, 2, ((13, 2), (6, 2)))])
    assert replicas_of(device, 1, client, names) == [5, 6]
    assert replicas_of(device, 2, client, names) == []
    assert client.read(packet_replication_engine_entry=multicast(0)) == entries
    assert client.read(packet_replication_engine_entry=multicast(2)) == [entries[1]]
    assert client.read(packet_replication_engine_entry=multicast(3)) == []
    changed = multicast(1, p4r.Replica(egress_port=3, instance=9), replica(b"\xff\xff\xff\xfd", 9))
    client.modify(packet_replication_engine_entry=changed)
    assert device.told("multicast_set")[-1] == (1, [Replica(3, 9), Replica(CPU_PORT, 9)])
    assert replicas_of(device, 1, client, names) == [3]
    assert client.read(packet_replication_engine_entry=multicast(1)) == [changed]
    client.delete(packet_replication_engine_entry=multicast(1, replica(b"nonsense")))
    with pytest.raises(NotFoundError):
        device.multicast_delete(1)
    device.multicast_delete(2)


def test_clone_sessions(client: Client, names: Names, device: AnyDevice) -> None:
    entry = clone(100, replica(b"\5", 1), class_of_service=2, packet_length_bytes=64)
    client.insert(packet_replication_engine_entry=entry)
    assert device.told("clone_set") == [(100, [Replica(5, 1)], 2, 64)]
    assert clones_of(device, 100, client, names) == [(5, 64)]
    assert client.read(packet_replication_engine_entry=clone(0)) == [entry]
    changed = clone(100, replica(b"\6"))
    client.modify(packet_replication_engine_entry=changed)
    assert client.read(packet_replication_engine_entry=clone(100)) == [changed]
    assert clones_of(device, 100, client, names) == [(6, 100)]
    client.delete(packet_replication_engine_entry=clone(100))
    with pytest.raises(NotFoundError):
        device.clone_delete(100)


def test_a_backup_may_have_an_instance_of_its_own(client: Client, device: AnyDevice) -> None:
    copy = replica(b"\1", 1, b"\2")
    copy.backup_replicas[0].instance = 7
    client.insert(packet_replication_engine_entry=multicast(1, copy))
    assert device.told("multicast_set") == [(1, [Replica(1, 1, ((2, 7),))])]


def test_replication_refusals(client: Client) -> None:
    client.insert(packet_replication_engine_entry=multicast(1))
    client.insert(packet_replication_engine_entry=clone(1))
    beyond_instance = replica(b"\1", 1, b"\2")
    beyond_instance.backup_replicas[0].instance = 1 << 16
    invalid = StatusCode.INVALID_ARGUMENT
    cases = [
        ("INSERT", multicast(1), StatusCode.ALREADY_EXISTS),
        ("INSERT", multicast(0), invalid),
        ("INSERT", multicast(1 << 16), StatusCode.OUT_OF_RANGE),
        ("INSERT", multicast(2, replica(b"")), invalid),
        ("INSERT", multicast(2, replica(b"\2\0")), invalid),
        ("INSERT", multicast(2, p4r.Replica(instance=1)), invalid),
        ("INSERT", multicast(2, p4r.Replica(egress_port=512)), invalid),
        ("INSERT", multicast(2, replica(b"\1", 1 << 16)), invalid),
        ("INSERT", multicast(2, replica(b"\1", 1), replica(b"\1", 1)), invalid),
        ("INSERT", multicast(2, replica(b"\1", 1, b"\1")), invalid),
        ("INSERT", multicast(2, replica(b"\1", 1, b"\2"), replica(b"\2", 1)), invalid),
        ("INSERT", multicast(2, beyond_instance), invalid),
        ("MODIFY", multicast(2), StatusCode.NOT_FOUND),
        ("DELETE", multicast(2), StatusCode.NOT_FOUND),
        ("INSERT", clone(1), StatusCode.ALREADY_EXISTS),
        ("INSERT", clone(0), invalid),
        ("DELETE", clone(0), invalid),
        ("INSERT", clone(2, class_of_service=8), invalid),
        ("INSERT", clone(2, packet_length_bytes=-1), invalid),
        ("INSERT", clone(2, replica(b"\1", 1), replica(b"\1", 1)), invalid),
        ("MODIFY", clone(2), StatusCode.NOT_FOUND),
        ("DELETE", clone(2), StatusCode.NOT_FOUND),
        ("INSERT", p4r.PacketReplicationEngineEntry(), invalid),
    ]
    for kind, entry, expected in cases:
        assert write_code(client, kind, packet_replication_engine_entry=entry) is expected, entry
    assert read_code(client, packet_replication_engine_entry=p4r.PacketReplicationEngineEntry()) is invalid


# ---- digest configurations and externs --------------------------------------------------------------------


def digest(names: Names, timeout: int = 0, size: int = 0, ack: int = 0) -> p4r.DigestEntry:
    config = p4r.DigestEntry.Config(max_timeout_ns=timeout, max_list_size=size, ack_timeout_ns=ack)
    return p4r.DigestEntry(digest_id=names.p4info.digests[0].preamble.id, config=config)


def test_digest_entries(client: Client, names: Names) -> None:
    assert write_code(client, "MODIFY", digest_entry=digest(names)) is StatusCode.NOT_FOUND
    assert write_code(client, "DELETE", digest_entry=digest(names)) is StatusCode.NOT_FOUND
    client.insert(digest_entry=digest(names, 1, 2, 3))
    assert write_code(client, "INSERT", digest_entry=digest(names)) is StatusCode.ALREADY_EXISTS
    assert client.read(digest_entry=p4r.DigestEntry()) == [digest(names, 1, 2, 3)]
    client.modify(digest_entry=digest(names, 4))
    assert client.read(digest_entry=digest(names)) == [digest(names, 4)]
    client.delete(digest_entry=digest(names))
    assert client.read(digest_entry=p4r.DigestEntry()) == []
    assert write_code(client, "INSERT", digest_entry=digest(names, -1)) is StatusCode.INVALID_ARGUMENT
    assert write_code(client, "INSERT", digest_entry=p4r.DigestEntry()) is StatusCode.INVALID_ARGUMENT
    assert write_code(client, "INSERT", digest_entry=p4r.DigestEntry(digest_id=4)) is StatusCode.NOT_FOUND
    assert read_code(client, digest_entry=p4r.DigestEntry(digest_id=4)) is StatusCode.NOT_FOUND


def test_externs(client: Client) -> None:
    assert client.read(extern_entry=p4r.ExternEntry()) == []
    assert read_code(client, extern_entry=p4r.ExternEntry(extern_type_id=1)) is StatusCode.NOT_FOUND
    assert write_code(client, "INSERT", extern_entry=p4r.ExternEntry()) is StatusCode.UNIMPLEMENTED
