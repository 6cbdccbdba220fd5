# SPDX-License-Identifier: Apache-2.0
"""How long requests take: what is told, what is usual, and what is believed until then."""

from __future__ import annotations

import pytest
from din.steering.estimate import Server
from din.steering.pace import PACE_BELIEF, TOKENS, paces
from din.steering.plan import Pace

from tests.din.steering.build import instance, triangle

OF = triangle(instances=[instance("near", "hb"), instance("far", "hc", variant="large")])
#: 500 ms to the first token, then 50 ms each.
OBJECTIVE = 0.5 + TOKENS * 0.05
UNKNOWN = Server()


def found(near: Server, far: Server, before: dict[str, Pace] | None = None) -> tuple[Pace, Pace]:
    both = paces(OF, "chat", {"near": near, "far": far}, before or {})
    return both["near"], both["far"]


def test_who_was_never_asked_takes_what_the_objectives_give() -> None:
    assert found(UNKNOWN, UNKNOWN) == (Pace(OBJECTIVE, 0.0), Pace(OBJECTIVE, 0.0))
    idle = Server(running=0.0, finishing=0.0)
    assert found(idle, idle)[0].hold == pytest.approx(OBJECTIVE)


def test_many_requests_are_believed_and_few_are_not() -> None:
    many, _ = found(Server(running=100.0, finishing=200.0), UNKNOWN)
    assert many.hold == pytest.approx(0.5, rel=0.02)
    few, _ = found(Server(running=0.0, finishing=0.5), UNKNOWN)
    assert 0.3 * OBJECTIVE < few.hold < OBJECTIVE


def test_who_does_not_tell_takes_what_is_usual() -> None:
    told = Server(running=20.0, finishing=10.0, compute=0.2)
    near, far = found(told, UNKNOWN)
    assert far.hold == pytest.approx((20 + OBJECTIVE) / 11)
    assert (near.prefill, far.prefill) == (pytest.approx(0.2), pytest.approx(0.2))
    # Its variant's, if another of it tells.
    of = triangle(
        instances=[instance("near", "hb"), instance("far", "hc", variant="large"), instance("third", "hb")]
    )
    slow = Server(running=80.0, finishing=10.0)
    third = paces(of, "chat", {"near": told, "far": slow, "third": UNKNOWN}, {})["third"]
    assert third.hold < 3.0


def test_a_server_that_gets_slow_is_believed_by_and_by() -> None:
    before = {"near": Pace(1.0, 0.1)}
    near, _ = found(Server(running=400.0, finishing=100.0, compute=0.6), UNKNOWN, before)
    assert near.hold == pytest.approx(1.0 + PACE_BELIEF * 3.0, rel=0.02)
    assert near.prefill == pytest.approx(0.1 + PACE_BELIEF * 0.5)
