# SPDX-License-Identifier: Apache-2.0
"""p4runtime-shell in an environment of its own: it wants older libraries than we do.

Made on first use, and kept in the user's cache.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

PACKAGE: Final = "p4runtime-shell==0.0.6"
_LAST_LINES: Final = 12


class ShellEnvironmentError(Exception):
    """It cannot be made. The text says why, and what to do."""


def folder(environment: Mapping[str, str] = os.environ) -> Path:
    """After the XDG Base Directory Specification."""
    given = environment.get("XDG_CACHE_HOME", "")
    home = Path(given) if given.startswith("/") else Path.home() / ".cache"
    return home / "din-fabric" / "p4runtime-shell"


def python(where: Path, progress: Callable[[str], None], package: str = PACKAGE) -> Path:
    """Its interpreter; ``python -m p4runtime_sh`` is the shell. ShellEnvironmentError."""
    found = where / "bin" / "python"
    complete = where / ".complete"
    where.parent.mkdir(parents=True, exist_ok=True)
    with where.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # What was left half made, or is for a Python that has gone, is made again.
        if complete.exists() and complete.read_text() == package and found.exists():
            return found
        progress(f"making an environment for p4runtime-shell in {where}")
        _make(where)
        progress(f"installing {package}")
        _install(found, package)
        complete.write_text(package)
    return found


def _make(where: Path) -> None:
    _run([sys.executable, "-m", "venv", "--clear", str(where)], "install the package python3-venv")


def _install(python: Path, package: str) -> None:
    argv = [str(python), "-m", "pip", "install", "--disable-pip-version-check", package]
    _run(argv, "see that pip reaches its package index, and try again")


def _run(argv: Sequence[str], remedy: str) -> None:
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        said = "\n".join(done.stdout.splitlines()[-_LAST_LINES:])
        raise ShellEnvironmentError(f"{' '.join(argv)} failed:\n{said}\n{remedy}")
