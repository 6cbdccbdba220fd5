# SPDX-License-Identifier: Apache-2.0
"""What a process asks the host's agent, and its answer: one JSON message each over a Unix socket that keeps
messages apart (SOCK_SEQPACKET). The request brings the socket that is to be marked (SCM_RIGHTS).
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from typing import Final, Literal

from pydantic import ValidationError

from din.model.base import Record

from .claim import Claim, Word
from .flow import Peer

#: Where the agent is, if nobody says, and the variable that says it.
DEFAULT_SOCKET: Final = "/run/din/agent.sock"
ENVIRONMENT: Final = "DIN_AGENT"
#: Bytes of a message.
LARGEST: Final = 4096
#: For how long either side waits for the other, in seconds.
PATIENCE: Final = 2.0
#: Before an agent that was busy is asked again: at first, and at most.
_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 0.2


class AgentError(Exception):
    """The agent did not mark the socket, and why."""


class Request(Record):
    version: Literal[1] = 1
    claim: Claim
    peer: tuple[str, Word, int, int] | None = None


class Answer(Record):
    epoch: int | None = None  # whose key signed
    error: str = ""
    busy: bool = False  # it may do it a moment later


def default_socket() -> str:
    return os.environ.get(ENVIRONMENT) or DEFAULT_SOCKET


def ask(path: str, sock: socket.socket, claim: Claim, peer: Peer | None) -> int:
    """Has the agent mark ``sock``. Returns the epoch whose key signed. AgentError: it did not."""
    whole = None if peer is None else (*peer, 0, 0)[:4]
    request = Request.model_validate({"claim": claim, "peer": whole}).model_dump_json().encode()
    give_up = time.monotonic() + PATIENCE
    pause = _PAUSE
    while (answer := _exchange(path, request, sock, give_up)).busy and time.monotonic() + pause < give_up:
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
    if answer.epoch is None:
        raise AgentError(f"the agent at {path} refused: {answer.error}")
    return answer.epoch


def _exchange(path: str, request: bytes, sock: socket.socket, give_up: float) -> Answer:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.settimeout(max(0.001, give_up - time.monotonic()))
            connection.connect(path)
            # Who is busy may have answered already, and be gone.
            with suppress(BrokenPipeError):
                socket.send_fds(connection, [request], [sock.fileno()])
            text = connection.recv(LARGEST)
    except ConnectionResetError:
        return Answer(error="it closed the connection unread", busy=True)
    except BlockingIOError:
        return Answer(error="it has more to do than it can queue", busy=True)
    except TimeoutError:
        raise AgentError(f"the agent at {path} did not answer within {PATIENCE:g} s") from None
    except OSError as error:
        raise AgentError(f"no agent answers at {path} ({error.strerror or error})") from None
    if not text:
        raise AgentError(f"the agent at {path} closed the connection")
    try:
        return Answer.model_validate_json(text)
    except ValidationError:
        raise AgentError(f"what answers at {path} is no agent") from None
