# SPDX-License-Identifier: Apache-2.0
"""Commands that look and change nothing: status, plan, explain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.text import Text

from din.emulation.errors import EmulationError

from . import explanation, tables
from .find import Found, find
from .options import AsJson, Named, State
from .output import out, print_json


def status(state: State = None, network: Named = None, json: AsJson = False) -> None:
    """Show what is there, what it does, and what is wrong."""
    found = find(state, network)
    with found.client() as client:
        answer = client.status()
    emulation = emulated(found)
    if json:
        print_json(
            {
                **answer.model_dump(mode="json"),
                "state": str(found.state),
                "file": found.network.note.file if found.network else None,
                "metrics": found.network.note.metrics if found.network else "",
                "hosts": emulation.get("hosts", {}),
                "failures": emulation.get("failures", []),
            }
        )
        return
    console = out()
    console.print(tables.status(answer))
    for failure in emulation.get("failures", ()):
        console.print(tables.bad(failure))
    console.print(Text(f"state and logs: {found.state}"))
    if emulation:
        console.print(Text(f"emulated with {emulation['target']}"))
    if found.network and found.network.note.metrics:
        console.print(Text(f"metrics: http://{found.network.note.metrics}/metrics"))
    if hosts := emulation.get("hosts"):
        console.print(Text(f"hosts for din run HOST -- COMMAND: {', '.join(sorted(hosts))}"), soft_wrap=True)


def emulated(found: Found) -> Mapping[str, Any]:
    """What the emulation says of itself; nothing, if there is none."""
    answer: Mapping[str, Any] = ask_emulation(found, "status") or {}
    return answer


def ask_emulation(found: Found, do: str, **parameters: Any) -> Any:
    """The answer to one of its commands; None, if there is none."""
    # Here, because Mininet takes a third of a second, which no other command is to wait.
    from din.emulation.control import Client as EmulationClient

    if found.network is None or not found.network.note.target:
        return None
    try:
        with EmulationClient(found.state) as client:
            return client.ask(do, **parameters)
    except EmulationError:
        return None


def plan(state: State = None, network: Named = None, json: AsJson = False) -> None:
    """Show where each leaf's traffic goes, and by which paths."""
    with find(state, network).client() as client:
        found = client.plan()
    if json:
        print_json(found)
    else:
        out().print(tables.plan(found))


def explain(
    service: Annotated[str, typer.Argument(metavar="SERVICE", show_default=False)],
    leaf: Annotated[str, typer.Option("--from", metavar="LEAF", help="Seen from there.", show_default=False)],
    state: State = None,
    network: Named = None,
    json: AsJson = False,
) -> None:
    """Show what was chosen for a service, and what was rejected.

    Both ways, with latencies; and of what was rejected, by which constraint.
    """
    with find(state, network).client() as client:
        found = client.explain(service, leaf)
    if json:
        print_json(found)
    else:
        out().print(explanation.explanation(found), soft_wrap=True)
