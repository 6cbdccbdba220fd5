# SPDX-License-Identifier: Apache-2.0
"""Programs: none ends unnoticed, and all that were started are ended."""

from __future__ import annotations

import queue
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from din.emulation.errors import EmulationError, tail
from din.emulation.processes import Process, Processes

from tests.din.emulation.outside import wait_gone


class Node:
    """What Mininet's do: a program in a session of its own."""

    name = "here"

    def popen(self, argv: list[str], **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(argv, start_new_session=True, **options)


Crashes = queue.SimpleQueue[Process]


@pytest.fixture
def crashes() -> Crashes:
    return queue.SimpleQueue()


@pytest.fixture
def processes(tmp_path: Path, crashes: Crashes) -> Iterator[Processes]:
    found = Processes(tmp_path, crashes.put)
    yield found
    if found.running():
        found.stop()


def shell(processes: Processes, script: str, name: str = "program") -> Process:
    return processes.start(Node(), ["sh", "-c", script], name)


def test_one_that_fails_is_told_with_the_end_of_its_log(processes: Processes, crashes: Crashes) -> None:
    shell(processes, "seq 1 100; echo cannot >&2; exit 4")
    process = crashes.get(timeout=10)
    failure = process.failure()
    assert failure is not None
    first, *lines = failure.splitlines()
    assert first == f"program on here ended with status 4 ({process.log}):"
    assert lines == [*map(str, range(87, 101)), "cannot"]
    assert processes.failures() == [failure]


def test_one_that_a_signal_ends_is_told(processes: Processes, crashes: Crashes) -> None:
    shell(processes, "kill -SEGV $$")
    assert "ended by signal 11" in (crashes.get(timeout=10).failure() or "")


def test_one_that_ends_well_or_is_stopped_is_not(processes: Processes, crashes: Crashes) -> None:
    assert shell(processes, "exit 0").wait(10) == 0
    assert shell(processes, "sleep 1000").stop() == -signal.SIGTERM
    assert processes.failures() == []
    processes.stop()
    assert crashes.empty()


def test_children_are_stopped_with_it(processes: Processes) -> None:
    process = shell(processes, "sleep 1000 & echo ready; wait")
    while "ready" not in process.log.read_text():
        assert process.running
    (child,) = psutil.Process(process.pid).children()
    process.stop()
    wait_gone([child.pid])


def test_all_are_stopped_side_by_side_and_the_stubborn_ended(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("din.emulation.processes._STOP_SECONDS", 0.2)
    stubborn = [
        shell(processes, "trap '' TERM; echo ready; while :; do read x; sleep 0.1; done", f"s{n}")
        for n in range(3)
    ]
    willing = shell(processes, "sleep 1000")
    for process in stubborn:
        while "ready" not in process.log.read_text():
            assert process.running
    processes.stop()
    assert [each.popen.returncode for each in stubborn] == [-signal.SIGKILL] * 3
    assert willing.popen.returncode == -signal.SIGTERM


def test_what_is_told_of_a_log_is_its_end_alone(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_bytes(b"\xff" * 5_000_000 + b"\nthe end\n")
    *_, last = tail(log).splitlines()
    assert last == "the end"
    assert len(tail(log)) < 20_000
    assert tail(tmp_path / "none.log") == ""


def test_logs_go_on(processes: Processes, tmp_path: Path) -> None:
    for word in ("one", "two"):
        shell(processes, f"echo {word}").wait(10)
    assert (tmp_path / "program.log").read_text() == "one\ntwo\n"


@pytest.mark.parametrize("name", ["", "../x", "a/b"])
def test_a_name_that_is_no_files(processes: Processes, name: str) -> None:
    with pytest.raises(EmulationError, match="is no name for a log"):
        shell(processes, "true", name)
