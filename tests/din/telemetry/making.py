# SPDX-License-Identifier: Apache-2.0
"""Reports as switches make them, built with scapy; and a fabric they are about."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from din.model.ids import Ids, assign
from din.model.load import load
from din.model.network import Model
from din.model.wiring import Wiring
from din.packet import (
    DINHostOption,
    DINOption,
    INTHop,
    INTOption,
    ReportTokens,
    ReportTraffic,
    TelemetryReport,
    TelemetryReportGroup,
    encapsulate,
)
from din.packet.constants import DomainBit, InnerType, ReportBit, TokenEvent
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment
from scapy.packet import Packet, Raw

SKELETON = Path(__file__).resolve().parents[3] / "topologies" / "skeleton.yaml"
CLIENT, SERVICE, SERVICE_PORT = "10.1.0.10", "10.100.0.1", 8000
CLIENT6, SERVICE6 = "2001:db8:1::10", "2001:db8:100::1"
QUEUEING = ReportBit.PORTS | ReportBit.HOP_LATENCY | ReportBit.QUEUE
QUEUEING |= ReportBit.INGRESS_TIME | ReportBit.EGRESS_TIME


@dataclass(frozen=True)
class Fabric:
    """Two leaves, the client's and the instances', and a node between them."""

    model: Model
    ids: Ids
    wiring: Wiring

    def node(self, name: str) -> int:
        return self.ids.of("node", name)


@cache
def fabric(file: Path = SKELETON) -> Fabric:
    model = load(file)
    return Fabric(model, assign(model, []), Wiring(model))


# ---- packets -----------------------------------------------------------------------------------------------


def request(port: int = 40000, payload: bytes = b"", *, six: bool = False) -> Packet:
    network = IPv6(src=CLIENT6, dst=SERVICE6) if six else IP(src=CLIENT, dst=SERVICE)
    return network / TCP(sport=port, dport=SERVICE_PORT) / Raw(payload)


def response(port: int = 40000, payload: bytes = b"", *, six: bool = False) -> Packet:
    network = IPv6(src=SERVICE6, dst=CLIENT6) if six else IP(src=SERVICE, dst=CLIENT)
    return network / TCP(sport=SERVICE_PORT, dport=port) / Raw(payload)


def carried(inner: Packet, hops: list[INTHop] | None = None, *, back: bool = False) -> Packet:
    """``hops``: the oldest first."""
    telemetry = None if hops is None else INTOption().with_hops(hops[::-1])
    return encapsulate(
        inner, [2, 0xE000], "fcbb:bb00::1", option=DINOption(response=int(back)), telemetry=telemetry
    )


def hop(node: int, port: int = 1, latency: int = 0, **fields: int) -> INTHop:
    known: dict[str, Any] = {"ingress_port": 9, "queue": 2, "occupancy": 0, **fields}
    return INTHop(node_id=node, egress_port=port, hop_latency=latency, **known)


# ---- reports -----------------------------------------------------------------------------------------------


def datagram(node: int, *reports: Packet, sequence: int = 0, hw_id: int = 1) -> bytes:
    group = TelemetryReportGroup(hw_id=hw_id, sequence=sequence, node_id=node, reports=list(reports))
    return bytes(group)


def report(inner: Packet | None = None, traffic: dict[str, int] | None = None, **fields: Any) -> Packet:
    kind = InnerType.NONE if inner is None else InnerType.IPV4 if isinstance(inner, IP) else InnerType.IPV6
    return TelemetryReport(
        **{
            "inner_type": kind,
            "inner": inner,
            "md_bits": int(QUEUEING),
            "ds_md_bits": int(DomainBit.TRAFFIC),
            "traffic": ReportTraffic(**(traffic or {})),
            **fields,
        }
    )


def token_report(
    place: Fabric,
    event: TokenEvent,
    first_token: int,
    *,
    port: int = 40000,
    instance: str | None = None,
    through_fabric: bool = True,
    segments: int = 1,
    gaps: list[int] | None = None,
    gap_sum: int = 0,
    inner: Packet | None = None,
) -> Packet:
    """About a response of service `chat`."""
    traffic = {"service": place.ids.of("service", "chat")}
    if instance is not None:
        traffic["instance"] = place.ids.of("instance", instance)
    packet = response(port) if inner is None else inner
    measured = ReportTokens(
        headers_time=first_token // 2,
        first_token_time=first_token,
        segments=segments,
        gaps=gaps or [0] * 16,
        gap_sum=gap_sum,
    )
    return report(
        carried(packet, back=inner is None) if through_fabric else packet,
        traffic,
        tracked=1,
        ds_md_bits=int(DomainBit.TRAFFIC | DomainBit.TOKENS),
        ds_md_status=int(event),
        tokens=measured,
    )


# ---- anything ----------------------------------------------------------------------------------------------

u8, u16, u24, u32, u64 = (st.integers(0, (1 << bits) - 1) for bits in (8, 16, 24, 32, 64))
ports = st.integers(1, 65535)


@st.composite
def tenant_packets(draw: st.DrawFn) -> Packet:
    """IPv4 or IPv6, TCP or UDP or neither; with the host's option, or a fragment."""
    address = draw(u32)
    if draw(st.booleans()):
        network: Packet = IP(src=f"10.1.{address >> 8 & 255}.{address & 255}", dst="10.100.0.1")
        if draw(st.booleans()):
            network.frag = draw(st.sampled_from([0, 0, 7]))
    else:
        network = IPv6(src=f"2001:db8::{address >> 16:x}:{address & 0xFFFF:x}", dst="2001:db8:100::1")
        extension = draw(st.sampled_from(["", "", "option", "fragment", "first fragment"]))
        if extension == "option":
            network = network / IPv6ExtHdrDestOpt(options=[DINHostOption(tenant=7)])
        elif extension:
            network = network / IPv6ExtHdrFragment(offset=0 if extension == "first fragment" else 5, m=1)
    layer = draw(st.sampled_from([TCP, UDP]))
    packet = network / layer(sport=draw(ports), dport=draw(ports))
    return packet / Raw(draw(st.binary(max_size=40)))


#: Ones that a hop's words can say.
hops = st.builds(
    INTHop, node_id=u32, ingress_port=u16, egress_port=u16, hop_latency=u32, queue=u8, occupancy=u24
)


@st.composite
def reports(draw: st.DrawFn) -> Packet:
    """Any of type INT: known and reserved bits, our domain or another's, packets of all kinds or none."""
    fields: dict[str, Any] = {
        "dropped": draw(st.integers(0, 1)),
        "congested": draw(st.integers(0, 1)),
        "tracked": draw(st.integers(0, 1)),
        "md_bits": draw(u16),
        "ingress_port": draw(u16),
        "egress_port": draw(u16),
        "hop_latency": draw(u32),
        "queue": draw(u8),
        "occupancy": draw(u24),
        "ingress_time": draw(u64),
        "egress_time": draw(u64),
        "drop_queue": draw(u8),
        "drop_reason": draw(u8),
    }
    fields["unknown"] = bytes(4 * (fields["md_bits"] & 0x7E).bit_count())
    if draw(st.booleans()):
        fields["domain"] = draw(st.sampled_from([0x4449, 0x4449, 0x1234]))
        ours = fields["domain"] == 0x4449
        fields["ds_md_bits"] = draw(st.sampled_from([0x8000, 0xC000, 0x4000, 0, 0xC001]))
        fields["ds_md_status"] = draw(st.integers(0, 2))
        numbers = {"tenant": u16, "service": u16, "instance": u16, "label": u8, "class_id": u8}
        fields["traffic"] = ReportTraffic(
            flow_hash=draw(u32), **{name: draw(kind) for name, kind in numbers.items()}
        )
        times = ["headers_time", "first_token_time", "segments", "gap_sum", "gap_max"]
        fields["tokens"] = ReportTokens(
            gaps=draw(st.lists(u16, min_size=16, max_size=16)), **{name: draw(u32) for name in times}
        )
        rest = draw(st.integers(0, 3)) if fields["ds_md_bits"] & 1 or not ours else 0
        fields["domain_rest"] = bytes(4 * rest)
    else:
        fields["ds_md_bits"] = 0
    if draw(st.booleans()):
        inner: Packet = draw(tenant_packets())
        if draw(st.booleans()):
            stack = draw(st.one_of(st.none(), st.lists(hops, max_size=7)))
            inner = carried(inner, stack, back=draw(st.booleans()))
        fields["inner"] = inner
        fields["inner_type"] = int(InnerType.IPV4 if isinstance(inner, IP) else InnerType.IPV6)
    return TelemetryReport(**fields)


with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    bytes(report(carried(request())))  # scapy looks for routes and neighbours once
