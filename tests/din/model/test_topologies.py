# SPDX-License-Identifier: Apache-2.0
"""The topologies that come with DIN are right, and the demo's is what its comparison needs."""

from __future__ import annotations

import math

import networkx as nx
import pytest
from din.model.check import check_file
from din.model.emulated import EventKind
from din.model.network import Model
from din.model.topology import Role
from din.model.wiring import Wiring

from tests.din.model.edits import TOPOLOGIES, model

DEMO = model()


@pytest.mark.parametrize("path", sorted(TOPOLOGIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_nothing_is_wrong_with_it(path: object) -> None:
    found, problems = check_file(str(path))
    expected = ["fabric.mtu"] if found.name == "small-mtu" else []
    assert [problem.field for problem in problems] == expected
    Wiring(found)


def delays(of: Model) -> nx.Graph[str]:
    graph: nx.Graph[str] = nx.Graph()
    graph.add_edges_from((*link.between, {"delay": link.delay, "link": link}) for link in of.links)
    return graph


def test_the_demos_size() -> None:
    roles = [switch.role for switch in DEMO.switches]
    assert roles.count(Role.LEAF) >= 5
    assert roles.count(Role.TRANSIT) >= 3
    graph = delays(DEMO)
    assert all(degree >= 2 for _, degree in graph.degree())
    assert len({link.rate for link in DEMO.links}) > 3
    assert len({link.delay for link in DEMO.links}) > 5


def test_the_demos_load_is_what_two_cores_carry() -> None:
    comparison = DEMO.emulation.comparison
    assert comparison
    # The mean of a lognormal distribution is more than its median.
    tokens = sum(
        load.requests_per_second * load.output.median * math.exp(load.output.sigma**2 / 2)
        for load in comparison.loads
    )
    assert 600 <= tokens <= 1_500
    assert any(load.keep_alive for load in comparison.loads)
    seconds = (
        len(comparison.arms) * (comparison.warm_up + sum(phase.duration for phase in comparison.phases)) / 1e6
    )
    assert seconds <= 220


def test_the_demo_compares_each_cause_by_itself() -> None:
    comparison = DEMO.emulation.comparison
    assert comparison
    arms = {(arm.instances, arm.paths) for arm in comparison.arms}
    assert arms >= {("equal", "shortest"), ("equal", "din"), ("din", "shortest"), ("din", "din")}
    assert {arm.instances for arm in comparison.arms} == {"equal", "din", "nearest", "client"}


def test_the_congested_link_has_a_way_around_and_is_on_the_shortest_path() -> None:
    comparison = DEMO.emulation.comparison
    assert comparison
    event = next(
        event
        for phase in comparison.phases
        for event in phase.events
        if event.kind is EventKind.CONGESTED_LINK
    )
    assert event.link
    assert event.rate
    graph = delays(DEMO)
    shortest = nx.shortest_path(graph, "leaf-a", "leaf-edge", weight="delay")
    assert set(event.link) <= set(shortest)
    before = nx.path_weight(graph, shortest, "delay")
    assert 0.85 <= event.rate / graph.edges[event.link]["link"].rate <= 0.95
    graph.remove_edge(*event.link)
    assert nx.shortest_path_length(graph, "leaf-a", "leaf-edge", weight="delay") - before == 3_000


def test_the_slow_server_is_nearest_to_the_branches() -> None:
    graph = delays(DEMO)
    for branch in ("leaf-a", "leaf-b"):
        distance = {
            instance.name: nx.shortest_path_length(
                graph, branch, DEMO.host[instance.host].leaf, weight="delay"
            )
            for instance in DEMO.instances_of("chat")
        }
        assert sorted(distance, key=lambda name: distance[name])[0] == "chat-edge"
        assert sorted(distance.values())[0] < sorted(distance.values())[1]


def test_a_tie_is_a_tie() -> None:
    instances = DEMO.instances_of("assist")
    assert len(instances) >= 3
    assert len({(DEMO.host[each.host].leaf, each.variant, each.profile) for each in instances}) == 1


def test_private_traffic_survives_each_failure_of_one_link() -> None:
    label = DEMO.label["private"]
    graph = delays(DEMO)
    graph.remove_edges_from([(a, b) for a, b, link in graph.edges(data="link") if not link.encrypted])
    graph.remove_nodes_from([name for name in list(graph) if DEMO.zone_of(name) not in label.zones])
    for edge in list(graph.edges):
        without = graph.copy()
        without.remove_edge(*edge)
        assert nx.has_path(without, "leaf-a", "leaf-hq"), edge
