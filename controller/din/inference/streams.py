# SPDX-License-Identifier: Apache-2.0
"""Sockets that were connected elsewhere, as `httpcore2` wants its connections: it makes its own only of names
and ports, and a socket is marked before it is connected.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import anyio
import anyio.abc
import httpcore2
from anyio.streams.tls import TLSAttribute, TLSStream

from .marking import Marking, moved

#: What `get_extra_info` calls how a connection was marked.
MARKING: Final = "din_marking"
_BROKEN: Final = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)


@contextmanager
def mapped(timeout: type[Exception], failure: type[Exception]) -> Iterator[None]:
    """Errors of the system, and of anyio, as `httpcore2` names them."""
    try:
        yield
    except TimeoutError as error:
        raise timeout(str(error)) from error
    except _BROKEN as error:
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
            rest = memoryview(buffer)
            while rest:  # each time within the timeout, however much it is
                rest = rest[self._sock.send(rest) :]

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
    """``sock`` is the stream's, and kept for its mark, which lives as long as it does."""

    def __init__(self, stream: anyio.abc.ByteStream, sock: socket.socket, marking: Marking) -> None:
        self._stream = stream
        self._sock = sock
        self._marking = marking
        self._extra = _extra(sock, marking)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with mapped(httpcore2.ReadTimeout, httpcore2.ReadError), anyio.fail_after(timeout):
            try:
                return await self._stream.receive(max_bytes)
            except anyio.EndOfStream:
                return b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with mapped(httpcore2.WriteTimeout, httpcore2.WriteError), anyio.fail_after(timeout):
            await self._stream.send(buffer)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        with mapped(httpcore2.ConnectTimeout, httpcore2.ConnectError):
            try:
                with anyio.fail_after(timeout):
                    wrapped = await TLSStream.wrap(
                        self._stream,
                        hostname=server_hostname,
                        ssl_context=ssl_context,
                        # Who closes does not wait for the other side to say goodbye.
                        standard_compatible=False,
                    )
            except BaseException:
                await anyio.aclose_forcefully(self._stream)
                raise
        return AsyncStream(wrapped, self._sock, self._marking)

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            return self._stream.extra(TLSAttribute.ssl_object, None)
        return self._extra[info]() if info in self._extra else None
