# SPDX-License-Identifier: Apache-2.0
"""Doing a thing for each of several targets, again and again, none waiting for another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, Generic, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")


async def every(interval: float, action: Callable[[], Awaitable[None]], offset: float = 0.0) -> None:
    """``action`` at offset, offset + interval, … seconds from now, for ever. A beat that passes while an
    action still runs is left out, the others keep their times: nothing drifts, nothing catches up in a
    burst.
    """
    clock = asyncio.get_running_loop().time
    start = clock() + offset
    beat = 0
    while True:
        await asyncio.sleep(start + beat * interval - clock())
        await action()
        beat = max(beat + 1, int((clock() - start) / interval) + 1)


async def steadily(
    interval: float, action: Callable[[], Awaitable[None]], failed: str, offset: float = 0.0
) -> None:
    """As `every`. An action that raises is logged with the words ``failed``, once until it succeeds, and goes
    on.
    """
    failing = False

    async def once() -> None:
        nonlocal failing
        try:
            await action()
        except Exception:
            if not failing:
                log.exception("%s", failed)
            failing = True
        else:
            failing = False

    await every(interval, once, offset)


class Stalls:
    """How long the event loop was kept from its work: a timeout in which means nothing. `watch` is a task."""

    #: Seconds between looks; what is shorter is no stall.
    TICK: Final = 0.05

    def __init__(self) -> None:
        self._total = 0.0
        self._expected: float | None = None

    async def watch(self) -> None:
        """Until it is cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            self._expected = clock() + self.TICK
            await asyncio.sleep(self.TICK)
            self._total += self._late()

    def _late(self) -> float:
        if self._expected is None:
            return 0.0
        late = asyncio.get_running_loop().time() - self._expected
        return late if late > self.TICK else 0.0

    @property
    def total(self) -> float:
        """Seconds, since the beginning, the stall that is just over included."""
        return self._total + self._late()


class Beats(Generic[T]):
    """``action(name, target)`` every ``interval`` seconds for each target, in a task of its own.

    The targets' beats are spread evenly over the interval. An action may raise, as in `steadily`.
    """

    def __init__(self, interval: float, action: Callable[[str, T], Awaitable[None]]) -> None:
        self._interval = interval
        self._action = action
        self._tasks: dict[str, tuple[T, asyncio.Task[None]]] = {}

    @property
    def targets(self) -> dict[str, T]:
        return {name: target for name, (target, _) in self._tasks.items()}

    def set(self, targets: Mapping[str, T]) -> None:
        """From now on these; those that stay as they were are not disturbed."""
        for name, (target, task) in list(self._tasks.items()):
            if name not in targets or targets[name] != target:
                task.cancel()
                del self._tasks[name]
        for index, (name, target) in enumerate(targets.items()):
            if name not in self._tasks:
                offset = self._interval * index / len(targets)
                beats = steadily(
                    self._interval, partial(self._action, name, target), f"{name}: measuring it fails", offset
                )
                self._tasks[name] = (target, asyncio.create_task(beats, name=f"measure {name}"))

    async def close(self) -> None:
        tasks = [task for _, task in self._tasks.values()]
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
