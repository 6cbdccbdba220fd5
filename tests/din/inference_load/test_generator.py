# SPDX-License-Identifier: Apache-2.0
"""The open loop: it waits for nobody, ends when told to, and knows when it was not in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import pytest
from din.inference.load.choice import ByNetwork, Choice, Endpoint, LeastQueue, Target
from din.inference.load.exchange import Exchanger
from din.inference.load.generator import RunClock, generate
from din.inference.load.outcome import Generator, Outcome
from din.inference.load.request import Request
from din.inference.load.stats import why_void

from tests.din.inference_load.server import Behaviour, Server, serving, until


def _schedule(count: int, gap: float, tokens: int = 3) -> list[Request]:
    return [Request(n * gap, "chat", 10, tokens, False, f"r{n}", phase="calm") for n in range(count)]


async def _run(
    schedule: Sequence[Request],
    choice: Choice,
    *,
    stop: asyncio.Event | None = None,
    stop_after: float | None = None,
    write: Callable[[Outcome], None] | None = None,
) -> tuple[list[Outcome], Generator]:
    clock = RunClock(time.time() + 0.05)
    exchanger = Exchanger(clock, timeout=10)
    await exchanger.warm_up()
    found: list[Outcome] = []
    try:
        generator = await generate(
            schedule,
            choice,
            exchanger,
            clock,
            write or found.append,
            stop=stop or asyncio.Event(),
            stop_after=stop_after,
        )
    finally:
        await exchanger.aclose()
    return sorted(found, key=lambda each: each.scheduled), generator


def _network(server: Server) -> ByNetwork:
    return ByNetwork({"chat": Target(server.base_url, "m")})


async def test_requests_wait_for_no_answer() -> None:
    hold = asyncio.Event()
    async with serving(Behaviour(hold=hold)) as server:
        running = asyncio.create_task(_run(_schedule(12, 0.01), _network(server)))
        await until(lambda: len(server.bodies) == 12)  # while none is answered
        hold.set()
        found, generator = await running
    assert [each.status for each in found] == ["ok"] * 12
    assert (generator.requests, generator.unsent) == (12, 0)
    # Sent when it was time, no earlier than a tick.
    assert all(each.lag > -0.005 for each in found)
    last = max(each.sent for each in found)
    assert all(each.last_token is not None and each.last_token > last for each in found)


async def test_the_clock_is_the_wall_clocks_and_shared() -> None:
    start = time.time() + 5
    one, other = RunClock(start), RunClock(start)
    assert one() == pytest.approx(-5, abs=0.5)
    assert one() == pytest.approx(other(), abs=0.1)


async def test_a_stop_cuts_what_is_under_way_and_counts_what_was_not_sent() -> None:
    stop = asyncio.Event()
    schedule = [*_schedule(3, 0.0), Request(1000.0, "chat", 10, 3, False, "never")]
    async with serving(Behaviour(hold=asyncio.Event())) as server:
        running = asyncio.create_task(_run(schedule, _network(server), stop=stop))
        await until(lambda: server.chunks_sent == 3)
        stop.set()
        found, generator = await running
    assert [each.status for each in found] == ["cut"] * 3
    assert (generator.requests, generator.unsent) == (3, 1)
    assert any("1 requests unsent" in reason for reason in why_void([generator], sites=1))


async def test_it_ends_after_its_time() -> None:
    async with serving(Behaviour(hold=asyncio.Event())) as server:
        found, generator = await _run(_schedule(2, 0.01), _network(server), stop_after=0.4)
    assert [each.status for each in found] == ["cut"] * 2
    assert 0.3 < generator.seconds < 2


class _Doing(ByNetwork):
    """Does something of its own when a request is due."""

    def __init__(self, server: Server, request: str, action: Callable[[], None]) -> None:
        super().__init__(_network(server).targets)
        self._request, self._action = request, action

    def target(self, request: Request) -> Target | None:
        if request.id == self._request:
            asyncio.get_running_loop().call_soon(self._action)
        return super().target(request)


async def test_a_blocked_loop_is_noticed() -> None:
    async with serving() as server:
        found, generator = await _run(_schedule(20, 0.03), _Doing(server, "r4", lambda: time.sleep(0.5)))
    late = {each.id: each.lag for each in found}
    # Those that were due meanwhile, by what was left of it, and no earlier ones.
    assert all(late[f"r{n}"] > 0.1 for n in range(6, 17))
    assert late["r3"] < late["r6"] - 0.2
    assert generator.lag_max > 0.4
    assert generator.lag_max == pytest.approx(max(each.lag for each in found))
    assert generator.loop_lag_max > 0.4
    assert any("lagged" in reason for reason in why_void([generator], sites=1))


async def test_long_turns_of_the_loop_do_not_limit_the_rate() -> None:
    turns = 0
    sent_in: list[int] = []

    async def hog() -> None:
        nonlocal turns
        while True:
            time.sleep(0.02)
            turns += 1
            await asyncio.sleep(0)

    class Counting(ByNetwork):
        def target(self, request: Request) -> Target | None:
            sent_in.append(turns)
            return super().target(request)

    async with serving() as server:
        hogging = asyncio.create_task(hog())
        found, _ = await _run(_schedule(60, 0.005), Counting(_network(server).targets))
        hogging.cancel()
    assert [each.status for each in found] == ["ok"] * 60
    # What is due in a turn is sent in it, or in the next: of one a turn, this would take 60.
    assert sent_in[-1] - sent_in[0] < 40


async def test_a_block_between_requests_is_noticed_too() -> None:
    schedule = [_schedule(1, 0)[0], Request(0.9, "chat", 10, 3, False, "later")]
    async with serving() as server:
        _, generator = await _run(schedule, _Doing(server, "r0", lambda: time.sleep(0.4)))
    assert generator.loop_lag_max > 0.3
    assert any("lagged" in reason for reason in why_void([generator], sites=1))


async def test_cpu_is_that_of_the_process() -> None:
    def spin() -> None:
        end = time.process_time() + 0.2
        while time.process_time() < end:
            pass

    async with serving() as server:
        _, generator = await _run(_schedule(2, 1.3), _Doing(server, "r0", spin))
    assert 0.2 <= generator.cpu_seconds <= generator.seconds + 0.05
    assert 0.1 < generator.cpu_busiest <= 1.05


async def test_its_own_failure_is_not_the_networks() -> None:
    def full(_: Outcome) -> None:
        raise OSError("no space left on device")

    async with serving() as server:
        with pytest.raises(OSError, match="no space"):
            await _run(_schedule(3, 0.01), _network(server), write=full)


def _metrics(running: float, waiting: float) -> str:
    return (
        f'vllm:num_requests_running{{engine="0",model_name="m"}} {running}\n'
        f'vllm:num_requests_waiting{{engine="0",model_name="m"}} {waiting}\n'
    )


def _least_queue(*servers: Server) -> LeastQueue:
    endpoints = [
        Endpoint(f"i{n}", each.base_url, f"http://127.0.0.1:{each.port}/metrics")
        for n, each in enumerate(servers)
    ]
    return LeastQueue({"chat": endpoints}, {"chat": "m"})


async def test_the_least_queue_is_that_of_the_last_poll() -> None:
    async with serving(name="a") as a, serving(name="b") as b:
        a.metrics, b.metrics = _metrics(3, 2), _metrics(4, 0)
        choice = _least_queue(a, b)
        polling = asyncio.create_task(choice.poll(60))
        await until(lambda: len(choice.queues) == 2)
        a.metrics = _metrics(0, 0)  # which nobody hears of before the next poll
        found, generator = await _run(_schedule(6, 0.0), choice)
        assert {each.instance for each in found} == {"b"}
        assert (generator.polls, generator.polls_failed) == (2, 0)
        polling.cancel()
        polling = asyncio.create_task(choice.poll(60))
        await until(lambda: choice.queues["i0"] == 0)
        polling.cancel()
        found, _ = await _run(_schedule(6, 0.0), choice)
        assert {each.instance for each in found} == {"a"}


async def test_it_is_polled_again_and_again() -> None:
    async with serving(name="a") as a:
        a.metrics = _metrics(1, 0)
        choice = _least_queue(a)
        polling = asyncio.create_task(choice.poll(0.05))
        await until(lambda: a.metrics_asked >= 3)
        a.metrics = _metrics(7, 0)
        await until(lambda: choice.queues == {"i0": 7.0})
        polling.cancel()


async def test_ties_go_by_lot_and_the_lot_is_the_same_again() -> None:
    choice = LeastQueue(
        {"chat": [Endpoint("a", "http://a", "x"), Endpoint("b", "http://b", "x")]}, {"chat": "m"}
    )
    choice.queues = {"a": 1.0, "b": 1.0}
    chosen = [choice.target(each) for each in _schedule(200, 0.1)]
    assert chosen == [choice.target(each) for each in _schedule(200, 0.1)]
    counts = [sum(each.instance == name for each in chosen if each) for name in "ab"]
    assert sum(counts) == 200
    assert min(counts) > 60


@pytest.mark.parametrize(
    "metrics",
    ["", "nonsense {", "vllm:num_requests_running 0\n", _metrics(-1, -1), _metrics(float("nan"), 0)],
    ids=["empty", "no metrics", "half", "sentinel", "nan"],
)
async def test_an_unknown_queue_is_not_an_empty_one(metrics: str) -> None:
    async with serving(name="a") as a, serving(name="b") as b:
        a.metrics, b.metrics = metrics, _metrics(50, 50)
        choice = _least_queue(a, b)
        polling = asyncio.create_task(choice.poll(5))
        await until(lambda: choice.polls == 2 and "i1" in choice.queues and choice.failed == 1)
        polling.cancel()
        assert choice.queues == {"i1": 100.0}
        target = choice.target(_schedule(1, 0)[0])
        assert target is not None
        assert target.instance == "i1"


async def test_an_instance_that_no_longer_answers_is_unknown_again() -> None:
    async with serving(name="a") as a:
        async with serving(name="b") as b:
            a.metrics, b.metrics = _metrics(5, 0), _metrics(1, 0)
            choice = _least_queue(a, b)
            polling = asyncio.create_task(choice.poll(0.1))
            await until(lambda: choice.queues == {"i0": 5.0, "i1": 1.0})
        await until(lambda: choice.queues == {"i0": 5.0})
        polling.cancel()
        assert choice.failed >= 1


async def test_where_all_are_unknown_any_will_do() -> None:
    choice = LeastQueue(
        {"chat": [Endpoint("a", "http://a", "x"), Endpoint("b", "http://b", "x")]}, {"chat": "m"}
    )
    chosen = {target.instance for each in _schedule(50, 0.1) if (target := choice.target(each))}
    assert chosen == {"a", "b"}


async def test_without_instances_a_request_is_a_miss() -> None:
    found, generator = await _run(_schedule(2, 0.0), LeastQueue({"chat": []}, {"chat": "m"}))
    assert [each.status for each in found] == ["no-instance"] * 2
    assert generator.requests == 2
