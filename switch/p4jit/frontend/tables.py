# SPDX-License-Identifier: Apache-2.0
"""Tables: keys, actions, default and constant entries, action profiles."""

from __future__ import annotations

from p4jit.frontend import ir
from p4jit.frontend.errors import quoted
from p4jit.frontend.externs import calculation_inputs, hash_algorithm
from p4jit.frontend.reader import MAX_WIDTH, Cursor, new_name, unique_ids
from p4jit.frontend.symbols import VALID, Symbols

#: Most entries of a table.
MAX_ENTRIES = 2**26

_KINDS = {kind.value: kind for kind in ir.MatchKind}
_TABLE_KINDS = {kind: ir.MatchKind(kind) for kind in ("exact", "lpm", "ternary", "range")}
_SINGLE_VALUED = (ir.MatchKind.EXACT, ir.MatchKind.VALID)
#: Match kinds that a field of a table of each kind may have.
_ALLOWED = {
    ir.MatchKind.EXACT: _SINGLE_VALUED,
    ir.MatchKind.LPM: (*_SINGLE_VALUED, ir.MatchKind.LPM),
    ir.MatchKind.TERNARY: (*_SINGLE_VALUED, ir.MatchKind.LPM, ir.MatchKind.TERNARY),
    ir.MatchKind.RANGE: tuple(ir.MatchKind),
}


def load_profiles(pipeline: Cursor, symbols: Symbols) -> None:
    for item in unique_ids(pipeline.section("action_profiles"), "action profile").values():
        name = new_name(item, symbols.profiles, "action profile")
        size = item.get("max_size").integer(0, MAX_ENTRIES)
        _add_profile(name, size, item.find("selector"), symbols)


def _add_profile(name: str, size: int, selector: Cursor | None, symbols: Symbols) -> ir.ActionProfile:
    calculation = None
    if selector is not None:
        inputs = calculation_inputs(selector, symbols)
        calculation = symbols.add_calculation(f"selector of {name}", hash_algorithm(selector), inputs)
    profile = ir.ActionProfile(name, len(symbols.profiles), size, calculation)
    symbols.profiles[name] = profile
    return profile


def load_table(item: Cursor, symbols: Symbols) -> ir.Table:
    """A table without its successors, which are known only when all nodes are."""
    name = new_name(item, symbols.tables, "table")
    kind = item.get("match_type").choice(_TABLE_KINDS, "match type")
    key = _key(item, kind, symbols)
    actions = _actions(item, symbols)
    entries = item.find("entries")
    # Entries in the program are all a table can have; simple_switch then ignores its size too.
    size = len(entries.items()) if entries is not None else item.get("max_size").integer(0, MAX_ENTRIES)
    table = ir.Table(
        name=name,
        index=len(symbols.tables),
        kind=kind,
        key=key,
        actions=actions,
        max_size=size,
        profile=_profile(item, size, symbols),
        default=None,
        default_action_const=False,
        default_entry_const=False,
        entries=[],
        const_entries=entries is not None,
        with_counters=item.flag("with_counters"),
        support_timeout=item.flag("support_timeout"),
        direct_meter=_direct_meter(item, name, symbols),
    )
    default = item.find("default_entry")
    if default is not None:
        _default(default, table, symbols)
    if entries is not None:
        if table.profile is not None:
            raise entries.error("a table with an action profile cannot have entries in the program")
        if len(entries.items()) > MAX_ENTRIES:
            raise entries.error(f"has more than {MAX_ENTRIES} entries")
        _entries(entries, table, symbols)
    symbols.tables[name] = table
    return table


def _key(item: Cursor, kind: ir.MatchKind, symbols: Symbols) -> list[ir.KeyField]:
    key = []
    prefixes = 0
    for cursor in item.get("key").items():
        match_type = cursor.get("match_type")
        field = _key_field(cursor, match_type.choice(_KINDS, "match type"), symbols)
        if field.kind not in _ALLOWED[kind]:
            raise match_type.error(f"a table of match type {kind.value!r} cannot match {field.kind.value!r}")
        prefixes += field.kind is ir.MatchKind.LPM
        if prefixes > 1:
            raise match_type.error("a table has at most one lpm field, this is the second")
        key.append(field)
    if sum(field.width for field in key) > MAX_WIDTH:
        raise item.get("key").error(f"a key has at most {MAX_WIDTH} bits")
    if kind is ir.MatchKind.LPM and not prefixes:
        raise item.get("match_type").error("an lpm table needs an lpm field")
    return key


def _key_field(cursor: Cursor, kind: ir.MatchKind, symbols: Symbols) -> ir.KeyField:
    target = cursor.get("target")
    value: ir.FieldRef | ir.ValidBit
    if kind is ir.MatchKind.VALID:
        header = target.resolve(symbols.headers, "header")
        value, width, default_name = ir.ValidBit(header), 1, header.name
    else:
        if isinstance(target.value, dict):
            raise target.error(
                "a key that is no field, but an expression", "copy it to metadata and match that"
            )
        value = symbols.field_or_valid(target)
        if isinstance(value, ir.FieldRef):
            if value.field.varbit:
                raise target.error("a varbit field cannot be a key")
            width, field_name = value.field.width, value.field.name
        else:
            width, field_name = 1, VALID
        assert value.header is not None
        default_name = f"{value.header.name}.{field_name}"
    name = cursor.find("name")
    mask = cursor.find("mask")
    static = None
    if mask is not None:
        static = mask.hexstr()
        if not 0 <= static < 1 << (width + 7) // 8 * 8:
            raise mask.error(f"does not fit a field of {width} bits")
        static &= (1 << width) - 1
    return ir.KeyField(default_name if name is None else name.name(), kind, value, width, static)


def _actions(item: Cursor, symbols: Symbols) -> list[ir.Action]:
    """The table's actions, by id where the JSON gives ids; names may be shared."""
    actions: dict[ir.Action, None] = {}
    if item.has("action_ids"):
        for cursor in item.get("action_ids").items():
            actions[cursor.resolve_id(symbols.actions, "action")] = None
    else:
        for cursor in item.get("actions").items():
            actions[cursor.resolve(symbols.actions_by_name, "action")] = None
    return list(actions)


def _profile(item: Cursor, size: int, symbols: Symbols) -> ir.ActionProfile | None:
    selected = item.get("type").choice(
        {"simple": None, "indirect": False, "indirect_ws": True}, "type of table"
    )
    if selected is None:
        return None
    reference = item.find("action_profile")
    if reference is not None:
        profile = reference.resolve(symbols.profiles, "action profile")
        if (profile.selector is not None) != selected:
            wanted = "a selector" if selected else "no selector"
            raise reference.error(f"the table needs an action profile with {wanted}")
        return profile
    # Older compilers describe the profile in its only table.
    name = item.get("act_prof_name")
    if name.name() in symbols.profiles:
        raise name.error(f"two action profiles are named {quoted(name.name())}")
    return _add_profile(name.name(), size, item.get("selector") if selected else None, symbols)


def _direct_meter(item: Cursor, table: str, symbols: Symbols) -> ir.MeterArray | None:
    reference = item.find("direct_meters")
    if reference is None:
        return None
    meter = reference.resolve(symbols.meters, "meter array")
    if meter.table != table:
        raise reference.error(f"meter {quoted(meter.name)} is not a direct meter of this table")
    return meter


def _call(item: Cursor, actions: frozenset[ir.Action], symbols: Symbols) -> ir.ActionCall:
    """``action_id`` and ``action_data``, of one of the table's actions."""
    cursor = item.get("action_id")
    action = cursor.resolve_id(symbols.actions, "action")
    if action not in actions:
        raise cursor.error(f"action {quoted(action.name)} is not one of the table's")
    data = item.get("action_data")
    values = data.items()
    if len(values) != len(action.params):
        raise data.error(
            f"action {quoted(action.name)} has {len(action.params)} parameters, found {len(values)}"
        )
    return ir.ActionCall(
        action, [_fitting(value, param.width) for value, param in zip(values, action.params, strict=True)]
    )


def _fitting(cursor: Cursor, width: int) -> int:
    """A number of ``width`` bits; of a negative one, the two's complement."""
    value = cursor.hexstr()
    if not -(1 << width - 1) <= value < 1 << width:
        raise cursor.error(f"does not fit {width} bits")
    return value & ((1 << width) - 1)


def _default(item: Cursor, table: ir.Table, symbols: Symbols) -> None:
    table.default = _call(item, frozenset(table.actions), symbols)
    table.default_action_const = item.flag("action_const")
    table.default_entry_const = item.flag("action_entry_const")
    if table.default_action_const and table.profile is not None:
        raise item.get("action_const").error("a table with an action profile has no constant default action")


def _entries(section: Cursor, table: ir.Table, symbols: Symbols) -> None:
    with_priority = table.kind in (ir.MatchKind.TERNARY, ir.MatchKind.RANGE)
    actions = frozenset(table.actions)
    seen: set[tuple[object, ...]] = set()
    for item in section.items():
        match_key = item.get("match_key")
        match = [
            _match_value(cursor, field)
            for field, cursor in zip(table.key, match_key.tuple(len(table.key)), strict=True)
        ]
        priority = item.get("priority").integer(0, 2**31 - 1) if with_priority else None
        identity = (priority, *((m.value, m.mask, m.prefix_length, m.high) for m in match))
        if identity in seen:
            raise item.error("an entry with this key is already in the table")
        seen.add(identity)
        call = _call(item.get("action_entry"), actions, symbols)
        table.entries.append(ir.ConstEntry(match, call, priority))


def _match_value(cursor: Cursor, field: ir.KeyField) -> ir.MatchValue:
    kind = cursor.get("match_type")
    if kind.choice(_KINDS, "match type") is not field.kind:
        raise kind.error(f"key field {quoted(field.name)} is matched {field.kind.value!r}")
    if field.kind is ir.MatchKind.VALID:
        return ir.MatchValue(int(cursor.get("key").boolean()))
    if field.kind is ir.MatchKind.RANGE:
        low, high = _fitting(cursor.get("start"), field.width), _fitting(cursor.get("end"), field.width)
        if low > high:
            raise cursor.error(f"the range of key field {quoted(field.name)} is empty")
        return ir.MatchValue(low, high=high)
    value = _fitting(cursor.get("key"), field.width)
    if field.kind is ir.MatchKind.LPM:
        length = cursor.get("prefix_length").integer(0, field.width)
        bits = (1 << field.width) - (1 << field.width - length)
        return ir.MatchValue(value & bits, prefix_length=length)
    if field.kind is ir.MatchKind.TERNARY:
        mask = _fitting(cursor.get("mask"), field.width)
        return ir.MatchValue(value & mask, mask=mask)
    return ir.MatchValue(value)
