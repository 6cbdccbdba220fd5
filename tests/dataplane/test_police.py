# SPDX-License-Identifier: Apache-2.0
"""Policers: bytes as they are on the wire, two rates and three colours (RFC 2698), to the byte."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.packet import Raw

from tests.dataplane import edge
from tests.dataplane.edge import (
    ACCESS,
    DROP_STREAM_RATE,
    DROP_STREAM_SIZE,
    DROP_TENANT_RATE,
    LOCAL,
    LOCAL4,
    OTHER_ACCESS,
    OTHER_TENANT,
    classify,
    deliver_locally,
    drops,
    make,
    permit,
    through,
)
from tests.dataplane.frames import CLIENT4, SERVER4, Din, Fabric, access, sid
from tests.dataplane.harness import Node, P4jitNode

STREAM, METER = 11, 12
US = 1_000
#: What a link needs beside the frame: preamble 8, check sequence 4, gap 12.
FRAMING = 24
#: Ethernet, the fabric's headers, and that.
AROUND = 14 + 84 + FRAMING
UNLIMITED = 0xFFFF


def packet(length: int, dst: str = SERVER4, sport: int = 1) -> bytes:
    """An IP packet of so many bytes."""
    return bytes(IP(src=CLIENT4, dst=dst) / UDP(sport=sport, dport=2) / Raw(bytes(length - 28)))


def time_per_byte(rate: float) -> int:
    """Of bytes a second: in 2^-24 us."""
    return round(1e6 * (1 << 24) / rate)


def police(
    node: Node,
    table: str = "streams",
    index: int = STREAM,
    *,
    committed: int,
    committed_burst: int,
    peak: int | None = None,
    peak_burst: int | None = None,
    max_frame: int = UNLIMITED,
    drop: int = 1,
    modify: bool = False,
) -> None:
    """Times per byte in 2^-24 us, bursts in bytes; the peak as the committed rate if it is not given."""
    peak = committed if peak is None else peak
    peak_burst = committed_burst if peak_burst is None else peak_burst
    write = node.modify if modify else node.insert
    write(
        table,
        {"stream" if table == "streams" else "tenant_meter": index},
        "set_policer",
        committed_time_per_byte=committed,
        committed_burst_time=committed_burst * committed >> 8,
        peak_time_per_byte=peak,
        peak_burst_time=peak_burst * peak >> 8,
        max_frame=max_frame,
        drop=drop,
    )


def colour(node: Node, frame: bytes, port: int = ACCESS) -> str:
    found = through(node, frame, port=port)
    return "red" if found is None else ("green", "yellow")[found.din.marked]


#: A byte in 16 s: no test waits for that.
NEVER = time_per_byte(1 / 16)


# ---- on both targets: bursts that nothing refills ------------------------------------------------------


def test_a_burst_and_no_more(node: Node) -> None:
    make(node)
    classify(node, {"port": ACCESS}, stream=STREAM)
    police(node, committed=NEVER, committed_burst=3 * (100 + AROUND))
    assert [colour(node, packet(100)) for _ in range(5)] == ["green", "green", "green", "red", "red"]
    assert drops(node, DROP_STREAM_RATE) == 2
    assert colour(node, packet(28)) == "red"


def test_a_byte_too_many(node: Node) -> None:
    make(node)
    classify(node, {"port": ACCESS}, stream=STREAM)
    police(node, committed=NEVER, committed_burst=3 * (100 + AROUND) - 1)
    assert [colour(node, packet(100)) for _ in range(3)] == ["green", "green", "red"]
    assert colour(node, packet(99)) == "green", "what was refused has taken nothing"


def test_two_rates_and_three_colours(node: Node) -> None:
    make(node)
    classify(node, {"port": ACCESS}, stream=STREAM)
    police(
        node, committed=NEVER, committed_burst=2 * (100 + AROUND), peak=NEVER, peak_burst=4 * (100 + AROUND)
    )
    assert [colour(node, packet(100)) for _ in range(5)] == ["green", "green", "yellow", "yellow", "red"]


def test_marked_instead_of_dropped(node: Node) -> None:
    make(node)
    classify(node, {"port": ACCESS}, stream=STREAM)
    police(node, committed=NEVER, committed_burst=100 + AROUND, max_frame=200 + AROUND, drop=0)
    assert colour(node, packet(201)) == "yellow", "too large, and not a byte taken for it"
    assert [colour(node, packet(100)) for _ in range(2)] == ["green", "yellow"]
    assert drops(node, DROP_STREAM_RATE) + drops(node, DROP_STREAM_SIZE) == 0


def test_tenants_without_a_stream(node: Node) -> None:
    make(node)
    permit(node, OTHER_ACCESS, OTHER_TENANT)
    classify(node, {"port": ACCESS}, tenant_meter=METER)
    classify(node, {"port": OTHER_ACCESS}, tenant_meter=METER + 1)
    for meter in (METER, METER + 1):
        police(
            node,
            "tenant_meters",
            meter,
            committed=NEVER,
            committed_burst=100 + AROUND,
            max_frame=200 + AROUND,
        )
    assert [colour(node, packet(100)) for _ in range(2)] == ["green", "red"]
    assert colour(node, packet(100), OTHER_ACCESS) == "green", "each has its own"
    assert colour(node, packet(201), OTHER_ACCESS) == "red"
    assert drops(node, DROP_TENANT_RATE) == 2


def test_a_stream_counts_alone(node: Node) -> None:
    """Even where both have the same number."""
    make(node)
    classify(node, {"dst_port": 2, "protocol": 17}, stream=METER, tenant_meter=METER, priority=2)
    classify(node, {"port": ACCESS}, tenant_meter=METER)
    police(node, "streams", METER, committed=NEVER, committed_burst=100 + AROUND)
    police(node, "tenant_meters", METER, committed=NEVER, committed_burst=100 + AROUND)
    assert [colour(node, packet(100)) for _ in range(2)] == ["green", "red"]
    other = bytes(IP(src=CLIENT4, dst=SERVER4) / UDP(sport=1, dport=3) / Raw(bytes(72)))
    assert [colour(node, other) for _ in range(2)] == ["green", "red"]
    assert (drops(node, DROP_STREAM_RATE), drops(node, DROP_TENANT_RATE)) == (1, 1)


@pytest.mark.parametrize("stream", [1, 35839])
def test_the_first_and_the_last_stream(node: Node, stream: int) -> None:
    make(node)
    classify(node, {"port": ACCESS}, stream=stream)
    police(node, index=stream, committed=NEVER, committed_burst=100 + AROUND)
    assert [colour(node, packet(100)) for _ in range(2)] == ["green", "red"]


@pytest.mark.parametrize("meter", [1, 16383])
def test_the_first_and_the_last_tenant_meter(node: Node, meter: int) -> None:
    """Beside the last stream and the first meter, which are neighbours in the register."""
    make(node)
    classify(node, {"port": ACCESS}, tenant_meter=meter)
    police(node, "tenant_meters", meter, committed=NEVER, committed_burst=100 + AROUND)
    assert [colour(node, packet(100)) for _ in range(2)] == ["green", "red"]


@pytest.mark.parametrize("more", [{"stream": STREAM}, {"tenant_meter": METER}, {}])
def test_without_a_policer_nothing_is_policed(node: Node, more: dict[str, int]) -> None:
    make(node)
    classify(node, {"port": ACCESS}, **more)
    police(node, "streams", STREAM + 1, committed=NEVER, committed_burst=0)
    police(node, "tenant_meters", METER + 1, committed=NEVER, committed_burst=0)
    assert {colour(node, packet(1400)) for _ in range(5)} == {"green"}


# ---- what is counted -----------------------------------------------------------------------------------


def largest(node: Node, frame: bytes, expected: int) -> None:
    """The packet is policed as so many bytes: as a frame, and by the rate."""
    police(node, committed=NEVER, committed_burst=10 * expected, max_frame=expected)
    assert node.exchange(ACCESS, frame, expect=1)
    police(node, committed=NEVER, committed_burst=10 * expected, max_frame=expected - 1, modify=True)
    assert node.exchange(ACCESS, frame) == []
    assert drops(node, DROP_STREAM_SIZE) == 1
    # One has been taken already.
    police(node, committed=NEVER, committed_burst=2 * expected, modify=True)
    assert node.exchange(ACCESS, frame, expect=1)
    police(node, committed=NEVER, committed_burst=3 * expected - 1, modify=True)
    assert node.exchange(ACCESS, frame) == []
    assert drops(node, DROP_STREAM_RATE) == 1


@pytest.mark.parametrize("length", [28, 100, 1400])
def test_a_packet_that_is_encapsulated(node: Node, length: int) -> None:
    make(node)
    frame = access(packet(length))
    ((_, left),) = node.exchange(ACCESS, frame, expect=1)
    classify(node, {"port": ACCESS}, stream=STREAM)
    largest(node, frame, len(left) + FRAMING)


def test_int_is_counted_as_it_will_have_grown(node: Node) -> None:
    """To the last hop: what is reserved for a stream has to suffice on every link."""
    make(node)
    classify(node, {"port": ACCESS}, stream=STREAM)
    params = {"instructions": 0xF000, "hop_ml": 4, "hops": 7, "tokens": 0}
    node.insert("watchlist", {"port": ACCESS}, "watch", priority=1, **params)
    largest(node, access(packet(100)), 100 + AROUND + 16 + 4 * 4 * 7)


@pytest.mark.parametrize("vid", [0, 5])
@pytest.mark.parametrize("length", [28, 42, 43, 46, 47, 100, 1400])
def test_a_packet_that_stays_on_its_leaf(node: Node, length: int, vid: int) -> None:
    """Ethernet frames have 60 bytes at least."""
    make(node)
    deliver_locally(node, vid, modify=True)
    frame = access(packet(length, LOCAL4))
    ((port, left),) = node.exchange(ACCESS, frame, expect=1)
    assert port == LOCAL
    classify(node, {"port": ACCESS}, stream=STREAM)
    largest(node, frame, max(len(left), 60) + FRAMING)


def test_padding_is_not_counted(node: Node) -> None:
    """What a host's frame has behind its IP packet goes nowhere."""
    make(node)
    classify(node, {"port": ACCESS}, stream=STREAM)
    largest(node, access(packet(28)) + bytes(1000), 28 + AROUND)


# ---- in virtual time -----------------------------------------------------------------------------------


@dataclass
class Bucket:
    """A token bucket in bytes, exact; times in us."""

    rate: Fraction
    burst: int
    tokens: Fraction = field(init=False)
    filled: int = 0

    def __post_init__(self) -> None:
        self.tokens = Fraction(self.burst)

    def fill(self, now: int) -> None:
        self.tokens = min(Fraction(self.burst), self.tokens + self.rate * (now - self.filled))
        self.filled = now


@dataclass
class Meter:
    """RFC 2698, 3: colour-blind."""

    committed: Bucket
    peak: Bucket

    def colour(self, now: int, length: int) -> str:
        self.committed.fill(now)
        self.peak.fill(now)
        if self.peak.tokens < length:
            return "red"
        self.peak.tokens -= length
        if self.committed.tokens < length:
            return "yellow"
        self.committed.tokens -= length
        return "green"


def fraction(time: int) -> Fraction:
    """Bytes a us."""
    return Fraction(1 << 24, time)


ARRIVALS = st.lists(st.tuples(st.integers(0, 400), st.integers(28, 1400)), min_size=5, max_size=40)
# Whole multiples of 2^-16 us, so that nothing is rounded.
TIMES = st.integers(1, 1 << 20).map(lambda n: n << 8)


def test_a_policer_is_a_token_bucket(embedded: P4jitNode) -> None:
    """Packet by packet, for any rates, bursts and arrivals; and time never gets lost in it."""
    node = embedded
    make(node)
    streams = iter(range(1, 35840))
    colours: dict[str, int] = dict.fromkeys(("green", "yellow", "red"), 0)
    # A bucket is full at the first packet, whenever that is.
    node.advance(12_345 * US)

    @settings(max_examples=120, deadline=None)
    @given(TIMES, TIMES, st.integers(0, 6000), st.integers(0, 6000), ARRIVALS)
    def check(
        one: int, other: int, committed_burst: int, peak_burst: int, arrivals: list[tuple[int, int]]
    ) -> None:
        committed, peak = max(one, other), min(one, other)
        stream = next(streams)
        police(
            node,
            index=stream,
            committed=committed,
            committed_burst=committed_burst,
            peak=peak,
            peak_burst=peak_burst,
        )
        if stream > 1:
            node.delete("classifier", {"port": ACCESS}, priority=1)
        classify(node, {"port": ACCESS}, stream=stream)
        meter = Meter(Bucket(fraction(committed), committed_burst), Bucket(fraction(peak), peak_burst))
        meter.committed.filled = meter.peak.filled = node.now // US
        for gap, length in arrivals:
            node.advance(gap * US)
            expected = meter.colour(node.now // US, length + AROUND)
            assert colour(node, packet(length)) == expected
            colours[expected] += 1

    check()
    assert min(colours.values()) > 100, colours


@pytest.mark.parametrize("megabits", [10, 1_000, 100_000])
def test_rates_hold_over_time(embedded: P4jitNode, megabits: int) -> None:
    """Offered twice the rate, a stream gets its rate, to 0.1 %, and its burst once."""
    node = embedded
    make(node)
    rate = megabits * 10**6 / 8
    burst = max(4_000, int(rate / 10**6 * 20))
    classify(node, {"port": ACCESS}, stream=STREAM)
    police(node, committed=time_per_byte(rate), committed_burst=burst)
    numbers = random.Random(megabits)
    started, offered, passed = node.now, 0, 0
    for _ in range(4_000):
        length = numbers.randrange(60, 1400)
        offered += length + AROUND
        # Arrivals at the microsecond: the clock tells no more.
        node.advance(max(0, started + int(offered / (2 * rate) * 10**9) - node.now))
        if colour(node, packet(length)) == "green":
            passed += length + AROUND
    allowed = burst + rate * (node.now - started) / 10**9
    assert passed <= allowed * 1.001
    assert passed >= allowed * 0.999 - 1500 - rate / 10**6


def test_long_silence_fills_a_bucket_once(embedded: P4jitNode) -> None:
    node = embedded
    make(node)
    classify(node, {"port": ACCESS}, stream=STREAM)
    police(node, committed=time_per_byte(10**6), committed_burst=3 * (100 + AROUND))
    for _ in range(2):
        assert [colour(node, packet(100)) for _ in range(4)] == ["green", "green", "green", "red"]
        node.advance(3_600 * 10**9)


def test_a_change_of_rate_forgives_nothing(embedded: P4jitNode) -> None:
    """What has been taken stays taken, in time: a controller may tune a stream while it runs."""
    node = embedded
    make(node)
    classify(node, {"port": ACCESS}, stream=STREAM)
    police(node, committed=time_per_byte(10**6), committed_burst=2 * (100 + AROUND))
    assert [colour(node, packet(100)) for _ in range(3)] == ["green", "green", "red"]
    police(node, committed=time_per_byte(2 * 10**6), committed_burst=2 * (100 + AROUND), modify=True)
    assert colour(node, packet(100)) == "red"


def test_what_does_not_get_through_takes_nothing(embedded: P4jitNode) -> None:
    node = embedded
    make(node)
    classify(node, {"port": ACCESS}, stream=STREAM)
    police(node, committed=time_per_byte(10**6), committed_burst=2_000, max_frame=1_000)
    before = node.register("policers", STREAM)
    assert colour(node, packet(1_300)) == "red"
    assert node.register("policers", STREAM) == before
    assert drops(node, DROP_STREAM_SIZE) == 1
    assert colour(node, packet(100)) == "green"
    assert node.register("policers", STREAM) != before


def test_two_streams_share_nothing(embedded: P4jitNode) -> None:
    node = embedded
    make(node)
    permit(node, OTHER_ACCESS, OTHER_TENANT)
    classify(node, {"port": ACCESS}, stream=STREAM)
    classify(node, {"port": OTHER_ACCESS}, stream=STREAM + 1)
    for stream in (STREAM, STREAM + 1):
        police(node, index=stream, committed=NEVER, committed_burst=100 + AROUND)
    assert colour(node, packet(100)) == "green"
    assert colour(node, packet(100), OTHER_ACCESS) == "green"
    assert colour(node, packet(100)) == colour(node, packet(100), OTHER_ACCESS) == "red"


def test_what_comes_from_the_fabric_has_been_policed(node: Node) -> None:
    """Only what hosts send is policed: once, where it comes in."""
    make(node)
    police(node, committed=NEVER, committed_burst=0)
    classify(node, {"port": ACCESS}, stream=STREAM)
    assert colour(node, packet(100)) == "red"
    node.insert("segments", {"sid": (0xFCBBBB00 << 32 | 0x11 << 16 | 5, 64)}, "end_function", function=5)
    frame = Fabric(sid(0x11, 5), packet(100), Din()).frame()
    assert len(node.exchange(edge.FABRIC, frame)) == 1
