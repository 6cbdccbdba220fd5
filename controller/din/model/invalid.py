# SPDX-License-Identifier: Apache-2.0
"""What pydantic says of a model that does not fit the schema, as people say it, with what would be right."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

from .base import Name
from .document import Document
from .network import Model
from .problem import Path, Problem, nearest
from .service import KEY_SOURCE, DnsName
from .topology import Endpoint, Mac


def _pattern(of: Any) -> str:
    """The regular expression of an annotated string."""
    return str(get_args(of)[1].pattern)


_PATTERNS: Final[Mapping[str, str]] = {
    _pattern(Name): "lower-case letters, digits and hyphens, a letter first, as in branch-a",
    _pattern(Endpoint): "a switch, or a switch and its port, as in wan-1 or wan-1:3",
    _pattern(Mac): "a MAC address in lower case, as in 02:00:00:00:00:01",
    _pattern(DnsName): "a DNS name in lower case, as in chat.example",
    KEY_SOURCE: "file:PATH or env:NAME, where the key is",
}
_ADDRESSES: Final[Mapping[str, str]] = {
    "interface": "an address and the length of its prefix, as in 10.1.0.1/24 or 2001:db8:1::1/64",
    "network": "a prefix, as in 192.0.2.0/24",
    "address": "an IP address, as in 10.100.0.1 or 2001:db8:100::1",
}
_TYPES: Final[Mapping[str, str]] = {
    "string_type": "text",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "list_type": "a list: lines that begin with -",
    "tuple_type": "a list, as in [a, b]",
    "model_type": "fields with their values",
}


def _choices(error: Mapping[str, Any]) -> list[str]:
    """Of an enumeration: pydantic says 'a', 'b' or 'c'."""
    return re.findall(r"'([^']*)'", error["ctx"]["expected"])


def _message(error: Mapping[str, Any]) -> str:
    kind: str = error["type"]
    context: Mapping[str, Any] = error.get("ctx", {})
    if kind == "missing":
        return "missing"
    if kind == "extra_forbidden":
        return "unknown field"
    if kind in _TYPES:
        return _TYPES[kind]
    if kind == "string_pattern_mismatch" and context["pattern"] in _PATTERNS:
        return _PATTERNS[str(context["pattern"])]
    if kind in ("enum", "literal_error"):
        return "one of " + ", ".join(_choices(error))
    if kind == "string_too_long":
        return f"at most {context['max_length']} characters"
    if kind in ("too_long", "too_short"):
        most = kind == "too_long"
        count = context["max_length" if most else "min_length"]
        return f"{'at most' if most else 'at least'} {count} of them, not {context['actual_length']}"
    if address := re.fullmatch(r"ip_(?:v[46]|any)_(address|interface|network)\w*", kind):
        return _ADDRESSES[address[1]]
    message: str = error["msg"]
    return message.removeprefix("Value error, ").removeprefix("Input should be ")


def _fields(at: Path, root: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The records on the way to a place in a document, outermost first."""
    record: type[BaseModel] | None = root
    for part in at:
        if record is None:
            return
        if isinstance(part, str):
            yield record
            known = record.model_fields.get(part)
            record = _record(known.annotation) if known else None


def _record(annotation: Any) -> type[BaseModel] | None:
    """The record that an annotation is about: itself, or what it is a list of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_record, get_args(annotation))), None)


def _hint(error: Mapping[str, Any], at: Path, root: type[BaseModel]) -> str:
    if error["type"] == "extra_forbidden":
        *_, record = _fields(at, root)
        return nearest(str(at[-1]), record.model_fields.keys())
    if error["type"] in ("enum", "literal_error") and isinstance(error["input"], str):
        hint = nearest(error["input"], _choices(error))
        return hint if hint.startswith("did") else f"not {error['input']}"
    if error["type"] != "missing" and isinstance(error["input"], str | int | float | None):
        shown = "empty" if error["input"] in (None, "") else str(error["input"])
        return f"not {shown[:60]}"
    return ""


def _place(loc: Path, data: Any) -> Path:
    """``loc`` as far as it names fields: pydantic ends it with the members of a union that it tried."""
    for depth, part in enumerate(loc):
        inside = data.get(part) if isinstance(data, dict) and isinstance(part, str) else None
        if isinstance(data, list) and isinstance(part, int) and part < len(data):
            inside = data[part]
        elif not isinstance(data, dict | list):
            return loc[:depth]
        data = inside
    return loc


def problems(error: ValidationError, source: Document, root: type[BaseModel] = Model) -> Iterator[Problem]:
    """One for each place and kind of error, with its line. ``root`` is what the document was to be."""
    seen = set()
    for each in error.errors(include_url=False):
        at = _place(each["loc"], source.data)
        message = _message(each)
        # Every member of a union complains.
        if (at, message) not in seen:
            seen.add((at, message))
            yield Problem(at, message, _hint(each, at, root), file=source.file, line=source.line(at))
