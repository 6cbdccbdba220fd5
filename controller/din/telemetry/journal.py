# SPDX-License-Identifier: Apache-2.0
"""Facts as JSON lines in a file. When it is full it becomes FILE.1, in place of the one before."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
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
        lines = "".join(json.dumps(each, separators=(",", ":")) + "\n" for each in facts)
        if not lines:
            return
        try:
            if self._path.exists() and self._path.stat().st_size + len(lines) > self._largest:
                self._path.replace(self._path.with_name(self._path.name + ".1"))
            with self._path.open("a", encoding="utf-8") as file:
                file.write(lines)
        except OSError as error:
            if not self._failing:
                log.warning("facts are lost: %s", error)
            self._failing = True
        else:
            self._failing = False
