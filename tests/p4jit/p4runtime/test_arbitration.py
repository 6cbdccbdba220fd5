# SPDX-License-Identifier: Apache-2.0
"""Who is primary: election ids, roles, promotions and demotions, over real streams."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import pytest
from finsy.proto import p4i, p4r, stratum
from google.protobuf.struct_pb2 import Struct
from grpc import StatusCode
from p4jit.p4runtime import P4RuntimeServer
from p4jit.p4runtime.arbitration import MAX_CLIENTS

from tests.p4jit.p4runtime.client import (
    ALREADY_EXISTS,
    NOT_FOUND,
    OK,
    Client,
    StreamClient,
    WriteFailed,
    update,
)
from tests.p4jit.p4runtime.names import Names
from tests.p4jit.p4runtime.observe import AnyDevice

BIG = (1 << 100) + 7


@pytest.fixture
def bare(server: P4RuntimeServer) -> Iterator[Client]:
    with Client(server.port) as client:
        yield client


@contextmanager
def streams(client: Client, *election_ids: int | None, role: str = "") -> Iterator[list[StreamClient]]:
    opened = []
    for election_id in election_ids:
        stream = client.open()
        stream.arbitrate(election_id, role=role)
        opened.append(stream)
        stream.arbitration()
    # What later arrivals caused the earlier ones to hear.
    for position, stream in enumerate(opened):
        for later in range(position + 1, len(opened)):
            if _leads(election_ids, later):
                stream.arbitration()
    yield opened
    for stream in opened:
        stream.cancel()


def _leads(ids: tuple[int | None, ...], position: int) -> bool:
    own = ids[position]
    return own is not None and all(i is None or i <= own for i in ids[:position])


def status(update: p4r.MasterArbitrationUpdate) -> int:
    return update.status.code


def election(update: p4r.MasterArbitrationUpdate) -> int | None:
    if not update.HasField("election_id"):
        return None
    return update.election_id.high << 64 | update.election_id.low


# ---- one role ---------------------------------------------------------------------------------------------


def test_the_first_with_an_election_id_is_primary(bare: Client) -> None:
    stream = bare.open()
    stream.arbitrate(BIG)
    answer = stream.arbitration()
    assert (status(answer), election(answer), answer.device_id) == (OK, BIG, 1)
    assert not answer.HasField("role")


def test_without_an_election_id_there_is_no_primary(bare: Client) -> None:
    stream = bare.open()
    stream.arbitrate(None)
    answer = stream.arbitration()
    assert (status(answer), election(answer)) == (NOT_FOUND, None)


def test_election_id_zero_is_an_election_id(bare: Client) -> None:
    stream = bare.open()
    stream.arbitrate(0)
    answer = stream.arbitration()
    assert (status(answer), election(answer)) == (OK, 0)


def test_a_greater_id_takes_over_and_all_hear_of_it(bare: Client) -> None:
    with streams(bare, 5, None, 3) as (first, standby, third):
        new = bare.open()
        new.arbitrate(9)
        answer = new.arbitration()
        assert (status(answer), election(answer)) == (OK, 9)
        for backup in (first, standby, third):
            answer = backup.arbitration()
            assert (status(answer), election(answer)) == (ALREADY_EXISTS, 9)


def test_a_lesser_id_is_backup_and_nobody_else_hears(bare: Client) -> None:
    with streams(bare, 5) as (first,):
        second = bare.open()
        second.arbitrate(4)
        answer = second.arbitration()
        assert (status(answer), election(answer)) == (ALREADY_EXISTS, 5)
        assert first.quiet()


def test_a_primary_that_leaves_leaves_no_primary(bare: Client) -> None:
    with streams(bare, 5, 4) as (first, second):
        first.close()
        answer = second.arbitration()
        assert (status(answer), election(answer)) == (NOT_FOUND, 5)
        second.arbitrate(4)  # not as great as the greatest ever
        answer = second.arbitration()
        assert (status(answer), election(answer)) == (NOT_FOUND, 5)
        second.arbitrate(5)  # free again, and as great
        answer = second.arbitration()
        assert (status(answer), election(answer)) == (OK, 5)


def test_a_primary_that_is_killed_leaves_no_primary(server: P4RuntimeServer, bare: Client) -> None:
    with Client(server.port) as other, streams(bare, 4) as (backup,):
        primary = other.open()
        primary.arbitrate(5)
        primary.arbitration()
        assert status(backup.arbitration()) == ALREADY_EXISTS
        other.channel.close()
        assert status(backup.arbitration()) == NOT_FOUND


def test_a_backup_that_leaves_is_not_news(bare: Client) -> None:
    with streams(bare, 5, 4) as (first, second):
        second.cancel()
        assert first.quiet()


def test_a_primary_can_step_down_and_a_backup_up(bare: Client) -> None:
    with streams(bare, 5, 4) as (first, second):
        first.arbitrate(2)
        for stream in (first, second):
            answer = stream.arbitration()
            assert (status(answer), election(answer)) == (NOT_FOUND, 5)
        second.arbitrate(6)
        assert (status(second.arbitration()), status(first.arbitration())) == (OK, ALREADY_EXISTS)


def test_the_same_again_from_the_primary_is_told_to_all(bare: Client) -> None:
    with streams(bare, 5, 4) as (first, second):
        first.arbitrate(5)
        assert status(first.arbitration()) == OK
        assert status(second.arbitration()) == ALREADY_EXISTS


# ---- refusals end the stream ------------------------------------------------------------------------------


def test_an_unknown_device(bare: Client) -> None:
    stream = bare.open()
    stream.arbitrate(1, device_id=99)
    assert stream.ended() is StatusCode.NOT_FOUND


def test_an_election_id_in_use(bare: Client) -> None:
    with streams(bare, 5, 4) as (first, second):
        third = bare.open()
        third.arbitrate(5)
        assert third.ended() is StatusCode.INVALID_ARGUMENT
        second.arbitrate(5)
        assert second.ended() is StatusCode.INVALID_ARGUMENT
        assert first.quiet()


def test_a_stream_keeps_its_device_and_role(bare: Client) -> None:
    with streams(bare, 5) as (first,):
        first.arbitrate(5, device_id=2)
        assert first.ended() is StatusCode.FAILED_PRECONDITION
    with streams(bare, 6) as (first,):
        first.arbitrate(6, role="other")
        assert first.ended() is StatusCode.FAILED_PRECONDITION


def test_a_stream_starts_with_arbitration(bare: Client) -> None:
    stream = bare.open()
    stream.send(packet=p4r.PacketOut(payload=b"x"))
    assert stream.ended() is StatusCode.FAILED_PRECONDITION


def test_numeric_roles_are_refused(bare: Client) -> None:
    stream = bare.open()
    message = p4r.MasterArbitrationUpdate(device_id=1, role=p4r.Role(id=4), election_id=p4r.Uint128(low=1))
    stream.send(arbitration=message)
    assert stream.ended() is StatusCode.INVALID_ARGUMENT


def test_too_many_streams(bare: Client) -> None:
    opened = [bare.open() for _ in range(MAX_CLIENTS)]
    for number, stream in enumerate(reversed(opened)):
        stream.arbitrate(None if number else 1)
        stream.arbitration()
    late = bare.open()
    late.arbitrate(50)
    assert late.ended() is StatusCode.RESOURCE_EXHAUSTED
    assert opened[-1].quiet()
    opened[0].cancel()
    again = bare.open()
    again.arbitrate(51)
    assert status(again.arbitration()) == OK


# ---- writes -----------------------------------------------------------------------------------------------


def test_only_the_primary_writes(client: Client, names: Names, server: P4RuntimeServer) -> None:
    entry = names.entry("l2", {"dst": 1}, names.action("forward", 1))
    with Client(server.port, election_id=2) as other:
        for election_id in (None, 0, 2):
            other.election_id = election_id
            with pytest.raises(grpc.RpcError) as failure:
                other.insert(table_entry=entry)
            assert failure.value.code() is StatusCode.PERMISSION_DENIED
            with pytest.raises(grpc.RpcError) as failure:
                other.set_pipeline(names.p4info, b"{}")
            assert failure.value.code() is StatusCode.PERMISSION_DENIED
        other.role = "unheard-of"
        with pytest.raises(grpc.RpcError) as failure:
            other.insert(table_entry=entry)
        assert failure.value.code() is StatusCode.NOT_FOUND
        other.role = ""
        other.become_primary()
        other.insert(table_entry=entry)
    with pytest.raises(grpc.RpcError) as failure:
        client.delete(table_entry=entry)
    assert failure.value.code() is StatusCode.PERMISSION_DENIED


def test_a_primary_that_is_gone_cannot_write(client: Client, names: Names) -> None:
    assert client.stream is not None
    watcher = client.open()
    watcher.arbitrate(None)
    watcher.arbitration()
    client.stream.cancel()
    assert status(watcher.arbitration()) == NOT_FOUND
    with pytest.raises(grpc.RpcError) as failure:
        client.insert(table_entry=names.entry("l2", {"dst": 1}, names.action("forward", 1)))
    assert failure.value.code() is StatusCode.PERMISSION_DENIED


def test_a_new_primary_waits_for_writes_under_way(client: Client, names: Names, device: AnyDevice) -> None:
    """The old primary's batch ends before the new one is told that it is primary."""
    device.gate = threading.Event()
    outcome: list[object] = []
    entries = [names.entry("l2", {"dst": i}, names.action("forward", 1)) for i in range(5)]

    def write() -> None:
        client.write([update("INSERT", table_entry=e) for e in entries])
        outcome.append("written")

    writer = threading.Thread(target=write)
    writer.start()
    assert device.waiting.wait(10)
    new = client.open()
    new.arbitrate(9)
    assert client.stream is not None
    answer = client.stream.arbitration()  # told at once
    assert (status(answer), election(answer)) == (ALREADY_EXISTS, 9)
    assert new.quiet()
    assert not outcome
    device.gate.set()
    assert status(new.arbitration()) == OK
    writer.join(10)
    assert outcome == ["written"]


# ---- roles ------------------------------------------------------------------------------------------------


def role_config(exclusive: list[int] | None = None, shared: list[int] | None = None) -> stratum.P4RoleConfig:
    return stratum.P4RoleConfig(exclusive_p4_ids=exclusive, shared_p4_ids=shared, receives_packet_ins=True)


def test_roles_have_their_own_primaries(bare: Client) -> None:
    with streams(bare, 5) as (default,), streams(bare, 5, role="routing") as (routing,):
        assert default.quiet()
        routing.arbitrate(7, role="routing")
        answer = routing.arbitration()
        assert (status(answer), election(answer), answer.role.name) == (OK, 7, "routing")
        assert default.quiet()


def test_a_role_config_is_echoed_and_belongs_to_the_role(bare: Client) -> None:
    first, second = bare.open(), bare.open()
    first.arbitrate(5, role="routing", config=role_config([1]))
    answer = first.arbitration()
    found = stratum.P4RoleConfig()
    assert answer.role.config.Unpack(found)
    assert list(found.exclusive_p4_ids) == [1]
    second.arbitrate(4, role="routing", config=role_config([2]))
    assert second.arbitration().role.config == answer.role.config  # a backup's does not count
    second.arbitrate(6, role="routing", config=role_config([2]))
    for stream in (first, second):
        assert stream.arbitration().role.config.Unpack(found)
        assert list(found.exclusive_p4_ids) == [2]


def test_role_config_refusals(bare: Client) -> None:
    stream = bare.open()
    stream.arbitrate(1, role="routing", config=Struct())
    assert stream.ended() is StatusCode.INVALID_ARGUMENT
    stream = bare.open()
    stream.arbitrate(1, config=role_config([1]))
    assert stream.ended() is StatusCode.INVALID_ARGUMENT
    owner = bare.open()
    owner.arbitrate(1, role="a", config=role_config([1, 2]))
    owner.arbitration()
    stream = bare.open()
    stream.arbitrate(1, role="b", config=role_config([2, 3]))
    assert stream.ended() is StatusCode.INVALID_ARGUMENT


def test_what_a_role_may_do(
    client: Client, names: Names, server: P4RuntimeServer, program_json: bytes
) -> None:
    l2 = names.entry("l2", {"dst": 1}, names.action("forward", 1))
    started = names.entry("started", {"type": 5}, names.action("forward", 1))
    pairs = names.entry("pairs", {"src": 1, "nibble": 1, "valid": 1}, names.action("forward", 1))
    with Client(server.port) as routing:
        routing.role = "routing"
        stream = routing.open()
        stream.arbitrate(1, role="routing", config=role_config([names.id("l2")], [names.id("pairs")]))
        stream.arbitration()
        with pytest.raises(WriteFailed) as failure:
            routing.write([update("INSERT", table_entry=e) for e in (l2, started, pairs)])
        assert failure.value.codes == [StatusCode.OK, StatusCode.PERMISSION_DENIED, StatusCode.OK]
        with pytest.raises(grpc.RpcError) as refusal:
            routing.set_pipeline(names.p4info, program_json)
        assert refusal.value.code() is StatusCode.PERMISSION_DENIED
        # The role's exclusive table is nobody else's, its shared one is everybody's.
        with pytest.raises(WriteFailed) as failure:
            client.write([update("DELETE", table_entry=e) for e in (l2, pairs)])
        assert failure.value.codes == [StatusCode.PERMISSION_DENIED, StatusCode.OK]
        found = routing.read(role="routing", table_entry=p4r.TableEntry())
        assert found == [l2]
        assert len(client.read(table_entry=p4r.TableEntry())) > 1


def test_reads_need_no_session(client: Client, server: P4RuntimeServer, p4info: p4i.P4Info) -> None:
    with Client(server.port, election_id=None) as reader:
        assert reader.read(table_entry=p4r.TableEntry())
        assert reader.get_pipeline().config.p4info == p4info
