# SPDX-License-Identifier: Apache-2.0
"""The process that keeps a network up: ``python -m din.testbed.keeper FILE STATE [OPTIONS]``

Who starts it has a pipe to its stdin: until a line comes there, the end of the pipe is the end of the
network, so that one whose beginning is interrupted, however, leaves nothing behind. After it, the network
stays. What `inside` says is passed on to stdout, and from then on to the log.

It is all that holds the network: when it ends, even by ``kill -9``, everything goes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import psutil

from din.api.client import SOCKET_NAME
from din.emulation import sandbox
from din.model.load import load

from . import networks, relay

#: Seconds in which what runs does end when it is asked to.
_STOP_SECONDS: Final = 20.0
#: Bytes of what is said inside: the end of a log may be in it, every byte of that escaped.
_LONGEST_LINE: Final = 1 << 20


def command(file: Path, state: Path, target: str, *, emulate: bool, metrics: str) -> list[str]:
    """That starts one. ``metrics``: "" or where `relay` listens."""
    argv = [sys.executable, "-m", "din.testbed.keeper", str(file.absolute()), str(state.absolute())]
    argv += ["--target", target] if emulate else ["--no-emulation"]
    return [*argv, "--metrics", metrics] if metrics else argv


def tied(*argv: str) -> list[str]:
    """A command whose process is killed when the thread that started it ends."""
    return ["setpriv", "--pdeathsig", "KILL", *argv]


class Keeper:
    """Of one network."""

    def __init__(self, file: str, state: Path, note: networks.Note) -> None:
        self._file = file
        self._state = state
        self._note = note
        self._attached = True
        self._stopping = asyncio.Event()

    async def run(self) -> int:
        """Exit status: 0 when it was told to stop, 1 when the network ended by itself or did not begin."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._stopping.set)
        try:
            networks.hold(self._state)
            networks.write_note(self._state, self._note)
            if self._note.metrics:
                address, port = relay.parse(self._note.metrics)
                socket = self._state / "controller" / SOCKET_NAME
                await relay.serve(address, port, socket)
            box, said = self._start()
        except (networks.NetworkError, sandbox.SandboxError, OSError) as error:
            self._say({"error": str(error)})
            return 1
        watching = asyncio.create_task(self._watch_stdin())
        hearing = asyncio.create_task(self._hear(said, box.pid))
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait([hearing, stopping], return_when=asyncio.FIRST_COMPLETED)
        told = self._stopping.is_set()
        watching.cancel()
        await asyncio.to_thread(box.stop, _STOP_SECONDS)
        await hearing
        if not told and self._note.ready:
            self._say({"crashed": "the network has ended"})
        networks.forget(self._state)
        return 0 if told else 1

    def _start(self) -> tuple[sandbox.Sandbox, Any]:
        """What runs, and its stdout. SandboxError, OSError."""
        options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE}
        if self._note.target:
            program = (sys.executable, "-m", "din.testbed.inside")
            box = sandbox.start([*program, self._file, str(self._state), self._note.target], **options)
        else:
            program = (sys.executable, "-m", "din.testbed.alone")
            box = Alone(subprocess.Popen(tied(*program, self._file, str(self._state)), **options), -1)
        return box, box.process.stdout

    async def _hear(self, said: Any, pid: int) -> None:
        """Pass on what is said inside, until there is nobody."""
        reader = asyncio.StreamReader(_LONGEST_LINE)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), said)
        while line := await reader.readline():
            try:
                what = json.loads(line)
            except ValueError:
                what = {"crashed": line.decode(errors="replace").strip()}
            if "ready" in what:
                init = next(iter(psutil.Process(pid).children()), None) if self._note.target else None
                update = {"ready": True, "init": init.pid if init else None}
                self._note = self._note.model_copy(update=update)
                networks.write_note(self._state, self._note)
            self._say(what)

    async def _watch_stdin(self) -> None:
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
        if await reader.readline():
            self._attached = False
        else:
            self._stopping.set()

    def _say(self, what: dict[str, Any]) -> None:
        if self._attached:
            with suppress(BrokenPipeError):
                os.write(1, json.dumps(what).encode() + b"\n")
        elif "progress" not in what:
            stamp = time.strftime("%Y-%m-%d %H:%M:%S")
            print(f"{stamp} {'; '.join(map(str, what.values()))}", file=sys.stderr, flush=True)


class Alone(sandbox.Sandbox):
    """What is not in a sandbox, and is ended as one is."""

    def signal(self, number: int) -> None:
        self.process.send_signal(number)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m din.testbed.keeper", description=__doc__)
    parser.add_argument("file")
    parser.add_argument("state", type=Path)
    parser.add_argument("--target", default="p4jit")
    parser.add_argument("--no-emulation", action="store_true")
    parser.add_argument("--metrics", default="")
    options = parser.parse_args(argv)
    note = networks.Note(
        model=load(options.file).name,
        file=options.file,
        target="" if options.no_emulation else options.target,
        started=time.time(),
        metrics=options.metrics,
    )
    return asyncio.run(Keeper(options.file, options.state, note).run())


if __name__ == "__main__":
    sys.exit(main())
