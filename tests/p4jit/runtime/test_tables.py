# SPDX-License-Identifier: Apache-2.0
"""Match-action tables against a model that looks at every entry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.p4jit.runtime.build import Driver, driver
from tests.p4jit.runtime.table_model import (
    EXACT,
    GROUP,
    IN_USE,
    INVALID,
    LPM,
    MEMBER,
    NEVER,
    NONE,
    NOT_FOUND,
    RANGE,
    TERNARY,
    RangeField,
    Shape,
    Table,
    Words,
)

MODULES = [
    *("table", "exact", "lpm", "ternary", "tuples", "cuts", "cuts_build", "bit_vectors"),
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


def many(kind: int, words: int, i: int, random: Random) -> Match:
    """The match of the i-th of many entries."""
    if kind == EXACT:
        return (i * 7919, random.getrandbits(40)), (), 0, 0
    if kind == LPM:
        length = random.choice([0, 8, 16, 20, 24, 24, 24, 32])
        group = (i % 900,) * (words - 1)
        return (*group, random.getrandbits(length) << (64 - length)), (), length, 0
    # Of few masks at first, and later of one each.
    mask = (0xFFFF, random.choice([0xFF, 0xFFFF0000, NEVER]) if i < 3000 else random.getrandbits(64))
    return (i % 0x10000, random.getrandbits(64) & mask[1]), mask, 0, random.randrange(100)


@pytest.mark.parametrize(
    ("kind", "words", "count"), [(EXACT, 2, 12_000), (LPM, 1, 14_000), (LPM, 2, 4000), (TERNARY, 2, 6000)]
)
def test_growth(tables: Driver, kind: int, words: int, count: int) -> None:
    """So many entries that every structure grows, converts and shrinks; handles stay."""
    random = Random(kind)
    model = Table(Shape(kind, words, words - 1, 32, max_size=count))

    def look() -> None:
        some = random.sample(sorted(model.entries), min(len(model.entries), 40))
        for handle in some:
            model.entry(handle)
            open_bits = random.getrandbits(16) << 32 if kind != EXACT else 0
            model.packet((*model.entries[handle].key[:-1], model.entries[handle].key[-1] | open_bits))

    for i in range(count):
        key, mask, length, priority = many(kind, words, i, random)
        model.insert(key, mask, length, priority, 3, i)
        if i % 5 == 4:
            model.delete(random.randrange(i))
        if i & (i - 1) == 0 or i % 4000 == 0:
            look()
    for i, handle in enumerate(random.sample(range(count), count)):
        model.delete(handle)
        if i % 3000 == 0 or count - i < 20:
            look()
    model.count()
    agree(tables, model)


def test_full(tables: Driver) -> None:
    model = Table(Shape(EXACT, max_size=2))
    for key in (1, 2, 1, 3):
        model.insert((key,))
    model.delete(0)
    model.insert((3,))
    model.insert((4,))
    model.count()
    agree(tables, model)


def test_refusals(tables: Driver) -> None:
    lpm = Table(Shape(LPM, 1, 0, 12))
    lpm.insert((1 << 51,), prefix_length=12)
    lpm.insert((1 << 52,), prefix_length=12)
    lpm.insert((0,), prefix_length=13)
    lpm.insert((0,), prefix_length=12, length=12)
    ternary = Table(Shape(TERNARY, 1))
    ternary.insert((3,), (1,))
    ternary.insert((3,), (7,), data=2**64 - 1, length=4)
    ternary.packet((0xB,))
    agree(tables, lpm, ternary)


@pytest.mark.parametrize(
    "shape",
    [
        Shape(LPM, 1, 0, 65),
        Shape(LPM, 1, 0, 0),
        Shape(EXACT, 1, data_bytes=4),
        Shape(EXACT, 1, extra_bytes=12),
        Shape(EXACT, 1, data_bytes=0, profile=True),
        Shape(EXACT, 600),
        Shape(EXACT, 1, data_bytes=2**21),
        Shape(RANGE, 1, ranges=(RangeField(0, 60, 8),)),
        Shape(RANGE, 2, ranges=(RangeField(1, 0, 65),)),
        Shape(5),
    ],
)
def test_a_table_that_contradicts_itself(tables: Driver, shape: Shape) -> None:
    assert tables.run([shape.init()]) == [str(INVALID)]


def test_default_entry(tables: Driver) -> None:
    answers = tables.run(
        [
            Shape(EXACT, profile=True).init(),
            "default",
            "set_default 4 77 8",
            "default",
            f"set_default {GROUP} 0 4",
            "group",
            f"set_default {GROUP} 0 4",
            "delete_group 0",
            f"set_default {NONE} 0 0",
            "default",
            "delete_group 0",
            f"set_default {GROUP} 0 8",
            "set_default 4 0 9",
        ]
    )
    initial = f"{NONE} {NONE} 0 0 0"
    assert answers == [
        *("0", initial, "0", f"{NONE} 4 77 0 0"),
        *(str(NOT_FOUND), "0 0", "0", str(IN_USE)),
        *("0", initial, "0", str(INVALID), str(INVALID)),
    ]


def test_meter_bytes_are_zero_after_insertion(tables: Driver) -> None:
    for kind in (EXACT, TERNARY):
        insert = f"insert {int(kind == TERNARY)} 1{' 1' if kind == TERNARY else ''} 0 0 1 5 8 0 0"
        script = [Shape(kind, extra_bytes=24).init(), insert, "fill 0 24", "modify 0 2 9 8 0 0", "extra 0 24"]
        script += ["entry 0", "delete 0", insert, "extra 0 24"]
        full = str(24 * 0xA5)
        assert tables.run(script) == ["0", "0 0", full, "0", full, "0 2 9 0 0", "0", "0 0", "0"]


@pytest.mark.parametrize("kind", [EXACT, TERNARY])
def test_references_are_counted(tables: Driver, kind: int) -> None:
    def insert(key: int, action: int, handle: int) -> str:
        mask = " 255" if kind == TERNARY else ""
        return f"insert {int(kind == TERNARY)} {key}{mask} 0 0 {action} {handle} 4 0 0"

    in_use, missing, invalid = str(IN_USE), str(NOT_FOUND), str(INVALID)
    steps = [
        (Shape(kind, profile=True).init(), "0"),
        (insert(1, MEMBER, 0), f"{NOT_FOUND} {NONE}"),
        ("member", "0 0"),
        ("member", "0 1"),
        ("group", "0 0"),
        (insert(1, MEMBER, 0), "0 0"),
        (insert(2, MEMBER, 0), "0 1"),
        (insert(3, GROUP, 0), "0 2"),
        (insert(4, GROUP, 1), f"{NOT_FOUND} {NONE}"),
        ("resolve 1", "0"),
        ("delete_member 0", in_use),
        ("delete_group 0", in_use),
        # To another member; to one that is not there; to a plain action.
        (f"modify 0 {MEMBER} 1 4 0 0", "0"),
        (f"modify 0 {MEMBER} 9 4 0 0", missing),
        (f"modify 0 {MEMBER} 1 8 0 0", invalid),
        ("delete_member 1", in_use),
        ("modify 0 3 0 0 0 0", "0"),
        ("delete_member 1", "0"),
        ("delete_member 0", in_use),
        ("delete 1", "0"),
        ("delete_member 0", "0"),
        ("clear", "0"),
        ("delete_group 0", "0"),
        ("count", "0"),
    ]
    assert tables.run([operation for operation, _ in steps]) == [answer for _, answer in steps]


def test_plain_tables_refuse_references(tables: Driver) -> None:
    script = [Shape(EXACT).init(), f"insert 0 1 0 0 {MEMBER} 0 4 0 0", f"set_default {GROUP} 0 4"]
    assert tables.run(script) == ["0", f"{INVALID} {NONE}", str(INVALID)]


def test_many_idle_entries_expire_in_slices(tables: Driver) -> None:
    """All expire at once; each call reports some, and says that there are more."""
    model = Table(Shape(EXACT))
    for key in range(300):
        model.insert((key,), timeout=MS, now=5)
    found: list[int] = []
    script = [*model.script]
    for _ in range(6):
        script += [f"expired {MS + 5} 64", f"next {MS + 5}"]
    answers = tables.run(script)[len(model.script) :]
    for i in range(0, 12, 2):
        found += map(int, answers[i].split())
        assert answers[i + 1] == str(MS + 5 if len(found) < 300 else 2 * MS + 5)
    assert found == list(range(300))
