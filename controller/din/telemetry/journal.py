# SPDX-License-Identifier: Apache-2.0
"""Facts as JSON lines in a file. When it is full it becomes FILE.1, in place of the one before."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

log = logging.getLogger(__name__)

LARGEST: Final = 16 << 20


class Journal:
    """A disk that is full costs facts and a warning, nothing else."""

    def __init__(self, path: Path, largest: int = LARGEST) -> None:
        """``largest``: bytes of one file; there are two of them at most."""
        self._path = path
        self._largest = largest
        self._failing = False

    def write(self, facts: Iterable[dict[str, Any]]) -> None:
        lines = "".join(json.dumps(each, separators=(",", ":")) + "\n" for each in facts).encode()
        if not lines:
            return
        try:
            self._append(lines)
        except OSError as error:
            if not self._failing:
                log.warning("%s: facts are lost: %s", self._path, error.strerror)
            self._failing = True
        else:
            self._failing = False

    def _append(self, lines: bytes) -> None:
        size = self._path.stat().st_size if self._path.exists() else 0
        if size and size + len(lines) > self._largest:
            self._path.replace(self._path.with_name(self._path.name + ".1"))
            size = 0
        try:
            with self._path.open("ab") as file:
                file.write(lines)
        except OSError:
            # Half a line would spoil the next one.
            with suppress(OSError):
                os.truncate(self._path, size)
            raise
