# SPDX-License-Identifier: Apache-2.0
"""A constraint's text, in tokens."""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, NamedTuple

from .source import Source, SourceError, Span


class Kind(Enum):
    OPERATOR = "operator"
    NAME = "name"
    NUMBER = "number"
    STRING = "string"
    END = "end"


class Token(NamedTuple):
    kind: Kind
    text: str
    span: Span

    def __str__(self) -> str:
        return "the end" if self.kind is Kind.END else repr(self.text)


# The first that fits is taken: what is longer comes first.
_TOKEN: Final = re.compile(
    r"""
      (?P<blank>    \s+ | //[^\r\n]* | /\*.*?\*/ )
    | (?P<operator> && | \|\| | -> | :: | == | != | >= | <= | [!()<>.;-] )
    | (?P<name>     [A-Za-z_]\w* )
    | (?P<number>   0[xX][0-9a-fA-F]+ | 0[bB][01]+ | 0[oO][0-7]+ | 0[dD][0-9]+ | [0-9]+ )
    | (?P<string>   '[^']*' )
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_UNENDED: Final = {"/*": "a comment that does not end", "'": "a string that does not end"}


def tokens(source: Source) -> list[Token]:
    """The last is the end. SourceError: a character that is in none."""
    found: list[Token] = []
    place = 0
    while place < len(source.text):
        match = _TOKEN.match(source.text, place)
        if match is None:
            rest = source.text[place:]
            problem = next((why for start, why in _UNENDED.items() if rest.startswith(start)), None)
            raise SourceError(source, Span(place, place + 1), problem or f"unexpected character {rest[0]!r}")
        if match.lastgroup != "blank":
            found.append(Token(Kind(match.lastgroup), match[0], Span(*match.span())))
        place = match.end()
    # Where something is missing is after what is there, not after the blanks that follow.
    end = found[-1].span.end if found else 0
    return [*found, Token(Kind.END, "", Span(end, end))]


def number(text: str) -> int:
    """Of a number's token."""
    bases = {"0x": 16, "0b": 2, "0o": 8, "0d": 10}
    base = bases.get(text[:2].lower())
    return int(text[2:], base) if base else int(text)
