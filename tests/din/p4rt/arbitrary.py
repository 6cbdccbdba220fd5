# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies: any entry that a program can have, and states in which nothing refers to nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce

from din.p4rt.entry import (
    Action,
    AnyKey,
    AnyValue,
    Clone,
    CloneKey,
    Key,
    Lpm,
    Match,
    Member,
    MeterConfig,
    MeterKey,
    Range,
    State,
    Ternary,
    action,
    default,
)
from din.p4rt.program import ActionInfo, MatchField, MatchKind, Program, Table
from hypothesis import strategies as st

from tests.din.p4rt.switches import steering


def _numbers(width: int) -> st.SearchStrategy[int]:
    return st.integers(0, (1 << width) - 1)


@st.composite
def _match(draw: st.DrawFn, info: MatchField) -> Match | None:
    """None: anything."""
    ones = (1 << info.width) - 1
    if info.kind is MatchKind.EXACT:
        return draw(_numbers(info.width))
    if draw(st.booleans()):
        return None
    value = draw(_numbers(info.width))
    if info.kind is MatchKind.LPM:
        length = draw(st.integers(1, info.width))
        return Lpm(value & (ones ^ ones >> length), length)
    if info.kind is MatchKind.TERNARY:
        mask = draw(st.integers(1, ones))
        return Ternary(value & mask, mask)
    if info.kind is MatchKind.RANGE:
        return Range(value, draw(st.integers(value, ones))) if value else None
    return value


@st.composite
def _action(draw: st.DrawFn, allowed: Mapping[str, ActionInfo]) -> Action:
    info = draw(st.sampled_from(list(allowed.values())))
    return Action(info.name, tuple((p.name, draw(_numbers(p.width))) for p in info.params.values()))


@st.composite
def _value(draw: st.DrawFn, table: Table) -> AnyValue:
    if not table.has_selector:
        return draw(_action(table.actions))
    member = st.builds(Member, _action(table.actions), st.integers(1, 3), st.integers(0, 510))
    return tuple(draw(st.lists(member, min_size=1, max_size=2)))


@st.composite
def entries(draw: st.DrawFn, program: Program) -> tuple[AnyKey, AnyValue]:
    """An entry in canonical form, of any kind."""
    kind = draw(st.sampled_from(["entry", "entry", "default", "clone", "meter"]))
    if kind == "clone":
        ports = draw(st.sets(st.integers(0, 510), min_size=1, max_size=4))
        return CloneKey(draw(st.integers(1, 0x7FFF))), Clone(tuple(sorted(ports)))
    if kind == "meter":
        meter = draw(st.sampled_from(list(program.meters.values())))
        cir, pir = sorted(draw(st.tuples(_numbers(63), _numbers(63))))
        value = MeterConfig(cir, draw(_numbers(63)), pir, draw(_numbers(63)))
        return MeterKey(meter.name, draw(st.integers(0, meter.size - 1))), value
    if kind == "default":
        tables = [each for each in program.tables.values() if each.default_can_be_set]
        table = draw(st.sampled_from(tables))
        found = draw(_action(table.default_actions).filter(lambda each: each != table.initial_default))
        return default(table.name), found
    table = draw(st.sampled_from([t for t in program.tables.values() if t.fields and not t.is_const]))
    matches = ((name, draw(_match(info))) for name, info in table.fields.items())
    match = tuple((name, value) for name, value in matches if value is not None)
    priority = draw(st.integers(1, (1 << 31) - 1)) if table.has_priority else 0
    return Key(table.name, match, priority), draw(_value(table))


def states(program: Program) -> st.SearchStrategy[State]:
    """Of any entries, whatever they refer to."""
    return st.lists(entries(program), max_size=12).map(dict)


@st.composite
def closed_states(draw: st.DrawFn) -> State:
    """Steering groups of instances, with all that their entries refer to."""
    groups = draw(st.dictionaries(st.integers(1, 4), _instances, max_size=3))
    parts = [steering(group, instances, buckets=4) for group, instances in groups.items()]
    state: State = reduce(lambda a, b: a | b, parts, {})
    if draw(st.booleans()):
        state[default("boundaries")] = action("inside")
    return state


_instances = st.lists(st.integers(1, 6), min_size=1, max_size=3, unique=True)


def dangling(program: Program, state: Mapping[AnyKey, AnyValue]) -> Iterator[str]:
    """What refers to something that is not there: by the program's @refers_to, and buckets' instances."""
    present: dict[tuple[str, str], set[Match]] = {}
    for where in state:
        if isinstance(where, Key):
            for name, match in where.match:
                present.setdefault((where.table, name), set()).add(match)
    for where, value in state.items():
        if not isinstance(where, Key) or not isinstance(value, Action):
            continue
        info = program.actions[value.name]
        for name, number in value.params:
            for reference in info.params[name].refers_to:
                if number not in present.get((reference.table, reference.field), ()):
                    yield f"{where} -> {reference} {number}"
        if where.table == "buckets":
            instances = {number for name, number in value.params if name in ("current", "previous")}
            for needed in (("liveness", "instance"), ("paths", "target")):
                if not instances <= present.get(needed, set()):
                    yield f"{where} -> {needed} {instances}"
