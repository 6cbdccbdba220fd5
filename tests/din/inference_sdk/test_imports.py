# SPDX-License-Identifier: Apache-2.0
"""Marking needs neither scapy, which is under the GPL, nor `openai`."""

from __future__ import annotations

import subprocess
import sys

import din.inference
import pytest


@pytest.mark.parametrize("module", ["din.inference.marking", "din.inference.agent.__main__"])
def test_what_is_not_loaded(module: str) -> None:
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pydantic" in done.stdout.split()
    assert not {"scapy", "openai", "httpx2", "fastapi", "p4jit"} & set(done.stdout.split())


def test_public_names() -> None:
    assert {name: getattr(din.inference, name).__name__ for name in din.inference.__all__} == {
        name: name for name in din.inference.__all__
    }
