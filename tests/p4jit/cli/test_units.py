# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from p4jit.cli import units


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("10Gbit", 10**10),
        ("2.5 Mbit/s", 2_500_000),
        ("9600bit", 9600),
        ("56kbit", 56_000),
        ("1000", 1000),
        (1000, 1000),
        ("0.001kbit", 1),
    ],
)
def test_rate(text: str | int, bits: int) -> None:
    assert units.parse_rate(text) == bits


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1.5ms", 1_500_000),
        ("10us", 10_000),
        ("10µs", 10_000),
        ("3 s", 3 * 10**9),
        ("7ns", 7),
        ("0", 0),
        (0, 0),
    ],
)
def test_duration(text: str | int, nanoseconds: int) -> None:
    assert units.parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("64KiB", 65536), ("64kB", 64_000), ("1500", 1500), (1500, 1500), ("1.5MiB", 3 * 2**19)],
)
def test_size(text: str | int, size: int) -> None:
    assert units.parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "shaping"),
    [("5kpps", (None, 5000)), ("100 pps", (None, 100)), ("5kbit", (5000, None)), (5000, (5000, None))],
)
def test_shaping_tells_bits_from_packets(text: str | int, shaping: tuple[int | None, int | None]) -> None:
    assert units.parse_shaping(text) == shaping


@pytest.mark.parametrize(
    ("text", "probability"), [("0.1%", 0.001), (0.001, 0.001), ("100%", 1.0), (0, 0.0), (1, 1.0)]
)
def test_probability(text: str | float, probability: float) -> None:
    assert units.parse_probability(text) == pytest.approx(probability)


@pytest.mark.parametrize("value", ["101%", "-1%", "x", "", 1.5, "nan", True, "inf%"])
def test_probability_refused(value: str | float) -> None:
    with pytest.raises(ValueError, match="not a probability"):
        units.parse_probability(value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("10", "needs a unit"),
        ("5 minutes", "unknown unit 'minutes'"),
        ("-5ms", "not a duration"),
        ("0.5ns", "not a whole number of ns"),
        ("1e3ms", "not a duration"),
        ("", "not a duration"),
        (True, "not a duration"),
        ("9" * 20 + "s", "too large"),
        ("9" * 5000 + "s", "not a duration"),
    ],
)
def test_duration_refused(value: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        units.parse_duration(value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("10Gbps", "unknown unit 'Gbps'"),
        ("0Mbit", "greater than 0"),
        ("0.1bit", "whole number of bit"),
        ("10 ms", "unit"),
    ],
)
def test_rate_refused(value: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        units.parse_rate(value)


@given(st.integers(0, 10**18))
def test_durations_survive_the_round_trip(nanoseconds: int) -> None:
    assert units.parse_duration(units.format_duration(nanoseconds)) == nanoseconds


@given(st.integers(1, 10**18))
def test_rates_survive_the_round_trip(bits: int) -> None:
    assert units.parse_rate(units.format_rate(bits)) == bits


def test_formats_are_those_people_write() -> None:
    assert units.format_rate(10**8) == "100Mbit"
    assert units.format_rate(2_500_000) == "2.5Mbit"
    assert units.format_duration(1_500_000) == "1.5ms"
    assert units.format_duration(0) == "0s"


@given(st.text(max_size=30))
def test_any_text_is_a_number_or_a_value_error(text: str) -> None:
    for parse in (units.parse_rate, units.parse_duration, units.parse_size, units.parse_packet_rate):
        try:
            result = parse(text)
        except ValueError as error:
            said = str(error)
        else:
            said = repr(text) if result >= 0 else ""
        assert repr(text) in said
