# SPDX-License-Identifier: Apache-2.0
"""Frames as they are on the wire, written out: the layers of `din.packet` are checked against these."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from ipaddress import IPv6Address

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

CLIENT4, SERVER4 = "10.1.0.5", "10.2.0.9"
CLIENT6, SERVER6 = "2001:db8:1::5", "2001:db8:2::9"
HOST_MAC, SWITCH_MAC = "02:00:00:00:01:01", "02:00:00:00:00:fe"
NO_DEADLINE = 0xFFFFFFFF
#: Bytes in front of a tenant's packet, Ethernet aside.
OVERHEAD = 84


def sid(*ids: int) -> str:
    """A NEXT-CSID list."""
    value = 0xFCBBBB00 << 96
    for place, each in enumerate(ids):
        value |= each << (80 - 16 * place)
    return str(IPv6Address(value))


@dataclass(frozen=True)
class Din:
    """The fabric's DIN option."""

    class_id: int = 0
    label: int = 0
    response: int = 0
    watched: int = 0
    late_drop: int = 0
    marked: int = 0
    service: int = 0
    session: int = 0
    slack: int = NO_DEADLINE
    flow_hash: int = 0x12345678
    ingress_time: int = 0
    version: int = 1

    def bytes(self) -> bytes:
        flags = self.response << 7 | self.watched << 6 | self.late_drop << 5 | self.marked << 4
        return struct.pack(
            "!HBB BBBB HH I I Q",
            *(0xFF44, 1, 6),
            *(self.version << 4 | self.class_id, self.label, flags, 0),
            *(self.service, self.session, self.slack, self.flow_hash, self.ingress_time),
        )


@dataclass(frozen=True)
class Fabric:
    """The fabric's headers around ``inner``, which is an IP packet."""

    dst: str
    inner: bytes
    din: Din | None = Din()
    src: str = "fcbb:bb00::1"
    tenant: int = 7
    entropy: int = 0xC123
    hop_limit: int = 64
    traffic_class: int = 0
    #: After the DIN option: the INT option, whole.
    options: bytes = b""

    def packet(self) -> bytes:
        """The IPv6 packet."""
        options = (self.din.bytes() if self.din else b"") + self.options
        protocol = 0x0800 if self.inner[:1] and self.inner[0] >> 4 == 4 else 0x86DD
        geneve = struct.pack("!BBHI", len(options) // 4, 0, protocol, self.tenant << 8) + options
        udp = struct.pack("!HHHH", self.entropy, 6081, 8 + len(geneve) + len(self.inner), 0)
        payload = udp + geneve + self.inner
        first = 6 << 28 | self.traffic_class << 20 | self.entropy
        header = struct.pack("!IHBB", first, len(payload), 17, self.hop_limit)
        return header + IPv6Address(self.src).packed + IPv6Address(self.dst).packed + payload

    def frame(self, dst_mac: str = SWITCH_MAC, src_mac: str = HOST_MAC) -> bytes:
        return ethernet(dst_mac, src_mac, 0x86DD) + self.packet()

    def but(self, **changes: object) -> Fabric:
        return replace(self, **changes)  # type: ignore[arg-type]


def ethernet(dst: str, src: str, ether_type: int) -> bytes:
    return (
        bytes.fromhex(dst.replace(":", ""))
        + bytes.fromhex(src.replace(":", ""))
        + struct.pack("!H", ether_type)
    )


def tcp4(payload: bytes = b"", flags: str = "A", **fields: object) -> bytes:
    """A tenant's IPv4 packet."""
    return bytes(
        IP(src=CLIENT4, dst=SERVER4) / TCP(sport=40000, dport=8000, flags=flags, **fields) / Raw(payload)
    )


def udp6(payload: bytes = b"data", **fields: object) -> bytes:
    return bytes(IPv6(src=CLIENT6, dst=SERVER6) / UDP(sport=40000, dport=8000, **fields) / Raw(payload))


def access(packet: bytes | Packet, vid: int = 0) -> bytes:
    """The frame in which a host sends an IP packet."""
    data = bytes(packet)
    ether_type = 0x0800 if data[0] >> 4 == 4 else 0x86DD
    if vid:
        return ethernet(SWITCH_MAC, HOST_MAC, 0x8100) + struct.pack("!HH", vid, ether_type) + data
    return bytes(Ether(dst=SWITCH_MAC, src=HOST_MAC, type=ether_type)) + data
