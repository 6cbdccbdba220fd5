# SPDX-License-Identifier: Apache-2.0
"""``din up --no-emulation``: a controller of switches that are there already."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from din.api.schema import Status
from din.testbed import networks

from tests.din.cli.conftest import Din, processes, until
from tests.din.p4rt.switches import P4jit

SKELETON = Path("topologies/skeleton.yaml")


@pytest.fixture
def model(tmp_path: Path) -> Iterator[Path]:
    """The skeleton with addresses of switches that run, and its collector beside them."""
    text = SKELETON.read_text()
    with ExitStack() as switches:
        for name in ("leaf-1", "core-1", "leaf-2"):
            folder = tmp_path / name
            folder.mkdir()
            switch = P4jit(folder)
            switches.callback(switch.close)
            text = text.replace(f"{{name: {name},", f'{{name: {name}, address: "{switch.address}",')
        path = tmp_path / "model.yaml"
        path.write_text(text)
        yield path


def test_a_controller_alone(din: Din, short: Path, model: Path) -> None:
    state = short / "a"
    command = [sys.executable, "-m", "din.cli", "up", str(model), "--no-emulation", "--state", str(state)]
    up = subprocess.Popen(
        [*command, "--foreground"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert up.stderr is not None
    assert any("Ctrl-C ends it" in line for line in up.stderr)
    status = Status.model_validate_json(din("status", "--state", state, "--json").stdout)
    assert all(each.primary and not each.pending for each in status.switches)
    assert "not emulated here" in din("run", "--state", state, "client", "--", "true").stderr
    up.send_signal(signal.SIGINT)
    said, complaints = up.communicate()
    assert "din run" not in said
    assert "the network is down" in complaints
    assert up.returncode == 130
    assert processes(state) == []
    # The switches have stayed, and as they were: nothing is left to write.
    assert din(*command[3:]).exit_code == 0
    until(lambda: din("diff", "--state", state).exit_code == 0, "the switches were changed")
    network = networks.at(state)
    assert network is not None
    assert len(processes(state)) == 3
    os.kill(network.keeper, signal.SIGKILL)
    until(lambda: not processes(state), "the controller is left")
