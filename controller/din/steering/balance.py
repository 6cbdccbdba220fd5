# SPDX-License-Identifier: Apache-2.0
"""What `assignment` is to solve for a service: capacities and costs from what is known, the rest filled in.

Unknown is neither idle nor full: a server that does not say counts as the mean of those of its variant that
do, else of all that do. If none does, they count as equal, and as able to take half as much again as is
asked for. Of demand there is never less than a fifth of what the servers can do, so that a burst after
silence does not find everything on the nearest. Where nothing of a service was measured at all, shares stay
what they were.

A server's rate is its slots over the time that a request holds one, by Little's law running / (finished/s).
Two things are taken from it: what it takes to work off its backlog, and what connections finish that are
there already (clients keep them open): they stay where they are. The latter is what all finish beyond what
arrives.

Latency decides. The variant's cost is a tie-breaker: its full range among those that may answer weighs as
much as COST_WEIGHT of latency. A TPOT beyond the service's objective costs a request what TOKENS tokens
lose by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Final

import numpy as np

from din.model.network import Model

from .assignment import RATE_LEAST, Problem, reserve, solve
from .constraints import find_variant
from .estimate import Server
from .plan import Aggregate, Estimate, Plan
from .shares import damp, tidy

#: Seconds.
COST_WEIGHT: Final = 1e-3
TOKENS: Final = 32
#: Load that is assumed where nothing is known of the servers, and the least of which plans are made.
UNKNOWN_LOAD: Final = 1 / 1.5
LEAST_LOAD: Final = 0.2
UNKNOWN_SLOTS: Final = 16.0
#: Requests a second, as which the usual counts beside what a server finished lately.
PRIOR: Final = 1.0


def targets(
    model: Model,
    eligible: Mapping[Aggregate, Sequence[str]],
    estimates: Mapping[tuple[Aggregate, str], Estimate],
    servers: Mapping[str, Server],
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
    solution = solve(_problem(model, asked, names, eligible, estimates, servers, demand))
    for row, aggregate in enumerate(asked):
        target = tidy({name: float(solution[row, names.index(name)]) for name in eligible[aggregate]})
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
    demand: Mapping[Aggregate, float],
) -> Problem:
    variants = {name: model.instance[name].variant for name in names}
    slots = _filled({name: servers[name].slots for name in names}, variants)
    computes = _filled({name: servers[name].compute for name in names}, variants)
    wanted = [demand.get(aggregate, 0.0) for aggregate in asked]
    rates = None if slots is None else _rates(servers, slots, variants)
    if rates is None:
        # Nobody knows how fast they are: as fast as they have slots, and enough.
        weights = slots or dict.fromkeys(names, 1.0)
        enough = (sum(wanted) or float(len(asked))) / UNKNOWN_LOAD
        rates = {name: weight / sum(weights.values()) * enough for name, weight in weights.items()}
    else:
        rates = _left(model, names, servers, rates, sum(wanted))
    lacking = LEAST_LOAD * sum(rates.values()) - sum(wanted)
    if lacking > 0:
        # It may come from any leaf.
        wanted = [each + lacking / len(asked) for each in wanted]
    extra = _extra_costs(model, names, servers)
    fixed = np.full((len(asked), len(names)), np.inf)
    for row, aggregate in enumerate(asked):
        for name in eligible[aggregate]:
            way = estimates[aggregate, name]
            compute = computes[name] if computes is not None else 0.0
            fixed[row, names.index(name)] = (way.request + way.response) / 1e6 + compute + extra[name]
    return Problem(
        demand=np.array(wanted),
        fixed=fixed,
        rate=np.array([rates[name] for name in names]),
        slots=np.array([slots[name] if slots is not None else UNKNOWN_SLOTS for name in names]),
    )


def _rates(
    servers: Mapping[str, Server], slots: Mapping[str, float], variants: Mapping[str, str]
) -> dict[str, float] | None:
    """Requests a second that each can finish. None: nothing is known of anybody.

    What a server finished lately are few requests: it counts as if PRIOR a second more had taken what they
    take at those of its variant.
    """
    busy = {name: each for name in slots if (each := servers[name]).running and each.finishing}
    usual = _usual(
        {name: (each.running or 0.0) / (each.finishing or 1.0) for name, each in busy.items()}, variants
    )
    if usual is None:
        return None
    found: dict[str, float] = {}
    for name, count in slots.items():
        running, finishing = (
            (busy[name].running or 0.0, busy[name].finishing or 0.0) if name in busy else (0.0, 0.0)
        )
        found[name] = count * (finishing + PRIOR) / (running + PRIOR * usual[name])
    return found


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


def _usual(known: Mapping[str, float], variants: Mapping[str, str]) -> dict[str, float] | None:
    """Of every instance: the mean of those of its variant that are known, else of all. None: nothing is."""
    if not known:
        return None
    of_variant: dict[str, list[float]] = {}
    for name, value in known.items():
        of_variant.setdefault(variants[name], []).append(value)
    everybody = fmean(known.values())
    return {name: fmean(of_variant.get(variant, [everybody])) for name, variant in variants.items()}


def _filled(values: Mapping[str, float | None], variants: Mapping[str, str]) -> dict[str, float] | None:
    """With what is usual for what is not known. None: nothing is."""
    known = {name: value for name, value in values.items() if value is not None}
    usual = _usual(known, variants)
    return None if usual is None else {**usual, **known}
