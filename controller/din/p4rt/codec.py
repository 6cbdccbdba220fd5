# SPDX-License-Identifier: Apache-2.0
"""Entries to and from P4Runtime's messages.

Byte strings are canonical (P4Runtime 1.4.1, "Bytestrings": no leading zero bytes, at least one byte). An
address is a number like any other. Both ways take a few microseconds an entry, so that a switch's 100,000 are
a matter of a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any

from finsy.proto import p4r

from din.p4rt.entry import (
    Action,
    AnyKey,
    AnyValue,
    Clone,
    CloneKey,
    Key,
    Lpm,
    Match,
    Member,
    MeterConfig,
    MeterKey,
    Range,
    State,
    Ternary,
)
from din.p4rt.program import MatchKind, Program, Table


class Op(Enum):
    INSERT = p4r.Update.INSERT
    MODIFY = p4r.Update.MODIFY
    DELETE = p4r.Update.DELETE


class UnknownEntityError(ValueError):
    """A switch gave back what the program does not have: it runs another one."""


def number_bytes(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8 or 1, "big")


class Codec:
    """Of one program. What it encodes is taken to be canonical (`din.p4rt.canonical`)."""

    def __init__(self, program: Program) -> None:
        self.program = program
        # Few actions are those of many entries: the instances of buckets.
        self._actions: dict[Action, p4r.Action] = {}
        self._decoded: dict[bytes, Action] = {}

    # ---- encoding ------------------------------------------------------------------------------------------

    def add(self, request: p4r.WriteRequest, op: Op, key: AnyKey, value: AnyValue | None) -> None:
        """Add an update to ``request``: filled in place, which is twice as fast as copying messages into each
        other. ``value`` is not looked at where ``op`` is DELETE.

        Default entries and meters are always there: all that can be done to them is MODIFY, and without a
        value that makes them what the program brings (P4Runtime 1.4.1, "Default entry", "MeterEntry")."""
        if op is Op.DELETE:
            value = None
        if isinstance(key, MeterKey) or (isinstance(key, Key) and key.default):
            op = Op.MODIFY
        entity = request.updates.add(type=op.value).entity
        if isinstance(key, Key):
            self._fill_table_entry(entity.table_entry, key, value)
        elif isinstance(key, CloneKey):
            _fill_clone_session(entity.packet_replication_engine_entry.clone_session_entry, key, value)
        else:
            self._fill_meter(entity.meter_entry, key, value)

    def _fill_table_entry(self, entry: p4r.TableEntry, key: Key, value: AnyValue | None) -> None:
        table = self.program.tables[key.table]
        entry.table_id = table.id
        entry.priority = key.priority
        entry.is_default_action = key.default
        for name, match in key.match:
            info = table.fields[name]
            _fill_match(entry.match.add(field_id=info.id), info.kind, match)
        if isinstance(value, Action):
            entry.action.action.CopyFrom(self._action(value))
        elif isinstance(value, tuple):
            actions = entry.action.action_profile_action_set.action_profile_actions
            for member in value:
                item = actions.add(action=self._action(member.action), weight=member.weight)
                if member.watch_port:
                    item.watch_port = number_bytes(member.watch_port)

    def _action(self, action: Action) -> p4r.Action:
        found = self._actions.get(action)
        if found is None:
            info = self.program.actions[action.name]
            found = p4r.Action(action_id=info.id)
            for name, value in action.params:
                found.params.add(param_id=info.params[name].id, value=number_bytes(value))
            _remember(self._actions, action, found)
        return found

    def _fill_meter(self, entry: p4r.MeterEntry, key: MeterKey, value: AnyValue | None) -> None:
        entry.meter_id = self.program.meters[key.meter].id
        entry.index.index = key.index
        if isinstance(value, MeterConfig):
            entry.config.cir, entry.config.cburst = value.cir, value.cburst
            entry.config.pir, entry.config.pburst = value.pir, value.pburst

    # ---- reading -------------------------------------------------------------------------------------------

    def everything(self) -> list[p4r.Entity]:
        """What to ask for to learn a switch's whole state.

        Tables by name, because simple_switch_grpc does not mark a constant entry `is_const`, and default
        entries by name, because only it answers a wildcard for those."""
        asked = [
            p4r.Entity(table_entry=p4r.TableEntry(table_id=table.id))
            for table in self.program.tables.values()
            if table.fields and not table.is_const
        ]
        asked += [
            p4r.Entity(table_entry=p4r.TableEntry(table_id=table.id, is_default_action=True))
            for table in self.program.tables.values()
            if table.default_can_be_set
        ]
        sessions = p4r.PacketReplicationEngineEntry(clone_session_entry=p4r.CloneSessionEntry())
        asked.append(p4r.Entity(packet_replication_engine_entry=sessions))
        asked += [p4r.Entity(meter_entry=p4r.MeterEntry(meter_id=m.id)) for m in self.program.meters.values()]
        return asked

    def decode_into(self, state: State, entities: Iterable[p4r.Entity]) -> None:
        """Add what a switch gave back. UnknownEntityError: it runs another program."""
        for entity in entities:
            kind = entity.WhichOneof("entity")
            if kind == "table_entry":
                self._decode_table_entry(state, entity.table_entry)
            elif kind == "packet_replication_engine_entry":
                found = entity.packet_replication_engine_entry.clone_session_entry
                ports = tuple(sorted(map(_replica_port, found.replicas)))
                state[CloneKey(found.session_id)] = Clone(ports)
            elif kind == "meter_entry":
                self._decode_meter(state, entity.meter_entry)
            else:
                raise UnknownEntityError(f"the switch answers with a {kind}, which was not asked for")

    def _decode_table_entry(self, state: State, entry: p4r.TableEntry) -> None:
        if entry.is_const:
            return
        table = self.program.tables_by_id.get(entry.table_id)
        if table is None:
            raise UnknownEntityError(f"the switch has a table {entry.table_id:#x}, the program has not")
        value: AnyValue
        if table.has_selector:
            value = tuple(self._decode_members(table, entry.action))
        else:
            value = self._decode_action(entry.action.action)
        if entry.is_default_action:
            if value != table.initial_default:
                state[Key(table.name, (), 0, True)] = value
        else:
            state[self.key(entry)] = value

    def key(self, entry: p4r.TableEntry) -> Key:
        """Of an entry. UnknownEntityError: not of this program."""
        table = self.program.tables_by_id.get(entry.table_id)
        if table is None:
            raise UnknownEntityError(f"the switch has a table {entry.table_id:#x}, the program has not")
        fields = table.by_id
        try:
            matches = [((info := fields[m.field_id]).name, _decode_match(info.kind, m)) for m in entry.match]
        except KeyError as error:
            raise UnknownEntityError(
                f"the switch's table {table.name} has a field {error}, the program's not"
            ) from None
        matches.sort()  # by name: no two are of one field
        return Key(table.name, tuple(matches), entry.priority, entry.is_default_action)

    def _decode_action(self, action: p4r.Action) -> Action:
        wire = action.SerializeToString()
        found = self._decoded.get(wire)
        if found is None:
            info = self.program.actions_by_id.get(action.action_id)
            if info is None:
                raise UnknownEntityError(
                    f"the switch has an action {action.action_id:#x}, the program has not"
                )
            by_id = info.by_id
            try:
                params = {by_id[p.param_id].name: int.from_bytes(p.value, "big") for p in action.params}
            except KeyError as error:
                raise UnknownEntityError(
                    f"the switch's action {info.name} has a parameter {error}, the program's not"
                ) from None
            found = Action(info.name, tuple(sorted(params.items())))
            _remember(self._decoded, wire, found)
        return found

    def _decode_members(self, table: Table, action: p4r.TableAction) -> Iterator[Member]:
        if action.WhichOneof("type") not in ("action_profile_action_set", None):
            raise UnknownEntityError(
                f"{table.name} has entries that name groups or members; only one-shot action sets are ours: "
                "another controller programs this switch"
            )
        for item in action.action_profile_action_set.action_profile_actions:
            # `watch` is what P4Runtime had before 1.2.
            port = int.from_bytes(item.watch_port, "big") if item.HasField("watch_port") else item.watch
            yield Member(self._decode_action(item.action), item.weight, port)

    def _decode_meter(self, state: State, entry: p4r.MeterEntry) -> None:
        # A meter that was never set has no configuration.
        if entry.HasField("config"):
            meter = self.program.meters_by_id.get(entry.meter_id)
            if meter is None:
                raise UnknownEntityError(f"the switch has a meter {entry.meter_id:#x}, the program has not")
            config = entry.config
            value = MeterConfig(config.cir, config.cburst, config.pir, config.pburst)
            state[MeterKey(meter.name, entry.index.index)] = value


def _fill_match(found: p4r.FieldMatch, kind: MatchKind, match: Match) -> None:
    match match:
        case int() if kind is MatchKind.EXACT:
            found.exact.value = number_bytes(match)
        case Lpm(value, length):
            found.lpm.value, found.lpm.prefix_len = number_bytes(value), length
        case Ternary(value, mask):
            found.ternary.value, found.ternary.mask = number_bytes(value), number_bytes(mask)
        case Range(low, high):
            found.range.low, found.range.high = number_bytes(low), number_bytes(high)
        case int():
            found.optional.value = number_bytes(match)


def _decode_match(kind: MatchKind, found: p4r.FieldMatch) -> Match:
    if kind is MatchKind.EXACT:
        return int.from_bytes(found.exact.value, "big")
    if kind is MatchKind.LPM:
        return Lpm(int.from_bytes(found.lpm.value, "big"), found.lpm.prefix_len)
    if kind is MatchKind.TERNARY:
        ternary = found.ternary
        return Ternary(int.from_bytes(ternary.value, "big"), int.from_bytes(ternary.mask, "big"))
    if kind is MatchKind.RANGE:
        return Range(int.from_bytes(found.range.low, "big"), int.from_bytes(found.range.high, "big"))
    return int.from_bytes(found.optional.value, "big")


def _fill_clone_session(entry: p4r.CloneSessionEntry, key: CloneKey, value: AnyValue | None) -> None:
    entry.session_id = key.session
    if isinstance(value, Clone):
        for port in value.ports:
            # simple_switch_grpc knows no `port`, which came with P4Runtime 1.4.
            entry.replicas.add(egress_port=port, instance=1)


def _replica_port(replica: p4r.Replica) -> int:
    return int.from_bytes(replica.port, "big") if replica.HasField("port") else replica.egress_port


#: A cache that has grown so large remembers what is not shared.
_MANY = 1 << 16


def _remember(cache: dict[Any, Any], key: Any, value: Any) -> None:
    if len(cache) >= _MANY:
        cache.clear()
    cache[key] = value
