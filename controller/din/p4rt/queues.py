# SPDX-License-Identifier: Apache-2.0
"""Entries of `classes` that fit the queues which a switch really has.

The data plane wants eight strict priorities. A switch with fewer drops what is put in a queue that it has not
got (bmv2 without --priority-queues has one, and says nothing), so classes share the queues there are: the
order of the classes is kept, and the best queues stay with those that have the strictest promises.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from din.packet.constants import CLASS_REPORT, Queue, TrafficClass

FULL = 8
#: Best first. The scheduled class has four queues, the others one each.
_ORDER = (
    TrafficClass.CONTROL,
    TrafficClass.DETERMINISTIC,
    TrafficClass.SCHEDULED,
    TrafficClass.KV_TRANSFER,
    TrafficClass.BEST_EFFORT,
)


@dataclass(frozen=True)
class ClassQueue:
    """An entry of `classes`. ``queue`` None: by rank over the scheduled queues (action `schedule`)."""

    class_id: int
    queue: int | None


def class_queues(queues: int) -> list[ClassQueue]:
    """For a switch with ``queues`` queues a port. Raises ValueError below 1."""
    if queues < 1:
        raise ValueError(f"a port has at least one queue, not {queues}")
    found: dict[int, int | None] = {}
    if queues >= FULL:
        found = {
            TrafficClass.CONTROL: Queue.CONTROL,
            TrafficClass.DETERMINISTIC: Queue.DETERMINISTIC,
            TrafficClass.SCHEDULED: None,
            TrafficClass.KV_TRANSFER: Queue.KV_TRANSFER,
            TrafficClass.BEST_EFFORT: Queue.BEST_EFFORT,
        }
    else:
        # Downwards from the best queue. Those that find none left share the lowest.
        for place, class_id in enumerate(_ORDER):
            found[class_id] = max(min(queues, len(_ORDER)) - 1 - place, 0)
    found[TrafficClass.TRAINING] = found[TrafficClass.BEST_EFFORT]
    for class_id in sorted(TrafficClass):
        queue = found[class_id]
        # A report rides above what it reports on, where there is an above.
        above = Queue.SCHEDULED_HIGH if queue is None else queue
        found[CLASS_REPORT | class_id] = min(above + 1, min(queues, FULL) - 1)
    return [ClassQueue(class_id, found[class_id]) for class_id in sorted(found)]


def count_queues(answered: Iterable[int]) -> int:
    """How many queues a switch has, from those whose probes came back (`din.p4rt.queue_probe`). Raises
    ValueError if there is none, or one is missing below."""
    found = set(answered)
    count = len(found)
    if not found or found != set(range(count)):
        raise ValueError(f"probes of queues {sorted(found)} came back, which are not all up to one")
    return count
