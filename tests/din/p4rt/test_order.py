# SPDX-License-Identifier: Apache-2.0
"""Make before break."""

from __future__ import annotations

import random

import pytest
from din.p4rt import order as module
from din.p4rt.codec import Op
from din.p4rt.diff import Changes, diff, place
from din.p4rt.entry import State, action, key
from din.p4rt.order import Order
from din.p4rt.program import Program, ProgramError, default_program
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.din.p4rt.arbitrary import closed_states, dangling, states
from tests.din.p4rt.switches import everything

ANY = states(default_program())


@given(closed_states(), closed_states(), st.integers(1, 5), st.randoms(use_true_random=False))
def test_nothing_refers_to_nothing_at_any_time(
    have: State, want: State, size: int, shuffle: random.Random
) -> None:
    """Not even within a batch, in whatever order a switch takes its updates."""
    program = default_program()
    assert not list(dangling(program, have))
    now, touched = dict(have), set()
    for batch in Order(program).batches(diff(have, want), size):
        assert 0 < len(batch) <= size
        shuffle.shuffle(batch)
        for change in batch:
            assert change.key not in touched, "an entry is changed twice"
            touched.add(change.key)
            assert (change.op is Op.INSERT) == (change.key not in now)
            if change.value is None:
                assert change.op is Op.DELETE
                del now[change.key]
            else:
                now[change.key] = change.value
            assert not list(dangling(program, now))
    assert now == want


@settings(max_examples=50)
@given(ANY, ANY)
def test_everything_is_made_before_anything_breaks(have: State, want: State) -> None:
    changes = diff(have, want)
    batches = list(Order(default_program()).batches(changes, size=3))
    ops = [change.op for batch in batches for change in batch]
    assert len(ops) == len(changes)
    made = [op is not Op.DELETE for op in ops]
    assert made == sorted(made, reverse=True)


def test_traffic_comes_in_last_and_goes_out_first(program: Program) -> None:
    order = Order(program)
    made = [place(change.key) for batch in order.batches(diff({}, everything())) for change in batch]
    gone = [place(change.key) for batch in order.batches(diff(everything(), {})) for change in batch]
    assert made[-1] == gone[0] == "ports"
    for earlier, later in [
        ("functions", "paths"), ("functions", "segments"), ("paths", "buckets"), ("liveness", "buckets"),
        ("buckets", "groups"), ("members", "groups"), ("groups", "services"), ("protection", "routes"),
        ("services", "sources"), ("routes", "paths"),
    ]:  # fmt: skip
        last = max(i for i, each in enumerate(made) if each == earlier)
        assert last < made.index(later), (earlier, later)
        last = max(i for i, each in enumerate(gone) if each == later)
        assert last < gone.index(earlier), (earlier, later)


def test_what_is_needed_is_known_by_names_that_there_are(program: Program) -> None:
    """`NEEDS` passes over names of other programs, so a name that has changed would be passed over too."""
    places = {*program.tables, *program.meters, "clone sessions"}
    for name, needs in module.NEEDS.items():
        assert {name, *needs} <= places


def test_every_reference_of_the_program_is_ordered(program: Program) -> None:
    rank = Order(program).rank
    found = 0
    for table in program.tables.values():
        for each in table.actions.values():
            for param in each.params.values():
                for reference in param.refers_to:
                    assert rank[reference.table] < rank[table.name]
                    found += 1
    assert found >= 5


def test_a_circle_is_refused(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NEEDS", {"functions": ("paths",)})
    with pytest.raises(ProgramError, match=r"in a circle: .*functions"):
        Order(program)


def test_batches_are_full(program: Program) -> None:
    where = {key("buckets", group=1, bucket=n): action("NoAction") for n in range(1000)}
    sizes = [len(batch) for batch in Order(program).batches(Changes(insert=where, delete=where), 300)]
    assert sizes == [300, 300, 300, 100] * 2
