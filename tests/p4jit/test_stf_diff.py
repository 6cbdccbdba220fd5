# SPDX-License-Identifier: Apache-2.0
"""When a frame fits an STF pattern, and how a difference is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from p4jit.stf.commands import Pattern
from p4jit.stf.diff import hex_rows, matches, packet_diff


@pytest.mark.parametrize(
    ("digits", "exact", "data", "fits"),
    [
        ("0102", False, "0102", True),
        ("0102", False, "010203", True),
        ("0102", True, "010203", False),
        ("0102", False, "01", False),
        ("0102", True, "01", False),
        ("0*02", True, "0f02", True),
        ("0*02", True, "1f02", False),
        ("****", False, "01", False),
        ("010", False, "0102", True),
        ("", True, "", True),
    ],
)
def test_matches(digits: str, exact: bool, data: str, fits: bool) -> None:
    assert matches(Pattern(digits, exact), bytes.fromhex(data)) is fits


def test_no_pattern_fits_all() -> None:
    assert matches(None, b"")
    assert matches(None, b"\1\2")


def test_differing_nibbles_are_marked_under_their_columns() -> None:
    shown = packet_diff(Pattern("0102**04"), bytes.fromhex("0112ff05"))
    assert shown.splitlines() == [
        "expected at least 4 bytes, received 4 bytes",
        "  0000  expected 01 02 ** 04",
        "        received 01 12 FF 05",
        "                    ^      ^",
    ]


def test_rows_that_agree_are_shown_once() -> None:
    data = bytes(range(20))
    shown = packet_diff(Pattern(data[:16].hex().upper() + "FFFFFFFF", True), data).splitlines()
    assert shown[1] == "  0000           00 01 02 03 04 05 06 07  08 09 0A 0B 0C 0D 0E 0F"
    assert shown[2:] == [
        "  0010  expected FF FF FF FF",
        "        received 10 11 12 13",
        "                 ^^ ^^ ^^ ^^",
    ]


def test_what_is_missing_and_what_is_too_much_is_marked() -> None:
    assert packet_diff(Pattern("0102", True), b"\1").splitlines() == [
        "expected exactly 2 bytes, received 1 byte",
        "  0000  expected 01 02",
        "        received 01",
        "                    ^^",
    ]
    assert packet_diff(Pattern("01", True), b"\1\2").splitlines()[-1] == " " * 20 + "^^"


def test_hex_rows() -> None:
    assert hex_rows(bytes(17)).splitlines() == [
        "  0000  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00",
        "  0010  00",
    ]


@given(st.binary(max_size=80), st.data())
def test_a_mark_is_shown_exactly_when_the_frame_does_not_fit(data: bytes, draw: st.DataObject) -> None:
    digits = draw.draw(st.text(alphabet="01F*", max_size=100))
    pattern = Pattern(digits, draw.draw(st.booleans()))
    assert ("^" in packet_diff(pattern, data)) is not matches(pattern, data)


@given(st.binary(max_size=80), st.data())
def test_a_frame_fits_itself_with_any_nibbles_wild(data: bytes, draw: st.DataObject) -> None:
    digits = list(data.hex().upper())
    for i in draw.draw(st.sets(st.integers(0, max(len(digits) - 1, 0)))):
        digits[i : i + 1] = ["*"] if i < len(digits) else []
    assert matches(Pattern("".join(digits), True), data)
