# SPDX-License-Identifier: Apache-2.0
"""Where the time to a first token went: network, queue, compute, and the rest. Pure.

    network   TTFT at the client's leaf less that at the server's: request and response through the fabric
    queue     in the server, until the request was scheduled
    compute   its prefill
    other     TTFT at the server's leaf less queue and compute: access links, HTTP, tokenisation

Queue and compute come from spans of the instance that had the request (source "spans"), else from its
histograms, as means of what it finished in the 2 s before (source "histograms"): good for a service's mean,
not for its tail. A span that says whose request it was about belongs to that response. Others (vLLM's do not
say) are counted for themselves, and their means stand for responses of their instance in "other". A span that
does not tell queue and prefill apart (SGLang's) counts for neither.
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

    responses: int  # that a leaf reported
    spans: int  # that tell queue and compute
    source: str  # of queue and compute: spans | histograms | mixed | none
    client_leaf: Statistics
    server_leaf: Statistics
    network: Statistics
    queue: Statistics
    compute: Statistics
    other: Statistics


@dataclass(frozen=True)
class _Parts:
    """us."""

    queue: float | None
    compute: float | None
    source: str


def _of_span(response: Response) -> _Parts | None:
    span = response.span
    if span is None or span.queue is None or span.prefill is None:
        return None
    return _Parts(span.queue * 1e6, span.prefill * 1e6, "spans")


def _of_load(response: Response) -> _Parts | None:
    load = response.load
    if load is None or (load.queue_time is None and load.prefill_time is None):
        return None
    return _Parts(_us(load.queue_time), _us(load.prefill_time), "histograms")


def _us(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e6


def _means(responses: Sequence[Response], spans: Sequence[_Parts | None]) -> dict[str, _Parts]:
    """By instance, of its spans."""
    found: dict[str, list[_Parts]] = {}
    for response, parts in zip(responses, spans, strict=True):
        if parts is not None and response.instance is not None:
            found.setdefault(response.instance, []).append(parts)
    return {
        name: _Parts(
            Statistics.of(each.queue for each in of_instance).mean,
            Statistics.of(each.compute for each in of_instance).mean,
            "spans",
        )
        for name, of_instance in found.items()
    }


def _other(response: Response, parts: _Parts | None) -> float | None:
    if response.server is None or parts is None or parts.queue is None or parts.compute is None:
        return None
    return max(0.0, response.server - parts.queue - parts.compute)


def split(responses: Sequence[Response]) -> Split:
    spans = [_of_span(each) for each in responses]
    means = _means(responses, spans)
    counted = [
        own or (None if each.instance in means else _of_load(each))
        for each, own in zip(responses, spans, strict=True)
    ]
    sources = sorted({each.source for each in counted if each})
    return Split(
        responses=sum(each.client is not None or each.server is not None for each in responses),
        spans=sum(each is not None for each in spans),
        source=sources[0] if len(sources) == 1 else "mixed" if sources else "none",
        client_leaf=Statistics.of(each.client for each in responses),
        server_leaf=Statistics.of(each.server for each in responses),
        network=Statistics.of(each.network for each in responses),
        queue=Statistics.of(each.queue for each in counted if each),
        compute=Statistics.of(each.compute for each in counted if each),
        other=Statistics.of(
            _other(each, parts or means.get(each.instance or ""))
            for each, parts in zip(responses, counted, strict=True)
        ),
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
