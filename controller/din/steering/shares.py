# SPDX-License-Identifier: Apache-2.0
"""Shares of instances in the connections that begin: how a target is approached, and the ways of choosing
that DIN is compared with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

#: Below it a share is none: half a bucket.
_NOTHING: Final = 0.5 / 1024

#: Of the way to the target, what one interval goes; and the most that a share changes in it.
GAIN: Final = 0.3
STEP: Final = 0.1
#: Changes that are not worth moving a bucket.
HYSTERESIS: Final = 0.02


def equal(instances: Sequence[str]) -> dict[str, float]:
    return {name: 1.0 / len(instances) for name in instances}


def nearest(latencies: Mapping[str, float]) -> dict[str, float]:
    """All to the least latency, ties evenly: what anycast does."""
    least = min(latencies.values(), default=0.0)
    first = [name for name, latency in latencies.items() if latency == least]
    return {name: 1.0 / len(first) if name in first else 0.0 for name in latencies}


def tidy(shares: Mapping[str, float]) -> dict[str, float]:
    """Summing to 1, without those too small for a bucket."""
    total = sum(shares.values())
    kept = {name: share for name, share in shares.items() if share > _NOTHING * total}
    total = sum(kept.values())
    return {name: kept.get(name, 0.0) / total if total else 0.0 for name in shares}


def damp(before: Mapping[str, float], target: Mapping[str, float]) -> dict[str, float]:
    """From ``before`` towards ``target``, whose instances are those that may have a share: what others had
    goes to them at once, as the target has it. Then GAIN of the way, STEP at most; nothing below
    HYSTERESIS.
    """
    kept = {name: before.get(name, 0.0) for name in target}
    lost = 1.0 - sum(kept.values())
    start = {name: share + lost * target[name] for name, share in kept.items()}
    away = max((abs(target[name] - start[name]) for name in target), default=0.0)
    if away < HYSTERESIS:
        return start
    factor = min(GAIN, STEP / away)
    # The last bit at once: of a geometric approach there is no end.
    if away * (1 - factor) < HYSTERESIS:
        factor = 1.0 if away <= STEP else factor
    return tidy({name: start[name] + factor * (target[name] - start[name]) for name in target})
