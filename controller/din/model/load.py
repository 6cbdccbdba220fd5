# SPDX-License-Identifier: Apache-2.0
"""From a YAML file to a `Model`. Whatever is wrong with its form is told at once, each with its line."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from . import document, invalid
from .document import Document
from .keys import MASTER_BYTES
from .network import Model
from .problem import ModelError, Problem
from .service import Key

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
    return document.read(read_text(path), os.fspath(path))


def read_text(path: str | os.PathLike[str]) -> str:
    """ModelError: it cannot be read, or is no text, or more of it than any model."""
    name = os.fspath(path)
    try:
        # A byte more than may be shows that there is more.
        with open(path, "rb") as file:
            raw = file.read(document.LARGEST + 1)
        if len(raw) > document.LARGEST:
            raise document.too_large(name)
        return raw.decode("utf-8-sig")
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
    if "version" in data and (type(data["version"]) is not int or data["version"] != VERSION):
        # Of another version nothing else can be judged.
        at = ("version",)
        message = f"{data['version']!r} is not known"
        raise ModelError(
            [Problem(at, message, f"known is {VERSION}", file=source.file, line=source.line(at))]
        )
    try:
        return Model.model_validate(data)
    except ValidationError as error:
        raise ModelError(invalid.problems(error, source)) from None


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
