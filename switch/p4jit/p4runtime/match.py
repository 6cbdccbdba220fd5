# SPDX-License-Identifier: Apache-2.0
"""Match fields: checked as P4Runtime demands, and encoded as the device's keys.

P4Runtime 1.4.1, section "Match Format". Decoding also rewrites the message's byte strings to their shortest
form, so that what is stored and read back is canonical.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from finsy.proto import p4r

from p4jit.frontend import ir
from p4jit.p4runtime.bytestrings import encode_unsigned
from p4jit.p4runtime.objects import EXACT, LPM, OPTIONAL, RANGE, TERNARY, FieldSchema
from p4jit.p4runtime.status import P4Error, invalid

if TYPE_CHECKING:
    from p4jit.codegen.layout import TableLayout

_KIND_NAMES: dict[int, str] = {
    EXACT: "exact",
    LPM: "lpm",
    TERNARY: "ternary",
    RANGE: "range",
    OPTIONAL: "optional",
}
_U64 = (1 << 64) - 1

#: (key, mask, prefix length), as `DeviceInterface.table_insert` takes them.
EncodedKey = tuple[bytes, bytes | None, int]


def decode_field(field: FieldSchema, match: p4r.FieldMatch) -> ir.MatchValue:
    """The value of one match field. Raises P4Error."""
    kind = match.WhichOneof("field_match_type")
    if kind != _KIND_NAMES[field.match]:
        raise invalid(f"match field {field.name} is {_KIND_NAMES[field.match]}, not {kind or 'unset'}")
    codec = field.codec
    try:
        if kind in ("exact", "optional"):
            part = match.exact if kind == "exact" else match.optional
            value = codec.decode(part.value)
            part.value = codec.encode(value)
            return ir.MatchValue(value, mask=(1 << codec.width) - 1)
        if kind == "lpm":
            return _decode_lpm(field, match.lpm)
        if kind == "ternary":
            return _decode_ternary(field, match.ternary)
        return _decode_range(field, match.range)
    except P4Error as error:
        raise P4Error(error.code, f"match field {field.name}: {error.message}") from None


def _decode_lpm(field: FieldSchema, part: p4r.FieldMatch.LPM) -> ir.MatchValue:
    value, prefix = field.codec.decode(part.value), part.prefix_len
    if not 0 < prefix <= field.width:
        raise invalid(f"prefix_len {prefix} is not in 1 to {field.width}; leave a don't care match out")
    mask = ((1 << prefix) - 1) << (field.width - prefix)
    if value & ~mask:
        raise invalid(f"{value:#x} has bits set beyond its prefix of {prefix}")
    part.value = encode_unsigned(value)
    return ir.MatchValue(value, mask=mask, prefix_length=prefix)


def _decode_ternary(field: FieldSchema, part: p4r.FieldMatch.Ternary) -> ir.MatchValue:
    value, mask = field.codec.decode(part.value), field.codec.decode(part.mask)
    if mask == 0:
        raise invalid("mask is zero; leave a don't care match out")
    if value & ~mask:
        raise invalid(f"{value:#x} has bits set outside its mask {mask:#x}")
    part.value, part.mask = encode_unsigned(value), encode_unsigned(mask)
    return ir.MatchValue(value, mask=mask)


def _decode_range(field: FieldSchema, part: p4r.FieldMatch.Range) -> ir.MatchValue:
    low, high = field.codec.decode(part.low), field.codec.decode(part.high)
    if low > high:
        raise invalid(f"low {low:#x} is above high {high:#x}")
    if low == 0 and high == (1 << field.width) - 1:
        raise invalid("the range is every value; leave a don't care match out")
    part.low, part.high = encode_unsigned(low), encode_unsigned(high)
    return ir.MatchValue(low, high=high)


def decode_fields(
    fields: Mapping[int, FieldSchema], matches: Iterable[p4r.FieldMatch]
) -> dict[int, ir.MatchValue]:
    """Values of the fields present, by position; exact ones are all present. Raises P4Error."""
    values: dict[int, ir.MatchValue] = {}
    for match in matches:
        field = fields.get(match.field_id)
        if field is None:
            raise invalid(f"match field id {match.field_id} is not in the P4Info")
        if field.position in values:
            raise invalid(f"match field {field.name} is given twice")
        values[field.position] = decode_field(field, match)
    for field in fields.values():
        if field.match == EXACT and field.position not in values:
            raise invalid(f"match field {field.name} is exact and must be given")
    return values


class KeyCodec:
    """The match key of one table."""

    def __init__(self, fields: Mapping[int, FieldSchema], layout: TableLayout) -> None:
        self._fields = fields
        self._layout = layout
        self._key_bytes = layout.key_bytes
        self._by_position = sorted(fields.values(), key=lambda f: f.position)
        #: Exact tables of plain values: bit offset, width and a bit of its own for each field id.
        self._plain: dict[int, tuple[int, int, int]] | None = None
        if layout.table.kind is ir.MatchKind.EXACT and all(
            f.match == EXACT and not f.codec.text and k.mask is None
            for f, k in zip(self._by_position, layout.table.key, strict=True)
        ):
            self._plain = {
                f.id: (layout.offsets[f.position], f.width, 1 << f.position) for f in fields.values()
            }
        self._all = (1 << len(fields)) - 1

    def decode(self, matches: Sequence[p4r.FieldMatch]) -> EncodedKey:
        """Raises P4Error (INVALID_ARGUMENT, OUT_OF_RANGE)."""
        plain = self._plain
        if plain is None:
            return self._decode_any(matches)
        # The hot path of large tables: no calls a field, errors left to the careful path.
        key = seen = 0
        for match in matches:
            place = plain.get(match.field_id)
            value = match.exact.value
            if place is None or not value:
                return self._decode_any(matches)
            offset, width, bit = place
            number = int.from_bytes(value, "big")
            if number >> width or seen & bit or (value[0] == 0 and len(value) > 1):
                return self._decode_any(matches)
            key |= number << offset
            seen |= bit
        if seen != self._all:
            return self._decode_any(matches)
        return key.to_bytes(self._key_bytes, "little"), None, 0

    def _decode_any(self, matches: Iterable[p4r.FieldMatch]) -> EncodedKey:
        values = decode_fields(self._fields, matches)
        match = [values.get(f.position) or _dont_care(f) for f in self._by_position]
        encoded = self._layout.encode(match)
        return encoded.key, encoded.mask, encoded.prefix_length

    def to_proto(self, values: Sequence[ir.MatchValue]) -> list[p4r.FieldMatch]:
        """The match of an entry of the program itself, one value a field."""
        matches = []
        for field, value in zip(self._by_position, values, strict=True):
            match = _field_to_proto(field, value)
            if match is not None:
                matches.append(match)
        return matches


def _dont_care(field: FieldSchema) -> ir.MatchValue:
    return ir.MatchValue(0, mask=0, prefix_length=0, high=(1 << field.width) - 1)


def _field_to_proto(field: FieldSchema, value: ir.MatchValue) -> p4r.FieldMatch | None:
    """None for don't care."""
    ones = (1 << field.width) - 1
    match = p4r.FieldMatch(field_id=field.id)
    if field.match == EXACT:
        match.exact.value = field.codec.encode(value.value)
    elif field.match == LPM:
        prefix = value.prefix_length
        if prefix is None:
            prefix = field.width if value.mask is None else value.mask.bit_count()
        if prefix == 0:
            return None
        match.lpm.value = encode_unsigned(value.value >> (field.width - prefix) << (field.width - prefix))
        match.lpm.prefix_len = prefix
    elif field.match == RANGE:
        high = value.value if value.high is None else value.high
        if value.value == 0 and high == ones:
            return None
        match.range.low, match.range.high = encode_unsigned(value.value), encode_unsigned(high)
    else:
        mask = ones if value.mask is None else value.mask
        if mask == 0:
            return None
        if field.match == OPTIONAL:
            match.optional.value = field.codec.encode(value.value)
        else:
            match.ternary.value, match.ternary.mask = (
                encode_unsigned(value.value & mask),
                encode_unsigned(mask),
            )
    return match
