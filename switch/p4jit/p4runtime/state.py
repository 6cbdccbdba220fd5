# SPDX-License-Identifier: Apache-2.0
"""All the entities of one pipeline on one device: updates go in, reads come out."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from finsy.proto import p4r

from p4jit.p4runtime.digest_config import DigestConfigStore
from p4jit.p4runtime.direct import DirectStore
from p4jit.p4runtime.externs import ArrayStore
from p4jit.p4runtime.indirect import IndirectTableStore
from p4jit.p4runtime.meters import encode_counter, encode_meter
from p4jit.p4runtime.operations import DELETE, INSERT, MODIFY, Operation
from p4jit.p4runtime.profiles import ProfileStore
from p4jit.p4runtime.replication import ReplicationStore
from p4jit.p4runtime.schema import Schema
from p4jit.p4runtime.status import invalid, not_found, unimplemented
from p4jit.p4runtime.table_reads import check_wildcard, read_entries
from p4jit.p4runtime.tables import TableStore
from p4jit.p4runtime.templates import Templates
from p4jit.p4runtime.valuesets import ValueSetStore
from p4jit.target.interface import DEFAULT_ENTRY, DeviceInterface

_KINDS = frozenset((INSERT, MODIFY, DELETE))


class ForwardingState:
    """What a device runs and what was written to it. For one thread at a time.

    The device has just loaded ``schema.program``: the state starts with the program's own entries.
    """

    def __init__(self, schema: Schema, device: DeviceInterface) -> None:
        self.schema = schema
        self.device = device
        self.profiles = {i: ProfileStore(p, device) for i, p in schema.profiles.items()}
        self.tables: dict[int, TableStore] = {}
        for table_id, table in schema.tables.items():
            if table.profile is None:
                self.tables[table_id] = TableStore(table, device)
            else:
                profile = self.profiles[table.profile.id]
                self.tables[table_id] = IndirectTableStore(table, device, profile)
        self.arrays = ArrayStore(schema, device)
        self.direct = DirectStore(self.tables, self._table, device)
        self.replication = ReplicationStore(device)
        self.value_sets = ValueSetStore(schema, device)
        self.digests = DigestConfigStore(schema)
        self.templates = Templates()

    # ---- writing ---------------------------------------------------------------------------------------

    def prepare(self, update: p4r.Update) -> Operation:
        """`decode`, the short way where there is one."""
        wire = update.SerializeToString()
        number = int.from_bytes(wire, "big")
        template = self.templates.find(number, len(wire))
        if template is not None:
            return partial(template.apply, number, wire)
        operation = self.decode(update)
        if update.entity.HasField("table_entry"):
            self.templates.learn(wire, self.tables[update.entity.table_entry.table_id])
        return operation

    def decode(self, update: p4r.Update) -> Operation:
        """Check all that does not depend on the present state. Takes ``update`` over. Raises P4Error."""
        kind = update.type
        if kind not in _KINDS:
            raise invalid(f"update type {kind} is not INSERT, MODIFY or DELETE")
        entity = update.entity
        which = entity.WhichOneof("entity")
        if which == "table_entry":
            entry = entity.table_entry
            return self._table(entry.table_id).decode(kind, entry)
        if which == "action_profile_member":
            member = entity.action_profile_member
            return self._profile(member.action_profile_id).decode_member(kind, member)
        if which == "action_profile_group":
            group = entity.action_profile_group
            return self._profile(group.action_profile_id).decode_group(kind, group)
        if which == "counter_entry":
            return self.arrays.decode_counter(kind, entity.counter_entry)
        if which == "direct_counter_entry":
            return self.direct.decode_counter(kind, entity.direct_counter_entry)
        if which == "meter_entry":
            return self.arrays.decode_meter(kind, entity.meter_entry)
        if which == "direct_meter_entry":
            return self.direct.decode_meter(kind, entity.direct_meter_entry)
        if which == "register_entry":
            return self.arrays.decode_register(kind, entity.register_entry)
        if which == "packet_replication_engine_entry":
            return self.replication.decode(kind, entity.packet_replication_engine_entry)
        if which == "value_set_entry":
            return self.value_sets.decode(kind, entity.value_set_entry)
        if which == "digest_entry":
            return self.digests.decode(kind, entity.digest_entry)
        if which == "extern_entry":
            raise unimplemented("v1model has no externs beyond those of P4Runtime")
        raise invalid("the entity is not set")

    # ---- reading ---------------------------------------------------------------------------------------

    def read(self, entity: p4r.Entity) -> list[bytes]:
        """Elements of ReadResponse.entities (see `wire`). Raises P4Error."""
        which = entity.WhichOneof("entity")
        if which == "table_entry":
            return self._read_tables(entity.table_entry)
        if which == "action_profile_member":
            member = entity.action_profile_member
            profiles = self._wanted_profiles(member.action_profile_id, member.member_id)
            return [e for p in profiles for e in p.read_members(member.member_id)]
        if which == "action_profile_group":
            group = entity.action_profile_group
            profiles = self._wanted_profiles(group.action_profile_id, group.group_id)
            return [e for p in profiles for e in p.read_groups(group.group_id)]
        if which == "counter_entry":
            return self.arrays.read_counters(entity.counter_entry)
        if which == "direct_counter_entry":
            return self.direct.read_counters(entity.direct_counter_entry)
        if which == "meter_entry":
            return self.arrays.read_meters(entity.meter_entry)
        if which == "direct_meter_entry":
            return self.direct.read_meters(entity.direct_meter_entry)
        if which == "register_entry":
            return self.arrays.read_registers(entity.register_entry)
        if which == "packet_replication_engine_entry":
            return self.replication.read(entity.packet_replication_engine_entry)
        if which == "value_set_entry":
            return self.value_sets.read(entity.value_set_entry)
        if which == "digest_entry":
            return self.digests.read(entity.digest_entry)
        if which == "extern_entry":
            if entity.extern_entry.extern_type_id or entity.extern_entry.extern_id:
                raise not_found("v1model has no externs beyond those of P4Runtime")
            return []
        raise invalid("the entity is not set")

    def _read_tables(self, query: p4r.TableEntry) -> list[bytes]:
        if query.table_id:
            return read_entries(self._table(query.table_id), query, self.device, wildcard=False)
        check_wildcard(query)
        tables = self.tables.values()
        return [e for t in tables for e in read_entries(t, query, self.device, wildcard=True)]

    def _table(self, table_id: int) -> TableStore:
        store = self.tables.get(table_id)
        if store is None:
            raise _unknown("table", table_id)
        return store

    def _profile(self, profile_id: int) -> ProfileStore:
        store = self.profiles.get(profile_id)
        if store is None:
            raise _unknown("action_profile", profile_id)
        return store

    def _wanted_profiles(self, profile_id: int, element_id: int) -> list[ProfileStore]:
        if profile_id:
            return [self._profile(profile_id)]
        if element_id:
            raise invalid("a member or group id needs the id of its action profile")
        return list(self.profiles.values())

    # ---- moving to another pipeline --------------------------------------------------------------------

    def export(self) -> Iterator[p4r.Update]:
        """Updates that write this state into a fresh one: all that a controller wrote, with the counters of
        its entries. Entries that a program starts with are included, those of const tables are not."""
        for profile in self.profiles.values():
            for wire in profile.members():
                yield _insert(action_profile_member=p4r.ActionProfileMember.FromString(wire))
            for wire in profile.groups():
                yield _insert(action_profile_group=p4r.ActionProfileGroup.FromString(wire))
        for table in self.tables.values():
            if not table.schema.const:
                for handle, wire in table.entries():
                    yield _insert(table_entry=self._with_direct(table, handle, wire))
            if table.default_modified:
                entry = self._with_direct(table, DEFAULT_ENTRY, table.default_entry())
                yield _modify(table_entry=entry)
        for replication in self.replication.entries():
            yield _insert(packet_replication_engine_entry=replication)
        for value_set in self.value_sets.entries():
            yield _modify(value_set_entry=value_set)
        for digest in self.digests.entries():
            yield _insert(digest_entry=digest)
        for meter in self.schema.meters.values():
            for index in range(meter.size):
                rates = self.device.meter_read(meter.index, index)
                if rates is not None:
                    meter_entry = p4r.MeterEntry(meter_id=meter.id, config=encode_meter(rates))
                    meter_entry.index.index = index
                    yield _modify(meter_entry=meter_entry)

    def _with_direct(self, table: TableStore, handle: int, wire: bytes) -> p4r.TableEntry:
        entry = p4r.TableEntry.FromString(wire)
        if table.schema.counter is not None:
            value = self.device.entry_counter(table.schema.index, handle)
            entry.counter_data.CopyFrom(encode_counter(value))
        if table.schema.meter is not None:
            rates = self.device.entry_meter(table.schema.index, handle)
            if rates is not None:
                entry.meter_config.CopyFrom(encode_meter(rates))
        return entry

    def adopt(self, other: ForwardingState) -> None:
        """Take over the state of another pipeline, into a fresh one of this. Raises P4Error, DeviceError for
        what cannot be kept. Counters and registers are kept where name, size and width are the same; direct
        counters of const entries, and of default entries that were not modified, start again."""
        for table_id, table in self.tables.items():
            if table_id in other.tables and not table.schema.const:
                for _, wire in list(table.entries()):
                    table.decode(DELETE, p4r.TableEntry.FromString(wire))(None)
        for update in other.export():
            self.prepare(update)(None)
        self._adopt_arrays(other)

    def refresh(self, original: ForwardingState) -> None:
        """Bring a copy of ``original``, which `adopt` made, up to date in what packets change."""
        for table_id, table in self.tables.items():
            if table.schema.counter is None:
                continue
            index = table.schema.index
            theirs = original.tables[table_id]
            pairs = [(h, o) for (h, _), (o, _) in zip(table.entries(), theirs.entries(), strict=True)]
            for handle, other in [*pairs, (DEFAULT_ENTRY, DEFAULT_ENTRY)]:
                value = original.device.entry_counter(index, other)
                self.device.entry_set_counter(index, handle, value)
        self._adopt_arrays(original)

    def _adopt_arrays(self, other: ForwardingState) -> None:
        counters = {c.name: c for c in other.schema.counters.values()}
        for counter in self.schema.counters.values():
            source = counters.get(counter.name)
            if source is not None and source.size == counter.size and counter.size:
                values = other.device.counter_read(source.index, 0, source.size)
                own = self.device.counter_read(counter.index, 0, counter.size)
                for index, value in enumerate(values):
                    if value != own[index]:
                        self.device.counter_write(counter.index, index, value)
        registers = {r.name: r for r in other.schema.registers.values()}
        for register in self.schema.registers.values():
            old = registers.get(register.name)
            if old is not None and (old.size, old.codec) == (register.size, register.codec) and register.size:
                numbers = other.device.register_read(old.index, 0, old.size)
                present = self.device.register_read(register.index, 0, register.size)
                for index, number in enumerate(numbers):
                    if number != present[index]:
                        self.device.register_write(register.index, index, number)


def _insert(**entity: object) -> p4r.Update:
    return p4r.Update(type=INSERT, entity=p4r.Entity(**entity))  # type: ignore[arg-type]


def _modify(**entity: object) -> p4r.Update:
    return p4r.Update(type=MODIFY, entity=p4r.Entity(**entity))  # type: ignore[arg-type]


def _unknown(kind: str, object_id: int) -> Exception:
    if object_id == 0:
        return invalid(f"{kind}_id must be set")
    return not_found(f"the P4Info has no {kind} with id {object_id:#x}")
