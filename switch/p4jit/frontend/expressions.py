# SPDX-License-Identifier: Apache-2.0
"""Expressions: parsed, resolved and typed, so that what comes later never meets an ill-typed tree.

The JSON writes a value as ``{"type": ..., "value": ...}``. Compilers wrap an operation in one or two objects
of type "expression", depending on where it stands; here any number of wrappings reads the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum

from p4jit.frontend import ir
from p4jit.frontend.errors import ProgramError, quoted
from p4jit.frontend.reader import MAX_WIDTH, Cursor
from p4jit.frontend.symbols import VALID, Symbols

#: Operations inside operations. Python allows about 1,000 nested calls; a level takes two or three here, and
#: as many in whatever walks the tree later.
MAX_DEPTH = 256


class Kind(Enum):
    """What an expression evaluates to; the values are how messages call it."""

    DATA = "a number"
    BOOL = "a boolean"
    VARBIT = "a varbit field"
    HEADER = "a header"
    UNION = "a header union"
    STACK = "a header stack"
    UNION_STACK = "a header union stack"


Typed = tuple[ir.Expr, Kind]

_CASTS = ("two_comp_mod", "sat_cast", "usat_cast")
_BINARY: dict[str, tuple[ir.BinaryOp, Kind, Kind]] = {
    **{op: (ir.BinaryOp(op), Kind.DATA, Kind.DATA) for op in ("+", "-", "*", "/", "%", "<<", ">>")},
    **{op: (ir.BinaryOp(op), Kind.DATA, Kind.DATA) for op in ("&", "|", "^", *_CASTS)},
    **{op: (ir.BinaryOp(op), Kind.DATA, Kind.BOOL) for op in ("<", "<=", ">", ">=")},
    **{op: (ir.BinaryOp(op), Kind.BOOL, Kind.BOOL) for op in ("and", "or")},
}
_COMPARABLE = (Kind.DATA, Kind.BOOL, Kind.VARBIT, Kind.HEADER, Kind.UNION)

LVALUES = (ir.FieldRef, ir.ElementField, ir.LastField, ir.RegisterElement)


class Expressions:
    """Reads the expressions of one context.

    ``params`` are those of the enclosing action; ``own_fields`` are the fields of the header type whose
    length expression this is.
    """

    def __init__(
        self,
        symbols: Symbols,
        params: Sequence[ir.ActionParam] = (),
        own_fields: Sequence[ir.Field] | None = None,
    ) -> None:
        self.symbols = symbols
        self.params = params
        self.own_fields = own_fields

    # -- what callers want

    def data(self, cursor: Cursor) -> ir.Expr:
        """A number; a boolean becomes 0 or 1."""
        expr, kind = self.typed(cursor)
        if kind is Kind.BOOL:
            return ir.Unary(ir.UnaryOp.TO_DATA, expr)
        return self._require(cursor, (expr, kind), Kind.DATA)

    def boolean(self, cursor: Cursor) -> ir.Expr:
        """A boolean; a number is true unless it is 0."""
        expr, kind = self.typed(cursor)
        if kind is Kind.DATA:
            if isinstance(expr, ir.Unary) and expr.op is ir.UnaryOp.TO_DATA:
                return expr.operand
            return ir.Unary(ir.UnaryOp.TO_BOOL, expr)
        return self._require(cursor, (expr, kind), Kind.BOOL)

    def of_kind(self, cursor: Cursor, kind: Kind) -> ir.Expr:
        return self._require(cursor, self.typed(cursor), kind)

    def constant(self, cursor: Cursor, low: int, high: int) -> int:
        """A number known now."""
        expr = self.data(cursor)
        if not isinstance(expr, ir.Const):
            raise cursor.error("must be a constant")
        if not low <= expr.value <= high:
            raise cursor.error(f"must be between {low} and {high}, found {_short(expr.value)}")
        return expr.value

    def target(self, cursor: Cursor, kind: Kind = Kind.DATA) -> ir.Expr:
        """What a statement may write to: FieldRef, ElementField, LastField or RegisterElement."""
        expr = self.of_kind(cursor, kind)
        if isinstance(expr, ir.ValidBit):
            raise cursor.error(f"the hidden field {VALID} is read-only", "use add_header or remove_header")
        if not isinstance(expr, LVALUES):
            raise cursor.error("cannot be assigned to", "name a field or a register element")
        return expr

    def _require(self, cursor: Cursor, typed: Typed, kind: Kind) -> ir.Expr:
        if typed[1] is not kind:
            raise cursor.error(f"expected {kind.value}, found {typed[1].value}")
        return typed[0]

    # -- values

    def typed(self, cursor: Cursor, depth: int = 0) -> Typed:
        """Any expression, with what it evaluates to."""
        kind = cursor.get("type")
        while kind.value == "expression":
            cursor = cursor.get("value")
            if cursor.has("op"):
                return self._operation(cursor, depth)
            kind = cursor.get("type")
        reader = _VALUES.get(kind.string())
        if reader is None:
            raise kind.error(f"a value of type {quoted(kind.string())} cannot be used in an expression here")
        return reader(self, cursor.get("value"), depth)

    def _constant(self, value: Cursor, depth: int) -> Typed:
        return ir.Const(value.hexstr()), Kind.DATA

    def _bool(self, value: Cursor, depth: int) -> Typed:
        return ir.BoolConst(value.boolean()), Kind.BOOL

    def _local(self, value: Cursor, depth: int) -> Typed:
        if self.own_fields is not None:
            field = self.own_fields[value.integer(0, len(self.own_fields) - 1)]
            return _field(ir.FieldRef(None, field), field)
        if not self.params:
            raise value.error("refers to action data, and there is none here")
        index = value.integer(0, len(self.params) - 1)
        return ir.Param(index, self.params[index].width), Kind.DATA

    def _field(self, value: Cursor, depth: int) -> Typed:
        header_name, field_name = value.tuple(2)
        if isinstance(header_name.value, dict):
            # An element of a stack at an index known at run time only.
            header, kind = self._operation(header_name, depth)
            self._require(header_name, (header, kind), Kind.HEADER)
            if field_name.value == VALID:
                return ir.Unary(ir.UnaryOp.TO_DATA, ir.Valid(header)), Kind.DATA
            return _element_field(header, self.symbols.field_of(header_type(header), field_name))
        reference = self.symbols.field_or_valid(value)
        if isinstance(reference, ir.ValidBit):
            return reference, Kind.DATA
        return _field(reference, reference.field)

    def _header(self, value: Cursor, depth: int) -> Typed:
        if isinstance(value.value, str) and value.value in self.symbols.unions:
            # So p4c calls an element of a stack of unions.
            return self._union(value, depth)
        return ir.HeaderRef(value.resolve(self.symbols.headers, "header")), Kind.HEADER

    def _stack(self, value: Cursor, depth: int) -> Typed:
        return ir.StackRef(value.resolve(self.symbols.stacks, "header stack")), Kind.STACK

    def _union(self, value: Cursor, depth: int) -> Typed:
        return ir.UnionRef(value.resolve(self.symbols.unions, "header union")), Kind.UNION

    def _union_stack(self, value: Cursor, depth: int) -> Typed:
        stack = value.resolve(self.symbols.union_stacks, "header union stack")
        return ir.UnionStackRef(stack), Kind.UNION_STACK

    def _stack_field(self, value: Cursor, depth: int) -> Typed:
        stack_name, field_name = value.tuple(2)
        stack = stack_name.resolve(self.symbols.stacks, "header stack")
        field = self.symbols.field_of(stack.type, field_name)
        return _field(ir.LastField(stack, field), field)

    def _register(self, value: Cursor, depth: int) -> Typed:
        name, index = value.tuple(2)
        register = name.resolve(self.symbols.registers, "register array")
        # An index may be a register element in turn, so it counts as a level.
        if depth >= MAX_DEPTH:
            raise ProgramError(value.path[:200], f"operations are nested more than {MAX_DEPTH} deep")
        place = self._require(index, self.typed(index, depth + 1), Kind.DATA)
        return ir.RegisterElement(register, place), Kind.DATA

    # -- operations

    def _operation(self, cursor: Cursor, depth: int) -> Typed:
        if depth >= MAX_DEPTH:
            raise ProgramError(
                cursor.path[:200], f"operations are nested more than {MAX_DEPTH} deep", "split the expression"
            )
        name = cursor.get("op")
        op = name.string()
        depth += 1
        # Operands are read right here, and not in a helper, to keep to two calls a level.
        if op in _BINARY:
            binary, takes, gives = _BINARY[op]
            right = cursor.get("right")
            if op in "+-" and cursor.find("left") is None:
                operand = self._require(right, self.typed(right, depth), Kind.DATA)
                return (operand if op == "+" else ir.Unary(ir.UnaryOp.NEGATE, operand)), Kind.DATA
            left = cursor.get("left")
            left_operand = self._require(left, self.typed(left, depth), takes)
            right_operand = self._require(right, self.typed(right, depth), takes)
            if op in _CASTS and not (
                isinstance(right_operand, ir.Const) and 1 <= right_operand.value <= MAX_WIDTH
            ):
                raise right.error(f"the width of {quoted(op)} must be a constant from 1 to {MAX_WIDTH}")
            return ir.Binary(binary, left_operand, right_operand), gives
        if op in _UNARY:
            unary, takes, gives = _UNARY[op]
            _no_left(cursor)
            right = cursor.get("right")
            return unary(self._require(right, self.typed(right, depth), takes)), gives
        if op in _OTHER:
            return _OTHER[op](self, cursor, depth)
        raise name.error(f"unknown operation {quoted(op)}", "p4jit does what simple_switch's expressions do")

    def _equality(self, cursor: Cursor, depth: int) -> Typed:
        left, kind = self.typed(cursor.get("left"), depth)
        if kind not in _COMPARABLE:
            raise cursor.get("left").error(f"{kind.value} cannot be compared")
        right = self._require(cursor.get("right"), self.typed(cursor.get("right"), depth), kind)
        op = ir.BinaryOp(cursor.get("op").string())
        if (kind is Kind.HEADER and header_type(left) is not header_type(right)) or (
            kind is Kind.UNION and not same_unions(left, right)
        ):
            raise cursor.error(f"compares two of different types ({kind.value} with another)")
        return ir.Binary(op, left, right), Kind.BOOL

    def _ternary(self, cursor: Cursor, depth: int) -> Typed:
        condition = self._require(cursor.get("cond"), self.typed(cursor.get("cond"), depth), Kind.BOOL)
        left, kind = self.typed(cursor.get("left"), depth)
        if kind not in (Kind.DATA, Kind.BOOL):
            raise cursor.get("left").error(f"{kind.value} cannot be chosen by '?'")
        right = self._require(cursor.get("right"), self.typed(cursor.get("right"), depth), kind)
        return ir.Ternary(condition, left, right), kind

    def _stack_element(self, cursor: Cursor, depth: int) -> Typed:
        left, right = cursor.get("left"), cursor.get("right")
        stack = self._require(left, self.typed(left, depth), Kind.STACK)
        assert isinstance(stack, ir.StackRef)
        index = self._require(right, self.typed(right, depth), Kind.DATA)
        return ir.StackElement(stack.stack, index), Kind.HEADER

    def _union_stack_element(self, cursor: Cursor, depth: int) -> Typed:
        left, right = cursor.get("left"), cursor.get("right")
        stack = self._require(left, self.typed(left, depth), Kind.UNION_STACK)
        assert isinstance(stack, ir.UnionStackRef)
        index = self._require(right, self.typed(right, depth), Kind.DATA)
        return ir.UnionStackElement(stack.stack, index), Kind.UNION

    def _access_field(self, cursor: Cursor, depth: int) -> Typed:
        left = cursor.get("left")
        header = self._require(left, self.typed(left, depth), Kind.HEADER)
        fields = header_type(header).fields
        return _element_field(header, fields[cursor.get("right").integer(0, len(fields) - 1)])

    def _access_member(self, cursor: Cursor, depth: int) -> Typed:
        left = cursor.get("left")
        union = self._require(left, self.typed(left, depth), Kind.UNION)
        member = cursor.get("right").integer(0, len(_members(union)) - 1)
        if isinstance(union, ir.UnionRef):
            return ir.HeaderRef(union.union.members[member][1]), Kind.HEADER
        return ir.UnionMember(union, member), Kind.HEADER

    def _last_index(self, cursor: Cursor, depth: int) -> Typed:
        return ir.LastIndex(self._either_stack(cursor, depth)), Kind.DATA

    def _stack_size(self, cursor: Cursor, depth: int) -> Typed:
        return ir.StackSize(self._either_stack(cursor, depth)), Kind.DATA

    def _either_stack(self, cursor: Cursor, depth: int) -> ir.Stack | ir.UnionStack:
        _no_left(cursor)
        right = cursor.get("right")
        expr, kind = self.typed(right, depth)
        if not isinstance(expr, ir.StackRef | ir.UnionStackRef):
            raise right.error(f"expected a stack, found {kind.value}")
        return expr.stack


_VALUES: dict[str, Callable[[Expressions, Cursor, int], Typed]] = {
    "hexstr": Expressions._constant,
    "bool": Expressions._bool,
    "local": Expressions._local,
    "runtime_data": Expressions._local,
    "field": Expressions._field,
    "header": Expressions._header,
    "header_stack": Expressions._stack,
    "header_union": Expressions._union,
    "header_union_stack": Expressions._union_stack,
    "stack_field": Expressions._stack_field,
    "register": Expressions._register,
}

_UNARY: dict[str, tuple[Callable[[ir.Expr], ir.Expr], Kind, Kind]] = {
    "~": (lambda operand: ir.Unary(ir.UnaryOp.COMPLEMENT, operand), Kind.DATA, Kind.DATA),
    "not": (lambda operand: ir.Unary(ir.UnaryOp.NOT, operand), Kind.BOOL, Kind.BOOL),
    "d2b": (lambda operand: ir.Unary(ir.UnaryOp.TO_BOOL, operand), Kind.DATA, Kind.BOOL),
    "b2d": (lambda operand: ir.Unary(ir.UnaryOp.TO_DATA, operand), Kind.BOOL, Kind.DATA),
    "valid": (ir.Valid, Kind.HEADER, Kind.BOOL),
    "valid_union": (ir.ValidUnion, Kind.UNION, Kind.BOOL),
}

_OTHER: dict[str, Callable[[Expressions, Cursor, int], Typed]] = {
    "==": Expressions._equality,
    "!=": Expressions._equality,
    "?": Expressions._ternary,
    "dereference_stack": Expressions._stack_element,
    "dereference_header_stack": Expressions._stack_element,
    "dereference_union_stack": Expressions._union_stack_element,
    "access_field": Expressions._access_field,
    "access_union_header": Expressions._access_member,
    "last_stack_index": Expressions._last_index,
    "size_stack": Expressions._stack_size,
}


def _no_left(cursor: Cursor) -> None:
    left = cursor.find("left")
    if left is not None:
        raise left.error(f"operation {quoted(cursor.get('op').string())} has no left operand")


def _field(reference: ir.Expr, field: ir.Field) -> Typed:
    return reference, Kind.VARBIT if field.varbit else Kind.DATA


def _element_field(header: ir.Expr, field: ir.Field) -> Typed:
    if isinstance(header, ir.HeaderRef):
        return _field(ir.FieldRef(header.header, field), field)
    return _field(ir.ElementField(header, field), field)


def header_type(header: ir.Expr) -> ir.HeaderType:
    """The type of a header that an expression names."""
    match header:
        case ir.HeaderRef():
            return header.header.type
        case ir.StackElement():
            return header.stack.type
        case ir.UnionMember():
            return _members(header.union)[header.member][1].type
    raise AssertionError(f"{header!r} does not name a header")


def _members(union: ir.Expr) -> list[tuple[str, ir.Header]]:
    """The members of a union that an expression names, or of one of the same type."""
    match union:
        case ir.UnionRef():
            return union.union.members
        case ir.UnionStackElement():
            return union.stack.unions[0].members
    raise AssertionError(f"{union!r} does not name a union")


def same_unions(left: ir.Expr, right: ir.Expr) -> bool:
    """Do two expressions name unions of the same member types?"""
    return [header.type for _, header in _members(left)] == [header.type for _, header in _members(right)]


def _short(value: int) -> str:
    return str(value) if abs(value) < 1 << 64 else "a far larger number"
