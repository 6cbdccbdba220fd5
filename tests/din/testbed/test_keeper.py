# SPDX-License-Identifier: Apache-2.0
"""What a keeper passes on of what is said in its network."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from din.testbed.keeper import Keeper
from din.testbed.networks import Note


async def test_a_long_line_does_not_end_the_network(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """As of a program that ended with much in its log."""
    note = Note(model="x", file="x.yaml", target="p4jit", started=0.0)
    crash = {"crashed": "\x00" * 16_384}
    read_end, write_end = os.pipe()

    def say() -> None:
        with os.fdopen(write_end, "wb") as inside:
            inside.write(b"not JSON\n" + json.dumps(crash).encode() + b"\n")

    threading.Thread(target=say).start()
    with os.fdopen(read_end, "rb") as said:
        await Keeper("x.yaml", tmp_path, note)._hear(said, os.getpid())
    lines = capfd.readouterr().out.splitlines()
    assert [json.loads(each) for each in lines] == [{"crashed": "not JSON"}, crash]
