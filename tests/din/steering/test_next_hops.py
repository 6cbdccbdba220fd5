# SPDX-License-Identifier: Apache-2.0
"""SIDs are reached, and detours lead round a failed link without ever coming back."""

from __future__ import annotations

from random import Random
from typing import Any

from din.model.network import Model
from din.model.wiring import Hop, Wiring
from din.steering.next_hops import MAX_DETOURS, NextHops
from hypothesis import given
from hypothesis import strategies as st

from tests.din.steering.build import link, model


def random_network(seed: int, nodes: int, links: int, longest: int = 5) -> Model:
    random = Random(seed)
    names = [f"n{k}" for k in range(nodes)]
    pairs = [(names[k], names[random.randrange(k)]) for k in range(1, nodes)]
    pairs += [tuple(random.sample(names, 2)) for _ in range(links)]  # type: ignore[misc]
    return model(
        {"z": names},
        [
            link(a, b, f"{random.randrange(longest)}ms") if random.random() < 0.9 else link(a, b, "0us")
            for a, b in pairs
        ],
    )


networks = st.builds(random_network, st.integers(0, 10_000), st.integers(2, 7), st.integers(0, 6))


def all_ways(hops: NextHops, src: str, dst: str, limit: int) -> list[list[Hop]]:
    """Every way that forwarding may take; one that is as long as the limit is a loop."""
    if src == dst:
        return [[]]
    assert limit > 0, "a loop"
    found = hops.to(src, dst)
    return (
        [[hop, *rest] for hop in found for rest in all_ways(hops, hop.dst, dst, limit - 1)] if found else []
    )


@given(networks)
def test_every_node_is_reached_without_a_loop(of: Model) -> None:
    hops = NextHops(Wiring(of))
    for src in of.switch:
        for dst in of.switch:
            assert all_ways(hops, src, dst, len(of.switches))


@given(networks)
def test_detours_reach_the_far_end_and_never_come_back(of: Model) -> None:
    wiring = Wiring(of)
    hops = NextHops(wiring)
    for failed in wiring.hops:
        detours = hops.protection(failed.src, failed.src_port)
        assert len(detours) <= MAX_DETOURS
        assert len(set(detours)) == len(detours)
        for detour in detours:
            assert detour.src == failed.src
            assert detour.key != failed.key
            ways = all_ways(hops, detour.dst, failed.dst, len(of.switches))
            assert ways
            assert all(hop.src != failed.src for way in ways for hop in way)


@given(networks)
def test_there_is_a_detour_whenever_there_is_a_loop_free_alternate(of: Model) -> None:
    """RFC 5286, inequality 1, with distances computed by Floyd and Warshall."""
    wiring = Wiring(of)
    hops = NextHops(wiring)
    far = (10**9, 0)
    distance = {(a, b): (0, 0) if a == b else far for a in of.switch for b in of.switch}
    for hop in wiring.hops:
        distance[hop.src, hop.dst] = min(distance[hop.src, hop.dst], (hop.link.delay, 1))
    for k in of.switch:
        for a in of.switch:
            for b in of.switch:
                through = (distance[a, k][0] + distance[k, b][0], distance[a, k][1] + distance[k, b][1])
                distance[a, b] = min(distance[a, b], through)
    for failed in wiring.hops:
        s, x = failed.src, failed.dst
        found = {hop.key for hop in hops.protection(s, failed.src_port)}
        expected = set()
        for other in wiring.hops_of(s):
            n = other.dst
            round_ = (distance[n, s][0] + distance[s, x][0], distance[n, s][1] + distance[s, x][1])
            if other.key != failed.key and distance[n, x] < round_:
                expected.add(other.key)
        assert expected <= found or len(found) == MAX_DETOURS


def test_a_neighbour_is_reached_by_the_link_to_it() -> None:
    hops = NextHops(
        Wiring(model({"z": ["a", "b", "c"]}, [link("a", "b", "9ms"), link("a", "c"), link("c", "b")]))
    )
    assert [hop.dst for hop in hops.to("a", "b")] == ["b"]


def test_equally_short_ways_share_and_parallel_links_too() -> None:
    square = [link("a", "b"), link("a", "c"), link("b", "d"), link("c", "d")]
    hops = NextHops(
        Wiring(model({"z": ["a", "b", "c", "d"]}, [*square, link("a", "b"), link("a", "b", "2ms")]))
    )
    assert [(hop.dst, hop.src_port) for hop in hops.to("a", "d")] == [("b", 1), ("c", 2), ("b", 3)]
    # The slower one is there for protection.
    assert [hop.src_port for hop in hops.to("a", "b")] == [1, 3]
    assert [hop.src_port for hop in hops.protection("a", 1)][:2] == [3, 4]


def test_a_link_that_is_down_is_used_by_nobody() -> None:
    of = model({"z": ["a", "b", "c"]}, [link("a", "b"), link("a", "c"), link("c", "b")])
    hops = NextHops(Wiring(of), frozenset({("b", 1)}))
    assert [hop.dst for hop in hops.to("a", "b")] == ["c"]
    assert [hop.dst for hop in hops.to("c", "b")] == ["b"]


def test_detours_stay_in_the_zones_of_the_ends_if_they_can() -> None:
    links = [link("a", "b"), link("a", "out"), link("out", "b"), link("a", "c", "9ms"), link("c", "b", "9ms")]
    hops = NextHops(Wiring(model({"in": ["a", "b", "c"], "abroad": ["out"]}, links)))
    assert [hop.dst for hop in hops.protection("a", 1)] == ["c", "out"]


def test_an_encrypted_link_is_replaced_by_encrypted_ones_if_anything_asks_for_that() -> None:
    links = [link("a", "b", encrypted=True), link("a", "c"), link("c", "b")]
    zones = {"z": ["a", "b", "c"]}
    assert NextHops(Wiring(model(zones, links))).protection("a", 1)
    secret: dict[str, Any] = {"labels": [{"name": "secret", "zones": ["z"], "encrypted": True}]}
    assert not NextHops(Wiring(model(zones, links, **secret))).protection("a", 1)


def test_a_detour_that_carries_as_much_comes_first() -> None:
    links = [
        link("a", "b"),
        link("a", "c", mtu="1500B"),
        link("c", "b"),
        link("a", "d", "9ms"),
        link("d", "b", "9ms"),
    ]
    hops = NextHops(Wiring(model({"z": ["a", "b", "c", "d"]}, links)))
    assert [hop.dst for hop in hops.protection("a", 1)] == ["d", "c"]
