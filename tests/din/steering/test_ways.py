# SPDX-License-Identifier: Apache-2.0
"""Routes change when it pays, and not all at once."""

from __future__ import annotations

from collections import Counter

import pytest
from din.model.wiring import Wiring
from din.steering.plan import Route
from din.steering.routes import Routes
from din.steering.ways import Wish, quickest, shortest

from tests.din.steering.build import link, model

#: From `a` to `d`: by `b` in 4 ms, by `c` in 6 ms.
WIRING = Wiring(
    model(
        {"z": ["a", "b", "c", "d"]},
        [link("a", "b"), link("b", "d", "3ms"), link("a", "c"), link("c", "d", "5ms")],
    )
)
B, C = Routes(WIRING).candidates("a", "d")
EVEN = Routes(
    Wiring(
        model({"z": ["a", "b", "c", "d"]}, [link("a", "b"), link("b", "d"), link("a", "c"), link("c", "d")])
    )
).candidates("a", "d")


def wishes(*keys: str, candidates: tuple[Route, ...] = (B, C)) -> list[Wish[str]]:
    return [Wish(key, candidates) for key in keys]


def choose(waiting: float, before: dict[str, Route], *keys: str) -> dict[str, Route]:
    """``waiting`` us at the link from `a` to `b`."""

    def extra(key: tuple[str, int]) -> float:
        return waiting if key == ("a", 1) else 0.0

    def latency(route: Route) -> float:
        return route.base_latency + sum(extra(hop.key) for hop in route.hops)

    return quickest(wishes(*keys), before, latency, extra)


def test_at_first_the_quickest() -> None:
    assert choose(0.0, {}, "x") == {"x": B}
    assert choose(9_000.0, {}, "x") == {"x": C}
    assert shortest(wishes("x")) == {"x": B}


@pytest.mark.parametrize(
    ("waiting", "then"),
    [
        (2_900.0, B),  # 0.9 ms are not worth it
        (3_050.0, B),  # 1.05 ms are, but not of 7.05 ms
        (3_300.0, C),
    ],
)
def test_a_route_is_kept_until_another_is_much_better(waiting: float, then: Route) -> None:
    kept = 4_000 + waiting <= 6_000 + max(1_000.0, 0.15 * (4_000 + waiting))
    assert kept == (then is B)
    assert choose(waiting, {"x": B}, "x") == {"x": then}


def test_a_route_that_is_gone_is_not_kept() -> None:
    assert quickest([Wish("x", (C,))], {"x": B}, lambda route: route.base_latency, lambda key: 0.0) == {
        "x": C
    }


def test_a_route_is_known_by_its_ports_whatever_object_it_is() -> None:
    again = Routes(Wiring(WIRING.model)).candidates("a", "d")[1]
    assert again is not C
    assert choose(1_500.0, {"x": again}, "x") == {"x": C}


def test_a_third_leaves_a_slow_link_at_a_time() -> None:
    keys = [f"k{n}" for n in range(9)]
    plan: dict[str, Route] = dict.fromkeys(keys, B)
    left = []
    for _ in range(6):
        plan = choose(20_000.0, plan, *keys)
        left.append(sum(route is B for route in plan.values()))
    assert left == [6, 4, 2, 1, 0, 0]


def test_equally_quick_routes_share_the_load() -> None:
    keys = [f"k{n}" for n in range(10)]
    found = quickest(wishes(*keys, candidates=EVEN), {}, lambda route: route.base_latency, lambda key: 0.0)
    assert Counter(route.nodes for route in found.values()) == {("b", "d"): 5, ("c", "d"): 5}


def test_a_longer_way_is_not_taken_to_spread_what_nobody_waits_for() -> None:
    """Half a millisecond longer is within what measurements tell apart, and longer all the same."""
    longer = Routes(
        Wiring(
            model(
                {"z": ["a", "b", "c", "d"]},
                [link("a", "b"), link("b", "d"), link("a", "c"), link("c", "d", "1500us")],
            )
        )
    ).candidates("a", "d")
    keys = [f"k{n}" for n in range(10)]

    def found(waiting: float) -> Counter[tuple[str, ...]]:
        def latency(route: Route) -> float:
            return route.base_latency + (waiting if route.nodes[0] == "b" else 0.0)

        chosen = quickest(wishes(*keys, candidates=longer), {}, latency, lambda key: 0.0)
        return Counter(route.nodes for route in chosen.values())

    assert found(0.0) == found(900.0) == {("b", "d"): 10}
    assert found(1_600.0) == {("c", "d"): 10}


def test_within_a_leaf_there_is_nothing_to_choose() -> None:
    here = Route()
    assert quickest([Wish("x", (here,))], {"x": here}, lambda route: 0.0, lambda key: 0.0) == {"x": here}
