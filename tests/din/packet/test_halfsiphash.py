# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from din.packet import DINHostOption, sign
from din.packet.halfsiphash import halfsiphash24, host_tag
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment

KEY = bytes(range(8))
#: The reference implementation's: output bytes for a message of so many bytes 00, 01, ...
VECTORS = {
    0: "a9359f5b",
    1: "27475ab8",
    4: "2a6e4689",
    8: "d0b8848f",
    16: "d9b5ac84",
    24: "27400c63",
    32: "fee72112",
}


@pytest.mark.parametrize("length", VECTORS)
def test_reference_vectors(length: int) -> None:
    assert halfsiphash24(KEY, bytes(range(length))).hex() == VECTORS[length]


def test_the_integer_is_little_endian() -> None:
    assert int.from_bytes(halfsiphash24(KEY, bytes(range(24))), "little") == 0x630C4027


@pytest.mark.parametrize("key", [b"", bytes(7), bytes(16)])
def test_a_key_has_eight_bytes(key: bytes) -> None:
    with pytest.raises(ValueError, match=f"8 bytes, not {len(key)}"):
        halfsiphash24(key, b"")


OPTION = DINHostOption(
    class_id=3, label=9, key_id=2, epoch=200, tenant=7, service=0x1234, instance=5, session=6, deadline=20_000
)


def test_the_tag_covers_addresses_ports_and_option() -> None:
    message = bytes.fromhex(
        "20010db8000000000000000000000001"  # source
        "20010db8000000000000000000000002"  # destination
        "c350 01bb"  # ports
        "13 09 02 c8 0007 1234 0005 0006 00004e20"  # version and class, ..., deadline
    )
    assert len(message) == 52
    tag = host_tag(KEY, "2001:db8::1", "2001:db8::2", 50_000, 443, OPTION)
    # As it is on the wire, the tag is the hash's bytes in their order.
    assert tag.to_bytes(4, "big") == halfsiphash24(KEY, message)
    assert tag == 0x365DB808


def test_the_tag_that_is_there_does_not_matter() -> None:
    other = OPTION.copy()
    other.tag = 0xFFFFFFFF
    arguments = (KEY, IPv6Address("2001:db8::1"), IPv6Address("2001:db8::2"), 1, 2)
    assert host_tag(*arguments, OPTION) == host_tag(*arguments, other) == host_tag(*arguments, bytes(OPTION))


@given(bit=st.integers(0, 52 * 8 - 1))
def test_every_bit_counts(bit: int) -> None:
    """No bit of what is covered can be turned without another tag: exhaustive but for hash collisions, and
    these inputs have none."""
    src, dst = IPv6Address("2001:db8::1").packed, IPv6Address("2001:db8::2").packed
    option = bytes(OPTION)
    covered = bytearray(src + dst + b"\xc3\x50\x01\xbb" + option[2:-4])
    covered[bit // 8] ^= 0x80 >> bit % 8
    flipped = bytes(covered)
    changed = host_tag(
        KEY,
        flipped[:16],
        flipped[16:32],
        int.from_bytes(flipped[32:34], "big"),
        int.from_bytes(flipped[34:36], "big"),
        option[:2] + flipped[36:] + option[-4:],
    )
    assert changed != host_tag(KEY, src, dst, 50_000, 443, option)


@pytest.mark.parametrize("option", [b"", bytes(22), bytes(OPTION)[:-1], b"\x1e\x13" + bytes(19)])
def test_only_a_din_option_has_a_tag(option: bytes) -> None:
    with pytest.raises(ValueError, match="not a DIN option"):
        host_tag(KEY, "::1", "::2", 0, 0, option)


@pytest.mark.parametrize(
    ("rest", "ports"),
    [
        (TCP(sport=1000, dport=443), (1000, 443)),
        (UDP(sport=1001, dport=53), (1001, 53)),
        (ICMPv6EchoRequest(), (0, 0)),
        (IPv6ExtHdrFragment(m=1) / UDP(sport=1001, dport=53), (0, 0)),
    ],
    ids=["tcp", "udp", "icmp", "fragment"],
)
def test_sign(rest: object, ports: tuple[int, int]) -> None:
    packet = IPv6(src="2001:db8::1", dst="2001:db8::2") / IPv6ExtHdrDestOpt(options=[OPTION.copy()]) / rest
    before = bytes(packet)
    signed = sign(packet, KEY)
    option = signed[IPv6ExtHdrDestOpt].options[0]
    assert option.tag == host_tag(KEY, "2001:db8::1", "2001:db8::2", *ports, OPTION)
    assert bytes(packet) == before, "the packet itself is as it was"


def test_nothing_to_sign() -> None:
    with pytest.raises(ValueError, match="no DIN option"):
        sign(IPv6() / UDP(), KEY)
