# SPDX-License-Identifier: Apache-2.0
"""The sockets: datagrams of reports, taken in batches, and spans over HTTP (OTLP)."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Final

from aiohttp import web

from .spans import DECODERS, JSON, Span

log = logging.getLogger(__name__)

#: Seconds that a datagram may wait for others, and how many are decoded at once.
BATCH_SECONDS: Final = 0.05
BATCH: Final = 256
#: Taken from the socket at one time, before others have their turn.
_DRAIN: Final = 1024
_LARGEST: Final = 9216
_BUFFER: Final = 8 << 20
#: Where collectors take OTLP over HTTP.
OTLP_PORT: Final = 4318
#: Of a request: bytes, and seconds in which they come. vLLM sends 512 spans of about 1 KB at once.
_LARGEST_BODY: Final = 4 << 20
_BODY_SECONDS: Final = 10.0
_ENCODINGS: Final = ("identity", "gzip", "deflate")


def bind(kind: socket.SocketKind, address: IPv4Address, port: int) -> socket.socket:
    """At ``address``; if that is another machine's, at all of this one's. OSError: the port is taken."""
    found = socket.socket(socket.AF_INET, kind)
    try:
        found.setblocking(False)
        if kind is socket.SOCK_STREAM:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((str(address), port))
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            found.bind(("0.0.0.0", port))
            log.warning("%s is not an address of this machine: listening at port %d of all", address, port)
    except BaseException:
        found.close()
        raise
    return found


class ReportSocket:
    """``take`` gets batches of datagrams, in the order of their arrival: those whose sender's address is
    believed. Opened in a running loop.
    """

    def __init__(
        self,
        address: IPv4Address,
        port: int,
        take: Callable[[list[bytes]], None],
        believes: Callable[[str], bool],
    ) -> None:
        self._take = take
        self._believes = believes
        self._waiting: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._socket = bind(socket.SOCK_DGRAM, address, port)
        # More than net.core.rmem_max needs a privilege, which a controller may not have.
        for option in (socket.SO_RCVBUF, getattr(socket, "SO_RCVBUFFORCE", 33)):
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._readable)

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    def _readable(self) -> None:
        waiting, believes, receive = self._waiting, self._believes, self._socket.recvfrom
        with contextlib.suppress(BlockingIOError):
            for _ in range(_DRAIN):
                datagram, sender = receive(_LARGEST)
                if believes(sender[0]):
                    waiting.append(datagram)
        if len(waiting) >= BATCH:
            self._flush()
        elif waiting and self._timer is None:
            self._timer = self._loop.call_later(BATCH_SECONDS, self._flush)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._take(waiting)

    def close(self) -> None:
        """What has arrived is still taken."""
        self._readable()
        self._flush()
        self._loop.remove_reader(self._socket)
        self._socket.close()


class SpanServer:
    """OTLP over HTTP, protobuf or JSON: POST /v1/traces. Opened with `open`, in a running loop."""

    def __init__(self, take: Callable[[list[Span]], None]) -> None:
        self._take = take
        self._runner: web.AppRunner | None = None
        #: 0: closed.
        self.port = 0

    async def open(self, address: IPv4Address, port: int = OTLP_PORT) -> None:
        """OSError: the port is taken."""
        app = web.Application(client_max_size=_LARGEST_BODY)
        app.router.add_post("/v1/traces", self._traces)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        bound = bind(socket.SOCK_STREAM, address, port)
        try:
            await runner.setup()
            await web.SockSite(runner, bound).start()
        except BaseException:
            await runner.cleanup()
            bound.close()
            raise
        self._runner, self.port = runner, bound.getsockname()[1]

    async def _traces(self, request: web.Request) -> web.Response:
        decode = DECODERS.get(request.content_type)
        if decode is None:
            raise web.HTTPUnsupportedMediaType(text=f"spans are taken as {' or '.join(DECODERS)}\n")
        if request.headers.get("Content-Encoding", "identity").lower() not in _ENCODINGS:
            raise web.HTTPUnsupportedMediaType(text=f"of encodings {', '.join(_ENCODINGS)} are understood\n")
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                body = await request.read()
        except TimeoutError:
            raise web.HTTPRequestTimeout(text="the body did not come\n") from None
        except web.RequestPayloadError as error:
            raise web.HTTPBadRequest(text=f"the body cannot be read: {error}\n") from None
        try:
            # It may take long, and others wait for the loop.
            spans = await asyncio.to_thread(decode, body)
        except ValueError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from None
        self._take(spans)
        # An ExportTraceServiceResponse without fields.
        empty = b"{}" if request.content_type == JSON else b""
        return web.Response(body=empty, content_type=request.content_type)

    async def close(self) -> None:
        runner, self._runner, self.port = self._runner, None, 0
        if runner is not None:
            await runner.cleanup()
