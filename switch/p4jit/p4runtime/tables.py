# SPDX-License-Identifier: Apache-2.0
"""Entries of match-action tables (P4Runtime 1.4.1, section "TableEntry").

A store is the server's record of one table: for each match key the device's handle and the entry as it is
read back. Tables with an action profile are in `indirect`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from finsy.proto import p4r

from p4jit.frontend import ir
from p4jit.p4runtime.actions import EncodedAction, action_to_proto, decode_action
from p4jit.p4runtime.match import EncodedKey, KeyCodec
from p4jit.p4runtime.objects import TableSchema
from p4jit.p4runtime.operations import DELETE, INSERT, Operation, Undo
from p4jit.p4runtime.status import denied, exists, invalid, not_found
from p4jit.p4runtime.table_checks import TableChecks
from p4jit.target.interface import DEFAULT_ENTRY, CounterValue, DeviceInterface, MeterRates

#: The encoded key of an exact table; with mask, prefix length and priority for the others.
EntryKey = bytes | tuple[bytes, bytes | None, int, int]
#: Device handle, and the serialized TableEntry without its direct resources.
Entry = tuple[int, bytes]
#: Action index, action data, and what the entry alone refers to (see `indirect`).
Bound = tuple[int, bytes, Any]

_ZERO = CounterValue(0, 0)


def initial_priority(json_priority: int, largest: int) -> int:
    """P4Runtime priority of an entry of the program. The JSON prefers the smaller number, P4Runtime the
    larger: the first of N entries has N, as p4c's own list of entries says."""
    return largest + 1 - json_priority


class TableStore:
    """One table whose entries hold actions directly."""

    def __init__(self, schema: TableSchema, device: DeviceInterface) -> None:
        self.schema = schema
        self._device = device
        self._checks = TableChecks(schema)
        self._keys = KeyCodec(schema.fields, schema.layout)
        self._single = schema.layout.table.kind is ir.MatchKind.EXACT
        self._entries: dict[EntryKey, Entry] = {}
        self._by_handle: dict[int, EntryKey] = {}
        #: The default entry once it has been modified.
        self._default: bytes | None = None
        self._add_initial()

    # ---- decoding: what depends on the request alone ---------------------------------------------------

    def decode(self, kind: int, entry: p4r.TableEntry) -> Operation:
        """Raises P4Error. Takes ``entry`` over."""
        if kind == INSERT:
            return self._decode_insert(entry)
        if kind == DELETE:
            if entry.is_default_action:
                raise invalid("the default entry cannot be deleted; modify it without an action to reset it")
            self._checks.check_mutable(entry)
            key = self._keys.decode(entry.match)
            return partial(self._delete, self._entry_key(key, self._checks.priority(entry)), key)
        if entry.is_default_action:
            return self._decode_default(entry)
        return self._decode_modify(entry)

    def _decode_insert(self, entry: p4r.TableEntry) -> Operation:
        schema = self.schema
        if entry.is_default_action:
            raise invalid("the default entry is always set: modify it")
        self._checks.check_mutable(entry)
        if not schema.fields:
            raise invalid(f"table {schema.name} has no key: it has a default entry only")
        key = self._keys.decode(entry.match)
        priority = self._checks.priority(entry)
        if not entry.HasField("action"):
            raise invalid("an entry needs an action")
        binding = self._decode_action(entry.action)
        timeout = self._checks.timeout(entry)
        counter, meter = self._checks.take_direct(entry)
        return partial(
            self._insert, key, priority, binding, timeout, counter, meter, entry.SerializeToString()
        )

    def _decode_modify(self, entry: p4r.TableEntry) -> Operation:
        schema = self.schema
        if entry.is_const:
            raise invalid("is_const must not be set in an update")
        key = self._entry_key(self._keys.decode(entry.match), self._checks.priority(entry))
        timeout = self._checks.timeout(entry)
        if schema.const:
            if entry.HasField("action") or entry.metadata or entry.controller_metadata:
                raise denied(f"table {schema.name} is const: only direct resources can be modified")
            if timeout:
                raise invalid("a const entry has no idle timeout")
        binding = self._decode_action(entry.action) if entry.HasField("action") else None
        counter, meter = self._checks.take_direct(entry)
        return partial(self._modify, key, binding, timeout, counter, meter, entry)

    def _decode_default(self, entry: p4r.TableEntry) -> Operation:
        schema = self.schema
        self._checks.check_default(entry)
        if entry.is_const:
            raise invalid("is_const must not be set in an update")
        if schema.const_default or schema.profile is not None:
            raise denied(f"the default entry of table {schema.name} is const")
        if not entry.HasField("action"):
            return self._reset_default
        if entry.action.WhichOneof("type") != "action":
            raise invalid("the default entry takes an action")
        action_id = entry.action.action.action_id
        action, data = decode_action(schema.actions, entry.action.action)
        if action_id not in schema.default_actions:
            raise denied(f"{schema.actions[action_id].name} cannot be the default action")
        default = schema.ir.default
        if schema.ir.default_action_const and default is not None and default.action.index != action:
            raise denied(f"the default action of table {schema.name} is const")
        counter, meter = self._checks.take_direct(entry)
        return partial(self._set_default, action, data, counter, meter, entry.SerializeToString())

    def _decode_action(self, action: p4r.TableAction) -> Any:
        """A binding for `_acquire`."""
        if not action.HasField("action"):
            raise invalid(
                f"table {self.schema.name} takes an action, not {action.WhichOneof('type') or 'nothing'}"
            )
        encoded = decode_action(self.schema.actions, action.action)
        if action.action.action_id not in self.schema.entry_actions:
            raise denied(
                f"{self.schema.actions[action.action.action_id].name} can only be the default action"
            )
        return encoded

    def mask_of(self, matches: Iterable[p4r.FieldMatch]) -> int | None:
        """The mask of a key with only these fields; None for a table without one. Raises P4Error."""
        mask = self._keys.decode([p4r.FieldMatch.FromString(m.SerializeToString()) for m in matches])[1]
        return None if mask is None else int.from_bytes(mask, "little")

    def _entry_key(self, key: EncodedKey, priority: int) -> EntryKey:
        return key[0] if self._single else (*key, priority)

    # ---- applying --------------------------------------------------------------------------------------
    # The first three are for updates without direct resources or timeout: see `templates`.

    def insert_plain(
        self, key: EncodedKey, priority: int, action: EncodedAction, wire: bytes, undo: Undo
    ) -> None:
        entry_key: EntryKey = key[0] if self._single else (*key, priority)
        if entry_key in self._entries:
            raise exists(f"table {self.schema.name} already has this entry")
        handle = self._device.table_insert(self.schema.index, *key, priority, *action)
        self._entries[entry_key] = (handle, wire)
        if self.schema.idle_timeout:
            self._by_handle[handle] = entry_key
        if undo is not None:
            undo.append(partial(self._delete, entry_key, key, None))

    def modify_plain(
        self, key: EncodedKey, priority: int, action: EncodedAction, wire: bytes, undo: Undo
    ) -> None:
        entry_key: EntryKey = key[0] if self._single else (*key, priority)
        if undo is not None or self.schema.meter is not None:
            self._modify(entry_key, action, 0, None, None, p4r.TableEntry.FromString(wire), undo)
            return
        old = self._entries.get(entry_key)
        if old is None:
            raise not_found(f"table {self.schema.name} has no such entry")
        self._device.table_modify(self.schema.index, old[0], *action)
        self._entries[entry_key] = (old[0], wire)

    def delete_plain(self, key: EncodedKey, priority: int, undo: Undo) -> None:
        self._delete(key[0] if self._single else (*key, priority), key, undo)

    def _acquire(self, binding: Any) -> Bound:
        action, data = binding
        return action, data, None

    def _current(self, key: EntryKey, entry: p4r.TableEntry) -> EncodedAction:
        """What an existing entry is bound to."""
        return decode_action(self.schema.actions, entry.action.action)

    def _hold(self, key: EntryKey, resource: Any) -> None:
        """Remember what the entry alone refers to."""

    def _release(self, key: EntryKey) -> None:
        """Free what the entry alone referred to."""

    def _give_back(self, resource: Any) -> None:
        """Free what was acquired for an entry that was then refused."""

    def _insert(
        self,
        key: EncodedKey,
        priority: int,
        binding: Any,
        timeout: int,
        counter: CounterValue | None,
        meter: MeterRates | None,
        wire: bytes,
        undo: Undo,
    ) -> None:
        entry_key = self._entry_key(key, priority)
        if entry_key in self._entries:
            raise exists(f"table {self.schema.name} already has this entry")
        action, data, resource = self._acquire(binding)
        try:
            if counter is None and meter is None:
                handle = self._device.table_insert(self.schema.index, *key, priority, action, data, timeout)
            else:
                handle = self._insert_with_direct(key, priority, action, data, timeout, counter, meter)
        except Exception:
            self._give_back(resource)
            raise
        self._entries[entry_key] = (handle, wire)
        if resource is not None:
            self._hold(entry_key, resource)
        if self.schema.idle_timeout:
            self._by_handle[handle] = entry_key
        if undo is not None:
            undo.append(partial(self._delete, entry_key, key, None))

    def _insert_with_direct(
        self,
        key: EncodedKey,
        priority: int,
        action: int,
        data: bytes,
        timeout: int,
        counter: CounterValue | None,
        meter: MeterRates | None,
    ) -> int:
        table = self.schema.index
        with self._device.frozen():
            handle = self._device.table_insert(table, *key, priority, action, data, timeout)
            try:
                if counter is not None:
                    self._device.entry_set_counter(table, handle, counter)
                if meter is not None:
                    self._device.entry_set_meter(table, handle, meter)
            except Exception:
                self._device.table_delete(table, handle)
                raise
        return handle

    def _delete(self, entry_key: EntryKey, key: EncodedKey, undo: Undo) -> None:
        entry = self._entries.get(entry_key)
        if entry is None:
            raise not_found(f"table {self.schema.name} has no such entry")
        handle, wire = entry
        if undo is not None:
            counter, meter = self._direct(handle)
            undo.append(partial(self._put_back, key, wire, counter, meter))
        try:
            self._device.table_delete(self.schema.index, handle)
        except Exception:
            if undo is not None:
                undo.pop()
            raise
        del self._entries[entry_key]
        self._by_handle.pop(handle, None)
        self._release(entry_key)

    def _put_back(
        self, key: EncodedKey, wire: bytes, counter: CounterValue | None, meter: MeterRates | None
    ) -> None:
        entry = p4r.TableEntry.FromString(wire)
        binding = self._decode_action(entry.action)
        self._insert(key, entry.priority, binding, entry.idle_timeout_ns, counter, meter, wire, None)

    def _modify(
        self,
        key: EntryKey,
        binding: Any,
        timeout: int,
        counter: CounterValue | None,
        meter: MeterRates | None,
        entry: p4r.TableEntry,
        undo: Undo,
    ) -> None:
        """``binding`` None leaves the action as it is."""
        old = self._entries.get(key)
        if old is None:
            raise not_found(f"table {self.schema.name} has no such entry")
        handle, old_wire = old
        table = self.schema.index
        composite = counter is not None or self.schema.meter is not None
        before = self._direct(handle) if undo is not None or composite else (None, None)
        resource = None
        changed = False
        try:
            with self._device.frozen():
                if binding is not None:
                    action, data, resource = self._acquire(binding)
                    self._device.table_modify(table, handle, action, data, timeout)
                elif not self.schema.const:
                    previous = p4r.TableEntry.FromString(old_wire)
                    action, data = self._current(key, previous)
                    self._device.table_modify(table, handle, action, data, timeout)
                    entry.action.CopyFrom(previous.action)
                changed = True
                self._write_direct(handle, counter, meter)
        except Exception:
            if changed:
                previous = p4r.TableEntry.FromString(old_wire)
                action, data = self._current(key, previous)
                self._device.table_modify(table, handle, action, data, previous.idle_timeout_ns)
                self._write_direct(handle, *before)
            self._give_back(resource)
            raise
        if not self.schema.const:
            self._entries[key] = (handle, entry.SerializeToString())
        if undo is not None:
            undo.append(partial(self._modify_back, key, old_wire, *before))
        if binding is not None:
            self._release(key)
            if resource is not None:
                self._hold(key, resource)

    def _write_direct(self, handle: int, counter: CounterValue | None, meter: MeterRates | None) -> None:
        """A counter is left alone without a value; a meter without rates is reset, as MODIFY does."""
        if counter is not None:
            self._device.entry_set_counter(self.schema.index, handle, counter)
        if self.schema.meter is not None:
            self._device.entry_set_meter(self.schema.index, handle, meter)

    def _modify_back(
        self, key: EntryKey, wire: bytes, counter: CounterValue | None, meter: MeterRates | None
    ) -> None:
        entry = p4r.TableEntry.FromString(wire)
        binding = None if self.schema.const else self._decode_action(entry.action)
        self._modify(key, binding, entry.idle_timeout_ns, counter, meter, entry, None)

    def _set_default(
        self,
        action: int,
        data: bytes,
        counter: CounterValue | None,
        meter: MeterRates | None,
        wire: bytes,
        undo: Undo,
    ) -> None:
        back = self._default_back()
        try:
            with self._device.frozen():
                self._device.table_set_default(self.schema.index, action, data)
                self._write_direct(DEFAULT_ENTRY, counter, meter)
        except Exception:
            back()
            raise
        self._default = wire
        if undo is not None:
            undo.append(back)

    def _reset_default(self, undo: Undo) -> None:
        back = self._default_back()
        with self._device.frozen():
            self._device.table_reset_default(self.schema.index)
            self._write_direct(DEFAULT_ENTRY, _ZERO if self.schema.counter is not None else None, None)
        self._default = None
        if undo is not None:
            undo.append(back)

    def _default_back(self) -> Callable[[], None]:
        """What restores the default entry as it is now."""
        direct, wire = self._direct(DEFAULT_ENTRY), self._default

        def back() -> None:
            if wire is None:
                self._device.table_reset_default(self.schema.index)
            else:
                entry = p4r.TableEntry.FromString(wire)
                encoded = decode_action(self.schema.actions, entry.action.action)
                self._device.table_set_default(self.schema.index, *encoded)
            self._write_direct(DEFAULT_ENTRY, *direct)
            self._default = wire

        return back

    def _direct(self, handle: int) -> tuple[CounterValue | None, MeterRates | None]:
        """The direct resources of an entry, as far as the table has any."""
        table = self.schema.index
        counter = self._device.entry_counter(table, handle) if self.schema.counter is not None else None
        meter = self._device.entry_meter(table, handle) if self.schema.meter is not None else None
        return counter, meter

    # ---- the program's own entries ---------------------------------------------------------------------

    def _add_initial(self) -> None:
        """Record the entries that the program starts with: the device numbers them from 0, in order."""
        table = self.schema.ir
        priorities = [e.priority for e in table.entries if e.priority is not None]
        largest = max(priorities, default=0)
        by_index = {a.index: a for a in self.schema.actions.values()}
        for handle, initial in enumerate(table.entries):
            entry = p4r.TableEntry(table_id=self.schema.id, is_const=self.schema.const)
            entry.match.extend(self._keys.to_proto(initial.match))
            if self.schema.prioritized:
                own = len(table.entries) - handle
                entry.priority = (
                    own if initial.priority is None else initial_priority(initial.priority, largest)
                )
            action = by_index[initial.call.action.index]
            entry.action.action.CopyFrom(action_to_proto(action, initial.call.arguments))
            key = self._entry_key(self._keys.decode(entry.match), entry.priority)
            self._entries[key] = (handle, entry.SerializeToString())
            if self.schema.idle_timeout:
                self._by_handle[handle] = key

    # ---- looking up and reading ------------------------------------------------------------------------

    def handle_of(self, entry: p4r.TableEntry) -> int:
        """Device handle of the entry, or default entry, with this key. Raises P4Error (NOT_FOUND,
        INVALID_ARGUMENT)."""
        if entry.is_default_action:
            self._checks.check_default(entry)
            return DEFAULT_ENTRY
        key = self._entry_key(self._keys.decode(entry.match), self._checks.priority(entry))
        if key not in self._entries:
            raise not_found(f"table {self.schema.name} has no such entry")
        return self._entries[key][0]

    def expire(self, handle: int) -> p4r.TableEntry | None:
        """The entry that has been idle, for its notification; None if it is gone. Its timer starts again:
        the device reports an entry once, P4Runtime wants it reported as often as it times out."""
        key = self._by_handle.get(handle)
        if key is None:
            return None
        entry = p4r.TableEntry.FromString(self._entries[key][1])
        action, data = self._current(key, entry)
        self._device.table_modify(self.schema.index, handle, action, data, entry.idle_timeout_ns)
        entry.ClearField("action")
        return entry

    def default_entry(self) -> bytes:
        """The serialized default entry."""
        if self._default is not None:
            return self._default
        entry = p4r.TableEntry(table_id=self.schema.id, is_default_action=True)
        default = self.schema.ir.default
        by_index = {a.index: a for a in self.schema.actions.values()}
        if default is not None and default.action.index in by_index:
            action = by_index[default.action.index]
            entry.action.action.CopyFrom(action_to_proto(action, default.arguments))
        entry.is_const = self.schema.const_default
        return entry.SerializeToString()

    @property
    def default_modified(self) -> bool:
        return self._default is not None

    def entries(self) -> Iterable[Entry]:
        return self._entries.values()

    def select(self, query: p4r.TableEntry) -> Iterable[Entry]:
        """Handles and entries that ``query`` filters by match and priority. Raises P4Error."""
        if query.is_default_action:
            self._checks.check_default_query(query)
            return [(DEFAULT_ENTRY, self.default_entry())]
        priority = query.priority
        if priority and not self.schema.prioritized:
            raise invalid(f"entries of table {self.schema.name} have no priority")
        if priority < 0:
            raise invalid("a priority cannot be negative")
        if not query.match:
            if not priority:
                return list(self._entries.values())
            return [e for k, e in self._entries.items() if k[3] == priority]
        key = self._keys.decode(query.match)
        if self.schema.prioritized and not priority:
            return [e for k, e in self._entries.items() if k[:3] == key]
        found = self._entries.get(self._entry_key(key, priority))
        return [] if found is None else [found]
