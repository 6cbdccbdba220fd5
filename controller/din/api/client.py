# SPDX-License-Identifier: Apache-2.0
"""A controller's API, for programs: over its Unix socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from . import schema

SOCKET_NAME = "controller.sock"
#: An apply waits for its switches.
_TIMEOUT = 120.0


class NotRunningError(ConnectionError):
    """No controller answers there."""


class RefusedError(Exception):
    """The controller did not do it, and says why."""

    def __init__(self, refusal: schema.Refusal) -> None:
        super().__init__(refusal.error)
        self.refusal = refusal


class Client:
    """Of the controller whose state directory this is. All methods: NotRunningError, RefusedError."""

    def __init__(self, state: Path) -> None:
        self.socket = state / SOCKET_NAME
        transport = httpx.HTTPTransport(uds=str(self.socket))
        self._http = httpx.Client(transport=transport, base_url="http://controller", timeout=_TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        try:
            answer = self._http.request(method, path, **more)
        except httpx.TransportError as error:
            raise self._silent(error) from None
        _raise_refusal(answer)
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        # A 204 says that it is JSON, and is nothing.
        return answer.json() if is_json and answer.content else answer.text

    def _silent(self, error: Exception) -> NotRunningError:
        if isinstance(error, httpx.TimeoutException):
            return NotRunningError(f"the controller at {self.socket} takes connections, but does not answer")
        return NotRunningError(f"no controller answers at {self.socket} ({error}). Start one with din up")

    def status(self) -> schema.Status:
        return schema.Status.model_validate(self._ask("GET", "/v1/status"))

    def plan(self) -> schema.PlanView:
        return schema.PlanView.model_validate(self._ask("GET", "/v1/plan"))

    def explain(self, service: str, leaf: str) -> list[schema.DecisionView]:
        found = self._ask("GET", "/v1/explain", params={"service": service, "leaf": leaf})
        return [schema.DecisionView.model_validate(each) for each in found]

    def revisions(self) -> list[schema.RevisionView]:
        return [schema.RevisionView.model_validate(each) for each in self._ask("GET", "/v1/revisions")]

    def pick(self, service: str, leaf: str, tenant: str = "", label: str = "") -> schema.Pick:
        """``tenant`` "": any that may. ``label`` "": unlabelled."""
        asked = {"service": service, "leaf": leaf, "tenant": tenant, "label": label}
        return schema.Pick.model_validate(self._ask("GET", "/v1/pick", params=asked))

    def numbers(self) -> schema.Numbers:
        return schema.Numbers.model_validate(self._ask("GET", "/v1/numbers"))

    def latency(self, since: float = 0.0) -> dict[str, Any]:
        found: dict[str, Any] = self._ask("GET", "/v1/latency", params={"since": since})
        return found

    def metrics(self) -> str:
        return str(self._ask("GET", "/metrics"))

    def diff(self, model: schema.ModelText | None = None) -> schema.Changes:
        body = None if model is None else model.model_dump()
        return schema.Changes.model_validate(self._ask("POST", "/v1/diff", json=body))

    def apply(self, request: schema.ApplyRequest) -> schema.Applied:
        return schema.Applied.model_validate(self._ask("POST", "/v1/apply", json=request.model_dump()))

    def rollback(self, request: schema.RollbackRequest) -> schema.Applied:
        return schema.Applied.model_validate(self._ask("POST", "/v1/rollback", json=request.model_dump()))

    def set_steering(self, request: schema.SteeringRequest) -> None:
        self._ask("POST", "/v1/steering", json=request.model_dump())

    def undrain(self, instance: str) -> None:
        self._ask("POST", f"/v1/undrain/{quote(instance, safe='')}")

    def drain(self, request: schema.DrainRequest) -> Iterator[schema.DrainProgress]:
        """Until it is drained or cut."""
        try:
            with self._http.stream(
                "POST", "/v1/drain", json=request.model_dump(), timeout=request.deadline + _TIMEOUT
            ) as answer:
                if answer.is_error:
                    answer.read()
                _raise_refusal(answer)
                for line in answer.iter_lines():
                    yield schema.DrainProgress.model_validate_json(line)
        except httpx.TransportError as error:
            raise self._silent(error) from None


def _raise_refusal(answer: httpx.Response) -> None:
    if not answer.is_error:
        return
    try:
        refusal = schema.Refusal.model_validate(answer.json())
    except ValueError:
        refusal = schema.Refusal(error=f"the controller answered {answer.status_code}: {answer.text[:200]}")
    raise RefusedError(refusal)
