# SPDX-License-Identifier: Apache-2.0
"""How match keys and action data lie in memory: the agreement between generated code and control planes.

A key is one unsigned integer, little-endian, of whole 64-bit words: field i sits at bit ``offsets[i]``. A
field of at most 64 bits never straddles two words; a wider one starts a word of its own. The last field of
an LPM table is its LPM field, left-aligned and most significant word first, so that a prefix of the field is
a prefix of the words. Action data is likewise one little-endian integer, each parameter aligned to its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from p4jit.frontend import ir

_U64 = (1 << 64) - 1


def storage_bytes(width: int) -> int:
    """Bytes of the C object that holds a value of ``width`` bits."""
    for size in (1, 2, 4, 8, 16):
        if width <= size * 8:
            return size
    return words(width) * 8


def words(width: int) -> int:
    return (width + 63) // 64


@dataclass(frozen=True, slots=True)
class EncodedMatch:
    key: bytes
    #: Ternary and range tables only; a range field holds its high bound here.
    mask: bytes | None
    prefix_length: int


class TableLayout:
    """The key of one table."""

    def __init__(self, table: ir.Table) -> None:
        self.table = table
        order = list(range(len(table.key)))
        self.lpm_field: int | None = None
        if table.kind is ir.MatchKind.LPM:
            self.lpm_field = next(i for i in order if table.key[i].kind is ir.MatchKind.LPM)
            order.remove(self.lpm_field)
        offsets = [0] * len(table.key)
        free: list[int] = []  # bits used in each word that still takes small fields
        for i in sorted(order, key=lambda i: -table.key[i].width):
            offsets[i] = _place(free, table.key[i].width)
        self.lpm_word = len(free)
        self.lpm_width = 0
        if self.lpm_field is not None:
            self.lpm_width = table.key[self.lpm_field].width
            # Where a value of at most 64 bits starts when left-aligned; wider ones go word by word.
            offsets[self.lpm_field] = self.lpm_word * 64 + (-self.lpm_width % 64)
            free.extend([64] * words(self.lpm_width))
        #: Bit offset of each key field, in the order of the program.
        self.offsets: tuple[int, ...] = tuple(offsets)
        self.key_words = len(free)
        self.key_bytes = self.key_words * 8
        self.widths = tuple(k.width for k in table.key)
        self.has_mask = table.kind in (ir.MatchKind.TERNARY, ir.MatchKind.RANGE)
        #: Data-plane view of each field's static mask, all ones without one.
        self._static = tuple((k.mask if k.mask is not None else -1) & ((1 << k.width) - 1) for k in table.key)

    def encode(self, match: Sequence[ir.MatchValue]) -> EncodedMatch:
        """``match`` has one value a key field, in the program's order, each within its width."""
        key = mask = prefix_length = 0
        for i, (value, field) in enumerate(zip(match, self.table.key, strict=True)):
            width, offset = field.width, self.offsets[i]
            ones = (1 << width) - 1
            if field.kind is ir.MatchKind.LPM:
                prefix = width if value.prefix_length is None else value.prefix_length
                bits = ones ^ (ones >> prefix)
                if i == self.lpm_field:
                    prefix_length = prefix
                    key |= _left_align(value.value & bits & self._static[i], width) << (self.lpm_word * 64)
                    continue
            elif field.kind is ir.MatchKind.RANGE:
                key |= value.value << offset
                mask |= (value.value if value.high is None else value.high) << offset
                continue
            elif field.kind is ir.MatchKind.TERNARY:
                bits = ones if value.mask is None else value.mask
            else:
                bits = ones
            bits &= self._static[i] if self.has_mask else ones
            key |= (value.value & bits & self._static[i]) << offset
            mask |= bits << offset
        return EncodedMatch(
            key.to_bytes(self.key_bytes, "little"),
            mask.to_bytes(self.key_bytes, "little") if self.has_mask else None,
            prefix_length,
        )


def _place(used: list[int], width: int) -> int:
    """First fit of a field into words; returns its bit offset."""
    if width > 64:
        start = len(used) * 64
        used.extend([64] * words(width))
        return start
    for word, bits in enumerate(used):
        if bits + width <= 64:
            used[word] += width
            return word * 64 + bits
    used.append(width)
    return (len(used) - 1) * 64


def _left_align(value: int, width: int) -> int:
    """The integer whose little-endian words are the field's, most significant word first."""
    count = words(width)
    value <<= count * 64 - width
    out = 0
    for i in range(count):
        out |= ((value >> (64 * (count - 1 - i))) & _U64) << (64 * i)
    return out


class ActionLayout:
    """The run-time data of one action."""

    def __init__(self, action: ir.Action) -> None:
        self.action = action
        offset = 0
        offsets = []
        for param in action.params:
            size = storage_bytes(param.width)
            align = min(size, 8)
            offset = -(-offset // align) * align
            offsets.append(offset * 8)
            offset += size
        #: Bit offset of each parameter.
        self.offsets: tuple[int, ...] = tuple(offsets)
        self.widths = tuple(p.width for p in action.params)
        self.data_bytes = -(-offset // 8) * 8

    def encode(self, arguments: Sequence[int]) -> bytes:
        """Each argument within its parameter's width."""
        data = 0
        for offset, argument in zip(self.offsets, arguments, strict=True):
            data |= argument << offset
        return data.to_bytes(self.data_bytes, "little")

    def decode(self, data: bytes) -> list[int]:
        value = int.from_bytes(data, "little")
        return [
            (value >> offset) & ((1 << width) - 1)
            for offset, width in zip(self.offsets, self.widths, strict=True)
        ]


class Layout:
    """Layouts of a program's tables and actions, by index."""

    def __init__(self, program: ir.Program) -> None:
        self.tables = tuple(TableLayout(t) for t in program.tables)
        self.actions = tuple(ActionLayout(a) for a in program.actions)
        by_action = {id(a.action): a for a in self.actions}
        #: Most data bytes of any action of each table (a member or group handle needs 8).
        self.table_data_bytes = tuple(
            8 if t.profile else max((by_action[id(a)].data_bytes for a in t.actions), default=0)
            for t in program.tables
        )
        #: The same for each action profile, over the tables that use it.
        self.profile_data_bytes = tuple(
            max(
                (by_action[id(a)].data_bytes for t in program.tables if t.profile is p for a in t.actions),
                default=0,
            )
            for p in program.profiles
        )
