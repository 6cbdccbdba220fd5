# SPDX-License-Identifier: Apache-2.0
"""Parser value sets (P4Runtime 1.4.1, section "ValueSetEntry")."""

from __future__ import annotations

from functools import partial

from finsy.proto import p4r

from p4jit.p4runtime.match import decode_fields
from p4jit.p4runtime.objects import ValueSetSchema
from p4jit.p4runtime.operations import Operation, Undo, modify_only
from p4jit.p4runtime.schema import Schema
from p4jit.p4runtime.status import exhausted, exists, invalid, not_found
from p4jit.p4runtime.wire import ENTITY_VALUE_SET, entity
from p4jit.target.interface import DeviceInterface

#: One (value, mask) a field; mask None is all ones.
Member = tuple[tuple[int, int | None], ...]


class ValueSetStore:
    def __init__(self, schema: Schema, device: DeviceInterface) -> None:
        self._sets = schema.value_sets
        self._device = device
        #: What was written, by id: the members and the serialized entry.
        self._written: dict[int, tuple[list[Member], bytes]] = {}

    def decode(self, kind: int, entry: p4r.ValueSetEntry) -> Operation:
        """Raises P4Error."""
        modify_only(kind, "a value set")
        schema = self._known(entry.value_set_id)
        if schema.size and len(entry.members) > schema.size:
            raise exhausted(f"value set {schema.name} holds {schema.size} members, not {len(entry.members)}")
        members: list[Member] = []
        seen: set[Member] = set()
        for given in entry.members:
            values = decode_fields(schema.fields, given.match)
            member = tuple(
                (values[f.position].value, values[f.position].mask) if f.position in values else (0, 0)
                for f in schema.fields.values()
            )
            if member in seen:
                raise exists(f"value set {schema.name}: a member is given twice")
            seen.add(member)
            members.append(member)
        return partial(self._write, schema, members, entry.SerializeToString())

    def _write(self, schema: ValueSetSchema, members: list[Member], wire: bytes, undo: Undo) -> None:
        old = self._written.get(schema.id)
        self._device.value_set_write(schema.index, members)
        self._written[schema.id] = (members, wire)
        if undo is not None:
            empty = p4r.ValueSetEntry(value_set_id=schema.id).SerializeToString()
            undo.append(partial(self._write, schema, *(old or ([], empty)), None))

    def read(self, entry: p4r.ValueSetEntry) -> list[bytes]:
        """Elements of ReadResponse.entities. Raises P4Error."""
        wanted = [self._known(entry.value_set_id)] if entry.value_set_id else list(self._sets.values())
        result = []
        for schema in wanted:
            written = self._written.get(schema.id)
            wire = p4r.ValueSetEntry(value_set_id=schema.id).SerializeToString()
            result.append(entity(ENTITY_VALUE_SET, wire if written is None else written[1]))
        return result

    def entries(self) -> list[p4r.ValueSetEntry]:
        return [p4r.ValueSetEntry.FromString(wire) for members, wire in self._written.values() if members]

    def _known(self, value_set_id: int) -> ValueSetSchema:
        if value_set_id == 0:
            raise invalid("value_set_id must be set")
        if value_set_id not in self._sets:
            raise not_found(f"the P4Info has no value set with id {value_set_id:#x}")
        return self._sets[value_set_id]
