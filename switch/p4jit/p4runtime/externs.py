# SPDX-License-Identifier: Apache-2.0
"""Counters, meters and registers that are arrays of cells (P4Runtime 1.4.1, "CounterEntry", "MeterEntry",
"RegisterEntry")."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TypeVar

from finsy.proto import p4d, p4r

from p4jit.p4runtime.meters import (
    decode_counter,
    decode_meter,
    encode_counter,
    encode_meter,
    refuse_meter_counters,
)
from p4jit.p4runtime.objects import CounterSchema, MeterSchema, RegisterSchema
from p4jit.p4runtime.operations import Operation, Undo, modify_only
from p4jit.p4runtime.schema import Schema
from p4jit.p4runtime.status import P4Error, invalid, not_found, out_of_range
from p4jit.p4runtime.wire import ENTITY_COUNTER, ENTITY_METER, ENTITY_REGISTER, entity
from p4jit.target.interface import CounterValue, DeviceInterface, MeterRates

_Array = CounterSchema | MeterSchema | RegisterSchema
_A = TypeVar("_A", CounterSchema, MeterSchema, RegisterSchema)
_ArrayEntry = p4r.CounterEntry | p4r.MeterEntry | p4r.RegisterEntry


def _cells(array: _Array, entry: _ArrayEntry) -> range:
    """The cells an entry names: one, or all without an index. Raises P4Error."""
    if not entry.HasField("index"):
        return range(array.size)
    index = entry.index.index
    if index < 0:
        raise invalid(f"{array.name}: index {index} is negative")
    if index >= array.size:
        raise out_of_range(f"{array.name}: index {index} is beyond its size, {array.size}")
    return range(index, index + 1)


class ArrayStore:
    """The cells live in the device; nothing is kept here."""

    def __init__(self, schema: Schema, device: DeviceInterface) -> None:
        self._schema = schema
        self._device = device

    # ---- counters --------------------------------------------------------------------------------------

    def decode_counter(self, kind: int, entry: p4r.CounterEntry) -> Operation:
        """Raises P4Error."""
        modify_only(kind, "a counter")
        array = _known(self._schema.counters, entry.counter_id, "counter")
        cells = _cells(array, entry)
        if not entry.HasField("data"):
            return _no_change
        value = decode_counter(entry.data)
        return partial(self._write_counters, array, dict.fromkeys(cells, value))

    def _write_counters(self, array: CounterSchema, values: dict[int, CounterValue], undo: Undo) -> None:
        before = None
        if undo is not None and values:
            first = min(values)
            read = self._device.counter_read(array.index, first, len(values))
            before = dict(zip(range(first, first + len(values)), read, strict=True))
        for index, value in values.items():
            self._device.counter_write(array.index, index, value)
        if undo is not None and before is not None:
            undo.append(partial(self._write_counters, array, before, None))

    def read_counters(self, entry: p4r.CounterEntry) -> list[bytes]:
        """Elements of ReadResponse.entities. Raises P4Error."""
        result = []
        for array in _selected(self._schema.counters, entry.counter_id, entry, "counter"):
            cells = _cells(array, entry)
            values = self._device.counter_read(array.index, cells.start, len(cells)) if cells else []
            for index, value in zip(cells, values, strict=True):
                found = p4r.CounterEntry(counter_id=array.id, data=encode_counter(value))
                found.index.index = index
                result.append(entity(ENTITY_COUNTER, found.SerializeToString()))
        return result

    # ---- meters ----------------------------------------------------------------------------------------

    def decode_meter(self, kind: int, entry: p4r.MeterEntry) -> Operation:
        """Raises P4Error."""
        modify_only(kind, "a meter")
        if entry.HasField("counter_data"):
            refuse_meter_counters()
        array = _known(self._schema.meters, entry.meter_id, "meter")
        cells = _cells(array, entry)
        rates = decode_meter(entry.config, array.spec) if entry.HasField("config") else None
        return partial(self._write_meters, array, dict.fromkeys(cells, rates))

    def _write_meters(self, array: MeterSchema, values: dict[int, MeterRates | None], undo: Undo) -> None:
        before = None
        if undo is not None:
            before = {index: self._device.meter_read(array.index, index) for index in values}
        for index, rates in values.items():
            self._device.meter_write(array.index, index, rates)
        if undo is not None and before is not None:
            undo.append(partial(self._write_meters, array, before, None))

    def read_meters(self, entry: p4r.MeterEntry) -> list[bytes]:
        """Elements of ReadResponse.entities. Raises P4Error."""
        if entry.HasField("counter_data"):
            refuse_meter_counters()
        result = []
        for array in _selected(self._schema.meters, entry.meter_id, entry, "meter"):
            for index in _cells(array, entry):
                found = p4r.MeterEntry(meter_id=array.id)
                found.index.index = index
                rates = self._device.meter_read(array.index, index)
                if rates is not None:
                    found.config.CopyFrom(encode_meter(rates))
                result.append(entity(ENTITY_METER, found.SerializeToString()))
        return result

    # ---- registers -------------------------------------------------------------------------------------

    def decode_register(self, kind: int, entry: p4r.RegisterEntry) -> Operation:
        """Raises P4Error."""
        modify_only(kind, "a register")
        array = _known(self._schema.registers, entry.register_id, "register")
        cells = _cells(array, entry)
        if not entry.HasField("data"):
            raise invalid(f"{array.name}: data must be set")
        value = decode_data(array, entry.data)
        return partial(self._write_registers, array, dict.fromkeys(cells, value))

    def _write_registers(self, array: RegisterSchema, values: dict[int, int], undo: Undo) -> None:
        before = None
        if undo is not None and values:
            first = min(values)
            read = self._device.register_read(array.index, first, len(values))
            before = dict(zip(range(first, first + len(values)), read, strict=True))
        for index, value in values.items():
            self._device.register_write(array.index, index, value)
        if undo is not None and before is not None:
            undo.append(partial(self._write_registers, array, before, None))

    def read_registers(self, entry: p4r.RegisterEntry) -> list[bytes]:
        """Elements of ReadResponse.entities. Raises P4Error."""
        result = []
        for array in _selected(self._schema.registers, entry.register_id, entry, "register"):
            cells = _cells(array, entry)
            values = self._device.register_read(array.index, cells.start, len(cells)) if cells else []
            for index, value in zip(cells, values, strict=True):
                found = p4r.RegisterEntry(register_id=array.id, data=array.codec.encode(iter([value])))
                found.index.index = index
                result.append(entity(ENTITY_REGISTER, found.SerializeToString()))
        return result


def decode_data(array: RegisterSchema, data: p4d.P4Data) -> int:
    """The value of one cell. Raises P4Error (INVALID_ARGUMENT for whatever does not match the type)."""
    values: list[int] = []
    try:
        array.codec.decode(data, values)
    except P4Error as error:
        raise invalid(f"{array.name}: {error.message}") from None
    return values[0]


def _known(arrays: Mapping[int, _A], array_id: int, kind: str) -> _A:
    if array_id == 0:
        raise invalid(f"{kind}_id must be set")
    if array_id not in arrays:
        raise not_found(f"the P4Info has no {kind} with id {array_id:#x}")
    return arrays[array_id]


def _selected(arrays: Mapping[int, _A], array_id: int, entry: _ArrayEntry, kind: str) -> list[_A]:
    """The arrays that a query names: one, or all for id 0."""
    if array_id:
        return [_known(arrays, array_id, kind)]
    if entry.HasField("index"):
        raise invalid("an index needs the id of its array")
    return list(arrays.values())


def _no_change(undo: Undo) -> None:
    """An update without data."""
