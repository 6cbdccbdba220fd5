# SPDX-License-Identifier: Apache-2.0
"""Laws of plans that hold whatever the network and whatever is measured."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TypeVar

import numpy as np
from din.measure.state import Measured
from din.model.wiring import Wiring
from din.steering.aggregates import aggregates
from din.steering.assignment import Problem, solve
from din.steering.buckets import BUCKETS, counts, fresh, rebalance
from din.steering.decide import decide
from din.steering.shares import HYSTERESIS, STEP
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.din.steering.generate import history, random_measured, random_model

ROOT = Path(__file__).parents[3]
K = TypeVar("K")
V = TypeVar("V")


# ---- the same input, the same plan -------------------------------------------------------------------------


def shuffled(of: Mapping[K, V], random: Random) -> dict[K, V]:
    items = list(of.items())
    random.shuffle(items)
    return dict(items)


@settings(max_examples=40)
@given(st.integers(0, 10**6))
def test_in_whatever_order_it_was_measured(seed: int) -> None:
    random = Random(seed)
    of = random_model(random)
    wiring = Wiring(of)
    wanted = aggregates(of, wiring)
    before = other = None
    for now in range(3):
        measured = random_measured(random, of, float(now))
        again = Measured(
            measured.at,
            shuffled(measured.instances, random),
            shuffled(measured.links, random),
            shuffled(measured.arrivals, random),
        )
        before = decide(of, wiring, wanted, measured, before, frozenset(), float(now))
        if other is not None:
            other = replace(
                other,
                decisions=shuffled(other.decisions, random),
                routes=shuffled(other.routes, random),
                responses=shuffled(other.responses, random),
                demand=shuffled(other.demand, random),
                paces=shuffled(other.paces, random),
            )
        other = decide(of, wiring, random.sample(wanted, len(wanted)), again, other, frozenset(), float(now))
        assert other == before
        assert list(other.decisions) == list(before.decisions)
        assert list(other.routes) == list(before.routes)


PRINT = """
from hashlib import sha256
from tests.din.compile.test_laws import compiled
from tests.din.steering.generate import history
digest = sha256()
for seed in range(6):
    for of, measured, _, plan in history(seed):
        for part in (plan.decisions, plan.routes, plan.responses, plan.transport, plan.demand, plan.paces):
            digest.update(repr(list(part.items())).encode())
        digest.update(repr(sorted(plan.alive)).encode())
        for switch, state in compiled(of, measured, plan).items():
            digest.update(repr((switch, list(state.items()))).encode())
print(digest.hexdigest())
"""


def test_in_whatever_process() -> None:
    """Sets of names have another order in each: that of their hashes."""
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", PRINT],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": str(seed)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in (1, 2)
    ]
    found = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert len(found[0]) == 65
    assert found[0] == found[1]


# ---- what one turn moves -----------------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.integers(0, 10**6))
def test_a_turn_moves_few_buckets_beside_those_that_must_move(seed: int) -> None:
    """Those of instances that may not have any any more move at once; of the others a tenth at most."""
    held: dict[object, tuple[object, ...]] = {}
    for of, _, _, plan in history(seed):
        if of.steering.instances != "din":
            return
        for aggregate, decision in plan.decisions.items():
            shares = {name: share for name, share in decision.shares.items() if share > 0}
            if not shares:
                held.pop(aggregate, None)
                continue
            assert sum(counts(shares).values()) == BUCKETS
            before = held.get(aggregate)
            if before is None:
                held[aggregate] = fresh(shares, str(aggregate))
                continue
            after = rebalance(before, shares, 0.0, 100.0, frozenset())  # type: ignore[arg-type]
            had = Counter(each.current for each in before)  # type: ignore[attr-defined]
            may = {each.instance for each in decision.choices} - {each.what for each in decision.rejected}
            may |= {each.what for each in decision.rejected if each.constraint == "ttft"}
            must = sum(count for name, count in had.items() if name not in may)
            moved = sum(a.current != b.current for a, b in zip(before, after, strict=True))  # type: ignore[attr-defined]
            rounding = len(had | Counter(decision.shares))
            assert moved <= must + BUCKETS * max(STEP, HYSTERESIS) + rounding
            assert Counter(each.current for each in after) == counts(shares)
            held[aggregate] = after


# ---- more of what is bad is never taken for good -----------------------------------------------------------


def random_problem(random: np.random.Generator, load: float) -> Problem:
    a, i = random.integers(1, 6), random.integers(2, 7)
    rate, demand = random.uniform(0.5, 20, i), random.uniform(0.01, 5, a)
    fixed = random.uniform(0.001, 0.1, (a, i))
    return Problem(demand * load * rate.sum() / demand.sum(), fixed, rate, random.choice([2.0, 8, 64], i))


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.floats(0.05, 1.2), st.floats(0.002, 0.2))
def test_who_is_farther_gets_no_more(seed: int, load: float, farther: float) -> None:
    random = np.random.default_rng(seed)
    problem = random_problem(random, load)
    row, column = (int(random.integers(n)) for n in problem.fixed.shape)
    fixed = problem.fixed.copy()
    fixed[row, column] += farther
    before, after = solve(problem), solve(replace(problem, fixed=fixed))
    assert after[row, column] <= before[row, column] + 0.01


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.floats(0.05, 1.2), st.floats(0.3, 0.95))
def test_who_is_slower_gets_no_more(seed: int, load: float, slower: float) -> None:
    random = np.random.default_rng(seed)
    problem = random_problem(random, load)
    column = int(random.integers(len(problem.rate)))
    rate = problem.rate.copy()
    rate[column] *= slower
    before, after = (problem.demand @ solve(each) for each in (problem, replace(problem, rate=rate)))
    assert after[column] <= before[column] + 0.01 * problem.demand.sum()


@settings(max_examples=100)
@given(st.integers(0, 10**6), st.floats(0.05, 0.9))
def test_nobody_is_given_more_than_he_can_do_if_that_can_be(seed: int, load: float) -> None:
    """There is an assignment in which each has ``load`` of what he can; not all are permitted to all."""
    random = np.random.default_rng(seed)
    problem = random_problem(random, load)
    permitted = random.random(problem.fixed.shape) < 0.6
    permitted[np.arange(len(permitted)), random.integers(permitted.shape[1], size=len(permitted))] = True
    # Each instance's part of it comes from some that it is permitted to.
    given_ = np.where(permitted, random.exponential(size=permitted.shape), 0.0)
    used = given_.sum(axis=0)
    given_ = given_ / np.where(used > 0, used, 1.0) * problem.rate * load
    feasible = Problem(
        given_.sum(axis=1), np.where(permitted, problem.fixed, np.inf), problem.rate, problem.slots
    )
    assert np.all(feasible.demand @ solve(feasible) <= problem.rate)
