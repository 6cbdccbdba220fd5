# SPDX-License-Identifier: Apache-2.0
"""P4Runtime entities from names and from values as people write them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from finsy.proto import p4i, p4r

from tests.p4jit.p4runtime.names import Names, to_bytes

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
#: 5, b"\x05", "02:00:00:00:00:01", "10.0.0.1", "2001:db8::1" or an address of `ipaddress`. An IPv4 address in
#: a field of 128 bits becomes IPv4-mapped.
Value = int | bytes | str | Address
#: What a key field may be given: a value; (value, prefix length) or "prefix/length" for lpm; (value, mask),
#: "prefix/length" or a value alone for ternary; (low, high) or a value for range. None: anything.
Match = Value | Network | tuple[Value, Value] | None

_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_MAPPED = 0xFFFF << 32


class NameProblem(AssertionError):
    """The program has nothing of that name, or a value does not fit it."""


@dataclass(frozen=True)
class Choice:
    """One action of a one-shot action set. ``watch``: the port whose fall takes it out."""

    action: str
    params: Mapping[str, Value] = field(default_factory=dict)
    weight: int = 1
    watch: int | None = None


def choice(action: str, /, *, weight: int = 1, watch: int | None = None, **params: Value) -> Choice:
    return Choice(action, params, weight, watch)


#: What an entry does: an action's name, its name and its parameters, or a one-shot action set.
Action = str | tuple[str, Mapping[str, Value]] | Sequence[Choice]


def number(value: Value, width: int, what: str) -> int:
    """A value as the integer that the field holds."""
    if isinstance(value, str):
        if _MAC.fullmatch(value):
            value = int(value.replace(":", ""), 16)
        else:
            try:
                value = ipaddress.ip_address(value)
            except ValueError:
                raise NameProblem(f"{what}: {value!r} is neither an address nor a number") from None
    if isinstance(value, ipaddress.IPv4Address):
        value = int(value) | (_MAPPED if width == 128 else 0)
    elif isinstance(value, bytes):
        value = int.from_bytes(value, "big")
    found = int(value)
    if not 0 <= found < 1 << width:
        raise NameProblem(f"{what}: {found:#x} does not fit {width} bits")
    return found


def _prefix(value: Network, width: int) -> tuple[int, int]:
    """(address, length), IPv4-mapped in a field of 128 bits."""
    mapped = value.version == 4 and width == 128
    return number(value.network_address, width, str(value)), value.prefixlen + (96 if mapped else 0)


def _as_network(value: Match) -> Network | None:
    if isinstance(value, Network):
        return value
    return ipaddress.ip_network(value) if isinstance(value, str) and "/" in value else None


class Entries(Names):
    """`Names`, with action parameters by name, and values in any of their forms."""

    def thing(self, alias: str) -> Any:
        """A table, action, counter, … by its alias (or by its full name)."""
        found = self._objects.get(alias)
        if found is None:
            full = [o for o in self._objects.values() if o.preamble.name == alias]
            if len(full) != 1:
                raise NameProblem(f"the program has no {alias!r}; it has {sorted(self._objects)}")
            found = full[0]
        return found

    def matches(self, table: Any, values: Mapping[str, Match]) -> list[p4r.FieldMatch]:
        left = dict(values)
        result = []
        for info in table.match_fields:
            given = [name for name in left if _names(name, info.name)]
            if not given:
                continue
            value = left.pop(given[0])
            if value is not None:
                result.append(_field(info, value, f"{table.preamble.alias}.{given[0]}"))
        if left:
            fields = [f.name for f in table.match_fields]
            raise NameProblem(f"{table.preamble.alias} has no key field {sorted(left)}; it has {fields}")
        return result

    def call(self, alias: str, params: Mapping[str, Value]) -> p4r.Action:
        """An action with its parameters by name."""
        info = self.thing(alias)
        wanted = {p.name: p for p in info.params}
        if wanted.keys() != params.keys():
            raise NameProblem(f"{alias} takes {sorted(wanted)}, not {sorted(params)}")
        action = p4r.Action(action_id=info.preamble.id)
        for name, p in wanted.items():
            value = number(params[name], p.bitwidth, f"{alias}.{name}")
            action.params.add(param_id=p.id, value=to_bytes(value))
        return action

    def choices(self, choices: Sequence[Choice]) -> p4r.TableAction:
        result = p4r.TableAction()
        result.action_profile_action_set.SetInParent()
        for c in choices:
            item = result.action_profile_action_set.action_profile_actions.add(
                action=self.call(c.action, c.params), weight=c.weight
            )
            if c.watch is not None:
                item.watch_port = to_bytes(c.watch)
        return result

    def table_entry(
        self,
        table: str,
        match: Mapping[str, Match],
        action: Action | None,
        params: Mapping[str, Value],
        priority: int = 0,
        **fields: Any,
    ) -> p4r.TableEntry:
        info = self.thing(table)
        entry = p4r.TableEntry(
            table_id=info.preamble.id, match=self.matches(info, match), priority=priority, **fields
        )
        if isinstance(action, str):
            entry.action.action.CopyFrom(self.call(action, params))
        elif isinstance(action, tuple) and action and isinstance(action[0], str):
            entry.action.action.CopyFrom(self.call(action[0], action[1]))
        elif action is not None:
            entry.action.CopyFrom(self.choices(action))  # type: ignore[arg-type]
        return entry

    def controller_header(self, name: str) -> dict[str, Any]:
        """The fields of "packet_in" or "packet_out", by name; empty when the program has none."""
        for header in self.p4info.controller_packet_metadata:
            if header.preamble.name == name:
                return {m.name: m for m in header.metadata}
        return {}


def _names(given: str, full: str) -> bool:
    return full == given or full.endswith("." + given)


def _field(info: Any, value: Match, what: str) -> p4r.FieldMatch:
    width = info.bitwidth
    match = p4r.FieldMatch(field_id=info.id)
    kind = p4i.MatchField.MatchType.Name(info.match_type)
    network = _as_network(value)
    if network is not None and kind in ("LPM", "TERNARY"):
        first, second = _prefix(network, width)
        if kind == "TERNARY":
            second = (1 << width) - (1 << width - second)
    elif isinstance(value, tuple) and kind in ("LPM", "TERNARY", "RANGE"):
        first = number(value[0], width, what)
        second = number(value[1], width, what)
    elif isinstance(value, tuple | Network) or value is None:
        raise NameProblem(f"{what} is {kind.lower()}: it does not match {value!r}")
    else:
        first = number(value, width, what)
        second = {"LPM": width, "TERNARY": (1 << width) - 1}.get(kind, first)
    if kind == "LPM":
        match.lpm.value, match.lpm.prefix_len = to_bytes(first), second
    elif kind == "TERNARY":
        match.ternary.value, match.ternary.mask = to_bytes(first), to_bytes(second)
    elif kind == "RANGE":
        match.range.low, match.range.high = to_bytes(first), to_bytes(second)
    else:
        part = match.exact if kind == "EXACT" else match.optional
        part.value = to_bytes(first)
    return match
