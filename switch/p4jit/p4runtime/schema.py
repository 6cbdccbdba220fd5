# SPDX-License-Identifier: Apache-2.0
"""A P4Info bound to the compiled program it describes: P4Runtime ids to indices, widths and offsets.

Everything a request needs to be checked and encoded is looked up here once, when a pipeline is set. Tables,
actions and externs are matched by name, match fields and parameters by position.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol, TypeVar

from finsy.proto import p4i, p4t

from p4jit.frontend import ir
from p4jit.p4runtime.bytestrings import Codec
from p4jit.p4runtime.objects import (
    EXACT,
    LPM,
    OPTIONAL,
    RANGE,
    TERNARY,
    ActionSchema,
    CounterSchema,
    DigestSchema,
    FieldSchema,
    MetadataField,
    MeterSchema,
    ParamSchema,
    ProfileSchema,
    RegisterSchema,
    TableSchema,
    ValueSetSchema,
)
from p4jit.p4runtime.p4data import DataCodec, TypeSpecError, data_codec

if TYPE_CHECKING:
    from p4jit.target.build import CompiledProgram

_log = logging.getLogger(__name__)

#: Match types with which a table's entries need a priority.
_PRIORITIZED = frozenset((TERNARY, RANGE, OPTIONAL))
#: How each match type may be realized by a key field of the program.
_REALIZED: dict[int, frozenset[ir.MatchKind]] = {
    EXACT: frozenset(ir.MatchKind),
    LPM: frozenset((ir.MatchKind.LPM, ir.MatchKind.TERNARY)),
    TERNARY: frozenset((ir.MatchKind.TERNARY,)),
    OPTIONAL: frozenset((ir.MatchKind.TERNARY,)),
    RANGE: frozenset((ir.MatchKind.RANGE,)),
}


class SchemaError(Exception):
    """The P4Info does not describe the program; says where."""


class _Named(Protocol):
    @property
    def preamble(self) -> p4i.Preamble: ...


class _Indexed(Protocol):
    @property
    def name(self) -> str: ...


_N = TypeVar("_N", bound=_Named)
_I = TypeVar("_I", bound=_Indexed)


class Schema:
    """One pipeline's names, as P4Runtime and the device know them. Raises SchemaError."""

    def __init__(self, p4info: p4i.P4Info, program: CompiledProgram) -> None:
        self.p4info = p4info
        self.program = program
        self._types = p4info.type_info
        self._ids: set[int] = set()
        self._action_infos = {a.preamble.id: a for a in self._unique(p4info.actions, "action")}
        self.profiles = self._profiles()
        self._meter_specs = {
            m.preamble.id: m.spec for m in self._unique(p4info.direct_meters, "direct_meter")
        }
        self._counter_ids = {c.preamble.id for c in self._unique(p4info.direct_counters, "direct_counter")}
        self.tables: dict[int, TableSchema] = {}
        by_name = _by_name(program.ir.tables)
        for info in self._unique(p4info.tables, "table"):
            table = by_name.get(info.preamble.name)
            if table is None:
                # p4c keeps tables in P4Info that its optimizer has removed from the program.
                _log.warning(
                    "table %r is in the P4Info, not in the program: it is ignored", info.preamble.name
                )
                continue
            self.tables[info.preamble.id] = self._table(info, table)
        self.counters = {
            c.preamble.id: CounterSchema(c.preamble.id, c.preamble.name, o.index, o.size)
            for c, o in self._pairs(p4info.counters, program.ir.counters, "counter")
        }
        self.meters = {
            m.preamble.id: MeterSchema(m.preamble.id, m.preamble.name, o.index, o.size, m.spec)
            for m, o in self._pairs(p4info.meters, program.ir.meters, "meter")
        }
        self.registers = {
            r.preamble.id: RegisterSchema(
                r.preamble.id, r.preamble.name, o.index, o.size, self._codec(r, "register", [o.width])
            )
            for r, o in self._pairs(p4info.registers, program.ir.registers, "register")
        }
        self.digests = {
            d.preamble.id: self._digest(d, o)
            for d, o in self._pairs(p4info.digests, program.ir.learn_lists, "digest")
        }
        self.value_sets = {
            v.preamble.id: self._value_set(v, o)
            for v, o in self._pairs(p4info.value_sets, program.ir.value_sets, "value_set")
        }
        self.packet_in = self._controller_header("packet_in")
        self.packet_out = self._controller_header("packet_out")
        self.tables_by_index = {t.index: t for t in self.tables.values()}
        self.digests_by_list = {d.list: d for d in self.digests.values()}

    # ---- objects ---------------------------------------------------------------------------------------

    def _unique(self, infos: Iterable[_N], kind: str) -> list[_N]:
        """``infos``, each with an id and a name, the id its own in the whole P4Info."""
        result = []
        for info in infos:
            if info.preamble.id == 0 or not info.preamble.name:
                raise SchemaError(f"{kind} {info.preamble.name!r}: id {info.preamble.id}: both must be set")
            if info.preamble.id in self._ids:
                raise SchemaError(f"{kind} {info.preamble.name}: id {info.preamble.id:#x} is used twice")
            self._ids.add(info.preamble.id)
            result.append(info)
        return result

    def _pairs(self, infos: Iterable[_N], objects: Iterable[_I], kind: str) -> list[tuple[_N, _I]]:
        by_name = _by_name(objects)
        pairs = []
        for info in self._unique(infos, kind):
            if info.preamble.name not in by_name:
                raise SchemaError(f"{kind} {info.preamble.name} of the P4Info is not in the program")
            pairs.append((info, by_name[info.preamble.name]))
        return pairs

    def _codec(self, info: p4i.Register | p4i.Digest, kind: str, widths: list[int]) -> DataCodec:
        try:
            return data_codec(info.type_spec, self._types, widths)
        except TypeSpecError as error:
            raise SchemaError(f"{kind} {info.preamble.name}: type_spec: {error}") from None

    def _digest(self, info: p4i.Digest, learn: ir.LearnList) -> DigestSchema:
        widths = tuple(learn.widths)
        codec = self._codec(info, "digest", list(widths))
        return DigestSchema(info.preamble.id, info.preamble.name, learn.id, widths, codec)

    def _value_codec(self, where: str, bitwidth: int, type_name: p4t.P4NamedType, width: int) -> Codec:
        """``bitwidth`` is what P4Info says, ``width`` what the program has."""
        if type_name.name in self._types.new_types:
            new_type = self._types.new_types[type_name.name]
            if new_type.WhichOneof("representation") == "translated_type":
                text = new_type.translated_type.WhichOneof("sdn_type") == "sdn_string"
                return Codec(width, text)
        if bitwidth != width:
            raise SchemaError(f"{where}: {bitwidth} bits in the P4Info, {width} in the program")
        return Codec(width)

    def _fields(
        self, owner: str, infos: Iterable[p4i.MatchField], key: list[tuple[int, frozenset[ir.MatchKind]]]
    ) -> dict[int, FieldSchema]:
        infos = list(infos)
        if len(infos) != len(key):
            raise SchemaError(f"{owner}: {len(infos)} match fields in the P4Info, {len(key)} in the program")
        fields: dict[int, FieldSchema] = {}
        for position, (info, (width, kinds)) in enumerate(zip(infos, key, strict=True)):
            where = f"{owner}, match field {info.name}"
            if info.id == 0 or info.id in fields:
                raise SchemaError(f"{where}: id {info.id} is zero or used twice")
            if info.match_type not in _REALIZED or not kinds & _REALIZED[info.match_type]:
                raise SchemaError(f"{where}: match type {info.match_type} is not the program's")
            codec = self._value_codec(where, info.bitwidth, info.type_name, width)
            if codec.text and info.match_type not in (EXACT, OPTIONAL):
                raise SchemaError(f"{where}: a type translated to string can only be matched exactly")
            fields[info.id] = FieldSchema(info.id, info.name, info.match_type, codec, position)
        return fields

    def _action(self, info: p4i.Action, action: ir.Action) -> ActionSchema:
        where = f"action {info.preamble.name}"
        layout = self.program.layout.actions[action.index]
        if len(info.params) != len(action.params):
            raise SchemaError(
                f"{where}: {len(info.params)} parameters in the P4Info, {len(action.params)} in the program"
            )
        params: dict[int, ParamSchema] = {}
        for param, own, offset in zip(info.params, action.params, layout.offsets, strict=True):
            if param.id == 0 or param.id in params:
                raise SchemaError(f"{where}, parameter {param.name}: id {param.id} is zero or used twice")
            at = f"{where}, parameter {param.name}"
            codec = self._value_codec(at, param.bitwidth, param.type_name, own.width)
            params[param.id] = ParamSchema(param.id, param.name, codec, offset)
        return ActionSchema(
            id=info.preamble.id,
            name=info.preamble.name,
            index=action.index,
            params=params,
            data_bytes=layout.data_bytes,
            plain={
                p.id: (p.offset, p.codec.width, 1 << n)
                for n, p in enumerate(params.values())
                if not p.codec.text
            },
            all_params=(1 << len(params)) - 1,
        )

    # ---- tables ----------------------------------------------------------------------------------------

    def _profiles(self) -> dict[int, ProfileSchema]:
        return {
            p.preamble.id: ProfileSchema(
                id=p.preamble.id,
                name=p.preamble.name,
                index=o.index,
                with_selector=p.with_selector,
                size=p.size,
                max_group_size=p.max_group_size,
                sum_of_members=p.WhichOneof("selector_size_semantics") == "sum_of_members",
                max_member_weight=p.sum_of_members.max_member_weight,
                weights_disallowed=p.weights_disallowed,
            )
            for p, o in self._pairs(self.p4info.action_profiles, self.program.ir.profiles, "action_profile")
        }

    def _table(self, info: p4i.Table, table: ir.Table) -> TableSchema:
        where = f"table {info.preamble.name}"
        by_name = {a.name: a for a in table.actions}
        actions: dict[int, ActionSchema] = {}
        entry_actions, default_actions = set(), set()
        for ref in info.action_refs:
            if ref.id not in self._action_infos:
                raise SchemaError(f"{where}: action id {ref.id:#x} is not in the P4Info")
            action_info = self._action_infos[ref.id]
            if action_info.preamble.name not in by_name:
                raise SchemaError(
                    f"{where}: action {action_info.preamble.name} is not one of the program's table"
                )
            actions[ref.id] = self._action(action_info, by_name[action_info.preamble.name])
            if ref.scope != p4i.ActionRef.DEFAULT_ONLY:
                entry_actions.add(ref.id)
            if ref.scope != p4i.ActionRef.TABLE_ONLY:
                default_actions.add(ref.id)
        profile = None
        if info.implementation_id:
            if info.implementation_id not in self.profiles:
                raise SchemaError(
                    f"{where}: implementation id {info.implementation_id:#x} is not in the P4Info"
                )
            profile = self.profiles[info.implementation_id]
            profile.all_actions.update(actions)
            profile.actions.update({i: a for i, a in actions.items() if i in entry_actions})
        if (profile is None) != (table.profile is None):
            raise SchemaError(f"{where}: an action profile in only one of P4Info and program")
        meter = next((i for i in info.direct_resource_ids if i in self._meter_specs), None)
        counter = next((i for i in info.direct_resource_ids if i in self._counter_ids), None)
        if (counter is not None and not table.with_counters) or (
            meter is not None and not table.direct_meter
        ):
            raise SchemaError(f"{where}: a direct resource of the P4Info is not in the program")
        key = [(k.width, frozenset((k.kind,))) for k in table.key]
        idle = info.idle_timeout_behavior == p4i.Table.NOTIFY_CONTROL
        if idle and not table.support_timeout:
            raise SchemaError(f"{where}: idle timeouts in the P4Info, none in the program")
        fields = self._fields(where, info.match_fields, key)
        return TableSchema(
            id=info.preamble.id,
            name=info.preamble.name,
            index=table.index,
            ir=table,
            layout=self.program.layout.tables[table.index],
            fields=fields,
            actions=actions,
            entry_actions=frozenset(entry_actions),
            default_actions=frozenset(default_actions),
            prioritized=any(f.match in _PRIORITIZED for f in fields.values()),
            # The JSON does not tell `const entries` from `entries`.
            const=info.is_const_table,
            const_default=bool(info.const_default_action_id) or table.default_entry_const,
            idle_timeout=idle,
            counter=counter,
            meter=meter,
            meter_spec=None if meter is None else self._meter_specs[meter],
            profile=profile,
        )

    def _value_set(self, info: p4i.ValueSet, value_set: ir.ValueSet) -> ValueSetSchema:
        where = f"value_set {info.preamble.name}"
        any_kind = frozenset(ir.MatchKind)
        fields = self._fields(where, info.match, [(m.bitwidth, any_kind) for m in info.match])
        if sum(f.width for f in fields.values()) != value_set.width:
            raise SchemaError(f"{where}: its fields have not {value_set.width} bits in all")
        if any(f.match == RANGE for f in fields.values()):
            raise SchemaError(f"{where}: a range match in a value set is not supported")
        return ValueSetSchema(info.preamble.id, info.preamble.name, value_set.index, info.size, fields)

    def _controller_header(self, name: str) -> tuple[MetadataField, ...]:
        """The fields of a controller header, in the order in which they lie in front of the frame."""
        infos = [i for i in self.p4info.controller_packet_metadata if i.preamble.name == name]
        if len(infos) > 1:
            raise SchemaError(f"controller_packet_metadata {name} is there {len(infos)} times")
        fields: list[MetadataField] = []
        for meta in infos[0].metadata if infos else ():
            where = f"controller_packet_metadata {name}, {meta.name}"
            width = meta.bitwidth or self._header_width(where, name, meta.name)
            if meta.id == 0 or any(f.id == meta.id for f in fields) or not 0 < width <= _MAX_METADATA_BITS:
                raise SchemaError(f"{where}: id {meta.id} is zero or used twice, or {width} bits")
            codec = Codec(width)
            if meta.type_name.name in self._types.new_types:
                width = self._header_width(where, name, meta.name)
                codec = self._value_codec(where, meta.bitwidth, meta.type_name, width)
            fields.append(MetadataField(meta.id, meta.name, width, codec))
        if sum(f.width for f in fields) % 8:
            raise SchemaError(f"controller_packet_metadata {name} is not a whole number of bytes")
        return tuple(fields)

    def _header_width(self, where: str, name: str, field_name: str) -> int:
        """The data plane's width of a controller header's field, which a translated type hides."""
        info = next(i for i in self.p4info.controller_packet_metadata if i.preamble.name == name)
        names = [m.name for m in info.metadata]
        for header in self.program.ir.headers:
            if [f.name for f in header.type.fields] == names:
                return header.type.fields[names.index(field_name)].width
        raise SchemaError(f"{where}: the program has no header with the fields {', '.join(names)}")


#: Far beyond any controller header; a hostile P4Info must not ask for gigabytes.
_MAX_METADATA_BITS = 1 << 16


def _by_name(objects: Iterable[_I]) -> dict[str, _I]:
    return {o.name: o for o in objects}
