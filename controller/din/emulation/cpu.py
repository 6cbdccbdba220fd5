# SPDX-License-Identifier: Apache-2.0
"""How busy the machine is: a measurement on one that has no time left is void."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Used:
    """Processor time since the machine's start, in ticks, of all processors that we may use."""

    busy: int
    total: int


def read(path: Path = Path("/proc/stat")) -> Used:
    """What has been used until now (proc_stat(5))."""
    busy = total = 0
    allowed = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    for line in path.read_text().splitlines():
        name, *fields = line.split()
        if name in allowed:
            # A guest's time, which follows, is in its user's already. Waiting for a disk is idle.
            user, nice, system, idle, iowait, irq, softirq, steal = map(int, fields[:8])
            busy += user + nice + system + irq + softirq + steal
            total += user + nice + system + irq + softirq + steal + idle + iowait
    return Used(busy, total)


class CpuMeter:
    """Utilisation, 0 to 1, between two readings."""

    def __init__(self, read: Callable[[], Used] = read) -> None:
        self._read = read
        self._last = read()

    def sample(self) -> float:
        """Since the last time, or since this was made; 0 when no time has passed."""
        last, self._last = self._last, self._read()
        passed = self._last.total - last.total
        return max(0.0, min(1.0, (self._last.busy - last.busy) / passed)) if passed > 0 else 0.0
