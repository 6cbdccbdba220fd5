# SPDX-License-Identifier: Apache-2.0
"""``python -m din.emulation``: two side by side, asked over their sockets, and how each ends."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from din.emulation.control import Client, socket_path
from din.emulation.errors import EmulationError

from tests.din.emulation.live import MODEL
from tests.din.emulation.outside import tree, users_of, wait_gone


class Run:
    """One that runs; what it says is read line by line."""

    def __init__(self, file: Path, state: Path) -> None:
        self.state = state
        self.process = subprocess.Popen(
            [sys.executable, "-m", "din.emulation", str(file), "--state", str(state)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def until(self, what: str) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said: dict[str, Any] = json.loads(line)
            if what in said:
                return said
        raise AssertionError(f"it ended without {what}: {self.process.communicate()[1]}")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "live.yaml"
    path.write_text(MODEL)
    return path


def test_two_side_by_side(file: Path, tmp_path: Path) -> None:
    runs = [Run(file, tmp_path / name) for name in ("one", "two")]
    one, two = runs
    for run in runs:
        assert run.until("ready")["ready"] == {"leaf1": "127.0.0.1:50001", "leaf2": "127.0.0.1:50002"}
    below = [tree(run.process.pid) for run in runs]
    assert not below[0].namespaces & below[1].namespaces
    # The switches' namespace, and one of each host's.
    assert [len(each.namespaces) for each in below] == [3, 3]
    assert stat.S_IMODE(socket_path(one.state).stat().st_mode) == 0o600

    with Client(one.state) as client, Client(two.state) as other:
        client.ask("link", a="leaf1", b="leaf2", up=False)
        client.ask("switch", name="leaf2", up=False)
        status = client.ask("status")
        assert {name: each["running"] for name, each in status["switches"].items()} == {
            "leaf1": True,
            "leaf2": False,
        }
        assert status["failures"] == []
        assert 0 <= status["cpu"] <= 1
        assert all(each["running"] for each in other.ask("status")["switches"].values())

        number = client.ask("run", host="a", argv=["sh", "-c", "echo from a; exit 3"], log="say")
        assert "say on a ended with status 3" in one.until("crashed")["crashed"]
        assert client.ask("process", number=number)["status"] == 3
        assert "from a" in client.ask("status")["failures"][0]
        number = client.ask("run", host="b", argv=["sleep", "1000"], log="sleep")
        assert client.ask("stop_process", number=number)["status"] == -signal.SIGTERM
        with pytest.raises(EmulationError, match="no switch nowhere"):
            client.ask("switch", name="nowhere", up=False)

        # Ctrl-C, with somebody connected.
        one.process.send_signal(signal.SIGINT)
        assert one.process.wait(30) == 0
        with pytest.raises(EmulationError, match="has ended"):
            client.ask("status")
        wait_gone(below[0].pids)
        assert users_of(below[0].namespaces) == []
        assert all(each["running"] for each in other.ask("status")["switches"].values())

    two.process.kill()
    wait_gone(below[1].pids - {two.process.pid})
    assert users_of(below[1].namespaces) == []
    assert two.process.wait(30) == -signal.SIGKILL
    # What a killed one has left is no hindrance.
    again = Run(file, two.state)
    again.until("ready")
    with Client(two.state) as client:
        client.ask("stop")
    assert again.process.wait(30) == 0
    assert not socket_path(two.state).exists()


def failing(*arguments: str) -> str:
    command = [sys.executable, "-m", "din.emulation", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    return done.stderr


def test_a_model_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("version: 1\n")
    assert f"{tmp_path / 'x.yaml'}" in failing(str(tmp_path / "x.yaml"), "--state", str(tmp_path / "s"))


def test_a_host_without_a_way_out(tmp_path: Path, file: Path) -> None:
    file.write_text(MODEL.replace("10.1.0.5/24", "10.9.0.5/24"))
    said = failing(str(file), "--state", str(tmp_path / "s"))
    assert (
        "host a: 10.9.0.5/24 is in the prefix of no gateway of leaf1 (10.1.0.1/24, 2001:db8:1::1/64)" in said
    )


def test_a_state_folder_with_too_long_a_name(tmp_path: Path, file: Path) -> None:
    said = failing(str(file), "--state", str(tmp_path / ("x" * 100)))
    assert "too long for a socket (107 bytes): choose a shorter state folder" in said


def test_nobody_to_ask(tmp_path: Path) -> None:
    with pytest.raises(EmulationError, match=f"no emulation runs with state in {tmp_path}"):
        Client(tmp_path)
