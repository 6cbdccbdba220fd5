# SPDX-License-Identifier: Apache-2.0
"""The agent's Unix socket.

Whoever can connect is a stranger. Each connection has a thread of its own, and each user but a few of them:
to read a message, and to close the file that came with it, can take as long as its sender likes (a socket
that lingers, a file of a FUSE file system), which an event loop would wait for with everybody else.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import stat
import threading
from collections import Counter
from contextlib import ExitStack, suppress
from typing import Final

from pydantic import ValidationError

from din.inference.marking.claim import explain
from din.inference.marking.flow import NoFlowError, settle
from din.inference.marking.linux import set_header
from din.inference.marking.request import LARGEST, PATIENCE, Answer, Request

from .config import Config
from .policy import Caller, refusal

MOST_CONNECTIONS: Final = 256
MOST_OF_A_USER: Final = 32
_KINDS: Final = {socket.SOCK_STREAM: socket.IPPROTO_TCP, socket.SOCK_DGRAM: socket.IPPROTO_UDP}
_log = logging.getLogger(__name__)


class RefusedError(Exception):
    """What the caller is told."""


def listen(path: str) -> socket.socket:
    """A socket that anyone may connect to: the policy decides. OSError: another agent answers there, or the
    folder is not ours to write to.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        try:
            listener.bind(path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not stat.S_ISSOCK(os.stat(path).st_mode) or _answers(path):
                raise
            os.unlink(path)  # of an agent that was killed
            listener.bind(path)
        os.chmod(path, 0o666)
        listener.listen(MOST_CONNECTIONS)
    except BaseException:
        listener.close()
        raise
    return listener


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        return True


class Agent:
    def __init__(self, config: Config) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._open: Counter[int] = Counter()

    def serve(self, listener: socket.socket) -> None:
        """Until the listener is shut down or closed."""
        while True:
            try:
                connection, _ = listener.accept()
            except OSError as error:
                if error.errno in (errno.EBADF, errno.EINVAL):
                    return
                # Descriptors or memory are short; the next one may find some.
                _log.warning("cannot accept: %s", error)
                threading.Event().wait(0.1)
                continue
            self._take(connection)

    def _take(self, connection: socket.socket) -> None:
        try:
            caller = Caller.of(connection)
            with self._lock:
                busy = self._open[caller.user] >= MOST_OF_A_USER or self._open.total() >= MOST_CONNECTIONS
                if not busy:
                    self._open[caller.user] += 1
        except OSError:
            connection.close()
            return
        if busy:
            # With nothing read, nothing of the caller's is closed here.
            _answer(connection, Answer(error=f"too many requests of user {caller.user} at once", busy=True))
            connection.close()
            return
        try:
            threading.Thread(target=self._attend, args=(connection, caller), daemon=True).start()
        except RuntimeError as error:  # the host has no more
            _log.warning("cannot attend to user %d: %s", caller.user, error)
            self._release(caller)
            connection.close()

    def _attend(self, connection: socket.socket, caller: Caller) -> None:
        try:
            with connection:
                try:
                    epoch = self._mark(connection, caller)
                    _answer(connection, Answer(epoch=epoch))
                except RefusedError as error:
                    _log.info("refused pid %d, user %d: %s", caller.pid, caller.user, error)
                    _answer(connection, Answer(error=str(error)))
        finally:
            self._release(caller)

    def _release(self, caller: Caller) -> None:
        with self._lock:
            self._open[caller.user] -= 1
            if not self._open[caller.user]:
                del self._open[caller.user]

    def _mark(self, connection: socket.socket, caller: Caller) -> int:
        """Returns the epoch whose key signed."""
        with ExitStack() as stack:
            text, sock = _receive(connection, stack)
            try:
                request = Request.model_validate_json(text)
            except ValidationError as error:
                raise RefusedError(f"not a request: {explain(error)[:500]}") from None
            source, port = sock.getsockname()[:2]
            if source == "::" or not port:
                # Its routes are not ours, if it is of another namespace.
                raise RefusedError("the socket has no source yet: bind it to an address and a port")
            keyring = self._config.keyring
            try:
                option = keyring.resolve(request.claim)
                if why := refusal(self._config.permits, caller, option):
                    raise RefusedError(why)
                key = keyring.key(option.tenant, option.traffic_class)
                set_header(sock, option.header(settle(sock, request.peer), key))
            except (NoFlowError, ValueError) as error:
                raise RefusedError(str(error)) from None
            except PermissionError:
                raise RefusedError("the agent has no CAP_NET_RAW where the socket was made") from None
            except OSError as error:
                raise RefusedError(f"Linux does not mark the socket: {error.strerror or error}") from None
            return key.epoch


def _receive(connection: socket.socket, stack: ExitStack) -> tuple[bytes, socket.socket]:
    """The request's text, and its socket, which ``stack`` closes."""
    connection.settimeout(PATIENCE)
    try:
        text, descriptors, flags, _ = socket.recv_fds(connection, LARGEST, 1, socket.MSG_CMSG_CLOEXEC)
    except TimeoutError:
        raise RefusedError(f"no request within {PATIENCE:g} s") from None
    except OSError as error:
        raise RefusedError(f"no request: {error.strerror or error}") from None
    for each in descriptors:
        stack.callback(os.close, each)
    if flags & socket.MSG_TRUNC:
        raise RefusedError(f"a request has at most {LARGEST} bytes")
    if not text:
        raise RefusedError("an empty request")
    if len(descriptors) != 1 or flags & socket.MSG_CTRUNC:
        raise RefusedError("a request brings one socket")
    try:
        sock = socket.socket(fileno=os.dup(descriptors[0]))
    except OSError:
        raise RefusedError("what came with the request is not a socket") from None
    stack.enter_context(sock)
    if sock.family != socket.AF_INET6 or sock.proto != _KINDS.get(sock.type):
        raise RefusedError("not a TCP or UDP socket of IPv6")
    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise RefusedError("a listening socket sends nothing")
    return text, sock


def _answer(connection: socket.socket, answer: Answer) -> None:
    # Who has gone away needs none; who does not read gets none.
    with suppress(OSError):
        connection.send(answer.model_dump_json().encode()[:LARGEST], socket.MSG_DONTWAIT)
