# SPDX-License-Identifier: Apache-2.0
"""The parts of `p4jit run` that meet the operating system: signals, the log, the Thrift port."""

from __future__ import annotations

import logging
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from p4jit.cli import logs
from p4jit.cli.run_options import LogOptions
from p4jit.cli.thrift_port import ThriftPort
from p4jit.cli.usage import CommandError


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_winds_up_and_is_no_failure(number: signal.Signals) -> None:
    script = """
from p4jit.cli.stopping import until_signalled, wait_for_signal
with until_signalled():
    try:
        print("ready", flush=True)
        wait_for_signal()
    finally:
        print("wound up", flush=True)
print("after")
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.stdout.read() == "wound up\nafter\n"
        assert process.wait() == 0


def test_the_thrift_port_opens_and_turns_clients_away() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    thrift = ThriftPort(port)
    with pytest.raises(OSError, match="in use"):
        ThriftPort(port)
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            assert connection.recv(1) == b""
    thrift.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("p4jit")
    before = (logger.handlers[:], logger.level, logger.propagate)
    yield logger
    for handler in logger.handlers:
        handler.close()
    logger.handlers[:], logger.level, logger.propagate = before


def test_the_log_goes_to_the_console_from_its_level_on(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.set_up(LogOptions(level=logging.INFO, console=True))
    logger.debug("too much")
    logger.getChild("device").info("port %d is up", 3)
    out = capsys.readouterr().out
    assert out.endswith("] [p4jit.device] [I] port 3 is up\n")
    assert out.count("\n") == 1


def test_without_a_log_only_warnings_are_seen(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.set_up(LogOptions(level=logging.DEBUG))
    logger.info("all is well")
    logger.warning("look here")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith("[W] look here\n")
    assert captured.err.count("\n") == 1


def test_log_files_rotate(logger: logging.Logger, tmp_path: Path) -> None:
    file = tmp_path / "switch.log"
    logs.set_up(LogOptions(file=file, file_bytes=200, file_count=2))
    for number in range(20):
        logger.info("record %d", number)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["switch.log", "switch.log.1", "switch.log.2"]
    assert "record 19" in file.read_text()
    with pytest.raises(CommandError, match="--log-file"):
        logs.set_up(LogOptions(file=tmp_path / "missing" / "switch.log"))
