# SPDX-License-Identifier: Apache-2.0
"""`p4jit` as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

PROGRAMS = Path(__file__).parent.parent / "programs"
#: Puts a mark before the frame, found by its first four bytes, and sends it out of port 1.
PROGRAM = PROGRAMS / "const_entries.json"
FRAME = bytes.fromhex("00000102") + bytes(56)
ANSWER = b"\x01" + FRAME
TIMEOUT = 60

P4JIT = (sys.executable, "-m", "p4jit")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command, run to its end."""
    return subprocess.run(
        [*P4JIT, *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
        env=os.environ | environment,
    )


class Running:
    """The command, running until it is stopped; the process is gone when the block ends."""

    def __init__(self, *arguments: str, prefix: Sequence[str] = (), cwd: Path | None = None) -> None:
        self._process = subprocess.Popen(
            [*prefix, *P4JIT, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
        )

    def wait_for(self, text: str) -> str:
        """The first line of its output that holds ``text``; what came before is skipped."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if text in line:
                return line.rstrip("\n")
        raise AssertionError(f"it ended without saying {text!r}: {self._process.communicate()[1]}")

    def stop(self, number: int) -> tuple[int, str]:
        """Send a signal; the exit status, and what it wrote to stderr."""
        self._process.send_signal(number)
        _, err = self._process.communicate(timeout=TIMEOUT)
        return self._process.returncode, err

    def __enter__(self) -> Running:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
