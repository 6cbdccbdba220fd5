# SPDX-License-Identifier: Apache-2.0
"""Stateful arrays, value sets, calculations, checksums and lists of fields."""

from __future__ import annotations

from p4jit.frontend import ir
from p4jit.frontend.errors import quoted
from p4jit.frontend.expressions import Expressions
from p4jit.frontend.headers import MAX_PHV_BYTES
from p4jit.frontend.reader import MAX_WIDTH, Cursor, new_name, unique_ids
from p4jit.frontend.statements import MAX_LIST
from p4jit.frontend.symbols import Symbols

#: Most cells of an array, and bytes of all arrays together.
MAX_CELLS = 2**31
MAX_STATE_BYTES = 4 << 30
#: Most bits of what is hashed, the payload aside, and of a digest.
MAX_INPUT = 8 * MAX_PHV_BYTES

#: Hash algorithms that simple_switch registers.
HASH_ALGORITHMS = frozenset(
    {
        "crc8_custom",
        "crc16",
        "crc16_custom",
        "crc32",
        "crc32_custom",
        "crc64_custom",
        "crcCCITT",
        "cksum16",
        "csum16",
        "identity",
        "xor16",
        "xor32",
        "xxh64",
        "toeplitz",
        "round_robin",
        "round_robin_consistent",
        "hash_ex",
        "bmv2_hash",
    }
)


def load_state(root: Cursor, symbols: Symbols) -> None:
    """Value sets, counters, meters and registers."""
    for item in root.section("extern_instances"):
        found = item.get("type")
        raise found.error(
            f"extern type {quoted(found.string())} is unknown", "p4jit has the externs of v1model only"
        )
    for item in unique_ids(root.section("parse_vsets"), "value set").values():
        name = new_name(item, symbols.value_sets, "value set")
        width = item.get("compressed_bitwidth").integer(1, MAX_WIDTH)
        limit = item.find("max_size")
        most = None if limit is None else limit.integer(0, MAX_CELLS)
        symbols.value_sets[name] = ir.ValueSet(name, len(symbols.value_sets), width, most)
    for item in unique_ids(root.section("counter_arrays"), "counter array").values():
        name = new_name(item, symbols.counters, "counter array")
        if name in symbols.direct_counters:
            raise item.get("name").error(f"two counter arrays are named {quoted(name)}")
        if item.flag("is_direct"):
            symbols.direct_counters[name] = item
        else:
            size = item.get("size").integer(0, MAX_CELLS)
            symbols.counters[name] = ir.CounterArray(name, len(symbols.counters), size)
    for item in unique_ids(root.section("meter_arrays"), "meter array").values():
        name = new_name(item, symbols.meters, "meter array")
        symbols.meters[name] = _meter(item, name, symbols)
    for item in unique_ids(root.section("register_arrays"), "register array").values():
        name = new_name(item, symbols.registers, "register array")
        size = item.get("size").integer(0, MAX_CELLS)
        width = item.get("bitwidth").integer(1, MAX_WIDTH)
        symbols.registers[name] = ir.RegisterArray(name, len(symbols.registers), size, width)
    _check_size(root, symbols)


def _check_size(root: Cursor, symbols: Symbols) -> None:
    total = sum(array.size * 16 for array in symbols.counters.values())
    total += sum(array.size * 64 for array in symbols.meters.values() if array.table is None)
    total += sum(array.size * ((array.width + 7) // 8) for array in symbols.registers.values())
    if total > MAX_STATE_BYTES:
        raise root.error(f"counters, meters and registers take about {total >> 30} GiB", "4 GiB is the most")


def _meter(item: Cursor, name: str, symbols: Symbols) -> ir.MeterArray:
    counts_bytes = item.get("type").choice({"packets": False, "bytes": True}, "type of meter")
    rates = item.get("rate_count")
    if rates.integer(0, 2**31) != 2:
        raise rates.error("meters have 2 rates (RFC 2698)")
    size = item.get("size").integer(0, MAX_CELLS)
    meter = ir.MeterArray(name, len(symbols.meters), size, counts_bytes)
    if item.flag("is_direct"):
        target = item.get("result_target")
        meter.result = symbols.field_ref(target)
        if meter.result.field.varbit:
            raise target.error("a meter's result needs a field of fixed width")
        meter.table = item.get("binding").name()
    return meter


def load_calculations(root: Cursor, symbols: Symbols) -> None:
    for item in unique_ids(root.section("calculations"), "calculation").values():
        name = new_name(item, symbols.calculations, "calculation")
        calculation = ir.Calculation(
            name, len(symbols.calculations), hash_algorithm(item), calculation_inputs(item, symbols)
        )
        symbols.calculations[name] = calculation


def hash_algorithm(item: Cursor) -> str:
    """The ``algo`` of a calculation or selector."""
    cursor = item.get("algo")
    name = cursor.string()
    if name not in HASH_ALGORITHMS:
        known = ", ".join(sorted(HASH_ALGORITHMS))
        raise cursor.error(f"unknown hash algorithm {quoted(name)}", f"simple_switch has {known}")
    return name


def calculation_inputs(item: Cursor, symbols: Symbols) -> list[ir.Expr]:
    """The ``input`` of a calculation. The payload, if it is one, comes last, as simple_switch has it."""
    inputs: list[ir.Expr] = []
    payload = False
    for entry in item.get("input").items():
        kind = entry.get("type").string()
        if kind == "field":
            inputs.append(symbols.field_ref(entry.get("value")))
        elif kind == "hexstr":
            inputs.append(sized_constant(entry))
        elif kind == "header":
            inputs.append(ir.HeaderRef(entry.get("value").resolve(symbols.headers, "header")))
        elif kind == "payload":
            payload = True
        else:
            raise entry.error(f"an input of type {quoted(kind)} cannot be hashed")
    if sum(_bits(expr) for expr in inputs) > MAX_INPUT:
        raise item.get("input").error(f"at most {MAX_INPUT} bits can be hashed")
    return [*inputs, ir.Payload()] if payload else inputs


def _bits(expr: ir.Expr) -> int:
    """Most bits that an input of a calculation has."""
    match expr:
        case ir.FieldRef():
            return expr.field.width
        case ir.HeaderRef():
            return expr.header.type.max_bytes * 8
        case ir.SizedConst():
            return expr.width
    return 1


def sized_constant(entry: Cursor) -> ir.SizedConst:
    width = entry.get("bitwidth").integer(1, MAX_WIDTH)
    # Of a negative number, the two's complement.
    return ir.SizedConst(entry.get("value").hexstr() & ((1 << width) - 1), width)


def load_lists(root: Cursor, symbols: Symbols) -> None:
    """Learn lists (digests) and field lists."""
    # Several learn lists may share a name: p4c makes one for each call of digest(), named after the type.
    for number, item in unique_ids(root.section("learn_lists"), "learn list").items():
        name = item.get("name").name()
        elements: list[ir.Expr] = []
        widths: list[int] = []
        for entry in item.get("elements").items():
            element, width = _learn_element(entry, symbols)
            elements.append(element)
            widths.append(width)
        if sum(widths) > MAX_INPUT:
            raise item.get("elements").error(f"a digest has at most {MAX_INPUT} bits")
        item.get("id").integer(1, MAX_LIST)
        symbols.learn_lists[number] = ir.LearnList(name, number, elements, widths)
    for number, item in unique_ids(root.section("field_lists"), "field list").items():
        item.get("id").integer(1, MAX_LIST)
        fields = []
        for entry in item.get("elements").items():
            kind = entry.get("type").string()
            if kind == "field":
                reference = symbols.field_ref(entry.get("value"))
                if reference.field.varbit:
                    raise entry.error("a varbit field cannot be preserved")
                fields.append(reference)
            elif kind != "hexstr":
                # A constant is the same in the copy as in the original: there is nothing to keep.
                raise entry.error(f"an element of type {quoted(kind)} cannot be preserved")
        symbols.field_lists[number] = ir.FieldList(item.get("name").name(), number, fields)


def _learn_element(entry: Cursor, symbols: Symbols) -> tuple[ir.Expr, int]:
    kind = entry.get("type").string()
    if kind == "field":
        element = symbols.field_ref(entry.get("value"))
        if element.field.varbit:
            raise entry.error("a digest cannot hold a varbit field")
        return element, element.field.width
    if kind == "hexstr":
        constant = sized_constant(entry)
        return constant, constant.width
    raise entry.error(f"an element of type {quoted(kind)} cannot be in a digest")


def load_checksums(root: Cursor, symbols: Symbols) -> list[ir.Checksum]:
    """Checksums; each is verified after every parser or updated before every deparser, or both."""
    checksums = []
    for item in unique_ids(root.section("checksums"), "checksum").values():
        target = item.get("target")
        field = symbols.field_ref(target)
        if field.field.varbit:
            raise target.error("a checksum needs a field of fixed width")
        kind = item.get("type")
        if kind.string() == "generic":
            calculation = item.get("calculation").resolve(symbols.calculations, "calculation")
        elif kind.string() == "ipv4":
            calculation = _ipv4_calculation(field, symbols)
        else:
            raise kind.error(f"unknown type of checksum {quoted(kind.string())}", "p4jit knows generic, ipv4")
        condition = item.find("if_cond")
        checksums.append(
            ir.Checksum(
                item.get("name").name(),
                field,
                calculation,
                verify=item.flag("verify", default=True),
                update=item.flag("update", default=True),
                condition=None if condition is None else Expressions(symbols).boolean(condition),
            )
        )
    return checksums


def _ipv4_calculation(target: ir.FieldRef, symbols: Symbols) -> ir.Calculation:
    """RFC 791's header checksum, for which the program names no calculation: over the whole header, with
    zeros for the checksum itself."""
    assert target.header is not None
    inputs: list[ir.Expr] = [
        ir.SizedConst(0, field.width) if field is target.field else ir.FieldRef(target.header, field)
        for field in target.header.type.fields
    ]
    return symbols.add_calculation(f"ipv4 checksum of {target.header.name}", "csum16", inputs)
