# SPDX-License-Identifier: Apache-2.0
"""Each thing that is refused: the message says where, and names the construct."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from p4jit.frontend.errors import ProgramError
from p4jit.frontend.load import load_program

from tests.p4jit.frontend.builder import (
    Json,
    appended,
    call,
    field,
    header,
    hexstr,
    load,
    op,
    refused,
    replaced,
    valid,
)

#: Path of the value to replace, its new value, path in the message, text in the message.
Case = tuple[str, Any, str, str]


TABLE = "pipelines/0/tables/0"
ENTRY = "pipelines/0/tables/2/entries/0"
T = "$.pipelines[0].tables[0]"
E = "$.pipelines[0].tables[2].entries[0]"

CASES: list[Case] = [
    # the document
    ("__meta__/version", [3, 0], "$.__meta__.version", "format 3.0 is not supported"),
    ("__meta__/version", [2], "$.__meta__.version", "array of 2 items"),
    ("packet_generators", [], "$.packet_generators", "unknown section"),
    ("headers", {}, "$.headers", "expected an array, found an object"),
    ("program", "x", "", ""),
    # header types
    ("header_types/1/fields/0", ["dst", 0], "$.header_types[1].fields[0][1]", "between 1 and 65536"),
    ("header_types/1/fields/0", ["dst", -4], "$.header_types[1].fields[0][1]", "found -4"),
    ("header_types/1/fields/0", ["dst", 65537], "$.header_types[1].fields[0][1]", "found 65537"),
    ("header_types/1/fields/0", ["dst", 10**400], "$.header_types[1].fields[0][1]", "far larger"),
    ("header_types/1/fields/0", ["dst", True], "$.header_types[1].fields[0][1]", "found a boolean"),
    ("header_types/1/fields/0", ["dst", 4.5], "$.header_types[1].fields[0][1]", "fraction"),
    ("header_types/1/fields/0", ["src", 48], "$.header_types[1].fields[1][0]", "two fields are named 'src'"),
    ("header_types/1/fields/0", [7, 48], "$.header_types[1].fields[0][0]", "expected a string"),
    ("header_types/1/fields/0", ["", 48], "$.header_types[1].fields[0][0]", "1 to 4096 characters"),
    ("header_types/1/fields/0", ["\ud800", 48], "$.header_types[1].fields[0][0]", "surrogate"),
    ("header_types/1/fields/0", ["$valid$", 48], "$.header_types[1].fields[0][0]", "hidden field"),
    ("header_types/1/fields/0", ["dst", 47], "$.headers[1]", "111 bits"),
    ("header_types/3/fields/0", ["kind", "*"], "$.header_types[3].fields[1]", "at most one varbit"),
    ("header_types/3/max_length", None, "$.header_types[3]", "'max_length'"),
    ("header_types/3/max_length", 1, "$.header_types[3].max_length", "no room"),
    ("header_types/1/length_exp", hexstr(8), "$.header_types[1].length_exp", "'length_exp'"),
    ("header_types/1/name", "label_t", "$.header_types[2].name", "two header types are named 'label_t'"),
    ("header_types/1/id", 2, "$.header_types[2].id", "two header types have id 2"),
    # instances
    ("headers/1/header_type", "nothing", "$.headers[1].header_type", "no header type named 'nothing'"),
    ("headers/1/name", "options", "$.headers[4].name", "two headers are named 'options'"),
    ("header_types/6/fields/2", ["wide", 65536], "", ""),
    ("header_stacks/0/header_ids", [2, 99], "$.header_stacks[0].header_ids[1]", "no header with id 99"),
    ("header_stacks/0/header_ids", [2, 1], "$.header_stacks[0].header_ids[1]", "has type 'ethernet_t'"),
    ("header_stacks/0/header_ids", [], "$.header_stacks[0].header_ids", "at least one"),
    ("header_stacks/1/header_ids", [14, 2], "$.header_stacks[1].header_ids[1]", "already in stack 'labels'"),
    ("header_unions/0/header_ids", [5], "$.header_unions[0].header_ids", "array of 2 items"),
    ("header_unions/0/header_ids", [6, 5], "$.header_unions[0].header_ids[0]", "cannot be member 'a'"),
    ("header_unions/0/union_type", "none", "$.header_unions[0].union_type", "no header union type"),
    (
        "header_union_stacks/0/header_union_ids",
        [1, 1],
        "$.header_union_stacks[0].header_union_ids[1]",
        "already",
    ),
    (
        "field_aliases/0",
        ["a.b", ["meta", "y"]],
        "$.field_aliases[0][1][1]",
        "no field of header type 'meta_t'",
    ),
    ("errors/2", ["Mine", 1], "$.errors[2][1]", "two errors have the value 1"),
    ("errors/2", ["NoError", 2], "$.errors[2][0]", "two errors are named 'NoError'"),
    ("enums/0/entries/1", ["a", 3], "$.enums[0].entries[1][0]", "two entries are named 'a'"),
    # stateful objects and lists
    ("extern_instances", [{"name": "e", "id": 0, "type": "blake"}], "$.extern_instances[0].type", "'blake'"),
    ("register_arrays/0/size", 2**31 + 1, "$.register_arrays[0].size", "found 2147483649"),
    ("register_arrays/0/bitwidth", 0, "$.register_arrays[0].bitwidth", "between 1 and"),
    ("counter_arrays/0/size", -1, "$.counter_arrays[0].size", "found -1"),
    ("counter_arrays/1/binding", "spread", "$.counter_arrays[1].binding", "'with_counters'"),
    ("meter_arrays/0/type", "hops", "$.meter_arrays[0].type", "unknown type of meter 'hops'"),
    ("meter_arrays/0/rate_count", 3, "$.meter_arrays[0].rate_count", "2 rates"),
    (
        "meter_arrays/1/binding",
        "spread",
        "$.pipelines[0].tables[0].direct_meters",
        "not a direct meter of this",
    ),
    ("meter_arrays/1/result_target", ["kept", "field"], "$.meter_arrays[1].result_target", "fixed width"),
    ("calculations/0/algo", "md5", "$.calculations[0].algo", "unknown hash algorithm 'md5'"),
    (
        "calculations/0/input/1",
        {"type": "expression"},
        "$.calculations[0].input[1]",
        "'expression' cannot be",
    ),
    ("calculations/0/input/2/bitwidth", 0, "$.calculations[0].input[2].bitwidth", "between 1"),
    ("learn_lists/0/elements/0", op("+", None, 1), "$.learn_lists[0].elements[0]", "in a digest"),
    (
        "learn_lists/0/elements/0",
        field("meta", "$valid$"),
        "$.learn_lists[0].elements[0].value",
        "hidden field",
    ),
    ("calculations/0/input/1", field("meta", "$valid$"), "$.calculations[0].input[1].value", "hidden field"),
    ("learn_lists/0/id", 0, "$.learn_lists[0].id", "between 1 and 65535"),
    ("field_lists/0/id", 65536, "$.field_lists[0].id", "between 1 and 65535"),
    (
        "field_lists/0/elements/0",
        header("meta"),
        "$.field_lists[0].elements[0]",
        "'header' cannot be preserved",
    ),
    (
        "field_lists/0/elements/0",
        field("meta", "$valid$"),
        "$.field_lists[0].elements[0].value",
        "hidden field",
    ),
    ("checksums/0/type", "fletcher", "$.checksums[0].type", "unknown type of checksum 'fletcher'"),
    ("checksums/0/calculation", "none", "$.checksums[0].calculation", "no calculation named 'none'"),
    ("checksums/0/if_cond", header("meta"), "$.checksums[0].if_cond", "expected a boolean, found a header"),
    # parser
    ("parsers/0/name", "other", "$.parsers[0]", "'other' would never run"),
    ("parsers", [], "$", "expected one of parsers"),
    ("parsers/0/init_state", "none", "$.parsers[0].init_state", "no parser state named 'none'"),
    ("parsers/0/parse_states/1/name", "start", "$.parsers[0].parse_states[1].name", "two parser states"),
    ("deparsers/0/order/0", "meta", "$.deparsers[0].order[0]", "is metadata"),
    ("deparsers/0/primitives", [call("exit")], "$.deparsers[0].primitives[0].op", "'exit' in the deparser"),
    ("parse_vsets/0/compressed_bitwidth", 8, "$.parsers[0].parse_states[0].transitions[0].value", "8 bits"),
    # pipelines and tables
    ("pipelines/1/name", "late", "$.pipelines[1].name", "pipeline 'late' would never run"),
    ("pipelines", [], "$", "no pipeline named 'ingress'"),
    ("pipelines/0/init_table", "none", "$.pipelines[0].init_table", "no node in this pipeline named 'none'"),
    ("pipelines/0/conditionals/0/name", "forward", "$.pipelines[0].conditionals[0].name", "two nodes"),
    (
        "pipelines/0/conditionals/0/expression",
        header("u.a"),
        "$.pipelines[0].conditionals[0].expression",
        "boolean",
    ),
    ("pipelines/0/action_calls/0/action_id", 0, "$.pipelines[0].action_calls[0].action_id", "has parameters"),
    (
        "pipelines/0/action_calls/0/next_node",
        "forward",
        "$.pipelines[0]",
        "forward -> spread -> listed -> finally",
    ),
    ("pipelines/0/tables/3/next_tables", {"NoAction": "never_applied"}, "$.pipelines[0]", "cycle"),
    (
        "pipelines/0/tables/1/name",
        "forward",
        "$.pipelines[0].tables[1].name",
        "two tables are named 'forward'",
    ),
    (f"{TABLE}/match_type", "fuzzy", f"{T}.match_type", "unknown match type 'fuzzy'"),
    (f"{TABLE}/match_type", "lpm", f"{T}.match_type", "needs an lpm field"),
    (f"{TABLE}/key/0/match_type", "ternary", f"{T}.key[0].match_type", "cannot match 'ternary'"),
    (f"{TABLE}/key/0/match_type", "regex", f"{T}.key[0].match_type", "unknown match type 'regex'"),
    (f"{TABLE}/key/0/target", op("+", None, hexstr(1)), f"{T}.key[0].target", "no field, but an expression"),
    (f"{TABLE}/key/0/target", ["ethernet", "none"], f"{T}.key[0].target[1]", "no field"),
    (f"{TABLE}/key/0/target", ["options", "data"], f"{T}.key[0].target", "varbit field cannot be a key"),
    (f"{TABLE}/key/0/mask", "0x01ffffffffffff", f"{T}.key[0].mask", "does not fit a field of 48 bits"),
    (f"{TABLE}/max_size", 2**26 + 1, f"{T}.max_size", "between 0 and 67108864"),
    (f"{TABLE}/type", "direct", f"{T}.type", "unknown type of table 'direct'"),
    (f"{TABLE}/action_ids", [0, 1, 77], f"{T}.action_ids[2]", "no action with id 77"),
    (f"{TABLE}/next_tables", {"set_port": None}, f"{T}.next_tables", "says nothing of action 'drop'"),
    (f"{TABLE}/next_tables/other", None, f"{T}.next_tables.other", "no action named 'other'"),
    (f"{TABLE}/next_tables", {"__HIT__": None}, f"{T}.next_tables", "both __HIT__ and __MISS__"),
    (
        f"{TABLE}/next_tables/drop",
        "beyond",
        f"{T}.next_tables.drop",
        "no node in this pipeline named 'beyond'",
    ),
    (f"{TABLE}/direct_meters", "none", f"{T}.direct_meters", "no meter array named 'none'"),
    (f"{TABLE}/direct_meters", None, "$.meter_arrays[1].binding", "'direct_meters'"),
    (f"{TABLE}/default_entry/action_id", 2, f"{T}.default_entry.action_id", "'everything' is not one of the"),
    (f"{TABLE}/default_entry/action_data", ["0x1"], f"{T}.default_entry.action_data", "has 0 parameters"),
    ("pipelines/0/tables/1/type", "indirect", "$.pipelines[0].tables[1].action_profile", "with no selector"),
    (
        "pipelines/0/tables/3/type",
        "indirect_ws",
        "$.pipelines[0].tables[3].action_profile",
        "with a selector",
    ),
    (
        "pipelines/0/tables/3/entries",
        [],
        "$.pipelines[0].tables[3].entries",
        "action profile cannot have entries",
    ),
    (
        "pipelines/0/action_profiles/1/selector/algo",
        "x",
        "$.pipelines[0].action_profiles[1].selector.algo",
        "'x'",
    ),
    (f"{ENTRY}/match_key", [], f"{E}.match_key", "array of 5 items"),
    (f"{ENTRY}/match_key/0/match_type", "lpm", f"{E}.match_key[0].match_type", "is matched 'ternary'"),
    (f"{ENTRY}/match_key/0/mask", "0x1ffffffff", f"{E}.match_key[0].mask", "does not fit 32 bits"),
    (f"{ENTRY}/match_key/1/end", "0x0001", f"{E}.match_key[1]", "is empty"),
    (f"{ENTRY}/match_key/4/prefix_length", 33, f"{E}.match_key[4].prefix_length", "between 0 and 32"),
    (
        f"{ENTRY}/action_entry/action_data",
        ["0x200"],
        f"{E}.action_entry.action_data[0]",
        "does not fit 9 bits",
    ),
    (f"{ENTRY}/priority", None, f"{E}.priority", "found null"),
    # actions
    ("actions/0/id", 1, "$.actions[1].id", "two actions have id 1"),
    ("actions/0/runtime_data/0/bitwidth", 0, "$.actions[0].runtime_data[0].bitwidth", "between 1"),
]


@pytest.mark.parametrize(
    ("path", "value", "where", "what"), [c for c in CASES if c[2]], ids=lambda v: str(v)[:60]
)
def test_a_bad_value_is_refused(path: str, value: Any, where: str, what: str) -> None:
    error = refused(replaced(path, value))
    assert error.path == where
    assert what in str(error)


@pytest.mark.parametrize(("path", "value"), [(c[0], c[1]) for c in CASES if not c[2]])
def test_a_harmless_value_is_not(path: str, value: Any) -> None:
    load(replaced(path, value))


def test_a_duplicate_entry_is_refused() -> None:
    entry = valid()["pipelines"][0]["tables"][2]["entries"][0]
    error = refused(appended("pipelines/0/tables/2/entries", entry))
    assert error.path == "$.pipelines[0].tables[2].entries[1]"
    assert "already in the table" in str(error)


def test_a_missing_standard_field_is_refused() -> None:
    error = refused(replaced("header_types/0/fields/0", ["other", 9]))
    assert error.path == "$"
    assert "no field standard_metadata.ingress_port" in str(error)


def test_headers_beyond_the_bound_are_refused() -> None:
    big = {"name": "big_t", "id": 99, "fields": [["a", 65536]]}
    document = appended("header_types", big)
    for i in range(9):
        document["headers"].append(
            {"name": f"big{i}", "id": 100 + i, "header_type": "big_t", "metadata": False}
        )
    error = refused(document)
    assert error.path == "$.headers[24]"
    assert "larger than 65536 bytes" in str(error)


def test_state_beyond_the_bound_is_refused() -> None:
    error = refused(replaced("register_arrays/0/size", 2**31))
    assert error.path == "$"
    assert "registers take about 12 GiB" in str(error)


def _wide(count: int) -> list[Json]:
    return [{"type": "lookahead", "value": [0, 40_000]} for _ in range(count)]


def _params(count: int) -> list[Json]:
    return [{"name": f"p{i}", "bitwidth": 40_000} for i in range(count)]


@pytest.mark.parametrize(
    ("path", "make", "where", "what"),
    [
        (
            "parsers/0/parse_states/2/transition_key",
            _wide,
            "$.parsers[0].parse_states[2].transition_key",
            "a key",
        ),
        ("actions/3/runtime_data", _params, "$.actions[3].runtime_data", "bits of data"),
        (
            "calculations/0/input",
            lambda n: [header("options")] * n * 1000,
            "$.calculations[0].input",
            "hashed",
        ),
        (
            "learn_lists/0/elements",
            lambda n: [field("ethernet", "src")] * n * 8000,
            "$.learn_lists[0].elements",
            "a digest has",
        ),
    ],
)
def test_too_many_bits_are_refused(path: str, make: Callable[[int], Any], where: str, what: str) -> None:
    load(replaced(path, make(1)))
    error = refused(replaced(path, make(2)))
    assert error.path == where
    assert what in str(error)


def test_a_key_of_too_many_bits_is_refused() -> None:
    keys = [{"match_type": "exact", "target": ["meta", "wide"], "mask": None}] * 513
    error = refused(replaced("pipelines/0/tables/0/key", keys))
    assert error.path == "$.pipelines[0].tables[0].key"
    assert "at most 65536 bits" in str(error)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "3",
        b"\xff\xfe\x00",
        '{"headers": NaN}',
        '{"headers": Infinity}',
        '{"a":' * 100_000,
        "[" * 100_000,
        '{"__meta__": {"version": [' + "9" * 5000 + ", 0]}}",
    ],
    ids=lambda text: repr(text[:20]),
)
def test_what_is_not_a_program_is_refused(text: str | bytes) -> None:
    with pytest.raises(ProgramError):
        load_program(text, "bad")


def test_bytes_and_text_read_the_same() -> None:
    text = json.dumps(valid())
    assert len(load_program(text.encode(), "a").tables) == len(load_program(text, "b").tables)


def test_a_long_name_is_cut_in_the_message() -> None:
    error = refused(replaced("headers/1/header_type", "x" * 100_000))
    assert len(str(error)) < 300
