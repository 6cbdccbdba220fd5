# SPDX-License-Identifier: Apache-2.0
"""What is near answers while nobody has to wait there; what is far helps as soon as that is quicker."""

from __future__ import annotations

from itertools import pairwise

import pytest
from din.measure.state import Connections, InstanceState, LinkState, Load, Measured
from din.model.network import Model
from din.steering.plan import Plan

from tests.din.steering.build import busy, chat, host, instance, plan, triangle

NAMES = ("near", "far")
HOLD = 0.5  # seconds


def network(**more: object) -> Model:
    """`near` is 2 ms away and back, `far` 10 ms; each has 8 slots."""
    return triangle(instances=[instance("near", "hb", slots=8), instance("far", "hc", slots=8)], **more)


def idle(now: float, slots: bool = True) -> Measured:
    """Servers that answer and have nothing to do, and switches that count nothing."""
    load = Load(at=now, running=0.0, waiting=0.0, requests_per_second=0.0)
    known = InstanceState(True, "", load if slots else None, Connections(now, 0, 0, 0.0, 0))
    return Measured(now, dict.fromkeys(NAMES, known))


def settle(of: Model, before: Plan | None = None, turns: int = 40, **asked: float) -> Plan:
    """``asked``: leaf -> connections a second, answered as Little's law has it."""
    found = before
    for turn in range(turns):
        now = turn / 2
        measured = idle(now)
        if asked:
            rates = dict.fromkeys(NAMES, 0.0)
            for leaf, rate in asked.items():
                shares = found.decisions[chat(leaf=leaf)].shares if found else dict.fromkeys(NAMES, 0.5)
                for name in NAMES:
                    rates[name] += rate * shares.get(name, 0.0)
            loads = {name: busy(rate * HOLD, 0.0, rate, now) for name, rate in rates.items()}
            arrivals = {(leaf, "chat"): rate for leaf, rate in asked.items()}
            measured = Measured(now, loads, {}, arrivals)
        found = plan(of, measured, found, now=now)
    assert found is not None
    return found


@pytest.mark.parametrize("slots", [True, False])
def test_of_idle_servers_the_nearest_answers(slots: bool) -> None:
    found = None
    for turn in range(40):
        found = plan(network(), idle(turn / 2, slots), found, now=turn / 2)
    assert found is not None
    decision = found.decisions[chat()]
    assert decision.shares == {"near": 1.0, "far": 0.0}
    (outdone,) = decision.rejected
    assert (outdone.what, outdone.constraint) == ("far", "ttft")
    assert outdone.detail == "10 ms expected to the first token, 2 ms from near"


def test_it_is_so_from_the_beginning() -> None:
    assert plan(network()).decisions[chat()].shares["near"] > 0.99


def test_what_is_expected_is_prepared_for() -> None:
    demand = [{"site": "at-a", "service": "chat", "requests_per_second": 12.0}]
    assert 0.4 < plan(network(demand=demand)).decisions[chat()].shares["near"] < 0.6


def test_idle_servers_at_one_place_share_alike() -> None:
    hosts = [host("client", "a"), host("hb", "b"), host("hc", "c"), host("hb2", "b")]
    instances = [instance("near", "hb"), instance("far", "hb2")]
    found = settle(triangle(hosts=hosts, instances=instances))
    assert found.decisions[chat()].shares == pytest.approx({"near": 0.5, "far": 0.5})


def test_the_busier_the_network_the_more_the_far_one_does() -> None:
    shares = [settle(network(), a=rate).decisions[chat()].shares["far"] for rate in (1, 4, 8, 12, 16, 24)]
    assert shares[0] == 0.0
    assert all(less <= more + 0.02 for less, more in pairwise(shares))
    assert 0.3 < shares[-1] <= 0.5
    # 16 a second are what one of them can do at all: its queue would be long before.
    assert (1 - shares[4]) * 16 < 0.8 * 16


def test_when_the_load_has_gone_the_near_one_has_all_again() -> None:
    busy_plan = settle(network(), a=24)
    assert busy_plan.decisions[chat()].shares["far"] > 0.3
    assert settle(network(), busy_plan).decisions[chat()].shares["far"] == 0.0


def test_a_congested_way_makes_the_near_one_far() -> None:
    measured = idle(0.0)
    slow = {("a", 1): LinkState(True, 0.0, 15_000.0), ("b", 1): LinkState(True, 0.0, 15_000.0)}
    found = plan(network(), Measured(0.0, measured.instances, slow))
    assert found.decisions[chat()].shares["far"] > 0.9


def test_a_server_that_tells_nothing_is_judged_by_its_connections() -> None:
    """60 in flight of which 4 a second began: each takes 15 s, and 8 slots are soon taken."""

    def held(count: int, opened: float) -> InstanceState:
        return InstanceState(True, "", None, Connections(0.0, count, 0, opened, count))

    measured = Measured(0.0, {"near": held(60, 4.0), "far": held(0, 0.0)}, {}, {("a", "chat"): 4.0})
    assert plan(network(), measured).decisions[chat()].shares["far"] > 0.5
