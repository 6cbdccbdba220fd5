# SPDX-License-Identifier: Apache-2.0
"""What outlives the controller, in one directory: revisions of the model, the numbers that names have, the
routes in use, who is drained, and the term.

Files are replaced whole (written beside, then renamed), so that a crash leaves the old one or the new one.
What switches hold is never kept here: they are asked.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from din.model.ids import Ids

LOG = logging.getLogger(__name__)


class StoreError(Exception):
    """The state directory cannot be used; the text says why and what to do."""


@dataclass(frozen=True)
class Revision:
    """A model that was applied."""

    number: int
    at: float  # Unix time
    file: str  # where it came from: paths in it are relative to that
    reason: str
    text: str


T = TypeVar("T")
_TERM: Final = TypeAdapter(dict[str, int])
_REVISION: Final = TypeAdapter(Revision)
_IDS: Final = TypeAdapter(dict[Literal["numbers", "gone"], dict[str, dict[str, int]]])
_ROUTES: Final = TypeAdapter(dict[str, list[tuple[str, int]]])
_NAMES: Final = TypeAdapter(list[str])


class Store:
    """One controller at a time has it. StoreError: another one does, or it is damaged."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._writing = threading.Lock()
        self._term = 0
        self._lock = (directory / "lock").open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"{directory}: another controller uses this state directory. Stop it, or choose another one"
            ) from None

    def close(self) -> None:
        self._lock.close()

    # ---- files ---------------------------------------------------------------------------------------------

    def _write(self, name: str, content: Any) -> None:
        """From any thread. StoreError: it cannot be kept; what was there before stands."""
        path = self.directory / name
        beside = path.with_suffix(".new")
        text = json.dumps(content, indent=1)
        try:
            with self._writing:
                try:
                    path.parent.mkdir(exist_ok=True)
                    with beside.open("w") as file:
                        file.write(text)
                        file.flush()
                        os.fsync(file.fileno())
                    beside.rename(path)
                except OSError:
                    # Of a full disk it would take what little there is.
                    beside.unlink(missing_ok=True)
                    raise
                # Or the name could be the old file's after a crash.
                folder = os.open(path.parent, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror or error}") from None

    def _read(self, name: str, kind: TypeAdapter[T]) -> T | None:
        """None: there is none. StoreError: it is not of that ``kind``."""
        path = self.directory / name
        try:
            return kind.validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            reason = f"{where}: {first['msg']}" if where else first["msg"]
        except OSError as error:
            reason = str(error)
        raise StoreError(f"{path}: {reason}. Remove the file to go on without what it held")

    # ---- term ----------------------------------------------------------------------------------------------

    def next_term(self, above: int = 0) -> int:
        """A term that no earlier start has had, and ``above`` another's: election IDs come from it, so that a
        later start always wins over what an earlier one left.
        """
        noted = (self._read("term.json", _TERM) or {}).get("term", 0)
        self._term = max(noted, self._term, above) + 1
        try:
            self._write("term.json", {"term": self._term})
        except StoreError as error:
            # A full disk is no reason not to steer, and switches tell a later start how high it has to go.
            LOG.error("the term is not noted: %s", error)
        return self._term

    # ---- revisions -----------------------------------------------------------------------------------------

    def revisions(self) -> list[Revision]:
        """Oldest first."""
        names = [path.name for path in (self.directory / "revisions").glob("*.json")]
        found = [self._read(f"revisions/{name}", _REVISION) for name in names]
        return sorted((each for each in found if each is not None), key=lambda each: each.number)

    def add(self, text: str, file: str, reason: str) -> Revision:
        # By their names: one that is damaged is no reason not to add another.
        names = [path.stem for path in (self.directory / "revisions").glob("*.json")]
        number = max((int(name) for name in names if name.isdecimal()), default=0) + 1
        revision = Revision(number, time.time(), file, reason, text)
        self._write(f"revisions/{number:06}.json", asdict(revision))
        return revision

    # ---- numbers and routes --------------------------------------------------------------------------------

    def ids(self) -> Ids | None:
        """Without them names get other numbers, which means new entries for all."""
        content = self._read("ids.json", _IDS)
        return None if content is None else Ids(**content)

    def save_ids(self, ids: Ids) -> None:
        if ids != self.ids():
            self._write("ids.json", {"numbers": ids.numbers, "gone": ids.gone})

    def routes(self) -> Mapping[str, list[tuple[str, int]]]:
        """What the plan knew a route by, as text -> its hops."""
        return self._read("routes.json", _ROUTES) or {}

    def save_routes(self, routes: Mapping[str, list[tuple[str, int]]]) -> None:
        self._write("routes.json", routes)

    def drained(self) -> frozenset[str]:
        return frozenset(self._read("drained.json", _NAMES) or ())

    def save_drained(self, drained: frozenset[str]) -> None:
        self._write("drained.json", sorted(drained))

    def cut(self) -> frozenset[str]:
        """Of those that are drained, whose connections were let go."""
        return frozenset(self._read("cut.json", _NAMES) or ())

    def save_cut(self, cut: frozenset[str]) -> None:
        self._write("cut.json", sorted(cut))
