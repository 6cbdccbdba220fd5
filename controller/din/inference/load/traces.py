# SPDX-License-Identifier: Apache-2.0
"""Readers of the public traces' formats.

- Mooncake: JSON lines, ``timestamp`` in ms, ``input_length``, ``output_length``, ``hash_ids`` of 512-token
  blocks;
- Azure LLM inference: CSV, ``TIMESTAMP`` (a date with a fraction), ``ContextTokens``, ``GeneratedTokens``;
- BurstGPT: CSV, ``Timestamp`` in s, ``Request tokens``, ``Response tokens``, and columns that are not needed
  here.

All of them stream: a file is never in memory. What is wrong is a `TraceError` that names file, line and
field.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

MOONCAKE_BLOCK: Final = 512
#: What is no UTF-8 is told by the line that it spoils, which a decoder that raises would not name.
_AS_IT_IS: Final = "surrogateescape"


class TraceError(ValueError):
    """A line of a trace is not of its format."""

    def __init__(self, path: Path, line: int, field: str, problem: str) -> None:
        super().__init__(f"{path}:{line}: {field}: {problem}")


@dataclass(frozen=True)
class Traced:
    """One request of a trace. BurstGPT marks failed ones by ``output_tokens`` 0."""

    at_seconds: float  # as the trace counts: since its beginning or of an epoch of its own
    prompt_tokens: int
    output_tokens: int
    blocks: tuple[int, ...] = ()
    block_tokens: float = 0.0


def read_mooncake(path: Path) -> Iterator[Traced]:
    """TraceError: see above. OSError: no such file."""
    with path.open(encoding="utf-8", errors=_AS_IT_IS) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise TraceError(path, number, "line", f"not JSON: {error}") from None
            if not isinstance(row, dict):
                raise TraceError(path, number, "line", "a JSON object is expected")

            def get(name: str, row: dict[str, Any] = row, number: int = number) -> Any:
                if name not in row:
                    raise TraceError(path, number, name, "is missing")
                return row[name]

            blocks = get("hash_ids")
            if not isinstance(blocks, list) or not all(type(block) is int for block in blocks):
                raise TraceError(
                    path, number, "hash_ids", f"a list of whole numbers is expected, not {blocks!r}"
                )
            yield Traced(
                at_seconds=_number(get("timestamp"), path, number, "timestamp") / 1e3,
                prompt_tokens=_tokens(get("input_length"), path, number, "input_length"),
                output_tokens=_tokens(get("output_length"), path, number, "output_length"),
                blocks=tuple(blocks),
                block_tokens=MOONCAKE_BLOCK,
            )


def read_azure(path: Path) -> Iterator[Traced]:
    """Times are since the first row's. TraceError: see above. OSError: no such file."""
    first: datetime | None = None
    for number, row in _rows(path, ("TIMESTAMP", "ContextTokens", "GeneratedTokens")):
        text = row["TIMESTAMP"]
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            raise TraceError(path, number, "TIMESTAMP", f"not a date and time: {text!r}") from None
        # Later editions name their zone, the first does not; it is UTC.
        at = at.replace(tzinfo=at.tzinfo or UTC)
        first = first or at
        yield Traced(
            at_seconds=(at - first).total_seconds(),
            prompt_tokens=_tokens(row["ContextTokens"], path, number, "ContextTokens"),
            output_tokens=_tokens(row["GeneratedTokens"], path, number, "GeneratedTokens"),
        )


def read_burstgpt(path: Path) -> Iterator[Traced]:
    """TraceError: see above. OSError: no such file."""
    for number, row in _rows(path, ("Timestamp", "Request tokens", "Response tokens")):
        yield Traced(
            at_seconds=_number(row["Timestamp"], path, number, "Timestamp"),
            prompt_tokens=_tokens(row["Request tokens"], path, number, "Request tokens"),
            output_tokens=_tokens(row["Response tokens"], path, number, "Response tokens"),
        )


READERS: Final[dict[str, Callable[[Path], Iterator[Traced]]]] = {
    "mooncake": read_mooncake,
    "azure": read_azure,
    "burstgpt": read_burstgpt,
}


def scaled(trace: Iterable[Traced], *, rate: float = 1.0, lengths: float = 1.0) -> Iterator[Traced]:
    """``rate`` times as many requests a second, each ``lengths`` times as long. ValueError: not positive."""
    for name, value in (("rate", rate), ("lengths", lengths)):
        if not 0 < value < math.inf:
            raise ValueError(f"{name} is a positive number, not {value}")
    return (
        replace(
            each,
            at_seconds=each.at_seconds / rate,
            prompt_tokens=math.ceil(each.prompt_tokens * lengths),
            output_tokens=math.ceil(each.output_tokens * lengths),
            block_tokens=each.block_tokens * lengths,
        )
        for each in trace
    )


def _rows(path: Path, needed: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, fields) of a CSV file with a header."""
    # A byte order mark, which spreadsheets leave, is no part of the first column's name.
    with path.open(encoding="utf-8-sig", errors=_AS_IT_IS, newline="") as file:
        reader = csv.reader(file)
        try:
            header = next(reader, [])
            for name in needed:
                if name not in header:
                    raise TraceError(path, 1, name, f"no such column: there are {str(header)[:200]}")
            for row in reader:
                if not row:
                    continue
                if len(row) != len(header):
                    raise TraceError(
                        path,
                        reader.line_num,
                        "line",
                        f"{len(row)} fields, where the header has {len(header)}",
                    )
                yield reader.line_num, dict(zip(header, row, strict=True))
        except csv.Error as error:
            raise TraceError(path, reader.line_num, "line", f"not CSV: {error}") from None


def _number(value: Any, path: Path, line: int, field: str) -> float:
    try:
        # JSON's true is no number.
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise TraceError(path, line, field, f"a number is expected, not {value!r}")
    return found


def _tokens(value: Any, path: Path, line: int, field: str) -> int:
    found = _number(value, path, line, field)
    if found < 0 or found != int(found):
        raise TraceError(path, line, field, f"a number of tokens is expected, not {value!r}")
    return int(found)
