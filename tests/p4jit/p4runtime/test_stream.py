# SPDX-License-Identifier: Apache-2.0
"""Packets, digests, idle timeouts, port changes and errors on the stream."""

from __future__ import annotations

import time
from typing import Any

import pytest
from finsy.proto import p4i, p4r, stratum
from google.protobuf.struct_pb2 import Struct
from grpc import StatusCode
from p4jit.p4runtime import P4RuntimeServer
from p4jit.p4runtime.digests import DigestLists
from p4jit.p4runtime.pipeline import Compile
from p4jit.p4runtime.schema import Schema
from p4jit.target.interface import IdleTimeout, LogRecord, PacketIn, PortChange

from tests.p4jit.p4runtime.client import Client, StreamClient
from tests.p4jit.p4runtime.fake_device import CPU_PORT, FakeDevice, fake_compile
from tests.p4jit.p4runtime.names import Names
from tests.p4jit.p4runtime.observe import AnyDevice, frame, frames_out, index_of, learn, to_controller


@pytest.fixture
def stream(client: Client) -> StreamClient:
    assert client.stream is not None
    return client.stream


@pytest.fixture
def punting(client: Client, names: Names) -> None:
    """The program sends every packet to the controller."""
    client.modify(table_entry=names.entry("l2", {}, names.action("to_cpu"), is_default_action=True))


@pytest.fixture
def learning(client: Client, names: Names) -> None:
    """The program sends a digest of every packet."""
    client.modify(table_entry=names.entry("l2", {}, names.action("learn"), is_default_action=True))


def metadata(**values: int) -> list[p4r.PacketMetadata]:
    return [
        p4r.PacketMetadata(metadata_id=int(k[1:]), value=v.to_bytes((v.bit_length() + 7) // 8 or 1, "big"))
        for k, v in values.items()
    ]


def packet_out(*fields: p4r.PacketMetadata) -> p4r.PacketOut:
    return p4r.PacketOut(payload=b"payload", metadata=fields)


def eventually(condition: Any, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# ---- packets ----------------------------------------------------------------------------------------------


def test_packet_out(stream: StreamClient, device: AnyDevice) -> None:
    stream.send(packet=packet_out(*metadata(_1=0x103, _2=0x7F)))
    eventually(lambda: device.told("inject"))
    # 9 bits and 7 bits, in the order of the header.
    assert device.told("inject") == [(CPU_PORT, bytes((0x81, 0xFF)) + b"payload")]
    assert frames_out(device) == [(0x103, b"payload")]
    stream.send(packet=packet_out(*metadata(_2=0, _1=1)))
    eventually(lambda: len(device.told("inject")) == 2)
    assert device.told("inject")[1] == (CPU_PORT, bytes((0x00, 0x80)) + b"payload")
    assert frames_out(device)[-1] == (1, b"payload")


def test_packet_in(stream: StreamClient, device: AnyDevice, punting: None) -> None:
    to_controller(device, 0x103, frame(5))
    packet = stream.receive().packet
    assert packet.payload == frame(5)
    assert list(packet.metadata) == metadata(_1=0x103, _2=5)


@pytest.mark.parametrize(
    "wrong",
    [
        metadata(_1=1),
        metadata(_1=1, _2=1, _7=1),
        [*metadata(_1=1, _2=1), *metadata(_1=1)],
        metadata(_1=0x200, _2=0),
        [p4r.PacketMetadata(metadata_id=1), *metadata(_2=1)],
    ],
)
def test_wrong_packet_metadata(stream: StreamClient, device: AnyDevice, wrong: list[Any]) -> None:
    packet = packet_out(*wrong)
    stream.send(packet=packet)
    error = stream.receive().error
    assert error.canonical_code == StatusCode.INVALID_ARGUMENT.value[0]
    assert error.packet_out.packet_out == packet
    assert error.message
    assert device.told("inject") == []


def test_only_the_primary_has_packets(
    client: Client, stream: StreamClient, device: AnyDevice, punting: None
) -> None:
    backup = client.open()
    backup.arbitrate(None)
    backup.arbitration()
    backup.send(packet=packet_out(*metadata(_1=1, _2=1)))
    assert backup.receive().error.canonical_code == StatusCode.PERMISSION_DENIED.value[0]
    assert device.told("inject") == []
    to_controller(device, 0, frame())
    assert stream.receive().packet.payload == frame()
    assert backup.quiet()


def test_packets_before_a_pipeline(bare: Client, device: AnyDevice) -> None:
    stream = bare.become_primary()
    stream.send(packet=packet_out())
    assert stream.receive().error.canonical_code == StatusCode.FAILED_PRECONDITION.value[0]
    to_controller(device, 0, frame())
    assert stream.quiet()


def test_packet_ins_by_role(client: Client, stream: StreamClient, device: AnyDevice, punting: None) -> None:
    wants = stratum.P4RoleConfig(receives_packet_ins=True)
    wants.packet_in_filter.metadata_id, wants.packet_in_filter.value = 1, b"\5"
    filtered, deaf = client.open(), client.open()
    filtered.arbitrate(1, role="filtered", config=wants)
    deaf.arbitrate(1, role="deaf", config=stratum.P4RoleConfig())
    filtered.arbitration()
    deaf.arbitration()
    to_controller(device, 5, frame(5))
    to_controller(device, 6, frame(6))
    assert filtered.receive().packet.payload == frame(5)
    assert [stream.receive().packet.payload for _ in range(2)] == [frame(5), frame(6)]
    assert filtered.quiet()
    assert deaf.quiet()


def test_other_messages_are_errors(stream: StreamClient) -> None:
    message = p4r.StreamMessageRequest()
    message.other.Pack(Struct())
    stream.send(other=message.other)
    error = stream.receive().error
    assert error.canonical_code == StatusCode.INVALID_ARGUMENT.value[0]
    assert error.other.other == message.other
    stream.send()
    assert stream.receive().error.WhichOneof("details") == "other"


# ---- notifications ----------------------------------------------------------------------------------------


def test_idle_timeouts(client: Client, names: Names, stream: StreamClient, device: AnyDevice) -> None:
    entry = names.entry(
        "l2",
        {"dst": 5},
        names.action("forward", 1),
        idle_timeout_ns=50_000_000,
        metadata=b"m",
        controller_metadata=3,
    )
    client.insert(table_entry=entry)
    (handle,) = (call.result for call in device.calls if call.method == "table_insert")
    before = time.time_ns()
    entry.ClearField("action")
    for _ in range(2):  # as often as it times out
        if isinstance(device, FakeDevice):
            device.events.put(IdleTimeout(index_of(device, "tables", "l2"), handle))
        notification = stream.receive().idle_timeout_notification
        assert list(notification.table_entry) == [entry]
        assert abs(notification.timestamp - before) < 60e9


# ---- events that the real device has no cause for here -----------------------------------------------------
# Its ports in memory are always up, and the program has no log_msg, no assert, and always the whole packet_in
# header. An entry that goes between its time-out and the notification is a race that only the fake decides.

on_the_fake = pytest.mark.parametrize("device", ["fake"], indirect=True)


@on_the_fake
def test_a_packet_shorter_than_its_header_is_dropped(stream: StreamClient, device: FakeDevice) -> None:
    device.events.put(PacketIn(b"\1"))
    device.events.put(PacketIn(b"\0\0ok"))
    assert stream.receive().packet.payload == b"ok"


@on_the_fake
def test_a_time_out_of_an_entry_that_is_gone(
    client: Client, names: Names, stream: StreamClient, device: FakeDevice
) -> None:
    kept = names.entry("l2", {"dst": 5}, names.action("forward", 1), idle_timeout_ns=77)
    client.insert(table_entry=kept)
    (handle,) = (call.result for call in device.calls if call.method == "table_insert")
    index = index_of(device, "tables", "l2")
    device.events.put(IdleTimeout(index, 99_999))
    device.events.put(IdleTimeout(index, handle))
    kept.ClearField("action")
    assert list(stream.receive().idle_timeout_notification.table_entry) == [kept]


@on_the_fake
def test_port_changes(stream: StreamClient, device: FakeDevice) -> None:
    device.events.put(PortChange(3, False))
    change = Struct()
    assert stream.receive().other.Unpack(change)
    assert dict(change) == {"port": 3, "up": False}


@on_the_fake
def test_log_records_go_to_the_log(
    stream: StreamClient, device: FakeDevice, caplog: pytest.LogCaptureFixture
) -> None:
    device.events.put(LogRecord("an assertion failed", error=True))
    eventually(lambda: "an assertion failed" in caplog.text)


# ---- digests ----------------------------------------------------------------------------------------------


def configure(client: Client, names: Names, kind: str = "insert", **config: int) -> int:
    digest_id = names.p4info.digests[0].preamble.id
    getattr(client, kind)(digest_entry=p4r.DigestEntry(digest_id=digest_id, config=config))
    return digest_id


def macs(digests: p4r.DigestList) -> list[int]:
    return [int.from_bytes(d.struct.members[0].bitstring, "big") for d in digests.data]


def test_digests(
    client: Client, names: Names, stream: StreamClient, device: AnyDevice, learning: None
) -> None:
    learn(device, 1, port=1)  # not configured: not sent
    assert stream.quiet()
    digest_id = configure(client, names)
    learn(device, 0x0A0B0C0D0E0F, port=0x103)
    digests = stream.receive().digest
    assert digests.digest_id == digest_id
    assert macs(digests) == [0x0A0B0C0D0E0F]
    assert digests.data[0].struct.members[1].bitstring == b"\x01\x03"
    assert digests.timestamp
    client.delete(digest_entry=p4r.DigestEntry(digest_id=digest_id))
    learn(device, 1, port=1)
    assert stream.quiet()


def test_digest_lists_wait_for_size_or_time(
    client: Client, names: Names, stream: StreamClient, device: AnyDevice, learning: None
) -> None:
    configure(client, names, max_list_size=2, max_timeout_ns=60_000_000_000)
    for mac in (1, 1, 2, 3):
        learn(device, mac, port=1)
    assert macs(stream.receive().digest) == [1, 2]
    configure(client, names, "modify", max_list_size=2, max_timeout_ns=1_000_000)
    assert macs(stream.receive().digest) == [3]


def test_digests_are_not_repeated_until_acknowledged(
    client: Client, names: Names, stream: StreamClient, device: AnyDevice, learning: None
) -> None:
    digest_id = configure(client, names, ack_timeout_ns=60_000_000_000)
    learn(device, 1, port=1)
    first = stream.receive().digest
    learn(device, 1, port=1)
    learn(device, 2, port=1)
    assert macs(stream.receive().digest) == [2]
    stream.send(digest_ack=p4r.DigestListAck(digest_id=digest_id, list_id=first.list_id))
    # The way of the acknowledgement and that of the event are apart: try until it has come.
    for _ in range(100):
        learn(device, 1, port=1)
        if not stream.quiet(0.05):
            return
    pytest.fail("an acknowledged digest does not come again")


def test_digest_ack_errors(client: Client, names: Names, stream: StreamClient) -> None:
    ack = p4r.DigestListAck(digest_id=12345, list_id=1)
    stream.send(digest_ack=ack)
    error = stream.receive().error
    assert error.canonical_code == StatusCode.INVALID_ARGUMENT.value[0]
    assert error.digest_list_ack.digest_list_ack == ack
    backup = client.open()
    backup.arbitrate(None)
    backup.arbitration()
    backup.send(digest_ack=ack)
    assert backup.receive().error.canonical_code == StatusCode.PERMISSION_DENIED.value[0]


@pytest.fixture(scope="module")
def lists(p4info: p4i.P4Info, program_json: bytes) -> DigestLists:
    return DigestLists(Schema(p4info, fake_compile(program_json, p4info)).digests)


def test_digest_lists_by_the_clock(lists: DigestLists, names: Names) -> None:
    digest_id = names.p4info.digests[0].preamble.id
    config = p4r.DigestEntry.Config(max_timeout_ns=100, max_list_size=3, ack_timeout_ns=1000)
    configs = {digest_id: config}

    def add(mac: int, now: int) -> list[int] | None:
        complete = lists.add(digest_id, mac.to_bytes(6, "big") + b"\0\1", config, now)
        return None if complete is None else macs(complete)

    assert add(1, 0) is None
    assert add(1, 50) is None
    assert lists.deadline(configs) == 100
    assert list(lists.due(configs, 99)) == []
    (first,) = lists.due(configs, 100)
    assert macs(first) == [1]
    assert lists.deadline(configs) is None
    assert add(1, 200) is None  # not acknowledged
    assert [add(m, 300) for m in (2, 3, 4)] == [None, None, [2, 3, 4]]
    lists.acknowledge(digest_id + 1, first.list_id)
    assert [add(m, 400) for m in (1, 2)] == [None, None]
    assert lists.deadline(configs) is None
    lists.acknowledge(digest_id, first.list_id)
    assert add(1, 500) is None
    assert lists.deadline(configs) == 600
    assert list(lists.due({}, 700)) == []  # no longer configured: forgotten
    assert lists.deadline(configs) is None
    assert [add(m, 1299) for m in (2, 5)] == [None, None]
    assert add(2, 1300) is None  # the cache entry of 2 has expired
    (second,) = lists.due(configs, 1399)
    assert macs(second) == [5, 2]


# ---- life cycle of streams --------------------------------------------------------------------------------


def test_a_slow_client_loses_packets_not_arbitration() -> None:
    """A client that reads nothing costs bounded memory; who is primary still reaches it."""
    from p4jit.p4runtime.stream import _MAX_WAITING, Stream

    stream = Stream("slow")
    packet = p4r.StreamMessageResponse(packet=p4r.PacketIn(payload=b"x"))
    sent = [stream.send(packet) for _ in range(_MAX_WAITING + 10)]
    assert sent == [True] * _MAX_WAITING + [False] * 10
    stream.notify(p4r.MasterArbitrationUpdate(device_id=1))
    stream.close()
    messages = list(stream.responses())
    assert len(messages) == _MAX_WAITING + 1
    assert messages[-1].WhichOneof("update") == "arbitration"


def test_a_server_that_stops_ends_its_streams(device: AnyDevice, compile_program: Compile) -> None:
    server = P4RuntimeServer([device], compile_program, "localhost:0")
    server.start()
    with Client(server.port) as client:
        stream = client.become_primary()
        server.stop()
        assert stream.ended() is StatusCode.UNAVAILABLE
