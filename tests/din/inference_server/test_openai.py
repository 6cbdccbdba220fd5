# SPDX-License-Identifier: Apache-2.0
"""The official client, unmodified, over real sockets."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import openai
import pytest
from din.inference.server import tokens
from din.inference.server.server import Server

from tests.din.inference_server.bed import MODEL, client, options, until, url

MESSAGES: Any = [{"role": "user", "content": "What is a switch?"}]


def answer(text: str, count: int) -> str:
    return "".join(tokens.word(tokens.seed_of(text.encode()), index) for index in range(count))


async def test_a_chat_whole() -> None:
    async with Server(options()) as server, client(server) as ai:
        chat = await ai.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=12)
    assert chat.choices[0].message.content == answer("What is a switch?", 12)
    assert chat.choices[0].message.role == "assistant"
    assert chat.choices[0].finish_reason == "length"
    assert chat.model == MODEL
    assert chat.usage is not None
    assert (chat.usage.prompt_tokens, chat.usage.completion_tokens, chat.usage.total_tokens) == (5, 12, 17)


async def test_a_chat_as_a_stream_has_a_chunk_a_token() -> None:
    async with Server(options()) as server, client(server) as ai:
        stream = await ai.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=12, stream=True)
        chunks = [chunk async for chunk in stream]
    assert len(chunks) == 12
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == answer(
        "What is a switch?", 12
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * 11 + ["length"]
    assert len({chunk.id for chunk in chunks}) == 1
    assert all(chunk.usage is None for chunk in chunks)


async def test_usage_of_a_stream_comes_last() -> None:
    async with Server(options()) as server, client(server) as ai:
        stream = await ai.chat.completions.create(
            model=MODEL, messages=MESSAGES, max_tokens=3, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    assert [len(chunk.choices) for chunk in chunks] == [1, 1, 1, 0]
    assert [chunk.usage is None for chunk in chunks] == [True, True, True, False]
    usage = chunks[-1].usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (5, 3, 8)


async def test_plain_completions() -> None:
    async with Server(options()) as server, client(server) as ai:
        whole = await ai.completions.create(model=MODEL, prompt="Once upon", max_tokens=4)
        stream = await ai.completions.create(model=MODEL, prompt="Once upon", max_tokens=4, stream=True)
        texts = [chunk.choices[0].text async for chunk in stream]
        by_id = await ai.completions.create(model=MODEL, prompt=[1, 2, 3, 4], max_tokens=1)
    assert whole.choices[0].text == "".join(texts) == answer("Once upon", 4)
    assert len(texts) == 4
    assert by_id.usage is not None
    assert by_id.usage.prompt_tokens == 4


async def test_an_answer_that_nothing_cuts_stops() -> None:
    async with Server(options(decode_step="1ms")) as server, client(server) as ai:
        chat = await ai.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert chat.choices[0].finish_reason == "stop"
    assert chat.usage is not None
    assert chat.usage.completion_tokens == tokens.natural_length(tokens.seed_of(b"What is a switch?"))


async def test_a_stop_sequence_ends_the_answer_and_is_no_part_of_it() -> None:
    text = answer("What is a switch?", 20)
    for stop in (text[20:24], [text[22:29], text[41:45]], [text[61:65], "never", text[:1]]):
        sequences = [stop] if isinstance(stop, str) else stop
        begin, end = min((text.find(each), text.find(each) + len(each)) for each in sequences if each in text)
        async with Server(options()) as server, client(server) as ai:
            fields: Any = {"model": MODEL, "messages": MESSAGES, "max_tokens": 20, "stop": stop}
            whole = await ai.chat.completions.create(**fields)
            stream = await ai.chat.completions.create(**fields, stream=True)
            chunks = [chunk.choices[0] async for chunk in stream]
        assert whole.choices[0].message.content == text[:begin]
        assert "".join(chunk.delta.content or "" for chunk in chunks) == text[:begin]
        assert whole.choices[0].finish_reason == chunks[-1].finish_reason == "stop"
        # Its tokens were generated all the same.
        assert whole.usage.completion_tokens == len(chunks) == -(-end // tokens.BYTES_PER_TOKEN)


async def test_the_synchronous_client() -> None:
    def use(base: str) -> tuple[Any, list[Any], list[str]]:
        with openai.OpenAI(base_url=base, api_key="none", max_retries=0) as ai:
            whole = ai.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=3)
            stream = ai.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=3, stream=True)
            return whole, list(stream), [model.id for model in ai.models.list()]

    async with Server(options(served_models=(MODEL, "alias"))) as server:
        whole, chunks, models = await asyncio.to_thread(use, url(server, "/v1"))
    assert whole.choices[0].message.content == "".join(chunk.choices[0].delta.content for chunk in chunks)
    assert models == [MODEL, "alias"]


async def test_errors_are_the_clients_exceptions() -> None:
    async with Server(options(context=100)) as server, client(server) as ai:
        with pytest.raises(openai.NotFoundError) as unknown:
            await ai.chat.completions.create(model="gpt", messages=MESSAGES)
        with pytest.raises(openai.BadRequestError) as long:
            await ai.completions.create(model=MODEL, prompt="abc " * 200)
        with pytest.raises(openai.BadRequestError) as many:
            await ai.completions.create(model=MODEL, prompt="abc", n=2)
    assert unknown.value.code == "model_not_found"
    assert long.value.code == "context_length_exceeded"
    assert many.value.param == "n"


async def test_a_full_server_answers_429_and_when_to_come_again() -> None:
    slow = options(max_sequences=1, max_queue=1, decode_step="50ms")
    async with Server(slow) as server, client(server) as ai:

        async def one() -> Any:
            return await ai.completions.create(model=MODEL, prompt="abc", max_tokens=4)

        first = asyncio.create_task(one())
        second = asyncio.create_task(one())
        await until(server, running=1, waiting=1)
        with pytest.raises(openai.RateLimitError) as full:
            await one()
        assert full.value.response.headers["retry-after"] == "1"
        assert (full.value.type, full.value.code) == ("requests", "rate_limit_exceeded")
        await first
        await second
        # The client's own retries get it through.
        patient = ai.with_options(max_retries=3)
        third = [asyncio.create_task(one()), asyncio.create_task(one())]
        await until(server, running=1, waiting=1)
        assert (await patient.completions.create(model=MODEL, prompt="abc", max_tokens=1)).choices
        await asyncio.gather(*third)


async def test_latencies_are_the_profiles() -> None:
    timed = options(prefill_tokens_per_second=2000, decode_step="20ms")
    async with Server(timed) as server, client(server) as ai:
        await ai.models.list()  # connects
        begin = time.monotonic()
        stream = await ai.completions.create(model=MODEL, prompt="abc " * 400, max_tokens=21, stream=True)
        headers = time.monotonic() - begin
        at = [time.monotonic() - begin async for _ in stream]
    # Headers say that it is admitted, long before there is a token.
    assert headers < at[0] - 0.1
    # Never quicker, and on a busy machine not much slower.
    assert 0.19 < at[0] < 0.5
    assert 0.018 < (at[-1] - at[0]) / 20 < 0.05


async def test_a_thousand_connections_at_once() -> None:
    fast = options(max_sequences=1000, max_queue=1000, prefill_tokens_per_second=1_000_000, kv_blocks=100_000)
    request = (
        b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 70\r\n\r\n"
        + b'{"model": "llama", "prompt": "abc", "max_tokens": 5, "stream": true}'.ljust(70)
    )

    async def one(port: int) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        answer = await reader.readuntil(b"[DONE]")
        writer.close()
        return answer.count(b'"text"')

    async with Server(fast) as server:
        port = server.addresses[0][1]
        counts = await asyncio.gather(*(one(port) for _ in range(1000)))
        assert counts == [5] * 1000
        await until(server, running=0, waiting=0, kv_blocks_used=0)
