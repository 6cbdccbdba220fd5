# SPDX-License-Identifier: Apache-2.0
"""What is refused inside actions, expressions and parser states."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from p4jit.frontend.expressions import MAX_DEPTH

from tests.p4jit.frontend.builder import Json, call, field, header, hexstr, load, op, refused, replaced

STACK = {"type": "header_stack", "value": "labels"}
UNION = {"type": "header_union", "value": "u"}

PRIMITIVES: list[tuple[Json, str, str]] = [
    (call("add_header_fast", header("ethernet")), ".op", "unknown primitive 'add_header_fast'"),
    (call("assign", field("meta", "x")), "", "'assign' has 2 parameters, found 1"),
    (call("assign", hexstr(1), hexstr(2)), ".parameters[0]", "cannot be assigned to"),
    (call("assign", field("meta", "$valid$"), hexstr(2)), ".parameters[0]", "read-only"),
    (call("assign", field("options", "data"), hexstr(2)), ".parameters[0]", "found a varbit field"),
    (
        call("assign", field("meta", "x"), header("meta")),
        ".parameters[1]",
        "expected a number, found a header",
    ),
    (call("assign", field("meta", "x"), STACK), ".parameters[1]", "found a header stack"),
    (call("assign", field("none", "x"), hexstr(1)), ".parameters[0].value[0]", "no header named 'none'"),
    (
        call("assign", field("meta", "x"), {"type": "runtime_data", "value": 0}),
        ".parameters[1].value",
        "none here",
    ),
    (call("assign", field("meta", "x"), {"type": "extern", "value": "e"}), ".parameters[1].type", "'extern'"),
    (
        call("assign", field("meta", "x"), {"type": "hexstr", "value": "0xzz"}),
        ".parameters[1].value",
        "'0xzz'",
    ),
    (
        call("assign", field("meta", "x"), {"type": "hexstr", "value": "0x" + "f" * 20000}),
        ".parameters[1].value",
        "65536 bits",
    ),
    (call("assign_VL", field("meta", "x"), field("meta", "x")), ".parameters[0]", "expected a varbit field"),
    (call("assign_header", header("ethernet"), header("u.a")), "", "headers of different types"),
    (
        call("assign_header", header("u.a"), UNION),
        ".parameters[1]",
        "expected a header, found a header union",
    ),
    (call("assign_union", header("u.a"), UNION), ".parameters[0]", "expected a header union"),
    (call("add_header", header("meta")), ".parameters[0]", "metadata is always valid"),
    (call("push", header("u.a"), hexstr(1)), ".parameters[0]", "expected a stack, found a header"),
    (call("push", STACK, field("meta", "x")), ".parameters[1]", "must be a constant"),
    (call("pop", STACK, hexstr(-1)), ".parameters[1]", "found -1"),
    (call("mark_to_drop", header("ethernet")), ".parameters[0]", "not standard metadata"),
    (call("clone_egress_pkt_to_egress", hexstr(1), hexstr(7)), ".parameters[1]", "no field list with id 7"),
    (call("resubmit", field("meta", "x")), ".parameters[0]", "must be a constant"),
    (call("generate_digest", hexstr(0), hexstr(5)), ".parameters[1]", "no learn list with id 5"),
    (
        call("count", {"type": "counter_array", "value": "dc"}, hexstr(0)),
        ".parameters[0].value",
        "'dc' is a direct counter",
    ),
    (call("count", {"type": "meter_array", "value": "m"}, hexstr(0)), ".parameters[0]", "'counter_array'"),
    (
        call("execute_meter", {"type": "meter_array", "value": "dm"}, hexstr(0), field("meta", "x")),
        ".parameters[0].value",
        "'dm' is a direct meter",
    ),
    (
        call("register_read", field("meta", "x"), {"type": "register_array", "value": "s"}, hexstr(0)),
        ".parameters[1].value",
        "no register array named 's'",
    ),
    (
        call("log_msg", {"type": "string", "value": "{} {}"}, {"type": "parameters_vector", "value": {}}),
        ".parameters[0]",
        "2 '{}' for 0 values",
    ),
    (call("assert", header("meta")), ".parameters[0]", "expected a boolean, found a header"),
    (call("_jump", hexstr(-1)), ".parameters[0]", "found -1"),
    (call("_jump", hexstr(2)), ".parameters[0]", "jumps to statement 2 of an action that has 1"),
    (call("_jump_if_zero", STACK, hexstr(1)), ".parameters[0]", "expected a boolean"),
]


@pytest.mark.parametrize(("primitive", "where", "what"), PRIMITIVES, ids=lambda v: str(v)[:60])
def test_a_bad_primitive_is_refused(primitive: Json, where: str, what: str) -> None:
    error = refused(replaced("actions/3/primitives", [primitive]))
    assert error.path == "$.actions[3].primitives[0]" + where
    assert what in str(error)


TRUE = {"type": "bool", "value": True}
EXPRESSIONS: list[tuple[Json, str, str]] = [
    (op("**", hexstr(1), hexstr(2)), ".value.op", "unknown operation '**'"),
    (op("+", hexstr(1), TRUE), ".value.right", "expected a number, found a boolean"),
    (op("and", TRUE, hexstr(1)), ".value.right", "expected a boolean, found a number"),
    (op("==", hexstr(1), TRUE), ".value.right", "expected a number, found a boolean"),
    (op("==", header("ethernet"), header("u.a")), ".value", "compares two of different types"),
    (op("==", STACK, STACK), ".value.left", "a header stack cannot be compared"),
    (op("not", hexstr(1), TRUE), ".value.left", "'not' has no left operand"),
    (op("valid", None, UNION), ".value.right", "expected a header, found a header union"),
    (op("d2b", None, TRUE), ".value.right", "expected a number, found a boolean"),
    (op("two_comp_mod", hexstr(1), field("meta", "x")), ".value.right", "must be a constant from 1"),
    (op("usat_cast", hexstr(1), hexstr(0)), ".value.right", "must be a constant from 1"),
    (op("access_field", header("ethernet"), 3), ".value.right", "between 0 and 2, found 3"),
    (op("access_union_header", UNION, 2), ".value.right", "between 0 and 1, found 2"),
    (op("dereference_header_stack", UNION, hexstr(0)), ".value.left", "expected a header stack"),
    (op("last_stack_index", None, UNION), ".value.right", "expected a stack, found a header union"),
    (op("?", STACK, STACK, cond=TRUE), ".value.left", "cannot be chosen"),
    (op("?", hexstr(1), hexstr(2), cond=hexstr(1)), ".value.cond", "expected a boolean"),
    (op("+", field("options", "data"), hexstr(1)), ".value.left", "found a varbit field"),
    ({"type": "register", "value": ["r", TRUE]}, ".value[1]", "expected a number"),
    ({"type": "stack_field", "value": ["labels", "none"]}, ".value[1]", "no field of header type 'label_t'"),
    ({"value": 1}, "", "has no 'type'"),
]


@pytest.mark.parametrize(("expression", "where", "what"), EXPRESSIONS, ids=lambda v: str(v)[:60])
def test_an_ill_typed_expression_is_refused(expression: Json, where: str, what: str) -> None:
    error = refused(replaced("actions/3/primitives", [call("assign", field("meta", "x"), expression)]))
    assert error.path == "$.actions[3].primitives[0].parameters[1]" + where
    assert what in str(error)


OPERATIONS: list[tuple[Json, str, str]] = [
    (call("rewind"), ".op", "unknown parser operation 'rewind'"),
    (call("extract"), ".parameters", "array of 1 items"),
    (call("extract", {"type": "tunnel", "value": "x"}), ".parameters[0].type", "cannot extract to 'tunnel'"),
    (call("extract", {"type": "regular", "value": "meta"}), ".parameters[0].value", "is metadata"),
    (call("extract", {"type": "regular", "value": "options"}), ".parameters[0]", "use extract_VL"),
    (call("extract", {"type": "union_stack", "value": ["us", "c"]}), ".parameters[0].value[1]", "named 'c'"),
    (
        call("extract_VL", {"type": "regular", "value": "ethernet"}, hexstr(8)),
        ".parameters[0]",
        "without a varbit field",
    ),
    (call("set", hexstr(1), hexstr(1)), ".parameters[0]", "cannot be assigned to"),
    (
        call("set", field("meta", "x"), {"type": "lookahead", "value": [0, 0]}),
        ".parameters[1].value[1]",
        "between",
    ),
    (call("verify", TRUE, 77), ".parameters[1]", "no error has the value 77"),
    (call("verify", header("meta"), 0), ".parameters[0]", "expected a boolean"),
    (call("shift", -1), ".parameters[0]", "found -1"),
    (call("primitive", call("_jump", hexstr(1))), ".parameters[0].op", "unknown primitive '_jump'"),
]


@pytest.mark.parametrize(("operation", "where", "what"), OPERATIONS, ids=lambda v: str(v)[:60])
def test_a_bad_parser_operation_is_refused(operation: Json, where: str, what: str) -> None:
    error = refused(replaced("parsers/0/parse_states/0/parser_ops", [operation]))
    assert error.path == "$.parsers[0].parse_states[0].parser_ops[0]" + where
    assert what in str(error)


TRANSITIONS: list[tuple[Json, str, str]] = [
    ({"type": "regex", "value": None}, ".type", "unknown type of transition 'regex'"),
    ({"type": "hexstr", "value": "0x112233", "mask": None}, ".value", "must have 2 bytes"),
    ({"type": "hexstr", "value": "0x1122", "mask": "0x112233"}, ".mask", "must have 2 bytes"),
    (
        {"type": "hexstr", "value": "0x1122", "next_state": "gone"},
        ".next_state",
        "no parser state named 'gone'",
    ),
    ({"type": "parse_vset", "value": "gone"}, ".value", "no value set named 'gone'"),
    ({"type": "parse_vset", "value": "types", "mask": "0x1ffff"}, ".mask", "at most 16 bits"),
]


@pytest.mark.parametrize(("transition", "where", "what"), TRANSITIONS, ids=lambda v: str(v)[:60])
def test_a_bad_transition_is_refused(transition: Json, where: str, what: str) -> None:
    error = refused(replaced("parsers/0/parse_states/0/transitions", [transition]))
    assert error.path == "$.parsers[0].parse_states[0].transitions[0]" + where
    assert what in str(error)


def test_a_value_that_no_key_can_have_is_refused() -> None:
    path = "parsers/0/parse_states/1/transitions/0"
    error = refused(replaced(path, {"type": "hexstr", "value": "0x020abc", "mask": None}))
    assert error.path == "$.parsers[0].parse_states[1].transitions[0].value"
    assert "0x2 does not fit a key field of 1 bits" in str(error)


def test_a_key_that_is_no_field_is_refused() -> None:
    error = refused(replaced("parsers/0/parse_states/0/transition_key", [hexstr(4)]))
    assert error.path == "$.parsers[0].parse_states[0].transition_key[0]"
    assert "'hexstr' cannot be a key" in str(error)


def nested(depth: int) -> Json:
    expression = hexstr(1)
    for _ in range(depth):
        expression = op("+", expression, hexstr(1))
    return replaced("actions/3/primitives", [call("assign", field("meta", "x"), expression)])


def test_nesting_within_the_bound_loads() -> None:
    load(nested(MAX_DEPTH - 100))


def _registers(depth: int) -> Json:
    expression = hexstr(1)
    for _ in range(depth):
        expression = {"type": "register", "value": ["r", expression]}
    return replaced("actions/3/primitives", [call("assign", field("meta", "x"), expression)])


@pytest.mark.parametrize("make", [nested, _registers])
def test_nesting_beyond_the_bound_is_refused(make: Callable[[int], Json]) -> None:
    assert f"nested more than {MAX_DEPTH} deep" in str(refused(make(MAX_DEPTH + 10)))
