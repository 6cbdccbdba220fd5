# SPDX-License-Identifier: Apache-2.0
"""C values that stand for unbounded integers.

bmv2 computes on integers of any size and cuts them when they are stored. Here every subexpression is given a
C type in which it is *exact*, found from the interval its value can lie in; or, where only its low N bits
are wanted (it is about to be masked or stored), a type in which those bits are right and the rest garbage.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CType:
    """``bits`` is 64, 128 or, for an array of limbs (wide.h), a greater multiple of 64."""

    bits: int
    signed: bool

    @property
    def wide(self) -> bool:
        return self.bits > 128

    @property
    def limbs(self) -> int:
        return self.bits // 64

    @property
    def name(self) -> str:
        if self.bits == 64:
            return "int64_t" if self.signed else "uint64_t"
        if self.bits == 128:
            return "p4_i128" if self.signed else "p4_u128"
        return "uint64_t"


U64 = CType(64, signed=False)


def unsigned(bits: int) -> CType:
    """The unsigned type with at least ``bits`` bits."""
    return CType(64 if bits <= 64 else 128 if bits <= 128 else -(-bits // 64) * 64, signed=False)


def fitting(low: int, high: int) -> CType:
    """The type in which every integer of [low, high] is exact."""
    if low >= 0:
        return unsigned(max(high.bit_length(), 1))
    bits = max((-low - 1).bit_length(), high.bit_length() if high > 0 else 0) + 1
    return CType(unsigned(bits).bits, signed=True)


@dataclass(frozen=True, slots=True)
class Value:
    """A C expression (of a wide type: the name of an array). ``interval`` bounds an exact value; None means
    that only the low ``bits`` bits are right."""

    code: str
    type: CType
    interval: tuple[int, int] | None
    bits: int = 0

    @property
    def exact(self) -> bool:
        return self.interval is not None

    @property
    def low(self) -> int:
        assert self.interval is not None
        return self.interval[0]

    @property
    def high(self) -> int:
        assert self.interval is not None
        return self.interval[1]

    def fits(self, width: int) -> bool:
        """Is it certainly in [0, 2**width)?"""
        return self.interval is not None and self.interval[0] >= 0 and self.interval[1] < 1 << width


def exact(code: str, low: int, high: int) -> Value:
    return Value(code, fitting(low, high), (low, high))


def modular(code: str, bits: int) -> Value:
    return Value(code, unsigned(bits), None, bits)


def mask(width: int, type: CType) -> str:
    """The low ``width`` bits, as an operand of & beside a value of the scalar ``type``: a small literal is
    widened by the operator."""
    value = (1 << width) - 1
    return f"{value:#x}" if value < 1 << 31 else constant(value, type)


def constant(value: int, type: CType) -> str:
    """A C constant expression for ``value`` (taken modulo the type) of a scalar type."""
    value &= (1 << type.bits) - 1
    if type.bits == 64:
        if type.signed:
            # The most negative value has no literal of its own.
            return f"(int64_t)UINT64_C({value:#x})" if value >> 63 else f"INT64_C({value})"
        return f"UINT64_C({value:#x})" if value > 9 else f"UINT64_C({value})"
    high, low = value >> 64, value & ((1 << 64) - 1)
    code = f"((p4_u128)UINT64_C({high:#x}) << 64 | UINT64_C({low:#x}))"
    return f"((p4_i128){code})" if type.signed else code
