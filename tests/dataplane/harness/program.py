# SPDX-License-Identifier: Apache-2.0
"""The program under test: what p4c wrote for it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from finsy.proto import p4i
from p4jit.frontend.p4info import load_p4info
from p4jit.target.build import CompiledProgram, compile_program

ROOT = Path(__file__).parents[3]
#: For development: a folder with another din.json and din.p4info.txtpb than those that are checked in.
BUILD_VARIABLE = "DIN_P4_BUILD"


@dataclass(frozen=True)
class Program:
    json: Path
    p4info_file: Path

    @staticmethod
    def din() -> Program:
        """The data plane's program."""
        folder = Path(os.environ.get(BUILD_VARIABLE) or ROOT / "p4src" / "build")
        program = Program(folder / "din.json", folder / "din.p4info.txtpb")
        if not (program.json.exists() and program.p4info_file.exists()):
            pytest.fail(f"{folder} has no compiled program: run scripts/build_p4", pytrace=False)
        return program

    @staticmethod
    def at(path: Path) -> Program:
        """Outputs that lie side by side: ``path`` is without its suffix, or with any."""
        return Program(path.with_suffix(".json"), path.with_suffix(".p4info.txtpb"))

    @property
    def config(self) -> bytes:
        return self.json.read_bytes()

    @property
    def p4info(self) -> p4i.P4Info:
        return _read_p4info(self.p4info_file.read_bytes())


#: Reading text takes long, and hundreds of tests want the same.
_read_p4info = cache(load_p4info)


def compile_pushed(json: bytes, p4info: p4i.P4Info) -> CompiledProgram:
    """p4jit's compilation of a pushed pipeline, once for each in a whole run of tests."""
    return _compile(json, p4info.SerializeToString(deterministic=True))


@cache
def _compile(json: bytes, p4info: bytes) -> CompiledProgram:
    return compile_program(json, "din", p4i.P4Info.FromString(p4info))
