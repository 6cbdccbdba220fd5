# SPDX-License-Identifier: Apache-2.0
"""The path to an instance or a leaf, what may wait on it, and what fits on it."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.packet import Packet, Raw

from tests.dataplane import edge
from tests.dataplane.frames import NO_DEADLINE, OVERHEAD, SWITCH_MAC, Din, Fabric, access, sid
from tests.dataplane.harness import Node, P4jitNode, PacketIn, Program, choice
from tests.dataplane.leaf import (
    CLIENT,
    INSTANCE_KIND,
    LEAF_KIND,
    SERVICE,
    SERVICE4,
    SERVICE6,
    SERVICE_PORT,
    TENANT,
    ZONE,
    Flow,
    Leaf,
    port_of,
)

UPLINK = 9
GROUP = 5
#: A remote instance, whose number is also a leaf's; and this node.
REMOTE, LOCAL = 3, 2
OURS, FUNCTION = 0x0011, 0xF00D
CLIENTS_LEAF = 0x44
DROP_TOO_BIG, DROP_NO_PATH, DROP_ZONE = 12, 17, 21
PUNT_TOO_BIG, PUNT_LENGTH = 3, 256
MTU = 1500
TCP4, TCP6 = Flow(), Flow(src="2001:db8:1::5", dst=SERVICE6)
FLOWS = pytest.mark.parametrize("flow", [TCP4, TCP6], ids=["ipv4", "ipv6"])


@pytest.fixture
def leaf(node: Node) -> Leaf:
    return make_leaf(node)


def make_leaf(node: Node) -> Leaf:
    """All requests go to an instance behind the uplink, until `steer` says otherwise."""
    leaf = Leaf(node, instances=2)
    node.insert("ports", {"port": UPLINK}, "set_fabric")
    hop = choice("set_next_hop", port=UPLINK, dst_mac="02:00:00:00:00:09", src_mac=SWITCH_MAC)
    node.insert("routes", {"sid": (sid(), 32)}, [hop])
    node.set_default("boundaries", "inside")
    for address in (SERVICE4, SERVICE6):
        leaf.service(address)
    leaf.group(GROUP)
    for flow in (TCP4, TCP6):
        leaf.bucket(GROUP, flow.bucket, REMOTE)
    return leaf


def steer(leaf: Leaf, instance: int) -> None:
    for flow in (TCP4, TCP6):
        leaf.bucket(GROUP, flow.bucket, instance, modify=True)


def via(
    leaf: Leaf,
    target: int = REMOTE,
    class_id: int = 0,
    label: int = 0,
    kind: int = INSTANCE_KIND,
    **params: int,
) -> None:
    values = {"segments": sid(0x33, FUNCTION), "mtu": MTU, "zone": ZONE, "base_latency": 0} | params
    leaf.path(target, "via", class_id, label, kind, **values)


def segments(leaf: Leaf, packet: Packet | bytes, port: int = CLIENT) -> bytes:
    """The destination that the fabric header gets."""
    ((left_by, frame),) = leaf.node.exchange(port, access(packet), expect=1)
    assert left_by == UPLINK
    return frame[38:54]


def slack(leaf: Leaf, packet: Packet | bytes) -> int:
    ((left_by, frame),) = leaf.node.exchange(CLIENT, access(packet), expect=1)
    assert left_by == UPLINK
    return edge.seen(frame).din.slack


def packed(*ids: int) -> bytes:
    return bytes.fromhex("fcbbbb00") + b"".join(struct.pack("!H", i) for i in (*ids, 0, 0, 0, 0, 0, 0)[:6])


# ---- paths -------------------------------------------------------------------------------------------------


@FLOWS
def test_all_of_the_list(leaf: Leaf, flow: Flow) -> None:
    """Six IDs: each of their bits."""
    via(leaf, segments=sid(0x1234, 0x5678, 0x9ABC, 0xDEF0, 0x0FED, 0xCBA9))
    assert segments(leaf, flow.packet("S")) == packed(0x1234, 0x5678, 0x9ABC, 0xDEF0, 0x0FED, 0xCBA9)


def test_class_and_label_have_paths_of_their_own(leaf: Leaf) -> None:
    leaf.zone(9, ZONE)
    leaf.group(GROUP, class_id=3)
    leaf.group(GROUP, label=9)
    via(leaf, segments=sid(1, FUNCTION))
    via(leaf, class_id=3, segments=sid(2, FUNCTION))
    via(leaf, label=9, segments=sid(3, FUNCTION))
    assert segments(leaf, TCP4.packet()) == packed(1, FUNCTION)
    leaf.classify(CLIENT, class_id=3, priority=5)
    assert segments(leaf, TCP4.packet()) == packed(2, FUNCTION)
    leaf.classify(CLIENT, label=9, priority=6)
    assert segments(leaf, TCP4.packet()) == packed(3, FUNCTION)


def test_an_instance_and_a_leaf_of_the_same_number(leaf: Leaf) -> None:
    leaf.node.insert("destinations", {"tenant": TENANT, "dst_addr": "10.2.0.0/16"}, "to_leaf", leaf=REMOTE)
    via(leaf, segments=sid(1, FUNCTION))
    via(leaf, kind=LEAF_KIND, segments=sid(2, FUNCTION))
    assert segments(leaf, TCP4.packet()) == packed(1, FUNCTION)
    assert segments(leaf, Flow(dst="10.2.0.9").packet()) == packed(2, FUNCTION)


def test_without_a_path_it_is_dropped(leaf: Leaf) -> None:
    via(leaf, class_id=3)
    via(leaf, label=9)
    via(leaf, target=REMOTE + 1)
    via(leaf, kind=LEAF_KIND)
    assert leaf.reached(TCP4.packet()) == 0
    assert leaf.drops(DROP_NO_PATH) == 1


@FLOWS
def test_an_instance_on_this_leaf_gets_the_packet_as_it_was(leaf: Leaf, flow: Flow) -> None:
    """But for the hop."""
    leaf.local(LOCAL)
    steer(leaf, LOCAL)
    sent = flow.packet("PA", b"request")
    ((port, frame),) = leaf.node.exchange(CLIENT, access(sent), expect=1)
    got = type(sent)(frame[14:])
    assert port == port_of(LOCAL)
    if ":" in flow.src:
        assert got.hlim == sent.hlim - 1
        got.hlim += 1
        assert bytes(got) == bytes(sent)
    else:
        assert got.ttl == sent.ttl - 1
        got.ttl += 1
        got.chksum = IP(bytes(sent)).chksum
        assert bytes(got) == bytes(sent)


def test_the_paths_zone_is_what_the_guard_sees(leaf: Leaf) -> None:
    via(leaf, zone=ZONE + 1)
    assert leaf.reached(TCP4.packet()) == 0
    assert leaf.drops(DROP_ZONE) == 1
    leaf.zone(0, ZONE + 1)
    assert segments(leaf, TCP4.packet()) == packed(0x33, FUNCTION)


# ---- responses ---------------------------------------------------------------------------------------------


@pytest.fixture
def server(leaf: Leaf) -> Leaf:
    """Clients are at another leaf, the instance is at a port of this one."""
    leaf.host(port_of(LOCAL), TENANT)
    leaf.responses(port_of(LOCAL), LOCAL)
    leaf.node.insert(
        "destinations", {"tenant": TENANT, "dst_addr": "10.1.0.0/16"}, "to_leaf", leaf=CLIENTS_LEAF
    )
    via(leaf, CLIENTS_LEAF, kind=LEAF_KIND, segments=sid(1, FUNCTION))
    return leaf


def response_path(server: Leaf, segments: str, **match: int) -> None:
    keys = {"service": SERVICE, "class_id": 0, "label": 0, "leaf": CLIENTS_LEAF} | match
    server.node.insert("response_paths", keys, "via", segments=segments, mtu=MTU, zone=ZONE, base_latency=0)


def test_a_response_has_a_path_of_its_own_or_the_leafs(server: Leaf) -> None:
    answer = TCP4.answer("A", b"token")
    assert segments(server, answer, port_of(LOCAL)) == packed(1, FUNCTION)
    response_path(server, sid(2, FUNCTION))
    assert segments(server, answer, port_of(LOCAL)) == packed(2, FUNCTION)
    assert segments(server, TCP4.answer("SA"), port_of(LOCAL)) == packed(2, FUNCTION)


@pytest.mark.parametrize("other", [{"service": 78}, {"class_id": 1}, {"label": 1}, {"leaf": 0x45}], ids=str)
def test_the_response_path_of_another(server: Leaf, other: dict[str, int]) -> None:
    response_path(server, sid(2, FUNCTION), **other)
    assert segments(server, TCP4.answer("A", b"token"), port_of(LOCAL)) == packed(1, FUNCTION)


def test_other_traffic_does_not_take_response_paths(server: Leaf) -> None:
    response_path(server, sid(2, FUNCTION))
    response_path(server, sid(2, FUNCTION), service=0)
    other = Flow(sport=9999, src=SERVICE4, dst="10.1.0.5", dport=40000)
    assert segments(server, other.packet(), port_of(LOCAL)) == packed(1, FUNCTION)
    udp = replace(other, sport=SERVICE_PORT, protocol=17)
    assert segments(server, udp.packet(), port_of(LOCAL)) == packed(1, FUNCTION)


# ---- slack -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("deadline", "base_latency", "expected"),
    [
        (50_000, 0, 50_000),
        (50_000, 1_500, 48_500),
        (50_000, 50_000, 0),
        (50_000, 50_001, 0),
        (1, 0xFFFFFFFF, 0),
        (0x7FFFFFFF, 0, 0x7FFFFFFF),
        (0x80000000, 0, NO_DEADLINE),
        (0xFFFFFFFF, 0xFFFFFFFF, NO_DEADLINE),
        (0, 0, NO_DEADLINE),
        (0, 1_500, NO_DEADLINE),
    ],
)
def test_slack_is_what_the_way_leaves_of_the_deadline(
    embedded: P4jitNode, deadline: int, base_latency: int, expected: int
) -> None:
    leaf = make_leaf(embedded)
    leaf.classify(CLIENT, deadline=deadline)
    via(leaf, base_latency=base_latency)
    assert slack(leaf, TCP4.packet()) == expected


@pytest.mark.parametrize("deadline", [0, 60_000_000])
def test_what_stays_here_is_not_late(leaf: Leaf, deadline: int) -> None:
    """Neither what an instance gets nor what a host gets, though their class drops what is late."""
    leaf.classify(CLIENT, deadline=deadline, late_drop=1, late_drop_tcp=1)
    leaf.local(LOCAL)
    steer(leaf, LOCAL)
    assert leaf.reached(TCP4.packet("S")) == LOCAL
    match = {"tenant": TENANT, "dst_addr": "10.2.0.0/16"}
    leaf.node.insert("destinations", match, "to_function", function=100 + LOCAL)
    assert leaf.reached(Flow(dst="10.2.0.9", protocol=17).packet()) == LOCAL


# ---- what fits: MSS ----------------------------------------------------------------------------------------


def syn(flow: Flow, mss: int | None, flags: str = "S", more: int = 0) -> Packet:
    """``more``: words of other TCP options, behind the MSS."""
    options: list[object] = [] if mss is None else [("MSS", mss)]
    options += [("NOP", None)] * (4 * more)
    return flow.ip() / TCP(sport=flow.sport, dport=flow.dport, flags=flags, options=options)


def mss_of(packet: bytes) -> int:
    tcp = IPv6(packet)[TCP] if packet[0] >> 4 == 6 else IP(packet)[TCP]
    return dict(tcp.options)["MSS"]


def right_checksum(packet: bytes) -> bool:
    read = IPv6 if packet[0] >> 4 == 6 else IP
    again = read(packet)
    found = again[TCP].chksum
    del again[TCP].chksum
    return bool(read(bytes(again))[TCP].chksum == found)


HEADERS = {False: 40, True: 60}


@FLOWS
@pytest.mark.parametrize("flags", ["S", "SA"])
@pytest.mark.parametrize("more", [0, 3])
@pytest.mark.parametrize("above", [-1, 0, 1, 44])
def test_a_handshake_is_told_what_fits(leaf: Leaf, flow: Flow, flags: str, more: int, above: int) -> None:
    via(leaf, mtu=MTU)
    fits = MTU - OVERHEAD - HEADERS[":" in flow.src]
    sent = syn(flow, fits + above, flags, more)
    ((_, frame),) = leaf.node.exchange(CLIENT, access(sent), expect=1)
    inner = edge.seen(frame).inner
    assert mss_of(inner) == min(fits, fits + above)
    assert right_checksum(inner)
    assert len(inner) == len(sent)


def test_extension_headers_leave_less(leaf: Leaf) -> None:
    """The DIN option takes 24 bytes of each packet."""
    via(leaf)
    tcp = TCP(sport=TCP6.sport, dport=TCP6.dport, flags="S", options=[("MSS", 1460)])
    sent = edge.with_option(tcp, key=None, src=TCP6.src, dst=TCP6.dst)
    ((_, frame),) = leaf.node.exchange(CLIENT, access(sent), expect=1)
    inner = edge.seen(frame).inner
    assert struct.unpack_from("!H", inner, 40 + 24 + 22) == (MTU - OVERHEAD - 60 - 24,)


@FLOWS
def test_jumbo_paths_leave_the_mss_alone(leaf: Leaf, flow: Flow) -> None:
    via(leaf, mtu=9000)
    ((_, frame),) = leaf.node.exchange(CLIENT, access(syn(flow, 1460)), expect=1)
    assert mss_of(edge.seen(frame).inner) == 1460


@pytest.mark.parametrize("flags", ["A", "PA"])
def test_only_a_handshake_has_an_mss(leaf: Leaf, flags: str) -> None:
    via(leaf)
    ((_, frame),) = leaf.node.exchange(CLIENT, access(syn(TCP4, 8960, flags)), expect=1)
    assert mss_of(edge.seen(frame).inner) == 8960


def test_a_syn_without_an_mss_gets_none(leaf: Leaf) -> None:
    via(leaf)
    sent = syn(TCP4, None)
    ((_, frame),) = leaf.node.exchange(CLIENT, access(sent), expect=1)
    assert edge.seen(frame).inner[20:] == bytes(sent)[20:]


@FLOWS
def test_a_port_here_has_an_mtu_too(leaf: Leaf, flow: Flow) -> None:
    leaf.function(150, 20, mtu=1400)
    leaf.path(LOCAL, "local", function=150)
    steer(leaf, LOCAL)
    ((_, frame),) = leaf.node.exchange(CLIENT, access(syn(flow, 1460)), expect=1)
    assert mss_of(frame[14:]) == 1400 - HEADERS[":" in flow.src]
    assert right_checksum(frame[14:])


# ---- what fits: too big ------------------------------------------------------------------------------------


def of_size(flow: Flow, size: int, **fields: int) -> Packet:
    packet = flow.ip(**fields) / TCP(sport=flow.sport, dport=flow.dport, flags="A")
    return packet / Raw(bytes(size - len(packet)))


@FLOWS
def test_the_largest_packet_fits_and_the_next_is_for_the_controller(leaf: Leaf, flow: Flow) -> None:
    via(leaf)
    fields = {} if ":" in flow.src else {"flags": 2}
    ((_, frame),) = leaf.node.exchange(CLIENT, access(of_size(flow, MTU - OVERHEAD, **fields)), expect=1)
    assert len(frame) == 14 + MTU
    assert leaf.node.packet_ins() == []

    too_big = access(of_size(flow, MTU - OVERHEAD + 1, **fields))
    assert leaf.node.exchange(CLIENT, too_big) == []
    metadata = {
        "ingress_port": CLIENT,
        "reason": PUNT_TOO_BIG,
        "label": 0,
        "mtu": MTU - OVERHEAD,
        "tenant": TENANT,
    }
    assert leaf.node.packet_ins() == [PacketIn(too_big[:PUNT_LENGTH], metadata)]
    assert leaf.drops(DROP_TOO_BIG) == 0


def test_also_without_dont_fragment(leaf: Leaf) -> None:
    """No switch cuts it in pieces; its sender can, once the controller has told it the size."""
    via(leaf)
    assert leaf.node.exchange(CLIENT, access(of_size(TCP4, MTU - OVERHEAD + 1))) == []
    (told,) = leaf.node.packet_ins()
    assert (told.metadata["reason"], told.metadata["mtu"]) == (PUNT_TOO_BIG, MTU - OVERHEAD)


def test_too_big_for_a_port_here(leaf: Leaf) -> None:
    leaf.function(150, 20, mtu=1400)
    leaf.path(LOCAL, "local", function=150)
    steer(leaf, LOCAL)
    assert len(leaf.node.exchange(CLIENT, access(of_size(TCP4, 1400)))) == 1
    assert leaf.node.exchange(CLIENT, access(of_size(TCP4, 1401))) == []
    (told,) = leaf.node.packet_ins()
    assert (told.metadata["reason"], told.metadata["mtu"]) == (PUNT_TOO_BIG, 1400)


def test_too_big_for_the_port_at_the_paths_end(leaf: Leaf) -> None:
    """The port of an egress leaf may take less than the fabric: there, too, the sender is told."""
    leaf.node.insert("segments", {"sid": (0xFCBBBB00 << 32 | OURS << 16, 48)}, "end")
    match = {"sid": (0xFCBBBB00 << 32 | OURS << 16 | FUNCTION, 64)}
    leaf.node.insert("segments", match, "end_function", function=150)
    leaf.function(150, 20, mtu=1400)
    for size in (1400, 1401):
        frame = Fabric(sid(OURS, FUNCTION), bytes(of_size(TCP4, size)), Din(), tenant=TENANT).frame()
        left = leaf.node.exchange(UPLINK, frame)
        told = leaf.node.packet_ins()
        if size == 1400:
            assert [(port, len(data)) for port, data in left] == [(20, 14 + size)]
            assert told == []
        else:
            assert left == []
            assert [(t.metadata["reason"], t.metadata["mtu"]) for t in told] == [(PUNT_TOO_BIG, 1400)]


def test_the_handshake_is_told_there_too(leaf: Leaf) -> None:
    match = {"sid": (0xFCBBBB00 << 32 | OURS << 16 | FUNCTION, 64)}
    leaf.node.insert("segments", match, "end_function", function=150)
    leaf.function(150, 20, mtu=1400)
    frame = Fabric(sid(OURS, FUNCTION), bytes(syn(TCP4, 1460)), Din(), tenant=TENANT).frame()
    ((_, delivered),) = leaf.node.exchange(UPLINK, frame, expect=1)
    assert mss_of(delivered[14:]) == 1360
    assert right_checksum(delivered[14:])


def test_the_controllers_own_is_dropped(leaf: Leaf) -> None:
    match = {"tenant": TENANT, "dst_addr": "10.2.0.0/16"}
    leaf.node.insert("destinations", match, "to_function", function=100 + LOCAL)
    for size, left in ((1500, 1), (1501, 0)):
        frame = access(of_size(Flow(dst="10.2.0.9"), size))
        leaf.node.packet_out(frame, submit_to_ingress=1, tenant=TENANT)
        assert len(leaf.node.receive()) == left
    assert leaf.node.packet_ins() == []
    assert leaf.drops(DROP_TOO_BIG) == 1


def test_fragments_are_measured_each(leaf: Leaf) -> None:
    leaf.service(SERVICE6, 17, 0, by_address=1)
    udp = replace(TCP6, protocol=17)
    leaf.bucket(GROUP, udp.without_ports.bucket, REMOTE)
    via(leaf)
    header = udp.ip() / IPv6ExtHdrFragment(nh=17, offset=15, id=9)
    for size, left in ((MTU - OVERHEAD, 1), (MTU - OVERHEAD + 1, 0)):
        packet = header / Raw(bytes(size - len(header)))
        assert len(leaf.node.exchange(CLIENT, access(packet))) == left
    assert len(leaf.node.packet_ins()) == 1


# ---- properties --------------------------------------------------------------------------------------------


def test_no_frame_outgrows_its_path_and_no_segment_its_mss(embedded: P4jitNode, program: Program) -> None:
    """What goes out fits; what does not is with the controller, with the size that would have. And a client
    that keeps to the MSS which a handshake was left with never sends what does not fit."""

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        flow=st.sampled_from([TCP4, TCP6]),
        mtu=st.integers(1364, 9000),
        offered=st.integers(500, 9000),
        size=st.integers(60, 9000),
    )
    def run(flow: Flow, mtu: int, offered: int, size: int) -> None:
        embedded.load(program)
        leaf = make_leaf(embedded)
        via(leaf, mtu=mtu)
        ((_, frame),) = embedded.exchange(CLIENT, access(syn(flow, offered)), expect=1)
        mss = mss_of(edge.seen(frame).inner)
        assert mss <= offered
        full = of_size(flow, mss + HEADERS[":" in flow.src])
        assert len(embedded.exchange(CLIENT, access(full))) == 1
        left = embedded.exchange(CLIENT, access(of_size(flow, size)))
        told = embedded.packet_ins()
        assert len(left) + len(told) == 1
        if left:
            assert len(left[0][1]) == 14 + OVERHEAD + size <= 14 + mtu
        else:
            assert size > told[0].metadata["mtu"] == mtu - OVERHEAD

    run()
