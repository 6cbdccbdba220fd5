# SPDX-License-Identifier: Apache-2.0
"""Header types and instances, stacks, unions, errors, enums and the names of standard fields."""

from __future__ import annotations

from p4jit.frontend import ir
from p4jit.frontend.errors import quoted
from p4jit.frontend.expressions import Expressions
from p4jit.frontend.reader import MAX_WIDTH, Cursor, new_name, unique_ids
from p4jit.frontend.symbols import VALID, Symbols

#: Bytes of all headers and metadata together: they travel with each packet.
MAX_PHV_BYTES = 64 << 10
#: simple_switch reserves the last value of an error or enum.
_MAX_CODE = 2**31 - 2

_CORE_ERRORS = (
    "NoError",
    "PacketTooShort",
    "NoMatch",
    "StackOutOfBounds",
    "HeaderTooShort",
    "ParserTimeout",
    "ParserInvalidArgument",
)

#: Fields that simple_switch reads or writes by itself; the first five must exist.
_STANDARD_FIELDS = (
    "standard_metadata.ingress_port",
    "standard_metadata.packet_length",
    "standard_metadata.instance_type",
    "standard_metadata.egress_spec",
    "standard_metadata.egress_port",
    "standard_metadata.parser_error",
    "standard_metadata.checksum_error",
    "intrinsic_metadata.ingress_global_timestamp",
    "intrinsic_metadata.egress_global_timestamp",
    "intrinsic_metadata.mcast_grp",
    "intrinsic_metadata.egress_rid",
    "intrinsic_metadata.priority",
    "queueing_metadata.enq_timestamp",
    "queueing_metadata.enq_qdepth",
    "queueing_metadata.deq_timedelta",
    "queueing_metadata.deq_qdepth",
    "queueing_metadata.qid",
)
_REQUIRED = _STANDARD_FIELDS[:5]


def load_headers(root: Cursor, symbols: Symbols) -> None:
    """All that holds a packet's data. Order matters: each refers to what is before it."""
    _header_types(root, symbols)
    header_ids = _headers(root, symbols)
    _stacks(root, symbols, header_ids)
    _unions(root, symbols, header_ids)
    _standard_fields(root, symbols)


def _header_types(root: Cursor, symbols: Symbols) -> None:
    items = root.section("header_types")
    unique_ids(items, "header type")
    for item in items:
        name = new_name(item, symbols.header_types, "header type")
        symbols.header_types[name] = _header_type(item, name, symbols)


def _header_type(item: Cursor, name: str, symbols: Symbols) -> ir.HeaderType:
    fields: dict[str, ir.Field] = {}
    bits = 0
    varbit: ir.Field | None = None
    for entry in item.get("fields").items():
        parts = entry.tuple(2, 3, 4)
        field_name = parts[0].name()
        if field_name in fields:
            raise parts[0].error(f"two fields are named {quoted(field_name)}")
        if field_name == VALID:
            raise parts[0].error(f"{VALID} is the name of the hidden field")
        field = ir.Field(
            field_name,
            width=0,
            index=len(fields),
            signed=_truth(parts[2]) if len(parts) > 2 else False,
            saturating=_truth(parts[3]) if len(parts) > 3 else False,
        )
        if parts[1].value == "*":
            if varbit is not None:
                raise entry.error("a header has at most one varbit field, this is the second")
            field.varbit = True
            varbit = field
        else:
            field.width = parts[1].integer(1, MAX_WIDTH)
            bits += field.width
        fields[field_name] = field
    max_bytes = (bits + 7) // 8
    if varbit is not None:
        limit = item.find("max_length")
        if limit is None:
            raise item.error("a header type with a varbit field needs 'max_length', in bytes")
        max_bytes = limit.integer(max_bytes, MAX_PHV_BYTES)
        varbit.width = max_bytes * 8 - bits
        if varbit.width == 0:
            raise limit.error("leaves no room for the varbit field")
    header_type = ir.HeaderType(name, list(fields.values()), max_bytes)
    symbols.fields[header_type] = fields
    length = item.find("length_exp")
    if length is not None:
        if varbit is None:
            raise length.error("a header type without a varbit field has no 'length_exp'")
        header_type.length_expression = Expressions(symbols, own_fields=header_type.fields).data(length)
    return header_type


def _truth(cursor: Cursor) -> bool:
    """A boolean, which p4c writes as 0 or 1 for some fields."""
    if isinstance(cursor.value, bool):
        return cursor.value
    return cursor.integer(0, 1) == 1


def _headers(root: Cursor, symbols: Symbols) -> dict[int, ir.Header]:
    headers: dict[int, ir.Header] = {}
    total = 0
    for number, item in unique_ids(root.section("headers"), "header").items():
        name = new_name(item, symbols.headers, "header")
        header_type = item.get("header_type").resolve(symbols.header_types, "header type")
        metadata = item.flag("metadata")
        bits = sum(field.width for field in header_type.fields)
        if not metadata and bits % 8:
            raise item.error(
                f"header {quoted(name)} has {bits} bits, which is not a whole number of bytes",
                "pad the header type with a field",
            )
        # One byte more for the validity, so that empty headers count too.
        total += header_type.max_bytes + 1
        if total > MAX_PHV_BYTES:
            raise item.error(f"headers and metadata together are larger than {MAX_PHV_BYTES} bytes")
        header = ir.Header(name, len(symbols.headers), header_type, metadata)
        symbols.headers[name] = header
        headers[number] = header
    return headers


def _stacks(root: Cursor, symbols: Symbols, header_ids: dict[int, ir.Header]) -> None:
    owners: dict[ir.Header, str] = {}
    for item in unique_ids(root.section("header_stacks"), "header stack").values():
        name = new_name(item, symbols.stacks, "header stack")
        header_type = item.get("header_type").resolve(symbols.header_types, "header type")
        headers = []
        for cursor in _not_empty(item.get("header_ids")):
            header = cursor.resolve_id(header_ids, "header")
            if header.type is not header_type:
                raise cursor.error(
                    f"header {quoted(header.name)} has type {quoted(header.type.name)}, "
                    f"the stack's is {quoted(header_type.name)}"
                )
            _claim(cursor, header, owners, f"stack {quoted(name)}")
            headers.append(header)
        symbols.stacks[name] = ir.Stack(name, len(symbols.stacks), header_type, headers)


def _unions(root: Cursor, symbols: Symbols, header_ids: dict[int, ir.Header]) -> None:
    types: dict[str, list[tuple[str, ir.HeaderType]]] = {}
    type_items = root.section("header_union_types")
    unique_ids(type_items, "header union type")
    for item in type_items:
        name = new_name(item, types, "header union type")
        members: dict[str, ir.HeaderType] = {}
        for entry in _not_empty(item.get("headers")):
            member, type_name = entry.tuple(2)
            if member.name() in members:
                raise member.error(f"two members are named {quoted(member.name())}")
            members[member.name()] = type_name.resolve(symbols.header_types, "header type")
        types[name] = list(members.items())

    owners: dict[ir.Header, str] = {
        header: f"stack {quoted(stack.name)}" for stack in symbols.stacks.values() for header in stack.headers
    }
    union_types: dict[ir.Union, list[tuple[str, ir.HeaderType]]] = {}
    union_ids: dict[int, ir.Union] = {}
    for number, item in unique_ids(root.section("header_unions"), "header union").items():
        name = new_name(item, symbols.unions, "header union")
        union_type = item.get("union_type").resolve(types, "header union type")
        union = ir.Union(name, len(symbols.unions), [])
        for (member_name, header_type), cursor in zip(
            union_type, item.get("header_ids").tuple(len(union_type)), strict=True
        ):
            header = cursor.resolve_id(header_ids, "header")
            if header.type is not header_type or header.metadata:
                raise cursor.error(
                    f"header {quoted(header.name)} cannot be member {quoted(member_name)}, "
                    f"a header of type {quoted(header_type.name)}"
                )
            _claim(cursor, header, owners, f"union {quoted(name)}")
            header.union = union
            union.members.append((member_name, header))
        symbols.unions[name] = union
        union_ids[number] = union
        union_types[union] = union_type

    stacked: dict[ir.Union, str] = {}
    for item in unique_ids(root.section("header_union_stacks"), "header union stack").values():
        name = new_name(item, symbols.union_stacks, "header union stack")
        union_type = item.get("union_type").resolve(types, "header union type")
        unions = []
        for cursor in _not_empty(item.get("header_union_ids")):
            union = cursor.resolve_id(union_ids, "header union")
            if union_types[union] is not union_type:
                raise cursor.error(f"union {quoted(union.name)} has another type than the stack")
            if union in stacked:
                raise cursor.error(f"union {quoted(union.name)} is already in stack {quoted(stacked[union])}")
            stacked[union] = name
            unions.append(union)
        symbols.union_stacks[name] = ir.UnionStack(name, len(symbols.union_stacks), unions)


def _not_empty(cursor: Cursor) -> list[Cursor]:
    items = cursor.items()
    if not items:
        raise cursor.error("must have at least one item")
    return items


def _claim(cursor: Cursor, header: ir.Header, owners: dict[ir.Header, str], owner: str) -> None:
    if header in owners:
        raise cursor.error(f"header {quoted(header.name)} is already in {owners[header]}")
    if header.metadata:
        raise cursor.error(f"{quoted(header.name)} is metadata, which cannot be in a stack or union")
    owners[header] = owner


def _standard_fields(root: Cursor, symbols: Symbols) -> None:
    aliases: dict[str, ir.FieldRef] = {}
    for item in root.section("field_aliases"):
        alias, target = item.tuple(2)
        reference = symbols.field_ref(target)
        # p4c repeats the aliases of a type for each of its instances.
        known = aliases.setdefault(alias.name(), reference)
        if known.header is not reference.header or known.field is not reference.field:
            raise alias.error(f"{quoted(alias.name())} is an alias of two fields")
    for name in _STANDARD_FIELDS:
        if name in aliases:
            symbols.standard_fields[name] = aliases[name]
            continue
        header_name, _, field_name = name.partition(".")
        header = symbols.headers.get(header_name)
        field = symbols.fields[header.type].get(field_name) if header is not None else None
        if header is not None and field is not None:
            symbols.standard_fields[name] = ir.FieldRef(header, field)
    for name, reference in symbols.standard_fields.items():
        if reference.field.varbit or reference.header is None or not reference.header.metadata:
            raise root.error(f"{name} must be a metadata field of fixed width")
    for name in _REQUIRED:
        if name not in symbols.standard_fields:
            raise root.error(
                f"the program has no field {name}", "compile it for v1model with p4c-bm2-ss or p4c -b bmv2"
            )


def load_errors(root: Cursor) -> dict[str, int]:
    """The program's errors and the core ones, which get the next free values where the program has none."""
    errors: dict[str, int] = {}
    values: set[int] = set()
    for item in root.section("errors"):
        name, value = item.tuple(2)
        number = value.integer(0, _MAX_CODE)
        if name.name() in errors:
            raise name.error(f"two errors are named {quoted(name.name())}")
        if number in values:
            raise value.error(f"two errors have the value {number}")
        errors[name.name()] = number
        values.add(number)
    following = max(errors.values(), default=-1) + 1
    for core in _CORE_ERRORS:
        if core not in errors:
            errors[core] = following
            following += 1
    return errors


def load_enums(root: Cursor) -> dict[str, dict[str, int]]:
    enums: dict[str, dict[str, int]] = {}
    for item in root.section("enums"):
        name = new_name(item, enums, "enum")
        entries: dict[str, int] = {}
        for entry in item.section("entries"):
            entry_name, value = entry.tuple(2)
            if entry_name.name() in entries:
                raise entry_name.error(f"two entries are named {quoted(entry_name.name())}")
            entries[entry_name.name()] = value.integer(0, _MAX_CODE)
        enums[name] = entries
    return enums
