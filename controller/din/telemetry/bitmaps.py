# SPDX-License-Identifier: Apache-2.0
"""Where metadata is that a bitmap asks for: reports' RepMdBits and INT's instructions are alike in that."""

from __future__ import annotations

from typing import Final

import numpy as np

from din.packet.constants import ReportBit

from .words import Column

_TWO_WORDS: Final = ReportBit.INGRESS_TIME | ReportBit.EGRESS_TIME | ReportBit.L2_PORTS


def _all_words() -> Column:
    bitmaps = np.arange(1 << 16)
    words = np.zeros(1 << 16, np.int64)
    for position in range(16):
        bit = 1 << position
        words += ((bitmaps & bit) != 0) * (2 if bit & _TWO_WORDS else 1)
    return words


#: Bitmap -> words of its metadata. A bit without a meaning has a word too.
WORDS: Final = _all_words()


def offset_of(bitmap: Column, bit: int) -> Column:
    """Bytes that stand before ``bit``'s metadata: those of higher bits."""
    found: Column = 4 * WORDS[bitmap & (0xFFFF & ~(2 * bit - 1))]
    return found
