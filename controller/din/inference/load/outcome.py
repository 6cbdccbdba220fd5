# SPDX-License-Identifier: Apache-2.0
"""What a request met with, and what the generator says of itself: the lines of a run's output file.

All times are seconds since the run's start, which every generator of a run shares. The last line is the run's
`Generator` record, told apart by its ``record`` field; without it the run was killed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

#: Outcomes of a request that are not an HTTP status: ``status`` is one of these, or "429" and the like.
OK: Final = "ok"
CONNECT: Final = "connect"  # no connection
BROKEN: Final = "broken"  # the connection ended before the answer did
TIMEOUT: Final = "timeout"
ERROR: Final = "error"  # the server said so within the stream, or answered nonsense
CUT: Final = "cut"  # the run ended first
NO_INSTANCE: Final = "no-instance"  # none to choose from


class OutcomeError(ValueError):
    """A line of an output file is not a record."""


@dataclass
class Outcome:
    """One request. What did not happen is None."""

    id: str
    service: str
    phase: str
    scheduled: float
    prompt_tokens: int
    asked_tokens: int
    sent: float
    status: str = CUT
    #: Of the connection, as the network's reports name it.
    local_address: str | None = None
    local_port: int | None = None
    remote_address: str | None = None
    remote_port: int | None = None
    #: Which of the process's connections: a port may be used again.
    connection: int | None = None
    first_token: float | None = None
    last_token: float | None = None
    end: float | None = None
    output_tokens: int = 0  # as the server counts, or else chunks
    chunks: int = 0  # with content
    gap_max: float | None = None  # between chunks, or of one that did not come
    gap_mean: float | None = None  # between chunks
    instance: str | None = None
    broken: bool = False
    detail: str = ""

    @property
    def lag(self) -> float:
        """How late the generator sent it."""
        return self.sent - self.scheduled


@dataclass(frozen=True)
class Generator:
    """Whether the run's figures may be believed: a generator that lags, or that is short of CPU, measures
    itself.
    """

    start_at: float  # s since 1970
    seconds: float  # how long it ran
    requests: int
    unsent: int  # when it was stopped
    lag_mean: float  # s, of requests
    lag_p99: float
    lag_max: float
    loop_lag_p99: float  # s, of a timer that does nothing else
    loop_lag_max: float
    cpu_seconds: float
    cpu_busiest: float  # share of one core, in the worst second
    polls: int = 0  # of instances' metrics
    polls_failed: int = 0
    record: str = "generator"


def dump(record: Outcome | Generator) -> str:
    """One line, without its end."""
    return json.dumps(asdict(record))


@dataclass(frozen=True)
class Run:
    outcomes: list[Outcome]
    generators: list[Generator]  # fewer than files: some were killed


def read_run(paths: Iterable[Path]) -> Run:
    """The output files of one run, one a site. OutcomeError names file, line and field."""
    run = Run([], [])
    for path in paths:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                where = f"{path}:{number}"
                try:
                    row = json.loads(line)
                except ValueError as error:
                    # A killed process leaves half a line at most, and that at the end.
                    if not line.endswith("\n"):
                        break
                    raise OutcomeError(f"{where}: not JSON: {error}") from None
                if isinstance(row, dict) and row.get("record") == "generator":
                    run.generators.append(_record(Generator, row, where))
                else:
                    run.outcomes.append(_record(Outcome, row, where))
    return run


def _record(kind: type[Any], row: Any, where: str) -> Any:
    names = {each.name for each in fields(kind)}
    if not isinstance(row, dict):
        raise OutcomeError(f"{where}: a JSON object is expected")
    for name in row.keys() - names:
        raise OutcomeError(f"{where}: {name}: no such field")
    try:
        return kind(**row)
    except TypeError as error:
        raise OutcomeError(f"{where}: {error}") from None
