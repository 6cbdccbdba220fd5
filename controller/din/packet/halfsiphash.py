# SPDX-License-Identifier: Apache-2.0
"""HalfSipHash-2-4, and with it the tag that makes a host's DIN option believable."""

from __future__ import annotations

import struct
from ipaddress import IPv6Address
from typing import SupportsBytes

from din.packet.constants import DIN_OPTION_LENGTH, DIN_OPTION_TYPE

_MASK = 0xFFFF_FFFF
_KEY_LENGTH = 8
_TAG_LENGTH = 4
_TLV_HEADER = bytes([DIN_OPTION_TYPE, DIN_OPTION_LENGTH])


def _rotate(value: int, bits: int) -> int:
    return (value << bits | value >> (32 - bits)) & _MASK


def _round(v0: int, v1: int, v2: int, v3: int) -> tuple[int, int, int, int]:
    v0 = (v0 + v1) & _MASK
    v1 = _rotate(v1, 5) ^ v0
    v0 = _rotate(v0, 16)
    v2 = (v2 + v3) & _MASK
    v3 = _rotate(v3, 8) ^ v2
    v0 = (v0 + v3) & _MASK
    v3 = _rotate(v3, 7) ^ v0
    v2 = (v2 + v1) & _MASK
    v1 = _rotate(v1, 13) ^ v2
    v2 = _rotate(v2, 16)
    return v0, v1, v2, v3


def halfsiphash24(key: bytes, message: bytes) -> bytes:
    """The hash's four bytes, in the order in which they are written."""
    if len(key) != _KEY_LENGTH:
        raise ValueError(f"a key of HalfSipHash has {_KEY_LENGTH} bytes, not {len(key)}")
    k0, k1 = struct.unpack("<II", key)
    state = (k0, k1, k0 ^ 0x6C796765, k1 ^ 0x74656462)
    whole = len(message) // 4 * 4
    # The last word: up to three bytes that are left, and the length above them.
    tail = int.from_bytes(message[whole:], "little") | (len(message) & 0xFF) << 24
    for (word,) in (*struct.iter_unpack("<I", message[:whole]), (tail,)):
        v0, v1, v2, v3 = state
        v0, v1, v2, v3 = _round(*_round(v0, v1, v2, v3 ^ word))
        state = (v0 ^ word, v1, v2, v3)
    v0, v1, v2, v3 = state
    state = (v0, v1, v2 ^ 0xFF, v3)
    for _ in range(4):
        state = _round(*state)
    return struct.pack("<I", state[1] ^ state[3])


def host_tag(
    key: bytes,
    src: str | int | bytes | IPv6Address,
    dst: str | int | bytes | IPv6Address,
    sport: int,
    dport: int,
    option: SupportsBytes,
) -> int:
    """The tag of a host's option: its ``tag`` field, for a packet with these addresses and ports.

    ``option`` is the whole option, type and length included, as bytes or as something that ``bytes``
    makes so (`din.packet.DINHostOption`); the tag it already has does not matter. Ports are 0 where the
    packet has none (ICMPv6) and where switches cannot see them (any fragment).
    """
    tlv = bytes(option)
    if len(tlv) != len(_TLV_HEADER) + DIN_OPTION_LENGTH or not tlv.startswith(_TLV_HEADER):
        raise ValueError(
            f"not a DIN option: {tlv.hex()} (wanted: {_TLV_HEADER.hex()}, then {DIN_OPTION_LENGTH} bytes)"
        )
    message = b"".join(
        (
            IPv6Address(src).packed,
            IPv6Address(dst).packed,
            struct.pack("!HH", sport, dport),
            tlv[len(_TLV_HEADER) : -_TAG_LENGTH],
        )
    )
    return int.from_bytes(halfsiphash24(key, message), "big")
