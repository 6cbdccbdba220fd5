# SPDX-License-Identifier: Apache-2.0
"""What outlives the controller, in one directory: revisions of the model, the numbers that names have, the
routes in use, and the term.

Files are replaced whole (written beside, then renamed), so that a crash leaves the old one or the new one.
What switches hold is never kept here: they are asked.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from din.model.ids import Ids


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


class Store:
    """One controller at a time has it. StoreError: another one does, or it is damaged."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
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
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        beside = path.with_suffix(".new")
        with beside.open("w") as file:
            json.dump(content, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)

    def _read(self, name: str) -> Any:
        """None: there is none."""
        path = self.directory / name
        try:
            return json.loads(path.read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StoreError(f"{path}: {error}. Remove the file to begin without what it held") from None

    # ---- term ----------------------------------------------------------------------------------------------

    def next_term(self, above: int = 0) -> int:
        """A term that no earlier start has had, and ``above`` another's: election IDs come from it, so that a
        later start always wins over what an earlier one left.
        """
        term = max(int((self._read("term.json") or {}).get("term", 0)), above) + 1
        self._write("term.json", {"term": term})
        return term

    # ---- revisions -----------------------------------------------------------------------------------------

    def revisions(self) -> list[Revision]:
        """Oldest first."""
        found = []
        for path in (self.directory / "revisions").glob("*.json"):
            content = self._read(f"revisions/{path.name}")
            try:
                found.append(Revision(**content))
            except TypeError as error:
                raise StoreError(f"{path}: {error}. Remove the file to go on without this revision") from None
        return sorted(found, key=lambda each: each.number)

    def add(self, text: str, file: str, reason: str) -> Revision:
        number = max((each.number for each in self.revisions()), default=0) + 1
        revision = Revision(number, time.time(), file, reason, text)
        self._write(f"revisions/{number:06}.json", asdict(revision))
        return revision

    # ---- numbers and routes --------------------------------------------------------------------------------

    def ids(self) -> Ids | None:
        content = self._read("ids.json")
        try:
            return None if content is None else Ids(**content)
        except TypeError as error:
            where = self.directory / "ids.json"
            raise StoreError(f"{where}: {error}. Without the file, names get other numbers") from None

    def save_ids(self, ids: Ids) -> None:
        self._write("ids.json", {"numbers": ids.numbers, "gone": ids.gone})

    def routes(self) -> Mapping[str, list[tuple[str, int]]]:
        """What the plan knew a route by, as text -> its hops."""
        content = self._read("routes.json") or {}
        return {name: [(switch, int(port)) for switch, port in hops] for name, hops in content.items()}

    def save_routes(self, routes: Mapping[str, list[tuple[str, int]]]) -> None:
        self._write("routes.json", routes)

    def drained(self) -> frozenset[str]:
        return frozenset(self._read("drained.json") or ())

    def save_drained(self, drained: frozenset[str]) -> None:
        self._write("drained.json", sorted(drained))
