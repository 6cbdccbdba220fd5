# SPDX-License-Identifier: Apache-2.0
"""Where a constraint is written, and what is wrong with it there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

#: One string, or several that the compiler has set side by side.
_BODY = re.compile(r'\(((?:\s*"[^"]*")+)\s*\)')


class Span(NamedTuple):
    """Characters of a constraint's text: from the first, to the one after the last."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Source:
    """A constraint as it is written: ``annotation`` of ``owner`` ("table paths", "action via")."""

    annotation: str
    owner: str
    text: str

    def line(self, position: int) -> int:
        """From 1. The first is what follows the annotation's quotation mark."""
        return self.text.count("\n", 0, position) + 1

    def column(self, position: int) -> int:
        return position - (self.text.rfind("\n", 0, position) + 1) + 1

    def quote(self, span: Span) -> str:
        """On one line, without comments."""
        text = self.text[span.start : span.end]
        return " ".join(re.sub(r"//[^\n]*|/\*.*?\*/", " ", text, flags=re.DOTALL).split())


class ConstraintError(ValueError):
    """Constraints that cannot be understood. ``problems``: one text for each, with its place."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class SourceError(ConstraintError):
    """Of one constraint."""

    def __init__(self, source: Source, span: Span, problem: str) -> None:
        line, column = source.line(span.start), source.column(span.start)
        text = source.text.split("\n")[line - 1]
        # Of what goes on in the next line, what is in this one.
        width = max(1, min(span.end - span.start, len(text) - column + 1))
        # A tab stands below a tab, so that the marks are in place.
        blank = "".join("\t" if each == "\t" else " " for each in text[: column - 1])
        where = f"@{source.annotation} of {source.owner}, line {line}, column {column}"
        quoted = f"\n  {text}\n  {blank}{'^' * width}" if text else ""
        super().__init__([f"{where}: {problem}{quoted}"])


def find(annotations: Iterable[str], annotation: str, owner: str) -> Source | None:
    """The constraint that a table or an action has. ConstraintError: it is not a string, or there are two."""
    found = [each for each in annotations if re.match(rf"@{annotation}\b", each)]
    if not found:
        return None
    if len(found) > 1:
        raise ConstraintError([f"{owner} has {len(found)} @{annotation}: join them with ';'"])
    body = _BODY.fullmatch(found[0].removeprefix(f"@{annotation}").strip())
    if body is None:
        raise ConstraintError([f'@{annotation} of {owner}: it is to be a string, @{annotation}("...")'])
    return Source(annotation, owner, "\n".join(re.findall(r'"([^"]*)"', body[1])))
