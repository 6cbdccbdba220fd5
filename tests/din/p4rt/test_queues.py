# SPDX-License-Identifier: Apache-2.0
"""Classes on switches with any number of queues."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing

import pytest
from din.p4rt.events import PacketIn, QueuesCounted
from din.p4rt.program import Program
from din.p4rt.queue_probe import QueueProbe
from din.p4rt.queues import class_queues, count_queues
from din.p4rt.reconcile import Outcome
from din.packet.constants import CLASS_REPORT, CPU_PORT, PuntReason, TrafficClass
from finsy.proto import p4r

from tests.din.p4rt.fleets import controller
from tests.din.p4rt.switches import steering, target
from tests.p4jit.differential.bmv2 import Bmv2, available

BEST_FIRST = [
    TrafficClass.CONTROL,
    TrafficClass.DETERMINISTIC,
    TrafficClass.SCHEDULED,
    TrafficClass.KV_TRANSFER,
    TrafficClass.TRAINING,
]


def test_eight_queues_are_those_of_the_design() -> None:
    found = {c.class_id: c.queue for c in class_queues(8)}
    assert [found[c] for c in BEST_FIRST] == [7, 6, None, 1, 0]
    assert found[TrafficClass.BEST_EFFORT] == 0


@pytest.mark.parametrize("queues", range(1, 12))
def test_every_class_and_its_reports_have_a_queue_that_exists(queues: int) -> None:
    found = {c.class_id: c.queue for c in class_queues(queues)}
    assert found.keys() == {c | bit for c in TrafficClass for bit in (0, CLASS_REPORT)}
    numbers = [5 if q is None else q for q in found.values()]
    assert all(0 <= q < min(queues, 8) for q in numbers)
    # The order of the classes is kept, and the best class is alone with as many queues as there are.
    order = [5 if (q := found[c]) is None else q for c in BEST_FIRST]
    assert order == sorted(order, reverse=True)
    assert order[0] == min(queues, 8, 5 if queues < 8 else 8) - 1
    assert len(set(order)) == min(queues, len(BEST_FIRST))


@pytest.mark.parametrize("queues", range(2, 12))
def test_a_report_rides_above_its_subject(queues: int) -> None:
    found = {c.class_id: c.queue for c in class_queues(queues)}
    top = max(q for q in found.values() if q is not None)
    for class_id in TrafficClass:
        subject, report = found[class_id], found[CLASS_REPORT | class_id]
        assert report is not None
        assert report > (5 if subject is None else subject) or report == top


@pytest.mark.parametrize("queues", [0, -1])
def test_no_queue_at_all(queues: int) -> None:
    with pytest.raises(ValueError, match="at least one queue"):
        class_queues(queues)


def test_counting_by_probes() -> None:
    assert count_queues([2, 0, 1]) == 3
    assert count_queues([0]) == 1
    for missing in ([], [0, 2], [1]):
        with pytest.raises(ValueError, match="which are not all up to one"):
            count_queues(missing)


# ---- how many there are ------------------------------------------------------------------------------------


class Switch:
    """Gives back what is put in its queues, but what `loses` says of (try, queue)."""

    def __init__(self, program: Program, queues: int, loses: Callable[[int, int], bool]) -> None:
        self.probe = QueueProbe(program)
        self.queues = queues
        self._loses = loses
        self._fields = {each.id: each.name for each in program.packet_out.values()}
        self.sent = 0

    async def send(self, packet: p4r.PacketOut) -> None:
        fields = {self._fields[m.metadata_id]: int.from_bytes(m.value, "big") for m in packet.metadata}
        assert fields["port"] == CPU_PORT
        attempt, queue = self.sent // 8, fields["queue"]
        self.sent += 1
        if queue < self.queues and not self._loses(attempt, queue):
            found = PacketIn("leaf1", packet.payload, reason=PuntReason.PROBE)
            assert self.probe.take(found)


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("din.p4rt.queue_probe._TRY_SECONDS", 0.001)


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize(
    ("queues", "loses", "found"),
    [
        (8, lambda attempt, queue: False, 8),
        (3, lambda attempt, queue: False, 3),
        (1, lambda attempt, queue: False, 1),
        # One probe that is lost makes no queue less.
        (8, lambda attempt, queue: attempt == 0 and queue == 7, 8),
        (8, lambda attempt, queue: attempt == 0 and queue == 3, 8),
        (3, lambda attempt, queue: attempt == 1 and queue == 2, 3),
        # A switch that takes no packets yet.
        (3, lambda attempt, queue: attempt < 5, 3),
        (8, lambda attempt, queue: True, None),
    ],
)
async def test_probes(
    program: Program, queues: int, loses: Callable[[int, int], bool], found: int | None
) -> None:
    switch = Switch(program, queues, loses)
    assert await switch.probe.count(switch.send) == found


async def test_what_is_no_answer_is_left_to_others(program: Program) -> None:
    probe = QueueProbe(program)
    own = PacketIn("leaf1", b"x" * 60, reason=PuntReason.PROBE)
    assert not probe.take(own), "nothing was asked"
    sent: list[p4r.PacketOut] = []

    async def send(packet: p4r.PacketOut) -> None:
        sent.append(packet)
        probe.take(PacketIn("leaf1", packet.payload, reason=PuntReason.PROBE))

    assert await probe.count(send) == 8
    assert not probe.take(own)
    assert not probe.take(PacketIn("leaf1", sent[-1].payload, reason=PuntReason.LLDP))


async def test_a_switch_has_all_that_the_data_plane_wants(address: str) -> None:
    async with controller(target(address)) as (fleet, seen):
        ours = fleet.connection("leaf1")
        await ours.primary()
        async with asyncio.timeout(10):
            await ours._queue_probe._lowest.wait()
        assert ours.queues == 8
        assert not seen.of(QueuesCounted)
        assert not seen.of(PacketIn)


async def test_a_switch_that_has_fewer_is_found_out() -> None:
    if (missing := available()) is not None:
        pytest.skip(missing)
    options = ("--cpu-port", str(CPU_PORT), "--drop-port", "511")
    with closing(Bmv2(1, options, queues=3)) as process:
        async with controller(target(process.address)) as (fleet, seen):
            assert (await seen.wait(QueuesCounted)) == QueuesCounted("leaf1", 3)
            assert fleet.connection("leaf1").queues == 3


async def test_where_nothing_comes_back_is_told_and_can_be_written(
    p4jit: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("din.p4rt.queue_probe.CPU_PORT", CPU_PORT - 1)
    monkeypatch.setattr("din.p4rt.connection._QUEUES_SECONDS", 0.01)
    monkeypatch.setattr("din.p4rt.queue_probe._TRY_SECONDS", 0.01)
    async with controller(target(p4jit)) as (fleet, seen):
        result = (await fleet.apply({"leaf1": steering(1, [1])}, patience=60))["leaf1"]
        assert result.outcome is Outcome.DONE
        ours = fleet.connection("leaf1")
        assert ours._counting is not None
        async with asyncio.timeout(10):
            await asyncio.shield(ours._counting)
        assert ours.queues == 8
        assert not seen.of(QueuesCounted)
    assert "leaf1: its queues cannot be counted" in caplog.text
