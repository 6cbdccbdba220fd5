# SPDX-License-Identifier: Apache-2.0
"""Namespaces of one's own: user, network, mounts, processes. An ordinary user is root in them.

Whatever happens in a sandbox is gone when it ends, because the kernel takes it away: processes, interfaces,
mounts. It ends when its program does, when it is stopped, and when whoever started it is gone, even by
``kill -9``. Nothing of it is seen from outside, so that several may run side by side; files alone are shared.

::

    with sandbox.start(["python", "-m", "something"]) as box:
        box.wait()
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final, Self

_UNSHARE: Final = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
_AS_USER: Final = ("--user", "--map-root-user")
#: Settings that forbid user namespaces to ordinary users: where, the value that does, and what lifts it.
_SWITCHES: Final = (
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns=0"),
    ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
    ("user/max_user_namespaces", "0", "user.max_user_namespaces=10000"),
)
#: Seconds in which a program that is asked to end does.
_STOP_SECONDS: Final = 20.0


class SandboxError(Exception):
    """No sandbox is to be had here. The text says why, and what to do."""


class Sandbox:
    """A program that runs in a sandbox; leaving the context stops it.

    A pipe leads to its first process: what is written there is the number of a signal for the program, and
    when it is closed, because we are gone, all ends.
    """

    def __init__(self, process: subprocess.Popen[Any], control: int) -> None:
        self.process = process
        self._control = control

    @property
    def pid(self) -> int:
        """Of the process outside; it ends when the sandbox has."""
        return self.process.pid

    def signal(self, number: int) -> None:
        """Send a signal to the program; nothing happens if it has ended."""
        with suppress(BrokenPipeError):
            os.write(self._control, bytes((number,)))

    def stop(self, timeout: float = _STOP_SECONDS) -> int:
        """Ask the program to end (SIGTERM); after so many seconds, end it. Its status."""
        self.signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """End all that is in the sandbox, at once. Its status."""
        self.process.kill()
        return self.process.wait()

    def wait(self) -> int:
        """The program's exit status; 128 and the signal's number if one ended it."""
        return self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        os.close(self._control)


def start(argv: Sequence[str], **options: Any) -> Sandbox:
    """Run a program in a sandbox. ``options`` are Popen's. SandboxError: there is none to be had."""
    prefix = unshare()
    read_end, write_end = os.pipe()
    inside = (sys.executable, "-m", "din.emulation.inside", str(read_end), *argv)
    try:
        # A session of its own: Ctrl-C reaches us alone, and we tell.
        process = subprocess.Popen(
            [*prefix, "--", *inside], pass_fds=(read_end,), start_new_session=True, **options
        )
    except BaseException:
        os.close(write_end)
        raise
    finally:
        os.close(read_end)
    return Sandbox(process, write_end)


def run(argv: Sequence[str]) -> int:
    """Run a program in a sandbox, in the foreground; SIGINT, SIGTERM and SIGHUP are passed on.

    Its exit status. SandboxError: there is none to be had.
    """
    box = start(argv)

    def forward(number: int, frame: FrameType | None) -> None:
        # A closed terminal is no reason to be less orderly.
        box.signal(signal.SIGTERM if number == signal.SIGHUP else number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, forward) for number in numbers}
    try:
        with box:
            return box.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def unshare() -> Sequence[str]:
    """The command that makes the namespaces. SandboxError: there are none to be had here."""
    root = os.geteuid() == 0
    with_user = (*_UNSHARE, *_AS_USER)
    refused = _refusal(with_user)
    if refused is None:
        return with_user
    # Root needs no user namespace to have the others.
    if root and _refusal(_UNSHARE) is None:
        return _UNSHARE
    raise SandboxError(explain(refused, root, Path("/proc/sys")))


def check() -> None:
    """SandboxError: no sandbox is to be had here."""
    unshare()


def _refusal(command: Sequence[str]) -> str | None:
    """What unshare says about its failure; None: it works."""
    try:
        tried = subprocess.run([*command, "--", "true"], capture_output=True, text=True)
    except FileNotFoundError:
        raise SandboxError("unshare is missing: install util-linux") from None
    return tried.stderr.strip() or f"status {tried.returncode}" if tried.returncode != 0 else None


def explain(said: str, root: bool, settings: Path) -> str:
    """Why unshare refuses, ``said`` being its own words, and what to do. ``settings`` is /proc/sys."""
    for name, forbids, remedy in () if root else _SWITCHES:
        try:
            value = (settings / name).read_text().strip()
        except OSError:
            continue
        if value == forbids:
            return (
                f"this machine does not let ordinary users make namespaces ({name.replace('/', '.')} is "
                f"{value}): allow it with `sudo sysctl -w {remedy}`, or run this command with sudo"
            )
    if "mount" in said and "/proc" in said:
        return (
            f"namespaces are to be had, but /proc cannot be mounted in them ({said}), as in a container that "
            "hides parts of it: run it with `--security-opt systempaths=unconfined`, or `--privileged`"
        )
    remedy = "run this container with `--privileged`" if root else "run this command with sudo"
    return (
        f"namespaces are refused ({said}): {remedy}, or, in a container, choose a seccomp profile that "
        "permits unshare"
    )
