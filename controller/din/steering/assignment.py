# SPDX-License-Identifier: Apache-2.0
"""The assignment of aggregates to instances that has the least expected latency, for one service as a whole.

    min  sum over aggregates a, instances i of  demand_a * share_ai * fixed_ai
         + sum over instances i of  waiting_i(load_i)

`fixed` is both ways and the prefill. `waiting` is the mean number of requests that wait, by Little's law
the load times the waiting time of M/M/c (Erlang's C), and a little for all that share a batch. Above
RHO_LIMIT its derivative goes on as a straight line, so that too much load has an optimum too: that all are
late alike.

Because aggregates are solved for together, leaves do not all run to the one instance that is idle. The
solution is smooth: instances that are nearly as good share (a logit, as in stochastic traffic assignment),
so that a small change of what is measured changes little.

Why stale figures do not make it herd: queue lengths do not enter as what to flee from. The rates at which
requests come and are finished do, which change slowly; and a backlog takes from the rate what it takes to
work it off within HORIZON delays, a delay being the age of the figures and an interval. The backlog is then
a delayed integrator whose gain is 1/(3 delays); below 1/(e delays) such a loop does not overshoot.
"""

from __future__ import annotations

from bisect import bisect_left
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
#: Seconds: differences of latency that are none. Equals share, and a share moves smoothly with what is
#: measured.
SMOOTHING: Final = 1e-3
#: And of what waiting costs all, which is never known so well.
SMOOTHING_SHARE: Final = 0.02
#: Of 1/rate, what sharing a full batch costs a request, long before any has to wait.
SHARING: Final = 0.05
#: Where the search begins.
COARSEST: Final = 0.5
_STEPS: Final = 15
_TOLERANCE: Final = 1e-3
_POINTS: Final = 181


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
def _curve(slots: int) -> tuple[Array, Array]:
    """(loads relative to the rate, marginal costs in 1/rate): what one more request a second costs all."""
    rho = np.linspace(0.0, RHO_LIMIT, _POINTS)
    # Erlang's B by its recursion, upside down; then C, and how many wait.
    inverse = np.ones_like(rho)
    with np.errstate(divide="ignore", over="ignore"):
        for k in range(1, slots + 1):
            inverse = 1.0 + inverse * k / (slots * rho)
        blocked = 1.0 / inverse
    delayed = blocked / (1.0 - rho * (1.0 - blocked))
    marginal = np.gradient(delayed * rho / (1.0 - rho), rho) + SHARING * rho
    # From there on a straight line: as steep as it came, to where nobody is.
    slope = (marginal[-1] - marginal[-2]) / (rho[-1] - rho[-2])
    far = 1e6
    return np.append(rho, far), np.append(marginal, marginal[-1] + slope * (far - RHO_LIMIT))


@lru_cache(maxsize=256)
def _points(slots: int) -> tuple[list[float], list[float]]:
    """`_curve` for one look-up at a time."""
    rho, marginal = _curve(slots)
    return rho.tolist(), marginal.tolist()


def prices(problem: Problem, load: Array) -> Array:
    """Seconds that one more request costs all others, at each instance."""
    found = [
        np.interp(each / rate, *_curve(max(round(slots), 1))) / rate
        for each, rate, slots in zip(load, problem.rate, problem.slots, strict=True)
    ]
    return np.array(found)


def _loads(problem: Problem, price: Array) -> tuple[Array, Array]:
    """The inverse of `prices`, and its derivative."""
    load, slope = np.empty_like(price), np.empty_like(price)
    curves = zip(price.tolist(), problem.rate.tolist(), problem.slots.tolist(), strict=True)
    for i, (each, rate, slots) in enumerate(curves):
        rho, marginal = _points(max(round(slots), 1))
        k = min(max(bisect_left(marginal, each * rate), 1), len(rho) - 1)
        steepness = (rho[k] - rho[k - 1]) / (marginal[k] - marginal[k - 1])
        load[i] = rate * (rho[k - 1] + steepness * (each * rate - marginal[k - 1]))
        slope[i] = rate * rate * steepness
    return load, slope


def solve(problem: Problem) -> Array:
    """[a, i] shares, of each aggregate 1 in all, or 0 if nothing is permitted to it.

    By Newton's method on the prices, which are few: the dual of the problem. With smoothing from coarse to
    SMOOTHING.
    """
    permitted = np.isfinite(problem.fixed)
    fixed = np.where(permitted, problem.fixed, np.inf)
    some = permitted.any(axis=1, keepdims=True)
    demand = np.where(permitted.any(axis=1), problem.demand, 0.0)
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
        found = shares(price, smoothing)
        supplied, slope = _loads(problem, price)
        for _ in range(_STEPS):
            load = demand @ found
            excess = load - supplied
            if np.abs(excess).sum() <= _TOLERANCE * demand.sum():
                break
            weighted = found * demand[:, None]
            curvature = (np.diag(load) - found.T @ weighted) / smoothing + np.diag(slope)
            step = np.linalg.solve(curvature, excess)
            # The dual is concave: along a step its slope falls. Not beyond where it has fallen to its
            # negative, and no price by more than a factor: the curves are convex, far away they are others.
            size = 1.0
            while True:
                tried = np.clip(price + size * step, price / 8.0, price * 8.0 + smoothing)
                found = shares(tried, smoothing)
                supplied, slope = _loads(problem, tried)
                moved = tried - price
                if (demand @ found - supplied) @ moved >= -0.5 * (excess @ moved) or size < 1e-3:
                    break
                size /= 2.0
            price = tried
        if smoothing == finest:
            return found
