# SPDX-License-Identifier: Apache-2.0
"""The objects of a pipeline as requests name them and the device knows them: see `schema`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from finsy.proto import p4i

from p4jit.frontend import ir
from p4jit.p4runtime.bytestrings import Codec
from p4jit.p4runtime.p4data import DataCodec

if TYPE_CHECKING:
    from p4jit.codegen.layout import TableLayout

EXACT = p4i.MatchField.EXACT
LPM = p4i.MatchField.LPM
TERNARY = p4i.MatchField.TERNARY
RANGE = p4i.MatchField.RANGE
OPTIONAL = p4i.MatchField.OPTIONAL


@dataclass(eq=False, slots=True)
class FieldSchema:
    id: int
    name: str
    match: int
    codec: Codec
    position: int

    @property
    def width(self) -> int:
        return self.codec.width


@dataclass(eq=False, slots=True)
class ParamSchema:
    id: int
    name: str
    codec: Codec
    #: Bit offset in the action data.
    offset: int


@dataclass(eq=False, slots=True)
class ActionSchema:
    id: int
    name: str
    #: Index of the action in the program.
    index: int
    #: By P4Runtime id, in the order of declaration.
    params: dict[int, ParamSchema]
    data_bytes: int
    #: Bit offset, width and a bit of its own for each parameter id whose value is a plain number.
    plain: dict[int, tuple[int, int, int]]
    all_params: int


@dataclass(eq=False, slots=True)
class ProfileSchema:
    id: int
    name: str
    index: int
    with_selector: bool
    size: int
    max_group_size: int
    sum_of_members: bool
    max_member_weight: int
    weights_disallowed: bool
    #: By P4Runtime id: the actions of its tables, and those that an entry may have.
    all_actions: dict[int, ActionSchema] = field(default_factory=dict)
    actions: dict[int, ActionSchema] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class TableSchema:
    id: int
    name: str
    index: int
    ir: ir.Table
    layout: TableLayout
    fields: dict[int, FieldSchema]
    actions: dict[int, ActionSchema]
    #: Ids of actions an entry, or the default, may have.
    entry_actions: frozenset[int]
    default_actions: frozenset[int]
    prioritized: bool
    const: bool
    const_default: bool
    idle_timeout: bool
    counter: int | None
    meter: int | None
    meter_spec: p4i.MeterSpec | None
    profile: ProfileSchema | None


@dataclass(eq=False, slots=True)
class CounterSchema:
    id: int
    name: str
    index: int
    size: int


@dataclass(eq=False, slots=True)
class MeterSchema:
    id: int
    name: str
    index: int
    size: int
    spec: p4i.MeterSpec


@dataclass(eq=False, slots=True)
class RegisterSchema:
    id: int
    name: str
    index: int
    size: int
    codec: DataCodec


@dataclass(eq=False, slots=True)
class ValueSetSchema:
    id: int
    name: str
    index: int
    size: int
    fields: dict[int, FieldSchema]


@dataclass(eq=False, slots=True)
class DigestSchema:
    id: int
    name: str
    #: As `interface.Digest.list` names it.
    list: int
    widths: tuple[int, ...]
    codec: DataCodec

    @property
    def size(self) -> int:
        """Bytes of a message: each field takes whole bytes."""
        return sum((width + 7) // 8 for width in self.widths)


@dataclass(frozen=True, slots=True)
class MetadataField:
    id: int
    name: str
    width: int
    codec: Codec
