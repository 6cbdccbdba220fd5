# SPDX-License-Identifier: Apache-2.0
"""Each constraint rejects, and each lets by."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from din.measure.state import InstanceState, LinkState, Measured
from din.model.network import Model
from din.steering.constraints import CONSTRAINTS, HARD, capacity
from din.steering.plan import Plan

from tests.din.steering.build import busy, chat, host, instance, link, plan, service, triangle

#: Constraint -> (a model that breaks it for `far` and for nobody else, what is measured).
BROKEN: dict[str, tuple[dict[str, Any], Measured]] = {
    "health": ({}, Measured(instances={"far": InstanceState(alive=False, reason="no answer")})),
    "role": ({"instances": [instance("near", "hb"), instance("far", "hc", role="prefill")]}, Measured()),
    "label": (
        {
            "services": [service(labels=["secret"])],
            "labels": [{"name": "secret", "zones": ["home"]}],
        },
        Measured(),
    ),
    "zone": ({"policies": [{"zones": ["home"]}]}, Measured()),
    "encryption": (
        {
            "policies": [{"encrypted": True}],
            "links": [link("a", "b", encrypted=True), link("a", "c"), link("b", "c")],
        },
        Measured(),
    ),
    "latency": ({"policies": [{"latency_budget": "9ms"}]}, Measured()),
    "quality": (
        {
            "services": [service(choose_variant=True)],
            "instances": [instance("near", "hb", variant="large"), instance("far", "hc")],
            "policies": [{"quality_floor": 0.8}],
        },
        Measured(),
    ),
    "context": (
        {
            "services": [service(choose_variant=True, min_context=10_000)],
            "instances": [instance("near", "hb", variant="large"), instance("far", "hc")],
        },
        Measured(),
    ),
    "features": (
        {
            "services": [service(choose_variant=True, features=["vision"])],
            "instances": [instance("near", "hb", variant="large"), instance("far", "hc")],
        },
        Measured(),
    ),
    "cost": (
        {
            "services": [service(choose_variant=True)],
            "instances": [instance("near", "hb"), instance("far", "hc", variant="large")],
            "policies": [{"cost_ceiling": 2.0}],
        },
        Measured(),
    ),
    "variant": (
        {
            "services": [service(variant="small")],
            "instances": [instance("near", "hb"), instance("far", "hc", variant="large")],
        },
        Measured(),
    ),
    "mtu": (
        {"links": [link("a", "b"), link("a", "c", mtu="1300B"), link("b", "c", mtu="1300B")]},
        Measured(),
    ),
    "route": ({}, Measured(links={("a", 2): LinkState(up=False), ("b", 2): LinkState(up=False)})),
}
#: The same, less what broke it.
KEPT: dict[str, tuple[dict[str, Any], Measured]] = {
    "health": ({}, Measured(instances={"far": InstanceState(alive=None)})),
    "role": ({"instances": [instance("near", "hb"), instance("far", "hc", role="decode")]}, Measured()),
    "label": (
        {
            "services": [service(labels=["secret"])],
            "labels": [{"name": "secret", "zones": ["home", "abroad"]}],
        },
        Measured(),
    ),
    "zone": ({"policies": [{"zones": ["home", "abroad"]}]}, Measured()),
    "encryption": (
        {
            "policies": [{"encrypted": True}],
            "links": [link("a", "b", encrypted=True), link("a", "c"), link("b", "c", encrypted=True)],
        },
        Measured(),
    ),
    "latency": ({"policies": [{"latency_budget": "10ms"}]}, Measured()),
    "quality": (BROKEN["quality"][0] | {"policies": [{"quality_floor": 0.6}]}, Measured()),
    "context": (
        BROKEN["context"][0] | {"services": [service(choose_variant=True, min_context=8192)]},
        Measured(),
    ),
    "features": (
        BROKEN["features"][0] | {"services": [service(choose_variant=True, features=["tools"])]},
        Measured(),
    ),
    "cost": (BROKEN["cost"][0] | {"policies": [{"cost_ceiling": 4.0}]}, Measured()),
    "variant": (
        BROKEN["variant"][0] | {"services": [service(variant="small", choose_variant=True)]},
        Measured(),
    ),
    "mtu": ({"links": [link("a", "b"), link("a", "c", mtu="1364B"), link("b", "c")]}, Measured()),
    "route": ({}, Measured(links={("a", 2): LinkState(up=False)})),
}


def seen(name: str, found: Plan) -> tuple[set[str], set[tuple[str, str]]]:
    """Who might answer, were it better than the others; who may not, and why."""
    decision = found.decisions[chat("secret" if name == "label" else "")]
    told = {(each.what, each.constraint) for each in decision.rejected}
    outdone = {(what, constraint) for what, constraint in told if constraint == "ttft"}
    chosen = {choice.instance for choice in decision.choices if choice.share > 0}
    return chosen | {what for what, _ in outdone}, told - outdone


@pytest.mark.parametrize("name", BROKEN)
def test_it_rejects(name: str) -> None:
    more, measured = BROKEN[name]
    chosen, rejected = seen(name, plan(triangle(**more), measured))
    assert chosen == {"near"}
    assert rejected == {("far", name)}


@pytest.mark.parametrize("name", KEPT)
def test_it_lets_by(name: str) -> None:
    more, measured = KEPT[name]
    chosen, rejected = seen(name, plan(triangle(**more), measured))
    assert chosen == {"near", "far"}
    assert not rejected


def test_every_predicate_is_tested() -> None:
    assert {each.__name__ for each in CONSTRAINTS} - {"drained"} <= BROKEN.keys()
    assert BROKEN.keys() == KEPT.keys()
    assert HARD - BROKEN.keys() == {"segments"}


def test_segments() -> None:
    chain = ["a", "n1", "n2", "n3", "n4", "n5", "c"]
    links = [link(x, y) for x, y in itertools.pairwise(chain)]
    more: dict[str, Any] = {
        "zones": {"home": [*chain[:-1], "b"], "abroad": ["c"]},
        "links": [*links, link("a", "b")],
        "transit": chain[1:-1],
    }
    assert seen("", plan(triangle(**more))) == ({"near"}, {("far", "segments")})
    more["links"] = [*links, link("a", "b"), link("n1", "n3")]
    assert seen("", plan(triangle(**more))) == ({"near", "far"}, set())


def test_a_label_that_has_no_way_through_its_zones_is_the_labels_fault() -> None:
    of = triangle(
        zones={"home": ["a", "b"], "abroad": ["c"]},
        links=[link("a", "c"), link("c", "b")],
        services=[service(labels=["secret"])],
        labels=[{"name": "secret", "zones": ["home"]}],
    )
    decision = plan(of).decisions[chat("secret")]
    assert not decision.choices
    assert {(each.what, each.constraint) for each in decision.rejected} == {
        ("near", "label"),
        ("far", "label"),
    }


def test_drained_instances_keep_what_they_have() -> None:
    decision = plan(triangle(), drained=["far"]).decisions[chat()]
    assert decision.shares == {"near": 1.0, "far": 0.0}
    assert {(each.what, each.constraint) for each in decision.rejected} == {("far", "drained")}


def test_a_decode_server_needs_one_that_prefills() -> None:
    def of(*roles: str) -> Model:
        names = [("near", "hb"), ("far", "hc")]
        return triangle(
            instances=[instance(*name, role=role) for name, role in zip(names, roles, strict=True)]
        )

    assert seen("", plan(of("decode", "prefill"))) == ({"near"}, {("far", "role")})
    assert seen("", plan(of("decode", "both"))) == ({"near", "far"}, set())
    assert seen("", plan(of("decode", "decode"))) == (set(), {("near", "role"), ("far", "role")})
    dead = Measured(instances={"far": InstanceState(alive=False)})
    assert seen("", plan(of("decode", "prefill"), dead))[0] == set()


PROFILE = {
    "name": "fast",
    "prefill_tokens_per_second": 1000,
    "decode_step": "10ms",
    "max_sequences": 4,
    "max_queue": 2,
    "kv_bytes_per_token": "1kB",
    "kv_blocks": 100,
}


def test_capacity() -> None:
    assert capacity("x", 5, 6) is None
    assert capacity("x", None, 6) is None  # unknown is not full
    assert capacity("x", 6, None) is None
    assert capacity("x", 6, 6) is not None
    of = triangle(
        instances=[instance("near", "hb", profile="fast"), instance("far", "hc", profile="fast")],
        emulation={"profiles": [PROFILE]},
    )
    full, free = busy(4, 2, 1.0), busy(2, 0, 1.0)
    found = plan(of, Measured(instances={"near": free, "far": full}))
    assert seen("", found) == ({"near"}, {("far", "capacity")})
    # Where all are full, one that answers 429 is better than none.
    found = plan(of, Measured(instances={"near": full, "far": full}))
    assert seen("", found)[0] == {"near", "far"}


def test_a_family_without_the_variant_is_said() -> None:
    of = triangle(instances=[instance("near", "hb"), instance("far", "hc", variant="missing")])
    assert seen("", plan(of)) == ({"near"}, {("far", "variant")})


@pytest.mark.parametrize("careful", ["acme", "other"])
def test_bounds_of_all_who_share_a_route_hold_for_it(careful: str) -> None:
    # One asks for encryption; both use the way from `a` to `far`, and its direct link is not encrypted.
    of = triangle(
        hosts=[host("client", "a"), host("guest", "a", "other"), host("hb", "b"), host("hc", "c")],
        links=[link("a", "b", encrypted=True), link("a", "c", "5ms"), link("b", "c", "10ms", encrypted=True)],
        services=[service(clients=["other"])],
        policies=[{"tenant": careful, "encrypted": True}],
    )
    found = plan(of)
    for tenant in ("acme", "other"):
        choices = {each.instance: each for each in found.decisions[chat(tenant=tenant)].choices}
        assert choices["far"].request.nodes == ("b", "c")
        assert choices["far"].response.nodes == ("b", "a")


def test_who_has_no_way_by_itself_binds_nobody() -> None:
    of = triangle(
        hosts=[host("client", "a"), host("guest", "a", "other"), host("hb", "b"), host("hc", "c")],
        services=[service(clients=["other"])],
        policies=[{"tenant": "other", "zones": ["home"]}],
    )
    found = plan(of)
    assert set(found.decisions[chat(tenant="other")].shares) == {"near"}
    assert set(found.decisions[chat()].shares) == {"near", "far"}


def test_a_budget_holds_whatever_ways_are_chosen() -> None:
    # The direct way to `far` is slow just now; the way round would break the budget.
    of = triangle(policies=[{"latency_budget": "15ms"}])
    slow = Measured(
        links={("a", 2): LinkState(True, 0.0, 90_000.0), ("c", 1): LinkState(True, 0.0, 90_000.0)}
    )
    for choice in plan(of, slow).decisions[chat()].choices:
        assert choice.request.base_latency + choice.response.base_latency <= 15_000
