# SPDX-License-Identifier: Apache-2.0
"""`p4jit compile`, `stf` and `wire` as processes."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from scripts.bench.namespaces import Namespace, add_veth, why_unavailable
from tests.p4jit.cli.command import FRAME, P4JIT, PROGRAM, Running, run
from tests.p4jit.runtime.tap import Tap


def test_compile_prints_c(tmp_path: Path) -> None:
    result = run("compile", str(PROGRAM))
    assert result.returncode == 0
    assert "p4jit_program" in result.stdout
    file = tmp_path / "program.c"
    again = run("compile", str(PROGRAM), "-o", str(file))
    assert (again.returncode, again.stdout) == (0, "")
    assert file.read_text() == result.stdout


def test_compile_tells_machines_what_it_made() -> None:
    result = run("compile", "--json", str(PROGRAM), "--p4info", str(PROGRAM.with_suffix(".p4info.txtpb")))
    assert result.returncode == 0
    made = json.loads(result.stdout)
    assert Path(made["library"]).is_file()
    assert made["source_bytes"] > 1000


def test_a_reader_that_has_enough_is_no_error() -> None:
    with subprocess.Popen(
        [*P4JIT, "compile", str(PROGRAM)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""


def test_compile_into_nowhere(tmp_path: Path) -> None:
    result = run("compile", str(PROGRAM), "-o", str(tmp_path / "missing" / "program.c"))
    assert result.returncode == 1
    assert "No such file or directory" in result.stderr


def test_stf_passes(tmp_path: Path) -> None:
    result = run("stf", str(PROGRAM), str(PROGRAM.with_suffix(".stf")))
    assert result.returncode == 0, result.stdout
    assert "0 failed" in result.stdout


def test_stf_fails_with_a_diff(tmp_path: Path) -> None:
    test = tmp_path / "wrong.stf"
    test.write_text("packet 0 00 0001 02\nexpect 1 02 00 0001 02 $\n")
    result = run("stf", str(PROGRAM), str(test))
    assert result.returncode == 1
    assert "FAIL line 2" in result.stdout
    machine = run("stf", "--json", str(PROGRAM), str(test))
    assert machine.returncode == 1
    outcome = json.loads(machine.stdout)
    assert outcome["passed"] is False
    assert outcome["checks"][0]["line"] == 2


def test_stf_that_is_none(tmp_path: Path) -> None:
    test = tmp_path / "odd.stf"
    test.write_text("packet 0 00\nfrobnicate\n")
    result = run("stf", str(PROGRAM), str(test))
    assert result.returncode == 1
    assert f"{test}: line 2: " in result.stderr


@pytest.mark.skipif(why_unavailable() is not None, reason=str(why_unavailable()))
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_wire_carries_frames_both_ways(number: signal.Signals) -> None:
    with Namespace() as middle, Namespace() as ends:
        add_veth(middle, "w0", ends, "e0")
        add_veth(middle, "w1", ends, "e1")
        with Running(
            "wire", "w0", "w1", "--rate", "10Mbit", "--delay", "1ms", prefix=middle.command()
        ) as command:
            assert command.wait_for("w0 - w1") == "w0 - w1: 10Mbit, 1ms"
            with Tap(ends, "e0") as x, Tap(ends, "e1") as y:
                x.send(FRAME)
                assert y.receive(1) == [FRAME]
                y.send(FRAME[::-1])
                assert x.receive(1) == [FRAME[::-1]]
            assert command.stop(number) == (0, "")


def test_wire_names_a_missing_interface() -> None:
    result = run("wire", "nowhere", "lo")
    assert result.returncode == 1
    assert "nowhere" in result.stderr
    assert "Traceback" not in result.stderr
