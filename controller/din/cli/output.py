# SPDX-License-Identifier: Apache-2.0
"""Where things are printed: what was asked for on stdout, the rest on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel
from rich.console import Console

#: Columns, where nobody looks who has so many: in a pipe, lines are not to be broken.
_WIDE: Final = 200


def out() -> Console:
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _WIDE)


def err() -> Console:
    return Console(highlight=False, markup=False, stderr=True, soft_wrap=True)


def complain(text: str) -> None:
    err().print(f"din: {text}", style="red" if sys.stderr.isatty() else None)


def print_json(what: BaseModel | Sequence[BaseModel] | dict[str, Any]) -> None:
    """For programs, on stdout."""
    plain: Any = what
    if isinstance(what, BaseModel):
        plain = what.model_dump(mode="json")
    elif not isinstance(what, dict):
        plain = [each.model_dump(mode="json") for each in what]
    print(json.dumps(plain, indent=2, ensure_ascii=False))
