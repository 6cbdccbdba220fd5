# SPDX-License-Identifier: Apache-2.0
"""The loop: measure, decide, have the switches be made so; every half second, and when something fails."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from din.measure import targets
from din.measure.probe import Prober
from din.measure.schedule import steadily
from din.measure.scrape import Scraper
from din.measure.state import Measured
from din.measure.store import Measurements
from din.model.topology import Target as SwitchTarget
from din.model.topology import Tls
from din.p4rt import events
from din.p4rt.channel import TlsFiles
from din.p4rt.compile import WAYS, Buckets, Context, compile_buckets, compile_network, compile_ways
from din.p4rt.connection import Connection, NotPrimaryError, SwitchError, Target
from din.p4rt.constraints import Constraints
from din.p4rt.entry import AnyKey, Key, State
from din.p4rt.fleet import Fleet
from din.p4rt.pipeline import Pushed
from din.p4rt.program import default_program
from din.p4rt.reconcile import Outcome, Result
from din.packet.constants import PuntReason
from din.steering.decide import decide
from din.steering.plan import Plan, Route
from din.telemetry import Telemetry

from . import adopt
from .answers import Answers
from .desired import Desired
from .moves import BucketMap, Moves
from .sensing import COUNTER_SECONDS, PROBE_SECONDS, Sensing
from .store import Store, StoreError

LOG = logging.getLogger(__name__)

#: Seconds that a start waits for switches, so that the first plan is made with all of them.
STARTUP_SECONDS = 3.0
#: Until what a switch holds is read again, when that has failed.
ADOPT_AGAIN_SECONDS = 1.0
#: Between looks at the clock: whether another epoch has begun.
SECRETS_SECONDS = 10.0


def _ways(plan: Plan) -> tuple[Mapping[Any, Route], ...]:
    return plan.routes, plan.responses, plan.transport


def target_of(desired: Desired, switch: str, address: str, kind: SwitchTarget) -> Target:
    """How to reach a switch."""
    found = desired.model.switch[switch]
    tls: Tls | None = found.tls or desired.model.management.tls
    files = None
    if tls is not None:
        files = TlsFiles(desired.base / tls.ca, desired.base / tls.certificate, desired.base / tls.key)
    # bmv2 refuses every other program once it was asked to reconcile.
    return Target(switch, address, found.device_id, files, can_reconcile=kind is SwitchTarget.P4JIT)


@dataclass(frozen=True)
class Prepared:
    """A revision that could be taken, and what switches would have then."""

    desired: Desired
    plan: Plan
    buckets: BucketMap
    states: dict[str, State]


class Controller:
    """``addresses`` and ``emulated`` overrule the model's: an emulation finds its own addresses, and chooses
    what all switches are."""

    def __init__(
        self,
        store: Store,
        desired: Desired,
        addresses: Mapping[str, str],
        emulated: SwitchTarget | None = None,
    ) -> None:
        self.store = store
        self.desired = desired
        self.addresses = addresses
        self.emulated = emulated
        self.started = time.monotonic()
        self.measurements = Measurements(desired.model, desired.ids, desired.wiring)
        self.measurements.on_health = lambda _: self.wake()
        journal = store.directory / "facts.jsonl" if desired.model.telemetry.journal else None
        self.telemetry = Telemetry(
            desired.model, desired.ids, desired.wiring, self.measurements, journal=journal
        )
        self.plan = adopt.plan_with_routes(store.routes(), desired.wiring)
        self.buckets: BucketMap = {}
        self.drained: frozenset[str] = store.drained()
        #: Drained past their deadline: what is left of their connections is let go.
        self.cut: frozenset[str] = store.cut()
        self.measured = Measured()
        self.secrets = desired.secrets(time.time())
        self.states: dict[str, State] = {}
        #: Of each switch what came of the last update.
        self.results: dict[str, Result] = {}
        self.adopted: set[str] = set()
        self.fleet: Fleet
        self.sensing: Sensing
        self._moves = Moves()
        self._wake = asyncio.Event()
        self._rerouted = asyncio.Event()
        #: Of the switches there are at the start: set once it is known what they hold, or why that is not.
        self._contacts = {name: asyncio.Event() for name in desired.model.switch}
        self._adopting: dict[str, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        #: Who waits for what comes of a switch's next update.
        self._waiting: dict[str, list[asyncio.Future[Result]]] = {}
        self._compiled: object = None
        self._answers = Answers()

    # ---- life ----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Everything is under way in the block. When it ends, the switches go on as they are."""
        async with AsyncExitStack() as stack:
            self.fleet = Fleet(
                [self._target_of(self.desired, name) for name in self.desired.model.switch],
                term=self.store.next_term(),
                check=Constraints(default_program()).check,
                on_event=self._on_event,
                on_result=self._on_result,
            )
            self.sensing = Sensing(self.desired, self.fleet, self.measurements, self.wake)
            await stack.enter_async_context(self.fleet)
            self._scraper = await stack.enter_async_context(Scraper(self.measurements.load))
            self._prober = await stack.enter_async_context(Prober(self.measurements.probed))
            self._measure_these()
            await stack.enter_async_context(self.telemetry.running())
            await self._first_contact()
            # Nobody is to see us without a plan.
            self._turn()
            tasks = [
                asyncio.create_task(each)
                for each in (
                    self._loop(),
                    self._note_routes(),
                    steadily(COUNTER_SECONDS, self.sensing.count, "counters of connections are not read"),
                    steadily(PROBE_SECONDS, self.sensing.probe_links, "links are not probed"),
                    steadily(SECRETS_SECONDS, self._renew_secrets, "keys of the next epoch are not made"),
                )
            ]
            try:
                yield
            finally:
                tasks += self._adopting.values()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, *self._leaving, return_exceptions=True)
                await self.sensing.close()
                await self._answers.close()
                self._save_routes()

    async def _note_routes(self) -> None:
        """In a thread: a disk may be slow, and nothing waits for it."""
        while True:
            await self._rerouted.wait()
            self._rerouted.clear()
            await asyncio.to_thread(self._save_routes)

    def _save_routes(self) -> None:
        """They only spare a later start some moves: a full disk is no reason not to steer."""
        try:
            self.store.save_routes(adopt.note_routes(self.plan))
        except StoreError as error:
            LOG.error("routes are not noted: %s", error)

    def _measure_these(self) -> None:
        self._scraper.set(targets.metrics(self.desired.wiring))
        self._prober.set(targets.health(self.desired.wiring))

    async def _first_contact(self) -> None:
        """What switches hold is taken over before anything is decided. Those that cannot be reached, or are
        another's, are not waited for.
        """
        contacts = [asyncio.ensure_future(each.wait()) for each in self._contacts.values()]
        _, late = await asyncio.wait(contacts, timeout=STARTUP_SECONDS)
        for each in late:
            each.cancel()

    def _contacted(self, switch: str) -> None:
        if (contact := self._contacts.get(switch)) is not None:
            contact.set()

    def wake(self) -> None:
        """Decide now."""
        self._wake.set()

    # ---- events --------------------------------------------------------------------------------------------

    def _on_event(self, event: events.Event) -> None:
        match event:
            case events.BecamePrimary(switch, pushed):
                LOG.info("%s is ours", switch)
                if switch not in self.adopted:
                    self._adopt(switch)
                # One that kept its program kept its counters: counted again they would look like SYNs
                # that nobody answers.
                if pushed is not Pushed.KEPT:
                    self.measurements.restarted(switch)
            case events.BecameBackup(switch, _):
                self._lose(switch)
            case events.NoPrimary(switch, highest):
                self._lose(switch)
                # Whoever had it has left; nobody else is to be waited for.
                if highest >= self.fleet.term:
                    self.fleet.raise_term(self.store.next_term(highest))
            case events.Down(switch, reason):
                self._contacted(switch)
                LOG.warning("%s: %s", switch, reason)
            case events.QueuesCounted(switch, queues):
                LOG.warning("%s: its ports have %d queues: classes share them", switch, queues)
                self.wake()
            case events.PortChanged(switch, port, up):
                LOG.warning("%s: port %d is %s", switch, port, "up" if up else "down")
                self.measurements.port_event(switch, port, up)
                self.wake()
            case events.PacketIn():
                self._packet_in(event)
            case events.StreamError(switch, message):
                LOG.warning("%s: %s", switch, message)

    def _on_result(self, result: Result) -> None:
        self.results[result.switch] = result
        for error in result.errors[:5]:
            LOG.error("%s: %s", result.switch, error)
        if result.outcome is not Outcome.SUPERSEDED:
            for waiting in self._waiting.pop(result.switch, []):
                if not waiting.done():
                    waiting.set_result(result)

    def _lose(self, switch: str) -> None:
        """Another controller has it, and moves its buckets: what is there when it is ours again counts."""
        self._contacted(switch)
        if (adopting := self._adopting.get(switch)) is not None:
            adopting.cancel()
        if switch in self.adopted:
            self._leave(switch)
            self.fleet[switch].release()

    def _leave(self, switch: str) -> None:
        self.adopted.discard(switch)
        self.results.pop(switch, None)

    def _adopt(self, switch: str) -> None:
        # What another task has read by now may be what was there before.
        if (before := self._adopting.get(switch)) is not None:
            before.cancel()
        task = asyncio.create_task(self._take_over(self.fleet.connection(switch)), name=f"adopt {switch}")
        self._adopting[switch] = task
        task.add_done_callback(lambda _: self._adopting.get(switch) is task and self._adopting.pop(switch))

    async def _take_over(self, connection: Connection) -> None:
        """What a switch holds, once it can be read."""
        switch = connection.name
        while True:
            try:
                state = await connection.read_state()
                break
            except NotPrimaryError:
                return  # when it is ours again this is tried again
            except SwitchError as error:
                LOG.warning("%s: cannot be read: %s", switch, error)
                await asyncio.sleep(ADOPT_AGAIN_SECONDS)
        groups = {each.group for each in self.desired.aggregates if each.leaf == switch}
        found = adopt.buckets_of(state, self.desired.ids, groups, time.monotonic())
        self.buckets |= {(switch, group): buckets for group, buckets in found.items()}
        shares = adopt.decisions_of(found, self.desired.aggregates, switch)
        self.plan = replace(self.plan, decisions={**self.plan.decisions, **shares})
        self.adopted.add(switch)
        self._contacted(switch)
        self._compiled = None
        self.wake()

    def _packet_in(self, packet: events.PacketIn) -> None:
        if packet.reason == PuntReason.LLDP:
            self.sensing.links.arrived(packet.switch, packet.ingress_port, packet.payload, time.monotonic())
            return
        routers = [each.ip for each in self.desired.model.switch[packet.switch].gateways]
        self._answers.give(packet, self.fleet.connection(packet.switch), routers)

    # ---- deciding ------------------------------------------------------------------------------------------

    async def _renew_secrets(self) -> None:
        secrets = self.desired.secrets(time.time())
        if secrets != self.secrets:
            self.secrets = secrets
            self._compiled = None
            self.wake()

    def _turn(self) -> None:
        try:
            self.decide()
        except Exception:
            # A plan that cannot be made leaves the network as it is; the next one is sent whole.
            LOG.exception("no new plan")
            self._compiled = None

    async def _loop(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self.desired.model.steering.interval / 1e6):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            self._turn()

    def decide(self) -> None:
        """One turn: a plan, the buckets that follow, and what that means for switches."""
        now = time.monotonic()
        self.measured = self.measurements.measured(now)
        plan, buckets = self.prepare(self.desired, now)
        # What has not changed is the same object.
        changed = {name for name, held in buckets.items() if self.buckets.get(name) is not held}
        same = _ways(plan) == _ways(self.plan)
        before = self.buckets
        self.plan, self.buckets = plan, buckets
        if not same:
            self._rerouted.set()
        structure = self._structure(plan)
        if structure != self._compiled:
            self.states = compile_network(self.context(self.desired, plan, buckets))
            self._send_states(self.states)
            self._compiled = structure
        else:
            self._send_moves(changed, before, rerouted=not same)

    def _structure(self, plan: Plan) -> object:
        """All that entries depend on but shares and the ways of what there is, which have a shorter way."""
        decisions = plan.decisions.items()
        return (
            self.desired.model.steering,
            *(each.keys() for each in _ways(plan)),
            plan.alive,
            {aggregate: frozenset(each.shares) for aggregate, each in decisions},
            self._down(),
            self._queues(),
        )

    def prepare(self, desired: Desired, now: float) -> tuple[Plan, BucketMap]:
        """What would be decided for a revision, from what is measured now. Nothing changes."""
        plan = decide(
            desired.model, desired.wiring, desired.aggregates, self.measured, self.plan, self.drained, now
        )
        if self.cut:
            plan = replace(plan, alive=plan.alive - self.cut)
        gone = frozenset(self.desired.model.instance.keys() - desired.model.instance.keys())
        return plan, self._moves.after(plan, self.buckets, desired.model, gone, now)

    def context(self, desired: Desired, plan: Plan, buckets: Buckets) -> Context:
        reached = {(each.leaf, each.group) for each, found in plan.decisions.items() if found.choices}
        held = {where: each for where, each in buckets.items() if where in reached}
        return Context(
            desired.model, desired.wiring, desired.ids, plan, held, self.secrets, self._down(), self._queues()
        )

    def _down(self) -> frozenset[tuple[str, int]]:
        return frozenset(key for key, link in self.measured.links.items() if not link.up)

    def _queues(self) -> dict[str, int]:
        return {name: each.connection.queues for name, each in self.fleet.switches.items()}

    def _send_states(self, states: Mapping[str, State]) -> None:
        for name in self.adopted & states.keys():
            self.fleet[name].set(states[name])

    def _send_moves(self, changed: set[tuple[str, adopt.Group]], before: Buckets, *, rerouted: bool) -> None:
        """Of shares and ways, which move often; and nothing else does then."""
        switches = set(self.states) if rerouted else {leaf for leaf, _ in changed}
        if not switches:
            return
        context = self.context(self.desired, self.plan, self.buckets)
        for switch in switches:
            state = self.states[switch]
            moved = {name: self.buckets[name] for name in changed if name[0] == switch}
            delta = compile_buckets(context, switch, moved, before)
            gone: set[AnyKey] = set()
            if rerouted:
                ways = compile_ways(context, switch)
                delta |= {key: value for key, value in ways.items() if state.get(key) != value}
                gone |= {key for key in state if isinstance(key, Key) and key.table in WAYS} - ways.keys()
            state.update(delta)
            for key in gone:
                del state[key]
            if switch not in self.adopted:
                continue
            if gone:
                self.fleet[switch].set(state)
            elif delta:
                self.fleet[switch].amend(delta)

    # ---- another revision ----------------------------------------------------------------------------------

    def take(self, new: Prepared, text: str, reason: str) -> tuple[int, dict[str, asyncio.Future[Result]]]:
        """Make ``new`` the revision from now on: its number, and of the switches what comes of it. At once,
        so that no turn of the loop sees half of it.

        StoreError: it cannot be noted; BadStateError: switches cannot have it. Nothing is changed then.
        """
        desired = new.desired
        targets = {name: self._target_of(desired, name) for name in desired.model.switch}
        stay = {name for name, each in targets.items() if each == self._target(name)}
        ready = {
            name: self.fleet[name].prepare(new.states[name])
            for name in self.adopted & stay & new.states.keys()
        }
        # Numbers of names that are not in force after all do no harm; a revision without its numbers does.
        self.store.save_ids(desired.ids)
        number = self.store.add(text, desired.file, reason).number
        for name in self.fleet.switches.keys() - stay:
            leaving = self.fleet.drop(name)
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
            self._leave(name)
            if (adopting := self._adopting.get(name)) is not None:
                adopting.cancel()
        self.desired = replace(desired, number=number)
        self.plan, self.buckets, self.states = new.plan, new.buckets, new.states
        self.secrets = desired.secrets(time.time())
        self.measurements.set(desired.model, desired.ids, desired.wiring)
        self.telemetry.set(desired.model, desired.ids, desired.wiring)
        self.sensing.set(self.desired)
        self._measure_these()
        for name in targets.keys() - stay:
            self.fleet.add(targets[name])
        self._compiled = self._structure(self.plan)
        self._rerouted.set()
        self.wake()
        return number, {name: self.fleet[name].start(state) for name, state in ready.items()}

    async def answer(self, switch: str, started: asyncio.Future[Result]) -> Result:
        """What an update comes to that was started. If a turn of the loop has put another in its place, what
        comes of that, which holds it all.
        """
        result = await self.fleet.answer(switch, started)
        if result.outcome is not Outcome.SUPERSEDED or switch not in self.fleet.switches:
            return result
        if self.fleet[switch].has_all:
            return replace(result, outcome=Outcome.DONE)
        later: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(switch, []).append(later)
        return await self.fleet.answer(switch, later)

    def kind(self, desired: Desired, switch: str) -> SwitchTarget:
        return self.emulated or desired.model.switch[switch].target

    def address(self, desired: Desired, switch: str) -> str:
        """Of its P4Runtime server; "": nobody has said."""
        return self.addresses.get(switch) or desired.model.switch[switch].address or ""

    def _target_of(self, desired: Desired, switch: str) -> Target:
        return target_of(desired, switch, self.address(desired, switch), self.kind(desired, switch))

    def _target(self, name: str) -> Target | None:
        return self.fleet.connection(name).target if name in self.fleet.switches else None
