# SPDX-License-Identifier: Apache-2.0
"""The loop: measure, decide, have the switches be made so; every half second, and when something fails."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from din.measure import targets
from din.measure.connections import Event, index
from din.measure.probe import Prober
from din.measure.schedule import every
from din.measure.scrape import Scraper
from din.measure.state import Measured
from din.measure.store import Measurements
from din.model.service import Affinity
from din.model.topology import Role, Tls
from din.model.topology import Target as SwitchTarget
from din.p4rt import events
from din.p4rt.channel import TlsFiles
from din.p4rt.compile import Buckets, Context, compile_buckets, compile_network
from din.p4rt.connection import NotPrimaryError, SwitchError, Target
from din.p4rt.constraints import Constraints
from din.p4rt.counters import read_counters
from din.p4rt.entry import State
from din.p4rt.fleet import Fleet
from din.p4rt.pipeline import Pushed
from din.p4rt.program import default_program
from din.p4rt.reconcile import Result
from din.packet.constants import PuntReason
from din.steering.buckets import DRAIN_AFTER, Bucket, counts, fresh, rebalance
from din.steering.decide import decide
from din.steering.plan import Plan
from din.telemetry import Telemetry

from . import adopt, icmp, lldp
from .desired import Desired
from .store import Store

LOG = logging.getLogger(__name__)

#: Seconds that a start waits for switches, so that the first plan is made with all of them.
STARTUP_SECONDS = 3.0
#: Seconds between readings of the switches' connection counters, and between link probes.
COUNTER_SECONDS = 0.5
#: Between looks at moves of buckets that only time can end.
SETTLE_SECONDS = 2.0
PROBE_SECONDS = 0.5
#: Between looks at the clock: whether another epoch has begun.
SECRETS_SECONDS = 10.0

BucketMap = dict[tuple[str, adopt.Group], tuple[Bucket, ...]]


def target_of(desired: Desired, switch: str, address: str, kind: SwitchTarget) -> Target:
    """How to reach a switch."""
    found = desired.model.switch[switch]
    tls: Tls | None = found.tls or desired.model.management.tls
    files = None
    if tls is not None:
        files = TlsFiles(desired.base / tls.ca, desired.base / tls.certificate, desired.base / tls.key)
    # bmv2 refuses every other program once it was asked to reconcile.
    return Target(switch, address, found.device_id, files, can_reconcile=kind is SwitchTarget.P4JIT)


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
        self.links = lldp.Links(desired.wiring, PROBE_SECONDS)
        self.plan = adopt.plan_with_routes(store.routes(), desired.wiring)
        self.buckets: BucketMap = {}
        self.drained: frozenset[str] = store.drained()
        #: Drained past their deadline: what is left of their connections is let go.
        self.cut: frozenset[str] = frozenset()
        self.measured = Measured()
        self.secrets = desired.secrets(time.time())
        self.states: dict[str, State] = {}
        #: Of each switch what came of the last update.
        self.results: dict[str, Result] = {}
        self.adopted: set[str] = set()
        self.fleet: Fleet
        #: Of each group, what its buckets were last made for, what they became, and when.
        self._balanced: dict[
            tuple[str, adopt.Group], tuple[tuple[dict[str, int], frozenset[str]], tuple[Bucket, ...], float]
        ] = {}
        self._wake = asyncio.Event()
        #: Held while a revision or plan is being made: two updates never mix.
        self.lock = asyncio.Lock()
        self._adopting: dict[str, asyncio.Task[None]] = {}
        self._compiled: object = None
        self._answers: set[asyncio.Task[None]] = set()

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
            await stack.enter_async_context(self.fleet)
            self._scraper = await stack.enter_async_context(Scraper(self.measurements.load))
            self._prober = await stack.enter_async_context(Prober(self.measurements.probed))
            self._measure_these()
            await stack.enter_async_context(self.telemetry.running())
            await self._first_contact()
            tasks = [
                asyncio.create_task(self._loop(), name="decide"),
                asyncio.create_task(every(COUNTER_SECONDS, self._count), name="count"),
                asyncio.create_task(every(PROBE_SECONDS, self._probe_links), name="probe links"),
                asyncio.create_task(every(SECRETS_SECONDS, self._renew_secrets), name="renew secrets"),
            ]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, *self._answers, return_exceptions=True)
                self._save_routes(adopt.note_routes(self.plan))

    def _save_routes(self, routes: dict[str, list[tuple[str, int]]]) -> None:
        """They only spare a later start some moves: a full disk is no reason not to steer."""
        try:
            self.store.save_routes(routes)
        except OSError as error:
            LOG.error("routes are not noted: %s", error)

    def _address(self, switch: str) -> str:
        return self.addresses.get(switch) or self.desired.model.switch[switch].address or ""

    def _measure_these(self) -> None:
        self._scraper.set(targets.metrics(self.desired.wiring))
        self._prober.set(targets.health(self.desired.wiring))

    async def _first_contact(self) -> None:
        """What switches hold is taken over before anything is decided."""
        connections = [each.connection.primary() for each in self.fleet.switches.values()]
        waiting = [asyncio.ensure_future(each) for each in connections]
        _, late = await asyncio.wait(waiting, timeout=STARTUP_SECONDS)
        for each in late:
            each.cancel()
        if self._adopting:
            await asyncio.wait(self._adopting.values(), timeout=STARTUP_SECONDS)

    def wake(self) -> None:
        """Decide now."""
        self._wake.set()

    # ---- events --------------------------------------------------------------------------------------------

    def _on_event(self, event: events.Event) -> None:
        match event:
            case events.BecamePrimary(switch, pushed):
                LOG.info("%s is ours", switch)
                if switch not in self.adopted and switch not in self._adopting:
                    task = asyncio.create_task(self._adopt(switch), name=f"adopt {switch}")
                    self._adopting[switch] = task
                # One that kept its program kept its counters: counted again they would look like SYNs
                # that nobody answers.
                if pushed is not Pushed.KEPT:
                    self.measurements.restarted(switch)
            case events.NoPrimary(switch, highest):
                # Whoever had it has left; nobody else is to be waited for.
                if highest >= self.fleet.term:
                    self.fleet.raise_term(self.store.next_term(highest))
            case events.Down(switch, reason):
                LOG.warning("%s: %s", switch, reason)
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

    async def _adopt(self, switch: str) -> None:
        try:
            state = await self.fleet.connection(switch).read_state()
        except (NotPrimaryError, SwitchError) as error:
            # When it is ours again this is tried again.
            LOG.warning("%s: cannot be read: %s", switch, error)
            return
        finally:
            self._adopting.pop(switch, None)
        groups = {each.group for each in self.desired.aggregates if each.leaf == switch}
        found = adopt.buckets_of(state, self.desired.ids, groups, time.monotonic())
        self.buckets |= {(switch, group): buckets for group, buckets in found.items()}
        shares = adopt.decisions_of(found, self.desired.aggregates, switch)
        self.plan = replace(self.plan, decisions={**self.plan.decisions, **shares})
        self.adopted.add(switch)
        self._compiled = None
        self.wake()

    def _packet_in(self, packet: events.PacketIn) -> None:
        now = time.monotonic()
        if packet.reason == PuntReason.LLDP:
            self.links.arrived(packet.switch, packet.ingress_port, packet.payload, now)
            return
        routers = [each.ip for each in self.desired.model.switch[packet.switch].gateways]
        try:
            reason = PuntReason(packet.reason)
        except ValueError:
            return
        answer = icmp.answer(reason, packet.mtu, packet.payload, routers)
        if answer is not None:
            task = asyncio.create_task(self._send(packet, answer))
            self._answers.add(task)
            task.add_done_callback(self._answers.discard)

    async def _send(self, packet: events.PacketIn, answer: icmp.Answer) -> None:
        try:
            await self.fleet.connection(packet.switch).packet_out(
                packet.ingress_port, answer.frame, tenant=packet.tenant, submit=not answer.direct
            )
        except (NotPrimaryError, SwitchError) as error:
            LOG.debug("%s: no answer to a host: %s", packet.switch, error)

    # ---- measuring -----------------------------------------------------------------------------------------

    async def _count(self) -> None:
        """The connection counters of all leaves."""
        numbers = self.desired.ids.numbers["instance"].values()
        cells = [index(number, event) for number in numbers for event in Event]
        leaves = [each.name for each in self.desired.model.switches if each.role is Role.LEAF]

        async def read(leaf: str) -> None:
            try:
                # One that hangs must not keep the others' from counting.
                async with asyncio.timeout(2 * COUNTER_SECONDS):
                    found = await read_counters(self.fleet.connection(leaf), {"connections": cells})
            except (NotPrimaryError, SwitchError, TimeoutError):
                return
            counts = {cell: count.packets for cell, count in found["connections"].items() if count.packets}
            self.measurements.counters(leaf, counts, time.monotonic())

        await asyncio.gather(*map(read, leaves))
        self.measurements.read(time.monotonic())

    async def _probe_links(self) -> None:
        network = self.measurements.network
        ours = {name for name, each in self.fleet.switches.items() if each.connection.is_primary}
        for key, arrived in self.links.carrying(time.monotonic(), ours).items():
            was = network.up(key)
            network.link_probe(key, arrived)
            if was != network.up(key):
                self.wake()

        async def send(switch: str) -> None:
            connection = self.fleet.connection(switch)
            if not connection.is_primary:
                return
            try:
                for hop in self.desired.wiring.hops_of(switch):
                    frame = lldp.probe(
                        switch, hop.src_port, self.desired.wiring.port_mac(switch, hop.src_port)
                    )
                    await connection.packet_out(hop.src_port, frame)
            except (NotPrimaryError, SwitchError) as error:
                LOG.debug("%s: no link probes: %s", switch, error)

        await asyncio.gather(*map(send, self.fleet.switches))

    async def _renew_secrets(self) -> None:
        secrets = self.desired.secrets(time.time())
        if secrets != self.secrets:
            self.secrets = secrets
            self._compiled = None
            self.wake()

    # ---- deciding ------------------------------------------------------------------------------------------

    async def _loop(self) -> None:
        while True:
            async with self.lock:
                try:
                    self.decide()
                except Exception:
                    # A plan that cannot be made leaves the network as it is.
                    LOG.exception("no new plan")
            try:
                async with asyncio.timeout(self.desired.model.steering.interval / 1e6):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    def decide(self) -> None:
        """One turn: a plan, the buckets that follow, and what that means for switches."""
        now = time.monotonic()
        self.measured = self.measurements.measured(now)
        plan, buckets = self.prepare(self.desired, now)
        changed = {name for name, held in buckets.items() if self.buckets.get(name) != held}
        same = plan.routes == self.plan.routes and plan.responses == self.plan.responses
        routed = None if same else adopt.note_routes(plan)
        before = self.buckets
        self.plan, self.buckets = plan, buckets
        if routed is not None:
            self._save_routes(routed)
        structure = (
            plan.routes,
            plan.responses,
            plan.transport,
            plan.alive,
            {aggregate: frozenset(each.shares) for aggregate, each in plan.decisions.items()},
            self._down(),
        )
        if structure != self._compiled:
            self.states = compile_network(self.context(self.desired, plan, buckets))
            self._send_states(self.states)
            self._compiled = structure
        elif changed:
            self._send_buckets(changed, before)

    def prepare(self, desired: Desired, now: float) -> tuple[Plan, BucketMap]:
        """What would be decided for a revision, from what is measured now. Nothing changes."""
        plan = decide(
            desired.model, desired.wiring, desired.aggregates, self.measured, self.plan, self.drained, now
        )
        if self.cut:
            plan = replace(plan, alive=plan.alive - self.cut)
        # With those that leave the model: buckets are still theirs.
        gone = self.desired.model.instance.keys() - desired.model.instance.keys()
        dead = (frozenset(desired.model.instance) | gone) - plan.alive
        buckets: BucketMap = {}
        for aggregate, decision in plan.decisions.items():
            where = aggregate.leaf, aggregate.group
            shares = {name: share for name, share in decision.shares.items() if share > 0}
            held = self.buckets.get(where)
            lifetime = desired.model.service[aggregate.service].connection_lifetime / 1e6
            if not shares:
                # Nobody may answer: what is there stays, since another would be no better. Nobody can be
                # reached: it is kept for when they can, so that connections live through that.
                if held is not None and not any({each.current, each.previous} & gone for each in held):
                    buckets[where] = held
            elif held is None:
                buckets[where] = fresh(shares, "/".join((aggregate.leaf, *aggregate.group)))
            else:
                # What is hashed by address has no beginning that a switch could see, and so no end of a move.
                by_address = desired.model.service[aggregate.service].affinity is Affinity.CLIENT
                drain_after = None if by_address else DRAIN_AFTER
                wanted = counts(shares), dead
                last = self._balanced.get(where)
                if (
                    last is not None
                    and last[0] == wanted
                    and last[1] is held
                    and now - last[2] < SETTLE_SECONDS
                ):
                    # Nothing but time has passed, which ends moves, and is in no hurry.
                    buckets[where] = held
                else:
                    buckets[where] = rebalance(held, shares, now, lifetime, dead, drain_after)
                    self._balanced[where] = wanted, buckets[where], now
        return plan, buckets

    def context(self, desired: Desired, plan: Plan, buckets: Buckets) -> Context:
        reached = {(each.leaf, each.group) for each, found in plan.decisions.items() if found.choices}
        held = {where: each for where, each in buckets.items() if where in reached}
        return Context(desired.model, desired.wiring, desired.ids, plan, held, self.secrets, self._down())

    def _down(self) -> frozenset[tuple[str, int]]:
        return frozenset(key for key, link in self.measured.links.items() if not link.up)

    def _send_states(self, states: Mapping[str, State]) -> None:
        for name in self.adopted & states.keys():
            self.fleet[name].set(states[name])

    def _send_buckets(self, changed: set[tuple[str, adopt.Group]], before: Buckets) -> None:
        """Shares move often, and nothing else does then."""
        context = self.context(self.desired, self.plan, self.buckets)
        for leaf in {leaf for leaf, _ in changed}:
            moved = {name: self.buckets[name] for name in changed if name[0] == leaf}
            delta = compile_buckets(context, leaf, moved, before)
            self.states[leaf].update(delta)
            if leaf in self.adopted and delta:
                self.fleet[leaf].amend(delta)

    # ---- another revision ----------------------------------------------------------------------------------

    async def take(self, desired: Desired, plan: Plan, buckets: BucketMap) -> dict[str, Result]:
        """Make ``desired`` the revision from now on. Held under `lock`."""
        before = set(self.fleet.switches)
        changed = {
            name for name in desired.model.switch if self._target_of(desired, name) != self._target(name)
        }
        for name in (before - set(desired.model.switch)) | (before & changed):
            await self.fleet.remove(name)
            self.adopted.discard(name)
        self.desired, self.plan, self.buckets = desired, plan, buckets
        self.secrets = desired.secrets(time.time())
        self.measurements.set(desired.model, desired.ids, desired.wiring)
        self.telemetry.set(desired.model, desired.ids, desired.wiring)
        self.links.wiring = desired.wiring
        self._measure_these()
        for name in set(desired.model.switch) - set(self.fleet.switches):
            self.fleet.add(self._target_of(desired, name))
        self.states = compile_network(self.context(desired, plan, buckets))
        self._compiled = None
        self._balanced.clear()
        self.store.save_ids(desired.ids)
        return await self.fleet.apply({name: self.states[name] for name in self.adopted & self.states.keys()})

    def kind(self, desired: Desired, switch: str) -> SwitchTarget:
        return self.emulated or desired.model.switch[switch].target

    def _target_of(self, desired: Desired, switch: str) -> Target:
        return target_of(desired, switch, self._address(switch), self.kind(desired, switch))

    def _target(self, name: str) -> Target | None:
        return self.fleet.connection(name).target if name in self.fleet.switches else None
