# SPDX-License-Identifier: Apache-2.0
"""Buckets from plan to plan: when they are looked at again, and what they are kept for."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest
from din.controller.moves import SETTLE_SECONDS, BucketMap, Moves
from din.model.service import Affinity
from din.steering import buckets as steering_buckets
from din.steering.buckets import DRAIN_AFTER, Bucket, fresh, rebalance, shares_of
from din.steering.plan import Plan

from .test_adopt import AGGREGATE, DESIRED, PLAN

WHERE: Final = (AGGREGATE.leaf, AGGREGATE.group)
MODEL: Final = DESIRED.model
LIFETIME: Final = MODEL.service[AGGREGATE.service].connection_lifetime / 1e6
NOBODY: Final[frozenset[str]] = frozenset()


def plan(shares: dict[str, float]) -> Plan:
    """Of one aggregate."""
    decision = PLAN.decisions[AGGREGATE]
    choices = tuple(replace(each, share=shares.get(each.instance, 0.0)) for each in decision.choices)
    return replace(PLAN, decisions={AGGREGATE: replace(decision, choices=choices)})


ALL_TO_2: Final = plan({"chat-2": 1.0})


def moving() -> BucketMap:
    """All on their way from chat-1 to chat-2, since 10."""
    held = fresh({"chat-1": 1.0}, "x")
    return {WHERE: rebalance(held, {"chat-2": 1.0}, 10.0, LIFETIME, NOBODY, DRAIN_AFTER)}


def test_what_stays_is_the_same_object_and_is_not_looked_at_before_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moves, held = Moves(), moving()
    first = moves.after(ALL_TO_2, held, MODEL, NOBODY, 11.0)
    assert first[WHERE] is held[WHERE]
    monkeypatch.setattr(steering_buckets, "_advance", None)
    # Lifetime and the drain of UDP are both of two minutes here.
    assert moves.after(ALL_TO_2, first, MODEL, NOBODY, 9.9 + min(LIFETIME, DRAIN_AFTER)) == first
    with pytest.raises(TypeError):
        moves.after(ALL_TO_2, first, MODEL, NOBODY, 10.1 + min(LIFETIME, DRAIN_AFTER))


def test_a_move_ends_when_its_connections_have_had_their_lifetime() -> None:
    moves, held = Moves(), moving()
    for now in (11.0, 10.0 + LIFETIME - 0.1):
        held = moves.after(ALL_TO_2, held, MODEL, NOBODY, now)
        assert not any(each.stable for each in held[WHERE])
    held = moves.after(ALL_TO_2, held, MODEL, NOBODY, 10.0 + LIFETIME + SETTLE_SECONDS)
    assert set(held[WHERE]) == {Bucket("chat-2", "chat-2")}


@pytest.mark.parametrize(("affinity", "drained"), [(Affinity.CONNECTION, True), (Affinity.CLIENT, False)])
def test_udp_leaves_earlier_but_where_nothing_has_a_beginning(affinity: Affinity, drained: bool) -> None:
    services = [
        each.model_copy(update={"affinity": affinity, "connection_lifetime": 3600_000_000})
        for each in MODEL.services
    ]
    model = MODEL.model_copy(update={"services": services})
    model.__dict__.pop("service", None)
    moves, held = Moves(), moving()
    for now in (11.0, 10.0 + DRAIN_AFTER + SETTLE_SECONDS):
        held = moves.after(ALL_TO_2, held, model, NOBODY, now)
    assert {each.drained for each in held[WHERE]} == {drained}


def test_shares_and_deaths_are_followed_at_once() -> None:
    moves, held = Moves(), moving()
    held = moves.after(ALL_TO_2, held, MODEL, NOBODY, 11.0)
    half = moves.after(plan({"chat-1": 0.5, "chat-2": 0.5}), held, MODEL, NOBODY, 11.1)
    assert shares_of(half[WHERE]) == {"chat-1": 0.5, "chat-2": 0.5}
    dead = replace(ALL_TO_2, alive=ALL_TO_2.alive - {"chat-1"})
    assert set(moves.after(dead, half, MODEL, NOBODY, 11.2)[WHERE]) == {Bucket("chat-2", "chat-2")}


def test_where_nobody_may_answer_all_stays_but_for_those_that_are_gone() -> None:
    moves, held, nobody = Moves(), moving(), plan({})
    assert moves.after(nobody, held, MODEL, NOBODY, 11.0) == held
    assert moves.after(nobody, held, MODEL, frozenset({"chat-1"}), 11.0) == {}
    assert moves.after(nobody, {}, MODEL, NOBODY, 11.0) == {}
