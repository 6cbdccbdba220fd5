# SPDX-License-Identifier: Apache-2.0
"""The open loop: each request is sent at its instant, whatever became of those before it."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from . import outcome as status
from .choice import Choice, LeastQueue
from .exchange import Exchanger
from .outcome import Generator, Outcome
from .request import Request

#: s. How often the loop's own lag is sampled.
HEARTBEAT: Final = 0.05
#: Late requests that are sent in one turn of the loop. One would make whatever lengthens a turn a limit of
#: the rate, and lateness grow; all of them would let answers wait that are there to be read.
TOGETHER: Final = 8


class RunClock:
    """Seconds since an instant of the wall clock, monotonic from then on."""

    def __init__(self, start_at: float) -> None:
        self.start_at = start_at
        self._zero = time.monotonic() - (time.time() - start_at)

    def __call__(self) -> float:
        return time.monotonic() - self._zero


class _Watch:
    """The generator's own health, sampled as long as it runs."""

    def __init__(self) -> None:
        self.lags = [0.0]
        self.busiest = 0.0

    async def run(self) -> None:
        wall, cpu = time.monotonic(), _cpu_seconds()
        while True:
            before = time.monotonic()
            await asyncio.sleep(HEARTBEAT)
            now = time.monotonic()
            self.lags.append(now - before - HEARTBEAT)
            if now - wall >= 1.0:
                spent = _cpu_seconds()
                self.busiest = max(self.busiest, (spent - cpu) / (now - wall))
                wall, cpu = now, spent


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def generate(
    schedule: Sequence[Request],
    choice: Choice,
    exchanger: Exchanger,
    clock: RunClock,
    write: Callable[[Outcome], None],
    *,
    stop: asyncio.Event,
    stop_after: float | None = None,
) -> Generator:
    """Runs ``schedule``. ``write`` gets each outcome as it is there.

    It ends when all are answered, ``stop_after`` s after the start, or when ``stop`` is set; requests that
    are then under way are cut, and said to be. What ``write`` raises ends it too, and is raised.
    """
    lags: list[float] = []

    async def one(request: Request) -> None:
        target = choice.target(request)
        if target is None:
            now = clock()
            found = Outcome(
                request.id, request.service, request.phase, request.at_seconds, request.prompt_tokens,
                request.output_tokens, sent=now, end=now, status=status.NO_INSTANCE,
            )  # fmt: skip
        else:
            found = await exchanger.send(request, target.base_url, target.model)
            found.instance = found.instance or target.instance
        lags.append(found.lag)
        write(found)

    async def dispatch() -> None:
        # Cancelled, the group waits for its tasks: each writes what it has. Should one fail, which is our own
        # fault and not the network's, the run fails.
        late = 0
        async with asyncio.TaskGroup() as group:
            for request in schedule:
                wait = request.at_seconds - clock()
                late = 0 if wait > 0 else late + 1
                if wait > 0 or late % TOGETHER == 0:
                    await asyncio.sleep(max(wait, 0))
                group.create_task(one(request), name=request.id)

    watch = _Watch()
    cpu, begin = _cpu_seconds(), time.monotonic()
    watching = asyncio.create_task(watch.run())
    dispatching = asyncio.create_task(dispatch())
    stopping = asyncio.create_task(stop.wait())
    limit = None if stop_after is None else max(stop_after - clock(), 0)
    await asyncio.wait({dispatching, stopping}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
    for task in (dispatching, stopping, watching):
        task.cancel()
    for result in await asyncio.gather(dispatching, stopping, watching, return_exceptions=True):
        if isinstance(result, ExceptionGroup):
            raise result.exceptions[0] from result
        if isinstance(result, Exception):
            raise result
    samples = lags or [0.0]
    polled = choice if isinstance(choice, LeastQueue) else None
    return Generator(
        start_at=clock.start_at,
        seconds=time.monotonic() - begin,
        requests=len(lags),
        unsent=len(schedule) - len(lags),
        lag_mean=float(np.mean(samples)),
        lag_p99=float(np.percentile(samples, 99)),
        lag_max=max(samples),
        loop_lag_p99=float(np.percentile(watch.lags, 99)),
        loop_lag_max=max(watch.lags),
        cpu_seconds=_cpu_seconds() - cpu,
        cpu_busiest=watch.busiest,
        polls=polled.polls if polled else 0,
        polls_failed=polled.failed if polled else 0,
    )
