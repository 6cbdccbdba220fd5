# SPDX-License-Identifier: Apache-2.0
"""What a run came to: ``python -m din.inference.load.summary OUT...`` tells it by services and phases."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from din.model.service import Slo

from .arrivals import WARM_UP
from .outcome import OK, Outcome, OutcomeError, read_run
from .stats import Estimate, Summary, summarise, why_void

_HEADER: Final = (
    *("service", "phase", "requests", "ok", "TTFT p50 ms", "p95", "TPOT p50 ms", "p95"),
    *("goodput/s", "per connection", "other than ok", "instances"),
)
_NONE: Final = "–"
#: Where none was given: goodput by it is not told.
_NO_SLO: Final = Slo.model_validate({"ttft": "1us", "tpot": "1us"})


def seconds_of(outcomes: Sequence[Outcome]) -> float | None:
    """In which so many requests come, at the rate at which these were scheduled. None: they have no rate."""
    times = [each.scheduled for each in outcomes]
    span = max(times) - min(times)
    return span * len(times) / (len(times) - 1) if span > 0 else None


def summaries(
    outcomes: Iterable[Outcome], slos: Mapping[str, Slo]
) -> dict[tuple[str, str], tuple[Summary, Estimate | None]]:
    """(service, phase) -> what came of it, and goodput in requests/s where there is an SLO and a rate. The
    warm-up is left out."""
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for each in outcomes:
        if each.phase == WARM_UP:
            continue
        groups.setdefault((each.service, each.phase), []).append(each)
    found = {}
    for (service, phase), group in sorted(groups.items()):
        slo, seconds = slos.get(service), seconds_of(group)
        summary = summarise(group, slo or _NO_SLO, seconds or 1.0)
        found[service, phase] = summary, summary.goodput if slo and seconds else None
    return found


def _row(service: str, phase: str, summary: Summary, goodput: Estimate | None) -> list[str]:
    ratio = summary.requests_per_connection
    others = {name: count for name, count in summary.statuses.items() if name != OK}
    return [
        service,
        phase or _NONE,
        str(summary.requests),
        str(summary.statuses.get(OK, 0)),
        *(_show(each, 1e3, 0) for each in (summary.ttft_p50, summary.ttft_p95)),
        *(_show(each, 1e3, 1) for each in (summary.tpot_p50, summary.tpot_p95)),
        _show(goodput, 1, 2),
        _NONE if ratio is None else f"{ratio:.1f}",
        ", ".join(f"{name}: {count}" for name, count in others.items()) or _NONE,
        ", ".join(f"{name} {share:.0%}" for name, share in summary.instance_shares.items()) or _NONE,
    ]


def _show(estimate: Estimate | None, scale: float, digits: int) -> str:
    if estimate is None:
        return _NONE
    value, low, high = (
        f"{each * scale:.{digits}f}" for each in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value} [{low}, {high}]"


def _slos(values: Sequence[str], parser: argparse.ArgumentParser) -> dict[str, Slo]:
    found: dict[str, Slo] = {}
    for value in values:
        service, _, bounds = value.partition("=")
        first, _, each = bounds.partition(",")
        try:
            found[service] = Slo.model_validate({"ttft": first, "tpot": each})
        except ValidationError:
            parser.error(f"--slo is SERVICE=TTFT,TPOT as chat=800ms,50ms, not {value!r}")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """0: printed. 1: a file could not be read. 2: wrong use."""
    parser = argparse.ArgumentParser(
        prog="python -m din.inference.load.summary",
        description="Tells what came of a run. Brackets are 95 % intervals.",
    )
    parser.add_argument(
        "files", type=Path, nargs="+", metavar="FILE", help="that a generator wrote, one a site"
    )
    parser.add_argument(
        "--slo",
        action="append",
        default=[],
        metavar="SERVICE=TTFT,TPOT",
        help="as chat=800ms,50ms: goodput is what meets both",
    )
    parser.add_argument("--json", action="store_true", help="for machines")
    arguments = parser.parse_args(argv)
    slos = _slos(arguments.slo, parser)
    try:
        run = read_run(arguments.files)
    except (OSError, OutcomeError) as error:
        print(f"din.inference.load.summary: {error}", file=sys.stderr)
        return 1
    found = summaries(run.outcomes, slos)
    void = why_void(run.generators, sites=len(arguments.files))
    if arguments.json:
        rows = [
            {"service": service, "phase": phase, **asdict(summary), "goodput": goodput and asdict(goodput)}
            for (service, phase), (summary, goodput) in found.items()
        ]
        print(json.dumps({"void": void, "rows": rows}, indent=2))
        return 0
    table = [list(_HEADER), *(_row(*key, *value) for key, value in found.items())]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    reasons: dict[str, str] = {}
    for each in run.outcomes:
        if each.detail:
            reasons.setdefault(each.status, each.detail)
    for status, detail in sorted(reasons.items()):
        print(f"{status}, the first: {detail}")
    for reason in void:
        print(f"void: {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
