# SPDX-License-Identifier: Apache-2.0
"""``din drain`` and ``din undrain``: take a model server out of use without breaking what it is doing."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Annotated

import typer

from din.api.schema import DrainProgress, DrainRequest
from din.model.units import parse_time

from .errors import CommandError, Exit
from .find import find
from .options import AsJson, Named, State
from .output import err, out, print_json

Instance = Annotated[str, typer.Argument(metavar="INSTANCE", show_default=False)]


def drain(
    instance: Instance,
    deadline: Annotated[str, typer.Option(help="When what is left is cut off.")] = "60s",
    state: State = None,
    network: Named = None,
    json: AsJson = False,
) -> None:
    """Give a model server no new connections, and wait.

    When those that it has are over, or the deadline has passed, it may be stopped.
    """
    try:
        seconds = parse_time(deadline) / 1e6
    except ValueError as error:
        raise CommandError(f"--deadline: {error}", Exit.USAGE) from None
    last: DrainProgress | None = None
    waiting = err().status(f"draining {instance}") if not json else nullcontext()
    try:
        with find(state, network).client() as client, waiting as shown:
            for last in client.drain(DrainRequest(instance=instance, deadline=seconds)):
                if shown is not None and last.in_flight is not None:
                    shown.update(f"{connections(last.in_flight)} left; {deadline} are the longest it waits")
    except KeyboardInterrupt:
        err().print(f"{instance} gets no new connections still: din undrain {instance} takes it back")
        raise
    if last is None or last.state == "draining":
        raise CommandError(f"the controller stopped waiting; {instance} may not be drained", Exit.NOT_RUNNING)
    if json:
        print_json(last)
    elif last.state != "undrained":
        out().print(outcome(last))
    if last.state == "undrained":
        raise CommandError(f"{instance} was taken back meanwhile: it has connections again")


def outcome(last: DrainProgress) -> str:
    """The end of a drain, in words."""
    back = f"din undrain {last.instance} takes it back"
    if last.state == "cut":
        # So soon nothing may have been counted yet.
        cut = "whatever it had is" if last.in_flight is None else connections(last.cut)
        return f"{last.instance} is drained: {cut} cut off after {last.elapsed:.0f} s. {back}"
    return f"{last.instance} is drained: no connection is left after {last.elapsed:.1f} s. {back}"


def connections(number: int) -> str:
    return f"{number} connection{'' if number == 1 else 's'}"


def undrain(instance: Instance, state: State = None, network: Named = None) -> None:
    """Let a drained model server have connections again."""
    with find(state, network).client() as client:
        client.undrain(instance)
    out().print(f"{instance} takes connections again")
