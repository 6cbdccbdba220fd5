# SPDX-License-Identifier: Apache-2.0
"""What p4src says of headers and constants, with as little as it takes to hold Python against it."""

from __future__ import annotations

import re
from pathlib import Path

INCLUDE = Path(__file__).parents[3] / "p4src" / "include"

_HEADER = re.compile(r"^header (\w+)\s*\{(.*?)\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"bit<(\d+)>\s+(\w+);")
_CONSTANT = re.compile(r"^const (\S+)\s+(\w+)\s*=\s*(0x[0-9a-fA-F_]+|[0-9_]+);", re.MULTILINE)
_DEFINE = re.compile(r"^#define (\w+) (0x[0-9a-fA-F]+|\d+)", re.MULTILINE)
_COMMENT = re.compile(r"//.*")


def headers() -> dict[str, list[tuple[str, int]]]:
    """Name and bits of every field, by header."""
    text = _COMMENT.sub("", (INCLUDE / "headers.p4").read_text())
    return {
        name: [(field, int(bits)) for bits, field in _FIELD.findall(body)]
        for name, body in _HEADER.findall(text)
    }


def constants(file: str = "constants.p4") -> dict[str, int]:
    text = (INCLUDE / file).read_text()
    found = [*((name, value) for _, name, value in _CONSTANT.findall(text)), *_DEFINE.findall(text)]
    return {name: int(value.replace("_", ""), 0) for name, value in found}


def enumeration(type_name: str, file: str = "constants.p4") -> dict[str, int]:
    """The constants of one type."""
    text = (INCLUDE / file).read_text()
    return {name: int(value, 0) for kind, name, value in _CONSTANT.findall(text) if kind == type_name}


def pack(fields: list[tuple[str, int]], values: dict[str, int]) -> bytes:
    """A header's bytes: its fields as bits, one behind the other."""
    total, number = 0, 0
    for name, bits in fields:
        assert 0 <= values[name] < 1 << bits, name
        number = number << bits | values[name]
        total += bits
    assert total % 8 == 0
    return number.to_bytes(total // 8, "big")
