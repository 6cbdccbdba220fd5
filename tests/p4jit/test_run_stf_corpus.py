# SPDX-License-Identifier: Apache-2.0
"""scripts/run_stf_corpus tells passes, failures and refusals apart, and is red unless all pass."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(__file__).parent / "programs"


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "run_stf_corpus"), str(folder), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def add(folder: Path, name: str, test: str, program: str = "drop_truncate") -> None:
    shutil.copy(PROGRAMS / f"{program}.json", folder / f"{name}.json")
    (folder / f"{name}.stf").write_text(test)


def test_verdicts(tmp_path: Path) -> None:
    add(tmp_path, "good", "packet 0 00 00\nexpect 1 00 00 $")
    done = run(tmp_path)
    assert (done.returncode, done.stdout) == (0, "1 tests: 1 passed\n")

    add(tmp_path, "wrong", "packet 0 00 00\nexpect 1 00 01 $")
    add(tmp_path, "unknown", "frob")
    add(tmp_path, "no_program", "packet 0 00 00")
    (tmp_path / "no_program.json").write_text("{}")
    done = run(tmp_path)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[-1] == "4 tests: 1 passed, 1 failed, 2 refused"
    assert any(line.startswith("failed: wrong: packet 1 on port 1 differs") for line in lines)
    assert any(line.startswith("refused: unknown: ") and "unknown command 'frob'" in line for line in lines)
    assert any(line.startswith("refused: no_program: ") for line in lines)

    done = run(tmp_path, "--json", "--match", "w*")
    assert [(v["name"], v["status"]) for v in json.loads(done.stdout)] == [("wrong", "failed")]


def test_nothing_to_run(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 2
    assert "nothing to run" in done.stderr
