# SPDX-License-Identifier: Apache-2.0
"""A whole network of bmv2 switches: it serves, and goes on when it loses a link."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from din.emulation import sandbox
from din.model.check import check_file
from din.testbed.scaling import bmv2_load, scaled

ROOT = Path(__file__).parents[3]
TWO_WAYS = ROOT / "tests/din/controller/two-ways.yaml"
ENTERPRISE = ROOT / "topologies/enterprise.yaml"
#: Without it core-1 could only send back what is for leaf-1.
DETOUR = "  - {between: [core-1, core-2], rate: 100Mbit, delay: 1ms}\n"
#: Three probes half a second apart, and one beat of the loop.
NOTICED_SECONDS = 3.0

needs_bmv2 = pytest.mark.skipif(
    shutil.which("simple_switch_grpc") is None, reason="simple_switch_grpc is not installed"
)


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    # The paths of sockets have few bytes.
    with tempfile.TemporaryDirectory(prefix="din-", dir="/tmp") as state:
        file = Path(state) / "model.yaml"
        file.write_text(TWO_WAYS.read_text().replace("\nlinks:\n", "\nlinks:\n" + DETOUR))
        argv = [sys.executable, "-m", "tests.din.testbed.bmv2_life", str(file), state]
        with sandbox.start(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as box:
            out, errors = box.process.communicate()
            assert box.process.returncode == 0, errors
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


@needs_bmv2
def test_it_serves(seen: dict[str, Any]) -> None:
    assert seen["failures"] == []
    assert seen["answers"]
    assert {each["chunks"] for each in seen["answers"]} == {10}


@needs_bmv2
def test_status_says_what_the_switches_are(seen: dict[str, Any]) -> None:
    assert seen["targets"] == ["bmv2"]


@needs_bmv2
def test_a_link_that_is_cut_is_noticed_by_its_probes_alone(seen: dict[str, Any]) -> None:
    assert seen["down"] == ["core-1 leaf-1", "leaf-1 core-1"]
    assert seen["noticed"] < NOTICED_SECONDS


@needs_bmv2
def test_switches_go_another_way_before_anybody_tells_them(seen: dict[str, Any]) -> None:
    """bmv2 looks at its ports every 200 ms, and TCP sends again after as long."""
    cut, noticed = seen["cut"], seen["cut"] + seen["noticed"]
    assert [each for each in seen["answers"] if cut < each["at"] and each["at"] + each["seconds"] < noticed]


def test_a_scaled_model_is_as_busy_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "scaled.yaml"
    file.write_text(scaled(ENTERPRISE.read_text(), ENTERPRISE, 0.25))
    (was, _), (model, problems) = check_file(ENTERPRISE), check_file(file)
    assert problems == []
    assert [each.rate for each in model.links] == [each.rate // 4 for each in was.links]
    assert [each.delay for each in model.links] == [each.delay for each in was.links]
    assert [each.requests_per_second for each in model.demand] == [
        each.requests_per_second / 4 for each in was.demand
    ]
    before, after = was.emulation, model.emulation
    assert before.comparison is not None
    assert after.comparison is not None
    assert [each.requests_per_second for each in after.comparison.loads] == [
        each.requests_per_second / 4 for each in before.comparison.loads
    ]
    traffic, less = (
        [event.rate for phase in each.phases for event in phase.events if event.rate is not None]
        for each in (before.comparison, after.comparison)
    )
    assert traffic
    assert less == [each // 4 for each in traffic]
    assert [each.max_sequences for each in after.profiles] == [
        each.max_sequences // 4 for each in before.profiles
    ]
    assert after.scale == before.scale.model_copy(update={"load": 0.25})


def test_scaled_twice_is_scaled_by_both() -> None:
    once = scaled(ENTERPRISE.read_text(), ENTERPRISE, 0.5)
    assert scaled(once, ENTERPRISE, 0.5) == scaled(ENTERPRISE.read_text(), ENTERPRISE, 0.25)


@pytest.mark.parametrize(("cores", "factor"), [(2, 0.125), (4, 0.25), (16, 1.0), (64, 1.0)])
def test_a_machine_with_more_cores_carries_more(cores: int, factor: float) -> None:
    assert bmv2_load(cores) == factor
