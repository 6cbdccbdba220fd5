# SPDX-License-Identifier: Apache-2.0
"""The controller's HTTP API, as `din.api.schema` has its bodies. A refusal is a 4xx with a `Refusal`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse

from .schema import (
    Applied,
    ApplyRequest,
    Changes,
    DecisionView,
    DrainProgress,
    DrainRequest,
    ModelText,
    Numbers,
    Pick,
    PlanView,
    Refusal,
    RevisionView,
    RollbackRequest,
    Status,
    SteeringRequest,
)


class RefusedError(Exception):
    """What was asked for was not done. ``status`` 404: no such thing; 409: not now, or not without `yes`;
    422: it is wrong.
    """

    def __init__(self, status: int, refusal: Refusal) -> None:
        super().__init__(refusal.error)
        self.status = status
        self.refusal = refusal


class Operations(Protocol):
    """What the API needs of a controller. Any of these may raise RefusedError."""

    def status(self) -> Status: ...
    def plan(self) -> PlanView: ...
    def explain(self, service: str, leaf: str) -> list[DecisionView]: ...
    def revisions(self) -> list[RevisionView]: ...
    def pick(self, service: str, leaf: str) -> Pick: ...
    def numbers(self) -> Numbers: ...
    def metrics(self) -> str: ...
    def latency(self, since: float) -> dict[str, Any]: ...
    async def diff(self, model: ModelText | None) -> Changes: ...
    async def apply(self, request: ApplyRequest) -> Applied: ...
    async def rollback(self, request: RollbackRequest) -> Applied: ...
    async def set_steering(self, request: SteeringRequest) -> None: ...
    async def undrain(self, instance: str) -> None: ...
    def drain(self, request: DrainRequest) -> AsyncIterator[DrainProgress]: ...


def make_app(controller: Operations) -> FastAPI:
    app = FastAPI(title="DIN controller", openapi_url="/v1/openapi.json", docs_url="/v1/docs")

    @app.exception_handler(RefusedError)
    async def refused(_: Request, error: RefusedError) -> JSONResponse:
        return JSONResponse(error.refusal.model_dump(), error.status)

    @app.get("/v1/status")
    async def status() -> Status:
        return controller.status()

    @app.get("/v1/plan")
    async def plan() -> PlanView:
        return controller.plan()

    @app.get("/v1/explain")
    async def explain(service: str, leaf: str) -> list[DecisionView]:
        return controller.explain(service, leaf)

    @app.get("/v1/revisions")
    async def revisions() -> list[RevisionView]:
        return controller.revisions()

    @app.get("/v1/pick")
    async def pick(service: str, leaf: str) -> Pick:
        return controller.pick(service, leaf)

    @app.get("/v1/numbers")
    async def numbers() -> Numbers:
        return controller.numbers()

    @app.get("/v1/latency")
    async def latency(since: float = 0.0) -> dict[str, Any]:
        return controller.latency(since)

    @app.get("/metrics")
    async def metrics() -> PlainTextResponse:
        return PlainTextResponse(controller.metrics(), media_type="text/plain; version=0.0.4")

    @app.post("/v1/diff")
    async def diff(model: ModelText | None = None) -> Changes:
        return await controller.diff(model)

    @app.post("/v1/apply")
    async def apply(request: ApplyRequest) -> Applied:
        return await controller.apply(request)

    @app.post("/v1/rollback")
    async def rollback(request: RollbackRequest) -> Applied:
        return await controller.rollback(request)

    @app.post("/v1/steering", status_code=204)
    async def steering(request: SteeringRequest) -> None:
        await controller.set_steering(request)

    @app.post("/v1/undrain/{instance}", status_code=204)
    async def undrain(instance: str) -> None:
        await controller.undrain(instance)

    @app.post("/v1/drain")
    async def drain(request: DrainRequest) -> StreamingResponse:
        """One line of JSON (`DrainProgress`) whenever something has changed."""
        progress = controller.drain(request)
        # The first step may refuse, which must be seen before the answer has begun.
        first = await anext(progress)

        async def lines() -> AsyncIterator[str]:
            yield first.model_dump_json() + "\n"
            async for each in progress:
                yield each.model_dump_json() + "\n"

        return StreamingResponse(lines(), media_type="application/x-ndjson")

    return app
