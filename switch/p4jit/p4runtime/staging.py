# SPDX-License-Identifier: Apache-2.0
"""A device without a data plane: it keeps what is written, and processes no packets.

A pipeline that is saved and not yet committed is written to here; a pipeline to reconcile is tried here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from p4jit.target.interface import (
    ACTION_GROUP,
    ACTION_MEMBER,
    DEFAULT_ENTRY,
    CounterValue,
    DeviceError,
    Event,
    ExistsError,
    FullError,
    GroupMember,
    InUseError,
    LinkSpec,
    MeterRates,
    NotFoundError,
    Output,
    PortSpec,
    PortStatus,
    QueueSpec,
    Replica,
)

if TYPE_CHECKING:
    from p4jit.target.build import CompiledProgram

_ZERO = CounterValue(0, 0)


@dataclass(slots=True)
class StagedEntry:
    key: tuple[bytes, bytes | None, int, int]
    action: int
    data: bytes
    timeout: int
    counter: CounterValue = _ZERO
    meter: MeterRates | None = None


@dataclass(slots=True)
class StagedTable:
    max_size: int
    profile: int | None
    default: StagedEntry
    entries: dict[int, StagedEntry] = field(default_factory=dict)
    handles: dict[tuple[bytes, bytes | None, int, int], int] = field(default_factory=dict)
    next_handle: int = 0


@dataclass(slots=True)
class StagedProfile:
    max_size: int
    members: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    groups: dict[int, tuple[GroupMember, ...]] = field(default_factory=dict)
    next_handle: int = 0


class StagedDevice:
    """`DeviceInterface` for the control plane alone. ``ports`` are those of the device it stands for."""

    def __init__(self, device_id: int, cpu_port: int | None, ports: Sequence[PortStatus] = ()) -> None:
        self.device_id = device_id
        self._cpu_port = cpu_port
        self._ports = list(ports)
        self._program: CompiledProgram | None = None
        self.tables: list[StagedTable] = []
        self.profiles: list[StagedProfile] = []
        self.counters: list[list[CounterValue]] = []
        self.meters: list[list[MeterRates | None]] = []
        self.registers: list[list[int]] = []
        self.value_sets: list[list[tuple[tuple[int, int | None], ...]]] = []
        self.multicast: dict[int, tuple[Replica, ...]] = {}
        self.clones: dict[int, tuple[tuple[Replica, ...], int, int]] = {}

    @property
    def program(self) -> CompiledProgram | None:
        return self._program

    @property
    def cpu_port(self) -> int | None:
        return self._cpu_port

    def load(self, program: CompiledProgram) -> None:
        self._program = program
        self.tables = []
        for table, layout in zip(program.ir.tables, program.layout.tables, strict=True):
            profile = None if table.profile is None else table.profile.index
            staged = StagedTable(table.max_size, profile, StagedEntry((b"", None, 0, 0), -1, b"", 0))
            self.tables.append(staged)
            for entry in table.entries:
                encoded = layout.encode(entry.match)
                data = program.layout.actions[entry.call.action.index].encode(entry.call.arguments)
                priority = -(entry.priority or 0)
                key = (encoded.key, encoded.mask, encoded.prefix_length, priority)
                self._add(staged, StagedEntry(key, entry.call.action.index, data, 0))
        self.profiles = [StagedProfile(p.max_size) for p in program.ir.profiles]
        self.counters = [[_ZERO] * c.size for c in program.ir.counters]
        self.meters = [[None] * m.size for m in program.ir.meters]
        self.registers = [[0] * r.size for r in program.ir.registers]
        self.value_sets = [[] for _ in program.ir.value_sets]
        self.multicast, self.clones = {}, {}

    @contextmanager
    def frozen(self) -> Iterator[None]:
        yield

    # ---- tables ----------------------------------------------------------------------------------------

    def _add(self, table: StagedTable, entry: StagedEntry) -> int:
        handle = table.next_handle
        table.next_handle += 1
        table.entries[handle] = entry
        table.handles[entry.key] = handle
        return handle

    def table_insert(
        self,
        table: int,
        key: bytes,
        mask: bytes | None,
        prefix_length: int,
        priority: int,
        action: int,
        data: bytes,
        timeout: int = 0,
    ) -> int:
        staged = self.tables[table]
        full_key = (key, mask, prefix_length, priority)
        if full_key in staged.handles:
            raise ExistsError("the table already has this entry")
        if len(staged.entries) >= staged.max_size:
            raise FullError(f"the table holds {staged.max_size} entries")
        self._check_reference(staged, action, data)
        return self._add(staged, StagedEntry(full_key, action, data, timeout))

    def _check_reference(self, table: StagedTable, action: int, data: bytes) -> None:
        if table.profile is None:
            return
        profile = self.profiles[table.profile]
        known: dict[int, object] = {}
        known.update(profile.members if action == ACTION_MEMBER else profile.groups)
        if action not in (ACTION_MEMBER, ACTION_GROUP) or int.from_bytes(data, "little") not in known:
            raise NotFoundError("no such member or group")

    def table_modify(self, table: int, handle: int, action: int, data: bytes, timeout: int = 0) -> None:
        entry = self.entry(table, handle)
        self._check_reference(self.tables[table], action, data)
        entry.action, entry.data, entry.timeout = action, data, timeout

    def table_delete(self, table: int, handle: int) -> None:
        entry = self.tables[table].entries.pop(handle, None)
        if entry is None:
            raise NotFoundError("no such entry")
        del self.tables[table].handles[entry.key]

    def table_set_default(self, table: int, action: int, data: bytes) -> None:
        default = self.tables[table].default
        default.action, default.data = action, data

    def table_reset_default(self, table: int) -> None:
        self.table_set_default(table, -1, b"")

    def entry(self, table: int, handle: int) -> StagedEntry:
        if handle == DEFAULT_ENTRY:
            return self.tables[table].default
        if handle not in self.tables[table].entries:
            raise NotFoundError("no such entry")
        return self.tables[table].entries[handle]

    def entry_counter(self, table: int, handle: int) -> CounterValue:
        return self.entry(table, handle).counter

    def entry_set_counter(self, table: int, handle: int, value: CounterValue) -> None:
        self.entry(table, handle).counter = value

    def entry_idle(self, table: int, handle: int) -> int:
        self.entry(table, handle)
        return 0

    def entry_meter(self, table: int, handle: int) -> MeterRates | None:
        return self.entry(table, handle).meter

    def entry_set_meter(self, table: int, handle: int, rates: MeterRates | None) -> None:
        self.entry(table, handle).meter = rates

    # ---- action profiles -------------------------------------------------------------------------------

    def _in_use(self, profile: int, action: int, handle: int) -> bool:
        data = handle.to_bytes(4, "little")
        return any(
            entry.action == action and entry.data == data
            for table in self.tables
            if table.profile == profile
            for entry in table.entries.values()
        )

    def member_add(self, profile: int, action: int, data: bytes) -> int:
        staged = self.profiles[profile]
        if staged.max_size and len(staged.members) >= staged.max_size:
            raise FullError(f"the action profile holds {staged.max_size} members")
        handle = staged.next_handle
        staged.next_handle += 1
        staged.members[handle] = (action, data)
        return handle

    def member_modify(self, profile: int, member: int, action: int, data: bytes) -> None:
        if member not in self.profiles[profile].members:
            raise NotFoundError("no such member")
        self.profiles[profile].members[member] = (action, data)

    def member_delete(self, profile: int, member: int) -> None:
        staged = self.profiles[profile]
        if member not in staged.members:
            raise NotFoundError("no such member")
        grouped = any(m.member == member for members in staged.groups.values() for m in members)
        if grouped or self._in_use(profile, ACTION_MEMBER, member):
            raise InUseError("a group or an entry refers to the member")
        del staged.members[member]

    def group_add(self, profile: int, members: Sequence[GroupMember]) -> int:
        staged = self.profiles[profile]
        if any(m.member not in staged.members for m in members):
            raise NotFoundError("no such member")
        handle = staged.next_handle
        staged.next_handle += 1
        staged.groups[handle] = tuple(members)
        return handle

    def group_modify(self, profile: int, group: int, members: Sequence[GroupMember]) -> None:
        staged = self.profiles[profile]
        if group not in staged.groups or any(m.member not in staged.members for m in members):
            raise NotFoundError("no such group or member")
        staged.groups[group] = tuple(members)

    def group_delete(self, profile: int, group: int) -> None:
        if group not in self.profiles[profile].groups:
            raise NotFoundError("no such group")
        if self._in_use(profile, ACTION_GROUP, group):
            raise InUseError("an entry refers to the group")
        del self.profiles[profile].groups[group]

    # ---- externs ---------------------------------------------------------------------------------------

    def counter_read(self, counter: int, start: int, count: int) -> list[CounterValue]:
        _check_bounds(self.counters[counter], start, count)
        return self.counters[counter][start : start + count]

    def counter_write(self, counter: int, index: int, value: CounterValue) -> None:
        _check_bounds(self.counters[counter], index, 1)
        self.counters[counter][index] = value

    def meter_read(self, meter: int, index: int) -> MeterRates | None:
        _check_bounds(self.meters[meter], index, 1)
        return self.meters[meter][index]

    def meter_write(self, meter: int, index: int, rates: MeterRates | None) -> None:
        _check_bounds(self.meters[meter], index, 1)
        self.meters[meter][index] = rates

    def register_read(self, register: int, start: int, count: int) -> list[int]:
        _check_bounds(self.registers[register], start, count)
        return self.registers[register][start : start + count]

    def register_write(self, register: int, index: int, value: int) -> None:
        _check_bounds(self.registers[register], index, 1)
        self.registers[register][index] = value

    def value_set_write(self, value_set: int, members: Sequence[Sequence[tuple[int, int | None]]]) -> None:
        self.value_sets[value_set] = [tuple(member) for member in members]

    # ---- packet replication engine ---------------------------------------------------------------------

    def multicast_set(self, group: int, replicas: Sequence[Replica]) -> None:
        self.multicast[group] = tuple(replicas)

    def multicast_delete(self, group: int) -> None:
        if self.multicast.pop(group, None) is None:
            raise NotFoundError("no such multicast group")

    def clone_set(
        self, session: int, replicas: Sequence[Replica], class_of_service: int = 0, truncate: int = 0
    ) -> None:
        self.clones[session] = (tuple(replicas), class_of_service, truncate)

    def clone_delete(self, session: int) -> None:
        if self.clones.pop(session, None) is None:
            raise NotFoundError("no such clone session")

    # ---- what needs a data plane -----------------------------------------------------------------------

    def ports(self) -> list[PortStatus]:
        return list(self._ports)

    def port_add(self, number: int, spec: PortSpec) -> None:
        raise _no_data_plane()

    def port_remove(self, number: int) -> None:
        raise _no_data_plane()

    def port_set(
        self, number: int, *, link: LinkSpec | None = None, queues: Sequence[QueueSpec] | None = None
    ) -> None:
        raise _no_data_plane()

    def inject(self, port: int, data: bytes, at: int | None = None) -> None:
        raise _no_data_plane()

    def take_outputs(self) -> list[Output]:
        return []

    def poll_events(self, timeout: float) -> list[Event]:
        return []

    def close(self) -> None:
        """Nothing to free."""


def _no_data_plane() -> DeviceError:
    return DeviceError("the pipeline is saved, not committed: it processes no packets")


def _check_bounds(cells: Sequence[object], start: int, count: int) -> None:
    if not 0 <= start <= start + count <= len(cells):
        raise NotFoundError(f"cells {start} to {start + count - 1} are not all in the array")
