# SPDX-License-Identifier: Apache-2.0
"""What operators are shown of changes, problems and drains."""

from __future__ import annotations

import pytest
from din.api.schema import Changes
from din.controller.operations import connections_left
from din.controller.views import changes_view, problem_view
from din.measure.state import Connections, InstanceState, Load
from din.model.problem import Problem
from din.p4rt.diff import BlastRadius, diff
from din.p4rt.entry import State, action, key
from din.p4rt.reconcile import Preview


def entries(table: str, numbers: range, function: int = 1) -> State:
    return {key(table, tenant=number): action("to_function", function=function) for number in numbers}


def view(before: State, after: State) -> Changes:
    changes = diff(before, after)
    return changes_view({"leaf-1": Preview(changes, BlastRadius.of("leaf-1", before, changes))})


def test_counts_by_table_and_the_entries() -> None:
    before = entries("a", range(100)) | entries("b", range(100))
    after = entries("a", range(1, 101)) | entries("b", range(1), 2) | entries("b", range(1, 100))
    found = view(before, after)
    assert [
        (each.table, each.inserted, each.modified, each.deleted, each.before) for each in found.tables
    ] == [
        ("a", 1, 0, 1, 100),
        ("b", 0, 1, 0, 100),
    ]
    assert sorted((each.switch, each.change) for each in found.entries) == [
        ("leaf-1", "delete"),
        ("leaf-1", "insert"),
        ("leaf-1", "modify"),
    ]
    assert (found.omitted, found.mass_deletion) == (0, "")


def test_of_many_entries_some_are_shown_and_all_are_counted() -> None:
    found = view({}, entries("a", range(1000)))
    assert found.tables[0].inserted == 1000
    assert len(found.entries) + found.omitted == 1000
    assert 0 < len(found.entries) < 1000


@pytest.mark.parametrize(
    ("kept_a", "kept_b", "mass"),
    [
        (range(100), range(100), False),
        (range(100), range(60), False),  # a fifth of the switch
        (range(100), range(40), True),  # more than a quarter
        (range(60), range(60), True),
    ],
)
def test_much_of_a_switch_is_a_mass_deletion(kept_a: range, kept_b: range, mass: bool) -> None:
    before = entries("a", range(100)) | entries("b", range(100))
    found = view(before, entries("a", kept_a) | entries("b", kept_b))
    assert bool(found.mass_deletion) == mass


@pytest.mark.parametrize(("size", "mass"), [(15, False), (16, True)])
def test_a_table_that_is_emptied_is_a_mass_deletion_if_it_had_some(size: int, mass: bool) -> None:
    before = entries("a", range(1000)) | entries("b", range(size))
    found = view(before, entries("a", range(1000)))
    assert bool(found.mass_deletion) == mass
    if mass:
        assert found.mass_deletion == "leaf-1: all 16 entries of b would go"


def test_unreachable_switches_are_named_in_order() -> None:
    assert changes_view({}, {"leaf-2", "core-1"}).unreachable == ["core-1", "leaf-2"]


def test_a_problem_says_what_to_do() -> None:
    found = problem_view(
        Problem(("hosts", 0, "leaf"), "there is no leaf x", "did you mean y?", file="m.yaml", line=7)
    )
    assert (found.file, found.line, found.field) == ("m.yaml", 7, "hosts[0].leaf")
    assert found.message == "there is no leaf x; did you mean y?"


# ---- drains ----------------------------------------------------------------------------------------------


def counted(least: int, most: int | None = None, at: float = 10.0) -> Connections:
    return Connections(at, least, 0, 0.0, most)


@pytest.mark.parametrize(
    ("connections", "load", "left"),
    [
        (None, None, None),
        (None, Load(10.0, 0.0, 0.0), None),
        # Of before the drain.
        (counted(0, 0, at=5.0), None, None),
        # Who works on something is not done, whatever was counted.
        (counted(0, 5), Load(10.0, 3.0, 1.0), 4),
        (counted(6, 6), Load(10.0, 3.0, 1.0), 6),
        # Nothing: RSTs were ends.
        (counted(0, 5), Load(10.0, 0.0, 0.0), 0),
        (counted(2, 5), Load(10.0, 0.0, 0.0), 2),
        # It does not say, or not any more.
        (counted(0, 5), None, 5),
        (counted(0, 5), Load(5.0, 0.0, 0.0), 5),
        (counted(0, 5), Load(10.0), 5),
        (counted(3), None, 3),
    ],
)
def test_connections_that_a_drained_instance_has_left(
    connections: Connections | None, load: Load | None, left: int | None
) -> None:
    assert connections_left(InstanceState(True, "", load, connections), 8.0) == left
