# SPDX-License-Identifier: Apache-2.0
"""The scheduler in real time: a timer calls `Scheduler.step` when it is due, tokens go to their requests."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from .metrics import Metrics
from .scheduler import Scheduler, Sequence

log = logging.getLogger(__name__)


class Sink(Protocol):
    """Who asked for a sequence."""

    def token(self, sequence: Sequence) -> None:
        """One more was generated; the last one if ``sequence.generated == sequence.max_tokens``."""

    def cut(self) -> None:
        """Ends it before its time."""


class Engine:
    """Everything runs on one event loop, so nothing is locked."""

    def __init__(self, scheduler: Scheduler, metrics: Metrics) -> None:
        self.scheduler = scheduler
        self._metrics = metrics
        self._sinks: dict[Sequence, Sink] = {}
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def submit(self, sequence: Sequence, sink: Sink, remote: bool = False) -> None:
        """As `Scheduler.submit`; ``sink`` gets its tokens, never before this returns."""
        self.scheduler.submit(sequence, self._loop.time(), remote)
        self._sinks[sequence] = sink
        self._arm()

    def loaded(self, sequence: Sequence) -> None:
        """Its KV cache is here."""
        self.scheduler.loaded(sequence, self._loop.time())
        self._arm()

    def local(self, sequence: Sequence) -> None:
        """Its prompt has to be computed here after all."""
        self.scheduler.local(sequence, self._loop.time())
        self._arm()

    def abort(self, sequence: Sequence) -> None:
        """No further token of it, and what it holds is free."""
        self._sinks.pop(sequence, None)
        self.scheduler.abort(sequence, self._loop.time())
        self._arm()  # somebody may have waited for its memory

    def _arm(self) -> None:
        if self._timer is None and self.scheduler.due is not None:
            self._timer = self._loop.call_at(self.scheduler.due, self._step)

    def _step(self) -> None:
        self._timer = None
        scheduler = self.scheduler
        assert scheduler.due is not None
        # A timer may fire a clock tick early.
        done = scheduler.step(max(self._loop.time(), scheduler.due))
        self._arm()
        self._metrics.stepped(done)
        finished = set(done.finished)
        for sequence in done.emitted:
            sink = self._sinks.pop(sequence, None) if sequence in finished else self._sinks.get(sequence)
            if sink is None:
                continue
            try:
                sink.token(sequence)
            except Exception:  # which is one request's: the others' tokens are not lost with it
                log.exception("a request is cut")
                sink.cut()
