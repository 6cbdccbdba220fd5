# SPDX-License-Identifier: Apache-2.0
"""P4Info: both formats, and that it must describe the program it comes with."""

from __future__ import annotations

from pathlib import Path

import pytest
from finsy.proto import p4i
from p4jit.frontend.errors import ProgramError
from p4jit.frontend.load import load_program
from p4jit.frontend.p4info import check_p4info, load_p4info

from tests.p4jit.frontend.builder import load, valid

PROGRAMS = Path(__file__).parents[1] / "programs"
COMPILED = sorted(PROGRAMS.glob("*.p4info.txtpb"))

TEXT = """
tables {
  preamble { id: 1 name: "forward" }
  match_fields { id: 1 name: "hdr.ethernet.dst" bitwidth: 48 match_type: EXACT }
  action_refs { id: 11 }
  action_refs { id: 12 }
  const_default_action_id: 12
  direct_resource_ids: 31
  direct_resource_ids: 32
  size: 64
}
tables {
  preamble { id: 2 name: "spread" }
  match_fields { id: 1 name: "meta.x" bitwidth: 32 match_type: LPM }
  action_refs { id: 11 }
  implementation_id: 22
}
tables {
  preamble { id: 3 name: "listed" }
  match_fields { id: 1 name: "meta.x" bitwidth: 32 match_type: OPTIONAL }
  match_fields { id: 2 name: "type" bitwidth: 16 match_type: RANGE }
  match_fields { id: 3 name: "valid" bitwidth: 1 match_type: EXACT }
  match_fields { id: 4 name: "valid2" bitwidth: 1 match_type: EXACT }
  match_fields { id: 5 name: "x" bitwidth: 32 match_type: LPM }
  action_refs { id: 11 }
  is_const_table: true
}
actions {
  preamble { id: 11 name: "set_port" }
  params { id: 1 name: "port" bitwidth: 9 }
}
actions { preamble { id: 12 name: "drop" } }
action_profiles { preamble { id: 22 name: "groups" } table_ids: 2 with_selector: true size: 64 }
action_profiles { preamble { id: 23 name: "members" } size: 32 }
counters { preamble { id: 33 name: "c" } spec { unit: BOTH } size: 16 }
direct_counters { preamble { id: 31 name: "dc" } spec { unit: BOTH } direct_table_id: 1 }
meters { preamble { id: 34 name: "m" } spec { unit: BYTES } size: 8 }
direct_meters { preamble { id: 32 name: "dm" } spec { unit: PACKETS } direct_table_id: 1 }
registers {
  preamble { id: 35 name: "r" }
  type_spec { bitstring { bit { bitwidth: 48 } } }
  size: 32
}
value_sets { preamble { id: 36 name: "types" } match { id: 1 bitwidth: 16 match_type: EXACT } size: 9 }
digests { preamble { id: 37 name: "digest_t" } }
"""


def info() -> p4i.P4Info:
    return load_p4info(TEXT.encode())


@pytest.mark.parametrize("path", COMPILED, ids=lambda path: path.name.split(".")[0])
def test_what_p4c_writes_agrees_with_its_program(path: Path) -> None:
    program = load_program((PROGRAMS / path.name.replace(".p4info.txtpb", ".json")).read_bytes(), path.name)
    assert check_p4info(program, load_p4info(path.read_bytes())) == frozenset()


def test_both_formats_read_the_same() -> None:
    assert load_p4info(info().SerializeToString()) == info()
    assert load_p4info(b"") == p4i.P4Info()


def test_it_describes_the_program_and_sizes_its_value_sets() -> None:
    program = load(valid())
    assert check_p4info(program, info()) == frozenset()
    assert program.value_sets[0].size == 9


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"tables { name: }", "cannot be read"),
        (b"nonsense { }", "nonsense"),
        (b"\x0a\xff\xff\xff", "cannot be read"),
        (b"tables { preamble { id: 99999999999 } }", "cannot be read"),
        ("tables \xe9".encode("latin1"), "cannot be read"),
    ],
)
def test_what_is_not_p4info_is_refused(data: bytes, what: str) -> None:
    with pytest.raises(ProgramError, match=r"^P4Info: ") as caught:
        load_p4info(data)
    assert what in str(caught.value)


#: Text to replace, what with, object named, text in the message.
MISMATCHES = [
    ('"forward"', '"backward"', "table 'backward'", "not in the program, which has 'forward' instead"),
    ('name: "c"', 'name: "other"', "counter 'other'", "which has 'c' instead"),
    ('"members"', '"bundles"', "action profile 'bundles'", "which has 'members' instead"),
    ('"groups"', '"bundles"', "table 'spread'", "has action profile 'bundles', in the program 'groups'"),
    ('"types"', '"kinds"', "value set 'kinds'", "which has 'types' instead"),
    ("bitwidth: 48 match_type: EXACT", "bitwidth: 47 match_type: EXACT", "table 'forward'", "47 bits"),
    ("bitwidth: 48 match_type: EXACT", "bitwidth: 48 match_type: TERNARY", "table 'forward'", "type TERNARY"),
    (
        'match_fields { id: 2 name: "type" bitwidth: 16 match_type: RANGE }',
        "",
        "table 'listed'",
        "has 4 match",
    ),
    ('id: 2 name: "type"', 'id: 1 name: "type"', "table 'listed'", "without an id of their own"),
    ("bitwidth: 9 }", "bitwidth: 16 }", "action 'set_port'", "16 bits, in the program 9"),
    ('params { id: 1 name: "port" bitwidth: 9 }', "", "action 'set_port'", "has 0 parameters"),
    ("action_refs { id: 12 }", "action_refs { id: 13 }", "table 'forward'", "action with id 13"),
    ("implementation_id: 22", "", "table 'spread'", "in the program 'groups'"),
    ("implementation_id: 22", "implementation_id: 99", "table 'spread'", "action profile with id 99"),
    ("with_selector: true", "", "action profile 'groups'", "selector only here or only in the program"),
    ("table_ids: 2", "table_ids: 1", "action profile 'groups'", "does not use it"),
    ("size: 16", "size: 17", "counter 'c'", "size 17, in the program 16"),
    ("unit: BYTES", "unit: PACKETS", "meter 'm'", "counts bytes only"),
    (
        "unit: PACKETS } direct_table_id: 1",
        "unit: PACKETS } direct_table_id: 2",
        "direct meter 'dm'",
        "table",
    ),
    (
        "unit: BOTH } direct_table_id: 1",
        "unit: BOTH } direct_table_id: 2",
        "direct counter 'dc'",
        "without counters",
    ),
    ("direct_resource_ids: 32", "direct_resource_ids: 77", "table 'forward'", "direct resource with id 77"),
    ("bit { bitwidth: 48 }", "bit { bitwidth: 40 }", "register 'r'", "width 40, in the program 48"),
    (
        "match { id: 1 bitwidth: 16",
        "match { id: 1 bitwidth: 8",
        "value set 'types'",
        "width 8, in the program 16",
    ),
    ("size: 9", "size: -1", "value set 'types'", "has size -1"),
    ("id: 12 name:", "id: 1 name:", "action 'drop'", "has id 1, as has table 'forward'"),
    ("id: 12 name:", "name:", "action 'drop'", "no name or no id"),
    ('id: 2 name: "spread"', 'id: 2 name: "forward"', "table 'forward'", "is there twice"),
]


@pytest.mark.parametrize(("old", "new", "where", "what"), MISMATCHES, ids=lambda v: v[:40])
def test_a_mismatch_names_the_object(old: str, new: str, where: str, what: str) -> None:
    assert old in TEXT
    changed = load_p4info(TEXT.replace(old, new, 1).encode())
    with pytest.raises(ProgramError) as caught:
        check_p4info(load(valid()), changed)
    assert caught.value.path == f"P4Info {where}"
    assert what in str(caught.value)


def test_an_unknown_extern_is_refused() -> None:
    changed = load_p4info(TEXT.encode() + b'externs { extern_type_name: "blake" }')
    with pytest.raises(ProgramError, match="P4Info extern 'blake': is unknown"):
        check_p4info(load(valid()), changed)


def test_what_the_compiler_dropped_is_reported() -> None:
    """p4c makes P4Info before it removes what has no effect."""
    more = b'tables { preamble { id: 4 name: "gone" } } actions { preamble { id: 14 name: "gone" } }'
    assert check_p4info(load(valid()), load_p4info(TEXT.encode() + more)) == {4, 14}


def test_a_digest_of_a_type_without_a_name_is_reported() -> None:
    """p4c names it in P4Info (digest_0) otherwise than in the JSON (tuple_0)."""
    changed = load_p4info(TEXT.replace('"digest_t"', '"digest_0"').encode())
    assert check_p4info(load(valid()), changed) == {37}


def test_a_translated_type_has_the_controllers_width() -> None:
    text = TEXT.replace("bitwidth: 9 }", 'bitwidth: 32 type_name { name: "port_t" } }')
    translation = """type_info { new_types { key: "port_t" value {
        translated_type { uri: "p4.org/psa/v1/PortId_t" sdn_bitwidth: 32 } } } }"""
    check_p4info(load(valid()), load_p4info((text + translation).encode()))
    with pytest.raises(ProgramError, match="32 bits, in the program 9"):
        check_p4info(load(valid()), load_p4info(text.encode()))
