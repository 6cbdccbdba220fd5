# SPDX-License-Identifier: Apache-2.0
"""Where hosts are: all unicast traffic but requests to a service."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

from tests.dataplane import edge
from tests.dataplane.frames import HOST_MAC, SWITCH_MAC, access, sid
from tests.dataplane.harness import Node, PacketIn, choice
from tests.dataplane.leaf import (
    CLIENT,
    LEAF_KIND,
    OTHER_CLIENT,
    OTHER_TENANT,
    TENANT,
    ZONE,
    Flow,
    Leaf,
)

UPLINK = 9
DROP_ETHERTYPE, DROP_NO_DESTINATION = 9, 16
PUNT_NO_DESTINATION = 1
ADDRESSES = pytest.mark.parametrize(
    ("source", "near", "far"),
    [("10.1.0.5", "10.3.0.9", "10.2.0.9"), ("2001:db8:1::5", "2001:db8:3::9", "2001:db8:2::9")],
    ids=["ipv4", "ipv6"],
)
#: Leaves, and the functions that are ports of this one.
FAR, FARTHER = 0x44, 0x45
HERE, HERE_TOO = 201, 202
HERE_PORT, HERE_TOO_PORT = 21, 22


@pytest.fixture
def leaf(node: Node) -> Leaf:
    """Two other leaves, two ports here."""
    leaf = Leaf(node, instances=0)
    node.insert("ports", {"port": UPLINK}, "set_fabric")
    for function, port in ((HERE, HERE_PORT), (HERE_TOO, HERE_TOO_PORT)):
        leaf.function(function, port)
    for each in (FAR, FARTHER):
        segments = sid(each, 0xF001)
        leaf.path(each, "via", kind=LEAF_KIND, segments=segments, mtu=9000, zone=ZONE, base_latency=0)
    hop = choice("set_next_hop", port=UPLINK, dst_mac="02:00:00:00:00:09", src_mac=SWITCH_MAC)
    node.insert("routes", {"sid": (sid(), 32)}, [hop])
    node.set_default("boundaries", "inside")
    return leaf


def matching(tenant: int, prefix: str) -> dict[str, int | str | None]:
    return {"tenant": tenant, "dst_addr": None if prefix == "::/0" else prefix}


def to_leaf(node: Node, prefix: str, leaf: int, tenant: int = TENANT) -> None:
    node.insert("destinations", matching(tenant, prefix), "to_leaf", leaf=leaf)


def to_function(node: Node, prefix: str, function: int, tenant: int = TENANT) -> None:
    node.insert("destinations", matching(tenant, prefix), "to_function", function=function)


def sent(leaf: Leaf, packet: Packet, port: int = CLIENT) -> tuple[int, int] | None:
    """The port that a packet left by, and the leaf it is on its way to (0: none)."""
    found = leaf.node.exchange(port, access(packet))
    if not found:
        return None
    ((left_by, frame),) = found
    first_sid = int.from_bytes(frame[42:44], "big") if left_by == UPLINK else 0
    return left_by, first_sid


@ADDRESSES
def test_the_longest_prefix_decides(leaf: Leaf, source: str, near: str, far: str) -> None:
    node = leaf.node
    wide, narrow, host = ("/0", "/112", "/128") if ":" in far else ("/0", "/24", "/32")
    network = far[: far.rindex(":" if ":" in far else ".")] + (":0" if ":" in far else ".0")
    to_leaf(node, ("::" if ":" in far else "0.0.0.0") + wide, FAR)
    flow = Flow(src=source, dst=far, protocol=17)
    assert sent(leaf, flow.packet()) == (UPLINK, FAR)
    to_leaf(node, network + narrow, FARTHER)
    assert sent(leaf, flow.packet()) == (UPLINK, FARTHER)
    to_function(node, far + host, HERE)
    assert sent(leaf, flow.packet()) == (HERE_PORT, 0)
    assert sent(leaf, Flow(src=source, dst=near).packet()) == (UPLINK, FAR)


@ADDRESSES
def test_tenants_are_apart(leaf: Leaf, source: str, near: str, far: str) -> None:
    length = 128 if ":" in far else 32
    to_function(leaf.node, f"{far}/{length}", HERE)
    to_function(leaf.node, f"{far}/{length}", HERE_TOO, OTHER_TENANT)
    packet = Flow(src=source, dst=far).packet("S")
    assert sent(leaf, packet) == (HERE_PORT, 0)
    assert sent(leaf, packet, OTHER_CLIENT) == (HERE_TOO_PORT, 0)


def test_ipv4_and_ipv6_are_apart(leaf: Leaf) -> None:
    """An IPv4 prefix is one of ::ffff:0:0/96, and no IPv6 packet has such an address."""
    to_function(leaf.node, "0.0.0.0/0", HERE)
    assert sent(leaf, Flow(src="2001:db8:1::5", dst="2001:db8:2::9").packet()) is None
    assert sent(leaf, Flow(dst="10.2.0.9").packet()) == (HERE_PORT, 0)


@pytest.mark.parametrize("protocol", ["tcp", "udp", "icmp", "other", "fragment"])
def test_any_protocol_goes(leaf: Leaf, protocol: str) -> None:
    to_leaf(leaf.node, "10.2.0.0/16", FAR)
    upper: dict[str, Packet] = {
        "tcp": TCP(flags="A"),
        "udp": UDP(),
        "icmp": ICMP(),
        "other": Raw(b"data"),
        "fragment": Raw(b"later fragment"),
    }
    ip = IP(src="10.1.0.5", dst="10.2.0.9", frag=8 if protocol == "fragment" else 0)
    if protocol in ("other", "fragment"):
        ip.proto = 50 if protocol == "other" else 17
    assert sent(leaf, ip / upper[protocol]) == (UPLINK, FAR)


def test_an_icmp_error_goes_back_along_the_quoted_flow(leaf: Leaf) -> None:
    """To the quoted packet's source: which is where it is addressed to, as a rule."""
    to_function(leaf.node, "10.3.0.9/32", HERE)
    quoted = Flow(src="10.3.0.9", dst="10.1.0.5", protocol=17).packet(payload=b"data")
    error = IP(src="10.1.0.5", dst="10.3.0.9") / ICMP(type=3, code=3) / Raw(bytes(quoted)[:28])
    assert sent(leaf, error) == (HERE_PORT, 0)


@ADDRESSES
def test_a_host_is_told_that_there_is_no_such_destination(
    leaf: Leaf, source: str, near: str, far: str
) -> None:
    to_leaf(leaf.node, f"{far}/{128 if ':' in far else 32}", FAR)
    frame = access(Flow(src=source, dst=near, protocol=17).packet(payload=b"hello"))
    assert leaf.node.exchange(CLIENT, frame) == []
    metadata = {"ingress_port": CLIENT, "reason": PUNT_NO_DESTINATION, "label": 0, "mtu": 0, "tenant": TENANT}
    assert leaf.node.packet_ins() == [PacketIn(frame, metadata)]
    assert leaf.drops(DROP_NO_DESTINATION) == 0


def test_the_other_tenants_destination_is_none(leaf: Leaf) -> None:
    to_leaf(leaf.node, "10.2.0.0/16", FAR, OTHER_TENANT)
    leaf.node.send(CLIENT, access(Flow(dst="10.2.0.9").packet()))
    (told,) = leaf.node.packet_ins()
    assert (told.metadata["reason"], told.metadata["tenant"]) == (PUNT_NO_DESTINATION, TENANT)


# ---- from the controller -----------------------------------------------------------------------------------


def routed(node: Node, frame: bytes, tenant: int = TENANT) -> list[tuple[int, bytes]]:
    node.packet_out(frame, submit_to_ingress=1, tenant=tenant)
    return node.receive()


def test_what_the_controller_sends_is_routed_for_its_tenant(leaf: Leaf) -> None:
    """With class control."""
    to_function(leaf.node, "10.3.0.9/32", HERE)
    to_leaf(leaf.node, "10.2.0.0/16", FAR)
    leaf.path(FAR, "via", 5, kind=LEAF_KIND, segments=sid(FAR, 1), mtu=9000, zone=ZONE, base_latency=0)
    ((port, frame),) = routed(leaf.node, access(Flow(dst="10.3.0.9").packet()))
    assert (port, frame[:12].hex()) == (HERE_PORT, (HOST_MAC + SWITCH_MAC).replace(":", ""))
    ((port, frame),) = routed(leaf.node, access(Flow(dst="10.2.0.9").packet()))
    assert (port, edge.seen(frame).tenant, edge.seen(frame).din.class_id) == (UPLINK, TENANT, 5)


def test_the_controller_is_told_nothing_of_its_own(leaf: Leaf) -> None:
    to_function(leaf.node, "10.3.0.9/32", HERE)
    assert routed(leaf.node, access(Flow(dst="10.2.0.9").packet())) == []
    assert routed(leaf.node, access(Flow(dst="10.3.0.9").packet()), OTHER_TENANT) == []
    assert leaf.drops(DROP_NO_DESTINATION) == 2
    assert leaf.node.packet_ins() == []


def test_what_is_not_ip_has_no_destination(leaf: Leaf) -> None:
    """Not even where all addresses have one."""
    to_function(leaf.node, "::/0", HERE)
    arp = Ether(dst=SWITCH_MAC, src=HOST_MAC) / ARP(psrc="10.1.0.5", pdst="10.1.0.6")
    assert routed(leaf.node, bytes(arp)) == []
    assert leaf.drops(DROP_ETHERTYPE) == 1


def test_an_icmpv6_error_finds_the_quoted_packets_source(leaf: Leaf) -> None:
    to_leaf(leaf.node, "2001:db8:2::/48", FAR)
    quoted = Flow(src="2001:db8:2::9", dst="2001:db8:1::5", protocol=17).packet(payload=b"data")
    error = IPv6(src="2001:db8:1::5", dst="2001:db8:2::9") / ICMPv6DestUnreach(code=4) / Raw(bytes(quoted))
    assert sent(leaf, error) == (UPLINK, FAR)
