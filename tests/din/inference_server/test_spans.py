# SPDX-License-Identifier: Apache-2.0
"""Spans as an OTLP collector receives them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from din.inference.server import spans
from din.inference.server.http1 import Connection, Reply, Request
from din.inference.server.options import Role
from din.inference.server.server import Server
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.din.inference_server.bed import MODEL, client, options, until, url


class Collector:
    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.requests: list[ExportTraceServiceRequest] = []
        self.times: list[float] = []

    def handle(self, request: Request, reply: Reply) -> None:
        assert request.headers["content-type"] == "application/x-protobuf"
        assert request.path == "/v1/traces"
        self.requests.append(ExportTraceServiceRequest.FromString(request.body))
        self.times.append(time.monotonic())
        reply.send(self.status, b"", "application/x-protobuf")

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    async def until(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.spans) < count:
                await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Batches leave at once, but where they are what is tested."""
    if "batches" not in request.node.name:
        monkeypatch.setattr(spans, "BATCH_SECONDS", 0.02)


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    collector = Collector()
    connections: set[Connection] = set()
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(
        lambda: Connection(lambda *each: collector.handle(*each), connections, None), "127.0.0.1", 0
    )
    async with listener:
        collector.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1/traces"
        yield collector


def values(span: Span) -> dict[str, Any]:
    found = {}
    for each in span.attributes:
        kind = each.value.WhichOneof("value")
        assert kind is not None
        found[each.key] = getattr(each.value, kind)
    return found


async def complete(server: Server, **fields: Any) -> Any:
    async with client(server) as ai:
        return await ai.completions.create(model=MODEL, prompt="abc " * 200, max_tokens=11, **fields)


async def test_a_request_becomes_vllms_span() -> None:
    begin = time.time_ns()
    async with collecting() as collector:
        timed = options(name="fra-8b", otlp=collector.url, prefill_tokens_per_second=2000, decode_step="10ms")
        async with Server(timed) as server:
            answer = await complete(server, temperature=0.5)
            await collector.until(1)
            local = server.addresses[0]
    (span,) = collector.spans
    resource = collector.requests[0].resource_spans[0].resource
    assert {each.key: each.value.string_value for each in resource.attributes}["service.name"] == "fra-8b"
    assert (span.name, span.kind) == ("llm_request", Span.SPAN_KIND_SERVER)
    assert (len(span.trace_id), len(span.span_id), span.parent_span_id) == (16, 8, b"")
    assert begin < span.start_time_unix_nano < span.end_time_unix_nano < time.time_ns()
    found = values(span)
    assert found["gen_ai.request.id"] == answer.id
    assert found["gen_ai.request.temperature"] == 0.5
    assert (found["gen_ai.usage.prompt_tokens"], found["gen_ai.usage.completion_tokens"]) == (200, 11)
    latency = {name.rpartition(".")[2]: value for name, value in found.items() if ".latency." in name}
    assert set(latency) == {
        *("time_to_first_token", "e2e", "time_in_queue"),
        *("time_in_model_prefill", "time_in_model_decode", "time_in_model_inference"),
    }
    assert latency["time_in_queue"] == pytest.approx(0, abs=0.01)
    assert latency["time_in_model_prefill"] == pytest.approx(0.1, abs=0.05)
    assert latency["time_in_model_decode"] == pytest.approx(0.1, abs=0.05)
    assert latency["time_to_first_token"] == pytest.approx(
        latency["time_in_queue"] + latency["time_in_model_prefill"]
    )
    assert latency["e2e"] == pytest.approx(latency["time_in_queue"] + latency["time_in_model_inference"])
    assert (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9 == pytest.approx(
        latency["e2e"], abs=1e-3
    )
    assert (found["network.local.address"], found["network.local.port"]) == local
    assert found["network.peer.address"] == "127.0.0.1"
    assert found["network.peer.port"] > 1024


async def test_the_span_bears_the_ports_of_its_connection() -> None:
    async with collecting() as collector, Server(options(otlp=collector.url)) as server:
        reader, writer = await asyncio.open_connection(*server.addresses[0])
        body = b'{"model": "llama", "prompt": "a", "max_tokens": 1}'
        writer.write(
            b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        await reader.readuntil(b"}")
        mine = writer.get_extra_info("sockname")
        writer.close()
        await collector.until(1)
    found = values(collector.spans[0])
    assert (found["network.peer.address"], found["network.peer.port"]) == mine


async def test_spans_hang_in_the_clients_trace_and_a_remote_prefill_below() -> None:
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    async with (
        collecting() as collector,
        Server(options(name="p", role=Role.PREFILL, otlp=collector.url)) as first,
        Server(options(name="d", role=Role.DECODE, prefill=(url(first),), otlp=collector.url)) as second,
    ):
        await complete(second, extra_headers={"traceparent": f"00-{trace}-{parent}-01"})
        await collector.until(2)
    by_tokens = {values(span)["gen_ai.usage.completion_tokens"]: span for span in collector.spans}
    assert {span.trace_id.hex() for span in collector.spans} == {trace}
    assert by_tokens[11].parent_span_id.hex() == parent
    assert by_tokens[1].parent_span_id == by_tokens[11].span_id
    found = values(by_tokens[11])
    assert found["din.kv_transfer.bytes"] == 200_000
    spent = found["din.remote_prefill.seconds"] + found["din.kv_transfer.seconds"]
    assert spent == pytest.approx(found["gen_ai.latency.time_in_queue"], abs=0.02)


async def test_spans_come_in_batches() -> None:
    async with collecting() as collector, Server(options(otlp=collector.url)) as server:
        await asyncio.gather(*(complete(server) for _ in range(20)))
        await collector.until(20)
        assert len(collector.requests) <= 3


async def test_what_waits_is_sent_at_the_end() -> None:
    async with collecting() as collector:
        async with Server(options(otlp=collector.url)) as server:
            await complete(server)
        assert len(collector.spans) == 1


async def test_what_is_on_its_way_at_the_end_arrives_once() -> None:
    async with collecting() as collector:
        asked, release = asyncio.Event(), asyncio.Event()
        at_once = collector.handle

        def slowly(request: Request, reply: Reply) -> None:
            asked.set()
            waiting.append(asyncio.create_task(answer(request, reply)))

        async def answer(request: Request, reply: Reply) -> None:
            await release.wait()
            at_once(request, reply)

        waiting: list[asyncio.Task[None]] = []
        collector.handle = slowly  # type: ignore[method-assign]
        async with Server(options(otlp=collector.url)) as server:
            await complete(server)
            await asked.wait()
            asyncio.get_running_loop().call_later(0.05, release.set)
        assert len(collector.spans) == 1


@pytest.mark.parametrize("how", ["dead", "silent", "refusing"])
async def test_a_bad_collector_harms_nothing(how: str) -> None:
    async with collecting() as collector:
        endpoint = collector.url
        if how == "dead":
            endpoint = "http://127.0.0.1:9/v1/traces"
        elif how == "silent":
            silent = await asyncio.start_server(lambda _r, _w: asyncio.sleep(60), "127.0.0.1", 0)
            endpoint = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}/v1/traces"
        else:
            collector.status = 503
        async with Server(options(otlp=endpoint)) as server:
            for _ in range(3):
                assert (await complete(server)).choices
            if how != "silent":
                await until(server, spans_dropped=3)
                assert (await complete(server)).choices
            begin = time.monotonic()
        assert time.monotonic() - begin < 2.2
