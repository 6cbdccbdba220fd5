# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import uvicorn
from click.testing import Result
from din.api.app import make_app
from din.api.client import SOCKET_NAME
from din.cli.main import app
from typer.testing import CliRunner

from tests.din.cli.controllers import FakeController

Din = Callable[..., Result]
_SECONDS = 60.0


def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _SECONDS
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def processes(state: Path) -> list[str]:
    """Command lines of what has to do with a state directory."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if str(state) in line and process.pid != os.getpid():
            found.append(line)
    return found


@pytest.fixture(scope="module")
def short() -> Iterator[Path]:
    """A folder whose path is short enough for sockets; all state is in it, and networks of others are not."""
    with (
        tempfile.TemporaryDirectory(prefix="din-", dir="/tmp") as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("XDG_STATE_HOME", f"{folder}/xs")
        yield Path(folder)


@pytest.fixture(scope="module")
def din(short: Path) -> Din:
    """The command; output is stdout and stderr, each by its name."""
    return lambda *arguments: CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture
def controller() -> FakeController:
    return FakeController()


@pytest.fixture
def state(controller: FakeController, tmp_path: Path) -> Iterator[Path]:
    """State directory of ``controller``, which answers there."""
    path = tmp_path / SOCKET_NAME
    server = uvicorn.Server(uvicorn.Config(make_app(controller), uds=str(path), log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield tmp_path
    server.should_exit = True
    thread.join()
