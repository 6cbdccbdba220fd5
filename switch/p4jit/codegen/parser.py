# SPDX-License-Identifier: Apache-2.0
"""The parser: a function of labelled states.

``data`` is the frame, ``pos`` the first byte not taken, ``end`` the frame's length. The function returns the
parser error and leaves ``pkt->payload`` at ``pos``. What bmv2 leaves undefined is an error here: looking
ahead past the end of the packet is PacketTooShort.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass

from p4jit.codegen.expressions import Expressions
from p4jit.codegen.layout import words
from p4jit.codegen.names import Names
from p4jit.codegen.phv import Place, fixed_bits, varbit_bytes
from p4jit.codegen.statements import Statements, Tools
from p4jit.codegen.values import U64, Value, constant
from p4jit.codegen.writer import Writer
from p4jit.frontend import ir
from p4jit.frontend.errors import ProgramError

#: States a packet may pass: enough to take a whole frame a byte at a time, few enough to end at once.
_MAX_STEPS = 16_384
_ERRORS = (
    "NoError",
    "PacketTooShort",
    "StackOutOfBounds",
    "HeaderTooShort",
    "ParserTimeout",
    "ParserInvalidArgument",
)


class ParserGenerator:
    def __init__(self, tools: Tools, out: Writer) -> None:
        self._tools = tools
        self._phv = tools.phv
        self._out = out
        self._errors = tools.program.errors
        self._labels: dict[int, str] = {}

    def declare(self, parser: ir.Parser) -> None:
        out = self._out
        reached = _reachable(parser.start)
        looping = _has_cycle(parser.start)
        names = Names("state_")
        self._labels = {id(s): names.make(s.name) for s in reached}
        out.line("/* The errors the parser itself raises. */")
        with out.block("enum", ";"):
            for name in _ERRORS:
                out.line(f"{self._error(name)} = {self._errors[name]},")
        out.line()
        with out.block("static uint32_t parse(p4_context *ctx, p4_packet *pkt, phv_t *phv)"):
            out.line("const uint8_t *const data = pkt->data;")
            out.line("const uint32_t end = pkt->length;")
            out.line(f"uint32_t pos = 0, error = {self._error('NoError')};")
            if looping:
                out.line("uint32_t steps = 0;")
            following = [*reached[1:], None][: len(reached)]
            for s, after in zip(reached, following, strict=True):
                self._state(s, after, looping)
            if reached:
                out.label("parsed")
            out.line("pkt->payload = pos;")
            out.line("return error;")
        out.line()

    def _error(self, name: str) -> str:
        return f"ERROR_{name}"

    def _fail(self, condition: str, error: str) -> None:
        self._out.line(f"if (P4_UNLIKELY({condition})) {{ error = {self._error(error)}; goto parsed; }}")

    def _state(self, s: ir.ParserState, after: ir.ParserState | None, looping: bool) -> None:
        out = self._out
        out.line()
        out.label(self._labels[id(s)])
        with out.block(""):
            if looping:
                self._fail(f"++steps > {_MAX_STEPS}", "ParserTimeout")
            ex = Expressions(self._phv, out)
            statements = Statements(self._tools, ex, "goto parsed;", "goto parsed;")
            for op in s.body:
                self._guard_lookahead(op)
                match op:
                    case ir.Extract():
                        self._extract(ex, op)
                    case ir.ParserSet(target=t, value=v):
                        self._phv.store(ex, t, v)
                    case ir.Verify(condition=c, error=e):
                        with out.block(f"if (!{ex.paren(ex.boolean(c))})"):
                            out.line(f"error = (uint32_t){ex.paren(ex.u64(e))};")
                            out.line("goto parsed;")
                    case ir.Advance(bits=b):
                        self._advance(ex, b)
                    case _:
                        statements.generate(op)
            self._select(ex, s, after)

    def _guard_lookahead(self, node: object) -> None:
        """The packet must hold every bit a statement looks ahead to."""
        most = max((-(-(e.offset + e.width) // 8) for e in _lookaheads(node)), default=0)
        if most:
            self._fail(f"end - pos < {most}", "PacketTooShort")

    def _advance(self, ex: Expressions, bits: ir.Expr) -> None:
        name = self._out.temporary("bits")
        self._out.line(f"const uint64_t {name} = {ex.u64(bits)};")
        self._fail(f"{name} % 8", "ParserInvalidArgument")
        self._fail(f"end - pos < {name} / 8", "PacketTooShort")
        self._out.line(f"pos += (uint32_t)({name} / 8);")

    # ---- extract -----------------------------------------------------------------------------------------

    def _extract(self, ex: Expressions, op: ir.Extract) -> None:
        out = self._out
        match op.target:
            case ir.Header() as h:
                self._extract_to(ex, self._phv.header(h), op.length)
            case ir.Stack() as s:
                fill = self._phv.next_index(s)
                self._fail(f"{fill} >= {self._phv.depth(s)}", "StackOutOfBounds")
                self._extract_to(ex, self._phv.element(s, fill), op.length)
                out.line(f"{fill}++;")
            case (us, member):
                fill = self._phv.next_index(us)
                self._fail(f"{fill} >= {self._phv.depth(us)}", "StackOutOfBounds")
                self._extract_to(ex, self._phv.union_member(us, fill, member), op.length)
                out.line(f"{fill}++;")

    def _extract_to(self, ex: Expressions, place: Place, length: ir.Expr | None) -> None:
        out = self._out
        t = place.type
        name = self._phv.type_name(t)
        fixed = fixed_bits(t) // 8
        size = str(fixed)
        extra = ""
        if t.varbit is not None:
            if length is None:
                raise ProgramError(
                    "$.parsers",
                    f"header '{t.name}' is extracted without the length of its varbit",
                    "use extract with two arguments (P4_16)",
                )
            bits = out.temporary("bits")
            out.line(f"const uint64_t {bits} = {ex.u64(length)};")
            self._fail(f"{bits} % 8", "ParserInvalidArgument")
            self._fail(f"end - pos < {fixed} + {bits} / 8", "PacketTooShort")
            self._fail(f"{bits} / 8 > {varbit_bytes(t)}", "HeaderTooShort")
            size = f"{fixed} + (uint32_t)({bits} / 8)"
            extra = f", (uint32_t){bits}"
        elif fixed:
            self._fail(f"end - pos < {fixed}", "PacketTooShort")
        out.line(f"extract_{name}(&{place.storage}, data + pos{extra});")
        for sibling in place.siblings:
            out.line(f"{sibling} = 0;")
        if place.valid != "true":
            out.line(f"{place.valid} = 1;")
        out.line(f"pos += {size};")

    # ---- select ------------------------------------------------------------------------------------------

    def _goto(self, s: ir.ParserState | None) -> str:
        return f"goto {self._labels[id(s)]};" if s is not None else "goto parsed;"

    def _select(self, ex: Expressions, s: ir.ParserState, after: ir.ParserState | None) -> None:
        out = self._out
        if s.transitions:
            for e, _ in s.key:
                self._guard_lookahead(e)
            keys = [self._key(ex, e, width) for e, width in s.key]
            for t in s.transitions:
                out.line(f"if ({self._matches(keys, t)}) {self._goto(t.next)}")
        if s.default is not after:
            out.line(self._goto(s.default))

    def _key(self, ex: Expressions, e: ir.Expr, width: int) -> Value:
        v = ex.cut(e, width)
        if v.type.wide:
            return v
        name = self._out.temporary("k")
        self._out.line(f"const {v.type.name} {name} = {v.code};")
        return Value(name, v.type, v.interval)

    def _matches(self, keys: list[Value], t: ir.Transition) -> str:
        if t.value_set is not None:
            return self._in_value_set(keys, t)
        assert t.values is not None
        terms = []
        for key, (value, mask) in zip(keys, t.values, strict=True):
            ones = key.high
            m = ones if mask is None else mask & ones
            if m == 0:
                continue
            if key.type.wide:
                terms += [
                    f"({key.code}[{i}] & {constant(m >> 64 * i, U64)}) "
                    f"== {constant((value & m) >> 64 * i, U64)}"
                    for i in range(key.type.limbs)
                ]
            else:
                code = key.code if m == ones else f"({key.code} & {constant(m, key.type)})"
                terms.append(f"{code} == {constant(value & m, key.type)}")
        return " && ".join(terms) or "true"

    def _in_value_set(self, keys: list[Value], t: ir.Transition) -> str:
        """Members are compared field by field, each field in whole words."""
        assert t.value_set is not None
        parts: list[str] = []
        masks: list[str] = []
        for i, key in enumerate(keys):
            mask = t.value_set_mask[i] if t.value_set_mask is not None else -1
            for w in range(words(key.high.bit_length())):
                if key.type.wide:
                    parts.append(f"{key.code}[{w}]")
                else:
                    parts.append(f"(uint64_t)({key.code} >> {64 * w})" if w else f"(uint64_t){key.code}")
                masks.append(constant(mask >> 64 * w, U64))
        name = self._out.temporary("words")
        self._out.line(f"const uint64_t {name}[] = {{{', '.join(parts)}}};")
        mask_name = "NULL"
        if t.value_set_mask is not None:
            mask_name = self._out.temporary("mask")
            self._out.line(f"const uint64_t {mask_name}[] = {{{', '.join(masks)}}};")
        return (
            f"p4_value_set_contains(&ctx->value_sets[{t.value_set.index}], {name}, {len(parts)}, {mask_name})"
        )


def value_set_words(program: ir.Program, value_set: ir.ValueSet) -> list[int]:
    """Words of each key field of a value set, from the select that uses it; one field when none does."""
    for s in program.parser.states:
        for t in s.transitions:
            if t.value_set is value_set:
                return [words(width) for _, width in s.key]
    return [words(value_set.width)]


def has_side_effects(parser: ir.Parser) -> bool:
    """Does the parser do what another packet, or the control plane, could see?"""
    pure = ir.Extract | ir.ParserSet | ir.Verify | ir.Advance | ir.Assign | ir.AssignHeader | ir.NoOp
    return any(not isinstance(op, pure) or _touches_state(op) for s in parser.states for op in s.body)


def _touches_state(node: object) -> bool:
    if isinstance(node, ir.RegisterElement):
        return True
    if not isinstance(node, ir.Expr | ir.Statement) or not is_dataclass(node):
        return False
    return any(_touches_state(getattr(node, f.name)) for f in fields(node))


def _lookaheads(node: object) -> list[ir.Lookahead]:
    if isinstance(node, ir.Lookahead):
        return [node]
    found: list[ir.Lookahead] = []
    if isinstance(node, ir.Expr | ir.Statement) and is_dataclass(node):
        for f in fields(node):
            child = getattr(node, f.name)
            for x in child if isinstance(child, list) else [child]:
                if isinstance(x, ir.Expr):
                    found += _lookaheads(x)
    return found


def _successors(s: ir.ParserState) -> list[ir.ParserState]:
    out = [t.next for t in s.transitions if t.next is not None]
    if s.default is not None:
        out.append(s.default)
    return out


def _reachable(start: ir.ParserState | None) -> list[ir.ParserState]:
    """States in the order of a depth-first walk: most packets fall through to the next."""
    order: list[ir.ParserState] = []
    seen: set[int] = set()
    todo = [start] if start is not None else []
    while todo:
        s = todo.pop()
        if id(s) in seen:
            continue
        seen.add(id(s))
        order.append(s)
        todo.extend(reversed(_successors(s)))
    return order


def _has_cycle(start: ir.ParserState | None) -> bool:
    if start is None:
        return False
    waiting: dict[int, int] = {}
    states = {id(s): s for s in _reachable(start)}
    for s in states.values():
        for key in {id(x) for x in _successors(s)}:
            waiting[key] = waiting.get(key, 0) + 1
    # Kahn: whatever cannot be removed lies on a cycle or behind one.
    free = [s for key, s in states.items() if waiting.get(key, 0) == 0]
    removed = 0
    while free:
        s = free.pop()
        removed += 1
        for t in {id(x): x for x in _successors(s)}.values():
            waiting[id(t)] -= 1
            if waiting[id(t)] == 0:
                free.append(t)
    return removed < len(states)
