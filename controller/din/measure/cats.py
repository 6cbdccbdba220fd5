# SPDX-License-Identifier: Apache-2.0
"""What was measured in the terms of CATS (draft-ietf-cats-metric-definition): raw metrics (L0), a score for
each category (L1), and one score (L2). For people and for export: steering decides on the raw metrics.

Scores are integers, 0 the poorest and 10 the best; 0-3: better not steered to, 4-7: may be, 8-10: first.
The draft asks that they be defined, so:

  compute_norm        room for requests: 10 less the share that is taken of the slots or of the KV cache, of
                      whichever is more
  service_norm        10 for a queue time of 0, 5 at the service's TTFT objective, 0 at twice that and beyond.
                      Where queue time is not known: of TTFT, else of the time that the queue takes to drain.
                      0 if the instance is dead
  communication_norm  the same scale for the path's latency, both ways, against a tenth of the TTFT objective
  norm_fi             the least of those that are known: a session needs them all

What is not known has no score, and L2 needs service_norm at least.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from din.model.service import Slo

from .state import InstanceState, Load

BEST: Final = 10
#: Of the TTFT objective, what the network may take until its score is 5.
NETWORK_SHARE: Final = 0.1


class Level(StrEnum):
    L0 = "L0"
    L1 = "L1"
    L2 = "L2"


@dataclass(frozen=True)
class Metric:
    """The draft's fields; ``format`` and ``length`` are those that its scores have, and a double's for raw
    ones.
    """

    metric_type: str
    level: Level
    value: float
    unit: str = ""
    source: str = "normalization"
    statistics: str = ""

    @property
    def format(self) -> str:
        return "float" if self.level is Level.L0 else "int"

    @property
    def length(self) -> int:
        return 8 if self.level is Level.L0 else 1


@dataclass(frozen=True)
class Scores:
    """0-10, None: not known."""

    compute: int | None
    service: int | None
    communication: int | None

    @property
    def overall(self) -> int | None:
        """L2."""
        if self.service is None:
            return None
        return min(score for score in (self.compute, self.service, self.communication) if score is not None)


def score(value: float, worst: float) -> int:
    """Min-max scaling: 10 for 0, 0 for ``worst`` and beyond. ``worst`` > 0."""
    return round(BEST * (1 - min(max(value / worst, 0.0), 1.0)))


def _compute(load: Load, slots: int | None) -> int | None:
    taken = [share for share in (load.kv_usage,) if share is not None]
    if slots and load.running is not None:
        taken.append(load.running / slots)
    return score(max(taken), 1.0) if taken else None


def _delay(load: Load) -> float | None:
    """Seconds that a request is about to wait."""
    if load.queue_time is not None:
        return load.queue_time
    if load.ttft is not None:
        return load.ttft
    if load.waiting == 0:
        return 0.0
    if load.waiting is not None and load.requests_per_second:
        return load.waiting / load.requests_per_second
    return None


def scores(
    instance: InstanceState, slo: Slo, latency: float | None = None, slots: int | None = None
) -> Scores:
    """``latency``: of the path to the instance and back, us; ``slots``: how many requests it runs at once."""
    objective = slo.ttft / 1e6
    load = instance.load
    delay = None if load is None else _delay(load)
    service = None if delay is None else score(delay, 2 * objective)
    return Scores(
        compute=None if load is None else _compute(load, slots),
        service=0 if instance.alive is False else service,
        communication=None if latency is None else score(latency, 2 * NETWORK_SHARE * slo.ttft),
    )


#: Field of `Load` -> name, unit, statistics.
_RAW: Final = {
    "running": ("service_requests_running", "none", "cur"),
    "waiting": ("service_requests_waiting", "none", "cur"),
    "kv_usage": ("compute_kv_cache_utilization", "none", "cur"),
    "queue_time": ("service_queue_delay", "s", "mean"),
    "prefill_time": ("compute_prefill_delay", "s", "mean"),
    "ttft": ("service_time_to_first_token", "s", "mean"),
    "tpot": ("service_time_per_output_token", "s", "mean"),
    "prompt_tokens_per_second": ("service_prompt_tokens", "tokens/s", "mean"),
    "generated_tokens_per_second": ("service_generated_tokens", "tokens/s", "mean"),
    "requests_per_second": ("service_requests_finished", "requests/s", "mean"),
}


def metrics(
    instance: InstanceState, slo: Slo, latency: float | None = None, slots: int | None = None
) -> Iterator[Metric]:
    """Of an instance, all levels, as `scores`; none for what is not known."""
    if instance.load is not None:
        for field, (name, unit, statistics) in _RAW.items():
            value = getattr(instance.load, field)
            if value is not None:
                yield Metric(name, Level.L0, value, unit, "directly measured", statistics)
    if latency is not None:
        yield Metric("network_delay", Level.L0, latency, "us", "aggregation", "mean")
    found = scores(instance, slo, latency, slots)
    for name, value in (
        ("compute_norm", found.compute),
        ("service_norm", found.service),
        ("communication_norm", found.communication),
    ):
        if value is not None:
            yield Metric(name, Level.L1, value)
    if found.overall is not None:
        yield Metric("norm_fi", Level.L2, found.overall)
