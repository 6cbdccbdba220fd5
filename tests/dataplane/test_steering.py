# SPDX-License-Identifier: Apache-2.0
"""Which instance a request reaches: groups, cookies, buckets in every state, liveness."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scapy.layers.inet import IP, TCP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.packet import Packet, Raw

from tests.dataplane import edge
from tests.dataplane.harness import Node
from tests.dataplane.leaf import (
    CLIENT,
    DRAINED,
    MOVING,
    OTHER_CLIENT,
    OTHER_TENANT,
    SERVICE,
    SERVICE4,
    SERVICE6,
    Flow,
    Leaf,
    quoting,
)

DROP_NO_GROUP, DROP_NO_INSTANCE = 14, 15
GROUP = 5
TCP4 = Flow()
TCP6 = Flow(src="2001:db8:1::5", dst=SERVICE6)
UDP4 = Flow(protocol=17)
UDP6 = replace(TCP6, protocol=17)
FLOWS = pytest.mark.parametrize("flow", [TCP4, TCP6, UDP4, UDP6], ids=["tcp4", "tcp6", "udp4", "udp6"])
CONNECTIONS = pytest.mark.parametrize("flow", [TCP4, TCP6], ids=["ipv4", "ipv6"])


@pytest.fixture
def leaf(node: Node) -> Leaf:
    leaf = Leaf(node)
    for address in (SERVICE4, SERVICE6):
        for protocol in (6, 17):
            leaf.service(address, protocol)
    leaf.group(GROUP)
    for instance in range(1, 5):
        leaf.local(instance)
    return leaf


# ---- groups ------------------------------------------------------------------------------------------------


@FLOWS
def test_the_bucket_of_the_flow_hash_decides(leaf: Leaf, flow: Flow) -> None:
    leaf.bucket(GROUP, flow.bucket, 2)
    leaf.bucket(GROUP, (flow.bucket + 1) % 1024, 3)
    assert leaf.reached(flow.packet("S")) == 2
    assert leaf.reached(flow.packet("A", b"data")) == 2
    other = next(
        f for n in range(1, 5000) if (f := replace(flow, sport=n)).bucket == (flow.bucket + 1) % 1024
    )
    assert leaf.reached(other.packet("S")) == 3


@pytest.mark.parametrize(
    "wanted",
    [{"tenant": OTHER_TENANT}, {"class_id": 3}, {"label": 9}, {"service": 78}],
    ids=["tenant", "class", "label", "service"],
)
def test_service_tenant_class_and_label_decide_about_the_group(node: Node, wanted: dict[str, int]) -> None:
    leaf = Leaf(node, instances=2)
    leaf.group(1)
    leaf.group(2, **wanted)
    for group in (1, 2):
        leaf.bucket(group, TCP4.bucket, group)
        leaf.bucket(group, replace(TCP4, dport=8001).bucket, group)
        leaf.local(group)
        leaf.local(group, class_id=3)
        leaf.local(group, label=9)
    leaf.zone(9, 3)
    leaf.service()
    leaf.service(port=8001, service=78)
    assert leaf.reached(TCP4.packet("S")) == 1
    if "tenant" in wanted:
        assert leaf.reached(TCP4.packet("S"), OTHER_CLIENT) == 2
    elif "service" in wanted:
        assert leaf.reached(replace(TCP4, dport=8001).packet("S")) == 2
    else:
        leaf.classify(CLIENT, **wanted)
        assert leaf.reached(TCP4.packet("S")) == 2


def test_what_has_no_group_is_dropped(leaf: Leaf) -> None:
    leaf.bucket(GROUP, TCP4.bucket, 2)
    assert leaf.reached(TCP4.packet("S"), OTHER_CLIENT) == 0
    assert leaf.drops(DROP_NO_GROUP) == 1
    leaf.classify(CLIENT, label=9)
    assert leaf.reached(TCP4.packet("S")) == 0
    assert leaf.drops(DROP_NO_GROUP) == 2


def test_what_has_no_bucket_is_dropped(leaf: Leaf) -> None:
    leaf.bucket(GROUP, (TCP4.bucket + 1) % 1024, 2)
    leaf.bucket(GROUP + 1, TCP4.bucket, 2)
    assert leaf.reached(TCP4.packet("S")) == 0
    assert leaf.reached(UDP4.packet()) == 0
    assert leaf.drops(DROP_NO_INSTANCE) == 2


# ---- buckets -----------------------------------------------------------------------------------------------


@CONNECTIONS
@pytest.mark.parametrize("state", [MOVING, DRAINED])
def test_a_moving_bucket_takes_new_connections_to_the_current_instance(
    leaf: Leaf, flow: Flow, state: int
) -> None:
    leaf.bucket(GROUP, flow.bucket, 2, 1, state)
    assert leaf.reached(flow.packet("A", b"old")) == 1
    assert leaf.reached(flow.packet("FA")) == 1
    assert leaf.reached(flow.packet("S")) == 2
    assert leaf.reached(flow.packet("A")) == 2
    assert leaf.reached(flow.packet("PA", b"request")) == 2
    assert leaf.reached(flow.packet("FA")) == 2
    assert leaf.reached(flow.packet("A")) == 2


@pytest.mark.parametrize("flags", ["A", "SA", "R", "FS", "RS", "", "F"])
def test_only_a_syn_opens_a_connection(leaf: Leaf, flags: str) -> None:
    leaf.bucket(GROUP, TCP4.bucket, 2, 1)
    assert leaf.reached(TCP4.packet(flags)) == 1
    assert leaf.reached(TCP4.packet("A")) == 1


@pytest.mark.parametrize("flags", ["S", "SE", "SEC"])
def test_a_syn_that_offers_ecn_opens_one_too(leaf: Leaf, flags: str) -> None:
    leaf.bucket(GROUP, TCP4.bucket, 2, 1)
    assert leaf.reached(TCP4.packet(flags)) == 2
    assert leaf.reached(TCP4.packet("A")) == 2


@pytest.mark.parametrize("flow", [UDP4, UDP6], ids=["ipv4", "ipv6"])
def test_udp_stays_until_its_drain_timer(leaf: Leaf, flow: Flow) -> None:
    leaf.bucket(GROUP, flow.bucket, 1)
    assert leaf.reached(flow.packet()) == 1
    leaf.bucket(GROUP, flow.bucket, 2, 1, MOVING, modify=True)
    assert [leaf.reached(flow.packet()) for _ in range(3)] == [1, 1, 1]
    leaf.bucket(GROUP, flow.bucket, 2, 1, DRAINED, modify=True)
    assert leaf.reached(flow.packet()) == 2
    leaf.bucket(GROUP, flow.bucket, 2, modify=True)
    assert leaf.reached(flow.packet()) == 2


@CONNECTIONS
def test_a_whole_move(leaf: Leaf, flow: Flow) -> None:
    """A connection from before it, one from during it, one from after it."""
    alike = (f for n in range(1, 65536) if (f := replace(flow, sport=n)).bucket == flow.bucket)
    before, during, after = next(alike), next(alike), next(alike)
    leaf.bucket(GROUP, flow.bucket, 1)
    assert leaf.reached(before.packet("S")) == 1
    leaf.bucket(GROUP, flow.bucket, 2, 1, modify=True)
    assert leaf.reached(during.packet("S")) == 2
    assert [leaf.reached(f.packet()) for f in (before, during)] == [1, 2]
    leaf.bucket(GROUP, flow.bucket, 2, 1, DRAINED, modify=True)
    assert [leaf.reached(f.packet()) for f in (before, during)] == [1, 2]
    assert leaf.reached(before.packet("FA")) == 1
    leaf.bucket(GROUP, flow.bucket, 2, modify=True)
    assert leaf.reached(after.packet("S")) == 2
    assert [leaf.reached(f.packet()) for f in (during, after)] == [2, 2]


def test_a_move_that_is_given_up(leaf: Leaf) -> None:
    leaf.bucket(GROUP, TCP4.bucket, 2, 1)
    assert leaf.reached(TCP4.packet("S")) == 2
    leaf.bucket(GROUP, TCP4.bucket, 1, modify=True)
    assert [leaf.reached(TCP4.packet()) for _ in range(3)] == [2, 2, 2]
    # The next connection with the same ports begins anew.
    assert leaf.reached(TCP4.packet("S")) == 1
    assert leaf.reached(TCP4.packet()) == 1


# ---- packets without a beginning, or without ports ---------------------------------------------------------


def fragments(flow: Flow) -> list[bytes]:
    """Of one datagram: the first with ports, the second without."""
    transport = UDP(sport=flow.sport, dport=flow.dport) / Raw(bytes(range(200)))
    if ":" not in flow.src:
        return [bytes(p) for p in fragment(IP(src=flow.src, dst=flow.dst, id=9) / transport, 120)]
    data = bytes((IPv6(src=flow.src, dst=flow.dst) / transport)[UDP])
    first = IPv6ExtHdrFragment(nh=17, m=1, id=9) / Raw(data[:120])
    second = IPv6ExtHdrFragment(nh=17, offset=15, id=9) / Raw(data[120:])
    return [bytes(IPv6(src=flow.src, dst=flow.dst) / each) for each in (first, second)]


@pytest.mark.parametrize("flow", [UDP4, UDP6], ids=["ipv4", "ipv6"])
def test_a_service_hashed_by_address_keeps_fragments_with_the_rest(node: Node, flow: Flow) -> None:
    leaf = Leaf(node, instances=2)
    for port in (flow.dport, 0):
        leaf.service(flow.dst, 17, port, by_address=1)
    leaf.group(GROUP)
    leaf.local(1)
    leaf.local(2)
    bucket = flow.without_ports.bucket
    leaf.bucket(GROUP, bucket, 1)
    packets = [bytes(flow.packet()), bytes(replace(flow, sport=5).packet()), *fragments(flow)]
    assert len(packets) == 4
    for current, previous, state, expected in [(1, 1, 0, 1), (2, 1, MOVING, 1), (2, 1, DRAINED, 2)]:
        leaf.bucket(GROUP, bucket, current, previous, state, modify=True)
        assert [leaf.reached(p) for p in packets] == [expected] * 4


def test_a_syn_moves_nothing_of_a_service_hashed_by_address(node: Node) -> None:
    """All connections of a client are one flow there: the next one's SYN must not take the others along."""
    leaf = Leaf(node, instances=2)
    leaf.service(by_address=1)
    leaf.group(GROUP)
    leaf.local(1)
    leaf.local(2)
    old, new = Flow(sport=1000), Flow(sport=2000)
    leaf.bucket(GROUP, old.without_ports.bucket, 2, 1)
    assert [leaf.reached(p) for p in (old.packet(), new.packet("S"), new.packet(), old.packet())] == [
        1,
        1,
        1,
        1,
    ]


def test_a_syn_in_fragments_opens_nothing(leaf: Leaf) -> None:
    """All of a client's fragments are one flow: what begins in one of them must not take the others along."""
    leaf.service(SERVICE4, 6, 0)
    leaf.bucket(GROUP, TCP4.without_ports.bucket, 2, 1)
    pieces = fragment(TCP4.packet("S", bytes(200)), 120)
    assert len(pieces) == 2
    assert [leaf.reached(piece) for piece in (*pieces, *pieces)] == [1] * 4


@CONNECTIONS
def test_an_icmp_error_goes_where_the_quoted_connection_goes(leaf: Leaf, flow: Flow) -> None:
    leaf.bucket(GROUP, flow.bucket, 2, 1)
    error = quoting(flow, flow.answer(payload=b"token"))
    assert leaf.reached(error) == 1
    assert leaf.reached(flow.packet("S")) == 2
    assert leaf.reached(error) == 2
    leaf.bucket(GROUP, flow.bucket, 1, modify=True)
    assert leaf.reached(error) == 2


def test_an_icmp_error_about_a_datagram(leaf: Leaf) -> None:
    leaf.bucket(GROUP, UDP4.bucket, 2, 1)
    error = quoting(UDP4, UDP4.answer(payload=b"token"))
    assert leaf.reached(error) == 1
    leaf.bucket(GROUP, UDP4.bucket, 2, 1, DRAINED, modify=True)
    assert leaf.reached(error) == 2


# ---- liveness ----------------------------------------------------------------------------------------------


def test_a_remembered_instance_that_is_dead_is_left(leaf: Leaf) -> None:
    leaf.bucket(GROUP, TCP4.bucket, 2, 1)
    assert leaf.reached(TCP4.packet("S")) == 2
    leaf.dead(2)
    assert leaf.reached(TCP4.packet()) == 1
    leaf.alive(2)
    assert leaf.reached(TCP4.packet()) == 2


def test_the_choice_of_a_bucket_is_the_controllers(leaf: Leaf) -> None:
    """Liveness is for what is remembered. A SYN that went elsewhere would leave its connection behind."""
    leaf.bucket(GROUP, TCP4.bucket, 2)
    leaf.dead(2)
    assert leaf.reached(TCP4.packet("S")) == 2


# ---- cookies -----------------------------------------------------------------------------------------------


def with_cookie(flow: Flow, instance: int, flags: str = "A") -> Packet:
    tcp = TCP(sport=flow.sport, dport=flow.dport, flags=flags)
    return edge.with_option(tcp, src=flow.src, dst=flow.dst, service=SERVICE, instance=instance)


def test_a_cookie_outweighs_bucket_and_affinity(leaf: Leaf) -> None:
    edge.add_key(leaf.node)
    leaf.bucket(GROUP, TCP6.bucket, 2, 1)
    leaf.node.insert("members", {"group": GROUP, "instance": 3}, "honour_cookie")
    assert leaf.reached(TCP6.packet("S")) == 2
    assert [leaf.reached(with_cookie(TCP6, 3, flags)) for flags in "SAF"] == [3, 3, 3]
    assert leaf.reached(TCP6.packet()) == 2


def test_a_cookie_of_another_group_is_none(leaf: Leaf) -> None:
    edge.add_key(leaf.node)
    leaf.bucket(GROUP, TCP6.bucket, 2, 1)
    leaf.node.insert("members", {"group": GROUP + 1, "instance": 3}, "honour_cookie")
    assert leaf.reached(with_cookie(TCP6, 3)) == 1
    assert [leaf.reached(with_cookie(TCP6, 3, flags)) for flags in "SA"] == [2, 2]


def test_the_cookie_of_a_dead_instance_is_none(leaf: Leaf) -> None:
    """All packets of the connection take what one takes that nothing remembers, SYN or not."""
    edge.add_key(leaf.node)
    leaf.bucket(GROUP, TCP6.bucket, 2, 1)
    leaf.node.insert("members", {"group": GROUP, "instance": 3}, "honour_cookie")
    leaf.dead(3)
    assert [leaf.reached(with_cookie(TCP6, 3, flags)) for flags in "SAAF"] == [1, 1, 1, 1]


def test_a_cookie_that_is_not_proved_is_none(leaf: Leaf) -> None:
    leaf.bucket(GROUP, TCP6.bucket, 2)
    leaf.node.insert("members", {"group": GROUP, "instance": 3}, "honour_cookie")
    assert leaf.reached(with_cookie(TCP6, 3)) == 2
    edge.add_key(leaf.node)
    assert leaf.reached(with_cookie(TCP6, 3)) == 3


def test_no_member_no_cookie_no_bucket(leaf: Leaf) -> None:
    edge.add_key(leaf.node)
    assert leaf.reached(with_cookie(TCP6, 3)) == 0
    assert leaf.drops(DROP_NO_INSTANCE) == 1
