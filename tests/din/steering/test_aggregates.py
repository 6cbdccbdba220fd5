# SPDX-License-Identifier: Apache-2.0
"""What is to be steered, and how much of it there is."""

from __future__ import annotations

from typing import Any

import pytest
from din.measure.state import Connections, InstanceState, Measured
from din.model.wiring import Wiring
from din.steering.aggregates import aggregates
from din.steering.demand import BELIEF, demand
from din.steering.plan import Aggregate

from tests.din.steering.build import chat, host, instance, link, model, service, triangle

LABELS: dict[str, Any] = {
    "labels": [{"name": "secret", "zones": ["home"]}, {"name": "other", "zones": ["home"]}],
    "services": [service(labels=["secret"])],
}
SERVERS = [host("hb", "b"), host("hc", "c")]


def found(hosts: list[dict[str, Any]], **more: Any) -> set[tuple[str, str, str, str]]:
    of = triangle(hosts=[*hosts, *SERVERS], **more)
    result = aggregates(of, Wiring(of))
    assert result == sorted(set(result))
    return {(each.leaf, each.tenant, each.traffic_class, each.label) for each in result}


def test_hosts_of_permitted_tenants_are_clients() -> None:
    guest = host("guest", "a", "other")
    assert found([guest]) == set()
    assert found([guest], services=[service(clients=["other"])]) == {("a", "other", "scheduled", "")}


def test_a_host_is_no_client_of_what_it_serves() -> None:
    assert found([]) == set()
    assert found([host("client", "b")]) == {("b", "acme", "scheduled", "")}
    idle = [instance("near", "hb")]
    assert found([], instances=idle) == {("c", "acme", "scheduled", "")}


def test_labels() -> None:
    both = {("a", "acme", "scheduled", ""), ("a", "acme", "scheduled", "secret")}
    assert found([host("client", "a")], **LABELS) == both
    assert found([host("client", "a", label="secret")], **LABELS) == both
    fixed = host("client", "a", label="secret", label_mandatory=True)
    assert found([fixed], **LABELS) == {("a", "acme", "scheduled", "secret")}
    # A label that the service does not take is steered nowhere.
    assert found([host("client", "a", label="other", label_mandatory=True)], **LABELS) == set()
    assert found([fixed, host("free", "a")], **LABELS) == both


def test_classes_are_the_services_and_those_that_keys_may_claim() -> None:
    key = {"id": 1, "source": "env:KEY", "classes": ["best-effort", "scheduled"]}
    tenants = [{"name": "acme", "keys": [key]}, {"name": "other"}]
    services = [service(clients=["other"])]
    hosts = [host("client", "a"), host("guest", "a", "other")]
    assert found(hosts, tenants=tenants, services=services) == {
        ("a", "acme", "scheduled", ""),
        ("a", "acme", "best-effort", ""),
        ("a", "other", "scheduled", ""),
    }


# ---- demand ------------------------------------------------------------------------------------------------

EXPECTED = [{"site": "at-a", "service": "chat", "requests_per_second": 6.0}]


def asked(
    measured: Measured, before: dict[Aggregate, float] | None = None, **more: Any
) -> dict[Aggregate, float]:
    of = triangle(hosts=[host("client", "a"), *SERVERS], **more)
    return demand(of, aggregates(of, Wiring(of)), measured, before or {}, 10.0)


def test_before_anything_is_measured_it_is_what_the_model_expects() -> None:
    assert asked(Measured()) == {}
    assert asked(Measured(), demand=EXPECTED) == {chat(): 6.0}


def test_what_is_measured_overrules_it_by_and_by() -> None:
    measured = Measured(arrivals={("a", "chat"): 2.0})
    assert asked(measured) == {chat(): 2.0}
    first = asked(measured, demand=EXPECTED)
    assert first == {chat(): pytest.approx(6.0 - 4.0 * BELIEF)}
    for _ in range(40):
        first = asked(measured, first, demand=EXPECTED)
    assert first == {chat(): pytest.approx(2.0, rel=0.01)}


def test_a_leaf_of_which_nothing_is_heard_has_none_if_switches_are_heard() -> None:
    fresh = InstanceState(connections=Connections(9.5, 1, 0, 0.0))
    stale = InstanceState(connections=Connections(1.0, 1, 0, 0.0))
    assert asked(Measured(instances={"near": fresh}), {chat(): 2.0}) == {
        chat(): pytest.approx(2.0 * (1 - BELIEF))
    }
    assert asked(Measured(instances={"near": stale}), {chat(): 2.0}) == {chat(): 2.0}


def test_arrivals_are_divided_as_expected_else_equally() -> None:
    measured = Measured(arrivals={("a", "chat"): 8.0})
    secret = {**EXPECTED[0], "label": "secret", "requests_per_second": 2.0}
    assert asked(measured, **LABELS) == {chat(): 4.0, chat("secret"): 4.0}
    found = asked(measured, {chat(): 0.0, chat("secret"): 0.0}, demand=[*EXPECTED, secret], **LABELS)
    assert found == {chat(): pytest.approx(6.0 * BELIEF), chat("secret"): pytest.approx(2.0 * BELIEF)}


def test_a_sites_demand_is_divided_among_the_leaves_that_ask() -> None:
    """Two of the site have clients; the third has a server alone."""
    of = model(
        {"z": ["a", "b", "c"]},
        [link("a", "b"), link("b", "c")],
        [host("x", "a"), host("y", "b"), host("hc", "c")],
        sites=[{"name": "here", "zone": "z"}],
        switches=[{"name": name, "site": "here", "role": "leaf"} for name in "abc"],
        services=[service()],
        instances=[instance("only", "hc")],
        demand=[{"site": "here", "service": "chat", "requests_per_second": 6.0}],
    )
    found = demand(of, aggregates(of, Wiring(of)), Measured(), {}, 0.0)
    assert found == {chat(): 3.0, chat(leaf="b"): 3.0}
