# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in an emulation, and commands that say so."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import Any


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


def tail(path: Any, lines: int = 15) -> str:
    """The last lines of a log."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
