# SPDX-License-Identifier: Apache-2.0
"""A moving bucket breaks no connection: the affinity cache's cells, their lives, and the law they serve."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.dataplane.harness import Node, P4jitNode, Program
from tests.dataplane.leaf import (
    DRAINED,
    MOVING,
    OTHER_CLIENT,
    OTHER_TENANT,
    STABLE,
    Flow,
    Leaf,
)

GROUP = 5
SECOND = 10**9
ESTABLISHED, TRANSITORY = 7440, 240
#: The cache's unit is 2^20 us; a timeout is over some 1.05 s after it began to be.
SLACK = 3
FREE, OPENING, OPEN, CLOSING = 0, 1, 2, 3
FLOW = Flow()


def colliding(count: int, like: Flow = FLOW) -> list[Flow]:
    """Flows that want the same cell, of as many hosts. A CRC is linear: the source port moves the cell by the
    same way for every host, and reaches each cell once."""
    origin = replace(like, sport=0).cell(GROUP)
    ports = {0: 0}
    for bit in (1 << n for n in range(16)):
        way = replace(like, sport=bit).cell(GROUP) ^ origin
        ports |= {cell ^ way: port | bit for cell, port in ports.items()}
    assert len(ports) == 1 << 16
    found = [like]
    for host in range(2, 255):
        flow = Flow(0, f"10.1.{host}.5")
        flow = replace(flow, sport=ports[flow.cell(GROUP) ^ like.cell(GROUP)])
        assert flow.cell(GROUP) == like.cell(GROUP)
        if flow.sport and len(found) < count:
            found.append(flow)
    return found


@pytest.fixture(scope="module")
def rivals() -> list[Flow]:
    found = colliding(2)
    assert found[0].hash != found[1].hash
    return found


def make_leaf(node: Node, buckets: dict[int, tuple[int, ...]]) -> Leaf:
    leaf = Leaf(node)
    leaf.service()
    leaf.group(GROUP)
    for instance in range(1, 5):
        leaf.local(instance)
    for bucket, values in buckets.items():
        leaf.bucket(GROUP, bucket, *values)
    return leaf


def starts(node: Node, group: int = GROUP) -> tuple[int, int]:
    """SYNs in moving buckets: remembered, and not."""
    return tuple(node.counter("affinity_starts", 2 * group + each).packets for each in (0, 1))  # type: ignore[return-value]


@dataclass(frozen=True)
class Cell:
    owner: int
    instance: int
    state: int
    time: int


def cell(node: P4jitNode, flow: Flow, group: int = GROUP) -> Cell:
    value = node.register("affinity_cells", flow.cell(group))
    return Cell(value >> 32, value >> 16 & 0xFFFF, value >> 14 & 3, value & 0x3FFF)


# ---- what a packet finds -----------------------------------------------------------------------------------


def test_a_collision_delays_the_move_and_breaks_nothing(node: Node, rivals: list[Flow]) -> None:
    first, second = rivals
    leaf = make_leaf(node, {f.bucket: (2, 1) for f in rivals})
    assert leaf.reached(first.packet("S")) == 2
    assert leaf.reached(second.packet("S")) == 1
    assert starts(node) == (1, 1)
    for _ in range(2):
        assert [leaf.reached(f.packet("PA", b"data")) for f in rivals] == [2, 1]
    assert [leaf.reached(f.packet("FA")) for f in rivals] == [2, 1]
    assert [leaf.reached(f.packet("A")) for f in rivals] == [2, 1]
    assert starts(node) == (1, 1)


def test_a_connection_that_ends_leaves_its_cell_to_its_next(node: Node) -> None:
    leaf = make_leaf(node, {FLOW.bucket: (2, 1)})
    for _ in range(2):
        assert [leaf.reached(FLOW.packet(flags)) for flags in ("S", "A", "FA", "A", "R")] == [2] * 5
    leaf.bucket(GROUP, FLOW.bucket, 3, 2, modify=True)
    assert [leaf.reached(FLOW.packet(flags)) for flags in ("A", "S", "A", "A")] == [2, 3, 3, 3]


def test_tenants_with_the_same_addresses_do_not_meet(node: Node) -> None:
    """The same flow in two groups: as different as any two flows."""
    flow = FLOW
    leaf = make_leaf(node, {flow.bucket: (2, 1)})
    leaf.group(GROUP + 1, tenant=OTHER_TENANT)
    leaf.bucket(GROUP + 1, flow.bucket, 4, 3)
    assert leaf.reached(flow.packet("S")) == 2
    assert leaf.reached(flow.packet(), OTHER_CLIENT) == 3
    assert leaf.reached(flow.packet("S"), OTHER_CLIENT) == 4
    assert [leaf.reached(flow.packet(), port) for port in (1, OTHER_CLIENT)] == [2, 4]
    assert starts(node) == (1, 0)
    assert starts(node, GROUP + 1) == (1, 0)


def test_stable_buckets_remember_nothing(embedded: P4jitNode) -> None:
    leaf = make_leaf(embedded, {FLOW.bucket: (2,)})
    assert [leaf.reached(FLOW.packet(flags)) for flags in ("S", "A", "FA")] == [2, 2, 2]
    assert cell(embedded, FLOW) == Cell(0, 0, FREE, 0)
    assert starts(embedded) == (0, 0)


# ---- a cell's life -----------------------------------------------------------------------------------------


def test_a_cell_follows_its_connection(embedded: P4jitNode) -> None:
    flow = FLOW
    leaf = make_leaf(embedded, {flow.bucket: (2, 1)})
    embedded.advance(100 * SECOND)
    leaf.reached(flow.packet("S"))
    assert cell(embedded, flow) == Cell(flow.hash, 2, OPENING, (100 * 10**6) >> 20)
    for at, flags, state in [(200, "A", OPEN), (300, "PA", OPEN), (400, "FA", CLOSING), (500, "A", CLOSING)]:
        embedded.advance(at * SECOND - embedded.now)
        assert leaf.reached(flow.packet(flags)) == 2
        assert cell(embedded, flow) == Cell(flow.hash, 2, state, (at * 10**6) >> 20)


def test_an_end_before_any_data(embedded: P4jitNode) -> None:
    leaf = make_leaf(embedded, {FLOW.bucket: (2, 1)})
    for flags in ("S", "R"):
        leaf.reached(FLOW.packet(flags))
    assert cell(embedded, FLOW).state == CLOSING


def test_once_the_bucket_says_the_same_a_cell_is_freed(embedded: P4jitNode) -> None:
    flow = FLOW
    leaf = make_leaf(embedded, {flow.bucket: (2, 1)})
    leaf.reached(flow.packet("S"))
    leaf.bucket(GROUP, flow.bucket, 2, modify=True)
    assert cell(embedded, flow).state == OPENING
    assert leaf.reached(flow.packet()) == 2
    assert cell(embedded, flow) == Cell(0, 0, FREE, 0)
    # And the next move finds the connection where it is.
    leaf.bucket(GROUP, flow.bucket, 3, 2, modify=True)
    assert leaf.reached(flow.packet()) == 2


def test_a_new_connection_in_a_stable_bucket_frees_its_cell(embedded: P4jitNode) -> None:
    flow = FLOW
    leaf = make_leaf(embedded, {flow.bucket: (2, 1)})
    leaf.reached(flow.packet("S"))
    leaf.bucket(GROUP, flow.bucket, 1, modify=True)
    assert leaf.reached(flow.packet("S")) == 1
    assert cell(embedded, flow) == Cell(0, 0, FREE, 0)


def test_another_flows_cell_is_left_alone(embedded: P4jitNode, rivals: list[Flow]) -> None:
    first, second = rivals
    leaf = make_leaf(embedded, {f.bucket: (2, 1) for f in rivals})
    leaf.reached(first.packet("S"))
    before = cell(embedded, first)
    embedded.advance(10 * SECOND)
    for state in ((2, 1), (2,), (1,)):
        leaf.bucket(GROUP, second.bucket, *state, modify=True)
        for flags in ("A", "S", "FA", "R"):
            leaf.reached(second.packet(flags))
            assert cell(embedded, first) == before


@pytest.mark.parametrize(
    ("seen", "timeout"),
    [
        (("S",), TRANSITORY),
        (("S", "A"), ESTABLISHED),
        (("S", "A", "FA"), TRANSITORY),
        (("S", "A", "R"), TRANSITORY),
        (("S", "A", "FA", "A"), TRANSITORY),
    ],
    ids=["syn", "established", "fin", "rst", "after fin"],
)
def test_a_stale_cell_is_taken_and_no_other(
    embedded: P4jitNode, rivals: list[Flow], seen: tuple[str, ...], timeout: int
) -> None:
    first, second = rivals
    leaf = make_leaf(embedded, {f.bucket: (2, 1) for f in rivals})
    for flags in seen:
        leaf.reached(first.packet(flags))
    embedded.advance((timeout - SLACK) * SECOND)
    assert leaf.reached(second.packet("S")) == 1
    assert leaf.reached(first.packet("FA" if "FA" in seen else "R" if "R" in seen else "A")) == 2
    embedded.advance((timeout if len(seen) > 1 else ESTABLISHED) * SECOND)
    embedded.advance(SLACK * SECOND)
    assert leaf.reached(second.packet("S")) == 2
    assert cell(embedded, second).owner == second.hash
    assert leaf.reached(first.packet()) == 1


def test_timeouts_are_the_controllers(embedded: P4jitNode, rivals: list[Flow]) -> None:
    first, second = rivals
    leaf = make_leaf(embedded, {f.bucket: (2, 1) for f in rivals})
    embedded.set_default("affinity_timeouts", "set_affinity_timeouts", established=20, transitory=10)
    leaf.reached(first.packet("S"))
    embedded.advance(12 * SECOND)
    assert leaf.reached(second.packet("S")) == 2
    leaf.reached(second.packet())
    embedded.advance(15 * SECOND)
    assert leaf.reached(first.packet("S")) == 1
    embedded.advance(10 * SECOND)
    assert leaf.reached(first.packet("S")) == 2


# ---- the law -----------------------------------------------------------------------------------------------


@dataclass
class Connection:
    instance: int
    last: int  # s
    state: int = OPENING

    def stale(self, now: int) -> bool:
        return now - self.last > (ESTABLISHED if self.state == OPEN else TRANSITORY) - SLACK


@dataclass
class Bucket:
    current: int = 1
    previous: int = 1
    state: int = STABLE


class Moves:
    """Clients open, use and close connections while a controller moves buckets, gives moves up, and takes
    instances out. What is asked: every packet of a connection reaches the instance that its SYN reached, as
    long as that instance is alive.

    The controller keeps to its side: it ends a move when no connection of the instance that is left remains.
    It may give one up at any time. A connection may lose what the switch remembered of it only after an idle
    time beyond the timeouts, and that may matter only while its bucket would not take it there by itself.
    """

    def __init__(self, node: Node, flows: list[Flow], tally: Tally[str]) -> None:
        self.node, self.flows, self.tally = node, flows, tally
        self.leaf = make_leaf(node, {})
        self.buckets = [Bucket() for _ in range(2)]
        self.connections: dict[Flow, Connection] = {}
        self.dead: set[int] = set()
        self.now = 0
        for number in range(2):
            self.write(number, modify=False)

    def number(self, flow: Flow) -> int:
        return flow.bucket % 2

    def write(self, number: int, *, modify: bool = True) -> None:
        """A bucket of the model is all of the switch's that its flows are in."""
        bucket = self.buckets[number]
        with self.node.batch():
            for each in sorted({f.bucket for f in self.flows if self.number(f) == number}):
                self.leaf.bucket(GROUP, each, bucket.current, bucket.previous, bucket.state, modify=modify)

    def those_of(self, number: int, instance: int) -> list[Connection]:
        return [c for f, c in self.connections.items() if self.number(f) == number and c.instance == instance]

    # ---- clients

    def syn(self, index: int) -> None:
        flow = self.flows[index]
        bucket = self.buckets[self.number(flow)]
        reached = self.leaf.reached(flow.packet("S"))
        assert reached in {bucket.current, bucket.previous}
        if bucket.state != STABLE:
            self.tally["moved" if reached == bucket.current else "delayed"] += 1
        self.connections[flow] = Connection(reached, self.now)

    def packet(self, index: int, flags: str) -> None:
        if self.connections:
            self.use(list(self.connections)[index % len(self.connections)], flags)

    def use(self, flow: Flow, flags: str) -> None:
        connection = self.connections[flow]
        bucket = self.buckets[self.number(flow)]
        reached = self.leaf.reached(flow.packet(flags))
        if connection.instance in self.dead:
            del self.connections[flow]
            return
        if connection.stale(self.now) and connection.instance != bucket.previous:
            self.tally["stale"] += 1
            del self.connections[flow]
            return
        self.tally["kept"] += 1
        assert reached == connection.instance, (flow, connection, bucket)
        if "F" in flags or "R" in flags:
            connection.state = CLOSING
        elif connection.state == OPENING:
            connection.state = OPEN
        connection.last = self.now

    def end(self, index: int) -> None:
        if self.connections:
            flow = list(self.connections)[index % len(self.connections)]
            self.use(flow, "FA")
            self.connections.pop(flow, None)

    # ---- time, where it can be told to pass

    def wait(self, seconds: int) -> None:
        if not self.node.is_embedded:
            return
        self.node.advance(seconds * SECOND)
        self.now += seconds

    # ---- the controller

    def move(self, number: int, by: int) -> None:
        bucket = self.buckets[number]
        to = (bucket.current + by - 1) % 4 + 1
        if bucket.state == STABLE and to not in self.dead:
            self.buckets[number] = Bucket(to, bucket.current, MOVING)
            self.write(number)

    def drain(self, number: int) -> None:
        if self.buckets[number].state == MOVING:
            self.buckets[number].state = DRAINED
            self.write(number)

    def finish(self, number: int) -> None:
        bucket = self.buckets[number]
        if bucket.state != STABLE and not self.those_of(number, bucket.previous):
            self.buckets[number] = Bucket(bucket.current, bucket.current)
            self.write(number)
            self.tally["finished"] += 1

    def give_up(self, number: int) -> None:
        bucket = self.buckets[number]
        if bucket.state != STABLE:
            self.buckets[number] = Bucket(bucket.previous, bucket.previous)
            self.write(number)
            self.tally["given up"] += 1

    def die(self, instance: int) -> None:
        """And be taken out of all buckets."""
        if instance in self.dead or len(self.dead) == 2:
            return
        self.dead.add(instance)
        self.leaf.dead(instance)
        for number, bucket in enumerate(self.buckets):
            left = {bucket.current, bucket.previous} - {instance}
            heir = min(left, default=min({1, 2, 3, 4} - self.dead))
            if instance in (bucket.current, bucket.previous):
                self.buckets[number] = Bucket(heir, heir)
                self.write(number)
        for flow in [f for f, c in self.connections.items() if c.instance == instance]:
            del self.connections[flow]


INDEX, BUCKET, BY, DIES = range(12), range(2), range(1, 4), range(1, 5)
FLAGS = ["A", "A", "PA", "FA", "R"]
SECONDS = [1, 1, 30, 30, 300, 8000]
#: How often, what, and with what.
STEPS: list[tuple[int, Callable[..., None], tuple[Sequence[Any], ...]]] = [
    (12, Moves.syn, (INDEX,)),
    (20, Moves.packet, (INDEX, FLAGS)),
    (8, Moves.end, (INDEX,)),
    (4, Moves.wait, (SECONDS,)),
    (4, Moves.move, (BUCKET, BY)),
    (1, Moves.drain, (BUCKET,)),
    (4, Moves.finish, (BUCKET,)),
    (1, Moves.give_up, (BUCKET,)),
]
STEP = st.one_of(
    st.tuples(st.just(step), *(st.sampled_from(each) for each in arguments))
    for weight, step, arguments in [*STEPS, (1, Moves.die, (DIES,))]
    for _ in range(min(weight, 2))
)
HAPPENS = {"kept", "moved", "delayed", "finished", "given up"}


@pytest.fixture(scope="module")
def crowd() -> list[Flow]:
    """Flows that share two cells of the cache, and some that share none, so that collisions are the rule."""
    flows = [*colliding(4), *colliding(4, Flow(40001)), *(Flow(p, "10.9.9.9") for p in range(1, 5))]
    assert len(set(flows)) == 12
    assert {f.bucket % 2 for f in flows} == {0, 1}
    return flows


def test_a_moving_bucket_breaks_no_connection(node: Node, program: Program, crowd: list[Flow]) -> None:
    tally: Tally[str] = Tally()

    @settings(
        max_examples=150 if node.is_embedded else 20, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(st.lists(STEP, min_size=20, max_size=120))
    def run(steps: list[tuple[Any, ...]]) -> None:
        node.load(program)
        moves = Moves(node, crowd, tally)
        for step, *arguments in steps:
            step(moves, *arguments)
        for flow in list(moves.connections):
            moves.use(flow, "A")

    run()
    print(f"\n{node.kind}: {dict(tally)}")
    assert not node.is_embedded or {each for each in HAPPENS if not tally[each]} == set()


@pytest.mark.parametrize("seed", range(3))
def test_nor_do_many_moves(node: Node, crowd: list[Flow], seed: int) -> None:
    """The same for long, without deaths, so that what is left behind by one move meets the next."""
    tally: Tally[str] = Tally()
    chance = Random(seed)
    moves = Moves(node, crowd, tally)
    weights = [weight for weight, _, _ in STEPS]
    for _ in range(4000 if node.is_embedded else 500):
        ((_, step, arguments),) = chance.choices(STEPS, weights)
        step(moves, *(chance.choice(each) for each in arguments))
    print(f"\n{node.kind}: {dict(tally)}")
    assert {each for each in HAPPENS if not tally[each]} == set()
    assert not node.is_embedded or tally["stale"]
