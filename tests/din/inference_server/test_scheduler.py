# SPDX-License-Identifier: Apache-2.0
"""The batch in virtual time: exact, and without a socket."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from din.inference.server.scheduler import CATCH_UP_SECONDS, QueueFull, Scheduler, Sequence, State
from hypothesis import given
from hypothesis import strategies as st

from tests.din.inference_server.bed import profile


def scheduler(rate: float = 1.0, chunk: int = 512, **fields: Any) -> Scheduler:
    slow = {
        "prefill_tokens_per_second": 10_000,
        "decode_step": "20ms",
        "decode_step_per_sequence": "500us",
        "max_queue": 1000,
    }
    return Scheduler(profile(**(slow | fields)), rate, chunk)


def run(batch: Scheduler, until: float = 1e9) -> float:
    """Steps whenever it is due. The time of the last step."""
    now = 0.0
    while batch.due is not None and batch.due <= until:
        now = batch.due
        batch.step(now)
    return now


def submit(batch: Scheduler, prompt: int, output: int, now: float = 0.0, **fields: Any) -> Sequence:
    sequence = Sequence(prompt, output, **fields)
    batch.submit(sequence, now)
    return sequence


def times(sequence: Sequence) -> tuple[float, float, float]:
    """Queue, first token, last token, since it arrived."""
    assert sequence.scheduled is not None
    assert sequence.first_token is not None
    assert sequence.last_token is not None
    return (
        sequence.scheduled - sequence.arrived,
        sequence.first_token - sequence.arrived,
        sequence.last_token - sequence.arrived,
    )


@pytest.mark.parametrize("sequences", [1, 2, 16, 64])
def test_decode_throughput_is_the_profiles(sequences: int) -> None:
    batch = scheduler()
    for _ in range(sequences):
        submit(batch, 1, 1001)
    run(batch, until=5.0)
    start = batch.running[0].generated
    now = run(batch, until=15.0)
    made = sum(each.generated for each in batch.running) - sequences * start
    step = 0.020 + 0.0005 * (sequences - 1)
    assert made / (now - 5.0) == pytest.approx(sequences / step, rel=0.01)


@pytest.mark.parametrize("prompt", [1, 511, 512, 513, 5000])
def test_alone_the_first_token_comes_after_the_prefill(prompt: int) -> None:
    batch = scheduler()
    sequence = submit(batch, prompt, 3, now=7.0)
    run(batch)
    queue, ttft, e2e = times(sequence)
    assert queue == 0
    assert ttft == pytest.approx(prompt / 10_000)
    assert e2e == pytest.approx(prompt / 10_000 + 2 * 0.020)


def test_in_a_queue_the_first_token_comes_after_queue_and_prefill() -> None:
    batch = scheduler(max_sequences=1)
    first = submit(batch, 1000, 11)
    second = submit(batch, 2000, 1, now=0.0)
    run(batch)
    queue, ttft, _ = times(second)
    assert queue == pytest.approx(times(first)[2]) == pytest.approx(0.1 + 10 * 0.020)
    assert ttft == pytest.approx(queue + 0.2)


def test_prompts_are_computed_in_chunks_between_which_others_decode() -> None:
    batch = scheduler(chunk=100)
    decoding = submit(batch, 1, 1000)
    run(batch, until=1.0)
    submit(batch, 4000, 1, now=1.0)
    before = decoding.generated
    now = run(batch, until=1.0 + 40 * 0.030)
    assert decoding.generated - before == pytest.approx((now - 1.0) / 0.030, abs=2)
    assert decoding.gap == pytest.approx(0.020 + 99 / 10_000)  # it is one of the hundred itself


def test_what_waits_behind_a_long_prompt_is_in_the_queue() -> None:
    """As vLLM counts: it has a place, but no step has tokens for it."""
    batch = scheduler(chunk=500)
    long, short = submit(batch, 5000, 1), submit(batch, 100, 1)
    run(batch, until=0.001)
    assert (long.state, short.state) == (State.RUNNING, State.WAITING)
    assert (len(batch.running), batch.queued) == (1, 1)
    run(batch)
    assert times(long)[:2] == pytest.approx((0.0, 0.5))
    assert times(short)[:2] == pytest.approx((0.5, 0.51))


@pytest.mark.parametrize("load", [0.5, 0.8])
@pytest.mark.parametrize(("places", "chunk"), [(1, 1000), (64, 100)])
def test_under_poisson_arrivals_the_first_token_waits_as_queueing_theory_says(
    load: float, places: int, chunk: int
) -> None:
    """Prompts of one length and answers of one token are an M/D/1 queue, in chunks or not: the mean wait is
    load * service / (2 * (1 - load)) (Pollaczek and Khinchine)."""
    batch = scheduler(chunk=chunk, max_sequences=places, max_queue=100_000, kv_blocks=10**9)
    service = 0.1
    arrivals = np.cumsum(np.random.default_rng(1).exponential(service / load, 10_000)).tolist()
    sequences = []
    for at in arrivals:
        while batch.due is not None and batch.due <= at:
            batch.step(batch.due)
        sequences.append(submit(batch, 1000, 1, now=at))
    run(batch)
    wait = np.mean([times(each)[1] for each in sequences]) - service
    # A prompt's end shares its chunk with the next one's beginning: a first token is that much late at most.
    shared = 0.0 if places == 1 else chunk / 10_000
    expected = load * service / (2 * (1 - load))
    assert 0.9 * expected < wait < 1.1 * expected + shared


def test_two_prompts_share_a_chunk() -> None:
    batch = scheduler(chunk=500)
    first, second = submit(batch, 300, 1), submit(batch, 100, 1)
    run(batch)
    assert times(first)[1] == times(second)[1] == pytest.approx(0.04)


def test_slowdown_and_rate_scale() -> None:
    batch = scheduler(rate=0.5)
    batch.slowdown = 4.0
    sequence = submit(batch, 1000, 2)
    run(batch)
    assert times(sequence)[1] == pytest.approx(0.1 * 8)
    assert times(sequence)[2] == pytest.approx((0.1 + 0.020) * 8)


def test_a_loaded_prompt_is_decoded_at_once() -> None:
    batch = scheduler()
    sequence = Sequence(4000, 2)
    batch.submit(sequence, 0.0, remote=True)
    assert batch.due is None
    assert batch.queued == 1
    batch.loaded(sequence, 3.0)
    run(batch)
    queue, ttft, e2e = times(sequence)
    assert (queue, ttft, e2e) == pytest.approx((3.0, 3.020, 3.040))


def test_a_prompt_that_nobody_computed_is_computed_here() -> None:
    batch = scheduler()
    sequence = Sequence(4000, 1)
    batch.submit(sequence, 0.0, remote=True)
    batch.local(sequence, 3.0)
    run(batch)
    assert times(sequence)[:2] == pytest.approx((3.0, 3.4))


def test_a_full_queue_refuses() -> None:
    batch = scheduler(max_sequences=2, max_queue=3)
    for _ in range(5):
        submit(batch, 10, 10)
    with pytest.raises(QueueFull):
        submit(batch, 10, 10)
    run(batch, until=0.001)
    assert (len(batch.running), batch.queued) == (2, 3)
    with pytest.raises(QueueFull):
        submit(batch, 10, 10)
    with pytest.raises(QueueFull):
        batch.submit(Sequence(10, 10), 0.0, remote=True)
    run(batch)
    assert batch.queued == 0
    submit(batch, 10, 10)


def test_what_never_fits_is_refused() -> None:
    batch = scheduler(kv_blocks=4)
    submit(batch, 60, 4)
    with pytest.raises(ValueError, match="64"):
        submit(batch, 60, 5)


def test_memory_makes_requests_wait() -> None:
    batch = scheduler(kv_blocks=4)
    first, second = submit(batch, 40, 2), submit(batch, 40, 2)
    run(batch, until=0.001)
    assert (first.state, second.state) == (State.RUNNING, State.WAITING)
    run(batch)
    assert times(second)[0] == pytest.approx(times(first)[2])


def test_without_memory_the_youngest_is_preempted_and_computed_again() -> None:
    batch = scheduler(kv_blocks=4)
    first, second = submit(batch, 16, 40), submit(batch, 16, 40)
    run(batch)
    assert first.preemptions == 0
    assert second.preemptions == 1
    assert (first.generated, second.generated) == (40, 40)
    assert batch.blocks_used == 0
    # It lost no time before the first one needed its blocks, nor its first token.
    assert times(second)[1] == times(first)[1]
    assert times(second)[2] > times(first)[2]


def test_what_was_preempted_is_computed_again_from_the_start() -> None:
    batch = scheduler(kv_blocks=4)
    submit(batch, 16, 40)
    submit(batch, 16, 40)
    computed = lost = 0
    while batch.due is not None:
        step = batch.step(batch.due)
        computed += step.prompt_tokens
        lost += sum(each.tokens for each in step.preempted)
    assert lost == 33  # with it, both would need a third block
    assert computed == 16 + 16 + lost


def test_held_memory_is_free_after_the_fetch() -> None:
    batch = scheduler(kv_blocks=4)
    held = submit(batch, 40, 1, hold=True)
    waiting = submit(batch, 40, 1)
    end = run(batch)
    assert held.state is State.HELD
    assert batch.blocks_used == 3
    assert waiting.state is State.WAITING
    batch.abort(held, end + 5)
    run(batch)
    assert waiting.state is State.DONE
    assert times(waiting)[0] == pytest.approx(end + 5)
    assert batch.blocks_used == 0


def test_a_late_timer_costs_no_throughput() -> None:
    late, exact = scheduler(), scheduler()
    for batch in (late, exact):
        submit(batch, 1, 500)
    now = 0.0
    while late.due is not None:
        now = late.due + 0.001
        late.step(now)
    assert now == pytest.approx(run(exact), abs=0.002)


def test_what_was_stopped_does_not_race() -> None:
    batch = scheduler()
    sequence = submit(batch, 1, 500)
    run(batch, until=1.0)
    made = sequence.generated
    assert batch.due is not None
    stopped = batch.due + 100 * CATCH_UP_SECONDS
    batch.step(stopped)
    assert sequence.generated == made + 1
    assert batch.due == pytest.approx(stopped + 0.020)


submissions = st.lists(
    st.tuples(
        st.floats(0, 2),  # when
        st.integers(1, 100),  # prompt
        st.integers(1, 60),  # output
        st.sampled_from(["stay", "leave", "remote", "lost"]),
        st.floats(0, 1),  # after which it leaves, or its cache has come
    ),
    max_size=30,
)


@given(submissions, st.integers(1, 8), st.integers(10, 40), st.integers(1, 64))
def test_whatever_comes_nothing_is_lost_and_no_memory_leaks(
    arrivals: list[tuple[float, int, int, str, float]], places: int, blocks: int, chunk: int
) -> None:
    batch = scheduler(chunk=chunk, max_sequences=places, kv_blocks=blocks)
    alive: list[Sequence] = []
    everyone: list[Sequence] = []
    events: list[tuple[float, int, Any]] = []
    for number, (at, prompt, output, kind, after) in enumerate(arrivals):
        sequence = Sequence(prompt, output)
        everyone.append(sequence)
        fits = prompt + output <= batch.capacity
        if fits and kind != "leave":
            alive.append(sequence)

        def arrive(now: float, sequence: Sequence = sequence, kind: str = kind, fits: bool = fits) -> None:
            if fits:
                batch.submit(sequence, now, remote=kind in ("remote", "lost"))

        end = {"leave": batch.abort, "remote": batch.loaded, "lost": batch.local}.get(kind)
        events.append((at, 2 * number, arrive))
        if end is not None:
            events.append((at + after, 2 * number + 1, lambda now, s=sequence, end=end: end(s, now)))
    events.sort(key=lambda event: event[:2])
    now = 0.0
    emitted = 0
    while events or batch.due is not None:
        if events and (batch.due is None or events[0][0] <= batch.due):
            at, _, event = events.pop(0)
            now = max(now, at)
            event(now)
        else:
            assert batch.due is not None
            now = max(now, batch.due)
            emitted += len(batch.step(now).emitted)
        assert batch.blocks_used == sum(each.blocks for each in everyone) <= blocks
        assert len(batch.running) <= places
        assert batch.due is not None or not batch.waiting
    assert batch.blocks_used == 0
    assert emitted == sum(each.generated for each in everyone)
    for sequence in alive:
        assert sequence.state is State.DONE
        assert sequence.generated == sequence.max_tokens
        queue, ttft, e2e = times(sequence)
        assert 0 <= queue < ttft <= e2e
