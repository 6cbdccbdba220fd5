# SPDX-License-Identifier: Apache-2.0
"""Real switches become what they are to be, and are left alone where they are."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from din.p4rt.canonical import BadStateError
from din.p4rt.codec import Codec, Op
from din.p4rt.connection import NotPrimaryError
from din.p4rt.entry import AnyKey, AnyValue, Key, Lpm, State, action, default, key, member
from din.p4rt.events import BecamePrimary, Down
from din.p4rt.pipeline import Pushed
from din.p4rt.program import Program
from din.p4rt.reconcile import Outcome, Result
from finsy.proto import p4r

from tests.din.p4rt.arbitrary import dangling
from tests.din.p4rt.fleets import Sent, controller
from tests.din.p4rt.switches import SID_BLOCK, P4jit, everything, free_address, steering, target

LONG = 60.0


async def test_a_switch_becomes_what_it_is_to_be(address: str) -> None:
    async with controller(target(address)) as (fleet, _):
        result = (await fleet.apply({"leaf1": everything()}, patience=LONG))["leaf1"]
        assert (result.outcome, result.errors) == (Outcome.DONE, ())
        assert await fleet.connection("leaf1").read_state() == everything()
        # Everything again, but other: modified, or gone, defaults and meters too.
        want = steering(1, [2, 3])
        result = (await fleet.apply({"leaf1": want}, verify=True))["leaf1"]
        assert (result.outcome, result.errors) == (Outcome.DONE, ())
        assert await fleet.connection("leaf1").read_state() == want
        assert result.blast.tables["buckets"].modified > 0
        assert result.blast.tables["clock"].deleted == 1


async def test_a_controller_that_restarts_changes_nothing(address: str, sent: Sent) -> None:
    async with controller(target(address)) as (fleet, _):
        await fleet.apply({"leaf1": everything()}, patience=LONG)
    sent.requests.clear()
    async with controller(target(address)) as (fleet, seen):
        result = (await fleet.apply({"leaf1": everything()}))["leaf1"]
        assert seen.of(BecamePrimary)[0].pushed is Pushed.KEPT
        assert (result.outcome, result.written, result.had_to_read) == (Outcome.DONE, 0, True)
        assert not result.blast
        assert sent.updates == []
        assert sent.pushes == []
        # Nor is the program fetched, megabytes of it: its cookie tells.
        gets = [r for r in sent.requests if isinstance(r, p4r.GetForwardingPipelineConfigRequest)]
        assert [each.response_type for each in gets] == [p4r.GetForwardingPipelineConfigRequest.COOKIE_ONLY]
        assert await fleet.connection("leaf1").read_state() == everything()


async def test_an_edit_touches_only_its_entries(address: str, program: Program, sent: Sent) -> None:
    before = steering(1, [1, 2]) | steering(2, [3, 4])
    after = steering(1, [1, 2]) | steering(2, [3, 4, 5])
    async with controller(target(address)) as (fleet, _):
        await fleet.apply({"leaf1": before}, patience=LONG)
        sent.requests.clear()
        result = (await fleet.apply({"leaf1": after}))["leaf1"]
        assert (result.outcome, result.had_to_read) == (Outcome.DONE, False)
        touched = {Codec(program).key(update.entity.table_entry) for update in sent.updates}
        everywhere = before.keys() | after.keys()
        assert touched == {each for each in everywhere if before.get(each) != after.get(each)}
        assert sent.reads == [], "what was written is known"
        assert await fleet.connection("leaf1").read_state() == after


async def test_a_switch_that_restarts_empty_is_refilled(tmp_path: Path) -> None:
    first = P4jit(tmp_path)
    try:
        async with controller(target(first.address)) as (fleet, seen):
            await fleet.apply({"leaf1": everything()}, patience=LONG)
            first.stop(signal.SIGKILL)
            await seen.wait(Down)
            waiting = (await fleet.apply({"leaf1": steering(2, [1])}, patience=0.1))["leaf1"]
            assert waiting.outcome is Outcome.WAITING
            assert "UNAVAILABLE" in waiting.errors[0]
            with pytest.raises(NotPrimaryError, match="leaf1: UNAVAILABLE"):
                await fleet["leaf1"].preview({})
            come_back = len(seen.all)
            with closing(P4jit(tmp_path, first.address)):
                # What is wanted by now, without anybody asking again.
                result = await seen.wait(Result, start=come_back)
                assert (result.outcome, result.had_to_read) == (Outcome.DONE, True)
                assert result.blast.had == 0
                assert await fleet.connection("leaf1").read_state() == steering(2, [1])
    finally:
        first.close()


async def test_a_switch_that_cannot_be_reached_delays_nobody(p4jit: str, other_p4jit: str) -> None:
    deaf = socket.create_server(("127.0.0.1", 0))
    with closing(deaf):
        silent = f"127.0.0.1:{deaf.getsockname()[1]}"
        targets = (
            target(p4jit, "a"),
            target(free_address(), "away"),
            target(silent, "silent"),
            target(other_p4jit, "b"),
        )
        states = {each.name: steering(3, [1, 2]) for each in targets}
        async with controller(*targets) as (fleet, seen):
            await asyncio.gather(*(fleet.connection(name).primary() for name in "ab"))
            start = time.monotonic()
            asked = asyncio.create_task(fleet.apply(states, patience=1.5))
            done = [await seen.wait(Result, lambda r, name=name: r.switch == name) for name in "ab"]
            assert time.monotonic() - start < 1.5
            assert not asked.done()
            assert [each.outcome for each in done] == [Outcome.DONE, Outcome.DONE]
            results = await asked
            assert {name: each.outcome for name, each in results.items()} == {
                "a": Outcome.DONE,
                "b": Outcome.DONE,
                "away": Outcome.WAITING,
                "silent": Outcome.WAITING,
            }
            assert "UNAVAILABLE" in results["away"].errors[0]
            previews = await fleet.preview(states)
            assert isinstance(previews["away"], NotPrimaryError)
            assert not isinstance(previews["a"], Exception)


async def test_two_updates_never_mix(address: str, program: Program, sent: Sent) -> None:
    """A newer state stops the one that is being written, but only between batches, where nothing dangles."""
    states = [steering(1, [n, n + 1], buckets=900) | steering(2, [n + 2], buckets=900) for n in (1, 3, 5)]
    async with controller(target(address)) as (fleet, _):
        await fleet.apply({"leaf1": {}}, patience=LONG)
        leaf = fleet["leaf1"]
        sent.requests.clear()
        futures = [leaf.set(states[0])]
        while not sent.updates:
            await asyncio.sleep(0)
        # The first is under way; the second waits and is never begun.
        futures += [leaf.set(states[1]), leaf.set(states[2])]
        outcomes = [(await future).outcome for future in futures]
        assert outcomes == [Outcome.SUPERSEDED, Outcome.SUPERSEDED, Outcome.DONE]
        assert sent.most_in_flight == 1
        assert await fleet.connection("leaf1").read_state() == states[2]
    now: State = {}
    codec = Codec(program)
    for request in sent.requests:
        if isinstance(request, p4r.WriteRequest):
            _play(codec, request, now)
            assert not list(dangling(program, now))
    assert now == states[2]
    never = states[1].items() - states[0].items() - states[2].items()
    written: State = {}
    codec.decode_into(written, (u.entity for u in sent.updates if u.type != p4r.Update.DELETE))
    assert never
    assert not never & written.items()


def _play(codec: Codec, request: p4r.WriteRequest, state: State) -> None:
    for update in request.updates:
        where = codec.key(update.entity.table_entry)
        assert (update.type == p4r.Update.INSERT) == (where not in state)
        if update.type == p4r.Update.DELETE:
            del state[where]
        else:
            codec.decode_into(state, [update.entity])


async def test_what_the_switch_refuses_is_told_and_the_rest_is_made(p4jit: str) -> None:
    there = steering(1, [1])
    refused: dict[AnyKey, AnyValue] = {
        # No port of the switch, which only the switch knows.
        key("routes", sid=Lpm(SID_BLOCK | 9 << 80, 48)): (
            member("set_next_hop", watch_port=400, port=1, dst_mac=1, src_mac=1),
        )
    }
    want = steering(2, [2])
    async with controller(target(p4jit)) as (fleet, _):
        await fleet.apply({"leaf1": there}, patience=LONG)
        result = (await fleet.apply({"leaf1": want | refused}))["leaf1"]
        assert result.outcome is Outcome.FAILED
        assert result.errors[0].startswith("insert routes[sid=0xfcbbbb000009")
        assert "INVALID_ARGUMENT: watch port 400" in result.errors[0]
        assert result.errors[1] == "nothing was deleted, because what takes its place could not be made"
        assert await fleet.connection("leaf1").read_state() == there | want
        result = (await fleet.apply({"leaf1": want}))["leaf1"]
        assert (result.outcome, result.had_to_read) == (Outcome.DONE, True)
        assert await fleet.connection("leaf1").read_state() == want


async def test_what_the_switch_refused_is_tried_again(p4jit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("din.p4rt.reconcile._RETRY_SECONDS", 0.05)
    hop = member("set_next_hop", watch_port=400, port=1, dst_mac=1, src_mac=1)
    want: State = {key("routes", sid=Lpm(SID_BLOCK | 9 << 80, 48)): (hop,)}
    async with controller(target(p4jit)) as (fleet, seen):
        await fleet.apply({"leaf1": want}, patience=LONG)
        second = await seen.wait(Result, lambda r: r.outcome is Outcome.FAILED, start=len(seen.all))
        assert second.had_to_read


async def test_bad_states_are_refused_before_anything_is_sent(
    p4jit: str, other_p4jit: str, sent: Sent
) -> None:
    async with controller(target(p4jit, "a"), target(other_p4jit, "b")) as (fleet, _):
        await fleet.apply({"a": {}, "b": {}}, patience=LONG)
        sent.requests.clear()
        bad = {key("buckets", group=1, bucket=1): action("set_bucket", current=1 << 16, previous=1, state=0)}
        with pytest.raises(BadStateError, match=r"buckets\[bucket=1, group=1\].*does not fit 16 bits"):
            await fleet.apply({"a": everything(), "b": bad})
        with pytest.raises(KeyError):
            await fleet.apply({"a": everything(), "c": {}})
        assert sent.requests == []
        assert fleet["a"].want == {}


async def test_entries_are_checked_before_they_leave(p4jit: str, sent: Sent) -> None:
    asked: list[AnyKey] = []

    def check(where: AnyKey, value: AnyValue) -> list[str]:
        asked.append(where)
        return ["group 9 is nobody's"] if isinstance(where, Key) and ("group", 9) in where.match else []

    async with controller(target(p4jit), check=check) as (fleet, _):
        await fleet.apply({"leaf1": steering(1, [1])}, patience=LONG)
        asked.clear()
        sent.requests.clear()
        with pytest.raises(BadStateError, match=r"buckets\[bucket=0, group=9\]: group 9 is nobody's"):
            await fleet.apply({"leaf1": steering(1, [1]) | steering(9, [1])})
        assert sent.requests == []
        assert set(asked) == steering(9, [1]).keys() - steering(1, [1]).keys(), "the rest was checked before"


async def test_what_another_did_to_the_switch_is_undone(p4jit: str) -> None:
    want = steering(1, [1, 2])
    foreign = key("ports", port=7)
    async with controller(target(p4jit), audit_seconds=0.2) as (fleet, seen):
        await fleet.apply({"leaf1": want}, patience=LONG)
        connection = fleet.connection("leaf1")
        request = p4r.WriteRequest()
        connection.codec.add(request, Op.INSERT, foreign, action("set_fabric"))
        connection.codec.add(request, Op.DELETE, key("buckets", group=1, bucket=3), None)
        connection.codec.add(request, Op.MODIFY, default("boundaries"), action("inside"))
        await connection.write(request)
        audit = await seen.wait(Result, lambda r: r.blast, start=len(seen.all))
        assert audit.had_to_read
        assert (audit.blast.inserted, audit.blast.deleted) == (1, 2)
        assert await connection.read_state() == want


async def test_a_preview_changes_nothing(address: str, sent: Sent) -> None:
    async with controller(target(address)) as (fleet, _):
        await fleet.apply({"leaf1": everything()}, patience=LONG)
        sent.requests.clear()
        preview = await fleet["leaf1"].preview(steering(1, [1, 2, 3]))
        assert preview.blast.deleted == len(everything()) - len(steering(1, [1, 2, 3]))
        assert preview.blast.had == len(everything())
        assert not preview.changes.insert
        assert sent.requests == []


async def test_a_write_that_the_switch_only_says_it_made_is_found_out(
    p4jit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with controller(target(p4jit)) as (fleet, _):
        await fleet.apply({"leaf1": {}}, patience=LONG)
        connection = fleet.connection("leaf1")
        write = connection.write

        async def lose_one(request: p4r.WriteRequest) -> Any:
            del request.updates[-1]
            await write(request)

        monkeypatch.setattr(connection, "write", lose_one)
        want: State = {key("ports", port=n): action("set_fabric") for n in range(3)}
        result = (await fleet.apply({"leaf1": want}, verify=True))["leaf1"]
        assert result.outcome is Outcome.FAILED
        assert result.errors == ("ports[port=2] is missing after it was written",)


async def test_both_targets_give_the_same(p4jit: str, bmv2: str) -> None:
    async with controller(target(p4jit, "p4jit"), target(bmv2, "bmv2")) as (fleet, _):
        for state in (everything(), steering(1, [4]), everything(), {}):
            results = await fleet.apply({"p4jit": state, "bmv2": state}, verify=True, patience=LONG)
            assert [each.outcome for each in results.values()] == [Outcome.DONE] * 2
            read = await asyncio.gather(*(fleet.connection(name).read_state() for name in results))
            assert read[0] == read[1] == state


async def test_switches_come_and_go(p4jit: str, other_p4jit: str) -> None:
    async with controller(target(p4jit, "a")) as (fleet, seen):
        await fleet.apply({"a": steering(1, [1])}, patience=LONG)
        with pytest.raises(ValueError, match="switch a is there already"):
            fleet.add(target(other_p4jit, "a"))
        fleet.add(target(other_p4jit, "b"))
        assert (await fleet.apply({"b": steering(1, [1])}, patience=LONG))["b"].outcome is Outcome.DONE
        await fleet.remove("a")
        assert set(fleet.switches) == {"b"}
        assert seen.of(BecamePrimary)
    with pytest.raises(ValueError, match="two switches have one name"):
        async with controller(target(p4jit, "a"), target(other_p4jit, "a")):
            pass
