# SPDX-License-Identifier: Apache-2.0
"""A short way for updates that look like one seen before.

Controllers write tables in bulk: thousands of updates that differ in their values alone. Once an update has
been decoded the careful way, a template remembers which bits of its wire format are values, and where each
goes in the key and the action data. An update whose other bits are the same is then decoded with a few
operations on one big integer, instead of a walk through a tree of messages. Every check that the careful way
makes is made here too: range, trailing bits of a prefix, bits outside a mask and the canonical form are bits
that must be zero or must not be; whatever does not fit goes the careful way and gets its error there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from finsy.proto import p4r

from p4jit.frontend import ir
from p4jit.p4runtime.objects import EXACT, LPM, OPTIONAL, TERNARY, TableSchema
from p4jit.p4runtime.operations import DELETE, INSERT, Undo
from p4jit.p4runtime.tables import TableStore

if TYPE_CHECKING:
    from p4jit.codegen.layout import TableLayout

#: Templates of one wire length that are tried, and lengths that are kept.
_MAX_ALIKE = 8
_MAX_LENGTHS = 1024
#: A lesson costs as much as ten updates: a controller whose updates are never alike does not pay for each.
_FREE_LESSONS = 256
_LATER_LESSONS = 64
#: A priority is an int32 above 0: the fifth byte of its varint has three bits.
_LAST_GROUP = 4

#: (bits to shift an update's wire format right by, mask, bits to shift the result left by)
_Segment = tuple[int, int, int]
#: (lowest bit of a value, number of bits, destination of the lowest)
_Part = tuple[int, int, int]
#: Where the layout puts a key field's runs of bits.
_KeyParts = Callable[[TableSchema, int], tuple[_Part, ...]]


@dataclass(slots=True)
class Template:
    store: TableStore
    kind: int
    #: Bits that are not free, and what they are.
    mask: int
    fixed: int
    #: Bytes that are not zero: the first of a value of several in the canonical form, all of a mask.
    leading: tuple[int, ...]
    #: For each ternary value: what to shift right by to get it, to get its mask, and the bits of both.
    masked: tuple[_Segment, ...]
    key: tuple[_Segment, ...]
    key_bytes: int
    #: Where the bits of the ternary masks go, and the mask of the other fields; None without a mask.
    key_mask: tuple[_Segment, ...]
    base_mask: int | None
    prefix_length: int
    priority: tuple[_Segment, ...]
    #: Index of the action; unused by DELETE.
    action: int
    data: tuple[_Segment, ...]
    data_bytes: int
    #: Where the TableEntry starts in the wire format.
    entry_at: int

    def apply(self, number: int, wire: bytes, undo: Undo) -> None:
        """``number`` is ``wire`` as a big-endian integer. Raises P4Error, DeviceError."""
        key = data = 0
        for right, mask, left in self.key:
            key |= (number >> right & mask) << left
        mask_bytes = None
        priority = 0
        if self.base_mask is not None:
            key_mask = self.base_mask
            for right, mask, left in self.key_mask:
                key_mask |= (number >> right & mask) << left
            mask_bytes = key_mask.to_bytes(self.key_bytes, "little")
            for right, mask, left in self.priority:
                priority |= (number >> right & mask) << left
        encoded = (key.to_bytes(self.key_bytes, "little"), mask_bytes, self.prefix_length)
        if self.kind == DELETE:
            self.store.delete_plain(encoded, priority, undo)
            return
        for right, mask, left in self.data:
            data |= (number >> right & mask) << left
        action = (self.action, data.to_bytes(self.data_bytes, "little"))
        write = self.store.insert_plain if self.kind == INSERT else self.store.modify_plain
        write(encoded, priority, action, wire[self.entry_at :], undo)

    def fits(self, number: int) -> bool:
        """Whether the free bits of an update whose other bits are the template's are correct ones."""
        for leading in self.leading:
            if not number & leading:
                return False
        return not any(number >> value & ~(number >> mask) & bits for value, mask, bits in self.masked)


class Templates:
    """The templates of one pipeline. For one thread at a time."""

    def __init__(self) -> None:
        self._by_length: dict[int, list[Template]] = {}
        self._lessons = 0
        self._parts: dict[tuple[int, int], tuple[_Part, ...]] = {}

    def find(self, number: int, length: int) -> Template | None:
        """The template that an update with this wire format has."""
        alike = self._by_length.get(length)
        if alike is None:
            return None
        for position, template in enumerate(alike):
            if number & template.mask == template.fixed:
                if not template.fits(number):
                    return None
                if position:
                    # The next update is likely to be like this one.
                    alike.insert(0, alike.pop(position))
                return template
        return None

    def learn(self, wire: bytes, store: TableStore) -> None:
        """Remember the form of an update of ``store``'s table, which has been found correct."""
        self._lessons += 1
        if self._lessons > _FREE_LESSONS and self._lessons % _LATER_LESSONS:
            return
        template = _derive(wire, store, self._key_parts)
        if template is None:
            return
        if len(self._by_length) >= _MAX_LENGTHS:
            self._by_length.clear()
        alike = self._by_length.setdefault(len(wire), [])
        alike.insert(0, template)
        del alike[_MAX_ALIKE:]

    def _key_parts(self, schema: TableSchema, position: int) -> tuple[_Part, ...]:
        key = (schema.id, position)
        if key not in self._parts:
            self._parts[key] = _find_parts(schema.layout, position)
        return self._parts[key]


@dataclass(slots=True)
class _Value:
    """One value of an update: its bytes, and where its bits go."""

    content: bytes
    width: int
    #: Low bits that must be zero, beyond an LPM prefix.
    trailing: int
    parts: tuple[_Part, ...]
    destination: _Destination


class _Destination(Enum):
    KEY = auto()
    #: The mask of the value before it.
    MASK = auto()
    DATA = auto()


def _derive(wire: bytes, store: TableStore, key_parts: _KeyParts) -> Template | None:
    """None for an update that is not of the plain form."""
    update = p4r.Update.FromString(wire)
    schema = store.schema
    values = _values(update, schema, key_parts)
    if values is None or any(not v.content or len(v.content) > (v.width + 7) // 8 for v in values):
        return None
    entry = update.entity.table_entry
    # Rebuilt from what the template knows of: when that is not all of it, there are other fields.
    if _rebuild(update, [v.content for v in values], entry.priority) != wire:
        return None
    empty = [bytes(len(v.content)) for v in values]
    groups, shortest = _groups(entry.priority)
    blank = int.from_bytes(_rebuild(update, empty, shortest), "big")
    free = 0
    leading: list[int] = []
    masked: list[_Segment] = []
    segments: dict[_Destination, list[_Segment]] = {d: [] for d in _Destination}
    value_at = 0
    for position, value in enumerate(values):
        marked = [bytes(len(v.content)) for v in values]
        marked[position] = b"\xff" * len(value.content)
        bits = int.from_bytes(_rebuild(update, marked, shortest), "big") ^ blank
        at = (bits & -bits).bit_length() - 1
        used = min(value.width, 8 * len(value.content))
        free |= ((1 << used) - (1 << value.trailing)) << at if used > value.trailing else 0
        if len(value.content) > 1 or value.destination is _Destination.MASK:
            leading.append(0xFF << (at + 8 * (len(value.content) - 1)))
        if value.destination is _Destination.MASK:
            width = 8 * len(value.content)
            before = 8 * len(values[position - 1].content)
            if before > width:
                # Its value has bits that are outside for certain: no update like it is correct.
                return None
            masked.append((value_at, at, (1 << before) - 1))
        value_at = at
        for low, count, destination in value.parts:
            count = min(count, used - low)
            if count > 0:
                segments[value.destination].append((at + low, (1 << count) - 1, destination))
    priority: list[_Segment] = []
    if groups:
        # A varint: seven bits a byte, the lowest first, the top bit of every byte but the last set.
        other = shortest + 1 if groups == 1 else shortest | 1
        bits = int.from_bytes(_rebuild(update, empty, other), "big") ^ blank
        at = (bits & -bits).bit_length() - 1
        for group in range(groups):
            seven = 0x07 if group == _LAST_GROUP else 0x7F
            priority.append((at - 8 * group, seven, 7 * group))
            free |= seven << (at - 8 * group)
        leading.append(0x7F << (at - 8 * (groups - 1)))
    entry_bytes = entry.ByteSize()
    action = schema.actions.get(entry.action.action.action_id)
    return Template(
        store=store,
        kind=update.type,
        mask=((1 << 8 * len(wire)) - 1) & ~free,
        fixed=blank & ~free,
        leading=tuple(leading),
        masked=tuple(masked),
        key=tuple(segments[_Destination.KEY]),
        key_bytes=schema.layout.key_bytes,
        key_mask=tuple(segments[_Destination.MASK]),
        base_mask=store.mask_of(m for m in entry.match if not m.HasField("ternary")),
        prefix_length=next((m.lpm.prefix_len for m in entry.match if m.HasField("lpm")), 0)
        if schema.layout.lpm_field is not None
        else 0,
        priority=tuple(priority),
        action=0 if action is None else action.index,
        data=tuple(segments[_Destination.DATA]),
        data_bytes=0 if action is None else action.data_bytes,
        entry_at=len(wire) - entry_bytes,
    )


def _groups(priority: int) -> tuple[int, int]:
    """Bytes of a priority's varint, 0 without one, and the smallest number that takes as many."""
    groups = (priority.bit_length() + 6) // 7
    return groups, 1 << 7 * (groups - 1) if groups else 0


def _values(update: p4r.Update, schema: TableSchema, key_parts: _KeyParts) -> list[_Value] | None:
    """The values of an update in wire order; None if it is not plain."""
    if schema.const or schema.profile is not None or schema.layout.table.kind is ir.MatchKind.RANGE:
        return None
    entry = update.entity.table_entry
    values: list[_Value] = []
    for match in entry.match:
        field = schema.fields[match.field_id]
        if field.codec.text or schema.layout.table.key[field.position].mask is not None:
            return None
        parts = key_parts(schema, field.position)
        trailing = field.width - match.lpm.prefix_len if field.match == LPM else 0
        content = _content(match, field.match)
        if content is None:
            return None
        values.append(_Value(content, field.width, trailing, parts, _Destination.KEY))
        if field.match == TERNARY:
            values.append(_Value(match.ternary.mask, field.width, 0, parts, _Destination.MASK))
    action = schema.actions.get(entry.action.action.action_id)
    if action is None:
        # Only a DELETE does without.
        return None if entry.HasField("action") or update.type != DELETE else values
    for param in entry.action.action.params:
        place = action.plain.get(param.param_id)
        if place is None:
            return None
        offset, width, _ = place
        # A DELETE may carry an action, which is ignored.
        parts = () if update.type == DELETE else ((0, width, offset),)
        values.append(_Value(param.value, width, 0, parts, _Destination.DATA))
    return values


def _content(match: p4r.FieldMatch, kind: int) -> bytes | None:
    """The value that a match field has; None for a range, which has two."""
    if kind == EXACT:
        return match.exact.value
    if kind == LPM:
        return match.lpm.value
    if kind == TERNARY:
        return match.ternary.value
    return match.optional.value if kind == OPTIONAL else None


def _find_parts(layout: TableLayout, position: int) -> tuple[_Part, ...]:
    """Where a layout puts each run of bits of a key field, found out by asking it."""
    width = layout.table.key[position].width

    def place(bit: int) -> int:
        match = [ir.MatchValue(0, prefix_length=k.width) for k in layout.table.key]
        match[position].value = 1 << bit
        return int.from_bytes(layout.encode(match).key, "little").bit_length() - 1

    parts = []
    low, destination = 0, place(0)
    for bit in range(1, width):
        if place(bit) != destination + bit - low:
            parts.append((low, bit - low, destination))
            low, destination = bit, place(bit)
    parts.append((low, width - low, destination))
    return tuple(parts)


def _rebuild(update: p4r.Update, contents: Sequence[bytes], priority: int) -> bytes:
    """The wire format of an update of the same form with other values."""
    remaining = iter(contents)
    entry = update.entity.table_entry
    copy = p4r.Update(type=update.type)
    built = copy.entity.table_entry
    built.table_id = entry.table_id
    for match in entry.match:
        field = built.match.add(field_id=match.field_id)
        if match.HasField("exact"):
            field.exact.value = next(remaining)
        elif match.HasField("optional"):
            field.optional.value = next(remaining)
        elif match.HasField("ternary"):
            field.ternary.value, field.ternary.mask = next(remaining), next(remaining)
        else:
            field.lpm.value, field.lpm.prefix_len = next(remaining), match.lpm.prefix_len
    if entry.HasField("action"):
        action = built.action.action
        action.action_id = entry.action.action.action_id
        for param in entry.action.action.params:
            action.params.add(param_id=param.param_id, value=next(remaining))
    built.priority = priority
    return copy.SerializeToString()
