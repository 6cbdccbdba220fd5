# SPDX-License-Identifier: Apache-2.0
"""All switches: each with a connection and a reconciler, and none that waits for another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

from din.p4rt.canonical import Check
from din.p4rt.connection import Connection, NotPrimaryError, SwitchError, Target
from din.p4rt.diff import BlastRadius
from din.p4rt.entry import State
from din.p4rt.events import Event, OnEvent
from din.p4rt.program import Program, default_program
from din.p4rt.reconcile import AUDIT_SECONDS, Outcome, Preview, Reconciler, Result

LOG = logging.getLogger(__name__)

#: Seconds that an answer about a switch which cannot be reached is waited for.
PATIENCE: Final = 2.0


class Fleet:
    """An async context manager: connections live inside its block. When it ends the switches go on as they
    are."""

    def __init__(
        self,
        targets: Iterable[Target],
        *,
        term: int,
        program: Program | None = None,
        check: Check | None = None,
        on_event: OnEvent | None = None,
        on_result: Callable[[Result], None] | None = None,
        audit_seconds: float = AUDIT_SECONDS,
    ) -> None:
        """``term``: the leader's; see `din.p4rt.connection`. ValueError: two switches of one name, or no such
        term."""
        self.term = term
        self.program = program or default_program()
        self._check = check
        self._on_event = on_event or _ignore
        self._on_result = on_result
        self._audit_seconds = audit_seconds
        self._switches: dict[str, Reconciler] = {}
        self._tasks: dict[str, list[asyncio.Task[None]]] = {}
        self._targets = list(targets)
        names = [target.name for target in self._targets]
        if len(set(names)) < len(names):
            raise ValueError(f"two switches have one name: {', '.join(sorted(names))}")

    async def __aenter__(self) -> Self:
        for target in self._targets:
            self.add(target)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(self.remove(name) for name in list(self._switches)))

    def add(self, target: Target) -> Reconciler:
        """A switch more. ValueError: it is there already."""
        if target.name in self._switches:
            raise ValueError(f"switch {target.name} is there already")
        connection = Connection(target, self.program, self.term, self._on_event)
        reconciler = Reconciler(connection, self._check, self._on_result, self._audit_seconds)
        self._switches[target.name] = reconciler
        self._tasks[target.name] = [
            asyncio.create_task(connection.run(), name=f"{target.name} connection"),
            asyncio.create_task(reconciler.run(), name=f"{target.name} reconciler"),
        ]
        return reconciler

    async def remove(self, name: str) -> None:
        """Leave a switch alone from now on. KeyError: there is none."""
        await self.drop(name)

    def drop(self, name: str) -> asyncio.Task[None]:
        """As `remove`: it is none of ours at once; the task ends when its connection has."""
        del self._switches[name]
        tasks = self._tasks.pop(name)
        for task in tasks:
            task.cancel()
        return asyncio.create_task(_end(tasks), name=f"{name} leaves")

    def __getitem__(self, name: str) -> Reconciler:
        return self._switches[name]

    def connection(self, name: str) -> Connection:
        return self._switches[name].connection

    @property
    def switches(self) -> Mapping[str, Reconciler]:
        return self._switches

    def raise_term(self, term: int) -> None:
        """Claim all switches in a newer term. ValueError: it is not newer."""
        if term <= self.term:
            raise ValueError(f"term {term} is not above {self.term}")
        self.term = term
        for reconciler in self._switches.values():
            reconciler.connection.raise_term(term)

    async def apply(
        self, states: Mapping[str, State], *, verify: bool = False, patience: float = PATIENCE
    ) -> dict[str, Result]:
        """Make switches so, all at once. One that cannot be reached within ``patience`` seconds answers
        WAITING and is made so when it can.

        BadStateError: a state that the program cannot have; then no switch is touched. KeyError: no such
        switch."""
        prepared = {name: self._switches[name].prepare(state) for name, state in states.items()}
        results = {name: self._switches[name].start(p, verify=verify) for name, p in prepared.items()}
        answers = (self.answer(name, result, patience) for name, result in results.items())
        return dict(zip(results, await asyncio.gather(*answers), strict=True))

    async def answer(self, name: str, result: asyncio.Future[Result], patience: float = PATIENCE) -> Result:
        """What an update that was started comes to, with the patience of `apply`."""
        connection = self._switches[name].connection
        while True:
            done, _ = await asyncio.wait({result}, timeout=patience)
            if done:
                return result.result()
            if not connection.is_primary:
                nothing = BlastRadius(name, 0, {})
                return Result(name, Outcome.WAITING, nothing, errors=(connection.reason,))

    async def preview(
        self, states: Mapping[str, State]
    ) -> dict[str, Preview | NotPrimaryError | SwitchError]:
        """What `apply` would do to each, or why it cannot be read within `PATIENCE`. BadStateError."""

        async def preview(name: str) -> Preview | NotPrimaryError | SwitchError:
            try:
                async with asyncio.timeout(PATIENCE):
                    return await self._switches[name].preview(states[name])
            except TimeoutError:
                return SwitchError(f"{name}: not read within {PATIENCE:g} s")
            except (NotPrimaryError, SwitchError) as error:
                return error

        return dict(zip(states, await asyncio.gather(*map(preview, states)), strict=True))


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task, end in zip(tasks, await asyncio.gather(*tasks, return_exceptions=True), strict=True):
        if isinstance(end, Exception):
            LOG.error("%s failed", task.get_name(), exc_info=end)


def _ignore(event: Event) -> None:
    """Nobody listens."""
