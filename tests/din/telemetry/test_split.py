# SPDX-License-Identifier: Apache-2.0
"""Where the time of responses went."""

from __future__ import annotations

import json

import pytest
from din.measure.state import Load
from din.telemetry.spans import Span
from din.telemetry.split import Statistics, latency, split
from din.telemetry.ttft import Response


def response(client: float | None, server: float | None, **more: object) -> Response:
    return Response(0.0, "chat", None, client=client, server=server, **more)  # type: ignore[arg-type]


def span(queue: float | None, prefill: float | None) -> Span:
    return Span("chat-1", "", 0.0, queue=queue, prefill=prefill)


def test_percentiles() -> None:
    found = Statistics.of([*range(101), None])
    assert (found.count, found.mean, found.p50, found.p95, found.p99) == (101, 50, 50, 95, 99)
    assert Statistics.of([None]) == Statistics(0)


def test_all_parts_make_up_the_whole() -> None:
    one = split([response(60_000, 50_000, span=span(0.02, 0.025))])
    parts = (one.network, one.queue, one.compute, one.other)
    assert [each.mean for each in parts] == pytest.approx([10_000, 20_000, 25_000, 5_000])
    assert sum(each.mean or 0 for each in parts) == pytest.approx(one.client_leaf.mean)
    assert (one.source, one.spans, one.responses) == ("spans", 1, 1)


def test_without_spans_the_histograms_tell() -> None:
    load = Load(at=0.0, queue_time=0.02, prefill_time=0.025)
    one = split([response(60_000, 50_000, load=load)])
    assert (one.queue.mean, one.compute.mean, one.source) == (20_000, 25_000, "histograms")


def test_what_is_known_of_some_alone() -> None:
    some = [
        response(60_000, 50_000, span=span(0.01, 0.02)),
        response(None, 50_000, load=Load(at=0.0, queue_time=0.03)),
        response(70_000, None),
        response(None, None, span=span(None, None)),
    ]
    found = split(some)
    assert found.source == "mixed"
    counts = [each.count for each in (found.client_leaf, found.server_leaf, found.network, found.queue)]
    assert (found.responses, found.spans, counts) == (3, 1, [2, 2, 1, 2])
    assert (found.compute.count, found.other.count) == (1, 1)
    assert split([]).source == split(some[2:]).source == "none"


def test_spans_that_do_not_say_whose_they_are() -> None:
    """vLLM's. Each request is counted once, by its span, and not by the histograms' means as well."""
    load = Load(at=0.0, queue_time=1.0, prefill_time=1.0)
    reported = [response(60_000, 50_000 + 2000 * i, instance="a", load=load) for i in range(3)]
    alone = [response(None, None, instance="a", span=span(0.01 * i, 0.02)) for i in range(3)]
    elsewhere = response(None, 50_000, instance="b", load=Load(at=0.0, queue_time=0.03, prefill_time=0.02))
    found = split([*reported, *alone])
    assert (found.responses, found.spans, found.source) == (3, 3, "spans")
    assert (found.queue.count, found.queue.mean, found.queue.p50) == (3, 10_000, 10_000)
    assert (found.other.count, found.other.mean) == (3, pytest.approx(22_000))
    assert split([*reported, *alone, elsewhere]).source == "mixed"


def test_a_prefill_that_has_the_queue_in_it_is_none() -> None:
    """SGLang's."""
    load = Load(at=0.0, queue_time=0.01, prefill_time=0.02)
    found = split([response(None, 50_000, span=span(None, 0.03), load=load)])
    assert (found.compute.mean, found.source, found.spans) == (20_000, "histograms", 0)


def test_clocks_resolve_only_so_much() -> None:
    found = split([response(49_999, 50_000, span=span(0.03, 0.03))])
    assert (found.network.mean, found.other.mean) == (0, 0)


def test_by_service_instance_and_leaf() -> None:
    some = [
        response(60_000, 50_000, instance="a", client_leaf="leaf-1"),
        response(60_000, 40_000, instance="b", client_leaf="leaf-1"),
        response(60_000, None),
    ]
    some[2].service = "assist"
    found = json.loads(json.dumps(latency(some)))
    assert list(found) == ["assist", "chat"]
    assert found["chat"]["network"]["mean"] == 15_000
    assert {name: each["network"]["p50"] for name, each in found["chat"]["instances"].items()} == {
        "a": 10_000,
        "b": 20_000,
    }
    assert found["chat"]["leaves"]["leaf-1"]["responses"] == 2
    assert found["assist"]["instances"] == {}
