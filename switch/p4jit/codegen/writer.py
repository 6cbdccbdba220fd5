# SPDX-License-Identifier: Apache-2.0
"""Indented C text, and names for temporaries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_DECLARATIONS = ("const ", "uint64_t ", "p4_")


class Writer:
    def __init__(self) -> None:
        self._lines: list[str] = []
        self._depth = 0
        self._serial = 0

    def line(self, text: str = "") -> None:
        self._lines.append("  " * self._depth + text if text else "")

    def lines(self, *texts: str) -> None:
        for text in texts:
            self.line(text)

    def label(self, name: str) -> None:
        """The label, which the empty statement lets stand before a declaration or a closing brace."""
        self._lines.append("  " * max(self._depth - 1, 0) + f"{name}:;")

    @contextmanager
    def block(self, head: str, tail: str = "") -> Iterator[None]:
        self.line(head + " {" if head else "{")
        self._depth += 1
        yield
        self._depth -= 1
        self.line("}" + tail)

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Braces, if what is written within declares anything: a name then cannot be met twice, nor a jump
        skip a declaration."""
        outer, self._lines = self._lines, []
        self._depth += 1
        yield
        inner, self._lines = self._lines, outer
        self._depth -= 1
        if any(line.lstrip().startswith(_DECLARATIONS) for line in inner):
            self.line("{")
            self._lines += inner
            self.line("}")
        else:
            self._lines += [line.removeprefix("  ") for line in inner]

    def temporary(self, stem: str = "t") -> str:
        self._serial += 1
        return f"{stem}{self._serial}"

    def text(self) -> str:
        return "\n".join(self._lines) + "\n"
