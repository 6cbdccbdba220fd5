# SPDX-License-Identifier: Apache-2.0
"""What an application does, in ways that show on the wire. Run in a namespace by `live`."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any, cast
from unittest import mock

import uvicorn
from din.api.app import Operations, make_app
from din.api.schema import Pick
from din.inference import AsyncClient, Client, ControllerSteering, Keyring, mark, refresh
from din.model.keys import EPOCH_SECONDS
from din.model.service import TrafficClassName

from tests.din.inference_sdk.exchange import exchange, shown
from tests.din.inference_sdk.network import say, set_up, wait
from tests.din.inference_sdk.numbers import (
    CLAIM,
    CLIENT4,
    CLIENT6,
    ECHO_PORT,
    KEY_ID,
    LEAF_NAME,
    MASTER,
    MODEL,
    NO_AGENT,
    PEER,
    SERVER4,
    SERVICE,
    SERVICE6,
    SERVICE_NAME,
    TENANT,
    TENANT_NAME,
)

KEYRING = Keyring.of(TENANT, KEY_ID, MASTER, [TrafficClassName.SCHEDULED])
ASKED: dict[str, Any] = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "hello"}],
    "max_tokens": 3,
}


def by_option() -> dict[str, Any]:
    with socket.socket(socket.AF_INET6) as sock:
        marking = mark(sock, peer=PEER, keyring=KEYRING, agent=NO_AGENT, **CLAIM)
        sock.connect(PEER)
        return shown(marking, sock, whole=exchange(sock, os.urandom(200_000)))


def datagrams() -> dict[str, Any]:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.connect(PEER)
        marking = mark(sock, keyring=KEYRING, agent=NO_AGENT, **CLAIM)
        return shown(marking, sock, whole=exchange(sock, b"question"))


def epoch_of(sock: socket.socket) -> int:
    """The low byte, as it is sent."""
    return sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, 64)[7]


def renewed() -> dict[str, Any]:
    """Nobody asks for it. The first of all: the thread that renews marks is not asleep for long yet."""
    later = time.time() + EPOCH_SECONDS
    with (
        socket.socket(socket.AF_INET6) as sock,
        mock.patch("din.inference.marking.sockets._Marks._INTERVAL", 0.01),
    ):
        marking = mark(sock, peer=PEER, keyring=KEYRING, agent=NO_AGENT, **CLAIM)
        sock.connect(PEER)
        whole = exchange(sock, b"before")
        with mock.patch("time.time", return_value=later):
            give_up = time.monotonic() + 5
            while epoch_of(sock) == (marking.epoch or 0) & 0xFF and time.monotonic() < give_up:
                time.sleep(0.01)
            now = epoch_of(sock)
            whole &= exchange(sock, b"after")
        return shown(marking, sock, whole=whole, now=now)


def over_epochs() -> dict[str, Any]:
    """Time leaps while a connection stands."""
    later = time.time() + EPOCH_SECONDS
    with socket.socket(socket.AF_INET6) as sock:
        first = mark(sock, peer=PEER, keyring=KEYRING, agent=NO_AGENT, **CLAIM)
        sock.connect(PEER)
        whole = exchange(sock, b"before" * 1000)
        same = refresh(sock) == first
        with mock.patch("time.time", return_value=later):
            second = refresh(sock)
        whole &= exchange(sock, b"after" * 1000)
        return shown(second, sock, whole=whole, same=same, first=first.epoch)


def to_ipv4() -> dict[str, Any]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((SERVER4, ECHO_PORT))
        marking = mark(sock, keyring=KEYRING, agent=NO_AGENT, **CLAIM)
        return shown(marking, sock, whole=exchange(sock, b"question"))


def mapped_ipv4() -> dict[str, Any]:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.connect((f"::ffff:{SERVER4}", ECHO_PORT))
        marking = mark(sock, keyring=KEYRING, agent=NO_AGENT, **CLAIM)
        return shown(marking, sock, whole=exchange(sock, b"question"))


# ---- without CAP_NET_RAW -------------------------------------------------------------------------------


def agent_config(folder: Path) -> Path:
    (folder / "acme.key").write_text(MASTER.hex())
    (folder / "agent.yaml").write_text(
        f"""
version: 1
tenants:
  - name: {TENANT_NAME}
    id: {TENANT}
    keys: [{{id: {KEY_ID}, source: "file:acme.key", classes: [scheduled]}}]
services: {{{SERVICE_NAME}: 0}}
labels: {{secret: 2}}
permits:
  - {{users: [0], tenant: {TENANT_NAME}}}
"""
    )
    return folder / "agent.yaml"


@contextmanager
def running_agent(folder: Path) -> Iterator[str]:
    path = folder / "agent.sock"
    command = [sys.executable, "-m", "din.inference.agent", "--config", str(agent_config(folder))]
    process = subprocess.Popen([*command, "--socket", str(path)], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert "listening" in process.stderr.readline()
        yield str(path)
    finally:
        process.terminate()
        process.communicate()


def with_agent(folder: Path) -> dict[str, Any]:
    with running_agent(folder) as path:
        # Whoever is root in this namespace stays so by number, and may do nothing.
        nothing = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
        command = [sys.executable, "-m", "tests.din.inference_sdk.unprivileged", path]
        done = subprocess.run([*nothing, *command], stdout=subprocess.PIPE, text=True, check=True)
        found: dict[str, Any] = json.loads(done.stdout)
        return found


# ---- the clients ---------------------------------------------------------------------------------------


class Controller:
    """Names the instances in turn."""

    def __init__(self) -> None:
        self._turn = cycle((2, 1, 2))

    def pick(self, service: str, leaf: str, tenant: str, label: str) -> Pick:
        assert (service, leaf) == (SERVICE_NAME, LEAF_NAME)
        number = next(self._turn)
        return Pick(
            service=service,
            instance=f"instance-{number}",
            instance_id=number,
            service_id=SERVICE,
            addresses=[SERVICE6],
            port=8000,
        )


@contextmanager
def running_controller(path: str) -> Iterator[None]:
    app = make_app(cast(Operations, Controller()))
    server = uvicorn.Server(uvicorn.Config(app, uds=path, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


def answered(raw: Any) -> list[Any]:
    stream = raw.http_response.extensions["network_stream"]
    marking = stream.get_extra_info("din_marking")
    if marking is None:
        return [raw.headers["x-din-instance"], None, None]
    return [raw.headers["x-din-instance"], marking.how, stream.get_extra_info("client_addr")[1]]


def clients(folder: Path) -> dict[str, Any]:
    path = str(folder / "controller.sock")
    keyring = Keyring.of(TENANT, KEY_ID, MASTER, [TrafficClassName.SCHEDULED])
    steering = ControllerSteering(path, SERVICE_NAME, LEAF_NAME, TENANT, keyring=keyring, agent=NO_AGENT)
    options: dict[str, Any] = {
        "base_url": f"http://[{SERVICE6}]:8000/v1",
        "api_key": "none",
        "max_retries": 0,
    }

    async def asynchronous() -> list[Any]:
        async with AsyncClient(steering=steering, **options) as client:
            create = client.chat.completions.with_raw_response.create
            return [answered(await create(**ASKED)) for _ in range(3)]

    async def streamed() -> list[Any]:
        async with AsyncClient(steering=steering, **options) as client:
            stream = await client.chat.completions.create(**ASKED, stream=True)
            return [stream.response.headers["x-din-instance"], len([chunk async for chunk in stream])]

    found: dict[str, Any] = {}
    with running_controller(path):
        with Client(steering=steering, **options) as client:
            create = client.chat.completions.with_raw_response.create
            found["sync"] = [answered(create(**ASKED)) for _ in range(3)]
        found["async"] = asyncio.run(asynchronous())
        found["stream"] = asyncio.run(streamed())
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("din.inference").addHandler(handler)
    with Client(steering=steering, **options) as client:
        create = client.chat.completions.with_raw_response.create
        found["no controller"] = [answered(create(**ASKED)) for _ in range(2)]
    found["said"] = said
    return found


def main() -> None:
    set_up("c", f"{CLIENT6}/64", f"{CLIENT4}/24")
    wait("begin")
    found: dict[str, Any] = {
        each.__name__: each() for each in (renewed, by_option, datagrams, over_epochs, to_ipv4, mapped_ipv4)
    }
    with tempfile.TemporaryDirectory() as folder:
        found |= with_agent(Path(folder))
        found["clients"] = clients(Path(folder))
    say(found)


if __name__ == "__main__":
    main()
