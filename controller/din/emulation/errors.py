# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in an emulation, and commands that say so."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

_TAIL_BYTES: Final = 16_384


class EmulationError(Exception):
    """What could not be done, and what was said about it."""


def run(argv: Sequence[str], text: str = "") -> str:
    """A command's output; ``text`` is its input. EmulationError: it failed."""
    done = subprocess.run(argv, input=text, capture_output=True, text=True)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise EmulationError(f"{' '.join(argv)} failed with status {done.returncode}: {said}")
    return done.stdout


def run_in(node: Any, script: str) -> str:
    """As `run`, of a shell script in a Mininet node. It ends with the first command that fails."""
    return run(("mnexec", "-a", str(node.pid), "sh", "-es"), script)


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log, of the last 16 KiB of it."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
            text = log.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
