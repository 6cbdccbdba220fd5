# SPDX-License-Identifier: Apache-2.0
"""What is to be sent, and when: a schedule is a list of these, in a file one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any


class ScheduleError(ValueError):
    """A line of a schedule is not a request."""


@dataclass(frozen=True)
class Request:
    """One request of one client. Its ID is the same in every arm, so that arms compare request by request."""

    at_seconds: float  # since the start of the run
    service: str
    prompt_tokens: int
    output_tokens: int
    keep_alive: bool
    id: str
    phase: str = ""
    host: str = ""  # that sends it
    #: Of a trace: equal leading blocks are equal leading text. A block has ``block_tokens`` tokens.
    blocks: tuple[int, ...] = ()
    block_tokens: float = 0.0


_TYPES: dict[str, type | tuple[type, ...]] = {
    "at_seconds": (int, float),
    "service": str,
    "prompt_tokens": int,
    "output_tokens": int,
    "keep_alive": bool,
    "id": str,
    "phase": str,
    "host": str,
    "blocks": list,
    "block_tokens": (int, float),
}
_REQUIRED = ("at_seconds", "service", "prompt_tokens", "output_tokens", "keep_alive", "id")


def write_schedule(requests: Iterable[Request], path: Path) -> None:
    """What `read_schedule` reads. Fields at their defaults are left out."""
    defaults = {each.name: each.default for each in fields(Request)}
    with path.open("w", encoding="utf-8") as file:
        for request in requests:
            row = {name: value for name, value in asdict(request).items() if value != defaults[name]}
            file.write(json.dumps(row) + "\n")


def read_schedule(path: Path) -> Iterator[Request]:
    """In the file's order, which must be that of time. ScheduleError names line and field."""
    before = 0.0
    seen: set[str] = set()
    # What is no UTF-8 is told by the line that it spoils, which a decoder that raises would not name.
    with path.open(encoding="utf-8", errors="surrogateescape") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            where = f"{path}:{number}"
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ScheduleError(f"{where}: not JSON: {error}") from None
            request = _request(row, where)
            if request.at_seconds < before:
                raise ScheduleError(f"{where}: at_seconds: {request.at_seconds} is before the line above")
            if request.id in seen:
                raise ScheduleError(f"{where}: id: {request.id!r} occurs twice")
            before = request.at_seconds
            seen.add(request.id)
            yield request


def _request(row: Any, where: str) -> Request:
    if not isinstance(row, dict):
        raise ScheduleError(f"{where}: a JSON object is expected")
    for name in _REQUIRED:
        if name not in row:
            raise ScheduleError(f"{where}: {name}: is missing")
    for name, value in row.items():
        if name not in _TYPES:
            raise ScheduleError(f"{where}: {name}: no such field")
        # A bool is an int in Python, not here.
        if not isinstance(value, _TYPES[name]) or (isinstance(value, bool) and name != "keep_alive"):
            raise ScheduleError(f"{where}: {name}: {value!r} is of the wrong type")
    for name, least in (("at_seconds", 0), ("prompt_tokens", 1), ("output_tokens", 1), ("block_tokens", 0)):
        if name in row and not row[name] >= least:
            raise ScheduleError(f"{where}: {name}: {row[name]} is less than {least}")
    if not all(type(block) is int for block in row.get("blocks", ())):
        raise ScheduleError(f"{where}: blocks: whole numbers are expected")
    return Request(**{**row, "blocks": tuple(row.get("blocks", ()))})
