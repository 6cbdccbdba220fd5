# SPDX-License-Identifier: Apache-2.0
"""How much a device forwards and how fast, by offering it traffic."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

#: Loss up to which a rate counts as sustained.
TOLERATED_LOSS = 0.001
IDLE_RATE = 1_000
#: Rates offered: rising by GROWTH until the device is far beyond its best, then these parts of its best.
FIRST_RATE = 5_000
GROWTH = 1.5
FAR_BEYOND = 0.7
AROUND_BEST = (0.75, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.3, 1.4, 1.5)
OVERLOAD = 3


@dataclass(frozen=True)
class Sample:
    """Rates in frames/s, latencies in ns one way."""

    offered: float
    delivered: float
    latency_p50: int
    latency_p99: int
    reordered: int

    @property
    def loss(self) -> float:
        return 1 - self.delivered / self.offered if self.offered else 1.0


@dataclass(frozen=True)
class Measurement:
    #: The highest rate delivered, with any loss and with hardly one.
    best: float
    sustained: float
    overload_offered: float
    overload_delivered: float
    idle_p50: int
    idle_p99: int
    reordered: int


Offer = Callable[[float, float], Sample]


def take_cpus(cpus: Iterable[int]) -> None:
    """For a child before it starts: run there, and before other programs where that is allowed. Nice values
    do not count between sessions, but a session's does (sched(7), "The autogroup feature")."""
    os.sched_setaffinity(0, cpus)
    os.setsid()
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -20)
        with open("/proc/self/autogroup", "w") as autogroup:
            autogroup.write("-20")


def offer(command: list[str], cpus: list[int], frames: list[bytes], rate: float, seconds: float) -> Sample:
    """``command``: the traffic program and its two interfaces."""
    arguments = [f"{rate:.0f}", f"{seconds}", ",".join(map(str, cpus)), *(frame.hex() for frame in frames)]
    done = subprocess.run(
        [*command, *arguments],
        capture_output=True,
        text=True,
        timeout=seconds + 30,
        preexec_fn=lambda: take_cpus(cpus),
    )
    if done.returncode != 0:
        raise OSError(done.stderr.strip())
    result = json.loads(done.stdout)
    return Sample(
        result["offered"] / seconds,
        result["received"] / seconds,
        result["latency_p50"],
        result["latency_p99"],
        result["reordered"],
    )


def measure(offer: Offer, seconds: float) -> Measurement:
    """Raises OSError when nothing arrives."""
    idle = offer(IDLE_RATE, 4 * seconds)
    if idle.delivered == 0:
        raise OSError("no frame arrives")
    samples = [idle]

    def best() -> float:
        return max(sample.delivered for sample in samples)

    rate, beyond = float(FIRST_RATE), 0
    while beyond < 2:
        samples.append(offer(rate, seconds))
        # Far beyond the best, or as fast as the sender can: twice, since a busy machine may hiccup once.
        beyond += min(best(), samples[-1].offered) < FAR_BEYOND * rate
        rate *= GROWTH
    reached = best()
    samples += [offer(part * reached, seconds) for part in AROUND_BEST]
    overload = offer(OVERLOAD * best(), seconds)
    samples.append(overload)
    return Measurement(
        best=best(),
        sustained=max((each.delivered for each in samples if each.loss <= TOLERATED_LOSS), default=0.0),
        overload_offered=overload.offered,
        overload_delivered=overload.delivered,
        idle_p50=idle.latency_p50,
        idle_p99=idle.latency_p99,
        reordered=sum(sample.reordered for sample in samples),
    )
