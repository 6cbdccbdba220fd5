# SPDX-License-Identifier: Apache-2.0
"""`Load` from the pages of model servers.

A name that is not there leaves its field None: servers rename metrics, and a reader that takes 0 for what
it does not find sees a full server as empty. A negative gauge (-1 is some servers' word for unknown) and
NaN are None as well.

Several series of one name are several engines: requests are summed, KV use is averaged. Ranks of one engine
(tensor, pipeline, expert parallel) all hold the same requests and count once.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from . import exposition
from .exposition import Labels, Sample
from .state import Load
from .vocabulary import PROCESS_START, VOCABULARIES, Gauge, Info, Row, Share, Vocabulary

log = logging.getLogger(__name__)

#: Seconds. Means and rates are of what finished in so long: a server finishes a few requests a second.
WINDOW: Final = 2.0

#: name -> labels -> value.
Series: TypeAlias = Mapping[str, Mapping[Labels, float]]

_RANKS: Final = frozenset({"tp_rank", "pp_rank", "moe_ep_rank"})


# ---- one page ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """A page's series in the vocabulary's own names, at a time."""

    at: float
    series: Series = field(default_factory=dict)
    started: float | None = None  # what the server says of its process

    @property
    def empty(self) -> bool:
        return not self.series


def reading(samples: Iterable[Sample], vocabulary: Vocabulary, at: float) -> Reading:
    """Of the prefixes that occur, the first in the vocabulary's order is read: a page may say everything
    twice.
    """
    by_prefix: dict[int, dict[str, dict[Labels, float]]] = {}
    started = None
    for sample in samples:
        if sample.name == PROCESS_START:
            started = sample.value
        if sample.name in vocabulary.known:
            prefix, name = vocabulary.known[sample.name]
            by_prefix.setdefault(prefix, {}).setdefault(name, {})[sample.labels] = sample.value
    series = by_prefix[min(by_prefix)] if by_prefix else {}
    if vocabulary.scope is not None:
        series = _scoped(series, *vocabulary.scope)
    return Reading(at, series, started)


def _scoped(series: dict[str, dict[Labels, float]], name: str, label: str) -> dict[str, dict[Labels, float]]:
    inside = {pair for labels in series.get(name, {}) for pair in labels if pair[0] == label}
    scoped = {
        each: {labels: value for labels, value in rows.items() if inside & labels}
        for each, rows in series.items()
    }
    return {each: rows for each, rows in scoped.items() if rows}


def _engines(rows: Mapping[Labels, float], where: Labels) -> list[float]:
    """A value for each engine."""
    chosen = {labels: value for labels, value in rows.items() if where <= labels}
    # SGLang with priorities: a series for each, and their sum with an empty label.
    if any(("priority", "") in labels for labels in chosen):
        chosen = {labels: value for labels, value in chosen.items() if ("priority", "") in labels}
    engines: dict[Labels, float] = {}
    for labels, value in chosen.items():
        engine = frozenset(pair for pair in labels if pair[0] not in _RANKS)
        before = engines.get(engine, value)
        # Not max(): NaN must win, whichever comes first.
        engines[engine] = value if value > before or math.isnan(value) else before
    return list(engines.values())


def _values(series: Series, gauge: Gauge) -> list[float] | None:
    """None: no such series. One engine that does not know makes the sum unknown: NaN."""
    if isinstance(gauge, Share):
        parts, wholes = _values(series, gauge.part), _values(series, gauge.whole)
        if not parts or not wholes or not sum(wholes) > 0:
            return None
        return [sum(parts) / sum(wholes)]
    if isinstance(gauge, Info):
        infos = {labels: dict(labels).get(gauge.label) for labels in series.get(gauge.name, {})}
        numbers = {labels: _number(text) for labels, text in infos.items() if text is not None}
        return _engines(numbers, frozenset()) or None
    found = _engines(series.get(gauge.name, {}), gauge.where)
    return [value * gauge.scale for value in found] or None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _known(series: Series, gauges: Iterable[Gauge]) -> list[float] | None:
    """Of the first alternative that is there; None also if one of its values says that it is not known."""
    values = next((found for gauge in gauges if (found := _values(series, gauge)) is not None), None)
    if values is None or not all(math.isfinite(value) and value >= 0 for value in values):
        return None
    return values


def _total(series: Series, gauges: Iterable[Gauge]) -> float | None:
    values = _known(series, gauges)
    return None if values is None else sum(values)


def _mean(series: Series, gauges: Iterable[Gauge]) -> float | None:
    values = _known(series, gauges)
    return None if values is None else sum(values) / len(values)


def _same(series: Series, gauges: Iterable[Gauge]) -> float | None:
    """What all engines agree on."""
    values = _known(series, gauges)
    return values[0] if values and len(set(values)) == 1 else None


# ---- two pages ---------------------------------------------------------------------------------------------


def _restarted(before: Reading, after: Reading, vocabulary: Vocabulary) -> bool:
    """What only grows fell, or is gone."""
    if before.started != after.started:
        return True
    nothing: Mapping[Labels, float] = {}
    for name, old in before.series.items():
        if name in vocabulary.cumulative:
            new = after.series.get(name, nothing)
            if not all(new.get(labels, -1.0) >= value for labels, value in old.items()):
                return True
    return False


def _growth(before: Reading, after: Reading, vocabulary: Vocabulary) -> Series:
    """What was added to each cumulative series; one that is new began at 0."""
    nothing: Mapping[Labels, float] = {}
    growth = {}
    for name, new in after.series.items():
        if name in vocabulary.cumulative:
            old = before.series.get(name, nothing)
            growth[name] = {labels: value - old.get(labels, 0.0) for labels, value in new.items()}
    return growth


def _interval_mean(growth: Series, rows: Iterable[Row]) -> float | None:
    for row in rows:
        count = sum(_engines(growth.get(f"{row.name}_count", {}), row.where))
        if count > 0:
            return row.scale * sum(_engines(growth.get(f"{row.name}_sum", {}), row.where)) / count
    return None


def _rate(growth: Series, rows: Iterable[Row], seconds: float) -> float | None:
    found = next(
        (engines for row in rows if (engines := _engines(growth.get(row.name, {}), row.where))), None
    )
    return None if found is None else sum(found) / seconds


def load(after: Reading, vocabulary: Vocabulary, before: Reading | None = None) -> Load:
    """``before``: of the same run of the server. Means and rates are of what came since then; without it they
    are None.
    """
    kv_usage = _mean(after.series, vocabulary.kv_usage)
    interval: dict[str, float | None] = {}
    if before is not None and after.at > before.at:
        seconds = after.at - before.at
        growth = _growth(before, after, vocabulary)
        interval.update((name, _interval_mean(growth, rows)) for name, rows in vocabulary.means.items())
        interval.update((name, _rate(growth, rows, seconds)) for name, rows in vocabulary.rates.items())
    return Load(
        at=after.at,
        running=_total(after.series, vocabulary.running),
        waiting=_total(after.series, vocabulary.waiting),
        kv_usage=None if kv_usage is None else min(kv_usage, 1.0),
        block_size=_same(after.series, vocabulary.block_size),
        blocks=_total(after.series, vocabulary.blocks),
        **interval,
    )


# ---- page after page ---------------------------------------------------------------------------------------


class Reader:
    """Of one instance's pages, in their order."""

    def __init__(self, instance: str, server: str) -> None:
        """``server``: a key of `VOCABULARIES`, else KeyError."""
        self.instance = instance
        self.server = server
        self._vocabulary = VOCABULARIES[server]
        self._history: deque[Reading] = deque()
        self._reported: set[str] = set()

    def read(self, page: bytes, at: float) -> Load:
        """ExpositionError: not a page of metrics, or none of this kind of server; what was read before
        stands.
        """
        vocabulary = self._vocabulary
        now = reading(exposition.parse(page, vocabulary.wanted), vocabulary, at)
        if now.empty:
            found = _some(exposition.names(page))
            raise exposition.ExpositionError(
                f"no metric of {self.server} ({', '.join(vocabulary.prefixes)}…) among {found}"
            )
        history = self._history
        # After a gap there is no mean of the last seconds either.
        if history and (history[-1].at < at - 2 * WINDOW or _restarted(history[-1], now, vocabulary)):
            history.clear()
        while len(history) > 1 and history[1].at <= at - WINDOW:
            history.popleft()
        result = load(now, vocabulary, history[0] if history else None)
        history.append(now)
        self._report(result, page)
        return result

    def _report(self, result: Load, page: bytes) -> None:
        """Once for each: that a gauge was renamed must not go unnoticed."""
        for name, gauges in self._vocabulary.gauges.items():
            if getattr(result, name) is not None or name in self._reported:
                continue
            self._reported.add(name)
            log.warning(
                "%s: %s is unknown: its page has no valid %s; it has %s. Is it %s, and of which version?",
                self.instance,
                name,
                " or ".join(map(self._spell, gauges)),
                _some(_gauges(page, self._vocabulary.prefixes)),
                self.server,
            )

    def _spell(self, gauge: Gauge) -> str:
        if isinstance(gauge, Share):
            return f"{self._spell(gauge.part)} / {self._spell(gauge.whole)}"
        name = self._vocabulary.prefixes[0] + gauge.name
        if isinstance(gauge, Info):
            return f"{name}{{{gauge.label}}}"
        return name + "".join(f"{{{label}={value}}}" for label, value in sorted(gauge.where))


def _gauges(page: bytes, prefixes: tuple[str, ...]) -> list[str]:
    """Names that a gauge may have."""
    others = ("_total", "_bucket", "_sum", "_count", "_created")
    return [
        name for name in exposition.names(page) if name.startswith(prefixes) and not name.endswith(others)
    ]


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:12]) or "nothing"
    return f"{shown} and {len(names) - 12} more" if len(names) > 12 else shown
