# SPDX-License-Identifier: Apache-2.0
"""A comparison's report: one HTML file that needs nothing but a browser.

``python -m din.testbed.report FOLDER`` makes it of a folder that a comparison left.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from din.inference.load.stats import LEAST_FOR_P95, LEAST_FOR_P99, tpot, ttft

from . import charts, picture, tables
from .record import RUN_FILE
from .results import ALL, RESULTS_FILE, Results, ResultsError, as_json, read_results, write_json
from .verdict import sentences

REPORT_FILE: Final = "report.html"
_TEMPLATE: Final = "report.html.jinja"


def write(results: Results) -> Path:
    path = results.folder / REPORT_FILE
    path.write_text(render(results), encoding="utf-8")
    return path


def render(results: Results) -> str:
    environment = Environment(
        loader=PackageLoader(__package__, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    several = len(results.phases) > 1
    return environment.get_template(_TEMPLATE).render(
        results=results,
        conditions=tables.conditions(results),
        sentences=sentences(results),
        network=picture.network(results.model),
        uses=picture.uses(results),
        legend=charts.legend(results),
        times=charts.times(results),
        ecdfs=[charts.ecdf(results, each) for each in results.phases],
        goodput=charts.goodput(results),
        arms=tables.arms(results),
        phases=[tables.phase(results, each) for each in (*results.phases, *([ALL] if several else []))],
        services=[_service(results, each) for each in results.services],
        differences=tables.all_differences(results),
        files=_files(results.folder),
        data=_embedded(results),
        least_for_p95=LEAST_FOR_P95,
        least_for_p99=LEAST_FOR_P99,
    )


def _service(results: Results, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "sheets": [each(results, name) for each in (tables.service, tables.shares, tables.paths)],
        "charts": [
            each for each in (charts.shares(results, name), charts.latency(results, name)) if each is not None
        ],
    }


def _files(folder: Path) -> list[str]:
    """What the figures come from, relative to the report."""
    found = [folder / RUN_FILE, folder / RESULTS_FILE, *sorted(folder.glob("*.yaml"))]
    found += [*sorted(folder.glob("*.jsonl")), *sorted(folder.glob("*/*.jsonl"))]
    return [str(each.relative_to(folder)) for each in found if each.exists()]


def _embedded(results: Results) -> Markup:
    """JSON that may stand in a script element: nothing in it can end that."""
    data = as_json(results)
    data["request_columns"] = ["id", "service", "phase", "scheduled", "ttft", "tpot", "status", "instance"]
    for arm, shown in zip(results.arms, data["arms"], strict=True):
        shown["requests"] = [
            [
                each.id,
                each.service,
                each.phase,
                round(each.scheduled, 4),
                _rounded(ttft(each)),
                _rounded(tpot(each)),
                each.status,
                each.instance,
            ]
            for each in arm.outcomes
        ]
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for mark in "<>&":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return Markup(text)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 5)


def main(argv: Sequence[str] | None = None) -> int:
    """0: it is made. 1: the folder is not what a comparison leaves, or cannot be written to."""
    parser = argparse.ArgumentParser(
        prog="python -m din.testbed.report", description="Makes a comparison's report again."
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="as in results/")
    folder: Path = parser.parse_args(argv).folder
    try:
        results = read_results(folder)
        write_json(results)
        print(write(results))
    except (ResultsError, OSError) as error:
        print(f"din.testbed.report: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
