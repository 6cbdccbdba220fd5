# SPDX-License-Identifier: Apache-2.0
"""A controller whose switches cannot be reached: what events do to what it knows, and what it takes over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from din.api.app import RefusedError
from din.api.schema import ApplyRequest, DrainRequest, ModelText, SteeringRequest
from din.controller.controller import Controller
from din.controller.desired import prepare
from din.controller.operations import ControllerOperations
from din.controller.store import Store
from din.measure.connections import Event, index
from din.p4rt import events
from din.p4rt.compile import compile_network
from din.p4rt.entry import Key
from din.p4rt.fleet import Fleet
from din.p4rt.pipeline import Pushed
from din.steering.plan import Decision, Route
from din.steering.routes import Routes

from tests.din.measure.model_server import ModelServer, answers
from tests.din.p4rt.switches import free_address

FILE = Path(__file__).resolve().parents[3] / "topologies" / "skeleton.yaml"


@pytest.fixture
async def text() -> AsyncIterator[str]:
    """The model, with servers that are well."""
    async with ModelServer(answers(b"")) as server:
        yield FILE.read_text().replace(
            "variant:", f"health: '{server.url}', metrics: '{server.url}', variant:"
        )


def make(folder: Path, text: str) -> Controller:
    desired = prepare(text, str(FILE), 1, None)
    return Controller(Store(folder), desired, dict.fromkeys(desired.model.switch, free_address()))


@pytest.fixture
async def controller(tmp_path: Path, text: str) -> AsyncIterator[Controller]:
    found = make(tmp_path, text)
    async with found.running():
        yield found
    found.store.close()


async def test_switches_that_cannot_be_reached_are_not_waited_for(tmp_path: Path, text: str) -> None:
    began = time.monotonic()
    found = make(tmp_path, text)
    async with found.running():
        assert time.monotonic() - began < 2.0
    found.store.close()


@pytest.mark.parametrize(("pushed", "in_flight"), [(Pushed.KEPT, 5), (Pushed.REPLACED, 10)])
def test_a_switch_that_kept_its_program_kept_its_counters(
    tmp_path: Path, pushed: Pushed, in_flight: int
) -> None:
    found = make(tmp_path, FILE.read_text())
    number = found.desired.ids.of("instance", "chat-1")
    answered = {index(number, Event.SYN_ACK): 5}
    found.adopted.add("leaf-2")
    found.measurements.counters("leaf-2", answered, 1.0)
    found._on_event(events.Down("leaf-2", "gone"))
    found._on_event(events.BecamePrimary("leaf-2", pushed))
    found.measurements.counters("leaf-2", answered, 2.0)
    found.measurements.read(2.0)
    connections = found.measurements.measured(2.0).instance("chat-1").connections
    assert connections is not None
    assert connections.in_flight == in_flight
    found.store.close()


async def test_what_was_cut_stays_so_until_it_is_undrained(tmp_path: Path, text: str) -> None:
    found = make(tmp_path, text)
    async with found.running():
        operations = ControllerOperations(found)
        said = [each.state async for each in operations.drain(DrainRequest(instance="chat-1", deadline=0))]
        assert said[-1] == "cut"
    found.store.close()
    again = make(tmp_path, text)
    assert again.drained == again.cut == {"chat-1"}
    plan, _ = again.prepare(again.desired, 1.0)
    assert plan.alive == set(again.desired.model.instance) - {"chat-1"}
    async with again.running():
        await ControllerOperations(again).undrain("chat-1")
    again.store.close()
    last = make(tmp_path, text)
    assert last.drained == last.cut == set()
    last.store.close()


async def test_a_switch_gets_its_new_address(controller: Controller, text: str) -> None:
    """Where nothing overrules the model's."""
    operations = ControllerOperations(controller)
    controller.addresses = {}
    for _ in range(2):
        wanted = {name: free_address() for name in controller.desired.model.switch}
        named = text
        for name, address in wanted.items():
            named = named.replace(f"{{name: {name}, site", f"{{name: {name}, address: '{address}', site")
        await operations.apply(ApplyRequest(model=ModelText(text=named, file=str(FILE)), yes=True))
        switches = controller.fleet.switches.items()
        assert {name: each.connection.target.address for name, each in switches} == wanted
    with pytest.raises(RefusedError, match="no P4Runtime address is known of leaf-1, core-1, leaf-2"):
        await operations.apply(ApplyRequest(model=ModelText(text=text, file=str(FILE)), yes=True))


async def test_a_periodic_duty_that_fails_goes_on(
    controller: Controller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As the keys' file that cannot be read for a while."""
    calls = []

    def fail(*_: object) -> None:
        calls.append(1)
        raise OSError("no such file")

    monkeypatch.setattr(type(controller.sensing.links), "carrying", fail)
    async with asyncio.timeout(5):
        while len(calls) < 3:
            await asyncio.sleep(0.02)
    assert caplog.text.count("links are not probed") == 1


async def test_a_drain_of_one_that_leaves_the_model_ends(controller: Controller, text: str) -> None:
    operations = ControllerOperations(controller)
    drain = operations.drain(DrainRequest(instance="chat-1", deadline=60))
    assert (await anext(drain)).state == "draining"
    left = "\n".join(line for line in text.splitlines() if "name: chat-1" not in line)
    await operations.apply(ApplyRequest(model=ModelText(text=left, file=str(FILE)), yes=True))
    async with asyncio.timeout(2):
        assert [each.state async for each in drain][-1] == "undrained"


def test_new_ways_and_shares_leave_what_a_whole_compilation_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path(__file__).parent / "two-ways.yaml"
    # By the other way it is not known whether what nobody could read may be there.
    text = (
        file.read_text()
        .replace("  - name: campus\n", "  - name: campus\n  - name: far\n", 1)
        .replace("sites:\n", "sites:\n  - {name: away, zone: far}\n", 1)
        .replace("core-2, site: machine-room", "core-2, site: away")
        .replace("tenants:\n", "labels:\n  - {name: private, zones: [campus]}\n\ntenants:\n", 1)
    )
    found = Controller(Store(tmp_path), prepare(text, str(file), 1, None), {})
    found.fleet = Fleet([], term=1)
    found.decide()
    plan, routes = found.plan, Routes(found.desired.wiring)

    def other(ways: Mapping[Any, Route]) -> dict[Any, Route]:
        """Each takes the way that it has not."""
        return {
            where: next(way for way in routes.candidates(where[0], route.nodes[-1]) if way != route)
            if route.hops
            else route
            for where, route in ways.items()
        }

    shares = {where: _unequal(each) for where, each in plan.decisions.items()}
    new = replace(
        plan,
        routes=other(plan.routes),
        responses=other(plan.responses),
        transport=other(plan.transport),
        decisions=shares,
    )
    assert shares != plan.decisions
    buckets = found._moves.after(new, found.buckets, found.desired.model, frozenset(), 1.0)
    before = {name: dict(state) for name, state in found.states.items()}
    monkeypatch.setattr(found, "prepare", lambda *_: (new, buckets))
    monkeypatch.setattr("din.controller.controller.compile_network", lambda _: pytest.fail("was compiled"))
    found.decide()
    assert found.states == compile_network(found.context(found.desired, new, buckets))
    changed = {
        key.table
        for name, state in found.states.items()
        for key, value in state.items()
        if isinstance(key, Key) and before[name].get(key) != value
    }
    assert changed == {"paths", "response_paths", "buckets"}
    gone = {key for name, state in before.items() for key in state.keys() - found.states[name].keys()}
    assert {key.table for key in gone if isinstance(key, Key)} == {"paths"}
    found.store.close()


async def test_clients_that_choose_can_reach_instances(tmp_path: Path) -> None:
    found = make(tmp_path, FILE.read_text())
    found.fleet = Fleet([], term=1)
    found.decide()
    before = found.states["leaf-1"]
    await ControllerOperations(found).set_steering(SteeringRequest(instances="client", paths="din"))
    assert found.states == compile_network(found.context(found.desired, found.plan, found.buckets))
    new = found.states["leaf-1"].keys() - before.keys()
    assert {key.table for key in new if isinstance(key, Key)} == {"classifier"}
    found.store.close()


def _unequal(decision: Decision) -> Decision:
    """With shares like 1 : 2 : 3."""
    total = sum(range(len(decision.choices) + 1))
    return replace(
        decision,
        choices=tuple(replace(each, share=rank / total) for rank, each in enumerate(decision.choices, 1)),
    )
