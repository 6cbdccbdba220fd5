# SPDX-License-Identifier: Apache-2.0
"""Makes one switch what it is to be: read, diff, make before break; again whenever it may have become
something else.

One update at a time: a newer state takes the place of one that waits, and one that runs gives way at the next
batch, where the switch is consistent. What was written is remembered, so that the next update need not read;
it is forgotten whenever the switch may have changed without us, and every so often looked after all.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from finsy.proto import p4r

from din.p4rt.canonical import BadStateError, Check, canonical, show
from din.p4rt.codec import Op
from din.p4rt.connection import BatchError, Connection, NotPrimaryError, Refusal, SwitchError
from din.p4rt.diff import BlastRadius, Changes, diff, place
from din.p4rt.entry import AnyKey, AnyValue, Key, State
from din.p4rt.order import Change, Order
from din.p4rt.program import Program

LOG = logging.getLogger(__name__)

#: Seconds between reads of a switch that nobody else should have touched.
AUDIT_SECONDS: Final = 60.0
#: Seconds before a switch that refused something is tried again.
_RETRY_SECONDS: Final = 5.0


class Outcome(Enum):
    DONE = "done"  # the switch has the state
    FAILED = "failed"  # it refused something, or was lost meanwhile; it is tried again
    SUPERSEDED = "superseded"  # a newer state came
    WAITING = "waiting"  # it cannot be reached, or is not ours; it is made so when it can


@dataclass(frozen=True)
class Result:
    """Of an update. ``blast``: what there was to do; ``written``: how much of that the switch took."""

    switch: str
    outcome: Outcome
    blast: BlastRadius
    written: int = 0
    seconds: float = 0.0
    errors: tuple[str, ...] = ()
    had_to_read: bool = False


@dataclass(frozen=True)
class Preview:
    changes: Changes
    blast: BlastRadius


class _SupersededError(Exception):
    """A newer state came: it is no use to go on."""


class _Wanted:
    """``delta``: what alone differs from ``base``, if the switch has that; None: anything may."""

    def __init__(
        self, state: State, verify: bool, delta: State | None = None, base: State | None = None
    ) -> None:
        self.state = state
        self.verify = verify
        self.delta = delta
        self.base = base
        self.result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

    def tell(self, result: Result) -> None:
        if not self.result.done():
            self.result.set_result(result)


class Reconciler:
    """Of one switch. ``run`` it as a task beside its connection's."""

    def __init__(
        self,
        connection: Connection,
        check: Check | None = None,
        on_result: Callable[[Result], None] | None = None,
        audit_seconds: float = AUDIT_SECONDS,
    ) -> None:
        """``check`` is asked about every entry that is to be written: what is wrong with it, in words.
        ``on_result`` is told how every update went, those too that nobody asked for because the switch came
        back."""
        self.connection = connection
        self._check = check
        self._on_result = on_result
        self._audit_seconds = audit_seconds
        self._order = Order(connection.program)
        self._wanted: _Wanted | None = None
        self._running: _Wanted | None = None
        self._changed = asyncio.Event()
        self._busy = asyncio.Lock()
        #: When the switch is read at the latest, in the event loop's time.
        self._due = 0.0
        #: What the switch has, as far as that is known, and of which of the connection's epochs.
        self._known: State | None = None
        self._epoch = -1
        #: The wanted state that it has, if it has one.
        self._done: State | None = None
        connection.when_primary(self.forget)

    @property
    def name(self) -> str:
        return self.connection.name

    @property
    def want(self) -> State | None:
        return None if self._wanted is None else self._wanted.state

    @property
    def has_all(self) -> bool:
        """Whether the switch is known to have what is wanted."""
        return self._wanted is not None and self._done is self._wanted.state

    def release(self) -> None:
        """Nothing is wanted any more: whatever the switch has stays, until something is wanted again."""
        if self._wanted is not None and self._wanted is not self._running:
            self._wanted.tell(self._result(Outcome.SUPERSEDED))
        self._wanted = None

    def forget(self) -> None:
        """The switch may have changed: it is read, and made what it is to be, now."""
        self._known = self._done = None
        self._changed.set()

    def set(self, want: Mapping[AnyKey, AnyValue], *, verify: bool = False) -> asyncio.Future[Result]:
        """Have the switch be made so; it is then kept so. The future tells how that went (done, failed,
        superseded), and waits while the switch cannot be reached. With ``verify`` the switch is read when all
        is written.

        BadStateError: the program cannot have that state. Nothing changes then."""
        return self.start(self.prepare(want), verify=verify)

    def start(self, state: State, *, verify: bool = False) -> asyncio.Future[Result]:
        """As `set`, of what `prepare` gave."""
        return self._begin(_Wanted(state, verify))

    def amend(self, delta: Mapping[AnyKey, AnyValue]) -> asyncio.Future[Result]:
        """As `set`, of what is wanted already with ``delta`` put over it: at the cost of ``delta`` alone,
        while the switch is in step. What is told of the change (`Result.blast`) counts what ``delta`` names.

        BadStateError: the program cannot have that. ValueError: nothing is wanted yet."""
        if self._wanted is None:
            raise ValueError(f"{self.name}: there is nothing to amend")
        before = self._wanted
        found = self._checked(delta, before.state)
        state = {**before.state, **found}
        if before.state is self._done:
            return self._begin(_Wanted(state, False, found, self._done))
        if before.delta is not None:
            return self._begin(_Wanted(state, False, {**before.delta, **found}, before.base))
        return self._begin(_Wanted(state, False))

    def _begin(self, wanted: _Wanted) -> asyncio.Future[Result]:
        if self._wanted is not None and self._wanted is not self._running:
            self._wanted.tell(self._result(Outcome.SUPERSEDED))
        self._wanted = wanted
        self._changed.set()
        return wanted.result

    def prepare(self, want: Mapping[AnyKey, AnyValue]) -> State:
        """A wanted state, checked and in canonical form. BadStateError: the program cannot have it."""
        return self._checked(want, self._known if self._known is not None else self.want)

    def _checked(self, want: Mapping[AnyKey, AnyValue], known: State | None) -> State:
        state = canonical(self.connection.program, want, known)
        if self._check is not None:
            before = known or {}
            problems = [
                f"{show(key)}: {problem}"
                for key, value in state.items()
                if before.get(key) != value
                for problem in self._check(key, value)
            ]
            if problems:
                raise BadStateError(problems)
        return state

    async def preview(self, want: Mapping[AnyKey, AnyValue]) -> Preview:
        """What `set` would do. BadStateError, NotPrimaryError, SwitchError."""
        state = self.prepare(want)
        async with self._busy:
            if self._stale:
                await self._read()
            assert self._known is not None
            changes = diff(self._known, state)
            return Preview(changes, BlastRadius.of(self.name, self._known, changes))

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                async with asyncio.timeout_at(self._due):
                    await self._changed.wait()
            except TimeoutError:
                self._known = self._done = None
                self._due = self._after(self._audit_seconds)
            self._changed.clear()
            if self._wanted is not None and self.connection.is_primary:
                async with self._busy:
                    await self._update(self._wanted)

    # ---- one update ----------------------------------------------------------------------------------------

    async def _update(self, wanted: _Wanted) -> None:
        start = time.monotonic()
        had_to_read = self._stale
        work = _Work(BlastRadius(self.name, 0, {}))
        self._running = wanted
        try:
            outcome = await self._try(wanted, work)
        finally:
            self._running = None
        match outcome:
            case Outcome.DONE:
                self._done = wanted.state
            case Outcome.FAILED:
                self._known = self._done = None
                self._due = self._after(_RETRY_SECONDS)
            case Outcome.WAITING:
                # When it is ours again it is read anew; whoever waits, waits for that.
                self._known = self._done = None
                if self._wanted is not wanted:
                    wanted.tell(self._result(Outcome.SUPERSEDED))
                return
        seconds = time.monotonic() - start
        errors = tuple(work.errors)
        result = Result(self.name, outcome, work.blast, work.written, seconds, errors, had_to_read)
        wanted.tell(result)
        if self._on_result is not None:
            try:
                self._on_result(result)
            except Exception:
                # A listener's mistake is not the switch's.
                LOG.exception("%s: a listener failed at a result", self.name)

    async def _try(self, wanted: _Wanted, work: _Work) -> Outcome:
        try:
            if self._stale:
                await self._read()
            outcome = await self._write(wanted, work)
            if outcome is Outcome.DONE and wanted.verify and not wanted.result.done():
                outcome = await self._verify(wanted.state, work)
            return outcome
        except NotPrimaryError as error:
            if not self._is_ours:
                LOG.info("%s: an update waits: %s", self.name, error)
                return Outcome.WAITING
            # It says that we are primary, and does not let us write.
            work.errors.append(str(error).removeprefix(f"{self.name}: "))
        except SwitchError as error:
            work.errors.append(str(error).removeprefix(f"{self.name}: "))
        except Exception as error:
            # A mistake of ours: this switch is tried again like any other, and no other is concerned.
            LOG.exception("%s: an update failed", self.name)
            work.errors.append(repr(error))
        return Outcome.FAILED

    @property
    def _is_ours(self) -> bool:
        """And has been since it was read."""
        return self.connection.is_primary and self._epoch == self.connection.epoch

    def _must_be_ours(self) -> None:
        if not self._is_ours:
            raise NotPrimaryError(f"{self.name}: {self.connection.reason or 'it was lost and came back'}")

    @property
    def _stale(self) -> bool:
        return self._known is None or not self._is_ours

    async def _read(self) -> None:
        self._known, self._done, self._epoch = None, None, self.connection.epoch
        self._known = await self.connection.read_state()
        self._due = self._after(self._audit_seconds)

    @staticmethod
    def _after(seconds: float) -> float:
        return asyncio.get_running_loop().time() + seconds

    async def _write(self, wanted: _Wanted, work: _Work) -> Outcome:
        assert self._known is not None
        have, want = self._known, wanted.state
        if wanted.delta is not None and wanted.base is self._done and self._done is not None:
            have, want = {key: have[key] for key in wanted.delta if key in have}, wanted.delta
        changes = diff(have, want)
        work.blast = BlastRadius.of(self.name, have, changes)
        try:
            no_room = await self._make(wanted, changes, work)
            if no_room and changes.delete and not work.errors:
                # Now there is some.
                left = {change.key for change in no_room}
                again = Changes(
                    {key: value for key, value in changes.insert.items() if key in left},
                    {key: value for key, value in changes.modify.items() if key in left},
                )
                no_room = await self._make(wanted, again, work)
        except _SupersededError:
            return Outcome.SUPERSEDED
        work.errors += no_room.values()
        return Outcome.FAILED if work.errors else Outcome.DONE

    async def _make(self, wanted: _Wanted, changes: Changes, work: _Work) -> dict[Change, str]:
        """What the switch has no room for, and its words. NotPrimaryError, SwitchError, _SupersededError."""
        no_room: dict[Change, str] = {}
        has_deleted = False
        for batch in self._order.batches(changes):
            if self._wanted is not wanted:
                raise _SupersededError
            self._must_be_ours()
            if batch[0].op is Op.DELETE:
                if work.errors:
                    work.errors.append(
                        "no more was deleted, because what refers to it is still there"
                        if has_deleted
                        else "nothing was deleted, because what takes its place could not be made"
                    )
                    break
                has_deleted = True
            no_room |= await self._write_batch(batch, work)
        return no_room

    async def _write_batch(self, batch: Sequence[Change], work: _Work) -> dict[Change, str]:
        """As `_make`."""
        request = p4r.WriteRequest()
        for change in batch:
            self.connection.codec.add(request, change.op, change.key, change.value)
        refused: dict[int, Refusal] = {}
        try:
            await self.connection.write(request)
        except BatchError as error:
            refused = {each.index: each for each in error.refusals}
        # A term that is raised meanwhile ends no request.
        self._must_be_ours()
        assert self._known is not None
        no_room: dict[Change, str] = {}
        full = _full_tables(self.connection.program, self._known) if refused else ()
        for index, change in enumerate(batch):
            refusal = refused.get(index)
            if refusal is None or (change.op is Op.DELETE and refusal.code == "NOT_FOUND"):
                work.written += 1
                if change.value is None:
                    self._known.pop(change.key, None)
                else:
                    self._known[change.key] = change.value
                continue
            what = f"{change.op.name.lower()} {show(change.key)}: {refusal.code}: {refusal.message}"
            # simple_switch_grpc says UNKNOWN of a table that is full.
            if refusal.code == "RESOURCE_EXHAUSTED" or (change.op is Op.INSERT and place(change.key) in full):
                no_room[change] = what
            else:
                work.errors.append(what)
        return no_room

    async def _verify(self, want: State, work: _Work) -> Outcome:
        await self._read()
        assert self._known is not None
        left = diff(self._known, want)
        if not left:
            return Outcome.DONE
        work.errors += [f"{show(key)} is missing after it was written" for key in left.insert]
        work.errors += [f"{show(key)} is not what was written" for key in left.modify]
        work.errors += [f"{show(key)} is there after it was deleted" for key in left.delete]
        return Outcome.FAILED

    def _result(self, outcome: Outcome) -> Result:
        return Result(self.name, outcome, BlastRadius(self.name, 0, {}))


@dataclass
class _Work:
    """What an update has done so far."""

    blast: BlastRadius
    written: int = 0
    errors: list[str] = field(default_factory=list)


def _full_tables(program: Program, have: State) -> set[str]:
    counts = Counter(key.table for key in have if isinstance(key, Key) and not key.default)
    return {name for name, count in counts.items() if 0 < program.tables[name].size <= count}
