# SPDX-License-Identifier: Apache-2.0
"""/metrics says what happened, in vLLM's names, to Prometheus' own parser."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest
from din.inference.server.server import Server

from tests.din.inference_server.bed import MODEL, client, options, samples, until, url

COUNTED = (
    "num_preemptions",
    "prompt_tokens",
    "generation_tokens",
    "prefix_cache_queries",
    "prefix_cache_hits",
)
TIMED = (
    *("time_to_first_token", "inter_token_latency", "request_time_per_output_token", "e2e_request_latency"),
    *("request_queue_time", "request_prefill_time", "request_decode_time", "request_inference_time"),
)
SIZED = (
    *("request_prompt_tokens", "request_generation_tokens", "request_max_num_generation_tokens"),
    *("request_params_max_tokens", "request_params_n", "iteration_tokens_total"),
)


async def test_names_and_labels() -> None:
    async with Server(options()) as server, httpx.AsyncClient(verify=False) as http:
        text = (await http.get(url(server, "/metrics"))).text
        found = await samples(server)
    assert {"vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc"} <= set(
        found
    )
    assert {f"vllm:{name}_total" for name in COUNTED} <= set(found)
    assert {f"vllm:{name}_seconds_{part}" for name in TIMED for part in ("sum", "count")} <= set(found)
    assert {f"vllm:{name}_{part}" for name in SIZED for part in ("sum", "count")} <= set(found)
    buckets = [name for name in found if name.startswith("vllm:request_prompt_tokens_bucket")]
    # Of 1, 2, 5 up to the context of 8192, as vLLM's build_1_2_5_buckets gives them.
    bounds = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000]
    assert buckets == [f"vllm:request_prompt_tokens_bucket{{le={each}.0}}" for each in bounds] + [
        "vllm:request_prompt_tokens_bucket{le=+Inf}"
    ]
    assert f'vllm:num_requests_running{{engine="0",model_name="{MODEL}"}} 0.0' in text
    assert found["vllm:cache_config_info{block_size=16,enable_prefix_caching=False,num_gpu_blocks=4096}"] == 1
    assert "vllm:e2e_request_latency_seconds_bucket{le=0.3}" in found


async def test_counts_are_those_of_the_requests() -> None:
    async with Server(options()) as server, client(server) as ai:
        for _ in range(3):
            await ai.completions.create(model=MODEL, prompt="abc " * 10, max_tokens=5)
        await ai.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "abc"}])
        found = await samples(server)
    generated = found["vllm:generation_tokens_total"]
    assert generated > 15
    assert found["vllm:prompt_tokens_total"] == 31
    assert found["vllm:request_success_total{finished_reason=length}"] == 3
    assert found["vllm:request_success_total{finished_reason=stop}"] == 1
    for name in (
        "time_to_first_token",
        "request_time_per_output_token",
        "request_queue_time",
        "request_decode_time",
    ):
        assert found[f"vllm:{name}_seconds_count"] == 4, name
    assert found["vllm:inter_token_latency_seconds_count"] == generated - 4
    assert found["vllm:request_prompt_tokens_sum"] == 31
    assert found["vllm:request_generation_tokens_sum"] == generated
    assert found["vllm:request_generation_tokens_count"] == found["vllm:request_params_n_sum"] == 4
    assert found["vllm:iteration_tokens_total_sum"] == 31 + generated


async def test_times_add_up_and_are_the_profiles() -> None:
    timed = options(max_sequences=1, prefill_tokens_per_second=1000, decode_step="10ms")
    async with Server(timed) as server, client(server) as ai:

        async def one() -> float:
            begin = time.monotonic()
            await ai.completions.create(model=MODEL, prompt="abc " * 100, max_tokens=11)
            return time.monotonic() - begin

        seen = sum(await asyncio.gather(one(), one()))
        found = await samples(server)

    def total(name: str) -> float:
        return found[f"vllm:{name}_seconds_sum"]

    # Give or take what a busy machine is late.
    assert total("request_prefill_time") == pytest.approx(0.2, abs=0.06)
    assert total("request_decode_time") == pytest.approx(0.2, abs=0.06)
    assert total("request_queue_time") == pytest.approx(0.2, abs=0.06)  # the second one waits for the first
    assert total("time_to_first_token") == pytest.approx(
        total("request_queue_time") + total("request_prefill_time")
    )
    assert total("request_inference_time") == pytest.approx(
        total("request_prefill_time") + total("request_decode_time")
    )
    assert total("e2e_request_latency") == pytest.approx(
        total("request_queue_time") + total("request_inference_time")
    )
    assert total("e2e_request_latency") == pytest.approx(seen, rel=0.15)
    assert total("inter_token_latency") == pytest.approx(total("request_decode_time"))
    assert total("request_time_per_output_token") == pytest.approx(total("request_decode_time") / 10)


async def test_gauges_while_it_is_busy() -> None:
    busy = options(max_sequences=2, prefill_tokens_per_second=100_000, decode_step="50ms", kv_blocks=100)
    async with Server(busy) as server, client(server) as ai:
        work = [
            asyncio.create_task(ai.completions.create(model=MODEL, prompt="abc " * 150, max_tokens=5))
            for _ in range(5)
        ]
        await until(server, running=2, waiting=3)
        found = await samples(server)
        await asyncio.gather(*work)
        after = await samples(server)
    assert found["vllm:num_requests_running"] == 2
    assert found["vllm:num_requests_waiting"] == 3
    assert found["vllm:kv_cache_usage_perc"] == pytest.approx(0.20)
    assert after["vllm:num_requests_running"] == after["vllm:kv_cache_usage_perc"] == 0


async def test_preemptions_are_counted() -> None:
    async with Server(options(kv_blocks=4, decode_step="1ms")) as server, client(server) as ai:
        await asyncio.gather(
            *(ai.completions.create(model=MODEL, prompt="abc " * 16, max_tokens=40) for _ in range(2))
        )
        assert (await samples(server))["vllm:num_preemptions_total"] >= 1
