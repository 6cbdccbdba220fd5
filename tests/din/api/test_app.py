# SPDX-License-Identifier: Apache-2.0
"""The API as clients meet it, and as those do who mean it no good: on a real socket."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
import uvicorn
from din.api import app as app_module
from din.api.app import LARGEST_BODY, make_app
from din.api.client import SOCKET_NAME, Client, NotRunningError, RefusedError
from din.api.schema import ApplyRequest, DrainRequest, ModelText
from din.controller.operations import ControllerOperations
from din.measure.state import InstanceState, Measured
from din.model.ids import assign
from din.model.load import load
from din.model.wiring import Wiring
from din.steering.aggregates import aggregates
from din.steering.decide import decide

from tests.din.cli.controllers import FakeController

ENTERPRISE = Path(__file__).resolve().parents[3] / "topologies" / "enterprise.yaml"


@pytest.fixture
def controller() -> FakeController:
    return FakeController()


@pytest.fixture
async def state(controller: FakeController, tmp_path: Path) -> AsyncIterator[Path]:
    """State directory of ``controller``, which answers there."""
    config = uvicorn.Config(make_app(controller), uds=str(tmp_path / SOCKET_NAME), log_level="warning")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        assert not serving.done()
        await asyncio.sleep(0.01)
    yield tmp_path
    server.should_exit = True
    await serving


@pytest.fixture
async def http(state: Path) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.AsyncHTTPTransport(uds=str(state / SOCKET_NAME))
    async with httpx.AsyncClient(transport=transport, base_url="http://controller") as client:
        yield client


MODEL = {"text": "a", "file": "b"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "error"),
    [
        ("POST", "/v1/apply", "{", 422, "body.1: JSON decode error"),
        ("POST", "/v1/apply", "[]", 422, "body: Input should be a valid dictionary"),
        ("POST", "/v1/apply", "{}", 422, "body.model: Field required"),
        ("POST", "/v1/apply", json.dumps({"model": MODEL, "yess": True}), 422, "body.yess: Extra inputs"),
        ("POST", "/v1/apply", json.dumps({"model": MODEL, "yes": "perhaps"}), 422, "body.yes: "),
        ("POST", "/v1/drain", '{"instance": "a", "deadline": -1}', 422, "body.deadline: "),
        ("POST", "/v1/drain", '{"instance": "a", "deadline": NaN}', 422, "body.deadline: "),
        ("POST", "/v1/drain", '{"instance": "a", "deadline": 1e999}', 422, "body.deadline: "),
        ("POST", "/v1/rollback", '{"revision": 1.5}', 422, "body.revision: "),
        ("GET", "/v1/latency?since=nan", "", 422, "query.since: "),
        ("GET", "/v1/latency?since=yesterday", "", 422, "query.since: "),
        ("GET", "/v1/explain?service=chat", "", 422, "query.leaf: Field required"),
        ("GET", "/v1/nothing", "", 404, "GET /v1/nothing: Not Found"),
        ("GET", "/v1/apply", "", 405, "GET /v1/apply: Method Not Allowed"),
    ],
)
async def test_what_is_not_understood_is_refused(
    controller: FakeController,
    http: httpx.AsyncClient,
    method: str,
    path: str,
    body: str,
    status: int,
    error: str,
) -> None:
    """In the same words as a controller's own refusals."""
    headers = {"Content-Type": "application/json"}
    answer = await http.request(method, path, content=body.encode(), headers=headers)
    assert answer.status_code == status
    assert error in answer.json()["error"]
    assert controller.asked == []


@pytest.mark.parametrize("told", [{}, {"Content-Length": str(4 * LARGEST_BODY)}])
async def test_a_body_that_is_too_large(
    controller: FakeController, http: httpx.AsyncClient, told: dict[str, str]
) -> None:
    """Whether its length is said beforehand or not."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(4 * LARGEST_BODY >> 20):
            yield bytes(1 << 20)

    answer = await http.post("/v1/apply", content=chunks(), headers=told)
    assert answer.status_code == 413
    assert f"more than {LARGEST_BODY} bytes" in answer.json()["error"]
    assert controller.asked == []


async def test_the_largest_body_is_taken(controller: FakeController, http: httpx.AsyncClient) -> None:
    request = ApplyRequest(model=ModelText(text="x" * (LARGEST_BODY - 200), file="f")).model_dump()
    assert (await http.post("/v1/apply", json=request)).status_code == 200
    assert len(controller.asked) == 1


async def test_a_body_that_does_not_come(
    http: httpx.AsyncClient, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, "BODY_SECONDS", 0.2)
    reader, writer = await asyncio.open_unix_connection(state / SOCKET_NAME)
    writer.write(b"POST /v1/apply HTTP/1.1\r\nHost: c\r\nContent-Length: 100\r\n\r\n{")
    async with asyncio.timeout(5):
        assert b" 408 " in await reader.readline()
    writer.close()


async def test_a_drain_may_take_longer_than_a_body(
    controller: FakeController, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, "BODY_SECONDS", 0.05)
    whole = controller.drain

    async def slow(request: DrainRequest) -> AsyncIterator[Any]:
        async for each in whole(request):
            yield each
            await asyncio.sleep(0.1)

    controller.drain = slow  # type: ignore[method-assign]
    answer = await http.post("/v1/drain", json={"instance": "chat-1"})
    assert [json.loads(line)["state"] for line in answer.text.splitlines()] == ["draining", "drained"]


async def test_clients_that_hang_delay_nobody(http: httpx.AsyncClient, state: Path) -> None:
    idle = []
    for said in (b"", b"GET /v1/st", b"POST /v1/apply HTTP/1.1\r\nHost: c\r\nContent-Length: 9\r\n\r\n{"):
        for _ in range(50):
            one = socket.socket(socket.AF_UNIX)
            await asyncio.to_thread(one.connect, str(state / SOCKET_NAME))
            one.send(said)
            idle.append(one)
    async with asyncio.timeout(5):
        assert (await http.get("/v1/status")).status_code == 200
    for one in idle:
        one.close()


# ---- the client --------------------------------------------------------------------------------------------


@pytest.fixture
def client(state: Path) -> Iterator[Client]:
    with Client(state) as found:
        yield found


async def test_a_refusal_is_raised_with_its_words(controller: FakeController, client: Client) -> None:
    controller.refuse(409, "not now")
    with pytest.raises(RefusedError, match=r"^not now$"):
        await asyncio.to_thread(client.undrain, "chat-1")
    with pytest.raises(RefusedError, match=r"^GET /v1/no: Not Found$"):
        await asyncio.to_thread(client._ask, "GET", "/v1/no")


async def test_nobody_there_and_nobody_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Client(tmp_path) as client, pytest.raises(NotRunningError, match=r"Start one with din up"):
        client.status()
    monkeypatch.setattr("din.api.client._TIMEOUT", 0.1)
    with socket.socket(socket.AF_UNIX) as deaf, Client(tmp_path) as client:
        deaf.bind(str(tmp_path / SOCKET_NAME))
        deaf.listen()
        with pytest.raises(NotRunningError, match=r"takes connections, but does not answer$"):
            client.status()


# ---- which instance ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def enterprise() -> ControllerOperations:
    """All instances alive, nothing else known; and what would be decided then."""
    model = load(ENTERPRISE)
    wiring = Wiring(model)
    measured = Measured(instances={each.name: InstanceState(alive=True) for each in model.instances})
    plan = decide(model, wiring, aggregates(model, wiring), measured, None, frozenset(), 0.0)
    desired = SimpleNamespace(model=model, ids=assign(model, []))
    return ControllerOperations(cast(Any, SimpleNamespace(desired=desired, plan=plan, measured=measured)))


def test_what_is_picked_for_a_label_may_have_its_data(enterprise: ControllerOperations) -> None:
    """Unlabelled requests may go where private ones must not."""
    model = enterprise._controller.desired.model
    allowed = set(model.label["private"].zones)

    def zones(label: str) -> set[str]:
        picked = {enterprise.pick("chat", "leaf-a", label=label).instance for _ in range(200)}
        return {model.zone_of(model.host[model.instance[each].host].leaf) for each in picked}

    assert zones("private") <= allowed
    assert not zones("") <= allowed


@pytest.mark.parametrize(
    ("asked", "status", "error"),
    [
        ({"service": "nobody"}, 404, "there is no service nobody; there are chat"),
        ({"leaf": "nowhere"}, 404, "there is no switch nowhere; there are"),
        ({"label": "none"}, 404, "there is no label none; there are private"),
        ({"tenant": "none"}, 404, "there is no tenant none; there are acme"),
        ({"leaf": "wan-1"}, 404, "nobody there may use chat from wan-1"),
        ({"tenant": "tokenworks"}, 404, "nobody there may use chat from leaf-a for tokenworks"),
    ],
)
def test_why_none_is_picked(
    enterprise: ControllerOperations, asked: dict[str, str], status: int, error: str
) -> None:
    with pytest.raises(app_module.RefusedError) as refused:
        enterprise.pick(**{"service": "chat", "leaf": "leaf-a", **asked})
    assert refused.value.status == status
    assert str(refused.value).startswith(error)


async def test_labels_reach_the_controller(
    controller: FakeController, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pick(*asked: str) -> Any:
        controller._ask(asked)
        return {
            "service": "chat",
            "instance": "chat-1",
            "instance_id": 1,
            "service_id": 1,
            "addresses": [],
            "port": 1,
        }

    monkeypatch.setattr(controller, "pick", pick)
    await asyncio.to_thread(client.pick, "chat", "leaf-1", "acme", "secret")
    await asyncio.to_thread(client.pick, "chat", "leaf-1")
    assert controller.asked == [("chat", "leaf-1", "acme", "secret"), ("chat", "leaf-1", "", "")]
