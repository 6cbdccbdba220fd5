# SPDX-License-Identifier: Apache-2.0
"""What is compiled from our topologies is what the program demands, whatever has failed."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from din.controller.desired import Desired, prepare
from din.measure.state import InstanceState, LinkState, Measured
from din.p4rt.canonical import canonical
from din.p4rt.compile import Context, compile_network
from din.p4rt.constraints import Constraints
from din.p4rt.entry import Action, Key, State, action
from din.p4rt.program import Program
from din.p4rt.references import dangling
from din.steering.buckets import fresh
from din.steering.decide import decide

ROOT = Path(__file__).resolve().parents[3]
TOPOLOGIES = sorted(each.stem for each in (ROOT / "topologies").glob("*.yaml"))


@cache
def desired(topology: str) -> Desired:
    file = ROOT / "topologies" / f"{topology}.yaml"
    return prepare(file.read_text(), str(file), 1, None)


def compiled(topology: str, measured: Measured, drained: frozenset[str] = frozenset()) -> dict[str, State]:
    """As a controller does that has just begun."""
    found = desired(topology)
    plan = decide(found.model, found.wiring, found.aggregates, measured, None, drained, 0.0)
    buckets = {}
    for aggregate, decision in plan.decisions.items():
        shares = {name: share for name, share in decision.shares.items() if share > 0}
        if shares:
            buckets[aggregate.leaf, aggregate.group] = fresh(shares, str(aggregate))
    down = frozenset(port for port, link in measured.links.items() if not link.up)
    return compile_network(
        Context(found.model, found.wiring, found.ids, plan, buckets, found.secrets(1.7e9), down)
    )


@pytest.mark.parametrize("queues", [1, 3])
def test_classes_have_queues_that_there_are(queues: int) -> None:
    found = desired("skeleton")
    plan = decide(found.model, found.wiring, found.aggregates, Measured(), None, frozenset(), 0.0)
    context = Context(found.model, found.wiring, found.ids, plan, {}, queues={"leaf-1": queues})
    states = compile_network(context)
    for switch, has in [("leaf-1", queues), ("leaf-2", 8)]:
        classes = [v for k, v in states[switch].items() if isinstance(k, Key) and k.table == "classes"]
        assert len(classes) == 12
        used = {dict(each.params)["queue"] for each in classes if isinstance(each, Action) and each.params}
        assert max(used) == min(has, 5 if has < 8 else 8) - 1
        assert (action("map_slack") in classes) == (has == 8)


def wrong(program: Program, states: dict[str, State]) -> list[str]:
    check = Constraints(program).check
    found = []
    for switch, compiled in states.items():
        state = canonical(program, compiled)
        found += [f"{switch} {where}: {why}" for where, value in state.items() for why in check(where, value)]
        found += [f"{switch} {why}" for why in dangling(program, state)]
    return found


def instances(topology: str) -> list[str]:
    return [each.name for each in desired(topology).model.instances]


def links_down(topology: str, one_in: int) -> Measured:
    hops = desired(topology).wiring.hops
    return Measured(links={hop.key: LinkState(up=place % one_in != 0) for place, hop in enumerate(hops)})


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_when_all_is_well(program: Program, topology: str) -> None:
    states = compiled(topology, Measured())
    assert sum(len(state) for state in states.values()) > 1000
    assert wrong(program, states) == []


@pytest.mark.parametrize("one_in", [1, 2, 3])
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_when_links_are_down(program: Program, topology: str, one_in: int) -> None:
    assert wrong(program, compiled(topology, links_down(topology, one_in))) == []


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_when_servers_are_dead(program: Program, topology: str) -> None:
    dead = InstanceState(alive=False)
    names = instances(topology)
    for few in ([names[0]], names):
        measured = Measured(instances=dict.fromkeys(few, dead))
        assert wrong(program, compiled(topology, measured)) == []


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_when_all_is_drained(program: Program, topology: str) -> None:
    """Groups without buckets: what may dangle does."""
    states = compiled(topology, Measured(), frozenset(instances(topology)))
    tables = {key.table for state in states.values() for key in state if isinstance(key, Key)}
    assert "groups" in tables
    assert "buckets" not in tables
    assert wrong(program, states) == []
