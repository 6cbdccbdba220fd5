# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import re
import ssl
import subprocess
from pathlib import Path

import pytest
from din.measure import http
from din.measure.http import Client, HttpError, Response

from .model_server import Behaviour, ModelServer, answers, raw, response

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def stays(data: bytes) -> Behaviour:
    """That, and the connection stays."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return behave


async def get(behaviour: Behaviour, limit: int | None = 100) -> Response:
    async with ModelServer(behaviour) as server, asyncio.timeout(2.0):
        client = Client(server.url)
        try:
            return await client.get(limit)
        finally:
            client.close()


@pytest.mark.parametrize(
    "behaviour",
    [
        answers(b"hello"),
        raw(b"HTTP/1.1 200 OK\r\n\r\nhello"),
        raw(b"HTTP/1.0 200 OK\r\n\r\nhello"),
        raw(b"HTTP/1.1 200\r\n\r\nhello"),
        stays(CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"),
        stays(CHUNKED + b"002;a=b\r\nhe\r\n3 ;c\r\nllo\r\n0\r\nTrailer: x\r\n\r\n"),
        stays(b"HTTP/1.1 200 OK\r\ncontent-LENGTH:5\r\nX:\r\n\r\nhello"),
    ],
    ids=["length", "close", "1.0", "no reason", "chunked", "extensions", "headers"],
)
async def test_bodies(behaviour: Behaviour) -> None:
    found = await get(behaviour)
    assert (found.status, found.body) == (200, b"hello")


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (answers(b"x" * 101), "a body of 101 bytes"),
        (raw(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 101), "more than 100"),
        (stays(CHUNKED + b"65\r\n"), "more than 100"),
        (stays(CHUNKED + b"64\r\n" + b"x" * 100 + b"\r\n1\r\nx\r\n"), "more than 100"),
        (stays(CHUNKED + b"-1\r\n"), "no length of a body: '-1'"),
        (stays(CHUNKED + b"\r\n"), "no length"),
        (stays(CHUNKED + b"f" * 17 + b"\r\n"), "no length"),
        (stays(b"HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\n"), "no length"),
        (stays(b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello"), "no length"),
        (raw(CHUNKED + b"5\r\nhel"), "ended before"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"), "ended before"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Le"), "ended before"),
        (raw(b""), "ended before"),
        (raw(b"SSH-2.0-OpenSSH\r\n"), "no HTTP/1.1: b'SSH-2.0"),
        (stays(b"HTTP/2 200\r\n\r\n"), "no HTTP/1.1"),
        (stays(b"HTTP/1.1 OK\r\n\r\n"), "no HTTP/1.1"),
        (stays(b"HTTP/1.1 200 OK\r\nX: " + b"x" * (1 << 17)), "headers are too long"),
    ],
)
async def test_what_cannot_be_used_is_said(behaviour: Behaviour, words: str) -> None:
    with pytest.raises(HttpError, match=re.escape(words)):
        await get(behaviour)


async def test_connections_are_kept_and_opened_again_when_the_server_ends_them() -> None:
    async with ModelServer(answers(b"1")) as server:
        client = Client(server.url, "X-Mine: yes\r\n")
        for _ in range(3):
            assert (await client.get(10)).body == b"1"
        assert server.connections == 1
        head = server.requests[0][1]
        assert head.startswith(b"GET /metrics HTTP/1.1\r\n")
        assert f"Host: 127.0.0.1:{server.port}\r\n".encode() in head
        assert b"X-Mine: yes\r\n" in head

        await server.stop()
        with pytest.raises(ConnectionRefusedError):
            await client.get(10)
        await server.start()
        assert (await client.get(10)).body == b"1"
        assert server.connections == 2
        # The server restarts in between: what was kept is dead, and nobody need know.
        await server.stop()
        await server.start()
        assert (await client.get(10)).body == b"1"
        client.close()
        client.close()


@pytest.mark.parametrize(
    "behaviour",
    [
        stays(response(b"1", headers="Connection: close\r\n")),
        stays(b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n1"),
        stays(response(b"later", "404 Not Found")),
        stays(b"HTTP/1.1 204 No Content\r\n\r\n"),
    ],
    ids=["close", "1.0", "404", "204"],
)
async def test_connections_that_are_done_with_are_not_used_again(behaviour: Behaviour) -> None:
    async with ModelServer(behaviour) as server, asyncio.timeout(2.0):
        client = Client(server.url)
        for _ in range(2):
            assert (await client.get(10)).status in (200, 204, 404)
        assert server.connections == 2


async def test_a_request_that_is_given_up_ends_its_connection() -> None:
    """Else its late answer would be taken for the next one's."""
    async with ModelServer(answers(b"late", after=0.1)) as server:
        client = Client(server.url)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await client.get(10)
        server.behaviour = answers(b"new")
        assert (await client.get(10)).body == b"new"
        assert server.connections == 2
        client.close()


async def test_over_tls_a_connection_is_kept_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
            ),
            *("-keyout", "key", "-out", "pem", "-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(tmp_path / "pem", tmp_path / "key")
    trusting = ssl.create_default_context(cafile=str(tmp_path / "pem"))
    monkeypatch.setattr(http, "_tls", lambda: trusting)
    connections = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        while await reader.readline():
            writer.write(response(b"page" * 50_000))
            await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=ours)
    async with server, asyncio.timeout(2.0):
        client = Client(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        for _ in range(2):
            assert (await client.get(1 << 20)).body == b"page" * 50_000
        assert len(connections) == 1
        client.close()


async def test_a_server_without_tls_is_none_with_it() -> None:

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with server, asyncio.timeout(2.0):
        with pytest.raises(OSError, match="SSL"):
            await Client(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/").get(10)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "ftp://a/",
        "http://",
        "http:///metrics",
        "http://a:b/",
        "http://a:99999/",
        "http://a/b c",
        "http://a/\x00",
        "http://[::1/",
        "http://ä/",
    ],
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(HttpError, match="is no URL"):
        Client(url)
