# SPDX-License-Identifier: Apache-2.0
"""From the state that a switch has to the one that it is to have. Pure.

The controller owns the program: what is there and not wanted goes, whoever wrote it. The program's own
entries are in neither state (see `din.p4rt.codec`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from din.p4rt.entry import AnyKey, AnyValue, CloneKey, Key, MeterKey


@dataclass(frozen=True)
class Changes:
    """``delete`` has what the entries were. A default entry or a meter in ``insert`` or ``delete`` is set, or
    made what the program brings."""

    insert: Mapping[AnyKey, AnyValue] = field(default_factory=dict)
    modify: Mapping[AnyKey, AnyValue] = field(default_factory=dict)
    delete: Mapping[AnyKey, AnyValue] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.insert) + len(self.modify) + len(self.delete)


def diff(have: Mapping[AnyKey, AnyValue], want: Mapping[AnyKey, AnyValue]) -> Changes:
    """The least that makes ``have`` into ``want``. Both are canonical."""
    insert: dict[AnyKey, AnyValue] = {}
    modify: dict[AnyKey, AnyValue] = {}
    for key, value in want.items():
        there = have.get(key)
        if there is None:
            insert[key] = value
        elif there != value:
            modify[key] = value
    # Where nothing is too much there is nothing to look for.
    same = len(want) - len(insert) == len(have)
    delete = {} if same else {key: value for key, value in have.items() if key not in want}
    return Changes(insert, modify, delete)


def place(key: AnyKey) -> str:
    """What the entry is one of: a table's or a meter's name, or "clone sessions"."""
    match key:
        case Key():
            return key.table
        case MeterKey():
            return key.meter
        case CloneKey():
            return "clone sessions"


@dataclass(frozen=True, slots=True)
class TableChange:
    had: int
    inserted: int
    modified: int
    deleted: int


@dataclass(frozen=True)
class BlastRadius:
    """How much of a switch a change touches, by table. Tables that it does not touch are left out."""

    switch: str
    had: int
    tables: Mapping[str, TableChange]

    @staticmethod
    def of(switch: str, have: Mapping[AnyKey, AnyValue], changes: Changes) -> BlastRadius:
        had = Counter(map(place, have))
        counts = [Counter(map(place, each)) for each in (changes.insert, changes.modify, changes.delete)]
        inserted, modified, deleted = counts
        touched = sorted(set().union(*counts))
        tables = {t: TableChange(had[t], inserted[t], modified[t], deleted[t]) for t in touched}
        return BlastRadius(switch, len(have), tables)

    @property
    def inserted(self) -> int:
        return sum(each.inserted for each in self.tables.values())

    @property
    def modified(self) -> int:
        return sum(each.modified for each in self.tables.values())

    @property
    def deleted(self) -> int:
        return sum(each.deleted for each in self.tables.values())

    @property
    def share_deleted(self) -> float:
        """Of all that the switch had, 0 to 1."""
        return self.deleted / self.had if self.had else 0.0

    def is_mass_deletion(self, threshold: float) -> bool:
        """Whether more than this share of the entries goes."""
        return self.share_deleted > threshold

    def __bool__(self) -> bool:
        return bool(self.tables)

    def __str__(self) -> str:
        counts = f"+{self.inserted} ~{self.modified} -{self.deleted}"
        return f"{self.switch}: {counts} of {self.had} entries ({self.share_deleted:.0%} deleted)"
