# SPDX-License-Identifier: Apache-2.0
"""Text and tokens: the load generator's prompts count as many tokens as it says."""

from __future__ import annotations

import json

import pytest
from din.inference.load.prompt import prompt
from din.inference.load.request import Request
from din.inference.server import tokens
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.1, 0.01])
@pytest.mark.parametrize("wanted", [1, 100, 1000, 30_000])
def test_the_load_generators_prompts_are_as_long_as_they_claim(scale: float, wanted: int) -> None:
    request = Request(0.0, "chat", wanted, 1, False, "a")
    text = prompt(request, scale)
    assert tokens.count(text, scale) == max(round(wanted * scale), 1) / scale
    assert len(text) == pytest.approx(max(wanted * scale, 1) * tokens.BYTES_PER_TOKEN, abs=4)


@given(st.text(st.characters(codec=None)), st.floats(0.001, 1))
def test_any_text_counts(text: str, scale: float) -> None:
    assert (tokens.count(text, scale) > 0) == bool(text)


def test_words_need_no_escape_and_are_of_one_size() -> None:
    assert len(set(tokens.WORDS)) == len(tokens.WORDS)
    for word in tokens.WORDS:
        assert len(word) == tokens.BYTES_PER_TOKEN
        assert json.dumps(word) == f'"{word}"'


def test_the_same_prompt_is_answered_by_the_same_words_and_another_by_others() -> None:
    def answer(text: bytes) -> list[str]:
        return [tokens.word(tokens.seed_of(text), index) for index in range(50)]

    assert answer(b"a") == answer(b"a")
    assert answer(b"a") != answer(b"b")
    assert len(set(answer(b"a"))) > 30
