# SPDX-License-Identifier: Apache-2.0
"""What operators ask of a controller: the other side of `din.api`."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from typing import Any

from din.api.app import RefusedError
from din.api.schema import (
    Applied,
    ApplyRequest,
    Changes,
    DecisionView,
    DrainProgress,
    DrainRequest,
    InstanceStatus,
    LinkStatus,
    ModelText,
    Numbers,
    Pick,
    PlanView,
    Refusal,
    RevisionView,
    RollbackRequest,
    ServiceStatus,
    Status,
    SteeringRequest,
    SwitchStatus,
)
from din.measure.cats import scores
from din.measure.state import InstanceState
from din.model.ids import OutOfNumbersError
from din.model.policy import InstanceChoice, PathChoice
from din.model.problem import ModelError
from din.p4rt.canonical import BadStateError
from din.p4rt.compile import TooManySegmentsError, compile_network
from din.p4rt.entry import State
from din.p4rt.reconcile import Outcome, Preview, Result
from din.p4rt.references import dangling
from din.steering.plan import Decision
from din.telemetry import SwitchHealth, render

from .controller import Controller, Prepared
from .desired import prepare
from .store import Revision, StoreError
from .views import changes_view, decision_view, problem_view

LOG = logging.getLogger(__name__)

#: Seconds between looks at a drain.
_DRAIN_SECONDS = 0.25


def refuse(status: int, error: str, **more: Any) -> RefusedError:
    return RefusedError(status, Refusal(error=error, **more))


def connections_left(state: InstanceState, since: float) -> int | None:
    """How many an instance has, of what was measured after ``since``; None: that is not known.

    Switches know two bounds (`din.measure.connections`). Of a server that says what it works on, and it is
    nothing, the lower one is right; of one that says nothing the upper one is believed, since a stream must
    not be taken for ended.
    """
    counted, load = state.connections, state.load
    if counted is None or counted.at <= since:
        return None
    if load is not None and load.at > since and load.running is not None:
        return max(counted.in_flight, math.ceil(load.running + (load.waiting or 0.0)))
    return counted.in_flight if counted.at_most is None else counted.at_most


class ControllerOperations:
    """`din.api.app.Operations` of a running controller."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        #: Held while a revision is looked at and taken: each is compared with what the one before has made.
        self._taking = asyncio.Lock()

    # ---- looking -------------------------------------------------------------------------------------------

    def status(self) -> Status:
        controller, desired = self._controller, self._controller.desired
        steering = desired.model.steering
        switches = self._switches()
        return Status(
            model=desired.model.name,
            revision=desired.number,
            uptime=time.monotonic() - controller.started,
            role="primary" if all(each.primary for each in switches if each.connected) else "backup",
            instance_choice=steering.instances.value,
            path_choice=steering.paths.value,
            switches=switches,
            links=self._links(),
            reports=controller.telemetry.received,
            reports_lost=controller.telemetry.lost,
            instances=self._instances(),
            services=[
                ServiceStatus(
                    name=service.name,
                    dns=service.dns,
                    addresses=[str(each) for each in service.addresses],
                    port=service.port,
                    served_model=service.served_model,
                    alive=sum(
                        each.name in controller.plan.alive
                        for each in desired.model.instances_of(service.name)
                    ),
                    instances=len(desired.model.instances_of(service.name)),
                )
                for service in desired.model.services
            ],
        )

    def _switches(self) -> list[SwitchStatus]:
        controller = self._controller
        found = []
        for switch in controller.desired.model.switches:
            connection = controller.fleet.connection(switch.name)
            result = controller.results.get(switch.name)
            wanted = controller.states.get(switch.name, {})
            done = result is not None and result.outcome is Outcome.DONE
            found.append(
                SwitchStatus(
                    name=switch.name,
                    role=switch.role.value,
                    target=controller.kind(controller.desired, switch.name).value,
                    address=connection.target.address,
                    connected=connection.is_up,
                    primary=connection.is_primary,
                    entries=len(wanted),
                    pending=0 if done else len(wanted),
                    error=connection.reason or ("; ".join(result.errors[:3]) if result else ""),
                    ports_down=sorted(
                        hop.src_port
                        for hop in controller.desired.wiring.hops_of(switch.name)
                        if not controller.measured.link(hop.key).up
                    ),
                )
            )
        return found

    def _links(self) -> list[LinkStatus]:
        controller = self._controller
        found = []
        for hop in controller.desired.wiring.hops:
            state = controller.measured.link(hop.key)
            found.append(
                LinkStatus(
                    src=hop.src,
                    src_port=hop.src_port,
                    dst=hop.dst,
                    dst_port=hop.dst_port,
                    up=state.up,
                    delay=hop.link.delay,
                    extra=state.latency,
                    age=None if state.at is None else controller.measured.at - state.at,
                    miswired=controller.sensing.links.miswired.get(hop.key, ""),
                )
            )
        return found

    def _instances(self) -> list[InstanceStatus]:
        controller, model = self._controller, self._controller.desired.model
        found = []
        for instance in model.instances:
            state = controller.measured.instance(instance.name)
            load, connections = state.load, state.connections
            found.append(
                InstanceStatus(
                    name=instance.name,
                    service=instance.service,
                    host=instance.host,
                    leaf=model.host[instance.host].leaf,
                    variant=instance.variant,
                    alive=state.alive,
                    reason=state.reason,
                    drained=instance.name in controller.drained,
                    running=load.running if load else None,
                    waiting=load.waiting if load else None,
                    kv_usage=load.kv_usage if load else None,
                    in_flight=connections.in_flight if connections else None,
                    level=scores(state, model.service[instance.service].slo, slots=instance.slots).overall,
                )
            )
        return found

    def plan(self) -> PlanView:
        controller = self._controller
        decisions = self._views(controller.plan.decisions.values())
        return PlanView(revision=controller.desired.number, decisions=decisions)

    def _views(self, decisions: Iterable[Decision]) -> list[DecisionView]:
        model, measured = self._controller.desired.model, self._controller.measured
        found = sorted(decisions, key=lambda each: each.aggregate)
        return [decision_view(each, model, measured) for each in found]

    def explain(self, service: str, leaf: str) -> list[DecisionView]:
        model = self._controller.desired.model
        self._known("service", service, model.service)
        self._known("switch", leaf, model.switch)
        found = [
            decision
            for each, decision in self._controller.plan.decisions.items()
            if (each.service, each.leaf) == (service, leaf)
        ]
        if not found:
            raise refuse(
                404, f"nobody at {leaf} may use {service}: no host of a tenant that it serves is there"
            )
        return self._views(found)

    @staticmethod
    def _known(kind: str, name: str, names: Iterable[str]) -> None:
        if name not in names:
            raise refuse(404, f"there is no {kind} {name}; there are {', '.join(filter(None, names))}")

    def revisions(self) -> list[RevisionView]:
        current = self._controller.desired.number
        return [
            RevisionView(
                number=each.number,
                at=each.at,
                file=each.file,
                reason=each.reason,
                current=each.number == current,
            )
            for each in self._revisions()
        ]

    def _revisions(self) -> list[Revision]:
        try:
            return self._controller.store.revisions()
        except StoreError as error:
            raise refuse(409, str(error)) from None

    def pick(self, service: str, leaf: str, tenant: str = "", label: str = "") -> Pick:
        """By the shares that new connections are steered with. ``tenant`` "": of the first that may."""
        controller = self._controller
        model = controller.desired.model
        self._known("service", service, model.service)
        self._known("switch", leaf, model.switch)
        self._known("tenant", tenant, ["", *(each.name for each in model.tenants)])
        self._known("label", label, ["", *model.label])
        asked = f"{service} from {leaf}{tenant and f' for {tenant}'}{label and f' with label {label}'}"
        offered = [
            decision.shares
            for each, decision in sorted(controller.plan.decisions.items())
            if (each.service, each.leaf, each.label) == (service, leaf, label) and tenant in ("", each.tenant)
        ]
        if not offered:
            raise refuse(404, f"nobody there may use {asked}: no host of a tenant that it serves is there")
        shares = next((each for each in offered if any(each.values())), {})
        if not shares:
            raise refuse(409, f"no instance of {asked} may be used now: din explain says why")
        (chosen,) = random.choices(list(shares), list(shares.values()))
        found = model.service[service]
        return Pick(
            service=service,
            instance=chosen,
            instance_id=controller.desired.ids.of("instance", chosen),
            service_id=controller.desired.ids.of("service", service),
            addresses=[str(each) for each in found.addresses],
            port=found.port,
        )

    def numbers(self) -> Numbers:
        numbers = self._controller.desired.ids.numbers
        return Numbers(
            tenants=dict(numbers["tenant"]),
            services=dict(numbers["service"]),
            labels=dict(numbers["label"]),
            instances=dict(numbers["instance"]),
        )

    def metrics(self) -> str:
        controller = self._controller
        health = [
            SwitchHealth(each.name, each.connected, each.primary, each.pending) for each in self._switches()
        ]
        return render(
            controller.telemetry,
            controller.measured,
            controller.plan,
            health,
            time.monotonic() - controller.started,
            controller.desired.number,
        ).decode()

    def latency(self, since: float) -> dict[str, Any]:
        return self._controller.telemetry.latency(since)

    # ---- changing ------------------------------------------------------------------------------------------

    def _prepare(self, model: ModelText) -> Prepared:
        controller, file = self._controller, model.file
        try:
            desired = prepare(model.text, file, controller.desired.number, controller.desired.ids)
        except ModelError as error:
            problems = [problem_view(each) for each in error.problems]
            raise refuse(
                422, f"{file}: the model has errors; nothing was changed", problems=problems
            ) from None
        except OutOfNumbersError as error:
            raise refuse(422, f"{file}: {error}") from None
        unknown = [name for name in desired.model.switch if not controller.address(desired, name)]
        if unknown:
            raise refuse(
                422, f"{file}: no P4Runtime address is known of {', '.join(unknown)}: give `address`"
            )
        plan, buckets = controller.prepare(desired, time.monotonic())
        try:
            states = compile_network(controller.context(desired, plan, buckets))
        except TooManySegmentsError as error:
            raise refuse(422, str(error)) from None
        program = controller.fleet.program
        missing = [f"{name}: {each}" for name, state in states.items() for each in dangling(program, state)]
        if missing:
            raise refuse(422, f"{file}: entries refer to what is not there: {'; '.join(missing[:5])}")
        return Prepared(desired, plan, buckets, states)

    async def _preview(self, states: Mapping[str, State]) -> Changes:
        """What it would take to make switches so; those that leave the model keep what they have."""
        fleet = self._controller.fleet
        known = {name: state for name, state in states.items() if name in fleet.switches}
        try:
            previews = await fleet.preview(known)
        except BadStateError as error:
            raise refuse(422, f"the program cannot hold that: {error}") from None
        readable = {name: each for name, each in previews.items() if isinstance(each, Preview)}
        return changes_view(readable, states.keys() - readable.keys())

    async def diff(self, model: ModelText | None) -> Changes:
        controller = self._controller
        if model is None:
            return await self._preview(controller.states)
        return await self._preview(self._prepare(model).states)

    async def apply(self, request: ApplyRequest) -> Applied:
        return await self._apply(request.model, f"apply {request.model.file}", request.yes, request.dry_run)

    async def _apply(self, model: ModelText, reason: str, yes: bool, dry_run: bool) -> Applied:
        controller = self._controller
        began = time.monotonic()
        started: dict[str, asyncio.Future[Result]] = {}
        async with self._taking:
            new = self._prepare(model)
            number = controller.desired.number
            changes = await self._preview(new.states)
            warnings = [problem_view(each) for each in new.desired.warnings]
            if changes.mass_deletion and not (yes or dry_run):
                error = f"this would delete much: {changes.mass_deletion}. If that is meant, say --yes"
                raise refuse(409, error, changes=changes)
            if not dry_run:
                # While switches were read the loop has gone on: its moves are kept.
                new = self._prepare(model)
                try:
                    number, started = controller.take(new, model.text, reason)
                except StoreError as problem:
                    error = f"the revision cannot be noted, and nothing was changed: {problem}"
                    raise refuse(409, error) from None
                except BadStateError as problem:
                    raise refuse(422, f"the program cannot hold that: {problem}") from None
        # Switches take their time; nobody else waits for that.
        results = await asyncio.gather(*(controller.answer(*each) for each in started.items()))
        failed = [f"{r.switch}: {'; '.join(r.errors)}" for r in results if r.outcome is Outcome.FAILED]
        if failed:
            raise refuse(
                409,
                f"revision {number} is in force, but switches refused parts of it, which is tried "
                f"again (din rollback goes back): {'; '.join(failed)}",
                changes=changes,
            )
        return Applied(revision=number, changes=changes, warnings=warnings, seconds=time.monotonic() - began)

    async def rollback(self, request: RollbackRequest) -> Applied:
        wanted = self._wanted(self._revisions(), request.revision)
        model = ModelText(text=wanted.text, file=wanted.file)
        return await self._apply(model, f"rollback to {wanted.number}", request.yes, dry_run=False)

    def _wanted(self, revisions: list[Revision], number: int | None) -> Revision:
        current = self._controller.desired.number
        if number is None:
            # What was in force before: not what a rollback itself has added.
            text = next(each.text for each in revisions if each.number == current)
            older = [each for each in revisions if each.number < current and each.text != text]
            if not older:
                raise refuse(409, "there is no earlier revision")
            return older[-1]
        found = next((each for each in revisions if each.number == number), None)
        if found is None:
            raise refuse(404, f"there is no revision {number}; din rollback --list shows them")
        return found

    async def set_steering(self, request: SteeringRequest) -> None:
        controller = self._controller
        try:
            instances, paths = InstanceChoice(request.instances), PathChoice(request.paths)
        except ValueError as error:
            raise refuse(422, str(error)) from None
        model = controller.desired.model
        steering = model.steering.model_copy(update={"instances": instances, "paths": paths})
        controller.desired = replace(
            controller.desired, model=model.model_copy(update={"steering": steering})
        )
        controller.decide()

    # ---- draining ------------------------------------------------------------------------------------------

    def _instance(self, name: str) -> None:
        self._known("instance", name, self._controller.desired.model.instance)

    async def undrain(self, instance: str) -> None:
        self._instance(instance)
        controller = self._controller
        self._set_drained(controller.drained - {instance})
        self._set_cut(controller.cut - {instance})
        controller.wake()

    def _set_drained(self, drained: frozenset[str]) -> None:
        try:
            self._controller.store.save_drained(drained)
        except StoreError as error:
            # It would come to another end with the next start.
            raise refuse(409, f"nothing was changed: {error}") from None
        self._controller.drained = drained

    def _set_cut(self, cut: frozenset[str]) -> None:
        self._controller.cut = cut
        try:
            self._controller.store.save_cut(cut)
        except StoreError as error:
            LOG.error("who was cut is not noted: %s", error)

    async def drain(self, request: DrainRequest) -> AsyncIterator[DrainProgress]:
        controller, name = self._controller, request.instance
        self._instance(name)
        service = controller.desired.model.instance[name].service
        others = {each.name for each in controller.desired.model.instances_of(service)} - {name}
        if not others & controller.plan.alive - controller.drained:
            raise refuse(409, f"{name} is the last instance of {service} that takes connections")
        self._set_drained(controller.drained | {name})
        controller.wake()
        began = time.monotonic()
        last: int | None = -1
        while True:
            elapsed = time.monotonic() - began
            # Of before the drain nothing is worth anything.
            state = controller.measurements.measured(time.monotonic()).instance(name)
            left = connections_left(state, began + 1.0)
            if left == 0:
                yield DrainProgress(instance=name, in_flight=0, elapsed=elapsed, state="drained")
                return
            if elapsed >= request.deadline:
                self._set_cut(controller.cut | {name})
                controller.wake()
                yield DrainProgress(
                    instance=name, in_flight=left, elapsed=elapsed, state="cut", cut=left or 0
                )
                return
            if left != last:
                last = left
                yield DrainProgress(instance=name, in_flight=left, elapsed=elapsed, state="draining")
            await asyncio.sleep(_DRAIN_SECONDS)
            if name not in controller.drained or name not in controller.desired.model.instance:
                yield DrainProgress(instance=name, in_flight=left, elapsed=elapsed, state="undrained")
                return
