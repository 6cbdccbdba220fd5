# SPDX-License-Identifier: Apache-2.0
"""Facts in a file that never gets too big."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from din.telemetry.journal import Journal


def test_lines_are_added(tmp_path: Path) -> None:
    file = tmp_path / "facts.jsonl"
    Journal(file).write([{"a": 1}, {"b": "ü"}])
    Journal(file).write([{"c": None}])
    Journal(file).write([])
    assert [json.loads(line) for line in file.read_text().splitlines()] == [{"a": 1}, {"b": "ü"}, {"c": None}]


def test_two_files_at_most(tmp_path: Path) -> None:
    file = tmp_path / "facts.jsonl"
    journal = Journal(file, largest=100)
    for i in range(50):
        journal.write([{"number": i}])
    assert {each.name for each in tmp_path.iterdir()} == {"facts.jsonl", "facts.jsonl.1"}
    lines = (tmp_path / "facts.jsonl.1").read_text() + file.read_text()
    numbers = [json.loads(line)["number"] for line in lines.splitlines()]
    assert numbers == list(range(numbers[0], 50))
    assert all(each.stat().st_size <= 100 for each in tmp_path.iterdir())


def test_a_disk_that_fails_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = Journal(tmp_path / "gone" / "facts.jsonl")
    journal.write([{}])
    journal.write([{}])
    assert caplog.text.count("facts are lost") == 1
    (tmp_path / "gone").mkdir()
    journal.write([{"a": 1}])
    assert (tmp_path / "gone" / "facts.jsonl").read_text() == '{"a":1}\n'
