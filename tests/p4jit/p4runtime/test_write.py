# SPDX-License-Identifier: Apache-2.0
"""Batches: the status of each update, and the atomicity that the batch asks for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import pytest
from finsy.proto import p4i, p4r
from grpc import StatusCode
from hypothesis import given, settings
from hypothesis import strategies as st
from p4jit.p4runtime import P4RuntimeServer
from p4jit.target.interface import FullError

from tests.p4jit.p4runtime.client import Client, WriteFailed, update
from tests.p4jit.p4runtime.fake_device import FakeDevice, fake_compile
from tests.p4jit.p4runtime.names import Names
from tests.p4jit.p4runtime.observe import (
    AnyDevice,
    behaviour,
    device_state,
    entry_count,
    frame,
    ports_of,
)
from tests.p4jit.p4runtime.real_device import compile_pushed, new_device
from tests.p4jit.p4runtime.test_pipeline import everything, fill

CONTINUE = p4r.WriteRequest.CONTINUE_ON_ERROR
ROLLBACK = p4r.WriteRequest.ROLLBACK_ON_ERROR
ATOMIC = p4r.WriteRequest.DATAPLANE_ATOMIC


def l2(names: Names, dst: int, port: int = 1) -> p4r.TableEntry:
    return names.entry("l2", {"dst": dst}, names.action("forward", port))


def books(client: Client, names: Names) -> list[str]:
    """What the server says the device holds."""
    tables = [t.preamble.id for t in names.p4info.tables]
    defaults = [p4r.Entity(table_entry=p4r.TableEntry(table_id=t, is_default_action=True)) for t in tables]
    return everything(client, *defaults)


# ---- statuses ---------------------------------------------------------------------------------------------


def test_every_update_has_its_status_in_order(client: Client, names: Names) -> None:
    with pytest.raises(WriteFailed) as failure:
        client.write(
            [
                update("INSERT", table_entry=l2(names, 1)),
                update("DELETE", table_entry=l2(names, 2)),
                update("INSERT", table_entry=l2(names, 3)),
                update("INSERT", table_entry=l2(names, 1)),
                p4r.Update(),
            ]
        )
    assert failure.value.codes == [
        StatusCode.OK,
        StatusCode.NOT_FOUND,
        StatusCode.OK,
        StatusCode.ALREADY_EXISTS,
        StatusCode.INVALID_ARGUMENT,
    ]
    assert failure.value.errors[0] == p4r.Error()
    assert len(client.read(table_entry=p4r.TableEntry(table_id=names.id("l2")))) == 2


def test_a_large_batch_with_errors(client: Client, names: Names) -> None:
    updates = [update("INSERT", table_entry=l2(names, i % 600)) for i in range(1000)]
    with pytest.raises(WriteFailed) as failure:
        client.write(updates)
    assert failure.value.codes == [StatusCode.OK] * 600 + [StatusCode.ALREADY_EXISTS] * 400


def test_an_empty_batch_is_fine(client: Client) -> None:
    client.write([])


def test_an_atomicity_outside_the_enum(client: Client, names: Names) -> None:
    with pytest.raises(grpc.RpcError) as failure:
        client.write([update("INSERT", table_entry=l2(names, 1))], atomicity=9)
    assert failure.value.code() is StatusCode.INVALID_ARGUMENT
    assert client.read(table_entry=p4r.TableEntry(table_id=names.id("l2"))) == []


def test_a_large_request(client: Client, names: Names) -> None:
    """Beyond gRPC's default of 4 MiB."""
    entries = [l2(names, i) for i in range(20_000)]
    for entry in entries:
        entry.metadata = bytes(300)
    client.write([update("INSERT", table_entry=e) for e in entries])
    assert len(client.read(table_entry=p4r.TableEntry(table_id=names.id("l2")))) == 20_000


def test_malformed_requests(client: Client, server: P4RuntimeServer) -> None:
    for method in ("Write", "SetForwardingPipelineConfig", "GetForwardingPipelineConfig", "Capabilities"):
        call = client.channel.unary_unary(f"/p4.v1.P4Runtime/{method}")
        with pytest.raises(grpc.RpcError) as failure:
            call(b"\xff\xff\xff")
        assert failure.value.code() is StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.RpcError) as failure:
        list(client.channel.unary_stream("/p4.v1.P4Runtime/Read")(b"\xff\xff\xff"))
    assert failure.value.code() is StatusCode.INVALID_ARGUMENT
    stream = client.channel.stream_stream("/p4.v1.P4Runtime/StreamChannel")(iter([b"\xff\xff\xff"]))
    with pytest.raises(grpc.RpcError) as failure:
        list(stream)
    assert failure.value.code() is StatusCode.INVALID_ARGUMENT


# ---- atomicity --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("atomicity", [ROLLBACK, ATOMIC])
def test_all_or_none(client: Client, names: Names, device: AnyDevice, atomicity: int) -> None:
    client.insert(table_entry=l2(names, 1))
    before = (device_state(device), books(client, names))
    good = [update("INSERT", table_entry=l2(names, 2, port=5)), update("DELETE", table_entry=l2(names, 1))]
    for bad, code in (
        (update("INSERT", table_entry=l2(names, 2)), StatusCode.ALREADY_EXISTS),  # known when applied
        (update("INSERT", table_entry=l2(names, 1 << 50)), StatusCode.OUT_OF_RANGE),  # known beforehand
    ):
        with pytest.raises(WriteFailed) as failure:
            client.write([*good, bad, *good], atomicity)
        aborted = StatusCode.ABORTED
        assert failure.value.codes == [aborted, aborted, code, aborted, aborted]
        assert (device_state(device), books(client, names)) == before
    frames = frame(1), frame(2)
    assert ports_of(device, "l2", *frames) == [1]
    client.write(good, atomicity)
    assert client.read(table_entry=p4r.TableEntry(table_id=names.id("l2"))) == [l2(names, 2, port=5)]
    assert ports_of(device, "l2", *frames) == [5]


def test_an_atomic_batch_is_applied_while_the_device_stands_still(
    client: Client, names: Names, device: AnyDevice
) -> None:
    for atomicity in (ATOMIC, CONTINUE):
        client.write(
            [update("INSERT", table_entry=l2(names, 10 * atomicity + i)) for i in range(3)], atomicity
        )
    inserts = [call for call in device.calls if call.method == "table_insert"]
    assert [call.frozen > 0 for call in inserts] == [True] * 3 + [False] * 3


def test_an_unforeseen_failure_is_internal_and_leaves_no_half(
    client: Client, names: Names, device: AnyDevice, caplog: pytest.LogCaptureFixture
) -> None:
    before = (device_state(device), books(client, names))
    default = names.entry("l2", {}, names.action("forward", 7), is_default_action=True)
    batch = [
        update("INSERT", table_entry=l2(names, 1)),
        update("MODIFY", table_entry=default),
        update("INSERT", table_entry=l2(names, 2)),
    ]
    device.failures["table_set_default"] = ZeroDivisionError("a bug")
    with pytest.raises(WriteFailed) as failure:
        client.write(batch, ROLLBACK)
    assert failure.value.codes == [StatusCode.ABORTED, StatusCode.INTERNAL, StatusCode.ABORTED]
    assert "a bug" in caplog.text
    assert "a bug" not in failure.value.errors[1].message
    assert (device_state(device), books(client, names)) == before
    device.failures["table_set_default"] = ZeroDivisionError("a bug")
    with pytest.raises(WriteFailed) as failure:
        client.write(batch)
    assert failure.value.codes == [StatusCode.OK, StatusCode.INTERNAL, StatusCode.OK]
    assert entry_count(device, "l2") == 2
    assert ports_of(device, "l2", frame(1), frame(2), frame(3)) == [1]


def changes(names: Names) -> list[p4r.Update]:
    """One change of each kind to what `fill` writes, each good by itself."""
    pre = p4r.PacketReplicationEngineEntry
    counted = l2(names, 1, 5)
    counted.counter_data.packet_count = 1
    metered = names.entry("routes", {"flag": 1}, names.action("metered", 2))
    metered.meter_config.CopyFrom(p4r.MeterConfig(cir=5, pir=5))
    default = names.entry("l2", {}, names.action("forward", 7), is_default_action=True)
    value_set = p4r.ValueSetEntry(value_set_id=names.p4info.value_sets[0].preamble.id)
    value_set.members.add().match.add(field_id=1).exact.value = b"\1"
    digest_id = names.p4info.digests[0].preamble.id
    one_shot = names.one_shot((names.action("forward", 6), 2), (names.action("forward", 5), 1))
    limited = names.entry("ecmp_limited", {"dst": 1}, one_shot)
    member = names.member("balancer", 1, names.action("forward", 9))
    replicas = [p4r.Replica(port=b"\3", instance=3)]
    entities: list[tuple[str, dict[str, Any]]] = [
        ("INSERT", {"table_entry": l2(names, 50)}),
        ("MODIFY", {"table_entry": counted}),
        ("DELETE", {"table_entry": l2(names, 1)}),
        ("MODIFY", {"table_entry": names.entry("l2", {"dst": 1}, metadata=b"m")}),
        ("MODIFY", {"table_entry": metered}),
        ("DELETE", {"table_entry": metered}),
        ("MODIFY", {"table_entry": default}),
        ("MODIFY", {"table_entry": names.entry("l2", {}, is_default_action=True)}),
        ("DELETE", {"table_entry": names.entry("acl", {"nibble": 1}, priority=3)}),
        ("MODIFY", {"table_entry": limited}),
        ("DELETE", {"table_entry": limited}),
        ("DELETE", {"table_entry": names.entry("ecmp", {})}),
        ("MODIFY", {"table_entry": names.entry("ecmp", {}, p4r.TableAction(action_profile_member_id=1))}),
        ("DELETE", {"table_entry": names.entry("started", {"type": 0x86DD})}),
        ("MODIFY", {"action_profile_member": member}),
        ("INSERT", {"action_profile_member": names.member("balancer", 2, names.action("forward", 9))}),
        ("MODIFY", {"action_profile_group": names.group("balancer", 5, [])}),
        ("INSERT", {"action_profile_group": names.group("balancer", 6, [(1, 1)])}),
        ("MODIFY", {"value_set_entry": value_set}),
        ("DELETE", {"digest_entry": p4r.DigestEntry(digest_id=digest_id)}),
        ("MODIFY", {"digest_entry": p4r.DigestEntry(digest_id=digest_id, config={"max_list_size": 3})}),
        ("MODIFY", {"direct_counter_entry": p4r.DirectCounterEntry(table_entry=l2(names, 1), data={})}),
        (
            "MODIFY",
            {"direct_meter_entry": p4r.DirectMeterEntry(table_entry=names.entry("routes", {"flag": 1}))},
        ),
    ]
    for index in ({"index": 2}, None):
        entities += [
            (
                "MODIFY",
                {
                    "counter_entry": p4r.CounterEntry(
                        counter_id=names.id("port_counter"), index=index, data={}
                    )
                },
            ),
            ("MODIFY", {"meter_entry": p4r.MeterEntry(meter_id=names.id("port_meter"), index=index)}),
            (
                "MODIFY",
                {
                    "register_entry": p4r.RegisterEntry(
                        register_id=names.id("seen"), index=index, data={"bitstring": b"\x09"}
                    )
                },
            ),
        ]
    for kind in ("INSERT", "MODIFY", "DELETE"):
        number = 2 if kind == "INSERT" else 1
        group = pre(multicast_group_entry={"multicast_group_id": number, "replicas": replicas})
        session = pre(clone_session_entry={"session_id": number, "replicas": replicas})
        entities += [(kind, {"packet_replication_engine_entry": entry}) for entry in (group, session)]
    return [update(kind, **entity) for kind, entity in entities]


def test_every_kind_of_change_is_taken_back(
    client: Client, names: Names, device: AnyDevice, p4info: p4i.P4Info, program_json: bytes
) -> None:
    bad = update("DELETE", table_entry=l2(names, 99))
    fill(client, names)

    def state() -> Any:
        return books(client, names), device_state(device)

    done = behaviour(device)
    before = state()
    for change in changes(names):
        with pytest.raises(WriteFailed) as failure:
            client.write([change, bad], ROLLBACK)
        assert failure.value.codes == [StatusCode.ABORTED, StatusCode.NOT_FOUND]
        assert state() == before, change
        assert behaviour(device) == done, change
        before = state()  # of counters, the packets have changed some
    for change in changes(names):
        # Each does change something: there was something to take back.
        client.set_pipeline(p4info, program_json)
        fill(client, names)
        before = state()
        client.write([change])
        assert state() != before, change


# ---- any batch --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["fake", "real"])
def twins(
    request: pytest.FixtureRequest, p4info: p4i.P4Info, program_json: bytes
) -> Iterator[tuple[list[Client], list[AnyDevice]]]:
    """Two devices of one server, and the primary of each."""
    fake = request.param == "fake"
    with ExitStack() as stack:
        devices: list[AnyDevice] = [FakeDevice(n) if fake else new_device(n) for n in (1, 2)]
        for device in devices:
            stack.callback(device.close)
        server = P4RuntimeServer(devices, fake_compile if fake else compile_pushed, "localhost:0")
        stack.enter_context(server)
        clients = [stack.enter_context(Client(server.port, device_id=d.device_id)) for d in devices]
        for client in clients:
            client.become_primary()
            client.set_pipeline(p4info, program_json)
        yield clients, devices


def updates_of(names: Names) -> st.SearchStrategy[p4r.Update]:
    """Updates over a few keys, so that they meet; some of them wrong."""
    kind = st.sampled_from(["INSERT", "INSERT", "MODIFY", "DELETE"])
    small = st.integers(0, 2)
    port = st.sampled_from([1, 2, 300])
    forward = st.builds(lambda p: names.action("forward", p), port)
    pre = p4r.PacketReplicationEngineEntry
    replicas = st.lists(st.builds(lambda p: p4r.Replica(egress_port=p), port), max_size=2)

    def with_counter(entry: p4r.TableEntry, packets: int) -> p4r.TableEntry:
        if packets:
            entry.counter_data.packet_count = packets
        return entry

    def with_meter(entry: p4r.TableEntry, rate: int) -> p4r.TableEntry:
        if rate:
            entry.meter_config.CopyFrom(p4r.MeterConfig(cir=rate, pir=rate))
        return entry

    one_shots = st.lists(st.tuples(forward, st.integers(0, 3)), max_size=3).map(lambda a: names.one_shot(*a))
    references = st.builds(lambda i: p4r.TableAction(action_profile_member_id=i), small) | st.builds(
        lambda i: p4r.TableAction(action_profile_group_id=i), small
    )
    entities = st.one_of(
        # The idle timeouts are too long to end: what a notification does is another matter.
        st.builds(
            lambda d, a, n, t: {
                "table_entry": with_counter(names.entry("l2", {"dst": d}, a, idle_timeout_ns=t * 10**12), n)
            },
            small,
            forward,
            small,
            small,
        ),
        st.builds(
            lambda a, m: {"table_entry": names.entry("l2", {}, a, is_default_action=True, metadata=m)},
            forward | st.none(),
            st.binary(max_size=1),
        ),
        st.builds(
            lambda f, p, r: {
                "table_entry": with_meter(
                    names.entry("routes", {"flag": f, "dst": (0, 8 + p)}, names.action("metered", p)), r
                )
            },
            st.integers(0, 1),
            small,
            small,
        ),
        st.builds(
            lambda p, t: {
                "table_entry": names.entry("acl", {"nibble": t, "proto": t}, names.action("drop"), priority=p)
            },
            small,
            small,
        ),
        st.builds(
            lambda t, a: {"table_entry": names.entry("started", {"type": 0x0800 + t}, a)}, small, forward
        ),
        st.builds(
            lambda d, a: {"table_entry": names.entry("ecmp", {"dst": (0, d + 1)}, a)},
            small,
            one_shots | references,
        ),
        st.builds(lambda i, a: {"action_profile_member": names.member("balancer", i, a)}, small, forward),
        st.builds(
            lambda i, m: {"action_profile_group": names.group("balancer", i, m)},
            small,
            st.lists(st.tuples(small, small), max_size=2),
        ),
        st.builds(
            lambda g, r: {
                "packet_replication_engine_entry": pre(
                    multicast_group_entry={"multicast_group_id": g, "replicas": r}
                )
            },
            small,
            replicas,
        ),
        st.builds(
            lambda g, r: {
                "packet_replication_engine_entry": pre(clone_session_entry={"session_id": g, "replicas": r})
            },
            small,
            replicas,
        ),
        st.builds(
            lambda i, n: {
                "counter_entry": p4r.CounterEntry(
                    counter_id=names.id("port_counter"),
                    index=None if i == 0 else {"index": i * 4},
                    data={"packet_count": n},
                )
            },
            small,
            small,
        ),
        st.builds(
            lambda i, n: {
                "register_entry": p4r.RegisterEntry(
                    register_id=names.id("seen"),
                    index=None if i == 0 else {"index": i * 8},
                    data={"bitstring": bytes((n,))},
                )
            },
            small,
            small,
        ),
        st.builds(
            lambda i, n: {
                "meter_entry": p4r.MeterEntry(
                    meter_id=names.id("port_meter"),
                    index=None if i == 0 else {"index": i * 2},
                    config=None if n == 0 else {"cir": n, "pir": 1},
                )
            },
            small,
            small,
        ),
        st.builds(
            lambda t: {
                "digest_entry": p4r.DigestEntry(
                    digest_id=names.p4info.digests[0].preamble.id, config={"max_timeout_ns": t}
                )
            },
            small,
        ),
        st.builds(
            lambda d, n: {
                "direct_counter_entry": p4r.DirectCounterEntry(
                    table_entry=names.entry("l2", {"dst": d}), data={"byte_count": n}
                )
            },
            small,
            small,
        ),
    )
    return st.builds(lambda k, e: update(k, **e), kind, entities)


def test_batches_are_all_or_none_or_each_by_itself(
    twins: tuple[list[Client], list[AnyDevice]], names: Names, p4info: p4i.P4Info, program_json: bytes
) -> None:
    (client, twin), (device, other) = twins

    def agree() -> None:
        assert (device_state(device), books(client, names)) == (device_state(other), books(twin, names))
        assert behaviour(device) == behaviour(other)

    @settings(max_examples=100)
    @given(
        first=st.lists(updates_of(names), max_size=25),
        second=st.lists(updates_of(names), max_size=12),
        atomicity=st.sampled_from([CONTINUE, ROLLBACK, ATOMIC]),
        doomed=st.booleans(),
    )
    def check(first: list[p4r.Update], second: list[p4r.Update], atomicity: int, doomed: bool) -> None:
        for each in (client, twin):
            each.set_pipeline(p4info, program_json)
        codes = attempt(client, first, CONTINUE)
        alone = [attempt(twin, [u], CONTINUE)[0] for u in first]
        assert codes == alone
        agree()

        before = (device_state(device), books(client, names))
        if doomed:
            # Not wrong in itself: found to fail only when all before it has been applied.
            second = [*second, update("DELETE", table_entry=names.entry("l2", {"dst": 99}))]
        codes = attempt(client, second, atomicity)
        if atomicity == CONTINUE:
            assert codes == [attempt(twin, [u], CONTINUE)[0] for u in second]
        elif any(c is not StatusCode.OK for c in codes):
            assert (device_state(device), books(client, names)) == before
        else:
            assert [attempt(twin, [u], CONTINUE)[0] for u in second] == codes
        agree()

    check()


def attempt(client: Client, updates: list[p4r.Update], atomicity: int) -> list[StatusCode]:
    codes = [StatusCode.OK] * len(updates)
    try:
        client.write(updates, atomicity)
    except WriteFailed as failure:
        codes = failure.codes
    assert not {StatusCode.INTERNAL, StatusCode.UNKNOWN} & set(codes)
    return codes


def test_a_full_device_rolls_back(client: Client, names: Names, device: AnyDevice) -> None:
    fill = [
        names.entry("pairs", {"src": i, "nibble": 0, "valid": 0}, names.action("forward", 1))
        for i in range(9)
    ]
    before = (device_state(device), books(client, names))
    with pytest.raises(WriteFailed) as failure:
        client.write([update("INSERT", table_entry=e) for e in fill], ATOMIC)
    assert failure.value.codes[8] is StatusCode.RESOURCE_EXHAUSTED
    assert (device_state(device), books(client, names)) == before
    device.failures["group_add"] = FullError("no groups left")
    one_shot = names.entry("ecmp", {}, names.one_shot((names.action("forward", 1), 1)))
    with pytest.raises(WriteFailed):
        client.write([update("INSERT", table_entry=e) for e in (fill[0], one_shot)], ROLLBACK)
    assert (device_state(device), books(client, names)) == before
