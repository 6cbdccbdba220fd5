# SPDX-License-Identifier: Apache-2.0
"""A cursor over parsed JSON that knows its path, so that every refusal says where."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TypeVar

from p4jit.frontend.errors import ProgramError, quoted

#: Largest program text taken, in bytes or characters. Far above what a C compiler takes in reasonable time.
MAX_TEXT = 64 << 20
#: Widest value, in bits.
MAX_WIDTH = 65536
MAX_NAME = 4096

_HEX = re.compile(r"(-?)(?:0[xX])?([0-9a-fA-F]+)")
_KINDS: dict[type, str] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    int: "an integer",
    float: "a number with a fraction or exponent",
    bool: "a boolean",
    type(None): "null",
}

T = TypeVar("T")


class Cursor:
    """One value in a JSON document."""

    __slots__ = ("_key", "_parent", "value")

    def __init__(self, value: object, parent: Cursor | None = None, key: str | int = "") -> None:
        self.value = value
        self._parent = parent
        self._key = key

    @property
    def path(self) -> str:
        parts: list[str] = []
        cursor: Cursor = self
        while cursor._parent is not None:
            key = cursor._key
            if isinstance(key, int):
                parts.append(f"[{key}]")
            else:
                parts.append(f".{key}" if re.fullmatch(r"\w{1,80}", key) else f"[{quoted(key)}]")
            cursor = cursor._parent
        return "$" + "".join(reversed(parts))

    def error(self, problem: str, remedy: str = "") -> ProgramError:
        return ProgramError(self.path, problem, remedy)

    def _expected(self, what: str) -> ProgramError:
        return self.error(f"expected {what}, found {_KINDS.get(type(self.value), 'something else')}")

    # -- objects

    def object(self) -> dict[str, object]:
        if not isinstance(self.value, dict):
            raise self._expected("an object")
        return self.value

    def get(self, key: str) -> Cursor:
        """The member ``key``, which must be there (it may be null)."""
        members = self.object()
        if key not in members:
            raise self.error(f"has no {key!r}")
        return Cursor(members[key], self, key)

    def find(self, key: str) -> Cursor | None:
        """The member ``key``, or None when it is absent or null."""
        value = self.object().get(key)
        return None if value is None else Cursor(value, self, key)

    def has(self, key: str) -> bool:
        return key in self.object()

    def members(self) -> Iterator[tuple[str, Cursor]]:
        for key, value in self.object().items():
            yield key, Cursor(value, self, key)

    def section(self, key: str) -> list[Cursor]:
        """The items of the array ``key``; none when it is absent, as older compilers leave sections out."""
        section = self.find(key)
        return [] if section is None else section.items()

    # -- arrays

    def items(self) -> list[Cursor]:
        if not isinstance(self.value, list):
            raise self._expected("an array")
        return [Cursor(value, self, i) for i, value in enumerate(self.value)]

    def tuple(self, *sizes: int) -> list[Cursor]:
        """The items of an array that has one of these sizes."""
        items = self.items()
        if len(items) not in sizes:
            wanted = " or ".join(str(size) for size in sizes)
            raise self.error(f"expected an array of {wanted} items, found {len(items)}")
        return items

    # -- scalars

    def integer(self, low: int, high: int) -> int:
        if not isinstance(self.value, int) or isinstance(self.value, bool):
            raise self._expected("an integer")
        if not low <= self.value <= high:
            found = self.value if abs(self.value) < 1 << 64 else "a far larger number"
            raise self.error(f"must be between {low} and {high}, found {found}")
        return self.value

    def boolean(self) -> bool:
        if not isinstance(self.value, bool):
            raise self._expected("a boolean")
        return self.value

    def flag(self, key: str, default: bool = False) -> bool:
        """An optional boolean member."""
        member = self.find(key)
        return default if member is None else member.boolean()

    def string(self) -> str:
        if not isinstance(self.value, str):
            raise self._expected("a string")
        try:
            self.value.encode()
        except UnicodeEncodeError:
            raise self.error("is not valid Unicode (it holds half of a surrogate pair)") from None
        return self.value

    def name(self) -> str:
        name = self.string()
        if not 0 < len(name) <= MAX_NAME:
            raise self.error(f"a name has 1 to {MAX_NAME} characters, this one has {len(name)}")
        return name

    def hexstr(self) -> int:
        """A number written in hexadecimal, of at most MAX_WIDTH bits, perhaps negative."""
        text = self.string()
        if len(text) > MAX_WIDTH // 4 + 3:
            raise self.error(f"a number has at most {MAX_WIDTH} bits")
        match = _HEX.fullmatch(text)
        if match is None:
            raise self.error(f"expected a hexadecimal number, found {quoted(text)}")
        value = int(match[2], 16)
        return -value if match[1] else value

    def choice(self, options: Mapping[str, T], what: str) -> T:
        """What ``options`` has under this string."""
        text = self.string()
        if text not in options:
            known = ", ".join(options)
            raise self.error(f"unknown {what} {quoted(text)}", f"p4jit knows {known}")
        return options[text]

    def resolve(self, names: Mapping[str, T], what: str) -> T:
        """The object this string names."""
        text = self.string()
        if text not in names:
            raise self.error(f"there is no {what} named {quoted(text)}")
        return names[text]

    def resolve_id(self, ids: Mapping[int, T], what: str) -> T:
        """The object this integer identifies."""
        number = self.integer(0, 2**31 - 1)
        if number not in ids:
            raise self.error(f"there is no {what} with id {number}")
        return ids[number]


def unique_ids(items: list[Cursor], what: str) -> dict[int, Cursor]:
    """The objects of a section by their ``id``, which must differ."""
    ids: dict[int, Cursor] = {}
    for item in items:
        cursor = item.get("id")
        number = cursor.integer(0, 2**31 - 1)
        if number in ids:
            raise cursor.error(f"two {what}s have id {number} (the other is {ids[number].path})")
        ids[number] = item
    return ids


def new_name(item: Cursor, taken: Mapping[str, object], what: str) -> str:
    """The ``name`` of an object, not yet in ``taken``."""
    cursor = item.get("name")
    name = cursor.name()
    if name in taken:
        raise cursor.error(f"two {what}s are named {quoted(name)}")
    return name


def parse(text: str | bytes) -> Cursor:
    """The root of a JSON document. Raises ProgramError for anything that is not one."""
    if len(text) > MAX_TEXT:
        raise ProgramError("$", f"the program is larger than {MAX_TEXT >> 20} MiB")
    try:
        value: object = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise ProgramError("$", "values are nested too deeply") from None
    except (ValueError, UnicodeError) as error:
        raise ProgramError(
            "$", f"not a JSON document: {error}", "give the .json file that p4c wrote"
        ) from None
    return Cursor(value)


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not a JSON number")
