# SPDX-License-Identifier: Apache-2.0
"""Models for tests: the demo's, with edits by the names that messages use (``hosts[0].leaf``)."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any, Final

from din.model.document import Document, read
from din.model.load import build
from din.model.network import Model

TOPOLOGIES: Final = Path(__file__).parents[3] / "topologies"
#: As a new value: take the field, or the item, away.
GONE: Final = object()

_ENTERPRISE: Final = read((TOPOLOGIES / "enterprise.yaml").read_text(), "enterprise.yaml")


def place(field: str) -> list[str | int]:
    return [int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", field)]


def edited(edits: dict[str, Any]) -> dict[str, Any]:
    """The demo's data with new values. ``list[+]`` adds an item. LookupError: no such place."""
    data: dict[str, Any] = copy.deepcopy(_ENTERPRISE.data)
    for field, value in edits.items():
        *path, last = place(field)
        inside: Any = data
        for part in path:
            inside = inside[part] if isinstance(inside, list) else inside.setdefault(part, {})
            if not isinstance(inside, dict | list):
                raise LookupError(f"{field}: {part} has no fields")
        if last == "+":
            inside.append(value)
        elif value is GONE:
            del inside[last]
        else:
            inside[last] = value
    return data


def model(edits: dict[str, Any] | None = None) -> Model:
    return build(Document("edited", edited(edits or {})))


def fields(data: Any = _ENTERPRISE.data, at: str = "") -> list[str]:
    """Every field of the demo's, as messages name it."""
    if isinstance(data, dict):
        inside = [(f"{at}.{name}".lstrip("."), value) for name, value in data.items()]
    else:
        inside = (
            [(f"{at}[{index}]", value) for index, value in enumerate(data)] if isinstance(data, list) else []
        )
    return [name for field, value in inside for name in (field, *fields(value, field))]
