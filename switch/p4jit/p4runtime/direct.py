# SPDX-License-Identifier: Apache-2.0
"""Direct counters and meters by their own entities (P4Runtime 1.4.1, "DirectCounterEntry",
"DirectMeterEntry")."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from finsy.proto import p4r

from p4jit.p4runtime.meters import (
    decode_counter,
    decode_meter,
    encode_counter,
    encode_meter,
    refuse_meter_counters,
)
from p4jit.p4runtime.operations import Operation, Undo, modify_only
from p4jit.p4runtime.status import invalid, not_found
from p4jit.p4runtime.table_reads import check_wildcard, key_of
from p4jit.p4runtime.tables import Entry, TableStore
from p4jit.p4runtime.wire import ENTITY_DIRECT_COUNTER, ENTITY_DIRECT_METER, entity
from p4jit.target.interface import CounterValue, DeviceInterface, MeterRates

#: Finds a table by id, or raises P4Error.
FindTable = Callable[[int], TableStore]


class DirectStore:
    def __init__(self, tables: Mapping[int, TableStore], find: FindTable, device: DeviceInterface) -> None:
        self._tables = tables
        self._find = find
        self._device = device

    def decode_counter(self, kind: int, entry: p4r.DirectCounterEntry) -> Operation:
        """Raises P4Error."""
        modify_only(kind, "a direct counter")
        table = self._table(entry.table_entry)
        if table.schema.counter is None:
            raise invalid(f"table {table.schema.name} has no direct counter")
        value = decode_counter(entry.data) if entry.HasField("data") else None
        return partial(self._write_counter, table, entry.table_entry, value)

    def _write_counter(
        self, table: TableStore, key: p4r.TableEntry, value: CounterValue | None, undo: Undo
    ) -> None:
        handle = table.handle_of(key)
        if value is None:
            return
        before = self._device.entry_counter(table.schema.index, handle)
        self._device.entry_set_counter(table.schema.index, handle, value)
        if undo is not None:
            undo.append(partial(self._write_counter, table, key, before, None))

    def decode_meter(self, kind: int, entry: p4r.DirectMeterEntry) -> Operation:
        """Raises P4Error."""
        modify_only(kind, "a direct meter")
        if entry.HasField("counter_data"):
            refuse_meter_counters()
        table = self._table(entry.table_entry)
        if table.schema.meter_spec is None:
            raise invalid(f"table {table.schema.name} has no direct meter")
        rates = decode_meter(entry.config, table.schema.meter_spec) if entry.HasField("config") else None
        return partial(self._write_meter, table, entry.table_entry, rates)

    def _write_meter(
        self, table: TableStore, key: p4r.TableEntry, rates: MeterRates | None, undo: Undo
    ) -> None:
        handle = table.handle_of(key)
        before = self._device.entry_meter(table.schema.index, handle)
        self._device.entry_set_meter(table.schema.index, handle, rates)
        if undo is not None:
            undo.append(partial(self._write_meter, table, key, before, None))

    def read_counters(self, entry: p4r.DirectCounterEntry) -> list[bytes]:
        """Elements of ReadResponse.entities. Raises P4Error."""
        result = []
        for table, found in self._select(entry.table_entry, "counter"):
            for handle, wire in found:
                value = encode_counter(self._device.entry_counter(table.schema.index, handle))
                answer = p4r.DirectCounterEntry(table_entry=key_of(wire), data=value)
                result.append(entity(ENTITY_DIRECT_COUNTER, answer.SerializeToString()))
        return result

    def read_meters(self, entry: p4r.DirectMeterEntry) -> list[bytes]:
        """Elements of ReadResponse.entities. Raises P4Error."""
        if entry.HasField("counter_data"):
            refuse_meter_counters()
        result = []
        for table, found in self._select(entry.table_entry, "meter"):
            for handle, wire in found:
                answer = p4r.DirectMeterEntry(table_entry=key_of(wire))
                rates = self._device.entry_meter(table.schema.index, handle)
                if rates is not None:
                    answer.config.CopyFrom(encode_meter(rates))
                result.append(entity(ENTITY_DIRECT_METER, answer.SerializeToString()))
        return result

    def _table(self, key: p4r.TableEntry) -> TableStore:
        return self._find(key.table_id)

    def _select(self, key: p4r.TableEntry, kind: str) -> list[tuple[TableStore, list[Entry]]]:
        """The entries a query names, by table; an entry named by its key must exist."""
        if key.table_id == 0:
            check_wildcard(key)
            tables = [t for t in self._tables.values() if _has(t, kind)]
            return [(table, list(table.entries())) for table in tables]
        table = self._table(key)
        if not _has(table, kind):
            raise invalid(f"table {table.schema.name} has no direct {kind}")
        found = list(table.select(key))
        if not found and key.match:
            raise not_found(f"table {table.schema.name} has no such entry")
        return [(table, found)]


def _has(table: TableStore, kind: str) -> bool:
    return (table.schema.counter if kind == "counter" else table.schema.meter) is not None
