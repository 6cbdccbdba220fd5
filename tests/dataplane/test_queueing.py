# SPDX-License-Identifier: Apache-2.0
"""Which queue a packet is put in, on both targets; what the queues then do, on p4jit."""

from __future__ import annotations

import struct

import pytest
from din.p4rt.queues import class_queues, count_queues
from din.packet.constants import TrafficClass
from hypothesis import given, settings
from hypothesis import strategies as st
from p4jit.target.interface import LinkSpec, QueueSpec

from tests.dataplane.frames import NO_DEADLINE, Din, Fabric, sid, tcp4
from tests.dataplane.harness import CPU_PORT, Node, P4jitNode, Program, choice
from tests.dataplane.harness.bmv2 import Bmv2Node, available

FABRIC, UP = 1, 2
SCHEDULED, DROP_DEADLINE = 3, 27
NEXT, LEAF, FUNCTION = 0x22, 0x33, 0xF001
#: Where the DIN option's slack is in a frame.
SLACK_AT = 14 + 40 + 8 + 8 + 12


def make(node: Node) -> None:
    node.insert("ports", {"port": FABRIC}, "set_fabric")
    node.set_default("boundaries", "inside")
    mac = {"dst_mac": "02:00:00:00:00:02", "src_mac": "02:00:00:00:00:01"}
    node.insert("routes", {"sid": (sid(NEXT), 48)}, [choice("set_next_hop", port=UP, **mac)])


def packet(
    class_id: int = SCHEDULED, slack: int = NO_DEADLINE, late_drop: int = 0, payload: bytes = b""
) -> bytes:
    return Fabric(
        sid(NEXT, LEAF, FUNCTION), tcp4(payload), Din(class_id=class_id, slack=slack, late_drop=late_drop)
    ).frame()


def slack_of(frame: bytes) -> int:
    value: int = struct.unpack_from("!I", frame, SLACK_AT)[0]
    return value


def queues(node: Node, name: str = "enqueued") -> list[int]:
    return [node.counter(name, UP * 8 + queue).packets for queue in range(8)]


def test_a_class_has_its_queue(node: Node) -> None:
    make(node)
    for class_id, queue in {0: 0, 1: 0, 2: 1, 4: 6, 5: 7, 12: 3}.items():
        node.insert("classes", {"class_id": class_id}, "set_queue", queue=queue)
    for class_id in (0, 1, 2, 4, 4, 5, 12):
        node.exchange(FABRIC, packet(class_id), expect=1)
    assert queues(node) == [2, 1, 0, 1, 0, 0, 2, 1]
    assert queues(node, "dequeued") == queues(node), "nothing was lost on the way"


def test_an_unknown_class_is_best_effort(node: Node) -> None:
    make(node)
    node.exchange(FABRIC, packet(15), expect=1)
    assert queues(node) == [1, 0, 0, 0, 0, 0, 0, 0]


def test_a_queue_that_no_port_can_have(node: Node) -> None:
    """`queue < 8` is the program's restriction: whoever checks it sees it in the P4Info."""
    table = node.names.thing("set_queue")
    assert any("queue < 8" in a for a in table.preamble.annotations)


def test_the_static_map_from_slack_to_queue(node: Node) -> None:
    make(node)
    node.insert("classes", {"class_id": SCHEDULED}, "map_slack")
    node.insert("slack_queues", {"slack": (0, 1)}, "set_slack_queue", queue=2)
    node.insert("slack_queues", {"slack": (0, 12)}, "set_slack_queue", queue=4)
    node.insert("slack_queues", {"slack": (0, 18)}, "set_slack_queue", queue=5)
    for slack in (NO_DEADLINE, 1 << 30, 1 << 20, (1 << 20) - 1, 1 << 14, (1 << 14) - 1, 0):
        node.exchange(FABRIC, packet(slack=slack), expect=1)
    assert queues(node) == [1, 0, 2, 0, 2, 2, 0, 0]


def test_least_slack_goes_to_a_better_queue(node: Node) -> None:
    """Far enough apart for any clock: each is more urgent than all before."""
    make(node)
    node.insert("classes", {"class_id": SCHEDULED}, "schedule")
    second = 1_000_000
    for slack in (900 * second, 700 * second, 500 * second, 300 * second, 100 * second):
        node.exchange(FABRIC, packet(slack=slack), expect=1)
    assert queues(node) == [0, 0, 1, 1, 1, 2, 0, 0]


def test_without_a_deadline_after_all_that_have_one(node: Node) -> None:
    make(node)
    node.insert("classes", {"class_id": SCHEDULED}, "schedule")
    for _ in range(3):
        node.exchange(FABRIC, packet(slack=NO_DEADLINE), expect=1)
    assert queues(node) == [0, 0, 3, 0, 0, 0, 0, 0]


class SpPifo:
    """SP-PIFO as in NSDI'20, with integers that do not wrap. The lowest queue first."""

    def __init__(self, queues: int = 4) -> None:
        self.bounds = [0] * queues

    def pick(self, rank: int) -> int:
        for queue, bound in enumerate(self.bounds):
            if bound <= rank:
                self.bounds[queue] = rank
                return queue
        cost = self.bounds[-1] - rank
        self.bounds = [bound - cost for bound in self.bounds]
        return len(self.bounds) - 1


#: (us after the packet before, slack)
ARRIVALS = st.lists(st.tuples(st.integers(0, 50_000), st.integers(0, 200_000)), min_size=1, max_size=60)


def test_queues_are_sp_pifos(embedded: P4jitNode) -> None:
    node = embedded
    make(node)
    node.insert("classes", {"class_id": SCHEDULED}, "schedule")

    @settings(max_examples=40)
    @given(ARRIVALS)
    def check(arrivals: list[tuple[int, int]]) -> None:
        model = SpPifo()
        # The register keeps its bounds between examples: begin where all are in the past.
        start = node.now // 1000 + 1_000_000
        node.device.run_until(start * 1000)
        first = True
        at = start
        before = queues(node)
        expected = [0] * 8
        for wait, slack in arrivals:
            at += wait
            node.device.run_until(at * 1000)
            node.send(FABRIC, packet(slack=slack))
            node.receive()
            if first:
                # Whatever the bounds were, they are at most this rank: the model may take it for all of them.
                model.bounds = bounds_of(node, at, slack)
                first = False
                queue = queue_of(before, queues(node))
            else:
                queue = 2 + model.pick(at + slack)
            expected[queue] += 1
        assert [b - a for a, b in zip(before, queues(node), strict=True)] == expected

    check()


def bounds_of(node: P4jitNode, at: int, slack: int) -> list[int]:
    """The register's bounds, the lowest queue's first, made whole around the present time."""
    cell = node.register("sp_pifo_bounds", UP)
    rank = at + slack
    halves = [cell >> 32 * n & 0xFFFFFFFF for n in range(4)]
    return [rank + ((h - rank + (1 << 31)) & 0xFFFFFFFF) - (1 << 31) for h in halves]


def queue_of(before: list[int], after: list[int]) -> int:
    (queue,) = [n for n in range(8) if after[n] != before[n]]
    return queue


def test_ranks_outlive_the_wrap_of_the_clock(embedded: P4jitNode) -> None:
    node = embedded
    make(node)
    node.insert("classes", {"class_id": SCHEDULED}, "schedule")
    wrap = (1 << 32) * 1000
    # Each is later than the one before, though the last one's number is smaller: always the lowest queue.
    for time in (wrap // 3, wrap * 2 // 3, wrap - 2_000_000, wrap + 2_000_000):
        node.device.run_until(time)
        node.exchange(FABRIC, packet(slack=1_000), expect=1)
    assert queues(node) == [0, 0, 4, 0, 0, 0, 0, 0]


# ---- the queues themselves -------------------------------------------------------------------------------


def congest(node: P4jitNode, rate: int = 8_000_000) -> None:
    """1 byte a microsecond."""
    node.configure(UP, link=LinkSpec(rate=rate))


def test_waiting_is_taken_off_the_slack(embedded: P4jitNode) -> None:
    node = embedded
    make(node)
    congest(node)
    node.insert("classes", {"class_id": SCHEDULED}, "set_queue", queue=4)
    for _ in range(4):
        node.send(FABRIC, packet(slack=10_000))
    outputs = node.outputs()
    left = [slack_of(o.data) for o in outputs]
    assert left[0] == 10_000
    assert left == sorted(left, reverse=True)
    assert len(set(left)) == 4
    # What a packet lost is what it waited, to the microsecond that the switch counts in.
    times = [o.time for o in outputs]
    for slack, time in zip(left, times, strict=True):
        assert abs((10_000 - slack) - (time - times[0]) / 1000) <= 1


def test_no_deadline_never_runs_out(embedded: P4jitNode) -> None:
    node = embedded
    make(node)
    congest(node)
    for _ in range(3):
        node.send(FABRIC, packet(0, late_drop=1))
    assert [slack_of(o.data) for o in node.outputs()] == [NO_DEADLINE] * 3


def test_late_is_dropped_where_the_class_says_so(embedded: P4jitNode) -> None:
    node = embedded
    make(node)
    congest(node)
    node.insert("classes", {"class_id": SCHEDULED}, "set_queue", queue=4)
    frame = packet(slack=len(packet()) + 50, late_drop=1)
    for _ in range(5):
        node.send(FABRIC, frame)
    assert len(node.outputs()) == 2, "the first at once, the second after one packet's time"
    assert node.counter("egress_drops", DROP_DEADLINE).packets == 3


def test_late_is_delivered_where_it_does_not(embedded: P4jitNode) -> None:
    node = embedded
    make(node)
    congest(node)
    for _ in range(5):
        node.send(FABRIC, packet(slack=1))
    assert [slack_of(o.data) for o in node.outputs()] == [1, 0, 0, 0, 0]


def test_strict_priority(embedded: P4jitNode) -> None:
    node = embedded
    make(node)
    congest(node)
    for class_id, queue in {0: 0, 2: 1, 4: 6, 5: 7}.items():
        node.insert("classes", {"class_id": class_id}, "set_queue", queue=queue)
    for class_id in (0, 0, 2, 4, 5, 0, 4):
        node.send(FABRIC, packet(class_id))
    classes = [o.data[14 + 40 + 8 + 8 + 4] & 0xF for o in node.outputs()]
    assert classes == [0, 5, 4, 4, 2, 0, 0], "the first was under way already"


@pytest.mark.parametrize("depth", [1, 4])
def test_tail_drops_are_what_enqueued_lacks_in_dequeued(embedded: P4jitNode, depth: int) -> None:
    node = embedded
    make(node)
    node.configure(UP, link=LinkSpec(rate=8_000_000), queues=[QueueSpec(depth_packets=depth)] * 8)
    for _ in range(10):
        node.send(FABRIC, packet(0))
    arrived = len(node.outputs())
    assert arrived < 10
    assert queues(node)[0] == 10
    assert queues(node, "dequeued")[0] == arrived


# ---- switches with other numbers of queues ---------------------------------------------------------------

PUNT_PROBE = 7


def probe(node: Node) -> int:
    """How a controller finds out how many queues a switch has."""
    for queue in reversed(range(8)):
        node.packet_out(bytes([queue]) * 60, port=CPU_PORT, queue=queue)
    found = node.packet_ins()
    assert all(p.metadata["reason"] == PUNT_PROBE for p in found)
    return count_queues(p.payload[0] for p in found)


def test_the_queues_that_a_switch_has_are_found_out(node: Node) -> None:
    assert probe(node) == 8


@pytest.mark.parametrize("queues_there", [1, 3])
def test_classes_collapse_into_the_queues_there_are(program: Program, queues_there: int) -> None:
    """bmv2 with fewer drops what is put in the others without a word: the very thing to be found out."""
    if (missing := available()) is not None:
        pytest.skip(missing)
    with Bmv2Node(queues=queues_there) as node:
        node.load(program)
        assert probe(node) == queues_there
        make(node)
        assert node.exchange(FABRIC, packet(4), expect=1)
        for entry in class_queues(queues_there):
            assert entry.queue is not None
            node.insert("classes", {"class_id": entry.class_id}, "set_queue", queue=entry.queue)
        for class_id in TrafficClass:
            assert node.exchange(FABRIC, packet(class_id), expect=1)


@pytest.mark.parametrize("queues_there", [1, 3])
def test_p4jit_with_fewer_queues_is_found_out_too(program: Program, queues_there: int) -> None:
    with P4jitNode(program, queues=queues_there) as node:
        assert probe(node) == queues_there
