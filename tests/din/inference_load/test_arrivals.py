# SPDX-License-Identifier: Apache-2.0
"""Schedules: the Poisson law, lengths, and that they depend on nothing but their inputs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from din.inference.load.arrivals import boundaries, lognormal, poisson, schedule
from din.model.emulated import Arm, Comparison, Lengths, Load, Phase
from hypothesis import given, settings
from hypothesis import strategies as st


def _load(**changes: object) -> Load:
    fields: dict[str, object] = {
        "site": "branch",
        "service": "chat",
        "host": "c1",
        "requests_per_second": 20.0,
        "prompt": Lengths(median=200, sigma=0.8, largest=2000),
        "output": Lengths(median=60, sigma=0.5, largest=500),
    }
    return Load.model_validate({**fields, **changes})


def _comparison(*loads: Load, arms: int = 1, warm_up: str | int = "10s") -> Comparison:
    return Comparison(
        warm_up=warm_up,
        phases=[Phase(name="calm", duration="60s"), Phase(name="slow", duration="30s")],
        arms=[Arm(name=f"a{n}", instances="din", paths="din") for n in range(arms)],
        loads=list(loads),
    )


def _kolmogorov_smirnov(samples: np.ndarray, cdf: np.ndarray) -> float:
    """Greatest distance of the samples' distribution from ``cdf`` (at the sorted samples), times sqrt(n)."""
    n = len(samples)
    above = np.arange(1, n + 1) / n - cdf
    below = cdf - np.arange(n) / n
    return float(max(above.max(), below.max()) * math.sqrt(n))


#: At 0.1 %: with a fixed seed this is a property of the code, not of luck.
CRITICAL = 1.95


@pytest.mark.parametrize("seed", range(5))
def test_gaps_are_exponential(seed: int) -> None:
    times = poisson(50.0, 200.0, np.random.default_rng(seed))
    gaps = np.sort(np.diff(times, prepend=0.0))
    assert _kolmogorov_smirnov(gaps, 1 - np.exp(-50.0 * gaps)) < CRITICAL


@pytest.mark.parametrize("seed", range(5))
def test_counts_in_equal_windows_have_variance_equal_to_mean(seed: int) -> None:
    times = poisson(30.0, 1000.0, np.random.default_rng(seed))
    counts, _ = np.histogram(times, bins=1000, range=(0, 1000))
    assert counts.mean() == pytest.approx(30.0, rel=0.03)
    # The index of dispersion of n windows has standard deviation sqrt(2 / (n - 1)), 0.045 here.
    assert counts.var(ddof=1) / counts.mean() == pytest.approx(1.0, abs=0.15)


def test_no_gap_tells_the_next() -> None:
    gaps = np.diff(poisson(40.0, 500.0, np.random.default_rng(3)))
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 4 / math.sqrt(len(gaps))


def test_instants_are_within_the_time_and_in_order() -> None:
    times = poisson(1000.0, 3.0, np.random.default_rng(0))
    assert (np.diff(times) > 0).all()
    assert times[0] > 0
    assert times[-1] < 3.0


@pytest.mark.parametrize("seed", range(3))
def test_lengths_are_lognormal_below_the_cut(seed: int) -> None:
    found = lognormal(Lengths(median=5000, sigma=0.7, largest=10**9), 5000, np.random.default_rng(seed))
    # The median is so long that rounding to whole tokens does not matter.
    logs = np.sort(np.log(found / 5000) / 0.7)
    normal = np.array([0.5 * (1 + math.erf(x / math.sqrt(2))) for x in logs])
    assert _kolmogorov_smirnov(logs, normal) < CRITICAL


@given(
    st.integers(1, 5000),
    st.floats(0, 3),
    st.integers(1, 5000),
    st.integers(0, 2**31),
)
@settings(max_examples=50, deadline=None)
def test_lengths_stay_within_their_bounds(median: int, sigma: float, largest: int, seed: int) -> None:
    lengths = Lengths(median=median, sigma=sigma, largest=largest)
    found = lognormal(lengths, 200, np.random.default_rng(seed))
    assert found.min() >= 1
    assert found.max() <= largest


def test_without_a_spread_every_length_is_the_median() -> None:
    found = lognormal(Lengths(median=77, largest=100), 50, np.random.default_rng(0))
    assert set(found.tolist()) == {77}


def test_every_arm_gets_the_same_schedule() -> None:
    assert schedule(_comparison(_load()), "branch", 7) == schedule(_comparison(_load(), arms=6), "branch", 7)


def test_another_seed_gives_another_schedule() -> None:
    comparison = _comparison(_load())
    assert [r.at_seconds for r in schedule(comparison, "branch", 1)] != [
        r.at_seconds for r in schedule(comparison, "branch", 2)
    ]


def test_loads_do_not_disturb_each_other() -> None:
    other = _load(service="code", requests_per_second=5.0)
    alone = schedule(_comparison(_load()), "branch", 1)
    beside = schedule(_comparison(other, _load()), "branch", 1)
    assert [r for r in beside if r.service == "chat"] == alone
    longer = schedule(_comparison(_load(output=Lengths(median=90, largest=500))), "branch", 1)
    assert [(r.id, r.at_seconds, r.prompt_tokens) for r in longer] == [
        (r.id, r.at_seconds, r.prompt_tokens) for r in alone
    ]


def test_equal_loads_are_not_in_step() -> None:
    found = schedule(_comparison(_load(), _load(), _load(host="c2")), "branch", 1)
    assert len({r.at_seconds for r in found}) == len(found)
    assert len({r.id for r in found}) == len(found)


def test_sites_have_schedules_of_their_own() -> None:
    comparison = _comparison(_load(), _load(site="hq"))
    branch, hq = (schedule(comparison, site, 1) for site in ("branch", "hq"))
    assert not {r.id for r in branch} & {r.id for r in hq}
    assert {r.at_seconds for r in branch}.isdisjoint({r.at_seconds for r in hq})


def test_a_site_without_load_is_named() -> None:
    with pytest.raises(KeyError, match="nowhere"):
        schedule(_comparison(_load()), "nowhere", 1)


def test_requests_know_their_phase() -> None:
    comparison = _comparison(_load(requests_per_second=50.0))
    assert boundaries(comparison) == [("warm-up", 0.0, 10.0), ("calm", 10.0, 70.0), ("slow", 70.0, 100.0)]
    found = schedule(comparison, "branch", 1)
    for name, begin, end in boundaries(comparison):
        times = [r.at_seconds for r in found if r.phase == name]
        assert begin <= min(times)
        assert max(times) < end
        assert len(times) == pytest.approx(50 * (end - begin), rel=0.15)
    assert [r.at_seconds for r in found] == sorted(r.at_seconds for r in found)


def test_without_a_warm_up_there_is_none() -> None:
    comparison = _comparison(_load(), warm_up=0)
    assert boundaries(comparison)[0] == ("calm", 0.0, 60.0)
    assert {r.phase for r in schedule(comparison, "branch", 1)} == {"calm", "slow"}
