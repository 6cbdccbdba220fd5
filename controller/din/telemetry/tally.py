# SPDX-License-Identifier: Apache-2.0
"""Counts of what reports say, since the start: what an exporter shows. Its labels are names of the model, so
bounded.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from din.packet.constants import TokenEvent

from .decode import GAP_BINS, Batch
from .directory import UNKNOWN, Directory, reason
from .ttft import Place, Response, TokenReport

#: Seconds: upper bounds of the buckets of TTFT.
TTFT_BOUNDS: Final = (
    0.01,
    0.02,
    0.04,
    0.06,
    0.08,
    0.1,
    0.15,
    0.2,
    0.3,
    0.4,
    0.6,
    0.8,
    1.0,
    1.5,
    2.5,
    5.0,
    10.0,
    30.0,
)
NETWORK_BOUNDS: Final = (
    0.001,
    0.002,
    0.004,
    0.006,
    0.008,
    0.01,
    0.015,
    0.02,
    0.03,
    0.04,
    0.06,
    0.1,
    0.2,
    0.5,
    1.0,
)
#: The switch's own: gaps below 128 us, each further one twice as long.
GAP_BOUNDS: Final = tuple(128e-6 * 2**power for power in range(GAP_BINS - 1))
_QUEUES: Final = 8


@dataclass
class Histogram:
    """``counts``: for each bound those up to it and above the one before, then those above all."""

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


@dataclass
class Tally:
    datagrams: int = 0
    strangers: int = 0  # of nodes or senders that the model does not have
    malformed: Counter[str] = field(default_factory=Counter)
    drops: Counter[tuple[str, str]] = field(default_factory=Counter)  # switch, reason
    congestion: Counter[tuple[str, str]] = field(default_factory=Counter)  # switch, queue
    spans: Counter[str] = field(default_factory=Counter)  # instance
    ttft: dict[tuple[str, ...], Histogram] = field(default_factory=dict)  # service, place
    network: dict[tuple[str, ...], Histogram] = field(default_factory=dict)  # service
    gaps: dict[tuple[str, ...], Histogram] = field(default_factory=dict)  # service, place

    def batch(self, batch: Batch, directory: Directory) -> None:
        reports = batch.reports
        self.malformed.update({each.value: n for each, n in batch.malformed.items()})
        for node, number, n in _pairs(reports.node, reports.drop_reason, reports.dropped):
            self.drops[directory.node(node), reason(number)] += n
        for node, queue, n in _pairs(reports.node, reports.queue, reports.congested):
            self.congestion[directory.node(node), str(queue) if queue < _QUEUES else UNKNOWN] += n

    def first_token(self, response: Response, place: Place) -> None:
        """Of which ``place`` was told just now."""
        service = response.service
        if place is not Place.SERVER and response.client is not None:
            _histogram(self.ttft, TTFT_BOUNDS, service, Place.CLIENT).observe(response.client / 1e6)
        if place is not Place.CLIENT and response.server is not None:
            _histogram(self.ttft, TTFT_BOUNDS, service, Place.SERVER).observe(response.server / 1e6)
        if response.network is not None:
            _histogram(self.network, NETWORK_BOUNDS, service).observe(response.network / 1e6)

    def done(self, report: TokenReport) -> None:
        if report.event is not TokenEvent.DONE:
            return
        places = [Place.CLIENT, Place.SERVER] if report.place is Place.BOTH else [report.place]
        for place in places:
            histogram = _histogram(self.gaps, GAP_BOUNDS, report.service, place)
            histogram.counts = [a + b for a, b in zip(histogram.counts, report.gaps, strict=True)]
            histogram.total += report.gap_sum / 1e6


def _histogram(found: dict[tuple[str, ...], Histogram], bounds: tuple[float, ...], *labels: str) -> Histogram:
    return found.setdefault(labels, Histogram(bounds))


def _pairs(
    nodes: np.ndarray[tuple[int], np.dtype[np.int64]],
    values: np.ndarray[tuple[int], np.dtype[np.int64]],
    wanted: np.ndarray[tuple[int], np.dtype[np.bool_]],
) -> list[tuple[int, int, int]]:
    """How often each pair is there."""
    found = Counter(zip(nodes[wanted].tolist(), values[wanted].tolist(), strict=True))
    return [(node, value, n) for (node, value), n in found.items()]
