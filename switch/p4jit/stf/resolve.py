# SPDX-License-Identifier: Apache-2.0
"""From the names and numbers of an STF test to the objects and values of a program.

Names may be cut short from the left, as p4c's runner allows: ``t`` finds ``ingress.t``. A short name that
fits two objects is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NoReturn, Protocol, TypeVar

from p4jit.frontend import ir
from p4jit.stf.commands import ActionText, KeyValue


class StfError(Exception):
    """A command that the program or the device can't do. ``line`` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_T = TypeVar("_T", bound=_Named)


def find(objects: Iterable[_T], name: str, what: str, line: int) -> _T:
    """The object of that name, or the only one whose name ends so."""
    candidates = list(objects)
    for candidate in candidates:
        if candidate.name == name:
            return candidate
    short = [c for c in candidates if c.name.endswith("." + name)]
    # p4c's runner takes any suffix, `_drop` for `_drop_1_drop`; whole components are tried first.
    short = short or [c for c in candidates if c.name.endswith(name)]
    if len(short) == 1:
        return short[0]
    if short:
        raise StfError(line, f"{what} {name!r} may be any of {', '.join(sorted(c.name for c in short))}")
    known = ", ".join(sorted(c.name for c in candidates)) or "none"
    raise StfError(line, f"no {what} {name!r}; there is: {known}")


def arguments(action: ir.Action, given: ActionText, line: int) -> list[int]:
    """The action's arguments by position. Every parameter has to be given once, in any order."""
    values: dict[str, int] = {}
    for name, value in given.arguments:
        if name in values:
            raise StfError(line, f"parameter {name!r} of {action.name} is given twice")
        values[name] = value
    result = []
    for param in action.params:
        if param.name not in values:
            raise StfError(line, f"action {action.name} needs parameter {param.name!r}")
        result.append(_fitting(values.pop(param.name), param.width, f"parameter {param.name!r}", line))
    if values:
        raise StfError(line, f"action {action.name} has no parameter {next(iter(values))!r}")
    return result


def match_values(table: ir.Table, given: Sequence[KeyValue], line: int) -> list[ir.MatchValue]:
    """One value a key field, in the program's order. Fields not given match anything, exact ones 0."""
    values: dict[int, ir.MatchValue] = {}
    for item in given:
        i = _key_field(table, item.name, line)
        if i in values:
            raise StfError(line, f"key field {table.key[i].name!r} is given twice")
        values[i] = _match_value(table.key[i], item, line)
    return [values.get(i, _anything(field)) for i, field in enumerate(table.key)]


def value_set_widths(program: ir.Program, value_set: ir.ValueSet) -> list[int]:
    """Bits of each key field of a value set, from the select that uses it; one field when none does."""
    for state in program.parser.states:
        if any(transition.value_set is value_set for transition in state.transitions):
            return [width for _, width in state.key]
    return [value_set.width]


def _anything(field: ir.KeyField) -> ir.MatchValue:
    match field.kind:
        case ir.MatchKind.LPM:
            return ir.MatchValue(0, prefix_length=0)
        case ir.MatchKind.TERNARY:
            return ir.MatchValue(0, mask=0)
        case ir.MatchKind.RANGE:
            return ir.MatchValue(0, high=(1 << field.width) - 1)
        case _:
            return ir.MatchValue(0)


def _key_field(table: ir.Table, name: str, line: int) -> int:
    """A key field by its name, by the end of it, or (for validity) by the header's name."""
    name = re.sub(r"\$([0-9]+)", r"[\1]", name)
    names = [field.name for field in table.key]
    spellings = [name, name + "$", name + ".$valid$", name + ".isValid()"]
    if name.endswith(".valid"):
        spellings += [name.removesuffix("valid") + "$valid$", name.removesuffix("valid") + "isValid()"]
    if name == "valid":
        spellings.append("$valid$")
    for spelling in spellings:
        if spelling in names:
            return names.index(spelling)
    for spelling in spellings:
        found = [i for i, full in enumerate(names) if full.endswith("." + spelling)]
        if len(found) == 1:
            return found[0]
        if found:
            raise StfError(line, f"{name!r} may be any of {', '.join(names[i] for i in found)}")
    raise StfError(
        line, f"table {table.name} has no key field {name!r}; it has: {', '.join(names) or 'none'}"
    )


def _match_value(field: ir.KeyField, item: KeyValue, line: int) -> ir.MatchValue:
    what = f"key field {field.name!r}"
    ones = (1 << field.width) - 1
    number = item.value
    value = _fitting(number.value, field.width, what, line)
    if field.kind is not ir.MatchKind.RANGE and item.high is not None:
        _refuse(field, "range", line)
    match field.kind:
        case ir.MatchKind.LPM:
            if item.mask is not None:
                _refuse(field, "mask", line)
            prefix = item.prefix_length
            if prefix is None:
                prefix = max(field.width - number.trailing_wild, 0)
            elif prefix > field.width:
                raise StfError(line, f"{what} has {field.width} bits, not {prefix}")
            return ir.MatchValue(value, prefix_length=prefix)
        case ir.MatchKind.TERNARY:
            if item.prefix_length is not None:
                mask = ones ^ (ones >> item.prefix_length)
            elif item.mask is not None:
                mask = _fitting(item.mask, field.width, f"the mask of {what}", line)
            else:
                mask = ones if number.written is None else number.written & ones
            return ir.MatchValue(value & mask, mask=mask)
        case ir.MatchKind.RANGE:
            if item.prefix_length is not None or item.mask is not None or number.wild:
                _refuse(field, "mask", line)
            high = value if item.high is None else _fitting(item.high, field.width, what, line)
            if high < value:
                raise StfError(line, f"{what}: {value}..{high} is empty")
            return ir.MatchValue(value, high=high)
        case _:
            if item.prefix_length not in (None, field.width) or item.mask not in (None, ones) or number.wild:
                _refuse(field, "wildcards", line)
            return ir.MatchValue(value)


def _refuse(field: ir.KeyField, what: str, line: int) -> NoReturn:
    raise StfError(line, f"key field {field.name!r} is {field.kind.value} and takes no {what}")


def _fitting(value: int, width: int, what: str, line: int) -> int:
    if value >> width:
        raise StfError(line, f"{what}: {value:#x} does not fit its {width} bits")
    return value
