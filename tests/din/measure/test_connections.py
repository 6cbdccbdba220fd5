# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import time

from din.measure.connections import EVENTS, ConnectionCounts, Event, Round, in_flight, index
from din.measure.health import Health
from hypothesis import given
from hypothesis import strategies as st

LEAVES = {7: "hq", 8: "metro"}


class Fabric:
    """Leaves that count as p4src/v1model/connections.p4 says, and are read."""

    def __init__(self) -> None:
        self.cells: dict[str, dict[int, int]] = {"branch": {}, "hq": {}, "metro": {}}
        self.counts = ConnectionCounts()

    def event(self, leaf: str, instance: int, event: Event, packets: int = 1) -> None:
        cells = self.cells[leaf]
        cells[index(instance, event)] = cells.get(index(instance, event), 0) + packets

    def opens(self, client: str, instance: int) -> None:
        self.event(client, instance, Event.SYN)
        self.event(LEAVES[instance], instance, Event.SYN_ACK)

    def ends(self, client: str, instance: int, how: str) -> None:
        for letter in how:
            match letter:
                case "f":
                    self.event(client, instance, Event.CLIENT_FIN)
                case "r":
                    self.event(client, instance, Event.CLIENT_RST)
                case "F":
                    self.event(LEAVES[instance], instance, Event.INSTANCE_FIN)
                case "R":
                    self.event(LEAVES[instance], instance, Event.INSTANCE_RST)

    def read(self, at: float, *leaves: str) -> Round:
        for leaf in leaves or self.cells:
            self.counts.observe(leaf, dict(self.cells[leaf]), at)
        return self.counts.round(LEAVES, at)


def test_indices() -> None:
    assert index(7, Event.SYN_ACK) == 57
    assert len({index(i, event) for i in range(10) for event in Event}) == 60
    assert max(Event) < EVENTS


def test_what_was_there_before_us_counts_but_has_no_rate() -> None:
    fabric = Fabric()
    for _ in range(5):
        fabric.opens("branch", 7)
    fabric.ends("branch", 7, "fF")
    now = fabric.read(10.0)
    assert now.connections[7].in_flight == 4
    assert now.connections[7].opened_per_second == 0
    assert now.arrivals == {}
    assert now.evidence == {}
    assert now.connections[8].in_flight == 0


def test_rates_and_arrivals() -> None:
    fabric = Fabric()
    fabric.read(10.0)
    for _ in range(10):
        fabric.opens("branch", 7)
    for _ in range(4):
        fabric.opens("metro", 7)
    fabric.event("branch", 8, Event.SYN, 6)
    now = fabric.read(12.0)
    assert now.connections[7].opened_per_second == 7.0
    assert now.connections[7].unanswered == 0
    assert now.connections[8].unanswered == 6
    assert now.arrivals == {("branch", 7): 5.0, ("metro", 7): 2.0, ("branch", 8): 3.0}
    assert now.evidence == {7: (14, 14), 8: (6, 0)}
    assert fabric.read(12.5).connections[8].unanswered == 0
    assert fabric.counts.round(LEAVES, 12.6).evidence == {}


def test_readings_may_be_more_often_than_rounds() -> None:
    fabric = Fabric()
    fabric.read(0.0)
    for at in range(1, 5):
        for _ in range(10):
            fabric.opens("branch", 7)
        for leaf, cells in fabric.cells.items():
            fabric.counts.observe(leaf, dict(cells), float(at))
    now = fabric.counts.round(LEAVES, 4.0)
    assert now.connections[7].opened_per_second == 10.0
    assert now.arrivals == {("branch", 7): 10.0}


ENDS = ["fF", "Ff", "r", "R", "fR", "Fr", "fr", "rr"]


@given(st.lists(st.sampled_from([*ENDS, ""]), max_size=30))
def test_the_truth_lies_within_the_bounds(ends: list[str]) -> None:
    fabric = Fabric()
    fabric.read(0.0)
    for how in ends:
        fabric.opens("branch", 7)
        fabric.ends("branch", 7, how)
    found = fabric.read(1.0).connections[7]
    really = ends.count("")
    assert found.at_most is not None
    assert found.in_flight <= really <= found.at_most


@given(st.lists(st.sampled_from(["fF", "Ff", "r", "R", "fR", ""]), max_size=30))
def test_it_is_exact_where_no_packet_is_one_too_many_and_only_one_side_fins_alone(ends: list[str]) -> None:
    fabric = Fabric()
    fabric.read(0.0)
    for how in ends:
        fabric.opens("branch", 7)
        fabric.ends("branch", 7, how)
    # A FIN that a RST answers makes the two ends' FINs differ: that RST ended nothing more.
    assert fabric.read(1.0).connections[7].in_flight == ends.count("")


def test_packets_sent_again_show_below_0_and_move_the_origin() -> None:
    fabric = Fabric()
    fabric.read(0.0)
    fabric.opens("branch", 7)
    fabric.ends("branch", 7, "fF")
    fabric.event("branch", 7, Event.CLIENT_FIN, 2)
    assert fabric.read(1.0).connections[7].in_flight == 0
    fabric.opens("branch", 7)
    assert fabric.read(2.0).connections[7].in_flight == 1


@given(st.dictionaries(st.sampled_from(list(Event)), st.integers(0, 1000)))
def test_at_least_is_never_more_than_at_most(some: dict[Event, int]) -> None:
    most, least = in_flight(dict.fromkeys(Event, 0) | some)
    assert least <= most


# ---- switches come and go ----------------------------------------------------------------------------------


def test_a_switch_that_restarted_loses_nothing_that_was_read() -> None:
    fabric = Fabric()
    fabric.read(0.0)
    for _ in range(8):
        fabric.opens("branch", 7)
    assert fabric.read(1.0).connections[7].in_flight == 8
    fabric.cells["hq"] = {}
    fabric.opens("branch", 7)
    fabric.ends("branch", 7, "fF")
    now = fabric.read(2.0)
    assert now.connections[7].in_flight == 8
    assert now.connections[7].opened_per_second == 1.0
    assert now.evidence[7] == (9, 9)


def test_a_restart_that_its_counters_hide_may_be_told() -> None:
    fabric = Fabric()
    fabric.read(0.0)
    fabric.opens("branch", 7)
    assert fabric.read(1.0).connections[7].in_flight == 1
    fabric.cells["hq"] = {}
    fabric.counts.restarted("hq")
    for _ in range(2):
        fabric.opens("branch", 7)
    assert fabric.read(2.0).connections[7].in_flight == 3


def test_while_an_instances_leaf_cannot_be_read_nobody_speaks_of_silence() -> None:
    fabric = Fabric()
    fabric.read(0.0)
    for _ in range(10):
        fabric.opens("branch", 7)
        fabric.opens("branch", 8)
    now = fabric.read(0.5, "branch", "metro")
    assert now.evidence == {8: (10, 10)}
    # What it answered meanwhile is caught up with, over the time that it took.
    now = fabric.read(1.0)
    assert now.evidence[7] == (10, 10)
    assert now.connections[7].in_flight == 10
    assert now.connections[7].opened_per_second == 10.0


def test_syns_of_a_leaf_that_could_not_be_read_accuse_nobody() -> None:
    """They were answered, and those answers were counted then."""
    fabric = Fabric()
    fabric.read(0.0)
    health = Health(alive=True)
    for beat in range(1, 20):
        if beat < 10:
            fabric.opens("branch", 7)
        now = fabric.read(beat / 2, "hq", "metro", *(["branch"] if beat >= 10 else []))
        health = health.counted(*now.evidence[7], beat / 2)
        assert health.alive, health.reason
    # From then on they do again.
    fabric.event("branch", 7, Event.SYN, 5)
    for beat in range(20, 24):
        health = health.counted(*fabric.read(beat / 2).evidence[7], beat / 2)
    assert health.alive is False


def test_a_switch_that_is_no_more_takes_nothing_with_it() -> None:
    fabric = Fabric()
    fabric.read(0.0)
    fabric.opens("branch", 7)
    fabric.read(1.0)
    fabric.counts.forget(["hq", "metro"])
    assert fabric.counts.round(LEAVES, 2.0).connections[7].in_flight == 1
    fabric.counts.restarted("branch")


def test_cells_that_are_no_events_and_instances_that_are_not_ours_are_passed_over() -> None:
    counts = ConnectionCounts()
    counts.observe("hq", {}, 0.0)
    counts.observe("hq", {7 * EVENTS + 6: 3, 7 * EVENTS + 7: 4, index(99, Event.SYN): 5}, 1.0)
    now = counts.round(LEAVES, 1.0)
    assert now.connections[7].in_flight == 0
    assert now.arrivals == {}
    assert 99 not in now.connections


@given(
    st.lists(
        st.tuples(st.sampled_from(["branch", "hq"]), st.sampled_from(["count", "restart", "read"])),
        max_size=40,
    )
)
def test_nothing_is_counted_twice_or_lost_however_switches_restart(
    steps: list[tuple[str, str]],
) -> None:
    """As long as a switch is read before it restarts; told of a restart that its counters could hide."""
    counts = ConnectionCounts()
    cells = {"branch": 0, "hq": 0}
    unread = {"branch": 0, "hq": 0}
    total = 0
    for at, (leaf, step) in enumerate(steps):
        if step == "count":
            cells[leaf] += 1
            unread[leaf] += 1
        elif step == "restart":
            cells[leaf], unread[leaf] = 0, 0
            counts.restarted(leaf)
        else:
            counts.observe(leaf, {index(7, Event.SYN_ACK): cells[leaf]} if cells[leaf] else {}, float(at))
            total += unread[leaf]
            unread[leaf] = 0
    assert counts.round({7: "hq"}, 99.0).connections[7].in_flight == total


def test_two_rounds_a_second_cost_little() -> None:
    """4096 instances' cells from each of ten leaves: a reading is milliseconds, not a second."""
    counts = ConnectionCounts()
    start = time.process_time()
    for at in range(2):
        for leaf in range(10):
            counts.observe(f"leaf-{leaf}", dict.fromkeys(range(0, 4096 * EVENTS, 40), at + 1), float(at))
    counts.round(dict.fromkeys(range(100), "leaf-0"), 2.0)
    assert time.process_time() - start < 0.5


def test_an_instance_that_leaves_the_model_and_comes_back_changes_nothing_of_the_others() -> None:
    counts = ConnectionCounts()
    counts.keep(LEAVES)
    branch = {index(7, Event.SYN): 10, index(8, Event.SYN): 5}
    hq = {index(7, Event.SYN_ACK): 10}
    metro = {index(8, Event.SYN_ACK): 5}
    for at in (1.0, 2.0):
        counts.observe("branch", branch, at)
        counts.observe("hq", hq, at)
        counts.observe("metro", metro, at)
        # SYNs of before the first reading accuse nobody.
        assert counts.round(LEAVES, at).evidence == {7: (0, 10), 8: (0, 5)} or at == 1.0
    left = {7: "hq"}
    counts.keep(left)
    counts.observe("branch", {index(7, Event.SYN): 10}, 3.0)
    counts.observe("hq", hq, 3.0)
    counts.observe("metro", {}, 3.0)
    found = counts.round(left, 3.0)
    assert found.evidence == {7: (0, 10)}
    assert not any(found.arrivals.values())
    counts.keep(LEAVES)
    counts.observe("branch", branch, 4.0)
    counts.observe("hq", hq, 4.0)
    counts.observe("metro", metro, 4.0)
    found = counts.round(LEAVES, 4.0)
    assert found.evidence == {7: (0, 10), 8: (0, 5)}
    assert not any(found.arrivals.values())
    assert found.connections[8].in_flight == 5
    assert found.connections[8].opened_per_second == 0.0
