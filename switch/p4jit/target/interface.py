# SPDX-License-Identifier: Apache-2.0
"""What a device offers to the control plane: the one boundary between p4jit's servers and its engine.

Tables, actions and externs are named by their index in the program's intermediate form. Keys, masks and
action data are bytes laid out by `p4jit.codegen.layout`, which encodes and decodes them; times are
nanoseconds on the device's clock. Every method is safe to call from any thread and takes effect between two
packets; inside ``with device.frozen():``, which nests, no packet is processed, so that several calls take
effect together.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from p4jit.target.build import CompiledProgram

#: Entry "handle" of a table's default entry, for its direct counter and meter.
DEFAULT_ENTRY = 0xFFFFFFFF
#: Action indices of entries that refer to an action profile; their data is the handle, 4 bytes little-endian.
ACTION_MEMBER = 0xFFFFFFFD
ACTION_GROUP = 0xFFFFFFFE


class DeviceError(Exception):
    """A request the device refuses; its state is as before."""


class NotFoundError(DeviceError):
    pass


class ExistsError(DeviceError):
    pass


class FullError(DeviceError):
    pass


class InUseError(DeviceError):
    """A member or group that an entry still refers to."""


@dataclass(frozen=True, slots=True)
class CounterValue:
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class MeterRates:
    """Two-rate three-colour meter (RFC 2698): rates in units (packets or bytes) a second, bursts in units."""

    cir: int
    cburst: int
    pir: int
    pburst: int


@dataclass(frozen=True, slots=True)
class GroupMember:
    """``watch_port`` None is always up."""

    member: int
    weight: int = 1
    watch_port: int | None = None


@dataclass(frozen=True, slots=True)
class Replica:
    """One copy. ``backups`` are (port, instance), in order of preference, for while its port is down."""

    port: int
    instance: int = 0
    backups: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class QueueStatus:
    depth_packets: int
    depth_bytes: int
    sent_packets: int
    sent_bytes: int
    dropped_packets: int


@dataclass(frozen=True, slots=True)
class PortStatus:
    number: int
    name: str
    up: bool
    rx_packets: int
    rx_bytes: int
    rx_dropped: int
    tx_packets: int
    tx_bytes: int
    tx_dropped: int
    queues: tuple[QueueStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """An emulated link on a port's way out. Rate in bit/s (None: unlimited), delay and jitter in ns, loss as
    a probability, limit of the frames under way in packets."""

    rate: int | None = None
    delay: int = 0
    jitter: int = 0
    loss: float = 0.0
    seed: int = 0
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """Depth in packets and bytes (None: no bound in bytes); rate in bit/s or packets/s (None: unshaped)."""

    depth_packets: int = 64
    depth_bytes: int | None = None
    rate_bits: int | None = None
    rate_packets: int | None = None
    burst_bytes: int = 16_384
    burst_packets: int = 16


@dataclass(frozen=True, slots=True)
class PortSpec:
    """Where a port's frames come from and go to.

    ``kind``: "interface" (AF_PACKET, or AF_XDP where ``xdp``), "pcap" (``name`` is a directory or a pair of
    files), "memory" (frames through `inject` and `take_outputs`).
    """

    kind: str
    name: str = ""
    xdp: bool = False
    link: LinkSpec | None = None
    #: Shaping of the port as a whole, in bit/s or packets/s.
    rate_bits: int | None = None
    rate_packets: int | None = None
    queues: tuple[QueueSpec, ...] | None = None
    capture: str | None = None


@dataclass(frozen=True, slots=True)
class Digest:
    #: "id" of the learn list in the JSON.
    list: int
    #: Each element's fields, big-endian in whole bytes, one after the other.
    data: bytes


@dataclass(frozen=True, slots=True)
class PacketIn:
    """A frame sent to the CPU port, with the program's controller header in front."""

    data: bytes


@dataclass(frozen=True, slots=True)
class IdleTimeout:
    table: int
    handle: int


@dataclass(frozen=True, slots=True)
class PortChange:
    port: int
    up: bool


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A log_msg call, formatted; or a failed assertion."""

    text: str
    error: bool = False


Event = Digest | PacketIn | IdleTimeout | PortChange | LogRecord


@dataclass(frozen=True, slots=True)
class Output:
    port: int
    data: bytes
    time: int = field(default=0, compare=False)


class DeviceInterface(Protocol):
    device_id: int

    @property
    def program(self) -> CompiledProgram | None: ...

    @property
    def cpu_port(self) -> int | None: ...

    def load(self, program: CompiledProgram) -> None:
        """Run this program from the next packet on, with its initial state. Ports stay. The entries a table
        has in the program get the handles 0, 1, … in their order."""

    def frozen(self) -> AbstractContextManager[None]: ...

    # -- tables. mask: ternary and range tables (range fields: the high bound). Greater priority wins; among
    #    equals the lowest handle. Raises ExistsError, FullError, NotFoundError.
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
    ) -> int: ...
    def table_modify(self, table: int, handle: int, action: int, data: bytes, timeout: int = 0) -> None: ...
    def table_delete(self, table: int, handle: int) -> None: ...
    def table_set_default(self, table: int, action: int, data: bytes) -> None: ...
    def table_reset_default(self, table: int) -> None: ...
    def entry_counter(self, table: int, handle: int) -> CounterValue: ...
    def entry_set_counter(self, table: int, handle: int, value: CounterValue) -> None: ...
    def entry_idle(self, table: int, handle: int) -> int:
        """Nanoseconds since the entry was last hit (or inserted)."""

    def entry_meter(self, table: int, handle: int) -> MeterRates | None: ...
    def entry_set_meter(self, table: int, handle: int, rates: MeterRates | None) -> None: ...

    # -- action profiles. Raises NotFoundError, FullError, InUseError.
    def member_add(self, profile: int, action: int, data: bytes) -> int: ...
    def member_modify(self, profile: int, member: int, action: int, data: bytes) -> None: ...
    def member_delete(self, profile: int, member: int) -> None: ...
    def group_add(self, profile: int, members: Sequence[GroupMember]) -> int: ...
    def group_modify(self, profile: int, group: int, members: Sequence[GroupMember]) -> None: ...
    def group_delete(self, profile: int, group: int) -> None: ...

    # -- externs. Raises NotFoundError for an index out of bounds.
    def counter_read(self, counter: int, start: int, count: int) -> list[CounterValue]: ...
    def counter_write(self, counter: int, index: int, value: CounterValue) -> None: ...
    def meter_read(self, meter: int, index: int) -> MeterRates | None: ...
    def meter_write(self, meter: int, index: int, rates: MeterRates | None) -> None: ...
    def register_read(self, register: int, start: int, count: int) -> list[int]: ...
    def register_write(self, register: int, index: int, value: int) -> None: ...
    def value_set_write(self, value_set: int, members: Sequence[Sequence[tuple[int, int | None]]]) -> None:
        """Replace the members: for each, one (value, mask) a key field."""

    # -- packet replication engine
    def multicast_set(self, group: int, replicas: Sequence[Replica]) -> None: ...
    def multicast_delete(self, group: int) -> None: ...
    def clone_set(
        self, session: int, replicas: Sequence[Replica], class_of_service: int = 0, truncate: int = 0
    ) -> None: ...
    def clone_delete(self, session: int) -> None: ...

    # -- ports
    def port_add(self, number: int, spec: PortSpec) -> None: ...
    def port_remove(self, number: int) -> None: ...
    def ports(self) -> list[PortStatus]: ...
    def port_set(
        self, number: int, *, link: LinkSpec | None = None, queues: Sequence[QueueSpec] | None = None
    ) -> None: ...

    # -- packets and events
    def inject(self, port: int, data: bytes, at: int | None = None) -> None:
        """Give the device a frame as if it had arrived on the port."""

    def take_outputs(self) -> list[Output]:
        """Frames that left by memory ports since the last call, in order."""

    def poll_events(self, timeout: float) -> list[Event]:
        """Wait up to ``timeout`` seconds for events; [] when none came. For one consumer."""

    def close(self) -> None: ...
