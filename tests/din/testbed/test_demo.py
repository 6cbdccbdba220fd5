# SPDX-License-Identifier: Apache-2.0
"""The command behind ``make demo``, with real networks: several at once, one of them whole, others ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from din.testbed import demo
from din.testbed.results import ALL, read_results

ROOT = Path(__file__).parents[3]
SKELETON = ROOT / "topologies" / "skeleton.yaml"
_SECONDS = 60.0


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The smallest network, for a moment; enough requests also where a busy machine is given less of them."""
    text = SKELETON.read_text().replace("warm_up: 2s", "warm_up: 1s").replace("duration: 5s", "duration: 2s")
    text = text.replace("requests_per_second: 8\n", "requests_per_second: 20\n")
    path = tmp_path / "model.yaml"
    path.write_text(text)
    return path


@contextmanager
def _demo(model: Path, results: Path) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-m", "din.testbed.demo", str(model), "--results", str(results)]
    process = subprocess.Popen(
        argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _until(process: subprocess.Popen[str], beginning: str) -> str:
    """What it says until a line begins so."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if line.startswith(beginning):
            return said
    raise AssertionError(f"it never said {beginning!r}:\n{said}")


def _wait(condition: Callable[[], bool], what: Callable[[], object]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.05)


def _processes(folder: Path) -> list[str]:
    """Command lines that name a folder: switches, servers, controller, generators."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


@pytest.mark.timeout(180)
def test_one_runs_whole_while_others_are_ended(model: Path, tmp_path: Path) -> None:
    whole, interrupted, killed = (tmp_path / name for name in ("w", "i", "k"))
    with _demo(model, whole) as one, _demo(model, interrupted) as two, _demo(model, killed) as three:
        _until(three, "model servers")
        assert _processes(killed)
        three.kill()
        said = _until(two, "arm 1 of 1")
        two.send_signal(signal.SIGINT)
        rest, _ = two.communicate(timeout=_SECONDS)
        assert two.returncode == 130, said + rest
        assert "stopped; no arm ran whole. Logs are in" in rest
        assert "Traceback" not in rest
        said, _ = one.communicate(timeout=_SECONDS)
        assert one.returncode == 0, said
    for folder in (whole, interrupted, killed):
        _wait(lambda folder=folder: not _processes(folder), lambda folder=folder: _processes(folder))  # type: ignore[misc]
    (folder,) = whole.iterdir()
    assert f"The report: {folder / 'report.html'}" in said
    assert said.index("scaling: ") < said.index("Phase calm") < said.index("Service chat")
    results = read_results(folder)
    assert results.run.target == "p4jit"
    summary = results.arm["din"].summaries[ALL][ALL]
    assert summary.statuses["ok"] == summary.requests > 5
    assert set(summary.instance_shares) == {"chat-1", "chat-2"}
    assert results.arm["din"].run.latency["calm"]["services"]["chat"]["responses"] > 0
    assert list(results.arm["din"].run.paths_taken["calm"]["leaf-1 chat"]) == ["leaf-2 core-1 leaf-1"]
    assert len(json.loads((folder / "results.json").read_text())["arms"]) == 1


# ---- what it refuses ---------------------------------------------------------------------------------------


def _refusal(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert demo.main(argv) == 1
    return capsys.readouterr().err


def test_a_model_without_a_comparison(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = model.read_text()
    model.write_text(text[: text.index("  comparison:")])
    assert "no emulation.comparison" in _refusal(capsys, str(model), "--results", str(tmp_path / "r"))
    assert not (tmp_path / "r").exists()


def test_a_model_with_errors(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model.write_text(model.read_text().replace("host: client\n", "host: klient\n"))
    said = _refusal(capsys, str(model), "--results", str(tmp_path / "r"))
    assert "did you mean client?" in said
    assert f"{model}:" in said


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "No such file" in _refusal(capsys, str(tmp_path / "none.yaml"))


def test_an_arm_that_there_is_not(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there are din" in _refusal(capsys, str(model), "--arm", "best")


def test_a_target_that_cannot_be_emulated(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tofino", "bmv3"):
        monkeypatch.setenv("DIN_TARGET", name)
        assert f"DIN_TARGET is {name}" in _refusal(capsys, str(model))


def test_a_target_that_is_not_installed(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIN_TARGET", "bmv2")
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable))
    assert "no simple_switch_grpc" in _refusal(capsys, str(model))


def test_results_of_one_second_have_a_folder_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo.time, "strftime", lambda form: "20260101-000000")
    folders = [demo._folder(tmp_path, "x").name for _ in range(3)]
    assert folders == ["x-20260101-000000", "x-20260101-000000-2", "x-20260101-000000-3"]
