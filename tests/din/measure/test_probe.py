# SPDX-License-Identifier: Apache-2.0
"""Death and recovery of real servers, timed."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest
from din.measure.health import PROBE_TIMEOUT, Health, Outcome
from din.measure.probe import Prober

from .model_server import ModelServer, answers, endless, hangs, raw

#: What it takes to be out: the issue's bound.
BOUND = 2.0


class Book:
    """Health by name, and when each changed."""

    def __init__(self) -> None:
        self.health: dict[str, Health] = {}
        self.last: dict[str, tuple[Outcome, str]] = {}
        self.probes: dict[str, int] = {}

    def __call__(self, name: str, outcome: Outcome, detail: str, at: float) -> None:
        self.health[name] = self.health.get(name, Health()).probed(outcome, detail, at)
        self.last[name] = outcome, detail
        self.probes[name] = self.probes.get(name, 0) + 1

    def alive(self, name: str) -> bool | None:
        return self.health.get(name, Health()).alive


async def until(condition: Callable[[], object], seconds: float = 5.0) -> float:
    """How long it took."""
    start = time.monotonic()
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
    return time.monotonic() - start


SERVER = """
import socketserver, sys
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        while self.rfile.readline().strip():
            pass
        self.wfile.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


class Process:
    """A server that can be killed and stopped."""

    def __init__(self) -> None:
        self.port = 0
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-S", "-c", SERVER, str(self.port), stdout=asyncio.subprocess.PIPE
        )
        assert self._process.stdout is not None
        self.port = int(await self._process.stdout.readline())

    def signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    async def end(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self.signal(signal.SIGKILL)
            await self._process.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/health"


async def test_killed_stopped_and_back_again() -> None:
    book = Book()
    processes = {name: Process() for name in ("killed", "stopped", "well")}
    async with AsyncExitStack() as stack:
        for process in processes.values():
            await process.start()
            stack.push_async_callback(process.end)
        prober = await stack.enter_async_context(Prober(book))
        prober.set({name: process.url for name, process in processes.items()})
        await until(lambda: all(book.alive(name) for name in processes))

        await processes["killed"].end()
        processes["stopped"].signal(signal.SIGSTOP)
        took = await until(lambda: book.alive("killed") is False and book.alive("stopped") is False)
        assert took < BOUND
        assert "connection refused" in book.health["killed"].reason
        assert "no answer in 0.35 s" in book.health["stopped"].reason

        await processes["killed"].start()
        processes["stopped"].signal(signal.SIGCONT)
        took = await until(lambda: book.alive("killed") and book.alive("stopped"))
        assert took < BOUND
        assert book.alive("well") is True
        assert book.health["well"].failures == 0


@pytest.mark.parametrize(
    ("behaviour", "outcome", "words"),
    [
        (answers(b""), Outcome.OK, "HTTP 200"),
        (answers(b"", "429 Too Many Requests"), Outcome.BUSY, "HTTP 429"),
        (answers(b"", "503 Service Unavailable", "Retry-After: 1\r\n"), Outcome.BUSY, "full"),
        (answers(b"", "503 Service Unavailable"), Outcome.FAILED, "engine is dead"),
        (answers(b"", "404 Not Found"), Outcome.FAILED, "URL right?"),
        (answers(b"", "302 Found", "Location: /elsewhere\r\n"), Outcome.FAILED, "URL right?"),
        (answers(b"", after=1.0), Outcome.FAILED, "no answer in 0.35 s"),
        (hangs, Outcome.FAILED, "no answer in 0.35 s"),
        # Its status is said; what follows is not waited for.
        (endless, Outcome.OK, "HTTP 200"),
        (raw(b"220 mail.example ESMTP\r\n"), Outcome.FAILED, "no HTTP/1.1"),
        (raw(b""), Outcome.FAILED, "connection ended"),
    ],
    ids=["ok", "429", "busy", "503", "404", "302", "late", "hangs", "endless", "smtp", "closes"],
)
async def test_what_a_server_answers(behaviour, outcome: Outcome, words: str) -> None:
    book = Book()
    async with ModelServer(behaviour) as server, Prober(book, interval=0.1) as prober:
        prober.set({"one": server.url})
        await until(lambda: "one" in book.last)
        assert book.last["one"][0] is outcome
        assert words in book.last["one"][1]


async def test_one_that_nobody_answers_for_is_dead_and_delays_nobody() -> None:
    """A listener whose queue is full: SYNs are dropped, as by a host that is gone."""
    book = Book()
    async with AsyncExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(2):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        well = await stack.enter_async_context(ModelServer(answers(b"")))
        prober = await stack.enter_async_context(Prober(book))
        prober.set({"gone": f"http://127.0.0.1:{full.getsockname()[1]}/health", "well": well.url})
        assert await until(lambda: book.alive("gone") is False) < BOUND
        assert "no answer in 0.35 s" in book.health["gone"].reason
        assert book.last["gone"][0] is Outcome.UNREACHED
        assert book.alive("well") is True
        # Each probe is a connection of its own.
        assert well.connections == len(well.requests) >= 2


async def test_one_that_hangs_before_it_speaks_tls_was_reached() -> None:
    """Its kernel would answer SYNs of clients as well."""
    book = Book()
    async with ModelServer(hangs) as server, Prober(book, interval=0.1) as prober:
        prober.set({"one": server.url.replace("http:", "https:")})
        await until(lambda: "one" in book.last)
        assert book.last["one"] == (Outcome.FAILED, "no answer in 0.35 s")


async def test_what_we_lack_ourselves_says_nothing_of_a_server() -> None:
    """No file descriptor is left to ask with."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    book = Book()
    async with ModelServer(answers(b"")) as server, Prober(book, interval=0.05) as prober:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
            prober.set({"one": server.url})
            await until(lambda: "one" in book.last)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert book.last["one"][0] is Outcome.UNREACHED
    assert "Too many open files" in book.last["one"][1]


async def test_a_url_that_is_none_is_dead_with_a_reason() -> None:
    book = Book()
    async with Prober(book, interval=0.05) as prober:
        prober.set({"none": "nonsense"})
        await until(lambda: book.alive("none") is False)
        assert "'nonsense' is no URL" in book.health["none"].reason


async def test_a_stall_of_our_own_is_no_sign_of_death() -> None:
    """The server is well; we are not: for longer than a probe waits the event loop does nothing."""
    outcomes: list[Outcome] = []
    stalled: list[bool] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if not stalled:
            stalled.append(True)
            time.sleep(PROBE_TIMEOUT * 2)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    seen = asyncio.Event()

    def feed(name: str, outcome: Outcome, detail: str, at: float) -> None:
        outcomes.append(outcome)
        seen.set()

    async with Prober(feed) as prober, asyncio.timeout(10):
        prober.set({"a": f"http://127.0.0.1:{port}/health"})
        await seen.wait()
    server.close()
    assert stalled
    assert outcomes[0] is Outcome.OK
