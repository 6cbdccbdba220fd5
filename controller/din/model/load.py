# SPDX-License-Identifier: Apache-2.0
"""From a YAML file to a `Model`. Whatever is wrong with its form is told at once, each with its line."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

from . import document
from .base import Name
from .document import Document
from .keys import MASTER_BYTES
from .network import Model
from .problem import ModelError, Problem, nearest
from .problem import Path as FieldPath
from .service import KEY_SOURCE, DnsName, Key
from .topology import Endpoint, Mac

VERSION: Final = 1
#: Bytes; a key and a line's end are less.
LARGEST_KEY_FILE: Final = 100


def load(path: str | os.PathLike[str]) -> Model:
    """ModelError: what is wrong with the file. `din.model.check` looks at what lies between its parts."""
    return build(read(path))


def parse(text: str, name: str = "model") -> Model:
    """As `load`, of text; ``name`` stands for the file in messages."""
    return build(document.read(text, name))


def read(path: str | os.PathLike[str]) -> Document:
    """The file's data and lines. ModelError: it cannot be read, or is not YAML."""
    name = os.fspath(path)
    try:
        # A byte more than may be shows that there is more.
        with open(path, "rb") as file:
            raw = file.read(document.LARGEST + 1)
        return document.read(raw.decode("utf-8-sig"), name)
    except OSError as error:
        raise ModelError([Problem((), error.strerror or str(error), file=name)]) from None
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ModelError([Problem((), "not UTF-8", "save it as UTF-8 text", file=name, line=line)]) from None


def build(source: Document) -> Model:
    """ModelError: it does not fit the schema."""
    data = source.data
    if not isinstance(data, dict):
        raise ModelError([Problem((), "not a model", "it begins with version: 1", file=source.file, line=1)])
    if "version" in data and data["version"] != VERSION:
        # Of another version nothing else can be judged.
        at = ("version",)
        message = f"{data['version']!r} is not known"
        raise ModelError(
            [Problem(at, message, f"known is {VERSION}", file=source.file, line=source.line(at))]
        )
    try:
        return Model.model_validate(data)
    except ValidationError as error:
        raise ModelError(_problems(error, source)) from None


# ---- What pydantic says, as people say it ------------------------------------------------------------------


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


def _fields(at: FieldPath) -> Iterator[type[BaseModel]]:
    """The records on the way to a place in the model, outermost first."""
    record: type[BaseModel] | None = Model
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


def _hint(error: Mapping[str, Any], at: FieldPath) -> str:
    if error["type"] == "extra_forbidden":
        *_, record = _fields(at)
        return nearest(str(at[-1]), record.model_fields.keys())
    if error["type"] in ("enum", "literal_error") and isinstance(error["input"], str):
        hint = nearest(error["input"], _choices(error))
        return hint if hint.startswith("did") else f"not {error['input']}"
    if error["type"] != "missing" and isinstance(error["input"], str | int | float | None):
        shown = "empty" if error["input"] in (None, "") else str(error["input"])
        return f"not {shown[:60]}"
    return ""


def _place(loc: FieldPath, data: Any) -> FieldPath:
    """``loc`` as far as it names fields: pydantic ends it with the members of a union that it tried."""
    for depth, part in enumerate(loc):
        inside = data.get(part) if isinstance(data, dict) and isinstance(part, str) else None
        if isinstance(data, list) and isinstance(part, int) and part < len(data):
            inside = data[part]
        elif not isinstance(data, dict | list):
            return loc[:depth]
        data = inside
    return loc


def _problems(error: ValidationError, source: Document) -> Iterator[Problem]:
    seen = set()
    for each in error.errors(include_url=False):
        at = _place(each["loc"], source.data)
        message = _message(each)
        # Every member of a union complains.
        if (at, message) not in seen:
            seen.add((at, message))
            yield Problem(at, message, _hint(each, at), file=source.file, line=source.line(at))


# ---- Keys --------------------------------------------------------------------------------------------------


def resolve_key(key: Key, base: str | os.PathLike[str]) -> bytes:
    """The master key's bytes; ``base`` is the folder of the model's file. ValueError: there is none."""
    kind, _, name = key.source.partition(":")
    if kind == "env":
        if name not in os.environ:
            raise ValueError(f"the environment variable {name} is not set")
        text = os.environ[name]
    else:
        path = Path(base) / name
        try:
            with path.open("rb") as file:
                text = file.read(LARGEST_KEY_FILE).decode("ascii", "replace")
        except OSError as error:
            raise ValueError(f"{path}: {error.strerror}") from None
    digits = 2 * MASTER_BYTES
    if not re.fullmatch(rf"[0-9A-Fa-f]{{{digits}}}", text.strip()):
        raise ValueError(f"{key.source} holds no key: that is {digits} hexadecimal digits")
    return bytes.fromhex(text.strip())
