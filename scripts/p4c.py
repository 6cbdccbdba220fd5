# SPDX-License-Identifier: Apache-2.0
"""What the build scripts share about p4lang's compiler for bmv2."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

COMPILER = "p4c-bm2-ss"
GET_IT = f"""{COMPILER} is not on PATH. It is part of p4lang's p4c, which p4lang packages for Debian and
Ubuntu (the package is p4lang-p4c): https://github.com/p4lang/p4c#installing-packaged-versions-of-p4c
Only who changes a .p4 file needs it; its outputs are checked in."""


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def compiler_version() -> str:
    done = subprocess.run([COMPILER, "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"Version ([0-9.]+)", done.stdout + done.stderr)
    return found[1] if found else "of unknown version"


def compile_program(source: str, json: Path, p4info: Path, folder: Path, *flags: str) -> tuple[bool, str]:
    """Compile ``source`` to ``json`` and ``p4info``, as seen from ``folder``, so that names in the outputs
    are relative to it; whether it succeeded, and what the compiler said."""
    command = [COMPILER, *flags, "-o", str(json), "--p4runtime-files", str(p4info), source]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        return False, f"{source}: {done.stderr.strip()}"
    # Where p4c keeps its own include files is no business of the repository.
    text = re.sub(r'"filename" : "/[^"]*/', '"filename" : "', (folder / json).read_text())
    (folder / json).write_text(text)
    if re.search(r'"/[a-z]+/', text):
        return False, f"{source}: an absolute path is left in the JSON"
    return True, done.stderr.strip()
