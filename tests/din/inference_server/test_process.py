# SPDX-License-Identifier: Apache-2.0
"""The process as somebody starts it: what it says, what it costs, how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from din.inference.server.options import parse

from tests.din.inference_server.bed import MODEL, chat, profile

COMMAND = (sys.executable, "-m", "din.inference.server", "--name", "one", "--served-model", MODEL)


@asynccontextmanager
async def started(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, Any]]]:
    """One that listens, and what it said."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *("--listen", "127.0.0.1:0", "--decode-step", "10ms", "--decode-step-per-sequence", "0us"),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            yield process, json.loads(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def cpu_seconds(pid: int) -> float:
    """User and system time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def base(ready: dict[str, Any]) -> str:
    return f"http://{ready['listen'][0]}"


def client(ready: dict[str, Any]) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{base(ready)}/v1", api_key="none", max_retries=0)


async def test_it_says_where_it_listens_and_starts_on_little_cpu() -> None:
    arguments = ("--role", "prefill", "--kv-listen", "127.0.0.1:0", "--listen", "[::1]:0")
    async with started(*arguments) as (process, ready), client(ready) as ai:
        assert process.pid is not None
        spent = cpu_seconds(process.pid)
        assert (ready["ready"], ready["pid"]) == ("one", process.pid)
        assert [each.rpartition(":")[0] for each in ready["listen"]] == ["127.0.0.1", "[::1]"]
        assert len(ready["kv"]) == 1
        assert [model.id async for model in ai.models.list()] == [MODEL]
    # Nine of them have to start on two cores. Here 0.3 s; a library too many costs as much again.
    assert spent < 0.9


async def test_cpu_for_a_streamed_token() -> None:
    request = json.dumps(chat(max_tokens=100, stream=True)).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(request)

    async def one(port: int) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head + request)
        answer = await reader.readuntil(b"[DONE]")
        writer.close()
        return answer.count(b'"delta"')

    async with started() as (process, ready):
        assert process.pid is not None
        port = int(ready["listen"][0].rpartition(":")[2])
        before = cpu_seconds(process.pid)
        tokens = sum(await asyncio.gather(*(one(port) for _ in range(60))))
        spent = cpu_seconds(process.pid) - before
    assert tokens == 6000
    assert spent / tokens < 0.0001


async def test_after_sigterm_streams_end_whole_and_nothing_new_begins() -> None:
    async with started() as (process, ready), client(ready) as ai:
        stream = await ai.completions.create(model=MODEL, prompt="a", max_tokens=60, stream=True)
        process.send_signal(signal.SIGTERM)
        async with httpx.AsyncClient(verify=False) as http, asyncio.timeout(5):
            while (await http.get(base(ready) + "/health")).status_code == 200:
                await asyncio.sleep(0.01)
            refused = await http.post(base(ready) + "/v1/completions", json={"model": MODEL, "prompt": "a"})
            assert refused.status_code == 503
            assert refused.headers["retry-after"]
            assert (await http.get(base(ready) + "/admin/state")).json()["draining"]
        chunks = [chunk async for chunk in stream]
        assert len(chunks) == 60
        assert chunks[-1].choices[0].finish_reason == "length"
        _, log = await process.communicate()
    assert process.returncode == 0
    assert b"drained, 0 requests were cut" in log


@pytest.mark.parametrize("how", ["deadline", "impatience"])
async def test_streams_that_last_too_long_are_cut(how: str) -> None:
    seconds = "0.2" if how == "deadline" else "1000"
    async with started("--drain-seconds", seconds) as (process, ready), client(ready) as ai:
        stream = await ai.completions.create(model=MODEL, prompt="a", max_tokens=5000, stream=True)
        process.send_signal(signal.SIGTERM)
        if how == "impatience":
            async with httpx.AsyncClient(verify=False) as http, asyncio.timeout(5):
                while (await http.get(base(ready) + "/health")).status_code == 200:
                    await asyncio.sleep(0.01)
            process.send_signal(signal.SIGINT)
        # It must not look like an answer that is whole.
        with pytest.raises((openai.APIConnectionError, httpx.RemoteProtocolError, httpx.ReadError)):
            [chunk async for chunk in stream]
        _, log = await process.communicate()
    assert process.returncode == 0
    assert b"drained, 1 requests were cut" in log


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--listen", "localhost:80"), "'localhost:80'"),
        (("--listen", "127.0.0.1:70000"), "127.0.0.1:70000"),
        (("--admin", "nowhere"), "nowhere"),
        (("--name", "a\nb"), "--name"),
        (("--name", "käse"), "--name"),
        (("--context", "0"), "--context"),
        (("--context", "1.5"), "whole number"),
        (("--otlp-traces-endpoint", "collector:4318"), "--otlp-traces-endpoint"),
        (("--decode-step", "5"), "decode_step"),
        (("--max-sequences", "0"), "max_sequences"),
        (("--profile", "{"), "Expecting"),
        (("--profile", "[]"), "--profile"),
        (("--profile", '{"name": "a", "speed": 1}'), "speed"),
        (("--profile", "@/nowhere/at/all"), "/nowhere/at/all"),
        (("--prefill", "http://127.0.0.1:1"), "--role decode"),
        (("--role", "decode", "--prefill", "127.0.0.1:1"), "http://10.0.0.1:8000"),
        (("--kv-dscp", "64"), "63"),
        (("--scale-bytes", "0"), "bytes"),
        (("--drain-seconds", "nan"), "nan"),
    ],
)
def test_wrong_options_are_named(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--name", "one", "--served-model", MODEL, *arguments])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_a_profile_comes_as_json_in_a_file_or_field_by_field(tmp_path: Path) -> None:
    required = ["--name", "one", "--served-model", MODEL]
    written = profile(decode_step_per_sequence="50us")
    file = tmp_path / "profile.json"
    file.write_text(written.model_dump_json())
    for given in (written.model_dump_json(), f"@{file}"):
        assert parse([*required, "--profile", given]).profile == written
    changed = parse([*required, "--profile", f"@{file}", "--decode-step", "7ms", "--kv-blocks", "9"]).profile
    assert changed == written.model_copy(update={"decode_step": 7000, "kv_blocks": 9})


async def test_an_address_in_use_is_named() -> None:
    async with started() as (_, ready):
        again = await asyncio.create_subprocess_exec(
            *COMMAND, "--listen", ready["listen"][0], stderr=asyncio.subprocess.PIPE
        )
        _, log = await again.communicate()
    assert again.returncode == 1
    assert ready["listen"][0] in log.decode()
