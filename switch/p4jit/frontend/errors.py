# SPDX-License-Identifier: Apache-2.0
"""The one error that a program can cause while it is loaded."""

from __future__ import annotations


class ProgramError(Exception):
    """A program (JSON or P4Info) that p4jit refuses.

    ``path`` says where, as a JSON path (``$.pipelines[0].tables[3].key[1]``) or the name of a P4Info object;
    ``problem`` says what is wrong there; ``remedy``, which may be empty, says what to do.
    """

    def __init__(self, path: str, problem: str, remedy: str = "") -> None:
        self.path = path
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{path}: {problem}" + (f"; {remedy}" if remedy else ""))


def quoted(text: str) -> str:
    """A name from the input as it is safe to print: escaped, and cut when it is very long."""
    return repr(text if len(text) <= 80 else text[:77] + "...")
