# SPDX-License-Identifier: Apache-2.0
"""``din link``: links of an emulated network, cut and mended."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from din.emulation.control import Client
from din.emulation.errors import EmulationError

from .errors import CommandError
from .find import find
from .options import Named, State
from .output import out


class Switched(StrEnum):
    UP = "up"
    DOWN = "down"


def link(
    a: Annotated[str, typer.Argument(metavar="SWITCH", show_default=False)],
    b: Annotated[str, typer.Argument(metavar="SWITCH", show_default=False)],
    wanted: Annotated[Switched, typer.Argument(metavar="up|down", show_default=False)],
    state: State = None,
    network: Named = None,
) -> None:
    """Cut the links between two switches, or mend them. SWITCH:PORT names one of several.

    Of an emulated network: both ends see their port go down, as if somebody had pulled the cable.
    """
    found = find(state, network)
    found.init()
    try:
        with Client(found.state) as emulation:
            emulation.ask("link", a=a, b=b, up=wanted is Switched.UP)
    except EmulationError as error:
        raise CommandError(str(error)) from None
    out().print(f"{a}–{b} is {wanted}")
