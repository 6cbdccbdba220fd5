# SPDX-License-Identifier: Apache-2.0
"""A controller that answers what a test wants it to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from din.api.app import RefusedError
from din.api.schema import (
    Applied,
    ApplyRequest,
    Changes,
    ChoiceView,
    DecisionView,
    DrainProgress,
    DrainRequest,
    EntryChange,
    InstanceStatus,
    LinkStatus,
    ModelText,
    Pick,
    PlanView,
    Refusal,
    RejectionView,
    RevisionView,
    RollbackRequest,
    RouteView,
    ServiceStatus,
    Status,
    SteeringRequest,
    SwitchStatus,
    TableChange,
)

NO_CHANGES = Changes(tables=[], entries=[])
CHANGES = Changes(
    tables=[
        TableChange(switch="leaf-1", table="paths", inserted=3, modified=2, deleted=1, before=40),
        TableChange(switch="leaf-2", table="members", inserted=0, modified=0, deleted=0, before=7),
    ],
    entries=[
        EntryChange(switch="leaf-1", change="insert", entry="paths[target=3] via"),
        EntryChange(switch="leaf-1", change="delete", entry="paths[target=4] via"),
    ],
    omitted=4,
)
THERE = RouteView(
    nodes=["leaf-1", "core-1", "leaf-2"], base_latency=3000, measured_latency=3450.0, mtu=9000, cost=2.0
)
BACK = RouteView(
    nodes=["leaf-2", "core-2", "leaf-1"], base_latency=5000, measured_latency=None, mtu=None, cost=1.5
)
DECISION = DecisionView(
    leaf="leaf-1",
    service="chat",
    tenant="acme",
    traffic_class="interactive",
    label="secret",
    choices=[
        ChoiceView(
            instance=name,
            variant="llama-8b",
            share=share,
            request=THERE,
            response=BACK,
            queue=1000.0,
            compute=20_000.0,
            total=29_000.0,
        )
        for name, share in (("chat-2", 0.25), ("chat-1", 0.75), ("chat-4", 0.0))
    ],
    rejected=[RejectionView(what="chat-3", constraint="zone", detail="cloud is not campus")],
)


def status() -> Status:
    """One of everything is well, and one is not."""
    common = {"service": "chat", "variant": "llama-8b", "leaf": "leaf-2"}
    return Status(
        model="pair",
        revision=7,
        uptime=3725.0,
        role="primary",
        instance_choice="din",
        path_choice="shortest",
        switches=[
            SwitchStatus(
                name="leaf-1",
                role="leaf",
                target="p4jit",
                address="127.0.0.1:50001",
                connected=True,
                primary=True,
                entries=1149,
                pending=0,
            ),
            SwitchStatus(
                name="leaf-2",
                role="leaf",
                target="bmv2",
                address="127.0.0.1:50002",
                connected=False,
                primary=False,
                entries=146,
                pending=146,
                error="connection refused",
                ports_down=[1, 2],
            ),
        ],
        links=[
            LinkStatus(
                src="leaf-1", src_port=1, dst="leaf-2", dst_port=2, up=True, delay=2000, extra=150.0, age=1.0
            ),
            LinkStatus(
                src="leaf-2",
                src_port=2,
                dst="leaf-1",
                dst_port=1,
                up=False,
                delay=2000,
                miswired="spine-1:4",
            ),
        ],
        instances=[
            InstanceStatus(name="chat-1", host="server-1", alive=True, running=3.0, kv_usage=0.25, **common),
            InstanceStatus(name="chat-2", host="server-2", alive=False, reason="no answer", **common),
            InstanceStatus(name="chat-3", host="server-3", alive=True, drained=True, **common),
        ],
        services=[
            ServiceStatus(
                name="chat",
                dns="chat.din.example",
                addresses=["10.100.0.1"],
                port=8000,
                served_model="llama-3",
                alive=1,
                instances=2,
            )
        ],
        reports=1234,
        reports_lost=5,
    )


class FakeController:
    """`din.api.app.Operations`. ``refusal`` is raised by whatever would change something."""

    def __init__(self) -> None:
        self.refusal: RefusedError | None = None
        self.changes = CHANGES
        self.drained = [
            DrainProgress(instance="chat-1", in_flight=None, elapsed=0.0, state="draining"),
            DrainProgress(instance="chat-1", in_flight=0, elapsed=1.5, state="drained"),
        ]
        self.asked: list[Any] = []

    def refuse(self, status: int, error: str, **more: Any) -> None:
        self.refusal = RefusedError(status, Refusal(error=error, **more))

    def _ask(self, what: Any) -> None:
        self.asked.append(what)
        if self.refusal is not None:
            raise self.refusal

    def status(self) -> Status:
        return status()

    def plan(self) -> PlanView:
        return PlanView(revision=7, decisions=[DECISION])

    def explain(self, service: str, leaf: str) -> list[DecisionView]:
        self._ask((service, leaf))
        return [DECISION]

    def revisions(self) -> list[RevisionView]:
        return [
            RevisionView(number=number, at=1e9, file="/etc/din.yaml", reason=reason, current=number == 7)
            for number, reason in ((6, "start"), (7, "apply"))
        ]

    def pick(self, service: str, leaf: str, tenant: str, label: str) -> Pick:
        raise NotImplementedError

    def metrics(self) -> str:
        return "din_up 1\n"

    def latency(self, since: float) -> dict[str, Any]:
        return {}

    async def diff(self, model: ModelText | None) -> Changes:
        self._ask(model)
        return self.changes

    async def apply(self, request: ApplyRequest) -> Applied:
        self._ask(request)
        return Applied(revision=8, changes=self.changes, seconds=0.25)

    async def rollback(self, request: RollbackRequest) -> Applied:
        self._ask(request)
        return Applied(revision=9, changes=self.changes, seconds=0.25)

    async def set_steering(self, request: SteeringRequest) -> None:
        raise NotImplementedError

    async def undrain(self, instance: str) -> None:
        self._ask(instance)

    async def drain(self, request: DrainRequest) -> AsyncIterator[DrainProgress]:
        self._ask(request)
        for each in self.drained:
            yield each
