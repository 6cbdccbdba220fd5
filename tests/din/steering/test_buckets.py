# SPDX-License-Identifier: Apache-2.0
"""The law of moves, held against a model of what switches and clients do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
from din.steering.buckets import BUCKETS, Bucket, counts, fresh, rebalance, shares_of
from hypothesis import given
from hypothesis import strategies as st

from tests.dataplane.leaf import Flow

LIFETIME = 100.0
NAMES = ("a", "b", "c", "d")
NOBODY: frozenset[str] = frozenset()

all_shares = st.dictionaries(st.sampled_from(NAMES), st.floats(0, 1), min_size=1).filter(
    lambda shares: sum(shares.values()) > 0.01
)


def currents(buckets: tuple[Bucket, ...]) -> Counter[str]:
    return Counter(bucket.current for bucket in buckets)


# ---- how many, and where -----------------------------------------------------------------------------------


@given(all_shares)
def test_counts_are_the_shares_to_less_than_one_bucket(shares: dict[str, float]) -> None:
    found = counts(shares)
    assert sum(found.values()) == BUCKETS
    total = sum(shares.values())
    for name, share in shares.items():
        assert abs(found.get(name, 0) - share / total * BUCKETS) < 1


def test_there_are_no_buckets_without_a_share() -> None:
    assert counts({}) == counts({"a": 0.0}) == {}
    assert fresh({}, "x") == ()


@given(all_shares, st.text(max_size=5))
def test_fresh_is_stable_and_has_the_counts(shares: dict[str, float], seed: str) -> None:
    found = fresh(shares, seed)
    assert currents(found) == counts(shares)
    assert all(bucket.stable and not bucket.drained for bucket in found)
    assert fresh(shares, seed) == found


def test_each_instance_has_its_share_exactly() -> None:
    found = Counter(bucket.current for bucket in fresh({"a": 0.5, "b": 0.25, "c": 0.25}, "leaf"))
    assert found == {"a": BUCKETS // 2, "b": BUCKETS // 4, "c": BUCKETS // 4}


@pytest.mark.parametrize("step", [1, 2])
def test_ports_taken_one_after_the_other_do_not_go_to_one_instance(step: int) -> None:
    """Hosts count their source ports up, Linux by two: the data plane's hash of them is linear."""
    for seed in ("leaf", "other", "third"):
        buckets = fresh({"a": 0.5, "b": 0.5}, seed)
        ports = range(40000, 40000 + 512 * step, step)
        chosen = [buckets[Flow(sport=port).bucket].current for port in ports]
        for start in range(0, len(chosen), 64):
            assert 16 <= chosen[start : start + 64].count("a") <= 48, seed


def test_leaves_differ() -> None:
    assert fresh({"a": 0.5, "b": 0.5, "c": 0.1}, "leaf1") != fresh({"a": 0.5, "b": 0.5, "c": 0.1}, "leaf2")


def test_shares_are_read_back() -> None:
    assert shares_of(fresh({"a": 3, "b": 1}, "x")) == {"a": 0.75, "b": 0.25}


# ---- rebalance ---------------------------------------------------------------------------------------------


@given(all_shares, st.lists(st.tuples(all_shares, st.floats(0, 80)), min_size=1, max_size=4))
def test_it_reaches_the_shares_by_the_least_number_of_changes(
    first: dict[str, float], later: list[tuple[dict[str, float], float]]
) -> None:
    buckets, now = fresh(first, "x"), 0.0
    for shares, pause in later:
        now += pause
        before, buckets = buckets, rebalance(buckets, shares, now, LIFETIME, NOBODY)
        wanted = counts(shares)
        assert currents(buckets) == wanted
        changed = sum(a.current != b.current for a, b in zip(before, buckets, strict=True))
        assert changed == sum(max(0, n - wanted.get(name, 0)) for name, n in currents(before).items())


def test_what_is_right_stays() -> None:
    buckets = fresh({"a": 0.6, "b": 0.4}, "x")
    moved = rebalance(buckets, {"a": 0.5, "b": 0.5}, 1.0, LIFETIME, NOBODY)
    assert rebalance(moved, {"a": 0.5, "b": 0.5}, 50.0, LIFETIME, NOBODY) == moved
    assert sum(not bucket.stable for bucket in moved) == counts({"a": 0.6, "b": 0.4})["a"] - 512


def test_a_move_ends_after_the_lifetime() -> None:
    moved = rebalance(fresh({"a": 1}, "x"), {"b": 1}, 10.0, LIFETIME, NOBODY)
    assert all(bucket == Bucket("b", "a", False, 10.0) for bucket in moved)
    late = rebalance(moved, {"c": 1}, 109.9, LIFETIME, NOBODY, None)
    assert {bucket.previous for bucket in late} == {"a"}
    assert set(rebalance(late, {"c": 1}, 110.0, LIFETIME, NOBODY, None)) == {Bucket("c", "c")}


def test_a_move_that_is_given_up_is_stable_again() -> None:
    buckets = fresh({"a": 0.5, "b": 0.5}, "x")
    moved = rebalance(buckets, {"a": 0.2, "b": 0.5, "c": 0.3}, 1.0, LIFETIME, NOBODY)
    assert rebalance(moved, {"a": 0.5, "b": 0.5}, 2.0, LIFETIME, NOBODY) == buckets


def test_udp_leaves_after_a_while_but_not_what_is_hashed_by_address() -> None:
    moved = rebalance(fresh({"a": 1}, "x"), {"b": 1}, 0.0, LIFETIME, NOBODY, 30.0)
    assert not any(bucket.drained for bucket in rebalance(moved, {"b": 1}, 29.0, LIFETIME, NOBODY, 30.0))
    assert all(bucket.drained for bucket in rebalance(moved, {"b": 1}, 30.0, LIFETIME, NOBODY, 30.0))
    assert not any(bucket.drained for bucket in rebalance(moved, {"b": 1}, 99.0, LIFETIME, NOBODY, None))


def test_the_dead_are_left_at_once() -> None:
    buckets = fresh({"a": 0.5, "b": 0.5}, "x")
    found = rebalance(buckets, {"a": 0.5, "b": 0.5}, 1.0, LIFETIME, frozenset({"b"}))
    assert set(found) == {Bucket("a", "a")}


def test_a_dead_previous_ends_the_move() -> None:
    moved = rebalance(fresh({"a": 1}, "x"), {"b": 1}, 1.0, LIFETIME, NOBODY)
    assert set(rebalance(moved, {"b": 1}, 2.0, LIFETIME, frozenset({"a"}))) == {Bucket("b", "b")}


def test_a_dead_current_leaves_older_connections_where_they_are() -> None:
    moved = rebalance(fresh({"a": 1}, "x"), {"b": 1}, 1.0, LIFETIME, NOBODY)
    found = rebalance(moved, {"c": 1}, 2.0, LIFETIME, frozenset({"b"}))
    assert set(found) == {Bucket("c", "a", False, 1.0)}


@pytest.mark.parametrize("dead", [frozenset({"a"}), frozenset({"a", "b"})])
def test_without_anybody_to_go_to_nothing_moves(dead: frozenset[str]) -> None:
    buckets = fresh({"a": 1}, "x")
    assert rebalance(buckets, {"a": 0.0, "b": 0.0}, 1.0, LIFETIME, NOBODY) == buckets
    assert rebalance(buckets, {}, 1.0, LIFETIME, dead) == buckets


# ---- the law -----------------------------------------------------------------------------------------------


@dataclass
class Connection:
    bucket: int
    instance: str
    ends: float
    remembered: bool
    lost: bool = False  # its instance died


class Switch:
    """steering.p4 and affinity.p4 for a few buckets, with as many cells as there are connections."""

    def __init__(self, buckets: tuple[Bucket, ...]) -> None:
        self.buckets = buckets
        self.connections: list[Connection] = []

    def open(self, bucket: int, ends: float) -> None:
        held = self.buckets[bucket]
        self.connections.append(Connection(bucket, held.current, ends, not held.stable))

    def packet(self, connection: Connection, dead: frozenset[str]) -> str:
        held = self.buckets[connection.bucket]
        if connection.remembered and connection.instance not in dead:
            if held.stable and held.current == connection.instance:
                connection.remembered = False  # the cell says nothing that the bucket does not
            return connection.instance
        return held.previous


steps = st.lists(
    st.tuples(
        all_shares,
        st.floats(0.1, LIFETIME * 0.7),  # until the next step
        st.sets(st.sampled_from(NAMES), max_size=2),  # the dead
        st.lists(
            st.tuples(st.integers(0, 15), st.floats(0, LIFETIME)), max_size=8
        ),  # connections: bucket, how long
    ),
    min_size=1,
    max_size=14,
)


@given(all_shares, steps)
def test_no_connection_to_a_living_instance_is_sent_elsewhere(
    first: dict[str, float],
    sequence: list[tuple[dict[str, float], float, set[str], list[tuple[int, float]]]],
) -> None:
    switch, now = Switch(fresh(first, "x")[:16]), 0.0
    for shares, pause, dying, opened in sequence:
        dead = frozenset(dying)
        for connection in switch.connections:
            connection.lost |= connection.instance in dead
        switch.buckets = rebalance(switch.buckets, shares, now, LIFETIME, dead)
        for held in switch.buckets:
            assert held.stable or held.previous != held.current
            assert not (held.stable and held.drained)
            assert held.current not in dead or not any(
                share > 0 and n not in dead for n, share in shares.items()
            )
        for bucket, length in opened:
            switch.open(bucket, now + length)
        switch.connections = [each for each in switch.connections if each.ends > now and not each.lost]
        for connection in switch.connections:
            if connection.instance not in dead:
                assert switch.packet(connection, dead) == connection.instance
        now += pause
        switch.connections = [each for each in switch.connections if each.ends > now]
        for connection in switch.connections:
            if connection.instance not in dead:
                assert switch.packet(connection, dead) == connection.instance
