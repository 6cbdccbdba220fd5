# SPDX-License-Identifier: Apache-2.0
"""A comparison's tables in a terminal. A void arm is in brackets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from din.inference.load.stats import Verdict

from . import tables
from .results import ALL, Results
from .tables import LONG, TEXTS, Sheet
from .verdict import sentences

_COLOURS: Final = {Verdict.BETTER: "green", Verdict.WORSE: "red", Verdict.TIE: "", Verdict.UNKNOWN: "dim"}


def show(results: Results, console: Console) -> None:
    """All that a person reads in a minute; the rest is in the report."""
    for name, text in tables.conditions(results):
        console.print(f"[bold]{escape(name)}[/]: {escape(text)}", soft_wrap=True, highlight=False)
    names = [*results.phases, *([ALL] if len(results.phases) > 1 else [])]
    for sheet in _shown(results, names):
        console.print()
        console.print(_table(sheet))
    console.print()
    for sentence in sentences(results):
        console.print(escape(sentence), highlight=False)


def _shown(results: Results, names: Sequence[str]) -> Iterator[Sheet]:
    yield tables.arms(results)
    for name in names:
        yield tables.phase(results, name)
    for name in results.services:
        yield tables.service(results, name)
        yield tables.shares(results, name)
    yield from tables.all_differences(results)


def _table(sheet: Sheet) -> Table:
    table = Table(
        title=escape(sheet.title),
        title_justify="left",
        title_style="bold",
        caption=escape(sheet.note) or None,
        caption_justify="left",
        box=None,
        pad_edge=False,
    )
    for name in sheet.columns:
        long = name == LONG
        table.add_column(escape(name), justify="left" if name in TEXTS else "right", no_wrap=not long)
    for number, row in enumerate(sheet.rows):
        texts: list[Any] = []
        for place, cell in enumerate(row):
            text = escape(f"({cell.text})" if number in sheet.void and not place else cell.text)
            colour = _COLOURS[cell.verdict] if cell.verdict else ""
            texts.append(f"[{colour}]{text}[/]" if colour else text)
        table.add_row(*texts, style="dim" if number in sheet.void else None)
    return table
