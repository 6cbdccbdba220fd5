# SPDX-License-Identifier: Apache-2.0
"""INT-MD of INT v2.1 in a Geneve option, written out."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

UNKNOWN = 0xFFFFFFFF
DEFAULT = 0xF000
#: Bits of instructions, in the order of what they push; words of each.
WORDS = {0x8000: 1, 0x4000: 1, 0x2000: 1, 0x1000: 1, 0x0800: 2, 0x0400: 2, 0x0200: 2, 0x0100: 1, 0x0080: 1}
OPTION_WORDS = 31


def known_words(instructions: int) -> int:
    return sum(words for bit, words in WORDS.items() if instructions & bit)


@dataclass(frozen=True)
class Hop:
    """What a node knows."""

    node_id: int = 0
    ingress_port: int = 0
    egress_port: int = 0
    latency: int = 0
    queue: int = 0
    occupancy: int = 0
    ingress_time: int = 0
    egress_time: int = 0
    l2_ingress_port: int = UNKNOWN
    l2_egress_port: int = UNKNOWN

    def push(self, instructions: int, hop_ml: int) -> bytes:
        values = {
            0x8000: struct.pack("!I", self.node_id),
            0x4000: struct.pack("!HH", self.ingress_port, self.egress_port),
            0x2000: struct.pack("!I", self.latency),
            0x1000: struct.pack("!I", self.queue << 24 | self.occupancy),
            0x0800: struct.pack("!Q", self.ingress_time),
            0x0400: struct.pack("!Q", self.egress_time),
            0x0200: struct.pack("!II", self.l2_ingress_port, self.l2_egress_port),
            0x0100: b"\xff" * 4,
            0x0080: b"\xff" * 4,
        }
        known = b"".join(value for bit, value in values.items() if instructions & bit)
        assert len(known) <= 4 * hop_ml
        return known + b"\xff" * (4 * hop_ml - len(known))


@dataclass(frozen=True)
class IntMd:
    """The option. ``length`` as the stack makes it unless it is given."""

    instructions: int = DEFAULT
    hop_ml: int = 4
    remaining: int = 7
    stack: bytes = b""
    exceeded: int = 0
    mtu_exceeded: int = 0
    version: int = 2
    domain: int = 0
    ds_instructions: int = 0
    ds_flags: int = 0
    length: int | None = None

    def bytes(self) -> bytes:
        length = 3 + len(self.stack) // 4 if self.length is None else self.length
        flags = self.exceeded << 2 | self.mtu_exceeded << 1
        first = self.version << 28 | flags << 24 | self.hop_ml << 8 | self.remaining
        option = struct.pack("!HBB", 0x0103, 1, length)
        rest = struct.pack(
            "!IHHHH", first, self.instructions, self.domain, self.ds_instructions, self.ds_flags
        )
        return option + rest + self.stack

    def pushed(self, hop: Hop) -> IntMd:
        """As the node leaves it."""
        stack = hop.push(self.instructions, self.hop_ml) + self.stack
        return replace(self, stack=stack, remaining=self.remaining - 1)

    @staticmethod
    def parse(data: bytes) -> IntMd:
        """Of an option's bytes."""
        option_class, kind, length = struct.unpack_from("!HBB", data)
        assert (option_class, kind, length >> 5) == (0x0103, 1, 0), data.hex()
        first, instructions, domain, ds_instructions, ds_flags = struct.unpack_from("!IHHHH", data, 4)
        assert len(data) == 4 + 4 * length, data.hex()
        assert first & 0x09FFE000 == 0, "a reserved bit is set"
        return IntMd(
            instructions=instructions,
            hop_ml=first >> 8 & 0x1F,
            remaining=first & 0xFF,
            stack=data[16:],
            exceeded=first >> 26 & 1,
            mtu_exceeded=first >> 25 & 1,
            version=first >> 28,
            domain=domain,
            ds_instructions=ds_instructions,
            ds_flags=ds_flags,
        )

    def hops(self) -> list[bytes]:
        """The newest first."""
        size = 4 * self.hop_ml
        return [self.stack[at : at + size] for at in range(0, len(self.stack), size)]
