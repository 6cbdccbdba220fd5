# SPDX-License-Identifier: Apache-2.0
"""Generator and model server, as two processes over TCP: that each understands the other."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from din.inference.load.arrivals import schedule
from din.inference.load.outcome import read_run
from din.inference.load.request import write_schedule
from din.inference.load.stats import table, why_void
from din.model.emulated import Arm, Comparison, Lengths, Load, Phase
from din.model.service import Slo

COMPARISON = Comparison(
    warm_up="200ms",
    phases=[Phase(name="calm", duration="1s")],
    arms=[Arm(name="plain", instances="client", paths="shortest")],
    loads=[
        Load(
            site="branch",
            service="chat",
            host="c1",
            requests_per_second=25,
            prompt=Lengths(median=200, sigma=0.5, largest=1000),
            output=Lengths(median=10, sigma=0.5, largest=40),
        )
    ],
)
PROFILE = {
    "name": "test",
    "prefill_tokens_per_second": 10_000,
    "decode_step": "10ms",
    "max_sequences": 16,
    "max_queue": 16,
    "kv_bytes_per_token": "1kB",
    "kv_blocks": 4096,
}


async def test_a_schedule_is_served_and_told_of(tmp_path: Path) -> None:
    requests = schedule(COMPARISON, "branch", 1)
    write_schedule(requests, tmp_path / "schedule.jsonl")
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "din.inference.server", "--name", "fra-8b", "--served-model", "llama",
        "--listen", "127.0.0.1:0", "--scale-bytes", "0.5", "--profile", json.dumps(PROFILE), stdout=PIPE,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        address = json.loads(await server.stdout.readline())["listen"][0]
        endpoint = f"chat,fra-8b,http://{address}/v1,http://{address}/metrics"
        generator = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "din.inference.load",
            "--schedule", str(tmp_path / "schedule.jsonl"), "--out", str(tmp_path / "out.jsonl"),
            "--model", "chat=llama", "--scale-bytes", "0.5",
            "--choose", "least-queue", "--instance", endpoint, "--poll", "0.2",
        )  # fmt: skip
        assert await generator.wait() == 0
    finally:
        server.terminate()
        await server.wait()
    run = read_run([tmp_path / "out.jsonl"])
    assert {each.id for each in run.outcomes} == {each.id for each in requests}
    assert {each.status for each in run.outcomes} == {"ok"}
    assert [(each.asked_tokens, each.output_tokens) for each in run.outcomes] == [
        (each.asked_tokens, each.chunks) for each in run.outcomes
    ]
    (told,) = run.generators
    assert told.polls >= 5
    assert told.polls_failed == 0
    assert not [reason for reason in why_void([told], sites=1) if "unsent" in reason]
    found = table(run.outcomes, {"chat": Slo(ttft="5s", tpot="1s")}, {"calm": 1.0})["chat", "calm"]
    assert found.requests == sum(each.phase == "calm" for each in requests)
    assert found.requests_per_connection == 1.0
    assert found.instance_shares == {"fra-8b": 1.0}
    assert found.goodput is not None
    assert found.goodput.value == pytest.approx(found.requests)
    # The decode step bounds it from below.
    assert found.tpot_p50 is not None
    assert found.tpot_p50.value >= 0.009
