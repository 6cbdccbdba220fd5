# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from din.testbed import relay

from tests.din.cli.controllers import FakeController


@pytest.fixture
async def address(state: Path) -> AsyncIterator[tuple[str, int]]:
    async with await relay.serve("127.0.0.1", 0, state / "controller.sock") as server:
        yield server.sockets[0].getsockname()


async def test_reading_gets_through(address: tuple[str, int]) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{address[1]}") as client:
        for _ in range(2):
            metrics = await client.get("/metrics")
            assert (metrics.status_code, metrics.text) == (200, "din_up 1\n")
        assert (await client.get("/v1/status")).json()["model"] == "pair"
        assert (await client.get("/nothing")).status_code == 404


async def test_nothing_can_be_changed(address: tuple[str, int], controller: FakeController) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{address[1]}") as client:
        assert (await client.post("/v1/undrain/chat-1")).status_code == 405
    # Nor by a second request behind one that may pass.
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{address[1]}") as client:
        smuggled = b"POST /v1/undrain/chat-1 HTTP/1.1\r\nHost: x\r\n\r\n"
        answer = await client.request("GET", "/metrics", content=smuggled)
        assert answer.status_code == 200
    assert controller.asked == []


async def test_no_controller(tmp_path: Path) -> None:
    async with await relay.serve("127.0.0.1", 0, tmp_path / "nobody.sock") as server:
        port = server.sockets[0].getsockname()[1]
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{port}/metrics")).status_code == 502
            long = await client.get(f"http://127.0.0.1:{port}/metrics", headers={"x": "y" * 40_000})
            assert long.status_code == 431


def test_addresses() -> None:
    assert relay.parse("127.0.0.1:9100") == ("127.0.0.1", 9100)
    assert relay.parse("[::1]:9100") == ("::1", 9100)
    for wrong in ("9100", ":9100", "localhost:", "localhost:0", "localhost:65536", "localhost:http"):
        with pytest.raises(ValueError, match="ADDRESS:PORT"):
            relay.parse(wrong)


async def test_an_address_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        await relay.serve("127.0.0.1", taken.getsockname()[1], tmp_path / "nobody.sock")
