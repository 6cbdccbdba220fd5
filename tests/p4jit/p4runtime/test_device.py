# SPDX-License-Identifier: Apache-2.0
"""The server over the real device: what is written is what packets meet."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from finsy.proto import p4i, p4r
from p4jit.p4runtime import P4RuntimeServer
from p4jit.target.device import Device

from tests.p4jit.p4runtime.client import Client, StreamClient, update
from tests.p4jit.p4runtime.names import Names
from tests.p4jit.p4runtime.observe import frame, ipv4, let_through, sent
from tests.p4jit.p4runtime.real_device import RealDevice, compile_pushed, new_device
from tests.p4jit.p4runtime.test_pipeline import everything, fill, without

ROLLBACK = p4r.WriteRequest.ROLLBACK_ON_ERROR
ATOMIC = p4r.WriteRequest.DATAPLANE_ATOMIC


@pytest.fixture
def real() -> Iterator[RealDevice]:
    with new_device(1) as device:
        yield device


@pytest.fixture
def client(real: RealDevice, p4info: p4i.P4Info, program_json: bytes) -> Iterator[Client]:
    with P4RuntimeServer([real], compile_pushed, "localhost:0") as server, Client(server.port) as client:
        client.become_primary()
        client.set_pipeline(p4info, program_json)
        yield client


def outputs(device: Device, count: int, seconds: float = 10) -> list[tuple[int, bytes]]:
    """The next ``count`` frames that leave, by port."""
    found: list[tuple[int, bytes]] = []
    deadline = time.monotonic() + seconds
    while len(found) < count:
        found += [(o.port, o.data) for o in device.take_outputs()]
        assert time.monotonic() < deadline, f"{len(found)} frames of {count} have come"
        time.sleep(0.001)
    return sorted(found)


def l2(names: Names, action: str, *arguments: int, dst: int = 1, **fields: Any) -> p4r.TableEntry:
    return names.entry("l2", {"dst": dst}, names.action(action, *arguments), **fields)


def stream_of(client: Client) -> StreamClient:
    assert client.stream is not None
    return client.stream


# ---- tables and counters ----------------------------------------------------------------------------------


def test_entries_decide_about_packets(client: Client, names: Names, real: RealDevice) -> None:
    client.insert(table_entry=l2(names, "forward", 3))
    real.inject(0, frame())
    assert outputs(real, 1) == [(3, frame())]
    client.modify(table_entry=l2(names, "forward", 4))
    real.inject(0, frame())
    assert outputs(real, 1) == [(4, frame())]
    client.delete(table_entry=l2(names, "forward", 4))
    client.modify(table_entry=names.entry("l2", {}, names.action("forward", 5), is_default_action=True))
    real.inject(0, frame())
    assert outputs(real, 1) == [(5, frame())]


def test_direct_counters_count(client: Client, names: Names, real: RealDevice) -> None:
    client.insert(table_entry=l2(names, "forward", 3))
    for _ in range(5):
        real.inject(0, frame())
    outputs(real, 5)
    query = p4r.TableEntry(table_id=names.id("l2"), counter_data={}, time_since_last_hit={})
    (found,) = client.read(table_entry=query)
    assert (found.counter_data.packet_count, found.counter_data.byte_count) == (5, 5 * len(frame()))
    assert 0 < found.time_since_last_hit.elapsed_ns < 60e9


def test_const_entries_have_the_handles_the_server_thinks(
    client: Client, names: Names, real: RealDevice
) -> None:
    """The counter of each const entry, read by its key, counts the packets that match it."""
    for kind, packets in ((0x0801, 1), (0x86DD, 2), (0x1234, 3)):
        for _ in range(packets):
            real.inject(0, frame(kind=kind, rest=bytes(60)))
    query = p4r.TableEntry(table_id=names.id("fixed"), counter_data={})
    deadline = time.monotonic() + 10
    while True:
        counts = [e.counter_data.packet_count for e in client.read(table_entry=query)]
        if counts == [1, 2, 3]:
            break
        assert time.monotonic() < deadline, counts
    client.modify(table_entry=names.entry("started", {"type": 0x86DD}, names.action("forward", 7)))


def test_long_prefixes_and_ternary_matches(client: Client, names: Names, real: RealDevice) -> None:
    address = 0x20010DB8_00000001_00000002_00000003
    for length, port in ((16, 1), (64, 2), (65, 3), (128, 4)):
        value = address >> (128 - length) << (128 - length)
        client.insert(
            table_entry=names.entry("wide_routes", {"wide": (value, length)}, names.action("forward", port))
        )
    # The last table that matches decides; l2 must not.
    client.modify(table_entry=names.entry("l2", {}, names.action("remember", 0), is_default_action=True))

    def packet(wide: int) -> bytes:
        ipv4 = bytes(4) + bytes((10, 0, 0, 1)) + b"\x06" + wide.to_bytes(16, "big") + b"\0\x50"
        return frame(kind=0x0800, rest=ipv4)

    for wide, port in ((address, 4), (address ^ 1, 3), (address ^ (1 << 63), 2), (address ^ (1 << 70), 1)):
        real.inject(0, packet(wide))
        assert outputs(real, 1) == [(port, packet(wide))], hex(wide)

    acl = names.entry(
        "acl",
        {"type": (0x0800, 0xFF00), "sport": (80, 90), "proto": 6, "nibble": 0},
        names.action("forward", 6),
        priority=5,
    )
    client.insert(table_entry=acl)
    real.inject(0, packet(address))
    assert outputs(real, 1) == [(6, packet(address))]
    client.insert(table_entry=names.entry("acl", {"nibble": 0}, names.action("forward", 7), priority=6))
    real.inject(0, packet(address))
    assert outputs(real, 1) == [(7, packet(address))]


def test_externs_of_the_data_plane(client: Client, names: Names, real: RealDevice) -> None:
    client.insert(table_entry=l2(names, "remember", 5))
    client.modify(
        register_entry=p4r.RegisterEntry(
            register_id=names.id("seen"), index={"index": 6}, data={"bitstring": b"\7"}
        )
    )
    real.inject(0, frame(src=0x0A0B0C0D0E0F))
    outputs(real, 1)
    cells = client.read(register_entry=p4r.RegisterEntry(register_id=names.id("seen")))
    assert [int.from_bytes(c.data.bitstring, "big") for c in cells[5:7]] == [0x0A0B0C0D0E0F, 7]
    (counter,) = client.read(
        counter_entry=p4r.CounterEntry(counter_id=names.id("port_counter"), index={"index": 5})
    )
    assert counter.data.packet_count == 1


def test_value_sets(client: Client, names: Names, real: RealDevice) -> None:
    """0x9999 is parsed as IPv4 once it is in the set."""
    client.insert(table_entry=l2(names, "forward", 1))
    address = (10 << 24) + 1
    route = names.entry(
        "acl", {"src": (address, 0xFFFFFFFF), "nibble": 0}, names.action("forward", 6), priority=1
    )
    client.insert(table_entry=route)
    packet = frame(dst=5, rest=address.to_bytes(4, "big") + bytes(40))
    client.modify(table_entry=names.entry("l2", {}, names.action("remember", 0), is_default_action=True))
    info = names.p4info.value_sets[0]
    entry = p4r.ValueSetEntry(value_set_id=info.preamble.id)
    entry.members.add().match.add(field_id=info.match[0].id).exact.value = b"\x99\x99"
    client.modify(value_set_entry=entry)
    real.inject(0, packet)
    assert outputs(real, 1) == [(6, packet)]
    client.modify(value_set_entry=p4r.ValueSetEntry(value_set_id=info.preamble.id))
    real.inject(0, packet)
    assert outputs(real, 1) != [(6, packet)]


def test_one_shots_weights_and_watch_ports(client: Client, names: Names, real: RealDevice) -> None:
    let_through(client, names)
    choice = names.one_shot((names.action("forward", 2), 1, 2), (names.action("forward", 3), 3, 3))
    client.insert(table_entry=names.entry("ecmp", {}, choice))
    flows = [ipv4(dst=1, src=n) for n in range(400)]

    def taken() -> Counter[int]:
        return Counter(port for port, _ in sent(real, *flows))

    ports = taken()
    assert ports.total() == 400
    assert 200 < ports[3] < 400  # 300 by its weight
    assert ports[2] == 400 - ports[3]
    real.port_remove(3)
    assert taken() == {2: 400}
    # The key of a one-shot's entry counts no member of the controller's.
    assert client.read(action_profile_member=p4r.ActionProfileMember()) == []


# ---- replication ------------------------------------------------------------------------------------------


def test_multicast_and_clones(client: Client, names: Names, real: RealDevice) -> None:
    pre = p4r.PacketReplicationEngineEntry
    group = [p4r.Replica(port=bytes((n,)), instance=n) for n in (2, 4, 6)]
    client.insert(
        packet_replication_engine_entry=pre(
            multicast_group_entry={"multicast_group_id": 9, "replicas": group}
        )
    )
    client.insert(table_entry=l2(names, "flood", 9))
    real.inject(0, frame())
    assert outputs(real, 3) == [(n, frame()) for n in (2, 4, 6)]

    session = {"session_id": 3, "replicas": [p4r.Replica(port=b"\5")], "packet_length_bytes": 16}
    client.insert(packet_replication_engine_entry=pre(clone_session_entry=session))
    client.modify(table_entry=l2(names, "mirror", 3))
    real.inject(0, frame())
    # egress_spec is left at 0, and the clone is cut.
    assert outputs(real, 2) == [(0, frame()), (5, frame()[:16])]


# ---- the stream -------------------------------------------------------------------------------------------


def test_packets_to_and_from_the_controller(client: Client, names: Names, real: RealDevice) -> None:
    client.insert(table_entry=l2(names, "to_cpu"))
    real.inject(3, frame())
    packet = stream_of(client).receive().packet
    assert packet.payload == frame()
    assert [m.value for m in packet.metadata] == [b"\3", b"\5"]
    out = p4r.PacketOut(
        payload=frame(), metadata=[{"metadata_id": 1, "value": b"\6"}, {"metadata_id": 2, "value": b"\0"}]
    )
    stream_of(client).send(packet=out)
    assert outputs(real, 1) == [(6, frame())]


def test_digests(client: Client, names: Names, real: RealDevice) -> None:
    digest_id = names.p4info.digests[0].preamble.id
    client.insert(digest_entry=p4r.DigestEntry(digest_id=digest_id, config={"ack_timeout_ns": 10**12}))
    client.insert(table_entry=l2(names, "learn"))
    for _ in range(3):
        real.inject(7, frame(src=0x0A0B0C0D0E0F))
    digest = stream_of(client).receive().digest
    (data,) = digest.data
    assert [m.bitstring for m in data.struct.members] == [bytes.fromhex("0a0b0c0d0e0f"), b"\7"]
    assert stream_of(client).quiet()


def test_idle_timeouts(client: Client, names: Names, real: RealDevice) -> None:
    entry = l2(names, "forward", 1, idle_timeout_ns=50_000_000, metadata=b"m")
    client.insert(table_entry=entry)
    notification = stream_of(client).receive().idle_timeout_notification
    entry.ClearField("action")
    assert list(notification.table_entry) == [entry]
    stream_of(client).receive()  # and again, as long as it is not hit
    client.delete(table_entry=entry)


# ---- pipelines and batches --------------------------------------------------------------------------------


def test_reconcile_keeps_everything(
    client: Client, names: Names, real: RealDevice, p4info: p4i.P4Info, program_json: bytes
) -> None:
    fill(client, names)
    before = everything(client)
    action = p4r.SetForwardingPipelineConfigRequest.RECONCILE_AND_COMMIT
    client.set_pipeline(without(p4info, "pairs"), program_json + b" ", action)
    assert everything(client) == before
    client.modify(table_entry=l2(names, "forward", 2))
    real.inject(0, frame())
    assert outputs(real, 1) == [(2, frame())]


def test_save_and_commit(
    client: Client, names: Names, real: RealDevice, p4info: p4i.P4Info, program_json: bytes
) -> None:
    request = p4r.SetForwardingPipelineConfigRequest
    client.insert(table_entry=l2(names, "forward", 1))
    client.set_pipeline(p4info, program_json + b" ", request.VERIFY_AND_SAVE)
    client.insert(table_entry=l2(names, "forward", 2))
    real.inject(0, frame())
    assert outputs(real, 1) == [(1, frame())]
    client.set_pipeline(None, action=request.COMMIT)
    real.inject(0, frame())
    assert outputs(real, 1) == [(2, frame())]


def test_many_entries(client: Client, names: Names) -> None:
    count = 20_000
    client.write([update("INSERT", table_entry=l2(names, "forward", n % 500, dst=n)) for n in range(count)])
    assert len(client.read(table_entry=p4r.TableEntry(table_id=names.id("l2")))) == count
    client.write([update("DELETE", table_entry=l2(names, "forward", 1, dst=n)) for n in range(count)])
    assert client.read(table_entry=p4r.TableEntry(table_id=names.id("l2"))) == []
