# SPDX-License-Identifier: Apache-2.0
"""Reading numbers out of many datagrams at once: one buffer, and a position for each thing that is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

#: One number for each thing read. int64 holds all but full 64-bit times, which are uint64.
Column: TypeAlias = npt.NDArray[np.int64]
Mask: TypeAlias = npt.NDArray[np.bool_]
Times: TypeAlias = npt.NDArray[np.uint64]

#: Reads of what turns out not to be there end in this many zeros behind the last datagram.
_SPARE: Final = 4096


class Words:
    """Datagrams one behind the other, each at a multiple of 4. Positions and lengths are in bytes.

    What is read from beyond a datagram's end is another's: callers compare lengths, and mask.
    """

    def __init__(self, datagrams: Sequence[bytes]) -> None:
        lengths = np.fromiter(map(len, datagrams), np.int64, len(datagrams))
        padded = (lengths + 3) & ~3
        if (padded != lengths).any():
            datagrams = [each + bytes(-len(each) & 3) for each in datagrams]
        whole = b"".join([*datagrams, bytes(_SPARE)])
        self.starts: Column = np.cumsum(padded) - padded
        self.lengths: Column = lengths
        self._halves: Column = np.frombuffer(whole, ">u2").astype(np.int64)
        self._bytes = np.frombuffer(whole, np.uint8)
        self._last = len(whole) - _SPARE

    def u8(self, at: Column) -> Column:
        return self._bytes[self._clip(at)].astype(np.int64)

    def u16(self, at: Column) -> Column:
        """``at`` is even here and below: so are all fields that are read."""
        found: Column = self._halves[self._clip(at) >> 1]
        return found

    def u32(self, at: Column) -> Column:
        half = self._clip(at) >> 1
        found: Column = self._halves[half] << 16 | self._halves[half + 1]
        return found

    def u64(self, at: Column) -> Times:
        high, low = self.u32(at).astype(np.uint64), self.u32(at + 4).astype(np.uint64)
        return high << np.uint64(32) | low

    def rows(self, at: Column, length: int) -> npt.NDArray[np.uint8]:
        """``length`` bytes each."""
        found: npt.NDArray[np.uint8] = self._bytes[self._clip(at)[:, None] + np.arange(length)]
        return found

    def _clip(self, at: Column) -> Column:
        return np.minimum(at, self._last)
