# SPDX-License-Identifier: Apache-2.0
"""What a server answers on which path."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

from . import api, metrics
from .generation import Generation, Parts
from .http1 import Reply, Request
from .scheduler import QueueFull

_JSON: Final = "application/json"
#: Seconds after which a refused client may try again: no more is known than that the queue moves.
RETRY_AFTER: Final = 1
log = logging.getLogger(__name__)


class Service:
    """The handler of every connection."""

    def __init__(self, parts: Parts) -> None:
        self.draining = False
        self._parts = parts
        options = parts.options
        context = min(options.context, parts.engine.scheduler.capacity)
        self._limits = api.Limits(options.served_models, context, options.scale.bytes)
        self._created = int(time.time())
        self._admin = {ip_address(each) for each in options.admin}
        self._routes: dict[str, dict[str, Callable[[Request, Reply], None]]] = {
            "/v1/chat/completions": {"POST": self._chat},
            "/v1/completions": {"POST": self._complete},
            "/v1/models": {"GET": self._models},
            "/health": {"GET": self._health},
            "/metrics": {"GET": self._metrics},
        }
        self._admin_routes: dict[str, dict[str, Callable[[Request, Reply], None]]] = {
            "/admin/slowdown": {"POST": self._slowdown},
            "/admin/reset": {"POST": self._reset},
            "/admin/state": {"GET": self._state},
        }

    def handle(self, request: Request, reply: Reply) -> None:
        """Answers it, or has it answered later."""
        reply.headers.append(("x-din-instance", self._parts.options.name))
        try:
            self._route(request)(request, reply)
        except api.ApiError as error:
            headers = [("Retry-After", str(error.retry_after))] if error.retry_after else []
            reply.send(error.status, error.body, _JSON, headers)
        except Exception:
            log.exception("%s %s", request.method, request.path)
            if reply.started:
                reply.cut()
            else:
                reply.send(500, api.ApiError(500, "internal error").body, _JSON)

    def _route(self, request: Request) -> Callable[[Request, Reply], None]:
        methods = self._routes.get(request.path)
        # To everyone else these paths do not exist.
        if methods is None and ip_address(request.local[0].partition("%")[0]) in self._admin:
            methods = self._admin_routes.get(request.path)
        if methods is None:
            raise api.ApiError(404, f"there is no {request.path} here")
        # Whoever may GET may ask for the head of it (RFC 9110, 9.3.2).
        method = "GET" if request.method == "HEAD" else request.method
        if method not in methods:
            raise api.ApiError(405, f"{request.path} takes {' or '.join(methods)}")
        return methods[method]

    def _chat(self, request: Request, reply: Reply) -> None:
        self._generate(request, reply, chat=True)

    def _complete(self, request: Request, reply: Reply) -> None:
        self._generate(request, reply, chat=False)

    def _generate(self, request: Request, reply: Reply, chat: bool) -> None:
        if self.draining:
            raise api.ApiError(503, "this server is about to end", retry_after=RETRY_AFTER)
        completion = api.parse(request.body, chat, self._limits)
        try:
            Generation(self._parts, completion, request, reply).start()
        except QueueFull:
            raise api.ApiError(
                429, "too many requests wait already", "rate_limit_exceeded", retry_after=RETRY_AFTER
            ) from None

    def _models(self, _request: Request, reply: Reply) -> None:
        reply.send(200, api.models(self._limits, self._created), _JSON)

    def _health(self, _request: Request, reply: Reply) -> None:
        reply.send(503 if self.draining else 200, b"", "text/plain")

    def _metrics(self, _request: Request, reply: Reply) -> None:
        reply.send(200, self._parts.metrics.text(), metrics.CONTENT_TYPE)

    def _slowdown(self, request: Request, reply: Reply) -> None:
        try:
            factor = json.loads(request.body)["factor"]
        except (ValueError, TypeError, KeyError):
            factor = None
        if not isinstance(factor, int | float) or isinstance(factor, bool) or not 0 < factor < float("inf"):
            raise api.ApiError(
                400, 'an object like {"factor": 4} is expected, its factor above 0', param="factor"
            )
        self._parts.engine.scheduler.slowdown = float(factor)
        self._state(request, reply)

    def _reset(self, request: Request, reply: Reply) -> None:
        """Everything under way is cut, everything set here is as at the start. Counters go on."""
        self.cut()
        self._parts.outbox.clear()
        self._parts.engine.scheduler.slowdown = 1.0
        self._state(request, reply)

    def cut(self) -> int:
        """Ends what is under way. How many that were."""
        generations = list(self._parts.generations)
        for generation in generations:
            generation.cut()
        return len(generations)

    def _state(self, _request: Request, reply: Reply) -> None:
        scheduler, options = self._parts.engine.scheduler, self._parts.options
        state = {
            "name": options.name,
            "role": options.role.value,
            "running": len(scheduler.running),
            "waiting": scheduler.queued,
            "held": len(scheduler.held),
            "kv_blocks": scheduler.profile.kv_blocks,
            "kv_blocks_used": scheduler.blocks_used,
            "slowdown": scheduler.slowdown,
            "draining": self.draining,
            "spans_dropped": self._parts.spans.dropped,
        }
        reply.send(200, json.dumps(state).encode(), _JSON)
