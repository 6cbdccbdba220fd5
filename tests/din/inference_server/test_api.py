# SPDX-License-Identifier: Apache-2.0
"""What is no request is refused, with OpenAI's words for it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from din.inference.server.api import ApiError, Completion, Limits, parse
from hypothesis import given
from hypothesis import strategies as st

LIMITS = Limits(("llama", "big"), context=1000, byte_scale=1.0)
CHAT = {"model": "llama", "messages": [{"role": "user", "content": "Hello there"}]}
PLAIN = {"model": "llama", "prompt": "Hello there"}


def refused(body: Any, chat: bool = True) -> dict[str, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(ApiError) as caught:
        parse(data, chat, LIMITS)
    error = json.loads(caught.value.body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return {"status": caught.value.status, **error}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": 5}, "model"),
        ({"n": 2}, "n"),
        ({"n": True}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"stream": 1}, "stream"),
        ({"stream_options": [1]}, "stream_options"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"include_usage": "yes"}}, "include_usage"),
        ({"temperature": 10**30}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 1.1}, "top_p"),
        ({"top_p": True}, "top_p"),
        ({"stop": 5}, "stop"),
        ({"stop": [""]}, "stop"),
        ({"stop": ["a", None]}, "stop"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"kv_transfer_params": "x"}, "kv_transfer_params"),
        ({"messages": []}, "messages"),
        ({"messages": "Hello"}, "messages"),
        ({"messages": ["Hello"]}, "messages[0]"),
        ({"messages": [{"content": "Hello"}]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": [None]}]}, "messages[0]"),
    ],
)
def test_wrong_fields_of_a_chat(fields: dict[str, Any], param: str) -> None:
    error = refused(CHAT | fields)
    assert (error["status"], error["type"], error["param"]) == (400, "invalid_request_error", param)


@pytest.mark.parametrize("prompt", [None, 5, [], ["a", "b"], [[1], [2]], [1, "a"], [True], {}, [[]], [["a"]]])
def test_wrong_prompts(prompt: Any) -> None:
    assert refused(PLAIN | {"prompt": prompt}, chat=False)["param"] == "prompt"


def test_what_is_no_json_object() -> None:
    for body in (b"", b"{", b"\xff\xfe", b"[]", b"null", b'"a"', b"[" * 100_000):
        assert refused(body)["status"] == 400


def test_an_unknown_model() -> None:
    error = refused(CHAT | {"model": "gpt"})
    assert (error["status"], error["code"]) == (404, "model_not_found")
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize("chat", [True, False])
def test_a_prompt_that_leaves_no_room(chat: bool) -> None:
    def body(tokens: int, **fields: int) -> dict[str, Any]:
        text = "abc " * tokens
        return (
            {**CHAT, "messages": [{"role": "user", "content": text}]} if chat else {**PLAIN, "prompt": text}
        ) | fields

    assert parse(json.dumps(body(900, max_tokens=100)).encode(), chat, LIMITS).prompt_tokens == 900
    assert parse(json.dumps(body(999)).encode(), chat, LIMITS).max_tokens == 1  # less than the default
    for long in (body(900, max_tokens=101), body(1000), body(5000)):
        error = refused(long, chat)
        assert (error["status"], error["code"]) == (400, "context_length_exceeded")
        assert "1000 tokens" in error["message"]


def test_a_prompt_that_scaled_bytes_make_long_is_told_so() -> None:
    with pytest.raises(ApiError) as caught:
        parse(json.dumps(PLAIN).encode(), False, Limits(("llama",), context=100, byte_scale=0.01))
    assert "300 in the prompt (its bytes are scaled by 0.01)" in str(caught.value)


def test_what_may_be_left_out() -> None:
    completion = parse(json.dumps(CHAT).encode(), True, LIMITS)
    assert not completion.stream
    assert completion.finish == "stop"
    assert completion.prompt_tokens == 3
    completion = parse(json.dumps(CHAT | {"max_completion_tokens": 7, "stop": ["X"]}).encode(), True, LIMITS)
    assert (completion.max_tokens, completion.finish, completion.characters) == (7, "length", None)
    completion = parse(json.dumps(PLAIN).encode(), False, LIMITS)
    assert (completion.max_tokens, completion.finish) == (16, "length")


def test_all_forms_of_content() -> None:
    parts = [{"type": "text", "text": "Hello"}, {"type": "text", "text": " there"}]
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": parts},
        {"role": "assistant", "content": None, "tool_calls": []},
    ]
    assert parse(json.dumps(CHAT | {"messages": messages}).encode(), True, LIMITS).prompt_tokens == 6
    for prompt in ([1, 2, 3], [[1, 2, 3]]):
        assert parse(json.dumps(PLAIN | {"prompt": prompt}).encode(), False, LIMITS).prompt_tokens == 3
    assert parse(json.dumps(PLAIN | {"prompt": ["Hello"]}).encode(), False, LIMITS).prompt_tokens == 2


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = (
    *("model", "messages", "prompt", "n", "max_tokens", "stream", "stream_options", "stop", "temperature"),
    "kv_transfer_params",
)


@given(st.dictionaries(st.sampled_from(FIELDS), values), st.booleans())
def test_whatever_the_fields_are_it_is_a_request_or_an_error_in_openais_shape(
    fields: dict[str, Any], chat: bool
) -> None:
    body = json.dumps((CHAT if chat else PLAIN) | fields).encode()
    found: Completion | ApiError
    try:
        found = parse(body, chat, LIMITS)
    except ApiError as error:
        found = error
    if isinstance(found, ApiError):
        assert found.status in (400, 404)
        assert json.loads(found.body)["error"]["message"]
    else:
        assert found.prompt_tokens >= 1
        assert found.prompt_tokens + found.max_tokens <= LIMITS.context
