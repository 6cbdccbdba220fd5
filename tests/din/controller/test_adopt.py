# SPDX-License-Identifier: Apache-2.0
"""What a controller takes over: buckets and shares as it once wrote them, routes as it noted them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from din.controller import adopt
from din.controller.desired import Desired, prepare
from din.measure.state import InstanceState, Measured
from din.model.ids import group_name
from din.p4rt.compile import Context, compile_network
from din.p4rt.entry import Key, State
from din.steering.buckets import Bucket, fresh, rebalance
from din.steering.decide import decide
from din.steering.plan import Plan
from hypothesis import given, settings
from hypothesis import strategies as st

FILE: Final = Path(__file__).with_name("two-ways.yaml")
NAMES: Final = ("chat-1", "chat-2")


def make() -> tuple[Desired, Plan]:
    desired = prepare(FILE.read_text(), str(FILE), 1, None)
    instances = {name: InstanceState(alive=True) for name in desired.model.instance}
    measured = Measured(at=1.0, instances=instances)
    plan = decide(desired.model, desired.wiring, desired.aggregates, measured, None, frozenset(), 1.0)
    return desired, plan


DESIRED, PLAN = make()
AGGREGATE: Final = next(
    each for each in DESIRED.aggregates if each.service == "chat" and each.leaf == "leaf-1"
)


def written(buckets: tuple[Bucket, ...]) -> State:
    """leaf-1 with these buckets of chat, as the compiler has it."""
    held = {
        (each.leaf, each.group): buckets
        if each == AGGREGATE
        else fresh(PLAN.decisions[each].shares, each.leaf)
        for each in DESIRED.aggregates
    }
    context = Context(DESIRED.model, DESIRED.wiring, DESIRED.ids, PLAN, held)
    return compile_network(context)["leaf-1"]


def look(state: State, now: float = 5.0) -> dict[adopt.Group, tuple[Bucket, ...]]:
    return adopt.buckets_of(state, DESIRED.ids, [AGGREGATE.group], now)


def kinds(buckets: tuple[Bucket, ...]) -> list[tuple[str, str, bool]]:
    return [(each.current, each.previous, each.drained and not each.stable) for each in buckets]


SHARE: Final = st.floats(0.01, 1.0)


@settings(max_examples=15)
@given(SHARE, SHARE, st.booleans())
def test_buckets_come_back_as_they_were(first: float, second: float, drained: bool) -> None:
    """Stable, moving and drained ones."""
    buckets = fresh({"chat-1": first, "chat-2": 1.0 - first / 2}, "x")
    buckets = rebalance(buckets, {"chat-1": second, "chat-2": 0.5}, 1.0, 100.0, frozenset())
    buckets = tuple(replace(each, drained=drained) if not each.stable else each for each in buckets)
    found = look(written(buckets))[AGGREGATE.group]
    assert kinds(found) == kinds(buckets)
    # It is longer moving than it need be, never shorter.
    assert all(each.since == 5.0 for each in found if not each.stable)
    # And what is made of them is what was there.
    assert written(found) == written(buckets)


def test_a_group_that_is_not_whole_is_nobodys() -> None:
    state = written(fresh({"chat-1": 1.0}, "x"))
    number = DESIRED.ids.of("group", group_name(*AGGREGATE.group))
    some = next(
        key
        for key in state
        if isinstance(key, Key) and key.table == "buckets" and ("group", number) in key.match
    )
    del state[some]
    assert look(state) == {}


def test_buckets_of_instances_that_nobody_knows_are_not_taken() -> None:
    state = written(fresh({"chat-1": 0.5, "chat-2": 0.5}, "x"))
    numbers = dict(DESIRED.ids.numbers)
    numbers["instance"] = {"chat-1": numbers["instance"]["chat-1"]}
    ids = replace(DESIRED.ids, numbers=numbers)
    assert adopt.buckets_of(state, ids, [AGGREGATE.group], 0.0) == {}


def test_an_empty_switch_gives_nothing() -> None:
    assert look({}) == {}


# ---- routes ----------------------------------------------------------------------------------------------


def test_routes_come_back_through_their_file() -> None:
    noted = json.loads(json.dumps(adopt.note_routes(PLAN)))
    noted = {name: [(switch, port) for switch, port in hops] for name, hops in noted.items()}
    found = adopt.plan_with_routes(noted, DESIRED.wiring)
    assert PLAN.routes
    assert found.routes == PLAN.routes
    assert found.responses == PLAN.responses


@pytest.mark.parametrize("hops", [[("leaf-9", 1)], [("leaf-1", 99)], [("leaf-1", 1), ("leaf-2", 1)]])
def test_a_route_over_links_that_are_gone_is_left_out(hops: list[tuple[str, int]]) -> None:
    found = adopt.plan_with_routes({"request/leaf-1/chat-1/scheduled/": hops}, DESIRED.wiring)
    assert not found.routes


@given(
    st.dictionaries(
        st.text(alphabet="request/ponl1-cha", max_size=40),
        st.lists(st.tuples(st.sampled_from(["leaf-1", "core-1", "x"]), st.integers(-1, 3)), max_size=4),
        max_size=4,
    )
)
def test_whatever_was_noted_makes_a_plan(noted: dict[str, list[tuple[str, int]]]) -> None:
    adopt.plan_with_routes(noted, DESIRED.wiring)
