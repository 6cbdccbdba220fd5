# SPDX-License-Identifier: Apache-2.0
"""``din check``: what is wrong with a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from din.model import document, load
from din.model.check import check_document, has_errors
from din.model.names import hosts_file, zone_file
from din.model.network import Model
from din.model.problem import ModelError, Problem, Severity

from .errors import CommandError, Exit
from .options import AsJson, ModelFile
from .output import complain, err, out, print_json


def check(
    file: ModelFile,
    json: AsJson = False,
    hosts: Annotated[bool, typer.Option("--hosts", help="Print the services' names for /etc/hosts.")] = False,
    zone: Annotated[
        str,
        typer.Option(metavar="ORIGIN", help="Print the services' names as a DNS zone.", show_default=False),
    ] = "",
) -> None:
    """Tell all that is wrong with a model: FILE:LINE: FIELD: MESSAGE."""
    if json + hosts + bool(zone) > 1:
        raise CommandError("--json, --hosts and --zone exclude each other", Exit.USAGE)
    found = read(file)
    if json:
        print_json({"ok": not found.failed, "problems": [as_json(each) for each in found.problems]})
    elif found.model is None or found.failed or not (hosts or zone):
        _show(file, found, on_stdout=not (hosts or zone))
    else:
        typer.echo(_names(found.model, zone), nl=False)
    raise typer.Exit(Exit.NO if found.failed else Exit.OK)


@dataclass(frozen=True)
class Read:
    """A file, read once: it may be a pipe, or another one in a moment. ``model`` None: it has not even the
    form of one.
    """

    text: str
    model: Model | None
    problems: list[Problem]

    @property
    def failed(self) -> bool:
        return self.model is None or has_errors(self.problems)


def read(file: Path) -> Read:
    """With what is wrong with it, and what the switches' program cannot hold of it."""
    # Here, because commands that read no model are not to wait for it.
    from din.p4rt.compile.room import check_room
    from din.p4rt.program import default_program

    text = ""
    try:
        text = load.read_text(file)
        model, problems = check_document(
            document.read(text, str(file)), lambda model: check_room(model, default_program())
        )
    except ModelError as error:
        return Read(text, None, error.problems)
    return Read(text, model, problems)


def checked(file: Path) -> tuple[Model, str]:
    """A model without errors, and its text; its warnings are told. typer.Exit: it has some, and they were
    told.
    """
    found = read(file)
    if found.problems:
        err().print(_lines(found.problems))
    if found.model is None or found.failed:
        complain(f"{file}: {_count(found.problems, Severity.ERROR)}; nothing was done")
        raise typer.Exit(Exit.NO)
    return found.model, found.text


def as_json(problem: Problem) -> dict[str, Any]:
    return {
        "file": problem.file,
        "line": problem.line or None,
        "field": problem.field,
        "message": problem.message,
        "hint": problem.hint,
        "severity": problem.severity.value,
    }


def _names(model: Model, zone: str) -> str:
    if not zone:
        return hosts_file(model)
    try:
        return zone_file(model, zone)
    except ValueError as error:
        raise CommandError(f"--zone: {error}", Exit.USAGE) from None


def _show(file: Path, found: Read, *, on_stdout: bool) -> None:
    console = out() if on_stdout else err()
    if found.problems:
        console.print(_lines(found.problems), soft_wrap=True)
        counts = [_count(found.problems, each) for each in Severity]
        err().print(f"{file}: {', '.join(filter(None, counts))}")
    elif found.model is not None:
        what = ", ".join(
            f"{len(some)} {name}{'' if len(some) == 1 else 'es' if name == 'switch' else 's'}"
            for name, some in (
                ("switch", found.model.switches),
                ("link", found.model.links),
                ("host", found.model.hosts),
                ("service", found.model.services),
                ("model server", found.model.instances),
            )
        )
        console.print(f"{file}: no problems; {what}", soft_wrap=True)


def _lines(problems: list[Problem]) -> str:
    return "\n".join(map(str, problems))


def _count(problems: list[Problem], severity: Severity) -> str:
    number = sum(each.severity is severity for each in problems)
    return f"{number} {severity.value}{'s' if number > 1 else ''}" if number else ""
