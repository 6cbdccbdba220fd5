# SPDX-License-Identifier: Apache-2.0
"""What `shares` is to solve for a service: demand, capacities and costs from what is known, the rest filled
in.

Unknown is neither idle nor full: a server that does not say counts as the mean of those of its variant that
do, else of all that do. If none does, they count as equal, and as able to take half as much again as is
asked for. Demand is what was measured at a leaf, else what the model expects there; and never less than a
fifth of what the servers can do, so that a burst after silence does not find everything on the nearest.
Where nothing of a service was measured at all, shares stay what they were.

Latency decides. The variant's cost is a tie-breaker: its full range among those that may answer weighs as
much as COST_WEIGHT of latency. A TPOT beyond the service's objective costs a request what TOKENS tokens
lose by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Final

import numpy as np

from din.measure.state import Measured
from din.model.network import Model

from .bounds import unlabelled
from .constraints import find_variant
from .estimate import Server
from .plan import Aggregate, Estimate, Plan
from .shares import Problem, damp, reserve, solve, tidy

#: Seconds.
COST_WEIGHT: Final = 1e-3
TOKENS: Final = 32
#: Load that is assumed where nothing is known of the servers, and the least of which plans are made.
UNKNOWN_LOAD: Final = 1 / 1.5
LEAST_LOAD: Final = 0.2
UNKNOWN_SLOTS: Final = 16.0


def targets(
    model: Model,
    eligible: Mapping[Aggregate, Sequence[str]],
    estimates: Mapping[tuple[Aggregate, str], Estimate],
    servers: Mapping[str, Server],
    measured: Measured,
    before: Plan | None,
) -> dict[Aggregate, dict[str, float]]:
    """Of one service's aggregates, for the next interval: shares of the ``eligible``, summing to 1."""
    names = sorted({name for each in eligible.values() for name in each})
    asked = [aggregate for aggregate, each in eligible.items() if each]
    found: dict[Aggregate, dict[str, float]] = {aggregate: {} for aggregate in eligible}
    if not asked:
        return found
    had = {
        aggregate: before.decisions[aggregate].shares
        for aggregate in asked
        if before is not None and aggregate in before.decisions
    }
    silent = not any(servers[name].known for name in names) and not any(
        (aggregate.leaf, aggregate.service) in measured.arrivals for aggregate in asked
    )
    solution = solve(_problem(model, asked, names, eligible, estimates, servers, measured))
    for row, aggregate in enumerate(asked):
        target = tidy({name: float(solution[row, names.index(name)]) for name in eligible[aggregate]})
        previous = had.get(aggregate, {})
        if silent and sum(previous.get(name, 0.0) for name in target) > 0.99:
            found[aggregate] = tidy({name: previous.get(name, 0.0) for name in target})
        else:
            found[aggregate] = damp(previous, target)
    return found


def _problem(
    model: Model,
    asked: Sequence[Aggregate],
    names: Sequence[str],
    eligible: Mapping[Aggregate, Sequence[str]],
    estimates: Mapping[tuple[Aggregate, str], Estimate],
    servers: Mapping[str, Server],
    measured: Measured,
) -> Problem:
    variants = {name: model.instance[name].variant for name in names}
    slots = _filled({name: servers[name].slots for name in names}, variants)
    rates = _filled({name: servers[name].rate for name in names}, variants)
    computes = _filled({name: servers[name].compute for name in names}, variants)
    demand = _demand(model, asked, servers, measured)
    if rates is None:
        # Nobody knows how fast they are: as fast as they have slots, and enough.
        weights = slots or dict.fromkeys(names, 1.0)
        wanted = (sum(demand) or float(len(asked))) / UNKNOWN_LOAD
        rates = {name: weight / sum(weights.values()) * wanted for name, weight in weights.items()}
    least = LEAST_LOAD * sum(rates.values())
    if sum(demand) < least:
        # What is missing may come from any leaf.
        demand = [each + (least - sum(demand)) / len(asked) for each in demand]
    # An interval passes before what is decided can be seen.
    interval = model.steering.interval / 1e6
    rate = [reserve(rates[name], servers[name].backlog, servers[name].age + interval) for name in names]
    service = model.service[asked[0].service]
    extra = _variant_costs(model, names)
    for name in names:
        late = max((servers[name].tpot or 0.0) - service.slo.tpot / 1e6, 0.0)
        extra[name] += TOKENS * late + (computes[name] if computes is not None else 0.0)
    fixed = np.full((len(asked), len(names)), np.inf)
    for row, aggregate in enumerate(asked):
        for name in eligible[aggregate]:
            way = estimates[aggregate, name]
            fixed[row, names.index(name)] = (way.request + way.response) / 1e6 + extra[name]
    return Problem(
        demand=np.array(demand),
        fixed=fixed,
        rate=np.array(rate),
        slots=np.array([slots[name] if slots is not None else UNKNOWN_SLOTS for name in names]),
    )


def _demand(
    model: Model, asked: Sequence[Aggregate], servers: Mapping[str, Server], measured: Measured
) -> list[float]:
    """Requests a second of each aggregate. A leaf's measured arrivals are divided as the model expects, else
    equally.
    """
    expected = [_expected(model, aggregate) for aggregate in asked]
    found: list[float] = []
    for aggregate, each in zip(asked, expected, strict=True):
        arrivals = measured.arrivals.get((aggregate.leaf, aggregate.service))
        if arrivals is None:
            found.append(each)
            continue
        here = [k for k, other in enumerate(asked) if other.leaf == aggregate.leaf]
        total = sum(expected[k] for k in here)
        found.append(arrivals * (each / total if total else 1 / len(here)))
    return found


def _expected(model: Model, aggregate: Aggregate) -> float:
    """Of the model's demand, what begins at this leaf: a site's is divided among its leaves and the tenant's
    classes.
    """
    site = model.switch[aggregate.leaf].site
    service = model.service[aggregate.service]
    if aggregate.traffic_class != service.traffic_class.value:
        return 0.0
    expected = sum(
        each.requests_per_second
        for each in model.demand
        if each.site == site
        and each.service == aggregate.service
        and (each.tenant or service.tenant) == aggregate.tenant
        and unlabelled(each.label) == aggregate.label
    )
    if not expected:
        return 0.0
    leaves = {
        host.leaf
        for host in model.hosts
        if host.tenant == aggregate.tenant and model.switch[host.leaf].site == site
    }
    return expected / len(leaves)


def _filled(values: Mapping[str, float | None], variants: Mapping[str, str]) -> dict[str, float] | None:
    """With means for what is not known. None: nothing is."""
    known = {name: value for name, value in values.items() if value is not None}
    if not known:
        return None
    found: dict[str, float] = {}
    for name in values:
        alike = [value for other, value in known.items() if variants[other] == variants[name]]
        found[name] = known[name] if name in known else fmean(alike or known.values())
    return found


def _variant_costs(model: Model, names: Sequence[str]) -> dict[str, float]:
    """Seconds."""
    costs = {
        name: variant.cost if (variant := find_variant(model, model.instance[name])) else 0.0
        for name in names
    }
    least, most = min(costs.values()), max(costs.values())
    return {
        name: COST_WEIGHT * (cost - least) / (most - least) if most > least else 0.0
        for name, cost in costs.items()
    }
