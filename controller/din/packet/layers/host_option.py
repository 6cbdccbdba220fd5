# SPDX-License-Identifier: Apache-2.0
"""The option by which a host says what its traffic is, in an IPv6 Destination Options header."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scapy.fields import (
    BitEnumField,
    BitField,
    ByteField,
    IntField,
    ShortField,
    XByteField,
    XIntField,
)
from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import (
    HBHOptUnknown,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrRouting,
    IPv6ExtHdrSegmentRouting,
)
from scapy.packet import Packet

from din.packet.constants import CLASS_REPORT, DIN_OPTION_LENGTH, DIN_OPTION_TYPE, DIN_VERSION, TrafficClass
from din.packet.halfsiphash import host_tag

CLASS_NAMES = {int(each): each.name.lower() for each in TrafficClass}
CLASS_NAMES |= {CLASS_REPORT | each: f"report_{name}" for each, name in CLASS_NAMES.items()}


class DINHostOption(Packet):
    """The whole option, for ``IPv6ExtHdrDestOpt(options=[...])``: host_option_t without its first two bytes.

    Options of this type with another length or version stay what scapy makes of unknown ones.
    """

    name = "DIN host option"
    fields_desc = [
        XByteField("option_type", DIN_OPTION_TYPE),
        ByteField("option_length", DIN_OPTION_LENGTH),
        BitField("version", DIN_VERSION, 4),
        BitEnumField("class_id", 0, 4, CLASS_NAMES),
        ByteField("label", 0),
        ByteField("key_id", 0),
        ByteField("epoch", 0),
        ShortField("tenant", 0),
        ShortField("service", 0),
        ShortField("instance", 0),
        ShortField("session", 0),
        IntField("deadline", 0),
        XIntField("tag", 0),
    ]

    def alignment_delta(self, curpos: int) -> int:
        # 8n + 2: first in its header, where switches look for it.
        return (2 - curpos) % 8

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        return b"", s


def sign(packet: Packet, key: bytes) -> Packet:
    """A copy of a packet whose DIN option has the tag that its addresses and ports ask for.

    Addresses are those of the first IPv6 header, ports of the TCP or UDP header that switches see: 0 in
    fragments.
    """
    signed = packet.copy()
    ip = signed[IPv6]
    option = _option(signed)
    ports = (0, 0)
    if IPv6ExtHdrFragment not in signed:
        transport = _upper(ip)
        if isinstance(transport, TCP | UDP):
            ports = (transport.sport, transport.dport)
    option.tag = host_tag(key, ip.src, ip.dst, *ports, option)
    return signed


def _upper(ip: IPv6) -> Packet:
    """What an IPv6 packet carries. Not what an ICMP error quotes: those ports are not the packet's."""
    layer = ip.payload
    while isinstance(layer, IPv6ExtHdrDestOpt | IPv6ExtHdrRouting | IPv6ExtHdrSegmentRouting):
        layer = layer.payload
    return layer


def _option(packet: Packet) -> DINHostOption:
    header = packet.getlayer(IPv6ExtHdrDestOpt)
    for option in header.options if header is not None else ():
        if isinstance(option, DINHostOption):
            return option
    raise ValueError("the packet has no DIN option to sign")


_known_options: Callable[..., type[Packet]] = HBHOptUnknown.dispatch_hook


def _dispatch(cls: type[Packet], _pkt: bytes | None = None, *args: Any, **kwargs: Any) -> type[Packet]:
    readable = (
        _pkt is not None
        and len(_pkt) >= 2 + DIN_OPTION_LENGTH
        and _pkt[0] == DIN_OPTION_TYPE
        and _pkt[1] == DIN_OPTION_LENGTH
        and _pkt[2] >> 4 == DIN_VERSION
    )
    return DINHostOption if readable else _known_options(_pkt, *args, **kwargs)


HBHOptUnknown.dispatch_hook = classmethod(_dispatch)  # type: ignore[assignment, method-assign]
