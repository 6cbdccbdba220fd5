# SPDX-License-Identifier: Apache-2.0
"""A fabric for tests of telemetry: leaves with a host and a collector, and what lies between them.

    host -- 1 leaf 9 -- 9 spine 10 -- 9 leaf 1 -- host          collectors: port 30 of a leaf

The client's prefix is 10.1.0.0/16 and 2001:db8:1::/48, the server's 10.2.0.0/16 and 2001:db8:2::/48.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

from tests.dataplane.frames import HOST_MAC, SWITCH_MAC, sid
from tests.dataplane.harness import Node, P4jitNode, choice
from tests.dataplane.int_md import DEFAULT

HOST, UP, DOWN, COLLECTOR = 1, 9, 10, 30
CLIENT_LEAF, SERVER_LEAF = 0x0A01, 0x0A02
CLIENT_SPINE_ID = 0x0B01
HOST_FUNCTION, COLLECTOR_FUNCTION = 0xF001, 0xF00C
#: An ID whose meaning is to look the destination up: see `end_lookup`.
LOOKUP = 0xF0FF
TENANT, ZONE, LABEL = 7, 3, 9
LABEL_UNKNOWN = 0xFF
SESSION = 1
UNIT = 1000
BASE = 1_700_000_000_000_000_000
COLLECTOR4, NODE4 = "192.0.2.10", "192.0.2.1"
COLLECTOR_UDP, HW_ID = 32766, 5
DROP, CONGESTION, FLOW = 1, 2, 3
EVERYTHING = {"client": ("10.1.0.0", 16), "server": ("10.2.0.0", 16)}
EVERYTHING6 = {"client": ("2001:db8:1::", 48), "server": ("2001:db8:2::", 48)}


def v4(address: str) -> int:
    """A table's form of an IPv4 address."""
    return 0xFFFF << 32 | int(IPv4Address(address))


def clock(node: Node, node_id: int, base: int = BASE, unit: int = UNIT) -> None:
    node.set_default("clock", "set_clock", base=base, unit=unit, node_id=node_id)


def route(node: Node, to: str, length: int, port: int) -> None:
    hop = choice("set_next_hop", port=port, dst_mac=SWITCH_MAC, src_mac=HOST_MAC, watch=0, weight=1)
    node.insert("routes", {"sid": (to, length)}, [hop])


def permit(node: Node, label: int, zone: int = ZONE) -> None:
    node.insert("destination_guard", {"label": label, "zone": zone}, "permit_destination")


def function(node: Node, number: int, port: int, zone: int = ZONE, mtu: int = 1500, vid: int = 0) -> None:
    params = {"port": port, "dst_mac": HOST_MAC, "src_mac": SWITCH_MAC, "vid": vid, "mtu": mtu, "zone": zone}
    node.insert("functions", {"function": number}, "deliver", instance=0, **params)


def make_transit(node: Node, node_id: int = 0xB0B, *, own: int = 0x0011) -> None:
    """Fabric port 1; all goes out by port 2."""
    clock(node, node_id)
    node.insert("ports", {"port": 1}, "set_fabric")
    node.set_default("boundaries", "inside")
    node.insert("segments", {"sid": (0xFCBBBB00 << 32 | own << 16, 48)}, "end")
    route(node, "fcbb:bb00::", 32, 2)


def make_leaf(
    node: Node, own: int, *, client: bool, via_spine: int = 0, mtu: int = 9000, label: int = 0
) -> None:
    """Host on port 1, fabric on port 9. A spine's SID, if there is one, leads to the other leaf."""
    clock(node, own)
    other = SERVER_LEAF if client else CLIENT_LEAF
    mine, theirs = ("client", "server") if client else ("server", "client")
    node.insert("ports", {"port": HOST}, "set_access", zone=ZONE)
    node.insert("ports", {"port": UP}, "set_fabric")
    node.set_default("boundaries", "inside")
    for addresses in (EVERYTHING, EVERYTHING6):
        source = _prefix(*addresses[mine])
        params = {"tenant": TENANT, "label": label, "label_mandatory": 0, "option_required": 0}
        node.insert("sources", {"port": HOST, "vid": 0, "src_addr": source}, "permit", **params)
        node.insert(
            "destinations", {"tenant": TENANT, "dst_addr": source}, "to_function", function=HOST_FUNCTION
        )
        there = {"tenant": TENANT, "dst_addr": _prefix(*addresses[theirs])}
        node.insert("destinations", there, "to_leaf", leaf=other)
    path(node, other, mtu=mtu, via_spine=via_spine, label=label)
    node.insert(
        "segments", {"sid": (0xFCBBBB00 << 32 | own << 16 | HOST_FUNCTION, 64)}, "end_function", **FUNCTION
    )
    function(node, HOST_FUNCTION, HOST)
    permit(node, label)
    route(node, "fcbb:bb00::", 32, UP)


FUNCTION = {"function": HOST_FUNCTION}


def end_lookup(node: Node, own: int) -> None:
    """What ends here by `LOOKUP` goes where the tenant's destinations say."""
    node.insert("segments", {"sid": (0xFCBBBB00 << 32 | own << 16 | LOOKUP, 64)}, "end_lookup")


def path(
    node: Node,
    leaf: int,
    *,
    mtu: int = 9000,
    via_spine: int = 0,
    class_id: int = 0,
    label: int = 0,
    zone: int = ZONE,
) -> None:
    ids = [via_spine] if via_spine else []
    key = {"kind": 2, "target": leaf, "class_id": class_id, "label": label}
    where = {"segments": sid(*ids, leaf, HOST_FUNCTION), "mtu": mtu, "zone": zone, "base_latency": 0}
    node.insert("paths", key, "via", **where)


def watch(
    node: Node, instructions: int = DEFAULT, hop_ml: int = 4, hops: int = 7, tokens: int = 0, port: int = HOST
) -> None:
    """All that comes from a port."""
    how = {"instructions": instructions, "hop_ml": hop_ml, "hops": hops, "tokens": tokens}
    node.insert("watchlist", {"port": port}, "watch", priority=1, **how)


def _prefix(address: str, length: int) -> tuple[str | int, int]:
    return (v4(address), 96 + length) if "." in address else (address, length)


# ---- reports ---------------------------------------------------------------------------------------------


def collect(
    node: Node,
    *labels: int,
    port: int = COLLECTOR,
    zone: int = ZONE,
    hw_id: int = HW_ID,
    address: str = COLLECTOR4,
    prepared: bool = False,
) -> None:
    """Reports about these labels to a collector on a port of this switch, in a zone."""
    if not prepared:
        node.clone_session(SESSION, 32)
        function(node, COLLECTOR_FUNCTION, port, zone)
        prefix = (v4("192.0.2.0"), 96 + 24)
        node.insert(
            "destinations", {"tenant": 0, "dst_addr": prefix}, "to_function", function=COLLECTOR_FUNCTION
        )
    for label in labels:
        to = {"hw_id": hw_id, "src_addr": NODE4, "dst_addr": address, "dst_port": COLLECTOR_UDP}
        node.insert("report_sinks", {"label": label}, "to_collector", priority=1, **to)


def report_drops(node: Node, *reasons: int, reports: int = 1000) -> None:
    for reason in reasons:
        node.insert("drop_reports", {"drop_reason": reason}, "report_drops", reports=reports)


@dataclass(frozen=True)
class Report:
    """A report as it came, read with nothing but the specification."""

    sequence: int
    hw_id: int
    node_id: int
    flags: str
    inner_type: int
    md_bits: int
    ds_md_bits: int
    status: int
    ports: tuple[int, int] | None
    latency: int | None
    queue: tuple[int, int] | None
    ingress_time: int | None
    egress_time: int | None
    drop: tuple[int, int] | None
    tenant: int
    service: int
    instance: int
    label: int
    class_id: int
    flow_hash: int
    tokens: tuple[int, ...] | None
    #: Histogram of gaps, the shortest first.
    gaps: list[int] | None
    inner: bytes


def ones_sum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def parse_report(frame: bytes, *, src: str = NODE4, dst: str = COLLECTOR4) -> Report:
    """A delivered report's frame. Everything that must be as it is, is asserted."""
    assert frame[12:14] == b"\x08\x00", frame.hex()
    ip = frame[14:]
    assert ip[0] == 0x45
    assert ones_sum(ip[:20]) == 0xFFFF, "IPv4 header checksum"
    assert struct.unpack("!H", ip[2:4])[0] == len(ip), "the frame is as long as its packet"
    assert ip[6:8] == b"\x40\x00"
    assert ip[9] == 17
    assert (IPv4Address(ip[12:16]), IPv4Address(ip[16:20])) == (IPv4Address(src), IPv4Address(dst))
    udp_dst, udp_length, checksum = struct.unpack("!HHH", ip[22:28])
    assert (udp_dst, udp_length, checksum) == (COLLECTOR_UDP, len(ip) - 20, 0)
    group, node_id = struct.unpack("!II", ip[28:36])
    assert group >> 28 == 2, "version"
    kinds, words, md_words, flags, md_bits, domain, ds_md_bits, status = struct.unpack("!BBBBHHHH", ip[36:48])
    assert kinds >> 4 == 1, "report type INT"
    assert 4 * words == len(ip) - 40, "report length"
    assert flags & 0x1F == 0
    assert domain == 0x4449
    metadata, inner = ip[48 : 48 + 4 * md_words], ip[48 + 4 * md_words :]
    at = 0

    def take(form: str) -> tuple[int, ...]:
        nonlocal at
        found = struct.unpack_from("!" + form, metadata, at)
        at += struct.calcsize("!" + form)
        return found

    assert md_bits & 0x83FE == 0, "a bit that we know nothing for"
    ports = take("HH") if md_bits & 0x4000 else None
    latency = take("I")[0] if md_bits & 0x2000 else None
    queue = take("I")[0] if md_bits & 0x1000 else None
    ingress_time = take("Q")[0] if md_bits & 0x0800 else None
    egress_time = take("Q")[0] if md_bits & 0x0400 else None
    drop = take("BBH") if md_bits & 0x0001 else None
    assert drop is None or drop[2] == 0
    assert ds_md_bits in (0x8000, 0xC000)
    tenant, service_, instance, label, class_id, flow_hash = take("HHHBBI")
    tokens = take("IIIII") if ds_md_bits & 0x4000 else None
    gaps = list(reversed(take("16H"))) if ds_md_bits & 0x4000 else None
    assert at == len(metadata), "metadata length"
    return Report(
        sequence=group & 0x3FFFFF,
        hw_id=group >> 22 & 0x3F,
        node_id=node_id,
        flags="".join(letter for bit, letter in ((0x80, "D"), (0x40, "Q"), (0x20, "F")) if flags & bit),
        inner_type=kinds & 15,
        md_bits=md_bits,
        ds_md_bits=ds_md_bits,
        status=status,
        ports=(ports[0], ports[1]) if ports else None,
        latency=latency,
        queue=(queue >> 24, queue & 0xFFFFFF) if queue is not None else None,
        ingress_time=ingress_time,
        egress_time=egress_time,
        drop=(drop[0], drop[1]) if drop else None,
        tenant=tenant,
        service=service_,
        instance=instance,
        label=label,
        class_id=class_id,
        flow_hash=flow_hash,
        tokens=tokens,
        gaps=gaps,
        inner=inner,
    )


def reports_of(packets: list[tuple[int, bytes]], port: int = COLLECTOR) -> list[Report]:
    return [parse_report(frame) for at, frame in packets if at == port]


def exchange(node: Node, port: int, frame: bytes) -> tuple[list[tuple[int, bytes]], list[Report]]:
    """What left, the collector's port aside, and the reports."""
    found = node.exchange(port, frame)
    return [each for each in found if each[0] != COLLECTOR], reports_of(found)


def at(node: P4jitNode, nanoseconds: int) -> int:
    """The clock table's time at a time of the node's."""
    return BASE + nanoseconds // 1000 * UNIT
