# SPDX-License-Identifier: Apache-2.0
"""Loads that pretended servers can carry, and events that do what they say."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import networkx as nx

from din.model.dscp import DSCP
from din.model.emulated import Event, EventKind, Lengths, Profile
from din.model.network import Model
from din.model.problem import Path, Problem, Severity
from din.model.service import InstanceRole, TrafficClassName

from .services import variant_of
from .wires import delay_graph, fabric_graph, reached


def decode_rate(profile: Profile) -> float:
    """Tokens a second, all sequences together, when it is full."""
    step = profile.decode_step + (profile.max_sequences - 1) * profile.decode_step_per_sequence
    return 1e6 * profile.max_sequences / step if step else float("inf")


def check_profiles(model: Model) -> Iterator[Problem]:
    """A pretended server has a profile, and its host's port to itself."""
    if model.emulation.comparison is None:
        return
    listening: dict[tuple[str, int], str] = {}
    for index, instance in enumerate(model.instances):
        if instance.profile is None:
            message = "an emulated server needs one"
            names = ", ".join(profile.name for profile in model.emulation.profiles)
            yield Problem(
                ("instances", index, "profile"), message, f"of emulation.profiles: {names or 'add one'}"
            )
        service = model.service.get(instance.service)
        if service is None:
            continue
        other = listening.setdefault((instance.host, service.port), instance.name)
        if other != instance.name:
            message = f"{other} listens at port {service.port} of {instance.host}, and all its addresses"
            yield Problem(
                ("instances", index, "host"), message, "name another host, or give the service another port"
            )


def check_loads(model: Model) -> Iterator[Problem]:
    """Requests fit into servers, one by one and all together."""
    comparison = model.emulation.comparison
    if comparison is None:
        return
    profiles = {profile.name: profile for profile in model.emulation.profiles}
    offered: dict[str, float] = {}
    last: dict[str, int] = {}
    for index, load in enumerate(comparison.loads):
        at: Path = ("emulation", "comparison", "loads", index)
        yield from _lengths((*at, "prompt"), load.prompt)
        yield from _lengths((*at, "output"), load.output)
        offered[load.service] = offered.get(load.service, 0.0) + load.requests_per_second * load.output.median
        last[load.service] = index
        longest = load.prompt.largest + load.output.largest
        for instance in model.instances_of(load.service):
            profile, variant = profiles.get(instance.profile or ""), variant_of(model, instance)
            if profile and longest > (room := profile.kv_blocks * profile.block_size):
                message = f"a request of {longest} tokens does not fit into the {room} of {profile.name}"
                yield Problem(at, message, "more kv_blocks, or a smaller largest")
                break
            if variant and longest > variant.context:
                message = f"a request of {longest} tokens does not fit into the context of {variant.name}"
                yield Problem(at, message, f"it has {variant.context}")
                break
    for service, rate in offered.items():
        capacity = sum(
            decode_rate(profiles[instance.profile]) * model.emulation.scale.rate
            for instance in model.instances_of(service)
            if instance.profile in profiles and instance.role is not InstanceRole.PREFILL
        )
        if 0 < capacity < rate:
            at = ("emulation", "comparison", "loads", last[service], "requests_per_second")
            message = f"{rate:.0f} tokens/s are asked of {service}, whose instances make {capacity:.0f}"
            yield Problem(at, message, "queues will grow without end", Severity.WARNING)


def _lengths(at: Path, lengths: Lengths) -> Iterator[Problem]:
    if lengths.median > lengths.largest:
        yield Problem(
            (*at, "median"), f"{lengths.median} is more than the largest, {lengths.largest}", "swap them"
        )


def check_events(model: Model) -> Iterator[Problem]:
    """Traffic that is to congest a link goes over it, and a link may fail without cutting anybody off."""
    comparison = model.emulation.comparison
    if comparison is None:
        return
    for phase_index, phase in enumerate(comparison.phases):
        for index, event in enumerate(phase.events):
            at: Path = ("emulation", "comparison", "phases", phase_index, "events", index)
            if event.kind is EventKind.CONGESTED_LINK:
                yield from _congestion(model, at, event)
            if event.kind is EventKind.FAILED_LINK:
                yield from _failure(model, at, event)


def _congestion(model: Model, at: Path, event: Event) -> Iterator[Problem]:
    source, sink = model.host.get(event.source or ""), model.host.get(event.sink or "")
    if source is None or sink is None or event.link is None:
        return
    if source.tenant != sink.tenant:
        message = f"{source.name} and {sink.name} are different tenants' and cannot talk"
        yield Problem((*at, "sink"), message, "name two hosts of one tenant")
    if not {each.version for each in source.addresses} & {each.version for each in sink.addresses}:
        message = f"{source.name} and {sink.name} have no kind of address in common"
        yield Problem((*at, "sink"), message, "give one of them an address of the other's kind")
    if event.traffic_class not in (TrafficClassName.BEST_EFFORT, *DSCP):
        classes = ", ".join(sorted(DSCP))
        message = f"{event.traffic_class} traffic is admitted, not claimed"
        yield Problem((*at, "traffic_class"), message, f"one of best-effort, {classes}")
    graph = delay_graph(model)
    if source.leaf not in graph or sink.leaf not in graph or sink.leaf not in reached(graph, source.leaf):
        return
    paths = list(nx.all_shortest_paths(graph, source.leaf, sink.leaf, weight="delay"))
    if not any(set(event.link) <= {a, b} for path in paths for a, b in pairwise(path)):
        message = f"the shortest path from {source.name} to {sink.name} is {' > '.join(paths[0])}"
        yield Problem((*at, "link"), message, "name one of its links, or other hosts", Severity.WARNING)


def _failure(model: Model, at: Path, event: Event) -> Iterator[Problem]:
    if event.link is None:
        return
    graph = fabric_graph(model)
    a, b = event.link
    ends = {a, b}
    parallel = sum({end.partition(":")[0] for end in link.between} == ends for link in model.links)
    if parallel != 1 or len(ends & set(graph)) < 2:
        return
    graph.remove_edge(a, b)
    if b not in reached(graph, a):
        message = f"without the link of {a} and {b} the fabric falls apart"
        hint = "a failure that no other path makes up for shows nothing"
        yield Problem((*at, "link"), message, hint, Severity.WARNING)
