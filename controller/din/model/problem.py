# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a model: where, what, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

#: Where in the model: ("services", 1, "slo", "ttft").
Path: TypeAlias = tuple[str | int, ...]


class Severity(StrEnum):
    ERROR = "error"  # it cannot work
    WARNING = "warning"  # it works, but perhaps not as was meant


@dataclass(frozen=True)
class Problem:
    """``line`` counts from 1; 0: not known, as of a model that was not read from a file."""

    at: Path
    message: str
    hint: str = ""
    severity: Severity = Severity.ERROR
    file: str = ""
    line: int = 0

    @property
    def field(self) -> str:
        """As people write it: ``services[1].slo.ttft``."""
        return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.at).lstrip(".")

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        what = self.message if self.severity is Severity.ERROR else f"warning: {self.message}"
        text = ": ".join(part for part in (place, self.field, what) if part)
        return printable(f"{text}; {self.hint}" if self.hint else text)


def printable(text: str) -> str:
    """What would not be seen, or move a terminal's cursor, as its escape sequence."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


class ModelError(ValueError):
    """All that is wrong with a model, a line each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: (problem.file, problem.line))
        super().__init__("\n".join(map(str, self.problems)))


def nearest(wrong: str, known: Collection[str]) -> str:
    """Which of the known names may be meant; a hint."""
    if not known:
        return "there is none"
    if close := difflib.get_close_matches(wrong, sorted(known), n=1):
        return f"did you mean {close[0]}?"
    names = sorted(known)
    listed = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    return f"there {'is' if len(names) == 1 else 'are'} {listed}"
