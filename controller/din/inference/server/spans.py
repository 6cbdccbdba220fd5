# SPDX-License-Identifier: Apache-2.0
"""A span for every finished request, in vLLM's shape, over OTLP/HTTP in protobuf.

Name, kind and gen_ai attributes are those of vLLM's OutputProcessor.do_tracing. Beside them stand the
connection's addresses (OpenTelemetry's network.peer.* is the client, network.local.* the service), so that
what the network reports of a flow finds the request. A collector that is dead costs spans, nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from .http_client import post

BATCH_SECONDS: Final = 0.5
#: Spans that wait for a collector; the oldest go first.
LARGEST_BACKLOG: Final = 2048
_TIMEOUT: Final = 2.0
_LAST_TIMEOUT: Final = 0.5  # at the end, nobody waits long for a collector
#: W3C Trace Context, version 00.
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")

Attributes = Mapping[str, str | int | float]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Context:
    """Where a request's span hangs in its trace."""

    trace_id: bytes
    span_id: bytes
    parent_id: bytes

    @property
    def traceparent(self) -> str:
        """To hand on: what is done elsewhere for this request hangs below its span."""
        return f"00-{self.trace_id.hex()}-{self.span_id.hex()}-01"


def context_of(traceparent: str | None) -> Context:
    """Below the client's span if it told one, else of a trace of its own."""
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    trace = bytes.fromhex(match[1]) if match else secrets.token_bytes(16)
    return Context(trace, secrets.token_bytes(8), bytes.fromhex(match[2]) if match else b"")


class Spans:
    """Exports in batches. ``endpoint``: a whole URL with its path, as vLLM's option; None: nowhere."""

    def __init__(self, endpoint: str | None, name: str) -> None:
        self._endpoint = endpoint
        self._name = name
        self._waiting: list[Span] = []
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._failing = False
        self.dropped = 0  # since the start

    def start(self) -> None:
        if self._endpoint is not None:
            self._task = asyncio.create_task(self._run(self._endpoint))

    async def stop(self) -> None:
        """Sends what waits, if it is taken."""
        if self._task is None or self._endpoint is None:
            return
        self._stopping.set()  # what is on its way arrives, and once
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._task, _LAST_TIMEOUT)
        await self._export(self._endpoint, _LAST_TIMEOUT)

    def add(self, context: Context, start_ns: int, end_ns: int, attributes: Attributes) -> None:
        """The span of one request. Times are of the wall clock."""
        if self._endpoint is None:
            return
        span = Span(
            trace_id=context.trace_id,
            span_id=context.span_id,
            parent_span_id=context.parent_id,
            name="llm_request",
            kind=Span.SPAN_KIND_SERVER,
            start_time_unix_nano=start_ns,
            end_time_unix_nano=end_ns,
            attributes=_key_values(attributes),
        )
        if len(self._waiting) >= LARGEST_BACKLOG:
            del self._waiting[0]
            self.dropped += 1
        self._waiting.append(span)

    async def _run(self, endpoint: str) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), BATCH_SECONDS)
            await self._export(endpoint, _TIMEOUT)

    async def _export(self, endpoint: str, timeout: float) -> None:
        if not self._waiting:
            return
        batch, self._waiting = self._waiting, []
        request = ExportTraceServiceRequest()
        resource = request.resource_spans.add()
        resource.resource.attributes.extend(
            _key_values({"service.name": self._name, "service.instance.id": self._name})
        )
        scope = resource.scope_spans.add()
        scope.scope.name = "din.inference.server"
        scope.spans.extend(batch)
        headers = [("Content-Type", "application/x-protobuf")]
        try:
            status, _ = await post(endpoint, request.SerializeToString(), headers, timeout)
            failure = "" if status == 200 else f"it answered {status}"
        except OSError as error:
            failure = str(error) or type(error).__name__
        if failure:
            self.dropped += len(batch)
        if bool(failure) != self._failing:  # once a change, not twice a second
            self._failing = bool(failure)
            log.warning("spans to %s: %s", endpoint, failure or "taken again")


def _key_values(attributes: Attributes) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in attributes.items()]


def _value(value: str | int | float) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    return AnyValue(double_value=value)
