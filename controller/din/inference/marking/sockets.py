# SPDX-License-Identifier: Apache-2.0
"""Marking sockets, and keeping marks true for as long as the sockets live."""

from __future__ import annotations

import os
import socket
import threading
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from weakref import WeakKeyDictionary

from din.model.keys import EPOCH_SECONDS, GUARD_SECONDS, epoch_number
from din.model.service import TrafficClassName

from . import keyring as keyrings
from .claim import Claim, ClaimError, microseconds
from .flow import NoFlowError, Peer, require, settle
from .keyring import Keyring
from .linux import set_dscp, set_header
from .request import AgentError, ask, default_socket


class How(StrEnum):
    OPTION = "option"  # the process itself set the DIN option
    AGENT = "agent"  # the host's agent set it
    DSCP = "dscp"  # the traffic class alone is claimed, and that by DSCP


@dataclass(frozen=True)
class Marking:
    """What came of it."""

    how: How
    why: str = ""  # and not a better way
    dscp: int = 0  # is set in any case: a leaf that does not believe the option looks at it
    epoch: int | None = None  # whose key signed


@dataclass(frozen=True)
class _Wanted:
    claim: Claim
    peer: Peer | None
    keyring: Keyring | None
    agent: str

    def carry_out(self, sock: socket.socket) -> Marking:
        try:
            flow = settle(sock, self.peer)
        except NoFlowError as error:
            return Marking(How.DSCP, str(error), set_dscp(sock, self.claim.traffic_class))
        dscp = set_dscp(sock, self.claim.traffic_class)
        try:
            keyring = self.keyring or keyrings.from_environment()
            if keyring is None:
                raise ClaimError(f"there is no keyring (keyring=, or the variable {keyrings.ENVIRONMENT})")
            option = keyring.resolve(self.claim)
            key = keyring.key(option.tenant, option.traffic_class)
            set_header(sock, option.header(flow, key))
            return Marking(How.OPTION, "", dscp, key.epoch)
        except PermissionError:
            why = "the process has no CAP_NET_RAW"
        except OSError as error:
            why = f"Linux does not set the option: {error.strerror or error}"
        except ValueError as error:  # also of the keyring's file
            why = str(error)
        try:
            return Marking(How.AGENT, why, dscp, ask(self.agent, sock, self.claim, self.peer))
        except AgentError as error:
            return Marking(How.DSCP, f"{why}; {error}", dscp)


def mark(
    sock: socket.socket,
    *,
    tenant: int | str,
    service: int | str,
    deadline_ms: float | None = None,
    label: int | str | None = None,
    cookie: tuple[int, int] | None = None,
    traffic_class: str = TrafficClassName.SCHEDULED,
    peer: Peer | None = None,
    keyring: Keyring | None = None,
    agent: str | None = None,
) -> Marking:
    """Says of a TCP or UDP socket what its packets are, in the best way there is: see `How`.

    A TCP socket is marked before `connect`, and ``peer`` is what `connect` will be given, its host as an
    address; the socket is bound to its source by that. A connected one is marked from its next packet on,
    too late to be steered by it. UDP sockets are connected first, and their datagrams are no longer than the
    path MTU: of a fragment the option is not read. For TLS, mark what `ssl.SSLContext.wrap_socket` made of a
    socket that is not connected, or see `moved`; for asyncio, mark and connect, then pass it as ``sock``.

    ``deadline_ms``: for each packet to arrive in, from the ingress leaf on. ``cookie``: (instance, session),
    as the controller gave them. ``keyring``: default is what $DIN_KEYRING names. ``agent``: the host agent's
    socket, default $DIN_AGENT or /run/din/agent.sock.

    A mark is true in one epoch. While the socket object lives, a thread renews it at each epoch's beginning;
    who has the descriptor alone calls `refresh` itself. It may block for as long as the agent does: 2 s.

    ClaimError (a ValueError): what cannot be said. ValueError: it is not known where the socket leads, or it
    is none of TCP or UDP. OSError: there is no way there, or the socket is closed.
    """
    require(sock)
    claim = Claim.of(
        tenant=tenant,
        service=service,
        label=0 if label is None else label,
        traffic_class=traffic_class,
        deadline=microseconds(deadline_ms),
        cookie=(0, 0) if cookie is None else cookie,
    )
    wanted = _Wanted(claim, peer, keyring, agent or default_socket())
    marking = wanted.carry_out(sock)
    _marks.keep(sock, wanted, marking)
    return marking


def refresh(sock: socket.socket) -> Marking:
    """Marks it again, if its epoch is over. ValueError: it was never marked."""
    return _marks.refresh(sock)


def moved(old: socket.socket, new: socket.socket) -> None:
    """What ``old`` was is ``new`` now: `ssl.SSLContext.wrap_socket` makes another object of a socket."""
    _marks.move(old, new)


class _Marks:
    """Of all sockets that are still there."""

    #: Seconds between looks at the clock: well within the time that an old key still counts.
    _INTERVAL: Final = GUARD_SECONDS / 6

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._marks: WeakKeyDictionary[socket.socket, tuple[_Wanted, Marking]] = WeakKeyDictionary()
        self._thread: threading.Thread | None = None

        os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        # A thread that the child does not have may hold it.
        self._lock = threading.Lock()

    def keep(self, sock: socket.socket, wanted: _Wanted, marking: Marking) -> None:
        with self._lock:
            self._marks[sock] = wanted, marking
            # A forked process has the object, but not the thread.
            if marking.epoch is not None and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._renew, name="din marks", daemon=True)
                self._thread.start()

    def refresh(self, sock: socket.socket) -> Marking:
        with self._lock:
            found = self._marks.get(sock)
        if found is None:
            raise ValueError("the socket was never marked")
        wanted, marking = found
        if marking.epoch in (None, epoch_number(time.time())):
            return marking
        renewed = wanted.carry_out(sock)
        if renewed.epoch is not None:
            with self._lock:
                self._marks[sock] = wanted, renewed
        # Else it stays to be renewed: the agent may be back soon.
        return renewed

    def move(self, old: socket.socket, new: socket.socket) -> None:
        with self._lock:
            if old in self._marks:
                self._marks[new] = self._marks.pop(old)

    def _renew(self) -> None:
        while True:
            time.sleep(min(self._INTERVAL, EPOCH_SECONDS - time.time() % EPOCH_SECONDS))
            with self._lock:
                live = [sock for sock, (_, marking) in self._marks.items() if marking.epoch is not None]
                if not live:
                    self._thread = None
                    return
            for sock in live:
                try:
                    self.refresh(sock)
                except (OSError, ValueError):
                    # It was closed, or its peer is gone.
                    with self._lock:
                        self._marks.pop(sock, None)
            del sock, live


_marks: Final = _Marks()
