# SPDX-License-Identifier: Apache-2.0
"""The program ``din``, and what errors become: a sentence on stderr, and an exit status."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer
from rich.text import Text
from typer.core import TyperGroup

from din.api.client import NotRunningError, RefusedError
from din.api.schema import Refusal

from . import change, changes, check, drain, inside, link, look, up
from .errors import CommandError, Exit
from .output import complain, err, make_usable


class Commands(TyperGroup):
    """Turns what commands raise into exit statuses."""

    def invoke(self, ctx: Any) -> Any:
        try:
            try:
                return super().invoke(ctx)
            finally:
                # Now, where it is told what goes wrong.
                sys.stdout.flush()
        except CommandError as error:
            complain(str(error))
            status = error.status
        except RefusedError as error:
            show_refusal(error.refusal)
            status = Exit.REFUSED
        except NotRunningError as error:
            complain(str(error))
            status = Exit.NOT_RUNNING
        except KeyboardInterrupt:
            status = Exit.INTERRUPTED
        except BrokenPipeError:
            # The reader (`| head`) has enough.
            _forget_output()
            status = Exit.BROKEN_PIPE
        except OSError as error:
            # As of a disk that is full.
            _forget_output()
            complain(str(error))
            status = Exit.NO
        raise typer.Exit(status)


def _forget_output() -> None:
    """What is still buffered must not raise again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


app = typer.Typer(
    cls=Commands,
    help="A network that routes tokens to models: check, run and steer it.",
    epilog="Exit status: 0 done; 1 the answer is no (errors in a model, differences); 2 a command line that "
    "makes no sense; 3 the controller refuses; 4 nothing is running there.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(check.check)
app.command()(up.up)
app.command()(up.down)
app.command()(look.status)
app.command()(look.plan)
app.command()(look.explain)
app.command()(change.apply)
app.command()(change.diff)
app.command()(change.rollback)
app.command()(drain.drain)
app.command()(drain.undrain)
app.command(context_settings=inside.RUN_SETTINGS)(inside.run)
app.command()(link.link)
app.command()(inside.shell)


def show_refusal(refusal: Refusal) -> None:
    """What was refused, why, and how much it would have been."""
    console = err()
    for each in refusal.problems:
        place = f"{each.file}:{each.line}" if each.line else each.file
        console.print(Text(": ".join(part for part in (place, each.field, each.message) if part)))
    if refusal.changes is not None:
        console.print(changes.blast_radius(refusal.changes))
    complain(refusal.error)


def main() -> None:
    make_usable()
    app(prog_name="din")
