# SPDX-License-Identifier: Apache-2.0
"""Reading Prometheus' text format 0.0.4, and of OpenMetrics 1.0 what differs: exemplars and `# EOF`.

A model server's page has hundreds of lines, of which some twenty matter, twice a second: lines of other
names are left before their labels are looked at. The work is linear in the page's size, whatever is in it.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

Labels: TypeAlias = frozenset[tuple[str, str]]

#: Bytes. Sixteen vLLM engines behind one page are under 1 MB.
MAX_PAGE: Final = 2 << 20
#: What is read of a page at most; it has some twenty that matter for each engine.
MAX_SAMPLES: Final = 20_000

_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*+", re.ASCII)
# Possessive all over, so that a missing quote or brace costs one pass and no more.
_LINE: Final = re.compile(
    r"""[a-zA-Z_:][a-zA-Z0-9_:]*+
    (?:[ \t]*+(\{(?:[^"}]++|"(?:[^"\\]++|\\.)*+")*+\})[ \t]*+|[ \t]++)
    ([+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?|[+-]?[iI][nN][fF]|[nN][aA][nN])
    (?:[ \t]++[+-]?[0-9][0-9.eE+-]*+)?      # a timestamp: ours is the scrape's
    (?:[ \t]++\#[ \t]*+\{.*)?               # an exemplar
    """,
    re.ASCII | re.VERBOSE,
)
_LABEL: Final = re.compile(
    r'[ \t]*+([a-zA-Z_][a-zA-Z0-9_]*+)[ \t]*+=[ \t]*+"((?:[^"\\]++|\\.)*+)"[ \t]*+(?:,|(?=\}))', re.ASCII
)
_LABELS_END: Final = re.compile(r"[ \t]*+\}")
_ESCAPE: Final = re.compile(r'\\([\\n"])')
_ESCAPES: Final = {"\\": "\\", "n": "\n", '"': '"'}
#: Labels are the same in page after page: so many are remembered, if they are no longer than that.
_REMEMBERED: Final = 8192
_LONGEST_REMEMBERED: Final = 1024


class ExpositionError(ValueError):
    """Not a page of metrics. Says which line, and what is wrong with it."""


class Sample(NamedTuple):
    name: str
    labels: Labels
    value: float


def _error(number: int, line: str, what: str) -> ExpositionError:
    return ExpositionError(f"line {number}: {what}: {line[:80]!r}")


def _parse_labels(text: str) -> Labels:
    """``text``: with its braces. ValueError says what is wrong."""
    labels: dict[str, str] = {}
    at = 1
    while (label := _LABEL.match(text, at)) is not None:
        name, value = label.groups()
        if name in labels:
            raise ValueError(f"label {name} is given twice")
        if "\\" in value:
            value = _ESCAPE.sub(lambda match: _ESCAPES[match[1]], value)
        labels[name] = value
        at = label.end()
    if _LABELS_END.fullmatch(text, at) is None:
        raise ValueError('labels are not of the form name="value", …')
    return frozenset(labels.items())


_remembered_labels = lru_cache(_REMEMBERED)(_parse_labels)


def _sample(number: int, line: str, name: str) -> Sample:
    match = _LINE.fullmatch(line)
    if match is None:
        raise _error(number, line, 'not of the form name{label="value", …} number')
    text = match[1]
    if text is None:
        return Sample(name, frozenset(), float(match[2]))
    try:
        labels = (_remembered_labels if len(text) <= _LONGEST_REMEMBERED else _parse_labels)(text)
    except ValueError as error:
        raise _error(number, line, str(error)) from None
    return Sample(name, labels, float(match[2]))


def _lines(page: bytes) -> Iterator[tuple[int, str, str]]:
    """(number, line, the name that it begins with)."""
    if len(page) > MAX_PAGE:
        raise ExpositionError(f"a page of {len(page)} bytes: more than {MAX_PAGE} are not read")
    try:
        text = page.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ExpositionError(f"byte {error.start} is not UTF-8") from None
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip(" \t\r")
        if not line:
            continue
        if line[0] == "#":
            if line == "# EOF":
                return
            continue
        name = _NAME.match(line)
        if name is not None:
            yield number, line, name[0]


def parse(page: bytes, names: Container[str] | None = None) -> list[Sample]:
    """The samples of ``names`` (None: all), in the page's order. Counters keep their `_total`, histograms are
    their `_sum`, `_count` and `_bucket` rows; timestamps and exemplars are left out.

    ExpositionError: too long, too many, not UTF-8, or a line of such a name is malformed. Lines that begin
    with no name of the classic alphabet (Prometheus 3 quotes others) have none of ours either and are passed
    over.
    """
    samples: list[Sample] = []
    for number, line, name in _lines(page):
        if names is None or name in names:
            if len(samples) == MAX_SAMPLES:
                raise _error(number, line, f"more than {MAX_SAMPLES} samples are not read")
            samples.append(_sample(number, line, name))
    return samples


def names(page: bytes) -> list[str]:
    """Names of samples in ``page``, each once, to tell people what is there. ExpositionError: as `parse`."""
    return list(dict.fromkeys(name for _, _, name in _lines(page)))
