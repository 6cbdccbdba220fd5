# SPDX-License-Identifier: Apache-2.0
"""What entries refer to is there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from din.p4rt.entry import (
    Clone,
    CloneKey,
    Key,
    Lpm,
    Range,
    State,
    Ternary,
    action,
    default,
    key,
    member,
)
from din.p4rt.program import Program, ProgramError
from din.p4rt.references import MAY_DANGLE, dangling, own_keys
from finsy.proto import p4i
from google.protobuf import text_format

from tests.din.p4rt.switches import everything, steering

#: `source` refers to `target` by its key, and by actions: one value of one field, two values of one entry.
P4INFO = """
tables {
  preamble { id: 1 name: "c.target" alias: "target" }
  match_fields { id: 1 name: "x" bitwidth: 8 match_type: %(kind)s }
  match_fields { id: 2 name: "y" bitwidth: 8 match_type: %(kind)s }
  action_refs { id: 10 }
  has_initial_entries: %(own)s
}
tables {
  preamble { id: 2 name: "c.source" alias: "source" }
  match_fields { id: 1 name: "k" bitwidth: 8 match_type: TERNARY annotations: "@refers_to(target , y)" }
  action_refs { id: 10 }
  action_refs { id: 11 }
  action_refs { id: 12 }
}
actions { preamble { id: 10 name: "c.nothing" alias: "nothing" } }
actions {
  preamble { id: 11 name: "c.one" alias: "one" }
  params { id: 1 name: "a" bitwidth: 8 annotations: "@refers_to(target , x)" }
}
actions {
  preamble { id: 12 name: "c.both" alias: "both" }
  params { id: 1 name: "a" bitwidth: 8 annotations: "@refers_to(target , x)" }
  params { id: 2 name: "b" bitwidth: 8 annotations: "@refers_to(target , y)" }
}
"""
NOTHING = action("nothing")


def small(
    kind: str = "EXACT", own: list[dict[str, Any]] | None = None, config: bytes | None = None
) -> Program:
    """``own``: match keys of `target`'s own entries, as bmv2's JSON has them."""
    table = {
        "name": "c.target",
        "key": [{"name": "x"}, {"name": "y"}],
        "entries": [{"match_key": [each["x"], each["y"]]} for each in own or ()],
    }
    text = P4INFO % {"kind": kind, "own": str(own is not None or config is not None).lower()}
    found = json.dumps({"pipelines": [{"tables": [table]}]}).encode()
    return Program.load(text_format.Parse(text, p4i.P4Info()), config if config is not None else found)


def target(x: Any, y: Any) -> Key:
    return key("target", x=x, y=y)


SOURCE = key("source", 1)


def test_a_value_of_one_field() -> None:
    program = small()
    state: State = {SOURCE: action("one", a=3)}
    assert dangling(program, state) == ["source[] priority 1: one refers to target[x=3], which is not there"]
    assert dangling(program, state | {target(3, 9): NOTHING}) == []
    # Another field's value is none of it.
    assert dangling(program, state | {target(9, 3): NOTHING})


def test_values_of_one_entry_are_found_together() -> None:
    state: State = {SOURCE: action("both", a=3, b=4), target(3, 1): NOTHING, target(1, 4): NOTHING}
    (problem,) = dangling(small(), state)
    assert "both refers to target[x=3, y=4]" in problem
    assert dangling(small(), state | {target(3, 4): NOTHING}) == []


def test_a_key_refers_too() -> None:
    state: State = {key("source", 1, k=Ternary(4, 255)): NOTHING}
    (problem,) = dangling(small(), state)
    assert "its key refers to target[y=4]" in problem
    assert dangling(small(), state | {target(0, 4): NOTHING}) == []
    # What matches several values refers to none.
    assert dangling(small(), {key("source", 1, k=Ternary(4, 254)): NOTHING, SOURCE: NOTHING}) == []


def test_of_a_default_entry_and_of_members() -> None:
    assert len(dangling(small(), {default("source"): action("one", a=3)})) == 1
    members = (member("one", a=3), member("nothing"), member("one", a=4))
    found = dangling(small(), {SOURCE: members, target(3, 0): NOTHING, CloneKey(1): Clone((1,))})
    assert len(found) == 1
    assert "x=4" in found[0]


def test_a_default_entry_is_no_entry_that_could_be_referred_to() -> None:
    assert dangling(small(), {SOURCE: action("one", a=3), default("target"): NOTHING})


@pytest.mark.parametrize(
    ("kind", "one", "several"),
    [
        ("LPM", Lpm(3, 8), Lpm(3, 7)),
        ("TERNARY", Ternary(3, 255), Ternary(3, 127)),
        ("RANGE", Range(3, 3), Range(3, 4)),
        ("OPTIONAL", 3, None),
    ],
)
def test_what_matches_one_value_alone_has_it(kind: str, one: Any, several: Any) -> None:
    program = small(kind)
    state: State = {SOURCE: action("one", a=3)}
    assert dangling(program, state | {key("target", 1, x=one): NOTHING}) == []
    other = key("target", 1) if several is None else key("target", 1, x=several)
    assert dangling(program, state | {other: NOTHING})


OWN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "EXACT": ({"match_type": "exact", "key": "0x03"}, {"match_type": "exact", "key": "0x04"}),
    "LPM": (
        {"match_type": "lpm", "key": "0x03", "prefix_length": 8},
        {"match_type": "lpm", "key": "0x02", "prefix_length": 7},
    ),
    "TERNARY": (
        {"match_type": "ternary", "key": "0x03", "mask": "0xff"},
        {"match_type": "ternary", "key": "0x03", "mask": "0x0f"},
    ),
    "RANGE": (
        {"match_type": "range", "start": "0x03", "end": "0x03"},
        {"match_type": "range", "start": "0x03", "end": "0x05"},
    ),
}


@pytest.mark.parametrize("kind", OWN)
def test_the_programs_own_entries_count(kind: str) -> None:
    good, bad = OWN[kind]
    state: State = {SOURCE: action("one", a=3)}
    assert dangling(small(kind, [{"x": good, "y": good}]), state) == []
    assert dangling(small(kind, [{"x": bad, "y": good}]), state)


@pytest.mark.parametrize("config", [b"\x7fELF", b"{}", b'{"pipelines": [{"tables": []}]}', b"[]"])
def test_own_entries_that_cannot_be_read_are_not_taken_for_none(config: bytes) -> None:
    program = small(config=config)
    with pytest.raises(ProgramError, match="refer to table target, whose own entries cannot be read"):
        dangling(program, {SOURCE: action("one", a=3)})
    # While nothing refers to them, they need not be read.
    assert dangling(program, {SOURCE: NOTHING}) == []


def test_our_programs_own_entries_can_be_read(program: Program) -> None:
    """`gap_bins` and `budgets` are const: nothing refers to them, but what does could."""
    assert {table: len(own_keys(program, table)) for table in ("gap_bins", "budgets", "paths")} == {
        "gap_bins": 15,
        "budgets": 9,
        "paths": 0,
    }


def test_whole_states_of_our_program(program: Program) -> None:
    assert dangling(program, everything()) == []
    state = steering(1, [1, 2])
    assert dangling(program, state) == []
    del state[key("functions", function=101)]
    found = dangling(program, state)
    assert len(found) == 2
    assert all("refers to functions[function=101], which is not there" in each for each in found)
    assert found[0].startswith("paths[")
    assert found[1].startswith("segments[")


def test_a_leaf_without_a_path(program: Program) -> None:
    to_leaf: State = {key("destinations", tenant=1): action("to_leaf", leaf=7)}
    (problem,) = dangling(program, to_leaf)
    assert problem == "destinations[tenant=1]: to_leaf refers to paths[target=7], which is not there"


def test_what_may_dangle_is_a_reference_and_has_a_reason(program: Program) -> None:
    """So that none stays here when the program no longer has it."""
    for (owner, name), reason in MAY_DANGLE.items():
        assert program.actions[owner].params[name].refers_to
        assert reason
    assert (
        dangling(
            program, {key("groups", service=1, tenant=1, class_id=1, label=0): action("set_group", group=1)}
        )
        == []
    )
