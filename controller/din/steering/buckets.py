# SPDX-License-Identifier: Apache-2.0
"""The hash buckets of a steering group, and how shares move through them without a connection noticing.

The law (p4src/include/steering.p4): while a bucket moves, a connection that begins takes `current` and is
remembered; whatever is not remembered is older and takes `previous`. So

  `current`   may change at any time;
  `previous`  changes only when it is dead, or when all its connections have had their lifetime since it
              stopped being current. The bucket is then stable with `current`.

Back to `previous` is therefore a move given up, and stable at once.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

#: Of a group, as the data plane has them: STEERING_BUCKETS of p4src/include/sizes.p4.
BUCKETS: Final = 1024
#: Seconds after which flows without a beginning (UDP) leave `previous`: RFC 4787, REQ-5, lets a NAT forget
#: them then.
DRAIN_AFTER: Final = 120.0


@dataclass(frozen=True)
class Bucket:
    """Stable if ``current`` is ``previous``; then ``drained`` is False. ``since``: when ``previous``
    stopped being current; means nothing while stable.
    """

    current: str
    previous: str
    drained: bool = False
    since: float = 0.0

    @property
    def stable(self) -> bool:
        return self.current == self.previous


def counts(shares: Mapping[str, float], buckets: int = BUCKETS) -> dict[str, int]:
    """How many of ``buckets`` each share is: by largest remainder, ties by name. Shares need not sum to 1.
    Empty if no share is positive.
    """
    positive = {name: share for name, share in sorted(shares.items()) if share > 0}
    total = sum(positive.values())
    exact = {name: share / total * buckets for name, share in positive.items()}
    found = {name: int(value) for name, value in exact.items()}
    left = buckets - sum(found.values())
    for name in sorted(exact, key=lambda name: (found[name] - exact[name], name))[:left]:
        found[name] += 1
    return {name: count for name, count in found.items() if count}


def shares_of(buckets: tuple[Bucket, ...]) -> dict[str, float]:
    """Of connections that begin: what a controller that restarts finds."""
    return {
        name: count / len(buckets)
        for name, count in sorted(Counter(each.current for each in buckets).items())
    }


def fresh(shares: Mapping[str, float], seed_name: str) -> tuple[Bucket, ...]:
    """All stable, in an order without a pattern. ``seed_name`` (of the leaf and group) decides it, so that
    leaves differ. Empty if no share is positive.

    A CRC is linear: the source ports that a host takes one after the other differ in few bits of it, and a
    pattern over the index would send whole runs of them to one instance.
    """
    names = [name for name, count in sorted(counts(shares).items()) for _ in range(count)]
    if not names:
        return ()
    places = sorted(range(BUCKETS), key=lambda place: _digest(seed_name, str(place)))
    by_place = dict(zip(places, names, strict=True))
    return tuple(Bucket(by_place[place], by_place[place]) for place in range(BUCKETS))


def rebalance(
    buckets: tuple[Bucket, ...],
    shares: Mapping[str, float],
    now: float,
    lifetime: float,
    dead: frozenset[str],
    drain_after: float | None = DRAIN_AFTER,
) -> tuple[Bucket, ...]:
    """As many buckets with each instance as `counts` says, by the least number of changes of `current`.

    Times are seconds of one clock; ``lifetime``: after that no connection is older; ``drain_after`` None:
    nothing is drained before ``lifetime`` (services hashed by address: none of their connections is
    remembered). Shares of the dead count as none. Without a positive share nothing moves: there is nowhere
    to go.
    """
    found = [_advance(bucket, now, lifetime, dead, drain_after) for bucket in buckets]
    wanted = counts({name: share for name, share in shares.items() if name not in dead}, len(found))
    if not wanted:
        return tuple(found)
    have = Counter(bucket.current for bucket in found)
    missing = {name: count - have[name] for name, count in wanted.items() if count > have[name]}
    released = [
        place
        for name in sorted(have)
        if have[name] > wanted.get(name, 0)
        for place in _release(
            [k for k, each in enumerate(found) if each.current == name],
            found,
            name,
            missing,
            have[name] - wanted.get(name, 0),
        )
    ]
    for place, name in _assign(released, found, missing):
        found[place] = _move(found[place], name, now, dead)
    return tuple(found)


def _advance(
    bucket: Bucket, now: float, lifetime: float, dead: frozenset[str], drain_after: float | None
) -> Bucket:
    """What time and death do to a bucket."""
    if bucket.stable:
        return bucket
    if (bucket.previous in dead and bucket.current not in dead) or now - bucket.since >= lifetime:
        return Bucket(bucket.current, bucket.current)
    if drain_after is not None and not bucket.drained and now - bucket.since >= drain_after:
        return Bucket(bucket.current, bucket.previous, True, bucket.since)
    return bucket


def _move(bucket: Bucket, name: str, now: float, dead: frozenset[str]) -> Bucket:
    if bucket.previous in dead or bucket.previous == name:
        return Bucket(name, name)
    if bucket.stable:
        return Bucket(name, bucket.previous, False, now)
    return Bucket(name, bucket.previous, bucket.drained, bucket.since)


def _release(
    places: list[int], buckets: list[Bucket], name: str, missing: Mapping[str, int], count: int
) -> list[int]:
    """``count`` of the ``places`` of an instance: first moves that can be given up, then what moves anyway,
    then the rest; of drained ones, whose UDP flows would be moved once more, the last. Spread over the
    index.
    """
    if count <= 0:
        return []

    def rank(place: int) -> int:
        bucket = buckets[place]
        if bucket.stable:
            return 2
        return 0 if missing.get(bucket.previous, 0) > 0 else 3 if bucket.drained else 1

    chosen: list[int] = []
    for each in range(4):
        alike = [place for place in places if rank(place) == each]
        chosen += _spread(alike, count - len(chosen))
    return chosen


def _spread(places: list[int], count: int) -> list[int]:
    """At most ``count`` of ``places``, evenly."""
    if count >= len(places):
        return places
    return [places[k * len(places) // count] for k in range(count)] if count > 0 else []


def _assign(released: list[int], buckets: list[Bucket], missing: Mapping[str, int]) -> list[tuple[int, str]]:
    """Each released bucket to an instance that is short of some: to its `previous` if it can be, the others
    interleaved.
    """
    left = dict(missing)
    found: list[tuple[int, str]] = []
    others: list[int] = []
    for place in sorted(released):
        previous = buckets[place].previous
        if left.get(previous, 0) > 0:
            left[previous] -= 1
            found.append((place, previous))
        else:
            others.append(place)
    stripes = sorted(((k + 0.5) / count, name) for name, count in left.items() for k in range(count))
    return found + [(place, name) for place, (_, name) in zip(others, stripes, strict=True)]


def _digest(*names: str) -> int:
    return int.from_bytes(hashlib.sha256("/".join(names).encode()).digest()[:8])
