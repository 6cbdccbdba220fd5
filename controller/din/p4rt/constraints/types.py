# SPDX-License-Identifier: Apache-2.0
"""Types of expressions, and what can be compared with what.

`Match(kind, width)`, of a key's field, is above `Bits(width)`, of an action's parameter and of a field's
parts, and that is above `INT`, of numbers. What is compared is brought up to the same type: a number to bits
modulo 2^width, bits to the match on exactly these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from din.p4rt.entry import Lpm, Range, Ternary
from din.p4rt.program import MatchKind


@dataclass(frozen=True, slots=True)
class Bool:
    def __str__(self) -> str:
        return "bool"


@dataclass(frozen=True, slots=True)
class Int:
    """Of any size and sign."""

    def __str__(self) -> str:
        return "int"


@dataclass(frozen=True, slots=True)
class Bits:
    width: int

    def __str__(self) -> str:
        return f"bit<{self.width}>"


@dataclass(frozen=True, slots=True)
class Match:
    kind: MatchKind
    width: int

    def __str__(self) -> str:
        return f"{self.kind.value}<{self.width}>"


Type: TypeAlias = Bool | Int | Bits | Match
#: What an expression is at run time. An exact match is its number; an optional one is a Ternary.
Value: TypeAlias = bool | int | Lpm | Ternary | Range

BOOL: Final = Bool()
INT: Final = Int()

_PARTS: Final[dict[MatchKind, tuple[str, ...]]] = {
    MatchKind.EXACT: ("value",),
    MatchKind.TERNARY: ("value", "mask"),
    MatchKind.OPTIONAL: ("value", "mask"),
    MatchKind.LPM: ("value", "prefix_length"),
    MatchKind.RANGE: ("low", "high"),
}


def parts(of: Type) -> tuple[str, ...]:
    """What ``::`` can ask for."""
    return _PARTS[of.kind] if isinstance(of, Match) else ()


def part_type(of: Match, name: str) -> Type:
    return INT if name == "prefix_length" else Bits(of.width)


def join(left: Type, right: Type) -> Type | None:
    """The type that both can be brought to."""
    if left == right or _above(left, right):
        return left
    return right if _above(right, left) else None


def _above(upper: Type, lower: Type) -> bool:
    match upper, lower:
        case ((Bits() | Match()), Int()):
            return True
        case Match(_, width), Bits(other):
            return width == other
        case _:
            return False


def has_order(of: Type) -> bool:
    match of:
        case Int() | Bits() | Match(MatchKind.EXACT, _):
            return True
        case _:
            return False


def anything(of: Match) -> Value | None:
    """The match that is left out of a key. None: it cannot be."""
    match of.kind:
        case MatchKind.EXACT:
            return None
        case MatchKind.LPM:
            return Lpm(0, 0)
        case MatchKind.RANGE:
            return Range(0, (1 << of.width) - 1)
        case _:
            return Ternary(0, 0)


def cast(source: Type, to: Type) -> Callable[[int], Value] | None:
    """How a value is brought up to a type that is above its own. None: it is as it is."""
    if source == to or not isinstance(to, Bits | Match):
        return None
    ones = (1 << to.width) - 1
    if isinstance(to, Bits) or to.kind is MatchKind.EXACT:
        return None if isinstance(source, Bits) else lambda number: number & ones
    width = to.width
    match to.kind:
        case MatchKind.LPM:
            return lambda number: Lpm(number & ones, width)
        case MatchKind.RANGE:
            return lambda number: Range(number & ones, number & ones)
        case _:
            return lambda number: Ternary(number & ones, ones)
