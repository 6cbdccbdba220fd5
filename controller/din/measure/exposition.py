# SPDX-License-Identifier: Apache-2.0
"""Reading Prometheus' text format 0.0.4, and of OpenMetrics 1.0 what differs: exemplars and `# EOF`.

A model server's page has hundreds of lines, of which some twenty matter, twice a second: lines of other
names are left before their labels are looked at. The work is linear in the page's size, whatever is in it.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from typing import Final, NamedTuple

#: Bytes. Sixteen vLLM engines behind one page are under 1 MB.
MAX_PAGE: Final = 2 << 20
#: What is read of a page at most; it has some twenty that matter for each engine.
MAX_SAMPLES: Final = 20_000

_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*+", re.ASCII)
# Possessive, so that a missing quote costs one pass and no more.
_LABEL: Final = re.compile(
    r'[ \t]*+([a-zA-Z_][a-zA-Z0-9_]*+)[ \t]*+=[ \t]*+"((?:[^"\\]++|\\.)*+)"[ \t]*+(?:,|(?=\}))', re.ASCII
)
_LABELS_END: Final = re.compile(r"[ \t]*+\}")
_VALUE: Final = re.compile(
    r"""[ \t]*+
    ([+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?|[+-]?[iI][nN][fF]|[nN][aA][nN])
    (?:[ \t]++[+-]?[0-9][0-9.eE+-]*+)?      # a timestamp: ours is the scrape's
    (?:[ \t]++\#[ \t]*+\{.*)?               # an exemplar
    [ \t]*+$""",
    re.ASCII | re.VERBOSE,
)
_ESCAPE: Final = re.compile(r'\\([\\n"])')
_ESCAPES: Final = {"\\": "\\", "n": "\n", '"': '"'}


class ExpositionError(ValueError):
    """Not a page of metrics. Says which line, and what is wrong with it."""


class Sample(NamedTuple):
    name: str
    labels: dict[str, str]
    value: float


def _unescape(value: str) -> str:
    return _ESCAPE.sub(lambda match: _ESCAPES[match[1]], value) if "\\" in value else value


def _error(number: int, line: str, what: str) -> ExpositionError:
    return ExpositionError(f"line {number}: {what}: {line[:80]!r}")


def _sample(number: int, line: str, name: str) -> Sample:
    labels: dict[str, str] = {}
    at = len(name)
    while at < len(line) and line[at] in " \t":
        at += 1
    if line[at : at + 1] == "{":
        at += 1
        while (label := _LABEL.match(line, at)) is not None:
            if label[1] in labels:
                raise _error(number, line, f"label {label[1]} is given twice")
            labels[label[1]] = _unescape(label[2])
            at = label.end()
        end = _LABELS_END.match(line, at)
        if end is None:
            raise _error(number, line, 'labels are not of the form name="value", …')
        at = end.end()
    elif at == len(name):
        raise _error(number, line, "not a metric's name")
    value = _VALUE.match(line, at)
    if value is None:
        raise _error(number, line, "no number after the name and labels")
    return Sample(name, labels, float(value[1]))


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
