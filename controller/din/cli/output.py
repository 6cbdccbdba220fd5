# SPDX-License-Identifier: Apache-2.0
"""Where things are printed: what was asked for on stdout, the rest on stderr."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel
from rich.console import Console

#: Columns, where nobody looks who has so many: in a pipe, lines are not to be broken.
_WIDE: Final = 200
#: In fewer, tables' words fall into syllables; a terminal that has them not breaks the lines itself.
_NARROW: Final = 80


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """The program sees to it (`main`), as to all that goes wrong."""
        raise


def out() -> Console:
    console = _Console(highlight=False, markup=False)
    console.width = max(console.width, _NARROW) if sys.stdout.isatty() else _WIDE
    return console


def err() -> Console:
    return _Console(highlight=False, markup=False, stderr=True, soft_wrap=True)


def make_usable() -> None:
    """Whatever stdout and stderr are: one that is closed is nobody's, one that has not the letters gets their
    numbers.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def complain(text: str) -> None:
    err().print(f"din: {text}", style="red" if sys.stderr.isatty() else None)


def print_json(what: BaseModel | Sequence[BaseModel] | dict[str, Any]) -> None:
    """For programs, on stdout."""
    plain: Any = what
    if isinstance(what, BaseModel):
        plain = what.model_dump(mode="json")
    elif not isinstance(what, dict):
        plain = [each.model_dump(mode="json") for each in what]
    print(json.dumps(plain, indent=2))
