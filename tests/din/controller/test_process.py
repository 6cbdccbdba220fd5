# SPDX-License-Identifier: Apache-2.0
"""The process: how it starts, how it says that it does not, and what it does when its disk is full."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from din.api.client import Client
from din.controller.__main__ import main
from din.emulation import sandbox
from din.model.load import load

from tests.din.p4rt.switches import free_address

ROOT = Path(__file__).resolve().parents[3]
FILE = ROOT / "topologies" / "skeleton.yaml"
Seen = dict[str, Any]
Refused = Callable[[list[str]], str]


@pytest.fixture
def state() -> Iterator[Path]:
    """A Unix socket's path is short, and pytest's own folders are not."""
    with tempfile.TemporaryDirectory(prefix="din") as folder:
        yield Path(folder) / "state"


@pytest.fixture
def addresses(tmp_path: Path) -> Path:
    """Where nobody answers."""
    file = tmp_path / "addresses.json"
    file.write_text(json.dumps(dict.fromkeys(load(str(FILE)).switch, free_address())))
    return file


def command(state: Path, addresses: Path, *more: str) -> list[str]:
    argv = [sys.executable, "-m", "din.controller", "--state", str(state)]
    return [*argv, "--addresses", str(addresses), *(more or [str(FILE)])]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[[list[str]], str]:
    """What a command says that does not start; it was never ready, and has ended by itself."""

    def words(argv: list[str]) -> str:
        assert main(argv[3:]) == 1
        said = capsys.readouterr()
        assert said.out == ""
        return said.err.splitlines()[-1]

    return words


@contextlib.contextmanager
def running(argv: list[str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["ready"] is True
            yield process
        finally:
            process.kill()


def test_it_is_ready_when_its_api_answers_and_leaves_when_it_is_told_to(state: Path, addresses: Path) -> None:
    with running(command(state, addresses)) as process, Client(state) as client:
        assert client.status().revision == 1
        assert oct(client.socket.stat().st_mode & 0o777) == "0o600"
        other = subprocess.run(command(state, addresses), capture_output=True, text=True, timeout=30)
        assert (other.returncode, other.stdout) == (1, "")
        assert "another controller uses this state directory" in other.stderr
        assert client.status().revision == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert not client.socket.exists()


def test_a_path_that_no_socket_can_have(refused: Refused, state: Path, addresses: Path) -> None:
    deep = state / ("x" * 100)
    said = refused(command(deep, addresses))
    assert str(deep / "controller.sock") in said
    assert "107 are the most: choose a shorter directory" in said


def test_a_path_that_is_taken(refused: Refused, state: Path, addresses: Path) -> None:
    (state / "controller.sock" / "folder").mkdir(parents=True)
    said = refused(command(state, addresses))
    assert f"{state}/controller.sock: the API's socket cannot be made: Is a directory" in said


def test_a_directory_that_cannot_be(refused: Refused, state: Path, addresses: Path) -> None:
    state.write_text("")
    assert str(state) in refused(command(state / "x", addresses))


def test_bad_arguments(refused: Refused, state: Path, addresses: Path, tmp_path: Path) -> None:
    assert "no revision was ever applied" in refused(command(state, addresses)[:-1])
    addresses.write_text("[1]")
    assert f"{addresses}: " in refused(command(state, addresses))
    addresses.write_text("{}")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_bytes(b"\xff")
    assert f"{wrong}: byte 0 is not UTF-8" in refused(command(state, addresses, str(wrong)))


# ---- a full disk -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """`full_disk.py`, on a file system of some kilobytes."""
    with tempfile.TemporaryDirectory(prefix="din") as folder:
        result = Path(folder) / "seen.json"
        (disk := Path(folder) / "disk").mkdir()
        script = (
            'mount -t tmpfs -o size=256k none "$1" && exec "$2" -m tests.din.controller.full_disk "$1" "$3"'
        )
        argv = ["sh", "-c", script, "sh", str(disk), sys.executable, str(result)]
        with sandbox.start(
            argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as box:
            said, _ = box.process.communicate(timeout=60)
        assert result.exists(), said
        found: Seen = json.loads(result.read_text())
        return found


def test_on_a_full_disk_a_revision_is_refused_and_nothing_changes(full: Seen) -> None:
    status, answer = full["apply"]
    assert status == 409
    assert "nothing was changed" in answer["error"]
    assert "No space left on device" in answer["error"]
    assert full["revisions"] == [1]
    assert full["revision"] == 1


def test_on_a_full_disk_nobody_is_drained_unless_that_can_be_noted(full: Seen) -> None:
    status, answer = full["drain"]
    assert status == 409
    assert "drained.json cannot be written: No space left on device" in answer["error"]
    assert full["drained"] == []


def test_on_a_full_disk_steering_goes_on(full: Seen) -> None:
    # A switch of instances by hand, and a plan that follows.
    assert full["choice"] == "nearest"
    assert full["decided"]
    assert full["stopped"] == 0
    assert "routes are not noted" in full["log"]


def test_on_a_full_disk_it_starts_again(full: Seen) -> None:
    assert full["again"] == 1
    assert "the term is not noted" in full["log"]
    assert full["left"] == []
