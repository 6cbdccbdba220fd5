# SPDX-License-Identifier: Apache-2.0
"""From what is wanted, what is measured and what was, to what is to be. Pure: the same input gives the same
plan.

permitted   constraints: who may answer, by which ways
ways        of these ways, the quickest
estimate    what each choice is believed to cost
shares      how many of the connections that begin each instance gets
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from din.measure.state import Measured
from din.model.network import Model
from din.model.policy import InstanceChoice, PathChoice
from din.model.topology import Role
from din.model.units import show_time
from din.model.wiring import Wiring

from . import shares, ways
from .balance import targets
from .bounds import of_transport, unlabelled
from .constraints import capacity
from .demand import demand
from .estimate import Server, estimate, latency, link_extra, server
from .pace import paces
from .permitted import Permitted, permitted, request_key, response_key
from .plan import Aggregate, Choice, Decision, Estimate, Pace, Plan, Rejection, Route
from .routes import Routes, both_ends, routes_of

_MICRO: Final = 1e6


def decide(
    model: Model,
    wiring: Wiring,
    aggregates: Iterable[Aggregate],
    measured: Measured,
    before: Plan | None,
    drained: frozenset[str],
    now: float,
) -> Plan:
    """``before`` is the plan that is in force: routes are kept and shares damped with it. ``now``: of the
    clock that ``measured`` is of, seconds. An aggregate that nobody may answer has a decision without
    choices, which says why.
    """
    wanted = sorted(aggregates)
    down = both_ends(wiring, frozenset(key for key, link in measured.links.items() if not link.up))
    routes = routes_of(wiring, down)
    allowed = permitted(model, routes, wanted, measured, before, drained)
    requests, responses = _ways(model, allowed, measured, before or Plan(), now)
    servers = _servers(model, measured, now)
    estimates = _estimates(model, allowed, requests, responses, servers, measured, now)
    demanded = demand(model, wanted, measured, before.demand if before is not None else {}, now)
    believed: dict[str, Pace] = {}
    decisions: dict[Aggregate, Decision] = {}
    for service in sorted({each.service for each in wanted}):
        of_service = [each for each in wanted if each.service == service]
        believed |= paces(model, service, servers, before.paces if before is not None else {})
        decisions |= _decisions(
            model, of_service, allowed, requests, responses, estimates, servers, believed, demanded, before
        )
    return Plan(
        decisions={each: decisions[each] for each in wanted},
        routes=requests,
        responses=responses,
        transport=_transport(model, routes),
        alive=frozenset(
            each.name for each in model.instances if measured.instance(each.name).alive is not False
        ),
        drained=drained,
        demand=demanded,
        paces={name: pace for name, pace in believed.items() if servers[name].running is not None},
    )


def _ways(
    model: Model, allowed: Permitted, measured: Measured, before: Plan, now: float
) -> tuple[dict[tuple[str, str, str, str], Route], dict[tuple[str, str, str, str, str], Route]]:
    requests = [
        ways.Wish(key, found) for key, found in sorted(allowed.requests.items(), key=lambda each: each[0])
    ]
    responses = [
        ways.Wish(key, found) for key, found in sorted(allowed.responses.items(), key=lambda each: each[0])
    ]
    if model.steering.paths is PathChoice.SHORTEST:
        return ways.shortest(requests), ways.shortest(responses)
    stale_after = model.steering.stale_after / _MICRO

    def cost(route: Route) -> float:
        return latency(route, measured, now, stale_after)

    def extra(key: tuple[str, int]) -> float:
        return link_extra(measured.link(key), now, stale_after)

    return (
        ways.quickest(requests, before.routes, cost, extra),
        ways.quickest(responses, before.responses, cost, extra),
    )


def _servers(model: Model, measured: Measured, now: float) -> dict[str, Server]:
    profiles = {each.name: each for each in model.emulation.profiles}
    stale_after = model.steering.stale_after / _MICRO
    return {
        each.name: server(
            each, measured.instance(each.name), profiles.get(each.profile or ""), now, stale_after
        )
        for each in model.instances
    }


def _estimates(
    model: Model,
    allowed: Permitted,
    requests: Mapping[tuple[str, str, str, str], Route],
    responses: Mapping[tuple[str, str, str, str, str], Route],
    servers: Mapping[str, Server],
    measured: Measured,
    now: float,
) -> dict[tuple[Aggregate, str], Estimate]:
    stale_after = model.steering.stale_after / _MICRO
    known: dict[int, float] = {}

    def cost(route: Route) -> float:
        # Many keys have the same route.
        if id(route) not in known:
            known[id(route)] = latency(route, measured, now, stale_after)
        return known[id(route)]

    there = {key: cost(route) for key, route in requests.items()}
    back = {key: cost(route) for key, route in responses.items()}
    leaf = {each.name: model.host[each.host].leaf for each in model.instances}
    return {
        (aggregate, name): estimate(
            there[request_key(aggregate, name)], back[response_key(aggregate, leaf[name])], servers[name]
        )
        for aggregate, instances in allowed.instances.items()
        for name in instances
    }


def _decisions(
    model: Model,
    wanted: Sequence[Aggregate],
    allowed: Permitted,
    requests: Mapping[tuple[str, str, str, str], Route],
    responses: Mapping[tuple[str, str, str, str, str], Route],
    estimates: Mapping[tuple[Aggregate, str], Estimate],
    servers: Mapping[str, Server],
    believed: Mapping[str, Pace],
    demanded: Mapping[Aggregate, float],
    before: Plan | None,
) -> dict[Aggregate, Decision]:
    """Of one service."""
    full = {each: _full(each, allowed, servers) for each in wanted}
    eligible = {
        aggregate: [
            name
            for name in allowed.instances[aggregate]
            if name not in allowed.held[aggregate] and name not in full[aggregate]
        ]
        for aggregate in wanted
    }
    match model.steering.instances:
        case InstanceChoice.DIN:
            found = targets(model, eligible, estimates, servers, believed, demanded, before)
        case InstanceChoice.NEAREST:
            found = {
                aggregate: shares.nearest(
                    {name: float(requests[request_key(aggregate, name)].base_latency) for name in names}
                )
                for aggregate, names in eligible.items()
            }
        case _:
            found = {aggregate: shares.equal(names) for aggregate, names in eligible.items()}
    leaf = {each.name: model.host[each.host].leaf for each in model.instances_of(wanted[0].service)}
    decisions: dict[Aggregate, Decision] = {}
    for aggregate in wanted:
        choices = tuple(
            Choice(
                name,
                found[aggregate].get(name, 0.0),
                requests[request_key(aggregate, name)],
                responses[response_key(aggregate, leaf[name])],
                estimates[aggregate, name],
            )
            for name in sorted(allowed.instances[aggregate])
        )
        lost = _outdone(
            model.steering.instances, [each for each in choices if each.instance in eligible[aggregate]]
        )
        decisions[aggregate] = Decision(
            aggregate, choices, (*allowed.rejected[aggregate], *full[aggregate].values(), *lost)
        )
    return decisions


def _full(aggregate: Aggregate, allowed: Permitted, servers: Mapping[str, Server]) -> dict[str, Rejection]:
    open_ = [name for name in allowed.instances[aggregate] if name not in allowed.held[aggregate]]
    found = {
        name: against
        for name in open_
        if (against := capacity(name, servers[name].present, servers[name].room)) is not None
    }
    # Where nobody has room there is nothing better: a 429 is an answer.
    return found if len(found) < len(open_) else {}


def _outdone(how: InstanceChoice, choices: Sequence[Choice]) -> Iterator[Rejection]:
    """Those that might answer, and to which nothing is sent because others do better."""
    best = max(choices, key=lambda each: each.share, default=None)
    for choice in choices:
        if choice.share or best is None:
            continue
        if how is InstanceChoice.NEAREST:
            there, least = (show_time(each.request.base_latency) for each in (choice, best))
            yield Rejection(choice.instance, "distance", f"{there} there, {best.instance} is {least} away")
        else:
            total, least = (show_time(each.estimate.total) for each in (choice, best))
            detail = f"{total} expected to the first token, {least} from {best.instance}"
            yield Rejection(choice.instance, "ttft", detail)


def _transport(model: Model, routes: Routes) -> dict[tuple[str, str, str], Route]:
    """All other traffic takes the shortest way that its label may: between leaves with any label, and from
    every node to the collectors' leaves with the labels that those may be told of.
    """
    leaves = sorted(each.name for each in model.switches if each.role is Role.LEAF)
    labels = ["", *sorted(unlabelled(each.name) for each in model.labels if unlabelled(each.name))]
    wanted = {(src, dst, label) for src in leaves for dst in leaves for label in labels}
    for collector in model.telemetry.collectors:
        for label in {"", *map(unlabelled, collector.labels)}:
            wanted |= {(each.name, model.host[collector.host].leaf, label) for each in model.switches}
    bounds = {label: of_transport(model, label) for _, _, label in wanted}
    found: dict[tuple[str, str, str], Route] = {}
    for src, dst, label in sorted(wanted):
        if src != dst and (route := routes.shortest(src, dst, bounds[label])) is not None:
            found[src, dst, label] = route
    return found
