# SPDX-License-Identifier: Apache-2.0
"""Whether what labels and policies permit is anything at all: a request that nobody may answer is dropped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import networkx as nx

from din.model.ids import PUBLIC
from din.model.network import Model
from din.model.policy import Label, Policy
from din.model.problem import Path, Problem
from din.model.service import Instance, InstanceRole, Service
from din.model.topology import Role
from din.model.units import show_time

from .services import variant_of
from .wires import delay_graph, fabric_graph, reached


@dataclass(frozen=True)
class _Bound:
    """One thing that an instance has to meet."""

    at: Path
    says: str
    permits: Callable[[Instance], bool]
    hint: str


def check_policies(model: Model) -> Iterator[Problem]:
    """For each kind of request, somebody is left to answer it."""
    seen: set[Path] = set()
    for service in model.services:
        instances = [each for each in model.instances_of(service.name) if _answers_clients(model, each)]
        if not instances:
            continue
        for tenant in (service.tenant, *service.clients):
            for label in (None, *service.labels):
                for problem in _unanswered(model, service, tenant, label, instances):
                    # What holds for one tenant's requests often does for the others'.
                    if problem.at not in seen:
                        seen.add(problem.at)
                        yield problem


def check_policy_matches(model: Model) -> Iterator[Problem]:
    """A policy is about requests that there may be."""
    for index, policy in enumerate(model.policies):
        at: Path = ("policies", index)
        service = model.service.get(policy.service or "")
        if service is None:
            continue
        if policy.label not in (None, PUBLIC, *service.labels):
            message = f"{service.name} takes no requests labelled {policy.label}"
            yield Problem((*at, "label"), message, f"add it to the labels of {service.name}")
        if policy.tenant not in (None, service.tenant, *service.clients):
            message = f"{policy.tenant} may not use {service.name}"
            yield Problem((*at, "tenant"), message, f"add it to the clients of {service.name}")


def _answers_clients(model: Model, instance: Instance) -> bool:
    """And all that it refers to is there."""
    if instance.role is InstanceRole.PREFILL:
        return False
    host = model.host.get(instance.host)
    switch = model.switch.get(host.leaf) if host else None
    return switch is not None and switch.site in model.site and variant_of(model, instance) is not None


def _zone(model: Model, instance: Instance) -> str:
    return model.zone_of(model.host[instance.host].leaf)


def _matches(policy: Policy, service: Service, tenant: str, label: str | None) -> bool:
    return (
        policy.service in (None, service.name)
        and policy.tenant in (None, tenant)
        and (policy.label is None or (policy.label == PUBLIC and label is None) or policy.label == label)
    )


def _unanswered(
    model: Model, service: Service, tenant: str, label: str | None, instances: list[Instance]
) -> Iterator[Problem]:
    bounds = list(_bounds(model, service, tenant, label))
    what = f"{service.name} for {tenant}" + (f", labelled {label}" if label else "")
    alone = [bound for bound in bounds if not any(map(bound.permits, instances))]
    for bound in alone:
        yield Problem(bound.at, f"no instance of {service.name} {bound.says}", bound.hint)
    left = [each for each in instances if all(bound.permits(each) for bound in bounds)]
    if not alone and not left:
        places = ", ".join(sorted({Problem(bound.at, "").field for bound in bounds}))
        yield Problem(
            bounds[-1].at, f"nobody may answer {what}: no instance meets all of {places}", "loosen one"
        )


def _bounds(model: Model, service: Service, tenant: str, label: str | None) -> Iterator[_Bound]:
    if label is not None and (kind := model.label.get(label)):
        at: Path = ("services", model.services.index(service), "labels", service.labels.index(label))
        zones = kind.zones
        yield _Bound(
            at,
            f"is in a zone that {label} permits ({', '.join(zones)})",
            lambda instance, zones=zones: _zone(model, instance) in zones,  # type: ignore[misc]
            "add an instance there, or the zone to the label's",
        )
    for index, policy in enumerate(model.policies):
        if _matches(policy, service, tenant, label):
            yield from _policy_bounds(model, ("policies", index), policy)


def _policy_bounds(model: Model, at: Path, policy: Policy) -> Iterator[_Bound]:
    def quality(instance: Instance) -> bool:
        variant = variant_of(model, instance)
        return variant is not None and variant.quality >= policy.quality_floor

    def cost(instance: Instance) -> bool:
        variant = variant_of(model, instance)
        return variant is not None and (policy.cost_ceiling is None or variant.cost <= policy.cost_ceiling)

    def zone(instance: Instance) -> bool:
        return policy.zones is None or _zone(model, instance) in policy.zones

    if policy.quality_floor > 0:
        hint = "lower it, or add an instance of a better variant"
        yield _Bound((*at, "quality_floor"), f"has a quality of {policy.quality_floor}", quality, hint)
    if policy.cost_ceiling is not None:
        hint = "raise it, or add an instance of a cheaper variant"
        yield _Bound((*at, "cost_ceiling"), f"costs {policy.cost_ceiling} or less", cost, hint)
    if policy.zones is not None:
        says = f"is in {', '.join(policy.zones) or 'no zone'}"
        yield _Bound((*at, "zones"), says, zone, "add an instance there, or a zone")


def check_latency_budgets(model: Model) -> Iterator[Problem]:
    """Whoever is known to ask has an instance near enough, with no queue in the way."""
    asking = list(_asking(model))
    graph = delay_graph(model)
    for index, policy in enumerate(model.policies):
        if policy.latency_budget is None:
            continue
        at: Path = ("policies", index, "latency_budget")
        bound = {
            (site, each.name) for site, each, tenant, label in asking if _matches(policy, each, tenant, label)
        }
        for site, service in sorted(bound):
            answering = (each for each in model.instances_of(service) if _answers_clients(model, each))
            leaves = {model.host[each.host].leaf for each in answering}
            distances = [
                nx.single_source_dijkstra_path_length(graph, leaf.name, weight="delay")
                for leaf in model.switches
                if leaf.site == site and leaf.role is Role.LEAF
            ]
            ways = [each[leaf] for each in distances for leaf in leaves if leaf in each]
            if ways and 2 * min(ways) > policy.latency_budget:
                budget = show_time(policy.latency_budget)
                message = f"no instance of {service} is within {budget} of {site}, there and back"
                yield Problem(at, message, f"the nearest one takes {show_time(2 * min(ways))}")


def _asking(model: Model) -> Iterator[tuple[str, Service, str, str | None]]:
    """(site, service, tenant, label) of requests that are known to come."""
    for demand in model.demand:
        if service := model.service.get(demand.service):
            label = None if demand.label == PUBLIC else demand.label
            yield demand.site, service, demand.tenant or service.tenant, label
    comparison = model.emulation.comparison
    for load in comparison.loads if comparison else ():
        service, host = model.service.get(load.service), model.host.get(load.host)
        if service and host:
            yield load.site, service, host.tenant, host.label


def check_labelled_paths(model: Model) -> Iterator[Problem]:
    """A host with a label is where the label may be, and has a permitted way to an instance."""
    zone = {switch.name: model.zone_of(switch.name) for switch in model.switches if switch.site in model.site}
    leaves: dict[str, set[str]] = {}
    for instance in model.instances:
        if host := model.host.get(instance.host):
            leaves.setdefault(instance.service, set()).add(host.leaf)
    within: dict[tuple[str, str], set[str]] = {}
    for index, host in enumerate(model.hosts):
        label = model.label.get(host.label or "")
        if label is None or host.leaf not in zone:
            continue
        at: Path = ("hosts", index, "label")
        if zone[host.leaf] not in label.zones:
            message = f"{host.name} is in {zone[host.leaf]}, where {label.name} may not be"
            yield Problem(at, message, f"it may be in {', '.join(label.zones)}")
            continue
        if (label.name, host.leaf) not in within:
            within[label.name, host.leaf] = reached(_permitted(model, label, zone), host.leaf)
        for service in model.services:
            if label.name not in service.labels or host.tenant not in (service.tenant, *service.clients):
                continue
            permitted = {leaf for leaf in leaves.get(service.name, ()) if zone.get(leaf) in label.zones}
            if permitted and not permitted & within[label.name, host.leaf]:
                kind = "encrypted links" if label.encrypted else "links"
                zones = ", ".join(label.zones)
                message = f"no path of {kind} within {zones} leads to an instance of {service.name}"
                yield Problem(at, message, f"what {label.name} permits is in labels and in links[].encrypted")


def check_labelled_demand(model: Model) -> Iterator[Problem]:
    """Labelled requests come from where the label may be."""
    for index, demand in enumerate(model.demand):
        label, site = model.label.get(demand.label or ""), model.site.get(demand.site)
        if label and site and site.zone not in label.zones:
            message = f"{site.name} is in {site.zone}, where {label.name} may not be"
            yield Problem(("demand", index, "label"), message, f"it may be in {', '.join(label.zones)}")


def _permitted(model: Model, label: Label, zone: dict[str, str]) -> nx.Graph[str]:
    """Where the label's packets may go."""
    graph = fabric_graph(model)
    graph.remove_nodes_from([name for name in list(graph) if zone.get(name) not in label.zones])
    if label.encrypted:
        encrypted = {
            frozenset(end.partition(":")[0] for end in link.between) for link in model.links if link.encrypted
        }
        graph.remove_edges_from([edge for edge in list(graph.edges) if frozenset(edge) not in encrypted])
    return graph
