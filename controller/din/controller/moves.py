# SPDX-License-Identifier: Apache-2.0
"""The buckets of all steering groups, from plan to plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from din.model.network import Model
from din.model.service import Affinity, Service
from din.steering.buckets import DRAIN_AFTER, Bucket, counts, fresh, rebalance
from din.steering.plan import Plan

from .adopt import Group

#: (leaf, group) -> its buckets.
BucketMap = dict[tuple[str, Group], tuple[Bucket, ...]]

#: Seconds between looks at moves that time alone ends: it is in no hurry.
SETTLE_SECONDS: Final = 2.0


@dataclass(frozen=True)
class _Made:
    """What a group's buckets were made for, what they became, and until when they stay so."""

    counts: dict[str, int]
    dead: frozenset[str]
    buckets: tuple[Bucket, ...]
    until: float


class Moves:
    """It remembers what it made, to make nothing twice; what it makes does not depend on that."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, Group], _Made] = {}

    def after(self, plan: Plan, held: BucketMap, model: Model, gone: frozenset[str], now: float) -> BucketMap:
        """Buckets as ``plan`` has them shared out. ``gone``: instances that are not in ``model`` any more;
        buckets are still theirs.
        """
        dead = (frozenset(model.instance) | gone) - plan.alive
        buckets: BucketMap = {}
        for aggregate, decision in plan.decisions.items():
            where = aggregate.leaf, aggregate.group
            shares = {name: share for name, share in decision.shares.items() if share > 0}
            before = held.get(where)
            if not shares:
                # Nobody may answer: what is there stays, since another would be no better. Nobody can be
                # reached: it is kept for when they can, so that connections live through that.
                if before is not None and not any({each.current, each.previous} & gone for each in before):
                    buckets[where] = before
            elif before is None:
                buckets[where] = fresh(shares, "/".join((aggregate.leaf, *aggregate.group)))
            else:
                service = model.service[aggregate.service]
                buckets[where] = self._moved(where, before, shares, dead, service, now)
        return buckets

    def _moved(
        self,
        where: tuple[str, Group],
        before: tuple[Bucket, ...],
        shares: dict[str, float],
        dead: frozenset[str],
        service: Service,
        now: float,
    ) -> tuple[Bucket, ...]:
        wanted, made = counts(shares), self._made.get(where)
        if (
            made is not None
            and made.buckets is before
            and (made.counts, made.dead) == (wanted, dead)
            and now < made.until
        ):
            return before
        lifetime = service.connection_lifetime / 1e6
        # What is hashed by address has no beginning that a switch could see, and so no end of a move.
        drain_after = None if service.affinity is Affinity.CLIENT else DRAIN_AFTER
        found = rebalance(before, shares, now, lifetime, dead, drain_after)
        if found == before:
            found = before
        until = max(now + SETTLE_SECONDS, _ends(found, lifetime, drain_after))
        self._made[where] = _Made(wanted, dead, found, until)
        return found


def _ends(buckets: tuple[Bucket, ...], lifetime: float, drain_after: float | None) -> float:
    """When time first changes one of these."""
    ends = float("inf")
    for each in buckets:
        if not each.stable:
            drains = drain_after is not None and not each.drained
            ends = min(ends, each.since + (min(lifetime, drain_after or lifetime) if drains else lifetime))
    return ends
