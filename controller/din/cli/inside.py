# SPDX-License-Identifier: Apache-2.0
"""Commands that run something in a network: ``din shell`` at a switch, ``din run`` in a host."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer

from din.api.schema import SwitchStatus
from din.model.topology import Switch, Tls

from . import reading_shell, shell_environment
from .enter import into_host, into_sandbox
from .errors import CommandError, Exit
from .find import Found, find
from .look import emulated
from .options import Named, State
from .output import complain, err

#: An election ID below every other.
_NEVER_PRIMARY: Final = (0, 0)
RUN_SETTINGS: Final[dict[str, Any]] = {"ignore_unknown_options": True, "allow_interspersed_args": False}


def run(
    host: Annotated[str, typer.Argument(metavar="HOST", show_default=False)],
    command: Annotated[list[str], typer.Argument(metavar="COMMAND", show_default=False)],
    state: State = None,
    network: Named = None,
) -> None:
    """Run a command in a host: din run HOST -- COMMAND.

    Of an emulated network. The exit status is the command's.
    """
    found = find(state, network)
    init = found.init()
    hosts = emulated(found).get("hosts", {})
    if host not in hosts:
        raise CommandError(f"there is no host {host}; there are {', '.join(sorted(hosts))}", Exit.USAGE)
    argv = command[1:] if command[:1] == ["--"] else command
    if not argv:
        raise CommandError("which command? As in din run HOST -- COMMAND", Exit.USAGE)
    _become(into_host(init, hosts[host]["pid"], argv, Path.cwd()))


def shell(
    switch: Annotated[str, typer.Argument(metavar="SWITCH", show_default=False)],
    write: Annotated[
        bool, typer.Option("--write", help="Take the switch from its controller for that long.")
    ] = False,
    state: State = None,
    network: Named = None,
) -> None:
    """Open p4runtime-shell at a switch. It reads; with --write it writes, and the controller does not."""
    found = find(state, network)
    with found.client() as client:
        status = client.status()
    there = next((each for each in status.switches if each.name == switch), None)
    if there is None:
        names = ", ".join(each.name for each in status.switches)
        raise CommandError(f"there is no switch {switch}; there are {names}", Exit.USAGE)
    model, folder = found.model(status.revision)
    try:
        with err().status("p4runtime-shell") as shown:
            python = shell_environment.python(shell_environment.folder(), shown.update)
    except (shell_environment.ShellEnvironmentError, OSError) as error:
        raise CommandError(str(error)) from None
    described = model.switch[switch]
    tls = described.tls or model.management.tls
    argv = [str(python), *arguments(there, described, tls, folder, _term(found), write)]
    if write:
        complain(
            f"while the shell is open, {switch} is not the controller's. When it ends, the controller takes "
            "it back, and undoes what you have changed"
        )
    sandboxed = found.network is not None and found.network.note.target
    _become(into_sandbox(found.init(), argv, Path.cwd()) if sandboxed else argv)


def arguments(
    there: SwitchStatus, switch: Switch, tls: Tls | None, folder: Path, term: int, write: bool
) -> list[str]:
    """Of the interpreter. ``folder`` is what TLS files are relative to, ``term`` the controller's."""
    election_id = above(term) if write else _NEVER_PRIMARY
    # Without -P, modules beside the script would be found before others of the same name.
    program = ["-m", "p4runtime_sh"] if write else ["-P", reading_shell.__file__]
    found = [*program, "--grpc-addr", there.address, "--device-id", str(switch.device_id)]
    found += ["--election-id", ",".join(map(str, election_id))]
    if tls is not None:
        found += ["--ssl", "--cacert", str(folder / tls.ca), "--cert", str(folder / tls.certificate)]
        found += ["--private-key", str(folder / tls.key)]
    return found


def above(term: int) -> tuple[int, int]:
    """An election ID above a controller's of that term, and below its next one's."""
    return term, 2


def _term(found: Found) -> int:
    path = found.controller_state / "term.json"
    try:
        return int(json.loads(path.read_bytes())["term"])
    except (OSError, ValueError, KeyError) as error:
        raise CommandError(f"{path}: {error}") from None


def _become(argv: list[str]) -> NoReturn:
    """CommandError: there is no such program."""
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        raise CommandError(f"{argv[0]}: {error.strerror}") from None
