# SPDX-License-Identifier: Apache-2.0
"""Spans of requests that model servers export over OTLP, as vLLM names their attributes. Pure.

SGLang uses the same names, but leaves the time in the queue out: its prefill has that in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, TypeAlias

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

Value: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True)
class Span:
    """One request, as its server saw it. Seconds; None: it did not say."""

    instance: str  # what the server calls itself
    request_id: str
    start: float  # Unix time
    peer_address: str | None = None  # of the client
    peer_port: int | None = None
    queue: float | None = None
    prefill: float | None = None
    ttft: float | None = None
    decode: float | None = None
    e2e: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


def decode_spans(body: bytes) -> list[Span]:
    """Of an ExportTraceServiceRequest in protobuf: those of requests to a model. ValueError: it is none."""
    request = ExportTraceServiceRequest()
    try:
        request.ParseFromString(body)
    except DecodeError as error:
        raise ValueError(f"not an ExportTraceServiceRequest: {error}") from None
    return _spans(request)


def decode_json_spans(body: bytes) -> list[Span]:
    """The same, of OTLP's JSON. Its IDs are hexadecimal, unlike protobuf's, and none of them is used."""
    request = ExportTraceServiceRequest()
    try:
        json_format.Parse(body, request, ignore_unknown_fields=True)
    except (json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not an ExportTraceServiceRequest: {error}") from None
    return _spans(request)


JSON: Final = "application/json"
#: Content type -> how it is read.
DECODERS: Final[Mapping[str, Callable[[bytes], list[Span]]]] = {
    "application/x-protobuf": decode_spans,
    JSON: decode_json_spans,
}


def _spans(request: ExportTraceServiceRequest) -> list[Span]:
    found = []
    for resource in request.resource_spans:
        named = _attributes(resource.resource.attributes)
        name = _text(named, "service.instance.id") or _text(named, "service.name") or ""
        for scope in resource.scope_spans:
            found += [span for each in scope.spans if (span := _span(name, each)) is not None]
    return found


def _span(instance: str, span: trace_pb2.Span) -> Span | None:
    values = _attributes(span.attributes)
    ttft = _seconds(values, "gen_ai.latency.time_to_first_token")
    e2e = _seconds(values, "gen_ai.latency.e2e")
    if ttft is None and e2e is None:
        return None
    address = _text(values, "network.peer.address")
    port = _count(values, "network.peer.port")
    try:
        address = str(ip_address(address)) if address else None
    except ValueError:
        address = None
    return Span(
        instance=instance,
        request_id=_text(values, "gen_ai.request.id") or "",
        start=span.start_time_unix_nano / 1e9,
        peer_address=address,
        peer_port=port if port is not None and port < 1 << 16 else None,
        queue=_seconds(values, "gen_ai.latency.time_in_queue"),
        prefill=_seconds(values, "gen_ai.latency.time_in_model_prefill"),
        ttft=ttft,
        decode=_seconds(values, "gen_ai.latency.time_in_model_decode"),
        e2e=e2e,
        prompt_tokens=_count(values, "gen_ai.usage.prompt_tokens"),
        completion_tokens=_count(values, "gen_ai.usage.completion_tokens"),
    )


def _attributes(attributes: Iterable[KeyValue]) -> dict[str, Value]:
    return {each.key: _value(each.value) for each in attributes}


def _value(value: AnyValue) -> Value:
    kind = value.WhichOneof("value")
    if kind not in ("string_value", "int_value", "double_value", "bool_value"):
        return None
    found: Value = getattr(value, kind)
    return found


def _text(values: dict[str, Value], name: str) -> str | None:
    value = values.get(name)
    return value if isinstance(value, str) else None


def _seconds(values: dict[str, Value], name: str) -> float | None:
    """Finite and not below 0."""
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 1e9 else None


def _count(values: dict[str, Value], name: str) -> int | None:
    value = values.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
