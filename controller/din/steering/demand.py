# SPDX-License-Identifier: Apache-2.0
"""What aggregates ask for: connections a second that begin, smoothed over decisions.

Measured is a leaf's and a service's. It is divided among what is steered apart there as the model expects
it, else equally. Until something is measured it is what the model expects.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

from din.measure.state import Measured
from din.model.network import Model

from .bounds import unlabelled
from .plan import Aggregate

#: Of a new figure, what one decision believes: a second's arrivals are few, and random.
BELIEF: Final = 0.15


def demand(
    model: Model,
    aggregates: Collection[Aggregate],
    measured: Measured,
    before: Mapping[Aggregate, float],
    now: float,
) -> dict[Aggregate, float]:
    """Of all ``aggregates``; an aggregate of which nothing is known is not in it. ``now`` in seconds."""
    here: dict[tuple[str, str], list[Aggregate]] = {}
    for each in aggregates:
        here.setdefault((each.leaf, each.service), []).append(each)
    counted = _counted(model, measured, now)
    # A site's demand is divided among its leaves.
    leaves = Counter(_asked_at(model, each) for each in aggregates)
    found: dict[Aggregate, float] = {}
    for where, group in here.items():
        expected = {each: _expected(model, each) / leaves[_asked_at(model, each)] for each in group}
        total = sum(expected.values())
        arrivals = measured.arrivals.get(where, 0.0 if counted else None)
        for each in group:
            known = before.get(each, expected[each] or None)
            if arrivals is not None:
                new = arrivals * (expected[each] / total if total else 1 / len(group))
                known = new if known is None else known + BELIEF * (new - known)
            if known is not None:
                found[each] = known
    return found


def _counted(model: Model, measured: Measured, now: float) -> bool:
    """Do switches tell of their connections? Then a leaf without arrivals has none."""
    stale_after = model.steering.stale_after / 1e6
    return bool(measured.arrivals) or any(
        state.connections is not None and now - state.connections.at <= stale_after
        for state in measured.instances.values()
    )


def _asked_at(model: Model, aggregate: Aggregate) -> tuple[str, Aggregate]:
    """What is the same for all leaves of a site."""
    return model.switch[aggregate.leaf].site, replace(aggregate, leaf="")


def _expected(model: Model, aggregate: Aggregate) -> float:
    """Of the model's demand, what begins at the leaf's site in the service's class."""
    service = model.service[aggregate.service]
    if aggregate.traffic_class != service.traffic_class.value:
        return 0.0
    site = model.switch[aggregate.leaf].site
    return sum(
        each.requests_per_second
        for each in model.demand
        if each.site == site
        and each.service == aggregate.service
        and (each.tenant or service.tenant) == aggregate.tenant
        and unlabelled(each.label) == aggregate.label
    )
