# SPDX-License-Identifier: Apache-2.0
"""Who may answer which aggregate, and by which ways: all constraints, before anything is weighed.

Ways are shared: a request's by all tenants of (leaf, instance, class, label), a response's by (the
instance's leaf, service, class, label, client's leaf). The bounds of all who share one hold for it. An
aggregate that has no way even by itself is rejected first, so that it binds nobody else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from din.measure.state import Measured
from din.model.network import Model
from din.model.service import InstanceRole

from .bounds import Bounds, RouteBounds, of_aggregate
from .constraints import HARD, Candidate, find_variant, latency, rejections
from .plan import Aggregate, Plan, Rejection, Route
from .routes import Routes

RequestKey = tuple[str, str, str, str]
ResponseKey = tuple[str, str, str, str, str]


@dataclass
class Permitted:
    """``instances`` may have connections: new ones, unless they are in ``held`` and keep what they have."""

    instances: dict[Aggregate, dict[str, None]] = field(default_factory=dict)
    held: dict[Aggregate, frozenset[str]] = field(default_factory=dict)
    rejected: dict[Aggregate, list[Rejection]] = field(default_factory=dict)
    requests: dict[RequestKey, tuple[Route, ...]] = field(default_factory=dict)
    responses: dict[ResponseKey, tuple[Route, ...]] = field(default_factory=dict)


def request_key(aggregate: Aggregate, instance: str) -> RequestKey:
    return aggregate.leaf, instance, aggregate.traffic_class, aggregate.label


def response_key(aggregate: Aggregate, leaf: str) -> ResponseKey:
    """``leaf`` is the instance's."""
    return leaf, aggregate.service, aggregate.traffic_class, aggregate.label, aggregate.leaf


def permitted(
    model: Model,
    routes: Routes,
    aggregates: Iterable[Aggregate],
    measured: Measured,
    before: Plan | None,
    drained: frozenset[str],
) -> Permitted:
    """Complete: each instance of an aggregate's service is in its instances or in its rejected, or both if
    held.
    """
    return _Search(model, routes, measured, before, drained).run(list(aggregates))


class _Search:
    def __init__(
        self, model: Model, routes: Routes, measured: Measured, before: Plan | None, drained: frozenset[str]
    ) -> None:
        self.model = model
        self.routes = routes
        self.measured = measured
        self.before = before
        self.drained = drained
        self.found = Permitted()
        self.leaf = {each.name: model.host[each.host].leaf for each in model.instances}
        self.variants = {each.name: find_variant(model, each) for each in model.instances}
        self.instances = {each.name: model.instances_of(each.name) for each in model.services}
        self.has_prefill = {
            name: any(
                each.role is not InstanceRole.DECODE and measured.instance(each.name).alive is not False
                for each in instances
            )
            for name, instances in self.instances.items()
        }
        self.bounds: dict[tuple[str, str, str], Bounds] = {}
        self.verdicts: dict[tuple[str, Bounds], tuple[Rejection, ...]] = {}
        self.request_bounds: dict[RequestKey, RouteBounds] = {}
        self.response_bounds: dict[ResponseKey, RouteBounds] = {}

    def run(self, aggregates: list[Aggregate]) -> Permitted:
        for aggregate in aggregates:
            self._by_itself(aggregate)
        self._bind()
        for aggregate in aggregates:
            self._together(aggregate)
        self._keep_to_budgets()
        return self.found

    def bounds_of(self, aggregate: Aggregate) -> Bounds:
        key = aggregate.service, aggregate.tenant, aggregate.label
        if key not in self.bounds:
            self.bounds[key] = of_aggregate(self.model, *key)
        return self.bounds[key]

    def _by_itself(self, aggregate: Aggregate) -> None:
        bounds = self.bounds_of(aggregate)
        had = self.before.decisions.get(aggregate) if self.before is not None else None
        present = {choice.instance for choice in had.choices} if had is not None else set()
        instances: dict[str, None] = {}
        held: set[str] = set()
        told = self.found.rejected[aggregate] = []
        for instance in self.instances[aggregate.service]:
            name = instance.name
            against = list(self._verdict(name, bounds)) or self._without_way(aggregate, name, bounds)
            told += against
            if not against:
                instances[name] = None
            elif (
                all(each.constraint not in HARD for each in against)
                and (name in present or name in self.drained)
                and all(each.constraint not in HARD for each in self._without_way(aggregate, name, bounds))
            ):
                instances[name] = None
                held.add(name)
        self.found.instances[aggregate] = instances
        self.found.held[aggregate] = frozenset(held)

    def _verdict(self, name: str, bounds: Bounds) -> tuple[Rejection, ...]:
        key = name, bounds
        if key not in self.verdicts:
            instance = self.model.instance[name]
            self.verdicts[key] = rejections(
                Candidate(
                    instance,
                    self.model.service[instance.service],
                    self.variants[name],
                    self.model.zone_of(self.leaf[name]),
                    self.measured.instance(name),
                    bounds,
                    name in self.drained,
                    self.has_prefill[instance.service],
                )
            )
        return self.verdicts[key]

    def _without_way(self, aggregate: Aggregate, name: str, bounds: Bounds) -> list[Rejection]:
        there = self.routes.shortest(aggregate.leaf, self.leaf[name], bounds.route)
        back = self.routes.shortest(self.leaf[name], aggregate.leaf, bounds.route)
        if there is None or back is None:
            return [self._no_way(aggregate.leaf, self.leaf[name], name, bounds)]
        too_far = latency(name, there, back, bounds.latency_budget)
        return [too_far] if too_far is not None else []

    def _no_way(self, leaf: str, to: str, name: str, bounds: Bounds) -> Rejection:
        obstacle = self.routes.obstacle(leaf, to, bounds.route)
        by_label = bounds.by_label
        blames_label = obstacle.constraint == "zone" and self.routes.shortest(leaf, to, by_label) is None
        return Rejection(name, "label" if blames_label else obstacle.constraint, obstacle.detail)

    # ---- ways that are shared ------------------------------------------------------------------------------

    def _bind(self) -> None:
        for aggregate, instances in self.found.instances.items():
            bounds = self.bounds_of(aggregate).route
            for name in instances:
                there, back = request_key(aggregate, name), response_key(aggregate, self.leaf[name])
                self.request_bounds[there] = self.request_bounds.get(there, bounds).both(bounds)
                self.response_bounds[back] = self.response_bounds.get(back, bounds).both(bounds)

    def _together(self, aggregate: Aggregate) -> None:
        """Fills in ways, and rejects what has none under the bounds of all, or only ones over the budget."""
        instances, told = self.found.instances[aggregate], self.found.rejected[aggregate]
        for name in list(instances):
            there, back = request_key(aggregate, name), response_key(aggregate, self.leaf[name])
            requests = self.routes.candidates(aggregate.leaf, self.leaf[name], self.request_bounds[there])
            responses = self.routes.candidates(self.leaf[name], aggregate.leaf, self.response_bounds[back])
            against: Rejection | None = None
            if not requests or not responses:
                joint = self.request_bounds[there].both(self.response_bounds[back])
                obstacle = self.routes.obstacle(aggregate.leaf, self.leaf[name], joint)
                detail = f"{obstacle.detail}, under the bounds of all tenants that share it"
                against = Rejection(name, obstacle.constraint, detail)
            elif name not in self.found.held[aggregate]:
                budget = self.bounds_of(aggregate).latency_budget
                against = latency(name, requests[0], responses[0], budget)
            if against is not None:
                told.append(against)
                del instances[name]
            else:
                self.found.requests[there] = requests
                self.found.responses[back] = responses

    def _keep_to_budgets(self) -> None:
        """Of the ways, those with which every budget is kept, whichever are chosen. What the shortest
        request leaves of a budget is the response's: it carries the tokens.
        """
        left_back: dict[ResponseKey, int] = {}
        users = [
            (request_key(aggregate, name), response_key(aggregate, self.leaf[name]), budget)
            for aggregate, instances in self.found.instances.items()
            if (budget := self.bounds_of(aggregate).latency_budget) is not None
            for name in instances
            if name not in self.found.held[aggregate]
        ]
        for there, back, budget in users:
            left = budget - self.found.requests[there][0].base_latency
            left_back[back] = min(left, left_back.get(back, left))
        for back, left in left_back.items():
            self.found.responses[back] = _within(self.found.responses[back], left)
        left_there: dict[RequestKey, int] = {}
        for there, back, budget in users:
            left = budget - max(route.base_latency for route in self.found.responses[back])
            left_there[there] = min(left, left_there.get(there, left))
        for there, left in left_there.items():
            self.found.requests[there] = _within(self.found.requests[there], left)


def _within(routes: tuple[Route, ...], latency: int) -> tuple[Route, ...]:
    return tuple(route for route in routes if route.base_latency <= latency)
