# SPDX-License-Identifier: Apache-2.0
"""A model server as a whole: its sockets, its beginning and its end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import signal
import socket
from typing import Final

from . import kv
from .engine import Engine
from .generation import Parts
from .http1 import Connection
from .metrics import Metrics
from .options import Address, Options, Role
from .remote import Prefillers
from .scheduler import Scheduler
from .service import Service
from .spans import Spans

#: Clients of an open-loop load come at once.
_BACKLOG: Final = 4096
log = logging.getLogger(__name__)


class ListenError(Exception):
    """It cannot listen where it was told to."""


class Server:
    """``async with Server(options) as server``: it listens inside. One event loop may run several."""

    def __init__(self, options: Options) -> None:
        self.options = options
        scheduler = Scheduler(options.profile, options.scale.rate, options.chunk)
        metrics = Metrics(options.served_models[0], scheduler, options.context)
        self._parts = Parts(
            options,
            Engine(scheduler, metrics),
            metrics,
            Spans(options.otlp, options.name),
            kv.Outbox(options.kv_dscp, options.kv_patience, metrics.kv_sent),
            Prefillers(options.prefill),
        )
        self.service = Service(self._parts)
        self._connections: set[Connection] = set()
        self._servers: list[asyncio.Server] = []
        self.addresses: list[Address] = []
        self.kv_addresses: list[Address] = []

    async def __aenter__(self) -> Server:
        loop = asyncio.get_running_loop()
        # All are bound before one is served: a server is there whole or not at all.
        with contextlib.ExitStack() as undo:
            sockets = _bind(self.options.listen, undo)
            transfers = _bind(self.options.kv_listen, undo) if self.options.role is Role.PREFILL else []
            undo.pop_all()
        for sock in transfers:
            self._parts.outbox.start(sock)
        self.addresses = [sock.getsockname()[:2] for sock in sockets]
        self.kv_addresses = [sock.getsockname()[:2] for sock in transfers]
        if self.kv_addresses:
            self._parts.kv_port = self.kv_addresses[0][1]
        self._parts.spans.start()
        for sock in sockets:
            self._servers.append(await loop.create_server(self._connection, sock=sock, backlog=_BACKLOG))
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers:
            server.close()
        self.service.cut()
        for connection in list(self._connections):
            connection.close()
        await self._parts.outbox.stop()
        await self._parts.spans.stop()

    @property
    def ready(self) -> str:
        """A line of JSON that says where it listens."""
        return json.dumps(
            {
                "ready": self.options.name,
                "listen": [_show(each) for each in self.addresses],
                "kv": [_show(each) for each in self.kv_addresses],
                "pid": os.getpid(),
            }
        )

    async def drain(self) -> int:
        """Takes no more, waits for what is under way, cuts what is left at the deadline: how many."""
        self.service.draining = True
        for connection in list(self._connections):
            connection.retire()
        deadline = asyncio.get_running_loop().time() + self.options.drain_seconds
        # What has been computed for others has to be fetched, too.
        while self._parts.generations or self._parts.engine.scheduler.held:
            if asyncio.get_running_loop().time() >= deadline:
                break
            await asyncio.sleep(0.02)
        return self.service.cut()

    def _connection(self) -> Connection:
        return Connection(self.service.handle, self._connections, self.options.connection_lifetime)


async def run(options: Options) -> None:
    """Serves until SIGTERM or SIGINT, then drains; at a second one it ends at once."""
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    again = asyncio.Event()

    def on_signal() -> None:
        (again if asked.is_set() else asked).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    async with Server(options) as server:
        print(server.ready, flush=True)
        await asked.wait()
        log.info("draining, for at most %g s", options.drain_seconds)
        drain = asyncio.create_task(server.drain())
        impatience = asyncio.create_task(again.wait())
        await asyncio.wait([drain, impatience], return_when=asyncio.FIRST_COMPLETED)
        for task in (drain, impatience):
            task.cancel()
        await asyncio.gather(drain, impatience, return_exceptions=True)
        cut = server.service.cut() if drain.cancelled() else drain.result()
        log.info("drained, %d requests were cut", cut)


def _bind(addresses: tuple[Address, ...], undo: contextlib.ExitStack) -> list[socket.socket]:
    """Listening sockets. ListenError names the address. Without IPv6, its wildcard is left out."""
    sockets: list[socket.socket] = []
    for host, port in addresses:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            sock = undo.enter_context(socket.socket(family, socket.SOCK_STREAM))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((host, port))
            sock.listen(_BACKLOG)
        except OSError as error:
            if host == "::" and error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                continue
            raise ListenError(f"cannot listen on {_show((host, port))}: {error.strerror}") from None
        sockets.append(sock)
    return sockets


def _show(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
