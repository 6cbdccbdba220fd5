# SPDX-License-Identifier: Apache-2.0
"""OTLP requests as model servers send them, and as others may."""

from __future__ import annotations

import contextlib

import pytest
from din.telemetry.spans import Span, decode_spans
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue


def value(of: object) -> AnyValue:
    match of:
        case bool():
            return AnyValue(bool_value=of)
        case str():
            return AnyValue(string_value=of)
        case int():
            return AnyValue(int_value=of)
        case float():
            return AnyValue(double_value=of)
    return AnyValue()


def export(*requests: dict[str, object], name: str = "chat-1") -> bytes:
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    resource.resource.attributes.append(KeyValue(key="service.name", value=value(name)))
    for attributes in requests:
        span = resource.scope_spans.add().spans.add(start_time_unix_nano=1_700_000_000_500_000_000)
        span.attributes.extend(KeyValue(key=key, value=value(each)) for key, each in attributes.items())
    found: bytes = message.SerializeToString()
    return found


WHOLE: dict[str, object] = {
    "gen_ai.latency.time_to_first_token": 0.25,
    "gen_ai.latency.e2e": 2,
    "gen_ai.latency.time_in_queue": 0.125,
    "gen_ai.latency.time_in_model_prefill": 0.0625,
    "gen_ai.latency.time_in_model_decode": 1.5,
    "gen_ai.usage.prompt_tokens": 100,
    "gen_ai.usage.completion_tokens": 40,
    "gen_ai.request.id": "cmpl-1",
    "network.peer.address": "2001:DB8::0:10",
    "network.peer.port": 50000,
}


def test_a_request() -> None:
    assert decode_spans(export(WHOLE)) == [
        Span(
            "chat-1",
            "cmpl-1",
            1_700_000_000.5,
            "2001:db8::10",
            50000,
            0.125,
            0.0625,
            0.25,
            1.5,
            2.0,
            100,
            40,
        )
    ]


def test_vllm_does_not_tell_the_client() -> None:
    vllm = {key: each for key, each in WHOLE.items() if not key.startswith("network.")}
    (found,) = decode_spans(export(vllm))
    assert (found.peer_address, found.peer_port, found.queue) == (None, None, 0.125)


def test_spans_of_anything_else_are_left_out() -> None:
    assert decode_spans(export({"http.route": "/health"}, WHOLE, {})) == decode_spans(export(WHOLE))
    assert decode_spans(b"") == []


@pytest.mark.parametrize(
    ("key", "wrong", "field"),
    [
        ("gen_ai.latency.time_in_queue", float("nan"), "queue"),
        ("gen_ai.latency.time_in_queue", -1.0, "queue"),
        ("gen_ai.latency.time_in_queue", float("inf"), "queue"),
        ("gen_ai.latency.time_in_queue", True, "queue"),
        ("gen_ai.latency.time_in_queue", "0.1", "queue"),
        ("gen_ai.usage.prompt_tokens", -5, "prompt_tokens"),
        ("gen_ai.usage.prompt_tokens", 1.5, "prompt_tokens"),
        ("network.peer.address", "somebody", "peer_address"),
        ("network.peer.port", 70000, "peer_port"),
        ("network.peer.port", None, "peer_port"),
    ],
)
def test_values_that_cannot_be_are_not_known(key: str, wrong: object, field: str) -> None:
    (found,) = decode_spans(export({**WHOLE, key: wrong}))
    assert getattr(found, field) is None
    assert found.ttft == 0.25


@given(st.binary(max_size=100))
def test_anything_else_is_a_value_error(body: bytes) -> None:
    with contextlib.suppress(ValueError):
        decode_spans(body)


def test_what_it_says_of_nonsense() -> None:
    with pytest.raises(ValueError, match="not an ExportTraceServiceRequest"):
        decode_spans(b"\xff" * 20)
