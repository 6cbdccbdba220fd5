# SPDX-License-Identifier: Apache-2.0
"""Bring a model's whole network up on this machine, and take it down. Blocking; in a sandbox
(`din.emulation.sandbox`).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from din.api.client import Client, NotRunningError
from din.emulation.errors import tail
from din.emulation.processes import Process
from din.emulation.supervisor import Emulation
from din.measure.targets import url
from din.model.network import Model
from din.model.topology import Target
from din.model.wiring import Wiring

from .servers import command

#: What is being done, and how much of it is.
Progress = Callable[[str, int, int], None]
#: Seconds.
_READY_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.1
_STOP_SECONDS: Final = 10.0
#: For switches to leave a server that is wanted no more.
_FOLLOW_SECONDS: Final = 10.0
CONTROLLER: Final = "controller"


class TestbedError(Exception):
    """Something does not come up; the text says what, and where to look."""

    __test__ = False


class Testbed:
    """``state`` gets logs and sockets; the controller's own state is in ``state``/controller."""

    __test__ = False

    def __init__(
        self,
        model: Model,
        file: Path,
        state: Path,
        target: Target = Target.P4JIT,
        *,
        crashed: Callable[[Process], None] = lambda process: None,
    ) -> None:
        self.model = model
        self.wiring = Wiring(model)
        self.file = file.absolute()
        self.state = state
        self.emulation = Emulation(model, self.wiring, state, target, files=self.file.parent, crashed=crashed)
        self.servers: dict[str, Process] = {}
        self._controller: subprocess.Popen[bytes] | None = None
        self._client: Client | None = None

    # ---- life ----------------------------------------------------------------------------------------------

    def start(self, progress: Progress) -> None:
        """Until the switches hold what they are to hold, and every server says that it serves what it is to.

        TestbedError, EmulationError; `stop` takes down what is up.
        """
        self.emulation.start(progress)
        for instance in self.model.instances:
            self.start_server(instance.name)
        self.start_controller()
        self._wait_for_servers(progress)
        self.wait_settled(progress)

    def stop(self) -> None:
        self.stop_controller()
        self.emulation.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # ---- servers -------------------------------------------------------------------------------------------

    def start_server(self, name: str) -> Process:
        instance = self.model.instance[name]
        argv = command(self.model, self.wiring, instance)
        self.servers[name] = self.emulation.run(instance.host, argv, f"server-{name}")
        return self.servers[name]

    def follow(self, model: Model) -> list[str]:
        """Another revision is in force: names, service addresses and servers as it has them. What was done.

        A server whose command is another one is started anew; one that is wanted no more ends when the
        switches send nothing there. Hosts, switches and links stay: what should be otherwise is told.
        EmulationError.
        """
        done = [f"the emulation stays as it is: {each}" for each in self.emulation.unlike(model)]
        hosts = self.emulation.model.host
        wanted = {
            each.name: (each.host, command(model, self.wiring, each))
            for each in model.instances
            if each.host in hosts
        }
        self.emulation.follow(model)
        self.model = model
        for name, way in wanted.items():
            process = self.servers.get(name)
            if process is not None and (process.host, process.argv) == way:
                continue
            if process is not None:
                process.stop()
            done.append(f"model server {name} on {self.start_server(name).host} is started")
        if gone := self.servers.keys() - wanted.keys():
            with suppress(TestbedError):
                self.wait_settled(seconds=_FOLLOW_SECONDS)
        for name in sorted(gone):
            process = self.servers.pop(name)
            process.stop()
            done.append(f"model server {name} on {process.host} is stopped")
        return done

    def _wait_for_servers(self, progress: Progress) -> None:
        """Each answers, and serves the model that its service promises."""
        deadline = time.monotonic() + _READY_SECONDS
        instances = self.model.instances
        for number, instance in enumerate(instances, 1):
            where = url(instance.models, instance, self.wiring)
            promised = self.model.service[instance.service].served_model
            while (served := _served(where)) is None:
                process = self.servers[instance.name]
                if not process.running:
                    raise TestbedError(
                        f"model server {instance.name} ended ({process.log}):\n{tail(process.log)}"
                    )
                if time.monotonic() > deadline:
                    raise TestbedError(
                        f"model server {instance.name} does not answer at {where} ({process.log})"
                    )
                time.sleep(_LOOK_SECONDS)
            if promised not in served:
                raise TestbedError(
                    f"{where} serves {', '.join(served) or 'nothing'}, but {instance.service} promises "
                    f"{promised}: give the server that name (--served-model-name of vLLM), or change "
                    "served_model"
                )
            progress("model servers", number, len(instances))

    # ---- controller ----------------------------------------------------------------------------------------

    @property
    def client(self) -> Client:
        if self._client is None:
            self._client = Client(self.state / CONTROLLER)
        return self._client

    def start_controller(self, *, resume: bool = False) -> None:
        """With the file's model, or with that of the revision that was last in force (``resume``).

        TestbedError: it does not start, and what it said.
        """
        addresses = self.state / "addresses.json"
        addresses.write_text(json.dumps(self.emulation.addresses))
        log = self.state / "controller.log"
        with log.open("ab") as errors:
            self._controller = subprocess.Popen(
                [
                    *(sys.executable, "-m", "din.controller", *([] if resume else [str(self.file)])),
                    *("--state", str(self.state / CONTROLLER), "--addresses", str(addresses)),
                    *("--target", self.emulation.target),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        assert self._controller.stdout is not None
        if not self._controller.stdout.readline():
            raise TestbedError(f"the controller does not start ({log}):\n{tail(log)}")

    def stop_controller(self, *, kill: bool = False) -> None:
        """The network goes on without it."""
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._controller is None:
            return
        if kill:
            self._controller.kill()
        else:
            self._controller.terminate()
        try:
            self._controller.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._controller.kill()
            self._controller.wait()
        self._controller = None

    @property
    def controller_pid(self) -> int | None:
        return None if self._controller is None else self._controller.pid

    def wait_settled(
        self, progress: Progress = lambda what, done, total: None, seconds: float = _READY_SECONDS
    ) -> None:
        """Until every switch holds what it is to hold. TestbedError: one does not."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                status = self.client.status()
            except NotRunningError as error:
                raise TestbedError(f"{error} ({self.state / 'controller.log'})") from None
            waiting = [each for each in status.switches if each.pending or not each.primary]
            unborn = [each.name for each in status.instances if each.alive is None]
            progress("switches programmed", len(status.switches) - len(waiting), len(status.switches))
            if not waiting and not unborn:
                return
            if time.monotonic() > deadline:
                what = "; ".join(f"{each.name}: {each.error or 'not yet programmed'}" for each in waiting)
                raise TestbedError(what or f"no word of the health of {', '.join(unborn)}")
            time.sleep(_LOOK_SECONDS)


def _served(where: str) -> list[str] | None:
    """Names of the models that a server lists; None: it does not answer yet."""
    try:
        with urllib.request.urlopen(where, timeout=2.0) as answer:
            found: Any = json.load(answer)
    except (OSError, ValueError):
        return None
    return [str(each.get("id")) for each in found.get("data", [])]
