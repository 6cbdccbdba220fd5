# SPDX-License-Identifier: Apache-2.0
"""Expressions as they are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from .source import Span

COMPARISONS: Final = ("==", "!=", "<", "<=", ">", ">=")
AND, OR, IMPLIES, ALSO = "&&", "||", "->", ";"


@dataclass(frozen=True, slots=True)
class Literal:
    """``true``, 5, ``ipv4('10.0.0.1')``."""

    span: Span
    value: bool | int


@dataclass(frozen=True, slots=True)
class Name:
    """A key's field, or an action's parameter."""

    span: Span
    name: str


@dataclass(frozen=True, slots=True)
class Attribute:
    """``::priority``: of the entry."""

    span: Span
    name: str


@dataclass(frozen=True, slots=True)
class Part:
    """``field::mask``."""

    span: Span
    of: Expression
    name: str


@dataclass(frozen=True, slots=True)
class Unary:
    """``!`` or ``-``."""

    span: Span
    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary:
    """A comparison, or AND, OR, IMPLIES, ALSO."""

    span: Span
    operator: str
    left: Expression
    right: Expression


Expression: TypeAlias = Literal | Name | Attribute | Part | Unary | Binary
