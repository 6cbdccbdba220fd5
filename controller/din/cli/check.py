# SPDX-License-Identifier: Apache-2.0
"""``din check``: what is wrong with a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from din.model.check import check_file
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
    model, problems = read(file)
    failed = model is None or has_errors(problems)
    if json:
        print_json({"ok": not failed, "problems": [as_json(each) for each in problems]})
    elif failed or not (hosts or zone):
        _show(file, model, problems, on_stdout=not (hosts or zone))
    elif model is not None:
        typer.echo(_names(model, zone), nl=False)
    raise typer.Exit(Exit.NO if failed else Exit.OK)


def read(file: Path) -> tuple[Model | None, list[Problem]]:
    """None: the file has not even the form of a model."""
    try:
        return check_file(file)
    except ModelError as error:
        return None, error.problems


def checked(file: Path) -> Model:
    """A model without errors; its warnings are told. typer.Exit: it has some, and they were told."""
    model, problems = read(file)
    for each in problems:
        err().print(str(each))
    if model is None or has_errors(problems):
        complain(f"{file}: {_count(problems, Severity.ERROR)}; nothing was done")
        raise typer.Exit(Exit.NO)
    return model


def has_errors(problems: list[Problem]) -> bool:
    return any(each.severity is Severity.ERROR for each in problems)


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


def _show(file: Path, model: Model | None, problems: list[Problem], *, on_stdout: bool) -> None:
    console = out() if on_stdout else err()
    for each in problems:
        console.print(str(each), soft_wrap=True)
    if problems:
        counts = [_count(problems, each) for each in Severity]
        err().print(f"{file}: {', '.join(filter(None, counts))}")
    elif model is not None:
        what = ", ".join(
            f"{len(some)} {name}{'' if len(some) == 1 else 'es' if name == 'switch' else 's'}"
            for name, some in (
                ("switch", model.switches),
                ("link", model.links),
                ("host", model.hosts),
                ("service", model.services),
                ("model server", model.instances),
            )
        )
        console.print(f"{file}: no problems; {what}")


def _count(problems: list[Problem], severity: Severity) -> str:
    number = sum(each.severity is severity for each in problems)
    return f"{number} {severity.value}{'s' if number > 1 else ''}" if number else ""
