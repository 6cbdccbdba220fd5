# SPDX-License-Identifier: Apache-2.0
"""``din up --no-emulation``: a controller of switches that are there already."""

from __future__ import annotations

import os
import signal
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
    result = din("up", model, "--no-emulation", "--state", state)
    assert result.exit_code == 0, result.stderr
    assert "din run" not in result.stdout
    status = Status.model_validate_json(din("status", "--state", state, "--json").stdout)
    assert all(each.primary and not each.pending for each in status.switches)
    assert "not emulated here" in din("run", "--state", state, "client", "--", "true").stderr
    assert din("down", "--state", state).exit_code == 0
    assert processes(state) == []
    # The switches have stayed, and as they were: nothing is left to write.
    assert din("up", model, "--no-emulation", "--state", state).exit_code == 0
    assert din("diff", "--state", state).exit_code == 0
    network = networks.at(state)
    assert network is not None
    assert len(processes(state)) == 3
    os.kill(network.keeper, signal.SIGKILL)
    until(lambda: not processes(state), "the controller is left")
