# SPDX-License-Identifier: Apache-2.0
"""Connections to the instance that the controller names: each asks it, and goes there by a session cookie.

The cookie is in the DIN option of every packet, and the ingress leaf follows it. Where that cannot be (the
controller does not answer, the service has no IPv6 address, nothing may set the option) the connection is
opened all the same and the network steers it; a warning says why, once for each reason.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Any, Final, TypeAlias

import httpcore2
import httpx2

from din.api.schema import Pick
from din.model.service import TrafficClassName

from .marking import How, Keyring, Marking, mark
from .marking.flow import Peer
from .streams import AsyncStream, Stream, mapped

#: Of a question to the controller, in seconds: what it costs if it is gone.
_PATIENCE: Final = 1.0
_PICK: Final = "/v1/pick"
#: That are remembered as said.
_MOST_REASONS: Final = 100
_Options: TypeAlias = Iterable[httpcore2.SOCKET_OPTION] | None
_log = logging.getLogger("din.inference")


@dataclass(frozen=True)
class ControllerSteering:
    """Whom to ask, and as whom to speak.

    ``controller``: its Unix socket's path, or a URL. ``leaf``: where this host is. ``service`` and ``leaf``
    are names of the model; ``tenant`` may be a number. The rest is as for `din.inference.mark`.
    """

    controller: str
    service: str
    leaf: str
    tenant: int | str
    traffic_class: str = TrafficClassName.SCHEDULED
    deadline_ms: float | None = None
    keyring: Keyring | None = None
    agent: str | None = None

    @property
    def unix_socket(self) -> str | None:
        return None if self.controller.startswith(("http://", "https://")) else self.controller

    @property
    def base_url(self) -> str:
        return "http://controller" if self.unix_socket else self.controller

    @property
    def question(self) -> dict[str, str]:
        return {"service": self.service, "leaf": self.leaf}

    def mark(self, sock: socket.socket, peer: Peer, pick: Pick) -> Marking:
        return mark(
            sock,
            peer=peer,
            tenant=self.tenant,
            service=pick.service_id,
            cookie=(pick.instance_id, 0),
            traffic_class=self.traffic_class,
            deadline_ms=self.deadline_ms,
            keyring=self.keyring,
            agent=self.agent,
        )


class _NotSteeredError(Exception):
    """The network is to steer this connection, and why."""


class _Common:
    """What both backends do."""

    def __init__(self, steering: ControllerSteering) -> None:
        self._steering = steering
        self._said: set[str] = set()

    def _read(self, answer: httpx2.Response) -> Pick:
        try:
            if answer.is_success:
                return Pick.model_validate_json(answer.content)
            why = str(answer.json()["error"])
        except (ValueError, KeyError, TypeError):
            why = f"status {answer.status_code}"
        raise _NotSteeredError(f"the controller at {self._steering.controller} names no instance: {why}")

    def _silent(self, error: Exception) -> _NotSteeredError:
        return _NotSteeredError(f"no controller answers at {self._steering.controller} ({error})")

    def _say(self, why: str) -> None:
        if why in self._said:
            return
        if len(self._said) > _MOST_REASONS:
            self._said.clear()
        self._said.add(why)
        _log.warning(
            "the network, not the controller, steers connections to %s: %s", self._steering.service, why
        )

    def _open(self, peer: Peer, pick: Pick, options: _Options) -> tuple[socket.socket, Marking]:
        """A marked socket, not connected."""
        sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        try:
            for option in options or ():
                sock.setsockopt(*option)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            marking = self._steering.mark(sock, peer, pick)
        except BaseException as error:
            sock.close()
            if isinstance(error, OSError):
                raise _NotSteeredError(f"there is no way to {peer[0]} ({error.strerror or error})") from None
            raise
        if marking.how is How.DSCP:
            self._say(marking.why)
        return sock, marking


def _peer(found: Sequence[Any], host: str) -> Peer:
    """Of what `getaddrinfo` found."""
    peer: Peer = found[0][4]
    if IPv6Address(peer[0].partition("%")[0]).ipv4_mapped is not None:
        raise _no_ipv6(host)
    return peer


def _no_ipv6(host: str) -> _NotSteeredError:
    return _NotSteeredError(f"{host} has no IPv6 address, and only IPv6 has the option")


class Backend(_Common, httpcore2.SyncBackend):
    def __init__(self, steering: ControllerSteering) -> None:
        super().__init__(steering)
        transport = httpx2.HTTPTransport(uds=steering.unix_socket)
        self._controller = httpx2.Client(transport=transport, base_url=steering.base_url, timeout=_PATIENCE)

    def close(self) -> None:
        self._controller.close()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: _Options = None,
    ) -> httpcore2.NetworkStream:
        try:
            peer = self._resolve(host, port)
            sock, marking = self._open(peer, self._pick(), socket_options)
        except _NotSteeredError as error:
            self._say(str(error))
            return super().connect_tcp(host, port, timeout, local_address, socket_options)
        with mapped(httpcore2.ConnectTimeout, httpcore2.ConnectError):
            try:
                sock.settimeout(timeout)
                sock.connect(peer)
            except BaseException:
                sock.close()
                raise
        return Stream(sock, marking)

    def _pick(self) -> Pick:
        try:
            return self._read(self._controller.get(_PICK, params=self._steering.question))
        except httpx2.HTTPError as error:
            raise self._silent(error) from None

    def _resolve(self, host: str, port: int) -> Peer:
        try:
            return _peer(socket.getaddrinfo(host, port, socket.AF_INET6, socket.SOCK_STREAM), host)
        except socket.gaierror:
            raise _no_ipv6(host) from None


class AsyncBackend(_Common, httpcore2.AnyIOBackend):
    """Of asyncio."""

    def __init__(self, steering: ControllerSteering) -> None:
        super().__init__(steering)
        # Nothing is kept: a connection belongs to the event loop that opened it.
        transport = httpx2.AsyncHTTPTransport(
            uds=steering.unix_socket, limits=httpx2.Limits(max_keepalive_connections=0)
        )
        self._controller = httpx2.AsyncClient(
            transport=transport, base_url=steering.base_url, timeout=_PATIENCE
        )

    async def aclose(self) -> None:
        await self._controller.aclose()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: _Options = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            peer = await self._resolve(host, port)
            # It may wait for the host's agent.
            sock, marking = await asyncio.to_thread(self._open, peer, await self._pick(), socket_options)
        except _NotSteeredError as error:
            self._say(str(error))
            return await super().connect_tcp(host, port, timeout, local_address, socket_options)
        with mapped(httpcore2.ConnectTimeout, httpcore2.ConnectError):
            try:
                sock.setblocking(False)
                async with asyncio.timeout(timeout):
                    await asyncio.get_running_loop().sock_connect(sock, peer)
                    reader, writer = await asyncio.open_connection(sock=sock)
            except BaseException:
                sock.close()
                raise
        return AsyncStream(reader, writer, sock, marking)

    async def _pick(self) -> Pick:
        try:
            return self._read(await self._controller.get(_PICK, params=self._steering.question))
        except httpx2.HTTPError as error:
            raise self._silent(error) from None

    async def _resolve(self, host: str, port: int) -> Peer:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, family=socket.AF_INET6, type=socket.SOCK_STREAM)
        except socket.gaierror:
            raise _no_ipv6(host) from None
        return _peer(found, host)


class Transport(httpx2.HTTPTransport):
    """`httpx2`'s, with connections of our own making. None is kept."""

    def __init__(self, steering: ControllerSteering, most: int | None) -> None:
        tls = httpx2.create_ssl_context()
        super().__init__(verify=tls)
        self._backend = Backend(steering)
        # It gives no public way to choose a backend. What it made is unused: nothing is to be closed.
        self._pool = httpcore2.ConnectionPool(
            ssl_context=tls,
            max_connections=most,
            max_keepalive_connections=0,
            network_backend=self._backend,
        )

    def close(self) -> None:
        super().close()
        self._backend.close()


class AsyncTransport(httpx2.AsyncHTTPTransport):
    """As `Transport`."""

    def __init__(self, steering: ControllerSteering, most: int | None) -> None:
        tls = httpx2.create_ssl_context()
        super().__init__(verify=tls)
        self._backend = AsyncBackend(steering)
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=most,
            max_keepalive_connections=0,
            network_backend=self._backend,
        )

    async def aclose(self) -> None:
        await super().aclose()
        await self._backend.aclose()
