# SPDX-License-Identifier: Apache-2.0
"""Emulated links in virtual time, against exact arithmetic."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.p4jit.runtime.build import Driver, driver

ACCEPTED, LOST, FULL = "0", "1", "2"
SECOND = 10**9
NEVER = 2**64 - 1


@pytest.fixture(scope="module")
def links() -> Iterator[Driver]:
    with driver("link", "link") as running:
        yield running


@dataclass(frozen=True)
class Link:
    """The configuration, in the order the driver reads it."""

    rate: int = 0
    delay: int = 0
    jitter: int = 0
    loss: float = 0.0
    seed: int = 0
    limit: int = 1000

    def __str__(self) -> str:
        return " ".join(map(str, astuple(self)))


@dataclass(frozen=True)
class Sent:
    result: str
    busy: int


def send(
    links: Driver, link: Link, frames: list[tuple[int, int]]
) -> tuple[list[Sent], dict[int, int], list[str]]:
    """Send frames of (time, bytes); what came of each, when those delivered arrived, and the status."""
    script = [f"new {link}", *(f"send {i} {size} {now}" for i, (now, size) in enumerate(frames))]
    created, *sent, status = links.run([*script, "status"])
    assert created == "1"
    drained = links.run([*script, *[f"receive {NEVER}"] * len(frames)])[1 + len(frames) :]
    deliveries: dict[int, int] = {}
    for answer in drained:
        if answer != "-":
            identity, at = answer.split()
            deliveries[int(identity)] = int(at)
    return [Sent(result, int(busy)) for result, busy in map(str.split, sent)], deliveries, status.split()


rates = st.one_of(st.just(0), st.integers(1, 10_000), st.integers(1, 10**12), st.integers(1, 2**62))
sizes = st.integers(0, 10_240)
waits = st.one_of(st.just(0), st.integers(0, 5_000), st.integers(0, 10**9))
offered = st.lists(st.tuples(waits, sizes), max_size=30).map(
    lambda frames: [(sum(wait for wait, _ in frames[: i + 1]), size) for i, (_, size) in enumerate(frames)]
)


@given(rate=rates, delay=st.integers(0, 10**12), frames=offered)
def test_times_are_exact(links: Driver, rate: int, delay: int, frames: list[tuple[int, int]]) -> None:
    """Each frame starts when it is there and the link is free: to the fraction of a nanosecond for a busy
    link, which gives its times rounded up."""
    sent, deliveries, _ = send(links, Link(rate=rate, delay=delay), frames)
    free = Fraction(0)
    for i, (now, size) in enumerate(frames):
        # A busy link frees within the nanosecond at whose end it says so.
        start = free if math.ceil(free) >= now else Fraction(now)
        free = start + (Fraction(size * 8 * SECOND, rate) if rate else 0)
        assert sent[i] == Sent(ACCEPTED, math.ceil(free))
        assert deliveries[i] == math.ceil(free) + delay


@given(
    link=st.builds(
        Link,
        rate=rates,
        delay=st.integers(0, 10**6),
        jitter=st.integers(0, 10**7),
        loss=st.floats(0, 1),
        seed=st.integers(0, 2**64 - 1),
        limit=st.integers(0, 40),
    ),
    frames=offered,
)
def test_jitter_and_loss_keep_order_and_bounds(
    links: Driver, link: Link, frames: list[tuple[int, int]]
) -> None:
    sent, deliveries, status = send(links, link, frames)
    assert list(deliveries) == sorted(deliveries), "in order"
    assert set(deliveries) == {i for i, s in enumerate(sent) if s.result == ACCEPTED}
    before = 0
    for i, at in deliveries.items():
        end = sent[i].busy
        assert (
            max(before, end, end + link.delay - link.jitter)
            <= at
            <= max(before, end + link.delay + link.jitter)
        )
        before = at
    results = [s.result for s in sent]
    accepted = [i for i, result in enumerate(results) if result == ACCEPTED]
    assert status == [
        str(len(accepted)),
        str(sum(frames[i][1] for i in accepted)),
        str(results.count(LOST)),
        str(results.count(FULL)),
        str(len(accepted)),
    ]


@given(
    link=st.builds(
        Link,
        rate=st.integers(0, 10**9),
        jitter=st.integers(0, 10**7),
        loss=st.floats(0, 1),
        seed=st.integers(0, 2**64 - 1),
    ),
    frames=offered,
)
def test_a_seed_gives_the_same_run(links: Driver, link: Link, frames: list[tuple[int, int]]) -> None:
    assert send(links, link, frames) == send(links, link, frames)


def test_another_seed_gives_another_run(links: Driver) -> None:
    frames = [(i * 10_000, 100) for i in range(100)]
    for link, other in (
        (Link(loss=0.5, seed=1), Link(loss=0.5, seed=2)),
        (Link(jitter=1000, seed=1), Link(jitter=1000, seed=2)),
    ):
        assert send(links, link, frames) != send(links, other, frames)


def test_jitter_does_not_change_which_frames_are_lost(links: Driver) -> None:
    frames = [(i * 1000, 100) for i in range(500)]
    results = [
        [s.result for s in send(links, Link(loss=0.3, seed=4, jitter=jitter), frames)[0]]
        for jitter in (0, 500)
    ]
    assert results[0] == results[1]


def test_loss_and_jitter_have_their_distributions(links: Driver) -> None:
    count, jitter, delay = 20_000, 1_000, 5_000
    frames = [(i * 10_000, 100) for i in range(count)]
    sent, deliveries, _ = send(links, Link(delay=delay, jitter=jitter, loss=0.1, seed=1, limit=count), frames)
    lost = sum(s.result == LOST for s in sent)
    assert abs(lost - count * 0.1) < 5 * math.sqrt(count * 0.1 * 0.9)
    offsets = [at - sent[i].busy - delay for i, at in deliveries.items()]
    deviation = math.sqrt(((2 * jitter + 1) ** 2 - 1) / 12)
    assert abs(sum(offsets)) / len(offsets) < 5 * deviation / math.sqrt(len(offsets))
    variance = sum(offset**2 for offset in offsets) / len(offsets)
    assert variance == pytest.approx(deviation**2, rel=0.05)
    assert (min(offsets), max(offsets)) == (-jitter, jitter), "both ends are reached"


def test_certain_loss_and_none(links: Driver) -> None:
    frames = [(0, 100)] * 200
    assert {s.result for s in send(links, Link(loss=1.0), frames)[0]} == {LOST}
    assert {s.result for s in send(links, Link(loss=0.0), frames)[0]} == {ACCEPTED}


def test_a_lost_frame_takes_its_time_and_a_dropped_one_does_not(links: Driver) -> None:
    """At 8 bit/s a byte takes a second."""
    lost, _, _ = send(links, Link(rate=8, loss=1.0), [(0, 1), (0, 1)])
    assert [s.busy for s in lost] == [SECOND, 2 * SECOND]
    full, _, _ = send(links, Link(rate=8, limit=1), [(0, 1), (0, 1)])
    assert full == [Sent(ACCEPTED, SECOND), Sent(FULL, SECOND)]


def test_frames_come_out_when_they_are_due(links: Driver) -> None:
    script = ["new 8000000000 100 0 0.0 0 2", "next", "send 7 50 0", "send 8 50 0", "send 9 50 0", "next"]
    assert links.run(
        [*script, "receive 149", "receive 150", "next", "send 9 50 150", "receive 1000", "receive 1000"]
    ) == [
        *["1", str(NEVER), "0 50", "0 100", "2 100", "150"],
        *["-", "7 150", "200", "0 200", "8 200", "9 300"],
    ]


@pytest.mark.parametrize("held", [False, True])
def test_a_busy_link_keeps_its_rate_exactly(links: Driver, held: bool) -> None:
    """Ten thousand frames at a rate that makes none of them a whole number of nanoseconds, all at once or
    each as soon as the link says it is free."""
    rate, size, count = 399_999_999_989, 1_501, 10_000
    free = [math.ceil(Fraction(i * size * 8 * SECOND, rate)) for i in range(count + 1)]
    script = [f"new {rate} 0 0 0.0 0 {count}"]
    script += [f"send {i} {size} {free[i] if held else 0}" for i in range(count)]
    assert links.run(script)[1:] == [f"0 {busy}" for busy in free[1:]]


def test_reconfiguring_keeps_frames_and_order(links: Driver) -> None:
    script = [
        "new 0 1000 0 0.0 0 10",
        "send 1 100 0",
        "configure 0 10 0 0.0 0 10",
        "send 2 100 0",
        "receive 5000",
    ]
    assert links.run([*script, "receive 5000", "receive 5000"])[1:] == [
        "0 0",
        "0",
        "0 0",
        "1 1000",
        "2 1000",
        "-",
    ]


def test_flush_forgets_the_frames_under_way(links: Driver) -> None:
    """Nor does the next one wait for them."""
    script = ["new 0 1000 0 0.0 0 1", "send 1 100 0", "configure 0 10 0 0.0 0 1", "flush", "next"]
    assert links.run([*script, "send 2 100 0", "receive 1000", "status"]) == [
        *["1", "0 0", "0", str(NEVER)],
        *["0 0", "2 10", "2 200 0 0 0"],
    ]


@pytest.mark.parametrize(
    "refused",
    [
        Link(rate=2**62 + 1),
        Link(delay=2**60 + 1),
        Link(jitter=2**60 + 1),
        Link(loss=-0.1),
        Link(loss=1.1),
        Link(loss=math.nan),
    ],
)
def test_a_configuration_out_of_bounds_is_refused(links: Driver, refused: Link) -> None:
    assert links.run([f"new {refused}"]) == ["0"]
    answers = links.run([f"new {Link(delay=5)}", f"configure {refused}", "send 1 1 0", "receive 5"])
    assert answers == ["1", "-1", "0 0", "1 5"]


def test_a_link_that_is_far_too_slow_ends_in_drops(links: Driver) -> None:
    """Times never pass 2^64: the slowest rate, the largest delays and frames, without end."""
    slow = Link(rate=1, delay=2**60, jitter=2**60, limit=100)
    sent, deliveries, _ = send(links, slow, [(0, 2**30)] * 10 + [(2**62, 2**30), (2**62 + 1, 0)])
    assert [s.result for s in sent] == [ACCEPTED] + [FULL] * 11
    assert 2**33 * SECOND + 2**61 >= deliveries[0] >= 2**33 * SECOND
