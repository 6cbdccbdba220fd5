# SPDX-License-Identifier: Apache-2.0
"""Quantities are read exactly, and shown as people would."""

from __future__ import annotations

from typing import Any

import pytest
from din.model.units import parse_rate, parse_size, parse_time, show_time
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("5ms", 5_000),
        ("0.5 s", 500_000),
        (" 2min ", 120_000_000),
        ("1d", 86_400_000_000),
        ("1.5us", None),
        (0, 0),
    ],
)
def test_times(text: Any, us: int | None) -> None:
    if us is None:
        with pytest.raises(ValueError, match="not a whole number of us"):
            parse_time(text)
    else:
        assert parse_time(text) == us


@pytest.mark.parametrize(
    ("text", "bits"),
    [("100Mbit", 100_000_000), ("2.5 Gbit/s", 2_500_000_000), ("1Tbit", 10**12), ("9kbit", 9_000)],
)
def test_rates(text: str, bits: int) -> None:
    assert parse_rate(text) == bits


@pytest.mark.parametrize(
    ("text", "size"), [("9000B", 9000), ("64kB", 64_000), ("1KiB", 1024), ("0.5GiB", 1 << 29)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "wrong", [5, "5", "ms", "5 Ms", "-5ms", "5ms/s", "1e3ms", "٣ms", "", None, True, False, 0.0, [], "5m s"]
)
def test_what_is_no_time(wrong: Any) -> None:
    with pytest.raises(ValueError, match="as in 5ms"):
        parse_time(wrong)


@pytest.mark.parametrize("wrong", ["5", "5mbit", "5MB", "5Mbps", 7])
def test_what_is_no_rate(wrong: Any) -> None:
    with pytest.raises(ValueError, match="as in 100Mbit"):
        parse_rate(wrong)


@pytest.mark.parametrize("wrong", ["64kB/s", "64 k", "64kbit", 64])
def test_what_is_no_size(wrong: Any) -> None:
    with pytest.raises(ValueError, match="as in 64kB"):
        parse_size(wrong)


@pytest.mark.parametrize("much", ["999999999999999999d", "9007199254740993us"])
def test_what_is_too_much(much: str) -> None:
    with pytest.raises(ValueError, match="more than any time"):
        parse_time(much)


def test_many_digits_are_refused_quickly() -> None:
    with pytest.raises(ValueError, match="as in 5ms"):
        parse_time("9" * 100_000 + "ms")
    with pytest.raises(ValueError, match="as in 5ms"):
        parse_time("0." + "9" * 100_000 + "ms")


@given(st.integers(1, 1 << 53))
def test_whole_numbers_of_the_smallest_unit_are_exact(number: int) -> None:
    assert parse_time(f"{number}us") == parse_rate(f"{number}bit") == parse_size(f"{number}B") == number


@given(st.integers(0, 999), st.integers(0, 999))
def test_fractions_are_exact(whole: int, thousandths: int) -> None:
    assert parse_time(f"{whole}.{thousandths:03}ms") == 1_000 * whole + thousandths


@pytest.mark.parametrize(
    ("us", "shown"),
    [
        (0, "0 us"),
        (0.4, "0.4 us"),
        (999.4, "999 us"),
        (999.9, "1 ms"),
        (1234, "1.23 ms"),
        (999_999, "1 s"),
        (-1500, "-1.5 ms"),
        (59_900_000, "59.9 s"),
        (3_600_000_000, "1 h"),
        (100_000 * 86_400_000_000, "100000 d"),
    ],
)
def test_times_shown(us: float, shown: str) -> None:
    assert show_time(us) == shown


@given(st.floats(1, 1e17))
def test_what_is_shown_is_near(us: float) -> None:
    number, unit = show_time(us).split()
    assert "e" not in number
    assert float(number) * parse_time(f"1{unit}") == pytest.approx(us, rel=0.011)
