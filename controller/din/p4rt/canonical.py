# SPDX-License-Identifier: Apache-2.0
"""A wanted state in the one form that switches give back, or all that is wrong with it.

A match on anything is left out of a key, and a default entry that is the program's own out of the state:
equal states are then equal dictionaries. What no switch would take is found here, before anything is sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

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
)
from din.p4rt.program import ActionInfo, MatchField, MatchKind, Program, Table

#: What more is to be held: what is wrong with an entry, in words; none is fine.
Check = Callable[[AnyKey, AnyValue], Sequence[str]]

_MAX_PORT = 511
_MAX_SESSION = 0x7FFF
_MAX_INT64 = (1 << 63) - 1
_MAX_PRIORITY = (1 << 31) - 1
#: An error that names thousands of entries helps nobody.
_SHOWN = 20
_LIKE = {MatchKind.LPM: "Lpm", MatchKind.TERNARY: "Ternary", MatchKind.RANGE: "Range"}


class BadStateError(ValueError):
    """A state that the program cannot have. ``problems``: one text for each thing that is wrong."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        more = len(problems) - _SHOWN
        shown = [*problems[:_SHOWN], *([f"and {more} more"] if more > 0 else [])]
        super().__init__("; ".join(shown))


class _Wrong(Exception):
    """What is wrong with one entry."""


def canonical(
    program: Program, want: Mapping[AnyKey, AnyValue], known: Mapping[AnyKey, AnyValue] | None = None
) -> State:
    """``want`` in canonical form. Entries that ``known`` has too are held to be in it. BadStateError: what is
    wrong, all of it."""
    known = known or {}
    state: State = {}
    problems: list[str] = []
    valid_actions: set[tuple[str, Action]] = set()
    for key, value in want.items():
        if known.get(key) == value:
            state[key] = value
            continue
        try:
            found = _entry(program, key, value, valid_actions)
        except _Wrong as wrong:
            problems.append(f"{show(key)}: {wrong}")
            continue
        if found is None:
            continue
        if found in state:
            problems.append(f"{show(key)}: the same entry is there twice")
        state[found] = value
    problems += _too_many(program, state)
    if problems:
        raise BadStateError(problems)
    return state


def show(key: AnyKey) -> str:
    """A key as an operator writes it."""
    match key:
        case CloneKey(session):
            return f"clone session {session}"
        case MeterKey(meter, index):
            return f"meter {meter}[{index}]"
        case Key(table, _, _, True):
            return f"{table} default"
        case Key(table, fields, priority):
            inside = ", ".join(f"{name}={_show_match(value)}" for name, value in fields)
            return f"{table}[{inside}]" + (f" priority {priority}" if priority else "")


def show_value(value: AnyValue) -> str:
    """What an entry does, as an operator writes it."""
    match value:
        case Action(name, params):
            inside = ", ".join(f"{param}={_show_number(number)}" for param, number in params)
            return f"{name}({inside})"
        case Clone(ports):
            return f"to ports {', '.join(map(str, ports))}"
        case MeterConfig(cir, cburst, pir, pburst):
            return f"{cir}/s (burst {cburst}), at most {pir}/s (burst {pburst})"
        case _:
            return " | ".join(map(_show_member, value))


def _show_member(member: Member) -> str:
    weight = f" weight {member.weight}" if member.weight != 1 else ""
    watch = f" while port {member.watch_port} is up" if member.watch_port else ""
    return f"{show_value(member.action)}{weight}{watch}"


def _show_number(number: int) -> str:
    """What is longer than any quantity is an address."""
    return str(number) if number < 1 << 32 else f"{number:#x}"


def _show_match(match: Match) -> str:
    match match:
        case Lpm(value, length):
            return f"{value:#x}/{length}"
        case Ternary(value, mask):
            return f"{value:#x}&&&{mask:#x}"
        case Range(low, high):
            return f"{low}..{high}"
        case _:
            return f"{match:#x}" if match > 9 else str(match)


# ---- entries -----------------------------------------------------------------------------------------------


def _entry(program: Program, key: AnyKey, value: AnyValue, valid: set[tuple[str, Action]]) -> AnyKey | None:
    """The key in canonical form; None: what is wanted is what the program brings."""
    if isinstance(key, CloneKey):
        return _clone(key, value)
    if isinstance(key, MeterKey):
        return _meter(program, key, value)
    table = program.tables.get(key.table)
    if table is None:
        raise _Wrong(f"the program has no table {key.table!r}")
    if table.is_const:
        raise _Wrong("the table is constant: its entries are the program's")
    if table.has_profile:
        raise _Wrong("the table has an action profile without a selector, which is not supported")
    if key.default:
        return _default(table, key, value)
    found = _key(table, key)
    if table.has_selector:
        _members(table, value)
    elif not isinstance(value, Action):
        raise _Wrong("the table has no action selector: give it one action, not members")
    elif (table.name, value) not in valid:
        _action(value, table.actions, table)
        valid.add((table.name, value))
    return found


def _default(table: Table, key: Key, value: AnyValue) -> Key | None:
    if not isinstance(value, Action):
        raise _Wrong("a default entry has one action")
    if key.match or key.priority:
        raise _Wrong("a default entry has neither match nor priority")
    if not table.default_can_be_set:
        raise _Wrong("the table's default entry is the program's and cannot be set")
    _action(value, table.default_actions, table)
    return None if value == table.initial_default else key


def _key(table: Table, key: Key) -> Key:
    if not table.fields:
        raise _Wrong("the table has no key fields, so that it has its default entry alone")
    if table.has_priority and not 1 <= key.priority <= _MAX_PRIORITY:
        raise _Wrong(f"an entry of it has a priority of 1 to {_MAX_PRIORITY}, not {key.priority}")
    if key.priority and not table.has_priority:
        raise _Wrong("its entries have no priority: no field is ternary, range or optional")
    names = tuple(name for name, _ in key.match)
    if table.is_exact and names == table.names:
        for name, value in key.match:
            _exact(table.fields[name], value)
        return key
    if list(names) != sorted(set(names)):
        raise _Wrong("the fields of its match are not sorted by name, or one is there twice")
    unknown = [name for name in names if name not in table.fields]
    if unknown:
        raise _Wrong(f"the table has no field {unknown[0]!r}; it has {', '.join(table.names)}")
    for name, info in table.fields.items():
        if info.kind is MatchKind.EXACT and name not in names:
            raise _Wrong(f"field {name!r} is exact and must be given")
    kept = tuple((name, value) for name, value in key.match if not _matches_all(table.fields[name], value))
    return key if len(kept) == len(key.match) else Key(key.table, kept, key.priority)


def _exact(info: MatchField, value: Match) -> None:
    if not isinstance(value, int):
        raise _Wrong(f"field {info.name!r} is {info.kind.value}: give it a number, not {value}")
    if not 0 <= value < 1 << info.width:
        raise _Wrong(f"field {info.name!r}: {value:#x} does not fit {info.width} bits")


def _matches_all(info: MatchField, value: Match) -> bool:
    """Whether the match is left out. Raises _Wrong."""
    ones = (1 << info.width) - 1
    match info.kind, value:
        case ((MatchKind.EXACT | MatchKind.OPTIONAL), _):
            _exact(info, value)
            return False
        case MatchKind.LPM, Lpm(number, length):
            if not 0 <= length <= info.width:
                raise _Wrong(f"field {info.name!r}: a prefix has 0 to {info.width} bits, not {length}")
            _within(info, number, ones ^ ones >> length, "prefix")
            return length == 0
        case MatchKind.TERNARY, Ternary(number, mask):
            if not 0 <= mask <= ones:
                raise _Wrong(f"field {info.name!r}: the mask {mask:#x} does not fit {info.width} bits")
            _within(info, number, mask, "mask")
            return mask == 0
        case MatchKind.RANGE, Range(low, high):
            if not 0 <= low <= high <= ones:
                raise _Wrong(f"field {info.name!r}: {low}..{high} is no range of {info.width} bits")
            return (low, high) == (0, ones)
        case _:
            raise _Wrong(f"field {info.name!r} is {info.kind.value}: give it {_LIKE[info.kind]}, not {value}")


def _within(info: MatchField, value: int, mask: int, what: str) -> None:
    if not 0 <= value < 1 << info.width:
        raise _Wrong(f"field {info.name!r}: {value:#x} does not fit {info.width} bits")
    if value & ~mask:
        raise _Wrong(f"field {info.name!r}: {value:#x} has bits outside its {what}")


def _action(action: Action, allowed: Mapping[str, ActionInfo], table: Table) -> None:
    info = allowed.get(action.name)
    if info is None:
        raise _Wrong(f"action {action.name!r} is not one of {', '.join(allowed) or 'none'} here")
    names = tuple(name for name, _ in action.params)
    if names != tuple(info.params):
        missing = sorted(set(info.params) - set(names))
        unknown = sorted(set(names) - set(info.params))
        if missing:
            raise _Wrong(f"action {action.name!r} lacks {', '.join(missing)}")
        if unknown:
            raise _Wrong(f"action {action.name!r} has no {', '.join(unknown)}")
        raise _Wrong(f"action {action.name!r}: parameters are not sorted by name, or one is there twice")
    for name, value in action.params:
        width = info.params[name].width
        if not 0 <= value < 1 << width:
            raise _Wrong(f"action {action.name!r}: {name}={value:#x} does not fit {width} bits")


def _members(table: Table, value: AnyValue) -> None:
    if not isinstance(value, tuple) or not all(isinstance(each, Member) for each in value):
        raise _Wrong("the table has an action selector: give it members, not an action")
    if not value:
        # simple_switch_grpc has no empty groups; and no member at all is what deleting the entry is for.
        raise _Wrong("a group has at least one member")
    for member in value:
        _action(member.action, table.actions, table)
        if member.weight < 1:
            raise _Wrong(f"a member's weight is at least 1, not {member.weight}")
        if not 0 <= member.watch_port <= _MAX_PORT:
            raise _Wrong(f"watch port {member.watch_port} is none")
    weight = sum(member.weight for member in value)
    if table.max_members and weight > table.max_members:
        raise _Wrong(f"the members' weights sum to {weight}, and a group has room for {table.max_members}")


def _clone(key: CloneKey, value: AnyValue) -> CloneKey:
    if not isinstance(value, Clone):
        raise _Wrong("a clone session has ports")
    # What bmv2's mirroring sessions have room for.
    if not 1 <= key.session <= _MAX_SESSION:
        raise _Wrong(f"a session's number is 1 to {_MAX_SESSION}")
    if not value.ports or any(not 0 <= port <= _MAX_PORT for port in value.ports):
        raise _Wrong(f"a clone session has one port or more, of 0 to {_MAX_PORT}")
    if len(set(value.ports)) < len(value.ports):
        raise _Wrong("a port is there twice")
    return key


def _meter(program: Program, key: MeterKey, value: AnyValue) -> MeterKey:
    if not isinstance(value, MeterConfig):
        raise _Wrong("a meter has rates and bursts")
    meter = program.meters.get(key.meter)
    if meter is None:
        raise _Wrong(f"the program has no meter {key.meter!r}; it has {', '.join(program.meters)}")
    if not 0 <= key.index < meter.size:
        raise _Wrong(f"the meter has indices 0 to {meter.size - 1}")
    rates = (value.cir, value.cburst, value.pir, value.pburst)
    if any(not 0 <= rate <= _MAX_INT64 for rate in rates):
        raise _Wrong("rates and bursts are 0 or more, in 63 bits")
    if value.cir > value.pir:
        raise _Wrong(f"the committed rate {value.cir} is above the peak rate {value.pir}")
    return key


def _too_many(program: Program, state: State) -> list[str]:
    counts = Counter(key.table for key in state if isinstance(key, Key) and not key.default)
    return [
        f"{name}: {count} entries are wanted and it has room for {program.tables[name].size}"
        for name, count in counts.items()
        if 0 < program.tables[name].size < count
    ]
