# SPDX-License-Identifier: Apache-2.0
"""When tokens come: a watched connection's requests and responses, as both its leaves see them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dataplane.frames import HOST_MAC, SWITCH_MAC, Din, Fabric, access, sid
from tests.dataplane.harness import MakeFabric, Node, P4jitNode
from tests.dataplane.leaf import SERVICE, SERVICE_PORT, Flow, crc16, mapped
from tests.dataplane.telemetry import (
    CLIENT_LEAF,
    HOST,
    HOST_FUNCTION,
    LOOKUP,
    SERVER_LEAF,
    TENANT,
    UP,
    ZONE,
    Report,
    collect,
    end_lookup,
    function,
    make_leaf,
    reports_of,
    v4,
)

SERVER = "10.2.0.9"
#: Of a leaf that has the server too.
SERVER_PORT, SERVER_FUNCTION = 2, 0xF002
FIRST, DONE = 1, 2
MILLISECOND = 1000  # us
SILENCE = 60_000_000
PLACES = 16384


def flow(sport: int = 40000) -> Flow:
    return Flow(sport, "10.1.0.5", SERVER)


def watch_tokens(node: Node) -> None:
    how = {"instructions": 0, "hop_ml": 0, "hops": 0, "tokens": 1}
    node.insert("watchlist", {"service": (SERVICE, 0xFFFF)}, "watch", priority=1, **how)


def steer(node: Node, *flows: Flow) -> None:
    """Requests to instance 1, which has a path."""
    key = {"dst_addr": v4(SERVER), "protocol": 6, "dst_port": SERVICE_PORT}
    node.insert("services", key, "set_service", service=SERVICE, by_address=0)
    group = {"service": SERVICE, "tenant": TENANT, "class_id": 0, "label": 0}
    node.insert("groups", group, "set_group", group=1)
    for bucket in sorted({each.bucket for each in flows}):
        one = {"current": 1, "previous": 1, "state": 0}
        node.insert("buckets", {"group": 1, "bucket": bucket}, "set_bucket", **one)
    node.insert("liveness", {"instance": 1}, "NoAction")


def answers(node: Node, port: int, address: str = SERVER) -> None:
    """What comes from the instance is the service's."""
    key = {"port": port, "src_addr": v4(address), "protocol": 6, "src_port": SERVICE_PORT}
    node.insert("responses", key, "set_response", service=SERVICE, instance=1, by_address=0)


Send = Callable[[Node, Flow, bool, str, bytes], list[tuple[int, bytes]]]


@dataclass(frozen=True)
class Place:
    """A leaf at which a connection is watched: how to make it, and how the two directions come to it."""

    name: str
    make: Callable[..., None]
    send: Send

    def __str__(self) -> str:
        return self.name


def make_client_leaf(node: Node, *flows: Flow) -> None:
    make_leaf(node, CLIENT_LEAF, client=True)
    steer(node, *flows)
    key = {"kind": 1, "target": 1, "class_id": 0, "label": 0}
    where = {"segments": sid(SERVER_LEAF, HOST_FUNCTION), "mtu": 9000, "zone": ZONE, "base_latency": 0}
    node.insert("paths", key, "via", **where)
    watch_tokens(node)


def make_server_leaf(node: Node, *flows: Flow) -> None:
    make_leaf(node, SERVER_LEAF, client=False)
    answers(node, HOST)
    watch_tokens(node)


def make_common_leaf(node: Node, *flows: Flow) -> None:
    make_leaf(node, CLIENT_LEAF, client=True)
    steer(node, *flows)
    key = {"kind": 1, "target": 1, "class_id": 0, "label": 0}
    node.insert("paths", key, "local", function=SERVER_FUNCTION)
    function(node, SERVER_FUNCTION, SERVER_PORT)
    node.insert("ports", {"port": SERVER_PORT}, "set_access", zone=ZONE)
    source = {"tenant": TENANT, "label": 0, "label_mandatory": 0, "option_required": 0}
    key = {"port": SERVER_PORT, "vid": 0, "src_addr": (v4(SERVER), 128)}
    node.insert("sources", key, "permit", **source)
    answers(node, SERVER_PORT)
    watch_tokens(node)


def make_looked_up(node: Node, *flows: Flow) -> None:
    make_client_leaf(node, *flows)
    end_lookup(node, CLIENT_LEAF)


def from_fabric(leaf: int, packet: bytes, response: int, flow_: Flow, function: int = HOST_FUNCTION) -> bytes:
    din = Din(watched=1, service=SERVICE, response=response, flow_hash=flow_.hash)
    return Fabric(sid(leaf, function), packet, din).frame()


def at_client(
    node: Node, flow_: Flow, response: bool, flags: str, payload: bytes, function: int = HOST_FUNCTION
) -> list[tuple[int, bytes]]:
    if response:
        packet = bytes(flow_.answer(flags, payload))
        return node.exchange(UP, from_fabric(CLIENT_LEAF, packet, 1, flow_, function))
    return node.exchange(HOST, access(flow_.packet(flags, payload)))


def looked_up(node: Node, flow_: Flow, response: bool, flags: str, payload: bytes) -> list[tuple[int, bytes]]:
    return at_client(node, flow_, response, flags, payload, LOOKUP)


def at_server(node: Node, flow_: Flow, response: bool, flags: str, payload: bytes) -> list[tuple[int, bytes]]:
    if response:
        return node.exchange(HOST, access(flow_.answer(flags, payload)))
    packet = bytes(flow_.packet(flags, payload))
    return node.exchange(UP, from_fabric(SERVER_LEAF, packet, 0, flow_))


def at_both(node: Node, flow_: Flow, response: bool, flags: str, payload: bytes) -> list[tuple[int, bytes]]:
    if response:
        return node.exchange(SERVER_PORT, access(flow_.answer(flags, payload)))
    return node.exchange(HOST, access(flow_.packet(flags, payload)))


PLACES_SEEN = [
    Place("client's leaf", make_client_leaf, at_client),
    Place("server's leaf", make_server_leaf, at_server),
    Place("same leaf", make_common_leaf, at_both),
    Place("client's leaf, by a lookup", make_looked_up, looked_up),
]


@dataclass
class Watcher:
    """A leaf under test. Every packet must go on, whatever is told of it."""

    node: Node
    place: Place

    def send(self, flow_: Flow, response: bool, flags: str = "PA", payload: bytes = b"x") -> list[Report]:
        """Reports with tokens."""
        found = self.place.send(self.node, flow_, response, flags, payload)
        reports = reports_of(found)
        assert len(found) - len(reports) == 1, "the packet goes on"
        return [report for report in reports if report.tokens is not None]

    def request(self, flow_: Flow | None = None, **more: object) -> list[Report]:
        return self.send(flow_ or flow(), False, **more)  # type: ignore[arg-type]

    def response(self, flow_: Flow | None = None, **more: object) -> list[Report]:
        return self.send(flow_ or flow(), True, **more)  # type: ignore[arg-type]

    def wait(self, us: int) -> None:
        self.node.advance(us * 1000)


@pytest.fixture(params=PLACES_SEEN, ids=str)
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.param
    return found


def watcher(node: Node, place: Place, *flows: Flow) -> Watcher:
    place.make(node, *(flows or (flow(),)))
    collect(node, 0)
    return Watcher(node, place)


# ---- one request -----------------------------------------------------------------------------------------


def test_time_to_first_token_and_the_gaps_after_it(embedded: P4jitNode, place: Place) -> None:
    it = watcher(embedded, place)
    assert it.request(flags="S", payload=b"") == []
    assert it.response(flags="SA", payload=b"") == []
    assert it.request(flags="A", payload=b"") == []
    it.wait(500)
    assert it.request(payload=b"POST / HTTP/1.1") == []
    it.wait(300)
    assert it.request(payload=b"{body}") == []
    it.wait(600)
    assert it.response(flags="A", payload=b"") == []
    assert it.response(payload=b"HTTP/1.1 200 OK") == []
    it.wait(501_000)
    (first,) = it.response(payload=b"data: token")
    assert (first.flags, first.status, first.ds_md_bits) == ("F", FIRST, 0xC000)
    assert first.tokens == (600, 501_600, 1, 0, 0)
    assert first.gaps == [0] * 16
    assert (first.service, first.tenant) == (SERVICE, TENANT)
    for gap in (10_000, 40_000, 25_000):
        it.wait(gap)
        assert it.request(flags="A", payload=b"") == []
        assert it.response() == []
    it.wait(1_000_000)
    (done,) = it.request(payload=b"POST again")
    assert (done.flags, done.status) == ("F", DONE)
    assert done.tokens == (600, 501_600, 4, 75_000, 40_000)
    # 8.192 to 16.384 ms, 16.384 to 32.768, 32.768 to 65.536.
    assert done.gaps == [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    it.wait(100)
    assert it.response() == []
    it.wait(200)
    (first,) = it.response()
    assert first.tokens == (100, 300, 1, 0, 0), "a new request, a new clock"


def test_on_every_target(node: Node, place: Place) -> None:
    """Without control over time: order, numbers and plausible times."""
    it = watcher(node, place)
    assert it.request() == []
    assert it.response() == []
    (first,) = it.response()
    assert (first.flags, first.status) == ("F", FIRST)
    assert first.tokens is not None
    assert first.tokens[0] <= first.tokens[1] < 60_000_000
    for _ in range(5):
        assert it.response() == []
    (done,) = it.request()
    assert done.status == DONE
    assert done.tokens is not None
    assert done.gaps is not None
    headers, token, segments, gap_sum, gap_max = done.tokens
    assert (headers, token) == first.tokens[:2]
    assert segments == 6
    assert sum(done.gaps) == 5
    assert gap_max <= gap_sum <= 5 * gap_max


@pytest.mark.parametrize("flags", ["FA", "R"])
def test_the_end_of_the_connection_is_the_end_of_the_response(node: Node, place: Place, flags: str) -> None:
    it = watcher(node, place)
    it.request()
    it.response()
    assert len(it.response()) == 1
    (done,) = it.response(flags=flags, payload=b"")
    assert done.status == DONE
    assert done.tokens is not None
    assert done.tokens[2] == 1
    assert it.request(flags="FA", payload=b"") == []
    assert it.response(flags=flags, payload=b"") == [], "it has ended once"


def test_the_last_segment_may_bring_the_end(embedded: P4jitNode, place: Place) -> None:
    it = watcher(embedded, place)
    it.request()
    it.wait(5)
    (done,) = it.response(flags="FPA", payload=b"all of it")
    assert (done.status, done.tokens) == (DONE, (5, 0, 0, 0, 0))
    it.request()
    it.wait(7)
    it.response()
    it.wait(3)
    (done,) = it.response(flags="FPA")
    assert (done.status, done.tokens) == (DONE, (7, 10, 1, 0, 0))


def test_a_client_that_leaves(node: Node, place: Place) -> None:
    """While tokens come, that ends it. Before, it only says that the client asks no more."""
    it = watcher(node, place)
    it.request()
    assert it.request(flags="FA", payload=b"") == []
    it.response()
    assert len(it.response()) == 1
    (done,) = it.request(flags="FA", payload=b"")
    assert done.status == DONE
    assert it.response() == []
    assert it.response() == []


def test_a_reset_of_the_client_s(node: Node, place: Place) -> None:
    it = watcher(node, place)
    it.request()
    it.response()
    (done,) = it.request(flags="RA", payload=b"")
    assert done.status == DONE
    assert done.tokens is not None
    assert done.tokens[2] == 0
    it.request()
    assert it.request(flags="R", payload=b"") == [], "nothing was answered"
    assert it.response() == []


def test_an_answer_to_nothing_is_not_measured(node: Node, place: Place) -> None:
    it = watcher(node, place)
    assert [it.response() for _ in range(3)] == [[], [], []]
    it.request()
    it.response()
    assert len(it.response()) == 1


def test_nobody_watches(node: Node, place: Place) -> None:
    it = watcher(node, place)
    node.delete("watchlist", {"service": (SERVICE, 0xFFFF)}, priority=1)
    if place.name == "same leaf":
        it.request()
        it.response()
        assert it.response() == []


# ---- the histogram ---------------------------------------------------------------------------------------


def bin_of(gap: int) -> int:
    """128 us, and twice as long each."""
    return min(max(gap.bit_length() - 7, 0), 15)


EDGES = [(1 << power) + step for power in range(7, 22) for step in (-1, 0)]


def test_bins(embedded: P4jitNode) -> None:
    it = watcher(embedded, PLACES_SEEN[2])
    it.request()
    it.response()
    it.response()
    gaps = [0, 1, *EDGES, 30_000_000]
    expected = [0] * 16
    for gap in gaps:
        it.wait(gap)
        it.response()
        expected[bin_of(gap)] += 1
    (done,) = it.request()
    assert done.gaps == expected
    assert done.tokens == (0, 0, 1 + len(gaps), sum(gaps), max(gaps))
    assert min(expected) > 0


def cell(flow_: Flow) -> int:
    """Where a connection's state is."""
    src, dst = mapped(flow_.src), mapped(flow_.dst)
    key = (
        (src ^ dst).to_bytes(16, "big")
        + (flow_.sport ^ flow_.dport).to_bytes(2, "big")
        + bytes((flow_.protocol,))
    )
    return crc16(key) % PLACES


@pytest.mark.parametrize("bin_", [0, 7, 15])
def test_a_full_counter_stays_full(embedded: P4jitNode, bin_: int) -> None:
    it = watcher(embedded, PLACES_SEEN[2])
    it.request()
    it.response()
    it.response()
    full = 0xFFFE << 16 * bin_
    embedded.set_register("token_gaps", cell(flow()), full)
    gap = 0 if bin_ == 0 else 1 << bin_ + 6
    for _ in range(3):
        it.wait(gap)
        it.response()
    (done,) = it.request()
    assert done.gaps == [0xFFFF if each == bin_ else 0 for each in range(16)]


def test_sums_saturate(embedded: P4jitNode) -> None:
    it = watcher(embedded, PLACES_SEEN[2])
    it.request()
    it.response()
    it.response()
    for name in ("token_segments", "gap_sum"):
        embedded.set_register(name, cell(flow()), 0xFFFFFFFE)
    for _ in range(3):
        it.wait(100)
        it.response()
    (done,) = it.request()
    assert done.tokens is not None
    assert done.tokens[2:4] == (0xFFFFFFFF, 0xFFFFFFFF)


# ---- whose place it is -----------------------------------------------------------------------------------


def neighbours() -> tuple[Flow, Flow]:
    """Two connections of the same place."""
    first = flow(40000)
    return first, next(f for f in map(flow, range(40001, 65536)) if cell(f) == cell(first))


def test_a_place_is_its_first_connection_s(embedded: P4jitNode, place: Place) -> None:
    mine, other = neighbours()
    it = watcher(embedded, place, mine, other)

    def ask(flow_: Flow) -> int:
        it.request(flow_)
        it.response(flow_)
        return len(it.response(flow_))

    assert ask(mine) == 1
    assert ask(other) == 0, "not measured while the first is there"
    assert len(it.response(mine, flags="FA", payload=b"")) == 1, "nor has it disturbed it"
    assert ask(other) == 1
    it.wait(SILENCE)
    assert ask(mine) == 0
    assert ask(other) == 1
    it.wait(SILENCE + 1)
    # The first request finds what the silent one left, and says nothing of it.
    assert it.request(mine) == []
    it.response(mine)
    (first,) = it.response(mine)
    assert first.tokens == (0, 0, 1, 0, 0)
    assert ask(other) == 0


def test_places_of_all_connections_are_found(embedded: P4jitNode) -> None:
    flows = [flow(sport) for sport in range(50000, 50040)]
    it = watcher(embedded, PLACES_SEEN[0], *flows)
    for each in flows:
        it.request(each)
    for each in flows:
        it.response(each)
    told = [len(it.response(each)) for each in flows]
    places = Counter(cell(each) for each in flows)
    assert sum(told) == len(places)


# ---- any order -------------------------------------------------------------------------------------------


@dataclass
class Model:
    """What a leaf should know of a connection."""

    phase: str = "idle"
    asked: int = 0
    last: int = 0
    headers: int = 0
    first: int = 0
    segments: int = 0
    gaps: list[int] = field(default_factory=list)

    def told(self, status: int) -> tuple[int, tuple[int, ...], list[int]]:
        bins = [0] * 16
        for gap in self.gaps:
            bins[bin_of(gap)] += 1
        gaps = self.gaps or [0]
        return status, (self.headers, self.first, self.segments, sum(gaps), max(gaps)), bins

    def see(self, now: int, response: bool, flags: str, payload: bool) -> Iterable[object]:
        event = 0
        answered = self.phase in ("headers", "streaming")
        if payload and response and self.phase != "idle":
            if self.phase == "requested":
                self.headers, self.phase = now - self.asked, "headers"
            elif self.phase == "headers":
                self.first, self.segments, self.phase = now - self.asked, 1, "streaming"
                event = FIRST
            else:
                self.segments += 1
                self.gaps.append(now - self.last)
            self.last = now
        elif payload and response:
            self.last = now
        ends = "R" in flags or ("F" in flags and response)
        leaves = "F" in flags and not response and not payload
        if ends and self.phase in ("headers", "streaming"):
            event = DONE
        if ((payload and not response) or leaves) and answered:
            event = DONE
        if event:
            yield self.told(event)
        if payload and not response:
            self.headers = self.first = self.segments = 0
            self.gaps = []
            self.asked = now
            self.phase = "requested"
        if ends or (leaves and answered):
            self.phase = "idle"


#: (response, flags, payload): mostly such as make a conversation.
PACKETS = [(True, "PA", True)] * 8 + [(False, "PA", True)] * 3
PACKETS += [(r, f, p) for r in (False, True) for f in ("A", "FA", "FPA", "R") for p in (False, True)]
STEP = st.tuples(
    st.integers(0, 1),
    st.sampled_from(PACKETS),
    st.sampled_from([0, 1, 100, 127, 128, 5_000, 40_000, 1 << 20, 3_000_000]),
)


def test_any_order_of_packets(embedded: P4jitNode) -> None:
    """Of two connections at once."""
    flows = [flow(45000), flow(45001)]
    assert len({cell(each) for each in flows}) == len(flows)
    it = watcher(embedded, PLACES_SEEN[2], *flows)
    events: Counter[int] = Counter()

    @settings(max_examples=150, deadline=None)
    @given(st.lists(STEP, min_size=10, max_size=30))
    def check(steps: list[tuple[int, tuple[bool, str, bool], int]]) -> None:
        models = [Model() for _ in flows]
        for each in flows:
            it.response(each, flags="R", payload=b"")
        for which, (response, flags, payload), gap in steps:
            it.wait(gap)
            now = embedded.now // 1000
            data = b"x" if payload else b""
            reports = it.send(flows[which], response, flags, data)
            found = [(r.status, r.tokens, r.gaps) for r in reports]
            assert found == list(models[which].see(now, response, flags, payload))
            events.update(status for status, _, _ in found)

    check()
    assert min(events[FIRST], events[DONE]) > 20, events


# ---- both leaves -----------------------------------------------------------------------------------------


def test_the_leaves_differ_by_the_network(make_embedded_fabric: MakeFabric) -> None:
    """Time to first token at the client's leaf, less that at the server's: twice the links, to the us."""
    delay = 4_000_000
    fabric = make_embedded_fabric("client", "server")
    fabric.link("client", UP, "server", UP, delay=delay)
    client, server = fabric["client"], fabric["server"]
    make_client_leaf(client, flow())
    make_server_leaf(server)
    for node in (client, server):
        collect(node, 0)
    mine = flow()
    sent = [
        ("client", mine.packet("PA", b"ask"), 0),
        ("server", mine.answer("PA", b"headers"), 6_000_000),
        ("server", mine.answer("PA", b"token"), 250_000_000),
        ("server", mine.answer("PA", b"token"), 270_000_000),
        ("client", mine.packet("PA", b"ask more"), 300_000_000),
    ]
    for name, packet, at in sent:
        fabric.send(name, HOST, access(packet), at=at)
    found: dict[str, list[Report]] = {"client": [], "server": []}
    for arrival in fabric.run():
        found[arrival.node] += [r for r in reports_of([(arrival.port, arrival.data)]) if r.tokens is not None]
    for name, network in (("client", 2 * delay // 1000), ("server", 0)):
        first, done = found[name]
        assert (first.status, done.status) == (FIRST, DONE)
        # The server's leaf has the request 4 ms after it was sent.
        assert first.tokens == (2_000 + network, 246_000 + network, 1, 0, 0)
        assert done.tokens == (2_000 + network, 246_000 + network, 2, 20_000, 20_000)
    assert found["client"][0].tokens != found["server"][0].tokens


def test_an_instance_under_its_own_address_is_the_same_connection(embedded: P4jitNode) -> None:
    """Requests are rewritten to it and its answers back: what is measured is the service's connection."""
    node = embedded
    own = "10.2.0.77"
    make_leaf(node, SERVER_LEAF, client=False)
    node.delete("functions", {"function": HOST_FUNCTION})
    where = {"port": HOST, "dst_mac": HOST_MAC, "src_mac": SWITCH_MAC, "vid": 0, "mtu": 1500, "zone": ZONE}
    node.insert(
        "functions", {"function": HOST_FUNCTION}, "deliver_rewritten", instance=1, dst_addr=v4(own), **where
    )
    key = {"port": HOST, "src_addr": v4(own), "protocol": 6, "src_port": SERVICE_PORT}
    node.insert("reverse_rewrites", key, "restore_source", service_addr=v4(SERVER))
    answers(node, HOST)
    watch_tokens(node)
    collect(node, 0)

    def send(own_flow: Flow, response: bool) -> list[Report]:
        found = reports_of(at_server(node, own_flow, response, "PA", b"x"))
        return [report for report in found if report.tokens is not None]

    assert send(flow(), False) == []
    assert send(Flow(40000, "10.1.0.5", own), True) == []
    (first,) = send(Flow(40000, "10.1.0.5", own), True)
    assert first.status == FIRST


def test_on_the_way_nothing_is_measured(node: Node) -> None:
    """A node that is none of the two leaves, even if it can read the packets."""
    make_leaf(node, CLIENT_LEAF, client=True)
    collect(node, 0)
    for response in (0, 1, 1):
        packet = bytes(flow().answer("PA", b"x") if response else flow().packet("PA", b"x"))
        assert len(node.exchange(UP, from_fabric(0x77, packet, response, flow()))) == 1
