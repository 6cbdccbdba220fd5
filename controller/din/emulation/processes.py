# SPDX-License-Identifier: Apache-2.0
"""Programs that run in hosts: each with a log, and none that ends unnoticed."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from .errors import EmulationError, tail

_STOP_SECONDS: Final = 5.0


class Process:
    """A program in a host, or beside them all (``host`` None). Its output is in ``log``."""

    def __init__(
        self, name: str, host: str | None, argv: Sequence[str], log: Path, popen: subprocess.Popen[bytes]
    ) -> None:
        self.name = name
        self.host = host
        self.argv = list(argv)
        self.log = log
        self.popen = popen
        self.stopping = False

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, negative the signal that ended it. subprocess.TimeoutExpired."""
        return self.popen.wait(timeout)

    def ask_to_stop(self, number: int = signal.SIGTERM) -> None:
        """It has not failed then, whatever its status. Children that are of its group are asked as well."""
        self.stopping = True
        self._signal(number)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it with a signal, and with SIGKILL if it takes longer than five seconds. Its exit status."""
        self.ask_to_stop(number)
        return self.wait_or_kill(_STOP_SECONDS)

    def wait_or_kill(self, timeout: float) -> int:
        """Its exit status; after so many seconds it is ended."""
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            return self.popen.wait()

    def _signal(self, number: int) -> None:
        if not self.running:
            return
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            # It has just begun, and leads no group yet.
            self.popen.send_signal(number)

    def failure(self) -> str | None:
        """What to say of a program that ended with an error, by itself; the end of its log with it."""
        status = self.popen.poll()
        if status in (None, 0) or self.stopping:
            return None
        how = f"by signal {-status}" if status is not None and status < 0 else f"with status {status}"
        where = f" on {self.host}" if self.host else ""
        return f"{self.name}{where} ended {how} ({self.log}):\n{tail(self.log)}"


class Processes:
    """All programs of an emulation. ``crashed`` is called, in a thread of its own, with each that fails."""

    def __init__(self, folder: Path, crashed: Callable[[Process], None]) -> None:
        self._folder = folder
        self._crashed = crashed
        self._all: list[Process] = []
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._wake, self._waker = os.pipe()
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._watch, name="processes", daemon=True)
        self._thread.start()

    def start(self, node: Any, argv: Sequence[str], name: str) -> Process:
        """Run a program in a Mininet node. Its output goes to ``name``.log; what is there already stays.

        EmulationError: ``name`` is not the name of a file.
        """
        if not name or "/" in name:
            raise EmulationError(f"{name!r} is no name for a log")
        log = self._folder / f"{name}.log"
        with log.open("ab") as output:
            popen = node.popen(list(argv), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        process = Process(name, node.name, argv, log, popen)
        self.watch(process)
        return process

    def watch(self, process: Process) -> None:
        """Notice its end, too."""
        with self._lock:
            self._all.append(process)
            self._selector.register(os.pidfd_open(process.pid), selectors.EVENT_READ, process)

    def failures(self) -> list[str]:
        """Of all that failed until now."""
        with self._lock:
            return [failure for each in self._all if (failure := each.failure()) is not None]

    def running(self) -> list[Process]:
        with self._lock:
            return [each for each in self._all if each.running]

    def stop(self) -> None:
        """End them all, side by side."""
        running = self.running()
        for process in running:
            process.ask_to_stop()
        deadline = time.monotonic() + _STOP_SECONDS
        for process in running:
            process.wait_or_kill(max(0.0, deadline - time.monotonic()))
        os.write(self._waker, b"x")
        self._thread.join()
        for fd in (self._wake, self._waker):
            os.close(fd)
        self._selector.close()

    def _watch(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                with self._lock:
                    self._selector.unregister(key.fd)
                os.close(key.fd)
                # Whoever waits for it has perhaps been first.
                key.data.popen.wait()
                if key.data.failure() is not None:
                    self._crashed(key.data)
