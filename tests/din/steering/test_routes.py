# SPDX-License-Identifier: Apache-2.0
"""Routes are the shortest that bounds permit: held against trying them all."""

from __future__ import annotations

import itertools
from random import Random

from din.model.network import Model
from din.model.wiring import Wiring
from din.steering.bounds import RouteBounds
from din.steering.routes import CANDIDATES, MAX_NODES, Routes, routes_of
from hypothesis import given
from hypothesis import strategies as st

from tests.din.steering.build import link, model


def random_network(seed: int) -> Model:
    random = Random(seed)
    names = [f"n{k}" for k in range(random.randrange(2, 8))]
    zones: dict[str, list[str]] = {"x": [names[0]], "y": [names[1]]}
    for name in names[2:]:
        zones[random.choice("xy")].append(name)
    links = [
        link(
            *random.sample(names, 2),
            f"{random.randrange(4)}ms",
            cost=random.choice([1, 2]),
            encrypted=random.random() < 0.6,
            mtu=random.choice(["9000B", "1500B", "1300B"]),
        )
        for _ in range(random.randrange(1, 14))
    ]
    return model(zones, links)


def every_route(
    of: Model, src: str, dst: str, bounds: RouteBounds
) -> list[tuple[int, float, tuple[str, ...]]]:
    """(delay, cost, nodes), by trying."""
    wiring = Wiring(of)
    found = []

    def go(nodes: tuple[str, ...], delay: int, cost: float) -> None:
        if not bounds.permits(of.zone_of(nodes[-1])):
            return
        if nodes[-1] == dst:
            found.append((delay, cost, nodes))
            return
        if len(nodes) > MAX_NODES:
            return
        for name in of.switch:
            links = wiring.between(nodes[-1], name)
            least = min((hop.link.delay for hop in links), default=0)
            carry = sorted(
                ((hop.mtu, hop.src_port, hop) for hop in links if hop.link.delay == least),
                key=lambda e: e[:2],
            )
            encrypted = all(hop.link.encrypted for hop in links)
            if name in nodes or not links or carry[0][0] < 1364 or (bounds.encrypted and not encrypted):
                continue
            go((*nodes, name), delay + least, cost + carry[0][2].link.cost)

    go((src,), 0, 0.0)
    return sorted(found)


@given(
    st.integers(0, 100_000),
    st.booleans(),
    st.sampled_from([None, frozenset("x"), frozenset("xy"), frozenset()]),
)
def test_candidates_are_the_best_of_all(seed: int, encrypted: bool, zones: frozenset[str] | None) -> None:
    of = random_network(seed)
    routes = Routes(Wiring(of))
    bounds = RouteBounds(zones, encrypted)
    for src in of.switch:
        for dst in of.switch:
            expected = every_route(of, src, dst, bounds)[:CANDIDATES]
            found = [
                (route.base_latency, route.cost, (src, *route.nodes))
                for route in routes.candidates(src, dst, bounds)
            ]
            assert found == expected
            if not expected:
                obstacle = routes.obstacle(src, dst, bounds)
                assert obstacle.detail
                assert obstacle.constraint in {"zone", "encryption", "mtu", "route", "segments"}


def test_a_chain_that_is_too_long_is_refused() -> None:
    names = [f"n{k}" for k in range(8)]
    routes = Routes(Wiring(model({"z": names}, [link(a, b) for a, b in itertools.pairwise(names)])))
    assert len(routes.candidates("n0", "n5")) == 1
    assert not routes.candidates("n0", "n6")
    assert routes.obstacle("n0", "n6", RouteBounds()).constraint == "segments"


def test_a_longer_way_is_taken_where_the_shortest_has_too_many_nodes() -> None:
    names = [f"n{k}" for k in range(7)]
    links = [link(a, b) for a, b in itertools.pairwise(names)]
    routes = Routes(Wiring(model({"z": names}, [*links, link("n0", "n6", "50ms")])))
    assert [route.nodes for route in routes.candidates("n0", "n6")] == [("n6",)]


def test_links_that_are_down_are_not_used_whichever_end_says_so() -> None:
    wiring = Wiring(model({"z": ["a", "b", "c"]}, [link("a", "b"), link("a", "c"), link("c", "b")]))
    for key in (("a", 1), ("b", 1)):
        assert [route.nodes for route in Routes(wiring, frozenset({key})).candidates("a", "b")] == [
            ("c", "b")
        ]
    nothing = Routes(wiring, frozenset({("b", 1), ("b", 2)}))
    assert nothing.obstacle("a", "b", RouteBounds()).constraint == "route"


def test_of_parallel_links_one_that_is_not_encrypted_spoils_the_step() -> None:
    # A SID names a node: the data plane chooses the link.
    wiring = Wiring(model({"z": ["a", "b"]}, [link("a", "b", encrypted=True), link("a", "b", "9ms")]))
    assert Routes(wiring).candidates("a", "b")
    assert not Routes(wiring).candidates("a", "b", RouteBounds(None, True))
    # Nor while that one is down: it may come up first and be known later.
    assert not Routes(wiring, frozenset({("a", 2)})).candidates("a", "b", RouteBounds(None, True))


def test_of_parallel_links_the_narrowest_that_carries_counts() -> None:
    wiring = Wiring(model({"z": ["a", "b"]}, [link("a", "b"), link("a", "b", mtu="1500B")]))
    assert Routes(wiring).candidates("a", "b")[0].mtu == 1500


def test_what_to_blame() -> None:
    links = [link("a", "b"), link("b", "c"), link("a", "d", mtu="1300B")]
    routes = Routes(Wiring(model({"in": ["a", "c", "d"], "out": ["b"]}, links)))
    inside = RouteBounds(frozenset({"in"}))
    assert routes.obstacle("a", "c", inside).constraint == "zone"
    assert routes.obstacle("a", "b", inside).constraint == "zone"
    assert routes.obstacle("a", "c", RouteBounds(None, True)).constraint == "encryption"
    assert routes.obstacle("a", "d", RouteBounds()).constraint == "mtu"


def test_routes_are_remembered_for_a_topology_and_its_links() -> None:
    wiring = Wiring(model({"z": ["a", "b"]}, [link("a", "b")]))
    up = routes_of(wiring, frozenset())
    assert routes_of(wiring, frozenset()) is up
    assert routes_of(wiring, frozenset({("a", 1)})) is not up
    assert routes_of(Wiring(wiring.model), frozenset()) is not up
