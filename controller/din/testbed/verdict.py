# SPDX-License-Identifier: Apache-2.0
"""What a comparison says, in sentences that are computed from it. Losses and ties are said as wins are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from din.inference.load.outcome import OK
from din.inference.load.stats import Estimate, Verdict

from .results import ALL, GOODPUT, TTFT_P50, TTFT_P95, Compared, Measure, Question, Results, homogeneous

#: What is told: a mean beside both percentiles says nothing new.
TOLD: Final[Sequence[Measure]] = (GOODPUT, TTFT_P50, TTFT_P95)
_TITLES: Final = {each.name: each.title for each in TOLD}


def where(phase: str, service: str) -> str:
    if phase == ALL:
        return "overall" if service == ALL else service
    return phase if service == ALL else f"{service}, {phase}"


def unit(measure: str) -> str:
    return "requests/s" if measure == GOODPUT.name else "ms"


def amount(compared: Compared) -> str:
    """The difference with its interval, in the measure's `unit`."""
    estimate = compared.difference.estimate
    if estimate is None:
        return "too few to tell"
    return _interval(estimate, *((1, "+.1f") if compared.measure == GOODPUT.name else (1e3, "+.0f")))


def _interval(estimate: Estimate, factor: float, form: str) -> str:
    value, low, high = (format(each * factor, form) for each in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]"


def sentences(results: Results) -> list[str]:
    """The most important first."""
    void = [
        f"The arm {arm.name} is void ({'; '.join(arm.void)}): it is shown, and compared with nothing."
        for arm in results.arms
        if arm.void
    ]
    if results.din is None:
        return [*void, "No arm lets DIN choose both instance and path: there is nothing to say of it."]
    if results.arm[results.din].void:
        return [*void, "Nothing can be said of DIN then: leave the machine alone, and run it again."]
    if len(results.arms) == 1:
        return [_alone(results, results.din)]
    found: list[str] = []
    baseline = _select(results, Question.BASELINE, results.din)
    if baseline:
        found += _against(f"DIN against {results.baseline}", baseline)
        found += _causes(results)
    else:
        found.append(
            "Gains have nothing to be measured by: no sound arm has equal buckets on shortest paths."
        )
    found += _against("DIN against the best other arm of each measure", _select(results, Question.BEST_OTHER))
    found += _ties(results)
    found += _reading(results)
    return [*void, *found]


def _reading(results: Results) -> Iterable[str]:
    """How far all of that is to be trusted."""
    # The same difference may answer several questions.
    told = {
        (each.first, each.second, each.phase, each.service, each.measure): each.difference.verdict
        for each in results.compared
        if each.measure in _TITLES and each.difference.verdict is not Verdict.UNKNOWN
    }
    if told:
        apart = sum(verdict is not Verdict.TIE for verdict in told.values())
        yield (
            f"Intervals are 95 %, each for itself: {apart} of {len(told)} differences are called better or "
            f"worse, and were all arms the same, about {len(told) * 0.05:.0f} would be. A tie is no proof "
            "that two are equal: its interval says how large a difference may have gone unseen."
        )


def _alone(results: Results, din: str) -> str:
    summary = results.arm[din].summaries[ALL][ALL]
    return (
        f"One arm, {din}, and nothing to compare it with: {summary.statuses.get(OK, 0)} of "
        f"{summary.requests} requests were answered whole."
    )


def _select(results: Results, question: Question, first: str | None = None) -> list[Compared]:
    return [
        each
        for each in results.compared
        if each.question is question and first in (None, each.first) and each.measure in _TITLES
    ]


def _against(title: str, compared: Sequence[Compared]) -> Iterable[str]:
    if not compared:
        return
    better, worse, tie = (_places(compared, each) for each in (Verdict.BETTER, Verdict.WORSE, Verdict.TIE))
    yield f"{title}. Better: {better}. Worse: {worse}. A tie, the interval having 0 in it: {tie}."


def _places(compared: Iterable[Compared], verdict: Verdict) -> str:
    found: dict[str, list[str]] = {}
    for each in compared:
        if each.difference.verdict is verdict:
            found.setdefault(_TITLES[each.measure], []).append(where(each.phase, each.service))
    return "; ".join(f"{title} ({', '.join(places)})" for title, places in found.items()) or "nowhere"


def _causes(results: Results) -> Iterable[str]:
    """Each side of the square."""
    for question in (Question.INSTANCE_CHOICE, Question.PATH_CHOICE):
        compared = [each for each in _select(results, question) if each.service == ALL]
        for first, second in dict.fromkeys((each.first, each.second) for each in compared):
            side = [each for each in compared if (each.first, each.second) == (first, second)]
            better, worse = (_places(side, each) for each in (Verdict.BETTER, Verdict.WORSE))
            yield f"By {question} alone ({first} less {second}). Better: {better}. Worse: {worse}."


def _ties(results: Results) -> Iterable[str]:
    """Of services where nothing can be chosen well."""
    for service in results.services:
        compared = [
            each
            for each in _select(results, Question.INSTANCE_CHOICE)
            if each.service == service and each.phase == ALL
        ]
        if not compared or not homogeneous(results.model, service):
            continue
        apart = [each for each in compared if each.difference.verdict in (Verdict.BETTER, Verdict.WORSE)]
        told = "; ".join(
            f"{_TITLES[each.measure]} {amount(each)} {unit(each.measure)}, {each.first} less {each.second}"
            for each in apart or compared
            if each.difference.estimate is not None
        )
        yield (
            f"{service} has equal servers at one place: choosing among them should be a tie. "
            f"It is{' not' if apart else ''}: {told}."
        )
