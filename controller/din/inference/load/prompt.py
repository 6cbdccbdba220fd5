# SPDX-License-Identifier: Apache-2.0
"""Prompts: text of a known number of tokens, the same for the same request wherever it is made.

A token is a word here, with the space after it `BYTES_PER_TOKEN` bytes long, about what English text gives a
tokenizer. A byte scale makes a prompt of N tokens out of N x scale words: as many bytes as declared go over
the links, and a server that knows the scale counts back (`din.inference.server.tokens`).
"""

from __future__ import annotations

import random
from functools import lru_cache
from typing import Final

from .request import Request

BYTES_PER_TOKEN: Final = 4
_LETTERS: Final = "bcdfghklmnprstvw"
#: Three letters each, so that bytes are exact.
_WORDS: Final = [a + b + c for a in _LETTERS for b in "aeiou" for c in _LETTERS]


def _words(seed: str, count: int) -> str:
    # Of a str, Random's seed does not depend on the interpreter's hash seed.
    return " ".join(random.Random(seed).choices(_WORDS, k=count))


@lru_cache(maxsize=4096)
def _block(block: int, count: int) -> str:
    return _words(f"block/{block}", count)


def prompt(request: Request, byte_scale: float = 1.0) -> str:
    """What ``request`` asks with. Requests whose first ``blocks`` are equal begin with equal text."""
    wanted = max(round(request.prompt_tokens * byte_scale), 1)
    parts: list[str] = []
    left = wanted
    each = max(round(request.block_tokens * byte_scale), 1)
    # A trace's last block may be a partial one: its beginning is what others share.
    for block in request.blocks:
        if left <= 0:
            break
        text = _block(block, each)
        parts.append(text if each <= left else " ".join(text.split(" ")[:left]))
        left -= min(each, left)
    if left > 0:
        parts.append(_words(f"request/{request.id}", left))
    return " ".join(parts)
