# SPDX-License-Identifier: Apache-2.0
"""What the fabric changes in a tenant's packet, and that nothing else is.

Expected packets are scapy's, with the checksums it computes: the switch only corrects those that it finds,
and they are held against sums made anew.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrFragment,
    IPv6ExtHdrSegmentRouting,
)
from scapy.packet import Packet, Raw

from tests.dataplane.frames import Fabric, sid
from tests.dataplane.harness import MakeFabric, Node, P4jitNode
from tests.dataplane.hosts import (
    ACCESS,
    FUNCTION,
    HERE,
    LINK_MTU,
    NODE,
    OTHER_NODE,
    PAIR4,
    PAIR6,
    TENANT,
    UPLINK,
    Pair,
    deliver_rewritten,
    delivered,
    inner,
    make_leaf,
    sent,
    true_checksums,
)
from tests.dataplane.leaf import mapped

DROP_TTL, DROP_ECN, PUNT_TTL = 11, 32, 2
SERVICE4, INSTANCE4 = "10.200.0.1", "10.1.0.77"
SERVICE6, INSTANCE6 = "2001:db8:200::1", "2001:db8:1::77"
PAIRS = pytest.mark.parametrize("pair", [PAIR4, PAIR6], ids=["ipv4", "ipv6"])


def ip(src: str, dst: str, ttl: int = 64, tos: int = 0, **fields: Any) -> Packet:
    """Of either version."""
    if ":" in src:
        return IPv6(src=src, dst=dst, hlim=ttl, tc=tos, **fields)
    return IP(src=src, dst=dst, ttl=ttl, tos=tos, **fields)


def tcp(
    pair: Pair, dst: str, ttl: int = 64, flags: str = "PA", payload: bytes = b"tokens", **more: Any
) -> Packet:
    return (
        ip(pair.host, dst, ttl)
        / TCP(sport=40000, dport=8000, flags=flags, seq=1234567, **more)
        / Raw(payload)
    )


# ---- hop limit -------------------------------------------------------------------------------------------


@PAIRS
@pytest.mark.parametrize("ttl", [2, 64, 255])
def test_a_packet_loses_one_hop_where_it_comes_in(node: Node, pair: Pair, ttl: int) -> None:
    make_leaf(node)
    packet = tcp(pair, pair.here, ttl)
    assert node.exchange(ACCESS, sent(packet)) == [(HERE, delivered(tcp(pair, pair.here, ttl - 1)))]
    ((port, frame),) = node.exchange(ACCESS, sent(tcp(pair, pair.there, ttl)), expect=1)
    assert (port, inner(frame)) == (UPLINK, bytes(tcp(pair, pair.there, ttl - 1)))


@PAIRS
@pytest.mark.parametrize("ttl", [1, 64])
def test_and_none_where_it_leaves_the_fabric(node: Node, pair: Pair, ttl: int) -> None:
    make_leaf(node)
    packet = bytes(tcp(pair, pair.here, ttl))
    frame = Fabric(sid(NODE, FUNCTION), packet, tenant=TENANT).frame()
    assert node.exchange(UPLINK, frame) == [(HERE, delivered(packet))]


@PAIRS
def test_across_the_fabric(make_fabric: MakeFabric, pair: Pair) -> None:
    """Encapsulated and decapsulated: the same packet, but for one hop and its checksum."""
    fabric = make_fabric("a", "b")
    make_leaf(fabric["a"], own=NODE, other=OTHER_NODE)
    make_leaf(fabric["b"], own=OTHER_NODE, other=NODE)
    fabric.link("a", UPLINK, "b", UPLINK)
    (arrival,) = fabric.exchange("a", ACCESS, sent(tcp(pair, pair.there)), expect=1)
    assert (arrival.node, arrival.port) == ("b", HERE)
    assert arrival.data == delivered(tcp(pair, pair.there, 63))


@PAIRS
@pytest.mark.parametrize("ttl", [0, 1])
@pytest.mark.parametrize("where", ["here", "there"])
def test_the_last_hop(node: Node, pair: Pair, ttl: int, where: str) -> None:
    """The controller answers; with the tenant that the packet is of."""
    make_leaf(node)
    frame = sent(tcp(pair, getattr(pair, where), ttl))
    assert node.exchange(ACCESS, frame) == []
    (told,) = node.packet_ins()
    assert told.payload == frame
    assert told.metadata | {"mtu": 0} == {
        "ingress_port": ACCESS,
        "reason": PUNT_TTL,
        "label": 0,
        "mtu": 0,
        "tenant": TENANT,
    }


@PAIRS
def test_the_controllers_packets_lose_a_hop_too(node: Node, pair: Pair) -> None:
    """So that none can go round for ever. It is not told of those that have none left: it sent them."""
    make_leaf(node)
    node.packet_out(sent(tcp(pair, pair.here, 2)), submit_to_ingress=1, tenant=TENANT)
    assert node.receive() == [(HERE, delivered(tcp(pair, pair.here, 1)))]
    node.packet_out(sent(tcp(pair, pair.here, 1)), submit_to_ingress=1, tenant=TENANT)
    assert node.receive() == []
    assert node.packet_ins() == []
    assert node.counter("drops", DROP_TTL).packets == 1


# ---- MSS -------------------------------------------------------------------------------------------------


def mss_of(pair: Pair, mtu: int) -> int:
    return mtu - (40 if pair is PAIR6 else 20) - 20


@PAIRS
@pytest.mark.parametrize("flags", ["S", "SA", "SEC"])
@pytest.mark.parametrize("where", ["here", "there"])
def test_a_handshake_hears_what_fits(node: Node, pair: Pair, flags: str, where: str) -> None:
    make_leaf(node, link_mtu=1500, port_mtu=1400)
    fits = mss_of(pair, 1400 if where == "here" else 1500 - 84)
    rest = [("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None), ("WScale", 7)]
    for offered in (fits - 1, fits, fits + 1, 8960, 65535):
        options = [("MSS", offered), *rest]
        expected = [("MSS", min(offered, fits)), *rest]
        dst = getattr(pair, where)
        ((_, frame),) = node.exchange(ACCESS, sent(tcp(pair, dst, 64, flags, b"", options=options)), expect=1)
        found = frame[14:] if where == "here" else inner(frame)
        assert found == bytes(tcp(pair, dst, 63, flags, b"", options=expected))


@PAIRS
def test_also_where_it_leaves_the_fabric(node: Node, pair: Pair) -> None:
    make_leaf(node, port_mtu=1280)
    packet = bytes(tcp(pair, pair.here, 9, "S", b"", options=[("MSS", 1400)]))
    frame = Fabric(sid(NODE, FUNCTION), packet, tenant=TENANT).frame()
    expected = tcp(pair, pair.here, 9, "S", b"", options=[("MSS", mss_of(pair, 1280))])
    assert node.exchange(UPLINK, frame) == [(HERE, delivered(expected))]


@PAIRS
@pytest.mark.parametrize(
    ("flags", "options"),
    [
        ("PA", [("MSS", 9000)]),
        ("S", []),
        ("S", [("NOP", None), ("NOP", None), ("MSS", 9000)]),
        ("S", [(2, b"\x12")]),
    ],
    ids=["no SYN", "no MSS", "MSS is not the first", "MSS of another length"],
)
def test_other_options_are_left_alone(node: Node, pair: Pair, flags: str, options: list[Any]) -> None:
    make_leaf(node)
    packet = tcp(pair, pair.here, 64, flags, b"", options=options)
    expected = tcp(pair, pair.here, 63, flags, b"", options=options)
    assert node.exchange(ACCESS, sent(packet)) == [(HERE, delivered(expected))]


# ---- addresses -------------------------------------------------------------------------------------------


def l4_packets(src: str, dst: str) -> dict[str, Packet]:
    """Whole packets of every kind that has a checksum, and of one that has none."""
    echo = ICMPv6EchoRequest(data=b"ping") if ":" in src else ICMP() / Raw(b"ping")
    return {
        "tcp": ip(src, dst) / TCP(sport=40000, dport=8000, seq=77) / Raw(b"tokens"),
        "syn": ip(src, dst) / TCP(sport=40000, dport=8000, flags="S", options=[("MSS", 9000)]),
        "udp": ip(src, dst) / UDP(sport=40000, dport=8000) / Raw(b"tokens"),
        "udp without checksum": ip(src, dst) / UDP(sport=40000, dport=8000, chksum=0) / Raw(b"tokens"),
        "echo": ip(src, dst) / echo,
        "unknown": ip(src, dst, **({"nh": 99} if ":" in src else {"proto": 99})) / Raw(b"tokens"),
        "nothing": ip(src, dst, **({"nh": 59} if ":" in src else {"proto": 253})),
    }


def clamped(packet: Packet, mss: int) -> Packet:
    if packet.haslayer(TCP) and packet[TCP].options:
        packet[TCP].options = [("MSS", mss)]
    return packet


REWRITTEN = pytest.mark.parametrize(
    ("client", "service", "instance"),
    [(PAIR4.there, SERVICE4, INSTANCE4), (PAIR6.there, SERVICE6, INSTANCE6)],
    ids=["ipv4", "ipv6"],
)


def requested(node: Node, packet: bytes | Packet) -> bytes:
    """What the instance gets of a packet that came through the fabric."""
    frame = Fabric(sid(NODE, FUNCTION), bytes(packet), tenant=TENANT).frame()
    ((port, found),) = node.exchange(UPLINK, frame, expect=1)
    assert port == HERE
    assert found == delivered(found[14:])
    return found[14:]


@REWRITTEN
def test_to_an_instance_with_an_address_of_its_own(
    node: Node, client: str, service: str, instance: str
) -> None:
    make_leaf(node)
    deliver_rewritten(node, instance)
    expected = l4_packets(client, instance)
    mss = 1500 - (60 if ":" in client else 40)
    for name, packet in l4_packets(client, service).items():
        assert requested(node, packet) == bytes(clamped(expected[name], mss)), name


def answers_restored(node: Node, service: str, instance: str, kinds: tuple[tuple[int, int], ...]) -> None:
    for protocol, port in kinds:
        match = {"port": ACCESS, "src_addr": instance, "protocol": protocol, "src_port": port}
        node.insert("reverse_rewrites", match, "restore_source", service_addr=service)


@REWRITTEN
@pytest.mark.parametrize("where", ["here", "there"])
def test_and_back(node: Node, client: str, service: str, instance: str, where: str) -> None:
    """Its answers are the service's, once they have passed its leaf."""
    make_leaf(node)
    pair = PAIR6 if ":" in service else PAIR4
    client = getattr(pair, where)
    icmp = 58 if ":" in service else 1
    answers_restored(node, service, instance, ((6, 40000), (17, 40000), (icmp, 0), (99, 0)))
    expected = l4_packets(service, client)
    mss = 1500 - 40 if where == "here" else LINK_MTU - 84 - 40
    mss -= 20 if ":" in client else 0
    for name, packet in l4_packets(instance, client).items():
        if name == "nothing":
            continue
        ((_, frame),) = node.exchange(ACCESS, sent(packet), expect=1)
        result = clamped(expected[name], mss)
        if ":" in client:
            result.hlim = 63
        else:
            result.ttl = 63
        assert (frame[14:] if where == "here" else inner(frame)) == bytes(result), name


def zero_sum(src: str, dst: str) -> Packet:
    """A UDP packet whose checksum comes to 0, and is therefore sent as 0xffff."""
    packet = ip(src, dst) / UDP(sport=0, dport=8000) / Raw(b"tokens")
    whole = bytes(packet)
    at = 46 if ":" in src else 26
    packet[UDP].sport = int.from_bytes(whole[at : at + 2], "big")
    assert bytes(packet)[at : at + 2] == b"\xff\xff"
    return packet


@REWRITTEN
def test_a_udp_checksum_that_comes_to_zero(node: Node, client: str, service: str, instance: str) -> None:
    make_leaf(node)
    deliver_rewritten(node, instance)
    after = zero_sum(client, instance)
    before = ip(client, service) / UDP(sport=after[UDP].sport, dport=8000) / Raw(b"tokens")
    assert requested(node, before) == bytes(after)
    # And from such a one.
    before = zero_sum(client, service)
    after = ip(client, instance) / UDP(sport=before[UDP].sport, dport=8000) / Raw(b"tokens")
    assert requested(node, before) == bytes(after)


@REWRITTEN
def test_carries_of_carries(node: Node, client: str, service: str, instance: str) -> None:
    """Checksums for which adding the carry carries once more: one in thousands, and then it is off by one."""
    make_leaf(node)
    deliver_rewritten(node, instance)
    change = sum(0xFFFF - word for word in words(service)) + sum(words(instance))
    carrying = [c for c in range(0xFFFF) if sum(divmod(0xFFFF - c + change, 0x10000)) > 0xFFFF]
    assert carrying
    for checksum in (carrying[0], carrying[-1]):
        packet = ip(client, service) / UDP(sport=0, dport=8000) / Raw(b"tokens")
        at = 46 if ":" in client else 26
        # The source port that gives the packet this checksum.
        without = int.from_bytes(bytes(packet)[at : at + 2], "big")
        packet[UDP].sport = (without - checksum) % 0xFFFF
        assert bytes(packet)[at : at + 2] == checksum.to_bytes(2, "big")
        expected = packet.copy()
        expected.dst = instance
        assert requested(node, packet) == bytes(expected)


def words(address: str) -> list[int]:
    """As the switch adds them up: in 128 bits, whichever version it is."""
    data = mapped(address).to_bytes(16, "big")
    return [int.from_bytes(data[at : at + 2], "big") for at in range(0, 16, 2)]


def test_fragments_of_ipv4(node: Node) -> None:
    """The first has the checksum, which is the whole packet's; the rest are only bytes."""
    make_leaf(node)
    deliver_rewritten(node, INSTANCE4)
    data = bytes(range(200)) * 2

    def fragments(dst: str) -> list[Packet]:
        whole = bytes(ip(PAIR4.there, dst) / UDP(sport=40000, dport=8000) / Raw(data))[20:]
        first = ip(PAIR4.there, dst, id=7, flags="MF", proto=17) / Raw(whole[:208])
        last = ip(PAIR4.there, dst, id=7, frag=26, proto=17) / Raw(whole[208:])
        return [first, last]

    for before, after in zip(fragments(SERVICE4), fragments(INSTANCE4), strict=True):
        assert requested(node, before) == bytes(after)


def test_fragments_of_ipv6(node: Node) -> None:
    make_leaf(node)
    deliver_rewritten(node, INSTANCE6)
    data = bytes(range(200)) * 2

    def fragments(dst: str) -> list[Packet]:
        whole = bytes(ip(PAIR6.there, dst) / TCP(sport=40000, dport=8000) / Raw(data))[40:]
        header = ip(PAIR6.there, dst)
        first = header / IPv6ExtHdrFragment(m=1, id=7, nh=6) / Raw(whole[:208])
        last = header / IPv6ExtHdrFragment(m=0, offset=26, id=7, nh=6) / Raw(whole[208:])
        return [first, last]

    for before, after in zip(fragments(SERVICE6), fragments(INSTANCE6), strict=True):
        assert requested(node, before) == bytes(after)


def test_behind_ipv4_options_only_the_header_is_corrected(node: Node) -> None:
    make_leaf(node)
    deliver_rewritten(node, INSTANCE4)
    options = [IPOption_NOP()] * 4
    before = IP(bytes(ip(PAIR4.there, SERVICE4, options=options) / UDP(sport=1, dport=2) / Raw(b"x")))
    # verify_checksum leaves headers with options alone, and so do we.
    found = IP(requested(node, before))
    assert (found.src, found.dst) == (PAIR4.there, INSTANCE4)
    assert bytes(found[UDP]) == bytes(before[UDP])
    assert bytes(found) == bytes(corrected_header(found))


def corrected_header(packet: Packet) -> Packet:
    packet = packet.copy()
    packet.chksum = None
    return packet


@pytest.mark.parametrize("left", [0, 1])
def test_behind_a_routing_header(node: Node, left: int) -> None:
    """With segments left, the checksum is over the last one's address (RFC 8754, 4.3.1)."""
    make_leaf(node)
    deliver_rewritten(node, INSTANCE6)

    def packet(dst: str) -> Packet:
        final = dst if left == 0 else "2001:db8:77::1"
        header = IPv6ExtHdrSegmentRouting(addresses=[final, SERVICE6], segleft=left, lastentry=1)
        udp = bytes(ip(PAIR6.there, final) / UDP(sport=1, dport=2) / Raw(b"tokens"))[40:]
        return bytes(ip(PAIR6.there, dst) / header / Raw(udp))

    before, after = bytearray(packet(SERVICE6)), bytearray(packet(INSTANCE6))
    if left == 0:
        # The list itself is not rewritten.
        after[48:64] = before[48:64]
    before[6] = after[6] = 43
    before[40] = after[40] = 17
    assert requested(node, bytes(before)) == bytes(after)


# ---- errors that quote a rewritten packet ----------------------------------------------------------------


def error(src: str, dst: str, quoted_src: str, quoted_dst: str) -> bytes:
    """Port unreachable, from src to dst."""
    quoted = ip(quoted_src, quoted_dst) / UDP(sport=40000, dport=8000) / Raw(b"some of it")
    # What the router that sends the error saw of the checksum is nobody's business on the way.
    quoted[UDP].chksum = 0x1234
    kind = ICMPv6DestUnreach(code=4) if ":" in src else ICMP(type=3, code=3)
    return bytes(ip(src, dst) / kind / Raw(bytes(quoted)))


@REWRITTEN
def test_an_error_about_an_answer_reaches_the_instance_as_its_own(
    node: Node, client: str, service: str, instance: str
) -> None:
    """The client refuses what the service sent: the instance must recognise what it sent itself."""
    make_leaf(node)
    deliver_rewritten(node, instance)
    found = requested(node, error(client, service, service, client))
    assert found == error(client, instance, instance, client)
    assert found == true_checksums(found)


@REWRITTEN
def test_an_error_about_another_packet_is_not_changed_inside(
    node: Node, client: str, service: str, instance: str
) -> None:
    make_leaf(node)
    deliver_rewritten(node, instance)
    other = "10.200.0.2" if "." in service else "2001:db8:200::2"
    assert requested(node, error(client, service, other, client)) == error(client, instance, other, client)


@REWRITTEN
def test_an_error_of_the_instance_quotes_what_the_client_sent(
    node: Node, client: str, service: str, instance: str
) -> None:
    make_leaf(node)
    answers_restored(node, service, instance, ((17, 8000),))
    ((_, frame),) = node.exchange(ACCESS, sent(error(instance, client, client, instance)), expect=1)
    expected = bytearray(error(service, client, client, service))
    if ":" in client:
        expected[7] = 63
    else:
        expected[8] = 63
    assert inner(frame) == true_checksums(bytes(expected))


@pytest.mark.parametrize("version", [4, 6])
def test_between_two_such_instances(node: Node, version: int) -> None:
    """Both addresses of a packet change at the leaf that both are at, and both of what it quotes."""
    make_leaf(node)
    mine, my_service = (PAIR4.host, SERVICE4) if version == 4 else (PAIR6.host, SERVICE6)
    theirs, their_service = ("10.1.0.78", PAIR4.here) if version == 4 else ("2001:db8:1::78", PAIR6.here)
    deliver_rewritten(node, theirs)
    icmp = 58 if version == 6 else 1
    answers_restored(node, my_service, mine, ((6, 40000), (17, 40000), (17, 8000), (icmp, 0)))

    def hop_less(packet: bytes) -> bytes:
        changed = bytearray(packet)
        changed[7 if version == 6 else 8] = 63
        return true_checksums(bytes(changed))

    before, after = l4_packets(mine, their_service), l4_packets(my_service, theirs)
    for name in ("tcp", "udp", "udp without checksum", "echo"):
        found = node.exchange(ACCESS, sent(before[name]))
        assert found == [(HERE, delivered(hop_less(bytes(after[name]))))], name
    refused = error(mine, their_service, their_service, mine)
    expected = error(my_service, theirs, theirs, my_service)
    assert node.exchange(ACCESS, sent(refused)) == [(HERE, delivered(hop_less(expected)))]


# ---- congestion marks ------------------------------------------------------------------------------------

NOT_ECT, ECT1, ECT0, CE = range(4)
#: RFC 6040, figure 4: (inner, outer) -> what the host gets; None: dropped.
MARKS = {
    **{(NOT_ECT, outer): NOT_ECT for outer in (NOT_ECT, ECT0, ECT1)},
    (NOT_ECT, CE): None,
    **{(ECT0, outer): outer or ECT0 for outer in range(4)},
    **{(ECT1, outer): CE if outer == CE else ECT1 for outer in range(4)},
    **{(CE, outer): CE for outer in range(4)},
}


@PAIRS
@pytest.mark.parametrize("dscp", [0, 46])
def test_congestion_marks(node: Node, pair: Pair, dscp: int) -> None:
    make_leaf(node)
    lost = 0
    for inside, outside in product(range(4), range(4)):
        packet = ip(pair.host, pair.here, tos=dscp << 2 | inside) / TCP() / Raw(b"x")
        frame = Fabric(sid(NODE, FUNCTION), bytes(packet), tenant=TENANT, traffic_class=outside).frame()
        found = node.exchange(UPLINK, frame)
        mark = MARKS[inside, outside]
        if mark is None:
            lost += 1
            assert found == []
        else:
            expected = ip(pair.host, pair.here, tos=dscp << 2 | mark) / TCP() / Raw(b"x")
            assert found == [(HERE, delivered(expected))], (inside, outside)
    assert node.counter("egress_drops", DROP_ECN).packets == lost == 1


@PAIRS
def test_marks_start_as_the_hosts(node: Node, pair: Pair) -> None:
    make_leaf(node)
    for mark in range(4):
        packet = ip(pair.host, pair.there, tos=46 << 2 | mark) / TCP()
        ((_, frame),) = node.exchange(ACCESS, sent(packet), expect=1)
        assert IPv6(frame[14:]).tc == 46 << 2 | mark
        assert inner(frame) == bytes(ip(pair.host, pair.there, 63, 46 << 2 | mark) / TCP())


# ---- laws ------------------------------------------------------------------------------------------------


def addresses(version: int) -> st.SearchStrategy[str]:
    if version == 4:
        return st.integers(0x0B000000, 0x7EFFFFFF).map(
            lambda n: ".".join(str(b) for b in n.to_bytes(4, "big"))
        )
    return st.integers(1, (1 << 64) - 1).map(
        lambda n: "2001:db8:77::" + f"{n >> 48:x}:{n >> 32 & 65535:x}:{n >> 16 & 65535:x}:{n & 65535:x}"
    )


@st.composite
def packets(draw: st.DrawFn) -> Packet:
    """Any packet with a checksum, but for its destination."""
    src = draw(addresses(draw(st.sampled_from([4, 6]))))
    header = ip(
        src, SERVICE6 if ":" in src else SERVICE4, draw(st.integers(1, 255)), draw(st.integers(0, 255))
    )
    if ":" in src:
        header.fl = draw(st.integers(0, 0xFFFFF))
    else:
        header.id, header.flags = draw(st.integers(0, 0xFFFF)), draw(st.sampled_from(["", "DF", "MF"]))
    word = st.integers(0, 0xFFFF)
    kind = draw(st.sampled_from(["tcp", "udp", "icmp"]))
    if kind == "tcp":
        options: list[Any] = draw(
            st.sampled_from([[], [("NOP", None)] * 4, [("Timestamp", (9, 8)), ("NOP", None)]])
        )
        if draw(st.booleans()):
            options = [("MSS", draw(word)), *options]
        l4: Packet = TCP(
            sport=draw(word),
            dport=draw(word),
            flags=draw(st.integers(0, 255)),
            window=draw(word),
            options=options,
        )
    elif kind == "udp":
        l4 = UDP(sport=draw(word), dport=draw(word))
    elif ":" in src:
        l4 = ICMPv6EchoRequest(id=draw(word), seq=draw(word))
    else:
        l4 = ICMP(id=draw(word), seq=draw(word))
    return header / l4 / Raw(draw(st.binary(max_size=80)))


def test_checksums_stay_true_whatever_is_rewritten(embedded: P4jitNode) -> None:
    make_leaf(embedded, port_mtu=1300)

    @settings(max_examples=300, deadline=None)
    @given(packets(), st.data())
    def check(packet: Packet, data: st.DataObject) -> None:
        is_long = IPv6 in packet
        instance = data.draw(addresses(6 if is_long else 4))
        deliver_rewritten(embedded, instance)
        found = requested(embedded, packet)
        assert found == true_checksums(found)
        expected = packet.copy()
        expected.dst = instance
        if (
            TCP in packet
            and packet[TCP].flags & 2
            and dict(packet[TCP].options).get("MSS", 0) > 1460 - 20 * is_long
        ):
            expected[TCP].options = [("MSS", 1460 - 20 * is_long), *packet[TCP].options[1:]]
        assert found == bytes(expected)

    check()


def test_what_goes_through_the_fabric_comes_out_the_same(make_embedded_fabric: MakeFabric) -> None:
    """Any packet at all, byte for byte, but for the hop limit and IPv4's checksum of it."""
    fabric = make_embedded_fabric("a", "b")
    make_leaf(fabric["a"], own=NODE, other=OTHER_NODE, port_mtu=LINK_MTU)
    make_leaf(fabric["b"], own=OTHER_NODE, other=NODE, port_mtu=LINK_MTU)
    fabric.link("a", UPLINK, "b", UPLINK)

    @settings(max_examples=200, deadline=None)
    @given(packets(), st.binary(max_size=40), st.booleans())
    def check(packet: Packet, noise: bytes, is_noise: bool) -> None:
        pair = PAIR6 if IPv6 in packet else PAIR4
        packet.dst = pair.there
        if is_noise:
            # Behind the IP header, nonsense of any protocol but those that would be understood.
            packet = packet.copy()
            packet.remove_payload()
            if pair is PAIR6:
                packet.nh = 200
            else:
                packet.proto, packet.flags = 200, 0
            packet /= Raw(noise)
        if TCP in packet:
            packet[TCP].options = [o for o in packet[TCP].options if o[0] != "MSS"]
        if packet.fields["hlim" if pair is PAIR6 else "ttl"] < 2:
            return
        (arrival,) = fabric.exchange("a", ACCESS, sent(packet), expect=1)
        assert (arrival.node, arrival.port) == ("b", HERE)
        expected = bytearray(bytes(packet))
        expected[7 if pair is PAIR6 else 8] -= 1
        if pair is PAIR4:
            header = IP(bytes(expected[:20]))
            header.chksum = None
            expected[:20] = bytes(header)
        assert arrival.data == delivered(bytes(expected))

    check()
