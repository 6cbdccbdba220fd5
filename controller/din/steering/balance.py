# SPDX-License-Identifier: Apache-2.0
"""What `assignment` is to solve for a service: capacities and costs from what is known, the rest filled in.

Unknown is neither idle nor full: a server that does not say counts as the mean of those of its variant that
do, else of all that do. Where nothing of a service was measured at all, shares stay what they were.

A server's rate is its slots over the time that a request holds one (`pace`). That of idle servers is known
too, so that what distance costs can be weighed against what waiting would: with next to no demand all goes to
the nearest, and what is farther has its share as soon as that pays.

Two things are taken from a rate: what it takes to work off the backlog, and what connections finish that
are there already (clients keep them open): they stay where they are. The latter is what all finish beyond
what arrives.

What decides is the time to the first token: the measured latency of both ways, the prefill, and what one
more request costs all at that server. The variant's cost is a tie-breaker: its full range among those that
may answer weighs as much as COST_WEIGHT of latency. A TPOT beyond the service's objective costs a request
what TOKENS tokens lose by it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Final

import numpy as np

from din.model.network import Model

from .assignment import RATE_LEAST, Problem, reserve, solve
from .constraints import find_variant
from .demand import BELIEF
from .estimate import Server
from .pace import TOKENS
from .plan import Aggregate, Estimate, Pace, Plan
from .shares import damp, tidy

#: Seconds.
COST_WEIGHT: Final = 1e-3
UNKNOWN_SLOTS: Final = 16.0
#: Of the greatest share, what is not worth sending connections elsewhere.
SLIVER: Final = 0.01


def targets(
    model: Model,
    eligible: Mapping[Aggregate, Sequence[str]],
    estimates: Mapping[tuple[Aggregate, str], Estimate],
    servers: Mapping[str, Server],
    paces: Mapping[str, Pace],
    demand: Mapping[Aggregate, float],
    before: Plan | None,
) -> dict[Aggregate, dict[str, float]]:
    """Of one service's aggregates, for the next interval: shares of the ``eligible``, summing to 1."""
    names = sorted({name for each in eligible.values() for name in each})
    asked = [aggregate for aggregate, each in eligible.items() if each]
    found: dict[Aggregate, dict[str, float]] = {aggregate: {} for aggregate in eligible}
    if not asked:
        return found
    silent = not any(servers[name].known for name in names)
    solution = solve(_problem(model, asked, names, eligible, estimates, servers, paces, demand))
    place = {name: column for column, name in enumerate(names)}
    for row, aggregate in enumerate(asked):
        target = tidy({name: float(solution[row, place[name]]) for name in eligible[aggregate]}, SLIVER)
        had = before.decisions.get(aggregate) if before is not None else None
        previous = had.shares if had is not None else {}
        kept = {name: previous.get(name, 0.0) for name in target}
        # A controller that restarts knows nothing yet, and has no reason to move anything.
        found[aggregate] = tidy(kept) if silent and sum(kept.values()) > 0.99 else damp(previous, target)
    return found


def _problem(
    model: Model,
    asked: Sequence[Aggregate],
    names: Sequence[str],
    eligible: Mapping[Aggregate, Sequence[str]],
    estimates: Mapping[tuple[Aggregate, str], Estimate],
    servers: Mapping[str, Server],
    paces: Mapping[str, Pace],
    demand: Mapping[Aggregate, float],
) -> Problem:
    place = {name: column for column, name in enumerate(names)}
    variants = {name: model.instance[name].variant for name in names}
    slots = _slots({name: servers[name].slots for name in names}, variants)
    rates = {name: slots[name] / paces[name].hold for name in names}
    least = _least_demand(model, asked)
    wanted = {aggregate: demand.get(aggregate, 0.0) for aggregate in asked}
    left = _left(model, names, servers, rates, sum(wanted.values()))
    extra = _extra_costs(model, names, servers)
    fixed = np.full((len(asked), len(names)), np.inf)
    for row, aggregate in enumerate(asked):
        for name in eligible[aggregate]:
            way = estimates[aggregate, name]
            fixed[row, place[name]] = (way.request + way.response) / 1e6 + paces[name].prefill + extra[name]
    return Problem(
        demand=np.array([max(wanted[each], least[each]) for each in asked]),
        fixed=fixed,
        rate=np.array([left[name] for name in names]),
        slots=np.array([slots[name] for name in names]),
    )


def _least_demand(model: Model, asked: Sequence[Aggregate]) -> dict[Aggregate, float]:
    """Connections a second that must be reckoned with: a leaf from which none came in the time that `demand`
    remembers may still send one in it.
    """
    remembered = model.steering.interval / 1e6 / BELIEF
    there = Counter(each.leaf for each in asked)
    return {each: 1.0 / remembered / there[each.leaf] for each in asked}


def _left(
    model: Model,
    names: Sequence[str],
    servers: Mapping[str, Server],
    rates: Mapping[str, float],
    wanted: float,
) -> dict[str, float]:
    """Of the rates, for connections that begin."""
    finished = sum(servers[name].finishing or 0.0 for name in names)
    staying = max(1.0 - wanted / finished, 0.0) if finished else 0.0
    # An interval passes before what is decided can be seen.
    interval = model.steering.interval / 1e6
    found: dict[str, float] = {}
    for name, rate in rates.items():
        server = servers[name]
        left = reserve(rate, server.backlog, server.age + interval) - staying * (server.finishing or 0.0)
        found[name] = max(left, RATE_LEAST * rate)
    return found


def _extra_costs(model: Model, names: Sequence[str], servers: Mapping[str, Server]) -> dict[str, float]:
    """Seconds, beyond those until the first token."""
    objective = model.service[model.instance[names[0]].service].slo.tpot / 1e6
    variants = {name: find_variant(model, model.instance[name]) for name in names}
    prices = {name: variant.cost if variant is not None else 0.0 for name, variant in variants.items()}
    least, most = min(prices.values()), max(prices.values())
    found: dict[str, float] = {}
    for name in names:
        late = max((servers[name].tpot or 0.0) - objective, 0.0)
        price = (prices[name] - least) / (most - least) if most > least else 0.0
        found[name] = TOKENS * late + COST_WEIGHT * price
    return found


def _slots(told: Mapping[str, float | None], variants: Mapping[str, str]) -> dict[str, float]:
    """Where they are not known, the mean of those of the variant that are, else of all that are."""
    known = {name: value for name, value in told.items() if value is not None}
    of_variant: dict[str, list[float]] = {}
    for name, value in known.items():
        of_variant.setdefault(variants[name], []).append(value)
    everybody = [fmean(known.values())] if known else [UNKNOWN_SLOTS]
    return {name: known.get(name, fmean(of_variant.get(variants[name], everybody))) for name in told}
