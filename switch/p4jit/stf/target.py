# SPDX-License-Identifier: Apache-2.0
"""What an STF test acts upon: the few operations its commands need, and their form on a p4jit device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from p4jit.codegen.layout import Layout
from p4jit.frontend import ir
from p4jit.stf import resolve
from p4jit.target.interface import (
    ACTION_GROUP,
    ACTION_MEMBER,
    CounterValue,
    DeviceError,
    DeviceInterface,
    GroupMember,
    MeterRates,
    Output,
    PortSpec,
    Replica,
)


class Target(Protocol):
    """A switch that runs ``program``. Methods raise DeviceError for what it refuses; handles are its own."""

    @property
    def program(self) -> ir.Program: ...

    def port_add(self, number: int) -> None: ...

    def insert(
        self, table: ir.Table, match: Sequence[ir.MatchValue], priority: int, call: ir.ActionCall
    ) -> int: ...
    def insert_indirect(
        self, table: ir.Table, match: Sequence[ir.MatchValue], priority: int, handle: int, group: bool
    ) -> int: ...
    def delete(self, table: ir.Table, handle: int) -> None: ...
    def set_default(self, table: ir.Table, call: ir.ActionCall) -> None: ...

    def member_add(self, profile: ir.ActionProfile, call: ir.ActionCall) -> int: ...
    def group_add(self, profile: ir.ActionProfile) -> int: ...
    def group_set(self, profile: ir.ActionProfile, group: int, members: Sequence[int]) -> None: ...

    def entry_counter(self, table: ir.Table, handle: int) -> CounterValue: ...
    def counter_read(self, counter: ir.CounterArray, index: int) -> CounterValue: ...
    def counter_write(self, counter: ir.CounterArray, index: int, value: CounterValue) -> None: ...
    def register_read(self, register: ir.RegisterArray, index: int) -> int: ...
    def register_write(self, register: ir.RegisterArray, index: int, value: int) -> None: ...
    def meter_read(self, meter: ir.MeterArray, index: int) -> MeterRates | None: ...
    def meter_write(self, meter: ir.MeterArray, index: int, rates: MeterRates) -> None: ...
    def entry_meter(self, table: ir.Table, handle: int) -> MeterRates | None: ...
    def entry_set_meter(self, table: ir.Table, handle: int, rates: MeterRates) -> None: ...
    def value_set(self, value_set: ir.ValueSet, values: Sequence[int]) -> None:
        """Set its members. Of several fields, the first is in the highest bits."""

    def multicast(self, group: int, replicas: Sequence[Replica]) -> None: ...
    def mirror(self, session: int, replicas: Sequence[Replica]) -> None: ...
    def mirror_delete(self, session: int) -> None: ...

    def send(self, port: int, data: bytes) -> None:
        """Give it the frame and let it finish with it."""

    def outputs(self) -> list[Output]:
        """Frames that have left since the last call, in order."""

    def wait(self, nanoseconds: int) -> None: ...


class VirtualDevice(DeviceInterface, Protocol):
    """A device whose clock is stepped."""

    @property
    def now(self) -> int: ...
    def run_until(self, time: int) -> None: ...
    def next_event(self) -> int | None: ...


class DeviceTarget:
    """A p4jit device in virtual time, its program loaded, with memory ports."""

    def __init__(self, device: VirtualDevice) -> None:
        if device.program is None:
            raise DeviceError("the device has no program: load one first")
        self._device = device
        self._layout: Layout = device.program.layout
        self.program: ir.Program = device.program.ir

    def port_add(self, number: int) -> None:
        self._device.port_add(number, PortSpec(kind="memory"))

    def _data(self, call: ir.ActionCall) -> bytes:
        return self._layout.actions[call.action.index].encode(call.arguments)

    def insert(
        self, table: ir.Table, match: Sequence[ir.MatchValue], priority: int, call: ir.ActionCall
    ) -> int:
        return self._insert(table, match, priority, call.action.index, self._data(call))

    def insert_indirect(
        self, table: ir.Table, match: Sequence[ir.MatchValue], priority: int, handle: int, group: bool
    ) -> int:
        action = ACTION_GROUP if group else ACTION_MEMBER
        return self._insert(table, match, priority, action, handle.to_bytes(4, "little"))

    def _insert(
        self, table: ir.Table, match: Sequence[ir.MatchValue], priority: int, action: int, data: bytes
    ) -> int:
        encoded = self._layout.tables[table.index].encode(match)
        return self._device.table_insert(
            table.index,
            encoded.key,
            encoded.mask,
            encoded.prefix_length,
            priority,
            action,
            data,
        )

    def delete(self, table: ir.Table, handle: int) -> None:
        self._device.table_delete(table.index, handle)

    def set_default(self, table: ir.Table, call: ir.ActionCall) -> None:
        self._device.table_set_default(table.index, call.action.index, self._data(call))

    def member_add(self, profile: ir.ActionProfile, call: ir.ActionCall) -> int:
        return self._device.member_add(profile.index, call.action.index, self._data(call))

    def group_add(self, profile: ir.ActionProfile) -> int:
        return self._device.group_add(profile.index, ())

    def group_set(self, profile: ir.ActionProfile, group: int, members: Sequence[int]) -> None:
        self._device.group_modify(profile.index, group, [GroupMember(m) for m in members])

    def entry_counter(self, table: ir.Table, handle: int) -> CounterValue:
        return self._device.entry_counter(table.index, handle)

    def counter_read(self, counter: ir.CounterArray, index: int) -> CounterValue:
        return self._device.counter_read(counter.index, index, 1)[0]

    def counter_write(self, counter: ir.CounterArray, index: int, value: CounterValue) -> None:
        self._device.counter_write(counter.index, index, value)

    def register_read(self, register: ir.RegisterArray, index: int) -> int:
        return self._device.register_read(register.index, index, 1)[0]

    def register_write(self, register: ir.RegisterArray, index: int, value: int) -> None:
        self._device.register_write(register.index, index, value)

    def meter_read(self, meter: ir.MeterArray, index: int) -> MeterRates | None:
        return self._device.meter_read(meter.index, index)

    def meter_write(self, meter: ir.MeterArray, index: int, rates: MeterRates) -> None:
        self._device.meter_write(meter.index, index, rates)

    def entry_meter(self, table: ir.Table, handle: int) -> MeterRates | None:
        return self._device.entry_meter(table.index, handle)

    def entry_set_meter(self, table: ir.Table, handle: int, rates: MeterRates) -> None:
        self._device.entry_set_meter(table.index, handle, rates)

    def value_set(self, value_set: ir.ValueSet, values: Sequence[int]) -> None:
        widths = resolve.value_set_widths(self.program, value_set)
        members = []
        for value in values:
            fields: list[tuple[int, int | None]] = []
            for width in reversed(widths):
                fields.append((value & ((1 << width) - 1), None))
                value >>= width
            members.append(fields[::-1])
        self._device.value_set_write(value_set.index, members)

    def multicast(self, group: int, replicas: Sequence[Replica]) -> None:
        self._device.multicast_set(group, replicas)

    def mirror(self, session: int, replicas: Sequence[Replica]) -> None:
        self._device.clone_set(session, replicas)

    def mirror_delete(self, session: int) -> None:
        self._device.clone_delete(session)

    def send(self, port: int, data: bytes) -> None:
        self._device.inject(port, data)
        while (time := self._device.next_event()) is not None:
            self._device.run_until(time)

    def outputs(self) -> list[Output]:
        return self._device.take_outputs()

    def wait(self, nanoseconds: int) -> None:
        self._device.run_until(self._device.now + nanoseconds)
