# SPDX-License-Identifier: Apache-2.0
"""A short run of each fuzzer. The long runs are scripts/fuzz_packets and scripts/fuzz_programs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(__file__).parent / "programs"
#: Parsers with errors, loops and varbit; stacks by index; registers; all kinds of copies.
FUZZED = ("parser_errors", "parser_varbit", "header_stacks", "registers", "clone_egress", "match_range")


def run(script: str, *arguments: str) -> str:
    command = [sys.executable, str(ROOT / "scripts" / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_damaged_packets_under_sanitizers() -> None:
    programs = [str(PROGRAMS / f"{name}.json") for name in FUZZED]
    said = run("fuzz_packets", "--packets", "30000", "--program", *programs)
    assert f"30,000 packets, {len(FUZZED)} programs, 0 failed" in said


def test_damaged_programs() -> None:
    said = run("fuzz_programs", "--programs", "200")
    assert said.startswith("200 programs: ")
    # A fuzzer whose programs are all refused, or all accepted, looks at nothing.
    refused, accepted = (int(part.split()[0]) for part in said.split(": ")[1].split(", ")[:2])
    assert refused > 20
    assert accepted > 20
