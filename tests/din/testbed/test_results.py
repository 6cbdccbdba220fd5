# SPDX-License-Identifier: Apache-2.0
"""From a comparison's folder to verdicts, on requests whose fate is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from din.inference.load import stats
from din.inference.load.outcome import Outcome
from din.inference.load.stats import Verdict
from din.testbed import record
from din.testbed.results import (
    ALL,
    Compared,
    Question,
    Results,
    ResultsError,
    homogeneous,
    read_results,
    write_json,
)

from .folders import PHASES, RATE, Arm, fine, make, refused, slower, square


@pytest.fixture(autouse=True)
def _fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "RESAMPLES", 150)


@pytest.fixture(scope="module")
def alike(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Arms that all fare the same."""
    return read_results(make(tmp_path_factory.mktemp("alike"), square()))


def _find(results: Results, question: Question, measure: str, first: str, phase: str = ALL) -> Compared:
    (found,) = [
        each
        for each in results.compared
        if (each.question, each.measure, each.first) == (question, measure, first)
        and (each.phase, each.service) == (phase, ALL)
        and (question is not Question.INSTANCE_CHOICE or "paths" not in each.second)
    ]
    return found


def test_the_warm_up_counts_for_nothing(alike: Results) -> None:
    summary = alike.arm["din"].summaries[ALL][ALL]
    assert summary.requests == RATE * sum(PHASES.values())
    assert not alike.arm["din"].void  # its CPU was busy in the warm-up


def test_equal_arms_tie_everywhere(alike: Results) -> None:
    assert {each.question for each in alike.compared} == set(Question)
    assert {each.difference.verdict for each in alike.compared} == {Verdict.TIE}


def test_a_gain_has_its_cause(tmp_path: Path) -> None:
    """Only the choice of instances helps, and only in one phase."""
    late = slower(0.6, "slow")
    results = read_results(make(tmp_path, square(equal=late, equal_paths=late)))
    for measure in ("goodput", "ttft_p50", "ttft_p95", "ttft_mean"):
        gain = _find(results, Question.INSTANCE_CHOICE, measure, "instances", "slow")
        assert gain.second == "equal"
        assert gain.difference.verdict is Verdict.BETTER
        assert (
            _find(results, Question.INSTANCE_CHOICE, measure, "instances", "calm").difference.verdict
            is Verdict.TIE
        )
    paths = [each for each in results.compared if each.question is Question.PATH_CHOICE]
    assert {(each.first, each.second) for each in paths} == {("equal-paths", "equal"), ("din", "instances")}
    assert {each.difference.verdict for each in paths} == {Verdict.TIE}


def test_goodput_is_told_in_requests_a_second(tmp_path: Path) -> None:
    results = read_results(make(tmp_path, square(equal=refused(2))))
    difference = _find(results, Question.BASELINE, "goodput", "din").difference
    assert difference.estimate is not None
    assert difference.estimate.value == pytest.approx(RATE / 2)
    assert difference.estimate.low <= RATE / 2 <= difference.estimate.high
    assert difference.verdict is Verdict.BETTER


def test_p95_is_compared_where_there_are_enough_to_have_one(tmp_path: Path) -> None:
    """A third of the requests: of assist there are 24, of chat 72 in all phases, and 36 in one."""
    results = read_results(make(tmp_path, square(equal=slower(1.0)), rate=6))
    verdicts = {
        (each.phase, each.service, each.measure): each.difference.verdict
        for each in results.compared
        if (each.question, each.first) == (Question.BASELINE, "din")
    }
    assert verdicts[ALL, "assist", "ttft_p95"] is verdicts["calm", ALL, "ttft_p95"] is Verdict.UNKNOWN
    assert verdicts[ALL, "chat", "ttft_p95"] is verdicts["calm", ALL, "ttft_p50"] is Verdict.BETTER
    assert results.arm["din"].summaries["calm"][ALL].ttft_p95 is None


def test_losses_are_losses(tmp_path: Path) -> None:
    results = read_results(make(tmp_path, square(din=slower(0.05))))
    for question in (Question.BASELINE, Question.BEST_OTHER, Question.PATH_CHOICE):
        assert _find(results, question, "ttft_p50", "din").difference.verdict is Verdict.WORSE


def test_the_best_other_arm_is_the_best_of_each_measure(tmp_path: Path) -> None:
    """One arm refuses much, and is fast with the rest; one answers all, and is slow."""

    def quick(outcome: Outcome, number: int) -> Outcome:
        return refused(2)(outcome, number) if number % 2 == 0 else slower(-0.05)(outcome, number)

    arms = {
        "din": Arm("din", "din"),
        "quick": Arm("nearest", "shortest", quick),
        "all": Arm("client", "shortest"),
    }
    results = read_results(make(tmp_path, arms))
    assert _find(results, Question.BEST_OTHER, "ttft_p50", "din").second == "quick"
    assert _find(results, Question.BEST_OTHER, "goodput", "din").second == "all"
    assert results.baseline is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"cpu": 0.81}, "the host's CPU was 81% busy, allowed 80 % (slow)"),
        ({"generators": 1}, "1 of 2 generators did not end by themselves"),
        ({"failures": ("load on client-a ended with status 1 (x.log):\nmore",)}, "ended with status 1"),
    ],
)
def test_a_void_arm_is_shown_and_compared_with_nothing(
    change: dict[str, object], reason: str, tmp_path: Path
) -> None:
    arms = square()
    arms["instances"] = replace(arms["instances"], **change)  # type: ignore[arg-type]
    results = read_results(make(tmp_path, arms))
    assert any(reason in each for each in results.arm["instances"].void)
    assert results.arm["instances"].summaries[ALL][ALL].requests
    assert results.compared
    assert not any("instances" in (each.first, each.second) for each in results.compared)
    assert not results.arm["equal"].void


def test_nothing_is_compared_with_a_void_baseline(tmp_path: Path) -> None:
    arms = square()
    arms["equal"] = replace(arms["equal"], cpu=0.9)
    results = read_results(make(tmp_path, arms))
    assert results.baseline == "equal"
    assert not [each for each in results.compared if each.question is Question.BASELINE]


def test_arms_are_listed_as_the_model_does(tmp_path: Path) -> None:
    arms = square()
    results = read_results(make(tmp_path, dict(reversed(arms.items()))))
    assert [each.name for each in results.arms] == list(arms)
    assert results.arm["din"].run.order == 0


def test_json_is_strict_and_whole(tmp_path: Path) -> None:
    def never(outcome: Outcome, number: int) -> Outcome:
        return refused(1)(outcome, number)

    results = read_results(make(tmp_path, square(equal=never)))
    found = json.loads(write_json(results).read_text(), parse_constant=pytest.fail)
    assert [each["name"] for each in found["arms"]] == ["equal", "equal-paths", "instances", "din"]
    assert found["arms"][0]["summaries"][ALL][ALL]["ttft_p50"] is None
    assert found["arms"][3]["summaries"]["slow"]["chat"]["goodput"]["value"] == pytest.approx(RATE * 3 / 4)
    assert len(found["compared"]) == len(results.compared)


def test_what_is_no_folder_of_a_comparison_is_refused(tmp_path: Path) -> None:
    def refusal() -> str:
        with pytest.raises(ResultsError) as caught:
            read_results(tmp_path)
        return str(caught.value)

    assert "run.json: No such file" in refusal()
    make(tmp_path, {"din": Arm("din", "din", fine)})
    run = tmp_path / "run.json"
    good = run.read_text()
    run.write_text(good[:-5])
    assert "run.json: Invalid JSON" in refusal()
    for change, said in (
        ({"colour": "red"}, "colour: "),
        ({"phases": {}}, "phases: "),
        ({"phases": {"calm": 0}}, "phases.calm: "),
        ({"arms": [{"name": "din"}]}, "arms.0.instances: "),
    ):
        run.write_text(json.dumps(json.loads(good) | change))
        assert f"run.json: {said}" in refusal()
    run.write_text("[]")
    assert "run.json: Input should be" in refusal()
    run.write_text(good)
    outcomes = tmp_path / "din" / "client-a.jsonl"
    outcomes.write_text('{"id": 1}\n')
    assert "client-a.jsonl:1" in refusal()
    outcomes.write_text("")
    (tmp_path / "model.yaml").unlink()
    assert "model.yaml" in refusal()


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    make(tmp_path, square())
    run = record.read(tmp_path)
    record.write(run, tmp_path)
    assert record.read(tmp_path) == run


def test_equal_servers_at_one_place_are_told(alike: Results) -> None:
    assert homogeneous(alike.model, "assist")
    assert not homogeneous(alike.model, "chat")
