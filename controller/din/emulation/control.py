# SPDX-License-Identifier: Apache-2.0
"""Control of a running emulation over a Unix socket: a JSON object a line, answered by one.

    {"do": "link", "a": "leaf1", "b": "spine1", "up": false}      -> {"result": null}
    {"do": "switch", "name": "nowhere", "up": false}              -> {"error": "there is no switch nowhere"}

Whoever can open the socket may do all of it: it is its owner's alone. Requests are dealt with one after the
other, in the order of their arrival; those that take long keep others waiting, never the network.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError, validate_call

from ..model.emulated import Event
from ..model.load import parse
from ..model.problem import ModelError
from .errors import EmulationError
from .events import Running
from .processes import Process
from .supervisor import Emulation

SOCKET: Final = "emulation.sock"
#: Bytes of a request.
_LARGEST: Final = 1 << 20
#: For the last answers, when the emulation ends.
_ANSWER_SECONDS: Final = 5.0
#: Of a socket's path: sockaddr_un less the NUL.
_LONGEST_PATH: Final = 107


def socket_path(state_dir: Path) -> Path:
    """EmulationError: the state directory's path is too long for a socket in it."""
    path = state_dir.absolute() / SOCKET
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise EmulationError(
            f"{path} is too long for a socket ({_LONGEST_PATH} bytes): choose a shorter state folder"
        )
    return path


class Commands:
    """What may be asked. Each is a method; its parameters are the request's."""

    def __init__(self, emulation: Emulation, stopping: Callable[[], None]) -> None:
        self._emulation = emulation
        self._stopping = stopping
        self._processes: dict[int, Process] = {}
        self._events: dict[int, Running] = {}

    def status(self) -> dict[str, Any]:
        """What there is, and what went wrong. ``cpu``: the machine's utilisation since the last time."""
        emulation = self._emulation
        return {
            "target": emulation.target,
            "controller": str(emulation.wiring.controller_address),
            "switches": {
                name: {"address": address, "running": emulation.is_running(name)}
                for name, address in emulation.addresses.items()
            },
            "hosts": {
                host.name: {
                    "pid": emulation.node(host.name).pid,
                    "addresses": [str(each.ip) for each in host.addresses],
                }
                for host in emulation.model.hosts
            },
            "processes": {number: _described(each) for number, each in self._processes.items()},
            "events": {number: each.event.model_dump(mode="json") for number, each in self._events.items()},
            "failures": emulation.failures(),
            "cpu": emulation.host_cpu(),
        }

    def link(self, a: str, b: str, up: bool) -> None:
        self._emulation.set_link(a, b, up)

    def switch(self, name: str, up: bool) -> None:
        (self._emulation.start_switch if up else self._emulation.stop_switch)(name)

    def run(self, host: str, argv: list[str], log: str) -> int:
        """The number by which the process is asked about."""
        process = self._emulation.run(host, argv, log)
        number = len(self._processes) + 1
        self._processes[number] = process
        return number

    def process(self, number: int) -> dict[str, Any]:
        return _described(self._process(number))

    def stop_process(self, number: int) -> dict[str, Any]:
        process = self._process(number)
        process.stop()
        return _described(process)

    def slow(self, instance: str, factor: float) -> None:
        self._emulation.slow(instance, factor)

    def unlike(self, text: str, file: str) -> list[str]:
        """What of another model, in YAML, the emulation cannot become while it runs."""
        return self._emulation.unlike(parse(text, file))

    def begin(self, event: Event) -> int:
        """The number by which the event is ended."""
        number = max(self._events, default=0) + 1
        self._events[number] = self._emulation.begin(event)
        return number

    def end(self, number: int) -> None:
        if number not in self._events:
            raise EmulationError(f"there is no event {number}")
        self._events.pop(number).end()

    def stop(self) -> None:
        """End the emulation."""
        self._stopping()

    def _process(self, number: int) -> Process:
        if number not in self._processes:
            raise EmulationError(f"there is no process {number}")
        return self._processes[number]


#: What of `Commands` a request may name.
NAMES: Final = frozenset(name for name in vars(Commands) if not name.startswith("_"))


def _described(process: Process) -> dict[str, Any]:
    return {
        "name": process.name,
        "host": process.host,
        "argv": process.argv,
        "log": str(process.log),
        "status": process.popen.poll(),
    }


def answer(commands: Commands, line: bytes) -> dict[str, Any]:
    """The answer to a request: ``result`` or ``error``."""
    try:
        request = json.loads(line)
        name = request.pop("do")
    except (ValueError, AttributeError, KeyError, TypeError):
        return {"error": 'a request is a JSON object with "do"'}
    if not isinstance(name, str) or name not in NAMES:
        return {"error": f"nothing is called {name!r}: {', '.join(sorted(NAMES))}"}
    try:
        return {"result": validate_call(getattr(commands, name))(**request)}
    except ValidationError as error:
        return {"error": "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())}
    except (EmulationError, ModelError, OSError, ValueError) as error:
        return {"error": str(error)}
    except LookupError as error:
        return {"error": f"there is no {error}"}


async def serve(
    emulation: Emulation, path: Path, stopping: asyncio.Event, listening: Callable[[], None] = lambda: None
) -> None:
    """Until ``stopping`` is set, by whoever or by a request; ``listening`` is called when clients may come.

    OSError: the socket can't be had.
    """
    loop = asyncio.get_running_loop()

    def stop() -> None:
        loop.call_soon_threadsafe(stopping.set)

    commands = Commands(emulation, stop)
    handlers: dict[asyncio.Task[None], asyncio.StreamReader] = {}
    # Mininet is not for several threads at once.
    with ThreadPoolExecutor(1, "emulation") as worker:

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while line := await reader.readline():
                    said = await loop.run_in_executor(worker, answer, commands, line)
                    writer.write(json.dumps(said).encode() + b"\n")
                    await writer.drain()
            except (ConnectionError, ValueError):
                pass  # it has gone, or sends a line without an end
            finally:
                writer.close()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = loop.create_task(handle(reader, writer))
            handlers[task] = reader
            task.add_done_callback(handlers.pop)

        path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(accept, path, limit=_LARGEST)
        finally:
            os.umask(before)
        listening()
        await stopping.wait()
        server.close()
        # Who has asked is answered, if it reads that; who might ask more is not waited for.
        for reader in handlers.values():
            reader.feed_eof()
        if handlers:
            _, deaf = await asyncio.wait(handlers, timeout=_ANSWER_SECONDS)
            for task in deaf:
                task.cancel()
    path.unlink(missing_ok=True)


class Client:
    """Asks a running emulation. EmulationError: there is none, or it refuses."""

    def __init__(self, state_dir: Path) -> None:
        path = socket_path(state_dir)
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise EmulationError(f"no emulation runs with state in {state_dir} ({error.strerror})") from None
        self._lines = self._socket.makefile("rb")

    def ask(self, do: str, /, **parameters: Any) -> Any:
        """One of `Commands`, by name."""
        try:
            self._socket.sendall(json.dumps({"do": do, **parameters}).encode() + b"\n")
            line = self._lines.readline()
        except OSError:
            line = b""
        if not line:
            raise EmulationError("the emulation has ended")
        said = json.loads(line)
        if "error" in said:
            raise EmulationError(said["error"])
        return said["result"]

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
