# SPDX-License-Identifier: Apache-2.0
"""C identifiers for P4 names.

A pushed pipeline is untrusted, so nothing of a name reaches the C source but ASCII letters, digits and
underscores, in an identifier that is neither a keyword nor used twice.
"""

from __future__ import annotations

import re

_RESERVED = frozenset(
    [
        "alignas",
        "alignof",
        "asm",
        "auto",
        "bool",
        "break",
        "case",
        "char",
        "const",
        "constexpr",
        "continue",
        "default",
        "do",
        "double",
        "else",
        "enum",
        "extern",
        "false",
        "float",
        "for",
        "goto",
        "if",
        "inline",
        "int",
        "long",
        "main",
        "nullptr",
        "register",
        "restrict",
        "return",
        "short",
        "signed",
        "sizeof",
        "static",
        "static_assert",
        "struct",
        "switch",
        "thread_local",
        "true",
        "typedef",
        "typeof",
        "typeof_unqual",
        "union",
        "unix",
        "linux",
        "unsigned",
        "void",
        "volatile",
        "while",
        "valid",
        "next",
        "phv",
        "ctx",
        "pkt",
        "data",
        "pos",
        "end",
        "key",
        "entry",
        "hit",
        "errno",
        "stdin",
        "stdout",
        "stderr",
        "NULL",
        "EOF",
    ]
)
_MAX_LENGTH = 48


def sanitise(name: str) -> str:
    """The nearest thing to ``name`` that is part of a C identifier: for identifiers and for comments."""
    text = re.sub(r"[^A-Za-z0-9]+", "_", name, flags=re.ASCII).strip("_")
    return text[:_MAX_LENGTH].rstrip("_") or "x"


class Names:
    """Unique identifiers within one C name space."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._used: set[str] = set()

    def make(self, name: str) -> str:
        base = self._prefix + sanitise(name)
        # Neither a digit first nor a function or macro of the runtime.
        if base[0].isdigit() or (base + "_").lower().startswith(("p4_", "w_")):
            base = "x_" + base
        candidate, serial = base, 1
        while candidate in self._used or candidate in _RESERVED:
            serial += 1
            candidate = f"{base}_{serial}"
        self._used.add(candidate)
        return candidate
