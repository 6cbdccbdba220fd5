# SPDX-License-Identifier: Apache-2.0
"""The packet's headers and metadata ("PHV") as a C struct, and access to them.

Metadata comes first, then one validity byte a header, the fill level of each stack, and the headers. A
stack is an array with one slot more than its depth: an index out of bounds, which P4 leaves undefined, lands
there and nowhere else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from p4jit.codegen.expressions import Expressions
from p4jit.codegen.layout import ActionLayout, storage_bytes, words
from p4jit.codegen.names import Names
from p4jit.codegen.values import U64, Value, exact, fitting, unsigned
from p4jit.codegen.writer import Writer
from p4jit.frontend import ir
from p4jit.frontend.errors import ProgramError

_SCALARS = {1: "uint8_t", 2: "uint16_t", 4: "uint32_t", 8: "uint64_t", 16: "p4_u128"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a header lives: C l-values of its struct, of its validity byte and of those of the other members
    of its union."""

    type: ir.HeaderType
    storage: str
    valid: str
    siblings: tuple[str, ...] = ()


def scalar_type(width: int) -> str | None:
    """The C type that holds ``width`` bits, None for an array of limbs."""
    return _SCALARS.get(storage_bytes(width))


def param_names(action: ir.Action) -> list[str]:
    """The members of an action's data."""
    names = Names()
    return [names.make(p.name) for p in action.params]


def fixed_bits(t: ir.HeaderType) -> int:
    return sum(f.width for f in t.fields if not f.varbit)


def varbit_bytes(t: ir.HeaderType) -> int:
    """Most bytes its varbit can take."""
    return max(t.max_bytes - fixed_bits(t) // 8, 1)


class Phv:
    def __init__(self, program: ir.Program) -> None:
        self.program = program
        type_names, members = Names(), Names()
        self._types: dict[int, str] = {}
        self._fields: dict[int, str] = {}
        self._places: dict[int, Place] = {}
        self._next: dict[int, str] = {}
        self._header_stacks: dict[int, tuple[str, int]] = {}  # stack -> storage, first validity index
        self._union_stacks: dict[int, tuple[str, int, list[str]]] = {}
        self._metadata_lines: list[str] = []
        self._header_lines: list[str] = []
        self._next_lines: list[str] = []
        self._typedefs: dict[int, ir.HeaderType] = {}
        self._validity: list[str] = []
        self._valid_names = Names("VALID_")
        self._names = type_names
        self._members = members
        in_stack = {id(h) for s in program.stacks for h in s.headers}
        in_union_stack = {id(h) for s in program.union_stacks for u in s.unions for _, h in u.members}
        for h in program.headers:
            self._type(h.type)
            if id(h) not in in_stack and id(h) not in in_union_stack:
                self._plain(h)
        for s in program.stacks:
            self._stack(s)
        for us in program.union_stacks:
            self._union_stack(us)
        for u in program.unions:
            self._link_union(u)
        #: Bytes of headers the deparser can emit at most.
        self.deparsed_bytes = sum(h.type.max_bytes for h in program.deparser)

    # ---- layout ------------------------------------------------------------------------------------------

    def _type(self, t: ir.HeaderType) -> str:
        if id(t) not in self._types:
            self._types[id(t)] = self._names.make(t.name) + "_h"
            self._typedefs[id(t)] = t
            fields = Names()
            for f in t.fields:
                self._fields[id(f)] = fields.make(f.name)
        return self._types[id(t)]

    def _slot(self, name: str, count: int = 1) -> int:
        first = len(self._validity)
        self._validity.extend([self._valid_names.make(name)] + [""] * (count - 1))
        return first

    def _valid(self, slot: int) -> str:
        """The l-value of the validity byte of a header that is not in a stack."""
        return f"phv->valid[{self._validity[slot]}]"

    def _plain(self, h: ir.Header) -> None:
        name = self._members.make(h.name)
        line = f"{self._type(h.type)} {name};"
        if h.metadata:
            self._metadata_lines.append(line)
            self._places[id(h)] = Place(h.type, f"phv->{name}", "true")
            return
        self._header_lines.append(line)
        self._places[id(h)] = Place(h.type, f"phv->{name}", self._valid(self._slot(name)))

    def _stack(self, s: ir.Stack) -> None:
        name = self._members.make(s.name)
        depth = len(s.headers)
        self._header_lines.append(f"{self._type(s.type)} {name}[{depth} + 1];")
        first = self._slot(name, depth + 1)
        self._header_stacks[id(s)] = (f"phv->{name}", first)
        self._next_line(s, name)
        for i, h in enumerate(s.headers):
            self._places[id(h)] = Place(h.type, f"phv->{name}[{i}]", f"phv->valid[{first + i}]")

    def _next_line(self, s: ir.Stack | ir.UnionStack, name: str) -> None:
        member = self._members.make("next_" + name)
        self._next_lines.append(f"uint32_t {member};")
        self._next[id(s)] = f"phv->{member}"

    def _union_stack(self, s: ir.UnionStack) -> None:
        name = self._members.make(s.name)
        inner = Names()
        parts = [inner.make(member) for member, _ in s.unions[0].members] if s.unions else []
        types = [self._type(h.type) for _, h in s.unions[0].members] if s.unions else []
        body = " ".join(f"{t} {p};" for t, p in zip(types, parts, strict=True))
        self._header_lines.append(f"struct {{ {body} }} {name}[{len(s.unions)} + 1];")
        first = self._slot(name, len(parts) * (len(s.unions) + 1))
        self._union_stacks[id(s)] = (f"phv->{name}", first, parts)
        self._next_line(s, name)
        for i, u in enumerate(s.unions):
            for k, (_, h) in enumerate(u.members):
                self._places[id(h)] = Place(
                    h.type, f"phv->{name}[{i}].{parts[k]}", f"phv->valid[{first + i * len(parts) + k}]"
                )

    def _link_union(self, u: ir.Union) -> None:
        valid = [self._places[id(h)].valid for _, h in u.members]
        for i, (_, h) in enumerate(u.members):
            p = self._places[id(h)]
            siblings = tuple(v for j, v in enumerate(valid) if j != i)
            self._places[id(h)] = Place(p.type, p.storage, p.valid, siblings)

    def declare(self, out: Writer) -> None:
        for key, t in self._typedefs.items():
            with out.block("typedef struct", f" {self._types[key]};"):
                for f in t.fields:
                    out.line(self._declare_field(t, f))
                if not t.fields:
                    out.line("uint8_t none;")
            out.line()
        if self._validity:
            out.line("/* Places in phv_t.valid. */")
            with out.block("enum", ";"):
                for i, name in enumerate(self._validity):
                    if name:
                        out.line(f"{name} = {i},")
            out.line()
        with out.block("typedef struct", " phv_t;"):
            out.lines(*self._metadata_lines)
            out.line("/* Zeroed up to here for each packet: metadata. */")
            out.line(f"uint8_t valid[{max(len(self._validity), 1)}];")
            out.lines(*self._next_lines, *self._header_lines)
        out.line()

    def _declare_field(self, t: ir.HeaderType, f: ir.Field) -> str:
        name = self._fields[id(f)]
        if f.varbit:
            return f"struct {{ uint32_t bits; uint8_t bytes[{varbit_bytes(t)}]; }} {name};"
        scalar = scalar_type(f.width)
        size = "" if scalar else f"[{words(f.width)}]"
        sign = " signed" if f.signed else ""
        return f"{scalar or 'uint64_t'} {name}{size}; /* {f.width}{sign} */"

    # ---- headers -----------------------------------------------------------------------------------------

    def type_name(self, t: ir.HeaderType) -> str:
        return self._types[id(t)]

    def field_name(self, f: ir.Field) -> str:
        return self._fields[id(f)]

    def header(self, h: ir.Header) -> Place:
        return self._places[id(h)]

    def next_index(self, s: ir.Stack | ir.UnionStack) -> str:
        return self._next[id(s)]

    @staticmethod
    def depth(s: ir.Stack | ir.UnionStack) -> int:
        return len(s.headers) if isinstance(s, ir.Stack) else len(s.unions)

    def stack_storage(self, s: ir.Stack | ir.UnionStack) -> tuple[str, int, int]:
        """The array, the index of its first validity byte, and validity bytes an element."""
        if isinstance(s, ir.Stack):
            storage, first = self._header_stacks[id(s)]
            return storage, first, 1
        storage, first, parts = self._union_stacks[id(s)]
        return storage, first, len(parts)

    def element(self, s: ir.Stack, index: str) -> Place:
        """The element at a C index that is at most the depth."""
        storage, first, _ = self.stack_storage(s)
        return Place(s.type, f"{storage}[{index}]", f"phv->valid[{first} + {index}]")

    def union_member(self, s: ir.UnionStack, index: str, member: int) -> Place:
        storage, first, parts = self._union_stacks[id(s)]
        valid = [f"phv->valid[{first} + {index} * {len(parts)} + {k}]" for k in range(len(parts))]
        siblings = tuple(v for k, v in enumerate(valid) if k != member)
        t = s.unions[0].members[member][1].type
        return Place(t, f"{storage}[{index}].{parts[member]}", valid[member], siblings)

    def _bounded(self, ex: Expressions, index: ir.Expr, depth: int, out: Writer) -> str:
        if isinstance(index, ir.Const):
            return str(index.value if 0 <= index.value < depth else depth)
        code, safe = ex.index(index, depth)
        name = out.temporary("i")
        out.line(f"const uint64_t {name} = " + (f"{code};" if safe else f"p4_min64({code}, {depth});"))
        return name

    def place(self, ex: Expressions, e: ir.Expr) -> Place:
        """The place of a header that an expression names."""
        match e:
            case ir.HeaderRef(header=h):
                return self._places[id(h)]
            case ir.StackElement(stack=s, index=i):
                return self.element(s, self._bounded(ex, i, len(s.headers), ex.out))
            case ir.UnionMember(union=ir.UnionRef(union=u), member=m):
                return self._places[id(u.members[m][1])]
            case ir.UnionMember(union=ir.UnionStackElement(stack=us, index=i), member=m):
                return self.union_member(us, self._bounded(ex, i, len(us.unions), ex.out), m)
        raise AssertionError(f"not a header: {type(e).__name__}")

    def union_places(self, ex: Expressions, e: ir.Expr) -> list[Place]:
        match e:
            case ir.UnionRef(union=u):
                return [self._places[id(h)] for _, h in u.members]
            case ir.UnionStackElement(stack=s, index=i):
                index = self._bounded(ex, i, len(s.unions), ex.out)
                return [self.union_member(s, index, m) for m in range(len(s.unions[0].members))]
        raise AssertionError(f"not a union: {type(e).__name__}")

    def union_valid(self, ex: Expressions, e: ir.Expr) -> str:
        return "(" + " | ".join(p.valid for p in self.union_places(ex, e)) + ")"

    def headers_equal(self, ex: Expressions, left: ir.Expr, right: ir.Expr) -> str:
        """bmv2: equal when both are valid and all fields are."""
        return self._equal(self.place(ex, left), self.place(ex, right))

    def _equal(self, a: Place, b: Place) -> str:
        terms = [a.valid, b.valid]
        for f in a.type.fields:
            name = self._fields[id(f)]
            x, y = f"{a.storage}.{name}", f"{b.storage}.{name}"
            if f.varbit:
                terms.append(f"{x}.bits == {y}.bits && memcmp({x}.bytes, {y}.bytes, {x}.bits / 8) == 0")
            elif scalar_type(f.width):
                terms.append(f"{x} == {y}")
            else:
                terms.append(f"memcmp({x}, {y}, sizeof {x}) == 0")
        return "(" + " && ".join(terms) + ")"

    def unions_equal(self, ex: Expressions, left: ir.Expr, right: ir.Expr) -> str:
        """bmv2: both without a valid member, or the same member valid and equal."""
        a, b = self.union_places(ex, left), self.union_places(ex, right)
        none = " | ".join(p.valid for p in [*a, *b])
        terms = [f"!({none})"] + [self._equal(x, y) for x, y in zip(a, b, strict=True)]
        return "(" + " || ".join(terms) + ")"

    # ---- fields ------------------------------------------------------------------------------------------

    def target(self, ex: Expressions, e: ir.Expr) -> tuple[str, ir.Field]:
        """The C l-value of a field that an expression names, and the field."""
        match e:
            case ir.FieldRef(header=h, field=f):
                assert h is not None
                return f"{self._places[id(h)].storage}.{self._fields[id(f)]}", f
            case ir.ElementField(header=h, field=f):
                return f"{self.place(ex, h).storage}.{self._fields[id(f)]}", f
            case ir.LastField(stack=s, field=f):
                return f"{self.last(ex, s)}.{self._fields[id(f)]}", f
            case ir.LastUnionField(stack=us, member=m, field=f):
                index = self._last_index(us, ex.out)
                return f"{self.union_member(us, index, m).storage}.{self._fields[id(f)]}", f
        raise AssertionError(f"not a field: {type(e).__name__}")

    def _last_index(self, s: ir.Stack | ir.UnionStack, out: Writer) -> str:
        """The index of the last element; of an empty stack, the slot out of bounds."""
        name = out.temporary("i")
        count = self._next[id(s)]
        out.line(f"const uint64_t {name} = {count} ? {count} - 1 : {self.depth(s)};")
        return name

    def last(self, ex: Expressions, s: ir.Stack) -> str:
        return self.element(s, self._last_index(s, ex.out)).storage

    def load(self, ex: Expressions, e: ir.Expr) -> Value:
        code, f = self.target(ex, e)
        if f.varbit:
            raise ProgramError(
                "$", f"arithmetic on the varbit '{f.name}'; only comparing and copying one works"
            )
        return self._value(ex, code, f.width, f.signed)

    @staticmethod
    def _value(ex: Expressions, code: str, width: int, signed: bool) -> Value:
        high = (1 << width) - 1
        if width <= 64:
            if signed:
                return exact(f"p4_sign64({code}, {width})", -(1 << width - 1), (1 << width - 1) - 1)
            return exact(code if storage_bytes(width) == 8 else f"(uint64_t){code}", 0, high)
        if not signed:
            return Value(code, unsigned(width), (0, high))
        t = fitting(-(1 << width - 1), (1 << width - 1) - 1)
        return Value(ex.sign_extend(code, width, t), t, (-(1 << width - 1), (1 << width - 1) - 1))

    def store(self, ex: Expressions, target: ir.Expr, value: ir.Expr) -> None:
        if isinstance(target, ir.RegisterElement):
            self.store_register(ex, target.register, target.index, value)
            return
        code, f = self.target(ex, target)
        if f.saturating:
            low, high = (-(1 << f.width - 1), (1 << f.width - 1) - 1) if f.signed else (0, (1 << f.width) - 1)
            self._assign(ex, code, f.width, ex.cut_value(ex.clamp(ex.data(value), low, high), f.width))
        else:
            self._assign(ex, code, f.width, ex.data(value, f.width))

    @staticmethod
    def _assign(ex: Expressions, code: str, width: int, v: Value) -> None:
        """Store the low ``width`` bits of a value."""
        scalar = scalar_type(width)
        # A C type that has the width exactly cuts by itself.
        if scalar is None or storage_bytes(width) * 8 != width or v.type.wide:
            v = ex.cut_value(v, width)
        if scalar is None:
            wide = ex.cast(v, unsigned(width)) if not v.type.wide else v.code
            limbs = words(width) if not v.type.wide else v.type.limbs
            ex.out.line(f"w_set({code}, {words(width)}, {wide}, {limbs}, false);")
        else:
            text = v.code
            if v.type.wide:
                text = ex.cast(v, unsigned(width))
            elif storage_bytes(width) < v.type.bits // 8:
                text = f"({scalar}){ex.paren(text)}"
                # Widened only to be narrowed again.
                text = (
                    re.sub(r"^\(\w+\)\(\(uint64_t\)([\w.>\[\]-]+)\)$", r"\1", text) if v.fits(width) else text
                )
            ex.out.line(f"{code} = {text};")

    def store_code(self, ex: Expressions, target: ir.Expr, code: str) -> None:
        """Store a C value of type uint64_t, cut to the target's width."""
        lvalue, f = self.target(ex, target)
        self._assign(ex, lvalue, f.width, exact(code, 0, (1 << 64) - 1))

    def store_standard(self, out: Writer, name: str, code: str) -> None:
        """Set a field of standard_metadata, by simple_switch's name, if the program has it."""
        ref = self.program.standard_fields.get(name)
        if ref is not None:
            self.store_code(Expressions(self, out), ref, code)

    def load_standard(self, out: Writer, name: str) -> str | None:
        ref = self.program.standard_fields.get(name)
        if ref is None:
            return None
        ex = Expressions(self, out)
        return ex.cast(ex.cut_value(self.load(ex, ref), min(ref.field.width, 64)), U64)

    # ---- action data and registers -----------------------------------------------------------------------

    def load_param(self, ex: Expressions, data: str, action: ir.Action, index: int, width: int) -> Value:
        code = f"{data}->{param_names(action)[index]}"
        if 64 < width <= 128:
            code = f"((p4_u128){code}[1] << 64 | {code}[0])"
        return self._value(ex, code, width, signed=False)

    @staticmethod
    def declare_data(out: Writer, name: str, layout: ActionLayout) -> None:
        """The struct of an action's run-time data, as `layout` lays it out."""
        with out.block("typedef struct", f" {name};"):
            for p, member in zip(layout.action.params, param_names(layout.action), strict=True):
                scalar = scalar_type(p.width)
                if scalar is None or storage_bytes(p.width) == 16:
                    out.line(f"uint64_t {member}[{words(p.width) if scalar is None else 2}]; /* {p.width} */")
                else:
                    out.line(f"{scalar} {member}; /* {p.width} */")
        out.line()

    @staticmethod
    def _cells(r: ir.RegisterArray) -> str:
        scalar = scalar_type(r.width)
        if scalar is None:
            return f"((uint64_t (*)[{words(r.width)}])ctx->registers[{r.index}].cells)"
        return f"(({scalar} *)ctx->registers[{r.index}].cells)"

    def load_register(self, ex: Expressions, r: ir.RegisterArray, index: ir.Expr) -> Value:
        """A cell; 0 when the index is out of bounds."""
        i = self._register_index(ex, r, index)
        scalar = scalar_type(r.width)
        high = (1 << r.width) - 1
        if scalar is None:
            t = unsigned(r.width)
            zero = ex.cast(exact("0", 0, 0), t)
            name = ex.out.temporary("w")
            ex.out.line(f"const uint64_t *const {name} = {i} < {r.size}u ? {self._cells(r)}[{i}] : {zero};")
            return Value(name, t, (0, high))
        t = unsigned(r.width)
        return Value(f"({i} < {r.size}u ? ({t.name}){self._cells(r)}[{i}] : 0)", t, (0, high))

    def store_register(self, ex: Expressions, r: ir.RegisterArray, index: ir.Expr, value: ir.Expr) -> None:
        i = self._register_index(ex, r, index)
        v = ex.data(value, r.width)
        with ex.out.block(f"if ({i} < {r.size}u)"):
            self._assign(ex, f"{self._cells(r)}[{i}]", r.width, v)

    def store_register_cell(self, ex: Expressions, target: ir.Expr, r: ir.RegisterArray, index: str) -> None:
        """``target = r[index]``, the index being a C value within bounds."""
        lvalue, f = self.target(ex, target)
        t = unsigned(r.width)
        cell = Value(f"{self._cells(r)}[{index}]", t, (0, (1 << r.width) - 1))
        if not t.wide:
            cell = Value(f"({t.name}){cell.code}", t, cell.interval)
        self._assign(ex, lvalue, f.width, cell)

    @staticmethod
    def _register_index(ex: Expressions, r: ir.RegisterArray, index: ir.Expr) -> str:
        code, _ = ex.index(index, r.size)
        name = ex.out.temporary("i")
        ex.out.line(f"const uint64_t {name} = {code};")
        return name

    # ---- parser ------------------------------------------------------------------------------------------

    def lookahead(self, ex: Expressions, offset: int, width: int) -> Value:
        """Bits ahead of the parser; the caller has checked that the packet is long enough."""
        high = (1 << width) - 1
        if width <= 64:
            return exact(f"p4_load_bits(data + pos, {offset}, {width})", 0, high)
        t = unsigned(width)
        if width <= 128:
            return Value(f"p4_load_bits128(data + pos, {offset}, {width})", t, (0, high))
        name = ex.out.temporary("w")
        ex.out.line(f"uint64_t {name}[{t.limbs}];")
        ex.out.line(f"p4_load_limbs(data + pos, {offset}, {width}, {name});")
        return Value(name, t, (0, high))
