# SPDX-License-Identifier: Apache-2.0
"""Definitions against hand-made outcomes, intervals against closed forms."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from din.inference.load import stats
from din.inference.load.outcome import Generator, Outcome
from din.inference.load.stats import Verdict
from din.model.service import Slo

SLO = Slo(ttft="500ms", tpot="50ms")


def _outcome(number: int = 0, **changes: object) -> Outcome:
    """TTFT 0.4 s, 11 tokens 0.03 s apart."""
    at = number * 0.1
    good = Outcome(
        id=f"r{number}",
        service="chat",
        phase="calm",
        scheduled=at,
        prompt_tokens=100,
        asked_tokens=11,
        sent=at + 0.001,
        status="ok",
        first_token=at + 0.401,
        last_token=at + 0.701,
        end=at + 0.702,
        output_tokens=11,
        chunks=11,
        local_address="10.0.0.1",
        local_port=40000 + number,
        connection=number,
        instance="one",
    )
    return replace(good, **changes)  # type: ignore[arg-type]


def test_definitions() -> None:
    found = _outcome()
    assert stats.ttft(found) == pytest.approx(0.4)  # from the sending, not from when it should have been
    assert stats.tpot(found) == pytest.approx(0.03)
    assert stats.meets(found, SLO)


def test_what_is_not_there_has_no_figure() -> None:
    assert stats.ttft(_outcome(first_token=None)) is None
    assert stats.tpot(_outcome(output_tokens=1)) is None
    assert stats.tpot(_outcome(status="broken")) is None


@pytest.mark.parametrize(
    "miss",
    [
        {"status": "429", "first_token": None, "last_token": None},
        {"status": "broken"},
        {"status": "cut"},
        {"status": "timeout"},
        {"status": "connect", "first_token": None, "last_token": None},
        {"first_token": None, "last_token": None},  # an answer without a word
        {"first_token": 0.502},
        {"last_token": 0.902},
    ],
)
def test_misses(miss: dict[str, object]) -> None:
    assert not stats.meets(_outcome(**miss), SLO)


def test_bounds_are_met_when_reached() -> None:
    assert stats.meets(_outcome(sent=0.0, first_token=0.5, last_token=1.0), SLO)


def test_a_single_token_is_judged_by_its_ttft() -> None:
    assert stats.meets(_outcome(output_tokens=1, last_token=0.401), SLO)


def test_goodput_counts_rejections_as_misses() -> None:
    outcomes = [_outcome(n) for n in range(60)]
    outcomes += [_outcome(n, status="429", first_token=None, last_token=None) for n in range(60, 100)]
    found = stats.goodput(outcomes, SLO, seconds=20)
    assert found is not None
    assert found.value == pytest.approx(3.0)
    assert found.samples == 100
    assert found.low < 3.0 < found.high


def test_goodput_of_independent_misses_has_the_binomials_interval() -> None:
    random = np.random.default_rng(1)
    outcomes = [_outcome(n, status="ok" if random.random() < 0.7 else "429") for n in range(2000)]
    met = sum(each.status == "ok" for each in outcomes) / 2000
    found = stats.goodput(outcomes, SLO, seconds=200)
    assert found is not None
    half = 1.96 * math.sqrt(met * (1 - met) / 2000) * 10
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.2)


def test_goodput_of_misses_alone_may_still_be_something() -> None:
    none = stats.goodput([_outcome(n, status="429") for n in range(100)], SLO, seconds=10)
    every = stats.goodput([_outcome(n) for n in range(100)], SLO, seconds=10)
    assert none == stats.Estimate(0.0, 0.0, pytest.approx(0.3), 100)
    assert every == stats.Estimate(10.0, pytest.approx(9.7), 10.0, 100)
    assert stats.goodput([_outcome()], SLO, seconds=10) == stats.Estimate(0.1, 0.0, 0.1, 1)


def test_goodput_of_nothing_is_nothing() -> None:
    assert stats.goodput([], SLO, 10) is None
    with pytest.raises(ValueError, match="positive"):
        stats.goodput([_outcome()], SLO, 0)


def test_a_means_interval_is_the_normals() -> None:
    data = np.random.default_rng(2).normal(5.0, 2.0, 1500)
    found = stats.bootstrap(data, stats.mean)
    assert found is not None
    assert found.value == pytest.approx(data.mean())
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * 2.0 / math.sqrt(1500), rel=0.2)


def test_a_medians_interval_is_the_order_statistics() -> None:
    data = np.sort(np.random.default_rng(3).exponential(1.0, 1500))
    shuffled = np.random.default_rng(4).permutation(data)
    found = stats.percentile(shuffled, 50)
    assert found is not None
    half = 1.96 * math.sqrt(1500) / 2
    low, high = data[round(750 - half)], data[round(750 + half)]
    assert found.low == pytest.approx(low, rel=0.05)
    assert found.high == pytest.approx(high, rel=0.05)


def test_intervals_of_samples_that_wait_in_the_same_queue_are_wider() -> None:
    """Of an AR(1) process, whose mean deviates sqrt((1 + phi) / (1 - phi)) times as far as white noise's."""
    random, phi = np.random.default_rng(5), 0.6
    data = np.zeros(3000)
    for n in range(1, len(data)):
        data[n] = phi * data[n - 1] + random.normal()
    found = stats.bootstrap(data, stats.mean)
    naive = stats.bootstrap(random.permutation(data), stats.mean)
    assert found is not None
    assert naive is not None
    ratio = (found.high - found.low) / (naive.high - naive.low)
    assert ratio == pytest.approx(math.sqrt((1 + phi) / (1 - phi)), rel=0.2)


@pytest.mark.parametrize("percent", [5, 50, 95])
def test_percentiles_are_numpys(percent: float) -> None:
    data = np.random.default_rng(6).lognormal(size=333)
    found = stats.percentile(data, percent)
    assert found is not None
    assert found.value == pytest.approx(np.percentile(data, percent))
    assert found.low <= found.value <= found.high


def test_a_tail_is_told_of_samples_that_have_one() -> None:
    data = np.random.default_rng(7).random(1000)
    assert stats.percentile(data[:999], 99) is None
    assert stats.percentile(data, 99) is not None
    assert stats.percentile(data[:71], 95) is None
    assert stats.percentile(data[:72], 95) is not None
    assert stats.percentile(data[:3], 50) is not None
    assert stats.percentile([], 50) is None


def test_one_sample_is_its_own_interval() -> None:
    assert stats.percentile([0.25], 50) == stats.Estimate(0.25, 0.25, 0.25, 1)


def test_the_same_seed_gives_the_same_interval() -> None:
    data = np.random.default_rng(8).random(200)
    assert stats.percentile(data, 50, seed=1) == stats.percentile(data, 50, seed=1)
    assert stats.percentile(data, 50, seed=1) != stats.percentile(data, 50, seed=2)


def _arm(noise: float, shift: float, seed: int, count: int = 200) -> list[Outcome]:
    random, common = np.random.default_rng(seed), np.random.default_rng(99)
    return [
        _outcome(n, first_token=n * 0.1 + 0.001 + base + shift + random.normal(0, noise))
        for n, base in enumerate(common.lognormal(-1, 0.5, count))
    ]


def test_a_constant_difference_is_found_exactly() -> None:
    found = stats.paired(_arm(0, -0.1, 1), _arm(0, 0, 2), stats.ttft)
    assert found.verdict is Verdict.BETTER
    assert found.estimate is not None
    for value in (found.estimate.value, found.estimate.low, found.estimate.high):
        assert value == pytest.approx(-0.1)


def test_pairing_finds_what_the_spread_would_hide() -> None:
    # The spread between requests is ten times the difference.
    fast, slow = _arm(0.05, 0.0, 1), _arm(0.05, 0.03, 2)
    assert stats.paired(slow, fast, stats.ttft).verdict is Verdict.WORSE
    assert stats.paired(fast, slow, stats.ttft, stats.quantile(0.5)).verdict is Verdict.BETTER


def test_an_arm_ties_with_itself() -> None:
    arm = _arm(0.1, 0, 1)
    found = stats.paired(arm, list(reversed(arm)), stats.ttft)
    assert found.estimate == stats.Estimate(0.0, 0.0, 0.0, 200)
    assert found.verdict is Verdict.TIE


def test_arms_that_do_not_differ_seldom_seem_to() -> None:
    verdicts = [
        stats.paired(_arm(0.1, 0, 2 * n), _arm(0.1, 0, 2 * n + 1), stats.ttft).verdict for n in range(60)
    ]
    # One in twenty is meant to; more than eight of sixty would be one chance in two hundred.
    assert verdicts.count(Verdict.TIE) >= 52


def test_goodput_is_compared_on_all_requests() -> None:
    better = [_outcome(n) for n in range(100)]
    worse = [_outcome(n, status="429" if n % 4 == 0 else "ok") for n in range(100)]
    found = stats.paired(better, worse, stats.met(SLO), larger_is_better=True)
    assert found.verdict is Verdict.BETTER
    assert found.estimate is not None
    assert found.estimate.value == pytest.approx(0.25)
    assert found.left_out == 0


def test_requests_without_a_figure_are_left_out_and_counted() -> None:
    one = [_outcome(0), _outcome(1, first_token=None), _outcome(2)]
    other = [_outcome(0), _outcome(1), _outcome(3)]
    found = stats.paired(one, other, stats.ttft)
    assert found.left_out == 3
    assert found.estimate is not None
    assert found.estimate.samples == 1
    assert stats.paired([], other, stats.ttft) == stats.Difference(None, Verdict.UNKNOWN, 3)


def test_a_summary() -> None:
    outcomes = [
        _outcome(0, gap_max=0.2),
        _outcome(1, gap_max=0.05, instance="two"),
        # The same connection again, and then its port for another.
        _outcome(2, local_port=40000, connection=0),
        _outcome(3, local_port=40000, connection=9),
        _outcome(4, status="429", first_token=None, last_token=None, chunks=0, instance="two"),
        _outcome(5, status="broken", broken=True, instance="two"),
        _outcome(
            6, status="connect", connection=None, first_token=None, last_token=None, chunks=0, instance=None
        ),
    ]
    found = stats.summarise(reversed(outcomes), SLO, seconds=7)
    assert found.requests == 7
    assert found.statuses == {"ok": 4, "429": 1, "broken": 1, "connect": 1}
    assert found.broken == 1
    assert (found.connections, found.requests_per_connection) == (5, 6 / 5)
    # A rejection is no answer; what broke had begun to be one.
    assert found.instance_shares == {"one": pytest.approx(0.6), "two": pytest.approx(0.4)}
    assert found.longest_gap == 0.2
    assert found.goodput is not None
    assert found.goodput.value == pytest.approx(4 / 7)
    assert found.ttft_p50 is not None
    assert found.ttft_p50.samples == 5
    assert found.tpot_p50 is not None
    assert found.tpot_p50.samples == 4
    assert found.ttft_p99 is None


def test_two_sites_connections_are_not_one() -> None:
    outcomes = [_outcome(0), _outcome(0, local_address="10.0.1.1")]
    assert stats.summarise(outcomes, SLO, 1).connections == 2


def test_a_summary_of_nothing() -> None:
    found = stats.summarise([], SLO, 1)
    assert (found.requests, found.goodput, found.requests_per_connection) == (0, None, None)
    assert found.instance_shares == {}


def test_a_table_is_by_service_and_phase_without_the_warm_up() -> None:
    outcomes = [
        _outcome(0),
        _outcome(1, phase="slow"),
        _outcome(2, service="code"),
        _outcome(3),
        _outcome(4, phase="warm-up"),
    ]
    strict = Slo(ttft="100ms", tpot="50ms")
    found = stats.table(outcomes, {"chat": SLO, "code": strict}, {"calm": 10.0, "slow": 5.0})
    assert {key: each.requests for key, each in found.items()} == {
        ("chat", "calm"): 2,
        ("chat", "slow"): 1,
        ("code", "calm"): 1,
    }
    values = [each.goodput.value for each in found.values() if each.goodput]
    assert values == pytest.approx([0.2, 0.2, 0.0])
    with pytest.raises(KeyError, match="code"):
        stats.table(outcomes, {"chat": SLO}, {"calm": 10.0})


GENERATOR = Generator(
    start_at=0,
    seconds=60,
    requests=100,
    unsent=0,
    lag_mean=0.001,
    lag_p99=0.003,
    lag_max=0.3,
    loop_lag_p99=0.004,
    loop_lag_max=0.3,
    cpu_seconds=20,
    cpu_busiest=0.5,
)


@pytest.mark.parametrize(
    ("change", "host_cpu", "says"),
    [
        ({"lag_p99": 0.06}, 0.5, "lagged: p99 60.0 ms"),
        ({"loop_lag_p99": 0.06}, None, "lagged: p99 60.0 ms"),
        ({"cpu_busiest": 0.9}, 0.5, "90% of its core"),
        ({"unsent": 3}, 0.5, "3 requests unsent"),
        ({}, 0.81, "81% busy"),
    ],
)
def test_why_an_arm_is_void(change: dict[str, float], host_cpu: float | None, says: str) -> None:
    (reason,) = stats.why_void([GENERATOR, replace(GENERATOR, **change)], sites=2, host_cpu=host_cpu)
    assert says in reason


def test_an_arm_that_is_not_void() -> None:
    assert stats.why_void([GENERATOR, GENERATOR], sites=2, host_cpu=0.79) == []
    assert stats.why_void([GENERATOR], sites=2) == ["1 of 2 generators did not end by themselves"]
