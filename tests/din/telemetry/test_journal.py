# SPDX-License-Identifier: Apache-2.0
"""Facts in a file that never gets too big."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """Bytes: what is beyond cannot be written, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "facts.jsonl"
    journal = Journal(file)
    journal.write([{"number": 1}])
    with no_file_beyond(20):
        journal.write([{"number": 2}])
    assert f"{file}: facts are lost: File too large" in caplog.text
    journal.write([{"number": 3}])
    assert [json.loads(line)["number"] for line in file.read_text().splitlines()] == [1, 3]
