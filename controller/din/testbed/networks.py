# SPDX-License-Identifier: Apache-2.0
"""Which networks run on this machine, and where each keeps its state.

A network is its state directory. Whoever keeps it running (`keeper`) holds a lock there, which is gone with
the process, however that ended: so what the lock says is never out of date.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError

from din.api.client import SOCKET_NAME

LOG_NAME: Final = "up.log"
_LOCK_NAME: Final = "up.lock"
_NOTE_NAME: Final = "up.json"
#: Links to the state directories that are elsewhere. No model's name begins with a dot.
_ELSEWHERE: Final = ".elsewhere"
#: Of a socket's path (sockaddr_un less the NUL), and the longest of those in a state directory; switches'
#: own are beside it, and as long as their names.
_LONGEST_PATH: Final = 107
_LONGEST_INSIDE: Final = 44
#: struct flock of Linux on 64 bits.
_FLOCK: Final = "hhqqi4x"


class NetworkError(Exception):
    """A state directory cannot be used. The text says why, and what to do."""


class Note(BaseModel):
    """What a keeper writes down of its network."""

    model: str
    file: str
    target: str  # "": the switches are not emulated
    started: float  # Unix time
    metrics: str = ""  # ADDRESS:PORT of the relay
    init: int | None = None  # first process of the sandbox, by its number outside; None: not up yet, or none
    ready: bool = False


@dataclass(frozen=True)
class Network:
    """One that is up, or coming up."""

    state: Path
    keeper: int  # PID
    note: Note

    @property
    def name(self) -> str:
        return self.note.model


# ---- where -------------------------------------------------------------------------------------------------


def base(environment: Mapping[str, str] = os.environ) -> Path:
    """Of state directories that nobody chose, after the XDG Base Directory Specification."""
    given = environment.get("XDG_STATE_HOME", "")
    # A relative path is to be ignored.
    home = Path(given) if given.startswith("/") else Path.home() / ".local" / "state"
    return home / "din-fabric"


def default_state(model: str) -> Path:
    """Of a model, if nobody says another one; in /tmp where its path would be too long for sockets."""
    usual = base() / model
    return usual if fits(usual) else Path(f"/tmp/din-{os.geteuid()}-{model}")


def fits(state: Path) -> bool:
    """Whether the paths of sockets in it are short enough."""
    return len(os.fsencode(state.absolute())) + _LONGEST_INSIDE <= _LONGEST_PATH


def make(state: Path) -> None:
    """For us alone. NetworkError."""
    if not fits(state):
        raise NetworkError(
            f"{state.absolute()}: the path is too long for sockets in it (at most "
            f"{_LONGEST_PATH - _LONGEST_INSIDE} bytes): choose a shorter one with --state"
        )
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = state.stat().st_uid
    except OSError as error:
        raise NetworkError(f"{state}: {error.strerror}: choose another one with --state") from None
    if owner != os.geteuid():
        raise NetworkError(f"{state} is somebody else's: choose another one with --state")


def controller_state(state: Path) -> Path:
    """Of the controller in a network's state directory; or the directory itself, if it is a controller's."""
    return state if (state / SOCKET_NAME).exists() else state / "controller"


# ---- who ---------------------------------------------------------------------------------------------------


def hold(state: Path) -> int:
    """Take the lock; it lasts until the process ends. Its file descriptor. NetworkError: somebody has it."""
    descriptor = os.open(state / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise NetworkError(f"a network is up already with its state in {state}") from None
    # Who was killed could not take it away.
    (state / _NOTE_NAME).unlink(missing_ok=True)
    return descriptor


def holder(state: Path) -> int | None:
    """PID of who has the lock, as only the kernel knows it. None: nobody."""
    try:
        descriptor = os.open(state / _LOCK_NAME, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    finally:
        os.close(descriptor)
    return None if kind == fcntl.F_UNLCK else pid


# ---- notes -------------------------------------------------------------------------------------------------


def write_note(state: Path, note: Note) -> None:
    """And have `running` find it."""
    beside = state / f"{_NOTE_NAME}.new"
    beside.write_text(note.model_dump_json(indent=1))
    beside.rename(state / _NOTE_NAME)
    if state.absolute().parent != base():
        link = _link(state)
        link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(state.absolute())


def forget(state: Path) -> None:
    """It is not up any more, nor is there anybody at its sockets."""
    for path in (_NOTE_NAME, f"controller/{SOCKET_NAME}", "emulation.sock"):
        (state / path).unlink(missing_ok=True)
    _link(state).unlink(missing_ok=True)


def _link(state: Path) -> Path:
    return base() / _ELSEWHERE / hashlib.sha256(os.fsencode(state.absolute())).hexdigest()[:16]


def at(state: Path) -> Network | None:
    """The network whose state directory this is; None: it is not up."""
    keeper = holder(state)
    if keeper is None:
        return None
    try:
        note = Note.model_validate_json((state / _NOTE_NAME).read_bytes())
    except (OSError, ValidationError):
        return None  # it has only just begun
    return Network(state, keeper, note)


def running() -> list[Network]:
    """All of this user, by name."""
    found = []
    for folder in (base(), base() / _ELSEWHERE):
        if not folder.is_dir():
            continue
        for entry in folder.iterdir():
            network = at(entry.resolve())
            if network is not None:
                found.append(network)
            elif entry.is_symlink() and holder(entry) is None:
                entry.unlink(missing_ok=True)  # its keeper could not
    return sorted(found, key=lambda network: (network.name, network.state))
