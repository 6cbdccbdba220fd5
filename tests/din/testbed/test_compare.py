# SPDX-License-Identifier: Apache-2.0
"""A comparison that the machine does not carry begins again, smaller."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from din.model.load import load
from din.model.network import Model
from din.testbed import compare, comparison, record
from din.testbed.comparison import ComparisonRunner, TooBusyError
from din.testbed.scaling import SCALED_FILE

SKELETON = Path(__file__).parents[3] / "topologies" / "skeleton.yaml"


class Machine:
    """A test bed on one whose CPU is as busy as is said, phase after phase."""

    def __init__(self, *cpu: float) -> None:
        self.model, self.wiring, self.file = load(SKELETON), None, SKELETON
        readings = iter(each for busy in cpu for each in (0.0, busy))
        self.client = SimpleNamespace(
            set_steering=lambda request: None,
            plan=lambda: SimpleNamespace(decisions=[]),
            latency=lambda since: {},
        )
        self.ended = SimpleNamespace(wait=lambda timeout: 0, failure=lambda: None)
        self.failures: list[str] = []
        self.emulation = SimpleNamespace(
            target="p4jit",
            host_cpu=lambda: next(readings),
            run=lambda host, argv, log: self.ended,
            failures=lambda: self.failures,
        )


@pytest.fixture
def _no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1e9]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(comparison, "time", SimpleNamespace(time=lambda: now[0], sleep=sleep))
    monkeypatch.setattr(comparison, "url", lambda *_: "")
    monkeypatch.setattr(comparison, "_post", lambda where: None)


def _run(machine: Any, folder: Path, give_up: bool) -> None:
    ComparisonRunner(machine, folder, lambda what, done, total: None, give_up=give_up).run()


@pytest.mark.usefixtures("_no_time_passes")
def test_the_first_arm_is_given_up_as_soon_as_it_is_void(tmp_path: Path) -> None:
    with pytest.raises(TooBusyError, match="85% busy in the phase calm") as caught:
        _run(Machine(0.5, 0.85), tmp_path, give_up=True)
    assert caught.value.cpu == 0.85


@pytest.mark.usefixtures("_no_time_passes")
@pytest.mark.parametrize(("cpu", "give_up"), [((0.5, 0.79), True), ((0.99, 0.5), True), ((0.5, 0.99), False)])
def test_no_arm_is_given_up_otherwise(cpu: tuple[float, ...], give_up: bool, tmp_path: Path) -> None:
    """The warm-up is busy with what starts. The last attempt is shown, void."""
    _run(Machine(*cpu), tmp_path, give_up)


@pytest.mark.usefixtures("_no_time_passes")
def test_an_arm_is_void_when_anything_of_the_network_has_failed(tmp_path: Path) -> None:
    machine = Machine(0.5, 0.5)
    machine.ended = SimpleNamespace(wait=lambda timeout: 0, failure=lambda: "load-din ended")
    machine.failures = ["switch core-1 ended by signal 9", "load-din ended"]
    _run(machine, tmp_path, give_up=False)
    (arm,) = record.read(tmp_path).arms
    assert sorted(arm.failures) == ["load-din ended", "switch core-1 ended by signal 9"]


class Attempts:
    """Of running a comparison: each finds the machine so busy; what each was to run is kept."""

    def __init__(self, folder: Path, *cpu: float) -> None:
        self.folder = folder
        self.cpu = list(cpu)
        self.loads: list[float] = []
        self.kept: list[list[str]] = []

    def runner(self, testbed: Any, folder: Path, progress: Any, *, give_up: bool) -> Any:
        self.loads.append(testbed.model.emulation.scale.load)
        self.kept.append(sorted(each.name for each in folder.iterdir()))
        return SimpleNamespace(run=lambda only: self._run(give_up))

    def _run(self, give_up: bool) -> None:
        (self.folder / "din").mkdir()
        (self.folder / "schedule-client.jsonl").write_text("")
        if (cpu := self.cpu.pop(0)) > 0.8 and give_up:
            raise TooBusyError("calm", cpu)


@pytest.mark.parametrize(
    ("cpu", "loads"),
    [((0.5,), [1.0]), ((0.97, 0.6), [1.0, 0.57]), ((1.0, 1.0, 1.0), [1.0, 0.55, 0.3025])],
    ids=["carries it", "carries half", "carries nothing"],
)
def test_it_begins_again_with_less(
    cpu: tuple[float, ...],
    loads: list[float],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    attempts = Attempts(folder, *cpu)

    def bed(model: Model, *_: object, **__: object) -> Any:
        return nullcontext(SimpleNamespace(model=model, start=lambda progress: None))

    monkeypatch.setattr(compare, "Testbed", bed)
    monkeypatch.setattr(compare, "ComparisonRunner", attempts.runner)
    assert compare.main(str(SKELETON), str(folder), str(tmp_path / "state"), "p4jit") == 0
    assert attempts.loads == pytest.approx(loads)
    # Nothing of an attempt that was given up is taken for a result.
    assert attempts.kept == [[], *([[SCALED_FILE]] * (len(loads) - 1))]
    told = [f"the machine was {each:.0%} busy in the phase calm: it all begins again" for each in cpu[:-1]]
    said = capsys.readouterr().out
    assert all(each in said for each in told)
    assert said.count("it all begins again") == len(told)
