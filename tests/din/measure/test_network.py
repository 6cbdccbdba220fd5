# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
from din.measure.network import PROBES_TO_FAIL, TIME_CONSTANT, Network
from din.measure.state import LinkState
from hypothesis import given
from hypothesis import strategies as st

from .fabric import model, wiring

WIRING = wiring(model())
(THERE,) = (hop.key for hop in WIRING.between("hq", "spine"))
(BACK,) = (hop.key for hop in WIRING.between("spine", "hq"))
STALE = 3.0


def network() -> Network:
    return Network(WIRING.hops, STALE)


def test_of_what_nobody_said_anything_nothing_is_known() -> None:
    links = network().links(0.0)
    assert links.keys() == WIRING.by_port.keys()
    assert set(links.values()) == {LinkState(up=True, at=None, latency=None)}


def test_latency_follows_what_is_observed_and_is_forgotten() -> None:
    net = network()
    net.observe(THERE, 100.0, 10.0)
    assert net.links(10.0)[THERE] == LinkState(up=True, at=10.0, latency=100.0)
    net.observe(THERE, 900.0, 10.0 + TIME_CONSTANT * math.log(3))
    # A third of the first's weight is left: (100 / 3 + 900) / (1 / 3 + 1).
    assert net.links(12.0)[THERE].latency == pytest.approx(700.0)
    assert net.links(11.1 + STALE - 0.1)[THERE].latency == pytest.approx(700.0)
    stale = net.links(11.1 + STALE + 0.1)[THERE]
    assert stale.latency is None
    assert stale.at == pytest.approx(11.1, abs=0.01)  # so that people see since when
    assert net.links(12.0)[BACK].latency is None


@pytest.mark.parametrize("rate", [2, 10, 1000])
def test_it_follows_as_fast_however_many_packets_are_watched(rate: int) -> None:
    net = network()
    for n in range(5 * rate):
        net.observe(THERE, 0.0, n / rate)
    for n in range(2 * rate):
        net.observe(THERE, 1000.0, 5.0 + n / rate)
    assert net.links(7.0)[THERE].latency == pytest.approx(1000 * (1 - math.exp(-2)), abs=60)


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 0.5)), min_size=1))
def test_it_stays_within_what_was_observed(observations: list[tuple[float, float]]) -> None:
    net, at = network(), 100.0
    for value, gap in observations:
        at += gap
        net.observe(THERE, value, at)
    latency = net.links(at)[THERE].latency
    values = [value for value, _ in observations]
    assert latency is not None
    assert min(values) * (1 - 1e-9) <= latency <= max(values) * (1 + 1e-9)


def test_reports_out_of_order_count_and_turn_no_clock_back() -> None:
    net = network()
    net.observe(THERE, 100.0, 10.0)
    net.observe(THERE, 300.0, 9.9)
    assert net.links(10.0)[THERE] == LinkState(up=True, at=10.0, latency=200.0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_number_is_no_observation(value: float) -> None:
    net = network()
    net.observe(THERE, value, 10.0)
    assert net.links(10.0)[THERE] == LinkState()


def test_less_than_nothing_is_nothing() -> None:
    net = network()
    net.observe(THERE, -12.0, 10.0)
    assert net.links(10.0)[THERE].latency == 0.0


def test_what_is_no_hop_is_not_kept() -> None:
    net = network()
    net.observe(("hq", 400), 5.0, 10.0)
    assert ("hq", 400) not in net.links(10.0)


@pytest.mark.parametrize("end", [THERE, BACK])
def test_a_port_that_is_down_at_either_end_is_a_hop_down_both_ways(end: tuple[str, int]) -> None:
    net = network()
    for key in (THERE, BACK):
        net.observe(key, 100.0, 10.0)
    net.port_event(*end, False)
    links = net.links(10.0)
    assert [links[key] for key in (THERE, BACK)] == [LinkState(up=False)] * 2
    assert all(state.up for key, state in links.items() if key not in (THERE, BACK))
    net.port_event(*end, True)
    # What it was before says nothing about the queue now.
    assert net.links(10.1)[THERE] == LinkState()


def test_both_ends_have_to_come_up_again() -> None:
    net = network()
    for key in (THERE, BACK):
        net.port_event(*key, False)
    net.port_event(*THERE, True)
    assert not net.links(0.0)[THERE].up
    net.port_event(*BACK, True)
    assert net.links(0.0)[THERE].up


def test_probes_find_a_link_that_is_down_though_its_ports_are_up() -> None:
    net = network()
    for _ in range(PROBES_TO_FAIL - 1):
        net.link_probe(THERE, False)
    assert net.links(0.0)[THERE].up
    net.link_probe(THERE, True)
    for _ in range(PROBES_TO_FAIL):
        net.link_probe(THERE, False)
    assert not net.links(0.0)[THERE].up
    assert net.links(0.0)[BACK].up
    net.link_probe(THERE, True)
    assert net.links(0.0)[THERE].up


def test_ports_of_hosts_may_be_told_and_asked() -> None:
    net = network()
    assert net.up(("hq", 65))
    net.port_event("hq", 65, False)
    assert not net.up(("hq", 65))


def test_what_is_known_of_hops_that_stay_stays() -> None:
    net = network()
    net.observe(THERE, 100.0, 10.0)
    gone = WIRING.between("branch", "spine")[0].key
    net.observe(gone, 100.0, 10.0)
    net.set([hop for hop in WIRING.hops if hop.key != gone], STALE)
    links = net.links(10.0)
    assert links[THERE].latency == 100.0
    assert gone not in links
    net.set(WIRING.hops, STALE)
    assert net.links(10.0)[gone] == LinkState()
