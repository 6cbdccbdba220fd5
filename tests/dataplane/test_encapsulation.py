# SPDX-License-Identifier: Apache-2.0
"""What the fabric puts around a tenant's packet and takes off again, and what fits on 1,500-byte links."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.packet import Packet, Raw

from tests.dataplane import edge, hosts
from tests.dataplane.frames import CLIENT4, CLIENT6, OVERHEAD, SERVER4, SERVER6, Din, Fabric, access, sid
from tests.dataplane.harness import Fabric as DinFabric
from tests.dataplane.harness import MakeFabric, Node, P4jitNode, choice
from tests.dataplane.hosts import PAIR4, PAIR6, Pair
from tests.dataplane.int_md import Hop, IntMd
from tests.dataplane.leaf import SERVICE, Flow, Leaf, mapped
from tests.dataplane.telemetry import BASE, UNIT, clock, watch

NODE_ID = 0x0000A55A
SOURCE = f"fcbb:bb00::{NODE_ID:x}"
#: As edge.make has it: the path's list, and the MACs of its first link.
SEGMENTS = sid(edge.LEAF, 0xF001)
NEXT_MAC, OWN_MAC = "02:00:00:00:00:09", "02:00:00:00:00:fe"
PUNT_TOO_BIG = 3


# ---- what is put on --------------------------------------------------------------------------------------


def flow_hash(src: str, dst: str, protocol: int, sport: int = 0, dport: int = 0) -> int:
    addresses = mapped(src).to_bytes(16, "big") + mapped(dst).to_bytes(16, "big")
    ports = sport.to_bytes(2, "big") + dport.to_bytes(2, "big")
    return zlib.crc32(addresses + bytes((protocol,)) + ports)


def make(node: Node) -> None:
    edge.make(node)
    clock(node, NODE_ID)


def less_a_hop(packet: bytes | Packet) -> bytes:
    """As it is behind the ingress leaf, and when it is delivered. The checksum is summed anew."""
    data = bytearray(bytes(packet))
    if data[0] >> 4 == 6:
        data[7] -= 1
        return bytes(data)
    data[8] -= 1
    data[10:12] = bytes(2)
    header = data[: (data[0] & 15) * 4]
    total = sum(int.from_bytes(header[at : at + 2], "big") for at in range(0, len(header), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    data[10:12] = (0xFFFF - total).to_bytes(2, "big")
    return bytes(data)


def expected(packet: bytes | Packet, hashed: int, **din: int) -> Fabric:
    """Around a host's packet; its time is not known yet."""
    inner = less_a_hop(packet)
    traffic_class = inner[1] if inner[0] >> 4 == 4 else int.from_bytes(inner[:2], "big") >> 4 & 0xFF
    return Fabric(
        SEGMENTS,
        inner,
        Din(flow_hash=hashed, **din),
        src=SOURCE,
        tenant=edge.TENANT,
        entropy=0xC000 | hashed >> 18,
        traffic_class=traffic_class,
    )


def check(node: Node, frame: bytes, fabric: Fabric, *, port: int = edge.ACCESS) -> None:
    """What leaves is this and nothing else, at a time that the clock can have been at."""
    if isinstance(node, P4jitNode):
        node.advance(123_456_789)
    came = node.now if isinstance(node, P4jitNode) else None
    ((left_by, found),) = node.exchange(port, frame, expect=1)
    assert left_by == edge.FABRIC
    time = int.from_bytes(found[90:98], "big")
    assert time >= BASE
    assert (time - BASE) % UNIT == 0
    if came is not None:
        assert time == BASE + came // 1000 * UNIT
    else:
        assert time < BASE + 10_000 * 10**9
    assert fabric.din is not None
    timed = fabric.but(din=replace(fabric.din, ingress_time=time))
    assert found == timed.frame(NEXT_MAC, OWN_MAC)


TCP4 = IP(src=CLIENT4, dst=SERVER4) / TCP(sport=40000, dport=8000, flags="PA") / Raw(b"tokens")
UDP6 = IPv6(src=CLIENT6, dst=SERVER6) / UDP(sport=40001, dport=8001) / Raw(b"tokens of another")
TCP4_HASH = flow_hash(CLIENT4, SERVER4, 6, 40000, 8000)
UDP6_HASH = flow_hash(CLIENT6, SERVER6, 17, 40001, 8001)
BOTH = ((TCP4, TCP4_HASH), (UDP6, UDP6_HASH))


def test_every_field(node: Node) -> None:
    """DSCP and ECN are the tenant's."""
    make(node)
    for packet, hashed in BOTH:
        for tos in (0, 1, 2, 3, 46 << 2, 46 << 2 | 2, 63 << 2, 0xFF):
            marked = packet.copy()
            marked.fields["tc" if IPv6 in marked else "tos"] = tos
            wrapped = expected(marked, hashed)
            assert wrapped.traffic_class == tos
            check(node, access(marked), wrapped)


def test_lengths(node: Node) -> None:
    make(node)
    for size in (0, 1, 2, 1200, 8800):
        packet = IP(src=CLIENT4, dst=SERVER4) / UDP(sport=40000, dport=8000) / Raw(bytes(size))
        check(node, access(packet), expected(packet, flow_hash(CLIENT4, SERVER4, 17, 40000, 8000)))


def test_what_pads_a_short_frame_stays_behind_uncounted(node: Node) -> None:
    """Ethernet's padding is in no length, so no receiver takes it for data."""
    make(node)
    packet = IP(src=CLIENT4, dst=SERVER4) / UDP(sport=40000, dport=8000) / Raw(b"x")
    wrapped = expected(packet, flow_hash(CLIENT4, SERVER4, 17, 40000, 8000))
    ((_, found),) = node.exchange(edge.ACCESS, access(packet) + bytes(17), expect=1)
    frame = wrapped.frame(NEXT_MAC, OWN_MAC)
    assert (found[:90] + bytes(8) + found[98:])[: len(frame)] == frame
    assert found[len(frame) :] in (b"", bytes(17))


def test_a_vlan_tag_is_the_access_ports_own(node: Node) -> None:
    make(node)
    edge.permit(node, vid=100)
    for packet, hashed in BOTH:
        check(node, access(packet, 100), expected(packet, hashed))


def test_the_tenant_is_the_vni(node: Node) -> None:
    make(node)
    edge.permit(node, tenant=edge.OTHER_TENANT, modify=True)
    wrapped = expected(TCP4, TCP4_HASH)
    check(node, access(TCP4), wrapped.but(tenant=edge.OTHER_TENANT))


def test_what_the_classifier_says(node: Node) -> None:
    make(node)
    for late_drop in (0, 1):
        values = {"class_id": 3, "label": 5, "late_drop": late_drop}
        edge.classify(node, {"port": edge.ACCESS}, **values)
        check(node, access(UDP6), expected(UDP6, UDP6_HASH, **values))
        node.delete("classifier", {"port": edge.ACCESS}, priority=1)


def test_a_deadline_is_a_slack(embedded: P4jitNode) -> None:
    """Where time stands still: on other targets some of it has run out at once."""
    make(embedded)
    for slack in (1, 250_000, 0x7FFFFFFF):
        edge.classify(embedded, {"port": edge.ACCESS}, deadline=slack)
        check(embedded, access(UDP6), expected(UDP6, UDP6_HASH, slack=slack))
        embedded.delete("classifier", {"port": edge.ACCESS}, priority=1)


def test_what_the_host_says(node: Node) -> None:
    """With the option still in the packet: it is the tenant's."""
    make(node)
    edge.add_key(node)
    packet = edge.with_option(TCP(sport=40000, dport=8000), session=0xBEE)
    hashed = flow_hash(CLIENT6, SERVER6, 6, 40000, 8000)
    check(node, access(packet), expected(packet, hashed, session=0xBEE))
    assert edge.results(node)[edge.VERIFIED] == 1


def test_a_watch_for_tokens_is_a_bit(node: Node) -> None:
    make(node)
    watch(node, instructions=0, hop_ml=0, hops=0, tokens=1)
    check(node, access(TCP4), expected(TCP4, TCP4_HASH, watched=1))


def test_int_is_in_all_three_lengths(node: Node) -> None:
    make(node)
    node.insert("links", {"port": edge.FABRIC}, "set_link", mtu=9000, l2_port=0)
    watch(node, instructions=0xC000, hop_ml=2, hops=5)
    option = IntMd(0xC000, 2, 5).pushed(Hop(NODE_ID, edge.ACCESS, edge.FABRIC))
    for packet, hashed in BOTH:
        check(node, access(packet), expected(packet, hashed).but(options=option.bytes()))


def test_the_source_is_the_node(node: Node) -> None:
    make(node)
    for node_id in (0, 1, 0xFFFF, 0xFFFFFFFF):
        clock(node, node_id)
        source = f"fcbb:bb00::{node_id >> 16:x}:{node_id & 0xFFFF:x}"
        check(node, access(TCP4), expected(TCP4, TCP4_HASH).but(src=source))


def test_the_list_is_the_destination(node: Node) -> None:
    make(node)
    hop = choice("set_next_hop", port=edge.FABRIC, dst_mac=NEXT_MAC, src_mac=OWN_MAC)
    node.insert("routes", {"sid": ("fcbb:bb00::", 32)}, [hop])
    match = {"kind": 2, "target": edge.LEAF, "class_id": 0, "label": 0}
    for segments in (sid(1, 2, 3, 4, 5, 6), sid(0xFFFF, 0xF001)):
        node.modify("paths", match, "via", segments=segments, mtu=9000, zone=edge.ZONE, base_latency=0)
        check(node, access(TCP4), expected(TCP4, TCP4_HASH).but(dst=segments))


V6 = IPv6(src=CLIENT6, dst=SERVER6)
PORTLESS = [
    (IP(src=CLIENT4, dst=SERVER4, flags="MF") / UDP(sport=1, dport=2) / Raw(bytes(64)), 17),
    (IP(src=CLIENT4, dst=SERVER4, frag=9, proto=6) / Raw(bytes(64)), 6),
    (V6 / IPv6ExtHdrFragment(m=1) / UDP(sport=1, dport=2, len=600) / Raw(b"x"), 17),
    (V6 / IPv6ExtHdrFragment(offset=9, nh=6) / Raw(b"x" * 8), 6),
    (IP(src=CLIENT4, dst=SERVER4, options=[IPOption_NOP()] * 4) / TCP(sport=1, dport=2), 6),
    (IP(src=CLIENT4, dst=SERVER4, proto=99) / Raw(b"anything"), 99),
]


def test_what_has_no_ports_is_spread_by_its_addresses(node: Node) -> None:
    make(node)
    for packet, protocol in PORTLESS:
        check(node, access(packet), expected(packet, flow_hash(packet.src, packet.dst, protocol)))


INSTANCE, THERE = 7, 0x55


@pytest.mark.parametrize("flow", [Flow(), Flow(src="2001:db8:1::5", dst="2001:db8:200::1")], ids=["4", "6"])
def test_requests_and_responses_name_their_service(node: Node, flow: Flow) -> None:
    """The instance's list for the one, the client's leaf's for the other, and the bit between them."""
    leaf = Leaf(node, instances=1)
    clock(node, NODE_ID)
    leaf.service(flow.dst)
    leaf.responses(11, 1, flow.dst)
    leaf.host(11, edge.TENANT)
    leaf.group(3)
    leaf.bucket(3, flow.bucket, INSTANCE)
    leaf.alive(INSTANCE)
    node.insert("ports", {"port": edge.FABRIC}, "set_fabric")
    node.set_default("boundaries", "inside")
    hop = choice("set_next_hop", port=edge.FABRIC, dst_mac=NEXT_MAC, src_mac=OWN_MAC)
    node.insert("routes", {"sid": ("fcbb:bb00::", 32)}, [hop])
    how = {"mtu": 9000, "zone": 3, "base_latency": 0}
    leaf.path(INSTANCE, "via", segments=sid(THERE, INSTANCE), **how)
    leaf.path(edge.LEAF, "via", kind=2, segments=SEGMENTS, **how)
    client = {"tenant": edge.TENANT, "dst_addr": flow.src}
    node.insert("destinations", client, "to_leaf", leaf=edge.LEAF)

    request = flow.packet("S")
    wrapped = expected(request, flow.hash, service=SERVICE)
    check(node, access(request), wrapped.but(dst=sid(THERE, INSTANCE)), port=1)
    answer = flow.answer("SA")
    back = flow_hash(flow.dst, flow.src, 6, flow.dport, flow.sport)
    check(node, access(answer), expected(answer, back, service=SERVICE, response=1), port=11)


# ---- there and back again --------------------------------------------------------------------------------

SPINE, SPINE_A, SPINE_B = 0x0033, 1, 2
DELAY, RATE = 5_000, 10**9


def block(own: int, length: int = 48) -> tuple[int, int]:
    return 0xFCBBBB00 << 32 | own << 16, length


def hop_to(node: Node, to: int, port: int) -> None:
    hop = choice("set_next_hop", port=port, dst_mac=hosts.NEXT_MAC, src_mac=hosts.LEAF_MAC)
    node.insert("routes", {"sid": (sid(to), 48)}, [hop])


def three(make: MakeFabric, *, link_mtu: int = 9000, port_mtu: int = 9000) -> DinFabric:
    """Leaf a, a spine, leaf b. Leaves are transit nodes too."""
    fabric = make("a", "spine", "b")
    fabric.link("a", hosts.UPLINK, "spine", SPINE_A, delay=DELAY, rate=RATE)
    fabric.link("spine", SPINE_B, "b", hosts.UPLINK, delay=DELAY, rate=RATE)
    for name, own, other in (("a", hosts.NODE, hosts.OTHER_NODE), ("b", hosts.OTHER_NODE, hosts.NODE)):
        node = fabric[name]
        hosts.make_leaf(node, own=own, other=other, link_mtu=link_mtu, port_mtu=port_mtu)
        clock(node, own)
        node.insert("segments", {"sid": block(own)}, "end")
        list_to(node, SPINE, other, hosts.FUNCTION, mtu=link_mtu)
    spine = fabric["spine"]
    clock(spine, SPINE)
    for port in (SPINE_A, SPINE_B):
        spine.insert("ports", {"port": port}, "set_fabric")
    spine.set_default("boundaries", "inside")
    spine.insert("segments", {"sid": block(SPINE)}, "end")
    hop_to(spine, hosts.NODE, SPINE_A)
    hop_to(spine, hosts.OTHER_NODE, SPINE_B)
    return fabric


def list_to(node: Node, *ids: int, mtu: int = 9000) -> None:
    match = {"kind": 2, "target": hosts.OTHER_LEAF, "class_id": 0, "label": 0}
    node.modify("paths", match, "via", segments=sid(*ids), mtu=mtu, zone=hosts.ZONE, base_latency=0)


#: Three times over the first link and back: six IDs, which is all that an address holds.
LONG = (SPINE, hosts.NODE, SPINE, hosts.NODE, hosts.OTHER_NODE, hosts.FUNCTION)
LISTS = {"a spine": (SPINE, hosts.OTHER_NODE, hosts.FUNCTION), "six": LONG}


@st.composite
def tcp_or_so(draw: st.DrawFn) -> tuple[int, bytes]:
    """Protocol, and what it says, with any checksum: no node reads it."""
    payload = draw(st.binary(max_size=200))
    ports = {"sport": draw(st.integers(0, 0xFFFF)), "dport": draw(st.integers(0, 0xFFFF))}
    kind = draw(st.sampled_from(["tcp", "udp", "icmp", "other"]))
    if kind == "tcp":
        options = draw(st.lists(st.sampled_from([("NOP", None), ("MSS", 1000), ("Timestamp", (7, 8))])))[:4]
        flags = draw(st.sampled_from(["S", "SA", "PA", "F", "R", "A"]))
        seq, chksum = draw(st.integers(0, 2**32 - 1)), draw(st.integers(0, 0xFFFF))
        return 6, bytes(TCP(flags=flags, options=options, seq=seq, chksum=chksum, **ports) / Raw(payload))
    if kind == "udp":
        chksum = draw(st.integers(0, 0xFFFF))
        return 17, bytes(UDP(len=8 + len(payload), chksum=chksum, **ports) / Raw(payload))
    if kind == "icmp":
        # Echoes: errors have headers of their own behind them.
        echo = bytes((draw(st.sampled_from([0, 8, 13])), 0)) + draw(st.binary(min_size=6, max_size=6))
        return 1, echo + payload
    return draw(st.sampled_from([2, 47, 50, 99, 132, 255])), payload


@st.composite
def packets4(draw: st.DrawFn) -> bytes:
    protocol, upper = draw(tcp_or_so())
    ip = IP(
        src=PAIR4.host,
        dst=PAIR4.there,
        proto=protocol,
        tos=draw(st.integers(0, 255)),
        id=draw(st.integers(0, 0xFFFF)),
        ttl=draw(st.integers(2, 255)),
    )
    kind = draw(st.sampled_from(["plain", "plain", "options", "first", "later"]))
    if kind == "options":
        ip.options = [IPOption_NOP()] * draw(st.integers(1, 40))
    elif kind == "first":
        ip.flags = "MF"
    elif kind == "later":
        ip.frag, upper = draw(st.integers(1, 0x1FFF)), draw(st.binary(max_size=64))
    else:
        ip.flags = draw(st.integers(0, 1)) * 2
    return bytes(ip / Raw(upper))


@st.composite
def packets6(draw: st.DrawFn) -> bytes:
    protocol, upper = draw(tcp_or_so())
    if protocol == 1:
        protocol, upper = 58, bytes((draw(st.integers(128, 129)),)) + upper[1:]
    ip = IPv6(
        src=PAIR6.host,
        dst=PAIR6.there,
        nh=protocol,
        tc=draw(st.integers(0, 255)),
        fl=draw(st.integers(0, 0xFFFFF)),
        hlim=draw(st.integers(2, 255)),
    )
    kind = draw(st.sampled_from(["plain", "plain", "hop by hop", "destination", "first", "later"]))
    extension = b""
    if kind in ("hop by hop", "destination"):
        ip.nh = 0 if kind == "hop by hop" else 60
        words = draw(st.integers(0, 5))
        extension = bytes((protocol, words, 1, 4 + 8 * words)) + bytes(4 + 8 * words)
    elif kind in ("first", "later"):
        ip.nh = 44
        offset = draw(st.integers(1, 0x1FFF)) if kind == "later" else 0
        more = 1 if kind == "first" else draw(st.integers(0, 1))
        upper = upper if kind == "first" else draw(st.binary(max_size=64))
        extension = bytes((protocol, 0)) + (offset << 3 | more).to_bytes(2, "big")
        extension += draw(st.binary(min_size=4, max_size=4))
    return bytes(ip / Raw(extension + upper))


@pytest.mark.parametrize("ids", LISTS.values(), ids=LISTS)
def test_what_goes_in_comes_out(make_embedded_fabric: MakeFabric, ids: tuple[int, ...]) -> None:
    fabric = three(make_embedded_fabric)
    list_to(fabric["a"], *ids)

    @settings(max_examples=60)
    @given(st.one_of(packets4(), packets6()))
    def check_one(packet: bytes) -> None:
        (arrival,) = fabric.exchange("a", hosts.ACCESS, hosts.sent(packet), expect=1)
        assert (arrival.node, arrival.port) == ("b", hosts.HERE)
        assert arrival.data == hosts.delivered(less_a_hop(packet))

    check_one()


@pytest.mark.parametrize(("pair", "ids"), [(PAIR4, LISTS["a spine"]), (PAIR6, LISTS["six"])], ids=LISTS)
def test_on_the_way(make_fabric: MakeFabric, pair: Pair, ids: tuple[int, ...]) -> None:
    """The list loses an ID at each of its nodes, the hop limit one at every node: nothing else changes."""
    fabric = three(make_fabric)
    list_to(fabric["a"], *ids)
    packet = IPv6(src=pair.host, dst=pair.there) if pair is PAIR6 else IP(src=pair.host, dst=pair.there)
    packet = packet / UDP(sport=5, dport=6) / Raw(b"data")
    (arrival,) = fabric.exchange("a", hosts.ACCESS, hosts.sent(packet), expect=1)
    assert (arrival.node, arrival.data) == ("b", hosts.delivered(less_a_hop(packet)))
    hashed = flow_hash(pair.host, pair.there, 17, 5, 6)
    _, _, _, first = fabric.carried[0]
    time = int.from_bytes(first[90:98], "big")
    wrapped = expected(packet, hashed, ingress_time=time).but(src=f"fcbb:bb00::{hosts.NODE:x}")
    here = hosts.NODE
    frames: list[Fabric] = []
    while here != hosts.OTHER_NODE:
        frames.append(wrapped.but(dst=sid(*ids), hop_limit=64 - len(frames)))
        # The leaves have no link but to the spine.
        here = ids[0] if here == SPINE else SPINE
        if ids[0] == here:
            ids = ids[1:]
    assert [frame for *_, frame in fabric.carried] == [
        each.frame(hosts.NEXT_MAC, hosts.LEAF_MAC) for each in frames
    ]


def test_time_on_the_way_is_the_links_alone(make_embedded_fabric: MakeFabric) -> None:
    """Nodes of virtual time take none: what is left is each frame on its wire, and the delays."""
    fabric = three(make_embedded_fabric)
    list_to(fabric["a"], *LONG)
    packet = IP(src=PAIR4.host, dst=PAIR4.there) / UDP() / Raw(bytes(1000))
    fabric.send("a", hosts.ACCESS, hosts.sent(packet), at=77_000)
    (arrival,) = fabric.run()
    assert len(fabric.carried) == 6
    wire = (14 + OVERHEAD + len(packet)) * 8 * 10**9 // RATE
    assert arrival.time == 77_000 + 6 * (wire + DELAY)
    assert {frame[90:98] for *_, frame in fabric.carried} == {(BASE + 77_000).to_bytes(8, "big")}


# ---- links of 1,500 bytes --------------------------------------------------------------------------------

LINK, HOSTS_MTU = 1500, 1500
FITS = LINK - OVERHEAD


@dataclass(frozen=True)
class Version:
    pair: Pair
    header: int

    def ip(self, src: str, dst: str) -> Packet:
        return IPv6(src=src, dst=dst) if self.header == 40 else IP(src=src, dst=dst, flags="DF")

    def of_size(self, size: int) -> bytes:
        packet = self.ip(self.pair.host, self.pair.there) / TCP(sport=40000, dport=8000, flags="A")
        return bytes(packet / Raw(bytes(size - len(packet))))


VERSIONS = pytest.mark.parametrize("version", [Version(PAIR4, 20), Version(PAIR6, 40)], ids=["4", "6"])


def narrow(make: MakeFabric) -> DinFabric:
    """Every link of it carries IP packets of 1,500 bytes, and INT knows."""
    fabric = three(make, link_mtu=LINK, port_mtu=HOSTS_MTU)
    for name, ports in (("a", [hosts.UPLINK]), ("spine", [SPINE_A, SPINE_B]), ("b", [hosts.UPLINK])):
        for port in ports:
            fabric[name].insert("links", {"port": port}, "set_link", mtu=LINK, l2_port=0)
    return fabric


def mss_of(packet: bytes) -> int:
    tcp = (IPv6 if packet[0] >> 4 == 6 else IP)(packet)[TCP]
    return dict(tcp.options)["MSS"]


@VERSIONS
def test_full_segments_fit(make_fabric: MakeFabric, version: Version) -> None:
    """Both ends announce 1,460; each hears what there is room for, and what it then sends goes through."""
    fabric = narrow(make_fabric)
    heard = []
    for name, flags in (("a", "S"), ("b", "SA")):
        handshake = version.ip(version.pair.host, version.pair.there) / TCP(
            sport=40000, dport=8000, flags=flags, options=[("MSS", 1460)]
        )
        (arrival,) = fabric.exchange(name, hosts.ACCESS, hosts.sent(handshake), expect=1)
        assert (arrival.node, arrival.port) == ({"a": "b", "b": "a"}[name], hosts.HERE)
        heard.append(mss_of(arrival.data[14:]))
        assert arrival.data[14:] == hosts.true_checksums(arrival.data[14:])
        fabric.carried.clear()
    assert heard == [FITS - version.header - 20] * 2
    for name, segment in (("b", heard[0]), ("a", heard[1])):
        packet = version.of_size(segment + version.header + 20)
        (arrival,) = fabric.exchange(name, hosts.ACCESS, hosts.sent(packet), expect=1)
        assert arrival.data == hosts.delivered(less_a_hop(packet))
    assert [len(frame) - 14 for *_, frame in fabric.carried] == [LINK] * 4
    assert fabric["a"].packet_ins() == fabric["b"].packet_ins() == []


@VERSIONS
def test_a_byte_more_is_answered_not_sent(make_fabric: MakeFabric, version: Version) -> None:
    fabric = narrow(make_fabric)
    frame = hosts.sent(version.of_size(FITS + 1))
    assert fabric.exchange("a", hosts.ACCESS, frame) == []
    assert fabric.carried == []
    (told,) = fabric["a"].packet_ins()
    assert told.metadata == {
        "ingress_port": hosts.ACCESS,
        "reason": PUNT_TOO_BIG,
        "label": 0,
        "mtu": FITS,
        "tenant": hosts.TENANT,
    }
    assert frame.startswith(told.payload)


#: Bytes of room -> hops in the option, and M. Its header is 16 bytes, and a hop's words are as many.
ROOMS = {0: None, 15: None, 16: (0, 1), 31: (0, 1), 32: (1, 1), 47: (1, 1), 48: (2, 0)}


@VERSIONS
def test_int_takes_what_is_left(make_fabric: MakeFabric, version: Version) -> None:
    """No frame outgrows a link for it: a node without room says so, and the tenant's packet goes on."""
    fabric = narrow(make_fabric)
    watch(fabric["a"], port=hosts.ACCESS)
    for room, left in ROOMS.items():
        packet = version.of_size(FITS - room)
        (arrival,) = fabric.exchange("a", hosts.ACCESS, hosts.sent(packet), expect=1)
        assert arrival.data == hosts.delivered(less_a_hop(packet))
        assert len(fabric.carried) == 2
        assert all(len(frame) - 14 <= LINK for *_, frame in fabric.carried)
        last = fabric.carried[-1][3]
        option = last[14 + OVERHEAD : len(last) - len(packet)]
        found = IntMd.parse(option) if option else None
        assert (found and (len(found.hops()), found.mtu_exceeded)) == left, room
        fabric.carried.clear()
