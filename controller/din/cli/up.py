# SPDX-License-Identifier: Apache-2.0
"""``din up`` and ``din down``."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated, Any, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from din.api.schema import PlanView
from din.emulation.errors import tail
from din.model.network import Model
from din.model.service import Service
from din.model.topology import Host
from din.testbed import keeper, networks, relay
from din.testbed.networks import Network

from . import tables
from .check import checked
from .errors import CommandError, Exit
from .find import Found, find
from .options import ModelFile, Named, State
from .output import complain, err, out

#: Seconds in which a network is gone that is asked to go.
_DOWN_SECONDS: Final = 40.0


class Emulated(StrEnum):
    P4JIT = "p4jit"
    BMV2 = "bmv2"


def up(
    file: ModelFile,
    state: State = None,
    target: Annotated[Emulated, typer.Option(help="Which switches are emulated.")] = Emulated.P4JIT,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Until Ctrl-C, with what happens.")
    ] = False,
    metrics: Annotated[
        str,
        typer.Option(
            metavar="ADDR:PORT", help="Serve /metrics and the API there, for reading.", show_default=False
        ),
    ] = "",
    no_emulation: Annotated[
        bool, typer.Option("--no-emulation", help="Only the controller: the model's switches are there.")
    ] = False,
) -> None:
    """Bring a model's network up on this machine.

    That is its switches, hosts and model servers, emulated, and their controller. It stays until din down.
    """
    if metrics:
        try:
            relay.parse(metrics)
        except ValueError as error:
            raise CommandError(f"--metrics: {error}", Exit.USAGE) from None
    if file.exists() and not file.is_file():
        raise CommandError(f"{file} is no regular file: the network's own processes read it, too", Exit.USAGE)
    model, _ = checked(file)
    if no_emulation:
        _need_addresses(model)
    where = (state or networks.default_state(model.name)).absolute()
    try:
        networks.make(where)
    except networks.NetworkError as error:
        raise CommandError(str(error), Exit.USAGE) from None
    if (there := networks.at(where)) is not None:
        return _already(there, file)
    if state is None and where.parent != networks.base():
        err().print(f"{networks.base() / model.name} is too long a path for sockets: the state is in {where}")
    command = keeper.command(file, where, target.value, emulate=not no_emulation, metrics=metrics)
    _Start(command, where).run(foreground)
    return None


def _need_addresses(model: Model) -> None:
    if missing := [each.name for each in model.switches if each.address is None]:
        raise CommandError(
            f"without emulation, the model must give the P4Runtime `address` of {', '.join(missing)}"
        )


def _already(there: Network, file: Path) -> None:
    if Path(there.note.file) != file.absolute():
        raise CommandError(
            f"{there.name} is already up there, from {there.note.file} ({there.state}): "
            f"din apply {file} changes it, din down ends it",
            Exit.REFUSED,
        )
    coming = "up" if there.note.ready else "coming up"
    out().print(f"{there.name} is already {coming} ({there.state}): din apply {file} brings edits into force")


class _Start:
    """A keeper on its way up. Its stdin is what keeps it: as long as nothing was written there, it ends when
    we do, however that happens.
    """

    def __init__(self, command: list[str], state: Path) -> None:
        self._state = state
        self._log = state / networks.LOG_NAME
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )

    def run(self, foreground: bool) -> None:
        """CommandError: it does not come up, or in the foreground has ended by itself. typer.Exit: Ctrl-C."""
        assert self._process.stdin is not None
        try:
            said = self._said()
            self._wait_ready(said)
            self._greet()
            if not foreground:
                self._process.stdin.write(b"stay\n")
                self._process.stdin.close()
                return
            err().print("Ctrl-C ends it")
            for what in said:
                complain("; ".join(map(str, what.values())))
        except KeyboardInterrupt:
            self._take_down()
            raise typer.Exit(Exit.INTERRUPTED) from None
        raise CommandError(f"the network has ended by itself ({self._log}):\n{tail(self._log)}")

    def _take_down(self) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            with err().status("taking the network down; Ctrl-C again does not wait"):
                self._process.wait()
        except KeyboardInterrupt:
            self._process.kill()
            self._process.wait()
        err().print("the network is down")

    def _said(self) -> Iterator[dict[str, Any]]:
        stdout: IO[bytes] | None = self._process.stdout
        assert stdout is not None
        for line in stdout:
            yield json.loads(line)

    def _wait_ready(self, said: Iterator[dict[str, Any]]) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        crashed: list[str] = []
        with Progress(*columns, console=err()) as progress:
            tasks: dict[str, TaskID] = {}
            for what in said:
                if "ready" in what:
                    return
                if "error" in what:
                    self._process.wait()
                    raise CommandError(self._failure(what["error"], crashed))
                if "crashed" in what:
                    crashed.append(what["crashed"])
                if (name := what.get("progress")) is not None:
                    if name not in tasks:
                        tasks[name] = progress.add_task(name, total=what["total"])
                    progress.update(tasks[name], completed=what["done"], total=what["total"])
        self._process.wait()
        raise CommandError(self._failure("the network ended while it came up", [*crashed, tail(self._log)]))

    def _failure(self, error: str, more: list[str]) -> str:
        said = "".join(f"\n{text}" for text in more if text)
        return (
            f"{error}{said}\nlogs: {self._log}, {self._state / 'controller.log'}, {self._state / 'emulation'}"
        )

    def _greet(self) -> None:
        network = networks.at(self._state)
        if network is None:
            raise CommandError(self._failure("the network ended as soon as it was up", [tail(self._log)]))
        found = Found(self._state, network)
        with found.client() as client:
            status, plan = client.status(), client.plan()
        console = out()
        console.print(tables.status(status))
        console.print(f"{status.model} is up. State and logs: {self._state}. Next:")
        for line in next_steps(found.model(status.revision)[0], plan, emulated=bool(network.note.target)):
            console.print(f"  {line}", soft_wrap=True)


def next_steps(model: Model, plan: PlanView, *, emulated: bool) -> Iterator[str]:
    """Commands that a newcomer may try."""
    yield "din status"
    if (user := _some_user(model, plan)) is not None:
        host, service = user
        yield f"din explain {service.name} --from {host.leaf}"
        if emulated:
            yield f"din run {host.name} -- curl -s http://{service.dns}:{service.port}/v1/models"
    yield "din down"


def _some_user(model: Model, plan: PlanView) -> tuple[Host, Service] | None:
    """A host and what it may use, of those that have nothing else to do."""
    busy = {each.host for each in model.instances} | {each.host for each in model.telemetry.collectors}
    served = {(each.leaf, each.tenant, each.service) for each in plan.decisions if each.choices}
    users = (
        (host, service)
        for service in model.services
        for host in model.hosts
        if host.name not in busy and (host.leaf, host.tenant, service.name) in served
    )
    return next(users, None)


def down(state: State = None, network: Named = None) -> None:
    """Take a network down. Its state stays, so that it comes up as it was left."""
    found = find(state, network)
    if found.network is None:
        raise CommandError(
            f"the controller of {found.state} was not started by din up: end it as it was begun"
        )
    with err().status(f"taking {found.network.name} down"):
        take_down(found.network)
    out().print(f"{found.network.name} is down")


def take_down(network: Network) -> None:
    """Until it is gone. CommandError: it is not to be reached from here."""
    if not network.keeper:
        raise CommandError(f"{network.name} was brought up in another container: take it down there")
    try:
        keeper_process = os.pidfd_open(network.keeper)
    except ProcessLookupError:
        return
    try:
        # The number may be somebody else's by now, unless the lock is still there.
        if networks.holder(network.state) != network.keeper:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            signal.pidfd_send_signal(keeper_process, number)
            ended, _, _ = select.select([keeper_process], [], [], _DOWN_SECONDS)
            if ended:
                return
        raise CommandError(
            f"{network.name} does not end: its process {network.keeper} was killed, and is there"
        )
    except ProcessLookupError:
        return
    finally:
        os.close(keeper_process)
