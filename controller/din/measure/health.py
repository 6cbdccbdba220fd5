# SPDX-License-Identifier: Apache-2.0
"""Whether an instance lives: a state machine without I/O, fed by probes of its /health and by the SYNs that
switches count.

A dead instance is out in less than 2 s. Probes go every 0.4 s and wait 0.35 s: a server that refuses
connections is found dead in 0.8 s at most, one that hangs in 1.2 s. Where clients connect often the switches
see it too, also when only the way through the fabric is broken, of which probes over the management network
know nothing.

A server that is full is not dead. vLLM's and SGLang's /health answers 200 however long their queue is, and
503 when the engine is dead, starts or drains; 429, and 503 with a Retry-After (RFC 9110, section 15.6.4),
are of a server, or a proxy before it, that is busy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

#: Seconds between probes of an instance, and how long one waits: not into the next one's time.
PROBE_INTERVAL: Final = 0.4
PROBE_TIMEOUT: Final = 0.35
#: In a row, to be dead, and to live again.
FAILURES_TO_DIE: Final = 2
SUCCESSES_TO_LIVE: Final = 2

#: SYNs that nobody answered, to be dead…
SILENT_SYNS: Final = 3
#: …in so many seconds…
SILENT_WINDOW: Final = 2.0
#: …none of them younger than this: SYN-ACKs are on their way, and switches are read one after the other.
SYN_PATIENCE: Final = 0.4
#: Dead for its SYNs although probes succeed: so long at least, and twice as long each time again.
FIRST_HOLD: Final = 5.0
LAST_HOLD: Final = 60.0


class Outcome(Enum):
    """Of a probe."""

    OK = "ok"
    BUSY = "busy"  # it answers, it takes no more: no sign of death, and none of recovery
    FAILED = "failed"


@dataclass(frozen=True)
class Count:
    """SYNs to an instance and SYN-ACKs of it, since some beginning."""

    at: float
    syns: int
    answers: int


@dataclass(frozen=True)
class Health:
    """Of one instance. ``alive`` None: nothing is known yet. ``reason`` says why it is dead, to people."""

    alive: bool | None = None
    reason: str = ""
    since: float | None = None  # when ``alive`` became so
    failures: int = 0  # in a row
    successes: int = 0  # in a row
    #: Not before this do successful probes count.
    held_until: float = 0.0
    #: How often in a row its SYNs had it dead.
    strikes: int = 0
    counts: tuple[Count, ...] = ()  # oldest first, back to when a SYN was last answered

    def probed(self, outcome: Outcome, detail: str, at: float) -> Health:
        """After a probe of /health; ``detail`` says what came, as in "connection refused"."""
        if outcome is Outcome.BUSY:
            return replace(self, failures=0, successes=0)
        if outcome is Outcome.OK:
            state = replace(self, failures=0, successes=self.successes + 1 if at >= self.held_until else 0)
            if self.alive is None or (self.alive is False and state.successes >= SUCCESSES_TO_LIVE):
                return replace(state, alive=True, reason="", since=at, counts=())
            return state
        state = replace(self, failures=self.failures + 1, successes=0)
        if state.failures < FAILURES_TO_DIE:
            return state
        why = f"/health: {detail}, {state.failures} times in a row"
        if self.alive is False:
            # Probes see it as well, so they will see when it is back.
            return replace(state, held_until=0.0, reason=why)
        return replace(state, alive=False, reason=why, since=at, counts=())

    def counted(self, syns: int, answers: int, at: float) -> Health:
        """After a reading of all switches that count for it: SYNs and SYN-ACKs since some beginning, always
        the same.
        """
        now = Count(at, syns, answers)
        last = self.counts[-1] if self.counts else None
        if last is None or syns < last.syns or answers < last.answers:
            return replace(self, counts=(now,))
        if answers > last.answers:
            return replace(self, counts=(now,), strikes=0 if self.alive else self.strikes)
        kept = [each for each in self.counts if each.at >= at - SILENT_WINDOW]
        if self.alive is False:
            return replace(self, counts=(*kept, now))
        old_enough = [each for each in kept if each.at <= at - SYN_PATIENCE]
        silent = old_enough[-1].syns - kept[0].syns if old_enough else 0
        if silent < SILENT_SYNS:
            return replace(self, counts=(*kept, now))
        hold = min(FIRST_HOLD * 2**self.strikes, LAST_HOLD)
        seconds = at - kept[0].at
        return replace(
            self,
            alive=False,
            reason=f"{silent} connection attempts through the fabric, none answered in {seconds:.1f} s",
            since=at,
            successes=0,
            held_until=at + hold,
            strikes=self.strikes + 1,
            counts=(),
        )
