# SPDX-License-Identifier: Apache-2.0
"""The runtime's C interface (runtime/control.h) for ctypes, and its status codes as exceptions."""

from __future__ import annotations

import ctypes as c
import os
from functools import cache

from p4jit.target.compiler import runtime_library
from p4jit.target.interface import DeviceError, ExistsError, FullError, InUseError, NotFoundError

ERRNO_BASE = 1000
NO_PORT = 0xFFFFFFFF
NEVER = (1 << 64) - 1

PORT_KINDS = {"interface": 0, "xdp": 1, "pcap": 2, "memory": 3}

EVENT_DIGEST, EVENT_PACKET_IN, EVENT_IDLE, EVENT_PORT, EVENT_LOG = range(1, 6)


class DeviceConfig(c.Structure):
    _fields_ = (
        ("virtual_clock", c.c_bool),
        ("clamp_priority", c.c_bool),
        ("reserved", c.c_uint8 * 2),
        ("queues", c.c_uint32),
        ("drop_port", c.c_uint32),
        ("cpu_port", c.c_uint32),
        ("seed", c.c_uint64),
    )


class Counter(c.Structure):
    _fields_ = (("packets", c.c_uint64), ("bytes", c.c_uint64))


class Rates(c.Structure):
    _fields_ = (("cir", c.c_uint64), ("cburst", c.c_uint64), ("pir", c.c_uint64), ("pburst", c.c_uint64))


class GroupMember(c.Structure):
    _fields_ = (("member", c.c_uint32), ("weight", c.c_uint32), ("watch_port", c.c_uint32))


class Copy(c.Structure):
    _fields_ = (("port", c.c_uint16), ("rid", c.c_uint16))


class Replica(c.Structure):
    _fields_ = (("primary", Copy), ("backup_count", c.c_uint32), ("backups", c.POINTER(Copy)))


class LinkConfig(c.Structure):
    _fields_ = (
        ("rate", c.c_uint64),
        ("delay", c.c_uint64),
        ("jitter", c.c_uint64),
        ("loss", c.c_double),
        ("seed", c.c_uint64),
        ("limit", c.c_uint32),
    )


class LinkStatus(c.Structure):
    _fields_ = (
        ("sent_packets", c.c_uint64),
        ("sent_bytes", c.c_uint64),
        ("lost", c.c_uint64),
        ("dropped", c.c_uint64),
        ("under_way", c.c_uint32),
    )


class Shaping(c.Structure):
    _fields_ = (
        ("rate_bits", c.c_uint64),
        ("burst_bytes", c.c_uint64),
        ("rate_packets", c.c_uint64),
        ("burst_packets", c.c_uint64),
    )


class QueueConfig(c.Structure):
    _fields_ = (("depth_packets", c.c_uint32), ("depth_bytes", c.c_uint64), ("shaping", Shaping))


class QueueStatus(c.Structure):
    _fields_ = (
        ("depth_packets", c.c_uint32),
        ("depth_bytes", c.c_uint64),
        ("sent_packets", c.c_uint64),
        ("sent_bytes", c.c_uint64),
        ("dropped", c.c_uint64),
    )


class PortStats(c.Structure):
    _fields_ = tuple(
        (name, c.c_uint64)
        for name in (
            "rx_packets",
            "rx_bytes",
            "tx_packets",
            "tx_bytes",
            "rx_overrun",
            "rx_oversize",
            "rx_short",
            "rx_no_packet",
            "tx_down",
            "tx_oversize",
            "tx_error",
        )
    )


DROP_REASONS = (
    "program",
    "no_port",
    "queue_full",
    "priority",
    "no_buffer",
    "assertion",
    "link",
    "input_full",
    "no_program",
)


class Drops(c.Structure):
    _fields_ = tuple((name, c.c_uint64) for name in DROP_REASONS)


_U32, _U64, _INT, _PTR, _STR, _BYTES = c.c_uint32, c.c_uint64, c.c_int, c.c_void_p, c.c_char_p, c.c_char_p

_FUNCTIONS: dict[str, tuple[object, list[object]]] = {
    "p4_device_new": (_PTR, [c.POINTER(DeviceConfig), _STR, _U64]),
    "p4_device_free": (None, [_PTR]),
    "p4_device_load": (_INT, [_PTR, _STR, _STR, _U64]),
    "p4_device_start": (_INT, [_PTR]),
    "p4_device_stop": (None, [_PTR]),
    "p4_device_lock": (None, [_PTR]),
    "p4_device_unlock": (None, [_PTR]),
    "p4_device_now": (_U64, [_PTR]),
    "p4_device_epoch": (_U64, [_PTR]),
    "p4_device_drops": (None, [_PTR, c.POINTER(Drops)]),
    "p4_device_events": (_PTR, [_PTR]),
    "p4_control_insert": (
        _INT,
        [_PTR, _U32, _BYTES, _BYTES, _U32, _U32, _U32, _BYTES, _U32, _U64, c.POINTER(_U32)],
    ),
    "p4_control_modify": (_INT, [_PTR, _U32, _U32, _U32, _BYTES, _U32, _U64]),
    "p4_control_delete": (_INT, [_PTR, _U32, _U32]),
    "p4_control_set_default": (_INT, [_PTR, _U32, _U32, _BYTES, _U32]),
    "p4_control_entry_counter": (_INT, [_PTR, _U32, _U32, c.POINTER(Counter)]),
    "p4_control_set_entry_counter": (_INT, [_PTR, _U32, _U32, c.POINTER(Counter)]),
    "p4_control_entry_idle": (_INT, [_PTR, _U32, _U32, c.POINTER(_U64)]),
    "p4_control_set_entry_meter": (_INT, [_PTR, _U32, _U32, c.POINTER(Rates)]),
    "p4_control_entry_meter": (_INT, [_PTR, _U32, _U32, c.POINTER(Rates)]),
    "p4_control_member_add": (_INT, [_PTR, _U32, _U32, _BYTES, _U32, c.POINTER(_U32)]),
    "p4_control_member_modify": (_INT, [_PTR, _U32, _U32, _U32, _BYTES, _U32]),
    "p4_control_member_delete": (_INT, [_PTR, _U32, _U32]),
    "p4_control_group_add": (_INT, [_PTR, _U32, c.POINTER(GroupMember), _U32, c.POINTER(_U32)]),
    "p4_control_group_modify": (_INT, [_PTR, _U32, _U32, c.POINTER(GroupMember), _U32]),
    "p4_control_group_delete": (_INT, [_PTR, _U32, _U32]),
    "p4_control_counters": (_INT, [_PTR, _U32, _U32, _U32, c.POINTER(Counter)]),
    "p4_control_set_counter": (_INT, [_PTR, _U32, _U32, c.POINTER(Counter)]),
    "p4_control_meter": (_INT, [_PTR, _U32, _U32, c.POINTER(Rates)]),
    "p4_control_set_meter": (_INT, [_PTR, _U32, _U32, c.POINTER(Rates)]),
    "p4_control_registers": (_INT, [_PTR, _U32, _U32, _U32, _PTR]),
    "p4_control_set_register": (_INT, [_PTR, _U32, _U32, _BYTES]),
    "p4_control_set_value_set": (_INT, [_PTR, _U32, _BYTES, _BYTES, _U32]),
    "p4_control_set_group": (_INT, [_PTR, _U32, c.POINTER(Replica), _U32]),
    "p4_control_delete_group": (_INT, [_PTR, _U32]),
    "p4_control_set_session": (_INT, [_PTR, _U32, c.POINTER(Replica), _U32, _U32, _U32]),
    "p4_control_delete_session": (_INT, [_PTR, _U32]),
    "p4_control_port_add": (_INT, [_PTR, _U32, _U32, _STR, _STR, _STR, _STR, _STR, _U64]),
    "p4_control_port_remove": (_INT, [_PTR, _U32]),
    "p4_control_port_link": (_INT, [_PTR, _U32, c.POINTER(LinkConfig)]),
    "p4_control_port_shape": (_INT, [_PTR, _U32, c.POINTER(Shaping)]),
    "p4_control_port_queue": (_INT, [_PTR, _U32, _U32, c.POINTER(QueueConfig)]),
    "p4_control_port_status": (
        _INT,
        [_PTR, _U32, c.POINTER(PortStats), c.POINTER(_U32), c.POINTER(LinkStatus)],
    ),
    "p4_control_queue_status": (_INT, [_PTR, _U32, _U32, c.POINTER(QueueStatus)]),
    "p4_control_port_note": (_INT, [_PTR, _U32, _STR, _U64]),
    "p4_control_inject": (_INT, [_PTR, _U32, _BYTES, _U32, _U64]),
    "p4_control_run_until": (_INT, [_PTR, _U64, _U64]),
    "p4_control_next_event": (_U64, [_PTR]),
    "p4_control_outputs": (_U64, [_PTR, _STR, _U64]),
    "p4_control_discard_outputs": (None, [_PTR, c.c_bool]),
    "p4_control_flood": (_U64, [_PTR, _U32, _BYTES, c.POINTER(_U32), _U32, _U32]),
    "p4_events_read": (c.c_int64, [_PTR, _STR, _U64, _U64]),
    "p4_events_room": (_U64, [_PTR]),
    "p4_events_lost": (_U64, [_PTR]),
    "p4_events_wake": (None, [_PTR]),
}


@cache
def library() -> c.CDLL:
    """The runtime, compiled on first use. Global, because compiled programs refer to its functions."""
    lib = c.CDLL(str(runtime_library()), mode=c.RTLD_GLOBAL)
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(lib, name)
        function.restype = result
        function.argtypes = arguments
    return lib


_ERRORS: dict[int, type[DeviceError]] = {
    -1: NotFoundError,
    -2: ExistsError,
    -3: FullError,
    -4: FullError,
    -5: InUseError,
    -6: DeviceError,
}
_TEXTS = {
    -1: "not found",
    -2: "already there",
    -3: "full",
    -4: "out of memory",
    -5: "still referred to",
    -6: "refused: the request contradicts the program or is out of bounds",
}


def check(status: int, what: str) -> None:
    """Raise the DeviceError that a negative status stands for."""
    if status >= 0:
        return
    if status <= -ERRNO_BASE:
        raise DeviceError(f"{what}: {os.strerror(-status - ERRNO_BASE)}")
    raise _ERRORS[status](f"{what}: {_TEXTS[status]}")
