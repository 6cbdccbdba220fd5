# SPDX-License-Identifier: Apache-2.0
"""Options and arguments that many commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ModelFile = Annotated[Path, typer.Argument(metavar="FILE", help="The model, in YAML.", show_default=False)]


def _directory(given: str | None) -> Path | None:
    # Of an unset variable in a script; as a path it would be the folder that one happens to be in.
    if given == "":
        raise typer.BadParameter("empty")
    return None if given is None else Path(given)


State = Annotated[
    Path | None,
    typer.Option(
        "--state",
        metavar="DIR",
        help="State directory of the network.",
        show_default=False,
        parser=_directory,
    ),
]
Named = Annotated[
    str | None,
    typer.Option("--network", metavar="NAME", help="Which network, if several are up.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
Yes = Annotated[bool, typer.Option("--yes", help="Delete, even if it is much.")]
