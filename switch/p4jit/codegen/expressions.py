# SPDX-License-Identifier: Apache-2.0
"""Expressions to C. See `values` for how unbounded integers become machine words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from p4jit.codegen.values import U64, CType, Value, constant, exact, fitting, mask, modular, unsigned
from p4jit.frontend import ir
from p4jit.frontend.errors import ProgramError

if TYPE_CHECKING:
    from p4jit.codegen.phv import Phv
    from p4jit.codegen.writer import Writer

_COMPARE = {
    ir.BinaryOp.EQ: "==",
    ir.BinaryOp.NE: "!=",
    ir.BinaryOp.LT: "<",
    ir.BinaryOp.LE: "<=",
    ir.BinaryOp.GT: ">",
    ir.BinaryOp.GE: ">=",
}
_BITWISE = {ir.BinaryOp.AND: "&", ir.BinaryOp.OR: "|", ir.BinaryOp.XOR: "^"}
_WIDE_NAMES = {
    ir.BinaryOp.ADD: "w_add",
    ir.BinaryOp.SUB: "w_sub",
    ir.BinaryOp.MUL: "w_mul",
    ir.BinaryOp.AND: "w_and",
    ir.BinaryOp.OR: "w_or",
    ir.BinaryOp.XOR: "w_xor",
}
_PLAIN = {ir.BinaryOp.ADD: "+", ir.BinaryOp.SUB: "-", ir.BinaryOp.MUL: "*"}
#: Longest shift whose exact result is worth holding. Beyond, the program must mask the result, as p4c does.
_MAX_EXACT_BITS = 8192
#: Most stack that one function may take for integers wider than 128 bits: a worker has a few MiB.
_MAX_WIDE_BYTES = 256 * 1024
#: A longer expression is broken with a temporary, for the reader's sake and the compiler's.
_LONG = 160


class Expressions:
    """Generates into one writer; ``param`` names the data in scope of an ``action`` that has any."""

    def __init__(
        self, phv: Phv, out: Writer, param: str | None = None, action: ir.Action | None = None
    ) -> None:
        self._phv = phv
        self.out = out
        self._param = param
        self._action = action
        self._wide_bytes = 0

    def _limbs(self, t: CType, count: int = 1) -> list[str]:
        """Names of new arrays for values of a wide type; the caller declares them."""
        self._wide_bytes += count * t.bits // 8
        if self._wide_bytes > _MAX_WIDE_BYTES:
            raise ProgramError(
                "$", f"one action or state needs over {_MAX_WIDE_BYTES} bytes for wide integers"
            )
        return [self.out.temporary("w") for _ in range(count)]

    # ---- data --------------------------------------------------------------------------------------------

    def data(self, e: ir.Expr, bits: int | None = None) -> Value:
        """The value of a data expression: exact, or at least right in its low ``bits`` bits."""
        value = self._data(e, bits)
        if not value.type.wide and len(value.code) > _LONG:
            name = self.out.temporary()
            self.out.line(f"const {value.type.name} {name} = {value.code};")
            value = Value(name, value.type, value.interval, value.bits)
        return value

    def _data(self, e: ir.Expr, bits: int | None) -> Value:
        match e:
            case ir.Const(value=v):
                return self._constant(v, bits)
            case ir.FieldRef() | ir.ElementField() | ir.LastField() | ir.LastUnionField():
                return self._phv.load(self, e)
            case ir.ValidBit(header=h):
                return exact(f"(uint64_t){self._phv.header(h).valid}", 0, 1)
            case ir.Param(index=i, width=w):
                assert self._param is not None
                assert self._action is not None
                return self._phv.load_param(self, self._param, self._action, i, w)
            case ir.LastIndex(stack=s):
                # bmv2 subtracts from an unsigned count: an empty stack gives 2^64 - 1.
                return exact(f"((uint64_t){self._phv.next_index(s)} - 1)", 0, (1 << 64) - 1)
            case ir.StackSize(stack=s):
                return exact(f"(uint64_t){self._phv.next_index(s)}", 0, self._phv.depth(s))
            case ir.RegisterElement(register=r, index=i):
                return self._phv.load_register(self, r, i)
            case ir.Lookahead(offset=o, width=w):
                return self._phv.lookahead(self, o, w)
            case ir.Unary(op=ir.UnaryOp.TO_DATA, operand=x):
                return exact(f"(uint64_t)({self.boolean(x)})", 0, 1)
            case ir.Unary(op=ir.UnaryOp.NEGATE, operand=x):
                return self.data(ir.Binary(ir.BinaryOp.SUB, ir.Const(0), x), bits)
            case ir.Unary(op=ir.UnaryOp.COMPLEMENT, operand=x):
                return self._complement(x, bits)
            case ir.Ternary():
                return self._choose(e, bits)
            case ir.Binary(op=op):
                return self._binary(op, e.left, e.right, bits)
        raise AssertionError(f"not a data expression: {type(e).__name__}")

    def _constant(self, v: int, bits: int | None) -> Value:
        if bits is not None and not 0 <= v < 1 << bits:
            v &= (1 << bits) - 1
        t = fitting(v, v)
        if not t.wide:
            return Value(constant(v, t), t, (v, v))
        (name,) = self._limbs(t)
        limbs = ", ".join(constant(v >> 64 * i, U64) for i in range(t.limbs))
        self.out.line(f"const uint64_t {name}[{t.limbs}] = {{{limbs}}};")
        return Value(name, t, (v, v))

    def cast(self, v: Value, t: CType) -> str:
        """``v`` as C of type ``t``; widening keeps the value, narrowing keeps the low bits."""
        if v.type == t:
            return v.code
        if not t.wide:
            if v.type.wide:
                low = f"{v.code}[0]"
                if t.bits == 64:
                    return f"({t.name}){low}"
                return f"({t.name})((p4_u128){v.code}[1] << 64 | {low})"
            return f"({t.name}){_paren(v.code)}"
        (name,) = self._limbs(t)
        self.out.line(f"uint64_t {name}[{t.limbs}];")
        if v.type.wide:
            sign = "true" if v.type.signed else "false"
            self.out.line(f"w_set({name}, {t.limbs}, {v.code}, {v.type.limbs}, {sign});")
        else:
            kind = ("i" if v.type.signed else "u") + str(v.type.bits)
            self.out.line(f"w_set_{kind}({name}, {t.limbs}, {v.code});")
        return name

    def _wide(self, t: CType, call: str, *operands: str) -> str:
        (name,) = self._limbs(t)
        self.out.line(f"uint64_t {name}[{t.limbs}];")
        self.out.line(f"{call}({', '.join([name, *operands])});")
        return name

    def _complement(self, x: ir.Expr, bits: int | None) -> Value:
        v = self.data(x, bits)
        if v.exact and bits is None:
            low, high = -v.high - 1, -v.low - 1
            t = fitting(low, high)
            result = self._not(self.cast(v, t), t)
            return Value(result, t, (low, high))
        assert bits is not None
        t = unsigned(bits)
        return modular(self._not(self.cast(v, t), t), bits)

    def _not(self, code: str, t: CType) -> str:
        return self._wide(t, "w_not", code, str(t.limbs)) if t.wide else f"(~{_paren(code)})"

    def _choose(self, e: ir.Ternary, bits: int | None) -> Value:
        condition = self.boolean(e.condition)
        left, right = self.data(e.left, bits), self.data(e.right, bits)
        if left.interval and right.interval:
            low, high = min(left.low, right.low), max(left.high, right.high)
            t = fitting(low, high)
            interval: tuple[int, int] | None = (low, high)
        else:
            assert bits is not None
            t, interval = unsigned(bits), None
        a, b = self.cast(left, t), self.cast(right, t)
        if t.wide:
            name = self.out.temporary("w")
            self.out.line(f"const uint64_t *const {name} = {condition} ? {a} : {b};")
            return Value(name, t, interval, bits or 0)
        return Value(f"({condition} ? {a} : {b})", t, interval, bits or 0)

    def _binary(self, op: ir.BinaryOp, left: ir.Expr, right: ir.Expr, bits: int | None) -> Value:
        match op:
            case ir.BinaryOp.AND:
                for x, c in ((left, right), (right, left)):
                    if isinstance(c, ir.Const) and c.value >= 0:
                        return self._mask(x, c.value, bits)
                return self._arithmetic(op, left, right, bits)
            case ir.BinaryOp.SHL:
                return self._shift_left(left, right, bits)
            case ir.BinaryOp.SHR:
                return self._shift_right(left, right)
            case ir.BinaryOp.DIV | ir.BinaryOp.MOD:
                return self._divide(op, left, right)
            case ir.BinaryOp.TWO_COMP_MOD:
                return self._sign_extend(left, self._width(op, right))
            case ir.BinaryOp.SAT_CAST:
                w = self._width(op, right)
                return self.clamp(self.data(left), -(1 << w - 1), (1 << w - 1) - 1)
            case ir.BinaryOp.USAT_CAST:
                return self.clamp(self.data(left), 0, (1 << self._width(op, right)) - 1)
        return self._arithmetic(op, left, right, bits)

    @staticmethod
    def _width(op: ir.BinaryOp, e: ir.Expr) -> int:
        if not isinstance(e, ir.Const) or not 1 <= e.value <= 65536:
            raise ProgramError("$", f"the width of '{op.value}' must be a constant from 1 to 65536")
        return e.value

    def _mask(self, x: ir.Expr, ones: int, bits: int | None) -> Value:
        if bits is not None:
            ones &= (1 << bits) - 1
        need = max(ones.bit_length(), 1)
        v = self.data(x, need)
        if v.interval and v.low >= 0 and v.high <= ones and (ones + 1) & ones == 0:
            return v
        t = unsigned(need)
        code = self.cast(v, t)
        if t.wide:
            m = self._constant(ones, None)
            return Value(self._wide(t, "w_and", code, self.cast(m, t), str(t.limbs)), t, (0, ones))
        literal = f"{ones:#x}" if ones < 1 << 31 else constant(ones, t)
        return Value(f"({code} & {literal})", t, (0, ones))

    def _arithmetic(self, op: ir.BinaryOp, left: ir.Expr, right: ir.Expr, bits: int | None) -> Value:
        a, b = self.data(left, bits), self.data(right, bits)
        t: CType
        interval = _interval(op, a, b) if a.exact and b.exact else None
        if interval is not None and (bits is None or fitting(*interval).bits <= unsigned(bits).bits):
            t = fitting(*interval)
        else:
            if bits is None:
                raise AssertionError("an inexact operand where an exact value is needed")
            t, interval = unsigned(bits), None
        x, y = self.cast(a, t), self.cast(b, t)
        if t.wide:
            code = self._wide(t, _WIDE_NAMES[op], x, y, str(t.limbs))
        elif t.signed and op in _PLAIN:
            # Signed overflow cannot happen in an exact type, but the compiler need not know that.
            u = CType(t.bits, signed=False).name
            code = f"({t.name})(({u}){_paren(x)} {_PLAIN[op]} ({u}){_paren(y)})"
        else:
            code = f"({x} {(_PLAIN | _BITWISE)[op]} {y})"
        return Value(code, t, interval, bits or 0)

    def _shift_left(self, left: ir.Expr, right: ir.Expr, bits: int | None) -> Value:
        by = self.data(right)
        a = self.data(left, bits)
        interval = None
        if a.interval and by.low >= 0 and by.high + max(abs(a.low), a.high).bit_length() <= _MAX_EXACT_BITS:
            ends = [a.low << by.low, a.low << by.high, a.high << by.low, a.high << by.high]
            interval = (min(ends), max(ends))
        if bits is None and interval is None:
            raise ProgramError(
                "$",
                f"a left shift by up to {by.high} bits whose result is neither masked nor stored: "
                "mask the result to the width that is wanted",
            )
        if interval is not None and (bits is None or fitting(*interval).bits <= unsigned(bits).bits):
            t = fitting(*interval)
        else:
            assert bits is not None
            t, interval = unsigned(bits), None
        amount = self._amount(by)
        code = self.cast(a, t)
        if t.wide:
            return Value(self._wide(t, "w_shl", code, amount, str(t.limbs)), t, interval, bits or 0)
        u = CType(t.bits, signed=False).name
        shifted = f"({t.name})(({u}){_paren(code)} << {_paren(amount)})"
        if by.low < 0 or by.high >= t.bits:
            shifted = f"({amount} < {t.bits} ? {shifted} : 0)"
        return Value(shifted, t, interval, bits or 0)

    def _shift_right(self, left: ir.Expr, right: ir.Expr) -> Value:
        a, by = self.data(left), self.data(right)
        # A negative count, which P4 does not have, is taken for a huge one.
        shortest, longest = max(by.low, 0), 1 << 20 if by.low < 0 else min(by.high, 1 << 20)
        ends = [a.low >> shortest, a.low >> longest, a.high >> shortest, a.high >> longest]
        interval = (min(ends), max(ends))
        amount = self._amount(by)
        if a.type.wide:
            sign = "true" if a.type.signed else "false"
            code = self._wide(a.type, "w_shr", a.code, amount, str(a.type.limbs), sign)
            return self._narrow(Value(code, a.type, interval))
        code = f"({_paren(a.code)} >> {_paren(amount)})"
        if by.low < 0 or by.high >= a.type.bits:
            gone = f"({a.code} < 0 ? -1 : 0)" if a.type.signed else "0"
            code = f"({amount} < {a.type.bits} ? {code} : {gone})"
        return self._narrow(Value(code, a.type, interval))

    def _amount(self, by: Value) -> str:
        """A shift count as uint64_t; one that would not fit shifts everything out all the same."""
        if by.type.bits == 64:
            return self.cast(by, U64)
        if by.type.wide:
            return f"p4_shift_amount({by.code}, {by.type.limbs})"
        return f"({_paren(by.code)} >> 64 ? UINT64_MAX : (uint64_t){_paren(by.code)})"

    def _narrow(self, v: Value) -> Value:
        """The same value in the type its interval asks for."""
        t = fitting(v.low, v.high)
        if t.bits >= v.type.bits:
            return v
        return Value(self.cast(v, t), t, v.interval)

    def _divide(self, op: ir.BinaryOp, left: ir.Expr, right: ir.Expr) -> Value:
        """Operands are never negative in P4. bmv2 aborts on a zero divisor; here the result is 0."""
        a, b = self.data(left), self.data(right)
        if a.low < 0 or b.low < 0:
            raise ProgramError("$", f"'{op.value}' of a value that may be negative")
        t = fitting(0, max(a.high, b.high))
        x, y = self.cast(a, t), self.cast(b, t)
        high = a.high if op is ir.BinaryOp.DIV else min(a.high, max(b.high - 1, 0))
        if t.wide:
            q, r = self._limbs(t, 2)
            self.out.line(f"uint64_t {q}[{t.limbs}], {r}[{t.limbs}];")
            self.out.line(f"w_divide({q}, {r}, {x}, {y}, {t.limbs});")
            return self._narrow(Value(q if op is ir.BinaryOp.DIV else r, t, (0, high)))
        c = "/" if op is ir.BinaryOp.DIV else "%"
        code = f"({_paren(x)} {c} {_paren(y)})" if b.low > 0 else f"({y} ? {_paren(x)} {c} {_paren(y)} : 0)"
        return self._narrow(Value(code, t, (0, high)))

    def _sign_extend(self, x: ir.Expr, width: int) -> Value:
        v = self.data(x, width)
        low, high = -(1 << width - 1), (1 << width - 1) - 1
        if v.interval and v.low >= low and v.high <= high:
            return v
        t = fitting(low, high)
        code = self.cast(v, CType(t.bits, signed=False))
        return Value(self.sign_extend(code, width, t), t, (low, high))

    def sign_extend(self, code: str, width: int, t: CType) -> str:
        """``code``, unsigned and as wide as ``t``, with bit ``width - 1`` as its sign."""
        if t.wide:
            return self._wide(t, "w_cut", code, str(width), str(t.limbs), "true")
        spare = t.bits - width
        return f"(({t.name})({_paren(code)} << {spare}) >> {spare})"

    def clamp(self, v: Value, low: int, high: int) -> Value:
        """``v`` limited to [low, high]."""
        if v.low >= low and v.high <= high:
            return v
        t = fitting(min(v.low, low), max(v.high, high))
        code = self.cast(v, t)
        bounds = self._constant_as(low, t), self._constant_as(high, t)
        result = fitting(low, high)
        if t.wide:
            sign = "true" if t.signed else "false"
            name = self.out.temporary("w")
            n = t.limbs
            self.out.line(
                f"const uint64_t *const {name} = w_cmp({code}, {bounds[0]}, {n}, {sign}) < 0 ? {bounds[0]} : "
                f"w_cmp({code}, {bounds[1]}, {n}, {sign}) > 0 ? {bounds[1]} : {code};"
            )
            wide = Value(name, t, (low, high))
            return self._narrow(wide) if result.bits < t.bits else wide
        name = self.out.temporary()
        self.out.line(f"const {t.name} {name} = {code};")
        text = name
        if v.high > high:
            text = f"({name} > {bounds[1]} ? {bounds[1]} : {text})"
        if v.low < low:
            text = f"({name} < {bounds[0]} ? {bounds[0]} : {text})"
        return Value(text, t, (low, high))

    def _constant_as(self, v: int, t: CType) -> str:
        if not t.wide:
            return constant(v, t)
        return self.cast(self._constant(v, None), t)

    # ---- what an expression is used for ------------------------------------------------------------------

    def cut(self, e: ir.Expr, width: int) -> Value:
        """The low ``width`` bits, as an exact unsigned value."""
        return self.cut_value(self.data(e, width), width)

    def cut_value(self, v: Value, width: int) -> Value:
        if v.fits(width):
            return v
        t = unsigned(width)
        code = self.cast(v, t)
        if t.wide:
            return Value(
                self._wide(t, "w_cut", code, str(width), str(t.limbs), "false"), t, (0, (1 << width) - 1)
            )
        if width == t.bits:
            return Value(code, t, (0, (1 << width) - 1))
        return Value(f"({code} & {mask(width, t)})", t, (0, (1 << width) - 1))

    def u64(self, e: ir.Expr) -> str:
        """The low 64 bits as uint64_t: an index, a session, a length."""
        return self.cast(self.data(e, 64), U64)

    def index(self, e: ir.Expr, size: int) -> tuple[str, bool]:
        """An array index as C, and whether it is certainly below ``size``."""
        v = self.data(e, None) if not isinstance(e, ir.Const) else self._constant(e.value, None)
        safe = v.interval is not None and v.low >= 0 and v.high < size
        if v.type.bits == 64 and not v.type.signed:
            return v.code, safe
        if v.interval is not None and v.low >= 0:
            return self._amount(v), safe
        # bmv2 converts to unsigned; a negative index is out of bounds either way.
        return self.cast(v, U64), safe

    # ---- bool --------------------------------------------------------------------------------------------

    def boolean(self, e: ir.Expr) -> str:
        match e:
            case ir.BoolConst(value=v):
                return "true" if v else "false"
            case ir.Valid(header=h):
                return self._phv.place(self, h).valid
            case ir.ValidUnion(union=u):
                return self._phv.union_valid(self, u)
            case ir.Unary(op=ir.UnaryOp.NOT, operand=x):
                return f"!{_paren(self.boolean(x))}"
            case ir.Unary(op=ir.UnaryOp.TO_BOOL, operand=x):
                return self._nonzero(self.data(x))
            case ir.Ternary(condition=c, left=a, right=b):
                return f"({self.boolean(c)} ? {self.boolean(a)} : {self.boolean(b)})"
            case ir.Binary(op=ir.BinaryOp.LOGICAL_AND, left=a, right=b):
                return f"({self.boolean(a)} && {self.boolean(b)})"
            case ir.Binary(op=ir.BinaryOp.LOGICAL_OR, left=a, right=b):
                return f"({self.boolean(a)} || {self.boolean(b)})"
            case ir.Binary(op=op, left=a, right=b) if op in _COMPARE:
                return self._compare(op, a, b)
        raise AssertionError(f"not a boolean expression: {type(e).__name__}")

    def is_zero(self, e: ir.Expr) -> str:
        """C condition: a data or bool expression is zero or false."""
        if is_boolean(e):
            return f"!{_paren(self.boolean(e))}"
        return f"!{self._nonzero(self.data(e))}"

    def _nonzero(self, v: Value) -> str:
        if v.type.wide:
            zero = self._constant_as(0, v.type)
            return f"(w_cmp({v.code}, {zero}, {v.type.limbs}, false) != 0)"
        return f"({_paren(v.code)} != 0)"

    def _compare(self, op: ir.BinaryOp, left: ir.Expr, right: ir.Expr) -> str:
        c = _COMPARE[op]
        if is_boolean(left):
            return f"({self.boolean(left)} {c} {self.boolean(right)})"
        if isinstance(left, ir.HeaderRef | ir.StackElement | ir.UnionMember):
            equal = self._phv.headers_equal(self, left, right)
            return equal if op is ir.BinaryOp.EQ else f"(!{equal})"
        if isinstance(left, ir.UnionRef | ir.UnionStackElement):
            equal = self._phv.unions_equal(self, left, right)
            return equal if op is ir.BinaryOp.EQ else f"(!{equal})"
        if _is_varbit(left) and _is_varbit(right):
            x, y = self._phv.target(self, left)[0], self._phv.target(self, right)[0]
            # As bmv2 compares them: as numbers, whatever their lengths.
            return f"(p4_compare_bytes({x}.bytes, {x}.bits / 8, {y}.bytes, {y}.bits / 8) {c} 0)"
        a, b = self.data(left), self.data(right)
        t = fitting(min(a.low, b.low), max(a.high, b.high))
        x, y = self.cast(a, t), self.cast(b, t)
        if t.wide:
            return f"(w_cmp({x}, {y}, {t.limbs}, {'true' if t.signed else 'false'}) {c} 0)"
        return f"({x} {c} {y})"

    @staticmethod
    def paren(code: str) -> str:
        return _paren(code)


def _paren(code: str) -> str:
    return (
        code if re.fullmatch(r"\w+", code) or (code.startswith("(") and _closes_at_end(code)) else f"({code})"
    )


def _closes_at_end(code: str) -> bool:
    depth = 0
    for i, c in enumerate(code):
        depth += (c == "(") - (c == ")")
        if depth == 0:
            return i == len(code) - 1
    return False


def _is_varbit(e: ir.Expr) -> bool:
    return isinstance(e, ir.FieldRef | ir.ElementField | ir.LastField) and e.field.varbit


def is_boolean(e: ir.Expr) -> bool:
    match e:
        case ir.BoolConst() | ir.Valid() | ir.ValidUnion():
            return True
        case ir.Unary(op=op):
            return op in (ir.UnaryOp.NOT, ir.UnaryOp.TO_BOOL)
        case ir.Ternary(left=left):
            return is_boolean(left)
        case ir.Binary(op=op):
            return op in _COMPARE or op in (ir.BinaryOp.LOGICAL_AND, ir.BinaryOp.LOGICAL_OR)
    return False


def _interval(op: ir.BinaryOp, a: Value, b: Value) -> tuple[int, int]:
    match op:
        case ir.BinaryOp.ADD:
            return a.low + b.low, a.high + b.high
        case ir.BinaryOp.SUB:
            return a.low - b.high, a.high - b.low
        case ir.BinaryOp.MUL:
            ends = [a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high]
            return min(ends), max(ends)
    bits = max(x.bit_length() for x in (a.low, a.high, b.low, b.high))
    top = (1 << bits) - 1
    if op is ir.BinaryOp.AND:
        if a.low >= 0 and b.low >= 0:
            return 0, min(a.high, b.high)
        if a.low >= 0 or b.low >= 0:
            return 0, a.high if a.low >= 0 else b.high
    elif a.low >= 0 and b.low >= 0:
        return 0, top
    return -top - 1, top
