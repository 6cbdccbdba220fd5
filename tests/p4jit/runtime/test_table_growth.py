# SPDX-License-Identifier: Apache-2.0
"""Tables while they grow: structures double, and ternary ones are built anew, in steps. Lookups in between
against the model, and how much a single call does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import pytest

from tests.p4jit.runtime.build import Driver, driver
from tests.p4jit.runtime.table_model import LPM, NEVER, RANGE, TERNARY, RangeField, Shape, Table, Words
from tests.p4jit.runtime.test_tables import MODULES, agree

#: What "moves" answers: the index, the groups, the index of tuples, the ternary build, the tuples' order.
INDEX, GROUPS, HEADS, BUILD, ORDER = range(5)
WRAPPED = ("memcpy", "memmove", "memset", "calloc", "realloc")
COUNT = ["-DCOUNT_WORK", "-fsanitize-coverage=trace-pc", *(f"-Wl,--wrap={name}" for name in WRAPPED)]


@pytest.fixture(scope="module")
def tables() -> Iterator[Driver]:
    with driver("tables", *MODULES) as running:
        yield running


@pytest.fixture(scope="module")
def counting() -> Iterator[Driver]:
    with driver("tables", *MODULES, flags=COUNT) as running:
        yield running


Entry = Callable[[Random], tuple[Words, Words, int, int]]

# ---- lookups in between


class Watched:
    """A model whose driver is asked what is moving before each lookup."""

    def __init__(self, shape: Shape) -> None:
        self.model = Table(shape)

    def packet(self, key: Words) -> None:
        self.model.script.append("moves")
        self.model.expected.append("")
        self.model.packet(key)

    def check(self, tables: Driver) -> list[set[int]]:
        """Compare all answers; for each structure, what was seen of its moves."""
        model = self.model
        answers = tables.run(model.script)
        moves = [a for a, operation in zip(answers, model.script, strict=True) if operation == "moves"]
        silent = iter(moves)
        model.expected = [e or next(silent) for e in model.expected]
        for operation, got, expected in zip(model.script, answers, model.expected, strict=True):
            assert got == expected, operation
        return [set(column) for column in zip(*(map(int, m.split()) for m in moves), strict=True)]


def churn(watched: Watched, random: Random, steps: int, entry: Entry, rate: float = 0.3) -> None:
    """Insert (`rate`), delete, and look up what is there, was there, or is like it."""
    model = watched.model
    gone: list[Words] = []
    for _ in range(steps):
        if random.random() < rate:
            key, mask, length, priority = entry(random)
            model.insert(key, mask, length, priority)
        elif random.random() < 0.5:
            handle = random.choice(sorted(model.entries))
            gone.append(model.entries[handle].key)
            model.delete(handle)
        probes = [entry(random)[0], model.entries[random.choice(sorted(model.entries))].key, *gone[-1:]]
        for probe in probes:
            watched.packet(probe)


@pytest.mark.parametrize("seed", range(4))
def test_lookups_while_groups_and_index_double(tables: Driver, seed: int) -> None:
    """At 2,048 of them 4,096 places for groups become 8,192; so does the index's room for entries."""
    random = Random(seed)
    watched = Watched(Shape(LPM, 2, 1, 32, max_size=10**6))
    groups = [random.getrandbits(64) for _ in range(2200)]

    def entry(random: Random) -> tuple[Words, Words, int, int]:
        length = random.choice([0, 8, 24, 32])
        group = random.choice(groups if random.random() < 0.5 else groups[2046:])
        return (group, random.getrandbits(length) << (64 - length)), (), length, 0

    for group in groups[:2046]:
        watched.model.insert((group, 0), (), 0)
    churn(watched, random, 30, entry, rate=0.6)
    seen = watched.check(tables)
    assert seen[GROUPS] == {0, 1}
    assert seen[INDEX] == {0, 1}


RANGES = (RangeField(1, 0, 16),)


def ternary_entry(kind: int, masks: list[int] | None) -> Entry:
    def entry(random: Random) -> tuple[Words, Words, int, int]:
        mask = random.choice(masks) if masks else random.getrandbits(64)
        value = random.choice([0, NEVER, 0x0F0F0F0F0F0F0F0F, random.getrandbits(64)]) & mask
        low, high = (0, 0)
        if kind == RANGE:
            low, high = sorted(random.getrandbits(16) for _ in range(2))
        return (value, low), (mask, high), 0, random.choice([0, 1, 1, 5, 2**32 - 1, random.getrandbits(32)])

    return entry


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kind", [TERNARY, RANGE])
def test_lookups_while_cuts_are_built(tables: Driver, seed: int, kind: int) -> None:
    """Every mask its own: cuts are built at first, and again whenever half of the entries are new."""
    random = Random(seed)
    count = random.randint(20, 500)
    watched = Watched(Shape(kind, 2, ranges=RANGES if kind == RANGE else ()))
    entry = ternary_entry(kind, None)
    while len(watched.model.entries) < count:
        key, mask, length, priority = entry(random)
        watched.model.insert(key, mask, length, priority)
        if random.random() < 0.2:
            watched.packet(key)
    churn(watched, random, 60, entry)
    watched.check(tables)


def test_lookups_in_the_phases_of_a_build(tables: Driver) -> None:
    random = Random(5)
    watched = Watched(Shape(TERNARY, 2, max_size=10**6))
    entry = ternary_entry(TERNARY, None)
    for i in range(1500):
        key, mask, length, priority = entry(random)
        watched.model.insert(key, mask, length, priority)
        # Seldom enough that control calls do most of the work: the phases are seen from both.
        if i > 900 and i % 3 == 0:
            watched.packet(key)
        if i % 7 == 0:
            watched.model.delete(random.choice(sorted(watched.model.entries)))
    # Making empty parts is so short that it may end with the call it begins in.
    assert watched.check(tables)[BUILD] >= {0, 1, 2, 4}


def test_lookups_alone_end_a_build(tables: Driver) -> None:
    """The control plane rests in the middle of one."""
    random = Random(6)
    watched = Watched(Shape(TERNARY, 2, max_size=10**6))
    entry = ternary_entry(TERNARY, None)
    for _ in range(400):
        key, mask, length, priority = entry(random)
        watched.model.insert(key, mask, length, priority)
    script = [*watched.model.script, "moves"]
    while tables.run(script)[-1].split()[BUILD] == "0":
        key, mask, length, priority = entry(random)
        watched.model.insert(key, mask, length, priority)
        script = [*watched.model.script, "moves"]
    for _ in range(300):
        watched.packet(entry(random)[0])
    phases = watched.check(tables)
    assert phases[BUILD] >= {0, 4}
    assert tables.run([*watched.model.script, "moves"])[-1].split()[BUILD] == "0"


@pytest.mark.parametrize("seed", range(8))
def test_the_order_of_tuples_is_mended(tables: Driver, seed: int) -> None:
    """Few masks and many deletions of the best: what was believed of priorities becomes untrue."""
    random = Random(seed)
    watched = Watched(Shape(TERNARY, 2, max_size=10**6))
    masks = [random.getrandbits(64) | 0xFF for _ in range(3)]
    entry = ternary_entry(TERNARY, masks)
    model = watched.model
    while len(model.entries) < 150:
        key, mask, length, priority = entry(random)
        model.insert(key, mask, length, priority)
    for _ in range(100):
        model.delete(max(model.entries, key=lambda h: model.entries[h].priority))
        watched.packet(entry(random)[0])
    churn(watched, random, 60, entry)
    assert watched.check(tables)[ORDER] > {0}


# ---- how much a call does


def most_work(
    counting: Driver, shape: Shape, matches: list[tuple[Words, Words, int, int]]
) -> tuple[int, int]:
    """The work of the greatest insertion, or deletion, and lookup."""
    model = Table(shape)
    script = [shape.init()]
    for i, (key, mask, length, priority) in enumerate(matches):
        words = " ".join(map(hex, [*key, *mask]))
        script.append(f"insert {int(bool(mask))} {words} {length} {priority} 1 0 8 0 0")
        if i % 50 == 0:
            script.append(f"packet {' '.join(map(hex, key))} 0")
    script += [f"delete {handle}" for handle in range(len(matches))]
    answers = counting.run([*script, "count", "work"])
    assert answers[-2] == "0"
    assert answers.count("0") > len(matches)
    agree(counting, model)
    control, packet = map(int, answers[-1].split())
    return control, packet


def distinct_ternary(count: int) -> list[tuple[Words, Words, int, int]]:
    random = Random(1)
    entry = ternary_entry(TERNARY, None)
    return [entry(random) for _ in range(count)]


def lpm_groups(count: int) -> list[tuple[Words, Words, int, int]]:
    random = Random(2)
    return [((random.getrandbits(64), i << 32), (), 32, 0) for i in range(count)]


#: Basic blocks and cache lines: what takes well under a millisecond. With ten times the entries as few.
MOST_WORK = 250_000


@pytest.mark.parametrize("count", [4_000, 40_000])
def test_the_work_of_a_call_in_an_lpm_table(counting: Driver, count: int) -> None:
    control, packet = most_work(counting, Shape(LPM, 2, 1, 32, max_size=10**6), lpm_groups(count))
    assert 100 < control < MOST_WORK
    assert 10 < packet < 2_000


@pytest.mark.parametrize("count", [1_000, 8_000])
def test_the_work_of_a_call_in_a_ternary_table(counting: Driver, count: int) -> None:
    control, packet = most_work(counting, Shape(TERNARY, 2, max_size=10**6), distinct_ternary(count))
    assert 10_000 < control < MOST_WORK
    assert 1_000 < packet < MOST_WORK
