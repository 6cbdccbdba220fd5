# SPDX-License-Identifier: Apache-2.0
"""What a controller that starts takes over, so that nothing changes because it started: buckets from the
switches, which alone know where connections are; routes from what the last one noted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from din.model.ids import Ids, group_name
from din.model.wiring import Wiring
from din.p4rt.entry import Action, Key, State
from din.steering.buckets import Bucket, shares_of
from din.steering.plan import Aggregate, Choice, Decision, Estimate, Plan, Route

STEERING_BUCKETS: Final = 1024
_DRAINED: Final = 2
Group = tuple[str, str, str, str]


def buckets_of(
    state: State, ids: Ids, groups: Iterable[Group], now: float
) -> dict[Group, tuple[Bucket, ...]]:
    """Of the groups that a leaf's ``state`` holds whole. How long a bucket has been moving is not in the
    switch: it counts from now, which keeps it longer than needed and never shorter.
    """
    numbers = {ids.numbers["group"][group_name(*group)]: group for group in groups}
    instances = {number: name for name, number in ids.numbers["instance"].items()}
    found: dict[Group, dict[int, Bucket]] = {}
    for where, value in state.items():
        if not isinstance(where, Key) or where.table != "buckets" or not isinstance(value, Action):
            continue
        match, params = dict(where.match), dict(value.params)
        place, number = match["bucket"], match["group"]
        group = numbers.get(number) if isinstance(number, int) else None
        current, previous = instances.get(params["current"]), instances.get(params["previous"])
        if group is None or current is None or previous is None or not isinstance(place, int):
            continue
        bucket = Bucket(current, previous, params["state"] == _DRAINED, now)
        found.setdefault(group, {})[place] = bucket
    return {
        group: tuple(buckets[place] for place in range(STEERING_BUCKETS))
        for group, buckets in found.items()
        if len(buckets) == STEERING_BUCKETS
    }


def decisions_of(
    held: Mapping[Group, tuple[Bucket, ...]], aggregates: Iterable[Aggregate], leaf: str
) -> dict[Aggregate, Decision]:
    """What a leaf's buckets say was decided: shares alone. The next plan departs from them."""
    nothing = Estimate(0.0, 0.0, None, None)
    return {
        aggregate: Decision(
            aggregate,
            tuple(
                Choice(name, share, Route(), Route(), nothing)
                for name, share in sorted(shares_of(held[aggregate.group]).items())
            ),
        )
        for aggregate in aggregates
        if aggregate.leaf == leaf and aggregate.group in held
    }


# ---- routes ------------------------------------------------------------------------------------------------


def note_routes(plan: Plan) -> dict[str, list[tuple[str, int]]]:
    """As the store keeps them."""
    return {
        f"{kind}/{'/'.join(name)}": [hop.key for hop in route.hops]
        for kind, routes in (("request", plan.routes), ("response", plan.responses))
        for name, route in routes.items()
    }


def plan_with_routes(noted: Mapping[str, list[tuple[str, int]]], wiring: Wiring) -> Plan:
    """A plan that knows nothing but the routes which were in use, as far as their links still exist."""
    requests: dict[tuple[str, str, str, str], Route] = {}
    responses: dict[tuple[str, str, str, str, str], Route] = {}
    for name, keys in noted.items():
        kind, *parts = name.split("/")
        hops = [wiring.by_port.get((switch, port)) for switch, port in keys]
        if any(hop is None for hop in hops):
            continue
        route = Route(tuple(hop for hop in hops if hop is not None))
        if any(a.dst != b.src for a, b in zip(route.hops, route.hops[1:], strict=False)):
            continue
        match kind, parts:
            case "request", [leaf, instance, traffic_class, label]:
                requests[leaf, instance, traffic_class, label] = route
            case "response", [leaf, service, traffic_class, label, client]:
                responses[leaf, service, traffic_class, label, client] = route
    return replace(Plan(), routes=requests, responses=responses)
