# SPDX-License-Identifier: Apache-2.0
"""The controller's HTTP API, as `din.api.schema` has its bodies. A refusal is a 4xx with a `Refusal`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, Protocol

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import schema

#: Bytes of a request's body, which is held in memory, and seconds in which it comes.
LARGEST_BODY: Final = 16 << 20
BODY_SECONDS: Final = 30.0


class RefusedError(Exception):
    """What was asked for was not done. ``status`` 404: no such thing; 409: not now, or not without `yes`;
    422: it is wrong.
    """

    def __init__(self, status: int, refusal: schema.Refusal) -> None:
        super().__init__(refusal.error)
        self.status = status
        self.refusal = refusal


class Operations(Protocol):
    """What the API needs of a controller. Any of these may raise RefusedError."""

    def status(self) -> schema.Status: ...
    def plan(self) -> schema.PlanView: ...
    def explain(self, service: str, leaf: str) -> list[schema.DecisionView]: ...
    def revisions(self) -> list[schema.RevisionView]: ...
    def pick(self, service: str, leaf: str, tenant: str, label: str) -> schema.Pick: ...
    def numbers(self) -> schema.Numbers: ...
    def metrics(self) -> str: ...
    def latency(self, since: float) -> dict[str, Any]: ...
    async def diff(self, model: schema.ModelText | None) -> schema.Changes: ...
    async def apply(self, request: schema.ApplyRequest) -> schema.Applied: ...
    async def rollback(self, request: schema.RollbackRequest) -> schema.Applied: ...
    async def set_steering(self, request: schema.SteeringRequest) -> None: ...
    async def undrain(self, instance: str) -> None: ...
    def drain(self, request: schema.DrainRequest) -> AsyncIterator[schema.DrainProgress]: ...


class _Bounded:
    """Bodies that are too large, or do not come, are refused instead of waited for."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        left, more = LARGEST_BODY, scope["type"] == "http"

        async def bounded() -> Message:
            nonlocal left, more
            if not more:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, f"the body did not come within {BODY_SECONDS:g} s") from None
            left -= len(message.get("body", b""))
            if left < 0:
                raise HTTPException(413, f"the body has more than {LARGEST_BODY} bytes")
            more = message.get("more_body", False)
            return message

        deadline = asyncio.get_running_loop().time() + BODY_SECONDS
        await self._app(scope, bounded, send)


def _refuse_as_we_do(app: FastAPI) -> None:
    """What the framework refuses has a `Refusal` too."""

    @app.exception_handler(RefusedError)
    async def refused(_: Request, error: RefusedError) -> JSONResponse:
        return JSONResponse(error.refusal.model_dump(), error.status)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        wrong = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        return JSONResponse(schema.Refusal(error=f"bad request: {'; '.join(wrong[:5])}").model_dump(), 422)

    @app.exception_handler(StarletteHTTPException)
    async def other(request: Request, error: StarletteHTTPException) -> JSONResponse:
        refusal = schema.Refusal(error=f"{request.method} {request.url.path}: {error.detail}")
        return JSONResponse(refusal.model_dump(), error.status_code, error.headers)


def make_app(controller: Operations) -> FastAPI:
    app = FastAPI(title="DIN controller", openapi_url="/v1/openapi.json", docs_url="/v1/docs")
    app.add_middleware(_Bounded)
    _refuse_as_we_do(app)

    @app.get("/v1/status")
    async def status() -> schema.Status:
        return controller.status()

    @app.get("/v1/plan")
    async def plan() -> schema.PlanView:
        return controller.plan()

    @app.get("/v1/explain")
    async def explain(service: str, leaf: str) -> list[schema.DecisionView]:
        return controller.explain(service, leaf)

    @app.get("/v1/revisions")
    async def revisions() -> list[schema.RevisionView]:
        return controller.revisions()

    @app.get("/v1/pick")
    async def pick(service: str, leaf: str, tenant: str = "", label: str = "") -> schema.Pick:
        """``tenant`` "": any that may. ``label`` "": unlabelled."""
        return controller.pick(service, leaf, tenant, label)

    @app.get("/v1/numbers")
    async def numbers() -> schema.Numbers:
        return controller.numbers()

    @app.get("/v1/latency")
    async def latency(since: Annotated[float, Query(allow_inf_nan=False)] = 0.0) -> dict[str, Any]:
        return controller.latency(since)

    @app.get("/metrics")
    async def metrics() -> PlainTextResponse:
        return PlainTextResponse(controller.metrics(), media_type="text/plain; version=0.0.4")

    @app.post("/v1/diff")
    async def diff(model: schema.ModelText | None = None) -> schema.Changes:
        return await controller.diff(model)

    @app.post("/v1/apply")
    async def apply(request: schema.ApplyRequest) -> schema.Applied:
        return await controller.apply(request)

    @app.post("/v1/rollback")
    async def rollback(request: schema.RollbackRequest) -> schema.Applied:
        return await controller.rollback(request)

    @app.post("/v1/steering", status_code=204)
    async def steering(request: schema.SteeringRequest) -> None:
        await controller.set_steering(request)

    @app.post("/v1/undrain/{instance}", status_code=204)
    async def undrain(instance: str) -> None:
        await controller.undrain(instance)

    @app.post("/v1/drain")
    async def drain(request: schema.DrainRequest) -> StreamingResponse:
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
