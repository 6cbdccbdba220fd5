# SPDX-License-Identifier: Apache-2.0
"""p4runtime-shell's environment, and what it is given."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from din.api.schema import SwitchStatus
from din.cli import reading_shell, shell_environment
from din.cli.inside import arguments
from din.model.topology import Role, Switch, Tls

SWITCH = Switch(name="leaf-1", site="office", role=Role.LEAF, device_id=7)
THERE = SwitchStatus(
    name="leaf-1",
    role="leaf",
    target="p4jit",
    address="192.0.2.1:9559",
    connected=True,
    primary=True,
    entries=0,
    pending=0,
)


def test_tls_files_are_relative_to_the_model() -> None:
    tls = Tls(ca="ca.pem", certificate="/etc/own.pem", key="own.key")
    found = arguments(THERE, SWITCH, tls, Path("/models"), 3, True)
    assert " ".join(found) == (
        "-m p4runtime_sh --grpc-addr 192.0.2.1:9559 --device-id 7 --election-id 3,2 "
        "--ssl --cacert /models/ca.pem --cert /etc/own.pem --private-key /models/own.key"
    )


@pytest.mark.parametrize("call", ["write", "write_update", "set_fwd_pipe_config"])
def test_a_shell_that_reads_refuses_to_write(tmp_path: Path, call: str) -> None:
    package = tmp_path / "p4runtime_sh"
    package.mkdir()
    (package / "p4runtime.py").write_text(
        "class P4RuntimeClient:\n"
        "    def write(self, update): print('written')\n"
        "    write_update = set_fwd_pipe_config = write\n"
        "    def read(self): print('read')\n"
    )
    (package / "shell.py").write_text(
        "from .p4runtime import P4RuntimeClient\n"
        "class UserError(Exception): pass\n"
        f"def main(): P4RuntimeClient().read(); P4RuntimeClient().{call}(1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", reading_shell.__file__],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(tmp_path)},
    )
    assert done.stdout == "read\n"
    assert "UserError: this shell only reads" in done.stderr


def test_where_the_environment_is() -> None:
    usual = Path.home() / ".cache/din-fabric/p4runtime-shell"
    assert shell_environment.folder({}) == usual
    assert shell_environment.folder({"XDG_CACHE_HOME": "/c"}) == Path("/c/din-fabric/p4runtime-shell")


def test_what_pip_cannot_do_is_told_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    where = tmp_path / "environment"
    (where / "bin").mkdir(parents=True)
    (where / "bin/python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (where / "bin/python").chmod(0o755)
    # A real one takes its time.
    monkeypatch.setattr(shell_environment, "_make", lambda where: None)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(shell_environment.ShellEnvironmentError) as refused:
        shell_environment.python(where, told.append, "din-no-such-package")
    assert "No matching distribution found for din-no-such-package" in str(refused.value)
    assert "package index" in str(refused.value)
    assert told == [f"making an environment for p4runtime-shell in {where}", "installing din-no-such-package"]
    assert not (where / ".complete").exists()


def test_an_environment_is_made_once(tmp_path: Path) -> None:
    """And again when another version is wanted, or the Python that it was made with has gone."""
    (tmp_path / "e/bin").mkdir(parents=True)
    (tmp_path / "e/.complete").write_text("shell==1")
    python = tmp_path / "e/bin/python"

    def make(package: str) -> bool:
        made: list[str] = []

        class MadeError(Exception):
            pass

        def progress(text: str) -> None:
            made.append(text)
            raise MadeError

        try:
            assert shell_environment.python(tmp_path / "e", progress, package) == python
        except MadeError:
            return True
        return False

    assert make("shell==1")
    python.symlink_to(sys.executable)
    assert not make("shell==1")
    assert make("shell==2")
    python.unlink()
    python.symlink_to(tmp_path / "gone")
    assert make("shell==1")
