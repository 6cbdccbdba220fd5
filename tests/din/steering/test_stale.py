# SPDX-License-Identifier: Apache-2.0
"""Figures that are 1 to 2 s old make nobody herd: a loop closed in simulated time, beside the least queue
by the same figures.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from din.measure.state import Measured
from din.model.wiring import Wiring
from din.steering.aggregates import aggregates
from din.steering.decide import decide
from din.steering.plan import Plan

from tests.din.steering.build import host, instance, link, model, service
from tests.din.steering.loop import Decide, Run, Shares, SimulatedServer, run

LEAVES = ("a", "b")
SECONDS = 60.0


def din(names: list[str], slots: int) -> Decide:
    of = model(
        {"z": [*LEAVES, "spine", "dc"]},
        [link("a", "spine"), link("b", "spine", "3ms"), link("spine", "dc", "2ms")],
        [host("ca", "a"), host("cb", "b"), *(host(f"h-{name}", "dc") for name in names)],
        transit=["spine"],
        services=[service()],
        instances=[instance(name, f"h-{name}", slots=slots) for name in names],
    )
    wiring = Wiring(of)
    wanted = [each for each in aggregates(of, wiring) if each.leaf in LEAVES]
    last: Plan | None = None

    def choose(measured: Measured, now: float) -> Mapping[str, Shares]:
        nonlocal last
        last = decide(of, wiring, wanted, measured, last, frozenset(), now)
        return {each.leaf: decision.shares for each, decision in last.decisions.items()}

    return choose


def least_queue(names: list[str]) -> Decide:
    def choose(measured: Measured, now: float) -> Mapping[str, Shares]:
        loads = {name: measured.instance(name).load for name in names}
        queue = {
            name: (load.running or 0) + (load.waiting or 0) if load else 0 for name, load in loads.items()
        }
        first = [name for name in names if queue[name] == min(queue.values())]
        return {leaf: {name: 1 / len(first) if name in first else 0.0 for name in names} for leaf in LEAVES}

    return choose


def simulate(choose: Decide, names: list[str], slots: int, times: list[float], load: float, seed: int) -> Run:
    servers = {name: SimulatedServer(slots, time) for name, time in zip(names, times, strict=True)}
    capacity = sum(slots / time for time in times)
    demand = {"a": 0.6 * load * capacity, "b": 0.4 * load * capacity}
    return run(servers, demand, "chat", choose, SECONDS, seed)


#: Slots, service times, load.
CASES = {
    "alike": (8, [1.5, 1.5, 1.5], 0.8),
    "one is slow": (8, [4.0, 1.5, 1.5], 0.7),
    "many slots": (16, [1.0, 1.0, 1.0, 1.0], 0.85),
}


@pytest.mark.parametrize("case", CASES)
def test_stale_figures_never_herd(case: str) -> None:
    slots, times, load = CASES[case]
    names = [f"i{k}" for k in range(len(times))]
    ours = [simulate(din(names, slots), names, slots, times, load, seed) for seed in (1, 2)]
    theirs = [simulate(least_queue(names), names, slots, times, load, seed) for seed in (1, 2)]
    wait, other = (sum(each.mean_wait() for each in runs) / len(runs) for runs in (ours, theirs))
    assert wait < 0.75 * other
    for mine, least in zip(ours, theirs, strict=True):
        # A share that swings between 0 and 1 has a deviation of 0.5; the least queue's is near that.
        assert max(mine.swings("a", name) for name in names) < 0.18
        assert max(least.swings("a", name) for name in names) > 0.4


def test_a_server_that_becomes_slow_is_relieved_and_comes_back() -> None:
    names, slots, times = ["i0", "i1", "i2"], 8, [1.5, 1.5, 1.5]
    servers = {name: SimulatedServer(slots, time) for name, time in zip(names, times, strict=True)}

    def slow() -> None:
        servers["i0"].service_time = 6.0

    def mended() -> None:
        servers["i0"].service_time = 1.5

    found = run(
        servers, {"a": 8.0, "b": 5.0}, "chat", din(names, slots), 120.0, 3, {30.0: slow, 70.0: mended}
    )

    def mean(start: float, end: float) -> float:
        values = [shares["a"]["i0"] for at, shares in found.shares if start <= at < end]
        return sum(values) / len(values)

    # With 8 slots for 6 s it can do a ninth of what they all can, with 1.5 s a third.
    assert mean(10, 30) > 0.22
    assert mean(40, 70) < 0.15
    assert mean(95, 120) > 0.22
