# SPDX-License-Identifier: Apache-2.0
"""From files on the command line to a compiled program, with errors a user can act on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from p4jit.cli.progress import progress
from p4jit.cli.usage import CommandError, read_bytes

if TYPE_CHECKING:
    from finsy.proto import p4i

    from p4jit.target.build import CompiledProgram


def compile_file(path: Path, p4info: p4i.P4Info | None = None) -> CompiledProgram:
    """Compile what p4c-bm2-ss wrote. Raises CommandError."""
    from p4jit.frontend.errors import ProgramError
    from p4jit.target.build import compile_program
    from p4jit.target.compiler import BuildError

    json = read_bytes(path)
    try:
        with progress(f"compiling {path}"):
            return compile_program(json, path.stem, p4info)
    except (ProgramError, BuildError) as error:
        raise CommandError(f"{path}: {error}") from None


def read_p4info(path: Path) -> p4i.P4Info:
    """Read a P4Info file, text or binary. Raises CommandError."""
    from p4jit.frontend.errors import ProgramError
    from p4jit.frontend.p4info import load_p4info

    try:
        return load_p4info(read_bytes(path))
    except ProgramError as error:
        raise CommandError(f"{path}: {error}") from None
