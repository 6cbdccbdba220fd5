# SPDX-License-Identifier: Apache-2.0
"""The trust boundary and what is malformed: every reason why a packet goes no further than the door."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.packet import Packet

from tests.dataplane.frames import (
    CLIENT4,
    CLIENT6,
    SERVER4,
    SERVER6,
    Fabric,
    access,
    ethernet,
    sid,
    tcp4,
    udp6,
)
from tests.dataplane.harness import Node

ACCESS, FABRIC, OUT, STRANGER = 1, 2, 3, 4
REASONS = {
    "truncated": 1,
    "ip header": 2,
    "ip length": 3,
    "ip checksum": 4,
    "address": 5,
    "port": 6,
    "fabric destination": 7,
}


def make(node: Node) -> None:
    node.insert("ports", {"port": ACCESS}, "set_access", zone=1)
    node.insert("ports", {"port": FABRIC}, "set_fabric")
    node.insert("infrastructure", {"dst_addr": ("fd00:1::", 32)}, "refuse_destination")
    node.insert("infrastructure", {"dst_addr": ("::ffff:192.0.2.0", 120)}, "refuse_destination")


def refused(node: Node, port: int, frame: bytes, reason: str) -> None:
    assert node.exchange(port, frame) == []
    counts = {name: node.counter("drops", index).packets for name, index in REASONS.items()}
    assert counts == {name: int(name == reason) for name in REASONS}


def test_a_port_without_a_role(node: Node) -> None:
    make(node)
    refused(node, STRANGER, access(tcp4()), "port")


@pytest.mark.parametrize("dst", [sid(1, 2), "fd00:1::5"])
def test_the_fabric_is_out_of_reach_of_hosts(node: Node, dst: str) -> None:
    make(node)
    refused(node, ACCESS, access(IPv6(src=CLIENT6, dst=dst) / UDP(dport=1) / b"x"), "fabric destination")


def test_a_forged_encapsulation_from_a_host(node: Node) -> None:
    make(node)
    refused(node, ACCESS, Fabric(sid(1, 2), tcp4()).frame(), "fabric destination")


def test_a_forged_encapsulation_behind_a_vlan_tag(node: Node) -> None:
    make(node)
    refused(node, ACCESS, access(Fabric(sid(1, 2), tcp4()).packet(), vid=5), "fabric destination")


def test_infrastructure_over_ipv4(node: Node) -> None:
    make(node)
    refused(node, ACCESS, access(IP(src=CLIENT4, dst="192.0.2.7") / UDP() / b"x"), "fabric destination")


def sane4(**fields: object) -> IP:
    return IP(src=CLIENT4, dst=SERVER4, **fields)


MALFORMED: list[tuple[str, bytes | Packet, str]] = [
    ("IPv4 of version 5", sane4(version=5) / TCP(), "ip header"),
    ("IHL of 4", sane4(ihl=4) / TCP(), "ip header"),
    ("checksum", sane4(chksum=0x1234) / TCP(), "ip checksum"),
    ("total length beyond the frame", sane4(len=41) / TCP(), "ip length"),
    ("total length within the header", sane4(len=19) / TCP(), "ip length"),
    ("total length within TCP", sane4(len=39) / TCP(), "ip length"),
    ("TCP offset of 4", sane4() / TCP(dataofs=4), "ip header"),
    ("TCP options beyond the packet", sane4() / TCP(dataofs=6, flags="A"), "ip length"),
    ("UDP length of 7", sane4() / UDP(len=7), "ip length"),
    ("UDP length beyond the packet", sane4() / UDP(len=9), "ip length"),
    ("from multicast", IP(src="224.0.0.5", dst=SERVER4) / TCP(), "address"),
    ("from loopback", IP(src="127.0.0.1", dst=SERVER4) / TCP(), "address"),
    ("from nobody", IP(src="0.0.0.0", dst=SERVER4) / TCP(), "address"),
    ("from broadcast", IP(src="255.255.255.255", dst=SERVER4) / TCP(), "address"),
    ("to loopback", IP(src=CLIENT4, dst="127.0.0.1") / TCP(), "address"),
    ("to nobody", IP(src=CLIENT4, dst="0.0.0.0") / TCP(), "address"),
    ("to broadcast", IP(src=CLIENT4, dst="255.255.255.255") / UDP(), "address"),
    ("IPv6 of version 7", IPv6(version=7, src=CLIENT6, dst=SERVER6) / TCP(), "ip header"),
    ("IPv6 from multicast", IPv6(src="ff02::1", dst=SERVER6) / TCP(), "address"),
    ("IPv6 from loopback", IPv6(src="::1", dst=SERVER6) / TCP(), "address"),
    ("IPv6 to loopback", IPv6(src=CLIENT6, dst="::1") / TCP(), "address"),
    ("IPv6 from nobody", IPv6(src="::", dst=SERVER6) / TCP(), "address"),
    ("IPv6 to nobody", IPv6(src=CLIENT6, dst="::") / TCP(), "address"),
    ("payload length beyond the frame", IPv6(src=CLIENT6, dst=SERVER6, plen=21) / TCP(), "ip length"),
    ("payload length within TCP", IPv6(src=CLIENT6, dst=SERVER6, plen=19) / TCP(), "ip length"),
    ("payload length that wraps", IPv6(src=CLIENT6, dst=SERVER6, plen=0xFFFF) / TCP(), "ip length"),
    (
        "first fragment within its header",
        IPv6(src=CLIENT6, dst=SERVER6, plen=7) / IPv6ExtHdrFragment(m=1, nh=59),
        "ip length",
    ),
]


@pytest.mark.parametrize(("packet", "reason"), [m[1:] for m in MALFORMED], ids=[m[0] for m in MALFORMED])
def test_malformed(node: Node, packet: Packet, reason: str) -> None:
    make(node)
    data = bytes(packet)
    ether_type = 0x86DD if isinstance(packet, IPv6) else 0x0800
    refused(node, ACCESS, ethernet("02:00:00:00:00:fe", "02:00:00:00:01:01", ether_type) + data, reason)


@pytest.mark.parametrize("packet", [tcp4(), udp6()], ids=["ipv4", "ipv6"])
def test_cut_within_a_header(node: Node, packet: bytes) -> None:
    make(node)
    headers = 14 + (40 if packet[0] >> 4 == 4 else 48)
    lengths = [15, 20, 33, headers - 1]
    for sent, length in enumerate(lengths, 1):
        assert node.exchange(ACCESS, access(packet)[:length]) == []
        assert node.counter("drops", REASONS["truncated"]).packets == sent


def test_cut_within_the_fabric_headers(node: Node) -> None:
    make(node)
    frame = Fabric(sid(1, 2), tcp4()).frame()
    for length in range(14, 14 + 84, 3):
        assert node.exchange(FABRIC, frame[:length]) == []
    truncated, too_long = (node.counter("drops", REASONS[r]).packets for r in ("truncated", "ip length"))
    assert truncated + too_long == len(range(14, 14 + 84, 3))


def test_nothing_comes_of_noise(node: Node) -> None:
    make(node)
    for length in (14, 15, 60, 61, 200):
        for port in (ACCESS, FABRIC, STRANGER):
            node.send(port, bytes((n * 37 + length) & 0xFF for n in range(length)))
    node.settle()
    assert node.receive() == []


def test_counters_count_bytes(node: Node) -> None:
    make(node)
    frame = access(tcp4(b"x" * 100))
    refused(node, STRANGER, frame, "port")
    assert node.counter("drops", REASONS["port"]).bytes == len(frame)


def test_padding_is_not_an_error(node: Node) -> None:
    """A short packet in a frame of the minimum size has bytes behind its end."""
    make(node)
    assert node.exchange(ACCESS, access(bytes(sane4() / TCP()) + bytes(6))) == []
    assert all(node.counter("drops", REASONS[r]).packets == 0 for r in ("truncated", "ip length"))
