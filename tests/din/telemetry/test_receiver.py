# SPDX-License-Identifier: Apache-2.0
"""Sockets: what is sent arrives, in order and in batches; what is not OTLP is refused."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator
from ipaddress import IPv4Address

import aiohttp
import pytest
from din.telemetry import receiver as receiver_module
from din.telemetry.receiver import BATCH, BATCH_SECONDS, ReportSocket, SpanServer
from din.telemetry.spans import Span, decode_spans
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from yarl import URL

from tests.din.telemetry.test_spans import WHOLE, export

HERE = IPv4Address("127.0.0.1")
#: TEST-NET-3: nobody's.
ELSEWHERE = IPv4Address("203.0.113.9")
PROTOBUF = {"Content-Type": "application/x-protobuf"}


def anybody(_: str) -> bool:
    return True


def send(port: int, *datagrams: bytes, source: str = str(HERE)) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind((source, 0))
        for each in datagrams:
            sender.sendto(each, (str(HERE), port))


class Batches:
    def __init__(self) -> None:
        self.taken: list[list[bytes]] = []
        self.arrived = asyncio.Event()
        self.enough = 0

    def take(self, batch: list[bytes]) -> None:
        self.taken.append(batch)
        if sum(map(len, self.taken)) >= self.enough:
            self.arrived.set()

    async def wait(self, count: int) -> list[bytes]:
        self.enough = count
        async with asyncio.timeout(5):
            await self.arrived.wait()
        return [each for batch in self.taken for each in batch]


async def test_datagrams_come_in_batches_and_in_order() -> None:
    batches = Batches()
    reports = ReportSocket(HERE, 0, batches.take, anybody)
    try:
        wanted = [b"%d" % i for i in range(2 * BATCH + 10)]
        send(reports.port, *wanted)
        assert await batches.wait(len(wanted)) == wanted
        assert len(batches.taken) <= 3
    finally:
        reports.close()


async def test_one_alone_does_not_wait_long() -> None:
    batches = Batches()
    reports = ReportSocket(HERE, 0, batches.take, anybody)
    try:
        began = asyncio.get_running_loop().time()
        send(reports.port, b"alone")
        assert await batches.wait(1) == [b"alone"]
        assert asyncio.get_running_loop().time() - began < BATCH_SECONDS + 1
    finally:
        reports.close()


async def test_what_has_arrived_is_taken_at_the_end() -> None:
    batches = Batches()
    reports = ReportSocket(HERE, 0, batches.take, anybody)
    send(reports.port, b"a", b"b")
    reports.close()
    assert batches.taken == [[b"a", b"b"]]


async def test_others_reports_are_not_taken() -> None:
    batches = Batches()
    reports = ReportSocket(HERE, 0, batches.take, lambda sender: sender == "127.0.0.2")
    try:
        for i in range(1, 4):
            send(reports.port, b"%d" % i, source=f"127.0.0.{i}")
        send(reports.port, b"end", source="127.0.0.2")
        assert await batches.wait(2) == [b"2", b"end"]
    finally:
        reports.close()


async def test_an_address_of_another_machine(caplog: pytest.LogCaptureFixture) -> None:
    batches = Batches()
    reports = ReportSocket(ELSEWHERE, 0, batches.take, anybody)
    try:
        assert "203.0.113.9 is not an address of this machine" in caplog.text
        send(reports.port, b"here")
        assert await batches.wait(1) == [b"here"]
    finally:
        reports.close()


async def test_a_port_that_is_taken() -> None:
    reports = ReportSocket(HERE, 0, lambda _: None, anybody)
    try:
        with pytest.raises(OSError, match="in use"):
            ReportSocket(HERE, reports.port, lambda _: None, anybody)
    finally:
        reports.close()


@pytest.fixture
async def spans() -> AsyncIterator[tuple[str, list[Span]]]:
    taken: list[Span] = []
    server = SpanServer(taken.extend)
    await server.open(HERE, 0)
    yield f"http://{HERE}:{server.port}/v1/traces", taken
    await server.close()


async def test_spans(spans: tuple[str, list[Span]]) -> None:
    url, taken = spans
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=export(WHOLE, WHOLE), headers=PROTOBUF) as answer,
    ):
        assert (answer.status, answer.content_type) == (200, "application/x-protobuf")
        assert await answer.read() == b""
    assert [each.request_id for each in taken] == ["cmpl-1", "cmpl-1"]


async def test_compressed(spans: tuple[str, list[Span]]) -> None:
    url, taken = spans
    headers = {**PROTOBUF, "Content-Encoding": "gzip"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=gzip.compress(export(WHOLE)), headers=headers) as answer,
    ):
        assert answer.status == 200
    assert len(taken) == 1


async def test_json(spans: tuple[str, list[Span]]) -> None:
    url, taken = spans
    message = ExportTraceServiceRequest.FromString(export(WHOLE))
    body = json_format.MessageToJson(message).replace('"spans"', '"newer": {"a": []}, "spans"')
    body = body.replace('"startTime', '"traceId": "5B8EFFF798038103D269B633813FC60C", "kind": 2, "startTime')
    headers = {"Content-Type": "application/json; charset=utf-8"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=body.encode(), headers=headers) as answer,
    ):
        assert (answer.status, answer.content_type) == (200, "application/json")
        assert await answer.json() == {}
    assert taken == decode_spans(export(WHOLE))


AS_JSON = {"Content-Type": "application/json"}
BIG = bytes(5 << 20)


@pytest.mark.parametrize(
    ("body", "headers", "status", "text"),
    [
        (b"\xff" * 9, PROTOBUF, 400, "not an ExportTraceServiceRequest"),
        (b"nothing of the kind", {**PROTOBUF, "Content-Encoding": "gzip"}, 400, ""),
        (gzip.compress(export(WHOLE))[:-30], {**PROTOBUF, "Content-Encoding": "gzip"}, 400, ""),
        (b"1", AS_JSON, 400, "not an ExportTraceServiceRequest"),
        (b'{"resourceSpans": 1}', AS_JSON, 400, "not an ExportTraceServiceRequest"),
        (b"\xff\xfe\xfd", AS_JSON, 400, "not an ExportTraceServiceRequest"),
        (b"[" * 100_000, AS_JSON, 400, "not an ExportTraceServiceRequest"),
        (b"", {"Content-Type": "text/plain"}, 415, "application/x-protobuf or application/json"),
        (b"x", {**PROTOBUF, "Content-Encoding": "compress"}, 415, "identity, gzip, deflate"),
        (BIG, PROTOBUF, 413, ""),
        (gzip.compress(BIG), {**PROTOBUF, "Content-Encoding": "gzip"}, 413, ""),
    ],
)
async def test_refusals(
    spans: tuple[str, list[Span]], body: bytes, headers: dict[str, str], status: int, text: str
) -> None:
    url, taken = spans
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
        assert answer.status == status
        assert text in await answer.text()
    assert taken == []


async def test_a_body_that_does_not_come(
    spans: tuple[str, list[Span]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver_module, "_BODY_SECONDS", 0.1)
    url, taken = spans
    reader, writer = await asyncio.open_connection(str(HERE), URL(url).port)
    head = (
        "POST /v1/traces HTTP/1.1\r\nHost: c\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
    )
    writer.write(head.encode())
    async with asyncio.timeout(5):
        assert b" 408 " in await reader.readline()
    writer.close()
    assert taken == []


async def test_a_server_may_be_opened_again() -> None:
    server = SpanServer(lambda _: None)
    await server.open(HERE, 0)
    port = server.port
    with pytest.raises(OSError, match="in use"):
        await SpanServer(lambda _: None).open(HERE, port)
    await server.close()
    assert server.port == 0
    await server.open(HERE, port)
    await server.close()
