# SPDX-License-Identifier: Apache-2.0
"""The parser's states and the deparser's order."""

from __future__ import annotations

from p4jit.frontend import ir
from p4jit.frontend.errors import quoted
from p4jit.frontend.expressions import Expressions
from p4jit.frontend.headers import MAX_PHV_BYTES
from p4jit.frontend.reader import MAX_WIDTH, Cursor, new_name, unique_ids
from p4jit.frontend.statements import Statements
from p4jit.frontend.symbols import Symbols

#: How far ahead of the parser a lookahead may reach, in bits.
_MAX_LOOKAHEAD = 1 << 20


def only(root: Cursor, section: str, name: str) -> Cursor:
    """The one item of a section; simple_switch runs the one of this name."""
    items = root.section(section)
    for item in items:
        if item.get("name").name() != name:
            raise item.error(
                f"{quoted(item.get('name').name())} would never run",
                f"v1model has one of {section}: {name!r}",
            )
    if len(items) != 1:
        raise root.error(f"expected one of {section}, named {name!r}; found {len(items)}")
    return items[0]


def load_parser(root: Cursor, symbols: Symbols) -> ir.Parser:
    item = only(root, "parsers", "parser")
    states: dict[str, ir.ParserState] = {}
    state_items = unique_ids(item.get("parse_states").items(), "parser state").values()
    for state_item in state_items:
        name = new_name(state_item, states, "parser state")
        states[name] = ir.ParserState(name, len(states), [], [], [])
    reader = _States(symbols, states)
    for state, state_item in zip(states.values(), state_items, strict=True):
        reader.fill(state, state_item)
    start = item.find("init_state")
    return ir.Parser("parser", None if start is None else reader.state(start), list(states.values()))


def load_deparser(root: Cursor, symbols: Symbols) -> list[ir.Header]:
    item = only(root, "deparsers", "deparser")
    for primitive in item.section("primitives"):
        op = primitive.get("op")
        raise op.error(
            f"primitive {quoted(op.string())} in the deparser", "v1model deparsers only emit headers"
        )
    order = []
    total = 0
    for cursor in item.get("order").items():
        header = cursor.resolve(symbols.headers, "header")
        if header.metadata:
            raise cursor.error(f"{quoted(header.name)} is metadata, which is not sent")
        # A header may be emitted twice, but not without bound.
        total += header.type.max_bytes + 1
        if total > 2 * MAX_PHV_BYTES:
            raise cursor.error("the deparser emits too much", "emit each header once")
        order.append(header)
    return order


class _States:
    def __init__(self, symbols: Symbols, states: dict[str, ir.ParserState]) -> None:
        self.symbols = symbols
        self.states = states
        self.statements = Statements(symbols)
        self.expressions = Expressions(symbols)
        self.codes = set(symbols.errors.values())
        self.members: dict[ir.UnionStack, dict[str, tuple[int, ir.Header]]] = {}
        #: How the members of each value set split into key fields, as its first use has it.
        self.splits: dict[ir.ValueSet, list[int]] = {}

    def fill(self, state: ir.ParserState, item: Cursor) -> None:
        state.body = [self._operation(op) for op in item.section("parser_ops")]
        state.key = [self._key_field(key) for key in item.section("transition_key")]
        if sum(width for _, width in state.key) > MAX_WIDTH:
            raise item.get("transition_key").error(f"a key has at most {MAX_WIDTH} bits")
        for transition in item.section("transitions"):
            self._transition(state, transition)

    def state(self, cursor: Cursor) -> ir.ParserState:
        return cursor.resolve(self.states, "parser state")

    # -- operations

    def _operation(self, item: Cursor) -> ir.Statement:
        cursor = item.get("op")
        op = cursor.string()
        params = item.get("parameters")
        if op == "extract":
            return self._extract(params.tuple(1)[0], None)
        if op == "extract_VL":
            target, length = params.tuple(2)
            return self._extract(target, length)
        if op == "set":
            target, value = params.tuple(2)
            return ir.ParserSet(self.expressions.target(target), self._source(value))
        if op == "verify":
            condition, error = params.tuple(2)
            return ir.Verify(self.expressions.boolean(condition), self._error(error))
        if op == "shift":
            return ir.Advance(ir.Const(params.tuple(1)[0].integer(0, 2**28) * 8))
        if op == "advance":
            return ir.Advance(self.expressions.data(params.tuple(1)[0]))
        if op == "primitive":
            return self.statements.primitive(params.tuple(1)[0])
        raise cursor.error(
            f"unknown parser operation {quoted(op)}",
            "p4jit knows extract, extract_VL, set, verify, shift, advance, primitive",
        )

    def _extract(self, cursor: Cursor, length: Cursor | None) -> ir.Statement:
        kind, value = cursor.get("type"), cursor.get("value")
        target: ir.Header | ir.Stack | tuple[ir.UnionStack, int]
        if kind.string() == "regular":
            target = value.resolve(self.symbols.headers, "header")
            header_type = target.type
            if target.metadata:
                raise value.error(f"{quoted(target.name)} is metadata, which cannot be extracted")
        elif kind.string() == "stack":
            target = value.resolve(self.symbols.stacks, "header stack")
            header_type = target.type
        elif kind.string() == "union_stack":
            stack_name, member_name = value.tuple(2)
            stack = stack_name.resolve(self.symbols.union_stacks, "header union stack")
            member, header = self._member(stack, member_name)
            target, header_type = (stack, member), header.type
        else:
            raise kind.error(
                f"cannot extract to {quoted(kind.string())}", "extract to regular, stack, union_stack"
            )
        varbit = header_type.varbit
        if length is None:
            if varbit is not None and header_type.length_expression is None:
                raise cursor.error("the header has a varbit field of unknown length", "use extract_VL")
            return ir.Extract(target)
        if varbit is None:
            raise cursor.error("extract_VL of a header without a varbit field", "use extract")
        return ir.Extract(target, self.expressions.data(length))

    def _member(self, stack: ir.UnionStack, name: Cursor) -> tuple[int, ir.Header]:
        """Position of a member of the unions in a stack, and such a member."""
        if stack not in self.members:
            members = enumerate(stack.unions[0].members)
            self.members[stack] = {member: (index, header) for index, (member, header) in members}
        return name.resolve(self.members[stack], f"member of the unions in {quoted(stack.name)}")

    def _source(self, cursor: Cursor) -> ir.Expr:
        if cursor.get("type").value == "lookahead":
            return _lookahead(cursor.get("value"))
        return self.expressions.data(cursor)

    def _error(self, cursor: Cursor) -> ir.Expr:
        if not isinstance(cursor.value, int):
            return self.expressions.data(cursor)
        code = cursor.integer(0, 2**31 - 1)
        if code not in self.codes:
            raise cursor.error(f"no error has the value {code}")
        return ir.Const(code)

    # -- transitions

    def _key_field(self, cursor: Cursor) -> tuple[ir.Expr, int]:
        kind, value = cursor.get("type").string(), cursor.get("value")
        if kind == "lookahead":
            lookahead = _lookahead(value)
            return lookahead, lookahead.width
        if kind == "union_stack_field":
            stack_name, member_name, field_name = value.tuple(3)
            stack = stack_name.resolve(self.symbols.union_stacks, "header union stack")
            member, header = self._member(stack, member_name)
            field = self.symbols.field_of(header.type, field_name)
            if field.varbit:
                raise field_name.error("a varbit field cannot be a key")
            return ir.LastUnionField(stack, member, field), field.width
        key = self.expressions.data(cursor)
        if isinstance(key, ir.FieldRef | ir.ElementField | ir.LastField):
            return key, key.field.width
        if isinstance(key, ir.ValidBit):
            return key, 1
        raise cursor.error(f"a value of type {quoted(kind)} cannot be a key", "use a field or a lookahead")

    def _transition(self, state: ir.ParserState, item: Cursor) -> None:
        kind = item.find("type")
        name = "hexstr" if kind is None else kind.string()
        following = item.find("next_state")
        target = None if following is None else self.state(following)
        value = item.find("value")
        if name == "default" or (name == "hexstr" and value is not None and value.value == "default"):
            state.default = target
        elif name == "hexstr":
            state.transitions.append(self._case(state, item, target))
        elif name == "parse_vset":
            state.transitions.append(self._value_set_case(state, item, target))
        else:
            raise item.get("type").error(
                f"unknown type of transition {quoted(name)}", "p4jit knows default, hexstr, parse_vset"
            )

    def _case(self, state: ir.ParserState, item: Cursor, target: ir.ParserState | None) -> ir.Transition:
        widths = [width for _, width in state.key]
        if not widths:
            raise item.error("compares a value, but the state has no transition key")
        values = _split_padded(item.get("value"), widths)
        mask = item.find("mask")
        masks: list[int | None] = [None] * len(widths) if mask is None else [*_split_padded(mask, widths)]
        cases: list[tuple[int, int | None]] = []
        for value, bits, width in zip(values, masks, widths, strict=True):
            ones = (1 << width) - 1
            value &= -1 if bits is None else bits
            if value > ones:
                raise item.get("value").error(f"{value:#x} does not fit a key field of {width} bits")
            cases.append((value, None if bits is None or bits & ones == ones else bits & ones))
        return ir.Transition(target, cases)

    def _value_set_case(
        self, state: ir.ParserState, item: Cursor, target: ir.ParserState | None
    ) -> ir.Transition:
        value = item.get("value")
        value_set = value.resolve(self.symbols.value_sets, "value set")
        widths = [width for _, width in state.key]
        if sum(widths) != value_set.width:
            raise value.error(
                f"members of value set {quoted(value_set.name)} have {value_set.width} bits, "
                f"the state's key has {sum(widths)}"
            )
        if self.splits.setdefault(value_set, widths) != widths:
            raise value.error(f"value set {quoted(value_set.name)} is used with keys of different shapes")
        transition = ir.Transition(target, value_set=value_set)
        mask = item.find("mask")
        if mask is not None:
            bits = mask.hexstr()
            if not 0 <= bits < 1 << value_set.width:
                raise mask.error(f"must have at most {value_set.width} bits")
            transition.value_set_mask = _split(bits, widths)
        return transition


def _lookahead(value: Cursor) -> ir.Lookahead:
    offset, width = value.tuple(2)
    return ir.Lookahead(offset.integer(0, _MAX_LOOKAHEAD), width.integer(1, MAX_WIDTH))


def _split(bits: int, widths: list[int]) -> list[int]:
    """The fields of a concatenation."""
    fields = []
    for width in reversed(widths):
        fields.append(bits & ((1 << width) - 1))
        bits >>= width
    return fields[::-1]


def _split_padded(cursor: Cursor, widths: list[int]) -> list[int]:
    """The fields of a concatenation in which each field takes whole bytes."""
    padded = [(width + 7) // 8 * 8 for width in widths]
    bits = cursor.hexstr()
    if len(widths) == 1 and -(1 << widths[0] - 1) <= bits < 0:
        bits += 1 << widths[0]  # of a signed field, the two's complement
    if not 0 <= bits < 1 << sum(padded):
        raise cursor.error(f"must have {sum(padded) // 8} bytes: each key field padded to whole bytes")
    return _split(bits, padded)
