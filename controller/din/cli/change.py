# SPDX-License-Identifier: Apache-2.0
"""Commands that change what the switches are to hold, or say what would change: apply, diff, rollback."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from din.api.schema import Applied, ApplyRequest, ModelText, RollbackRequest

from . import changes, tables
from .check import checked
from .errors import CommandError, Exit
from .find import Found, find
from .look import ask_emulation
from .options import AsJson, ModelFile, Named, State, Yes
from .output import err, out, print_json


def apply(
    file: ModelFile,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    state: State = None,
    network: Named = None,
    json: AsJson = False,
) -> None:
    """Make the network as a model says.

    Shows what that changes in which switch. What would delete much is refused without --yes.
    """
    found = find(state, network)
    model = _text(file)
    _warn_of_emulation(found, model, file)
    with found.client() as client:
        done = client.apply(ApplyRequest(model=model, yes=yes, dry_run=dry_run))
    _show(done, json, "stays in force: nothing was changed" if dry_run else "is in force")


def diff(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="A model; without it, the one in force.", show_default=False),
    ] = None,
    state: State = None,
    network: Named = None,
    json: AsJson = False,
) -> None:
    """Show how the switches differ from what a model says.

    The exit status is 1 if they do.
    """
    wanted = None if file is None else _text(file)
    with find(state, network).client() as client:
        found = client.diff(wanted)
    if json:
        print_json(found)
    else:
        console = out()
        for line in changes.entries(found):
            console.print(line, soft_wrap=True)
        console.print(changes.blast_radius(found))
    raise typer.Exit(Exit.NO if changes.touches(found) else Exit.OK)


def rollback(
    revision: Annotated[
        int | None,
        typer.Argument(metavar="REVISION", help="Without it, the one before.", show_default=False),
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="Only list the revisions.")] = False,
    yes: Yes = False,
    state: State = None,
    network: Named = None,
    json: AsJson = False,
) -> None:
    """Make the network as it was."""
    if show and (revision is not None or yes):
        raise CommandError("--list only shows revisions: leave out the rest, or --list", Exit.USAGE)
    with find(state, network).client() as client:
        if not show:
            done = client.rollback(RollbackRequest(revision=revision, yes=yes))
            return _show(done, json, "is in force")
        revisions = client.revisions()
    if json:
        return print_json(revisions)
    return out().print(tables.revisions(revisions))


def _text(file: Path) -> ModelText:
    """Of a model without errors. typer.Exit: it has some, and they were told."""
    _, text = checked(file)
    return ModelText(text=text, file=str(file.absolute()))


def _show(done: Applied, json: bool, what: str) -> None:
    if json:
        return print_json(done)
    out().print(changes.blast_radius(done.changes))
    return out().print(f"revision {done.revision} {what} ({done.seconds:.1f} s)")


def _warn_of_emulation(found: Found, model: ModelText, file: Path) -> None:
    """An emulation keeps the switches, hosts and links that it was started with."""
    if unlike := ask_emulation(found, "unlike", text=model.text, file=model.file):
        err().print(
            f"warning: the emulation stays as it is in this: {', '.join(unlike)}. "
            f"din down, then din up {file} makes it anew",
            soft_wrap=True,
        )
