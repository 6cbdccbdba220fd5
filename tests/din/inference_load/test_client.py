# SPDX-License-Identifier: Apache-2.0
"""The clients that applications import: a connection for each request, and else as `openai`'s."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import httpx2
import openai
import pytest
from din.inference import AsyncClient, Client

from tests.din.inference_load.server import Behaviour, Server, serving, until

ASKED: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 3}


def _ask(client: openai.OpenAI, times: int) -> list[str | None]:
    return [client.chat.completions.create(**ASKED).choices[0].message.content for _ in range(times)]


async def _asked(client: openai.OpenAI, times: int) -> list[str | None]:
    # The server shares this loop.
    return await asyncio.to_thread(_ask, client, times)


def _options(server: Server, **more: Any) -> dict[str, Any]:
    return {"base_url": server.base_url, "api_key": "none", **more}


async def test_each_request_has_a_connection_of_its_own() -> None:
    async with serving() as server:
        with Client(**_options(server)) as client:
            assert await _asked(client, 4) == ["tok tok tok "] * 4
            assert server.accepted == 4
            await until(lambda: server.closed == 4)


async def test_openais_own_keeps_its_connection() -> None:
    async with serving() as server:
        with openai.OpenAI(**_options(server)) as client:
            await _asked(client, 4)
        assert server.accepted == 1


@pytest.mark.parametrize(("kind", "connections"), [(AsyncClient, 3), (openai.AsyncOpenAI, 1)])
async def test_the_asynchronous_one_does_as_well(kind: type[openai.AsyncOpenAI], connections: int) -> None:
    async with serving() as server:
        async with kind(**_options(server)) as client:
            for _ in range(3):
                stream = await client.chat.completions.create(**ASKED, stream=True)
                assert [chunk async for chunk in stream]
        assert server.accepted == connections
        await until(lambda: server.closed == connections)


async def test_derived_clients_do_as_well() -> None:
    async with serving() as server:
        with Client(**_options(server)) as client:
            derived = client.with_options(timeout=5)
            assert isinstance(derived, Client)
            await _asked(derived, 3)
        assert server.accepted == 3


async def test_a_retry_is_steered_anew() -> None:
    async with serving(Behaviour(status=503)) as server:
        with Client(**_options(server, max_retries=1)) as client, pytest.raises(openai.InternalServerError):
            await _asked(client, 1)
        assert len(server.bodies) == 2
        assert len(set(server.peers)) == 2


async def test_ones_own_transport_decides_for_itself() -> None:
    async with serving() as server:
        with Client(**_options(server, http_client=httpx2.Client())) as client:
            await _asked(client, 3)
        assert server.accepted == 1


def test_whoever_needs_no_client_does_not_load_openai() -> None:
    code = (
        "import sys, din.inference; assert 'openai' not in sys.modules; din.inference.Client; import openai"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_not_there_is_named() -> None:
    import din.inference

    with pytest.raises(AttributeError, match=r"din\.inference.*'Clients'"):
        _ = din.inference.Clients
