# SPDX-License-Identifier: Apache-2.0
"""Statements of actions (bmv2's primitives) to C."""

from __future__ import annotations

from dataclasses import dataclass

from p4jit.codegen.calculations import Calculations
from p4jit.codegen.expressions import Expressions
from p4jit.codegen.headers import Headers
from p4jit.codegen.layout import ActionLayout
from p4jit.codegen.names import sanitise
from p4jit.codegen.phv import Phv, Place
from p4jit.codegen.values import CType
from p4jit.codegen.writer import Writer
from p4jit.frontend import ir
from p4jit.frontend.errors import ProgramError

_I128 = CType(128, signed=True)
_MAX_LOG_ARGUMENTS = 32
#: Turns of all loops of one run of an action: far more than a packet has use for, over in a millisecond.
_MAX_TURNS = 65_536


@dataclass(frozen=True, slots=True)
class Tools:
    """What statement generation needs of the rest."""

    program: ir.Program
    phv: Phv
    headers: Headers
    calculations: Calculations


class Statements:
    """Generates statements into ``ex.out``. ``leave`` is the C statement that ends the packet's way through
    the pipeline or parser at once, for a failed assertion."""

    def __init__(self, tools: Tools, ex: Expressions, leave: str, exit_code: str) -> None:
        self._tools = tools
        self._phv = tools.phv
        self._ex = ex
        self._out = ex.out
        self._leave = leave
        self._exit = exit_code

    def generate(self, s: ir.Statement) -> None:
        match s:
            case ir.Assign(target=t, value=v):
                self._phv.store(self._ex, t, v)
            case ir.AssignVarbit(target=t, value=v):
                self._assign_varbit(t, v)
            case ir.AssignHeader(target=t, source=v):
                self._copy_header(self._phv.place(self._ex, t), self._phv.place(self._ex, v))
            case ir.AssignUnion(target=t, source=v):
                self._assign_union(t, v)
            case ir.AssignStack() | ir.AssignUnionStack():
                self._assign_stack(s.target, s.source)
            case ir.SetValid(header=h):
                self._set_valid(h)
            case ir.SetInvalid(header=h):
                place = self._phv.place(self._ex, h)
                with self._out.block(f"if ({place.valid})"):
                    self._out.line(f"pkt->packet_length -= {self._size(place)};")
                    self._out.line(f"{place.valid} = 0;")
            case ir.Push(stack=k, count=n):
                self._push(k, n)
            case ir.Pop(stack=k, count=n):
                self._pop(k, n)
            case ir.MarkToDrop(egress_spec=spec, multicast_group=group):
                self._mark(spec, "standard_metadata.egress_spec", "(uint64_t)ctx->drop_port")
                self._mark(group, "intrinsic_metadata.mcast_grp", "0")
            case ir.HashTo():
                self._hash(s)
            case ir.Random():
                self._random(s)
            case ir.Count() | ir.ExecuteMeter() | ir.RegisterRead() | ir.RegisterWrite():
                self._stateful(s)
            case ir.LogMessage() | ir.Assert():
                self._message(s)
            case _:
                self._decide(s)

    def _mark(self, target: ir.FieldRef | None, standard: str, code: str) -> None:
        """Set a field of a copy of standard_metadata, or of standard_metadata itself."""
        if target is not None:
            self._phv.store_code(self._ex, target, code)
        else:
            self._phv.store_standard(self._out, standard, code)

    # ---- headers -----------------------------------------------------------------------------------------

    def _size(self, place: Place) -> str:
        fixed = sum(f.width for f in place.type.fields if not f.varbit) // 8
        varbit = place.type.varbit
        if varbit is None:
            return str(fixed)
        return f"({fixed} + {place.storage}.{self._phv.field_name(varbit)}.bits / 8)"

    def _make_valid(self, place: Place) -> None:
        for sibling in place.siblings:
            self._out.line(f"{sibling} = 0;")
        if place.valid != "true":
            self._out.line(f"{place.valid} = 1;")

    def _set_valid(self, header: ir.Expr) -> None:
        place = self._phv.place(self._ex, header)
        if place.valid == "true":
            return
        with self._out.block(f"if (!{place.valid})"):
            self._out.line(f"memset(&{place.storage}, 0, sizeof {place.storage});")
            self._make_valid(place)
            self._out.line(f"pkt->packet_length += {self._size(place)};")

    def _copy_header(self, target: Place, source: Place) -> None:
        if target.storage == source.storage:
            return
        with self._out.block(f"if ({source.valid})"):
            self._out.line(f"{target.storage} = {source.storage};")
            self._make_valid(target)
        if target.valid != "true" and source.valid != "true":
            with self._out.block("else"):
                self._out.line(f"{target.valid} = 0;")

    def _assign_varbit(self, target: ir.Expr, value: ir.Expr) -> None:
        to, field = self._phv.target(self._ex, target)
        source, other = self._phv.target(self._ex, value)
        if not (field.varbit and other.varbit) or other.width > field.width:
            raise ProgramError(
                "$.actions", f"'{other.name}' assigned to '{field.name}': varbits of other sizes"
            )
        self._out.line(f"{to}.bits = {source}.bits;")
        self._out.line(f"memmove({to}.bytes, {source}.bytes, {source}.bits / 8);")

    def _assign_union(self, target: ir.Expr, source: ir.Expr) -> None:
        """One member is valid at most, so the first invalid copies must not undo the valid one."""
        to, of = self._phv.union_places(self._ex, target), self._phv.union_places(self._ex, source)
        flags = []
        for place in of:
            flag = self._out.temporary("v")
            self._out.line(f"const uint8_t {flag} = {place.valid};")
            flags.append(flag)
        for a, b, flag in zip(to, of, flags, strict=True):
            if a.storage != b.storage:
                self._out.line(f"if ({flag}) {a.storage} = {b.storage};")
            self._out.line(f"{a.valid} = {flag};")

    def _assign_stack(self, target: ir.Stack | ir.UnionStack, source: ir.Stack | ir.UnionStack) -> None:
        if target is source:
            return
        to, first_to, each = self._phv.stack_storage(target)
        of, first_of, _ = self._phv.stack_storage(source)
        depth = self._phv.depth(target)
        if depth != self._phv.depth(source):
            raise ProgramError(
                "$.actions", f"stack '{source.name}' assigned to '{target.name}' of another depth"
            )
        self._out.lines(
            f"memcpy({to}, {of}, {depth} * sizeof {to}[0]);",
            f"memcpy(phv->valid + {first_to}, phv->valid + {first_of}, {depth * each});",
            f"{self._phv.next_index(target)} = {self._phv.next_index(source)};",
        )

    def _push(self, stack: ir.Stack | ir.UnionStack, count: int) -> None:
        """P4_16: the whole stack moves up; the new elements are invalid."""
        storage, first, each = self._phv.stack_storage(stack)
        depth = self._phv.depth(stack)
        n = min(count, depth)
        fill = self._phv.next_index(stack)
        if n == 0:
            return
        self._out.lines(
            f"memmove({storage} + {n}, {storage}, {depth - n} * sizeof {storage}[0]);",
            f"memmove(phv->valid + {first + n * each}, phv->valid + {first}, {(depth - n) * each});",
            f"memset(phv->valid + {first}, 0, {n * each});",
            f"{fill} = {fill} + {n} < {depth} ? {fill} + {n} : {depth};",
        )

    def _pop(self, stack: ir.Stack | ir.UnionStack, count: int) -> None:
        storage, first, each = self._phv.stack_storage(stack)
        depth = self._phv.depth(stack)
        n = min(count, depth)
        fill = self._phv.next_index(stack)
        if n == 0:
            return
        self._out.lines(
            f"memmove({storage}, {storage} + {n}, {depth - n} * sizeof {storage}[0]);",
            f"memmove(phv->valid + {first}, phv->valid + {first + n * each}, {(depth - n) * each});",
            f"memset(phv->valid + {first + (depth - n) * each}, 0, {n * each});",
            f"{fill} = {fill} > {n} ? {fill} - {n} : 0;",
        )

    # ---- externs -----------------------------------------------------------------------------------------

    def _hash(self, s: ir.HashTo) -> None:
        base, size = self._ex.u64(s.base), self._ex.u64(s.size)
        value, most = self._out.temporary("hash"), self._out.temporary("size")
        self._out.line(f"const uint64_t {most} = {size};")
        self._out.line(f"uint64_t {value} = {self._tools.calculations.call(s.calculation)};")
        self._out.line(f"{value} = {value} % ({most} ? {most} : 1) + {base};")
        self._phv.store_code(self._ex, s.target, value)

    def _random(self, s: ir.Random) -> None:
        low, high = self._out.temporary("low"), self._out.temporary("high")
        self._out.line(f"const uint64_t {low} = {self._ex.u64(s.low)}, {high} = {self._ex.u64(s.high)};")
        with self._out.block(f"if ({low} <= {high})"):
            value = self._out.temporary()
            self._out.line(f"const uint64_t {value} = p4_random_between(ctx->random_state, {low}, {high});")
            self._phv.store_code(self._ex, s.target, value)

    def _guarded_index(self, index: ir.Expr, size: int) -> tuple[str, str]:
        """An index in a temporary, and the condition that it is in bounds."""
        code, _ = self._ex.index(index, size)
        name = self._out.temporary("i")
        self._out.line(f"const uint64_t {name} = {code};")
        return name, f"{name} < {size}u"

    def _stateful(self, s: ir.Count | ir.ExecuteMeter | ir.RegisterRead | ir.RegisterWrite) -> None:
        """Out of bounds: nothing happens, as in simple_switch."""
        match s:
            case ir.Count(counter=c, index=i):
                name, inside = self._guarded_index(i, c.size)
                with self._out.block(f"if ({inside})"):
                    self._out.line(f"ctx->counters[{c.index}].cells[{name}].packets++;")
                    self._out.line(f"ctx->counters[{c.index}].cells[{name}].bytes += pkt->ingress_length;")
            case ir.ExecuteMeter(meter=m, index=i, target=t):
                name, inside = self._guarded_index(i, m.size)
                with self._out.block(f"if ({inside})"):
                    kind = "true" if m.bytes else "false"
                    colour = self._out.temporary("colour")
                    self._out.line(
                        f"const uint64_t {colour} = p4_meter_run("
                        f"&ctx->meters[{m.index}].cells[{name}], {kind}, pkt->ingress_length, ctx->now);"
                    )
                    self._phv.store_code(self._ex, t, colour)
            case ir.RegisterRead(target=t, register=r, index=i):
                name, inside = self._guarded_index(i, r.size)
                with self._out.block(f"if ({inside})"):
                    self._phv.store_register_cell(self._ex, t, r, name)
            case ir.RegisterWrite(register=r, index=i, value=v):
                self._phv.store_register(self._ex, r, i, v)

    def _message(self, s: ir.LogMessage | ir.Assert) -> None:
        if isinstance(s, ir.Assert):
            with self._out.block(f"if (!{self._ex.paren(self._ex.boolean(s.condition))})"):
                self._out.line("pkt->failed_assertion = true;")
                self._out.line(f"p4_log(ctx, {s.message}, 0, NULL, 0);")
                self._out.line(self._leave)
            return
        if len(s.arguments) > _MAX_LOG_ARGUMENTS:
            raise ProgramError("$.actions", f"log_msg with over {_MAX_LOG_ARGUMENTS} arguments")
        values, signs = [], 0
        for i, argument in enumerate(s.arguments):
            v = self._ex.data(argument)
            signs |= v.type.signed << i
            wide = self._out.temporary("x")
            self._out.line(f"const p4_i128 {wide} = {self._ex.cast(v, _I128)};")
            values += [f"(uint64_t){wide}", f"(uint64_t)((p4_u128){wide} >> 64)"]
        if not values:
            self._out.line(f"p4_log(ctx, {s.message}, 0, NULL, 0);")
            return
        name = self._out.temporary("values")
        self._out.line(f"const uint64_t {name}[] = {{{', '.join(values)}}};")
        self._out.line(f"p4_log(ctx, {s.message}, {len(s.arguments)}, {name}, {signs:#x}u);")

    # ---- what becomes of the packet ----------------------------------------------------------------------

    def _decide(self, s: ir.Statement) -> None:
        match s:
            case ir.GenerateDigest(list=d):
                self._out.line(f"pkt->digest = {d.id};")
            case ir.Clone(session=session, fields=f):
                self._out.line("pkt->clone = true;")
                # bmv2 keeps 15 bits of the session.
                self._out.line(f"pkt->clone_session = (uint16_t)({self._ex.u64(session)} & 0x7fff);")
                self._out.line(f"pkt->clone_fields = {f};")
            case ir.Resubmit(fields=f):
                self._out.line(f"pkt->resubmit_fields = {f};")
            case ir.Recirculate(fields=f):
                self._out.line(f"pkt->recirculate_fields = {f};")
            case ir.Truncate(length=e):
                name = self._out.temporary("length")
                self._out.line(f"const uint64_t {name} = {self._ex.u64(e)};")
                self._out.line(f"if ({name} < pkt->truncate_to) pkt->truncate_to = (uint32_t){name};")
            case ir.Exit():
                self._out.line(self._exit)
            case ir.NoOp():
                pass
            case _:
                raise AssertionError(f"not a statement: {type(s).__name__}")


def leaves(action: ir.Action) -> bool:
    """Can the action end the packet's way through the pipeline?"""
    return any(
        isinstance(s, ir.Exit | ir.Assert) or (isinstance(s, ir.Jump | ir.JumpIfZero) and s.target <= i)
        for i, s in enumerate(action.body)
    )


class Actions:
    """One C function an action. One that can end the packet's way through the pipeline (exit, a failed
    assertion) returns whether it did."""

    def __init__(self, tools: Tools, out: Writer) -> None:
        self._tools = tools
        self._out = out

    def declare(self, actions: list[ir.Action], names: dict[int, str]) -> None:
        for a in actions:
            self._out.line(f"/* action {sanitise(a.name)} */")
            if a.params:
                self._tools.phv.declare_data(self._out, f"action_{a.index}_data", ActionLayout(a))
            self._function(a, names[id(a)])

    def _function(self, a: ir.Action, name: str) -> None:
        out = self._out
        data = f"const action_{a.index}_data *d" if a.params else ""
        may_leave = leaves(a)
        with out.block(
            f"P4_ACTION {'bool' if may_leave else 'void'} {name}(p4_context *ctx, p4_packet *pkt, phv_t *phv"
            f"{', ' + data if data else ''})"
        ):
            ex = Expressions(self._tools.phv, out, "d", a) if a.params else Expressions(self._tools.phv, out)
            # Statements after an exit still run in simple_switch: the pipeline stops after the action.
            if may_leave:
                out.line("bool left = false;")
            statements = Statements(self._tools, ex, "return true;", "left = true;")
            labels = {s.target for s in a.body if isinstance(s, ir.Jump | ir.JumpIfZero)}
            loops = any(
                isinstance(s, ir.Jump | ir.JumpIfZero) and s.target <= i for i, s in enumerate(a.body)
            )
            if loops:
                out.line("uint32_t turns = 0;")
            for i, s in enumerate(a.body):
                if i in labels:
                    out.label(f"at_{i}")
                match s:
                    case ir.Jump(target=t):
                        self._bound(t <= i)
                        out.line(f"goto at_{t};")
                    case ir.JumpIfZero(condition=c, target=t):
                        with out.scope():
                            zero = ex.is_zero(c)
                            self._bound(t <= i)
                            out.line(f"if ({zero}) goto at_{t};")
                    case _:
                        with out.scope():
                            statements.generate(s)
            if len(a.body) in labels:
                out.label(f"at_{len(a.body)}")
            if may_leave:
                out.line("return left;")
        out.line()

    def _bound(self, back: bool) -> None:
        """A loop that does not end must not hold the switch: its packet is dropped, as when an assertion
        fails."""
        if back:
            self._out.line(
                f"if (P4_UNLIKELY(++turns > {_MAX_TURNS})) {{ pkt->failed_assertion = true; return true; }}"
            )
