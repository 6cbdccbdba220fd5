# SPDX-License-Identifier: Apache-2.0
"""What the fabric puts before a tenant's packet: IPv6 (a NEXT-CSID list), UDP, Geneve, the DIN option."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Address

from scapy.contrib.geneve import GENEVE
from scapy.fields import (
    BitEnumField,
    BitField,
    ByteField,
    IntField,
    LongField,
    ShortField,
    XIntField,
    XShortField,
)
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet

from din.packet.constants import (
    DIN_SID_BLOCK,
    DIN_VERSION,
    GENEVE_CLASS_DIN,
    GENEVE_LENGTH_DIN,
    GENEVE_TYPE_DIN,
    HOP_LIMIT,
    NO_DEADLINE,
    SID_COUNT,
    UDP_ENTROPY_BASE,
    UDP_PORT_GENEVE,
)
from din.packet.layers.geneve_options import bind_option
from din.packet.layers.host_option import CLASS_NAMES
from din.packet.layers.int_option import INTOption

_ETHERTYPES: dict[type[Packet], int] = {IP: 0x0800, IPv6: 0x86DD}


class DINOption(Packet):
    """The first Geneve option of every fabric packet: din_option_t."""

    name = "DIN option"
    fields_desc = [
        XShortField("option_class", GENEVE_CLASS_DIN),
        ByteField("type", GENEVE_TYPE_DIN),
        BitField("reserved", 0, 3),
        BitField("length", GENEVE_LENGTH_DIN, 5),
        BitField("version", DIN_VERSION, 4),
        BitEnumField("class_id", 0, 4, CLASS_NAMES),
        ByteField("label", 0),
        BitField("response", 0, 1),
        BitField("watched", 0, 1),
        BitField("late_drop", 0, 1),
        BitField("marked", 0, 1),
        BitField("reserved2", 0, 4),
        ByteField("reserved3", 0),
        ShortField("service", 0),
        ShortField("session", 0),
        IntField("slack", NO_DEADLINE),
        XIntField("flow_hash", 0),
        LongField("ingress_time", 0),
    ]

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        return b"", s


def _is_readable(option: bytes) -> bool:
    return len(option) == 4 + 4 * GENEVE_LENGTH_DIN and option[4] >> 4 == DIN_VERSION


bind_option(GENEVE_CLASS_DIN, GENEVE_TYPE_DIN, DINOption, _is_readable)


def sid_list(*ids: int, block: int = DIN_SID_BLOCK) -> str:
    """The address that visits these IDs in turn (RFC 9800, NEXT-CSID); the last is a function."""
    if len(ids) > SID_COUNT:
        raise ValueError(f"an address has room for {SID_COUNT} IDs, not {len(ids)}")
    value = block << 96
    for place, each in enumerate(ids):
        if not 0 < each <= 0xFFFF:
            raise ValueError(f"an ID is 1 to 65535, not {each}")
        value |= each << 80 - 16 * place
    return str(IPv6Address(value))


def sids(address: str | IPv6Address) -> list[int]:
    """The IDs that an address still has to visit, the active one first."""
    value = int(IPv6Address(address))
    ids = [value >> shift & 0xFFFF for shift in range(80, -1, -16)]
    while ids and ids[-1] == 0:
        ids.pop()
    return ids


def encapsulate(
    inner: Packet,
    segments: Sequence[int] | str,
    source: str,
    *,
    tenant: int = 0,
    option: DINOption | None = None,
    telemetry: INTOption | None = None,
    entropy: int = UDP_ENTROPY_BASE,
    hop_limit: int = HOP_LIMIT,
) -> Packet:
    """What a leaf sends for an IP packet, from IPv6 on. ``segments`` are IDs, or the address they make."""
    protocol = next((number for layer, number in _ETHERTYPES.items() if isinstance(inner, layer)), None)
    if protocol is None:
        raise TypeError(f"the fabric carries IP packets, not {inner.name}")
    # The tunnel copies DSCP and ECN, and its flow label is its entropy.
    traffic_class = inner.tos if isinstance(inner, IP) else inner.tc
    options = [DINOption() if option is None else option]
    return (
        IPv6(
            src=source,
            dst=segments if isinstance(segments, str) else sid_list(*segments),
            tc=traffic_class,
            fl=entropy,
            hlim=hop_limit,
        )
        / UDP(sport=entropy, dport=UDP_PORT_GENEVE, chksum=0)
        / GENEVE(vni=tenant, proto=protocol, options=options if telemetry is None else [*options, telemetry])
        / inner
    )
