# SPDX-License-Identifier: Apache-2.0
"""The checked-in outputs of p4c belong to their sources, and say nothing about where they were made."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = [ROOT / "tests" / "p4jit" / "programs", ROOT / "scripts" / "bench" / "programs"]


def test_outputs_are_those_of_the_sources() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "build_test_programs"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_outputs_hold_no_absolute_paths(folder: Path) -> None:
    outputs = [*folder.glob("*.json"), *folder.glob("*.txtpb")]
    assert outputs
    for path in outputs:
        assert not re.search(r'"/\w+/', path.read_text()), f"{path.name} holds an absolute path"
