# SPDX-License-Identifier: Apache-2.0
"""HTTP as it comes in the wild: split, piled up, broken, abandoned."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import openai
import pytest
from din.inference.server import http1
from din.inference.server.http1 import LARGEST_BODY
from din.inference.server.metrics import Metrics
from din.inference.server.server import Server
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.din.inference_server.bed import chat, client, options, samples, state, until, url

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connection(server: Server) -> AsyncIterator[Stream]:
    reader, writer = await asyncio.open_connection(*server.addresses[0])
    try:
        yield reader, writer
    finally:
        writer.close()


def post(path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def completion(tokens: int = 2, stream: bool = False) -> bytes:
    return post("/v1/chat/completions", json.dumps(chat(max_tokens=tokens, stream=stream)).encode())


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """One with a Content-Length."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
    return int(head.split()[1]), await reader.readexactly(length)


async def test_a_request_in_pieces() -> None:
    async with Server(options()) as server, connection(server) as (reader, writer):
        for byte in completion():
            writer.write(bytes([byte]))
            await writer.drain()
        status, body = await answer(reader)
    assert status == 200
    assert json.loads(body)["usage"]["completion_tokens"] == 2


async def test_requests_that_pile_up_are_answered_in_order() -> None:
    async with Server(options()) as server, connection(server) as (reader, writer):
        writer.write(
            b"".join(completion(tokens) for tokens in (9, 1, 5)) + b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
        )
        counts = [json.loads((await answer(reader))[1])["usage"]["completion_tokens"] for _ in range(3)]
        assert counts == [9, 1, 5]
        assert (await answer(reader))[0] == 200


async def test_a_body_in_chunks_and_one_that_waits_for_a_hundred() -> None:
    body = json.dumps(chat(max_tokens=1)).encode()
    async with Server(options()) as server, connection(server) as (reader, writer):
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in (body[:10], body[10:]):
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        writer.write(b"0\r\n\r\n")
        assert (await answer(reader))[0] == 200
        head, _, rest = post("/v1/chat/completions", body, "Expect: 100-continue").partition(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\n")
        assert b" 100 " in await reader.readuntil(b"\r\n\r\n")
        writer.write(rest)
        assert (await answer(reader))[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/models", 405),
        ("DELETE", "/metrics", 405),
        ("GET", "/admin/slowdown", 405),
        ("GET", "/health?verbose=1", 200),
    ],
)
async def test_paths_and_methods(method: str, path: str, status: int) -> None:
    async with Server(options()) as server, httpx.AsyncClient(verify=False) as http:
        found = await http.request(method, url(server, path))
    assert found.status_code == status
    if status != 200:
        assert path.partition("?")[0] in found.json()["error"]["message"]


async def test_what_is_no_http_is_told_so_and_harms_nobody() -> None:
    garbage = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),  # TLS
        b"GET /health\r\n\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\n\r\n",  # no host
        b"A" * 20_000,
    ]
    async with Server(options()) as server:
        for data in garbage:
            async with connection(server) as (reader, writer):
                writer.write(data)
                async with asyncio.timeout(5):
                    assert (await reader.read(12)).startswith(b"HTTP/1.1 4"), data[:60]
                    await reader.read()  # and closes
        assert (await state(server))["running"] == 0


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.binary(max_size=200) | st.just(b"\r\n") | st.just(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"),
        max_size=5,
    )
)
async def test_any_bytes(pieces: list[bytes]) -> None:
    async with Server(options()) as server:
        async with connection(server) as (reader, writer):
            for piece in pieces:
                writer.write(piece)
            writer.write_eof()
            async with asyncio.timeout(5):
                await reader.read()
        assert (await state(server))["running"] == 0


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_body_beyond_reason_is_refused_in_words_that_arrive(chunked: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(2 * LARGEST_BODY >> 16):
            yield bytes(1 << 16)

    headers = {} if chunked else {"Content-Length": str(2 * LARGEST_BODY)}
    async with Server(options()) as server, httpx.AsyncClient(verify=False) as http:
        found = await http.post(url(server, "/v1/completions"), content=pieces(), headers=headers)
        assert (found.status_code, str(LARGEST_BODY) in found.text) == (413, True)
        assert (await state(server))["waiting"] == 0


async def test_who_asks_first_is_not_told_to_send_a_body_beyond_reason() -> None:
    async with Server(options()) as server, connection(server) as (reader, writer):
        length = f"Content-Length: {LARGEST_BODY + 1}"
        writer.write(f"POST /v1/completions HTTP/1.1\r\nHost: x\r\n{length}\r\n".encode())
        writer.write(b"Expect: 100-continue\r\n\r\n")
        async with asyncio.timeout(5):
            assert (await reader.read()).startswith(b"HTTP/1.1 413")


async def test_a_refused_client_that_goes_on_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "LINGER", 0.1)
    async with Server(options()) as server, connection(server) as (_, writer):
        writer.write(b"nonsense\r\n\r\n")

        async def go_on() -> None:
            while True:
                writer.write(bytes(1 << 16))
                await writer.drain()

        with pytest.raises(ConnectionError):
            await go_on()


async def test_heads_are_answered_without_a_body() -> None:
    async with Server(options()) as server, connection(server) as (reader, writer):
        for path, status in (
            ("/health", 200),
            ("/metrics", 200),
            ("/nothing", 404),
            ("/v1/completions", 405),
        ):
            writer.write(f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            assert int(head.split()[1]) == status, path
            assert "content-length: " in head
        writer.write(completion(tokens=1))  # what comes next is not taken for a body
        assert (await answer(reader))[0] == 200


async def test_who_does_not_read_answers_gets_no_more_of_them() -> None:
    count, large = 2000, "m" * 8000
    async with Server(options(served_models=(large,))) as server, connection(server) as (reader, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n" * count)
        await writer.drain()
        (made,) = server._connections
        async with asyncio.timeout(5):
            while not made._stuck:
                await asyncio.sleep(0.001)
        for _ in range(10):
            assert made._transport.get_write_buffer_size() < 200_000
            await state(server)
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert [(await answer(reader))[0] for _ in range(count)] == [200] * count


async def test_what_fails_for_one_request_harms_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = Metrics.finished

    def once(self: Metrics, *arguments: Any) -> None:
        monkeypatch.setattr(Metrics, "finished", recorded)
        raise ValueError("a bug")

    async with Server(options()) as server, client(server) as ai:

        async def one() -> Any:
            return await ai.completions.create(model="llama", prompt="a", max_tokens=3)

        await asyncio.gather(one(), one(), one())  # all connected
        monkeypatch.setattr(Metrics, "finished", once)
        async with asyncio.timeout(5):
            found = await asyncio.gather(*(one() for _ in range(3)), return_exceptions=True)
        assert sum(isinstance(each, openai.APIConnectionError) for each in found) == 1
        assert sum(not isinstance(each, Exception) for each in found) == 2
        await until(server, running=0, kv_blocks_used=0)


async def test_headers_leave_before_the_first_token() -> None:
    async with Server(options(prefill_tokens_per_second=1)) as server, connection(server) as (reader, writer):
        writer.write(completion(stream=True))
        async with asyncio.timeout(5):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        assert head.startswith("HTTP/1.1 200")
        assert "text/event-stream" in head
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reader.read(1)


async def test_a_stream_to_an_old_client_ends_with_its_connection() -> None:
    """HTTP/1.0 knows no chunks."""
    async with Server(options()) as server, connection(server) as (reader, writer):
        writer.write(completion(5, stream=True).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    events = body.split(b"\n\n")
    assert all(event.startswith(b"data: {") for event in events[:5])
    assert events[5:] == [b"data: [DONE]", b""]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_frees_its_place(stream: bool) -> None:
    async with Server(options(max_sequences=1)) as server, client(server) as ai:
        async with connection(server) as (reader, writer):
            writer.write(completion(4000, stream))
            await until(server, running=1)
            if stream:
                await reader.readuntil(b'"delta"')
        await until(server, running=0, kv_blocks_used=0)
        assert (await samples(server))["vllm:request_success_total{finished_reason=abort}"] == 1
        # In the queue, too.
        async with connection(server) as (_, first), connection(server) as (_, second):
            first.write(completion(4000))
            await until(server, running=1)
            second.write(completion(4000))
            await until(server, waiting=1)
            second.close()
            await until(server, waiting=0, running=1)
        assert (await ai.completions.create(model="llama", prompt="a", max_tokens=1)).choices


async def test_a_reset_connection_frees_its_place() -> None:
    async with Server(options()) as server:
        with socket.create_connection(server.addresses[0]) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            sock.sendall(completion(4000, stream=True))
            await until(server, running=1)
        await until(server, running=0, kv_blocks_used=0)


async def test_a_reader_that_stops_holds_nobody_up() -> None:
    async with Server(options()) as server, connection(server) as (_, stopped), client(server) as ai:
        stopped.transport.pause_reading()  # type: ignore[attr-defined]
        stopped.write(completion(3000, stream=True))
        await until(server, running=1)
        async with asyncio.timeout(2):
            await ai.completions.create(model="llama", prompt="a", max_tokens=50)


async def test_a_connection_ends_with_the_answer_after_its_lifetime() -> None:
    async with Server(options(connection_lifetime=0.2, decode_step="20ms")) as server:
        async with connection(server) as (reader, writer), asyncio.timeout(5):
            writer.write(completion(20))
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            assert "connection: close" in head
            assert json.loads(await reader.read())["usage"]["completion_tokens"] == 20
        async with connection(server) as (reader, _), asyncio.timeout(5):
            assert await reader.read() == b""  # idle


async def test_tokens_are_not_held_back_by_nagle() -> None:
    seen: list[int] = []

    class Spy(Server):
        def _connection(self):  # type: ignore[no-untyped-def]
            made = super()._connection()
            connected = made.connection_made

            def look(transport: asyncio.BaseTransport) -> None:
                connected(transport)
                sock = transport.get_extra_info("socket")
                seen.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

            made.connection_made = look
            return made

    async with Spy(options()) as server:
        await state(server)
    assert seen == [1]


async def test_admin_exists_on_its_addresses_alone() -> None:
    both = options(listen=(("127.0.0.1", 0), ("127.0.0.2", 0)), admin=("127.0.0.2",))
    async with Server(both) as server, httpx.AsyncClient(verify=False) as http:
        (_, client_port), (_, admin_port) = server.addresses
        for path, method in (("/admin/state", "GET"), ("/admin/reset", "POST"), ("/admin/slowdown", "POST")):
            asked = {"json": {"factor": 2}} if method == "POST" else {}
            assert (
                await http.request(method, f"http://127.0.0.1:{client_port}{path}", **asked)
            ).status_code == 404
            assert (
                await http.request(method, f"http://127.0.0.2:{admin_port}{path}", **asked)
            ).status_code == 200


async def test_ipv6() -> None:
    async with Server(options(listen=(("::1", 0),))) as server, httpx.AsyncClient(verify=False) as http:
        assert (await http.get(f"http://[::1]:{server.addresses[0][1]}/admin/state")).status_code == 200


async def test_slowdown_and_reset() -> None:
    async with (
        Server(options(decode_step="5ms")) as server,
        httpx.AsyncClient(verify=False, base_url=url(server)) as http,
    ):
        for wrong in (
            b"",
            b"{}",
            b"[]",
            b'{"factor": 0}',
            b'{"factor": "4"}',
            b'{"factor": true}',
            b'{"factor": NaN}',
        ):
            assert (await http.post("/admin/slowdown", content=wrong)).status_code == 400, wrong
        assert (await http.post("/admin/slowdown", json={"factor": 4})).json()["slowdown"] == 4
        body = chat(max_tokens=20)
        took = (await http.post("/v1/chat/completions", json=body)).elapsed.total_seconds()
        assert 0.36 < took < 0.6
        async with connection(server) as (reader, writer):
            writer.write(completion(4000, stream=True))
            await until(server, running=1)
            now = (await http.post("/admin/reset")).json()
            assert (now["slowdown"], now["running"], now["kv_blocks_used"]) == (1, 0, 0)
            data = await reader.read()
            assert b"[DONE]" not in data
        took = (await http.post("/v1/chat/completions", json=body)).elapsed.total_seconds()
        assert took < 0.25
