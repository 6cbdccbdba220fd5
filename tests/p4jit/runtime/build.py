# SPDX-License-Identifier: Apache-2.0
"""Builds the C drivers of the runtime's tests and talks to them.

A driver reads operations, one a line, and answers what there is to answer. ``end`` returns it to its initial
state and is echoed, so that one process serves many scripts.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

HERE = Path(__file__).resolve().parent
RUNTIME = HERE.parents[2] / "switch" / "p4jit" / "runtime"
FLAGS = ["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Werror"]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def _write(pipe: IO[str], script: str) -> None:
    # A driver that has ended is noticed by who reads its answers.
    with suppress(BrokenPipeError):
        pipe.write(script)
        pipe.flush()


class Driver:
    """A running driver. Leaks, sanitizer reports and failed assertions fail the call or the closing."""

    def __init__(self, executable: Path) -> None:
        self._executable = executable
        self._process: subprocess.Popen[str] | None = None

    def run(self, operations: Iterable[str]) -> list[str]:
        """The lines the driver answers to a script."""
        if self._process is None:
            self._process = subprocess.Popen(
                [self._executable], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        script = "\n".join([*operations, "end", ""])
        # Apart from the reading: a driver answers while it reads, and neither pipe holds a long script.
        writer = threading.Thread(target=_write, args=(self._process.stdin, script))
        writer.start()
        answers: list[str] = []
        try:
            for line in self._process.stdout:
                if line == "end\n":
                    return answers
                answers.append(line.rstrip("\n"))
        except BaseException:  # a test's time limit, for one: a driver that hangs must not outlive it
            self._process.kill()
            raise
        finally:
            writer.join()
        status = self._process.wait()
        self._process = None
        raise AssertionError(f"{self._executable.name} ended with status {status} after {answers[-3:]}")

    def close(self) -> None:
        if self._process is not None:
            self._process.communicate()
            assert self._process.returncode == 0, f"{self._executable.name}: {self._process.returncode}"


def compile_driver(name: str, modules: Iterable[str], directory: Path, flags: Iterable[str] = ()) -> Path:
    """Compile ``name``_driver.c beside this file with modules of the runtime; the path of the program."""
    executable = directory / name
    sources: list[Path] = [HERE / f"{name}_driver.c", *(RUNTIME / f"{module}.c" for module in modules)]
    command: list[str | Path] = [
        os.environ.get("CC", "cc"),
        *FLAGS,
        *SANITIZE,
        *flags,
        f"-I{RUNTIME}",
        f"-I{HERE}",
        "-o",
        executable,
    ]
    command += sources
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return executable


@contextmanager
def driver(name: str, *modules: str, flags: Iterable[str] = ()) -> Iterator[Driver]:
    with tempfile.TemporaryDirectory() as directory:
        running = Driver(compile_driver(name, modules, Path(directory), flags))
        yield running
        running.close()
