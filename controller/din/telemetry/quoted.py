# SPDX-License-Identifier: Apache-2.0
"""The packets that reports quote: the fabric's headers, the INT stack in them, the tenant's addresses and
ports.

Columns as in `din.telemetry.decode`. A quote may end anywhere: what is not there whole is not there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from din.packet.constants import (
    DIN_SID_BLOCK,
    DIN_VERSION,
    GENEVE_CLASS_DIN,
    GENEVE_CLASS_INT,
    GENEVE_LENGTH_DIN,
    GENEVE_TYPE_DIN,
    GENEVE_TYPE_INT_MD,
    INT_VERSION,
    UDP_PORT_GENEVE,
    InnerType,
    Instruction,
)

from .bitmaps import WORDS, offset_of
from .words import Column, Mask, Words

_IPV6_BYTES: Final = 40
_DIN_BYTES: Final = 28
_INT_BYTES: Final = 16
_TCP, _UDP, _FRAGMENT = 6, 17, 44
#: Hop-by-hop, routing, destination options: as many as one packet may sensibly have.
_EXTENSIONS: Final = (0, 43, 60)
_EXTENSION_ROUNDS: Final = 4
_SRH: Final = 43
_IPV4_TYPE, _IPV6_TYPE, _VLAN_TYPES = 0x0800, 0x86DD, (0x8100, 0x88A8)
_MAPPED: Final = np.array([0] * 10 + [0xFF] * 2, np.uint8)


@dataclass(frozen=True)
class Flows:
    """Of each report's packet; 0 where it was not quoted, or not so far.

    Addresses are IPv6's 16 bytes, IPv4's mapped (::ffff:0:0/96). ``protocol`` 0: no IP packet was found.
    """

    src: npt.NDArray[np.uint8]  # (rows, 16)
    dst: npt.NDArray[np.uint8]
    protocol: Column
    src_port: Column
    dst_port: Column
    fabric: Mask  # it had the fabric's headers
    response: Mask  # the fabric's option said so
    path_bytes: Column  # of the fabric's packet, IP layer

    def __len__(self) -> int:
        return len(self.protocol)


@dataclass(frozen=True)
class Hops:
    """The hops of all INT stacks, of each report the source first. What a hop was not asked for is -1."""

    report: Column  # row of the report
    place: Column  # 0: the source
    last: Mask  # the newest of its stack
    node: Column
    ingress_port: Column
    egress_port: Column
    latency: Column  # ns; all ones: not known
    queue: Column
    occupancy: Column
    length: Column  # bytes of the IP packet as it left this hop

    def __len__(self) -> int:
        return len(self.report)


@dataclass(frozen=True)
class _Fabric:
    found: Mask
    at: Column  # of the tenant's packet, or of the only one
    left: Column  # bytes quoted from there on
    version: Column  # of that packet: 4, 6, 0
    response: Mask
    length: Column
    int_at: Column  # of the INT option; 0: none that is quoted whole
    int_words: Column  # of its stack


def read_quoted(words: Words, at: Column, left: Column, inner_type: Column) -> tuple[Flows, Hops]:
    """``at``, ``left``: where quotes begin, and their bytes. The end of a datagram may be padding."""
    at, left, version = _network_layer(words, at, left, inner_type)
    fabric = _fabric(words, at, left, version)
    return _flows(words, fabric), _hops(words, fabric)


def _network_layer(
    words: Words, at: Column, left: Column, inner_type: Column
) -> tuple[Column, Column, Column]:
    version = np.select([inner_type == InnerType.IPV4, inner_type == InnerType.IPV6], [4, 6], 0)
    ethernet = inner_type == InnerType.ETHERNET
    if ethernet.any():
        skip = np.where(ethernet, 14, 0)
        kind = words.u16(at + 12)
        tagged = ethernet & np.isin(kind, _VLAN_TYPES)
        skip, kind = skip + 4 * tagged, np.where(tagged, words.u16(at + 16), kind)
        known = np.select([kind == _IPV4_TYPE, kind == _IPV6_TYPE], [4, 6], 0)
        version = np.where(ethernet, known, version)
        at, left = at + skip, left - skip
    minimum = np.where(version == 4, 20, _IPV6_BYTES)
    version = np.where((left >= minimum) & (words.u8(at) >> 4 == version), version, 0)
    return at, left, version


def _fabric(words: Words, at: Column, left: Column, version: Column) -> _Fabric:
    outer = at
    is_six = version == 6
    has_srh = is_six & (words.u8(at + 6) == _SRH) & (left >= _IPV6_BYTES + 8)
    skip = _IPV6_BYTES + np.where(has_srh, 8 + 8 * words.u8(at + 41), 0)
    protocol = np.where(has_srh, words.u8(at + 40), words.u8(at + 6))
    udp = outer + skip
    option = udp + 16
    found = (
        is_six
        & (words.u32(outer + 24) == DIN_SID_BLOCK)
        & (protocol == _UDP)
        & (left >= skip + 16 + _DIN_BYTES)
        & (words.u16(udp + 2) == UDP_PORT_GENEVE)
        & (words.u8(udp + 8) >> 6 == 0)
        & (words.u16(option) == GENEVE_CLASS_DIN)
        & (words.u8(option + 2) == GENEVE_TYPE_DIN)
        & (words.u8(option + 3) & 31 == GENEVE_LENGTH_DIN)
        & (words.u8(option + 4) >> 4 == DIN_VERSION)
    )
    option_bytes = 4 * (words.u8(udp + 8) & 0x3F)
    headers = skip + 16 + option_bytes
    int_at = option + _DIN_BYTES
    int_length = words.u8(int_at + 3) & 31
    has_int = (
        found
        & (left >= headers)
        & (option_bytes >= _DIN_BYTES + _INT_BYTES)
        & (words.u16(int_at) == GENEVE_CLASS_INT)
        & (words.u8(int_at + 2) == GENEVE_TYPE_INT_MD)
        & (option_bytes == _DIN_BYTES + 4 + 4 * int_length)
        & (words.u8(int_at + 4) >> 4 == INT_VERSION)
    )
    kind = words.u16(udp + 10)
    inner = np.select([kind == _IPV4_TYPE, kind == _IPV6_TYPE], [4, 6], 0)
    inner_at, inner_left = outer + headers, left - headers
    whole = (inner_left >= np.where(inner == 4, 20, _IPV6_BYTES)) & (words.u8(inner_at) >> 4 == inner)
    return _Fabric(
        found=found,
        at=np.where(found, inner_at, at),
        left=np.where(found, inner_left, left),
        version=np.where(found, np.where(whole, inner, 0), version),
        response=found & (words.u8(option + 6) >> 7 == 1),
        length=np.where(found, words.u16(outer + 4) + _IPV6_BYTES, 0),
        int_at=np.where(has_int, int_at, 0),
        int_words=np.where(has_int, int_length - 3, 0),
    )


def _flows(words: Words, packet: _Fabric) -> Flows:
    at, left = packet.at, packet.left
    is_four, is_six = packet.version == 4, packet.version == 6
    protocol = np.where(is_four, words.u8(at + 9), words.u8(at + 6))
    skip = np.where(is_four, 4 * (words.u8(at) & 15), _IPV6_BYTES)
    fragment = is_four & (words.u16(at + 6) & 0x1FFF != 0)
    for _ in range(_EXTENSION_ROUNDS):
        here = at + skip
        extended = is_six & np.isin(protocol, _EXTENSIONS) & (left >= skip + 8)
        split = is_six & (protocol == _FRAGMENT) & (left >= skip + 8)
        if not (extended | split).any():
            break
        fragment = fragment | split & (words.u16(here + 2) & 0xFFF8 != 0)
        following, size = words.u8(here), np.where(split, 8, 8 + 8 * words.u8(here + 1))
        passed = extended | split
        protocol = np.where(passed, following, protocol)
        skip = skip + size * passed
    is_ip = is_four | is_six
    is_transport = (protocol == _TCP) | (protocol == _UDP)
    # An IPv4 header of less than 20 bytes is none.
    has_ports = is_ip & ~fragment & is_transport & (skip >= 20) & (left >= skip + 4)
    ports = words.u32(at + skip) * has_ports
    src, dst = _addresses(words, at, 12, 8, is_four, is_six), _addresses(words, at, 16, 24, is_four, is_six)
    return Flows(
        src=src,
        dst=dst,
        protocol=protocol * is_ip,
        src_port=ports >> 16,
        dst_port=ports & 0xFFFF,
        fabric=packet.found,
        response=packet.response,
        path_bytes=packet.length,
    )


def _addresses(
    words: Words, at: Column, in_four: int, in_six: int, is_four: Mask, is_six: Mask
) -> npt.NDArray[np.uint8]:
    found = words.rows(at + np.where(is_four, in_four - 12, in_six), 16)
    # An IPv4 address is the last four of these bytes.
    found[is_four, :12] = _MAPPED
    found[~(is_four | is_six)] = 0
    return found


def _hops(words: Words, packet: _Fabric) -> Hops:
    has = np.flatnonzero(packet.int_at)
    header = packet.int_at[has] + 4
    instructions = words.u16(header + 4)
    hop_words = words.u16(header + 2) >> 8 & 31
    fits = (hop_words > 0) & (hop_words >= WORDS[instructions])
    has, header, instructions, hop_words = has[fits], header[fits], instructions[fits], hop_words[fits]
    count = packet.int_words[has] // np.maximum(hop_words, 1)
    # One row for each hop: the stack has the newest first, we the oldest.
    stack = np.repeat(np.arange(len(has)), count)
    place = np.arange(len(stack)) - np.repeat(np.cumsum(count) - count, count)
    newer = count[stack] - 1 - place
    at = header[stack] + 12 + 4 * hop_words[stack] * newer
    asked = instructions[stack]

    def value(bit: Instruction, shift: int = 0, mask: int = 0xFFFF_FFFF) -> Column:
        word = words.u32(at + offset_of(asked, bit))
        return np.where(asked & bit, word >> shift & mask, -1)

    return Hops(
        report=has[stack],
        place=place,
        last=newer == 0,
        node=value(Instruction.NODE_ID),
        ingress_port=value(Instruction.PORTS, 16, 0xFFFF),
        egress_port=value(Instruction.PORTS, 0, 0xFFFF),
        latency=value(Instruction.HOP_LATENCY),
        queue=value(Instruction.QUEUE, 24, 0xFF),
        occupancy=value(Instruction.QUEUE, 0, 0xFFFFFF),
        # Every newer hop made it longer.
        length=np.maximum(packet.length[has[stack]] - 4 * hop_words[stack] * newer, 0),
    )
