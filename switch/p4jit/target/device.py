# SPDX-License-Identifier: Apache-2.0
"""A device: the runtime's handle behind `interface.DeviceInterface`."""

from __future__ import annotations

import ctypes as c
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Literal, Self

from p4jit.codegen.layout import storage_bytes
from p4jit.codegen.parser import value_set_words
from p4jit.target import native
from p4jit.target.build import CompiledProgram
from p4jit.target.events import assertions, decode_events
from p4jit.target.interface import (
    CounterValue,
    DeviceError,
    Event,
    GroupMember,
    LinkSpec,
    MeterRates,
    NotFoundError,
    Output,
    PortSpec,
    PortStatus,
    QueueSpec,
    QueueStatus,
    Replica,
)
from p4jit.target.priorities import check_priorities
from p4jit.target.startup import initialise

_ERROR_BYTES = 1024
_EVENT_BYTES = 1 << 16
_OUTPUT_HEAD = struct.Struct("<QII")
#: Further passes (resubmit, recirculate) one injected frame may cause before it is held to go round for ever.
MAX_PASSES = 100_000
MAX_QUEUES = 8


class Device:
    """One switch. With ``clock="virtual"`` time is stepped by `inject` and `run_until`; with "wall" a thread
    carries packets once `start` was called.

    ``seed`` fixes the random numbers of the program; None draws one for a wall clock, and is 0 for a virtual
    one. A priority beyond ``queues`` takes the top queue if ``clamp_priority``; otherwise a program that
    would use one is refused by `load` where that can be seen, and its packet dropped where it cannot.
    """

    def __init__(
        self,
        device_id: int = 1,
        *,
        clock: Literal["wall", "virtual"] = "wall",
        queues: int = MAX_QUEUES,
        drop_port: int = 511,
        cpu_port: int | None = None,
        seed: int | None = None,
        clamp_priority: bool = False,
    ) -> None:
        if not 1 <= queues <= MAX_QUEUES:
            raise DeviceError(f"{queues} queues a port: choose 1 to {MAX_QUEUES}")
        if cpu_port == drop_port:
            raise DeviceError(
                f"port {drop_port} is both the CPU port and the drop port: choose another for one of them"
            )
        self.device_id = device_id
        self.virtual = clock == "virtual"
        self.queues = queues
        self.drop_port = drop_port
        self._cpu_port = cpu_port
        self._clamp = clamp_priority
        if seed is None:
            seed = 0 if self.virtual else int.from_bytes(os.urandom(8), "little")
        self._lib = native.library()
        self._names: dict[int, str] = {}
        self._program: CompiledProgram | None = None
        self._assertions: frozenset[int] = frozenset()
        error = c.create_string_buffer(_ERROR_BYTES)
        config = native.DeviceConfig(
            self.virtual,
            clamp_priority,
            (c.c_uint8 * 2)(),
            queues,
            drop_port,
            native.NO_PORT if cpu_port is None else cpu_port,
            seed,
        )
        handle = self._lib.p4_device_new(c.byref(config), error, _ERROR_BYTES)
        if not handle:
            raise DeviceError(error.value.decode(errors="replace"))
        self._handle: int | None = handle
        self._events = self._lib.p4_device_events(handle)
        self._event_buffer = c.create_string_buffer(_EVENT_BYTES)

    # ---- life --------------------------------------------------------------------------------------------

    @property
    def program(self) -> CompiledProgram | None:
        return self._program

    @property
    def cpu_port(self) -> int | None:
        return self._cpu_port

    def _device(self) -> int:
        if self._handle is None:
            raise DeviceError(f"device {self.device_id} is closed")
        return self._handle

    def load(self, program: CompiledProgram) -> None:
        """Run this program from the next packet on, with its initial state. Ports stay. On DeviceError
        nothing has changed."""
        if not self._clamp:
            check_priorities(program.ir, self.queues)
        error = c.create_string_buffer(_ERROR_BYTES)
        with self.frozen():
            status = self._lib.p4_device_load(
                self._device(), os.fsencode(program.library), error, _ERROR_BYTES
            )
            if status != 0:
                raise DeviceError(error.value.decode(errors="replace"))
            self._program = program
            self._assertions = assertions(program.ir)
            initialise(self, program)

    def start(self) -> None:
        """Carry packets from now on (wall clock)."""
        native.check(self._lib.p4_device_start(self._device()), "cannot start the worker")

    def stop(self) -> None:
        self._lib.p4_device_stop(self._device())

    def close(self) -> None:
        if self._handle is not None:
            handle, self._handle = self._handle, None
            self._lib.p4_device_free(handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        handle = self._device()
        self._lib.p4_device_lock(handle)
        try:
            yield
        finally:
            self._lib.p4_device_unlock(handle)

    @property
    def now(self) -> int:
        """Nanoseconds since the device was made, on its clock."""
        return int(self._lib.p4_device_now(self._device()))

    @property
    def epoch(self) -> int:
        """Nanoseconds from the Unix epoch to the device's time 0; 0 on a virtual clock."""
        return int(self._lib.p4_device_epoch(self._device()))

    def drops(self) -> dict[str, int]:
        """Packets that ended in the device, by reason."""
        drops = native.Drops()
        self._lib.p4_device_drops(self._device(), c.byref(drops))
        return {name: getattr(drops, name) for name in native.DROP_REASONS}

    # ---- tables ------------------------------------------------------------------------------------------

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
        handle = c.c_uint32()
        status = self._lib.p4_control_insert(
            self._device(),
            table,
            key,
            mask,
            prefix_length,
            priority,
            action,
            data,
            len(data),
            timeout,
            c.byref(handle),
        )
        if status != 0:
            native.check(status, f"inserting into {self._table_name(table)}")
        return handle.value

    def _table_name(self, table: int) -> str:
        if self._program is None or table >= len(self._program.ir.tables):
            return f"table {table}"
        return f"table {self._program.ir.tables[table].name}"

    def table_modify(self, table: int, handle: int, action: int, data: bytes, timeout: int = 0) -> None:
        status = self._lib.p4_control_modify(self._device(), table, handle, action, data, len(data), timeout)
        native.check(status, f"modifying entry {handle} of {self._table_name(table)}")

    def table_delete(self, table: int, handle: int) -> None:
        status = self._lib.p4_control_delete(self._device(), table, handle)
        native.check(status, f"deleting entry {handle} of {self._table_name(table)}")

    def table_set_default(self, table: int, action: int, data: bytes) -> None:
        status = self._lib.p4_control_set_default(self._device(), table, action, data, len(data))
        native.check(status, f"setting the default entry of {self._table_name(table)}")

    def table_reset_default(self, table: int) -> None:
        program = self._program
        if program is None or table >= len(program.ir.tables):
            raise NotFoundError(f"{self._table_name(table)}: not found")
        call = program.ir.tables[table].default
        if call is None:
            self.table_set_default(table, native.NO_PORT, b"")
        else:
            index = call.action.index
            self.table_set_default(table, index, program.layout.actions[index].encode(call.arguments))

    def entry_counter(self, table: int, handle: int) -> CounterValue:
        value = native.Counter()
        status = self._lib.p4_control_entry_counter(self._device(), table, handle, c.byref(value))
        native.check(status, f"entry {handle} of {self._table_name(table)}")
        return CounterValue(value.packets, value.bytes)

    def entry_set_counter(self, table: int, handle: int, value: CounterValue) -> None:
        cell = native.Counter(value.packets, value.bytes)
        status = self._lib.p4_control_set_entry_counter(self._device(), table, handle, c.byref(cell))
        native.check(status, f"entry {handle} of {self._table_name(table)}")

    def entry_idle(self, table: int, handle: int) -> int:
        ns = c.c_uint64()
        status = self._lib.p4_control_entry_idle(self._device(), table, handle, c.byref(ns))
        native.check(status, f"entry {handle} of {self._table_name(table)}")
        return ns.value

    def entry_meter(self, table: int, handle: int) -> MeterRates | None:
        rates = native.Rates()
        status = self._lib.p4_control_entry_meter(self._device(), table, handle, c.byref(rates))
        native.check(status, f"meter of entry {handle} of {self._table_name(table)}")
        return _rates(status, rates)

    def entry_set_meter(self, table: int, handle: int, rates: MeterRates | None) -> None:
        status = self._lib.p4_control_set_entry_meter(self._device(), table, handle, _native_rates(rates))
        native.check(status, f"meter of entry {handle} of {self._table_name(table)}")

    # ---- action profiles ---------------------------------------------------------------------------------

    def member_add(self, profile: int, action: int, data: bytes) -> int:
        handle = c.c_uint32()
        status = self._lib.p4_control_member_add(
            self._device(), profile, action, data, len(data), c.byref(handle)
        )
        native.check(status, f"adding a member to action profile {profile}")
        return handle.value

    def member_modify(self, profile: int, member: int, action: int, data: bytes) -> None:
        status = self._lib.p4_control_member_modify(self._device(), profile, member, action, data, len(data))
        native.check(status, f"member {member} of action profile {profile}")

    def member_delete(self, profile: int, member: int) -> None:
        status = self._lib.p4_control_member_delete(self._device(), profile, member)
        native.check(status, f"member {member} of action profile {profile}")

    def group_add(self, profile: int, members: Sequence[GroupMember]) -> int:
        handle = c.c_uint32()
        status = self._lib.p4_control_group_add(
            self._device(), profile, _native_members(members), len(members), c.byref(handle)
        )
        native.check(status, f"adding a group to action profile {profile}")
        return handle.value

    def group_modify(self, profile: int, group: int, members: Sequence[GroupMember]) -> None:
        status = self._lib.p4_control_group_modify(
            self._device(), profile, group, _native_members(members), len(members)
        )
        native.check(status, f"group {group} of action profile {profile}")

    def group_delete(self, profile: int, group: int) -> None:
        status = self._lib.p4_control_group_delete(self._device(), profile, group)
        native.check(status, f"group {group} of action profile {profile}")

    # ---- externs -----------------------------------------------------------------------------------------

    def counter_read(self, counter: int, start: int, count: int) -> list[CounterValue]:
        cells = (native.Counter * max(count, 1))()
        status = self._lib.p4_control_counters(self._device(), counter, start, count, cells)
        native.check(status, f"cells {start} to {start + count - 1} of counter {counter}")
        return [CounterValue(cell.packets, cell.bytes) for cell in cells[:count]]

    def counter_write(self, counter: int, index: int, value: CounterValue) -> None:
        cell = native.Counter(value.packets, value.bytes)
        status = self._lib.p4_control_set_counter(self._device(), counter, index, c.byref(cell))
        native.check(status, f"cell {index} of counter {counter}")

    def meter_read(self, meter: int, index: int) -> MeterRates | None:
        rates = native.Rates()
        status = self._lib.p4_control_meter(self._device(), meter, index, c.byref(rates))
        native.check(status, f"cell {index} of meter {meter}")
        return _rates(status, rates)

    def meter_write(self, meter: int, index: int, rates: MeterRates | None) -> None:
        status = self._lib.p4_control_set_meter(self._device(), meter, index, _native_rates(rates))
        native.check(status, f"cell {index} of meter {meter}")

    def _register_bytes(self, register: int) -> int:
        if self._program is None or register >= len(self._program.ir.registers):
            raise NotFoundError(f"register {register}: not found")
        return storage_bytes(self._program.ir.registers[register].width)

    def register_read(self, register: int, start: int, count: int) -> list[int]:
        size = self._register_bytes(register)
        cells = c.create_string_buffer(max(size * count, 1))
        status = self._lib.p4_control_registers(self._device(), register, start, count, cells)
        native.check(status, f"cells {start} to {start + count - 1} of register {register}")
        raw = cells.raw
        return [int.from_bytes(raw[i * size : (i + 1) * size], "little") for i in range(count)]

    def register_write(self, register: int, index: int, value: int) -> None:
        size = self._register_bytes(register)
        assert self._program is not None
        if not 0 <= value < 1 << self._program.ir.registers[register].width:
            raise DeviceError(f"{value} does not fit register {register}")
        status = self._lib.p4_control_set_register(
            self._device(), register, index, value.to_bytes(size, "little")
        )
        native.check(status, f"cell {index} of register {register}")

    def value_set_write(self, value_set: int, members: Sequence[Sequence[tuple[int, int | None]]]) -> None:
        if self._program is None or value_set >= len(self._program.ir.value_sets):
            raise NotFoundError(f"value set {value_set}: not found")
        program = self._program.ir
        sizes = value_set_words(program, program.value_sets[value_set])
        values, masks = bytearray(), bytearray()
        for member in members:
            for count, (value, mask) in zip(sizes, member, strict=True):
                ones = (1 << 64 * count) - 1
                bits = ones if mask is None else mask
                values += (value & bits).to_bytes(8 * count, "little")
                masks += bits.to_bytes(8 * count, "little")
        status = self._lib.p4_control_set_value_set(
            self._device(), value_set, bytes(values), bytes(masks), len(members)
        )
        native.check(status, f"value set {value_set}")

    # ---- replication -------------------------------------------------------------------------------------

    def multicast_set(self, group: int, replicas: Sequence[Replica]) -> None:
        status = self._lib.p4_control_set_group(
            self._device(), group, _native_replicas(replicas), len(replicas)
        )
        native.check(status, f"multicast group {group}")

    def multicast_delete(self, group: int) -> None:
        native.check(self._lib.p4_control_delete_group(self._device(), group), f"multicast group {group}")

    def clone_set(
        self, session: int, replicas: Sequence[Replica], class_of_service: int = 0, truncate: int = 0
    ) -> None:
        if class_of_service >= self.queues:
            raise DeviceError(
                f"clone session {session}: class of service {class_of_service}, but ports have "
                f"{self.queues} queues"
            )
        status = self._lib.p4_control_set_session(
            self._device(), session, _native_replicas(replicas), len(replicas), class_of_service, truncate
        )
        native.check(status, f"clone session {session}")

    def clone_delete(self, session: int) -> None:
        native.check(self._lib.p4_control_delete_session(self._device(), session), f"clone session {session}")

    # ---- ports -------------------------------------------------------------------------------------------

    def port_add(self, number: int, spec: PortSpec) -> None:
        kind = "xdp" if spec.kind == "interface" and spec.xdp else spec.kind
        if kind not in native.PORT_KINDS:
            raise DeviceError(f"port {number}: no such kind of port: {spec.kind!r}")
        input_file, output_file = _pcap_files(spec)
        name = spec.name or f"port{number}"
        error = c.create_string_buffer(_ERROR_BYTES)
        status = self._lib.p4_control_port_add(
            self._device(),
            number,
            native.PORT_KINDS[kind],
            os.fsencode(name),
            input_file,
            output_file,
            os.fsencode(spec.capture) if spec.capture else None,
            error,
            _ERROR_BYTES,
        )
        if status != 0:
            text = error.value.decode(errors="replace")
            raise DeviceError(text if text.startswith(f"port {number}") else f"port {number}: {text}")
        self._names[number] = name
        try:
            self.port_set(number, link=spec.link, queues=spec.queues)
            if spec.rate_bits or spec.rate_packets:
                burst = QueueSpec()
                shaping = native.Shaping(
                    spec.rate_bits or 0, burst.burst_bytes, spec.rate_packets or 0, burst.burst_packets
                )
                native.check(
                    self._lib.p4_control_port_shape(self._device(), number, c.byref(shaping)),
                    f"port {number}",
                )
        except DeviceError:
            self.port_remove(number)
            raise

    def port_note(self, number: int) -> str:
        """Why the port is not what was asked for (AF_XDP refused), or ""."""
        text = c.create_string_buffer(256)
        native.check(self._lib.p4_control_port_note(self._device(), number, text, 256), f"port {number}")
        return text.value.decode(errors="replace")

    def port_remove(self, number: int) -> None:
        native.check(self._lib.p4_control_port_remove(self._device(), number), f"port {number}")
        self._names.pop(number, None)

    def port_set(
        self, number: int, *, link: LinkSpec | None = None, queues: Sequence[QueueSpec] | None = None
    ) -> None:
        """Change the emulated link, or the queues from 0 up; None leaves them."""
        if link is not None:
            config = native.LinkConfig(
                link.rate or 0, link.delay, link.jitter, link.loss, link.seed, link.limit
            )
            native.check(
                self._lib.p4_control_port_link(self._device(), number, c.byref(config)),
                f"link of port {number}",
            )
        if queues is not None and len(queues) > self.queues:
            raise DeviceError(f"port {number}: {len(queues)} queues given, but ports have {self.queues}")
        for i, queue in enumerate(queues or ()):
            shaping = native.Shaping(
                queue.rate_bits or 0, queue.burst_bytes, queue.rate_packets or 0, queue.burst_packets
            )
            configuration = native.QueueConfig(queue.depth_packets, queue.depth_bytes or 0, shaping)
            status = self._lib.p4_control_port_queue(self._device(), number, i, c.byref(configuration))
            native.check(status, f"queue {i} of port {number}")

    def ports(self) -> list[PortStatus]:
        return [self._port_status(number, name) for number, name in sorted(self._names.items())]

    def _port_status(self, number: int, name: str) -> PortStatus:
        stats, up, link = native.PortStats(), c.c_uint32(), native.LinkStatus()
        status = self._lib.p4_control_port_status(
            self._device(), number, c.byref(stats), c.byref(up), c.byref(link)
        )
        native.check(status, f"port {number}")
        queues = []
        for i in range(self.queues):
            q = native.QueueStatus()
            self._lib.p4_control_queue_status(self._device(), number, i, c.byref(q))
            queues.append(
                QueueStatus(q.depth_packets, q.depth_bytes, q.sent_packets, q.sent_bytes, q.dropped)
            )
        return PortStatus(
            number,
            name,
            bool(up.value),
            stats.rx_packets,
            stats.rx_bytes,
            stats.rx_overrun + stats.rx_oversize + stats.rx_short + stats.rx_no_packet,
            stats.tx_packets,
            stats.tx_bytes,
            stats.tx_down + stats.tx_oversize + stats.tx_error + link.lost + link.dropped,
            tuple(queues),
        )

    # ---- packets, time and events ------------------------------------------------------------------------

    def inject(self, port: int, data: bytes, at: int | None = None) -> None:
        """Give the device a frame as if it had arrived on the port. On a virtual clock time first moves to
        ``at``, if given."""
        if at is not None:
            self.run_until(at)
        status = self._lib.p4_control_inject(self._device(), port, data, len(data), MAX_PASSES)
        _check_passes(status, f"injecting {len(data)} bytes on port {port}")

    def run_until(self, time: int) -> None:
        """Virtual clock: do all that is due up to ``time`` ns, and stop there. Time never goes back."""
        _check_passes(
            self._lib.p4_control_run_until(self._device(), time, MAX_PASSES), f"running until {time}"
        )

    def next_event(self) -> int | None:
        """When the device has something to do by itself, in ns; None: only when a frame arrives."""
        time = int(self._lib.p4_control_next_event(self._device()))
        return None if time == native.NEVER else time

    def take_outputs(self) -> list[Output]:
        with self.frozen():
            size = int(self._lib.p4_control_outputs(self._device(), None, 0))
            if size == 0:
                return []
            buffer = c.create_string_buffer(size)
            self._lib.p4_control_outputs(self._device(), buffer, size)
        raw, outputs, at = buffer.raw, [], 0
        while at < size:
            time, port, length = _OUTPUT_HEAD.unpack_from(raw, at)
            at += _OUTPUT_HEAD.size
            outputs.append(Output(port, raw[at : at + length], time))
            at += length
        return outputs

    def flood(self, port: int, frames: Sequence[bytes], rounds: int) -> int:
        """Inject every frame ``rounds`` times and throw the outputs away; returns the ns it took."""
        lengths = (c.c_uint32 * len(frames))(*map(len, frames))
        self._lib.p4_control_discard_outputs(self._device(), True)
        try:
            return int(
                self._lib.p4_control_flood(
                    self._device(), port, b"".join(frames), lengths, len(frames), rounds
                )
            )
        finally:
            self._lib.p4_control_discard_outputs(self._device(), False)

    def poll_events(self, timeout: float) -> list[Event]:
        """Wait up to ``timeout`` seconds for events; [] when none came. For one consumer."""
        self._device()
        wait = max(int(timeout * 1e9), 0)
        got = self._lib.p4_events_read(self._events, self._event_buffer, len(self._event_buffer), wait)
        if got < 0:
            self._event_buffer = c.create_string_buffer(int(self._lib.p4_events_room(self._events)))
            got = self._lib.p4_events_read(self._events, self._event_buffer, len(self._event_buffer), 0)
        if got <= 0 or self._program is None:
            return []
        return decode_events(self._event_buffer.raw[:got], self._program.ir.messages, self._assertions)

    def events_lost(self) -> int:
        """Events dropped because nobody read them."""
        self._device()
        return int(self._lib.p4_events_lost(self._events))

    def wake_events(self) -> None:
        """End a `poll_events` that waits."""
        self._device()
        self._lib.p4_events_wake(self._events)


def _check_passes(status: int, what: str) -> None:
    if status == -native.ERRNO_BASE - 40:  # ELOOP
        raise DeviceError(
            f"{what}: a packet was cloned, resubmitted or recirculated over {MAX_PASSES:,} times; the "
            "packets under way were dropped. Have the program stop its loop"
        )
    native.check(status, what)


def _rates(status: int, rates: native.Rates) -> MeterRates | None:
    return MeterRates(rates.cir, rates.cburst, rates.pir, rates.pburst) if status == 0 else None


def _native_rates(rates: MeterRates | None) -> c.Array[native.Rates] | None:
    if rates is None:
        return None
    return (native.Rates * 1)(native.Rates(rates.cir, rates.cburst, rates.pir, rates.pburst))


def _native_members(members: Sequence[GroupMember]) -> c.Array[native.GroupMember]:
    return (native.GroupMember * max(len(members), 1))(
        *(
            native.GroupMember(m.member, m.weight, native.NO_PORT if m.watch_port is None else m.watch_port)
            for m in members
        )
    )


def _native_replicas(replicas: Sequence[Replica]) -> c.Array[native.Replica]:
    out = (native.Replica * max(len(replicas), 1))()
    for i, r in enumerate(replicas):
        backups = (native.Copy * max(len(r.backups), 1))(
            *(native.Copy(port, instance) for port, instance in r.backups)
        )
        out[i] = native.Replica(native.Copy(r.port, r.instance), len(r.backups), backups)
    return out


def _pcap_files(spec: PortSpec) -> tuple[bytes | None, bytes | None]:
    """A pcap port's name is "INPUT:OUTPUT", either of them possibly empty."""
    if spec.kind != "pcap":
        return None, None
    source, _, sink = spec.name.partition(":")
    return os.fsencode(source) if source else None, os.fsencode(sink) if sink else None
