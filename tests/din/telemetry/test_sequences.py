# SPDX-License-Identifier: Apache-2.0
"""What is lost, of numbers that come late, twice, anew, or never."""

from __future__ import annotations

import random

import pytest
from din.telemetry.sequences import SIZE, WINDOW, Sequences, Stream
from hypothesis import given, settings
from hypothesis import strategies as st

starts = st.one_of(st.just(0), st.just(SIZE - 5), st.integers(0, SIZE - 1))


def observed(numbers: list[int], parts: int = 1) -> Stream:
    stream = Stream()
    for part in range(parts):
        stream.observe(numbers[part * len(numbers) // parts : (part + 1) * len(numbers) // parts])
    return stream


def run(first: int, count: int) -> list[int]:
    return [(first + i) % SIZE for i in range(count)]


def shuffled(numbers: list[int], distance: int, chance: random.Random) -> list[int]:
    """None is more than ``distance`` behind its place; the first stays."""
    order = sorted(range(1, len(numbers)), key=lambda i: i + chance.random() * distance)
    return [numbers[0], *(numbers[i] for i in order)]


@given(starts, st.integers(1, 600), st.integers(1, 9))
def test_in_order_nothing_is_lost(first: int, count: int, parts: int) -> None:
    stream = observed(run(first, count), parts)
    assert (stream.received, stream.lost, stream.missing, stream.reordered) == (count, 0, 0, 0)
    assert (stream.restarts, stream.strays) == (0, 0)


@settings(max_examples=40)
@given(starts, st.integers(2, 800), st.integers(1, WINDOW - 2), st.randoms(use_true_random=False))
def test_out_of_order_within_the_window_nothing_is_lost(
    first: int, count: int, distance: int, chance: random.Random
) -> None:
    stream = observed(shuffled(run(first, count), distance, chance), 3)
    assert (stream.lost, stream.missing, stream.restarts, stream.strays) == (0, 0, 0, 0)


@settings(max_examples=60)
@given(starts, st.integers(2, 900), st.sets(st.integers(1, 899)), st.randoms(use_true_random=False))
def test_every_loss_is_found(first: int, count: int, holes: set[int], chance: random.Random) -> None:
    """Out of order too: what is missing is lost or still waited for, and never more than that."""
    numbers = run(first, count)
    left = [number for i, number in enumerate(numbers) if i not in holes]
    stream = observed(shuffled(left, 20, chance), 4)
    highest = max(i for i in range(count) if i not in holes)
    missing = sum(1 for i in holes if i < highest)
    assert stream.lost + stream.missing == missing
    stream.observe(run(first + count, WINDOW + 1))
    assert stream.lost == sum(1 for i in holes if i < count)
    assert stream.missing == 0


@pytest.mark.parametrize("gap", [1, WINDOW - 1, WINDOW, WINDOW + 1, 100_000, SIZE // 2 - 10])
def test_an_outage_is_loss(gap: int) -> None:
    stream = observed([*run(100, 50), *run(150 + gap, 2 * WINDOW)])
    assert stream.lost == gap
    assert stream.restarts == 0


@pytest.mark.parametrize("before", [50, 5000, SIZE // 2 + 17, SIZE - 3000])
def test_a_switch_that_starts_anew(before: int) -> None:
    """Its numbers out of order, as of any: nothing is lost for that."""
    stream = observed([*run(before - 50, 50), 1, 0, *run(2, 600)])
    assert (stream.restarts, stream.lost, stream.missing) == (1, 0, 0)
    stream.observe([602, 604, *run(605, WINDOW)])
    assert stream.lost == 1


def test_a_restart_after_a_single_report_is_none() -> None:
    assert observed([0, *run(0, 10)]).lost == 0


def test_twice_the_same_is_no_restart() -> None:
    numbers = [number for each in run(10, 100) for number in (each, each)]
    stream = observed(numbers)
    assert (stream.restarts, stream.lost, stream.strays) == (0, 0, 100 - 1)


@given(st.integers(0, SIZE - 1))
def test_one_number_out_of_nowhere_changes_nothing(number: int) -> None:
    stream = observed([*run(1000, 100), number, *run(1100, 2 * WINDOW)])
    assert stream.restarts == 0
    assert stream.lost + stream.missing == 0


def test_streams_of_nodes_and_collectors_are_apart() -> None:
    sequences = Sequences()
    sequences.observe([1, 2, 1, 2, 1], [5, 5, 6, 5, 5], [0, 7, 3, 9, 1])
    sequences.observe([2] * 300, [5] * 300, run(10, 300))
    assert {key: each.received for key, each in sequences.streams.items()} == {
        (1, 5): 2,
        (1, 6): 1,
        (2, 5): 302,
    }
    assert sequences.lost == 1
    assert sequences.streams[2, 5].lost == 1


def test_there_are_only_so_many() -> None:
    sequences = Sequences(limit=2)
    sequences.observe([1, 2, 3], [0, 0, 0], [0, 0, 0])
    assert len(sequences.streams) == 2
