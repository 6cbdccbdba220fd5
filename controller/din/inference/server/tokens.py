# SPDX-License-Identifier: Apache-2.0
"""Text and tokens without a tokenizer: four bytes are a token, about what English gives a real one."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

BYTES_PER_TOKEN: Final = 4
_LETTERS: Final = "bdfgklmnprstvz"
#: With the space before them they are `BYTES_PER_TOKEN` long. No character of them needs escaping in JSON.
WORDS: Final = tuple(f" {a}{b}{c}" for a in _LETTERS for b in "aeiou" for c in _LETTERS)
_MASK: Final = (1 << 64) - 1


def count(text: str, byte_scale: float = 1.0) -> int:
    """How many tokens ``text`` stands for: where bytes are scaled to a tenth, ten times as many."""
    words = -(-len(text.encode(errors="surrogatepass")) // BYTES_PER_TOKEN)
    return max(round(words / byte_scale), 1) if words else 0


def seed_of(prompt: bytes) -> int:
    """The same prompt is answered by the same words."""
    return int.from_bytes(blake2b(prompt, digest_size=8).digest(), "big")


def word(seed: int, index: int) -> str:
    """Token ``index`` of the answer, its leading space included."""
    # Fibonacci hashing: neighbours land far apart.
    mixed = ((seed ^ (index + 1)) * 0x9E3779B97F4A7C15) & _MASK
    return WORDS[(mixed >> 40) % len(WORDS)]


def text(seed: int, count: int) -> str:
    """The first ``count`` tokens of the answer."""
    return "".join(word(seed, index) for index in range(count))


def stopped(seed: int, count: int, stops: Sequence[str]) -> tuple[int, int] | None:
    """Where the first of ``stops`` ends an answer of ``count`` tokens: tokens until it is whole, and
    characters before it. None: nothing does."""
    answer = text(seed, count) if stops else ""
    found = [(start + len(stop), start) for stop in stops if (start := answer.find(stop)) >= 0]
    if not found:
        return None
    end, start = min(found)
    return -(-end // BYTES_PER_TOKEN), start


def natural_length(seed: int) -> int:
    """Tokens of an answer that nothing cuts: 32 to 255."""
    return 32 + (seed >> 8) % 224
