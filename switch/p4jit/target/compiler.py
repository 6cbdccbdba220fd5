# SPDX-License-Identifier: Apache-2.0
"""The system's C compiler, and the cache of what it made.

A library is kept under a name that is the hash of everything it was made from: source, headers, flags, the
compiler's version and the kind of processor. Several processes may compile the same thing at once; the last
one's file stays.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path

#: Warnings are for our tests, which compile with all of them: a newer compiler must not refuse a program.
_BASE_FLAGS = ("-std=gnu11", "-O2", "-march=native", "-fPIC", "-shared", "-w")
#: Seconds. A program of a hundred tables takes a few; a hostile one must not hold a server for ever.
_TIMEOUT = 300
_CACHE_VARIABLE = "P4JIT_CACHE"


class BuildError(Exception):
    """No compiler, or one that fails. The message says what to do."""


def runtime_directory() -> Path:
    """Where the C runtime's sources are."""
    return Path(str(files("p4jit") / "runtime"))


def cache_directory() -> Path:
    """Where libraries are kept: ``$P4JIT_CACHE``, else p4jit under the user's cache directory."""
    chosen = os.environ.get(_CACHE_VARIABLE)
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "p4jit"


def program_library(source: str) -> Path:
    """The shared library of a generated program."""
    return _build("program", source, [], ["-fvisibility=hidden"])


@cache
def runtime_library() -> Path:
    """The shared library of the runtime."""
    sources = sorted(runtime_directory().glob("*.c"))
    return _build("runtime", None, [str(p) for p in sources], ["-pthread", "-ldl"])


def find_compiler() -> list[str]:
    """The C compiler's command: ``$CC`` if set, else cc, gcc or clang, whichever is found first."""
    chosen = shlex.split(os.environ.get("CC", ""))
    for command in [chosen] if chosen else [["cc"], ["gcc"], ["clang"]]:
        path = shutil.which(command[0])
        if path is not None:
            return [path, *command[1:]]
    missing = f"$CC names '{chosen[0]}', which is not there" if chosen else "no C compiler found"
    raise BuildError(
        f"{missing}: p4jit compiles P4 programs with the system's C compiler. Install one "
        "(Debian, Ubuntu: apt install gcc libc6-dev; Fedora: dnf install gcc), or set CC to its path"
    )


@cache
def _compiler_identity(command: tuple[str, ...]) -> str:
    result = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False, timeout=60)
    return result.stdout + result.stderr


@cache
def _processor() -> str:
    """What -march=native depends on: home directories, and caches in them, may be shared by machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    kinds = ("vendor_id", "cpu family", "model", "flags", "Features", "CPU implementer", "CPU part")
    return platform.machine() + "".join(sorted({line for line in lines if line.startswith(kinds)}))


@cache
def _runtime_digest() -> bytes:
    digest = hashlib.sha256()
    for path in sorted(runtime_directory().glob("*.[ch]")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.digest()


def _build(kind: str, source: str | None, sources: Sequence[str], flags: Sequence[str]) -> Path:
    """Compile one generated ``source``, or the files ``sources``, unless the cache has the result."""
    compiler = find_compiler()
    digest = hashlib.sha256(_runtime_digest())
    for part in (*_BASE_FLAGS, *flags, _compiler_identity(tuple(compiler)), _processor(), source or ""):
        digest.update(part.encode() + b"\0")
    directory = cache_directory()
    target = directory / f"{kind}-{digest.hexdigest()[:40]}.so"
    if target.exists():
        return target
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (
            _only_one(directory / f".{target.name}.lock"),
            tempfile.TemporaryDirectory(prefix=f".{kind}-", dir=directory) as work,
        ):
            if target.exists():
                return target
            inputs = list(sources)
            if source is not None:
                (Path(work) / "program.c").write_text(source)
                inputs = [str(Path(work) / "program.c")]
            output = Path(work) / "out.so"
            include = ["-I", str(runtime_directory())]
            _run([*compiler, *_BASE_FLAGS, *include, "-o", str(output), *inputs, *flags], kind)
            os.replace(output, target)
    except OSError as e:
        raise BuildError(
            f"cannot write to the cache {directory}: {e.strerror}. Make room or make it writable, or set "
            f"{_CACHE_VARIABLE} to another directory"
        ) from e
    return target


@contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    """Of several processes that want the same, one compiles and the others wait for it."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            # Who waits for this very file finds the result; without one, two may compile at once.
            lock.unlink(missing_ok=True)


def _run(command: Sequence[str], kind: str) -> None:
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_TIMEOUT, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise BuildError(f"the C compiler took over {_TIMEOUT} s for the {kind}; it was stopped") from None
    if result.returncode != 0:
        lines = [line for line in result.stderr.splitlines() if "error" in line] or result.stderr.splitlines()
        said = "\n  ".join(lines[:5])
        raise BuildError(
            f"the C compiler ({command[0]}) failed on the {kind} with status {result.returncode}:\n  {said}\n"
            "If headers are missing, install the C library's (Debian, Ubuntu: apt install libc6-dev)"
        )
