# SPDX-License-Identifier: Apache-2.0
"""Real switches: `p4jit run`, and simple_switch_grpc where that is installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from din.p4rt.channel import Channel
from din.p4rt.program import Program, default_program

from tests.din.p4rt.fleets import Sent
from tests.din.p4rt.switches import CPU_PORT, P4jit
from tests.p4jit.differential.bmv2 import Bmv2, available


@pytest.fixture(scope="session")
def program() -> Program:
    return default_program()


@pytest.fixture(scope="session")
def p4jit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a process that many tests share, each as a controller of a newer term."""
    with closing(P4jit(tmp_path_factory.mktemp("p4jit"))) as process:
        yield process.address


@pytest.fixture(scope="session")
def other_p4jit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with closing(P4jit(tmp_path_factory.mktemp("p4jit"))) as process:
        yield process.address


@pytest.fixture(scope="session")
def bmv2() -> Iterator[str]:
    missing = available()
    if missing is not None:
        pytest.skip(missing)
    with closing(Bmv2(1, ("--cpu-port", str(CPU_PORT), "--drop-port", "511"))) as process:
        yield process.address


@pytest.fixture(params=["p4jit", "bmv2"])
def address(request: pytest.FixtureRequest) -> str:
    """Of a switch, on either target."""
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """All that leaves for switches from now on."""
    found = Sent()
    request, push, read = Channel.request, Channel.push, Channel.request_iter

    async def spy_request(self: Channel, message: Any) -> Any:
        found.requests.append(message)
        found.in_flight += 1
        found.most_in_flight = max(found.most_in_flight, found.in_flight)
        try:
            return await request(self, message)
        finally:
            found.in_flight -= 1

    async def spy_push(self: Channel, message: Any) -> None:
        found.requests.append(message)
        await push(self, message)

    def spy_read(self: Channel, message: Any) -> Any:
        found.requests.append(message)
        return read(self, message)

    monkeypatch.setattr(Channel, "request", spy_request)
    monkeypatch.setattr(Channel, "push", spy_push)
    monkeypatch.setattr(Channel, "request_iter", spy_read)
    return found
