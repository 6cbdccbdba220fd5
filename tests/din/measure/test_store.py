# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import logging

import pytest
from din.measure import targets
from din.measure.connections import Event, index
from din.measure.health import PROBE_INTERVAL, Outcome
from din.measure.scrape import Target
from din.measure.state import InstanceState, LinkState, Load, Measured
from din.measure.store import Measurements
from din.model.wiring import Wiring

from tests.din.model.edits import model as edited

from .fabric import ids, model, wiring

MODEL = model()
IDS = ids(MODEL)
WIRING = wiring(MODEL)
NUMBER = {name: IDS.of("instance", name) for name in MODEL.instance}


class Changes(list[str]):
    def __call__(self, name: str) -> None:
        self.append(name)


def measurements() -> tuple[Measurements, Changes]:
    result, changes = Measurements(MODEL, IDS, WIRING), Changes()
    result.on_health = changes
    return result, changes


def test_nothing_is_known_at_first() -> None:
    here, _ = measurements()
    now = here.measured(5.0)
    assert now.at == 5.0
    assert dict(now.instances) == dict.fromkeys(["hq-0", "hq-1", "branch-0"], InstanceState())
    assert dict(now.links) == dict.fromkeys(WIRING.by_port, LinkState())
    assert dict(now.arrivals) == {}


def test_a_snapshot_never_changes() -> None:
    here, _ = measurements()
    before = here.measured(1.0)
    here.load("hq-0", Load(at=2.0, running=1.0))
    here.probed("hq-0", Outcome.OK, "HTTP 200", 2.0)
    here.network.observe(WIRING.hops[0].key, 5.0, 2.0)
    assert before.instances["hq-0"] == InstanceState()
    assert before.links[WIRING.hops[0].key] == LinkState()
    with pytest.raises(TypeError):
        before.instances["hq-0"] = InstanceState()  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        before.at = 3.0  # type: ignore[misc]


def test_loads_and_probes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    here, changes = measurements()
    here.load("hq-0", Load(at=2.0, running=1.0))
    here.probed("hq-0", Outcome.OK, "HTTP 200", 2.0)
    assert here.measured(2.0).instance("hq-0") == InstanceState(True, "", Load(at=2.0, running=1.0))
    for at in (2.4, 2.8, 3.2):
        here.probed("hq-0", Outcome.FAILED, "connection refused", at)
    assert here.measured(3.0).instance("hq-0").alive is False
    assert "connection refused" in here.measured(3.0).instance("hq-0").reason
    assert changes == ["hq-0", "hq-0"]
    assert caplog.messages == [
        "hq-0 is alive",
        "hq-0 is dead: /health: connection refused, 2 times in a row",
    ]


def fail(here: Measurements, names: tuple[str, ...], beats: int, start: float = 10.0) -> None:
    """Probes of these reach nobody, as a Prober spreads them."""
    for beat in range(beats):
        for place, name in enumerate(NUMBER):
            at = start + (beat + place / len(NUMBER)) * PROBE_INTERVAL
            if name in names:
                here.probed(name, Outcome.UNREACHED, "no answer in 0.35 s", at)
            else:
                here.probed(name, Outcome.OK, "HTTP 200", at)


def alive(here: Measurements) -> list[bool | None]:
    return [here.measured(0.0).instance(name).alive for name in NUMBER]


@pytest.mark.parametrize("known", [True, None])
def test_when_no_probe_reaches_anybody_the_last_state_stands(
    known: bool | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Also of a controller that has just started."""
    caplog.set_level(logging.INFO)
    here, changes = measurements()
    if known:
        fail(here, (), 1, start=9.0)
    changes.clear()
    caplog.clear()
    fail(here, tuple(NUMBER), 20)
    assert alive(here) == [known] * 3
    assert changes == []
    state = here.measured(0.0).instance("hq-1")
    assert not state.watched
    assert "not reached over the management network" in state.reason
    assert sorted(caplog.messages) == [f"{name}: {state.reason}" for name in sorted(NUMBER)]
    # Connection attempts tell who dies meanwhile.
    syn, ack = index(NUMBER["hq-1"], Event.SYN), index(NUMBER["hq-0"], Event.SYN_ACK)
    for beat in range(5):
        here.counters("branch", {syn: 5 * beat}, 20.0 + beat / 2)
        here.counters("hq", {ack: 5 * beat}, 20.0 + beat / 2)
        here.read(20.0 + beat / 2)
    assert changes == ["hq-1"]
    assert "none answered" in here.measured(0.0).instance("hq-1").reason
    caplog.clear()
    fail(here, (), 2, start=40.0)
    assert alive(here) == [True] * 3
    state = here.measured(0.0).instance("hq-1")
    assert (state.watched, state.reason) == (True, "")
    assert "hq-0 is reached over the management network again" in caplog.messages


def test_who_is_not_reached_while_others_are_is_dead() -> None:
    here, _ = measurements()
    fail(here, (), 1, start=9.0)
    fail(here, ("hq-0", "branch-0"), 3)
    assert alive(here) == [False, True, False]
    # The last one too, since it is not at once.
    fail(here, tuple(NUMBER), 3, start=20.0)
    assert alive(here) == [False] * 3


def test_who_was_dead_before_does_not_count() -> None:
    here, _ = measurements()
    fail(here, (), 1, start=9.0)
    here.port_event("hq", WIRING.host_ports["hq-0-host"], False)
    for at in (9.6, 9.7):
        here.probed("hq-1", Outcome.FAILED, "connection refused", at)
    fail(here, tuple(NUMBER), 3)
    assert alive(here) == [False] * 3


def test_connections_and_arrivals_by_name() -> None:
    here, changes = measurements()
    syn0, syn1 = index(NUMBER["hq-0"], Event.SYN), index(NUMBER["hq-1"], Event.SYN)
    ack0 = index(NUMBER["hq-0"], Event.SYN_ACK)
    for at, n in ((0.0, 0), (0.5, 1), (1.0, 2), (1.5, 3), (2.0, 4)):
        here.counters("branch", {syn0: 5 * n, syn1: 3 * n}, at)
        here.counters("hq", {ack0: 5 * n}, at)
        here.read(at)
    now = here.measured(2.0)
    chat = now.instance("hq-0").connections
    assert chat is not None
    assert (chat.at, chat.in_flight, chat.opened_per_second, chat.unanswered) == (2.0, 20, 10.0, 0)
    assert now.arrivals == {("branch", "chat"): 16.0}
    silent = now.instance("hq-1")
    assert silent.alive is False
    assert "none answered" in silent.reason
    assert changes == ["hq-1"]
    assert now.instance("hq-0").alive is None


def test_instances_live_and_die_with_the_port_of_their_host() -> None:
    here, changes = measurements()
    for name in MODEL.instance:
        here.probed(name, Outcome.OK, "HTTP 200", 1.0)
    changes.clear()
    port = WIRING.host_ports["hq-0-host"]
    here.port_event("hq", port, False)
    here.port_event("hq", port, False)
    state = here.measured(1.0).instance("hq-0")
    assert (state.alive, state.reason) == (False, f"port {port} of hq, where its host is, is down")
    assert here.measured(1.0).instance("hq-1").alive is True
    here.port_event("hq", port, True)
    assert here.measured(1.0).instance("hq-0").alive is True
    assert changes == ["hq-0", "hq-0"]


def test_ports_between_switches_are_links() -> None:
    here, changes = measurements()
    (hop,) = WIRING.between("hq", "spine")
    here.port_event("spine", hop.dst_port, False)
    assert here.measured(1.0).link(hop.key) == LinkState(up=False)
    assert changes == []


def test_a_new_model_keeps_what_is_known_of_what_stays() -> None:
    here, _ = measurements()
    for name in MODEL.instance:
        here.load(name, Load(at=1.0))
        here.probed(name, Outcome.OK, "HTTP 200", 1.0)
    here.network.observe(WIRING.hops[0].key, 5.0, 1.0)
    here.counters("branch", {}, 0.0)
    here.counters("branch", {index(NUMBER["hq-0"], Event.SYN): 5}, 1.0)
    here.read(1.0)
    edited = model(("hq-0", "branch-7"))
    here.set(edited, ids(edited, IDS), wiring(edited))
    now = here.measured(1.0)
    assert now.instances.keys() == {"hq-0", "branch-7"}
    assert now.instance("hq-0").alive is True
    assert now.instance("branch-7") == InstanceState()
    assert now.link(WIRING.hops[0].key).latency == 5.0
    # What still comes of an instance that is gone is dropped.
    here.load("hq-1", Load(at=2.0))
    here.probed("hq-1", Outcome.FAILED, "connection refused", 2.0)
    assert "hq-1" not in here.measured(2.0).instances
    here.set(MODEL, IDS, WIRING)
    assert here.measured(2.0).instance("hq-1") == InstanceState()
    here.set(edited, ids(edited, IDS), wiring(edited))
    here.counters("branch", {index(NUMBER["hq-1"], Event.SYN): 5}, 2.0)
    here.read(2.0)
    assert here.measured(2.0).arrivals == {}


def test_links_are_stale_when_the_model_says_so() -> None:
    here, _ = measurements()
    key = WIRING.hops[0].key
    here.network.observe(key, 5.0, 1.0)
    stale_after = MODEL.steering.stale_after / 1e6
    assert here.measured(1.0 + stale_after).link(key).latency == 5.0
    assert here.measured(1.01 + stale_after).link(key).latency is None


def test_unknown_names_are_unknown() -> None:
    assert Measured().instance("nobody") == InstanceState()
    assert Measured().link(("nowhere", 1)) == LinkState()


def test_targets() -> None:
    address = WIRING.management_address("hq-1-host")
    assert targets.metrics(WIRING)["hq-1"] == Target(f"http://{address}:8000/metrics", "vllm")
    assert targets.health(WIRING)["hq-1"] == f"http://{address}:8000/health"
    assert targets.health(WIRING).keys() == MODEL.instance.keys()
    fixed = MODEL.instance["hq-0"].model_copy(update={"metrics": "https://metrics.example/hq-0"})
    assert targets.url(fixed.metrics, fixed, WIRING) == "https://metrics.example/hq-0"
    other = Wiring(edited({"services[0].port": 9000}))
    address = other.management_address("gpu-edge-1")
    assert targets.health(other)["chat-edge"] == f"http://{address}:9000/health"
