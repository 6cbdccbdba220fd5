# SPDX-License-Identifier: Apache-2.0
"""`httpx2`'s transports, over connections that a `Dialler` prepares. What it leaves to the network is opened
as it would be without one.
"""

from __future__ import annotations

import errno
import os
import socket

import anyio
import anyio.abc
import anyio.to_thread
import httpcore2
import httpx2

from .marking.flow import Peer
from .steering import ControllerSteering, Dialler, Options
from .streams import AsyncStream, Stream, mapped


class Backend(httpcore2.SyncBackend):
    def __init__(self, dialler: Dialler) -> None:
        super().__init__()
        self._dialler = dialler

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Options = None,
    ) -> httpcore2.NetworkStream:
        if call := self._dialler.call(host, port, socket_options):
            with mapped(httpcore2.ConnectTimeout, httpcore2.ConnectError):
                try:
                    call.sock.settimeout(timeout)
                    call.sock.connect(call.peer)
                    return Stream(call.sock, call.marking)
                except BaseException as error:
                    if not self._dialler.gives_up(call, error):
                        raise
        return super().connect_tcp(host, port, timeout, local_address, socket_options)


class AsyncBackend(httpcore2.AnyIOBackend):
    def __init__(self, dialler: Dialler) -> None:
        super().__init__()
        self._dialler = dialler

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Options = None,
    ) -> httpcore2.AsyncNetworkStream:
        # Who is cancelled does not wait for it.
        call = await anyio.to_thread.run_sync(
            self._dialler.call, host, port, socket_options, abandon_on_cancel=True
        )
        if call:
            with mapped(httpcore2.ConnectTimeout, httpcore2.ConnectError):
                try:
                    with anyio.fail_after(timeout):
                        await _connect(call.sock, call.peer)
                        stream = await anyio.abc.SocketStream.from_socket(call.sock)
                    return AsyncStream(stream, call.sock, call.marking)
                except BaseException as error:
                    if not self._dialler.gives_up(call, error):
                        raise
        return await super().connect_tcp(host, port, timeout, local_address, socket_options)


async def _connect(sock: socket.socket, peer: Peer) -> None:
    sock.setblocking(False)
    error = sock.connect_ex(peer)
    if error == errno.EINPROGRESS:
        await anyio.wait_writable(sock)
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))


class Transport(httpx2.HTTPTransport):
    """Keeps no connection: each request is steered."""

    def __init__(self, steering: ControllerSteering, most: int | None) -> None:
        tls = httpx2.create_ssl_context()
        super().__init__(verify=tls)
        self._dialler = Dialler(steering)
        # It gives no public way to choose a backend. What it made is unused: nothing is to be closed.
        self._pool = httpcore2.ConnectionPool(
            ssl_context=tls,
            max_connections=most,
            max_keepalive_connections=0,
            network_backend=Backend(self._dialler),
        )

    def close(self) -> None:
        super().close()
        self._dialler.close()


class AsyncTransport(httpx2.AsyncHTTPTransport):
    """As `Transport`."""

    def __init__(self, steering: ControllerSteering, most: int | None) -> None:
        tls = httpx2.create_ssl_context()
        super().__init__(verify=tls)
        self._dialler = Dialler(steering)
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=most,
            max_keepalive_connections=0,
            network_backend=AsyncBackend(self._dialler),
        )

    async def aclose(self) -> None:
        await super().aclose()
        self._dialler.close()
