# SPDX-License-Identifier: Apache-2.0
"""Parser value sets against a list of pairs."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.p4jit.runtime.build import Driver, driver

ONES = 2**64 - 1


@pytest.fixture(scope="module")
def sets() -> Iterator[Driver]:
    with driver("value_set", "value_set") as running:
        yield running


def line(*parts: object) -> str:
    return " ".join(map(str, parts))


@given(words=st.integers(1, 3), sizes=st.lists(st.integers(0, 6), max_size=4), random=st.randoms())
def test_value_sets(sets: Driver, words: int, sizes: list[int], random: Random) -> None:
    script, expected = [line("init", words)], ["0"]
    members: list[tuple[list[int], list[int]]] = []

    def some(choices: list[int]) -> list[int]:
        return [random.choice(choices) for _ in range(words)]

    for size in [*sizes, 0]:
        for _ in range(10):
            key, mask = some([0, 1, 2, 1 << 63]), random.choice([None, some([0, 3, ONES])])
            script.append(line("contains", *key, *([0] if mask is None else [1, *mask])))
            # The mask of the select case is ANDed with the member's.
            found = any(
                all(
                    (k ^ v) & m & c == 0
                    for k, v, m, c in zip(key, *member, mask or [ONES] * words, strict=True)
                )
                for member in members
            )
            expected.append(str(int(found)))
        members = [(some([0, 1, 3, 1 << 63]), some([0, 1, 2, ONES])) for _ in range(size)]
        values = [word for value, _ in members for word in value]
        script.append(line("replace", size, *values, *(word for _, mask in members for word in mask)))
        expected.append("0")
    assert sets.run(script) == expected
