# SPDX-License-Identifier: Apache-2.0
"""What is to be in a switch, in the program's own names, independent of P4Runtime's encoding.

The state of a switch is a `dict[Key, Entity]`: two states are compared by comparing dictionaries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Lpm:
    value: int
    length: int


@dataclass(frozen=True, slots=True)
class Ternary:
    value: int
    mask: int


@dataclass(frozen=True, slots=True)
class Range:
    low: int
    high: int


#: A plain number is an exact or optional match. What is left out of a key matches everything.
Match: TypeAlias = int | Lpm | Ternary | Range


@dataclass(frozen=True, slots=True)
class Action:
    name: str
    params: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Member:
    """Of a one-shot action selector. ``watch_port`` 0: it stands whatever happens."""

    action: Action
    weight: int = 1
    watch_port: int = 0


@dataclass(frozen=True, slots=True)
class Key:
    """``match`` is sorted by field name, so that equal keys are equal. Not `default`: priority > 0 where a
    table has ternary, range or optional fields, else 0.
    """

    table: str
    match: tuple[tuple[str, Match], ...] = ()
    priority: int = 0
    default: bool = False


@dataclass(frozen=True, slots=True)
class CloneKey:
    session: int


@dataclass(frozen=True, slots=True)
class MeterKey:
    meter: str
    index: int


@dataclass(frozen=True, slots=True)
class Clone:
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MeterConfig:
    """Packets (or bytes) a second, and bursts."""

    cir: int
    cburst: int
    pir: int
    pburst: int


#: What a table entry does.
Value: TypeAlias = Action | tuple[Member, ...]
AnyKey: TypeAlias = Key | CloneKey | MeterKey
AnyValue: TypeAlias = Action | tuple[Member, ...] | Clone | MeterConfig
State: TypeAlias = dict[AnyKey, AnyValue]


def key(table: str, /, priority: int = 0, **match: Match) -> Key:
    return Key(table, tuple(sorted(match.items())), priority)


def default(table: str) -> Key:
    """Of the table's default entry."""
    return Key(table, (), 0, True)


def action(name: str, /, **params: int) -> Action:
    return Action(name, tuple(sorted(params.items())))


def member(name: str, /, weight: int = 1, watch_port: int = 0, **params: int) -> Member:
    return Member(action(name, **params), weight, watch_port)
