# SPDX-License-Identifier: Apache-2.0
"""INT-MD (INT v2.1) as one Geneve option: its header, and the stack of what hops pushed, the newest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

from scapy.fields import BitField, ByteField, FlagsField, ShortField, StrLenField, XShortField
from scapy.packet import Packet

from din.packet.constants import (
    GENEVE_CLASS_INT,
    GENEVE_LENGTH_MAX,
    GENEVE_TYPE_INT_MD,
    INT_STACK_WORDS,
    INT_VERSION,
    Instruction,
)
from din.packet.layers import metadata
from din.packet.layers.geneve_options import bind_option

_HEADER_WORDS = 3
#: Named by their bits, from the lowest.
INSTRUCTION_NAMES = ["checksum", *(f"reserved{bit}" for bit in range(14, 8, -1)), "buffer", "tx", "l2_ports"]
INSTRUCTION_NAMES += ["egress_time", "ingress_time", "queue", "latency", "ports", "node"]


@dataclass(frozen=True)
class INTHop:
    """What one hop pushed; None is what it was not asked for, all ones what it did not know."""

    node_id: int | None = None
    ingress_port: int | None = None
    egress_port: int | None = None
    hop_latency: int | None = None
    queue: int | None = None
    occupancy: int | None = None
    ingress_time: int | None = None
    egress_time: int | None = None
    l2_ingress_port: int | None = None
    l2_egress_port: int | None = None
    tx_utilization: int | None = None
    buffer: int | None = None
    buffer_occupancy: int | None = None
    checksum_complement: int | None = None
    #: Words behind the baseline: the domain's.
    domain: bytes = b""

    @classmethod
    def decode(cls, data: bytes, instructions: int) -> Self:
        baseline = 4 * metadata.words(instructions, metadata.INT_FIELDS)
        return cls(domain=data[baseline:], **metadata.decode(data, instructions, metadata.INT_FIELDS))

    def encode(self, instructions: int) -> bytes:
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "domain"}
        known = {name: value for name, value in values.items() if value is not None}
        return metadata.encode(known, instructions, metadata.INT_FIELDS) + self.domain


class INTOption(Packet):
    """int_md_t and the stack behind it. `hops` and `with_hops` read and write the stack."""

    name = "INT-MD option"
    fields_desc = [
        XShortField("option_class", GENEVE_CLASS_INT),
        ByteField("type", GENEVE_TYPE_INT_MD),
        BitField("reserved", 0, 3),
        BitField("length", None, 5),
        BitField("version", INT_VERSION, 4),
        BitField("discard", 0, 1),
        BitField("exceeded", 0, 1),
        BitField("mtu_exceeded", 0, 1),
        BitField("reserved2", 0, 12),
        BitField("hop_ml", 4, 5),
        ByteField("remaining_hops", 7),
        FlagsField("instructions", int(Instruction.DEFAULT), 16, INSTRUCTION_NAMES),
        XShortField("domain", 0),
        XShortField("ds_instructions", 0),
        ShortField("ds_flags", 0),
        StrLenField("stack", b"", length_from=lambda option: 4 * (option.length - _HEADER_WORDS)),
    ]

    def post_build(self, pkt: bytes, pay: bytes) -> bytes:
        if self.length is None:
            length = len(pkt) // 4 - 1
            if len(pkt) % 4 or length > GENEVE_LENGTH_MAX:
                raise ValueError(
                    f"a stack of {len(self.stack)} bytes does not fit: whole words, up to {INT_STACK_WORDS}"
                )
            pkt = pkt[:3] + bytes([pkt[3] & 0xE0 | length]) + pkt[4:]
        return pkt + pay

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        return b"", s

    @property
    def hops(self) -> list[INTHop]:
        """The stack, the last node first. Raises ValueError if HopML has no room for what was asked for."""
        stack, size = self._stack_and_size()
        return [
            INTHop.decode(stack[start : start + size], int(self.instructions))
            for start in range(0, len(stack) - size + 1, size)
        ]

    @property
    def source_only(self) -> bytes:
        """Words that the source alone pushed, behind the last whole hop."""
        stack, size = self._stack_and_size()
        return stack[len(stack) // size * size :]

    def with_hops(self, hops: Sequence[INTHop]) -> Self:
        """A copy with this stack, the newest first, and HopML as these hops are long."""
        pushed = [hop.encode(int(self.instructions)) for hop in hops]
        if len({len(each) for each in pushed}) > 1:
            raise ValueError("hops differ in the length of their domain's words")
        option = self.copy()
        option.stack = b"".join(pushed)
        option.hop_ml = len(pushed[0]) // 4 if pushed else self.hop_ml
        return option

    def _stack_and_size(self) -> tuple[bytes, int]:
        wanted = metadata.words(int(self.instructions), metadata.INT_FIELDS)
        if self.hop_ml < max(1, wanted):
            raise ValueError(f"HopML is {self.hop_ml} words, instructions ask for {wanted}")
        return bytes(self.stack), 4 * self.hop_ml


def _is_readable(option: bytes) -> bool:
    return len(option) >= 4 + 4 * _HEADER_WORDS and option[4] >> 4 == INT_VERSION


bind_option(GENEVE_CLASS_INT, GENEVE_TYPE_INT_MD, INTOption, _is_readable)
