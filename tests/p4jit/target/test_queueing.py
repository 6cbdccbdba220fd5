# SPDX-License-Identifier: Apache-2.0
"""Queues, links and copies in virtual time, where every figure is exact; and where p4jit does better than
simple_switch on purpose (the table in docs/p4jit.md)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from p4jit.frontend.ir import MatchValue
from p4jit.target.build import CompiledProgram, compile_program
from p4jit.target.device import Device
from p4jit.target.interface import (
    ACTION_GROUP,
    DeviceError,
    GroupMember,
    LinkSpec,
    Output,
    PortSpec,
    QueueSpec,
    Replica,
)
from p4jit.target.switch import Switch

PROGRAMS = Path(__file__).parent.parent / "programs"
MS = 1_000_000
MARK = struct.Struct(">BBHHIIII")
FRAME = 100
#: A frame as it leaves: what came in and the mark in front.
SENT = FRAME + MARK.size
#: bit/s at which such a frame takes one millisecond.
FRAME_PER_MS = SENT * 8 * 1000


def program(name: str) -> CompiledProgram:
    return compile_program((PROGRAMS / f"{name}.json").read_bytes(), name)


@dataclass(frozen=True)
class Mark:
    """What egress saw of one frame, and the frame's own number."""

    instance_type: int
    port: int
    enq_qdepth: int
    deq_qdepth: int
    enq_timestamp: int
    deq_timedelta: int
    ingress_timestamp: int
    egress_timestamp: int
    priority: int
    number: int
    time: int
    length: int


def frame(number: int, *, port: int = 1, priority: int = 0, op: int = 0, session: int = 0) -> bytes:
    return bytes([port, priority, op, session, number]) + bytes(FRAME - 5)


def read(out: Output) -> Mark:
    fields = MARK.unpack_from(out.data)
    order = out.data[MARK.size :]
    return Mark(*fields, priority=order[1], number=order[4], time=out.time, length=len(out.data))


@pytest.fixture
def switch() -> Iterator[Switch]:
    with Switch(program("queueing"), ports=range(4)) as sw:
        yield sw


def test_a_frame_passes_an_idle_switch_at_once(switch: Switch) -> None:
    (out,) = switch.inject(0, frame(7), at=5 * MS)
    mark = read(out)
    assert (out.port, out.time, mark.number, mark.length) == (1, 5 * MS, 7, SENT)
    assert (mark.enq_qdepth, mark.deq_qdepth, mark.deq_timedelta) == (0, 0, 0)
    assert mark.ingress_timestamp == mark.enq_timestamp == mark.egress_timestamp == 5000


def test_higher_priorities_overtake_what_waits_and_nothing_else(switch: Switch) -> None:
    switch.configure(1, link=LinkSpec(rate=FRAME_PER_MS))
    priorities = [0, 0, 3, 7, 3, 0]
    for i, priority in enumerate(priorities):
        assert switch.inject(0, frame(i, priority=priority)) == []
    marks = [read(out) for out in switch.drain()]
    # The first is being sent when the others come: it is not interrupted.
    assert [m.number for m in marks] == [0, 3, 2, 4, 1, 5]
    assert [m.time for m in marks] == [MS * (i + 1) for i in range(6)]
    assert [m.deq_timedelta for m in marks] == [1000 * i for i in range(6)]
    # Depths count the frame's own queue.
    assert [(m.number, m.enq_qdepth, m.deq_qdepth) for m in marks] == [
        (0, 0, 0),
        (3, 0, 0),
        (2, 0, 1),
        (4, 1, 0),
        (1, 0, 1),
        (5, 1, 0),
    ]


def test_a_busy_port_delays_no_other(switch: Switch) -> None:
    switch.configure(1, link=LinkSpec(rate=1000))
    for i in range(10):
        switch.inject(0, frame(i))
    # simple_switch shares one output buffer, and priorities between ports equal modulo four.
    outs = [out for i in range(10) for out in switch.inject(0, frame(i, port=2))]
    assert [(out.port, out.time) for out in outs] == [(2, 0)] * 10


def test_a_full_queue_drops_at_the_tail_and_says_so(switch: Switch) -> None:
    switch.configure(1, link=LinkSpec(rate=FRAME_PER_MS), queues=[QueueSpec(depth_packets=5)])
    for i in range(20):
        switch.inject(0, frame(i))
    assert [read(out).number for out in switch.drain()] == [0, 1, 2, 3, 4, 5]
    assert switch.device.drops()["queue_full"] == 14
    (status,) = [p for p in switch.device.ports() if p.number == 1]
    assert status.queues[0].dropped_packets == 14
    assert (status.tx_packets, status.tx_bytes) == (6, 6 * SENT)


def test_a_link_delays_and_serialises(switch: Switch) -> None:
    switch.configure(1, link=LinkSpec(rate=FRAME_PER_MS, delay=10 * MS))
    for i in range(3):
        switch.inject(0, frame(i))
    assert switch.run_until(11 * MS - 1) == []
    assert [out.time for out in switch.drain()] == [11 * MS, 12 * MS, 13 * MS]


def test_a_shaped_queue_keeps_its_rate_and_leaves_the_rest_to_others(switch: Switch) -> None:
    shaped = QueueSpec(rate_bits=FRAME_PER_MS, burst_bytes=0, depth_packets=1000)
    switch.configure(1, queues=[QueueSpec(depth_packets=1000), shaped])
    outs = []
    for i in range(50):
        outs += switch.inject(0, frame(i, priority=1))
    outs += switch.inject(0, frame(99))
    # The shaped queue has the greater priority, but is in debt: the lower one goes.
    assert [read(out).number for out in outs] == [0, 99]
    outs = switch.drain()
    assert [out.time for out in outs] == [MS * (i + 1) for i in range(49)]


@settings(max_examples=30, deadline=None)
@given(arrivals=st.lists(st.tuples(st.integers(0, 3 * MS), st.integers(0, 7)), min_size=1, max_size=40))
def test_the_scheduler_is_work_conserving_and_strict(arrivals: list[tuple[int, int]]) -> None:
    """Against an ideal non-preemptive strict-priority server."""
    arrivals.sort(key=lambda a: a[0])
    with Switch(program("queueing"), ports=range(2)) as sw:
        sw.configure(1, link=LinkSpec(rate=FRAME_PER_MS))
        outs = []
        for i, (at, priority) in enumerate(arrivals):
            outs += sw.inject(0, frame(i, priority=priority), at=at)
        outs += sw.drain()
    waiting: list[tuple[int, int]] = []
    todo = list(enumerate(arrivals))
    now, ideal = 0, []
    while todo or waiting:
        # What arrives in the instant the server becomes free is too late for that choice.
        while todo and todo[0][1][0] < now:
            number, (_, priority) = todo.pop(0)
            waiting.append((-priority, number))
        if not waiting:
            number, (at, _) = todo.pop(0)
            now = max(now, at)
        else:
            waiting.sort()
            _, number = waiting.pop(0)
        now += MS
        ideal.append((number, now))
    assert [(read(out).number, out.time) for out in outs] == ideal


def test_a_run_is_reproduced_by_its_seed() -> None:
    def run(seed: int) -> list[Output]:
        with Switch(program("queueing"), ports=range(2)) as sw:
            sw.configure(1, link=LinkSpec(rate=10**9, delay=MS, jitter=MS // 2, loss=0.3, seed=seed))
            outs = []
            for i in range(200):
                outs += sw.inject(0, frame(i), at=i * 10_000)
            return [Output(o.port, o.data, o.time) for o in outs + sw.drain()]

    first, again, other = run(1), run(1), run(2)
    assert [(o.data, o.time) for o in first] == [(o.data, o.time) for o in again]
    assert [(o.data, o.time) for o in first] != [(o.data, o.time) for o in other]
    assert 100 < len(first) < 180


def test_a_closed_device_refuses_and_does_not_crash() -> None:
    device = Device(clock="virtual")
    device.load(program("queueing"))
    device.close()
    device.close()
    for use in (
        lambda: device.table_insert(0, bytes(8), None, 0, 0, 0, b""),
        lambda: device.poll_events(0),
        lambda: device.inject(0, frame(0)),
        device.take_outputs,
        device.events_lost,
        device.wake_events,
        device.start,
        device.stop,
    ):
        with pytest.raises(DeviceError, match="is closed"):
            use()


# ---- deviations from simple_switch -------------------------------------------------------------------


def test_a_clone_session_has_a_class_of_service(switch: Switch) -> None:
    """simple_switch: UNIMPLEMENTED, and clones are always in the lowest queue."""
    switch.device.clone_set(9, [Replica(1)], class_of_service=6)
    switch.configure(1, link=LinkSpec(rate=FRAME_PER_MS))
    for i in range(3):
        switch.inject(0, frame(i, priority=3))
    switch.inject(0, frame(3, port=2, op=1, session=9))
    marks = [read(out) for out in switch.drain() if out.port == 1]
    assert [(m.number, m.instance_type) for m in marks] == [(0, 0), (3, 1), (1, 0), (2, 0)]


@pytest.mark.parametrize(("op", "instance"), [(1, 1), (2, 2)])
def test_a_clone_session_truncates(switch: Switch, op: int, instance: int) -> None:
    """simple_switch does not."""
    switch.device.clone_set(9, [Replica(1)], truncate=40)
    outs = switch.inject(0, frame(3, port=2, op=op, session=9))
    lengths = {out.port: (read(out).instance_type, len(out.data)) for out in outs}
    assert lengths == {1: (instance, 40), 2: (0, SENT)}


def test_a_priority_beyond_the_queues_is_refused_at_load() -> None:
    """simple_switch drops every such packet; here the constant is seen before any is."""
    with Device(clock="virtual", queues=4) as device:
        device.load(program("queueing"))
        with pytest.raises(
            DeviceError, match=r"sets standard_metadata\.priority to 5, but ports have 4 queues"
        ):
            device.load(program("fixed_priority"))
        assert device.program is not None
        assert device.program.name == "queueing"
    with Device(clock="virtual", queues=6) as device:
        device.load(program("fixed_priority"))


def test_a_priority_known_only_at_run_time_is_dropped_or_clamped() -> None:
    for clamp, count in ((False, 0), (True, 1)):
        with Device(clock="virtual", queues=4, clamp_priority=clamp) as device:
            device.load(program("queueing"))
            device.port_add(1, PortSpec("memory"))
            device.inject(0, frame(0, priority=5))
            assert len(device.take_outputs()) == count
            assert device.drops()["priority"] == 1 - count


def test_a_group_whose_ports_are_all_down_drops() -> None:
    """simple_switch divides by zero."""
    with Switch(program("action_selector"), ports=[0, 1]) as sw:
        table = next(t for t in sw.program.ir.tables if t.profile is not None)
        found = next(a for a in table.actions if a.params)
        data = sw.program.layout.actions[found.index].encode([0x22])
        member = sw.device.member_add(0, found.index, data)
        # Port 9 was never added, so it is down.
        group = sw.device.group_add(0, [GroupMember(member, watch_port=9)])
        key = sw.program.layout.tables[table.index].encode([MatchValue(1)]).key
        sw.device.table_insert(table.index, key, None, 0, 0, ACTION_GROUP, group.to_bytes(4, "little"))
        packet = bytes.fromhex("01ffff")
        assert sw.inject(0, packet) == []
        assert sw.device.drops()["program"] == 1
        sw.device.group_modify(0, group, [GroupMember(member, watch_port=1)])
        assert [out.data[0] for out in sw.inject(0, packet)] == [0x22]


def test_a_packet_that_recirculates_for_ever_ends_and_the_switch_goes_on(switch: Switch) -> None:
    with pytest.raises(DeviceError, match=r"recirculated over 100,000 times.*stop its loop"):
        switch.inject(0, frame(0, op=3))
    assert len(switch.inject(0, frame(1))) == 1
