# SPDX-License-Identifier: Apache-2.0
"""Whether an instance lives: a state machine without I/O, fed by probes of its /health and by the SYNs that
switches count.

A dead instance is out in less than 2 s. Probes go every 0.4 s and wait 0.35 s: a server that refuses
connections is found dead in 0.8 s at most, one that hangs in 1.2 s, one whose host is gone in 1.6 s. Where
clients connect often the switches see it too, also when only the way through the fabric is broken, of which
probes over the management network know nothing.

A probe that reaches no host (UNREACHED) may say something about the management network alone. So it is held
to be if the instance answers SYNs all the same, and if probes of all instances stop to reach them at once
(`lost_at_once`): they are then unwatched, and live or die by their SYNs alone until a probe gets through.

A server that is full is not dead. vLLM's and SGLang's /health answers 200 however long their queue is, and
503 when the engine is dead, starts or drains; 429, and 503 with a Retry-After (RFC 9110, section 15.6.4),
are of a server, or a proxy before it, that is busy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

#: Seconds between probes of an instance, and how long one waits: not into the next one's time.
PROBE_INTERVAL: Final = 0.4
PROBE_TIMEOUT: Final = 0.35
#: In a row, to be dead, and to live again.
FAILURES_TO_DIE: Final = 2
SUCCESSES_TO_LIVE: Final = 2
#: Of failures that reached no host: one more, in which SYNs may be answered.
UNREACHED_TO_DIE: Final = 3
#: Seconds between the first and the last that are not reached any more, for it to be at once: each has had a
#: probe to its end by then.
AT_ONCE: Final = PROBE_INTERVAL + PROBE_TIMEOUT

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
    FAILED = "failed"  # its host answers, and the server does not, or says that it is ill
    UNREACHED = "unreached"  # nobody answers: its host is gone, or the way there is


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
    #: Since when probes have reached no host; None: the last one did.
    unreached_since: float | None = None
    #: Probes reach no host, and say nothing of it: only SYNs do.
    unwatched: bool = False
    counts: tuple[Count, ...] = ()  # oldest first, back to when a SYN was last answered

    def probed(self, outcome: Outcome, detail: str, at: float) -> Health:
        """After a probe of /health; ``detail`` says what came, as in "connection refused"."""
        if outcome is Outcome.UNREACHED:
            state = replace(
                self,
                failures=self.failures + 1,
                successes=0,
                unreached_since=at if self.unreached_since is None else self.unreached_since,
            )
            return state if state.unwatched else state._failed(UNREACHED_TO_DIE, detail, at)
        reached = replace(self, unreached_since=None, unwatched=False)
        if outcome is Outcome.BUSY:
            return replace(reached, failures=0, successes=0)
        if outcome is Outcome.FAILED:
            return replace(reached, failures=self.failures + 1, successes=0)._failed(
                FAILURES_TO_DIE, detail, at
            )
        state = replace(reached, failures=0, successes=self.successes + 1 if at >= self.held_until else 0)
        if self.alive is None or (self.alive is False and state.successes >= SUCCESSES_TO_LIVE):
            return replace(state, alive=True, reason="", since=at, counts=())
        return state

    def _failed(self, to_die: int, detail: str, at: float) -> Health:
        if self.failures < to_die:
            return self
        why = f"/health: {detail}, {self.failures} times in a row"
        if self.alive is False:
            # Probes see it as well, so they will see when it is back.
            return replace(self, held_until=0.0, reason=why)
        return replace(self, alive=False, reason=why, since=at, counts=())

    def counted(self, syns: int, answers: int, at: float) -> Health:
        """After a reading of all switches that count for it: SYNs and SYN-ACKs since some beginning, always
        the same.
        """
        now = Count(at, syns, answers)
        last = self.counts[-1] if self.counts else None
        if last is None or syns < last.syns or answers < last.answers:
            return replace(self, counts=(now,))
        if answers > last.answers:
            # It answered after a probe had begun that reached nobody.
            since = self.unreached_since
            answered = since is not None and self.alive is not False and last.at >= since - PROBE_TIMEOUT
            strikes = 0 if self.alive else self.strikes
            return replace(self, counts=(now,), strikes=strikes, unwatched=self.unwatched or answered)
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


def lost_at_once(unreached: Mapping[str, float | None], hosts: Mapping[str, str]) -> bool:
    """Whether it is the way to them that failed: probes of all these instances, on more than one host, have
    stopped to reach them at about the same time.

    ``unreached``: of each instance that lived until then, since when; None: it is reached.
    """
    since = [each for each in unreached.values() if each is not None]
    return (
        len(since) == len(unreached)
        and len({hosts[name] for name in unreached}) > 1
        and max(since) - min(since) <= AT_ONCE
    )
