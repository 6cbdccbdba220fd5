# SPDX-License-Identifier: Apache-2.0
"""Shares of instances in the connections that begin: how a target is approached, and the ways of choosing
that DIN is compared with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from .buckets import BUCKETS

#: Below it a share is none: half a bucket.
_NOTHING: Final = 0.5 / BUCKETS

#: Of the way to the target, what one interval goes; and the most of all connections that it moves.
GAIN: Final = 0.3
STEP: Final = 0.1
#: Of all connections, what is not worth moving.
HYSTERESIS: Final = 0.02


def equal(instances: Sequence[str]) -> dict[str, float]:
    return {name: 1.0 / len(instances) for name in instances}


def nearest(latencies: Mapping[str, float]) -> dict[str, float]:
    """All to the least latency, ties evenly: what anycast does."""
    least = min(latencies.values(), default=0.0)
    first = [name for name, latency in latencies.items() if latency == least]
    return {name: 1.0 / len(first) if name in first else 0.0 for name in latencies}


def tidy(shares: Mapping[str, float], of_greatest: float = 0.0) -> dict[str, float]:
    """Summing to 1, without those too small for a bucket, or smaller than such a part of the greatest."""
    least = max(_NOTHING * sum(shares.values()), of_greatest * max(shares.values(), default=0.0))
    kept = {name: share for name, share in shares.items() if share > least}
    total = sum(kept.values())
    return {name: kept.get(name, 0.0) / total if total else 0.0 for name in shares}


def damp(before: Mapping[str, float], target: Mapping[str, float]) -> dict[str, float]:
    """From ``before`` towards ``target``, whose instances are those that may have a share: what others had
    goes to them at once, as the target has it. Then GAIN of the way, STEP at most; nothing below
    HYSTERESIS. How far it is are all shares together: of hundreds of instances each one's changes are small.
    """
    kept = {name: before.get(name, 0.0) for name in target}
    lost = max(1.0 - sum(kept.values()), 0.0)
    start = {name: share + lost * target[name] for name, share in kept.items()}
    away = sum(abs(target[name] - start[name]) for name in target) / 2
    if away < HYSTERESIS:
        return start
    factor = min(GAIN, STEP / away)
    # The last bit at once: of a geometric approach there is no end.
    if away * (1 - factor) < HYSTERESIS:
        factor = 1.0
    return {name: start[name] + factor * (target[name] - start[name]) for name in target}
