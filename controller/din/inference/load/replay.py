# SPDX-License-Identifier: Apache-2.0
"""A trace as a schedule: ``python -m din.inference.load.replay`` writes a generator's file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from .request import Request, write_schedule
from .traces import READERS, Traced, TraceError, scaled


def replay(
    trace: Iterable[Traced], service: str, *, name: str = "trace", phase: str = "", keep_alive: bool = False
) -> list[Request]:
    """A schedule that begins with the earliest request, in order of time. ``name`` begins the requests' IDs.
    At least one token is asked for, and about: none cannot be."""
    found = sorted(enumerate(trace), key=lambda pair: (pair[1].at_seconds, pair[0]))
    begin = found[0][1].at_seconds if found else 0.0
    return [
        Request(
            at_seconds=each.at_seconds - begin,
            service=service,
            prompt_tokens=max(each.prompt_tokens, 1),
            output_tokens=max(each.output_tokens, 1),
            keep_alive=keep_alive,
            id=f"{name}.{service}.{number}",
            phase=phase,
            blocks=each.blocks,
            block_tokens=each.block_tokens,
        )
        for number, each in found
    ]


def first_seconds(trace: Iterable[Traced], seconds: float) -> Iterator[Traced]:
    """What comes less than ``seconds`` after the first line's request. A trace need not be in order of time:
    this has all that come less than ``seconds`` after the earliest, and is short enough to be sorted."""
    end: float | None = None
    for each in trace:
        end = each.at_seconds + seconds if end is None else end
        if each.at_seconds < end:
            yield each


def main(argv: Sequence[str] | None = None) -> int:
    """0: written. 1: a file could not be read or written. 2: wrong use."""
    parser = argparse.ArgumentParser(
        prog="python -m din.inference.load.replay", description="Makes a schedule of a public trace."
    )
    add = parser.add_argument
    add("format", choices=sorted(READERS))
    add("trace", type=Path)
    add("--out", type=Path, required=True, metavar="FILE", help="for python -m din.inference.load --schedule")
    add("--service", required=True, help="that the requests are for")
    add("--rate", type=float, default=1.0, help="times as many requests a second (default %(default)s)")
    add("--lengths", type=float, default=1.0, help="times as many tokens (default %(default)s)")
    add("--seconds", type=float, default=float("inf"), help="of the schedule (default: the whole trace)")
    add("--keep-alive", action="store_true", help="over connections that are kept")
    arguments = parser.parse_args(argv)
    if not arguments.seconds > 0:
        parser.error(f"seconds is a positive number, not {arguments.seconds}")
    try:
        trace = scaled(
            READERS[arguments.format](arguments.trace), rate=arguments.rate, lengths=arguments.lengths
        )
    except ValueError as error:
        parser.error(str(error))
    try:
        found = replay(
            first_seconds(trace, arguments.seconds),
            arguments.service,
            name=arguments.trace.stem,
            keep_alive=arguments.keep_alive,
        )
        found = [each for each in found if each.at_seconds < arguments.seconds]
        write_schedule(found, arguments.out)
    except (OSError, TraceError) as error:
        # What fails in the middle of writing does not say where.
        where = f"{arguments.out}: " if isinstance(error, OSError) and error.filename is None else ""
        print(f"din.inference.load.replay: {where}{error}", file=sys.stderr)
        return 1
    print(f"{len(found)} requests in {found[-1].at_seconds if found else 0:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
