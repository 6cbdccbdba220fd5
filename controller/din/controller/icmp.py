# SPDX-License-Identifier: Apache-2.0
"""Answers to hosts whose packets cannot go on: too big, no way, out of hops. The switches hand such packets
over, since each is answered by one that must be made (RFC 792, RFC 1191, RFC 4443). Pure: bytes to bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from din.packet.constants import SID_BLOCK_PREFIX, UDP_PORT_GENEVE, PuntReason

_IPV4, _IPV6, _VLAN = 0x0800, 0x86DD, 0x8100
_ICMP, _ICMPV6, _UDP, _ROUTING, _FRAGMENT, _DSTOPTS, _HOP_BY_HOP = 1, 58, 17, 43, 44, 60, 0
#: An ICMPv6 message that is answered as errors are: not at all (RFC 4443, 2.4 e.2).
_REDIRECT: Final = 137
#: What may be quoted: an IPv4 error stays within 576 bytes (RFC 1812, 4.3.2.3), an IPv6 one within 1,280 (RFC
#: 4443, 2.4).
_IPV4_ERROR, _IPV6_ERROR = 576, 1280
_IPV4_CODES: Final = {PuntReason.TOO_BIG: (3, 4), PuntReason.NO_DESTINATION: (3, 0), PuntReason.TTL: (11, 0)}
_IPV6_CODES: Final = {PuntReason.TOO_BIG: (2, 0), PuntReason.NO_DESTINATION: (1, 0), PuntReason.TTL: (3, 0)}
#: ICMP messages that are themselves errors: never answered.
_IPV4_ERRORS: Final = frozenset((3, 4, 5, 11, 12))

Address = IPv4Address | IPv6Address


@dataclass(frozen=True)
class Answer:
    """A frame for the port that the packet came by (`direct`), or an IP packet in a frame for the pipeline to
    route.
    """

    frame: bytes
    direct: bool


def checksum(data: bytes) -> int:
    """RFC 1071."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _inner(frame: bytes) -> tuple[bytes, bytes, bool] | None:
    """(link header to send back with, IP packet, whether it came through the fabric)."""
    if len(frame) < 14 or frame[6] & 1 or frame[0] & 1:
        return None  # RFC 1812, 4.3.2.7: nothing about frames to many
    ether_type, header = int.from_bytes(frame[12:14], "big"), 14
    if ether_type == _VLAN and len(frame) >= 18:
        ether_type, header = int.from_bytes(frame[16:18], "big"), 18
    if ether_type not in (_IPV4, _IPV6):
        return None
    packet = frame[header:]
    block = int(IPv6Address(SID_BLOCK_PREFIX.partition("/")[0])) >> 96
    fabric = ether_type == _IPV6 and len(packet) >= 40 and int.from_bytes(packet[24:28], "big") == block
    if not fabric:
        return frame[6:12] + frame[:6] + frame[12:header], packet, False
    offset, protocol = 40, packet[6]
    if protocol == _ROUTING and len(packet) >= offset + 8:
        protocol, offset = packet[offset], offset + 8 + packet[offset + 1] * 8
    geneve = packet[offset : offset + 16]
    if protocol != _UDP or len(geneve) < 16 or int.from_bytes(geneve[2:4], "big") != UDP_PORT_GENEVE:
        return None
    inner = packet[offset + 16 + (geneve[8] & 0x3F) * 4 :]
    return bytes(12) + geneve[10:12], inner, True


def _answerable(source: Address, destination: Address) -> bool:
    """To one host, from one host."""
    return not (
        source.is_multicast
        or source.is_unspecified
        or source.is_loopback
        or destination.is_multicast
        or destination.is_link_local
        or (source.version == 4 and int(source) == 0xFFFF_FFFF)
        or (destination.version == 4 and int(destination) == 0xFFFF_FFFF)
    )


def answer(reason: PuntReason, mtu: int, frame: bytes, routers: list[Address]) -> Answer | None:
    """What to tell the sender of a punted ``frame``; None: nothing. ``routers`` are the leaf's own addresses.

    ``mtu`` is what would have fitted, in bytes of the tenant's IP packet.
    """
    found = _inner(frame)
    if found is None or reason not in _IPV4_CODES:
        return None
    link, packet, fabric = found
    version = packet[0] >> 4 if packet else 0
    if version != (4 if int.from_bytes(link[-2:], "big") == _IPV4 else 6):
        return None
    router = next((each for each in routers if each.version == version), None)
    if router is None:
        return None
    if isinstance(router, IPv4Address):
        error = _ipv4(reason, mtu, packet, router)
    else:
        error = _ipv6(reason, mtu, packet, router)
    return None if error is None else Answer(link + error, direct=not fabric)


def _ipv4(reason: PuntReason, mtu: int, packet: bytes, router: IPv4Address) -> bytes | None:
    header = (packet[0] & 15) * 4
    if len(packet) < header + 8 or header < 20:
        return None
    source, destination = (ip_address(packet[at : at + 4]) for at in (12, 16))
    fragment = int.from_bytes(packet[6:8], "big") & 0x1FFF
    is_error = packet[9] == _ICMP and packet[header] in _IPV4_ERRORS
    if fragment or is_error or not _answerable(source, destination):
        return None
    kind, code = _IPV4_CODES[reason]
    rest = struct.pack("!HH", 0, mtu if reason is PuntReason.TOO_BIG else 0)
    quoted = packet[: min(_IPV4_ERROR - 28, int.from_bytes(packet[2:4], "big"))]
    message = bytes((kind, code, 0, 0)) + rest + quoted
    message = message[:2] + checksum(message).to_bytes(2, "big") + message[4:]
    ip = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0xC0, 20 + len(message), 0, 0, 64, _ICMP, 0, router.packed, source.packed
    )
    return ip[:10] + checksum(ip).to_bytes(2, "big") + ip[12:] + message


def _ipv6(reason: PuntReason, mtu: int, packet: bytes, router: IPv6Address) -> bytes | None:
    if len(packet) < 40:
        return None
    source, destination = (ip_address(packet[at : at + 16]) for at in (8, 24))
    # Too big may be said about packets to many as well (RFC 4443, 2.4 e.3); the fabric carries none.
    if not _answerable(source, destination) or _is_icmpv6_error(packet):
        return None
    kind, code = _IPV6_CODES[reason]
    quoted = packet[: min(_IPV6_ERROR - 48, 40 + int.from_bytes(packet[4:6], "big"))]
    message = (
        bytes((kind, code, 0, 0)) + (mtu if reason is PuntReason.TOO_BIG else 0).to_bytes(4, "big") + quoted
    )
    pseudo = router.packed + source.packed + struct.pack("!II", len(message), _ICMPV6)
    message = message[:2] + checksum(pseudo + message).to_bytes(2, "big") + message[4:]
    return struct.pack("!IHBB", 6 << 28, len(message), _ICMPV6, 64) + router.packed + source.packed + message


def _is_icmpv6_error(packet: bytes) -> bool:
    """Or what may be one: behind headers that are cut off, and in later fragments."""
    protocol, offset = packet[6], 40
    while protocol in (_HOP_BY_HOP, _DSTOPTS, _ROUTING, _FRAGMENT):
        if len(packet) < offset + 8:
            return True
        if protocol == _FRAGMENT:
            if int.from_bytes(packet[offset + 2 : offset + 4], "big") & 0xFFF8:
                return True
            protocol, offset = packet[offset], offset + 8
        else:
            protocol, offset = packet[offset], offset + 8 + packet[offset + 1] * 8
    return protocol == _ICMPV6 and (
        len(packet) <= offset or packet[offset] < 128 or packet[offset] == _REDIRECT
    )
