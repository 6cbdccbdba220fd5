# SPDX-License-Identifier: Apache-2.0
"""A comparison's tables: what they say. A terminal shows them (`terminal`), and the report does.

Times are in ms, rates in requests/s; brackets are 95 % intervals.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from din.inference.load.outcome import OK
from din.inference.load.stats import LEAST_FOR_P99, Estimate, Summary, Verdict
from din.model.emulated import Event, EventKind

from .results import ALL, ArmResult, Question, Results
from .verdict import TOLD, amount, unit, where

_EMPTY: Final = "–"
#: What is less than this share of something is not listed.
_LEAST_SHARE: Final = 0.005
_COLOURS_NOTE: Final = (
    "green: better, red: worse, neither: a tie. TTFT is of requests that both arms answered, goodput of all"
)
LONG: Final = "responses by"
#: Columns that are no figures.
TEXTS: Final = frozenset(("arm", "where", "instances", "paths", "source", "clients at", LONG))
#: Of a latency split, in the order in which a request meets them.
PARTS: Final = ("network", "queue", "compute", "other")


@dataclass(frozen=True)
class Cell:
    text: str
    verdict: Verdict | None = None


@dataclass(frozen=True)
class Sheet:
    title: str
    columns: Sequence[str]  # the first names the row
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    void: frozenset[int] = frozenset()  # rows that count for nothing


def conditions(results: Results) -> list[tuple[str, str]]:
    """What the figures depend on, the declared scaling first."""
    run, scale = results.run, results.model.emulation.scale
    comparison = results.model.emulation.comparison
    started = time.strftime("%F %T", time.localtime(run.started))
    phases = ", ".join(f"{name} {seconds:g} s" for name, seconds in run.phases.items())
    found = [
        (
            "scaling",
            f"bytes of prompts and KV transfers x {scale.bytes:g}, rates of servers x {scale.rate:g}, "
            f"load, links and places in servers x {scale.load:g}",
        ),
        ("run", f"{run.file} on {run.target}, seed {run.seed}, {started}"),
        ("machine", f"{run.cores} core{'s' if run.cores != 1 else ''}; an arm is void above 80 % of them"),
    ]
    if comparison is not None:
        found.append(("phases", f"warm-up {comparison.warm_up / 1e6:g} s (discarded), {phases}"))
        found += [
            (f"phase {phase.name}", "; ".join(map(describe, phase.events)))
            for phase in comparison.phases
            if phase.events and phase.name in run.phases
        ]
        rate = sum(each.requests_per_second for each in comparison.loads)
        found.append(
            ("load", f"{rate:.3g} requests/s, open loop (Poisson), the same in each arm; no retries")
        )
    for name in results.services:
        slo = next(each.slo for each in results.model.services if each.name == name)
        found.append(
            (f"goodput of {name}", f"TTFT <= {slo.ttft / 1e3:g} ms and TPOT <= {slo.tpot / 1e3:g} ms")
        )
    ran = sorted(results.arms, key=lambda arm: arm.run.order)
    found.append(("order of arms", ", ".join(arm.name for arm in ran)))
    return found


def describe(event: Event) -> str:
    match event.kind:
        case EventKind.CONGESTED_LINK:
            way = f"from {event.source} to {event.sink}"
            return f"{(event.rate or 0) / 1e6:g} Mbit/s {way}, over {'–'.join(event.link or ())}"
        case EventKind.SLOW_SERVER:
            return f"{event.instance} takes {event.slowdown:g} times as long"
        case EventKind.FAILED_LINK:
            return f"{'–'.join(event.link or ())} fails"


def arms(results: Results) -> Sheet:
    """What each arm does, and how busy the machine was."""
    busy = [f"CPU {phase}" for phase in results.phases]
    rows = [
        [
            Cell(arm.name),
            Cell(arm.run.instances),
            Cell(arm.run.paths),
            *(Cell(_percent(arm.run.cpu.get(phase))) for phase in results.phases),
            Cell(_ms(max((each.lag_p99 for each in arm.generators), default=None))),
        ]
        for arm in results.arms
    ]
    columns = ["arm", "instances", "paths", *busy, "lag p99"]
    note = "lag: how late the slowest generator sent its requests, ms"
    return Sheet("Arms", columns, rows, note, _void(results.arms))


def phase(results: Results, name: str) -> Sheet:
    """One row an arm; ``name`` may be `ALL`."""
    summaries = [arm.summaries[name][ALL] for arm in results.arms]
    p99 = any(each.requests >= LEAST_FOR_P99 for each in summaries)
    columns = ["arm", "goodput", "TTFT p50", "TTFT p95", *(["TTFT p99"] if p99 else [])]
    columns += ["TPOT p50", "rejected", "broken", "longest gap"]
    rows = [
        [
            Cell(arm.name),
            Cell(_rate(summary.goodput)),
            Cell(_interval(summary.ttft_p50)),
            Cell(_interval(summary.ttft_p95)),
            *([Cell(_interval(summary.ttft_p99))] if p99 else []),
            Cell(_estimate(summary.tpot_p50)),
            Cell(str(rejected(summary))),
            Cell(str(broken(summary))),
            Cell(_ms(summary.longest_gap)),
        ]
        for arm, summary in zip(results.arms, summaries, strict=True)
    ]
    asked = max((each.requests for each in summaries), default=0) / results.seconds(name)
    title = "All phases" if name == ALL else f"Phase {name}"
    return Sheet(
        f"{title}: {asked:.1f} requests/s asked", columns, rows, _events(results, name), _void(results.arms)
    )


def differences(results: Results, question: Question, title: str, first: str | None = None) -> Sheet | None:
    """One row a place, one column a measure. None: there is nothing to compare."""
    cells: dict[tuple[str, str], dict[str, Cell]] = {}
    for each in results.compared:
        if each.question is question and first in (None, each.first):
            text = amount(each) + (f" ({each.second})" if question is Question.BEST_OTHER else "")
            row = cells.setdefault((each.phase, each.service), {})
            row[each.measure] = Cell(text, each.difference.verdict)
    rows = [
        [Cell(where(*place)), *(found.get(each.name, Cell(_EMPTY)) for each in TOLD)]
        for place, found in cells.items()
    ]
    columns = ["where", *(f"{each.title}, {unit(each.name)}" for each in TOLD)]
    return Sheet(title, columns, rows, _COLOURS_NOTE) if rows else None


def causes(results: Results) -> Sheet | None:
    """The square: one row a phase and measure, one column a side. None: no side is there."""
    sides: list[tuple[Question, str, str]] = []
    cells: dict[tuple[str, str], dict[tuple[Question, str, str], Cell]] = {}
    for each in results.compared:
        is_side = each.question in (Question.INSTANCE_CHOICE, Question.PATH_CHOICE)
        if not is_side or each.service != ALL or each.measure not in {told.name for told in TOLD}:
            continue
        side = (each.question, each.first, each.second)
        if side not in sides:
            sides.append(side)
        cells.setdefault((each.phase, each.measure), {})[side] = Cell(amount(each), each.difference.verdict)
    titles = {each.name: each.title for each in TOLD}
    rows = [
        [
            Cell(f"{where(phase_name, ALL)} {titles[measure]}, {unit(measure)}"),
            *(found.get(side, Cell(_EMPTY)) for side in sides),
        ]
        for (phase_name, measure), found in cells.items()
    ]
    columns = ["where", *(f"{question}:\n{one} – {other}" for question, one, other in sides)]
    return Sheet("Which gain has which cause", columns, rows, _COLOURS_NOTE) if rows else None


def all_differences(results: Results) -> list[Sheet]:
    found = []
    if results.din is not None:
        title = f"DIN less {results.baseline}"
        found.append(differences(results, Question.BASELINE, title, results.din))
    found.append(differences(results, Question.BEST_OTHER, "DIN less the best other arm of each measure"))
    found.append(causes(results))
    return [each for each in found if each is not None]


def service(results: Results, name: str) -> Sheet:
    """One row an arm, all phases together."""
    found = [(arm, arm.summaries[ALL][name]) for arm in results.arms if name in arm.summaries[ALL]]
    p99 = any(summary.requests >= LEAST_FOR_P99 for _, summary in found)
    columns = ["arm", "requests", "per conn.", "goodput", "TTFT p50", "TTFT p95"]
    columns += [*(["TTFT p99"] if p99 else []), "TPOT p50", "rejected", "broken"]
    rows = [
        [
            Cell(arm.name),
            Cell(str(summary.requests)),
            Cell(_number(summary.requests_per_connection)),
            Cell(_rate(summary.goodput)),
            Cell(_interval(summary.ttft_p50)),
            Cell(_interval(summary.ttft_p95)),
            *([Cell(_interval(summary.ttft_p99))] if p99 else []),
            Cell(_estimate(summary.tpot_p50)),
            Cell(str(rejected(summary))),
            Cell(str(broken(summary))),
        ]
        for arm, summary in found
    ]
    note = "per conn.: requests of a connection; an instance is chosen once a connection"
    return Sheet(f"Service {name}, all phases", columns, rows, note, _void(arm for arm, _ in found))


def shares(results: Results, name: str) -> Sheet:
    """Where a service's requests went, and where the time to their first tokens."""
    found = [(arm, arm.summaries[ALL][name]) for arm in results.arms if name in arm.summaries[ALL]]
    instances = [each.name for each in results.model.instances_of(name)]
    rows = []
    for arm, summary in found:
        split = latency_split(arm, ALL, name)
        ways: dict[str, float] = {}
        for route, share in routes(results, arm, ALL, name).items():
            ways[via(route)] = ways.get(via(route), 0.0) + share
        rows.append(
            [
                Cell(arm.name),
                *(Cell(_percent(summary.instance_shares.get(each, 0.0))) for each in instances),
                *(Cell(_part(split, part)) for part in PARTS),
                Cell(_EMPTY if split is None else split.source),
                Cell(_listed(ways)),
            ]
        )
    note = (
        "mean TTFT at the client's leaf in ms: network between the leaves; queue and compute of the server, "
        "by its spans or its histograms (source); other. Responses by: transit nodes, shares as planned"
    )
    columns = ["arm", *instances, *PARTS, "source", LONG]
    title = f"Service {name}, all phases: instances, latency, paths"
    return Sheet(title, columns, rows, note, _void(arm for arm, _ in found))


def paths(results: Results, name: str) -> Sheet:
    """Where the plan had a service's responses go, by client's leaf and phase."""
    rows: list[list[Cell]] = []
    void = set()
    for arm in results.arms:
        for leaf, label in client_leaves(results, arm, name):
            if arm.void:
                void.add(len(rows))
            key = f"{leaf} {name} {label}".strip()
            planned = (arm.run.paths_taken.get(each, {}).get(key, {}) for each in results.phases)
            rows.append(
                [Cell(arm.name), Cell(f"{leaf} {label}".strip()), *(Cell(_listed(each)) for each in planned)]
            )
    columns = ["arm", "clients at", *results.phases]
    note = "shares as planned, of connections; responses carry the tokens"
    return Sheet(f"Paths of {name}'s responses", columns, rows, note, frozenset(void))


def routes(results: Results, arm: ArmResult, phase_name: str, service_name: str) -> dict[str, float]:
    """Route of responses -> its share of requests (to one service or to `ALL`): as planned, weighted by who
    asked when. None are known of clients that choose for themselves."""
    if arm.run.instances == "client":
        return {}
    asked: dict[tuple[str, str], int] = {}
    for each in arm.select(phase_name, service_name):
        host = results.model.host.get(arm.hosts[each.id])
        if host is not None:
            key = f"{host.leaf} {each.service} {host.label or ''}".strip()
            asked[each.phase, key] = asked.get((each.phase, key), 0) + 1
    found: dict[str, float] = {}
    for (phase_of, key), count in asked.items():
        for route, share in arm.run.paths_taken.get(phase_of, {}).get(key, {}).items():
            found[route] = found.get(route, 0.0) + count * share
    total = sum(found.values())
    return {route: weight / total for route, weight in found.items()} if total else {}


def via(route: str) -> str:
    """A route's transit nodes."""
    return " ".join(route.split()[1:-1]) or "own leaf"


def client_leaves(results: Results, arm: ArmResult, service_name: str) -> list[tuple[str, str]]:
    """(leaf, label) of those that asked for the service."""
    hosts = {arm.hosts[each.id] for each in arm.outcomes if each.service == service_name}
    known = [results.model.host[name] for name in sorted(hosts) if name in results.model.host]
    return sorted({(each.leaf, each.label or "") for each in known})


@dataclass(frozen=True)
class MeanSplit:
    parts: Mapping[str, float]  # ms
    source: str  # of queue and compute: spans | histograms | mixed | none
    responses: int


def latency_split(arm: ArmResult, phase_name: str, service_name: str) -> MeanSplit | None:
    """Means, as the controller's telemetry tells. None: it has none."""
    found = []
    for name, view in arm.run.latency.items():
        if phase_name in (ALL, name):
            of_service = view.get("services", {}).get(service_name)
            if of_service and of_service.get("responses"):
                found.append(of_service)
    if not found:
        return None
    sources = {each["source"] for each in found if each["source"] != "none"}
    source = "mixed" if len(sources) > 1 else next(iter(sources), "none")
    parts = {}
    for part in PARTS:
        known = [each[part] for each in found if each[part]["mean"] is not None]
        count = sum(each["count"] for each in known)
        if count:
            parts[part] = sum(each["mean"] * each["count"] for each in known) / count / 1e3
    return MeanSplit(parts, source, sum(each["responses"] for each in found))


def rejected(summary: Summary) -> int:
    """Requests that were answered, but not with tokens."""
    return sum(count for status, count in summary.statuses.items() if status.isdigit())


def broken(summary: Summary) -> int:
    """Requests without a whole answer, for any other reason."""
    return summary.requests - summary.statuses.get(OK, 0) - rejected(summary)


# ---- cells -------------------------------------------------------------------------------------------------


def _void(arms_of: Iterable[ArmResult]) -> frozenset[int]:
    return frozenset(number for number, arm in enumerate(arms_of) if arm.void)


def _events(results: Results, name: str) -> str:
    comparison = results.model.emulation.comparison
    phases = comparison.phases if comparison else []
    return "; ".join(describe(event) for each in phases if each.name == name for event in each.events)


def _percent(share: float | None) -> str:
    return _EMPTY if share is None else f"{share:.0%}"


def _number(value: float | None) -> str:
    return _EMPTY if value is None else f"{value:.1f}"


def _ms(seconds: float | None) -> str:
    if seconds is None:
        return _EMPTY
    return f"{seconds * 1e3:.1f}" if seconds < 0.01 else f"{seconds * 1e3:.0f}"


def _estimate(estimate: Estimate | None) -> str:
    return _EMPTY if estimate is None else f"{estimate.value * 1e3:.1f}"


def _interval(estimate: Estimate | None) -> str:
    if estimate is None:
        return _EMPTY
    return f"{estimate.value * 1e3:.0f} [{estimate.low * 1e3:.0f}, {estimate.high * 1e3:.0f}]"


def _rate(estimate: Estimate | None) -> str:
    return _EMPTY if estimate is None else f"{estimate.value:.1f} [{estimate.low:.1f}, {estimate.high:.1f}]"


def _part(split: MeanSplit | None, part: str) -> str:
    return _EMPTY if split is None or part not in split.parts else f"{split.parts[part]:.0f}"


def _listed(shares: Mapping[str, float]) -> str:
    """The largest first."""
    ordered = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    named = [f"{name or 'own leaf'} {share:.0%}" for name, share in ordered if share >= _LEAST_SHARE]
    return ", ".join(named) or _EMPTY
