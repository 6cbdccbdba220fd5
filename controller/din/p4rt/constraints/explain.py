# SPDX-License-Identifier: Apache-2.0
"""Why a constraint does not hold, in words: the least parts of it that do not, with their values, and what
would be right.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from din.p4rt.entry import Lpm, Range, Ternary

from .checked import Checked, Scope, constant
from .source import Source
from .syntax import COMPARISONS, Attribute, Binary, Literal, Name, Part, Unary
from .types import BOOL, Bits, Match, Type, Value, anything

_WORDS: Final = {
    "==": "must be",
    "!=": "must not be",
    "<": "must be below",
    "<=": "must be at most",
    ">": "must be above",
    ">=": "must be at least",
}
_OPPOSITE: Final = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
#: The same with its sides exchanged.
_MIRRORED: Final = {"==": "==", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}
#: Wider numbers are addresses and the like, which nobody knows in decimal.
_DECIMAL_WIDTH: Final = 32


def explain(source: Source, constraint: Checked, scope: Scope) -> list[str]:
    """Of a constraint that does not hold in ``scope``: one text for each reason."""
    has_lines = "\n" in source.text.strip()
    found = []
    for at, words in _Explainer(source, scope).reasons(constraint, True):
        line = f", line {source.line(at.expression.span.start)}" if has_lines else ""
        found.append(f"{words} (@{source.annotation} of {source.owner}{line})")
    return found


def show(of: Type, value: Value) -> str:
    """A value as a message has it."""
    match of, value:
        case _, bool():
            return "true" if value else "false"
        case (Match(), _) if value == anything(of):
            return "anything"
        case Match(_, width), Ternary(number, mask) if mask == (1 << width) - 1:
            return _number(number, width)
        case Match(_, width), Ternary(number, mask):
            return f"{_number(number, width)}&&&{_number(mask, width)}"
        case Match(_, width), Lpm(number, length):
            return f"{_number(number, width)}/{length}"
        case Match(_, width), Range(low, high):
            return f"{_number(low, width)}..{_number(high, width)}"
        case ((Bits(width) | Match(_, width)), int()):
            return _number(value, width)
        case _:
            return str(value)


def _number(number: int, width: int) -> str:
    return str(number) if width <= _DECIMAL_WIDTH else f"{number:#x}"


class _Explainer:
    def __init__(self, source: Source, scope: Scope) -> None:
        self._source = source
        self._scope = scope

    def reasons(
        self, at: Checked, wanted: bool, since: tuple[str, ...] = ()
    ) -> Iterator[tuple[Checked, str]]:
        """Why ``at`` is not ``wanted``. ``since``: in words what makes that matter."""
        because = f", since {' and '.join(since)}" if since else ""
        match at.expression:
            case Unary():
                yield from self.reasons(at.operands[0], not wanted, since)
            case Binary(_, ("&&" | ";"), _, _) if wanted:
                for each in at.operands:
                    if not each.evaluate(self._scope):
                        yield from self.reasons(each, wanted, since)
            case Binary(_, "||", _, _) if not wanted:
                for each in at.operands:
                    if each.evaluate(self._scope):
                        yield from self.reasons(each, wanted, since)
            case Binary(_, "->", _, _) if wanted:
                condition, consequence = at.operands
                yield from self.reasons(consequence, wanted, (*since, self._condition(condition)))
            case Binary(_, sign, _, _) if sign in COMPARISONS and not all(map(_is_fixed, at.operands)):
                yield at, self._comparison(at, sign if wanted else _OPPOSITE[sign]) + because
            case _:
                values = self._values(at)
                where = f", where {values}" if values else ""
                yield at, f"{self._quote(at)} must {'' if wanted else 'not '}hold{where}{because}"

    def _comparison(self, at: Checked, sign: str) -> str:
        left, right = at.operands
        if _is_fixed(left):
            left, right, sign = right, left, _MIRRORED[sign]
        than = "" if _is_fixed(right) else f", which is {self._show(right)}"
        there = f"{self._side(left)} is {self._show(left)}"
        return f"{there} and {_WORDS[sign]} {self._side(right)}{than}"

    def _condition(self, at: Checked) -> str:
        match at.expression:
            case Binary(_, "==", _, _) if any(map(_is_fixed, at.operands)):
                return self._quote(at)
            case _:
                values = self._values(at)
                return f"{self._quote(at)} ({values})" if values else self._quote(at)

    def _values(self, at: Checked) -> str:
        """Of all that ``at`` looks at."""
        found = {self._quote(each): self._show(each) for each in _seen(at)}
        return ", ".join(f"{what} is {value}" for what, value in found.items())

    def _quote(self, at: Checked) -> str:
        return self._source.quote(at.expression.span)

    def _side(self, at: Checked) -> str:
        """Of a comparison."""
        return f"({self._quote(at)})" if at.type == BOOL and at.operands else self._quote(at)

    def _show(self, at: Checked) -> str:
        return show(at.type, at.evaluate(self._scope))


def _is_fixed(at: Checked) -> bool:
    return constant(at) is not None or isinstance(at.expression, Literal)


def _seen(at: Checked) -> Iterator[Checked]:
    if isinstance(at.expression, Name | Attribute | Part):
        yield at
    else:
        for each in at.operands:
            yield from _seen(each)
