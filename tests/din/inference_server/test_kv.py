# SPDX-License-Identifier: Apache-2.0
"""Prefill in one server, decoding in another: the bytes between them are real."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from din.inference.server import kv, remote
from din.inference.server.options import Role
from din.inference.server.server import Server
from din.model.emulated import Scale

from tests.din.inference_server.bed import MODEL, client, options, samples, until, url
from tests.din.inference_server.wire import DSCP, TOKENS


@asynccontextmanager
async def pair(prefill: dict[str, Any] | None = None, **decode: Any) -> AsyncIterator[tuple[Server, Server]]:
    """A prefill server, and a decode server that asks it."""
    async with Server(options(name="p", role=Role.PREFILL, **(prefill or {}))) as first:
        fields = {"name": "d", "role": Role.DECODE, "prefill": (url(first),)} | decode
        async with Server(options(**fields)) as second:
            yield first, second


@asynccontextmanager
async def toll(server: Server) -> AsyncIterator[tuple[int, list[int]]]:
    """A TCP proxy before a server's KV port: its port, and the bytes that each connection brought back."""
    counts: list[int] = []

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*server.kv_addresses[0])
        back.write(await reader.readline())
        counts.append(0)
        while data := await there.read(65536):
            counts[-1] += len(data)
            writer.write(data)
            await writer.drain()
        back.close()
        writer.close()

    proxy = await asyncio.start_server(carry, "127.0.0.1", 0)
    async with proxy:
        yield proxy.sockets[0].getsockname()[1], counts


async def complete(server: Server, tokens: int = 500, output: int = 5, **fields: Any) -> Any:
    async with client(server) as ai:
        return await ai.completions.create(
            model=MODEL, prompt="abc " * tokens, max_tokens=output, extra_body=fields
        )


async def test_the_answer_is_what_one_server_would_say() -> None:
    async with pair() as (_, second), Server(options()) as alone:
        assert (await complete(second)).choices[0].text == (await complete(alone)).choices[0].text


async def test_every_byte_of_the_cache_goes_over_the_wire() -> None:
    async with Server(options(role=Role.PREFILL)) as first, toll(first) as (port, counts):
        params = await ask_for_prefill(first, 500)
        async with Server(options(role=Role.DECODE)) as second:
            await complete(second, kv_transfer_params=params | {"remote_port": port})
            sent, received = await samples(first), await samples(second)
    assert counts == [8 + 500 * 1000]  # of which 8 say how many
    assert sent["din_kv_transfer_bytes_total{direction=sent}"] == 500_000
    assert received["din_kv_transfer_bytes_total{direction=received}"] == 500_000
    assert received["din_kv_transfer_seconds_count"] == 1
    assert 0 < received["din_kv_transfer_seconds_sum"] < 1
    # Each token was computed once: the prompt there, the answer here.
    assert sent["vllm:prompt_tokens_total"] == 500
    assert received["vllm:prompt_tokens_total"] == 0
    assert received["vllm:generation_tokens_total"] == 5


async def test_bytes_are_scaled_as_declared() -> None:
    scale = Scale(bytes=0.1)
    async with pair({"scale": scale}, scale=scale) as (_, second):
        answer = await complete(second, tokens=50)
        received = await samples(second)
    assert answer.usage.prompt_tokens == 500
    assert received["din_kv_transfer_bytes_total{direction=received}"] == 50_000


def test_packets_bear_the_dscp_both_ways() -> None:
    unshared = ["unshare", "--user", "--map-root-user", "--net"]
    run = subprocess.run(
        [*unshared, sys.executable, "-m", "tests.din.inference_server.wire"], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    for address, seen in json.loads(run.stdout).items():
        assert seen["from_port"] == [DSCP], address
        assert seen["to_port"] == [DSCP], address
        assert seen["bytes"] == 8 + TOKENS * 1000, address


async def ask_for_prefill(server: Server, tokens: int) -> dict[str, Any]:
    """As a proxy does. The kv_transfer_params for who decodes."""
    answer = await complete(server, tokens, 1, kv_transfer_params={"do_remote_decode": True})
    params: dict[str, Any] = answer.model_extra["kv_transfer_params"]
    return params


async def test_decoding_waits_for_the_cache() -> None:
    """A transfer through a narrow pipe: the first token comes after its last byte."""
    async with Server(options(role=Role.PREFILL)) as first:
        params = await ask_for_prefill(first, 500)
        open_gate = asyncio.Event()

        async def narrow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, back = await asyncio.open_connection(*first.kv_addresses[0])
            back.write(await reader.readline())
            data = await there.readexactly(8 + 500_000)
            writer.write(data[:-1])
            await open_gate.wait()
            writer.write(data[-1:])
            back.close()

        async with await asyncio.start_server(narrow, "127.0.0.1", 0) as gate:
            params["remote_port"] = gate.sockets[0].getsockname()[1]
            async with Server(options(role=Role.DECODE)) as second:
                answer = asyncio.create_task(complete(second, kv_transfer_params=params))
                await until(first, held=0)
                await until(second, waiting=1, running=0)
                await asyncio.sleep(0.1)
                assert not answer.done()
                assert (await samples(second))["vllm:generation_tokens_total"] == 0
                open_gate.set()
                assert (await answer).usage.completion_tokens == 5


async def test_the_cache_is_held_until_it_is_fetched_and_given_once() -> None:
    async with Server(options(role=Role.PREFILL)) as first:
        params = await ask_for_prefill(first, 500)
        assert (params["do_remote_prefill"], params["remote_engine_id"]) == (True, "one")
        assert (params["remote_host"], params["remote_port"]) == first.kv_addresses[0]
        await until(first, held=1, kv_blocks_used=32)
        address = first.kv_addresses[0]
        await kv.fetch(address, params["remote_request_id"], 500_000, 0)
        await until(first, held=0, kv_blocks_used=0)
        for handle in (params["remote_request_id"], "nothing", ""):
            with pytest.raises(kv.TransferError, match="knows no such"):
                await kv.fetch(address, handle, 500_000, 0)


async def test_who_waits_for_memory_goes_on_when_a_cache_is_fetched() -> None:
    async with Server(options(role=Role.PREFILL, kv_blocks=40)) as first:
        params = await ask_for_prefill(first, 500)
        second = asyncio.create_task(ask_for_prefill(first, 500))
        await until(first, held=1, waiting=1, running=0)
        await kv.fetch(first.kv_addresses[0], params["remote_request_id"], 500_000, 0)
        async with asyncio.timeout(5):
            assert (await second)["do_remote_prefill"]


async def test_a_cache_that_nobody_fetches_is_dropped() -> None:
    async with Server(options(role=Role.PREFILL, kv_patience=0.1)) as first:
        await ask_for_prefill(first, 500)
        await until(first, held=0, kv_blocks_used=0)


async def test_without_a_prefill_server_the_prompt_is_computed_here() -> None:
    async with pair() as (first, second):
        await first.__aexit__()
        answer = await complete(second)
        found = await samples(second)
    assert answer.usage.completion_tokens == 5
    assert found["din_kv_transfer_failures_total"] == 1
    assert found["vllm:prompt_tokens_total"] == 500


async def test_the_next_prefill_server_is_asked() -> None:
    async with Server(options(role=Role.PREFILL)) as good:
        dead = "http://127.0.0.1:9"
        async with Server(options(role=Role.DECODE, prefill=(dead, url(good)))) as second:
            for _ in range(4):
                await complete(second)
            found = await samples(second)
    assert found["din_kv_transfer_seconds_count"] == 4
    assert found["din_kv_transfer_failures_total"] == 0


async def test_prefill_servers_share_the_work() -> None:
    async with (
        Server(options(name="a", role=Role.PREFILL)) as one,
        Server(options(name="b", role=Role.PREFILL)) as other,
        Server(options(role=Role.DECODE, prefill=(url(one), url(other)))) as second,
    ):
        await asyncio.gather(*(complete(second) for _ in range(6)))
        done = [(await samples(each))["vllm:generation_tokens_total"] for each in (one, other)]
    assert done == [3, 3]


@pytest.mark.parametrize("where", ["prefill", "transfer"])
async def test_a_client_that_leaves_frees_both_servers(where: str) -> None:
    slow = {"prefill_tokens_per_second": 100} if where == "prefill" else {}
    async with pair(slow) as (first, second):
        if where == "transfer":
            gone = await asyncio.start_server(lambda _r, _w: asyncio.sleep(60), "127.0.0.1", 0)
            params = await ask_for_prefill(first, 500) | {"remote_port": gone.sockets[0].getsockname()[1]}
            work = asyncio.create_task(complete(second, kv_transfer_params=params))
        else:
            work = asyncio.create_task(complete(second))
            await until(first, running=1)
        await until(second, waiting=1)
        work.cancel()
        await until(second, waiting=0, running=0, kv_blocks_used=0)
        if where == "prefill":
            await until(first, running=0, held=0, kv_blocks_used=0)


async def test_waiting_for_a_cache_fills_the_queue() -> None:
    slow = {"prefill_tokens_per_second": 100}
    async with pair(slow, max_sequences=1, max_queue=1) as (_, second):
        work = [asyncio.create_task(complete(second)) for _ in range(2)]
        await until(second, waiting=2)
        async with httpx.AsyncClient(verify=False) as http:
            body = {"model": MODEL, "prompt": "a"}
            assert (await http.post(url(second, "/v1/completions"), json=body)).status_code == 429
        for each in work:
            each.cancel()
        await until(second, waiting=0)


@pytest.mark.parametrize(
    "params",
    [
        {"do_remote_prefill": True},
        {"do_remote_prefill": True, "remote_host": 5, "remote_port": 5, "remote_request_id": "a"},
        {"do_remote_prefill": True, "remote_host": "a", "remote_port": "5", "remote_request_id": "a"},
        {"do_remote_prefill": True, "remote_host": "a", "remote_port": 70000, "remote_request_id": "a"},
    ],
)
async def test_wrong_parameters_are_refused(params: dict[str, Any]) -> None:
    async with Server(options()) as server, httpx.AsyncClient(verify=False) as http:
        body = {"model": MODEL, "prompt": "a", "kv_transfer_params": params}
        answer = await http.post(url(server, "/v1/completions"), json=body)
        assert answer.status_code == 400
        assert "kv_transfer_params.remote_" in answer.json()["error"]["message"]
        await until(server, waiting=0)


async def test_a_cache_is_kept_only_where_it_can_be_fetched_and_told_of() -> None:
    body: dict[str, Any] = {"model": MODEL, "prompt": "a", "kv_transfer_params": {"do_remote_decode": True}}
    async with (
        Server(options(role=Role.BOTH)) as both,
        Server(options(role=Role.PREFILL)) as first,
        httpx.AsyncClient(verify=False) as http,
    ):
        for server, fields, words in (
            (both, {}, "role prefill"),
            (first, {"stream": True}, "without stream"),
        ):
            answer = await http.post(url(server, "/v1/completions"), json=body | fields)
            assert answer.status_code == 400
            assert words in answer.json()["error"]["message"]
            await until(server, running=0, waiting=0, held=0, kv_blocks_used=0)


async def test_reset_drops_caches_that_are_held() -> None:
    async with Server(options(role=Role.PREFILL)) as first, httpx.AsyncClient(verify=False) as http:
        params = await ask_for_prefill(first, 500)
        await http.post(url(first, "/admin/reset"))
        await until(first, held=0, kv_blocks_used=0)
        with pytest.raises(kv.TransferError):
            await kv.fetch(first.kv_addresses[0], params["remote_request_id"], 500_000, 0)


async def test_places_where_no_cache_can_be_cost_only_the_prefill() -> None:
    async def liar(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((10**6).to_bytes(8, "big") + b"short")
        writer.close()

    async with await asyncio.start_server(liar, "127.0.0.1", 0) as short, Server(options()) as server:
        port = short.sockets[0].getsockname()[1]
        for host, number in (("127.0.0.1", 9), ("no.such.invalid", 80), ("a\0b", 80), ("127.0.0.1", port)):
            params = {
                "do_remote_prefill": True,
                "remote_host": host,
                "remote_port": number,
                "remote_request_id": "a",
            }
            assert (await complete(server, kv_transfer_params=params)).usage.completion_tokens == 5
        assert (await samples(server))["din_kv_transfer_failures_total"] == 4


async def test_garbage_at_the_kv_port() -> None:
    async with Server(options(role=Role.PREFILL)) as first:
        for data in (b"\0" * 500, b"\xff\n", b"GET / HTTP/1.1\r\n\r\n"):
            reader, writer = await asyncio.open_connection(*first.kv_addresses[0])
            writer.write(data)
            async with asyncio.timeout(5):
                with contextlib.suppress(ConnectionResetError):  # it hung up before it had read all
                    assert await reader.read() in (b"", bytes(8))
            writer.close()
        params = await ask_for_prefill(first, 10)
        await kv.fetch(first.kv_addresses[0], params["remote_request_id"], 10_000, 0)


async def test_a_cache_of_another_size_is_none() -> None:
    async with pair({"kv_bytes_per_token": "2kB"}) as (first, second):
        assert (await complete(second)).usage.completion_tokens == 5
        found = await samples(second)
        await until(first, held=0, kv_blocks_used=0)
    assert found["din_kv_transfer_failures_total"] == 1
    assert found["din_kv_transfer_bytes_total{direction=received}"] == 0
    assert found["vllm:prompt_tokens_total"] == 500


@pytest.mark.parametrize("who", ["fetches", "offers"])
async def test_a_peer_that_falls_silent_is_given_up_in_the_middle(
    who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kv, "STALL_TIMEOUT", 0.3)
    # So that it does not fit into the sockets' buffers.
    async with Server(options(role=Role.PREFILL, kv_bytes_per_token="100kB")) as first:
        params = await ask_for_prefill(first, 500)
        reader, writer = await asyncio.open_connection(*first.kv_addresses[0], limit=1 << 16)
        if who == "fetches":
            writer.write(params["remote_request_id"].encode() + b"\n")
            await reader.readexactly(8 + 1000)  # and no more
            await until(first, held=0, kv_blocks_used=0)
        else:
            begin = asyncio.get_running_loop().time()
            silent = await asyncio.start_server(
                lambda _r, w: w.write((50_000_000).to_bytes(8, "big") + bytes(1000)), "127.0.0.1", 0
            )
            async with silent:
                address = silent.sockets[0].getsockname()[:2]
                with pytest.raises(kv.TransferError, match=r"nothing came for 0\.3 s"):
                    await kv.fetch(address, "a", 50_000_000, 0)
            assert asyncio.get_running_loop().time() - begin < 2
        writer.close()


async def test_who_fetches_slowly_is_waited_for_as_long_as_something_moves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kv, "STALL_TIMEOUT", 0.3)
    async with Server(options(role=Role.PREFILL, kv_bytes_per_token="100kB")) as first:
        params = await ask_for_prefill(first, 500)
        with socket.socket() as sock:
            sock.setsockopt(
                socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10
            )  # what was sent was read, or nearly
            sock.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(sock, first.kv_addresses[0])
            await loop.sock_sendall(sock, params["remote_request_id"].encode() + b"\n")
            left, begin = 8 + 50_000_000, loop.time()
            while left:
                pause = left - 7_000_000
                while left > max(pause, 0):
                    data = await loop.sock_recv(sock, 64 << 10)
                    assert data, f"it hung up {left} bytes before the end"
                    left -= len(data)
                await asyncio.sleep(0.1)
            assert loop.time() - begin > 2 * kv.STALL_TIMEOUT


async def test_who_offers_slowly_is_waited_for_as_long_as_something_moves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kv, "STALL_TIMEOUT", 0.3)
    parts, pause = 8, 0.1

    async def trickle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((parts * 1000).to_bytes(8, "big"))
        for _ in range(parts):
            await asyncio.sleep(pause)
            writer.write(bytes(1000))
        writer.close()

    async with await asyncio.start_server(trickle, "127.0.0.1", 0) as slow:
        begin = asyncio.get_running_loop().time()
        await kv.fetch(slow.sockets[0].getsockname()[:2], "a", parts * 1000, 0)
        assert asyncio.get_running_loop().time() - begin >= parts * pause > kv.STALL_TIMEOUT


async def test_without_descriptors_a_transfer_waits(caplog: pytest.LogCaptureFixture) -> None:
    """The listener survives, and who has connected is served when there are some again."""
    async with Server(options(role=Role.PREFILL)) as first:
        params = await ask_for_prefill(first, 500)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.ExitStack() as held:
            sock = held.enter_context(socket.socket())
            sock.setblocking(False)
            resource.setrlimit(resource.RLIMIT_NOFILE, (sock.fileno() + 8, hard))
            held.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
            with contextlib.suppress(OSError):
                while True:
                    held.enter_context(open(os.devnull))
            await asyncio.get_running_loop().sock_connect(sock, first.kv_addresses[0])
            async with asyncio.timeout(5):
                while "has to wait" not in caplog.text:
                    await asyncio.sleep(0.01)
        await kv.fetch(first.kv_addresses[0], params["remote_request_id"], 500_000, 0)


async def test_a_prefill_server_that_is_not_there_is_avoided_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    original = remote.post

    async def spy(url: str, *arguments: Any) -> tuple[int, bytes]:
        asked.append(url)
        return await original(url, *arguments)

    monkeypatch.setattr(remote, "post", spy)
    async with Server(options(role=Role.PREFILL)) as good:
        dead = "http://127.0.0.1:9"
        prefillers = remote.Prefillers((dead, url(good)))
        fields = {"model": MODEL, "prompt": "a"}
        for _ in range(4):
            assert (await prefillers.compute("/v1/completions", fields, "")).port
        assert [each.startswith(dead) for each in asked].count(True) == 1
        # It is asked all the same where nobody else is left.
        await good.__aexit__()
        with pytest.raises(kv.TransferError, match=r"127\.0\.0\.1:9"):
            await prefillers.compute("/v1/completions", fields, "")


def test_a_prefill_server_whose_host_is_gone_is_noticed_before_it_answers() -> None:
    """In a network of its own, which is cut while the prompt is computed."""
    code = """if True:
        import asyncio, subprocess, time
        from din.inference.server import http_client
        def ip(*words): subprocess.run(["ip", *words], check=True)
        ip("link", "set", "lo", "up")
        http_client.KEEPALIVE_IDLE = 1
        http_client._KEEPALIVE_PROBES = 1
        async def main():
            asked = asyncio.Event()
            async def silent(reader, writer):
                await reader.readuntil(b"\\r\\n\\r\\n")
                asked.set()
                await asyncio.sleep(60)
            server = await asyncio.start_server(silent, "127.0.0.1", 8000)
            post = asyncio.create_task(http_client.post("http://127.0.0.1:8000/", b"{}", [], 60))
            await asked.wait()
            ip("link", "set", "lo", "down")
            begin = time.monotonic()
            try:
                await post
            except OSError as error:
                print(time.monotonic() - begin)
        asyncio.run(main())
    """
    unshared = ["unshare", "--user", "--map-root-user", "--net"]
    run = subprocess.run([*unshared, sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) < 10
