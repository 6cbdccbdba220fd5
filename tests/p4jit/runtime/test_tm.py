# SPDX-License-Identifier: Apache-2.0
"""The traffic manager in virtual time, against a model that keeps tokens as fractions."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import astuple, dataclass, field
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.p4jit.runtime.build import Driver, driver

SECOND = 10**9
NEVER = 2**64 - 1
NONE = 2**32 - 1
QUEUES = 3


@pytest.fixture(scope="module")
def manager() -> Iterator[Driver]:
    with driver("tm", "tm") as running:
        yield running


@dataclass(frozen=True)
class Shaping:
    """In the order the driver reads it."""

    rate_bits: int = 0
    burst_bytes: int = 0
    rate_packets: int = 0
    burst_packets: int = 0

    def __str__(self) -> str:
        return " ".join(map(str, astuple(self)))


@dataclass
class Bucket:
    rate: int = 0
    burst: int = 0
    tokens: Fraction = Fraction(0)
    last: int = 0

    def configure(self, rate: int, burst: int, now: int) -> None:
        self.fill(now)
        self.tokens = min(self.tokens, Fraction(burst)) if self.rate else Fraction(burst)
        self.rate, self.burst = rate, burst

    def fill(self, now: int) -> None:
        most = max(Fraction(self.burst), Fraction(self.rate, SECOND))
        self.tokens = min(self.tokens + Fraction(self.rate * (now - self.last), SECOND), most)
        self.last = now

    def ready(self, now: int) -> int:
        self.fill(now)
        if not self.rate or self.tokens >= 0:
            return now
        return now + math.ceil(-self.tokens * SECOND / self.rate)


@dataclass
class Shaper:
    bits: Bucket = field(default_factory=Bucket)
    packets: Bucket = field(default_factory=Bucket)

    def configure(self, shaping: Shaping, now: int) -> None:
        if not shaping.rate_bits and not shaping.rate_packets:
            self.bits, self.packets = Bucket(last=now), Bucket(last=now)
        self.bits.configure(shaping.rate_bits, shaping.burst_bytes * 8, now)
        self.packets.configure(shaping.rate_packets, shaping.burst_packets, now)

    def ready(self, now: int) -> int:
        return max(self.bits.ready(now), self.packets.ready(now))

    def charge(self, size: int) -> None:
        self.bits.tokens -= size * 8
        self.packets.tokens -= 1


@dataclass
class Queue:
    depth_packets: int = 64
    depth_bytes: int = 0
    shaper: Shaper = field(default_factory=Shaper)
    #: (identity, length, enqueued)
    packets: deque[tuple[int, int, int]] = field(default_factory=deque)
    sent: list[int] = field(default_factory=list)
    dropped: int = 0

    def bytes(self) -> int:
        return sum(length for _, length, _ in self.packets)

    def status(self) -> str:
        return f"{len(self.packets)} {self.bytes()} {len(self.sent)} {sum(self.sent)} {self.dropped}"


@dataclass
class Port:
    queues: list[Queue] = field(default_factory=lambda: [Queue() for _ in range(QUEUES)])
    shaper: Shaper = field(default_factory=Shaper)
    blocked: bool = False
    hold: int = 0

    def choose(self, now: int) -> tuple[int, int]:
        """The earliest time a packet may leave, and from which queue if that is now."""
        earliest, chosen = NEVER, -1
        if not self.blocked:
            for index, queue in enumerate(self.queues):
                if queue.packets:
                    ready = max(queue.shaper.ready(now), self.shaper.ready(now), self.hold)
                    if ready <= now or ready < earliest:
                        earliest, chosen = ready, index
        return earliest, chosen


lengths = st.sampled_from([0, 64, 100, 1500, 9000]) | st.integers(0, 10_240)
ports = st.sampled_from([0, 1, 2, 511])
queues = st.integers(0, QUEUES - 1)
bit_rates = st.one_of(st.just(0), st.integers(1, 10**6), st.integers(10**6, 10**12), st.integers(1, 2**62))
packet_rates = st.one_of(st.just(0), st.just(0), st.integers(1, 10**7), st.integers(1, 2**62))
shapings = st.builds(
    Shaping,
    bit_rates,
    st.sampled_from([0, 1500, 2**62]) | st.integers(0, 20_000),
    packet_rates,
    st.integers(0, 5),
)
steps = st.one_of(
    st.tuples(st.just("enqueue"), ports, queues, lengths),
    st.tuples(st.just("enqueue"), ports, queues, lengths),
    st.tuples(st.just("enqueue"), ports, queues, lengths),
    # Whether egress sends the packet, and what it makes of its length.
    st.tuples(st.just("dequeue"), st.booleans(), lengths),
    st.tuples(st.just("dequeue"), st.just(True), lengths),
    st.tuples(st.just("drain"), lengths),
    st.tuples(st.just("wait"), st.integers(0, 2_000) | st.integers(0, SECOND)),
    st.just(("next",)),
    st.just(("jump",)),
    st.tuples(st.just("queue"), ports, queues, st.integers(0, 5), st.sampled_from([0, 0, 3000]), shapings),
    st.tuples(st.just("port"), ports, shapings),
    st.tuples(st.just("block"), ports, st.booleans()),
    st.tuples(st.just("hold"), ports, st.integers(0, 10_000)),
    st.tuples(st.just("flush"), ports | st.just(NONE)),
)


class Replay:
    """Follows a script and checks each of the driver's answers.

    Which port takes its turn is the driver's to choose among those that may send; it must be fair: a port
    that could send all along is passed over at most once by each other.
    """

    def __init__(self, answers: list[str]) -> None:
        self.answers = iter(answers)
        self.ports = {port: Port() for port in (0, 1, 2, 511)}
        self.now = 0
        self.identity = 0
        self.passed_over: dict[int, set[int]] = {}

    def answer(self) -> str:
        return next(self.answers)

    def choices(self) -> dict[int, tuple[int, int]]:
        return {number: port.choose(self.now) for number, port in self.ports.items()}

    def next_event(self) -> int:
        return min(when for when, _ in self.choices().values())

    def enqueue(self, number: int, index: int, length: int) -> None:
        queue = self.ports[number].queues[index]
        full = len(queue.packets) >= queue.depth_packets or (
            queue.depth_bytes > 0 and queue.bytes() + length > queue.depth_bytes
        )
        if full:
            queue.dropped += 1
            assert self.answer().split()[0] == "-1"
        else:
            assert self.answer() == f"0 {len(queue.packets)}"
            queue.packets.append((self.identity, length, self.now))

    def dequeue(self, sent: bool, length: int) -> bool:
        eligible = {number: index for number, (when, index) in self.choices().items() if when <= self.now}
        answer = self.answer()
        if not eligible:
            assert answer == "-"
            return False
        assert answer != "-", "work conservation"
        identity, number, index, depth, enqueued = map(int, answer.split())
        assert eligible.get(number) == index, "the greatest queue that may send, of a port that may"
        port = self.ports[number]
        queue = port.queues[index]
        assert (identity, enqueued) == (queue.packets[0][0], queue.packets[0][2]), "first in, first out"
        queue.packets.popleft()
        assert depth == len(queue.packets)
        self.check_turn(number, set(eligible))
        if sent:
            queue.sent.append(length)
            queue.shaper.charge(length)
            port.shaper.charge(length)
        return True

    def check_turn(self, served: int, eligible: set[int]) -> None:
        self.passed_over = {port: self.passed_over.get(port, set()) for port in eligible - {served}}
        for others in self.passed_over.values():
            assert served not in others, "no port twice while another waits"
            others.add(served)

    def step(self, operation: tuple[object, ...]) -> None:
        match operation:
            case ("enqueue", int(number), int(index), int(length)):
                self.enqueue(number, index, length)
                self.identity += 1
            case ("dequeue", bool(sent), int(length)):
                self.dequeue(sent, length)
            case ("drain", int(length)):
                while self.dequeue(True, length):
                    pass
            case ("wait", int(time)):
                self.now += time
            case ("next",):
                assert self.answer() == str(self.next_event())
            case ("jump",):
                if self.next_event() != NEVER:
                    self.now = self.next_event()
            case (
                "queue",
                int(number),
                int(index),
                int(depth_packets),
                int(depth_bytes),
                Shaping() as shaping,
            ):
                assert self.answer() == "0"
                queue = self.ports[number].queues[index]
                queue.depth_packets, queue.depth_bytes = depth_packets, depth_bytes
                queue.shaper.configure(shaping, self.now)
            case ("port", int(number), Shaping() as shaping):
                assert self.answer() == "0"
                self.ports[number].shaper.configure(shaping, self.now)
            case ("block", int(number), bool(blocked)):
                assert self.answer() == "0"
                self.ports[number].blocked = blocked
            case ("hold", int(number), int(time)):
                assert self.answer() == "0"
                self.ports[number].hold = self.now + time
            case ("flush", int(number)):
                self.flush(number)
            case _:
                raise AssertionError(operation)
        # A port that could not send for a while, be it between two turns, has not been waiting all along.
        able = {number for number, (when, _) in self.choices().items() if when <= self.now}
        self.passed_over = {port: others for port, others in self.passed_over.items() if port in able}

    def flush(self, number: int) -> None:
        flushed = [port for p, port in self.ports.items() if number in (p, NONE)]
        identities = {packet[0] for port in flushed for queue in port.queues for packet in queue.packets}
        assert set(map(int, self.answer().split())) == identities
        for port in flushed:
            for queue in port.queues:
                queue.packets.clear()

    def finish(self) -> None:
        for port in self.ports.values():
            for queue in port.queues:
                assert self.answer() == queue.status()
        backlog = sum(len(queue.packets) for port in self.ports.values() for queue in port.queues)
        assert self.answer() == f"{backlog} 0"
        assert next(self.answers, None) is None


def words(operation: tuple[object, ...], identity: int) -> str:
    name, *arguments = operation
    if name == "enqueue":
        arguments.insert(2, identity)
    return " ".join([str(name), *(str(int(a)) if isinstance(a, bool) else str(a) for a in arguments)])


@settings(max_examples=300)
@given(st.lists(steps, max_size=60) | st.lists(steps, min_size=60, max_size=120))
def test_serves_as_the_model_does(manager: Driver, operations: list[tuple[object, ...]]) -> None:
    """Tail drop, depths, strict priority, order, turns, shaping, blocking, holding and event times."""
    script = [f"init {QUEUES}"]
    for operation in operations:
        identity = sum(line.startswith("enqueue") for line in script)
        script.append(words(operation, identity))
    script += [f"status {port} {queue}" for port in (0, 1, 2, 511) for queue in range(QUEUES)]
    created, *answers = manager.run([*script, "totals"])
    assert created == "1"
    replay = Replay(answers)
    for operation in operations:
        replay.step(operation)
    replay.finish()


@pytest.mark.parametrize("level", ["queue 3 1 64 0", "port 3"])
@pytest.mark.parametrize(
    ("shaping", "length"),
    [
        (Shaping(rate_bits=400 * 10**9), 1500),
        (Shaping(rate_bits=399_999_999_989), 64),
        (Shaping(rate_bits=1000), 10_240),
        (Shaping(rate_bits=1), 1),
        (Shaping(rate_bits=999_999_937, burst_bytes=100_000), 1499),
        (Shaping(rate_packets=148_809_523), 64),
        (Shaping(rate_packets=7, burst_packets=3), 64),
    ],
)
def test_a_backlogged_shaper_sends_at_its_rate_without_drift(
    manager: Driver, level: str, shaping: Shaping, length: int
) -> None:
    """The last of 200,000 frames leaves when the bits of those before it, less the burst, have been earned:
    to the nanosecond."""
    count = 200_000
    left = int(manager.run(["init 2", f"{level} {shaping}", f"saturate 3 1 {length} {count}"])[2])
    if shaping.rate_bits:
        earned = Fraction(((count - 1) * length - shaping.burst_bytes) * 8, shaping.rate_bits)
    else:
        earned = Fraction(count - 1 - shaping.burst_packets, shaping.rate_packets)
    assert left == math.ceil(earned * SECOND)


@given(
    rate=st.integers(10**3, 10**11),
    burst=st.integers(0, 30_000),
    arrivals=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 10_240)), min_size=1, max_size=40),
)
def test_shaping_holds_over_every_window(
    manager: Driver, rate: int, burst: int, arrivals: list[tuple[int, int]]
) -> None:
    """bytes sent <= burst + rate * window + one frame, with a burst of a nanosecond at least."""
    script = ["init 1", f"queue 0 0 64 0 {Shaping(rate_bits=rate, burst_bytes=burst)}"]
    for wait, length in arrivals:
        script += [f"wait {wait}", f"enqueue 0 0 0 {length}", "clock", f"dequeue 1 {length}"]
    script += ["jump", "clock", "dequeue 1 10240"] * len(arrivals)
    answers = [
        line for line in manager.run(script)[2:] if not line.startswith("0 ") or len(line.split()) != 2
    ]
    sizes = [length for _, length in arrivals] + [10_240] * len(arrivals)
    sent = [
        (int(clock), size)
        for clock, answer, size in zip(answers[::2], answers[1::2], sizes, strict=True)
        if answer != "-"
    ]
    assert len(sent) == len(arrivals)
    for i, (start, _) in enumerate(sent):
        total = 0
        for end, size in sent[i:]:
            total += size
            window = Fraction(end - start, SECOND)
            assert total * 8 <= max(Fraction(burst * 8), Fraction(rate, SECOND)) + rate * window + 10_240 * 8


def test_depths_are_reached_exactly(manager: Driver) -> None:
    script = ["init 1", f"queue 0 0 3 3000 {Shaping()}"]
    script += [f"enqueue 0 0 0 {length}" for length in (1500, 1501, 1500, 1, 0, 0)]
    assert manager.run([*script, "status 0 0"])[2:] == [
        *["0 0", "-1 0", "0 1", "-1 0", "0 2", "-1 0"],
        "3 3000 0 0 3",
    ]


def test_a_packet_dropped_in_egress_costs_nothing(manager: Driver) -> None:
    script = ["init 1", f"port 0 {Shaping(rate_bits=8)}", *["enqueue 0 0 0 100"] * 3]
    answers = manager.run([*script, "dequeue 0 100", "dequeue 1 100", "dequeue 1 100", "next", "status 0 0"])[
        5:
    ]
    assert answers == ["0 0 0 2 0", "0 0 0 1 0", "-", str(100 * SECOND), "1 100 1 100 0"]


def test_what_does_not_exist_is_refused(manager: Driver) -> None:
    assert manager.run(["init 0"]) == ["0"]
    assert manager.run(["init 9"]) == ["0"]
    over = Shaping(rate_bits=2**62 + 1)
    script = ["init 8", "enqueue 512 0 0 1", "enqueue 0 8 0 1", "totals", "block 512 1", "hold 512 5"]
    script += [f"queue 0 8 64 0 {Shaping()}", f"queue 512 0 64 0 {Shaping()}", f"port 512 {Shaping()}"]
    script += [f"queue 0 0 0 0 {over}", f"port 0 {over}", "enqueue 0 0 0 1", "status 512 0", "status 0 8"]
    assert manager.run(script) == [
        *["1", "-1 0", "-1 0", "0 2", "-1", "-1"],
        *["-1", "-1", "-1"],
        *["-1", "-1", "0 0", "0 0 0 0 0", "0 0 0 0 0"],
    ]


def test_every_port_and_queue(manager: Driver) -> None:
    """All 512 ports wait for as many times, in no order, and go in the order of those."""
    times = {port: port * 7919 % 512 + 1 for port in range(512)}
    script = ["init 8"]
    for port, time in times.items():
        script += [f"hold {port} {time}", *[f"enqueue {port} {queue} {port} 64" for queue in range(8)]]
    script += ["drain 64", *["jump", "drain 64"] * 512]
    answers = [line for line in manager.run(script)[1 + 9 * 512 :] if line != "-"]
    served = [tuple(map(int, line.split()[1:3])) for line in answers]
    order = sorted(times, key=times.__getitem__)
    assert served == [(port, queue) for port in order for queue in reversed(range(8))]
