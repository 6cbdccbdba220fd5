# SPDX-License-Identifier: Apache-2.0
"""From a constraint's text to an expression, by precedence climbing.

From strong to weak: ``::``; ``!`` and ``-``; comparisons; ``&&``; ``||``; ``->``; ``;``. Comparisons and
``->`` do not associate: ``a == b == c`` wants parentheses. A ``;`` may end an expression.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from . import syntax
from .lexer import Kind, Token, number, tokens
from .source import Source, SourceError, Span
from .syntax import ALSO, AND, COMPARISONS, IMPLIES, OR, Expression

_UNARY: Final = 6
_BINARY: Final = {**dict.fromkeys(COMPARISONS, 5), AND: 4, OR: 3, IMPLIES: 2, ALSO: 1}
_ASSOCIATIVE: Final = {AND, OR, ALSO}
_CONSTANTS: Final = {"true": True, "false": False}


def parse(source: Source) -> Expression:
    """SourceError: it is no constraint."""
    parser = _Parser(source)
    found = parser.expression(0)
    if parser.token.kind is not Kind.END:
        raise parser.unexpected("an operator")
    return found


class _Parser:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._tokens = tokens(source)
        self._place = 0

    @property
    def token(self) -> Token:
        return self._tokens[self._place]

    def unexpected(self, wanted: str) -> SourceError:
        return SourceError(self._source, self.token.span, f"expected {wanted}, not {self.token}")

    def _next(self) -> Token:
        token = self.token
        self._place += 1
        return token

    def _is(self, operator: str) -> bool:
        return self.token.kind is Kind.OPERATOR and self.token.text == operator

    def _since(self, start: int) -> Span:
        """What was read from there on: with parentheses, which are in no expression's own span."""
        return Span(start, self._tokens[self._place - 1].span.end)

    def _take(self, operator: str) -> bool:
        if not self._is(operator):
            return False
        self._place += 1
        return True

    def _expect(self, operator: str) -> Token:
        if not self._is(operator):
            raise self.unexpected(repr(operator))
        return self._next()

    def _expect_kind(self, kind: Kind, wanted: str) -> Token:
        if self.token.kind is not kind:
            raise self.unexpected(wanted)
        return self._next()

    def expression(self, above: int) -> Expression:
        """As far as operators bind more strongly than ``above``."""
        start = self.token.span.start
        left = self._first()
        while True:
            operator = self.token.text if self.token.kind is Kind.OPERATOR else ""
            if operator == "::":
                self._next()
                part = self._expect_kind(Kind.NAME, "a part of the field, as 'mask'")
                left = syntax.Part(self._since(start), left, part.text)
                continue
            binds = _BINARY.get(operator, 0)
            if binds and binds == above and operator not in _ASSOCIATIVE:
                raise SourceError(
                    self._source,
                    self.token.span,
                    f"{operator!r} after another {'comparison' if binds == 5 else repr(IMPLIES)}: "
                    f"say with parentheses which comes first",
                )
            if binds <= above:
                return left
            self._next()
            if operator == ALSO and (self.token.kind is Kind.END or self._is(")")):
                return left
            right = self.expression(binds)
            left = syntax.Binary(self._since(start), operator, left, right)

    def _first(self) -> Expression:
        """What an expression can begin with."""
        token = self.token
        if self._take("("):
            found = self.expression(0)
            self._expect(")")
            return found
        if self._take("::"):
            name = self._expect_kind(Kind.NAME, "an attribute of the entry, as 'priority'")
            return syntax.Attribute(self._since(token.span.start), name.text)
        if self._take("!") or self._take("-"):
            operand = self.expression(_UNARY)
            return syntax.Unary(self._since(token.span.start), token.text, operand)
        if token.kind is Kind.NUMBER:
            return syntax.Literal(self._next().span, number(token.text))
        if token.kind is Kind.NAME:
            return self._named()
        raise self.unexpected("a field, a number, '!', '-' or '('")

    def _named(self) -> Expression:
        token = self._next()
        if token.text in _CONSTANTS:
            return syntax.Literal(token.span, _CONSTANTS[token.text])
        if self._take("("):
            text = self._expect_kind(Kind.STRING, "an address in single quotes")
            self._expect(")")
            return syntax.Literal(self._since(token.span.start), self._address(token, text))
        names = [token]
        while self._take("."):
            names.append(self._expect_kind(Kind.NAME, "a name"))
        return syntax.Name(self._since(token.span.start), ".".join(each.text for each in names))

    def _address(self, kind: Token, text: Token) -> int:
        if kind.text not in _ADDRESSES:
            raise SourceError(self._source, kind.span, f"{kind} is none of {', '.join(_ADDRESSES)}")
        form, read = _ADDRESSES[kind.text]
        try:
            return read(text.text[1:-1])
        except ValueError:
            problem = f"{text.text} is no {kind.text} address, which is {form}"
            raise SourceError(self._source, text.span, problem) from None


def _ipv6(text: str) -> int:
    address = IPv6Address(text)
    if address.scope_id is not None:
        raise ValueError("a zone is of a host, not of a network")
    return int(address)


def _mac(text: str) -> int:
    if not re.fullmatch(r"[0-9a-fA-F]{1,2}(:[0-9a-fA-F]{1,2}){5}", text):
        raise ValueError("not six bytes")
    return int.from_bytes(bytes(int(each, 16) for each in text.split(":")))


#: How each kind is written, and read.
_ADDRESSES: Final[Mapping[str, tuple[str, Callable[[str], int]]]] = {
    "ipv4": ("four numbers of 0 to 255 with '.' between them", lambda text: int(IPv4Address(text))),
    "ipv6": ("as '2001:db8::1', without a zone", _ipv6),
    "mac": ("six bytes in hexadecimal with ':' between them", _mac),
}
