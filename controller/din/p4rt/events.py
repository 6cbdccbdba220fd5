# SPDX-License-Identifier: Apache-2.0
"""What a switch, or the connection to it, tells. Every event names its switch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from finsy.proto import p4d

from din.p4rt.entry import Key
from din.p4rt.pipeline import Pushed


@dataclass(frozen=True, slots=True)
class Up:
    """Connected; whether the switch is ours to write is told next."""

    switch: str


@dataclass(frozen=True, slots=True)
class Down:
    """The connection is lost, or cannot be made; it is tried again. Told once, until it is up or the reason
    changes."""

    switch: str
    reason: str


@dataclass(frozen=True, slots=True)
class BecamePrimary:
    """The switch is ours, and runs the program."""

    switch: str
    pushed: Pushed


@dataclass(frozen=True, slots=True)
class BecameBackup:
    """Another controller has the switch, in a higher term; nothing is written until it is ours again."""

    switch: str
    primary_term: int


@dataclass(frozen=True, slots=True)
class NoPrimary:
    """The switch is nobody's: a controller of a higher term has left. It takes whoever comes with at least
    that term (`Connection.raise_term`)."""

    switch: str
    highest_term: int


@dataclass(frozen=True, slots=True)
class QueuesCounted:
    """``queues``: how many each of its ports has; told when that is not what was thought (at first, all that
    the data plane wants)."""

    switch: str
    queues: int


@dataclass(frozen=True, slots=True)
class PortChanged:
    switch: str
    port: int
    up: bool


@dataclass(frozen=True, slots=True)
class PacketIn:
    """A packet for the controller, with the fields of the program's packet_in header. ``mtu``: what would
    have fitted, where the packet did not."""

    switch: str
    payload: bytes
    ingress_port: int = 0
    reason: int = 0
    label: int = 0
    mtu: int = 0
    tenant: int = 0


@dataclass(frozen=True, slots=True)
class Digest:
    """Acknowledged already."""

    switch: str
    name: str
    timestamp: int  # ns, the switch's clock
    data: tuple[p4d.P4Data, ...]


@dataclass(frozen=True, slots=True)
class IdleTimeout:
    switch: str
    timestamp: int  # ns, the switch's clock
    entries: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class StreamError:
    """The switch refuses a message of the stream, such as a packet-out."""

    switch: str
    message: str


Event: TypeAlias = (
    Up
    | Down
    | BecamePrimary
    | BecameBackup
    | NoPrimary
    | QueuesCounted
    | PortChanged
    | PacketIn
    | Digest
    | IdleTimeout
    | StreamError
)
#: Called from the event loop; must not block.
OnEvent: TypeAlias = Callable[[Event], None]
