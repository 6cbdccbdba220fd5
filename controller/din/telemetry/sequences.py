# SPDX-License-Identifier: Apache-2.0
"""What was lost of a stream of reports, from its sequence numbers. Pure.

Numbers are of 22 bits and wrap. They may come out of order (bmv2's threads overtake each other): a number
that is missing counts as lost when `WINDOW` later ones have come. A number that does not fit, because it was
there before or is far from all others, may be anything; when a few in a row are close to each other, they are
what counts from then on: after an outage, if they are ahead; of a switch that started anew, if not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

SIZE: Final = 1 << 22
#: So far behind the highest a number may still come, and so far ahead it is believed without another.
WINDOW: Final = 256
#: Numbers near each other that have to come in a row until they are believed.
_CONFIRMED: Final = 3


def _ahead(number: int, of: int) -> int:
    """-SIZE/2 to SIZE/2 - 1."""
    return (number - of + SIZE // 2) % SIZE - SIZE // 2


@dataclass
class Stream:
    """Of one (node, hardware ID). The first number that is seen is where it begins."""

    received: int = 0
    lost: int = 0  # for good
    reordered: int = 0
    strays: int = 0  # twice the same, or far from all others
    restarts: int = 0
    _highest: int | None = None
    _missing: set[int] = field(default_factory=set)  # numbers less than WINDOW behind the highest
    _odd: list[int] = field(default_factory=list)  # numbers that did not fit, since the last one that did

    @property
    def missing(self) -> int:
        """Not there yet, and not given up."""
        return len(self._missing)

    def observe(self, numbers: Sequence[int]) -> None:
        """In the order of their arrival."""
        self.received += len(numbers)
        if (
            not self._missing
            and numbers
            and self._highest is not None
            and numbers[0] == self._highest + 1
            and numbers[-1] - numbers[0] + 1 == len(numbers)
            and all(b - a == 1 for a, b in pairwise(numbers))
        ):
            # What it nearly always is.
            self._highest = numbers[-1]
            self.strays += len(self._odd)
            self._odd.clear()
            return
        for number in numbers:
            self._one(number)

    def _one(self, number: int) -> None:
        if self._highest is None:
            self._highest = number
            return
        ahead = _ahead(number, self._highest)
        if 0 < ahead <= WINDOW:
            self._advance(number, ahead)
        elif number in self._missing:
            self._missing.remove(number)
            self.reordered += 1
        else:
            self._doubt(number)
            return
        self.strays += len(self._odd)
        self._odd.clear()

    def _advance(self, number: int, ahead: int) -> None:
        self._missing.update((number - back) % SIZE for back in range(1, ahead))
        self._highest = number
        late = {each for each in self._missing if _ahead(number, each) >= WINDOW}
        self.lost += len(late)
        self._missing -= late

    def _doubt(self, number: int) -> None:
        assert self._highest is not None
        self._odd = [each for each in self._odd if each != number and abs(_ahead(number, each)) < WINDOW]
        self._odd.append(number)
        if len(self._odd) < _CONFIRMED:
            return
        odd, self._odd = self._odd, []
        lowest = min(odd, key=lambda each: _ahead(each, number))
        ahead = _ahead(lowest, self._highest)
        if ahead <= 0 or lowest < WINDOW:
            # A switch that starts anew begins at 0; an outage seldom ends there.
            self.restarts += 1
        else:
            self.lost += ahead - 1
        self.lost += len(self._missing)
        self._missing = set()
        self._highest = (lowest - 1) % SIZE
        for each in odd:
            self._one(each)


class Sequences:
    """Streams by (node, hardware ID), at most ``limit``: of more nothing is known."""

    def __init__(self, limit: int = 4096) -> None:
        self.streams: dict[tuple[int, int], Stream] = {}
        self._limit = limit

    def observe(self, nodes: Sequence[int], hw_ids: Sequence[int], numbers: Sequence[int]) -> None:
        """Of a batch, in the order of arrival."""
        parts: dict[tuple[int, int], list[int]] = {}
        for node, hw_id, number in zip(nodes, hw_ids, numbers, strict=True):
            parts.setdefault((node, hw_id), []).append(number)
        for key, part in parts.items():
            if key not in self.streams and len(self.streams) >= self._limit:
                continue
            self.streams.setdefault(key, Stream()).observe(part)

    @property
    def lost(self) -> int:
        return sum(each.lost for each in self.streams.values())
