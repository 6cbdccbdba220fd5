# SPDX-License-Identifier: Apache-2.0
"""Plans as a whole: what never happens, whatever the model and whatever is measured."""

from __future__ import annotations

from random import Random
from time import process_time

import pytest
from din.measure.state import InstanceState, LinkState, Measured
from din.model.network import Model
from din.model.wiring import Wiring
from din.steering.aggregates import aggregates
from din.steering.decide import decide
from din.steering.plan import Choice, Decision, Estimate, Plan, Route
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.din.steering.build import busy, chat, host, instance, link, model, plan, service, triangle
from tests.din.steering.generate import history


def keeps_to(of: Model, label: str, start: str, route: Route) -> None:
    if label:
        kind = of.label[label]
        assert all(of.zone_of(node) in kind.zones for node in (start, *route.nodes))
        assert not kind.encrypted or all(hop.link.encrypted for hop in route.hops)


@given(st.integers(0, 10**6))
def test_a_labelled_aggregate_never_gets_an_instance_or_a_way_outside_its_zones(seed: int) -> None:
    for of, _, _, found in history(seed):
        leaf = {each.name: of.host[each.host].leaf for each in of.instances}
        for aggregate, decision in found.decisions.items():
            for choice in decision.choices:
                keeps_to(of, aggregate.label, aggregate.leaf, choice.request)
                keeps_to(of, aggregate.label, leaf[choice.instance], choice.response)
                for policy in of.policies:
                    if (
                        policy.tenant in (None, aggregate.tenant)
                        and policy.service in (None, aggregate.service)
                        and (policy.label is None or policy.label == (aggregate.label or "public"))
                    ):
                        nodes = (aggregate.leaf, *choice.request.nodes, *choice.response.nodes)
                        assert policy.zones is None or all(of.zone_of(node) in policy.zones for node in nodes)
                        hops = (*choice.request.hops, *choice.response.hops)
                        assert not policy.encrypted or all(hop.link.encrypted for hop in hops)
                        if policy.latency_budget is not None and choice.share > 0:
                            base = choice.request.base_latency + choice.response.base_latency
                            assert base <= policy.latency_budget
        for (start, _, _, label), route in found.routes.items():
            keeps_to(of, label, start, route)
        for (start, _, _, label, _), route in found.responses.items():
            keeps_to(of, label, start, route)
        for (start, _, label), route in found.transport.items():
            keeps_to(of, label, start, route)


@given(st.integers(0, 10**6))
def test_plans_are_whole(seed: int) -> None:
    for of, measured, drained, found in history(seed):
        leaf = {each.name: of.host[each.host].leaf for each in of.instances}
        dead = {each.name for each in of.instances if measured.instance(each.name).alive is False}
        assert found.alive == set(of.instance) - dead
        assert found.drained == drained
        for aggregate, decision in found.decisions.items():
            shares = sum(choice.share for choice in decision.choices)
            assert shares == pytest.approx(1.0) or all(choice.share == 0 for choice in decision.choices)
            told = {each.what for each in decision.rejected}
            assert {choice.instance for choice in decision.choices if choice.share == 0} <= told or shares > 0
            for choice in decision.choices:
                name = choice.instance
                assert name not in dead
                assert choice.share == 0 or name not in drained
                there = found.routes[aggregate.leaf, name, aggregate.traffic_class, aggregate.label]
                back = found.responses[
                    leaf[name], aggregate.service, aggregate.traffic_class, aggregate.label, aggregate.leaf
                ]
                assert (choice.request, choice.response) == (there, back)
                for start, route, end in (
                    (aggregate.leaf, there, leaf[name]),
                    (leaf[name], back, aggregate.leaf),
                ):
                    assert (start, *route.nodes)[-1] == end
                    assert len(route.nodes) <= 5
                    assert all(measured.link(hop.key).up for hop in route.hops)


@given(st.integers(0, 10**6))
def test_every_instance_is_chosen_or_it_is_said_why_not(seed: int) -> None:
    for of, _, drained, found in history(seed):
        assert {each.service for each in found.decisions} <= set(of.service)
        for aggregate, decision in found.decisions.items():
            chosen = {each.instance for each in decision.choices if each.share > 0}
            told = {each.what for each in decision.rejected}
            assert chosen | told == {each.name for each in of.instances_of(aggregate.service)}
            assert not chosen & told
            assert all(each.detail and each.constraint for each in decision.rejected)
            # What keeps its connections has a reason too, and both ways.
            assert {each.instance for each in decision.choices} <= chosen | told
            assert chosen or not decision.choices or told >= {each.instance for each in decision.choices}
            assert {each.what for each in decision.rejected if each.constraint == "drained"} <= drained


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_the_same_again(seed: int) -> None:
    assert history(seed)[-1][3] == history(seed)[-1][3]


# ---- single things -----------------------------------------------------------------------------------------


def test_the_near_instance_is_preferred_and_the_slow_one_avoided() -> None:
    idle = Measured(
        instances={name: busy(2, 0, 2.0) for name in ("near", "far")}, arrivals={("a", "chat"): 2.0}
    )
    slots = [instance("near", "hb", slots=8), instance("far", "hc", slots=8)]
    assert plan(triangle(instances=slots), idle).decisions[chat()].shares["near"] > 0.7
    slow = {"near": busy(8, 6, 1.0), "far": busy(4, 0, 4.0)}
    found = plan(triangle(instances=slots), Measured(instances=slow, arrivals={("a", "chat"): 3.0}))
    assert found.decisions[chat()].shares["far"] > 0.9


def test_unknown_is_neither_idle_nor_full() -> None:
    slots = [instance("near", "hb", slots=8), instance("far", "hb2", slots=8)]
    of = triangle(
        hosts=[host("client", "a"), host("hb", "b"), host("hb2", "b"), host("hc", "c")], instances=slots
    )
    found = plan(
        of, Measured(instances={"near": busy(7, 0, 3.0, prefill_time=0.2)}, arrivals={("a", "chat"): 3.0})
    )
    assert found.decisions[chat()].shares == pytest.approx({"near": 0.5, "far": 0.5}, abs=0.01)


@pytest.mark.parametrize(("mode", "near"), [("equal", 0.5), ("client", 0.5), ("nearest", 1.0)])
def test_what_din_is_compared_with(mode: str, near: float) -> None:
    shares = plan(triangle(steering={"instances": mode})).decisions[chat()].shares
    assert shares == {"near": near, "far": 1 - near}


def test_paths_avoid_what_is_slow_unless_they_are_the_shortest() -> None:
    slow = Measured(links={("a", 2): LinkState(True, 0.0, 50_000.0)})
    for mode, nodes in (("din", ("b", "c")), ("shortest", ("c",))):
        found = plan(triangle(steering={"paths": mode}), slow)
        assert found.routes["a", "far", "scheduled", ""].nodes == nodes
        # The way back is another choice.
        assert found.responses["c", "chat", "scheduled", "", "a"].nodes == ("a",)


def test_latency_that_is_measured_is_in_the_estimate() -> None:
    slow = Measured(links={("a", 1): LinkState(True, 0.0, 700.0)})
    choices = {each.instance: each.estimate for each in plan(triangle(), slow).decisions[chat()].choices}
    assert choices["near"] == Estimate(1_700.0, 1_000.0, None, None)


def test_the_dead_are_out_at_once_and_the_drained_keep_what_they_have() -> None:
    first = plan(triangle())
    assert first.decisions[chat()].shares["near"] > 0.5
    dead = plan(triangle(), Measured(instances={"near": InstanceState(False, "no answer")}), first)
    assert dead.decisions[chat()].shares == {"far": 1.0}
    assert dead.alive == {"far"}
    drained = plan(triangle(), None, first, drained=["near"])
    assert drained.decisions[chat()].shares == {"near": 0.0, "far": 1.0}
    assert drained.alive == {"near", "far"}
    assert ("a", "near", "scheduled", "") in drained.routes


def test_where_all_are_drained_nobody_takes_new_connections() -> None:
    decision = plan(triangle(), drained=["near", "far"]).decisions[chat()]
    assert decision.shares == {"near": 0.0, "far": 0.0}


def test_a_service_that_cannot_be_reached_says_so() -> None:
    down = Measured(links={("a", port): LinkState(up=False) for port in (1, 2)})
    decision = plan(triangle(), down).decisions[chat()]
    assert not decision.choices
    assert {(each.what, each.constraint, each.detail) for each in decision.rejected} == {
        ("near", "route", "every way from a to b has a link that is down"),
        ("far", "route", "every way from a to c has a link that is down"),
    }
    dead = Measured(instances=dict.fromkeys(("near", "far"), InstanceState(False, "no answer")))
    decision = plan(triangle(), dead).decisions[chat()]
    assert not decision.choices
    assert {(each.constraint, each.detail) for each in decision.rejected} == {("health", "no answer")}


def test_the_prompts_of_late_do_not_make_a_server_slow() -> None:
    """Two requests with long prompts are no reason to take another server: prompts come from clients."""
    slots = [instance("near", "hb", slots=8), instance("far", "hc", slots=8)]
    of, found = triangle(instances=slots), None
    for now, (near, far) in enumerate([(0.05, 0.05)] * 4 + [(0.07, 0.04)]):
        known = {
            name: busy(1, 0, 1.0, float(now), prefill_time=took)
            for name, took in (("near", near), ("far", far))
        }
        found = plan(of, Measured(float(now), known, {}, {("a", "chat"): 2.0}), found, now=float(now))
    assert found is not None
    assert found.decisions[chat()].shares["near"] > 0.9
    assert found.paces["near"].prefill == pytest.approx(0.05, abs=0.003)


def test_what_is_rejected_for_less_than_privacy_keeps_its_connections() -> None:
    services = [service(choose_variant=True)]
    instances = [instance("near", "hb"), instance("far", "hc", variant="large")]
    first = plan(triangle(services=services, instances=instances))
    later = triangle(services=services, instances=instances, policies=[{"quality_floor": 0.8}])
    assert plan(later, None, first).decisions[chat()].shares == {"near": 0.0, "far": 1.0}
    assert plan(later).decisions[chat()].shares == {"far": 1.0}
    private = triangle(services=services, instances=instances, policies=[{"zones": ["home"]}])
    assert plan(private, None, first).decisions[chat()].shares == {"near": 1.0}


def test_a_controller_that_restarts_moves_nothing() -> None:
    of = triangle()
    held = [
        Choice(name, share, Route(), Route(), Estimate(0, 0, None, None))
        for name, share in (("near", 0.125), ("far", 0.875))
    ]
    before = Plan(decisions={chat(): Decision(chat(), tuple(held))})
    assert plan(of, None, before).decisions[chat()].shares == {"near": 0.125, "far": 0.875}


def test_variants_compete_and_cost_breaks_ties() -> None:
    instances = [instance("near", "hb"), instance("far", "hb2", variant="large")]
    hosts = [host("client", "a"), host("hb", "b"), host("hb2", "b"), host("hc", "c")]
    found = plan(triangle(services=[service(choose_variant=True)], instances=instances, hosts=hosts))
    shares = found.decisions[chat()].shares
    assert 0.5 < shares["near"] < 0.7


def test_transport_is_the_shortest_that_labels_permit() -> None:
    of = triangle(
        labels=[{"name": "secret", "zones": ["home"]}],
        transit=["b"],
        instances=[],
        telemetry={"collectors": [{"name": "c", "host": "client", "labels": ["secret"]}]},
    )
    found = plan(of, Measured(links={("a", 2): LinkState(True, 0.0, 90_000.0)}))
    assert found.transport["a", "c", ""].nodes == ("c",)
    assert found.transport.keys() == {("a", "c", ""), ("c", "a", ""), ("b", "a", ""), ("b", "a", "secret")}


def test_twenty_leaves_and_five_hundred_instances() -> None:
    random = Random(1)
    spines, leaves = [f"s{k}" for k in range(6)], [f"l{k}" for k in range(20)]
    of = model(
        {"z": [*spines, *leaves]},
        [
            link(leaf, spine, f"{random.randrange(1, 20)}ms")
            for leaf in leaves
            for spine in random.sample(spines, 3)
        ]
        + [link(a, b, f"{random.randrange(1, 20)}ms") for k, a in enumerate(spines) for b in spines[:k]],
        [host(f"c{k}", leaf) for k, leaf in enumerate(leaves)]
        + [host(f"g{k}", random.choice(leaves)) for k in range(500)],
        transit=spines,
        services=[service(f"m{k}", addresses=[f"10.9.0.{k + 1}"]) for k in range(50)],
        instances=[instance(f"i{k}", f"g{k}", f"m{k // 10}", slots=16) for k in range(500)],
    )
    wiring = Wiring(of)
    wanted = aggregates(of, wiring)
    assert len(wanted) == 1000
    before, took = None, []
    for now in range(4):
        measured = Measured(
            instances={
                f"i{k}": busy(random.randrange(1, 20), random.choice([0, 0, 5]), 5.0, now) for k in range(500)
            },
            links={hop.key: LinkState(True, now, random.uniform(0, 5_000)) for hop in wiring.hops},
            arrivals={(leaf, f"m{k}"): 3 * random.random() for leaf in leaves for k in range(50)},
        )
        start = process_time()
        before = decide(of, wiring, wanted, measured, before, frozenset(), float(now))
        took.append(process_time() - start)
    assert before is not None
    assert before.decisions.keys() == set(wanted)
    # It takes about a second on one core; what grows with the square of something takes minutes.
    assert min(took) < 10.0, took
