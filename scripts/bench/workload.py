# SPDX-License-Identifier: Apache-2.0
"""A workload: a program, the entries it is given and the frames it then forwards from port 0 to port 1.

In the YAML, ``count`` makes that many of an entry or frame; in its strings {n} is 0, 1, …, {n1} is one more,
{n256} and {m256} are n div and mod 256. Values are numbers, "02:00:00:00:00:01", "10.0.0.1"; with "/24" or
"&&& mask" behind for prefixes and ternary fields.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from finsy.proto import p4i, p4r
from google.protobuf import text_format

FRAME_BYTES = 100
PROGRAMS = Path(__file__).with_name("programs")


@dataclass(frozen=True)
class Workload:
    name: str
    program: Path
    p4info: p4i.P4Info
    updates: list[p4r.Update]
    frames: list[bytes]


def load(name: str, program: Path | None = None, p4info: Path | None = None) -> Workload:
    """``name``: one of ours, or a YAML file. Raises OSError, ValueError."""
    path = Path(name) if name.endswith(".yaml") else PROGRAMS / f"{name}.yaml"
    content = yaml.safe_load(path.read_text())
    for key, given in (("program", program), ("p4info", p4info)):
        if given is None and key not in content:
            raise ValueError(f"{name}: where is its {key}? Add --program {name} PROGRAM.json P4INFO.txtpb")
    program = program or path.parent / content["program"]
    info = p4i.P4Info()
    text_format.Parse((p4info or path.parent / content["p4info"]).read_text(), info)
    updates = [
        update for entry in content["entries"] for each in _repeat(entry) for update in [_insert(info, each)]
    ]
    frames = [_frame(each) for each in _repeat(content["frames"])]
    return Workload(path.stem, program, info, updates, frames)


def _repeat(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    def fill(value: Any, n: int) -> Any:
        if isinstance(value, dict):
            return {key: fill(inner, n) for key, inner in value.items()}
        if isinstance(value, list):
            return [fill(inner, n) for inner in value]
        return value.format(n=n, n1=n + 1, n256=n // 256, m256=n % 256) if isinstance(value, str) else value

    for n in range(item.get("count", 1)):
        yield fill({key: value for key, value in item.items() if key != "count"}, n)


def _number(value: Any) -> int:
    if isinstance(value, int):
        return value
    text = str(value).strip()
    if text.count(":") == 5:
        return int(text.replace(":", ""), 16)
    return int(ipaddress.ip_address(text)) if "." in text or ":" in text else int(text, 0)


def _bytes(value: Any) -> bytes:
    number = _number(value)
    return number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big")


def _named(items: Any, name: str) -> Any:
    for item in items:
        if name == (item.preamble.name if hasattr(item, "preamble") else item.name):
            return item
    raise ValueError(f"the P4Info has no {name}")


def _insert(info: p4i.P4Info, entry: dict[str, Any]) -> p4r.Update:
    table = _named(info.tables, entry["table"])
    update = p4r.Update(type=p4r.Update.INSERT)
    made = update.entity.table_entry
    made.table_id = table.preamble.id
    made.priority = _number(entry.get("priority", 0))
    for name, value in entry["match"].items():
        made.match.append(_match(_named(table.match_fields, name), value))
    if "one_of" in entry:
        for choice in entry["one_of"]:
            member = made.action.action_profile_action_set.action_profile_actions.add(weight=1)
            member.action.CopyFrom(_action(info, choice))
    else:
        made.action.action.CopyFrom(_action(info, entry))
    return update


def _match(field: p4i.MatchField, value: Any) -> p4r.FieldMatch:
    made = p4r.FieldMatch(field_id=field.id)
    if field.match_type == p4i.MatchField.LPM:
        address, _, length = str(value).partition("/")
        made.lpm.value, made.lpm.prefix_len = _bytes(address), int(length)
    elif field.match_type == p4i.MatchField.TERNARY:
        data, _, mask = str(value).partition("&&&")
        made.ternary.value, made.ternary.mask = _bytes(data), _bytes(mask)
    else:
        made.exact.value = _bytes(value)
    return made


def _action(info: p4i.P4Info, entry: dict[str, Any]) -> p4r.Action:
    action = _named(info.actions, entry["action"])
    made = p4r.Action(action_id=action.preamble.id)
    for name, value in entry.get("parameters", {}).items():
        made.params.add(param_id=_named(action.params, name).id, value=_bytes(value))
    return made


def _frame(fields: dict[str, Any]) -> bytes:
    """Ethernet, IPv4, UDP without checksum, zeros."""
    ethernet, ipv4, udp = fields["ethernet"], fields["ipv4"], fields["udp"]
    ip_bytes = FRAME_BYTES - 14
    header = bytearray(struct.pack("!BBHHHBBH", 0x45, 0, ip_bytes, 0, 0, 64, 17, 0))
    header += struct.pack("!II", _number(ipv4["source"]), _number(ipv4["destination"]))
    total = sum(struct.unpack("!10H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    header[10:12] = struct.pack("!H", ~total & 0xFFFF)
    frame = _number(ethernet["destination"]).to_bytes(6, "big") + _number(ethernet["source"]).to_bytes(
        6, "big"
    )
    frame += b"\x08\x00" + header
    frame += struct.pack("!HHHH", _number(udp["source"]), _number(udp["destination"]), ip_bytes - 20, 0)
    return frame.ljust(FRAME_BYTES, b"\0")
