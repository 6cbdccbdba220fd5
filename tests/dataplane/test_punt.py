# SPDX-License-Identifier: Apache-2.0
"""What the controller gets of a packet: how many of them, how much of each, and what is said about it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrFragment, IPv6ExtHdrSegmentRouting
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

from tests.dataplane.frames import Din, Fabric, sid
from tests.dataplane.harness import CPU_PORT, Node, P4jitNode, PacketIn
from tests.dataplane.hosts import (
    ACCESS,
    FUNCTION,
    HOST_MAC,
    LABEL,
    LINK_MTU,
    NODE,
    PAIR4,
    PAIR6,
    PORT_MTU,
    TENANT,
    UPLINK,
    ZONE,
    Pair,
    make_leaf,
    sent,
)

NO_DESTINATION, TTL, TOO_BIG, GATEWAY, NEIGHBOR, LLDP, PROBE = range(1, 8)
DROP_PUNT_LIMIT = 28
#: What the controller sees of a packet without a label.
PUNT_LENGTH = 256
GATEWAY4, GATEWAY_MAC = "10.1.0.1", "02:00:00:00:00:fe"
OTHER_ACCESS = 3
SECRET = b"what no controller may read"
NOWHERE4, NOWHERE6 = "192.0.2.1", "2001:db8:dead::1"


def make(node: Node, label: int = 0) -> None:
    make_leaf(node, label=label)
    node.insert("ports", {"port": OTHER_ACCESS}, "set_access", zone=ZONE)
    match = {"port": None, "vid": None, "address": GATEWAY4}
    node.insert("addresses", match, "answer_gateway", priority=1, mac=GATEWAY_MAC)


def told(node: Node, port: int, frame: bytes) -> PacketIn:
    assert node.exchange(port, frame) == []
    (packet,) = node.packet_ins()
    return packet


def metadata(reason: int, **fields: int) -> dict[str, int]:
    return {"ingress_port": ACCESS, "reason": reason, "label": 0, "mtu": 0, "tenant": TENANT} | fields


# ---- what is said about it -------------------------------------------------------------------------------


@pytest.mark.parametrize("label", [0, LABEL])
@pytest.mark.parametrize("dst", [NOWHERE4, NOWHERE6])
def test_no_destination(node: Node, dst: str, label: int) -> None:
    make(node, label)
    packet = IPv6(src=PAIR6.host, dst=dst) / TCP() if ":" in dst else IP(src=PAIR4.host, dst=dst) / TCP()
    assert told(node, ACCESS, sent(packet)) == PacketIn(sent(packet), metadata(NO_DESTINATION, label=label))


@pytest.mark.parametrize("pair", [PAIR4, PAIR6], ids=["ipv4", "ipv6"])
def test_too_big(node: Node, pair: Pair) -> None:
    """With the size that would have fitted: what the controller writes in its answer."""
    make(node)

    def datagram(dst: str, size: int) -> bytes:
        ip = IP(src=pair.host, dst=dst) if pair is PAIR4 else IPv6(src=pair.host, dst=dst)
        return sent(ip / UDP() / Raw(bytes(size - len(ip) - 8)))

    for dst, fits in [(pair.here, PORT_MTU), (pair.there, LINK_MTU - 84)]:
        assert len(node.exchange(ACCESS, datagram(dst, fits))) == 1
        packet = datagram(dst, fits + 1)
        assert told(node, ACCESS, packet) == PacketIn(packet[:PUNT_LENGTH], metadata(TOO_BIG, mtu=fits))


def test_the_port_it_came_in_by(node: Node) -> None:
    make(node)
    for port in (ACCESS, OTHER_ACCESS, UPLINK):
        frame = bytes(Ether(dst=GATEWAY_MAC, src=HOST_MAC, type=0x88CC) / Raw(bytes(50)))
        assert told(node, port, frame) == PacketIn(frame, metadata(LLDP, ingress_port=port, tenant=0))


def test_the_controllers_own_probe(node: Node) -> None:
    """Sent to its own port it comes back, whole, whatever the limits are."""
    make(node)
    exhaust(node)
    node.packet_out(bytes(range(250)) * 4, port=CPU_PORT)
    expected = metadata(PROBE, ingress_port=CPU_PORT, tenant=0)
    assert node.packet_ins() == [PacketIn(bytes(range(250)) * 4, expected)]


# ---- how much of it --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 213, 214, 215, 1400])
def test_without_a_label_the_beginning(node: Node, size: int) -> None:
    make(node)
    payload = (bytes(range(256)) * 6)[:size]
    frame = sent(IP(src=PAIR4.host, dst=NOWHERE4) / UDP() / Raw(payload))
    assert told(node, ACCESS, frame) == PacketIn(frame[:PUNT_LENGTH], metadata(NO_DESTINATION))


def header_only(src4: str, src6: str, dst4: str, dst6: str) -> dict[str, tuple[Packet, int]]:
    """Packets, and the length of their headers."""
    v4, v6 = IP(src=src4, dst=dst4), IPv6(src=src6, dst=dst6)
    options = [("MSS", 1400), ("SAckOK", b""), ("Timestamp", (1, 2)), ("NOP", None), ("WScale", 7)]
    segments = IPv6ExtHdrSegmentRouting(addresses=[dst6, dst6], segleft=0, lastentry=1)
    segments.nh = 17
    with_option = bytes((6, 2, 0x1E, 20, 0x10)) + bytes(19) + bytes(v6 / TCP())[40:]
    return {
        "tcp": (v4 / TCP(), 40),
        "tcp with options": (v4 / TCP(options=options), 40 + 20),
        "tcp, ipv6": (v6 / TCP(), 60),
        "udp": (v4 / UDP(), 28),
        "udp, ipv6": (v6 / UDP(), 48),
        "icmp": (v4 / ICMP(), 28),
        "icmpv6": (v6 / ICMPv6EchoRequest(), 48),
        "unknown": (v4.copy() / Raw(b""), 20),
        "unknown, ipv6": (v6.copy() / Raw(b""), 40),
        # Options are not looked at, so they may be anything.
        "ipv4 options": (IP(src=src4, dst=dst4, options=[IPOption_NOP()] * 8) / TCP(), 20),
        "first fragment": (IP(src=src4, dst=dst4, flags="MF") / UDP(), 28),
        "later fragment": (IP(src=src4, dst=dst4, frag=9, proto=6), 20),
        "first fragment, ipv6": (v6 / IPv6ExtHdrFragment(m=1) / UDP(), 56),
        "later fragment, ipv6": (v6 / IPv6ExtHdrFragment(offset=9, nh=6), 48),
        "segments": (v6 / segments / UDP(), 40 + 40 + 8),
        "host option": (IPv6(src=src6, dst=dst6, nh=60) / Raw(with_option), 40 + 24 + 20),
    }


CLASS_CONTROL = 5
KINDS = list(header_only(PAIR4.host, PAIR6.host, NOWHERE4, NOWHERE6))


@pytest.mark.parametrize("kind", KINDS)
def test_with_a_label_the_headers_alone(node: Node, kind: str) -> None:
    make(node, LABEL)
    packet, length = header_only(PAIR4.host, PAIR6.host, NOWHERE4, NOWHERE6)[kind]
    if kind.startswith("unknown"):
        packet.fields["nh" if IPv6 in packet else "proto"] = 99
    frame = sent(packet / Raw(SECRET * 3))
    found = told(node, ACCESS, frame)
    assert found == PacketIn(frame[: 14 + length], metadata(NO_DESTINATION, label=LABEL))
    assert SECRET not in found.payload


def test_with_a_label_in_a_vlan(node: Node) -> None:
    make(node, LABEL)
    match = {"port": ACCESS, "vid": 100}
    node.insert("sources", match, "permit", tenant=TENANT, label=LABEL, label_mandatory=1, option_required=0)
    frame = sent(IP(src=PAIR4.host, dst=NOWHERE4) / TCP() / Raw(SECRET), vid=100)
    assert told(node, ACCESS, frame) == PacketIn(frame[:58], metadata(NO_DESTINATION, label=LABEL))


def test_with_a_label_out_of_the_fabric(node: Node) -> None:
    """Too big for the host's port, at the end of its way. All headers are of interest, the fabric's too."""
    make(node, LABEL)
    packet = bytes(IP(src=PAIR4.host, dst=PAIR4.here) / UDP() / Raw(SECRET * 60))
    frame = Fabric(sid(NODE, FUNCTION), packet, Din(label=LABEL), tenant=TENANT).frame()
    expected = metadata(TOO_BIG, ingress_port=UPLINK, label=LABEL, mtu=PORT_MTU)
    assert told(node, UPLINK, frame) == PacketIn(frame[: 14 + 84 + 28], expected)


def test_for_the_gateway_the_headers_alone(node: Node) -> None:
    """It was not classified: nobody knows that it has no label."""
    make(node)
    frame = sent(IP(src=PAIR4.host, dst=GATEWAY4) / TCP(dport=22) / Raw(SECRET))
    assert told(node, ACCESS, frame) == PacketIn(frame[:54], metadata(GATEWAY, tenant=0))


@pytest.mark.parametrize("kind", [0x0806, 0x88CC], ids=["ARP", "LLDP"])
def test_links_messages(node: Node, kind: int) -> None:
    """LLDP is whole, or a parser of it would miss its end; ARP need not be."""
    make(node, LABEL)
    body = bytes(ARP(op=2, psrc=PAIR4.host, hwsrc=HOST_MAC, pdst=GATEWAY4)) + bytes(range(256)) * 2
    frame = bytes(Ether(dst=GATEWAY_MAC, src=HOST_MAC, type=kind) / Raw(body))
    reason, size = (LLDP, len(frame)) if kind == 0x88CC else (NEIGHBOR, PUNT_LENGTH)
    assert told(node, ACCESS, frame) == PacketIn(frame[:size], metadata(reason, tenant=0))


def test_no_payload_of_labelled_traffic_whatever_it_is(embedded: P4jitNode) -> None:
    make(embedded, LABEL)
    make_packets = header_only(PAIR4.host, PAIR6.host, NOWHERE4, NOWHERE6)

    @settings(max_examples=200, deadline=None)
    @given(
        st.sampled_from(KINDS),
        st.binary(min_size=8, max_size=64),
        st.sampled_from([0, 1, 64]),
        st.integers(0, 255),
    )
    def check(kind: str, noise: bytes, ttl: int, tos: int) -> None:
        packet = make_packets[kind][0].copy()
        if IPv6 in packet:
            packet.hlim, packet.tc = ttl, tos
        else:
            packet.ttl, packet.tos = ttl, tos
        secret = b"\xa5\x5a\xc3" + noise
        embedded.send(ACCESS, sent(packet / Raw(secret)))
        assert embedded.receive() == []
        for found in embedded.packet_ins():
            assert b"\xa5\x5a\xc3" not in found.payload
            assert found.metadata["label"] == LABEL or found.metadata["reason"] in (GATEWAY, NEIGHBOR, LLDP)

    check()


# ---- how many of them ------------------------------------------------------------------------------------

TRAFFIC, LINK = 0, 1


def limit(node: Node, port: int, kind: int, burst: int, rate: int = 1) -> None:
    node.set_meter("punt_ports", port * 2 + kind, cir=rate, cburst=burst, pir=rate, pburst=burst)


def limit_switch(node: Node, kind: int, burst: int, rate: int = 1) -> None:
    node.set_meter("punt_switch", kind, cir=rate, cburst=burst, pir=rate, pburst=burst)


def exhaust(node: Node) -> None:
    """Now the controller gets no more packets from ports."""
    for kind, frame in ((TRAFFIC, nowhere()), (LINK, lldp())):
        limit_switch(node, kind, 1)
        assert count(node, ACCESS, frame, 2) == 1


def nowhere() -> bytes:
    return sent(IP(src=PAIR4.host, dst=NOWHERE4) / TCP())


def gateway() -> bytes:
    return sent(IP(src=PAIR4.host, dst=GATEWAY4) / TCP())


def lldp() -> bytes:
    return bytes(Ether(dst=GATEWAY_MAC, src=HOST_MAC, type=0x88CC) / Raw(bytes(50)))


def count(node: Node, port: int, frame: bytes, times: int) -> int:
    """How many of them the controller gets; the others are counted as dropped."""
    before = node.counter("drops", DROP_PUNT_LIMIT).packets
    for _ in range(times):
        node.send(port, frame)
    assert node.receive() == []
    found = len(node.packet_ins())
    assert node.counter("drops", DROP_PUNT_LIMIT).packets - before == times - found
    return found


def test_no_limit_was_set(node: Node) -> None:
    make(node)
    assert count(node, ACCESS, nowhere(), 20) == 20


def test_a_limit_by_port(node: Node) -> None:
    make(node)
    limit(node, ACCESS, TRAFFIC, 3)
    limit(node, OTHER_ACCESS, TRAFFIC, 5)
    assert count(node, ACCESS, nowhere(), 10) == 3
    assert count(node, OTHER_ACCESS, gateway(), 10) == 5
    # Of another port, and other messages of this one, there are as many as ever.
    assert count(node, UPLINK, lldp(), 10) == 10
    assert count(node, ACCESS, lldp(), 10) == 10


def test_a_limit_for_links_messages(node: Node) -> None:
    make(node)
    limit(node, ACCESS, LINK, 4)
    assert count(node, ACCESS, lldp(), 10) == 4
    arp = bytes(
        Ether(dst=GATEWAY_MAC, src=HOST_MAC) / ARP(op=2, psrc=PAIR4.host, hwsrc=HOST_MAC, pdst=GATEWAY4)
    )
    assert count(node, ACCESS, arp, 10) == 0
    assert count(node, ACCESS, nowhere(), 10) == 10


def test_a_limit_for_the_switch(node: Node) -> None:
    make(node)
    limit_switch(node, TRAFFIC, 6)
    assert count(node, ACCESS, nowhere(), 4) == 4
    assert count(node, OTHER_ACCESS, gateway(), 10) == 2
    assert count(node, ACCESS, lldp(), 10) == 10
    limit_switch(node, LINK, 2)
    assert count(node, ACCESS, lldp(), 10) == 2


def test_what_a_port_has_too_much_of_costs_others_nothing(node: Node) -> None:
    make(node)
    limit(node, ACCESS, TRAFFIC, 2)
    limit_switch(node, TRAFFIC, 6)
    assert count(node, ACCESS, nowhere(), 50) == 2
    assert count(node, OTHER_ACCESS, gateway(), 10) == 4


def test_what_is_answered_has_no_limit(node: Node) -> None:
    make(node)
    for kind in (TRAFFIC, LINK):
        limit(node, ACCESS, kind, 1)
    for _ in range(10):
        node.exchange(ACCESS, sent(IP(src=PAIR4.host, dst=GATEWAY4) / ICMP()), expect=1)
        node.exchange(ACCESS, sent(IP(src=PAIR4.host, dst=PAIR4.here) / TCP()), expect=1)


def test_a_rate(embedded: P4jitNode) -> None:
    """100 packets/s, however many come."""
    make(embedded)
    limit(embedded, ACCESS, TRAFFIC, 1, rate=100)
    found = 0
    for _ in range(1000):
        embedded.send(ACCESS, nowhere())
        embedded.advance(1_000_000)
        found += len(embedded.packet_ins())
    assert found == 100


def test_they_wait_in_two_queues(embedded: P4jitNode) -> None:
    """So that the controller's port, when it is the bottleneck, loses traffic and not links."""
    make(embedded)
    embedded.insert("classes", {"class_id": CLASS_CONTROL}, "set_queue", queue=7)
    embedded.exchange(ACCESS, nowhere())
    embedded.exchange(ACCESS, lldp())
    embedded.exchange(ACCESS, lldp())
    enqueued = [embedded.counter("enqueued", CPU_PORT * 8 + queue).packets for queue in range(8)]
    assert enqueued == [1, 0, 0, 0, 0, 0, 0, 2]
