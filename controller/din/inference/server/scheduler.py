# SPDX-License-Identifier: Apache-2.0
"""Continuous batching, as a pure state machine: time is an argument, nothing is awaited.

A step is one pass of the model over a batch: every sequence that decodes gets one token, and prompts share
what these leave of ``chunk`` tokens, oldest first (chunked prefill). It lasts

    decode_step + decode_step_per_sequence * (decoding - 1)    if any sequence decodes
  + prompt tokens / prefill_tokens_per_second                  if any prompt is computed

times the slowdown, over the rate scale. The pass that ends a prompt yields the first token.

Waiting and running are told apart as vLLM's V1 scheduler does: a sequence runs from the first step that has
tokens for it, not since there was a place, so that what waits behind a long prompt is seen to queue. KV
memory is counted in blocks: a sequence is admitted when its whole prompt fits, and grows as it decodes; when
no block is left, the youngest running one is preempted: it gives its blocks back and is computed again from
the start.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from din.model.emulated import Profile

#: A late timer must not make a server slower than its profile; but one that was stopped must not race.
CATCH_UP_SECONDS: Final = 0.05
#: Prompt tokens in one step, if nobody says otherwise.
CHUNK: Final = 512


class QueueFull(Exception):
    """As many requests wait as may."""


class State(Enum):
    NEW = auto()
    REMOTE = auto()  # its prompt is computed elsewhere
    WAITING = auto()
    RUNNING = auto()
    HELD = auto()  # done, but its KV blocks are to be fetched
    DONE = auto()


@dataclass(slots=True, eq=False)
class Sequence:
    """One request in the scheduler's eyes. Times are seconds of the caller's clock, None: not yet."""

    prompt_tokens: int
    max_tokens: int
    hold: bool = False  # keep its blocks when it is done, until `Scheduler.abort`
    state: State = State.NEW
    computed: int = 0  # tokens in the KV cache
    generated: int = 0
    blocks: int = 0
    loaded: bool = False  # the prompt's KV cache came from elsewhere
    preemptions: int = 0
    arrived: float = 0.0
    scheduled: float | None = None
    first_token: float | None = None
    last_token: float | None = None
    gap: float = 0.0  # from the token before to the last one

    @property
    def tokens(self) -> int:
        """Prompt and what was generated."""
        return self.prompt_tokens + self.generated

    @property
    def decoding(self) -> bool:
        """It needs one token computed for the next one, and no part of a prompt."""
        return self.computed + 1 == self.tokens and (self.generated > 0 or self.loaded)


@dataclass(slots=True)
class Step:
    """What ended with a step, and who was preempted for the next one. ``finished`` are in ``emitted`` too."""

    emitted: list[Sequence] = field(default_factory=list)
    finished: list[Sequence] = field(default_factory=list)
    preempted: list[Sequence] = field(default_factory=list)
    prompt_tokens: int = 0


class Scheduler:
    """Of one server. ``due`` is when `step` is to be called next; None: not before something is submitted."""

    def __init__(self, profile: Profile, rate: float = 1.0, chunk: int = CHUNK) -> None:
        self.profile = profile
        self.slowdown = 1.0
        self.due: float | None = None
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        self.remote: set[Sequence] = set()
        self.held: set[Sequence] = set()
        self.blocks_used = 0
        self._rate = rate
        self._chunk = chunk
        self._batch: list[tuple[Sequence, int]] = []

    @property
    def capacity(self) -> int:
        """Tokens that the KV cache takes: no request may be longer."""
        return self.profile.kv_blocks * self.profile.block_size

    @property
    def queued(self) -> int:
        """Requests that are not in the batch yet."""
        return len(self.waiting) + len(self.remote)

    def submit(self, sequence: Sequence, now: float, remote: bool = False) -> None:
        """Queues it. ``remote``: its prompt is computed elsewhere, it waits for `loaded` or `local`.

        Raises QueueFull; and ValueError where it could never run.
        """
        if sequence.prompt_tokens + sequence.max_tokens > self.capacity:
            raise ValueError(
                f"{sequence.prompt_tokens} + {sequence.max_tokens} tokens, the KV cache has {self.capacity}"
            )
        # Who finds a free place does not queue, even if the step that takes it in has not begun.
        free = self.profile.max_sequences - len(self.running)
        if self.queued >= self.profile.max_queue + free:
            raise QueueFull
        sequence.arrived = now
        if remote:
            sequence.state = State.REMOTE
            self.remote.add(sequence)
        else:
            self._enqueue(sequence, now)

    def loaded(self, sequence: Sequence, now: float) -> None:
        """The KV cache of its prompt has arrived: it is queued to decode. Nothing, if it was aborted."""
        self._leave_remote(sequence, now, loaded=True)

    def local(self, sequence: Sequence, now: float) -> None:
        """Nobody computed its prompt: it is queued like any other. Nothing, if it was aborted."""
        self._leave_remote(sequence, now, loaded=False)

    def abort(self, sequence: Sequence, now: float) -> None:
        """Takes it out wherever it is, held ones too. What it holds is free at once."""
        if sequence.state is State.WAITING:
            self.waiting.remove(sequence)
        elif sequence.state is State.RUNNING:
            self.running.remove(sequence)
        self.remote.discard(sequence)
        self.held.discard(sequence)
        self._free(sequence)
        sequence.state = State.DONE
        self._wake(now)

    def step(self, now: float) -> Step:
        """Ends the batch that is due by ``now``, if any, and starts the next one."""
        done = Step()
        start = now
        if self.due is not None:
            if now < self.due:
                return done
            if now - self.due < CATCH_UP_SECONDS:
                start = self.due
            self._end(now, done)
        self._start(start, done)
        return done

    def _enqueue(self, sequence: Sequence, now: float) -> None:
        sequence.state = State.WAITING
        self.waiting.append(sequence)
        self._wake(now)

    def _wake(self, now: float) -> None:
        """Nothing was due, but something may be possible now."""
        if self.due is None and self.waiting:
            self.due = now

    def _leave_remote(self, sequence: Sequence, now: float, loaded: bool) -> None:
        if sequence.state is not State.REMOTE:
            return
        self.remote.discard(sequence)
        sequence.loaded = loaded
        self._enqueue(sequence, now)

    def _end(self, now: float, done: Step) -> None:
        """Books what the batch computed."""
        for sequence, tokens in self._batch:
            if sequence.state is not State.RUNNING:
                continue  # aborted meanwhile
            if not sequence.decoding:
                done.prompt_tokens += tokens
            sequence.computed += tokens
            if sequence.computed < sequence.tokens:
                continue
            sequence.generated += 1
            if sequence.last_token is None:
                sequence.first_token = now
            else:
                sequence.gap = now - sequence.last_token
            sequence.last_token = now
            done.emitted.append(sequence)
            if sequence.generated >= sequence.max_tokens:
                done.finished.append(sequence)
                self._finish(sequence)
        self._batch = []

    def _finish(self, sequence: Sequence) -> None:
        self.running.remove(sequence)
        if sequence.hold:
            sequence.state = State.HELD
            self.held.add(sequence)
        else:
            sequence.state = State.DONE
            self._free(sequence)

    def _start(self, start: float, done: Step) -> None:
        """Chooses the next batch, as of ``start``."""
        for sequence in list(self.running):
            if sequence.state is State.RUNNING and sequence.decoding:
                self._grow(sequence, done)
        batch = [(sequence, 1) for sequence in self.running if sequence.decoding]
        decoding = len(batch)
        left = self._chunk - decoding
        for sequence in self.running:
            if left > 0 and not sequence.decoding:
                left -= _compute(sequence, left, batch)
        while left > 0 and self._admit(start):
            sequence = self.running[-1]
            decoding += sequence.decoding
            left -= _compute(sequence, left, batch)
        self._batch = batch
        prompts = sum(tokens for _, tokens in batch) - decoding
        self.due = start + self._duration(decoding, prompts) if batch else None

    def _duration(self, decoding: int, prompts: int) -> float:
        profile = self.profile
        seconds = prompts / profile.prefill_tokens_per_second
        if decoding:
            seconds += (profile.decode_step + profile.decode_step_per_sequence * (decoding - 1)) / 1e6
        return seconds * self.slowdown / self._rate

    def _admit(self, start: float) -> bool:
        """The next one, if it may run. First come, first served: until it fits it holds up those behind."""
        if not self.waiting or len(self.running) >= self.profile.max_sequences:
            return False
        sequence = self.waiting[0]
        if not self._allocate(sequence, sequence.tokens):
            return False
        self.waiting.popleft()
        sequence.state = State.RUNNING
        if sequence.loaded:
            sequence.computed = sequence.prompt_tokens - 1
        if sequence.scheduled is None:
            sequence.scheduled = max(start, sequence.arrived)
        self.running.append(sequence)
        return True

    def _grow(self, sequence: Sequence, done: Step) -> None:
        """A block for the next token, at the expense of the youngest, which may be itself."""
        while sequence.state is State.RUNNING and not self._allocate(sequence, sequence.tokens):
            youngest = self.running[-1]
            self._preempt(youngest)
            done.preempted.append(youngest)

    def _preempt(self, sequence: Sequence) -> None:
        self.running.remove(sequence)
        self._free(sequence)
        sequence.computed = 0
        sequence.loaded = False  # what came from elsewhere is gone: its prompt is computed here
        sequence.preemptions += 1
        sequence.state = State.WAITING
        self.waiting.appendleft(sequence)

    def _allocate(self, sequence: Sequence, tokens: int) -> bool:
        more = -(-tokens // self.profile.block_size) - sequence.blocks
        if more > self.profile.kv_blocks - self.blocks_used:
            return False
        if more > 0:
            sequence.blocks += more
            self.blocks_used += more
        return True

    def _free(self, sequence: Sequence) -> None:
        self.blocks_used -= sequence.blocks
        sequence.blocks = 0


def _compute(sequence: Sequence, most: int, batch: list[tuple[Sequence, int]]) -> int:
    """Puts into ``batch`` what ``sequence`` lacks, at most so many tokens: how many that are."""
    tokens = min(sequence.tokens - sequence.computed, most)
    batch.append((sequence, tokens))
    return tokens
