# SPDX-License-Identifier: Apache-2.0
"""Generated arithmetic against unbounded integers: random expressions, compiled, run on random packets."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from p4jit.codegen.layout import Layout
from p4jit.codegen.program import generate
from p4jit.codegen.values import fitting
from p4jit.frontend import ir
from p4jit.target.build import CompiledProgram
from p4jit.target.compiler import program_library
from p4jit.target.switch import Switch

_WIDTHS = (1, 2, 7, 8, 13, 16, 31, 32, 33, 48, 63, 64, 65, 100, 127, 128, 129, 200, 256)
_EXPRESSIONS = 24
_PACKETS = 12
_OP = ir.BinaryOp


def _fields(widths: list[tuple[int, bool]], prefix: str) -> list[ir.Field]:
    fields = [ir.Field(f"{prefix}{i}", w, i, signed=s) for i, (w, s) in enumerate(widths)]
    padding = -sum(w for w, _ in widths) % 8
    if padding:
        fields.append(ir.Field(f"{prefix}pad", padding, len(fields)))
    return fields


class _Draw:
    """Random well-typed expressions over the fields of one header."""

    def __init__(self, header: ir.Header, rng: random.Random) -> None:
        self.header = header
        self.rng = rng

    def data(self, depth: int) -> ir.Expr:
        r = self.rng
        if depth == 0 or r.random() < 0.1:
            if r.random() < 0.3:
                return ir.Const(
                    r.choice(
                        [
                            0,
                            1,
                            2,
                            -1,
                            255,
                            2**31,
                            2**63,
                            2**64 - 1,
                            2**64,
                            -(2**63),
                            2**127,
                            r.getrandbits(90),
                        ]
                    )
                )
            return ir.FieldRef(self.header, r.choice(self.header.type.fields))
        kind = r.randrange(12)
        if kind < 5:
            op = r.choice([_OP.ADD, _OP.SUB, _OP.MUL, _OP.AND, _OP.OR, _OP.XOR])
            return ir.Binary(op, self.data(depth - 1), self.data(depth - 1))
        if kind == 5:
            return ir.Unary(r.choice([ir.UnaryOp.COMPLEMENT, ir.UnaryOp.NEGATE]), self.data(depth - 1))
        if kind == 6:
            return ir.Binary(_OP.AND, self.data(depth - 1), ir.Const((1 << r.choice(_WIDTHS)) - 1))
        if kind == 7:
            # A shift count is masked, as p4c's bit<8> counts are.
            count = ir.Binary(_OP.AND, self.data(depth - 1), ir.Const(0xFF))
            shifted = ir.Binary(r.choice([_OP.SHL, _OP.SHR]), self.data(depth - 1), count)
            return ir.Binary(_OP.AND, shifted, ir.Const((1 << r.choice(_WIDTHS)) - 1))
        if kind == 8:
            width = ir.Const(r.choice([w for w in _WIDTHS if w > 1]))
            return ir.Binary(
                r.choice([_OP.TWO_COMP_MOD, _OP.SAT_CAST, _OP.USAT_CAST]), self.data(depth - 1), width
            )
        if kind == 9:
            return ir.Ternary(self.boolean(depth - 1), self.data(depth - 1), self.data(depth - 1))
        if kind == 10:
            sides = [
                ir.Binary(_OP.AND, self.data(depth - 1), ir.Const((1 << r.choice(_WIDTHS)) - 1)) for _ in "ab"
            ]
            return ir.Binary(r.choice([_OP.DIV, _OP.MOD]), *sides)
        return ir.Unary(ir.UnaryOp.TO_DATA, self.boolean(depth - 1))

    def boolean(self, depth: int) -> ir.Expr:
        r = self.rng
        if depth > 0 and r.random() < 0.3:
            op = r.choice([_OP.LOGICAL_AND, _OP.LOGICAL_OR])
            return ir.Binary(op, self.boolean(depth - 1), self.boolean(depth - 1))
        if r.random() < 0.2:
            return ir.Unary(ir.UnaryOp.TO_BOOL, self.data(max(depth - 1, 0)))
        op = r.choice([_OP.EQ, _OP.NE, _OP.LT, _OP.LE, _OP.GT, _OP.GE])
        return ir.Binary(op, self.data(max(depth - 1, 0)), self.data(max(depth - 1, 0)))


def _signed(value: int, width: int) -> int:
    value &= (1 << width) - 1
    return value - (1 << width) if value >> (width - 1) else value


def evaluate(e: ir.Expr, fields: dict[str, int]) -> int:
    """What bmv2 computes: unbounded integers."""
    match e:
        case ir.Const(value=v):
            return v
        case ir.FieldRef(field=f):
            return _signed(fields[f.name], f.width) if f.signed else fields[f.name]
        case ir.Unary(op=op, operand=x):
            v = evaluate(x, fields)
            return {ir.UnaryOp.COMPLEMENT: ~v, ir.UnaryOp.NEGATE: -v}.get(op, int(v != 0))
        case ir.Ternary(condition=c, left=a, right=b):
            return evaluate(a if evaluate(c, fields) else b, fields)
        case ir.Binary(op=op, left=a, right=b):
            x, y = evaluate(a, fields), evaluate(b, fields)
            return _binary(op, x, y)
    raise AssertionError(type(e))


def _binary(op: ir.BinaryOp, x: int, y: int) -> int:
    match op:
        case _OP.ADD:
            return x + y
        case _OP.SUB:
            return x - y
        case _OP.MUL:
            return x * y
        case _OP.AND:
            return x & y
        case _OP.OR:
            return x | y
        case _OP.XOR:
            return x ^ y
        case _OP.SHL:
            return x << y
        case _OP.SHR:
            return x >> y
        case _OP.DIV:
            return x // y if y else 0
        case _OP.MOD:
            return x % y if y else 0
        case _OP.TWO_COMP_MOD:
            return _signed(x, y)
        case _OP.SAT_CAST:
            return max(-(1 << (y - 1)), min((1 << (y - 1)) - 1, x))
        case _OP.USAT_CAST:
            return max(0, min((1 << y) - 1, x))
        case _OP.EQ:
            return int(x == y)
        case _OP.NE:
            return int(x != y)
        case _OP.LT:
            return int(x < y)
        case _OP.LE:
            return int(x <= y)
        case _OP.GT:
            return int(x > y)
        case _OP.GE:
            return int(x >= y)
        case _OP.LOGICAL_AND:
            return int(bool(x) and bool(y))
        case _OP.LOGICAL_OR:
            return int(bool(x) or bool(y))
    raise AssertionError(op)


def _program(expressions: list[ir.Expr], source: ir.Header, out_widths: list[tuple[int, bool]]) -> ir.Program:
    """Parse ``source``, compute every expression into a header of its own, send both out of port 0."""
    result = ir.Header("result", 1, ir.HeaderType("result_t", _fields(out_widths, "r"), 0), metadata=False)
    result.type.max_bytes = sum(f.width for f in result.type.fields) // 8
    body: list[ir.Statement] = [ir.SetValid(ir.HeaderRef(result))]
    body += [
        ir.Assign(ir.FieldRef(result, f), e) for f, e in zip(result.type.fields, expressions, strict=False)
    ]
    action = ir.Action("compute", 0, 0, [], body)
    call = ir.DirectCall("call", 0, action, None)
    start = ir.ParserState("start", 0, [ir.Extract(source)], [], [])
    empty = ir.Pipeline("egress", None, [], [])
    errors = [
        "NoError",
        "PacketTooShort",
        "NoMatch",
        "StackOutOfBounds",
        "HeaderTooShort",
        "ParserTimeout",
        "ParserInvalidArgument",
    ]
    return ir.Program(
        name="arithmetic",
        headers=[source, result],
        stacks=[],
        unions=[],
        union_stacks=[],
        errors={name: i for i, name in enumerate(errors)},
        enums={},
        parser=ir.Parser("parser", start, [start]),
        deparser=[result],
        ingress=ir.Pipeline("ingress", call, [call], []),
        egress=empty,
        actions=[action],
        tables=[],
        profiles=[],
        calculations=[],
        checksums=[],
        counters=[],
        meters=[],
        registers=[],
        value_sets=[],
        learn_lists=[],
        field_lists={},
        standard_fields={},
        messages=[],
    )


def _pack(fields: list[ir.Field], values: dict[str, int]) -> bytes:
    bits = 0
    for f in fields:
        bits = bits << f.width | values[f.name]
    return bits.to_bytes(sum(f.width for f in fields) // 8, "big")


def _unpack(fields: list[ir.Field], data: bytes) -> dict[str, int]:
    bits, left, values = int.from_bytes(data, "big"), len(data) * 8, {}
    for f in fields:
        left -= f.width
        values[f.name] = bits >> left & ((1 << f.width) - 1)
    return values


def _value(rng: random.Random, width: int) -> int:
    top = (1 << width) - 1
    return (
        rng.choice([0, 1, top, top >> 1, top ^ (top >> 1), rng.getrandbits(width), rng.getrandbits(width)])
        & top
    )


@pytest.mark.timeout(300)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1))
def test_expressions_compute_what_bmv2_would(seed: int) -> None:
    rng = random.Random(seed)
    widths = [(w, False) for w in _WIDTHS] + [(w, True) for w in _WIDTHS if w > 1]
    fields = _fields(widths, "f")
    source = ir.Header(
        "source", 0, ir.HeaderType("source_t", fields, sum(f.width for f in fields) // 8), metadata=False
    )
    draw = _Draw(source, rng)
    expressions = [draw.data(rng.randint(1, 4)) for _ in range(_EXPRESSIONS)]
    out_widths = [(rng.choice(_WIDTHS), False) for _ in expressions]
    program = _program(expressions, source, out_widths)
    result_fields = program.headers[1].type.fields
    layout = Layout(program)
    c_source = generate(program, layout)
    compiled = CompiledProgram("arithmetic", program, layout, c_source, program_library(c_source), b"", None)
    with Switch(compiled, ports=[0]) as switch:
        for _ in range(_PACKETS):
            values = {f.name: _value(rng, f.width) for f in fields}
            (out,) = switch.inject(0, _pack(fields, values))
            got = _unpack(result_fields, out.data)
            for f, e in zip(result_fields, expressions, strict=False):
                wanted = evaluate(e, values) & ((1 << f.width) - 1)
                assert got[f.name] == wanted, f"seed {seed}, {f.name}, width {f.width}: {e}"


@given(st.integers(-(2**300), 2**300), st.integers(-(2**300), 2**300))
def test_a_fitting_type_holds_both_ends(a: int, b: int) -> None:
    low, high = min(a, b), max(a, b)
    t = fitting(low, high)
    if t.signed:
        assert -(1 << (t.bits - 1)) <= low
        assert high < 1 << (t.bits - 1)
    else:
        assert low >= 0
        assert high < 1 << t.bits
