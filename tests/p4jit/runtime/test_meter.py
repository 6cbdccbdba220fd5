# SPDX-License-Identifier: Apache-2.0
"""Meters against RFC 2698 in exact arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.p4jit.runtime.build import Driver, driver

GREEN, YELLOW, RED = 0, 1, 2
MOST = 2**63 - 1
SECOND = 10**9


@pytest.fixture(scope="module")
def meters() -> Iterator[Driver]:
    with driver("meter", "meter") as running:
        yield running


@dataclass
class Meter:
    """Section 3 of the RFC, colour-blind mode."""

    cir: int
    cburst: int
    pir: int
    pburst: int
    last: int

    def __post_init__(self) -> None:
        self.committed, self.peak = Fraction(self.cburst), Fraction(self.pburst)

    def run(self, size: int, now: int) -> int:
        elapsed = Fraction(now - self.last, SECOND)
        self.last = now
        self.committed = min(self.committed + self.cir * elapsed, Fraction(self.cburst))
        self.peak = min(self.peak + self.pir * elapsed, Fraction(self.pburst))
        if self.peak < size:
            return RED
        self.peak -= size
        if self.committed < size:
            return YELLOW
        self.committed -= size
        return GREEN


rates = st.one_of(st.integers(0, 20), st.integers(0, 10**6), st.integers(0, 10**12), st.integers(0, MOST))
bursts = st.one_of(st.integers(0, 10_000), st.integers(0, MOST))
arrivals = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 10), st.integers(0, SECOND), st.integers(0, 2**58)), st.integers(0, 10_240)
    ),
    max_size=25,
)


@given(
    count_bytes=st.booleans(),
    a=rates,
    b=rates,
    cburst=bursts,
    pburst=bursts,
    packets=arrivals,
    cell=st.integers(0, 2),
)
# More than 64 bits of tokens, and the most of everything.
@example(True, 2**62, 2**62, 100, 100, [(0, 100), (4, 100)], 0)
@example(True, MOST, MOST, MOST, MOST, [(2**63, 10_240), (2**62, 10_240)], 0)
# A token every nanosecond.
@example(False, SECOND, SECOND, 1, 1, [(0, 0), (0, 0), (1, 0), (0, 0), (1, 0)], 2)
def test_colours_are_exact(
    meters: Driver,
    count_bytes: bool,
    a: int,
    b: int,
    cburst: int,
    pburst: int,
    packets: list[tuple[int, int]],
    cell: int,
) -> None:
    """Cells 0 and 1 are of the array, 2 is a direct meter in an entry."""
    now = 5
    model = Meter(min(a, b), cburst, max(a, b), pburst, now)
    script = [
        f"array 2 {int(count_bytes)}",
        f"configure {cell} {model.cir} {cburst} {model.pir} {pburst} {now}",
    ]
    expected = ["0", "0"]
    for wait, length in packets:
        now += wait
        script.append(f"run {cell} {length} {now}")
        expected.append(str(model.run(length if count_bytes else 1, now)))
    assert meters.run(script) == expected


@given(gaps=st.lists(st.integers(0, 3_000_000), min_size=50, max_size=150), cir=st.integers(1, 10**7))
def test_green_traffic_conforms_over_every_window(meters: Driver, gaps: list[int], cir: int) -> None:
    """Of any window: green bytes <= cburst + cir * window, green and yellow <= pburst + pir * window."""
    cburst, pburst, pir, length = 3_000, 9_000, 2 * cir, 1_000
    times = [sum(gaps[: i + 1]) for i in range(len(gaps))]
    script = [
        "array 1 1",
        f"configure 0 {cir} {cburst} {pir} {pburst} 0",
        *[f"run 0 {length} {t}" for t in times],
    ]
    colours = [int(answer) for answer in meters.run(script)[2:]]
    for limit, rate, burst in ((GREEN, cir, cburst), (YELLOW, pir, pburst)):
        passed = [t for t, colour in zip(times, colours, strict=True) if colour <= limit]
        for i, start in enumerate(passed):
            for j, end in enumerate(passed[i:]):
                assert (j + 1) * length <= burst + Fraction(rate * (end - start), SECOND)


def test_without_rates_everything_is_green(meters: Driver) -> None:
    runs = ["run 0 1500 0", "run 1 1500 10", "run 2 1500 20"]
    assert meters.run(["array 2 1", *runs])[1:] == [str(GREEN)] * 3


def test_reset_makes_a_red_meter_green(meters: Driver) -> None:
    script = ["array 1 1", "configure 0 0 0 0 0 0", "run 0 1 0", "reset 0 1", "run 0 1 2"]
    assert meters.run(script)[2:] == [str(RED), "0", str(GREEN)]


def test_configuring_again_fills_the_buckets(meters: Driver) -> None:
    configure = "configure 0 0 100 0 100 0"
    script = ["array 1 1", configure, "run 0 100 0", "run 0 1 0", configure, "run 0 100 0"]
    assert meters.run(script)[1:] == ["0", str(GREEN), str(RED), "0", str(GREEN)]


def test_cells_are_independent(meters: Driver) -> None:
    script = [
        "array 2 0",
        "configure 0 0 1 0 1 0",
        "configure 1 0 1 0 1 0",
        "run 0 0 0",
        "run 0 0 0",
        "run 1 0 0",
    ]
    assert meters.run(script)[3:] == [str(GREEN), str(RED), str(GREEN)]


def test_impossible_rates_are_refused_and_change_nothing(meters: Driver) -> None:
    script = ["array 1 1", "configure 0 0 10 0 10 0", "run 0 10 0"]
    refused = [
        f"configure 0 {cir} {cburst} {pir} {pburst} 0"
        for cir, cburst, pir, pburst in (
            (2, 10, 1, 10),
            (0, MOST + 1, 0, 10),
            (0, 10, 0, MOST + 1),
            (0, 10, MOST + 1, 10),
        )
    ]
    assert meters.run([*script, *refused, "run 0 1 0"])[3:] == ["-1"] * len(refused) + [str(RED)]


def test_a_clock_that_stands_still_or_goes_back_gives_no_tokens(meters: Driver) -> None:
    script = [
        "array 1 0",
        "configure 0 1000 1 1000 1 5000000",
        "run 0 0 5000000",
        "run 0 0 5000000",
        "run 0 0 0",
    ]
    assert meters.run(script)[2:] == [str(GREEN), str(RED), str(RED)]
