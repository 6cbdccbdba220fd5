# SPDX-License-Identifier: Apache-2.0
"""INT's metadata by instruction bit, which is also a report's baseline metadata, two bits apart."""

from __future__ import annotations

from collections.abc import Mapping

from din.packet.constants import Instruction, ReportBit

#: (name, bits) of what each of the 16 bits adds. Reserved bits add a word without a name.
Fields = tuple[tuple[str, int], ...]
_RESERVED: Fields = (("", 32),)

_COMMON: dict[int, Fields] = {
    Instruction.PORTS: (("ingress_port", 16), ("egress_port", 16)),
    Instruction.HOP_LATENCY: (("hop_latency", 32),),
    Instruction.QUEUE: (("queue", 8), ("occupancy", 24)),
    Instruction.INGRESS_TIME: (("ingress_time", 64),),
    Instruction.EGRESS_TIME: (("egress_time", 64),),
    Instruction.L2_PORTS: (("l2_ingress_port", 32), ("l2_egress_port", 32)),
    Instruction.TX_UTILIZATION: (("tx_utilization", 32),),
    Instruction.BUFFER: (("buffer", 8), ("buffer_occupancy", 24)),
}
INT_FIELDS: Mapping[int, Fields] = {
    Instruction.NODE_ID: (("node_id", 32),),
    **_COMMON,
    Instruction.CHECKSUM_COMPLEMENT: (("checksum_complement", 32),),
}
REPORT_FIELDS: Mapping[int, Fields] = {
    **_COMMON,
    ReportBit.DROP: (("drop_queue", 8), ("drop_reason", 8), ("pad", 16)),
}


def fields(bits: int, known: Mapping[int, Fields]) -> list[tuple[str, int]]:
    """The fields that a bitmap asks for, in their order on the wire."""
    found: list[tuple[str, int]] = []
    for position in range(16):
        bit = 0x8000 >> position
        if bits & bit:
            found.extend(known.get(bit, _RESERVED))
    return found


def words(bits: int, known: Mapping[int, Fields]) -> int:
    return sum(width for _, width in fields(bits, known)) // 32


def decode(data: bytes, bits: int, known: Mapping[int, Fields]) -> dict[str, int]:
    """Values by name. ``data`` starts with the metadata and may go on."""
    values: dict[str, int] = {}
    position = 0
    for name, width in fields(bits, known):
        if name:
            # No field crosses a word's end except those that are whole words.
            values[name] = int.from_bytes(data[position : position + width // 8], "big")
        position += width // 8
    return values


def encode(values: Mapping[str, int], bits: int, known: Mapping[int, Fields]) -> bytes:
    """The reverse. What has no value is unknown: all ones."""
    return b"".join(
        values.get(name, (1 << width) - 1).to_bytes(width // 8, "big") for name, width in fields(bits, known)
    )
