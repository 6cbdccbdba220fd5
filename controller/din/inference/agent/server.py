# SPDX-License-Identifier: Apache-2.0
"""The agent's Unix socket.

Whoever can connect is a stranger. Each connection has a thread of its own, and each user but a few of them:
to read a message, and to close the file that came with it, can take as long as its sender likes (a socket
that lingers, a file of a FUSE file system), which an event loop would wait for with everybody else. For the
same reason the thread that accepts closes no connection by itself: see `_dispose`.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import stat
import threading
import time
from collections import Counter
from contextlib import ExitStack, suppress
from typing import Final

from pydantic import ValidationError

from din.inference.marking.claim import explain
from din.inference.marking.flow import NoFlowError, require, settle
from din.inference.marking.linux import set_header
from din.inference.marking.request import LARGEST, PATIENCE, Answer, Request

from .config import Config
from .policy import Caller, covers, refusal

MOST_CONNECTIONS: Final = 256
MOST_OF_A_USER: Final = 32
#: Whom no permit names, all of them together: a user who has subordinate ones is many.
_NOBODY: Final = -1
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
        probe.setblocking(False)  # or it waits for a place in the queue
        try:
            probe.connect(path)
        except BlockingIOError:
            return True
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
                time.sleep(0.1)
                continue
            try:
                self._take(connection)
            except OSError as error:
                _log.warning("cannot take a connection: %s", error)
                connection.close()

    def _take(self, connection: socket.socket) -> None:
        caller = Caller.of(connection)
        permitted = any(covers(each, caller) for each in self._config.permits)
        account = caller.user if permitted else _NOBODY
        with self._lock:
            busy = self._open[account] >= MOST_OF_A_USER or self._open.total() >= MOST_CONNECTIONS
            if not busy:
                self._open[account] += 1
        if busy:
            _answer(connection, Answer(error=f"too many requests of user {caller.user} at once", busy=True))
            _dispose(connection)
            return
        try:
            threading.Thread(target=self._attend, args=(connection, caller, account), daemon=True).start()
        except RuntimeError as error:  # the host has no more
            _log.warning("cannot attend to user %d: %s", caller.user, error)
            self._release(account)
            _dispose(connection)

    def _attend(self, connection: socket.socket, caller: Caller, account: int) -> None:
        try:
            with connection:
                try:
                    epoch = self._mark(connection, caller)
                    _answer(connection, Answer(epoch=epoch))
                except RefusedError as error:
                    # Some of it is the caller's text.
                    _log.info("refused pid %d, user %d: %r", caller.pid, caller.user, str(error))
                    _answer(connection, Answer(error=str(error)))
        finally:
            self._release(account)

    def _release(self, account: int) -> None:
        with self._lock:
            self._open[account] -= 1
            if not self._open[account]:
                del self._open[account]

    def _mark(self, connection: socket.socket, caller: Caller) -> int:
        """Returns the epoch whose key signed."""
        with ExitStack() as stack:
            text, sock = _receive(connection, stack)
            try:
                request = Request.model_validate_json(text)
            except ValidationError as error:
                raise RefusedError(f"not a request: {explain(error)[:500]}") from None
            source, port = sock.getsockname()[:2]
            if sock.family == socket.AF_INET6 and (source == "::" or not port):
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
        sock = socket.socket(fileno=descriptors[0])
    except OSError:
        raise RefusedError("what came with the request is not a socket") from None
    stack.callback(sock.detach)
    try:
        require(sock)
    except ValueError as error:
        raise RefusedError(str(error)) from None
    return text, sock


def _dispose(connection: socket.socket) -> None:
    """Closes it, by a process that ends.

    With it goes what its peer has sent and nobody read. That may be a socket that lingers: who closes its
    last descriptor waits for as long as its owner has said, but not a process that exits (inet_release of
    Linux).
    """
    ours, childs = socket.socketpair()
    with ours, childs:
        child = os.fork()
        if not child:
            try:
                ours.close()
                childs.recv(1)  # until nobody else has the connection
            finally:
                os._exit(0)
        connection.close()
    os.waitpid(child, 0)


def _answer(connection: socket.socket, answer: Answer) -> None:
    # Who has gone away needs none; who does not read gets none.
    with suppress(OSError):
        connection.send(answer.model_dump_json().encode()[:LARGEST], socket.MSG_DONTWAIT)
