# SPDX-License-Identifier: Apache-2.0
"""What a program demands of entries, and whether they are so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from din.p4rt.entry import Action, AnyKey, AnyValue, Key, Member, Ternary
from din.p4rt.program import MatchKind, Program, Table

from .checked import PRIORITY, Checked, Scope, check
from .explain import explain
from .parser import parse
from .source import ConstraintError, Source, find
from .types import INT, Bits, Match, Type, anything

#: Different actions that are remembered: more than a switch has, beside its buckets, which have few.
_REMEMBERED: Final = 1 << 16


@dataclass(frozen=True)
class Constraint:
    source: Source
    checked: Checked

    def problems(self, scope: Scope) -> list[str]:
        """What is wrong with that, in words."""
        return [] if self.checked.evaluate(scope) else explain(self.source, self.checked, scope)


class Constraints:
    """All `@entry_restriction` and `@action_restriction` of a program. ConstraintError: some cannot be
    understood; all of them are named.
    """

    def __init__(self, program: Program) -> None:
        problems: list[str] = []
        info = program.p4info
        tables = {each.preamble.alias: each.preamble.annotations for each in info.tables}
        actions = {each.preamble.alias: each.preamble.annotations for each in info.actions}
        self.tables: Mapping[str, Constraint] = _compiled(
            "entry_restriction",
            {name: (f"table {name}", tables[name], _fields(table)) for name, table in program.tables.items()},
            problems,
        )
        self.actions: Mapping[str, Constraint] = _compiled(
            "action_restriction",
            {
                name: (
                    f"action {name}",
                    actions[name],
                    {p.name: Bits(p.width) for p in action.params.values()},
                )
                for name, action in program.actions.items()
            },
            problems,
        )
        if problems:
            raise ConstraintError(problems)
        self._scopes = {name: _EntryScope(program.tables[name]) for name in self.tables}
        # Many entries have the same action.
        self._of_action = lru_cache(_REMEMBERED)(self._action)

    def check(self, key: AnyKey, value: AnyValue) -> Sequence[str]:
        """What is wrong with an entry in canonical form (`din.p4rt.canonical`), in words; none is fine. A
        default entry has no key that could be wrong; its action can.
        """
        found: list[str] = []
        if isinstance(key, Key) and not key.default:
            constraint = self.tables.get(key.table)
            if constraint is not None:
                found += constraint.problems(self._scopes[key.table].of(key))
        if isinstance(value, Action):
            if value.name in self.actions:
                found += self._of_action(value)
        elif isinstance(value, tuple):
            found += self._members(value)
        return found

    def _action(self, action: Action) -> tuple[str, ...]:
        return tuple(self.actions[action.name].problems(dict(action.params)))

    def _members(self, members: Iterable[Member]) -> list[str]:
        return [
            f"member {place}: {problem}"
            for place, member in enumerate(members, 1)
            if member.action.name in self.actions
            for problem in self._of_action(member.action)
        ]


class _EntryScope:
    """Of a table's entries: what is left out of a key matches anything."""

    def __init__(self, table: Table) -> None:
        self._left_out: dict[str, Any] = {}
        self._ones: dict[str, int] = {}
        for name, field in table.fields.items():
            value = anything(Match(field.kind, field.width))
            if value is not None:
                self._left_out[name] = value
            if field.kind is MatchKind.OPTIONAL:
                self._ones[name] = (1 << field.width) - 1

    def of(self, key: Key) -> Scope:
        scope: dict[str, Any] = {**self._left_out, PRIORITY: key.priority}
        scope.update(key.match)
        for name, ones in self._ones.items():
            if isinstance(scope[name], int):
                scope[name] = Ternary(scope[name], ones)
        return scope


def _fields(table: Table) -> dict[str, Type]:
    found: dict[str, Type] = {each.name: Match(each.kind, each.width) for each in table.fields.values()}
    return found | {PRIORITY: INT}


def _compiled(
    annotation: str,
    owners: Mapping[str, tuple[str, Iterable[str], Mapping[str, Type]]],
    problems: list[str],
) -> dict[str, Constraint]:
    """Of those owners (name -> as messages call it, annotations, names in scope) that have one."""
    found: dict[str, Constraint] = {}
    for name, (owner, written, names) in owners.items():
        try:
            source = find(written, annotation, owner)
            if source is not None:
                found[name] = Constraint(source, check(source, parse(source), names))
        except ConstraintError as error:
            problems += error.problems
    return found
