# SPDX-License-Identifier: Apache-2.0
"""The assignment is the best there is, and is approached without haste."""

from __future__ import annotations

import numpy as np
import pytest
from din.steering.assignment import (
    SHARING,
    SMOOTHING,
    SMOOTHING_SHARE,
    Array,
    Problem,
    prices,
    reserve,
    solve,
)
from din.steering.shares import HYSTERESIS, STEP, damp, equal, nearest, tidy
from hypothesis import given, settings
from hypothesis import strategies as st

NAMES = ("a", "b", "c", "d")
shares_of = st.lists(st.floats(0.01, 1), min_size=1, max_size=4).map(
    lambda values: dict(zip(NAMES, (each / sum(values) for each in values), strict=False))
)


def random_problem(seed: int, load: float) -> Problem:
    random = np.random.default_rng(seed)
    a, i = random.integers(1, 8), random.integers(1, 7)
    rate, demand = random.uniform(0.2, 20, i), random.uniform(0.01, 5, a)
    fixed = random.uniform(0.001, 0.2, (a, i)) + random.uniform(0, 0.5, i)
    fixed[random.random((a, i)) < 0.2] = np.inf
    return Problem(demand * load * rate.sum() / demand.sum(), fixed, rate, random.choice([1.0, 4, 16, 64], i))


def objective(problem: Problem, shares: Array) -> float:
    """What all requests of a second spend, in seconds."""
    load = problem.demand @ shares
    steps = np.linspace(0.0, 1.0, 201)
    waiting = np.trapezoid([prices(problem, load * step) @ load for step in steps], steps)
    fixed = np.where(np.isfinite(problem.fixed), problem.fixed, 0.0)
    return float((problem.demand[:, None] * shares * fixed).sum() + waiting)


@settings(max_examples=40)
@given(st.integers(0, 100_000), st.floats(0.01, 1.8))
def test_no_other_assignment_is_better(seed: int, load: float) -> None:
    problem = random_problem(seed, load)
    found = solve(problem)
    permitted = np.isfinite(problem.fixed)
    some = permitted.any(axis=1)
    assert np.all(found >= 0)
    assert np.all(found[~permitted] == 0)
    assert np.allclose(found.sum(axis=1), some)
    demand = np.where(some, problem.demand, 0.0).sum()
    scale = float(np.median(prices(problem, problem.rate * (demand / problem.rate.sum()))))
    # What smoothing may cost: its entropy.
    smoothing = max(SMOOTHING, SMOOTHING_SHARE * scale) * demand * np.log(1 + permitted.shape[1])
    cost = objective(problem, found)
    random = np.random.default_rng(seed)
    for _ in range(4):
        other = np.where(permitted, random.exponential(size=permitted.shape) ** 3, 0.0)
        other = other / np.where(some, other.sum(axis=1), 1.0)[:, None]
        for part in (0.02, 0.2, 1.0):
            assert cost <= objective(problem, (1 - part) * found + part * other) + smoothing + 0.01 * cost


def one(fixed: list[float], rate: list[float], demand: float) -> list[float]:
    problem = Problem(np.array([demand]), np.array([fixed]), np.array(rate), np.full(len(rate), 8.0))
    return [float(each) for each in solve(problem)[0]]


def test_waiting_is_erlangs() -> None:
    # M/M/1: rho^2 / (1 - rho) wait, and one more costs its derivative; and what sharing costs.
    problem = Problem(np.array([1.0]), np.array([[0.0]]), np.array([2.0]), np.array([1.0]))
    rho = 0.6
    expected = (2 * rho - rho**2) / (1 - rho) ** 2 + SHARING * rho
    assert prices(problem, np.array([rho * 2.0]))[0] == pytest.approx(expected / 2.0, rel=1e-3)


def test_equals_share_equally() -> None:
    assert one([0.1] * 4, [5.0] * 4, 12.0) == pytest.approx([0.25] * 4)


def test_the_near_one_is_filled_first() -> None:
    assert one([0.01, 0.05], [10.0, 10.0], 3.0)[0] > 0.99
    near, far = one([0.01, 0.05], [10.0, 10.0], 16.0)
    assert near > far > 0.4


def test_load_follows_capacity() -> None:
    fast, slow = one([0.1, 0.1], [30.0, 10.0], 32.0)
    assert fast == pytest.approx(0.75, abs=0.03)
    assert slow == pytest.approx(0.25, abs=0.03)


def test_leaves_that_are_solved_together_do_not_meet_at_one_instance() -> None:
    # Both leaves are a little nearer to the first; neither leaves the other no room.
    problem = Problem(
        np.array([6.0, 6.0]),
        np.array([[0.01, 0.02], [0.01, 0.02]]),
        np.array([8.0, 8.0]),
        np.array([8.0, 8.0]),
    )
    load = problem.demand @ solve(problem)
    assert load.max() < 0.85 * 8


def test_a_backlog_takes_from_the_rate_and_never_all() -> None:
    assert reserve(10.0, 0.0, 1.0) == 10.0
    assert reserve(10.0, 6.0, 1.0) == pytest.approx(8.0)
    assert 0 < reserve(10.0, 1e6, 1.0) < 1
    # The older the figures, the slower.
    assert reserve(10.0, 6.0, 2.0) > reserve(10.0, 6.0, 1.0)


# ---- damping -----------------------------------------------------------------------------------------------


@given(shares_of, shares_of)
def test_a_share_moves_by_little_and_towards_its_target(
    before: dict[str, float], target: dict[str, float]
) -> None:
    found = damp(before, target)
    assert sum(found.values()) == pytest.approx(1.0)
    assert found.keys() == target.keys()
    lost = 1 - sum(before.get(name, 0.0) for name in target)
    start = {name: before.get(name, 0.0) + lost * target[name] for name in target}
    assert sum(abs(found[name] - start[name]) for name in target) / 2 <= STEP + 1e-2
    for name in target:
        assert abs(found[name] - target[name]) <= abs(start[name] - target[name]) + 1e-2


@given(shares_of)
def test_tiny_differences_move_nothing(before: dict[str, float]) -> None:
    target = {name: share + (HYSTERESIS * 0.9 if name == "a" else 0) for name, share in before.items()}
    target = {name: share / sum(target.values()) for name, share in target.items()}
    assert damp(before, target) == pytest.approx(before)


def test_many_small_differences_are_one_great_one() -> None:
    """Of 500 instances half become slow: no share changes by more than 0.002."""
    names = [f"i{k:03}" for k in range(500)]
    shares = dict.fromkeys(names, 0.002)
    target = {name: 0.004 if k < 250 else 0.0 for k, name in enumerate(names)}
    for _ in range(20):
        moved = damp(shares, target)
        assert sum(abs(moved[name] - shares[name]) for name in names) / 2 <= STEP + 1e-9
        shares = moved
    assert shares == pytest.approx(target)


def test_the_target_is_reached() -> None:
    shares = {"a": 1.0, "b": 0.0}
    for _ in range(20):
        shares = damp(shares, {"a": 0.2, "b": 0.8})
    assert shares == pytest.approx({"a": 0.2, "b": 0.8}, abs=HYSTERESIS)


def test_what_may_have_nothing_has_nothing_at_once() -> None:
    assert damp({"a": 0.5, "b": 0.5}, {"b": 1.0}) == {"b": 1.0}
    found = damp({"a": 0.4, "b": 0.3, "c": 0.3}, {"b": 0.5, "c": 0.5})
    assert found == pytest.approx({"b": 0.5, "c": 0.5})


def test_at_first_it_is_the_target() -> None:
    assert damp({}, {"a": 0.3, "b": 0.7}) == pytest.approx({"a": 0.3, "b": 0.7})


def test_shares_below_half_a_bucket_are_none() -> None:
    assert tidy({"a": 1.0, "b": 1e-4}) == {"a": 1.0, "b": 0.0}
    assert tidy({}) == {}


def test_slivers_are_none_where_that_is_asked_for() -> None:
    assert tidy({"a": 0.995, "b": 0.005}, 0.01) == {"a": 1.0, "b": 0.0}
    many = {f"i{k}": 0.002 for k in range(500)}
    assert tidy(many, 0.01) == pytest.approx(many)


def test_what_it_is_compared_with() -> None:
    assert equal(["a", "b"]) == {"a": 0.5, "b": 0.5}
    assert equal([]) == {}
    assert nearest({"a": 2.0, "b": 1.0, "c": 1.0}) == {"a": 0.0, "b": 0.5, "c": 0.5}
    assert nearest({}) == {}
