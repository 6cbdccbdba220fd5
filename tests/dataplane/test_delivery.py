# SPDX-License-Identifier: Apache-2.0
"""The last step to a host: where a function delivers, in which frame, and what is refused there."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet, Raw

from tests.dataplane import hosts, leaf
from tests.dataplane.frames import Din, Fabric, access, sid
from tests.dataplane.harness import CPU_PORT, Node
from tests.dataplane.hosts import (
    ACCESS,
    FUNCTION,
    HERE,
    LABEL,
    NODE,
    PAIR4,
    PAIR6,
    PORT_MTU,
    TENANT,
    UPLINK,
    ZONE,
    Pair,
    delivered,
    make_leaf,
    sent,
    true_checksums,
)
from tests.dataplane.leaf import Flow, Leaf, mapped

DROP_FUNCTION, DROP_ZONE, DROP_UNENCAPSULATED, PUNT_TOO_BIG = 19, 21, 31, 3
PAIRS = (PAIR4, PAIR6)


def ip(pair: Pair, ttl: int = 64) -> Packet:
    """To the host at `HERE`."""
    if pair is PAIR6:
        return IPv6(src=pair.host, dst=pair.here, hlim=ttl)
    return IP(src=pair.host, dst=pair.here, ttl=ttl)


def udp(pair: Pair, ttl: int = 64, payload: bytes = b"tokens") -> bytes:
    return bytes(ip(pair, ttl) / UDP(sport=40000, dport=8000) / Raw(payload))


def fabric(packet: bytes, *, function: int = FUNCTION, label: int = 0) -> bytes:
    return Fabric(sid(NODE, function), packet, Din(label=label), tenant=TENANT).frame()


def place(
    node: Node,
    vid: int = 0,
    *,
    port: int = HERE,
    zone: int = ZONE,
    mtu: int = PORT_MTU,
    dst_mac: str = hosts.HOST_MAC,
    src_mac: str = hosts.SWITCH_MAC,
) -> None:
    where = {"port": port, "dst_mac": dst_mac, "src_mac": src_mac, "vid": vid, "mtu": mtu, "zone": zone}
    node.modify("functions", {"function": FUNCTION}, "deliver", instance=0, **where)


def ways(node: Node, pair: Pair) -> list[tuple[int, bytes, bytes]]:
    """In by which port, as what, and the packet that is delivered: from a port here, from a VLAN of it,
    and out of the fabric."""
    here = udp(pair, 63)
    return [
        (ACCESS, sent(udp(pair)), here),
        (ACCESS, sent(udp(pair), 100), here),
        (UPLINK, fabric(here), here),
    ]


def make(node: Node, label: int = 0) -> None:
    make_leaf(node, label=label)
    values = {"tenant": TENANT, "label": label, "label_mandatory": 0, "option_required": 0}
    node.insert("sources", {"port": ACCESS, "vid": 100}, "permit", **values)


# ---- the frame -------------------------------------------------------------------------------------------


def test_a_frame_without_a_tag_or_with_the_ports_own(node: Node) -> None:
    """Whatever tag it came with."""
    make(node)
    for vid in (0, 1, 200, 4095):
        place(node, vid)
        for pair in PAIRS:
            for port, frame, packet in ways(node, pair):
                assert node.exchange(port, frame) == [(HERE, delivered(packet, vid or None))]


def test_the_tag_has_no_priority_of_the_senders(node: Node) -> None:
    make(node)
    place(node, 200)
    frame = bytearray(sent(udp(PAIR4), 100))
    frame[14] |= 0xF0
    assert node.exchange(ACCESS, bytes(frame)) == [(HERE, delivered(udp(PAIR4, 63), 200))]


def test_port_and_macs_are_the_entrys(node: Node) -> None:
    make(node)
    place(node, port=7, dst_mac="06:11:22:33:44:55", src_mac="06:66:77:88:99:aa")
    macs = bytes.fromhex("061122334455 0666778899aa")
    for pair in PAIRS:
        for port, frame, packet in ways(node, pair):
            ((left_by, found),) = node.exchange(port, frame, expect=1)
            assert left_by == 7
            assert found == macs + delivered(packet)[12:]


def test_back_to_the_port_it_came_by(node: Node) -> None:
    """Two hosts behind one port."""
    make(node)
    place(node, port=ACCESS)
    assert node.exchange(ACCESS, sent(udp(PAIR4))) == [(ACCESS, delivered(udp(PAIR4, 63)))]


@pytest.mark.parametrize(("pair", "own"), [(PAIR4, "10.1.0.77"), (PAIR6, "2001:db8:1::77")], ids=["4", "6"])
def test_an_instance_that_has_an_address_of_its_own(node: Node, pair: Pair, own: str) -> None:
    """The same frame but for the address, and what it does to the checksums."""
    make(node)
    hosts.deliver_rewritten(node, own)
    tcp = TCP(sport=40000, dport=8000, flags="PA") / Raw(b"tokens")
    at_instance = ip(pair, 63) / tcp
    at_instance.dst = own
    expected = [(HERE, delivered(true_checksums(at_instance)))]
    for port, frame in (
        (ACCESS, sent(ip(pair) / tcp)),
        (ACCESS, sent(ip(pair) / tcp, 100)),
        (UPLINK, fabric(bytes(ip(pair, 63) / tcp))),
    ):
        assert node.exchange(port, frame) == expected


def test_a_rewritten_one_is_in_a_vlan_too(node: Node) -> None:
    make(node)
    where = {"port": 7, "dst_mac": hosts.HOST_MAC, "src_mac": hosts.SWITCH_MAC, "vid": 300, "mtu": 1500}
    more = {"zone": ZONE, "instance": 4, "dst_addr": mapped("10.1.0.77")}
    node.modify("functions", {"function": FUNCTION}, "deliver_rewritten", **where, **more)
    packet = IP(udp(PAIR4, 63))
    packet.dst = "10.1.0.77"
    packet[UDP].chksum = None
    assert node.exchange(ACCESS, sent(udp(PAIR4))) == [(7, delivered(true_checksums(packet), 300))]


# ---- what is refused -------------------------------------------------------------------------------------


def refused(node: Node, port: int, frame: bytes, reason: int) -> None:
    before = node.counter("drops", reason)
    assert node.exchange(port, frame) == []
    after = node.counter("drops", reason)
    assert (after.packets - before.packets, after.bytes - before.bytes) == (1, len(frame))
    assert node.packet_ins() == []


def test_a_function_that_is_no_more(node: Node) -> None:
    make(node)
    node.delete("functions", {"function": FUNCTION})
    for pair in PAIRS:
        for port, frame, _ in ways(node, pair):
            refused(node, port, frame, DROP_FUNCTION)
    assert node.counter("drops", DROP_FUNCTION).packets == 6
    hosts.deliver(node)
    assert node.exchange(ACCESS, sent(udp(PAIR4))) == [(HERE, delivered(udp(PAIR4, 63)))]


@pytest.mark.parametrize("label", [0, LABEL])
def test_the_zone_of_a_function_counts_on_every_way_to_it(node: Node, label: int) -> None:
    """Delivery on the same leaf, without encapsulation, is guarded like any."""
    make(node, label)
    place(node, zone=ZONE + 1)
    for pair in PAIRS:
        here = udp(pair, 63)
        inputs = [
            (ACCESS, sent(udp(pair))),
            (ACCESS, sent(udp(pair), 100)),
            (UPLINK, fabric(here, label=label)),
        ]
        for port, frame in inputs:
            refused(node, port, frame, DROP_ZONE)
    node.insert("destination_guard", {"label": label, "zone": ZONE + 1}, "permit_destination")
    for pair in PAIRS:
        here = udp(pair, 63)
        for port, frame in ((ACCESS, sent(udp(pair))), (UPLINK, fabric(here, label=label))):
            assert node.exchange(port, frame) == [(HERE, delivered(here))]
    # What is permitted is this label, not its neighbour.
    refused(node, UPLINK, fabric(udp(PAIR4), label=label + 1), DROP_ZONE)


def test_a_rewritten_delivery_is_guarded_too(node: Node) -> None:
    make(node)
    hosts.deliver_rewritten(node, "10.1.0.77")
    node.delete("destination_guard", {"label": 0, "zone": ZONE})
    for port, frame, _ in ways(node, PAIR4):
        refused(node, port, frame, DROP_ZONE)


def test_the_ports_mtu_counts_on_every_way_to_it(node: Node) -> None:
    make(node)
    place(node, mtu=1300)
    for pair in PAIRS:
        room = 1300 - len(udp(pair, payload=b""))
        for extra in (0, 1):
            big, here = (udp(pair, ttl, bytes(room + extra)) for ttl in (64, 63))
            for port, frame in ((ACCESS, sent(big)), (UPLINK, fabric(here))):
                found = node.exchange(port, frame)
                told = [(p.metadata["reason"], p.metadata["mtu"]) for p in node.packet_ins()]
                assert (found, told) == (
                    ([], [(PUNT_TOO_BIG, 1300)]) if extra else ([(HERE, delivered(here))], [])
                )


def test_tenants_packets_on_a_fabric_link_need_fabric_headers(node: Node) -> None:
    """Even for a destination that this leaf knows; with a tag or without."""
    make(node)
    for pair in PAIRS:
        for vid in (None, 100):
            refused(node, UPLINK, sent(udp(pair), vid), DROP_UNENCAPSULATED)
    assert node.counter("drops", DROP_UNENCAPSULATED).packets == 4


# ---- requests and responses ------------------------------------------------------------------------------

CLIENT_FUNCTION, INSTANCE = 0x300, 2
FLOWS = (Flow(), Flow(src="2001:db8:1::5", dst="2001:db8:200::1"))


@pytest.mark.parametrize("flow", FLOWS, ids=["4", "6"])
def test_a_service_on_the_clients_own_leaf(node: Node, flow: Flow) -> None:
    """There by the instance's function and back by the client's, each with its guard."""
    here = Leaf(node)
    port = leaf.port_of(INSTANCE)
    here.service(flow.dst)
    here.responses(port, INSTANCE, flow.dst)
    here.host(port, leaf.TENANT)
    here.group(3)
    here.bucket(3, flow.bucket, INSTANCE)
    here.local(INSTANCE)
    client_zone = leaf.ZONE + 1
    here.function(CLIENT_FUNCTION, leaf.CLIENT, zone=client_zone)
    here.zone(0, client_zone)
    client = {"tenant": leaf.TENANT, "dst_addr": flow.src}
    node.insert("destinations", client, "to_function", function=CLIENT_FUNCTION)

    request, answer = access(flow.packet("S")), access(flow.answer("SA"))

    def after(packet: Packet) -> bytes:
        packet = packet.copy()
        packet.fields["hlim" if IPv6 in packet else "ttl"] = 63
        # From the switch to the host.
        frame = access(packet)
        return frame[6:12] + frame[:6] + frame[12:]

    assert node.exchange(leaf.CLIENT, request) == [(port, after(flow.packet("S")))]
    assert node.exchange(port, answer) == [(leaf.CLIENT, after(flow.answer("SA")))]

    node.delete("destination_guard", {"label": 0, "zone": client_zone})
    refused(node, port, answer, DROP_ZONE)
    assert node.exchange(leaf.CLIENT, request) == [(port, after(flow.packet("S")))]
    here.zone(0, client_zone)
    node.delete("destination_guard", {"label": 0, "zone": leaf.ZONE})
    refused(node, leaf.CLIENT, request, DROP_ZONE)
    assert node.exchange(port, answer) == [(leaf.CLIENT, after(flow.answer("SA")))]

    node.delete("functions", {"function": CLIENT_FUNCTION})
    refused(node, port, answer, DROP_FUNCTION)


# ---- counters --------------------------------------------------------------------------------------------


def test_what_was_put_in_each_queue_and_what_left_it(node: Node) -> None:
    make(node)
    node.insert("classes", {"class_id": 0}, "set_queue", queue=3)

    def counts(name: str, port: int) -> list[int]:
        return [node.counter(name, port << 3 | queue).packets for queue in range(8)]

    for port, frame, _ in ways(node, PAIR4):
        assert len(node.exchange(port, frame)) == 1
    refused(node, UPLINK, fabric(udp(PAIR4), function=FUNCTION, label=99), DROP_ZONE)
    for name in ("enqueued", "dequeued"):
        assert counts(name, HERE) == [0, 0, 0, 3, 0, 0, 0, 0]
        assert counts(name, ACCESS) == counts(name, UPLINK) == counts(name, CPU_PORT) == [0] * 8
    there = IP(src=PAIR4.host, dst=PAIR4.there) / UDP() / Raw(b"tokens")
    assert len(node.exchange(ACCESS, sent(there))) == 1
    for name in ("enqueued", "dequeued"):
        assert counts(name, UPLINK) == [0, 0, 0, 1, 0, 0, 0, 0]
