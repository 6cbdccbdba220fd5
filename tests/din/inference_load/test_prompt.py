# SPDX-License-Identifier: Apache-2.0
"""Prompts: so long, so alike, and the same everywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import takewhile

import pytest
from din.inference.load.prompt import BYTES_PER_TOKEN, prompt
from din.inference.load.request import Request
from din.inference.server.tokens import count
from hypothesis import given, settings
from hypothesis import strategies as st


def _request(tokens: int, name: str = "r", blocks: tuple[int, ...] = (), block_tokens: float = 0) -> Request:
    return Request(0.0, "chat", tokens, 1, False, name, blocks=blocks, block_tokens=block_tokens)


def _shared(first: str, second: str) -> list[str]:
    """The words with which both begin."""
    pairs = zip(first.split(), second.split(), strict=False)
    return [a for a, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]


@given(st.integers(1, 20_000))
@settings(max_examples=30, deadline=None)
def test_the_server_counts_as_many_tokens_as_were_meant(tokens: int) -> None:
    assert count(prompt(_request(tokens))) == tokens


@given(st.integers(1, 20_000), st.floats(0.02, 2))
@settings(max_examples=30, deadline=None)
def test_bytes_are_scaled_and_tokens_are_not(tokens: int, scale: float) -> None:
    text = prompt(_request(tokens), scale)
    assert len(text) == pytest.approx(tokens * scale * BYTES_PER_TOKEN, abs=BYTES_PER_TOKEN)
    # A word is 1 / scale tokens, and there is one at least.
    assert abs(count(text, scale) - tokens) <= max(0.5 / scale, 1 / scale - tokens) + 1


def test_other_requests_ask_other_things() -> None:
    assert prompt(_request(100, "a")) != prompt(_request(100, "b"))


def test_equal_leading_blocks_are_equal_leading_text() -> None:
    first = prompt(_request(1100, "a", (7, 8, 9), 512))
    second = prompt(_request(1300, "b", (7, 8, 10), 512))
    shared = _shared(first, second)
    # Beyond the two blocks only chance makes words alike.
    assert 1024 <= len(shared) < 1030
    assert len(first.split()) == 1100
    assert len(second.split()) == 1300


def test_a_partial_block_is_the_beginning_of_the_whole_one() -> None:
    part = prompt(_request(600, "a", (7, 8), 512))
    whole = prompt(_request(1024, "b", (7, 8), 512))
    assert whole.startswith(part)


def test_blocks_shrink_with_the_bytes() -> None:
    first = prompt(_request(1024, "a", (7, 8), 512), 0.25)
    second = prompt(_request(1024, "b", (7, 9), 512), 0.25)
    assert 128 <= len(_shared(first, second)) < 134


def test_the_text_is_the_same_in_another_process() -> None:
    code = (
        "from din.inference.load.prompt import prompt; from din.inference.load.request import Request;"
        "print(prompt(Request(0.0, 'chat', 200, 1, False, 'r', blocks=(3,), block_tokens=64)))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "99"}
    found = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == prompt(_request(200, "r", (3,), 64))
