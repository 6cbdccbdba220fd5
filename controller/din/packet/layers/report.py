# SPDX-License-Identifier: Apache-2.0
"""Telemetry Report v2.0 (P4.org) over UDP, with the metadata of our domain.

A datagram is a group header and one report or more. A report has baseline metadata as its ``md_bits`` say,
the domain's as its ``ds_md_bits`` say, and then, as its ``inner_type`` says, the start of the packet that it
is about.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

from scapy.config import conf
from scapy.fields import (
    BitEnumField,
    BitField,
    ByteEnumField,
    ByteField,
    ConditionalField,
    Field,
    FlagsField,
    IntField,
    LongField,
    PacketField,
    PacketLenField,
    PacketListField,
    ShortField,
    StrLenField,
    ThreeBytesField,
    XIntField,
    XShortField,
)
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, bind_layers

from din.packet.constants import (
    REPORT_DOMAIN,
    REPORT_LENGTH_REST,
    REPORT_VERSION,
    UDP_PORT_REPORT,
    DomainBit,
    DropReason,
    InnerType,
    ReportBit,
    ReportType,
    TokenEvent,
)
from din.packet.layers import metadata
from din.packet.layers.host_option import CLASS_NAMES

_DROP_NAMES = {int(each): each.name.lower() for each in DropReason}
_MD_NAMES = ["drop", *(f"reserved{bit}" for bit in range(14, 8, -1)), "buffer", "tx", "l2_ports"]
_MD_NAMES += ["egress_time", "ingress_time", "queue", "latency", "ports", "reserved0"]
_TRAFFIC_WORDS = 3
_TOKENS_WORDS = 13
_MAIN_WORDS = 2
_GAP_BINS = 16
_INNER_LAYERS: dict[int, type[Packet]] = {InnerType.ETHERNET: Ether, InnerType.IPV4: IP, InnerType.IPV6: IPv6}


class GapsField(Field[list[int], bytes]):
    """Sixteen 16-bit counters, in Python the shortest gaps first. On the wire they are the last."""

    islist = 1
    _FORMAT = f"!{_GAP_BINS}H"

    def __init__(self, name: str) -> None:
        super().__init__(name, [0] * _GAP_BINS, f"{2 * _GAP_BINS}s")

    def i2m(self, pkt: Packet | None, x: Sequence[int] | None) -> bytes:
        return struct.pack(self._FORMAT, *reversed(x or [0] * _GAP_BINS))

    def m2i(self, pkt: Packet | None, x: bytes) -> list[int]:
        return list(reversed(struct.unpack(self._FORMAT, x)))


class ReportTraffic(Packet):
    """What the traffic is: report_traffic_t, in every report of ours."""

    name = "DIN traffic"
    fields_desc = [
        ShortField("tenant", 0),
        ShortField("service", 0),
        ShortField("instance", 0),
        ByteField("label", 0),
        ByteEnumField("class_id", 0, CLASS_NAMES),
        XIntField("flow_hash", 0),
    ]

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        return b"", s


class ReportTokens(Packet):
    """One request and its response on a watched connection: report_tokens_t. Times in us."""

    name = "DIN tokens"
    fields_desc = [
        IntField("headers_time", 0),
        IntField("first_token_time", 0),
        IntField("segments", 0),
        IntField("gap_sum", 0),
        IntField("gap_max", 0),
        GapsField("gaps"),
    ]

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        return b"", s


def _has(bit: ReportBit) -> Any:
    return lambda report: report.type == ReportType.INT and bool(report.md_bits & bit)


def _is_int(report: Packet) -> bool:
    return bool(report.type == ReportType.INT)


def _reserved_length(report: Packet) -> int:
    """Bytes behind bits without a meaning, 9 to 14: between the known ones and the drop reason's."""
    return 4 * (int(report.md_bits) & 0x007E).bit_count()


def _is_ours(report: Packet, bit: DomainBit) -> bool:
    if not _is_int(report) or report.domain != REPORT_DOMAIN or not report.ds_md_bits & bit:
        return False
    if report.md_length is None:
        return True
    needed = metadata.words(int(report.md_bits), metadata.REPORT_FIELDS)
    if report.ds_md_bits & DomainBit.TRAFFIC:
        needed += _TRAFFIC_WORDS
    if bit == DomainBit.TOKENS:
        needed += _TOKENS_WORDS
    return bool(report.md_length >= needed)


def _rest_length(report: Packet) -> int:
    """Bytes of domain metadata that we know no layout of."""
    known = metadata.words(int(report.md_bits), metadata.REPORT_FIELDS)
    known += _TRAFFIC_WORDS * _is_ours(report, DomainBit.TRAFFIC)
    known += _TOKENS_WORDS * _is_ours(report, DomainBit.TOKENS)
    return max(0, 4 * (int(report.md_length) - known))


def _inner_length(report: Packet) -> int:
    if report.length == REPORT_LENGTH_REST:
        return 1 << 16
    words = int(report.length) - (_MAIN_WORDS + int(report.md_length) if _is_int(report) else 0)
    return max(0, 4 * words)


class InnerField(PacketLenField):
    """The start of a packet, of the layer that ``inner_type`` names."""

    def __init__(self, name: str, length_from: Callable[[Packet], int]) -> None:
        super().__init__(name, None, conf.raw_layer, length_from)  # type: ignore[arg-type]

    def m2i(self, pkt: Packet | None, m: bytes) -> Packet:
        inner_type = pkt.inner_type if pkt is not None else InnerType.NONE
        return _INNER_LAYERS.get(inner_type, conf.raw_layer)(m)


class TelemetryReport(Packet):
    """One individual report. A length that is None is computed; what is inside is padded to whole words."""

    name = "Telemetry Report"
    fields_desc = [
        BitEnumField("type", ReportType.INT, 4, {int(each): each.name.lower() for each in ReportType}),
        BitEnumField("inner_type", InnerType.NONE, 4, {int(each): each.name.lower() for each in InnerType}),
        ByteField("length", None),
        ByteField("md_length", None),
        BitField("dropped", 0, 1),
        BitField("congested", 0, 1),
        BitField("tracked", 0, 1),
        BitField("intermediate", 0, 1),
        BitField("reserved", 0, 4),
        ConditionalField(FlagsField("md_bits", 0, 16, _MD_NAMES), _is_int),
        ConditionalField(XShortField("domain", REPORT_DOMAIN), _is_int),
        ConditionalField(XShortField("ds_md_bits", 0), _is_int),
        ConditionalField(XShortField("ds_md_status", 0), _is_int),
        # Bit 0 is reserved, and yet a word where it is set.
        ConditionalField(
            XIntField("reserved_md", 0), lambda report: _is_int(report) and bool(report.md_bits & 0x8000)
        ),
        ConditionalField(ShortField("ingress_port", 0), _has(ReportBit.PORTS)),
        ConditionalField(ShortField("egress_port", 0), _has(ReportBit.PORTS)),
        ConditionalField(IntField("hop_latency", 0), _has(ReportBit.HOP_LATENCY)),
        ConditionalField(ByteField("queue", 0), _has(ReportBit.QUEUE)),
        ConditionalField(ThreeBytesField("occupancy", 0), _has(ReportBit.QUEUE)),
        ConditionalField(LongField("ingress_time", 0), _has(ReportBit.INGRESS_TIME)),
        ConditionalField(LongField("egress_time", 0), _has(ReportBit.EGRESS_TIME)),
        ConditionalField(IntField("l2_ingress_port", 0), _has(ReportBit.L2_PORTS)),
        ConditionalField(IntField("l2_egress_port", 0), _has(ReportBit.L2_PORTS)),
        ConditionalField(IntField("tx_utilization", 0), _has(ReportBit.TX_UTILIZATION)),
        ConditionalField(ByteField("buffer", 0), _has(ReportBit.BUFFER)),
        ConditionalField(ThreeBytesField("buffer_occupancy", 0), _has(ReportBit.BUFFER)),
        ConditionalField(StrLenField("unknown", b"", length_from=_reserved_length), _is_int),
        ConditionalField(ByteField("drop_queue", 0), _has(ReportBit.DROP)),
        ConditionalField(ByteEnumField("drop_reason", 0, _DROP_NAMES), _has(ReportBit.DROP)),
        ConditionalField(ShortField("pad", 0), _has(ReportBit.DROP)),
        ConditionalField(
            PacketField("traffic", ReportTraffic(), ReportTraffic),
            lambda report: _is_ours(report, DomainBit.TRAFFIC),
        ),
        ConditionalField(
            PacketField("tokens", ReportTokens(), ReportTokens),
            lambda report: _is_ours(report, DomainBit.TOKENS),
        ),
        ConditionalField(StrLenField("domain_rest", b"", length_from=_rest_length), _is_int),
        InnerField("inner", _inner_length),
    ]

    def post_build(self, pkt: bytes, pay: bytes) -> bytes:
        pkt += bytes(-len(pkt) % 4)
        words = len(pkt) // 4 - 1
        if self.md_length is None:
            inside = -(-len(bytes(self.inner or b"")) // 4)
            md_length = words - _MAIN_WORDS - inside if _is_int(self) else 0
            pkt = pkt[:2] + bytes([md_length]) + pkt[3:]
        if self.length is None:
            pkt = pkt[:1] + bytes([min(words, REPORT_LENGTH_REST)]) + pkt[2:]
        return pkt + pay

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        return b"", s

    @property
    def token_event(self) -> TokenEvent:
        """Why there are token metrics."""
        return TokenEvent(self.ds_md_status & 3)


class TelemetryReportGroup(Packet):
    """The UDP payload: report_group_t and its reports."""

    name = "Telemetry Report Group"
    fields_desc = [
        BitField("version", REPORT_VERSION, 4),
        BitField("hw_id", 0, 6),
        BitField("sequence", 0, 22),
        IntField("node_id", 0),
        PacketListField("reports", [], TelemetryReport),
    ]


bind_layers(UDP, TelemetryReportGroup, dport=UDP_PORT_REPORT)
