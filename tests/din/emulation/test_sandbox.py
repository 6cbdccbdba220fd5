# SPDX-License-Identifier: Apache-2.0
"""Sandboxes: what is in them, how they end, and what is said where there are none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
from din.emulation import sandbox

from tests.din.emulation.outside import Tree, tree, users_of, wait_gone

#: A sandbox in the foreground.
RUN = "import sys; from din.emulation import sandbox; sys.exit(sandbox.run(sys.argv[1:]))"


def foreground(*argv: str, prefix: Sequence[str] = ()) -> subprocess.Popen[str]:
    command = [*prefix, sys.executable, "-c", RUN, *argv]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def shell(script: str, prefix: Sequence[str] = ()) -> tuple[int, str, str]:
    """Status, output and errors of a script in a sandbox."""
    process = foreground("sh", "-c", script, prefix=prefix)
    output, errors = process.communicate(timeout=30)
    return process.returncode, output, errors


# ---- what is in it ---------------------------------------------------------------------------------------


def test_the_program_is_root_among_its_own(as_user: Sequence[str]) -> None:
    status, output, errors = shell("id -u; ls /sys/class/net; ps ax | wc -l; ping -c1 -W1 127.0.0.1", as_user)
    assert (status, errors) == (0, "")
    lines = output.splitlines()
    # First process, program, ps, wc, and a heading.
    assert lines[:3] == ["0", "lo", "5"]
    assert "1 received" in output


def test_interfaces_are_its_own(as_user: Sequence[str]) -> None:
    before = os.listdir("/sys/class/net")
    status, output, errors = shell(
        "ip link add box0 type veth peer name box1 && ip -br link | wc -l && mnexec -n ip -br link | wc -l",
        as_user,
    )
    assert (status, output.split(), errors) == (0, ["3", "1"], "")
    assert os.listdir("/sys/class/net") == before


def test_the_machines_settings_are_out_of_reach(as_user: Sequence[str]) -> None:
    before = Path("/proc/sys/kernel/pty/max").read_text()
    status, _, errors = shell("echo 7 >/proc/sys/kernel/pty/max", as_user)
    assert status != 0
    assert "Read-only file system" in errors or "Permission denied" in errors
    assert Path("/proc/sys/kernel/pty/max").read_text() == before


def test_the_settings_of_its_network_are_its_own(as_user: Sequence[str]) -> None:
    setting = "/proc/sys/net/ipv4/tcp_retries1"
    before = Path(setting).read_text()
    status, output, _ = shell(f"echo 5 >{setting}; cat {setting}", as_user)
    assert (status, output) == (0, "5\n")
    assert Path(setting).read_text() == before


def test_orphans_are_waited_for() -> None:
    script = """
        pid=$(sh -c 'sh -c "exit 0" >/dev/null & echo $!')
        while [ -e /proc/$pid ]; do :; done
    """
    assert shell(script)[0] == 0


def test_two_do_not_see_each_other() -> None:
    script = (
        "import socket; s = socket.create_server(('127.0.0.1', 4321)); print('bound', flush=True); input()"
    )
    boxes = [
        sandbox.start(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for box in boxes:
        assert box.process.stdout.readline() == "bound\n"
    for box in boxes:
        with box:
            box.process.communicate("\n")
            assert box.wait() == 0


# ---- how it ends -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("script", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)])
def test_its_status_is_the_programs(script: str, status: int) -> None:
    assert shell(script)[0] == status


def test_a_program_that_is_not_there() -> None:
    process = foreground("/no/such/program")
    assert process.communicate(timeout=30)[1] == "/no/such/program: No such file or directory\n"
    assert process.returncode == 127


#: It ends orderly, and says so.
ORDERLY = "trap 'echo orderly; exit 3' {0}; echo ready; while :; do read -t 1 line; done"


@pytest.mark.parametrize(
    ("sent", "received"), [("SIGINT", "INT"), ("SIGTERM", "TERM"), ("SIGHUP", "TERM")], ids=lambda v: v
)
def test_signals_reach_the_program(sent: str, received: str) -> None:
    process = foreground("bash", "-c", ORDERLY.format(received))
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.Signals[sent])
    assert process.communicate(timeout=30)[0] == "orderly\n"
    assert process.returncode == 3


def test_one_that_does_not_stop_is_ended() -> None:
    box = sandbox.start(
        ["bash", "-c", "trap '' TERM; echo ready; while :; do read -t 1 x; done"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert box.process.stdout.readline() == "ready\n"
    within = tree(box.pid)
    assert box.stop(timeout=0.1) == -signal.SIGKILL
    wait_gone(within.pids)
    box.signal(signal.SIGTERM)  # to nobody


def sleeper(prefix: Sequence[str]) -> tuple[subprocess.Popen[str], Tree]:
    """A sandbox with an interface, and a program with a child in a session of its own."""
    script = "ip link add box0 type veth peer name box1; setsid sleep 1000 & echo ready; wait"
    process = foreground("sh", "-c", script, prefix=prefix)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process, tree(process.pid)


def position(found: Tree, of: int) -> list[int]:
    """From who started it, by unshare and the first process, to the program."""
    chain = [of]
    while children := psutil.Process(chain[-1]).children():
        chain.append(children[0].pid)
    assert set(chain) <= found.pids
    return chain


@pytest.mark.parametrize("victim", [0, 1, 2, 3], ids=["starter", "unshare", "first process", "program"])
def test_kill_9_leaves_nothing(as_user: Sequence[str], victim: int) -> None:
    process, found = sleeper(as_user)
    assert len(found.pids) == 5
    assert len(found.namespaces) == 1
    os.kill(position(found, process.pid)[victim], signal.SIGKILL)
    wait_gone(found.pids - {process.pid})
    process.communicate(timeout=30)
    assert process.returncode != 0
    assert users_of(found.namespaces) == []


# ---- where there are none --------------------------------------------------------------------------------


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    for folder in ("kernel", "user"):
        (tmp_path / folder).mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("setting", "value", "remedy"),
    [
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", "0", "user.max_user_namespaces=10000"),
    ],
)
def test_a_setting_that_forbids_is_named(settings: Path, setting: str, value: str, remedy: str) -> None:
    said = "unshare: unshare failed: Operation not permitted"
    (settings / setting).write_text(f"{1 - int(value)}\n")
    assert "sysctl" not in sandbox.explain(said, False, settings)
    (settings / setting).write_text(f"{value}\n")
    text = sandbox.explain(said, False, settings)
    assert f"`sudo sysctl -w {remedy}`" in text
    assert "sudo" in text.partition("or ")[2]
    # It binds ordinary users alone.
    assert "sysctl" not in sandbox.explain(said, True, settings)


def test_a_container_that_hides_proc(settings: Path) -> None:
    text = sandbox.explain("unshare: mount /proc failed: Operation not permitted", False, settings)
    assert "systempaths=unconfined" in text


def test_refused_for_another_reason(settings: Path) -> None:
    said = "unshare: unshare failed: Operation not permitted"
    assert "with sudo" in sandbox.explain(said, False, settings)
    assert "--privileged" in sandbox.explain(said, True, settings)
    assert said in sandbox.explain(said, True, settings)


def test_no_unshare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(sandbox.SandboxError, match="install util-linux"):
        sandbox.check()


def test_root_needs_no_user_namespace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As where `user.max_user_namespaces` is 0: an unshare that refuses --user."""
    stub = tmp_path / "unshare"
    stub.write_text("#!/bin/sh\ncase \"$*\" in *--user*) echo 'unshare failed' >&2; exit 1;; esac\n")
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "--user" not in sandbox.unshare()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(sandbox.SandboxError, match="unshare failed"):
        sandbox.unshare()
