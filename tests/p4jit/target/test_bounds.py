# SPDX-License-Identifier: Apache-2.0
"""What simple_switch leaves undefined, or to the packet, is bounded here (the table in docs/p4jit.md)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from p4jit.target.interface import DEFAULT_ENTRY, CounterValue
from p4jit.target.switch import Switch

BOUNDS = Path(__file__).parent.parent / "programs" / "bounds.json"
TIMEOUT, TOO_SHORT = 1, 2
ITEMS = bytes([0x11, 0x22, 0x33, 0x44])


@dataclass(frozen=True)
class Answer:
    error: int
    read: int
    absent: int
    turns: int
    rest: bytes


@pytest.fixture
def switch() -> Iterator[Switch]:
    with Switch(BOUNDS, ports=range(2)) as sw:
        yield sw


def ask(switch: Switch, op: int, index: int = 0, count: int = 0, rest: bytes = ITEMS) -> Answer | None:
    outs = switch.inject(0, struct.pack(">BBI", op, index, count) + rest)
    if not outs:
        return None
    (out,) = outs
    return Answer(*struct.unpack_from(">BBBI", out.data), out.data[7 + 6 :])


def test_a_parser_that_takes_nothing_times_out(switch: Switch) -> None:
    answer = ask(switch, 1)
    assert answer is not None
    assert (answer.error, answer.rest) == (TIMEOUT, ITEMS)


def test_looking_ahead_past_the_end_is_packet_too_short(switch: Switch) -> None:
    short, enough = ask(switch, 2, rest=bytes(7)), ask(switch, 2, rest=bytes(8))
    assert short is not None
    assert enough is not None
    assert (short.error, enough.error) == (TOO_SHORT, 0)


def test_a_loop_in_an_action_ends(switch: Switch) -> None:
    assert [ask(switch, 3, count=n).turns for n in (0, 1, 1000)] == [0, 1, 1000]  # type: ignore[union-attr]
    assert ask(switch, 3, count=2**32 - 1) is None
    assert switch.device.drops()["assertion"] == 1
    assert ask(switch, 0) is not None


@pytest.mark.parametrize("index", [3, 4, 200, 255])
def test_an_index_beyond_a_stack_touches_nothing_else(switch: Switch, index: int) -> None:
    written = ask(switch, 4, index=index)
    assert written is not None
    assert written.rest == ITEMS
    inside = ask(switch, 4, index=1)
    assert inside is not None
    assert inside.rest == bytes([0x11, 0x77, 0x33, 0x44])
    read = ask(switch, 5, index=index)
    assert read is not None
    # Not a byte of the header behind the stack, nor what an earlier packet wrote out there.
    assert read.read == 0


def test_a_header_that_is_not_there_reads_as_zero_whatever_came_before(switch: Switch) -> None:
    for value in (0xFF, 0x55):
        answer = ask(switch, 0, rest=bytes([value] * 64))
        assert answer is not None
        assert answer.absent == 0


def test_a_default_entry_counts_misses(switch: Switch) -> None:
    """P4Runtime has direct counters on default entries; simple_switch counts hits only."""
    (table,) = [t for t in switch.program.ir.tables if t.with_counters]
    for _ in range(3):
        ask(switch, 0)
    assert switch.device.entry_counter(table.index, DEFAULT_ENTRY) == CounterValue(3, 30)
    switch.insert(table.name, {table.key[0].name: 0}, "NoAction")
    ask(switch, 0)
    assert switch.device.entry_counter(table.index, DEFAULT_ENTRY) == CounterValue(3, 30)
