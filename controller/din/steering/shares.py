# SPDX-License-Identifier: Apache-2.0
"""Shares of instances in the connections that begin, for all aggregates of a service together.

The target is the assignment of least expected latency,

    min  sum over aggregates a, instances i of  demand_a * share_ai * fixed_ai
         + sum over instances i of  waiting_i(load_i)

`fixed` is both ways and the prefill; `waiting` the mean number of requests that wait, which by Little's law
is load times waiting time: rho^k / (1 - rho) with k = sqrt(2 (slots + 1)) (Sakasegawa's approximation of
M/M/c), continued by its tangent parabola above RHO_LIMIT so that too much load has an optimum too. It is
convex; entropic mirror descent finds it. Because aggregates are solved together, leaves do not all run to
the one instance that is idle.

Why stale figures do not make it herd: queue lengths do not enter as what to flee from. The rates at which
requests come and are finished do, which change slowly; and a backlog takes from the rate what it takes to
work it off within a horizon of HORIZON delays, a delay being the age of the figures and an interval. The
backlog is then a delayed integrator whose gain is 1/(3 delays); below 1/(e delays) such a loop does not
overshoot. `damp` bounds what is left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Load above which a server is overloaded, whatever queueing theory says.
RHO_LIMIT: Final = 0.9
#: Delays within which a backlog is worked off, and seconds at least.
HORIZON: Final = 3.0
HORIZON_LEAST: Final = 2.0
#: Of its rate, what a server with a long backlog still counts as: a target of nothing has no optimum.
RATE_LEAST: Final = 0.02
#: Seconds: differences of latency that are none. Equals share, and a share moves smoothly with what is measured.
SMOOTHING: Final = 1e-3
#: And of what waiting costs all, which is never known so well.
SMOOTHING_SHARE: Final = 0.02
#: Of 1/rate, what sharing a full batch costs a request, long before any has to wait.
SHARING: Final = 0.05
#: Where the search begins.
COARSEST: Final = 0.5
_STEPS: Final = 15
_TOLERANCE: Final = 1e-3
_POINTS: Final = 91
#: Below it a share is none: half a bucket.
_NOTHING: Final = 0.5 / 1024

#: Of the way to the target, what one interval goes; and the most that a share changes in it.
GAIN: Final = 0.3
STEP: Final = 0.1
#: Changes that are not worth moving a bucket.
HYSTERESIS: Final = 0.02


@dataclass(frozen=True)
class Problem:
    """Of one service. Arrays: a = aggregates, i = instances."""

    demand: Array  # [a] requests a second, > 0
    fixed: Array  # [a, i] seconds; inf: not permitted
    rate: Array  # [i] requests a second that can be finished, > 0
    slots: Array  # [i]


def reserve(rate: float, backlog: float, delay: float) -> float:
    """What is left of ``rate`` while ``backlog`` requests are worked off; ``delay`` in seconds."""
    horizon = max(HORIZON * delay, HORIZON_LEAST)
    return max(rate - backlog / horizon, RATE_LEAST * rate)


@lru_cache(maxsize=256)
def _curve(slots: float) -> tuple[Array, Array]:
    """(loads relative to the rate, marginal costs in 1/rate): what one more request a second costs all."""
    k = np.sqrt(2.0 * (slots + 1.0))
    rho = np.linspace(0.0, RHO_LIMIT, _POINTS)
    marginal = (k * rho ** (k - 1.0) * (1.0 - rho) + rho**k) / (1.0 - rho) ** 2 + SHARING * rho
    # From there on a straight line: as steep as it came, to where nobody is.
    slope = (marginal[-1] - marginal[-2]) / (rho[-1] - rho[-2])
    far = 1e6
    return np.append(rho, far), np.append(marginal, marginal[-1] + slope * (far - RHO_LIMIT))


def prices(problem: Problem, load: Array) -> Array:
    """Seconds that one more request costs all others, at each instance."""
    found = [
        np.interp(each / rate, *_curve(float(slots))) / rate
        for each, rate, slots in zip(load, problem.rate, problem.slots, strict=True)
    ]
    return np.array(found)


def _loads(problem: Problem, price: Array) -> tuple[Array, Array]:
    """The inverse of `prices`, and its derivative."""
    load, slope = np.empty_like(price), np.empty_like(price)
    for i, (each, rate, slots) in enumerate(zip(price, problem.rate, problem.slots, strict=True)):
        rho, marginal = _curve(float(slots))
        k = min(max(int(np.searchsorted(marginal, each * rate)), 1), len(rho) - 1)
        steepness = (rho[k] - rho[k - 1]) / (marginal[k] - marginal[k - 1])
        load[i] = rate * (rho[k - 1] + steepness * (each * rate - marginal[k - 1]))
        slope[i] = rate * rate * steepness
    return load, slope


def solve(problem: Problem) -> Array:
    """[a, i] shares, of each aggregate 1 in all, or 0 if nothing is permitted to it.

    By Newton's method on the prices, which are few: the dual of the problem. With smoothing from coarse to SMOOTHING.
    """
    permitted = np.isfinite(problem.fixed)
    fixed = np.where(permitted, problem.fixed, np.inf)
    some = permitted.any(axis=1, keepdims=True)
    demand = np.where(some[:, 0], problem.demand, 0.0)
    price = prices(problem, problem.rate * (demand.sum() / problem.rate.sum()))

    def shares(price: Array, smoothing: float) -> Array:
        cost = np.where(permitted, fixed + price, np.inf)
        least = np.where(some, cost.min(axis=1, keepdims=True), 0.0)
        weights = np.exp(-(cost - least) / smoothing)
        return np.asarray(weights / np.where(some, weights.sum(axis=1, keepdims=True), 1.0))

    scale = float(np.median(price))
    finest = max(SMOOTHING, SMOOTHING_SHARE * scale)
    smoothing = max(COARSEST, scale)
    while True:
        smoothing = max(smoothing / 4.0, finest)
        for _ in range(_STEPS):
            found = shares(price, smoothing)
            load = demand @ found
            supplied, slope = _loads(problem, price)
            excess = load - supplied
            if np.abs(excess).sum() <= _TOLERANCE * demand.sum():
                break
            weighted = found * demand[:, None]
            curvature = (np.diag(load) - found.T @ weighted) / smoothing + np.diag(slope)
            step = np.linalg.solve(curvature, excess)
            # The dual is concave: along a step its slope falls. Not beyond where it has fallen to its negative, and
            # no price by more than a factor: the curves are convex, far away they are others.
            size = 1.0
            while True:
                tried = np.clip(price + size * step, price / 8.0, price * 8.0 + smoothing)
                left = demand @ shares(tried, smoothing) - _loads(problem, tried)[0]
                if left @ (tried - price) >= -0.5 * (excess @ (tried - price)) or size < 1e-3:
                    break
                size /= 2.0
            price = tried
        if smoothing == finest:
            return shares(price, smoothing)


def equal(instances: Sequence[str]) -> dict[str, float]:
    return {name: 1.0 / len(instances) for name in instances}


def nearest(latencies: Mapping[str, float]) -> dict[str, float]:
    """All to the least latency, ties evenly: what anycast does."""
    least = min(latencies.values(), default=0.0)
    first = [name for name, latency in latencies.items() if latency == least]
    return {name: 1.0 / len(first) if name in first else 0.0 for name in latencies}


def tidy(shares: Mapping[str, float]) -> dict[str, float]:
    """Summing to 1, without those too small for a bucket."""
    total = sum(shares.values())
    kept = {name: share for name, share in shares.items() if share > _NOTHING * total}
    total = sum(kept.values())
    return {name: kept.get(name, 0.0) / total if total else 0.0 for name in shares}


def damp(before: Mapping[str, float], target: Mapping[str, float]) -> dict[str, float]:
    """From ``before`` towards ``target``, whose instances are those that may have a share: what others had
    goes to them at once, as the target has it. Then GAIN of the way, STEP at most; nothing below
    HYSTERESIS.
    """
    kept = {name: before.get(name, 0.0) for name in target}
    lost = 1.0 - sum(kept.values())
    start = {name: share + lost * target[name] for name, share in kept.items()}
    away = max((abs(target[name] - start[name]) for name in target), default=0.0)
    if away < HYSTERESIS:
        return start
    factor = min(GAIN, STEP / away)
    # The last bit at once: of a geometric approach there is no end.
    if away * (1 - factor) < HYSTERESIS:
        factor = 1.0 if away <= STEP else factor
    return tidy({name: start[name] + factor * (target[name] - start[name]) for name in target})
