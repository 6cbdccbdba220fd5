# SPDX-License-Identifier: Apache-2.0
"""`streams.py URL TOKENS COUNT`: so many streams of tokens side by side, by the openai client. A line of JSON
when one begins, and one when it has ended. Times are of CLOCK_MONOTONIC.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import openai
from din.inference import AsyncClient


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


async def _stream(client: AsyncClient, tokens: int) -> None:
    began = last = time.monotonic()
    gap, gap_at, count, instance, error = 0.0, began, 0, "", ""
    try:
        answer = await client.chat.completions.with_raw_response.create(
            model="llama-3",
            messages=[{"role": "user", "content": "Tell me more."}],
            max_tokens=tokens,
            stream=True,
        )
        instance = answer.headers.get("x-din-instance", "")
        say(began=began, instance=instance, what="began")
        last = time.monotonic()
        async for chunk in answer.parse():
            now = time.monotonic()
            if now - last > gap:
                gap, gap_at = now - last, last
            last = now
            count += bool(chunk.choices and chunk.choices[0].delta.content)
    except (openai.APIError, OSError) as problem:
        error = repr(problem)
    ended = time.monotonic()
    say(
        what="ended",
        instance=instance,
        tokens=count,
        gap=gap,
        gap_at=gap_at,
        began=began,
        ended=ended,
        error=error,
    )


async def stream(url: str, tokens: str, count: str) -> None:
    client = AsyncClient(base_url=url, api_key="none", max_retries=0)
    await asyncio.gather(*(_stream(client, int(tokens)) for _ in range(int(count))))


if __name__ == "__main__":
    asyncio.run(stream(*sys.argv[1:]))
