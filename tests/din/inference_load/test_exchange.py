# SPDX-License-Identifier: Apache-2.0
"""One request and what is recorded of it, against a server whose doings are known."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from din.inference.load.exchange import Exchanger
from din.inference.load.outcome import Outcome
from din.inference.load.request import Request
from din.inference.load.stats import tpot, ttft

from tests.din.inference_load.server import Behaviour, serving, until


def _request(number: int = 0, tokens: int = 6, keep_alive: bool = False) -> Request:
    return Request(0.0, "chat", 20, tokens, keep_alive, f"r{number}", phase="calm")


@asynccontextmanager
async def _exchanger(timeout: float = 10.0, byte_scale: float = 1.0) -> AsyncIterator[Exchanger]:
    exchanger = Exchanger(time.monotonic, timeout=timeout, byte_scale=byte_scale)
    try:
        yield exchanger
    finally:
        await exchanger.aclose()


async def _one(behaviour: Behaviour, request: Request | None = None, timeout: float = 10.0) -> Outcome:
    async with serving(behaviour) as server, _exchanger(timeout) as exchanger:
        return await exchanger.send(request or _request(), server.base_url, "m")


async def test_times_are_those_of_the_server() -> None:
    async with serving(Behaviour(first=0.2, each=0.04)) as server, _exchanger() as exchanger:
        await exchanger.warm_up()
        found = await exchanger.send(_request(tokens=6), server.base_url, "m")
    assert (found.status, found.broken, found.chunks, found.output_tokens) == ("ok", False, 6, 6)
    first, each = ttft(found), tpot(found)
    # Not the headers, nor the role, which come at once. Timers of the two ends may differ by a tick.
    assert first is not None
    assert 0.198 <= first < 0.35
    assert each is not None
    assert 0.039 <= each < 0.08
    assert found.gap_mean == pytest.approx(each)
    assert found.gap_max is not None
    assert found.gap_max >= each
    assert found.end is not None
    assert found.last_token is not None
    assert found.end >= found.last_token


async def test_tokens_are_the_servers_count_where_a_chunk_has_several() -> None:
    found = await _one(Behaviour(each=0.05, batch=4), _request(tokens=8))
    assert (found.chunks, found.output_tokens) == (2, 8)
    assert found.last_token is not None
    assert found.first_token is not None
    assert tpot(found) == pytest.approx((found.last_token - found.first_token) / 7)


async def test_tokens_are_chunks_where_the_server_does_not_count() -> None:
    found = await _one(Behaviour(usage=False))
    assert (found.status, found.output_tokens) == ("ok", 6)


async def test_the_instance_is_the_header_else_the_fingerprint() -> None:
    assert (await _one(Behaviour())).instance == "one"
    assert (await _one(Behaviour(header=False))).instance == "fp-one"


async def test_what_is_asked_for() -> None:
    async with serving() as server, _exchanger(byte_scale=0.5) as exchanger:
        await exchanger.send(_request(tokens=9), server.base_url, "llama")
    (body,) = server.bodies
    assert (body["model"], body["max_tokens"], body["stream"]) == ("llama", 9, True)
    assert len(body["messages"][0]["content"].split()) == 10


async def test_each_request_has_a_connection_of_its_own() -> None:
    async with serving() as server, _exchanger() as exchanger:
        found = [await exchanger.send(_request(n), server.base_url, "m") for n in range(4)]
        assert server.accepted == 4
        await until(lambda: server.closed == 4)  # the client's doing: the server would keep them
    assert [(each.local_address, each.local_port) for each in found] == server.peers
    assert len({each.connection for each in found}) == 4
    assert {each.remote_port for each in found} == {server.port}


async def test_kept_connections_are_kept() -> None:
    async with serving() as server, _exchanger() as exchanger:
        kept = [await exchanger.send(_request(n, keep_alive=True), server.base_url, "m") for n in range(4)]
        assert server.accepted == 1
        other = await exchanger.send(_request(5), server.base_url, "m")
        assert server.accepted == 2
        again = await exchanger.send(_request(6, keep_alive=True), server.base_url, "m")
        assert server.accepted == 2
    assert len({each.connection for each in [*kept, again]}) == 1
    assert other.connection != again.connection
    assert [(each.local_address, each.local_port) for each in [*kept, other, again]] == server.peers


async def test_a_kept_connection_that_is_busy_is_not_waited_for() -> None:
    hold = asyncio.Event()
    async with serving(Behaviour(hold=hold)) as server, _exchanger() as exchanger:
        first = asyncio.create_task(exchanger.send(_request(0, keep_alive=True), server.base_url, "m"))
        await server.first_sent.wait()
        server.behaviour = Behaviour()
        second = await exchanger.send(_request(1, keep_alive=True), server.base_url, "m")
        assert not first.done()
        hold.set()
        assert (await first).connection != second.connection
        assert server.accepted == 2


@pytest.mark.parametrize("status", [404, 429, 500, 503])
async def test_a_rejection_is_its_status(status: int) -> None:
    async with serving(Behaviour(status=status)) as server, _exchanger() as exchanger:
        found = await exchanger.send(_request(), server.base_url, "m")
    assert (found.status, found.broken, found.instance) == (str(status), False, "refused")
    assert found.first_token is None
    assert len(server.bodies) == 1  # and it is not tried again
    assert (found.local_address, found.local_port) == server.peers[0]


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(break_after=3),
        Behaviour(close_after=3),
        Behaviour(break_after=3, framed=False),
        Behaviour(close_after=3, framed=False),
    ],
    ids=["reset", "closed", "reset unframed", "closed unframed"],
)
async def test_a_connection_that_ends_before_the_answer_is_broken(behaviour: Behaviour) -> None:
    behaviour.each = 0.02  # so that what was sent arrives before the reset
    found = await _one(behaviour)
    assert (found.status, found.broken) == ("broken", True)
    assert found.chunks == found.output_tokens == 3
    assert found.gap_mean is not None
    assert tpot(found) is None
    assert found.local_port is not None
    assert found.end is not None


async def test_a_server_that_ends_before_it_answers_is_broken_too() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    listening = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with listening, _exchanger() as exchanger:
        port = listening.sockets[0].getsockname()[1]
        found = await exchanger.send(_request(), f"http://127.0.0.1:{port}/v1", "m")
    assert (found.status, found.broken, found.first_token) == ("broken", True, None)
    assert found.local_port is not None


async def test_nobody_listens() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        async with _exchanger() as exchanger:
            url = f"http://127.0.0.1:{nobody.getsockname()[1]}/v1"
            found = await exchanger.send(_request(), url, "m")
    assert (found.status, found.broken, found.connection) == ("connect", False, None)
    assert found.detail


async def test_a_silent_server_is_left_after_the_timeout() -> None:
    async with serving(Behaviour(silent=True)) as server, _exchanger(timeout=0.3) as exchanger:
        found = await exchanger.send(_request(), server.base_url, "m")
        # Though nothing came back, the network's reports can be joined.
        assert (found.local_address, found.local_port) == server.peers[0]
    assert (found.status, found.broken) == ("timeout", False)
    assert found.end is not None
    assert found.end - found.sent >= 0.3


async def test_the_longest_gap_is_the_longest() -> None:
    found = await _one(Behaviour(each=0.01, stall=(2, 0.25)))
    assert found.status == "ok"
    assert found.gap_max is not None
    assert found.gap_max >= 0.25
    assert found.gap_mean is not None
    assert 0.05 < found.gap_mean < found.gap_max


async def test_the_longest_gap_is_that_before_the_token_that_never_came() -> None:
    found = await _one(Behaviour(hold=asyncio.Event()), timeout=0.4)
    assert (found.status, found.chunks) == ("timeout", 1)
    assert found.end is not None
    assert found.last_token is not None
    assert found.gap_max == found.end - found.last_token > 0
    assert found.gap_mean is None


@pytest.mark.parametrize(
    "event",
    [
        '{"error": {"message": "out of memory"}}',
        "nonsense",
        "[]",
        '{"choices": [{}]}',
        '{"id": 3}',
        '{"choices": [{"delta": 5}]}',
        '{"choices": [], "usage": {"completion_tokens": "many"}}',
        "[" * 100_000,
    ],
)
async def test_what_is_no_completion_is_an_error(event: str) -> None:
    found = await _one(Behaviour(instead=event))
    assert found.status == "error"
    assert found.detail


async def test_a_cut_request_keeps_what_it_had() -> None:
    async with serving(Behaviour(each=0.005)) as server, _exchanger() as exchanger:
        task = asyncio.create_task(exchanger.send(_request(tokens=100_000), server.base_url, "m"))
        await until(lambda: server.chunks_sent >= 20)
        task.cancel()
        found = await task
        await until(lambda: server.closed == 1)
    assert (found.status, found.broken) == ("cut", False)
    assert 0 < found.chunks == found.output_tokens <= server.chunks_sent
    assert found.gap_mean is not None


async def test_connections_over_ipv6_are_named_too() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        peers.append(writer.get_extra_info("peername")[:2])
        writer.write(b"HTTP/1.1 429 X\r\nContent-Length: 0\r\n\r\n")

    peers: list[tuple[str, int]] = []
    listening = await asyncio.start_server(refuse, "::1", 0)
    async with listening, _exchanger() as exchanger:
        port = listening.sockets[0].getsockname()[1]
        found = await exchanger.send(_request(), f"http://[::1]:{port}/v1", "m")
    assert (found.status, found.remote_address) == ("429", "::1")
    assert [(found.local_address, found.local_port)] == peers


async def test_an_answer_that_cannot_be_unpacked_is_an_error() -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 X\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n"
        writer.write(head + b"none")

    listening = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    async with listening, _exchanger() as exchanger:
        port = listening.sockets[0].getsockname()[1]
        found = await exchanger.send(_request(), f"http://127.0.0.1:{port}/v1", "m")
    assert found.status == "error"
    assert "DecodingError" in found.detail
