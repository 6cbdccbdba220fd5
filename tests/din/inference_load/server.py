# SPDX-License-Identifier: Apache-2.0
"""A server whose timing is known: chat completions as SSE, and what a test wants to go wrong with them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Behaviour:
    first: float = 0.0  # s from the headers and the role, which come at once, to the first token
    each: float = 0.0  # s between tokens
    stall: tuple[int, float] = (0, 0.0)  # before this token, s more
    status: int = 200
    break_after: int | None = None  # tokens; then the connection is reset
    close_after: int | None = None  # tokens; then the connection is closed, politely, the answer not whole
    silent: bool = False  # never answers
    instead: str | None = None  # an event that stands in the first token's place
    framed: bool = True  # chunked; else the connection's end is the body's
    usage: bool = True
    batch: int = 1  # tokens a chunk
    header: bool = True  # x-din-instance
    hold: asyncio.Event | None = None  # nothing after the first token before it is set


@dataclass
class Server:
    port: int
    behaviour: Behaviour
    metrics: str = ""
    accepted: int = 0
    closed: int = 0
    seen: list[float] = field(default_factory=list)  # of each request, s since 1970
    metrics_asked: int = 0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    peers: list[tuple[str, int]] = field(default_factory=list)  # of each request
    first_sent: asyncio.Event = field(default_factory=asyncio.Event)  # a first token is out
    chunks_sent: int = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


@asynccontextmanager
async def serving(behaviour: Behaviour | None = None, name: str = "one") -> AsyncIterator[Server]:
    server = Server(0, behaviour or Behaviour())
    handlers: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.accepted += 1
        task = asyncio.current_task()
        assert task
        handlers.add(task)
        try:
            while await _answer(server, name, reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            server.closed += 1
            handlers.discard(task)
            writer.close()

    listening = await asyncio.start_server(handle, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for task in handlers:
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)


def _response(status: int, body: bytes, kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}x-din-instance: refused\r\n\r\n".encode() + body


async def _answer(
    server: Server, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bool:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    lines = head.split("\r\n")
    headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines[1:])}
    raw = await reader.readexactly(int(headers.get("content-length", "0")))
    if lines[0].startswith("GET /metrics"):
        server.metrics_asked += 1
        writer.write(_response(200, server.metrics.encode(), "text/plain"))
        return True
    body = json.loads(raw)
    server.bodies.append(body)
    server.seen.append(time.time())
    server.peers.append(writer.get_extra_info("peername")[:2])
    how = server.behaviour
    if how.silent:
        await asyncio.Event().wait()
    if how.status != 200:
        writer.write(_response(how.status, b'{"error": {"message": "no"}}'))
        return True
    if not body.get("stream"):
        message = {"role": "assistant", "content": "tok " * body["max_tokens"]}
        choice = {"index": 0, "message": message, "finish_reason": "length"}
        whole = {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
        writer.write(_response(200, json.dumps(whole).encode()))
        return True
    instance = f"x-din-instance: {name}\r\n" if how.header else ""
    writer.write(
        f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{instance}"
        f"{'Transfer-Encoding: chunked' if how.framed else 'Connection: close'}\r\n\r\n".encode()
    )

    def event(data: str) -> None:
        text = f"data: {data}\n\n".encode()
        writer.write(f"{len(text):x}\r\n".encode() + text + b"\r\n" if how.framed else text)

    def chunk(choices: list[dict[str, Any]], **more: Any) -> None:
        fixed = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "m"}
        event(json.dumps({**fixed, "system_fingerprint": f"fp-{name}", "choices": choices, **more}))

    def delta(content: str, finish: str | None = None) -> list[dict[str, Any]]:
        return [{"index": 0, "delta": {"content": content}, "finish_reason": finish}]

    # As vLLM: the role first, with content that is no token.
    chunk([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}])
    await asyncio.sleep(how.first)
    if how.instead is not None:
        event(how.instead)
    for number in range(0, body["max_tokens"], how.batch):
        if how.break_after == number:
            await writer.drain()
            writer.transport.abort()
            return False
        if how.close_after == number:
            await writer.drain()
            return False
        if number:
            await asyncio.sleep(how.each + (how.stall[1] if how.stall[0] == number else 0))
        chunk(delta("tok " * min(how.batch, body["max_tokens"] - number)))
        server.first_sent.set()
        server.chunks_sent += 1
        await writer.drain()  # which tells that the client is gone
        if how.hold is not None:
            await how.hold.wait()
    chunk(delta("", "length"))
    if how.usage:
        chunk([], usage={"prompt_tokens": 1, "completion_tokens": body["max_tokens"], "total_tokens": 9})
    event("[DONE]")
    if how.framed:
        writer.write(b"0\r\n\r\n")
    await writer.drain()
    return how.framed


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)
