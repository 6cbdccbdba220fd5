# SPDX-License-Identifier: Apache-2.0
"""Event records of the runtime (runtime/events.h) as Python objects."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence

from p4jit.frontend import ir
from p4jit.target import native
from p4jit.target.interface import Digest, Event, IdleTimeout, LogRecord, PacketIn, PortChange

_HEAD = struct.Struct("<IIIIQ")


def assertions(program: ir.Program) -> frozenset[int]:
    """Indices of the messages that failed assertions log."""
    bodies = [action.body for action in program.actions] + [state.body for state in program.parser.states]
    return frozenset(s.message for body in bodies for s in body if isinstance(s, ir.Assert))


def decode_events(data: bytes, messages: Sequence[str], errors: frozenset[int] = frozenset()) -> list[Event]:
    """``data`` holds whole records; ``messages`` are the texts of the program's log_msg calls and, at the
    indices in ``errors``, of its assertions."""
    events: list[Event] = []
    at = 0
    while at < len(data):
        kind, index, detail, length, _ = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        body = data[at : at + length]
        at += -(-length // 8) * 8
        match kind:
            case native.EVENT_DIGEST:
                events.append(Digest(index, body))
            case native.EVENT_PACKET_IN:
                events.append(PacketIn(body))
            case native.EVENT_IDLE:
                events.append(IdleTimeout(index, detail))
            case native.EVENT_PORT:
                events.append(PortChange(index, bool(detail)))
            case native.EVENT_LOG:
                text = messages[index] if index < len(messages) else ""
                events.append(LogRecord(format_message(text, body, detail), index in errors))
    return events


def format_message(text: str, values: bytes, signs: int) -> str:
    """``text`` with its ``{}`` replaced, in order, by 16-byte little-endian numbers, signed where ``signs``
    has a bit."""
    numbers = [
        int.from_bytes(values[i : i + 16], "little", signed=bool(signs >> (i // 16) & 1))
        for i in range(0, len(values), 16)
    ]
    remaining = iter(numbers)
    return (
        re.sub(r"(?<!\\)\{[^{}]*\}", lambda m: str(next(remaining, m.group())), text)
        .replace("\\{", "{")
        .replace("\\}", "}")
    )
