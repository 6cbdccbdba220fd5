# SPDX-License-Identifier: Apache-2.0
"""Pipelines: verified, saved, committed, reconciled, read back."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from finsy.proto import p4i, p4r
from grpc import StatusCode
from p4jit.p4runtime.pipeline import bmv2_json
from p4jit.target.interface import CounterValue, DeviceError, FullError

from tests.p4jit.p4runtime.client import Client, WriteFailed, update
from tests.p4jit.p4runtime.names import Names
from tests.p4jit.p4runtime.observe import AnyDevice, counters, frame, ports_of, registers, room

Request = p4r.SetForwardingPipelineConfigRequest


@pytest.fixture
def primary(bare: Client) -> Client:
    bare.become_primary()
    return bare


def refusal(call: Any, *arguments: Any, **named: Any) -> StatusCode:
    with pytest.raises(grpc.RpcError) as failure:
        call(*arguments, **named)
    code: StatusCode = failure.value.code()
    return code


def without(p4info: p4i.P4Info, table: str) -> p4i.P4Info:
    """A P4Info that no longer has this table."""
    copy = p4i.P4Info()
    copy.CopyFrom(p4info)
    kept = [t for t in p4info.tables if t.preamble.alias != table]
    del copy.tables[:]
    copy.tables.extend(kept)
    return copy


def l2(names: Names, dst: int, port: int = 1) -> p4r.TableEntry:
    return names.entry("l2", {"dst": dst}, names.action("forward", port))


# ---- before there is a pipeline ---------------------------------------------------------------------------


def test_before_a_pipeline_is_set(primary: Client) -> None:
    assert refusal(primary.read, table_entry=p4r.TableEntry()) is StatusCode.FAILED_PRECONDITION
    assert refusal(primary.insert, table_entry=p4r.TableEntry()) is StatusCode.FAILED_PRECONDITION
    assert not primary.get_pipeline().HasField("config")


def test_unknown_devices(primary: Client, p4info: p4i.P4Info, program_json: bytes) -> None:
    primary.device_id = 9
    assert refusal(primary.set_pipeline, p4info, program_json) is StatusCode.NOT_FOUND
    assert refusal(primary.get_pipeline) is StatusCode.NOT_FOUND
    assert refusal(primary.read, table_entry=p4r.TableEntry()) is StatusCode.NOT_FOUND
    assert refusal(primary.insert, table_entry=p4r.TableEntry()) is StatusCode.NOT_FOUND
    assert refusal(primary.stub.Capabilities, p4r.CapabilitiesRequest(device_id=9)) is StatusCode.NOT_FOUND
    for device_id in (0, 1):
        answer = primary.stub.Capabilities(p4r.CapabilitiesRequest(device_id=device_id))
        assert answer.p4runtime_api_version == "1.4.1"


# ---- what comes back --------------------------------------------------------------------------------------


def test_the_configuration_comes_back(primary: Client, p4info: p4i.P4Info, program_json: bytes) -> None:
    primary.set_pipeline(p4info, program_json, cookie=0)
    kinds = p4r.GetForwardingPipelineConfigRequest
    whole = primary.get_pipeline().config
    assert (whole.p4info, whole.p4_device_config) == (p4info, program_json)
    assert whole.HasField("cookie")
    cookie = primary.get_pipeline(kinds.COOKIE_ONLY).config
    assert cookie.HasField("cookie")
    assert not cookie.HasField("p4info")
    info = primary.get_pipeline(kinds.P4INFO_AND_COOKIE).config
    assert (info.p4info, info.p4_device_config) == (p4info, b"")
    config = primary.get_pipeline(kinds.DEVICE_CONFIG_AND_COOKIE).config
    assert not config.HasField("p4info")
    assert config.p4_device_config == program_json
    assert refusal(primary.get_pipeline, 9) is StatusCode.INVALID_ARGUMENT
    primary.set_pipeline(p4info, program_json)
    assert not primary.get_pipeline().config.HasField("cookie")


# ---- VERIFY -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "action",
    [Request.VERIFY, Request.VERIFY_AND_SAVE, Request.VERIFY_AND_COMMIT, Request.RECONCILE_AND_COMMIT],
)
def test_bad_configurations_change_nothing(
    client: Client, names: Names, p4info: p4i.P4Info, program_json: bytes, action: int
) -> None:
    client.insert(table_entry=l2(names, 1))
    before = (client.get_pipeline(), client.read(table_entry=p4r.TableEntry()))
    unknown_table = p4i.P4Info()
    unknown_table.CopyFrom(p4info)
    unknown_table.counters[0].preamble.name = "I.nothing"
    wrong_width = p4i.P4Info()
    wrong_width.CopyFrom(p4info)
    wrong_width.tables[0].match_fields[0].bitwidth = 3
    twice = p4i.P4Info()
    twice.CopyFrom(p4info)
    twice.tables[1].preamble.id = twice.tables[0].preamble.id
    for info, json in (
        (p4info, b""),
        (p4info, b"{"),
        (p4info, b"\xff\xfe"),
        (p4info, b"[]"),
        (unknown_table, program_json),
        (wrong_width, program_json),
        (twice, program_json),
    ):
        assert refusal(client.set_pipeline, info, json, action) is StatusCode.INVALID_ARGUMENT
    assert refusal(client.set_pipeline, None, b"", action) is StatusCode.INVALID_ARGUMENT
    assert (client.get_pipeline(), client.read(table_entry=p4r.TableEntry())) == before


def test_verify_changes_nothing(
    client: Client, names: Names, device: AnyDevice, p4info: p4i.P4Info, program_json: bytes
) -> None:
    client.insert(table_entry=l2(names, 1))
    loaded = device.program
    client.set_pipeline(without(p4info, "pairs"), program_json, Request.VERIFY)
    assert device.program is loaded
    assert client.get_pipeline().config.p4info == p4info
    assert client.read(table_entry=names.entry("l2", {"dst": 1}))


def test_actions_outside_the_enum(client: Client, p4info: p4i.P4Info, program_json: bytes) -> None:
    for action in (Request.UNSPECIFIED, 17):
        assert refusal(client.set_pipeline, p4info, program_json, action) is StatusCode.INVALID_ARGUMENT


# ---- VERIFY_AND_COMMIT ------------------------------------------------------------------------------------


def test_commit_clears_what_was_written(
    client: Client, names: Names, device: AnyDevice, p4info: p4i.P4Info, program_json: bytes
) -> None:
    fresh = client.read(table_entry=p4r.TableEntry())
    client.insert(table_entry=l2(names, 1))
    client.insert(action_profile_member=names.member("balancer", 1, names.action("forward", 1)))
    client.set_pipeline(p4info, program_json)
    assert client.read(table_entry=p4r.TableEntry()) == fresh
    assert client.read(action_profile_member=p4r.ActionProfileMember()) == []
    assert room(device, "balancer") == 64
    assert ports_of(device, "l2", frame(1)) == []


def test_a_program_the_device_refuses(
    client: Client, names: Names, device: AnyDevice, p4info: p4i.P4Info, program_json: bytes
) -> None:
    client.insert(table_entry=l2(names, 1))
    device.failures["load"] = DeviceError("too many headers")
    assert refusal(client.set_pipeline, p4info, program_json) is StatusCode.INVALID_ARGUMENT
    assert client.read(table_entry=names.entry("l2", {"dst": 1}))
    assert ports_of(device, "l2", frame(1)) == [1]


# ---- VERIFY_AND_SAVE and COMMIT ---------------------------------------------------------------------------


def test_save_and_commit(
    client: Client, names: Names, device: AnyDevice, p4info: p4i.P4Info, program_json: bytes
) -> None:
    client.insert(table_entry=l2(names, 1))
    old = device.program
    smaller = without(p4info, "pairs")
    client.set_pipeline(smaller, program_json, Request.VERIFY_AND_SAVE, cookie=2)
    # The device is as it was, while reads and writes are about what is saved.
    assert device.program is old
    assert client.get_pipeline().config.cookie.cookie == 2
    assert client.read(table_entry=names.entry("l2", {"dst": 1})) == []
    client.insert(table_entry=l2(names, 2, port=4))
    one_shot = names.one_shot((names.action("forward", 1), 1, 3))
    client.insert(table_entry=names.entry("ecmp", {}, one_shot))
    entry = names.entry("pairs", {"src": 1, "nibble": 0, "valid": 0}, names.action("forward", 1))
    with pytest.raises(WriteFailed) as failure:
        client.insert(table_entry=entry)
    assert failure.value.codes == [StatusCode.NOT_FOUND]
    client.delete(table_entry=names.entry("started", {"type": 0x0800}))
    saved = client.read(table_entry=p4r.TableEntry())
    frames = frame(1), frame(2)
    assert ports_of(device, "l2", *frames) == [1]

    written = len(device.calls)
    client.set_pipeline(None, action=Request.COMMIT)
    assert client.get_pipeline().config.cookie.cookie == 2
    assert sorted(map(str, client.read(table_entry=p4r.TableEntry()))) == sorted(map(str, saved))
    # No packet saw the program without its entries.
    commit = device.calls[written:]
    assert {"load", "table_insert"} <= {call.method for call in commit}
    assert all(call.frozen > 0 for call in commit)
    assert ports_of(device, "l2", *frames) == [4]
    client.modify(table_entry=l2(names, 2, port=7))
    assert ports_of(device, "l2", *frames) == [7]


def test_commit_refusals(client: Client, p4info: p4i.P4Info, program_json: bytes) -> None:
    assert refusal(client.set_pipeline, None, b"", Request.COMMIT) is StatusCode.NOT_FOUND
    client.set_pipeline(p4info, program_json, Request.VERIFY_AND_SAVE)
    assert refusal(client.set_pipeline, p4info, program_json, Request.COMMIT) is StatusCode.INVALID_ARGUMENT
    client.set_pipeline(None, b"", Request.COMMIT)
    assert refusal(client.set_pipeline, None, b"", Request.COMMIT) is StatusCode.NOT_FOUND


def test_a_commit_that_fails_restores_what_ran(
    client: Client, names: Names, device: AnyDevice, p4info: p4i.P4Info, program_json: bytes
) -> None:
    client.insert(table_entry=l2(names, 1))
    client.set_pipeline(without(p4info, "pairs"), program_json, Request.VERIFY_AND_SAVE)
    client.insert(table_entry=l2(names, 2, port=4))
    device.failures["table_insert"] = FullError("no room")
    assert refusal(client.set_pipeline, None, b"", Request.COMMIT) is StatusCode.RESOURCE_EXHAUSTED
    frames = frame(1), frame(2)
    assert ports_of(device, "l2", *frames) == [1]
    client.set_pipeline(None, action=Request.COMMIT)  # still saved: it can be tried again
    assert ports_of(device, "l2", *frames) == [4]


# ---- RECONCILE_AND_COMMIT ---------------------------------------------------------------------------------


def everything(client: Client, *further: p4r.Entity) -> list[str]:
    pre = p4r.PacketReplicationEngineEntry
    queries = [
        p4r.Entity(table_entry=p4r.TableEntry(counter_data={}, meter_config={})),
        p4r.Entity(action_profile_member=p4r.ActionProfileMember()),
        p4r.Entity(action_profile_group=p4r.ActionProfileGroup()),
        p4r.Entity(counter_entry=p4r.CounterEntry()),
        p4r.Entity(meter_entry=p4r.MeterEntry()),
        p4r.Entity(register_entry=p4r.RegisterEntry()),
        p4r.Entity(value_set_entry=p4r.ValueSetEntry()),
        p4r.Entity(digest_entry=p4r.DigestEntry()),
        p4r.Entity(packet_replication_engine_entry=pre(multicast_group_entry={})),
        p4r.Entity(packet_replication_engine_entry=pre(clone_session_entry={})),
    ]
    answers = client.read_stream([*queries, *further])
    return sorted(str(entity) for answer in answers for entity in answer.entities)


def fill(client: Client, names: Names) -> None:
    """Something of every entity."""
    client.insert(action_profile_member=names.member("balancer", 1, names.action("forward", 1)))
    client.insert(action_profile_group=names.group("balancer", 5, [(1, 2, 3)]))
    metered = names.entry("routes", {"flag": 1}, names.action("metered", 1))
    metered.meter_config.CopyFrom(p4r.MeterConfig(cir=1, cburst=1, pir=2, pburst=2))
    counted = l2(names, 1)
    counted.counter_data.packet_count = 77
    replicas = [p4r.Replica(port=b"\1", instance=1)]
    pre = p4r.PacketReplicationEngineEntry
    client.write(
        [
            update("INSERT", table_entry=counted),
            update("INSERT", table_entry=metered),
            update("INSERT", table_entry=names.entry("ecmp", {}, p4r.TableAction(action_profile_group_id=5))),
            update(
                "INSERT",
                table_entry=names.entry(
                    "ecmp_limited", {"dst": 1}, names.one_shot((names.action("forward", 1), 1))
                ),
            ),
            update("DELETE", table_entry=names.entry("started", {"type": 0x0800})),
            update("INSERT", table_entry=names.entry("acl", {"nibble": 1}, names.action("drop"), priority=3)),
            update(
                "MODIFY",
                table_entry=names.entry("l2", {}, names.action("forward", 2), is_default_action=True),
            ),
            update(
                "INSERT",
                packet_replication_engine_entry=pre(
                    multicast_group_entry={"multicast_group_id": 1, "replicas": replicas}
                ),
            ),
            update(
                "INSERT",
                packet_replication_engine_entry=pre(
                    clone_session_entry={"session_id": 1, "replicas": replicas}
                ),
            ),
            update("INSERT", digest_entry=p4r.DigestEntry(digest_id=names.p4info.digests[0].preamble.id)),
            update(
                "MODIFY",
                meter_entry=p4r.MeterEntry(
                    meter_id=names.id("port_meter"), index={"index": 2}, config={"cir": 1, "pir": 1}
                ),
            ),
            update(
                "MODIFY",
                counter_entry=p4r.CounterEntry(
                    counter_id=names.id("port_counter"), index={"index": 2}, data={"packet_count": 9}
                ),
            ),
            update(
                "MODIFY",
                register_entry=p4r.RegisterEntry(
                    register_id=names.id("seen"), index={"index": 2}, data={"bitstring": b"\5"}
                ),
            ),
        ]
    )


def test_reconcile_keeps_everything(
    client: Client, names: Names, device: AnyDevice, p4info: p4i.P4Info, program_json: bytes
) -> None:
    fill(client, names)
    before = everything(client)
    old = device.program
    client.set_pipeline(without(p4info, "pairs"), program_json + b" ", Request.RECONCILE_AND_COMMIT, cookie=8)
    assert device.program is not old
    assert everything(client) == before
    assert client.get_pipeline().config.cookie.cookie == 8
    # And it is all in the device, not only in the books.
    client.delete(table_entry=names.entry("ecmp", {}))
    client.delete(action_profile_group=names.group("balancer", 5, []))
    client.delete(action_profile_member=names.member("balancer", 1, None))
    assert room(device, "balancer") == 64
    assert counters(device, "port_counter", 8)[2] == CounterValue(9, 0)
    assert registers(device, "seen", 16)[2] == 5


def test_reconcile_of_the_same_program_touches_nothing(
    client: Client, names: Names, device: AnyDevice, p4info: p4i.P4Info, program_json: bytes
) -> None:
    fill(client, names)
    before, old = everything(client), device.program
    client.set_pipeline(p4info, program_json, Request.RECONCILE_AND_COMMIT, cookie=8)
    assert device.program is old
    assert everything(client) == before
    assert client.get_pipeline().config.cookie.cookie == 8


def test_reconcile_refuses_what_it_cannot_keep(
    client: Client, names: Names, device: AnyDevice, p4info: p4i.P4Info, program_json: bytes
) -> None:
    fill(client, names)
    before, old = everything(client), device.program
    for table in ("l2", "acl", "ecmp"):
        code = refusal(
            client.set_pipeline, without(p4info, table), program_json, Request.RECONCILE_AND_COMMIT
        )
        assert code is StatusCode.INVALID_ARGUMENT
    assert (device.program, everything(client)) == (old, before)


def test_reconcile_without_a_pipeline_commits(
    primary: Client, p4info: p4i.P4Info, program_json: bytes
) -> None:
    primary.set_pipeline(p4info, program_json, Request.RECONCILE_AND_COMMIT)
    assert primary.read(table_entry=p4r.TableEntry())


# ---- the device configuration -----------------------------------------------------------------------------


def test_a_wrapped_device_configuration(primary: Client, p4info: p4i.P4Info, program_json: bytes) -> None:
    """p4.tmp.P4DeviceConfig {reassign: true, device_data: JSON}."""
    size = len(program_json)
    length = bytes((size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14))
    wrapped = b"\x08\x01" + b"\x1a" + length + program_json
    assert bmv2_json(wrapped) == program_json
    primary.set_pipeline(p4info, wrapped)
    assert primary.get_pipeline().config.p4_device_config == wrapped
