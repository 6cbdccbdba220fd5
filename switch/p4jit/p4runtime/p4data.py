# SPDX-License-Identifier: Apache-2.0
"""P4Data, the form of register cells and digest elements, against the types a P4Info declares.

P4Runtime 1.4.1, section "Representation of Arbitrary P4 Types". A codec maps a P4Data to a flat list of
unsigned data plane values, in the order of declaration, and back. Raised: `TypeSpecError` for a type that
has no such form, P4Error (INVALID_ARGUMENT, OUT_OF_RANGE) for a value that does not match its type.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from finsy.proto import p4d, p4t

from p4jit.p4runtime.bytestrings import Codec, decode_signed, decode_unsigned, encode_signed, encode_unsigned
from p4jit.p4runtime.status import invalid

#: Types nest in P4Info by name; a P4Info may be hostile and name itself.
_MAX_DEPTH = 16
_MAX_NODES = 4096


class TypeSpecError(Exception):
    """A type that cannot be carried, or that the P4Info does not define."""


@dataclass(frozen=True, slots=True)
class Bits:
    width: int
    signed: bool = False
    text: bool = False

    def decode(self, data: p4d.P4Data, out: list[int]) -> None:
        if data.WhichOneof("data") != "bitstring":
            raise invalid(f"data must be a bitstring of {self.width} bits")
        if self.signed:
            out.append(decode_signed(data.bitstring, self.width) & ((1 << self.width) - 1))
        elif self.text:
            out.append(Codec(self.width, text=True).decode(data.bitstring))
        else:
            out.append(decode_unsigned(data.bitstring, self.width))

    def encode(self, values: Iterator[int]) -> p4d.P4Data:
        value = next(values)
        if self.signed:
            sign = 1 << (self.width - 1)
            return p4d.P4Data(bitstring=encode_signed((value ^ sign) - sign))
        if self.text:
            return p4d.P4Data(bitstring=Codec(self.width, text=True).encode(value))
        return p4d.P4Data(bitstring=encode_unsigned(value))


@dataclass(frozen=True, slots=True)
class Bool:
    def decode(self, data: p4d.P4Data, out: list[int]) -> None:
        if data.WhichOneof("data") != "bool":
            raise invalid("data must be a bool")
        out.append(int(data.bool))

    def encode(self, values: Iterator[int]) -> p4d.P4Data:
        return p4d.P4Data(bool=bool(next(values)))


@dataclass(frozen=True, slots=True)
class EnumValue:
    """A serializable enum travels by its number."""

    width: int

    def decode(self, data: p4d.P4Data, out: list[int]) -> None:
        if data.WhichOneof("data") != "enum_value":
            raise invalid("data must be an enum_value")
        out.append(decode_unsigned(data.enum_value, self.width))

    def encode(self, values: Iterator[int]) -> p4d.P4Data:
        return p4d.P4Data(enum_value=encode_unsigned(next(values)))


@dataclass(frozen=True, slots=True)
class Members:
    """A struct or a tuple."""

    kind: str
    members: tuple[DataCodec, ...]

    def decode(self, data: p4d.P4Data, out: list[int]) -> None:
        if data.WhichOneof("data") != self.kind:
            raise invalid(f"data must be a {self.kind}")
        values = data.struct.members if self.kind == "struct" else data.tuple.members
        if len(values) != len(self.members):
            raise invalid(f"the {self.kind} has {len(self.members)} members, not {len(values)}")
        for codec, value in zip(self.members, values, strict=True):
            codec.decode(value, out)

    def encode(self, values: Iterator[int]) -> p4d.P4Data:
        parts = [codec.encode(values) for codec in self.members]
        if self.kind == "struct":
            return p4d.P4Data(struct=p4d.P4StructLike(members=parts))
        return p4d.P4Data(tuple=p4d.P4StructLike(members=parts))


@dataclass(frozen=True, slots=True)
class HeaderValue:
    """A valid header: its fields, in order."""

    fields: tuple[Bits, ...]

    def decode(self, data: p4d.P4Data, out: list[int]) -> None:
        if data.WhichOneof("data") != "header" or not data.header.is_valid:
            raise invalid("data must be a valid header")
        if len(data.header.bitstrings) != len(self.fields):
            raise invalid(f"the header has {len(self.fields)} fields, not {len(data.header.bitstrings)}")
        for codec, value in zip(self.fields, data.header.bitstrings, strict=True):
            codec.decode(p4d.P4Data(bitstring=value), out)

    def encode(self, values: Iterator[int]) -> p4d.P4Data:
        strings = [codec.encode(values).bitstring for codec in self.fields]
        return p4d.P4Data(header=p4d.P4Header(is_valid=True, bitstrings=strings))


DataCodec = Bits | Bool | EnumValue | Members | HeaderValue


class _Builder:
    """Walks a type and the data plane's widths together."""

    def __init__(self, types: p4t.P4TypeInfo, widths: Sequence[int]) -> None:
        self._types = types
        self._widths = iter(widths)
        self._nodes = 0

    def _leaf(self, declared: int | None) -> int:
        width = next(self._widths, None)
        if width is None:
            raise TypeSpecError("the type has more fields than the data plane's value")
        if declared is not None and declared != width:
            raise TypeSpecError(f"a field of {declared} bits is one of {width} bits in the data plane")
        return width

    def finish(self) -> None:
        if next(self._widths, None) is not None:
            raise TypeSpecError("the type has fewer fields than the data plane's value")

    def bitstring(self, spec: p4t.P4BitstringLikeTypeSpec) -> Bits:
        kind = spec.WhichOneof("type_spec")
        if kind == "bit":
            return Bits(self._leaf(spec.bit.bitwidth))
        if kind == "int":
            return Bits(self._leaf(spec.int.bitwidth), signed=True)
        raise TypeSpecError(f"bitstring type {kind or 'unset'} cannot be carried")

    def build(self, spec: p4t.P4DataTypeSpec, depth: int = 0) -> DataCodec:
        self._nodes += 1
        if depth > _MAX_DEPTH or self._nodes > _MAX_NODES:
            raise TypeSpecError("the type nests too deep or is too large")
        kind = spec.WhichOneof("type_spec")
        types = self._types
        if kind == "bitstring":
            return self.bitstring(spec.bitstring)
        if kind == "bool":
            self._leaf(1)
            return Bool()
        if kind == "tuple":
            return Members("tuple", tuple(self.build(s, depth + 1) for s in spec.tuple.members))
        if kind == "struct":
            if spec.struct.name not in types.structs:
                raise TypeSpecError(f"struct {spec.struct.name!r} is not in type_info")
            members = types.structs[spec.struct.name].members
            return Members("struct", tuple(self.build(m.type_spec, depth + 1) for m in members))
        if kind == "header":
            if spec.header.name not in types.headers:
                raise TypeSpecError(f"header {spec.header.name!r} is not in type_info")
            fields = types.headers[spec.header.name].members
            return HeaderValue(tuple(self.bitstring(m.type_spec) for m in fields))
        if kind == "serializable_enum":
            if spec.serializable_enum.name not in types.serializable_enums:
                raise TypeSpecError(f"serializable enum {spec.serializable_enum.name!r} is not in type_info")
            enum = types.serializable_enums[spec.serializable_enum.name]
            return EnumValue(self._leaf(enum.underlying_type.bitwidth))
        if kind == "new_type":
            return self._new_type(spec.new_type.name, depth)
        raise TypeSpecError(f"type {kind or 'unset'} cannot be carried in P4Data here")

    def _new_type(self, name: str, depth: int) -> DataCodec:
        if name not in self._types.new_types:
            raise TypeSpecError(f"type {name!r} is not in type_info")
        new_type = self._types.new_types[name]
        if new_type.WhichOneof("representation") == "original_type":
            return self.build(new_type.original_type, depth + 1)
        text = new_type.translated_type.WhichOneof("sdn_type") == "sdn_string"
        return Bits(self._leaf(None), text=text)


def data_codec(spec: p4t.P4DataTypeSpec, types: p4t.P4TypeInfo, widths: Sequence[int]) -> DataCodec:
    """The codec of a type whose data plane value has fields of these widths, in bits. A translated type
    keeps its number (see `Codec`). Raises `TypeSpecError`."""
    builder = _Builder(types, widths)
    codec = builder.build(spec)
    builder.finish()
    return codec
