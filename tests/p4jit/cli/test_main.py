# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from types import SimpleNamespace

import p4jit
import pytest
from p4jit.cli import main as module
from p4jit.cli.main import COMMANDS, main
from p4jit.cli.usage import CommandError, UsageError


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """What the commands were called with, in place of running them."""
    seen: list[tuple[str, list[str]]] = []

    def fake(name: str) -> SimpleNamespace:
        def command(arguments: Sequence[str]) -> int:
            seen.append((name.rpartition(".")[2], list(arguments)))
            return 0

        return SimpleNamespace(main=command)

    monkeypatch.setattr(module.importlib, "import_module", fake)
    return seen


def test_each_command_gets_its_arguments(calls: list[tuple[str, list[str]]]) -> None:
    assert main(["stf", "a.json", "a.stf"]) == 0
    assert main(["run", "--no-p4"]) == 0
    assert calls == [("stf", ["a.json", "a.stf"]), ("run", ["--no-p4"])]


@pytest.mark.parametrize(
    "line", ["-i 1@eth0 prog.json", "prog.json --log-console", "--no-p4 -- --cpu-port 1"]
)
def test_simple_switch_grpc_lines_run_a_switch(line: str, calls: list[tuple[str, list[str]]]) -> None:
    assert main(line.split()) == 0
    assert calls == [("run", line.split())]


@pytest.mark.parametrize("argument", ["--version", "-v", "version"])
def test_version(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([argument]) == 0
    assert capsys.readouterr().out == f"p4jit {p4jit.__version__}\n"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in COMMANDS)


@pytest.mark.parametrize("arguments", [[], ["frobnicate"]])
def test_no_such_command_is_a_usage_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "command" in captured.err


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (UsageError("what?"), 2, "p4jit run: what?"),
        (CommandError("no such thing"), 1, "p4jit run: error: no such thing"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_errors_become_messages_and_statuses(
    error: BaseException,
    status: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(arguments: Sequence[str]) -> int:
        raise error

    monkeypatch.setattr(module.importlib, "import_module", lambda name: SimpleNamespace(main=fail))
    assert main(["run"]) == status
    captured = capsys.readouterr()
    assert captured.err.startswith(words)
    assert captured.out == ""


def test_the_module_runs_as_the_command_does() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "p4jit", "--version"], capture_output=True, text=True, check=True
    )
    assert result.stdout == f"p4jit {p4jit.__version__}\n"


def test_parsing_a_line_loads_neither_the_engine_nor_grpc() -> None:
    script = (
        "import sys, p4jit.cli.main as m; m.main(['run', '--json-version']);"
        "sys.exit(any(n.split('.')[0] in ('grpc', 'finsy') for n in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
