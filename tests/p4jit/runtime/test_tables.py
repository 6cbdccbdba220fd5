# SPDX-License-Identifier: Apache-2.0
"""Match-action tables against a model that looks at every entry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.p4jit.runtime.build import Driver, driver
from tests.p4jit.runtime.table_model import (
    EXACT,
    FULL,
    GROUP,
    IN_USE,
    INVALID,
    LPM,
    MEMBER,
    NEVER,
    NONE,
    NOT_FOUND,
    OK,
    RANGE,
    TERNARY,
    RangeField,
    Shape,
    Table,
    Words,
)

MODULES = [
    *("table", "exact", "lpm", "ternary", "tuples", "bit_vectors"),
    *("blocks", "timeouts", "profile"),
]
MS = 1_000_000


@pytest.fixture(scope="module")
def tables() -> Iterator[Driver]:
    with driver("tables", *MODULES) as running:
        yield running


def agree(tables: Driver, *models: Table) -> None:
    for model in models:
        for operation, got, expected in zip(
            model.script, tables.run(model.script), model.expected, strict=True
        ):
            assert got == expected, operation


#: (kind of operation, two numbers that choose its arguments)
Step = tuple[int, int, int]
STEPS = st.lists(
    st.tuples(st.integers(0, 19), st.integers(0, 2**16 - 1), st.integers(0, 2**16 - 1)), max_size=150
)
Match = tuple[Words, Words, int, int]


def run_steps(model: Table, steps: list[Step], match: Callable[[Random], Match]) -> None:
    """Half of the steps insert. Lookups are of keys like those of entries, and of their neighbours."""
    now = 0
    for kind, a, b in steps:
        random = Random(a * 65536 + b)
        now += a % 5
        key, mask, length, priority = match(random)
        if kind < 9:
            data = random.getrandbits(64)
            model.insert(key, mask, length, priority, 1 + b % 5, data, (b % 3) * 4, now=now)
        elif kind < 12:
            model.delete(a % 40)
        elif kind == 12:
            model.modify(a % 40, b % 7, b, 8 + b % 2, 0, now)
        elif kind == 13:
            model.entry(a % 40)
        elif kind == 14 and a % 8 == 0:
            model.clear()
        else:
            for handle in sorted(model.entries)[: 1 + b % 8]:
                probe = list(model.entries[handle].key)
                if random.random() < 0.5:
                    word = random.randrange(len(probe))
                    probe[word] ^= used_bits(model.shape)[word] & 1 << random.randrange(64)
                model.packet(tuple(probe), now)
            model.packet(key, now)
    model.count()


def used_bits(shape: Shape) -> Words:
    """Bits of the key that are in fields."""
    if shape.kind == RANGE:
        return RANGE_BITS
    if shape.kind != LPM:
        return (NEVER,) * shape.key_words
    field = ((1 << shape.lpm_width) - 1) << (-shape.lpm_width % 64)
    count = shape.key_words - shape.lpm_word
    return (NEVER,) * shape.lpm_word + tuple(field >> 64 * (count - 1 - i) & NEVER for i in range(count))


@given(words=st.sampled_from([1, 2, 3, 5, 9]), size=st.sampled_from([3, 1000]), steps=STEPS)
def test_exact(tables: Driver, words: int, size: int, steps: list[Step]) -> None:
    model = Table(Shape(EXACT, words, max_size=size))

    def match(random: Random) -> Match:
        return tuple(random.getrandbits(random.choice([1, 2, 64])) for _ in range(words)), (), 0, 0

    run_steps(model, steps, match)
    agree(tables, model)


def lpm_key(shape: Shape, random: Random, length: int) -> Words:
    """Few values of few bits, so that prefixes lie within and beside one another."""
    width = shape.lpm_width
    number = random.choice([0, (1 << width) - 1, 0x5A5A5A5A << max(width - 32, 0), random.getrandbits(width)])
    number ^= random.getrandbits(2) << random.randrange(width)
    number %= 1 << width
    number = number >> (width - length) << (width - length)
    count = shape.key_words - shape.lpm_word
    number <<= 64 * count - width
    exact = tuple(random.randrange(2) for _ in range(shape.lpm_word))
    return exact + tuple(number >> 64 * (count - 1 - i) & NEVER for i in range(count))


@given(width=st.integers(1, 128) | st.sampled_from([32, 512, 2048]), exact=st.integers(0, 2), steps=STEPS)
def test_lpm(tables: Driver, width: int, exact: int, steps: list[Step]) -> None:
    shape = Shape(LPM, exact + (width + 63) // 64, exact, width)
    model = Table(shape)

    def match(random: Random) -> Match:
        length = random.choice([random.randint(0, width), min(width, random.randint(0, 12))])
        return lpm_key(shape, random, length), (), length, 0

    run_steps(model, steps, match)
    agree(tables, model)


@given(words=st.sampled_from([1, 2, 5]), few=st.booleans(), steps=STEPS)
def test_ternary(tables: Driver, words: int, few: bool, steps: list[Step]) -> None:
    model = Table(Shape(TERNARY, words))
    masks = [tuple(Random(words * 9 + i).getrandbits(64) for _ in range(words)) for i in range(4)]
    masks += [(0,) * words, (NEVER,) * words]

    def match(random: Random) -> Match:
        mask = random.choice(masks)
        if not few:
            mask = tuple(m & random.getrandbits(64) & random.getrandbits(64) for m in mask)
        key = tuple(random.choice([0, NEVER, 0xFF00FF00FF00FF00]) & m for m in mask)
        return key, mask, 0, random.choice([0, 1, 7, 2**31 - 1])

    run_steps(model, steps, match)
    agree(tables, model)


RANGES = (RangeField(0, 0, 16), RangeField(0, 16, 9), RangeField(1, 0, 64), RangeField(2, 0, 100))
#: And a ternary field of 6 bits, from bit 40 of the first word on.
RANGE_BITS = (0x3F << 40 | (1 << 25) - 1, NEVER, NEVER, (1 << 36) - 1)


@given(steps=STEPS)
def test_range(tables: Driver, steps: list[Step]) -> None:
    model = Table(Shape(RANGE, 4, ranges=RANGES))

    def match(random: Random) -> Match:
        low, high = [0, 0, 0, 0], [0, 0, 0, 0]
        high[0] = random.getrandbits(6) << 40
        low[0] = high[0] & random.getrandbits(64)
        for r in RANGES:
            most = (1 << r.width) - 1
            bounds = sorted(random.choice([0, 1, 17, most, random.randint(0, most)]) for _ in range(2))
            if random.random() < 0.05:
                bounds.reverse()
            for words, bound in ((low, bounds[0]), (high, bounds[1])):
                words[r.word] |= bound << r.shift & NEVER
                if r.width > 64:
                    words[r.word + 1] |= bound >> 64
        return tuple(low), tuple(high), 0, random.randrange(3)

    run_steps(model, steps, match)
    agree(tables, model)


@settings(deadline=None, max_examples=60)
@given(steps=STEPS)
def test_idle_timeouts(tables: Driver, steps: list[Step]) -> None:
    model = Table(Shape(EXACT))
    now = 0
    for kind, a, b in steps:
        key = (a % 16,)
        timeout = [0, 0, 3 * MS, 5 * MS, 20 * MS][b % 5]
        if kind < 6:
            model.insert(key, timeout=timeout, now=now)
        elif kind < 8:
            model.delete(a % 16)
        elif kind == 8:
            model.modify(a % 16, 2, 0, 0, timeout, now)
        elif kind < 13:
            model.packet(key, now)
        elif kind == 13 and a % 8 == 0:
            model.clear()
        else:
            now += b % (4 * MS)
            model.expired(now)
            model.next_expiry(now)
    agree(tables, model)
