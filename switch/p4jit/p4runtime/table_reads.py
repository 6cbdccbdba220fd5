# SPDX-License-Identifier: Apache-2.0
"""Reads of table entries with their filters and direct resources (P4Runtime 1.4.1, "Wildcard Reads",
"Direct Resources")."""

from __future__ import annotations

from collections.abc import Iterable

from finsy.proto import p4r

from p4jit.p4runtime.meters import encode_counter, encode_meter, refuse_meter_counters
from p4jit.p4runtime.status import invalid
from p4jit.p4runtime.tables import Entry, TableStore
from p4jit.p4runtime.wire import ENTITY_TABLE_ENTRY, entity
from p4jit.target.interface import DEFAULT_ENTRY, DeviceInterface


def check_wildcard(query: p4r.TableEntry) -> None:
    """A query over all tables has no other filter. Raises P4Error (INVALID_ARGUMENT)."""
    if (
        query.match
        or query.HasField("action")
        or query.priority
        or query.controller_metadata
        or query.metadata
        or query.is_default_action
    ):
        raise invalid("a read of all tables (table_id 0) takes no other filter")


def read_entries(
    store: TableStore, query: p4r.TableEntry, device: DeviceInterface, wildcard: bool
) -> list[bytes]:
    """Elements of ReadResponse.entities. With ``wildcard`` the query is for all tables, and what this one
    does not have is left out. Raises P4Error."""
    schema = store.schema
    if query.HasField("meter_counter_data"):
        refuse_meter_counters()
    counter, meter = query.HasField("counter_data"), query.HasField("meter_config")
    idle = query.HasField("time_since_last_hit")
    if not wildcard:
        if counter and schema.counter is None:
            raise invalid(f"table {schema.name} has no direct counter")
        if meter and schema.meter is None:
            raise invalid(f"table {schema.name} has no direct meter")
        if idle and not schema.idle_timeout:
            raise invalid(f"table {schema.name} does not support idle timeouts")
    counter = counter and schema.counter is not None
    meter = meter and schema.meter is not None
    idle = idle and schema.idle_timeout
    found = _filter(store, query, store.select(query))
    if not (counter or meter or idle):
        return [entity(ENTITY_TABLE_ENTRY, wire) for _, wire in found]
    result = []
    for handle, wire in found:
        volatile = p4r.TableEntry()
        if counter:
            volatile.counter_data.CopyFrom(encode_counter(device.entry_counter(schema.index, handle)))
        if meter:
            rates = device.entry_meter(schema.index, handle)
            if rates is not None:
                volatile.meter_config.CopyFrom(encode_meter(rates))
        if idle and handle != DEFAULT_ENTRY:
            volatile.time_since_last_hit.elapsed_ns = device.entry_idle(schema.index, handle)
        result.append(entity(ENTITY_TABLE_ENTRY, wire + volatile.SerializeToString()))
    return result


def _filter(store: TableStore, query: p4r.TableEntry, entries: Iterable[Entry]) -> Iterable[Entry]:
    """By action, metadata and controller_metadata."""
    action_id = 0
    if query.HasField("action"):
        kind = query.action.WhichOneof("type")
        if kind is not None:
            if kind != "action" or store.schema.profile is not None:
                raise invalid("entries can be filtered by the action_id of a direct table only")
            action_id = query.action.action.action_id
            if action_id and action_id not in store.schema.actions:
                raise invalid(f"action id {action_id:#x} is not an action of table {store.schema.name}")
    metadata, controller_metadata = query.metadata, query.controller_metadata
    if not (action_id or metadata or controller_metadata):
        return entries
    result = []
    for handle, wire in entries:
        entry = p4r.TableEntry.FromString(wire)
        if action_id and entry.action.action.action_id != action_id:
            continue
        if metadata and entry.metadata != metadata:
            continue
        if controller_metadata and entry.controller_metadata != controller_metadata:
            continue
        result.append((handle, wire))
    return result


def key_of(wire: bytes) -> p4r.TableEntry:
    """What identifies an entry, as direct counter and meter entries name it."""
    entry = p4r.TableEntry.FromString(wire)
    return p4r.TableEntry(
        table_id=entry.table_id,
        match=entry.match,
        priority=entry.priority,
        is_default_action=entry.is_default_action,
    )
