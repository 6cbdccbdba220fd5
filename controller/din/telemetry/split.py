# SPDX-License-Identifier: Apache-2.0
"""Where the time to a first token went: network, queue, compute, and the rest. Pure.

    network   TTFT at the client's leaf less that at the server's: request and response through the fabric
    queue     in the server, until the request was scheduled
    compute   its prefill
    other     TTFT at the server's leaf less queue and compute: access links, HTTP, tokenisation

Queue and compute come from the request's span (source "spans"), else from the instance's histograms, as means
of what it finished in the 2 s before (source "histograms"): good for a service's mean, not for its tail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .ttft import Response


@dataclass(frozen=True)
class Statistics:
    """us. Of no values there are none but the count."""

    count: int
    mean: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Statistics:
        known = [each for each in values if each is not None]
        if not known:
            return cls(0)
        p50, p95, p99 = np.percentile(known, [50, 95, 99]).tolist()
        return cls(len(known), float(np.mean(known)), p50, p95, p99)


@dataclass(frozen=True)
class Split:
    """Of a number of responses."""

    responses: int
    spans: int  # of them, those that have one
    source: str  # of queue and compute: spans | histograms | mixed | none
    client_leaf: Statistics
    server_leaf: Statistics
    network: Statistics
    queue: Statistics
    compute: Statistics
    other: Statistics


@dataclass(frozen=True)
class _Parts:
    queue: float | None = None
    compute: float | None = None
    source: str = ""


def _parts(response: Response) -> _Parts:
    span, load = response.span, response.load
    if span is not None and (span.queue is not None or span.prefill is not None):
        return _Parts(_us(span.queue), _us(span.prefill), "spans")
    if load is not None and (load.queue_time is not None or load.prefill_time is not None):
        return _Parts(_us(load.queue_time), _us(load.prefill_time), "histograms")
    return _Parts()


def _us(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e6


def _other(response: Response, parts: _Parts) -> float | None:
    if response.server is None or parts.queue is None or parts.compute is None:
        return None
    return max(0.0, response.server - parts.queue - parts.compute)


def split(responses: Sequence[Response]) -> Split:
    parts = [_parts(each) for each in responses]
    sources = sorted({each.source for each in parts if each.source})
    return Split(
        responses=len(responses),
        spans=sum(each.span is not None for each in responses),
        source={0: "none", 1: sources[0] if sources else ""}.get(len(sources), "mixed"),
        client_leaf=Statistics.of(each.client for each in responses),
        server_leaf=Statistics.of(each.server for each in responses),
        network=Statistics.of(each.network for each in responses),
        queue=Statistics.of(each.queue for each in parts),
        compute=Statistics.of(each.compute for each in parts),
        other=Statistics.of(_other(*each) for each in zip(responses, parts, strict=True)),
    )


def latency(responses: Sequence[Response]) -> dict[str, Any]:
    """By service: its split, and that of each instance and each client's leaf. For JSON; times in us."""
    return {
        service: {
            **asdict(split(of_service)),
            "instances": _by(of_service, lambda each: each.instance),
            "leaves": _by(of_service, lambda each: each.client_leaf),
        }
        for service, of_service in _groups(responses, lambda each: each.service)
    }


def _by(responses: Sequence[Response], name: Callable[[Response], str | None]) -> dict[str, Any]:
    return {key: asdict(split(part)) for key, part in _groups(responses, name)}


def _groups(
    responses: Sequence[Response], name: Callable[[Response], str | None]
) -> list[tuple[str, list[Response]]]:
    groups: dict[str, list[Response]] = {}
    for each in responses:
        key = name(each)
        if key is not None:
            groups.setdefault(key, []).append(each)
    return sorted(groups.items())
