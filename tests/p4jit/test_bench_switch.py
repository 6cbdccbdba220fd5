# SPDX-License-Identifier: Apache-2.0
"""The benchmark itself: it runs, and what it prints makes sense. How fast anything is, no test says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.bench import workload
from scripts.bench.measure import OVERLOAD, Offer, Sample, measure
from scripts.bench.namespaces import why_unavailable

ROOT = Path(__file__).parents[2]
_UNAVAILABLE = why_unavailable()


def device(capacity: float, collapsed: float) -> Offer:
    """Forwards all up to its capacity; in overload what a collapsed one does."""

    def offer(rate: float, seconds: float) -> Sample:
        delivered = rate if rate <= capacity else max(collapsed, capacity - (rate - capacity))
        return Sample(rate, delivered, 10_000, 20_000, 0)

    return offer


@pytest.mark.parametrize("capacity", [8e3, 150e3, 480e3, 3e6])
@pytest.mark.parametrize("collapse", [0.3, 1.0])
def test_the_sweep_finds_the_best_rate(capacity: float, collapse: float) -> None:
    found = measure(device(capacity, collapse * capacity), 1.0)
    assert 0.85 * capacity <= found.best <= capacity
    assert 0.85 * capacity <= found.sustained <= capacity
    assert found.overload_offered == pytest.approx(OVERLOAD * found.best)
    assert found.overload_delivered == pytest.approx(collapse * capacity)
    assert (found.idle_p50, found.idle_p99) == (10_000, 20_000)


def test_a_slow_sender_ends_the_sweep() -> None:
    def offer(rate: float, seconds: float) -> Sample:
        offered = min(rate, 500e3)
        return Sample(offered, offered, 1, 1, 0)

    assert measure(offer, 1.0).best == 500e3


def test_a_device_that_forwards_nothing_is_an_error() -> None:
    with pytest.raises(OSError, match="no frame"):
        measure(lambda rate, seconds: Sample(rate, 0, 0, 0, 0), 1.0)


def test_a_workload_has_its_entries_and_frames() -> None:
    work = workload.load("l2")
    keys = {update.entity.table_entry.match[0].exact.value for update in work.updates}
    assert len(keys) == len(work.updates) == 1000
    assert b"\x02\x00\x00\x00\x03\xe7" in keys
    assert {len(frame) for frame in work.frames} == {workload.FRAME_BYTES}
    assert {frame[:6] for frame in work.frames} <= keys
    with pytest.raises(ValueError, match="--program fabric"):
        workload.load("fabric")


@pytest.mark.skipif(_UNAVAILABLE is not None, reason=str(_UNAVAILABLE))
def test_it_runs() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "bench_switch"), "--systems", "forwarder"]
    options = ["--rounds", "1", "--seconds", "0.02", "--json"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["about"]["switch_cpus"]
    (run,) = result["rounds"]["l2"]["forwarder"]
    assert 0 < run["sustained"] <= run["best"]
    assert 0 < run["idle_p50"] <= run["idle_p99"]
    assert result["medians"]["l2"]["forwarder"]["of_forwarder"] == 1
