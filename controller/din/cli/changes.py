# SPDX-License-Identifier: Apache-2.0
"""What an update changes in the switches, as people read it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from din.api.schema import Changes

from .tables import bad, table

_SIGNS = {"insert": ("+", "green"), "modify": ("~", "yellow"), "delete": ("-", "red")}


def touches(found: Changes) -> bool:
    """Whether anything is different, or may be."""
    return bool(found.unreachable) or any(
        each.inserted or each.modified or each.deleted for each in found.tables
    )


def blast_radius(found: Changes) -> RenderableType:
    """Counts, table by table."""
    made = table("Changes", "switch", "table", ">inserted", ">modified", ">deleted", ">entries before")
    for each in found.tables:
        counts = (each.inserted, each.modified, each.deleted)
        if any(counts):
            made.add_row(each.switch, each.table, *map(str, counts), str(each.before))
    parts: list[RenderableType] = [made if made.row_count else Text("no entry of any switch changes")]
    if found.unreachable:
        parts.append(bad(f"not known of, since they cannot be read: {', '.join(found.unreachable)}"))
    return Group(*parts)


def entries(found: Changes) -> Iterator[Text]:
    """As diff has it."""
    for each in found.entries:
        sign, colour = _SIGNS.get(each.change, ("?", ""))
        yield Text(f"{sign} {each.switch}: {each.entry}", style=colour)
    if found.omitted:
        yield Text(f"and {found.omitted:,} more")
