# SPDX-License-Identifier: Apache-2.0
"""The repository's own STF tests, one program per construct of v1model, on p4jit."""

from __future__ import annotations

from pathlib import Path

import pytest
from p4jit.stf.run import run_stf
from p4jit.target.build import compile_program
from p4jit.target.device import Device

PROGRAMS = Path(__file__).parent / "programs"
TESTS = sorted(PROGRAMS.glob("*.stf"))


def program_of(test: Path) -> Path:
    """NAME.stf tests NAME.json; NAME_MORE.stf tests it too."""
    name = test.stem
    while not (program := test.with_name(f"{name}.json")).exists():
        assert "_" in name, f"no program for {test.name}"
        name = name.rpartition("_")[0]
    return program


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.stem)
def test_program(test: Path) -> None:
    program = program_of(test)
    compiled = compile_program(program.read_bytes(), program.stem)
    result = run_stf(lambda: Device(clock="virtual"), compiled, test.read_text())
    assert result.outcomes, "the test checks nothing"
    assert result.passed, str(result)
