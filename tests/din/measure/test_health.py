# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from din.measure.health import (
    AT_ONCE,
    FIRST_HOLD,
    LAST_HOLD,
    PROBE_INTERVAL,
    PROBE_TIMEOUT,
    SILENT_SYNS,
    SILENT_WINDOW,
    SYN_PATIENCE,
    UNREACHED_TO_DIE,
    Health,
    Outcome,
    lost_at_once,
)
from din.measure.probe import judge
from hypothesis import given
from hypothesis import strategies as st

OK, BUSY, FAILED, UNREACHED = Outcome.OK, Outcome.BUSY, Outcome.FAILED, Outcome.UNREACHED


def after(*outcomes: Outcome, health: Health | None = None, start: float = 0.0) -> Health:
    health = health or Health()
    for beat, outcome in enumerate(outcomes):
        health = health.probed(outcome, "connection refused", start + beat * PROBE_INTERVAL)
    return health


@pytest.mark.parametrize(
    ("outcomes", "alive"),
    [
        ([], None),
        ([OK], True),
        ([FAILED], None),
        ([FAILED, FAILED], False),
        ([FAILED, OK, FAILED], True),
        ([OK, FAILED], True),
        ([OK, FAILED, OK, FAILED], True),
        ([OK, FAILED, FAILED], False),
        ([OK, FAILED, FAILED, OK], False),
        ([OK, FAILED, FAILED, OK, FAILED, OK], False),
        ([OK, FAILED, FAILED, OK, OK], True),
        ([BUSY, BUSY, BUSY], None),
        ([OK, BUSY, BUSY, BUSY], True),
        ([OK, FAILED, BUSY, FAILED], True),
        ([OK, FAILED, FAILED, BUSY, BUSY, BUSY], False),
        ([OK, FAILED, FAILED, OK, BUSY, OK], False),
        ([OK, UNREACHED, UNREACHED], True),
        ([OK, UNREACHED, UNREACHED, UNREACHED], False),
        ([UNREACHED, UNREACHED, UNREACHED], False),
        ([OK, UNREACHED, UNREACHED, OK, UNREACHED], True),
        ([OK, UNREACHED, FAILED], False),
        ([OK, UNREACHED, UNREACHED, UNREACHED, OK, OK], True),
    ],
)
def test_probes(outcomes: list[Outcome], alive: bool | None) -> None:
    assert after(*outcomes).alive is alive


def test_the_dead_have_a_reason_and_the_living_have_none() -> None:
    dead = after(OK, FAILED, FAILED, FAILED)
    assert dead.reason == "/health: connection refused, 3 times in a row"
    assert dead.since == 2 * PROBE_INTERVAL
    alive = after(OK, OK, health=dead, start=10.0)
    assert (alive.reason, alive.since) == ("", 10.0 + PROBE_INTERVAL)


@given(st.lists(st.sampled_from(list(Outcome))))
def test_it_dies_of_failures_in_a_row_and_lives_of_successes_in_a_row(outcomes: list[Outcome]) -> None:
    before = after(*outcomes)
    assert after(FAILED, FAILED, health=before, start=100.0).alive is False
    assert after(OK, OK, health=before, start=100.0).alive is True
    changed = after(FAILED, health=before, start=100.0)
    assert changed.alive is before.alive or before.failures > 0
    assert after(BUSY, health=before, start=100.0).alive is before.alive


# ---- SYNs --------------------------------------------------------------------------------------------------


def counted(health: Health, *counts: tuple[float, int, int]) -> Health:
    for at, syns, answers in counts:
        health = health.counted(syns, answers, at)
    return health


LIVING = after(OK)


def test_syns_that_nobody_answers_are_death() -> None:
    health = counted(LIVING, (0.0, 10, 10), (0.5, 20, 20), (1.0, 25, 20))
    assert health.alive is True
    # Those of 1.0 are now old enough.
    health = counted(health, (1.5, 30, 20))
    assert health.alive is False
    assert health.reason == "5 connection attempts through the fabric, none answered in 1.0 s"


def test_a_dead_instance_that_clients_want_is_out_in_less_than_two_seconds() -> None:
    """Ten connections a second, the switches read each half second, it dies at any time in between."""
    for tenth in range(10):
        died = 3.0 + tenth / 20
        health, at = LIVING, 0.0
        while health.alive and at < 10:
            health = health.counted(int(at * 10), int(min(at, died) * 10), at)
            at += 0.5
        assert health.alive is False
        assert died < health.since < died + 2.0  # type: ignore[operator]


@given(
    rate=st.floats(0, 200),
    round_trip=st.floats(0, SYN_PATIENCE),
    began=st.floats(0, 5),
    interval=st.floats(0.1, 1.0),
)
def test_one_that_answers_a_little_later_never_dies(
    rate: float, round_trip: float, began: float, interval: float
) -> None:
    health = LIVING
    for reading in range(20):
        at = reading * interval
        syns = int(max(0.0, at - began) * rate)
        answers = int(max(0.0, at - began - round_trip) * rate)
        health = health.counted(syns, answers, at)
        assert health.alive, at


def test_a_few_syns_are_no_evidence() -> None:
    readings = [(at / 2, min(at, SILENT_SYNS - 1), 0) for at in range(40)]
    assert counted(LIVING, *readings).alive is True


def test_syns_far_apart_are_no_evidence() -> None:
    """Somebody's port scan, or one lost packet now and then."""
    readings = [(at * SILENT_WINDOW, at, 0) for at in range(40)]
    assert counted(LIVING, *readings).alive is True


def test_counts_that_fell_begin_anew() -> None:
    health = counted(LIVING, (0.0, 100, 100), (0.5, 110, 100), (1.0, 2, 0), (1.5, 4, 0))
    assert health.alive is True
    assert counted(health, (2.0, 6, 0), (2.5, 8, 0)).alive is False


def silent(health: Health, start: float) -> Health:
    base = 1000 + int(start * 10)
    return counted(health, *((start + beat * 0.5, base + beat * 5, 900) for beat in range(4)))


def test_who_is_dead_for_its_syns_is_held_though_probes_succeed_each_time_longer() -> None:
    health, hold = silent(LIVING, 10.0), FIRST_HOLD
    for _ in range(6):
        assert health.alive is False
        died = health.since
        assert died is not None
        assert health.held_until == died + hold
        assert after(OK, OK, OK, health=health, start=died).alive is False
        health = after(OK, OK, health=health, start=died + hold)
        assert health.alive is True
        health = silent(health, died + hold + 1.0)
        hold = min(2 * hold, LAST_HOLD)
    assert hold == LAST_HOLD


def test_once_it_answers_again_the_next_hold_is_short() -> None:
    health = silent(LIVING, 10.0)
    health = after(OK, OK, health=health, start=30.0)
    health = counted(health, (31.0, 2000, 900), (31.5, 2001, 901))
    assert health.strikes == 0
    health = silent(health, 100.0)
    assert health.held_until - health.since == FIRST_HOLD  # type: ignore[operator]


def test_if_probes_fail_too_they_say_when_it_is_back() -> None:
    health = silent(LIVING, 10.0)
    assert health.since == 11.0
    health = after(FAILED, FAILED, health=health, start=11.1)
    assert "/health: connection refused" in health.reason
    assert after(OK, OK, health=health, start=12.0).alive is True


def test_the_dead_do_not_gather_evidence() -> None:
    health = after(OK, FAILED, FAILED)
    health = counted(health, *((10 + beat * 0.5, beat * 9, 0) for beat in range(8)))
    assert "/health" in health.reason
    assert len(health.counts) <= SILENT_WINDOW / 0.5 + 2
    assert after(OK, OK, health=health, start=20.0).counts == ()


# ---- a dead host, or a dead way to it ----------------------------------------------------------------------


def test_a_host_that_is_gone_is_out_in_less_than_two_seconds_though_nobody_connects() -> None:
    """Of a probe that begins just before, the next one's time is lost as well."""
    last = PROBE_INTERVAL + (UNREACHED_TO_DIE - 1) * PROBE_INTERVAL + PROBE_TIMEOUT
    assert last < 1.7


def test_who_answers_syns_while_no_probe_reaches_it_is_alive() -> None:
    health = after(OK, UNREACHED, start=9.6)
    health = counted(health, (10.0, 50, 50), (10.5, 60, 60))
    health = after(*[UNREACHED] * 9, health=health, start=10.6)
    assert (health.alive, health.unwatched) == (True, True)
    # Now SYNs alone have it dead,
    dead = counted(health, (15.0, 70, 70), (15.5, 80, 70), (16.0, 90, 70), (16.5, 99, 70))
    assert dead.alive is False
    assert "connection attempts" in dead.reason
    assert after(*[UNREACHED] * 3, health=dead, start=17.0).reason == dead.reason
    # and a probe that gets through ends it.
    for outcome in (OK, BUSY, FAILED):
        assert after(outcome, health=health, start=15.0).unwatched is False
    assert after(FAILED, FAILED, health=health, start=15.0).alive is False


def test_answers_of_before_are_no_sign_of_life() -> None:
    """Read after the first probe that reached nobody, given before that."""
    health = counted(after(OK), (9.0, 50, 50))
    health = after(UNREACHED, health=health, start=10.0)
    health = counted(health, (10.1, 60, 60))
    assert health.unwatched is False
    health = after(UNREACHED, UNREACHED, health=health, start=10.4)
    assert health.alive is False
    # Nor do those bring it back that were under way.
    assert counted(health, (10.9, 60, 60), (11.4, 61, 61)).alive is False


HOSTS = {"a": "one", "b": "one", "c": "two"}


@pytest.mark.parametrize(
    ("unreached", "lost"),
    [
        ({}, False),
        ({"a": 1.0, "b": 1.2, "c": 1.0 + AT_ONCE}, True),
        ({"a": 1.0, "b": 1.2, "c": 1.01 + AT_ONCE}, False),
        ({"a": 1.0, "b": 1.2, "c": None}, False),
        # One host: it may be gone.
        ({"a": 1.0, "b": 1.2}, False),
        ({"b": 1.0, "c": 1.2}, True),
    ],
)
def test_lost_at_once(unreached: dict[str, float | None], lost: bool) -> None:
    assert lost_at_once(unreached, HOSTS) is lost


# ---- what answers mean -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "retry_after", "outcome"),
    [
        (200, False, OK),
        (204, False, OK),
        (429, False, BUSY),
        (503, True, BUSY),
        (503, False, FAILED),
        (500, False, FAILED),
        (502, False, FAILED),
        (404, False, FAILED),
        (301, False, FAILED),
        (400, False, FAILED),  # Triton's /v2/health/ready when it is not
    ],
)
def test_judge(status: int, retry_after: bool, outcome: Outcome) -> None:
    found, words = judge(status, retry_after)
    assert found is outcome
    assert str(status) in words
