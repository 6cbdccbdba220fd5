# SPDX-License-Identifier: Apache-2.0
"""Packets to and from the controller: the program's packet_in and packet_out headers."""

from __future__ import annotations

from dataclasses import fields

from finsy.proto import p4r

from din.p4rt.codec import number_bytes
from din.p4rt.events import PacketIn
from din.p4rt.program import Program

#: Fields of packet_in that are told.
_TOLD = {each.name for each in fields(PacketIn)} - {"switch", "payload"}


def decode_packet_in(program: Program, switch: str, packet: p4r.PacketIn) -> PacketIn:
    """Fields that the program's header does not have are 0."""
    names = {each.id: each.name for each in program.packet_in.values()}
    values = {names.get(m.metadata_id, ""): int.from_bytes(m.value, "big") for m in packet.metadata}
    return PacketIn(switch, packet.payload, **{name: values[name] for name in _TOLD & values.keys()})


def encode_packet_out(program: Program, payload: bytes, **values: int) -> p4r.PacketOut:
    """ValueError: a field is not in the program's packet_out header, or too small for its value. Those that
    are not given are 0."""
    unknown = sorted(values.keys() - program.packet_out.keys())
    if unknown:
        raise ValueError(f"the program's packet_out header has no {', '.join(unknown)}")
    packet = p4r.PacketOut(payload=payload)
    for name, info in program.packet_out.items():
        value = values.get(name, 0)
        if not 0 <= value < 1 << info.width:
            raise ValueError(f"packet_out.{name}: {value} does not fit {info.width} bits")
        packet.metadata.add(metadata_id=info.id, value=number_bytes(value))
    return packet
