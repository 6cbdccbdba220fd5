# SPDX-License-Identifier: Apache-2.0
"""What a comparison amounts to: summaries of each arm, differences between arms, and which arms are void.

Differences are paired, request by request. They answer four questions:

    baseline         each arm less equal buckets on shortest paths: what does it gain?
    best other       DIN less whichever other arm is best at that measure: is there a better way?
    instance choice  DIN's instances less equal buckets, paths being the same
    path choice      DIN's paths less shortest ones, instances being the same

The last two are the sides of a square of arms (instances x paths), so that each gain has its cause.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from din.inference.load.outcome import Generator, Outcome, OutcomeError, read_run
from din.inference.load.stats import (
    LEAST_FOR_P95,
    Difference,
    Estimate,
    Slos,
    Statistic,
    Summary,
    Verdict,
    mean,
    met,
    paired,
    quantile,
    summarise,
    ttft,
    why_void,
)
from din.model.load import load
from din.model.network import Model
from din.model.problem import ModelError

from .record import MODEL_FILE, ArmRun, RecordError, Run, read

RESULTS_FILE: Final = "results.json"
#: Stands for every phase, or every service.
ALL: Final = "all"


class ResultsError(Exception):
    """The folder is not what a comparison leaves; the text says what of it."""


@dataclass(frozen=True)
class Measure:
    """What arms are compared by. ``name`` is that of a `Summary`'s field, if it has one."""

    name: str
    title: str
    statistic: Statistic
    larger_is_better: bool = False


TTFT_P50: Final = Measure("ttft_p50", "TTFT p50", quantile(0.50))
TTFT_P95: Final = Measure("ttft_p95", "TTFT p95", quantile(0.95))
TTFT_MEAN: Final = Measure("ttft_mean", "mean TTFT", mean)
GOODPUT: Final = Measure("goodput", "goodput", mean, larger_is_better=True)
MEASURES: Final = (GOODPUT, TTFT_P50, TTFT_P95, TTFT_MEAN)


class Question(StrEnum):
    BASELINE = "baseline"
    BEST_OTHER = "best other"
    INSTANCE_CHOICE = "instance choice"
    PATH_CHOICE = "path choice"


@dataclass(frozen=True)
class Compared:
    """Of ``first`` less ``second``, in s, or of goodput in requests/s."""

    question: Question
    first: str
    second: str
    phase: str
    service: str
    measure: str
    difference: Difference


@dataclass(frozen=True)
class ArmResult:
    run: ArmRun
    outcomes: Sequence[Outcome]  # of the phases, not of the warm-up; in order of time
    hosts: Mapping[str, str]  # request -> host that sent it
    generators: Sequence[Generator]
    void: Sequence[str]  # reasons; none: it counts
    summaries: Mapping[str, Mapping[str, Summary]]  # phase -> service -> of it; `ALL` in both

    @property
    def name(self) -> str:
        return self.run.name

    def select(self, phase: str, service: str) -> list[Outcome]:
        return [
            each for each in self.outcomes if phase in (ALL, each.phase) and service in (ALL, each.service)
        ]


@dataclass(frozen=True)
class Results:
    folder: Path
    run: Run
    model: Model
    services: Sequence[str]  # that were asked
    arms: Sequence[ArmResult]  # as the model lists them
    compared: Sequence[Compared]
    baseline: str | None  # equal buckets, shortest paths
    din: str | None

    @property
    def phases(self) -> list[str]:
        return list(self.run.phases)

    @property
    def arm(self) -> dict[str, ArmResult]:
        return {each.name: each for each in self.arms}

    def seconds(self, phase: str) -> float:
        return sum(self.run.phases.values()) if phase == ALL else self.run.phases[phase]


def read_results(folder: Path) -> Results:
    """ResultsError: the folder is not what a comparison leaves."""
    try:
        run = read(folder)
        model = load(folder / MODEL_FILE)
        slos = {each.name: each.slo for each in model.services}
        arms = [_arm(folder, run, each, slos) for each in run.arms]
    except (RecordError, ModelError, OutcomeError, OSError) as error:
        raise ResultsError(str(error)) from None
    except KeyError as error:
        raise ResultsError(f"{folder}: requests for {error}, a service that {MODEL_FILE} has not") from None
    asked = {each.service for arm in arms for each in arm.outcomes}
    services = [each.name for each in model.services if each.name in asked]
    listed = model.emulation.comparison
    order = [each.name for each in listed.arms] if listed else []
    arms.sort(key=lambda arm: order.index(arm.name) if arm.name in order else len(order))
    square = _square(arms)
    baseline, din = square.get(("equal", "shortest")), square.get(("din", "din"))
    compared: list[Compared] = []
    sound = [each for each in arms if not each.void]
    comparer = _Comparer(run, slos, services)
    for question, first, second in _pairs(_square(sound), sound):
        compared += comparer.compare(question, first, second)
    if din is not None and not din.void:
        compared += comparer.with_best(din, [each for each in sound if each is not din])
    return Results(
        folder=folder,
        run=run,
        model=model,
        services=services,
        arms=arms,
        compared=compared,
        baseline=baseline.name if baseline else None,
        din=din.name if din else None,
    )


# ---- one arm -----------------------------------------------------------------------------------------------


def _arm(folder: Path, run: Run, arm: ArmRun, slos: Slos) -> ArmResult:
    outcomes: list[Outcome] = []
    generators: list[Generator] = []
    hosts: dict[str, str] = {}
    for path in sorted((folder / arm.name).glob("*.jsonl")):
        found = read_run([path])
        kept = [each for each in found.outcomes if each.phase in run.phases]
        outcomes += kept
        generators += found.generators
        hosts.update((each.id, path.stem) for each in kept)
    outcomes.sort(key=lambda each: (each.scheduled, each.id))
    void = why_void(generators, sites=run.sites)
    # Every phase counts: an arm is compared in all of them.
    busiest = max(((arm.cpu.get(phase, 0.0), phase) for phase in run.phases), default=(0.0, ""))
    void += [f"{why} ({busiest[1]})" for why in why_void((), sites=0, host_cpu=busiest[0])]
    void += [each.splitlines()[0] for each in arm.failures]
    result = ArmResult(arm, outcomes, hosts, generators, void, {})
    services = sorted({each.service for each in outcomes})
    summaries = {
        phase: {
            service: summarise(result.select(phase, service), slos, seconds, run.seed)
            for service in (ALL, *services)
        }
        for phase, seconds in ((ALL, sum(run.phases.values())), *run.phases.items())
    }
    return ArmResult(arm, outcomes, hosts, generators, void, summaries)


# ---- differences -------------------------------------------------------------------------------------------


def _square(arms: Iterable[ArmResult]) -> dict[tuple[str, str], ArmResult]:
    """(instances, paths) -> the first arm that decides so."""
    found: dict[tuple[str, str], ArmResult] = {}
    for arm in arms:
        found.setdefault((arm.run.instances, arm.run.paths), arm)
    return found


def _pairs(
    square: Mapping[tuple[str, str], ArmResult], arms: Sequence[ArmResult]
) -> list[tuple[Question, ArmResult, ArmResult]]:
    pairs: list[tuple[Question, ArmResult, ArmResult]] = []
    baseline = square.get(("equal", "shortest"))
    if baseline is not None:
        pairs += [(Question.BASELINE, arm, baseline) for arm in arms if arm is not baseline]
    for paths in ("shortest", "din"):
        if ("din", paths) in square and ("equal", paths) in square:
            pairs.append((Question.INSTANCE_CHOICE, square["din", paths], square["equal", paths]))
    for instances in ("equal", "din"):
        if (instances, "din") in square and (instances, "shortest") in square:
            pairs.append((Question.PATH_CHOICE, square[instances, "din"], square[instances, "shortest"]))
    return pairs


class _Comparer:
    """Of arms by every measure, in every phase for all services, and in all phases for each."""

    def __init__(self, run: Run, slos: Slos, services: Sequence[str]) -> None:
        self._run = run
        self._slos = slos
        self._places = [(ALL, ALL), *((phase, ALL) for phase in run.phases)]
        if len(services) > 1:
            self._places += [(ALL, service) for service in services]
        #: The same arms are compared for more than one reason.
        self._known: dict[tuple[str, ...], Difference] = {}

    def compare(self, question: Question, first: ArmResult, second: ArmResult) -> list[Compared]:
        return [
            self._one(question, first, second, phase, service, measure)
            for phase, service in self._places
            for measure in MEASURES
        ]

    def with_best(self, din: ArmResult, others: Sequence[ArmResult]) -> list[Compared]:
        """Which one is best is decided anew for each place and measure: nobody loses by being an average."""
        found = []
        for phase, service in self._places:
            for measure in MEASURES:
                values = [
                    (value, number)
                    for number, arm in enumerate(others)
                    if (value := self._value(arm, phase, service, measure)) is not None
                ]
                if values:
                    _, best = max(values) if measure.larger_is_better else min(values)
                    found.append(self._one(Question.BEST_OTHER, din, others[best], phase, service, measure))
        return found

    def _value(self, arm: ArmResult, phase: str, service: str, measure: Measure) -> float | None:
        summary = arm.summaries[phase].get(service)
        if measure is TTFT_MEAN:
            times = [each for each in map(ttft, arm.select(phase, service)) if each is not None]
            return sum(times) / len(times) if times else None
        estimate: Estimate | None = getattr(summary, measure.name, None)
        return None if estimate is None else estimate.value

    def _one(
        self,
        question: Question,
        first: ArmResult,
        second: ArmResult,
        phase: str,
        service: str,
        measure: Measure,
    ) -> Compared:
        key = (first.name, second.name, phase, service, measure.name)
        if key not in self._known:
            self._known[key] = self._difference(first, second, phase, service, measure)
        return Compared(question, first.name, second.name, phase, service, measure.name, self._known[key])

    def _difference(
        self, first: ArmResult, second: ArmResult, phase: str, service: str, measure: Measure
    ) -> Difference:
        one, other = first.select(phase, service), second.select(phase, service)
        found = paired(
            one,
            other,
            met(self._slos) if measure is GOODPUT else ttft,
            measure.statistic,
            larger_is_better=measure.larger_is_better,
            seed=self._run.seed,
        )
        if measure is TTFT_P95 and found.estimate and found.estimate.samples < LEAST_FOR_P95:
            return Difference(None, Verdict.UNKNOWN, found.left_out)
        if measure is not GOODPUT or found.estimate is None:
            return found
        # From a share of requests to requests a second.
        seconds = sum(self._run.phases.values()) if phase == ALL else self._run.phases[phase]
        rate = found.estimate.samples / seconds
        share = found.estimate
        scaled = Estimate(share.value * rate, share.low * rate, share.high * rate, share.samples)
        return Difference(scaled, found.verdict, found.left_out)


def homogeneous(model: Model, service: str) -> bool:
    """Whether its instances are alike and at one place: no choice of an instance can matter."""
    instances = model.instances_of(service)
    kinds = {(model.host[each.host].leaf, each.variant, each.profile, each.role) for each in instances}
    return len(instances) > 1 and len(kinds) == 1


# ---- for programs ------------------------------------------------------------------------------------------


def as_json(results: Results) -> dict[str, Any]:
    """Times in s, rates in requests/s, latency splits in us as the controller gives them."""
    return {
        **{key: value for key, value in asdict(results.run).items() if key != "arms"},
        "services": list(results.services),
        "baseline": results.baseline,
        "arms": [
            {
                **asdict(arm.run),
                "void": list(arm.void),
                "generators": [asdict(each) for each in arm.generators],
                "summaries": {
                    phase: {service: asdict(each) for service, each in services.items()}
                    for phase, services in arm.summaries.items()
                },
            }
            for arm in results.arms
        ],
        "compared": [asdict(each) for each in results.compared],
    }


def write_json(results: Results) -> Path:
    path = results.folder / RESULTS_FILE
    path.write_text(json.dumps(as_json(results), indent=1, allow_nan=False))
    return path
