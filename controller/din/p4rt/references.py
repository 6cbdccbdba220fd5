# SPDX-License-Identifier: Apache-2.0
"""What entries refer to is there: `@refers_to(table, field)`, over all that a switch is to hold.

Values of one entry that refer to several fields of a table refer to one entry that has them all. The
program's own (const) entries count as being there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from din.p4rt.canonical import show
from din.p4rt.entry import Action, AnyKey, AnyValue, Key, Lpm, Match, Range, Ternary
from din.p4rt.program import MatchField, Param, Program, ProgramError

#: (action or table, its parameter or field) -> why what it refers to may be missing.
MAY_DANGLE: Final[Mapping[tuple[str, str], str]] = {
    (
        "set_group",
        "group",
    ): "while no instance may take connections there is nothing to put into buckets: the "
    "group stands without any, and its requests are dropped for want of an instance, not of a group",
}


def dangling(program: Program, state: Mapping[AnyKey, AnyValue]) -> list[str]:
    """What in ``state`` refers to an entry that is not there, in words; `MAY_DANGLE` may. Names that the
    program does not have are for `canonical` to refuse. ProgramError: the program's own entries are referred
    to, and cannot be read.
    """
    actions = {each.name: _references(each.name, each.params.values()) for each in program.actions.values()}
    tables = {each.name: _references(each.name, each.fields.values()) for each in program.tables.values()}
    present: dict[tuple[str, tuple[str, ...]], set[tuple[int, ...]]] = {}
    found: list[str] = []

    def look(key: AnyKey, who: str, references: Iterable[_Reference], values: Mapping[str, int]) -> None:
        for each in references:
            # What matches more than one value refers to none.
            if not all(name in values for name in each.names):
                continue
            target = each.table, each.fields
            if target not in present:
                present[target] = set(_keys(program, state, *target))
            wanted = tuple(values[name] for name in each.names)
            if wanted not in present[target]:
                what = ", ".join(
                    f"{field}={number}" for field, number in zip(each.fields, wanted, strict=True)
                )
                found.append(f"{show(key)}: {who} refers to {each.table}[{what}], which is not there")

    for key, value in state.items():
        if isinstance(key, Key) and tables.get(key.table):
            look(key, "its key", tables[key.table], _exact(key, program.tables[key.table].fields))
        for action in _actions(value):
            if actions.get(action.name):
                look(key, action.name, actions[action.name], dict(action.params))
    return found


@dataclass(frozen=True, slots=True)
class _Reference:
    """From values of ``names`` to an entry of ``table`` that has them in ``fields``."""

    table: str
    names: tuple[str, ...]
    fields: tuple[str, ...]


def _references(owner: str, values: Iterable[MatchField | Param]) -> list[_Reference]:
    """Of an action's parameters or a table's fields."""
    found: dict[str, list[tuple[str, str]]] = {}
    for value in values:
        for reference in value.refers_to:
            if (owner, value.name) not in MAY_DANGLE:
                found.setdefault(reference.table, []).append((value.name, reference.field))
    return [
        _Reference(table, tuple(name for name, _ in pairs), tuple(field for _, field in pairs))
        for table, pairs in found.items()
    ]


def _actions(value: AnyValue) -> Iterator[Action]:
    match value:
        case Action():
            yield value
        case tuple():
            for member in value:
                yield member.action
        case _:
            pass


def _exact(key: Key, fields: Mapping[str, MatchField]) -> dict[str, int]:
    """Fields of which it matches one value, and that."""
    values = ((name, _only(match, fields[name].width)) for name, match in key.match)
    return {name: value for name, value in values if value is not None}


def _only(match: Match, width: int) -> int | None:
    match match:
        case int():
            return match
        case Lpm(value, length) if length == width:
            return value
        case Ternary(value, mask) if mask == (1 << width) - 1:
            return value
        case Range(low, high) if low == high:
            return low
        case _:
            return None


def _keys(
    program: Program, state: Mapping[AnyKey, AnyValue], name: str, fields: tuple[str, ...]
) -> Iterator[tuple[int, ...]]:
    """What a table's entries have in these fields."""
    table = program.tables[name]
    keys = [key for key in state if isinstance(key, Key) and key.table == name]
    for key in (*keys, *own_keys(program, name)):
        values = _exact(key, table.fields)
        if all(field in values for field in fields):
            yield tuple(values[field] for field in fields)


# ---- the program's own entries -----------------------------------------------------------------------------


def own_keys(program: Program, table: str) -> list[Key]:
    """P4Info says only that there are some. bmv2's configuration has them. ProgramError: it is none."""
    info = next(each for each in program.p4info.tables if each.preamble.alias == table)
    if not info.has_initial_entries:
        return []
    try:
        pipelines = json.loads(program.config)["pipelines"]
        (found,) = (t for p in pipelines for t in p["tables"] if t["name"] == info.preamble.name)
        names = [each["name"] for each in found["key"]]
        return [
            Key(
                table,
                tuple((name, _match(each)) for name, each in zip(names, entry["match_key"], strict=True)),
            )
            for entry in found["entries"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise ProgramError(
            f"entries refer to table {table}, whose own entries cannot be read: the configuration is not "
            f"bmv2's JSON: {error!r}"
        ) from None


def _match(found: Mapping[str, Any]) -> Match:
    match found["match_type"]:
        case "lpm":
            return Lpm(int(found["key"], 16), found["prefix_length"])
        case "ternary":
            return Ternary(int(found["key"], 16), int(found["mask"], 16))
        case "range":
            return Range(int(found["start"], 16), int(found["end"], 16))
        case _:
            return int(found["key"], 16)
