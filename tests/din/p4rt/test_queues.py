# SPDX-License-Identifier: Apache-2.0
"""Classes on switches with any number of queues."""

from __future__ import annotations

import pytest
from din.p4rt.queues import class_queues, count_queues
from din.packet.constants import CLASS_REPORT, TrafficClass

BEST_FIRST = [
    TrafficClass.CONTROL,
    TrafficClass.DETERMINISTIC,
    TrafficClass.SCHEDULED,
    TrafficClass.KV_TRANSFER,
    TrafficClass.TRAINING,
]


def test_eight_queues_are_those_of_the_design() -> None:
    found = {c.class_id: c.queue for c in class_queues(8)}
    assert [found[c] for c in BEST_FIRST] == [7, 6, None, 1, 0]
    assert found[TrafficClass.BEST_EFFORT] == 0


@pytest.mark.parametrize("queues", range(1, 12))
def test_every_class_and_its_reports_have_a_queue_that_exists(queues: int) -> None:
    found = {c.class_id: c.queue for c in class_queues(queues)}
    assert found.keys() == {c | bit for c in TrafficClass for bit in (0, CLASS_REPORT)}
    numbers = [5 if q is None else q for q in found.values()]
    assert all(0 <= q < min(queues, 8) for q in numbers)
    # The order of the classes is kept, and the best class is alone with as many queues as there are.
    order = [5 if (q := found[c]) is None else q for c in BEST_FIRST]
    assert order == sorted(order, reverse=True)
    assert order[0] == min(queues, 8, 5 if queues < 8 else 8) - 1
    assert len(set(order)) == min(queues, len(BEST_FIRST))


@pytest.mark.parametrize("queues", range(2, 12))
def test_a_report_rides_above_its_subject(queues: int) -> None:
    found = {c.class_id: c.queue for c in class_queues(queues)}
    top = max(q for q in found.values() if q is not None)
    for class_id in TrafficClass:
        subject, report = found[class_id], found[CLASS_REPORT | class_id]
        assert report is not None
        assert report > (5 if subject is None else subject) or report == top


@pytest.mark.parametrize("queues", [0, -1])
def test_no_queue_at_all(queues: int) -> None:
    with pytest.raises(ValueError, match="at least one queue"):
        class_queues(queues)


def test_counting_by_probes() -> None:
    assert count_queues([2, 0, 1]) == 3
    assert count_queues([0]) == 1
    with pytest.raises(ValueError, match="CPU port"):
        count_queues([])
    with pytest.raises(ValueError, match=r"queues \[1\] did not come back"):
        count_queues([0, 2])
