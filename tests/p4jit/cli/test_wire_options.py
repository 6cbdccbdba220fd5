# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from p4jit.cli.usage import UsageError
from p4jit.cli.wire import describe, parse
from p4jit.target.interface import LinkSpec


def test_both_ways_are_alike_but_lose_different_frames() -> None:
    line = "a b --rate 100Mbit --delay 5ms --jitter 10us --loss 0.1% --seed 7 --limit 20"
    a, b, forth, back = parse(line.split())
    assert (a, b) == ("a", "b")
    assert forth == LinkSpec(rate=10**8, delay=5 * 10**6, jitter=10**4, loss=0.001, seed=7, limit=20)
    assert back == LinkSpec(rate=10**8, delay=5 * 10**6, jitter=10**4, loss=0.001, seed=8, limit=20)


def test_a_bare_wire() -> None:
    assert parse(["a", "b"])[2] == LinkSpec()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a a", "a cannot be wired to itself"),
        ("a", "required: B"),
        ("a b --rate 10Gbps", "unknown unit 'Gbps'"),
        ("a b --delay 5", "needs a unit"),
        ("a b --loss 2", "not a probability"),
        ("a b --limit 0", "out of bounds"),
        ("a b --seed 18446744073709551615", "out of bounds"),
    ],
)
def test_refusals(line: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(line.split())
    assert words in str(caught.value)


def test_description() -> None:
    assert describe(LinkSpec()) == "at once"
    link = LinkSpec(rate=10**8, delay=5 * 10**6, jitter=10**5, loss=0.001)
    assert describe(link) == "100Mbit, 5ms +- 100us, 0.1% loss"
