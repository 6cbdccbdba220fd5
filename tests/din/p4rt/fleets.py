# SPDX-License-Identifier: Apache-2.0
"""Controllers of these tests, and what they see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from din.p4rt.connection import Target
from din.p4rt.events import Event
from din.p4rt.fleet import Fleet
from din.p4rt.reconcile import Result
from finsy.proto import p4r

from tests.din.p4rt.switches import terms

SECONDS = 20.0
T = TypeVar("T")


class Seen:
    """Events and results, in order, to look back at and to wait for."""

    def __init__(self) -> None:
        self.all: list[Event | Result] = []
        self._new = asyncio.Condition()

    def __call__(self, what: Event | Result) -> None:
        self.all.append(what)
        self._wake = asyncio.ensure_future(self._notify())

    async def _notify(self) -> None:
        async with self._new:
            self._new.notify_all()

    def of(self, kind: type[T]) -> list[T]:
        return [each for each in self.all if isinstance(each, kind)]

    async def wait(self, kind: type[T], condition: Callable[[T], Any] = bool, start: int = 0) -> T:
        """The first of a kind of which a condition holds, from the event number ``start`` on."""

        def find() -> list[T]:
            return [each for each in self.all[start:] if isinstance(each, kind) and condition(each)]

        async with asyncio.timeout(SECONDS), self._new:
            await self._new.wait_for(find)
        return find()[0]


@asynccontextmanager
async def controller(*targets: Target, **options: Any) -> AsyncIterator[tuple[Fleet, Seen]]:
    """Of a newer term than all before it, unless ``term`` is given."""
    seen = Seen()
    options.setdefault("term", next(terms))
    async with Fleet(targets, on_event=seen, on_result=seen, **options) as fleet:
        yield fleet, seen


class Sent:
    """What controllers ask of switches; `requests` has the messages."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.in_flight = 0
        self.most_in_flight = 0

    @property
    def updates(self) -> list[p4r.Update]:
        return [u for each in self.requests if isinstance(each, p4r.WriteRequest) for u in each.updates]

    @property
    def pushes(self) -> list[Any]:
        return [each for each in self.requests if isinstance(each, p4r.SetForwardingPipelineConfigRequest)]

    @property
    def reads(self) -> list[Any]:
        return [each for each in self.requests if isinstance(each, p4r.ReadRequest)]
