# SPDX-License-Identifier: Apache-2.0
"""Link probes: LLDP frames (IEEE 802.1AB) that one switch sends and another hands over. They say which port
is at the other end, so that a wrong cable is found, and that the link carries frames, where a target does not
tell of its ports.
"""

from __future__ import annotations

import math
from collections.abc import Container
from dataclasses import dataclass, field
from typing import Final

from din.model.wiring import Wiring

_NEAREST_BRIDGE: Final = bytes.fromhex("0180c200000e")
_ETHER_TYPE: Final = bytes.fromhex("88cc")
_CHASSIS, _PORT, _TTL, _END = 1, 2, 3, 0
_LOCALLY_ASSIGNED: Final = 7
_MARK: Final = b"din/"
#: Intervals after which a probe is missing: it may come a little late.
_LATE: Final = 1.5


def _tlv(kind: int, value: bytes) -> bytes:
    return (kind << 9 | len(value)).to_bytes(2, "big") + value


def probe(switch: str, port: int, src_mac: str, ttl: int = 3) -> bytes:
    """The frame that ``port`` of ``switch`` sends."""
    local = bytes((_LOCALLY_ASSIGNED,))
    return b"".join(
        (
            _NEAREST_BRIDGE,
            bytes.fromhex(src_mac.replace(":", "")),
            _ETHER_TYPE,
            _tlv(_CHASSIS, local + _MARK + switch.encode()),
            _tlv(_PORT, local + str(port).encode()),
            _tlv(_TTL, ttl.to_bytes(2, "big")),
            _tlv(_END, b""),
        )
    ).ljust(60, b"\0")


def parse(frame: bytes) -> tuple[str, int] | None:
    """(switch, port) that sent it; None: it is not one of ours."""
    if frame[12:14] != _ETHER_TYPE:
        return None
    found: dict[int, bytes] = {}
    offset = 14
    while offset + 2 <= len(frame):
        head = int.from_bytes(frame[offset : offset + 2], "big")
        kind, length = head >> 9, head & 0x1FF
        if kind == _END:
            break
        found[kind] = frame[offset + 2 : offset + 2 + length]
        offset += 2 + length
    chassis, port = found.get(_CHASSIS, b""), found.get(_PORT, b"")
    if not chassis.startswith(bytes((_LOCALLY_ASSIGNED,)) + _MARK) or not port[1:].isdigit():
        return None
    return chassis[1 + len(_MARK) :].decode("ascii", "replace"), int(port[1:])


@dataclass
class Links:
    """What the probes that arrived say of the links, by (switch, egress port)."""

    wiring: Wiring
    interval: float  # s, between probes
    heard: dict[tuple[str, int], float] = field(default_factory=dict)
    #: Of links that lead elsewhere than the model says: where to.
    miswired: dict[tuple[str, int], str] = field(default_factory=dict)

    def arrived(self, switch: str, port: int, frame: bytes, now: float) -> None:
        sender = parse(frame)
        if sender is None:
            return
        hop = self.wiring.by_port.get(sender)
        if hop is None or (hop.dst, hop.dst_port) != (switch, port):
            self.miswired[sender] = f"{switch}:{port}"
            return
        self.miswired.pop(sender, None)
        self.heard[sender] = now

    def carrying(self, now: float, ours: Container[str]) -> dict[tuple[str, int], bool]:
        """Whether a probe came lately, of links that carried some once; those that lead elsewhere carry none.

        Of a link with an end that is not ``ours`` silence says nothing, and it is left out: who cannot be
        reached neither sends probes nor hands them over, and forwards all the same.
        """
        found: dict[tuple[str, int], bool] = {}
        for key in self.heard.keys() | self.miswired.keys():
            hop = self.wiring.by_port.get(key)
            if hop is None:
                continue
            if hop.src not in ours or hop.dst not in ours:
                # It has all its time again once both are.
                self.heard[key] = now
                continue
            lately = now - self.heard.get(key, -math.inf) <= self.interval * _LATE
            found[key] = lately and key not in self.miswired
        return found
