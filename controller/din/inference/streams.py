# SPDX-License-Identifier: Apache-2.0
"""Sockets that were connected elsewhere, as `httpcore2` wants its connections: it makes its own only of names
and ports, and a socket is marked before it is connected.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

import httpcore2

from .marking import Marking, moved

#: What `get_extra_info` calls how a connection was marked.
MARKING: Final = "din_marking"


@contextmanager
def mapped(timeout: type[Exception], failure: type[Exception]) -> Iterator[None]:
    """Errors of the system as `httpcore2` names them."""
    try:
        yield
    except TimeoutError as error:
        raise timeout(str(error)) from error
    except OSError as error:
        raise failure(str(error)) from error


def _readable(sock: socket.socket) -> bool:
    if sock.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def _extra(sock: socket.socket, marking: Marking) -> Mapping[str, Callable[[], Any]]:
    own, peer = sock.getsockname(), sock.getpeername()  # they are asked for when it is closed, too
    return {
        MARKING: lambda: marking,
        "client_addr": lambda: own,
        "server_addr": lambda: peer,
        "socket": lambda: sock,
        "is_readable": lambda: _readable(sock),
    }


class Stream(httpcore2.NetworkStream):
    def __init__(self, sock: socket.socket, marking: Marking) -> None:
        self._sock = sock
        self._marking = marking
        self._extra = _extra(sock, marking)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with mapped(httpcore2.ReadTimeout, httpcore2.ReadError):
            self._sock.settimeout(timeout)
            return self._sock.recv(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with mapped(httpcore2.WriteTimeout, httpcore2.WriteError):
            self._sock.settimeout(timeout)
            self._sock.sendall(buffer)

    def close(self) -> None:
        self._sock.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        with mapped(httpcore2.ConnectTimeout, httpcore2.ConnectError):
            try:
                self._sock.settimeout(timeout)
                wrapped = ssl_context.wrap_socket(
                    self._sock, server_hostname=server_hostname, do_handshake_on_connect=False
                )
            except BaseException:
                self.close()
                raise
            moved(self._sock, wrapped)
            try:
                wrapped.do_handshake()
            except BaseException:
                wrapped.close()
                raise
        return Stream(wrapped, self._marking)

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            return self._sock if isinstance(self._sock, ssl.SSLSocket) else None
        return self._extra[info]() if info in self._extra else None


class AsyncStream(httpcore2.AsyncNetworkStream):
    """Of asyncio. ``sock`` is kept for its mark, which lives as long as it does."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        sock: socket.socket,
        marking: Marking,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._sock = sock
        self._marking = marking
        self._extra = _extra(sock, marking)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with mapped(httpcore2.ReadTimeout, httpcore2.ReadError):
            async with asyncio.timeout(timeout):
                return await self._reader.read(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with mapped(httpcore2.WriteTimeout, httpcore2.WriteError):
            async with asyncio.timeout(timeout):
                self._writer.write(buffer)
                await self._writer.drain()

    async def aclose(self) -> None:
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        with mapped(httpcore2.ConnectTimeout, httpcore2.ConnectError):
            try:
                async with asyncio.timeout(timeout):
                    await self._writer.start_tls(ssl_context, server_hostname=server_hostname)
            except BaseException:
                self._writer.transport.abort()
                raise
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            return self._writer.get_extra_info("ssl_object")
        return self._extra[info]() if info in self._extra else None
