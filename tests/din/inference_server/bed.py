# SPDX-License-Identifier: Apache-2.0
"""Model servers for these tests: on loopback, on ports of their own, and fast."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from din.inference.server.options import Options
from din.inference.server.server import Server
from din.model.emulated import Profile
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from prometheus_client.parser import text_string_to_metric_families

MODEL = "llama"


def profile(**fields: Any) -> Profile:
    """100,000 prompt tokens a second, 2 ms a step, no matter how many decode."""
    fast = {
        "name": "fast",
        "prefill_tokens_per_second": 100_000,
        "decode_step": "2ms",
        "max_sequences": 64,
        "max_queue": 64,
        "kv_bytes_per_token": "1kB",
        "kv_blocks": 4096,
    }
    return Profile.model_validate(fast | fields)


def options(**fields: Any) -> Options:
    """Whatever is not said is as on the command line; fields of a profile may be among ``fields``."""
    speed = {
        name: fields.pop(name) for name in list(fields) if name in Profile.model_fields and name != "name"
    }
    defaults: dict[str, Any] = {
        "name": "one",
        "served_models": (MODEL,),
        "profile": profile(**speed),
        "listen": (("127.0.0.1", 0),),
        "kv_listen": (("127.0.0.1", 0),),
    }
    return Options(**(defaults | fields))


def url(server: Server, path: str = "") -> str:
    host, port = server.addresses[0]
    return f"http://{host}:{port}{path}"


def client(server: Server) -> AsyncOpenAI:
    """The official one. There is no TLS here, so certificates need not be loaded each time."""
    http = DefaultAsyncHttpxClient(verify=False)
    return AsyncOpenAI(base_url=url(server, "/v1"), api_key="none", max_retries=0, http_client=http)


def chat(text: str = "Hello", **fields: Any) -> dict[str, Any]:
    """A request's body."""
    return {"model": MODEL, "messages": [{"role": "user", "content": text}]} | fields


async def state(server: Server) -> dict[str, Any]:
    async with httpx.AsyncClient(verify=False) as http:
        answer = await http.get(url(server, "/admin/state"))
        return answer.raise_for_status().json()  # type: ignore[no-any-return]


async def until(server: Server, **wanted: Any) -> None:
    """Waits until /admin/state says so."""
    async with asyncio.timeout(10):
        while not wanted.items() <= (await state(server)).items():
            await asyncio.sleep(0.005)


async def samples(server: Server) -> dict[str, float]:
    """/metrics by name; with the labels that tell series apart, as in name{reason=stop}."""
    async with httpx.AsyncClient(verify=False) as http:
        answer = (await http.get(url(server, "/metrics"))).raise_for_status()
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = {k: v for k, v in sample.labels.items() if k not in ("model_name", "engine")}
            suffix = "{" + ",".join(f"{k}={v}" for k, v in labels.items()) + "}" if labels else ""
            found[sample.name + suffix] = sample.value
    return found
