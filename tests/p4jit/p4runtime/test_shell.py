# SPDX-License-Identifier: Apache-2.0
"""p4runtime-shell, unmodified, in an environment of its own: it pins a protobuf older than ours."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from p4jit.p4runtime import P4RuntimeServer
from p4jit.target.interface import PacketIn

from tests.p4jit.p4runtime.fake_device import CPU_PORT, FakeDevice, fake_compile
from tests.p4jit.p4runtime.real_device import compile_pushed, new_device

HERE = Path(__file__).parent
PROGRAMS = HERE.parent / "programs"
VERSION = "0.0.6"


@pytest.fixture(scope="session")
def shell_python() -> Path:
    """A Python that has p4runtime-shell, made once and kept in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "p4jit-tests"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    home = cache / f"p4runtime-shell-{VERSION}-py{version}"
    python, finished = home / "bin" / "python", home / "finished"
    if not finished.exists():
        venv.create(home, with_pip=True, clear=True)
        install = [str(python), "-m", "pip", "install", "--quiet", f"p4runtime-shell=={VERSION}"]
        result = subprocess.run(install, capture_output=True, text=True)
        if result.returncode != 0:
            pytest.skip(f"p4runtime-shell {VERSION} cannot be installed: {result.stderr.strip()[-500:]}")
        finished.touch()
    return python


class EchoDevice(FakeDevice):
    """Sends what the controller sends out back to it, as from port 3."""

    def inject(self, port: int, data: bytes, at: int | None = None) -> None:
        super().inject(port, data, at)
        self.events.put(PacketIn(bytes((0x01, 0x80)) + data[2:]))


@pytest.mark.timeout(300)
def test_p4runtime_shell(shell_python: Path) -> None:
    device = EchoDevice()
    with P4RuntimeServer([device], fake_compile, "localhost:0") as server:
        run_session(shell_python, server, egress=3)
    assert device.injected == [(CPU_PORT, b"\x01\x80hello")]


@pytest.mark.timeout(300)
def test_p4runtime_shell_on_the_device_itself(shell_python: Path) -> None:
    device = new_device(1)
    try:
        with P4RuntimeServer([device], compile_pushed, "localhost:0") as server:
            # What the program sends to the CPU port is a packet-in.
            run_session(shell_python, server, egress=CPU_PORT)
    finally:
        device.close()


def run_session(python: Path, server: P4RuntimeServer, egress: int) -> None:
    files = [str(PROGRAMS / name) for name in ("everything.p4info.txtpb", "everything.json")]
    session = subprocess.run(
        [str(python), str(HERE / "shell_session.py"), str(server.port), *files, str(egress)],
        capture_output=True,
        text=True,
        timeout=60,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )
    assert session.stdout.endswith("done\n"), session.stdout + session.stderr
