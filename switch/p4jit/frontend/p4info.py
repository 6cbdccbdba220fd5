# SPDX-License-Identifier: Apache-2.0
"""P4Info: reading it, and checking that it describes the program it came with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from finsy.proto import p4i, p4t
from google.protobuf import text_format
from google.protobuf.message import DecodeError

from p4jit.frontend import ir
from p4jit.frontend.errors import ProgramError, quoted
from p4jit.frontend.tables import MAX_ENTRIES

#: Largest P4Info taken, in bytes.
MAX_BYTES = 64 << 20

_BOTH_FROM_ONE_COMPILATION = "give the P4Info and the JSON of the same compilation"

#: What control characters text may hold. A P4Info in binary always holds others: its tags and lengths.
_TEXT_CONTROLS = b"\t\n\r"
_CONTROLS = bytes(set(range(32)) - set(_TEXT_CONTROLS))

_MATCHES = {
    p4i.MatchField.EXACT: (ir.MatchKind.EXACT, ir.MatchKind.VALID),
    p4i.MatchField.LPM: (ir.MatchKind.LPM,),
    p4i.MatchField.TERNARY: (ir.MatchKind.TERNARY,),
    p4i.MatchField.RANGE: (ir.MatchKind.RANGE,),
    # The JSON has no match type of its own for these.
    p4i.MatchField.OPTIONAL: (ir.MatchKind.TERNARY,),
}

_MATCH_NAMES = {number: name for name, number in p4i.MatchField.MatchType.items() if number}


def load_p4info(data: bytes) -> p4i.P4Info:
    """P4Info in text or binary protobuf format. Raises ProgramError when it is neither."""
    if len(data) > MAX_BYTES:
        raise ProgramError("P4Info", f"is larger than {MAX_BYTES >> 20} MiB")
    info = p4i.P4Info()
    try:
        if data.translate(None, _CONTROLS) == data:
            text_format.Parse(data, info)
        else:
            info.ParseFromString(data)
    except (DecodeError, text_format.ParseError, UnicodeDecodeError) as error:
        raise ProgramError(
            "P4Info", f"cannot be read: {error}", "give what p4c wrote for --p4runtime-files"
        ) from None
    except RecursionError:
        raise ProgramError("P4Info", "is nested too deeply") from None
    return info


def check_p4info(program: ir.Program, info: p4i.P4Info) -> frozenset[int]:
    """Check that what ``info`` describes is in the program, under the same name and of the same shape, and
    give the program what P4Info may know better: the sizes of value sets, and of tables with initial entries.

    Returns the ids of the objects that the program does not have because the compiler found them without
    effect: P4Info is made before it looks. Raises ProgramError that names the object on any other mismatch.
    """
    return _Check(program, info).run()


class _Object(Protocol):
    @property
    def preamble(self) -> p4i.Preamble: ...


class _Member(Protocol):
    """A match field or an action parameter."""

    @property
    def id(self) -> int: ...


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_O = TypeVar("_O", bound=_Object)
_N = TypeVar("_N", bound=_Named)


class _Check:
    def __init__(self, program: ir.Program, info: p4i.P4Info) -> None:
        self.program = program
        self.info = info
        self.absent: set[int] = set()
        self.tables = {table.name: table for table in program.tables}
        self.actions: dict[str, list[ir.Action]] = {}
        for action in program.actions:
            self.actions.setdefault(action.name, []).append(action)
        self.action_names = {action.preamble.id: action.preamble.name for action in info.actions}
        self.profile_names = {profile.preamble.id: profile.preamble.name for profile in info.action_profiles}
        self.table_names = {table.preamble.id: table.preamble.name for table in info.tables}
        self.direct_counters = {counter.preamble.id for counter in info.direct_counters}
        self.direct_meters = {meter.preamble.id: meter.preamble.name for meter in info.direct_meters}

    def run(self) -> frozenset[int]:
        info, program = self.info, self.program
        for extern in info.externs:
            raise ProgramError(
                f"P4Info extern {quoted(extern.extern_type_name)}",
                "is unknown",
                "p4jit has v1model's externs",
            )
        self._check_ids()
        for action in info.actions:
            self._action(action)
        # Tables without a key are mostly the compiler's own, unknown to P4Info.
        keyed = [table for table in program.tables if table.key]
        for table, own_table in self._pairs("table", info.tables, program.tables, keyed):
            self._table(table, own_table)
        for profile, own_profile in self._pairs("action profile", info.action_profiles, program.profiles):
            self._profile(profile, own_profile)
        self._counters()
        self._meters()
        self._registers()
        # Where the type has no name, the JSON and P4Info each make one up.
        names = {learn.name for learn in program.learn_lists}
        self.absent.update(d.preamble.id for d in info.digests if d.preamble.name not in names)
        self._value_sets()
        return frozenset(self.absent)

    def _pairs(
        self, kind: str, items: Sequence[_O], own: Sequence[_N], expected: Sequence[_N] | None = None
    ) -> Iterator[tuple[_O, _N]]:
        """The objects of one kind in P4Info with their counterparts in the program.

        One that has none was dropped by the compiler, unless the program has an object that P4Info lacks:
        then the two do not belong together.
        """
        by_name = {candidate.name: candidate for candidate in own}
        given = {item.preamble.name for item in items}
        wanted = own if expected is None else expected
        unknown = [candidate.name for candidate in wanted if candidate.name not in given]
        for item in items:
            counterpart = by_name.get(item.preamble.name)
            if counterpart is not None:
                yield item, counterpart
            elif unknown:
                raise _error(kind, item, f"is not in the program, which has {quoted(unknown[0])} instead")
            else:
                self.absent.add(item.preamble.id)

    def _check_ids(self) -> None:
        info = self.info
        kinds: list[tuple[str, Iterable[_Object]]] = [
            ("table", info.tables),
            ("action", info.actions),
            ("action profile", info.action_profiles),
            ("counter", info.counters),
            ("direct counter", info.direct_counters),
            ("meter", info.meters),
            ("direct meter", info.direct_meters),
            ("packet metadata", info.controller_packet_metadata),
            ("value set", info.value_sets),
            ("register", info.registers),
            ("digest", info.digests),
        ]
        ids: dict[int, str] = {}
        for kind, items in kinds:
            names: set[str] = set()
            for item in items:
                preamble = item.preamble
                if not preamble.name or not preamble.id:
                    raise _error(kind, item, "has no name or no id")
                if preamble.id in ids:
                    raise _error(kind, item, f"has id {preamble.id}, as has {ids[preamble.id]}")
                if preamble.name in names:
                    raise _error(kind, item, "is there twice")
                ids[preamble.id] = f"{kind} {quoted(preamble.name)}"
                names.add(preamble.name)

    # -- tables and actions

    def _translated(self, type_name: p4t.P4NamedType) -> bool:
        """Does the control plane see this type otherwise than the program does?"""
        known = self.info.type_info.new_types
        return type_name.name in known and known[type_name.name].HasField("translated_type")

    def _same_width(self, field: p4i.MatchField | p4i.Action.Param, width: int) -> bool:
        """P4Info gives no width (0) to values of type error and to those it translates to text."""
        return field.bitwidth in (0, width) or self._translated(field.type_name)

    def _action(self, action: p4i.Action) -> None:
        candidates = self.actions.get(action.preamble.name)
        if not candidates:
            self.absent.add(action.preamble.id)
            return
        # The compiler may have made several of one action.
        for candidate in candidates:
            if len(candidate.params) == len(action.params):
                break
        else:
            found = len(candidates[0].params)
            raise _error("action", action, f"has {len(action.params)} parameters, in the program {found}")
        for param, own in zip(action.params, candidate.params, strict=True):
            if not self._same_width(param, own.width):
                what = f"has a parameter {quoted(param.name)}"
                raise _error("action", action, f"{what} of {param.bitwidth} bits, in the program {own.width}")
        _check_members("action", action, action.params)

    def _table(self, table: p4i.Table, own: ir.Table) -> None:
        if len(table.match_fields) != len(own.key):
            raise _error(
                "table", table, f"has {len(table.match_fields)} match fields, in the program {len(own.key)}"
            )
        _check_members("table", table, table.match_fields)
        for field, key in zip(table.match_fields, own.key, strict=True):
            what = f"has a match field {quoted(field.name)}"
            if key.kind not in _MATCHES.get(field.match_type, ()):
                kind = _MATCH_NAMES.get(field.match_type, quoted(field.other_match_type))
                raise _error("table", table, f"{what} of type {kind}, in the program {key.kind.value}")
            if not self._same_width(field, key.width):
                raise _error("table", table, f"{what} of {field.bitwidth} bits, in the program {key.width}")
        names = {action.name for action in own.actions}
        for reference in table.action_refs:
            self._one_of_the_actions(table, reference.id, names)
        if table.const_default_action_id:
            self._one_of_the_actions(table, table.const_default_action_id, names)
        self._implementation(table, own)
        self._direct_resources(table, own)
        # Of a table with entries the JSON gives their number; what more it may hold is only here.
        if not table.is_const_table:
            own.max_size = max(own.max_size, min(table.size, MAX_ENTRIES))

    def _one_of_the_actions(self, table: p4i.Table, number: int, names: set[str]) -> None:
        name = self.action_names.get(number)
        if name is None:
            raise _error("table", table, f"refers to an action with id {number}, which P4Info does not have")
        if name not in names:
            raise _error("table", table, f"has an action {quoted(name)}, in the program it has not")

    def _implementation(self, table: p4i.Table, own: ir.Table) -> None:
        given = self.profile_names.get(table.implementation_id) if table.implementation_id else None
        if table.implementation_id and given is None:
            raise _error("table", table, f"refers to an action profile with id {table.implementation_id}")
        actual = None if own.profile is None else own.profile.name
        if given != actual:
            raise _error("table", table, f"has action profile {given!r}, in the program {actual!r}")

    def _direct_resources(self, table: p4i.Table, own: ir.Table) -> None:
        for number in table.direct_resource_ids:
            if number in self.direct_counters:
                if not own.with_counters:
                    raise _error("table", table, "has a direct counter, in the program it has none")
            elif number in self.direct_meters:
                meter = None if own.direct_meter is None else own.direct_meter.name
                if meter != self.direct_meters[number]:
                    given = self.direct_meters[number]
                    raise _error("table", table, f"has direct meter {given!r}, in the program {meter!r}")
            else:
                raise _error(
                    "table", table, f"refers to a direct resource with id {number}, which P4Info lacks"
                )

    def _profile(self, profile: p4i.ActionProfile, own: ir.ActionProfile) -> None:
        if profile.with_selector != (own.selector is not None):
            raise _error("action profile", profile, "has a selector only here or only in the program")
        for number in profile.table_ids:
            name = self.table_names.get(number)
            table = None if name is None else self.tables.get(name)
            if name is None or (table is not None and table.profile is not own):
                raise _error("action profile", profile, f"has table id {number}, which does not use it")

    # -- externs

    def _attached(self, kind: str, item: p4i.DirectCounter | p4i.DirectMeter) -> ir.Table | None:
        """The table of a direct resource; None when the program does not have that."""
        name = self.table_names.get(item.direct_table_id)
        if name is None:
            raise _error(kind, item, f"refers to a table with id {item.direct_table_id}, which P4Info lacks")
        return self.tables.get(name)

    def _counters(self) -> None:
        for counter, own in self._pairs("counter", self.info.counters, self.program.counters):
            _same("counter", counter, "size", counter.size, own.size)
        for direct in self.info.direct_counters:
            table = self._attached("direct counter", direct)
            if table is None:
                self.absent.add(direct.preamble.id)
            elif not table.with_counters:
                raise _error("direct counter", direct, "belongs to a table without counters in the program")

    def _meters(self) -> None:
        indirect = [meter for meter in self.program.meters if meter.table is None]
        for meter, own in self._pairs("meter", self.info.meters, indirect):
            _same("meter", meter, "size", meter.size, own.size)
            _same_unit("meter", meter, meter.spec, own)
        attached = [meter for meter in self.program.meters if meter.table is not None]
        for direct, own in self._pairs("direct meter", self.info.direct_meters, attached):
            table = self._attached("direct meter", direct)
            _same("direct meter", direct, "table", None if table is None else table.name, own.table)
            _same_unit("direct meter", direct, direct.spec, own)

    def _registers(self) -> None:
        for register, own in self._pairs("register", self.info.registers, self.program.registers):
            _same("register", register, "size", register.size, own.size)
            if register.type_spec.HasField("bitstring"):
                bits = register.type_spec.bitstring
                width = bits.int.bitwidth if bits.HasField("int") else bits.bit.bitwidth
                _same("register", register, "width", width, own.width)

    def _value_sets(self) -> None:
        for value_set, own in self._pairs("value set", self.info.value_sets, self.program.value_sets):
            if not any(self._translated(field.type_name) or not field.bitwidth for field in value_set.match):
                width = sum(field.bitwidth for field in value_set.match)
                _same("value set", value_set, "width", width, own.width)
            if value_set.size < 0:
                raise _error("value set", value_set, f"has size {value_set.size}")
            own.size = value_set.size or own.size


def _error(kind: str, item: _Object, problem: str) -> ProgramError:
    return ProgramError(f"P4Info {kind} {quoted(item.preamble.name)}", problem, _BOTH_FROM_ONE_COMPILATION)


def _same(kind: str, item: _Object, what: str, given: object, actual: object) -> None:
    if given != actual:
        raise _error(kind, item, f"has {what} {given}, in the program {actual}")


def _same_unit(kind: str, item: _Object, spec: p4i.MeterSpec, own: ir.MeterArray) -> None:
    unit = p4i.MeterSpec.BYTES if own.bytes else p4i.MeterSpec.PACKETS
    if spec.unit != unit:
        raise _error(kind, item, "counts bytes only here or only in the program")


def _check_members(kind: str, item: _Object, members: Sequence[_Member]) -> None:
    """Match fields and parameters are told apart by their ids."""
    ids = {member.id for member in members}
    if len(ids) != len(members) or 0 in ids:
        raise _error(kind, item, "has members without an id of their own")
