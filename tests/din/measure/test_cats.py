# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from din.measure.cats import Level, Scores, metrics, score, scores
from din.measure.state import InstanceState, Load
from din.model.service import Slo
from hypothesis import given
from hypothesis import strategies as st

SLO = Slo.model_validate({"ttft": "500ms", "tpot": "30ms"})


def state(alive: bool | None = True, **load: float) -> InstanceState:
    return InstanceState(alive=alive, load=Load(at=0.0, **load))


@pytest.mark.parametrize(
    ("instance", "latency", "slots", "expected"),
    [
        (InstanceState(), None, None, Scores(None, None, None)),
        (state(), 0.0, 8, Scores(None, None, 10)),
        (state(kv_usage=0.2, queue_time=0.0), 0.0, None, Scores(8, 10, 10)),
        # Of slots and cache the fuller; the cache alone says little of saturation.
        (state(kv_usage=0.05, running=6.0, waiting=0.0), 50_000.0, 8, Scores(2, 10, 5)),
        (state(kv_usage=0.9, running=2.0), None, 8, Scores(1, None, None)),
        (state(queue_time=0.5), None, None, Scores(None, 5, None)),
        (state(queue_time=1.0), 100_000.0, None, Scores(None, 0, 0)),
        (state(queue_time=9.0, ttft=0.0), 1e9, None, Scores(None, 0, 0)),
        (state(ttft=0.25, waiting=40.0), None, None, Scores(None, 8, None)),
        (state(waiting=2.0, requests_per_second=8.0), None, None, Scores(None, 8, None)),
        (state(waiting=2.0, requests_per_second=0.0), None, None, Scores(None, None, None)),
        (state(waiting=221.0, kv_usage=0.05, requests_per_second=10.0), None, None, Scores(10, 0, None)),
        (state(alive=False, queue_time=0.0, kv_usage=0.0), 0.0, None, Scores(10, 0, 10)),
        (InstanceState(alive=False), None, None, Scores(None, 0, None)),
    ],
)
def test_scores(instance: InstanceState, latency: float | None, slots: int | None, expected: Scores) -> None:
    assert scores(instance, SLO, latency, slots) == expected


def test_l2_is_the_least_that_is_known_and_needs_the_service() -> None:
    assert Scores(10, 8, 5).overall == 5
    assert Scores(None, 8, None).overall == 8
    assert Scores(10, None, 10).overall is None


@given(st.floats(allow_nan=False), st.floats(1e-6, 1e6), st.floats(0, 1e6))
def test_scores_are_0_to_10_and_fall_as_it_gets_worse(value: float, worst: float, more: float) -> None:
    assert 0 <= score(value + more, worst) <= score(value, worst) <= 10
    assert score(0.0, worst) == 10
    assert score(worst, worst) == 0


def test_metrics_of_all_levels_for_export() -> None:
    found = list(metrics(state(running=4.0, waiting=0.0, ttft=0.25), SLO, latency=20_000.0, slots=8))
    assert {(metric.metric_type, metric.level, metric.value, metric.unit) for metric in found} == {
        ("service_requests_running", Level.L0, 4.0, "none"),
        ("service_requests_waiting", Level.L0, 0.0, "none"),
        ("service_time_to_first_token", Level.L0, 0.25, "s"),
        ("network_delay", Level.L0, 20_000.0, "us"),
        ("compute_norm", Level.L1, 5, ""),
        ("service_norm", Level.L1, 8, ""),
        ("communication_norm", Level.L1, 8, ""),
        ("norm_fi", Level.L2, 5, ""),
    }
    by_name = {metric.metric_type: metric for metric in found}
    assert (by_name["norm_fi"].format, by_name["norm_fi"].length, by_name["norm_fi"].source) == (
        "int",
        1,
        "normalization",
    )
    assert (by_name["network_delay"].format, by_name["network_delay"].length) == ("float", 8)
    assert by_name["service_requests_running"].source == "directly measured"


def test_of_what_is_not_known_there_is_no_metric() -> None:
    assert list(metrics(InstanceState(), SLO)) == []
