# SPDX-License-Identifier: Apache-2.0
"""A compiled P4 program by its names: what tables, actions, counters and headers it has, and P4Runtime's IDs
of them.

Names are P4Info's aliases. IDs and widths come from the P4Info alone; the device configuration is opaque.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import Any, Final

from finsy.proto import p4i
from google.protobuf import text_format

from din.p4rt.entry import Action

_REFERS_TO = re.compile(r"@refers_to\(\s*([\w.]+)\s*,\s*([\w.]+)\s*\)")
_CONFIG: Final = "din.json"
_P4INFO: Final = "din.p4info.txtpb"


class ProgramError(ValueError):
    """There is no such program, or it is none that can be used."""


class MatchKind(Enum):
    EXACT = "exact"
    LPM = "lpm"
    TERNARY = "ternary"
    RANGE = "range"
    OPTIONAL = "optional"


#: With one of these in its key, every entry of a table has a priority, and has it alone.
_WITH_PRIORITY = {MatchKind.TERNARY, MatchKind.RANGE, MatchKind.OPTIONAL}


@dataclass(frozen=True, slots=True)
class Reference:
    """`@refers_to(table, field)`: the value is one that an entry of ``table`` has in ``field``."""

    table: str
    field: str


@dataclass(frozen=True, slots=True)
class MatchField:
    id: int
    name: str
    width: int
    kind: MatchKind
    refers_to: tuple[Reference, ...] = ()


@dataclass(frozen=True, slots=True)
class Param:
    id: int
    name: str
    width: int
    refers_to: tuple[Reference, ...] = ()


@dataclass(frozen=True)
class ActionInfo:
    id: int
    name: str
    params: Mapping[str, Param]

    @cached_property
    def by_id(self) -> Mapping[int, Param]:
        return {param.id: param for param in self.params.values()}


@dataclass(frozen=True)
class Table:
    id: int
    name: str
    fields: Mapping[str, MatchField]  # sorted by name
    actions: Mapping[str, ActionInfo]  # that an entry may have
    default_actions: Mapping[str, ActionInfo]  # that the default entry may have
    size: int
    is_const: bool  # the program's entries alone
    has_selector: bool  # entries have members (one-shot action selector)
    has_profile: bool  # an action profile that is no selector: its entries are not for us
    max_members: int  # of one entry's, weights counted; 0: no limit
    initial_default: Action | None
    default_is_const: bool

    @cached_property
    def has_priority(self) -> bool:
        return any(each.kind in _WITH_PRIORITY for each in self.fields.values())

    @cached_property
    def is_exact(self) -> bool:
        return all(each.kind is MatchKind.EXACT for each in self.fields.values())

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of its fields, in the order that a Key has them in."""
        return tuple(self.fields)

    @cached_property
    def by_id(self) -> Mapping[int, MatchField]:
        return {each.id: each for each in self.fields.values()}

    @property
    def default_can_be_set(self) -> bool:
        # A table with an action selector or profile has no default entry that a controller could set.
        return not (self.default_is_const or self.is_const or self.has_selector or self.has_profile)


@dataclass(frozen=True, slots=True)
class Array:
    """Of counters or meters."""

    id: int
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class HeaderField:
    """Of packet_in or packet_out."""

    id: int
    name: str
    width: int


@dataclass(frozen=True)
class Program:
    p4info: p4i.P4Info
    config: bytes  # p4_device_config
    tables: Mapping[str, Table]
    actions: Mapping[str, ActionInfo]
    counters: Mapping[str, Array]
    meters: Mapping[str, Array]
    digests: Mapping[int, str]
    packet_in: Mapping[str, HeaderField]
    packet_out: Mapping[str, HeaderField]
    #: Tells this program from every other one (ForwardingPipelineConfig.cookie); never 0.
    cookie: int = field(default=0)

    @cached_property
    def tables_by_id(self) -> Mapping[int, Table]:
        return {table.id: table for table in self.tables.values()}

    @cached_property
    def actions_by_id(self) -> Mapping[int, ActionInfo]:
        return {action.id: action for action in self.actions.values()}

    @cached_property
    def meters_by_id(self) -> Mapping[int, Array]:
        return {meter.id: meter for meter in self.meters.values()}

    @staticmethod
    def load(p4info: p4i.P4Info, config: bytes) -> Program:
        """ProgramError: the P4Info is not consistent, or has two things of one name."""
        actions = _unique("action", (_action(each) for each in p4info.actions))
        by_id = {action.id: action for action in actions.values()}
        profiles = {each.preamble.id: each for each in p4info.action_profiles}
        return Program(
            p4info=p4info,
            config=config,
            tables=_unique("table", (_table(each, by_id, profiles) for each in p4info.tables)),
            actions=actions,
            counters=_unique("counter", (_array(each) for each in p4info.counters)),
            meters=_unique("meter", (_array(each) for each in p4info.meters)),
            digests={each.preamble.id: each.preamble.alias for each in p4info.digests},
            packet_in=_header(p4info, "packet_in"),
            packet_out=_header(p4info, "packet_out"),
            cookie=_cookie(p4info, config),
        )

    @staticmethod
    def read(config: Path, p4info: Path) -> Program:
        """From p4c's two outputs. ProgramError: a file cannot be read, or is none."""
        try:
            return Program.load(_parse(p4info.read_text(), str(p4info)), config.read_bytes())
        except OSError as error:
            raise ProgramError(f"{error.filename}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ProgramError(f"{p4info} is no P4Info in protobuf's text format: it is not text") from None


@cache
def default_program() -> Program:
    """The data plane's own: installed beside this module, or `p4src/build` of a checkout. ProgramError:
    neither."""
    installed = resources.files("din.p4rt") / "build"
    checkout = Path(__file__).resolve().parents[3] / "p4src" / "build"
    for folder in (installed, checkout):
        if (folder / _CONFIG).is_file() and (folder / _P4INFO).is_file():
            p4info = _parse((folder / _P4INFO).read_text(), _P4INFO)
            return Program.load(p4info, (folder / _CONFIG).read_bytes())
    raise ProgramError(f"no {_CONFIG} and {_P4INFO} in {installed} or {checkout}: run scripts/build_p4")


# ---- P4Info ------------------------------------------------------------------------------------------------


def _parse(text: str, name: str) -> p4i.P4Info:
    try:
        return text_format.Parse(text, p4i.P4Info(), allow_unknown_field=True)
    except text_format.ParseError as error:
        raise ProgramError(f"{name} is no P4Info in protobuf's text format: {error}") from None


def _unique(kind: str, found: Iterable[Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for each in found:
        if each.name in result:
            raise ProgramError(f"the P4Info has two {kind}s called {each.name!r}: its aliases must differ")
        result[each.name] = each
    return result


def _references(annotations: Iterable[str]) -> tuple[Reference, ...]:
    return tuple(Reference(*found) for each in annotations for found in _REFERS_TO.findall(each))


def _action(info: p4i.Action) -> ActionInfo:
    params = [Param(p.id, p.name, p.bitwidth, _references(p.annotations)) for p in info.params]
    return ActionInfo(info.preamble.id, info.preamble.alias, {p.name: p for p in sorted(params, key=_name)})


def _name(each: Any) -> str:
    return str(each.name)


def _table(
    info: p4i.Table, actions: Mapping[int, ActionInfo], profiles: Mapping[int, p4i.ActionProfile]
) -> Table:
    name = info.preamble.alias
    fields = [
        MatchField(f.id, f.name, f.bitwidth, _kind(f, name), _references(f.annotations))
        for f in info.match_fields
    ]
    profile = profiles.get(info.implementation_id)
    has_selector = profile is not None and profile.with_selector
    scopes = p4i.ActionRef.Scope
    try:
        refs = [(actions[ref.id], ref.scope) for ref in info.action_refs]
    except KeyError as error:
        raise ProgramError(f"table {name} refers to action {error}, which the P4Info does not have") from None
    return Table(
        id=info.preamble.id,
        name=name,
        fields={f.name: f for f in sorted(fields, key=_name)},
        actions={a.name: a for a, scope in refs if scope != scopes.DEFAULT_ONLY},
        default_actions={a.name: a for a, scope in refs if scope != scopes.TABLE_ONLY},
        size=info.size,
        is_const=info.is_const_table,
        has_selector=has_selector,
        has_profile=profile is not None and not has_selector,
        max_members=profile.max_group_size if profile is not None else 0,
        initial_default=_initial_default(info, actions),
        default_is_const=info.const_default_action_id != 0,
    )


def _kind(info: p4i.MatchField, table: str) -> MatchKind:
    try:
        return MatchKind[p4i.MatchField.MatchType.Name(info.match_type)]
    except KeyError:
        raise ProgramError(f"{table}.{info.name} has a match kind that P4Runtime does not define") from None


def _initial_default(info: p4i.Table, actions: Mapping[int, ActionInfo]) -> Action | None:
    found = info.initial_default_action
    action = actions.get(found.action_id)
    if action is None:
        return None
    try:
        values = {action.by_id[a.param_id].name: int.from_bytes(a.value, "big") for a in found.arguments}
    except KeyError as error:
        raise ProgramError(
            f"table {info.preamble.alias} gives {action.name} a parameter {error}, which it does not have"
        ) from None
    return Action(action.name, tuple(sorted(values.items())))


def _array(info: p4i.Counter | p4i.Meter) -> Array:
    return Array(info.preamble.id, info.preamble.alias, info.size)


def _header(p4info: p4i.P4Info, name: str) -> dict[str, HeaderField]:
    for each in p4info.controller_packet_metadata:
        if each.preamble.name == name:
            return {m.name: HeaderField(m.id, m.name, m.bitwidth) for m in each.metadata}
    return {}


def _cookie(p4info: p4i.P4Info, config: bytes) -> int:
    digest = hashlib.sha256(p4info.SerializeToString(deterministic=True))
    digest.update(config)
    return int.from_bytes(digest.digest()[:8], "big") or 1
