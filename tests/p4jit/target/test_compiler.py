# SPDX-License-Identifier: Apache-2.0
"""The C compiler and the cache: what happens when either is missing, broken or shared."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from p4jit.target import compiler
from p4jit.target.compiler import BuildError, program_library

_SOURCE = "int p4jit_program;\n"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("P4JIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_no_compiler_says_what_to_install(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match=r"no C compiler found.*apt install gcc libc6-dev"):
        program_library(_SOURCE)


def test_a_compiler_that_is_not_there_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(BuildError, match=r"\$CC names 'no-such-compiler'"):
        program_library(_SOURCE)


def test_a_failing_compiler_is_quoted(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\necho 'error: the disk is on fire' >&2\nexit 3\n")
    broken.chmod(broken.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CC", str(broken))
    with pytest.raises(BuildError, match=r"status 3(?s:.)*the disk is on fire"):
        program_library(_SOURCE)
    assert not list(cache.glob("*.so")), "a failed compilation left a library behind"
    assert not list(cache.glob(".*")), "a failed compilation left its work behind"


def test_the_same_source_is_compiled_once(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    library = program_library(_SOURCE)
    made = library.stat().st_mtime_ns
    # A compiler that says who it is and compiles nothing: only the cache can answer now.
    assert program_library(_SOURCE) == library
    assert library.stat().st_mtime_ns == made
    assert program_library(_SOURCE + "int other;\n") != library


def test_another_compiler_is_another_library(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = program_library(_SOURCE)
    command = compiler.find_compiler()
    other = tmp_path / "other-cc"
    other.write_text(
        f'#!/bin/sh\nif [ "$1" = --version ]; then echo other; exit; fi\nexec {" ".join(command)} "$@"\n'
    )
    other.chmod(0o755)
    monkeypatch.setenv("CC", str(other))
    assert program_library(_SOURCE) != first


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "cache"
    directory.mkdir(mode=0o500)
    monkeypatch.setenv("P4JIT_CACHE", str(directory))
    with pytest.raises(BuildError, match=r"cannot write to the cache .*P4JIT_CACHE"):
        program_library(_SOURCE)


def test_a_cache_that_is_a_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("not a directory")
    monkeypatch.setenv("P4JIT_CACHE", str(tmp_path / "cache"))
    with pytest.raises(BuildError, match=r"cannot write to the cache .*P4JIT_CACHE"):
        program_library(_SOURCE)
