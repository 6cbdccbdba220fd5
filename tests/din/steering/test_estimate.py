# SPDX-License-Identifier: Apache-2.0
"""Every term of the estimate, and what is done without it."""

from __future__ import annotations

from typing import Any

import pytest
from din.measure.state import Connections, InstanceState, LinkState, Load, Measured
from din.model.emulated import Profile
from din.model.service import Instance
from din.model.wiring import Wiring
from din.steering.estimate import Server, estimate, latency, link_extra, server
from din.steering.plan import Route

from tests.din.steering.build import triangle

NOW, STALE = 10.0, 3.0
PROFILE = Profile.model_validate(
    {
        "name": "p",
        "prefill_tokens_per_second": 1000,
        "decode_step": "10ms",
        "max_sequences": 4,
        "max_queue": 2,
        "kv_bytes_per_token": "1B",
        "kv_blocks": 1,
    }
)


def of(
    load: dict[str, Any] | None = None,
    connections: Connections | None = None,
    slots: int | None = 8,
    at: float = 9.0,
    profile: Profile | None = None,
) -> Server:
    known = Instance(name="i", service="s", host="h", variant="v", slots=slots)
    state = InstanceState(True, "", None if load is None else Load(at=at, **load), connections)
    return server(known, state, profile, NOW, STALE)


def test_queue() -> None:
    # 8 slots, each held for 8 / 4 = 2 s: 4 requests end a second, and 4 + 1 are to end.
    found = of({"running": 8, "waiting": 4, "requests_per_second": 4})
    assert (found.present, found.rate, found.backlog) == (12, 4, 4)
    assert found.queue == pytest.approx(5 / 4)


def test_with_a_free_slot_nobody_waits() -> None:
    assert of({"running": 7, "waiting": 0}).queue == 0.0


def test_without_a_rate_the_queue_is_what_was_seen_lately() -> None:
    assert of({"running": 8, "waiting": 4, "queue_time": 0.7}).queue == 0.7
    assert of({"running": 8, "waiting": 4}).queue is None


def test_connections_are_fresher_than_metrics() -> None:
    metrics = {"running": 4, "waiting": 0}
    # Since the poll 3 a second began, for 0.8 s; as many as are in flight at most.
    assert of(metrics, Connections(9.8, 20, 0, 3.0)).present == pytest.approx(4 + 2.4)
    assert of(metrics, Connections(9.8, 5, 0, 3.0)).present == 5
    assert of(metrics, Connections(9.8, 5, 0, 3.0, 6)).present == 6
    assert of(None, Connections(9.8, 5, 0, 3.0)).present == 5


def test_stale_is_unknown() -> None:
    old = of({"running": 4, "waiting": 0, "prefill_time": 0.1}, at=NOW - STALE - 0.1)
    assert (old.present, old.queue, old.compute, old.known) == (None, None, None, False)
    assert of({"running": 4, "waiting": 0}, at=NOW - STALE).known
    assert not of(None, Connections(6.9, 5, 0, 3.0)).known
    assert not of().known


def test_a_server_that_does_not_say_what_it_finishes_is_judged_by_its_connections() -> None:
    counted = Connections(9.8, 6, 0, 3.0)
    told = of({"running": 4, "waiting": 0, "requests_per_second": 2.0}, counted)
    assert (told.running, told.finishing, told.rate) == (4, 2.0, 4.0)
    silent = of({"running": 4, "waiting": 0}, counted)
    assert (silent.running, silent.finishing, silent.rate) == (6.0, 3.0, 4.0)
    assert of({"running": 4, "waiting": 0}).running is None


@pytest.mark.parametrize("gauge", ["running", "waiting"])
def test_a_missing_gauge_is_not_an_idle_server(gauge: str) -> None:
    assert of({gauge: 0.0}).present is None


def test_slots() -> None:
    assert of({"running": 1, "waiting": 0}, profile=PROFILE).slots == 8
    assert of({"running": 1, "waiting": 0}, slots=None, profile=PROFILE).slots == 4
    assert of({"running": 6, "waiting": 2}, slots=None).slots == 6
    assert of({"running": 6, "waiting": 0}, slots=None).slots is None
    assert of({"running": 1, "waiting": 0}, profile=PROFILE).room == 6


def test_compute() -> None:
    assert of({"prefill_time": 0.2, "ttft": 9.0, "queue_time": 1.0}).compute == 0.2
    assert of({"ttft": 1.5, "queue_time": 1.0}).compute == 0.5
    assert of({"ttft": 0.5, "queue_time": 1.0}).compute == 0.0
    assert of({"ttft": 1.5}).compute is None


def test_links() -> None:
    assert link_extra(LinkState(True, 9.0, 500.0), NOW, STALE) == 500.0
    assert link_extra(LinkState(True, 6.9, 500.0), NOW, STALE) == 0.0
    assert link_extra(LinkState(), NOW, STALE) == 0.0
    assert link_extra(LinkState(True, None, 500.0), NOW, STALE) == 0.0


def test_a_way_is_its_links() -> None:
    hops = Wiring(triangle()).by_port
    route = Route((hops["a", 1], hops["b", 2]))
    known = Measured(links={("b", 2): LinkState(True, 9.0, 250.0)})
    assert latency(route, known, NOW, STALE) == 1_000 + 10_000 + 250


def test_estimate_is_in_us() -> None:
    found = estimate(1.0, 2.0, Server(queue=0.5, compute=None))
    assert (found.request, found.response, found.queue, found.compute) == (1.0, 2.0, 500_000.0, None)
    assert found.total == 500_003.0
