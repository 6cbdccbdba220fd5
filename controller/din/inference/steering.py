# SPDX-License-Identifier: Apache-2.0
"""What is done before a connection whose instance the controller names: the controller is asked, and a socket
marked with a session cookie that says the answer.

The cookie is in the DIN option of every packet, and the ingress leaf follows it. Where that cannot be (the
controller does not answer, the service has no IPv6 address, nothing may set the option) the network steers
the connection; a warning says why, once for each reason.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final, TypeAlias

import httpcore2
import httpx2

from din.api.schema import Pick
from din.model.ids import PUBLIC
from din.model.service import TrafficClassName

from .marking import Claim, How, Keyring, Marking, mark
from .marking.claim import microseconds
from .marking.flow import Peer

#: For how long the controller may be silent, in seconds: what a connection then costs.
_PATIENCE: Final = 1.0
#: For how long a controller that was silent is not asked again, in seconds.
_RESPITE: Final = 5.0
_PICK: Final = "/v1/pick"
#: That are remembered as said.
_MOST_REASONS: Final = 100
Options: TypeAlias = Iterable[httpcore2.SOCKET_OPTION] | None
_log = logging.getLogger("din.inference")


@dataclass(frozen=True)
class ControllerSteering:
    """Whom to ask, and as whom to speak.

    ``controller``: its Unix socket's path, or a URL. ``leaf``: where this host is. ``service``, ``leaf`` and
    ``label`` are names of the model; ``tenant`` may be a number. The rest is as for `din.inference.mark`.

    ClaimError (a ValueError): what cannot be said.
    """

    controller: str
    service: str
    leaf: str
    tenant: int | str
    label: str | None = None
    traffic_class: str = TrafficClassName.SCHEDULED
    deadline_ms: float | None = None
    keyring: Keyring | None = None
    agent: str | None = None

    def __post_init__(self) -> None:
        # Else it would be found out within a request, which `openai` tries again.
        Claim.of(
            tenant=self.tenant,
            service=0,
            label=PUBLIC if self.label is None else self.label,
            traffic_class=self.traffic_class,
            deadline=microseconds(self.deadline_ms),
        )

    @property
    def unix_socket(self) -> str | None:
        return None if self.controller.startswith(("http://", "https://")) else self.controller

    @property
    def question(self) -> dict[str, str]:
        asked = {"service": self.service, "leaf": self.leaf}
        if isinstance(self.tenant, str):
            asked["tenant"] = self.tenant
        if self.label not in (None, PUBLIC):
            asked["label"] = self.label
        return asked

    def mark(self, sock: socket.socket, peer: Peer, pick: Pick) -> Marking:
        return mark(
            sock,
            peer=peer,
            tenant=self.tenant,
            label=self.label,
            service=pick.service_id,
            cookie=(pick.instance_id, 0),
            traffic_class=self.traffic_class,
            deadline_ms=self.deadline_ms,
            keyring=self.keyring,
            agent=self.agent,
        )


@dataclass(frozen=True)
class Call:
    """A connection that is not there yet."""

    sock: socket.socket
    peer: Peer
    marking: Marking


class _NotSteeredError(Exception):
    """The network is to steer this connection, and why."""


class Dialler:
    """Prepares connections. It blocks: for names, the controller, the host's agent. Threads may share it."""

    def __init__(self, steering: ControllerSteering) -> None:
        self._steering = steering
        self._said: set[str] = set()
        self._silence = (0.0, "")  # until when, and what is said of it
        self._controller = httpx2.Client(
            transport=httpx2.HTTPTransport(uds=steering.unix_socket),
            base_url="http://controller" if steering.unix_socket else steering.controller,
            timeout=_PATIENCE,
        )

    def close(self) -> None:
        self._controller.close()

    def call(self, host: str, port: int, options: Options) -> Call | None:
        """A marked socket, which is the caller's to connect and to close. None: the network is to steer."""
        try:
            return self._open(_resolve(host, port), self._pick(), options)
        except _NotSteeredError as error:
            self._say(str(error))
            return None

    def gives_up(self, call: Call, error: BaseException) -> bool:
        """After an attempt that failed: may the network steer another one? Who has timed out has no time
        left for it.
        """
        call.sock.close()
        if not isinstance(error, OSError) or isinstance(error, TimeoutError):
            return False
        self._say(f"there is no connection to {call.peer[0]} ({error.strerror or error})")
        return True

    def _pick(self) -> Pick:
        where = self._steering.controller
        until, silence = self._silence
        if time.monotonic() < until:
            raise _NotSteeredError(silence)
        try:
            answer = self._controller.get(_PICK, params=self._steering.question)
        except httpx2.HTTPError as error:
            why = f"no controller answers at {where} ({error})"
            if isinstance(error, httpx2.TimeoutException):
                self._silence = (time.monotonic() + _RESPITE, why)
            raise _NotSteeredError(why) from None
        try:
            if answer.is_success:
                return Pick.model_validate_json(answer.content)
            why = str(answer.json()["error"])
        except (ValueError, KeyError, TypeError):
            why = f"status {answer.status_code}"
        raise _NotSteeredError(f"the controller at {where} names no instance: {why}")

    def _open(self, peer: Peer, pick: Pick, options: Options) -> Call:
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
        return Call(sock, peer, marking)

    def _say(self, why: str) -> None:
        if why in self._said:
            return
        if len(self._said) > _MOST_REASONS:
            self._said.clear()
        self._said.add(why)
        _log.warning(
            "the network, not the controller, steers connections to %s: %s", self._steering.service, why
        )


def _resolve(host: str, port: int) -> Peer:
    no_ipv6 = _NotSteeredError(f"{host} has no IPv6 address, and only IPv6 has the option")
    try:
        found = socket.getaddrinfo(host, port, socket.AF_INET6, socket.SOCK_STREAM)
    except socket.gaierror:
        raise no_ipv6 from None
    peer: Peer = found[0][4]  # type: ignore[assignment]
    if IPv6Address(peer[0].partition("%")[0]).ipv4_mapped is not None:
        raise no_ipv6
    return peer
