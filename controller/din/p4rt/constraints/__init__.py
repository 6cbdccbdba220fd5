# SPDX-License-Identifier: Apache-2.0
"""The p4-constraints language: what a P4 program demands of entries, beyond types and widths.

    @entry_restriction("(kind == 1 || kind == 2) && target != 0")
    table paths { ... }

`Constraints(program).check(key, value)` says in words what is wrong with an entry, before it leaves for a
switch; `ConstraintError` what is wrong with the program's constraints.

| module | what |
|---|---|
| `source` | an annotation's text, and places in it |
| `lexer`, `syntax`, `parser` | from text to expressions |
| `types`, `checked` | from expressions to what can be evaluated |
| `explain` | why a constraint does not hold |
| `constraints` | all that a program has |

Language: p4-constraints' docs/language-specification.md (p4lang/p4-constraints, 2026). Stricter than there:
numbers that do not fit what they are compared with, comments that do not end, and a second restriction of
the same table are errors.
"""

from .constraints import Constraint, Constraints
from .source import ConstraintError

__all__ = ["Constraint", "ConstraintError", "Constraints"]
