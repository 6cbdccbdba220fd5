# SPDX-License-Identifier: Apache-2.0
"""What switches, and the ways to them, do when they should not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from din.p4rt.codec import Op
from din.p4rt.connection import BatchError, NotPrimaryError, SwitchError, election_id
from din.p4rt.counters import read_counters
from din.p4rt.entry import State, Ternary, action, key
from din.p4rt.events import BecameBackup, BecamePrimary, Down, NoPrimary, Up
from din.p4rt.order import BATCH, Order
from din.p4rt.program import Program
from din.p4rt.reconcile import Outcome, Result
from finsy.proto import p4r

from tests.din.p4rt.fleets import Sent, controller
from tests.din.p4rt.relay import relay
from tests.din.p4rt.switches import steering, target, terms
from tests.din.p4rt.test_connection import another

LONG = 60.0


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("din.p4rt.reconcile._RETRY_SECONDS", 0.05)


async def test_a_switch_that_falls_silent_is_given_up_and_comes_back(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No stream ends where a way is lost or power fails: whoever waits is told, nothing waits for ever, and
    all goes on by itself."""
    monkeypatch.setattr("din.p4rt.connection._ALIVE_EVERY", 0.05)
    monkeypatch.setattr("din.p4rt.channel._ALIVE_SECONDS", 0.5)
    async with relay(address) as way, controller(target(way.address)) as (fleet, seen):
        await fleet.apply({"leaf1": steering(1, [1])}, patience=LONG)
        ours = fleet.connection("leaf1")
        way.cut()
        asked = [
            asyncio.create_task(read_counters(ours, {"drops": None})),
            asyncio.create_task(ours.read_state()),
            asyncio.create_task(ours.write(p4r.WriteRequest())),
        ]
        result = (await fleet.apply({"leaf1": steering(1, [1, 2])}, patience=0.1))["leaf1"]
        down = await seen.wait(Down)
        assert "has not answered for 0.5 s" in down.reason
        assert result.outcome in (Outcome.FAILED, Outcome.WAITING)
        for each in asked:
            with pytest.raises(SwitchError, match="leaf1: "):
                await each
        with pytest.raises(NotPrimaryError):
            await ours.packet_out(1, b"x")
        mark = len(seen.all)
        way.mend()
        await seen.wait(Up, start=mark)
        await seen.wait(Result, lambda r: r.outcome is Outcome.DONE, start=mark)
        assert await ours.read_state() == steering(1, [1, 2])


async def test_a_switch_that_becomes_anothers_while_it_is_written(
    address: str, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more is sent than the batch that is under way; when the switch is ours again all is made."""
    monkeypatch.setattr(Order.batches, "__defaults__", (20,))
    want = steering(1, [1, 2], buckets=900)
    async with controller(target(address)) as (fleet, seen):
        await fleet.apply({"leaf1": {}}, patience=LONG)
        sent.requests.clear()
        update = fleet["leaf1"].set(want)
        while len(sent.updates) < 100:
            await asyncio.sleep(0)
        with another(address, election_id(next(terms))):
            await seen.wait(BecameBackup)
            written = len(sent.updates)
            assert written < len(want)
            await asyncio.sleep(0.05)
            assert len(sent.updates) == written
            assert not update.done(), "it waits for the switch to be ours again"
            mark = len(seen.all)
        if isinstance(await seen.wait(NoPrimary | BecamePrimary, start=mark), NoPrimary):
            fleet.raise_term(next(terms))
        async with asyncio.timeout(LONG):
            assert (await update).outcome is Outcome.DONE
        assert await fleet.connection("leaf1").read_state() == want


async def test_a_term_is_raised_while_the_switch_is_written(
    address: str, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Order.batches, "__defaults__", (20,))
    want = steering(1, [1, 2], buckets=900)
    async with controller(target(address)) as (fleet, seen):
        await fleet.apply({"leaf1": {}}, patience=LONG)
        sent.requests.clear()
        update = fleet["leaf1"].set(want)
        while len(sent.updates) < 100:
            await asyncio.sleep(0)
        mark = len(seen.all)
        fleet.raise_term(next(terms))
        async with asyncio.timeout(LONG):
            result = await update
        assert (result.outcome, result.errors, result.had_to_read) == (Outcome.DONE, (), True)
        assert await fleet.connection("leaf1").read_state() == want
        assert not [each for each in seen.all[mark:] if isinstance(each, Down)]


async def test_a_term_is_raised_before_the_switch_has_answered_the_first(p4jit: str) -> None:
    async with relay(p4jit) as way:
        way.cut()
        async with controller(target(way.address)) as (fleet, seen):
            async with asyncio.timeout(LONG):
                await way.accepted.wait()
            fleet.raise_term(next(terms))
            way.mend()
            result = (await fleet.apply({"leaf1": steering(1, [1])}, patience=LONG))["leaf1"]
            assert (result.outcome, result.errors) == (Outcome.DONE, ())
            assert not seen.of(Down)


async def test_an_update_that_gives_way_when_the_switch_is_lost_is_answered(
    p4jit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with controller(target(p4jit)) as (fleet, _):
        await fleet.apply({"leaf1": {}}, patience=LONG)
        leaf, ours = fleet["leaf1"], fleet.connection("leaf1")
        write = ours.write
        updates = []

        async def lose(request: p4r.WriteRequest) -> None:
            if not updates:
                # A newer state comes, and then the switch is another's.
                updates.append(leaf.set(steering(2, [2])))
                ours._stop_writing()
                raise NotPrimaryError("leaf1: refused")
            await write(request)

        monkeypatch.setattr(ours, "write", lose)
        first = leaf.set(steering(1, [1]))
        async with asyncio.timeout(LONG):
            assert (await first).outcome is Outcome.SUPERSEDED
            fleet.raise_term(next(terms))
            assert (await updates[0]).outcome is Outcome.DONE


@pytest.mark.usefixtures("impatient")
async def test_a_primary_that_may_not_write_is_told_and_tries_again(
    p4jit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a server's own policy forbids it: arbitration says nothing of that."""
    async with controller(target(p4jit)) as (fleet, seen):
        await fleet.apply({"leaf1": {}}, patience=LONG)
        ours = fleet.connection("leaf1")
        mark = len(seen.all)
        with monkeypatch.context() as patch:
            patch.setattr(ours, "write", _raiser(NotPrimaryError("leaf1: PERMISSION_DENIED: not for you")))
            result = (await fleet.apply({"leaf1": steering(1, [1])}))["leaf1"]
            assert (result.outcome, result.errors) == (
                Outcome.FAILED,
                ("PERMISSION_DENIED: not for you",),
            )
        await seen.wait(Result, lambda r: r.outcome is Outcome.DONE and r.blast, start=mark)
        assert await ours.read_state() == steering(1, [1])


@pytest.mark.usefixtures("impatient")
async def test_a_mistake_of_ours_is_told_and_ends_nothing(
    p4jit: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with controller(target(p4jit)) as (fleet, seen):
        await fleet.apply({"leaf1": {}}, patience=LONG)
        mark = len(seen.all)
        with monkeypatch.context() as patch:
            patch.setattr(fleet.connection("leaf1"), "read_state", _raiser(KeyError(7)))
            fleet["leaf1"].forget()
            result = (await fleet.apply({"leaf1": steering(1, [1])}))["leaf1"]
            assert (result.outcome, result.errors) == (Outcome.FAILED, ("KeyError(7)",))
        await seen.wait(Result, lambda r: r.outcome is Outcome.DONE and r.blast, start=mark)
    assert "leaf1: an update failed" in caplog.text


def _raiser(error: Exception) -> Callable[..., Awaitable[None]]:
    async def fail(*_: Any) -> None:
        raise error

    return fail


async def test_what_has_no_room_yet_is_made_when_there_is_some(address: str, program: Program) -> None:
    """p4jit says RESOURCE_EXHAUSTED of a full table, simple_switch_grpc UNKNOWN."""
    size = program.tables["report_sinks"].size

    def sinks(first: int) -> State:
        to = action("to_collector", hw_id=1, src_addr=2, dst_addr=3, dst_port=4)
        return {key("report_sinks", n, label=0, kind=Ternary(1, 255)): to for n in range(first, first + size)}

    async with controller(target(address)) as (fleet, _):
        await fleet.apply({"leaf1": sinks(1)}, patience=LONG)
        result = (await fleet.apply({"leaf1": sinks(1000)}, verify=True))["leaf1"]
        assert (result.outcome, result.errors, result.written) == (Outcome.DONE, (), 2 * size)


async def test_what_is_gone_already_is_as_good_as_deleted(address: str) -> None:
    async with controller(target(address)) as (fleet, _):
        await fleet.apply({"leaf1": steering(1, [1])}, patience=LONG)
        ours = fleet.connection("leaf1")
        request = p4r.WriteRequest()
        ours.codec.add(request, Op.DELETE, key("buckets", group=1, bucket=3), None)
        await ours.write(request)
        result = (await fleet.apply({"leaf1": {}}, verify=True))["leaf1"]
        assert (result.outcome, result.errors) == (Outcome.DONE, ())


async def test_as_many_refusals_as_a_batch_has_arrive(address: str) -> None:
    """They are trailing metadata, which gRPC would cut off at 8 KiB."""
    async with controller(target(address)) as (fleet, _):
        await fleet.apply({"leaf1": {}}, patience=LONG)
        ours = fleet.connection("leaf1")
        request = p4r.WriteRequest()
        for bucket in range(BATCH):
            ours.codec.add(request, Op.DELETE, key("buckets", group=1, bucket=bucket), None)
        with pytest.raises(BatchError, match=r"NOT_FOUND: .*, and 999 more") as error:
            await ours.write(request)
        assert [each.index for each in error.value.refusals] == list(range(BATCH))
