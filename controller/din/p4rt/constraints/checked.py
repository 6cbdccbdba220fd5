# SPDX-License-Identifier: Apache-2.0
"""From an expression to one that can be evaluated: every name is known, and every type right.

Numbers are more strictly taken than in p4-constraints, which makes ``class_id < 256`` of 8 bits ``class_id
< 0``: one that has no place in the bits that it is compared with is an error. Negative ones have: ``mask ==
-1`` is all ones.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from .source import Source, SourceError
from .syntax import Attribute, Binary, Expression, Literal, Name, Part, Unary
from .types import BOOL, INT, Bits, Match, Type, cast, has_order, join, part_type, parts

#: Names' values. An entry's priority is PRIORITY's.
Scope: TypeAlias = Mapping[str, Any]
Evaluate: TypeAlias = Callable[[Scope], Any]

PRIORITY: Final = "::priority"
_COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Checked:
    """``operands`` are of what has some, each as it is written (not as it is cast)."""

    expression: Expression
    type: Type
    evaluate: Evaluate
    operands: tuple[Checked, ...] = ()


def check(source: Source, expression: Expression, names: Mapping[str, Type]) -> Checked:
    """A constraint: a bool. ``names`` has PRIORITY where there is one. SourceError: it is none."""
    checker = _Checker(source, names)
    return checker.wants(BOOL, checker.check(expression))


class _Checker:
    def __init__(self, source: Source, names: Mapping[str, Type]) -> None:
        self._source = source
        self._names = names

    def _error(self, at: Expression, problem: str) -> SourceError:
        return SourceError(self._source, at.span, problem)

    def wants(self, wanted: Type, found: Checked) -> Checked:
        if found.type != wanted:
            raise self._error(found.expression, f"expected {wanted}, and this is {found.type}")
        return found

    def check(self, at: Expression) -> Checked:
        match at:
            case Literal(_, value):
                return Checked(at, BOOL if isinstance(value, bool) else INT, lambda scope: value)
            case Name(_, name):
                return self._name(at, name)
            case Attribute(_, name):
                return self._attribute(at, name)
            case Part(_, of, name):
                return self._part(at, self.check(of), name)
            case Unary(_, "!", operand):
                inner = self.wants(BOOL, self.check(operand))
                return Checked(at, BOOL, _not(inner.evaluate), (inner,))
            case Unary(_, _, operand):
                inner = self.wants(INT, self.check(operand))
                return Checked(at, INT, _negative(inner.evaluate), (inner,))
            case Binary(_, sign, left, right):
                return self._binary(at, sign, self.check(left), self.check(right))

    def _name(self, at: Expression, name: str) -> Checked:
        found = self._names.get(name)
        if found is None:
            known = ", ".join(sorted(self._names.keys() - {PRIORITY})) or "none"
            raise self._error(at, f"{self._source.owner} has no {name!r}; it has {known}")
        return Checked(at, found, operator.itemgetter(name))

    def _attribute(self, at: Expression, name: str) -> Checked:
        found = self._names.get(f"::{name}")
        if found is None:
            has = f"it has {PRIORITY}" if PRIORITY in self._names else "only entries have any"
            raise self._error(at, f"{self._source.owner} has no attribute '::{name}'; {has}")
        return Checked(at, found, operator.itemgetter(f"::{name}"))

    def _part(self, at: Expression, of: Checked, name: str) -> Checked:
        found = parts(of.type)
        if name not in found or not isinstance(of.type, Match):
            has = f"it has {', '.join(found)}" if found else "only a key's field has parts"
            raise self._error(at, f"{of.type} has no part {name!r}; {has}")
        # An exact match is its value.
        if found == ("value",):
            return Checked(at, part_type(of.type, name), of.evaluate, (of,))
        attribute = operator.attrgetter("length" if name == "prefix_length" else name)
        inner = of.evaluate
        return Checked(at, part_type(of.type, name), lambda scope: attribute(inner(scope)), (of,))

    def _binary(self, at: Expression, sign: str, left: Checked, right: Checked) -> Checked:
        if sign in _COMPARE:
            return self._comparison(at, sign, left, right)
        first, second = self.wants(BOOL, left).evaluate, self.wants(BOOL, right).evaluate
        match sign:
            case "||":
                return Checked(at, BOOL, lambda scope: first(scope) or second(scope), (left, right))
            case "->":
                return Checked(at, BOOL, lambda scope: not first(scope) or second(scope), (left, right))
            case _:
                return Checked(at, BOOL, lambda scope: first(scope) and second(scope), (left, right))

    def _comparison(self, at: Expression, sign: str, left: Checked, right: Checked) -> Checked:
        found = join(left.type, right.type)
        if found is None:
            raise self._error(at, f"{left.type} cannot be compared with {right.type}")
        if sign not in ("==", "!=") and not has_order(found):
            able = ", ".join(f"::{each}" for each in parts(found))
            hint = f": compare {able}" if able else ""
            raise self._error(at, f"{found} has no order, so {sign!r} means nothing{hint}")
        first, second = self._cast(left, found), self._cast(right, found)
        compare = _COMPARE[sign]
        if constant(right) is not None:
            value = second({})
            return Checked(at, BOOL, lambda scope: compare(first(scope), value), (left, right))
        return Checked(at, BOOL, lambda scope: compare(first(scope), second(scope)), (left, right))

    def _cast(self, what: Checked, to: Type) -> Evaluate:
        bring = cast(what.type, to)
        if bring is None:
            return what.evaluate
        number = constant(what)
        if number is not None and isinstance(to, Bits | Match):
            if not -(1 << to.width) < number < 1 << to.width:
                raise self._error(what.expression, f"{number} does not fit {to.width} bits")
            value = bring(number)
            return lambda scope: value
        inner = what.evaluate
        return lambda scope: bring(inner(scope))


def constant(what: Checked) -> int | None:
    """The number that it is in every entry; None: it is none, or not in every one."""
    at = what.expression
    if what.type == INT and isinstance(at, Literal):
        return at.value
    if isinstance(at, Unary) and at.operator == "-" and (number := constant(what.operands[0])) is not None:
        return -number
    return None


def _not(inner: Evaluate) -> Evaluate:
    return lambda scope: not inner(scope)


def _negative(inner: Evaluate) -> Evaluate:
    return lambda scope: -inner(scope)
