# SPDX-License-Identifier: Apache-2.0
"""INT-MD at the source, on the way and at the sink (INT v2.1, 5.7.4 and 5.8)."""

from __future__ import annotations

import struct
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from p4jit.target.interface import PortSpec

from tests.dataplane.frames import OVERHEAD, Fabric, access, sid, tcp4, udp6
from tests.dataplane.harness import Fabric as DinFabric
from tests.dataplane.harness import MakeFabric, Node, P4jitNode, Program
from tests.dataplane.harness.bmv2 import Bmv2Pool
from tests.dataplane.int_md import OPTION_WORDS, WORDS, Hop, IntMd, known_words
from tests.dataplane.linux_chain import LiveNode
from tests.dataplane.telemetry import (
    BASE,
    CLIENT_LEAF,
    CLIENT_SPINE_ID,
    DOWN,
    HOST,
    SERVER_LEAF,
    UP,
    at,
    clock,
    make_leaf,
    make_transit,
    route,
    watch,
)

NODE, OURS = 0xB0B, 0x0011
ALL_KNOWN = 0xFF80
DST = sid(OURS, 0x22, 0x33, 0xF001)
NEXT_DST = sid(0x22, 0x33, 0xF001)
#: Node, both ports and the queue: what is the same on every target at every time.
TIMELESS = 0xD000
MIN_LINK = 1280


def through(node: Node, option: IntMd, inner: bytes = b"", **changes: object) -> IntMd:
    """The option as it leaves a transit node. Everything around it must be as it came, its lengths aside."""
    packet = Fabric(DST, inner or tcp4(b"tokens"), options=option.bytes()).but(**changes)
    ((port, frame),) = node.exchange(1, packet.frame(), expect=1)
    assert port == 2
    left = packet.but(dst=NEXT_DST, hop_limit=packet.hop_limit - 1)
    grown = frame[14 + OVERHEAD :][: len(frame) - 14 - OVERHEAD - len(packet.inner)]
    assert frame[14:] == left.but(options=grown).packet(), "payload length, UDP length and opt_len follow"
    return IntMd.parse(grown)


def hop_of(node: Node, **changes: object) -> Hop:
    """What an idle transit node says now."""
    now = at(node, node.now) if isinstance(node, P4jitNode) else 0
    return replace(Hop(NODE, 1, 2, ingress_time=now, egress_time=now), **changes)  # type: ignore[arg-type]


def test_a_hop_pushes_in_front_of_the_stack(node: Node) -> None:
    make_transit(node, NODE)
    before = IntMd(TIMELESS, 3, 5, stack=bytes(range(24)))
    assert through(node, before) == before.pushed(hop_of(node))


@pytest.mark.parametrize("inner", [tcp4(), udp6(b"x" * 77)], ids=["ipv4", "ipv6"])
def test_times_are_64_bits_and_the_latency_is_between_them(node: Node, inner: bytes) -> None:
    make_transit(node, NODE)
    after = through(node, IntMd(0x2C00, 5), inner)
    latency, ingress_time, egress_time = struct.unpack("!IQQ", after.stack)
    assert egress_time - ingress_time == latency
    assert 1_700_000_000 <= ingress_time // 10**9 < 1_700_010_000
    if isinstance(node, P4jitNode):
        assert latency == 0


@pytest.mark.parametrize("bit", WORDS)
def test_each_instruction(embedded: P4jitNode, bit: int) -> None:
    make_transit(embedded, NODE)
    embedded.advance(123_456_789)
    before = IntMd(bit, WORDS[bit], 2)
    assert through(embedded, before) == before.pushed(hop_of(embedded))


def test_logical_ports_are_as_the_tables_say(node: Node) -> None:
    make_transit(node, NODE)
    node.insert("links", {"port": 2}, "set_link", mtu=9000, l2_port=0x10002)
    node.insert("arrivals", {"port": 1}, "set_arrival", l2_port=0x10001)
    assert through(node, IntMd(0x0200, 2)).stack == struct.pack("!II", 0x10001, 0x10002)


def test_waiting_in_the_queue_is_latency(embedded: P4jitNode) -> None:
    """Three packets at once on a link of 1 byte/us: each waits for those before it."""
    from p4jit.target.interface import LinkSpec

    node = embedded
    make_transit(node, NODE)
    node.configure(2, link=LinkSpec(rate=8_000_000, delay=0))
    packet = Fabric(DST, tcp4(b"x" * 100), options=IntMd(0x3000, 2).bytes())
    for _ in range(3):
        node.send(1, packet.frame())
    left = node.receive()
    on_the_wire = len(left[0][1])
    found = [struct.unpack("!II", frame[14 + OVERHEAD + 16 :][:8]) for _, frame in left]
    assert [latency for latency, _ in found] == [0, on_the_wire * 1000, 2 * on_the_wire * 1000]
    # The first went out at once; the others found nobody, and one, before them.
    assert [queue & 0xFFFFFF for _, queue in found] == [0, 0, 1]


@st.composite
def options(draw: st.DrawFn) -> IntMd:
    """Any instructions, also those that nobody knows; any stack; HopML as an honest source would have it, or
    more, or too little."""
    instructions = draw(st.integers(0, 0xFFFF))
    wanted = known_words(instructions) + (instructions & 0x7F).bit_count()
    hop_ml = draw(st.one_of(st.just(wanted), st.integers(0, 31)))
    words = draw(st.integers(0, 28))
    return IntMd(
        instructions,
        hop_ml,
        draw(st.one_of(st.integers(0, 3), st.integers(0, 255))),
        draw(st.binary(min_size=4 * words, max_size=4 * words)),
        draw(st.integers(0, 1)),
        draw(st.integers(0, 1)),
        domain=draw(st.sampled_from([0, 0x4449])),
        ds_instructions=draw(st.integers(0, 0xFFFF)),
        ds_flags=draw(st.integers(0, 0xFFFF)),
    )


def expected(before: IntMd, hop: Hop, length: int, mtu: int) -> IntMd:
    """INT v2.1, 5.8 and 5.9, for an IP packet of this length."""
    if before.hop_ml == 0 or before.hop_ml < known_words(before.instructions):
        return before
    if before.remaining == 0 or 3 + len(before.stack) // 4 + before.hop_ml > OPTION_WORDS:
        return replace(before, exceeded=1)
    if length + 4 * before.hop_ml > mtu:
        return replace(before, mtu_exceeded=1)
    return before.pushed(hop)


def test_a_hop_adds_its_words_or_nothing(embedded: P4jitNode) -> None:
    node = embedded
    make_transit(node, NODE)
    node.insert("links", {"port": 2}, "set_link", mtu=MIN_LINK, l2_port=2)

    @settings(max_examples=400, deadline=None)
    @given(options(), st.integers(0, 1150))
    def check(before: IntMd, payload: int) -> None:
        inner = tcp4(bytes(payload))
        length = OVERHEAD + len(before.bytes()) + len(inner)
        if length > MIN_LINK:
            return
        hop = hop_of(node, l2_egress_port=2)
        assert through(node, before, inner) == expected(before, hop, length, MIN_LINK)

    check()


@pytest.mark.parametrize("room", [0, 15, 16, 17])
def test_the_link_s_mtu_to_the_byte(node: Node, room: int) -> None:
    make_transit(node, NODE)
    before = IntMd()
    inner = tcp4(b"x" * 200)
    length = OVERHEAD + len(before.bytes()) + len(inner)
    node.insert("links", {"port": 2}, "set_link", mtu=length + room, l2_port=0)
    after = through(node, before, inner)
    assert (after.mtu_exceeded, len(after.stack)) == ((0, 16) if room >= 16 else (1, 0))


def test_without_an_entry_a_link_takes_1500(node: Node) -> None:
    make_transit(node, NODE)
    inner = tcp4(b"x" * (1500 - OVERHEAD - 16 - 16 - 40))
    assert through(node, IntMd(), inner).mtu_exceeded == 0
    assert through(node, IntMd(), inner[:-1]).mtu_exceeded == 0
    assert through(node, IntMd(), tcp4(inner[40:] + b"x")).mtu_exceeded == 1


def test_no_hops_are_left(node: Node) -> None:
    make_transit(node, NODE)
    before = IntMd(remaining=0, stack=b"\x11" * 16)
    assert through(node, before) == replace(before, exceeded=1)


def test_no_room_is_left_in_the_option(node: Node) -> None:
    """A source that promised more hops than an option holds."""
    make_transit(node, NODE)
    before = IntMd(remaining=9, stack=b"\x11" * 112)
    assert through(node, before) == replace(before, exceeded=1)


@pytest.mark.parametrize("before", [IntMd(version=1), IntMd(version=3), IntMd(hop_ml=3), IntMd(hop_ml=0)])
def test_what_is_not_ours_to_read_stays_as_it_is(node: Node, before: IntMd) -> None:
    make_transit(node, NODE)
    assert through(node, before) == before


def test_lengths_that_contradict_each_other_stay_as_they_are(node: Node) -> None:
    make_transit(node, NODE)
    for length in (2, 4, 7):
        packet = Fabric(DST, tcp4(), options=IntMd(length=length).bytes())
        left = packet.but(dst=NEXT_DST, hop_limit=63)
        ((_, frame),) = node.exchange(1, packet.frame(), expect=1)
        assert frame[14:] == left.packet()


def test_behind_a_routing_header(node: Node) -> None:
    make_transit(node, NODE)
    before = IntMd(TIMELESS, 3)
    packet = Fabric(DST, tcp4(b"x"), options=before.bytes())
    after = packet.but(dst=NEXT_DST, hop_limit=63, options=before.pushed(hop_of(node)).bytes())

    def routed(data: bytes) -> bytes:
        srh = struct.pack("!BBBBBBH", 17, 4, 4, 0, 1, 0, 0) + bytes(range(32))
        return data[:4] + struct.pack("!HB", len(data) - 40 + len(srh), 43) + data[7:40] + srh + data[40:]

    ((_, frame),) = node.exchange(1, packet.frame()[:14] + routed(packet.packet()), expect=1)
    assert frame[14:] == routed(after.packet())


def test_a_router_that_is_not_in_the_list_pushes_too(node: Node) -> None:
    """It may have parsed the stack, as the sink does."""
    make_transit(node, NODE)
    for stack in (b"", bytes(range(16)), bytes(range(28))):
        before = IntMd(TIMELESS, 3, stack=stack[: len(stack) // 12 * 12])
        packet = Fabric(sid(0x33, 0xF001), tcp4(b"x"), options=before.bytes())
        ((_, frame),) = node.exchange(1, packet.frame(), expect=1)
        after = before.pushed(hop_of(node))
        assert frame[14:] == packet.but(hop_limit=63, options=after.bytes()).packet()


def test_padding_has_no_place_behind_a_parsed_stack(node: Node) -> None:
    make_transit(node, NODE)
    before = IntMd(0x8040, 2, stack=bytes(range(8)))
    packet = Fabric(sid(0x33, 0xF001), tcp4(b"x"), options=before.bytes())
    ((_, frame),) = node.exchange(1, packet.frame(), expect=1)
    assert frame[14:] == packet.but(hop_limit=63).packet()


# ---- the source ------------------------------------------------------------------------------------------


def sourced(node: Node, inner: bytes) -> tuple[bytes, IntMd | None]:
    """What a leaf makes of a host's packet: the frame, and its INT option."""
    ((port, frame),) = node.exchange(HOST, access(inner), expect=1)
    assert port == UP
    options_length = 4 * (frame[14 + 48] & 0x3F)
    end = 14 + 56 + options_length
    decremented = bytearray(inner)
    decremented[8] -= 1
    assert frame[end + 20 :] == inner[20:], "the tenant's packet"
    payload_length, udp_length = (
        struct.unpack_from("!H", frame, 18)[0],
        struct.unpack_from("!H", frame, 58)[0],
    )
    assert payload_length == udp_length == len(frame) - 54
    option = frame[14 + OVERHEAD : end]
    return frame, IntMd.parse(option) if option else None


def source(node: Node, instructions: int = TIMELESS, hop_ml: int = 3, hops: int = 9, mtu: int = 9000) -> None:
    make_leaf(node, CLIENT_LEAF, client=True, mtu=mtu)
    node.insert("links", {"port": UP}, "set_link", mtu=9000, l2_port=0)
    watch(node, instructions, hop_ml, hops)


def test_the_source_is_the_first_hop(node: Node) -> None:
    source(node)
    _, option = sourced(node, tcp4(b"tokens"))
    first = IntMd(TIMELESS, 3, 9).pushed(Hop(CLIENT_LEAF, HOST, UP))
    assert option == first
    assert option is not None
    assert option.remaining == 8


def test_what_is_not_watched_carries_no_option(node: Node) -> None:
    make_leaf(node, CLIENT_LEAF, client=True)
    assert sourced(node, tcp4())[1] is None


@pytest.mark.parametrize(
    ("hop_ml", "hops"),
    [
        (1, 28),
        (2, 14),
        (3, 9),
        (4, 7),
        (5, 5),
        (6, 4),
        (7, 4),
        (8, 3),
        (9, 3),
        (10, 2),
        (14, 2),
        (15, 1),
        (28, 1),
    ],
)
def test_hops_that_an_option_holds(node: Node, hop_ml: int, hops: int) -> None:
    """The watchlist's entry is checked by the controller; a target takes any, and the source its limit."""
    instructions = {1: 0x8000, 2: 0xC000, 3: 0xD000}.get(hop_ml, 0xD000)
    source(node, instructions, hop_ml, 200)
    _, option = sourced(node, tcp4())
    assert option is not None
    assert option.remaining == hops - 1
    assert hops == 28 // hop_ml


@pytest.mark.parametrize("hop_ml", [0, 29, 31])
def test_an_option_that_holds_no_hop_is_not_begun(node: Node, hop_ml: int) -> None:
    source(node, 0x8000, hop_ml, 7)
    assert sourced(node, tcp4())[1] is None


@pytest.mark.parametrize(("room", "found"), [(28, (0, 12)), (27, (1, 0)), (16, (1, 0)), (15, None)])
def test_the_path_s_mtu_to_the_byte(node: Node, room: int, found: tuple[int, int] | None) -> None:
    """Header and first hop, or the header alone with M set, or nothing."""
    inner = tcp4(b"x" * 1300)
    source(node, mtu=len(inner) + OVERHEAD + room)
    _, option = sourced(node, inner)
    assert (None if option is None else (option.mtu_exceeded, len(option.stack))) == found


def test_the_first_link_may_be_narrower_than_the_path_says(node: Node) -> None:
    inner = tcp4(b"x" * 500)
    make_leaf(node, CLIENT_LEAF, client=True)
    watch(node, TIMELESS, 3, 9)
    node.insert("links", {"port": UP}, "set_link", mtu=len(inner) + OVERHEAD + 16, l2_port=0)
    _, option = sourced(node, inner)
    assert option == IntMd(TIMELESS, 3, 9, mtu_exceeded=1)
    node.modify("links", {"port": UP}, "set_link", mtu=len(inner) + OVERHEAD + 15, l2_port=0)
    assert sourced(node, inner)[1] is None


def test_an_access_port_s_int_is_payload(node: Node) -> None:
    """Fabric headers of a host are dropped; its own Geneve, to anywhere else, is not looked into."""
    make_leaf(node, CLIENT_LEAF, client=True)
    assert node.exchange(HOST, Fabric(DST, tcp4(), options=IntMd().bytes()).frame()) == []


# ---- a fabric --------------------------------------------------------------------------------------------


def three(make_fabric: MakeFabric, delay: int, rate: int | None) -> DinFabric:
    fabric = make_fabric("client", "spine", "server")
    fabric.link("client", UP, "spine", UP, delay=delay, rate=rate)
    fabric.link("spine", DOWN, "server", UP, delay=3 * delay, rate=rate)
    make_leaf(fabric["client"], CLIENT_LEAF, client=True, via_spine=CLIENT_SPINE_ID)
    make_leaf(fabric["server"], SERVER_LEAF, client=False)
    spine = fabric["spine"]
    clock(spine, CLIENT_SPINE_ID)
    for port in (UP, DOWN):
        spine.insert("ports", {"port": port}, "set_fabric")
    spine.set_default("boundaries", "inside")
    spine.insert("segments", {"sid": (0xFCBBBB00 << 32 | CLIENT_SPINE_ID << 16, 48)}, "end")
    route(spine, sid(SERVER_LEAF), 48, DOWN)
    route(spine, sid(CLIENT_LEAF), 48, UP)
    return fabric


def test_the_sink_takes_it_all_off(make_fabric: MakeFabric) -> None:
    fabric = three(make_fabric, 5000, None)
    watch(fabric["client"])
    inner = tcp4(b"tokens")
    (arrival,) = fabric.exchange("client", HOST, access(inner), expect=1)
    assert (arrival.node, arrival.port) == ("server", HOST)
    assert arrival.data[14:] == b"\x45" + arrival.data[15:]
    assert len(arrival.data) == 14 + len(inner)
    assert arrival.data[34:] == inner[20:]
    nodes = [
        struct.unpack("!I", hop[:4])[0]
        for hop in IntMd.parse(fabric.carried[-1][3][14 + OVERHEAD :][:48]).hops()
    ]
    assert nodes == [CLIENT_SPINE_ID, CLIENT_LEAF], "the newest first"


def test_hop_latencies_and_links_make_up_the_whole_delay(make_embedded_fabric: MakeFabric) -> None:
    """In virtual time, on links of 1 byte/us, with queues that build up: to the nanosecond."""
    delay, rate = 7_000, 8_000_000
    fabric = three(make_embedded_fabric, delay, rate)
    watch(fabric["client"])
    sizes = [700, 0, 1200, 300, 64, 900]
    marks = [b"packet%d" % index for index in range(len(sizes))]
    for index, (size, mark) in enumerate(zip(sizes, marks, strict=True)):
        fabric.send("client", HOST, access(tcp4(mark + bytes(size))), at=index * 11_000)
    arrivals = fabric.run()
    assert len(arrivals) == len(sizes)
    waited = 0
    for index, mark in enumerate(marks):
        carried = [each for each in fabric.carried if mark in each[3]]
        assert [to for _, _, to, _ in carried] == [("spine", UP), ("server", UP)]
        last = carried[-1][3]
        option = IntMd.parse(last[14 + OVERHEAD :][: 16 + 32])
        # The last node does not queue: its host's link has no rate.
        latencies = [struct.unpack("!4I", hop)[2] for hop in option.hops()]
        waited += sum(latencies)
        links = sum(len(frame) * 1000 for _, _, _, frame in carried) + delay + 3 * delay
        sent = struct.unpack("!Q", last[14 + OVERHEAD - 8 :][:8])[0]
        assert sent == BASE + index * 11_000
        (arrival,) = [each for each in arrivals if mark in each.data]
        assert sum(latencies) + links == arrival.time - index * 11_000
    assert waited > 0, "somebody queued"


def latencies_of(frame: bytes, hops: int) -> list[int]:
    option = IntMd.parse(frame[14 + OVERHEAD :][: 16 + 16 * hops])
    return [struct.unpack("!4I", hop)[2] for hop in option.hops()]


def test_bmv2_s_hop_latencies_are_within_the_observed_delay(bmv2_pool: Bmv2Pool, program: Program) -> None:
    """With real processes, which take real time."""

    def chain(*names: str) -> DinFabric:
        fabric = DinFabric()
        for index, name in enumerate(names):
            fabric.add(bmv2_pool.node(index, name, program))
        return fabric

    fabric = three(chain, 0, None)
    watch(fabric["client"])
    for _ in range(5):
        began = time.monotonic_ns()
        fabric.exchange("client", HOST, access(tcp4()), expect=1)
        observed = time.monotonic_ns() - began
        found = latencies_of(fabric.carried[-1][3], 2)
        assert len(found) == 2
        assert 0 < sum(found) <= observed


def test_live_hop_latencies_are_within_the_observed_delay(program: Program) -> None:
    """p4jit on the wall clock: a packet through two switches, carried from one to the other by hand."""
    ports = {port: PortSpec("memory") for port in (0, HOST, UP, DOWN)}
    with LiveNode(program, "client", ports) as leaf, LiveNode(program, "spine", ports) as spine:
        make_leaf(leaf, CLIENT_LEAF, client=True, via_spine=CLIENT_SPINE_ID)
        watch(leaf)
        clock(spine, CLIENT_SPINE_ID)
        spine.insert("ports", {"port": UP}, "set_fabric")
        spine.set_default("boundaries", "inside")
        spine.insert("segments", {"sid": (0xFCBBBB00 << 32 | CLIENT_SPINE_ID << 16, 48)}, "end")
        route(spine, sid(SERVER_LEAF), 48, DOWN)
        for _ in range(20):
            began = time.monotonic_ns()
            leaf.send(HOST, access(tcp4()))
            ((port, frame),) = leaf.receive()
            assert port == UP
            spine.send(UP, frame)
            ((port, frame),) = spine.receive()
            observed = time.monotonic_ns() - began
            assert port == DOWN
            found = latencies_of(frame, 2)
            assert len(found) == 2
            assert sum(found) <= observed
