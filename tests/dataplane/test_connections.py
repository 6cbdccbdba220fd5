# SPDX-License-Identifier: Apache-2.0
"""Connections of each instance, as the leaves count them."""

from __future__ import annotations

import pytest

from tests.dataplane.frames import SWITCH_MAC, access, sid
from tests.dataplane.harness import Fabric, MakeFabric, Node, choice
from tests.dataplane.leaf import CLIENT, SERVICE6, TENANT, ZONE, Flow, Leaf, port_of, quoting

SYN, SYN_ACK, CLIENT_FIN, CLIENT_RST, INSTANCE_FIN, INSTANCE_RST = range(6)
UPLINK = 9
GROUP = 5
FUNCTION = 0xF00D
CLIENTS, SERVERS = 0x11, 0x22
TCP4, TCP6, UDP4 = Flow(), Flow(src="2001:db8:1::5", dst=SERVICE6), Flow(protocol=17)


def counted(node: Node, instance: int) -> dict[int, int]:
    """What is not 0."""
    found = {event: node.counter("connections", instance * 8 + event).packets for event in range(8)}
    return {event: packets for event, packets in found.items() if packets}


@pytest.fixture
def leaf(node: Node) -> Leaf:
    """Clients and instances 1 and 2 at one leaf."""
    leaf = Leaf(node, instances=2)
    leaf.group(GROUP)
    for flow in (TCP4, TCP6, UDP4):
        leaf.service(flow.dst, flow.protocol)
        leaf.bucket(GROUP, flow.bucket, 1)
    for instance in (1, 2):
        leaf.local(instance)
        leaf.host(port_of(instance), TENANT)
        for flow in (TCP4, TCP6, UDP4):
            leaf.responses(port_of(instance), instance, flow.dst, flow.protocol)
    leaf.function(150, 30)
    for prefix in ("10.1.0.0/16", "2001:db8:1::/48"):
        node.insert("destinations", {"tenant": TENANT, "dst_addr": prefix}, "to_function", function=150)
    return leaf


def say(leaf: Leaf, flow: Flow, flags: str, *, instance: int = 0) -> None:
    """A client's packet, or an instance's, which gets there."""
    packet, port = (flow.answer(flags), port_of(instance)) if instance else (flow.packet(flags), CLIENT)
    leaf.node.exchange(port, access(packet), expect=1)


@pytest.mark.parametrize("flow", [TCP4, TCP6], ids=["ipv4", "ipv6"])
def test_a_connections_life(leaf: Leaf, flow: Flow) -> None:
    """At one leaf, so that what is delivered must not be counted again."""
    for flags, instance in [
        ("S", 0),
        ("SA", 1),
        ("A", 0),
        ("PA", 0),
        ("A", 1),
        ("PA", 1),
        ("FA", 1),
        ("FA", 0),
    ]:
        say(leaf, flow, flags, instance=instance)
    assert counted(leaf.node, 1) == {SYN: 1, SYN_ACK: 1, CLIENT_FIN: 1, INSTANCE_FIN: 1}
    assert counted(leaf.node, 2) == counted(leaf.node, 0) == {}


@pytest.mark.parametrize(
    ("flags", "instance", "event"),
    [
        ("S", 0, SYN),
        ("SEC", 0, SYN),
        ("SA", 0, None),
        ("A", 0, None),
        ("PA", 0, None),
        ("F", 0, CLIENT_FIN),
        ("FPA", 0, CLIENT_FIN),
        ("R", 0, CLIENT_RST),
        ("RA", 0, CLIENT_RST),
        ("FRA", 0, CLIENT_RST),
        ("S", 1, None),
        ("SA", 1, SYN_ACK),
        ("SAE", 1, SYN_ACK),
        ("A", 1, None),
        ("FA", 1, INSTANCE_FIN),
        ("R", 1, INSTANCE_RST),
        ("RA", 1, INSTANCE_RST),
        ("FRA", 1, INSTANCE_RST),
    ],
)
def test_which_flags_are_which_event(leaf: Leaf, flags: str, instance: int, event: int | None) -> None:
    for _ in range(2):
        say(leaf, TCP4, flags, instance=instance)
    assert counted(leaf.node, 1) == ({} if event is None else {event: 2})


def test_each_instance_has_its_own(leaf: Leaf) -> None:
    say(leaf, TCP4, "S")
    leaf.bucket(GROUP, TCP4.bucket, 2, modify=True)
    say(leaf, TCP4, "S")
    say(leaf, TCP4, "S")
    say(leaf, TCP4, "SA", instance=2)
    assert counted(leaf.node, 1) == {SYN: 1}
    assert counted(leaf.node, 2) == {SYN: 2, SYN_ACK: 1}


def test_the_last_instance(leaf: Leaf) -> None:
    leaf.path(4095, "local", function=101)
    leaf.bucket(GROUP, TCP4.bucket, 4095, modify=True)
    say(leaf, TCP4, "S")
    # Where it is delivered to is what is there: instance 1.
    assert counted(leaf.node, 1) == {SYN: 1}
    leaf.function(160, 31, instance=4095)
    leaf.node.modify("paths", {"kind": 1, "target": 4095, "class_id": 0, "label": 0}, "local", function=160)
    say(leaf, TCP4, "R")
    assert counted(leaf.node, 4095) == {CLIENT_RST: 1}


def test_what_is_not_tcp_is_no_connection(leaf: Leaf) -> None:
    leaf.node.exchange(CLIENT, access(UDP4.packet(payload=b"S")), expect=1)
    leaf.node.exchange(CLIENT, access(quoting(TCP4, TCP4.answer("FA"))), expect=1)
    assert counted(leaf.node, 1) == {}


def test_what_is_no_services_is_nobodys(leaf: Leaf) -> None:
    leaf.node.insert(
        "destinations", {"tenant": TENANT, "dst_addr": "10.2.0.0/16"}, "to_function", function=101
    )
    leaf.node.exchange(CLIENT, access(Flow(dst="10.2.0.9").packet("S")), expect=1)
    assert counted(leaf.node, 1) == counted(leaf.node, 0) == {}


def test_what_is_dropped_was_not_opened(leaf: Leaf) -> None:
    leaf.node.delete("functions", {"function": 101})
    assert leaf.node.exchange(CLIENT, access(TCP4.packet("S"))) == []
    assert counted(leaf.node, 1) == {}


# ---- across the fabric -------------------------------------------------------------------------------------


@pytest.fixture
def fabric(make_fabric: MakeFabric) -> Fabric:
    """Clients at one leaf, the instance at another."""
    fabric = make_fabric("clients", "servers")
    fabric.link("clients", UPLINK, "servers", UPLINK)
    for name, ours, theirs in (("clients", CLIENTS, SERVERS), ("servers", SERVERS, CLIENTS)):
        node = fabric[name]
        leaf = Leaf(node, instances=1, clients=name == "clients")
        node.insert("ports", {"port": UPLINK}, "set_fabric")
        node.set_default("boundaries", "inside")
        hop = choice("set_next_hop", port=UPLINK, dst_mac="02:00:00:00:00:09", src_mac=SWITCH_MAC)
        node.insert("routes", {"sid": (sid(theirs), 48)}, [hop])
        match = {"sid": (0xFCBBBB00 << 32 | ours << 16 | FUNCTION, 64)}
        node.insert("segments", match, "end_function", function=101 if name == "servers" else 150)
        over = {"segments": sid(theirs, FUNCTION), "mtu": 9000, "zone": ZONE, "base_latency": 0}
        if name == "clients":
            leaf.service()
            leaf.group(GROUP)
            leaf.bucket(GROUP, TCP4.bucket, 1)
            leaf.path(1, "via", **over)
            leaf.function(150, CLIENT)
        else:
            leaf.host(port_of(1), TENANT)
            leaf.responses(port_of(1), 1)
            node.insert(
                "destinations", {"tenant": TENANT, "dst_addr": "10.1.0.0/16"}, "to_leaf", leaf=CLIENTS
            )
            leaf.path(CLIENTS, "via", kind=2, **over)
    return fabric


def test_each_packet_is_counted_once_where_its_host_is(fabric: Fabric) -> None:
    for flags, answered in [("S", 0), ("SA", 1), ("A", 0), ("FA", 0), ("A", 1), ("FA", 1), ("R", 0)]:
        if answered:
            (arrival,) = fabric.exchange("servers", port_of(1), access(TCP4.answer(flags)), expect=1)
            assert (arrival.node, arrival.port) == ("clients", CLIENT)
        else:
            (arrival,) = fabric.exchange("clients", CLIENT, access(TCP4.packet(flags)), expect=1)
            assert (arrival.node, arrival.port) == ("servers", port_of(1))
    assert counted(fabric["clients"], 1) == {SYN: 1, CLIENT_FIN: 1, CLIENT_RST: 1}
    assert counted(fabric["servers"], 1) == {SYN_ACK: 1, INSTANCE_FIN: 1}
