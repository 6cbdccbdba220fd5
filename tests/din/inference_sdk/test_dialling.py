# SPDX-License-Identifier: Apache-2.0
"""Clients that ask the controller, without a network: every way in which it can go otherwise. That the cookie
steers is in `test_live`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import AF_INET, AF_INET6, socket
from typing import Any

import httpx2
import openai
import psutil
import pytest
from din.api.schema import Pick
from din.inference import AsyncClient, Client, ControllerSteering, How
from din.inference.marking.claim import ClaimError

ASKED: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
PICK = Pick(
    service="chat", instance="two", instance_id=2, service_id=4, addresses=["::1"], port=8000
).model_dump_json()
ANSWER = json.dumps({"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": []})


class Handler(BaseHTTPRequestHandler):
    """An instance, and a controller."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self._answer(*self.server.picks)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.clients.append(self.client_address[:2])
        self.server.may_answer.wait(10)
        self._answer(200, ANSWER)

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str, certificate: Path | None = None) -> None:
        self.address_family = AF_INET6 if ":" in host else AF_INET
        super().__init__((host, 0), Handler)
        self.asked: list[str] = []
        self.clients: list[Any] = []
        self.picks = (200, PICK)
        self.may_answer = threading.Event()
        self.may_answer.set()
        scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket: socket = context.wrap_socket(self.socket, server_side=True)
            scheme = "https"
        host = f"[{host}]" if ":" in host else host
        self.url = f"{scheme}://{host}:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def one(*arguments: Any) -> Server:
        servers.append(Server(*arguments))
        return servers[-1]

    yield one
    for each in servers:
        each.may_answer.set()
        each.shutdown()
        each.server_close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    request = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    names = ["-subj", "/CN=chat", "-addext", "subjectAltName=IP:::1"]
    subprocess.run(
        [*request, *names, "-keyout", path, "-out", f"{path}.crt", "-days", "2"],
        check=True,
        capture_output=True,
    )
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


def steering(controller: str) -> ControllerSteering:
    return ControllerSteering(controller, "chat", "leaf1", tenant=7, agent="/nowhere/agent.sock")


Ask = Callable[..., Any]


def ask_sync(base: str, controller: str, times: int = 1, timeout: float = 30, **more: Any) -> Any:
    with Client(
        steering=steering(controller), base_url=base + "/v1", api_key="none", max_retries=0, timeout=timeout
    ) as client:
        create = client.chat.completions.with_raw_response.create
        return [create(**{**ASKED, **more}) for _ in range(times)][-1]


def ask_async(base: str, controller: str, times: int = 1, timeout: float = 30, **more: Any) -> Any:
    async def ask() -> Any:
        async with AsyncClient(
            steering=steering(controller),
            base_url=base + "/v1",
            api_key="none",
            max_retries=0,
            timeout=timeout,
        ) as client:
            create = client.chat.completions.with_raw_response.create
            return (await asyncio.gather(*(create(**{**ASKED, **more}) for _ in range(times))))[-1]

    return asyncio.run(ask())


both = pytest.mark.parametrize("ask", [ask_sync, ask_async])


def marking(raw: Any) -> Any:
    return raw.http_response.extensions["network_stream"].get_extra_info("din_marking")


@both
def test_where_no_option_can_be_set_dscp_is(
    ask: Ask, start: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    """And the network steers, which is said."""
    server = start("::1")
    raw = ask(server.url, server.url)
    assert raw.parse().model == "m"
    assert marking(raw).how is How.DSCP
    (path,) = server.asked
    assert path == "/v1/pick?service=chat&leaf=leaf1"
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "no agent answers at /nowhere/agent.sock" in record.getMessage()


@both
@pytest.mark.parametrize(("picks", "why"), [
    ((409, '{"error": "no instance may be used"}'), "names no instance: no instance may be used"),
    ((500, "Internal Server Error"), "names no instance: status 500"),
    ((200, "{}"), "names no instance: status 200"),
    ((404, "[]"), "names no instance: status 404"),
])  # fmt: skip
def test_a_controller_that_names_none(
    ask: Ask,
    picks: tuple[int, str],
    why: str,
    start: Callable[..., Server],
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = start("::1")
    server.picks = picks
    raw = ask(server.url, server.url)
    assert raw.parse().model == "m"
    assert marking(raw) is None
    assert why in caplog.text


@both
def test_a_service_without_ipv6(
    ask: Ask, start: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    server, controller = start("127.0.0.1"), start("::1")
    assert ask(server.url, controller.url).parse().model == "m"
    assert "127.0.0.1 has no IPv6 address" in caplog.text
    assert not controller.asked


@both
def test_tls(
    ask: Ask, start: Callable[..., Server], certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
    server, controller = start("::1", certificate), start("::1")
    raw = ask(server.url, controller.url)
    assert raw.parse().model == "m"
    assert marking(raw).how is How.DSCP


@both
def test_tls_with_a_stranger(ask: Ask, start: Callable[..., Server], certificate: Path) -> None:
    server, controller = start("::1", certificate), start("::1")
    with pytest.raises(openai.APIConnectionError) as caught:
        ask(server.url, controller.url)
    assert "CERTIFICATE_VERIFY_FAILED" in str(caught.value.__cause__)


@both
def test_nobody_listens(ask: Ask, start: Callable[..., Server], caplog: pytest.LogCaptureFixture) -> None:
    controller = start("::1")
    with socket(AF_INET6) as bound:
        bound.bind(("::1", 0))
        with pytest.raises(openai.APIConnectionError) as caught:
            ask(f"http://[::1]:{bound.getsockname()[1]}", controller.url)
    assert isinstance(caught.value.__cause__, httpx2.ConnectError)
    # Another instance might have listened.
    assert "there is no connection to ::1 (Connection refused)" in caplog.text


@both
@pytest.mark.parametrize("tls", [False, True])
def test_an_instance_that_is_silent(
    ask: Ask, tls: bool, start: Callable[..., Server], certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it say goodbye."""
    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
    server, controller = start("::1", certificate if tls else None), start("::1")
    server.may_answer.clear()
    started = time.monotonic()
    with pytest.raises(openai.APITimeoutError):
        ask(server.url, controller.url, timeout=0.3)
    assert 0.2 < time.monotonic() - started < 5


@both
def test_an_instance_that_does_not_read(ask: Ask, start: Callable[..., Server]) -> None:
    """What was not sent is not waited for."""
    controller = start("::1")
    with socket(AF_INET6) as deaf:
        deaf.bind(("::1", 0))
        deaf.listen()
        started = time.monotonic()
        with pytest.raises(openai.APITimeoutError):
            ask(
                f"http://[::1]:{deaf.getsockname()[1]}",
                controller.url,
                timeout=0.3,
                messages=[{"role": "user", "content": "x" * (32 << 20)}],
            )
        assert time.monotonic() - started < 5


@both
def test_a_controller_that_is_silent(
    ask: Ask, start: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    """Costs a second, and for a while no more."""
    server = start("::1")
    with socket(AF_INET6) as silent:
        silent.bind(("::1", 0))
        silent.listen()
        started = time.monotonic()
        raw = ask(server.url, f"http://[::1]:{silent.getsockname()[1]}", times=4)
        assert 0.9 < time.monotonic() - started < 1.9
    assert raw.parse().model == "m"
    assert len(set(server.clients)) == 4
    assert "no controller answers at http://[::1]:" in caplog.text


def test_whom_it_speaks_for(start: Callable[..., Server]) -> None:
    controller = start("::1")
    controller.picks = (404, "{}")
    for tenant, label in (("acme", None), ("acme", "public"), (7, "secret")):
        asked = ControllerSteering(
            controller.url, "chat", "leaf1", tenant, label, agent="/nowhere/agent.sock"
        )
        with Client(steering=asked, base_url=controller.url + "/v1", api_key="none") as client:
            client.chat.completions.create(**ASKED)
    assert controller.asked == [
        "/v1/pick?service=chat&leaf=leaf1&tenant=acme",
        "/v1/pick?service=chat&leaf=leaf1&tenant=acme",
        "/v1/pick?service=chat&leaf=leaf1&label=secret",
    ]


@pytest.mark.parametrize("wrong", [
    {"tenant": 1 << 16}, {"label": "A B"}, {"traffic_class": "control"}, {"deadline_ms": -1},
])  # fmt: skip
def test_what_cannot_be_said_is_refused_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(ClaimError, match=next(iter(wrong))):
        ControllerSteering(**{"controller": "/c", "service": "chat", "leaf": "leaf1", "tenant": 7, **wrong})


def test_connections_of_ones_own_are_not_steered() -> None:
    with httpx2.Client() as own, pytest.raises(ValueError, match="exclude each other"):
        Client(steering=steering("/c"), api_key="none", http_client=own)


@pytest.mark.parametrize("steered", [False, True])
def test_a_connection_for_each_request(steered: bool, start: Callable[..., Server]) -> None:
    """From threads, and of copies, too."""
    server = start("::1")
    more: Any = {"steering": steering(server.url)} if steered else {}
    with Client(base_url=server.url + "/v1", api_key="none", **more) as client:
        assert isinstance(client.with_options(timeout=5), Client)
        for each in (client, client, client.with_options(timeout=5), client.copy(api_key="other")):
            each.chat.completions.create(**ASKED)
        with ThreadPoolExecutor(8) as threads:
            for done in [threads.submit(client.chat.completions.create, **ASKED) for _ in range(16)]:
                assert done.result().model == "m"
    assert len(set(server.clients)) == len(server.clients) == 20


async def test_a_cancelled_request_leaves_no_connection(start: Callable[..., Server]) -> None:
    server = start("::1")
    server.may_answer.clear()
    async with AsyncClient(
        steering=steering(server.url), base_url=server.url + "/v1", api_key="none"
    ) as client:
        request = asyncio.create_task(client.chat.completions.create(**ASKED))
        while not server.clients:
            await asyncio.sleep(0.001)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        assert gone(server.clients[0][1])


def gone(port: int) -> bool:
    """Has this process no connection from there any more?"""
    return all(not each.laddr or each.laddr[1] != port for each in psutil.Process().net_connections("tcp"))


def test_each_reason_is_said_once(start: Callable[..., Server], caplog: pytest.LogCaptureFixture) -> None:
    server = start("::1")
    with Client(steering=steering(server.url), base_url=server.url + "/v1", api_key="none") as client:
        for _ in range(3):
            client.chat.completions.create(**ASKED)
    assert len(server.asked) == 3
    assert len(set(server.clients)) == 3
    assert len(caplog.records) == 1
