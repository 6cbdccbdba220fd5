# SPDX-License-Identifier: Apache-2.0
"""Transit: NEXT-CSID, next hops and their protection (RFC 9800, 4.1.1)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dataplane.frames import Din, Fabric, sid, tcp4, udp6
from tests.dataplane.harness import Node, P4jitNode, choice

FABRIC, UP1, UP2, UP3 = 1, 2, 3, 4
MAC = {port: f"02:00:00:00:00:{port:02x}" for port in range(1, 9)}
OURS = "02:00:00:00:0a:01"
NODE, NEXT, LEAF, FUNCTION = 0x0011, 0x0022, 0x0033, 0xF001
DROP_HOP_LIMIT, DROP_SEGMENT, DROP_NO_NEXT_HOP, DROP_IP_LENGTH = 10, 18, 20, 3


def next_hop(port: int, watch: int = 0, weight: int = 1) -> object:
    return choice("set_next_hop", port=port, dst_mac=MAC[port], src_mac=OURS, watch=watch, weight=weight)


def make_transit(node: Node) -> None:
    node.insert("ports", {"port": FABRIC}, "set_fabric")
    node.insert("segments", {"sid": (0xFCBBBB00 << 32 | NODE << 16, 48)}, "end")
    node.set_default("boundaries", "inside")
    node.insert("routes", {"sid": (sid(NEXT), 48)}, [next_hop(UP1)])
    node.insert("routes", {"sid": (sid(LEAF), 48)}, [next_hop(UP2)])


def transited(packet: Fabric, dst: str, port: int) -> tuple[int, bytes]:
    return port, packet.but(dst=dst, hop_limit=packet.hop_limit - 1).frame(MAC[port], OURS)


@pytest.mark.parametrize("inner", [tcp4(b"tokens"), udp6(), b""], ids=["ipv4", "ipv6", "nothing"])
def test_the_list_shifts_by_one_and_the_rest_decides(node: Node, inner: bytes) -> None:
    make_transit(node)
    packet = Fabric(sid(NODE, NEXT, LEAF, FUNCTION), inner, Din(class_id=3, label=9, service=77))
    assert node.exchange(FABRIC, packet.frame(), expect=1) == [
        transited(packet, sid(NEXT, LEAF, FUNCTION), UP1)
    ]


def test_six_ids_and_the_last_one_keeps_its_place(node: Node) -> None:
    make_transit(node)
    packet = Fabric(sid(NODE, LEAF, 3, 4, 5, 6), tcp4())
    assert node.exchange(FABRIC, packet.frame(), expect=1) == [transited(packet, sid(LEAF, 3, 4, 5, 6), UP2)]


def test_what_is_addressed_to_another_node_is_routed_as_it_is(node: Node) -> None:
    make_transit(node)
    packet = Fabric(sid(NEXT, LEAF, FUNCTION), tcp4())
    assert node.exchange(FABRIC, packet.frame(), expect=1) == [transited(packet, packet.dst, UP1)]


@pytest.mark.parametrize("hop_limit", [0, 1])
def test_an_exhausted_hop_limit(node: Node, hop_limit: int) -> None:
    make_transit(node)
    assert node.exchange(FABRIC, Fabric(sid(NEXT, LEAF), tcp4(), hop_limit=hop_limit).frame()) == []
    assert node.counter("drops", DROP_HOP_LIMIT).packets == 1


@pytest.mark.parametrize("dst", [sid(NODE), sid(), sid(0x7777, LEAF)])
def test_nowhere_to_go(node: Node, dst: str) -> None:
    make_transit(node)
    assert node.exchange(FABRIC, Fabric(dst, tcp4()).frame()) == []
    assert node.counter("drops", DROP_SEGMENT).packets == 1


def test_a_list_longer_than_the_packet(node: Node) -> None:
    make_transit(node)
    frame = Fabric(sid(NEXT, LEAF), tcp4(b"x" * 100)).frame()
    assert node.exchange(FABRIC, frame[:-1]) == []
    assert node.counter("drops", DROP_IP_LENGTH).packets == 1


def test_other_traffic_between_nodes_is_forwarded_by_its_address(node: Node) -> None:
    """No Geneve in it, or none that we read: a node on the way needs the address alone."""
    make_transit(node)
    packet = Fabric(sid(NEXT, LEAF), b"\x45opaque", din=None)
    assert node.exchange(FABRIC, packet.frame(), expect=1) == [transited(packet, packet.dst, UP1)]


def test_flows_spread_by_entropy_and_weight(node: Node) -> None:
    make_transit(node)
    node.insert("routes", {"sid": (sid(0x44), 48)}, [next_hop(UP1, weight=3, watch=UP1), next_hop(UP2)])
    flows = 400
    packets = [Fabric(sid(0x44, LEAF), tcp4(), entropy=0xC000 + n * 37 % 0x4000) for n in range(flows)]
    for packet in packets:
        node.send(FABRIC, packet.frame())
    node.settle()
    seen = [port for port, _ in node.receive()]
    assert len(seen) == flows
    assert 0.65 * flows < seen.count(UP1) < 0.85 * flows
    # A flow keeps its path.
    again = [node.exchange(FABRIC, p.frame(), expect=1)[0][0] for p in packets[:20]]
    assert again == seen[:20] or sorted(again) == sorted(seen[:20])


def ports_of(node: Node, count: int = 64) -> set[int]:
    for n in range(count):
        node.send(FABRIC, Fabric(sid(0x44, LEAF), tcp4(), entropy=0xC000 + n * 211).frame())
    node.settle()
    return {port for port, _ in node.receive()}


def protect(node: Node, port: int, *detours: int) -> None:
    alternatives = [choice("keep", watch=port)]
    alternatives += [choice("detour", port=d, dst_mac=MAC[d], src_mac=OURS, watch=d) for d in detours]
    node.insert("protection", {"port": port}, [*alternatives, choice("no_next_hop")])


def test_a_dead_link_is_left_without_the_controller(embedded: P4jitNode) -> None:
    node = embedded
    make_transit(node)
    node.insert("routes", {"sid": (sid(0x44), 48)}, [next_hop(UP1, watch=UP1), next_hop(UP2)])
    protect(node, UP1, UP3)
    protect(node, UP2, UP3)
    assert ports_of(node) == {UP1, UP2}
    node.set_port(UP1, up=False)
    assert ports_of(node) == {UP2}, "the rest of the group takes over"
    node.set_port(UP2, up=False)
    assert ports_of(node) == {UP3}, "the unwatched member's detour"
    node.set_port(UP3, up=False)
    assert ports_of(node) == set()
    assert node.counter("drops", DROP_NO_NEXT_HOP).packets == 64
    node.set_port(UP2, up=True)
    assert ports_of(node) == {UP2}


def test_alternatives_are_tried_in_their_order(node: Node) -> None:
    """As many groups as make handles of members move about."""
    make_transit(node)
    for spare in range(5, 8):
        protect(node, spare, UP3)
    protect(node, UP1, UP2, UP3)
    node.delete("protection", {"port": 6})
    node.delete("protection", {"port": UP1})
    protect(node, UP1, UP2, UP3)
    packet = Fabric(sid(NEXT, LEAF), tcp4())
    assert node.exchange(FABRIC, packet.frame(), expect=1) == [transited(packet, packet.dst, UP1)]


IDS = st.lists(st.integers(1, 0xFFFF), min_size=2, max_size=6)


def test_a_list_names_its_nodes_in_turn(embedded: P4jitNode) -> None:
    node = embedded
    make_transit(node)
    node.insert("routes", {"sid": ("fcbb:bb00::", 32)}, [next_hop(UP3)])

    @settings(max_examples=50)
    @given(IDS)
    def check(ids: list[int]) -> None:
        packet = Fabric(sid(NODE, *ids[:5]), tcp4())
        first, *_ = ids
        if first == NODE:
            return
        ((port, frame),) = node.exchange(FABRIC, packet.frame(), expect=1)
        assert frame[14:] == packet.but(dst=sid(*ids[:5]), hop_limit=63).packet()
        assert port == {NEXT: UP1, LEAF: UP2}.get(first, UP3)

    check()
