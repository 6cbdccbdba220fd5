# SPDX-License-Identifier: Apache-2.0
"""YAML whose every value knows its line.

What is read is the core schema of YAML 1.2: `no` is a word, 12:30 is no number, and no tag makes an object.
Text may come from anyone, so its size, its depth and what its aliases stand for are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml
from yaml.composer import Composer
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from .problem import ModelError, Path, Problem

#: Bytes of a file; a thousand switches with all that belongs to them take half of it.
LARGEST: Final = 1 << 20
#: Values, each counted as often as aliases repeat it.
MOST_VALUES: Final = 100_000
DEEPEST: Final = 20

_TAG: Final = "tag:yaml.org,2002:"
_CONSTANTS: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")


@dataclass(frozen=True)
class Document:
    """``data`` is dicts with str keys, lists, str, int, float, bool and None."""

    file: str
    data: Any
    lines: Mapping[Path, int] = field(default_factory=dict)

    def line(self, at: Path) -> int:
        """Of a value, or of what it would be in, if it is not there."""
        while at and at not in self.lines:
            at = at[:-1]
        return self.lines.get(at, 1)


class _Loader(Reader, Scanner, Parser, Composer, BaseResolver):
    """Composes only. Without implicit resolvers a plain scalar is a string until `_scalar` looks at it."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)
        self._depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """Refuses what is too deep before Python does."""
        self._depth += 1
        if self._depth > DEEPEST:
            message = f"more than {DEEPEST} levels deep"
            raise yaml.MarkedYAMLError(problem=message, problem_mark=self.get_mark())
        node: Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node


#: Of no use in names, addresses and paths: control characters, and halves of characters (surrogates).
_NO_TEXT: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def _scalar(node: ScalarNode) -> Any:
    text: str = node.value
    if node.style is not None:  # quoted, or a block
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


class _Reading:
    """One walk over the nodes: data, lines, and what is wrong."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[Path, int] = {}
        self.problems: list[Problem] = []
        self._values = 0
        self._within: set[int] = set()

    def problem(self, node: Node, at: Path, message: str, hint: str = "") -> None:
        self.problems.append(Problem(at, message, hint, file=self.file, line=node.start_mark.line + 1))

    def read(self, node: Node, at: Path) -> Any:
        self._values += 1
        if self._values > MOST_VALUES:
            return None
        self.lines.setdefault(at, node.start_mark.line + 1)
        if id(node) in self._within:
            self.problem(node, at, "an alias of what it is in", "a model is a tree")
            return None
        if node.tag not in (_TAG + "str", _TAG + "seq", _TAG + "map"):
            self.problem(node, at, f"the tag {node.tag} has no meaning here", "write the value without it")
            return None
        if isinstance(node, ScalarNode):
            if odd := _NO_TEXT.search(node.value):
                self.problem(node, at, f"the character {ascii(odd[0])[1:-1]} is no text", "leave it out")
                return None
            return _scalar(node)
        self._within.add(id(node))
        try:
            if isinstance(node, SequenceNode):
                return [self.read(each, (*at, index)) for index, each in enumerate(node.value)]
            assert isinstance(node, MappingNode)
            return dict(self._items(node, at))
        finally:
            self._within.remove(id(node))

    def _items(self, node: MappingNode, at: Path) -> Iterator[tuple[str, Any]]:
        first: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self.problem(key, at, "a field's name is a word")
                continue
            name, line = key.value, key.start_mark.line + 1
            path = (*at, name)
            if name == "<<":
                self.problem(key, path, "fields are not merged", "an alias stands for a whole value")
            elif name in first:
                self.problem(key, path, "given twice", f"first in line {first[name]}")
            else:
                first[name] = line
                self.lines[path] = line
                yield name, self.read(value, path)

    @property
    def is_too_much(self) -> bool:
        return self._values > MOST_VALUES


def too_large(file: str) -> ModelError:
    return ModelError([Problem((), f"more than {LARGEST >> 20} MiB", "split the network", file=file)])


def read(text: str, file: str) -> Document:
    """ModelError: not YAML, or not the YAML that is read here."""
    if len(text.encode(errors="replace")) > LARGEST:
        raise too_large(file)
    try:
        node = _Loader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = ", ".join(part for part in (error.context, error.problem) if part)
        line = mark.line + 1 if mark else 0
        raise ModelError([Problem((), f"not YAML: {message}", file=file, line=line)]) from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"the character #x{error.character:04x} is not allowed"
        raise ModelError([Problem((), message, "the file is UTF-8 text", file=file, line=line)]) from None
    if node is None:
        raise ModelError([Problem((), "empty", "a model begins with version: 1", file=file, line=1)])
    reading = _Reading(file)
    data = reading.read(node, ())
    if reading.is_too_much:
        reading.problem(node, (), f"more than {MOST_VALUES} values, counting what aliases repeat")
    if reading.problems:
        raise ModelError(reading.problems)
    return Document(file, data, reading.lines)
