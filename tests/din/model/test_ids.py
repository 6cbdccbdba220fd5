# SPDX-License-Identifier: Apache-2.0
"""Names keep their numbers."""

from __future__ import annotations

from typing import Any

import pytest
from din.model.ids import FUNCTIONS, RANGES, Ids, OutOfNumbersError, assign, function_kind, host_function
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.din.model.edits import GONE, model

#: Few names, so that they come and go.
GROUPS = st.lists(st.sampled_from([f"g{n}" for n in range(12)]), unique=True)
MODEL = model()


def test_numbers_are_in_their_ranges_and_unique() -> None:
    ids = assign(MODEL, ["a", "b"])
    for kind, numbers in ids.numbers.items():
        lowest, highest = RANGES.get(kind, FUNCTIONS)
        assert len(set(numbers.values())) == len(numbers)
        assert all(lowest <= number <= highest for number in numbers.values())


def test_a_name_has_a_number_and_a_number_a_name() -> None:
    ids = assign(MODEL, [])
    assert ids.name("node", ids.of("node", "wan-2")) == "wan-2"
    assert ids.name("node", 4000) is None
    assert ids.name("nothing", 1) is None
    with pytest.raises(KeyError):
        ids.of("node", "wan-9")


def test_unlabelled_is_0() -> None:
    ids = assign(MODEL, [])
    assert [ids.label(each) for each in (None, "", "public")] == [0, 0, 0]
    assert ids.label("private") > 0


@given(st.lists(GROUPS, min_size=2, max_size=8))
def test_names_keep_their_numbers_and_take_nobody_elses(history: list[list[str]]) -> None:
    known: dict[str, int] = {}
    ids: Ids | None = None
    for groups in history:
        ids = assign(MODEL, groups, ids)
        numbers = ids.numbers["group"]
        assert numbers.keys() == set(groups)
        for name, number in numbers.items():
            # Gone or not, a name's number is its own: there are more numbers than names.
            assert known.setdefault(name, number) == number
        assert len(set(known.values())) == len(known)


@given(st.lists(st.sets(st.integers(0, 90), max_size=63), min_size=1, max_size=6))
@settings(max_examples=30)
def test_numbers_that_are_short_go_round(history: list[set[int]]) -> None:
    """63 collectors of 91 names: those that stay keep theirs, and all have one."""
    ids: Ids | None = None
    for names in history:
        before = ids.numbers["collector"] if ids else {}
        collectors = [{"name": f"c{n}", "host": "collector"} for n in sorted(names)]
        ids = assign(model({"telemetry.collectors": collectors}), [], ids)
        after = ids.numbers["collector"]
        assert len(set(after.values())) == len(names)
        assert all(1 <= number <= 63 for number in after.values())
        assert all(before[name] == after[name] for name in before.keys() & after.keys())
        gone = ids.gone["collector"]
        assert not set(gone.values()) & set(after.values())


def test_too_many_names() -> None:
    collectors = [{"name": f"c{n}", "host": "collector"} for n in range(64)]
    with pytest.raises(OutOfNumbersError, match="more than 63 names of kind collector"):
        assign(model({"telemetry.collectors": collectors}), [])


def test_nodes_have_numbers_that_have_an_address() -> None:
    small = model({"fabric.report_sources": "192.0.2.0/29", "switches": MODEL.model_dump()["switches"][:6]})
    assert sorted(assign(small, []).numbers["node"].values()) == [1, 2, 3, 4, 5, 6]
    with pytest.raises(OutOfNumbersError, match="more than 6 names of kind node"):
        assign(model({"fabric.report_sources": "192.0.2.0/29"}), [])


def test_an_edit_of_one_service_changes_no_other_number() -> None:
    before = assign(MODEL, [])
    edits: dict[str, Any] = {"services[0].name": "talk", "instances[1]": GONE, "hosts[4]": GONE}
    after = assign(model(edits), [], before)
    for kind, numbers in after.numbers.items():
        for name, number in numbers.items():
            assert before.numbers[kind].get(name, number) == number
    assert after.of("service", "talk") not in before.numbers["service"].values()


def test_a_leaf_that_comes_back_has_its_functions_numbers() -> None:
    before = assign(MODEL, [])
    without = assign(model({"switches[4]": GONE}), [], before)
    assert without.numbers.get(function_kind("leaf-dc"), {}) == {}
    again = assign(MODEL, [], without)
    assert again.numbers == before.numbers
    assert again.of(function_kind("leaf-dc"), host_function("gpu-dc-1")) == 1


def test_numbers_that_cannot_be_are_given_anew() -> None:
    """As from a file that another version wrote."""
    broken = Ids({"node": {"leaf-a": 7, "leaf-b": 7, "leaf-hq": 0, "leaf-edge": 5000}})
    numbers = assign(MODEL, [], broken).numbers["node"]
    assert numbers["leaf-a"] == 7
    assert len(set(numbers.values())) == 8
    assert all(1 <= number <= 254 for number in numbers.values())
