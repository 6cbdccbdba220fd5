# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import logging

import pytest
from din.measure.schedule import Beats, every

STEP = 0.05


async def times(action_takes: list[float], offset: float = 0.0) -> list[float]:
    """When each of so many actions began, in steps."""
    clock = asyncio.get_running_loop().time
    start, began = clock(), []

    async def action() -> None:
        began.append((clock() - start) / STEP)
        if len(began) > len(action_takes):
            raise StopAsyncIteration
        await asyncio.sleep(action_takes[len(began) - 1] * STEP)

    with pytest.raises(StopAsyncIteration):
        await every(STEP, action, offset * STEP)
    return began


@pytest.mark.parametrize(
    ("takes", "offset", "expected"),
    [
        ([0, 0, 0], 0, [0, 1, 2, 3]),
        ([0.5, 0.5, 0.5], 0.5, [0.5, 1.5, 2.5, 3.5]),
        # Beats that pass meanwhile are left out; the next ones are where they would have been.
        ([1.5, 0, 3.3, 0], 0, [0, 2, 3, 7, 8]),
    ],
)
async def test_beats_keep_their_times(takes: list[float], offset: float, expected: list[float]) -> None:
    assert await times(takes, offset) == pytest.approx(expected, abs=0.35)


async def test_targets_are_spread_and_one_that_is_slow_or_fails_delays_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = asyncio.get_running_loop().time
    start = clock()
    began: dict[str, list[float]] = {}

    async def action(name: str, target: float) -> None:
        began.setdefault(name, []).append((clock() - start) / STEP)
        if name == "fails":
            raise ValueError("no such thing")
        await asyncio.sleep(target)

    beats: Beats[float] = Beats(STEP, action)
    beats.set({"quick": 0.0, "slow": 100.0, "fails": 0.0, "last": 0.0})
    async with asyncio.timeout(5):
        while len(began.get("last", [])) < 4:
            await asyncio.sleep(0.005)
    await beats.close()
    assert began["last"][0] - began["quick"][0] == pytest.approx(0.75, abs=0.35)
    assert len(began["slow"]) == 1
    assert len(began["fails"]) >= 3
    assert began["quick"][:4] == pytest.approx([0, 1, 2, 3], abs=0.35)
    # What fails each time is said once.
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "fails: measuring it fails")


async def test_after_close_nothing_runs() -> None:
    runs = 0

    async def action(name: str, target: None) -> None:
        nonlocal runs
        runs += 1

    beats: Beats[None] = Beats(0.01, action)
    beats.set({"a": None, "b": None})
    assert beats.targets == {"a": None, "b": None}
    await asyncio.sleep(0.03)
    await beats.close()
    before = runs
    await asyncio.sleep(0.03)
    assert runs == before > 0
    assert beats.targets == {}
