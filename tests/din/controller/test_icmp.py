# SPDX-License-Identifier: Apache-2.0
"""Errors to hosts, as scapy dissects them, by the rules of RFC 792, 1191, 1812 (4.3.2) and 4443 (2.4)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

import pytest
from din.controller.icmp import Address, Answer, answer, checksum
from din.packet.constants import UDP_PORT_GENEVE, PuntReason
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPerror
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6ND_Redirect,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet, Raw
from scapy.utils import checksum as reference

HOST, LEAF = "02:00:00:00:00:01", "02:00:00:00:00:fe"
ROUTER4, ROUTER6 = IPv4Address("10.1.0.1"), IPv6Address("2001:db8:1::1")
ROUTERS: Final[list[Address]] = [ROUTER4, ROUTER6]
REASONS: Final = (PuntReason.TOO_BIG, PuntReason.NO_DESTINATION, PuntReason.TTL)
#: What a leaf wraps tenants' packets in.
OUTER: Final = Ether(src=HOST, dst=LEAF) / IPv6(src="fcbb:bb00:1::", dst="fcbb:bb00:2:e000::")


def v4(**fields: Any) -> Packet:
    return IP(**{"src": "10.1.0.10", "dst": "10.2.0.11", **fields})


def v6(**fields: Any) -> Packet:
    return IPv6(**{"src": "2001:db8:1::10", "dst": "2001:db8:2::11", **fields})


def frame(packet: Packet, src: str = HOST, dst: str = LEAF) -> bytes:
    return bytes(Ether(src=src, dst=dst) / packet)


def ask(packet: Packet, reason: PuntReason = PuntReason.NO_DESTINATION, mtu: int = 0) -> Answer | None:
    return answer(reason, mtu, frame(packet), ROUTERS)


def told(packet: Packet, reason: PuntReason, mtu: int = 0) -> Packet:
    found = ask(packet, reason, mtu)
    assert found is not None
    assert found.direct
    return Ether(found.frame)


def right(packet: Packet) -> None:
    """Every checksum and length is what scapy computes itself."""
    again = packet.copy()
    for layer in (IP, ICMP):
        if layer in again:
            again[layer].chksum = None
    if IP in again:
        again[IP].len = None
    for error in (ICMPv6DestUnreach, ICMPv6PacketTooBig, ICMPv6TimeExceeded):
        if error in again:
            again[error].cksum = None
    if IPv6 in again:
        again[IPv6].plen = None
    assert bytes(again) == bytes(packet)


@pytest.mark.parametrize(
    ("reason", "kind", "code", "mtu"),
    [
        (PuntReason.TOO_BIG, 3, 4, 1400),
        (PuntReason.NO_DESTINATION, 3, 0, 0),
        (PuntReason.TTL, 11, 0, 0),
    ],
)
def test_ipv4(reason: PuntReason, kind: int, code: int, mtu: int) -> None:
    sent = v4(id=77, flags="DF") / UDP(sport=5, dport=6) / Raw(b"x" * 100)
    found = told(sent, reason, 1400)
    assert (found.src, found.dst) == (LEAF, HOST)
    assert (found[IP].src, found[IP].dst) == (str(ROUTER4), "10.1.0.10")
    assert (found[ICMP].type, found[ICMP].code) == (kind, code)
    # RFC 1191: in the lower half of what RFC 792 has as unused, which is 0 otherwise.
    assert int.from_bytes(bytes(found[ICMP])[4:8], "big") == mtu
    assert found[IP].tos >> 5 >= 6  # RFC 1812, 4.3.2.5
    assert (found[IPerror].id, found[IPerror].dst) == (77, "10.2.0.11")
    assert bytes(found[IP])[28:] == bytes(sent)
    right(found)


@pytest.mark.parametrize(
    ("reason", "layer", "mtu"),
    [
        (PuntReason.TOO_BIG, ICMPv6PacketTooBig, 1400),
        (PuntReason.NO_DESTINATION, ICMPv6DestUnreach, 0),
        (PuntReason.TTL, ICMPv6TimeExceeded, 0),
    ],
)
def test_ipv6(reason: PuntReason, layer: type[Packet], mtu: int) -> None:
    sent = v6(fl=77) / UDP(sport=5, dport=6) / Raw(b"x" * 100)
    found = told(sent, reason, 1400)
    assert (found[IPv6].src, found[IPv6].dst) == (str(ROUTER6), "2001:db8:1::10")
    assert found[layer].code == 0
    assert int.from_bytes(bytes(found[layer])[4:8], "big") == mtu
    assert bytes(found[IPv6])[48:] == bytes(sent)
    right(found)


@pytest.mark.parametrize("length", [20, 500, 528, 529, 1400])
def test_ipv4_quotes_as_much_as_fits_576(length: int) -> None:
    sent = bytes(v4() / UDP() / Raw(b"x" * length))
    found = told(IP(sent), PuntReason.NO_DESTINATION)
    assert bytes(found[IP])[28:] == sent[:548]
    assert len(found[IP]) == min(576, 28 + len(sent))


@pytest.mark.parametrize("length", [20, 1184, 1185, 1400])
def test_ipv6_quotes_as_much_as_fits_1280(length: int) -> None:
    sent = bytes(v6() / UDP() / Raw(b"x" * length))
    found = told(IPv6(sent), PuntReason.TOO_BIG, 1400)
    assert bytes(found[IPv6])[48:] == sent[:1232]
    assert len(found[IPv6]) == min(1280, 48 + len(sent))


def test_padding_of_short_frames_is_not_quoted() -> None:
    sent = bytes(v4() / UDP())
    found = answer(PuntReason.TTL, 0, frame(IP(sent)).ljust(60, b"\0"), ROUTERS)
    assert found is not None
    assert bytes(Ether(found.frame)[IP])[28:] == sent


def test_an_answer_stays_in_its_vlan() -> None:
    found = told(Dot1Q(vlan=9) / v4() / UDP(), PuntReason.TTL)
    assert (found[Dot1Q].vlan, found[Dot1Q].type) == (9, 0x0800)
    assert found[ICMP].type == 11


@pytest.mark.parametrize(("inner", "ether_type"), [(v4() / UDP(), 0x0800), (v6() / UDP(), 0x86DD)])
@pytest.mark.parametrize("options", [0, 3])
def test_what_came_through_the_fabric_goes_back_by_the_pipeline(
    inner: Packet, ether_type: int, options: int
) -> None:
    geneve = bytes((options, 0)) + ether_type.to_bytes(2, "big") + bytes(4 + 4 * options)
    wrapped = OUTER / UDP(sport=0xC000, dport=UDP_PORT_GENEVE) / Raw(geneve + bytes(inner))
    found = answer(PuntReason.TTL, 0, bytes(wrapped), ROUTERS)
    assert found is not None
    assert not found.direct
    told_ = Ether(found.frame)
    assert told_.type == ether_type
    assert told_.payload.dst == inner.src
    right(told_)


NEVER: Final[dict[str, Packet]] = {
    # RFC 1812, 4.3.2.7
    "an ICMP error": v4() / ICMP(type=3, code=1) / IP() / UDP(),
    "a redirect": v4() / ICMP(type=5) / IP() / UDP(),
    "a source quench": v4() / ICMP(type=4) / IP() / UDP(),
    "to many": v4(dst="224.0.0.5") / UDP(),
    "to all": v4(dst="255.255.255.255") / UDP(),
    "from nobody": v4(src="0.0.0.0") / UDP(),
    "from loopback": v4(src="127.0.0.1") / UDP(),
    "from many": v4(src="224.0.0.1") / UDP(),
    "from all": v4(src="255.255.255.255") / UDP(),
    "a later fragment": v4(frag=10) / Raw(b"x" * 32),
    # RFC 4443, 2.4 (e)
    "an ICMPv6 error": v6() / ICMPv6DestUnreach() / IPv6() / UDP(),
    "an error behind headers": v6() / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / ICMPv6TimeExceeded(),
    "an ICMPv6 redirect": v6() / ICMPv6ND_Redirect(),
    "to many, IPv6": v6(dst="ff02::1") / UDP(),
    "from nobody, IPv6": v6(src="::") / UDP(),
    "from loopback, IPv6": v6(src="::1") / UDP(),
    "from many, IPv6": v6(src="ff02::5") / UDP(),
    "what may be an error, in a later fragment": v6() / IPv6ExtHdrFragment(nh=58, offset=10) / Raw(b"x" * 32),
    # Nothing of IP
    "ARP": ARP(),
    "an Ethertype that is not IP's": Dot1Q(type=0x0806) / Raw(bytes(v4() / UDP())),
    "another version than the Ethertype's": Dot1Q(type=0x86DD) / Raw(bytes(v4() / UDP())),
}


@pytest.mark.parametrize("what", NEVER)
@pytest.mark.parametrize("reason", REASONS)
def test_never_answered(what: str, reason: PuntReason) -> None:
    assert ask(NEVER[what], reason, 1400) is None


@pytest.mark.parametrize(
    "packet",
    [
        v4() / ICMP(type=8),
        v4(flags="MF") / UDP() / Raw(b"x" * 24),
        v4() / TCP(),
        v6() / ICMPv6EchoRequest(),
        v6() / IPv6ExtHdrFragment(nh=17, m=1) / UDP(),
    ],
)
def test_queries_and_first_fragments_are_answered(packet: Packet) -> None:
    assert ask(packet) is not None


@pytest.mark.parametrize(
    "ether", [{"dst": "ff:ff:ff:ff:ff:ff"}, {"dst": "01:00:5e:00:00:05"}, {"src": "01:00:5e:00:00:05"}]
)
def test_frames_to_many_are_not_answered(ether: dict[str, str]) -> None:
    assert answer(PuntReason.TTL, 0, frame(v4() / UDP(), **ether), ROUTERS) is None


@pytest.mark.parametrize("packet", [v4() / UDP(), v6() / UDP()])
def test_a_leaf_without_an_address_of_the_family_says_nothing(packet: Packet) -> None:
    family = 6 if IP in packet else 4
    routers = [each for each in ROUTERS if each.version == family]
    assert answer(PuntReason.TTL, 0, frame(packet), routers) is None


@pytest.mark.parametrize("reason", [PuntReason.GATEWAY, PuntReason.NEIGHBOR, PuntReason.PROBE])
def test_other_reasons_have_no_answer(reason: PuntReason) -> None:
    assert ask(v4() / UDP(), reason) is None


@given(st.binary(max_size=64))
def test_a_checksum_is_that_of_scapy(data: bytes) -> None:
    assert checksum(data) == reference(data)


@given(
    st.sampled_from(list(PuntReason)),
    st.integers(0, 65535),
    st.sampled_from([b"", b"\x08\x00", b"\x86\xdd", b"\x81\x00\x00\x01\x08\x00", b"\x81\x00"]),
    st.binary(max_size=120),
)
def test_nothing_makes_it_fail(reason: PuntReason, mtu: int, kind: bytes, rest: bytes) -> None:
    answer(reason, mtu, rest, ROUTERS)
    answer(reason, mtu, bytes(12) + kind + rest, ROUTERS)


@given(st.sampled_from(REASONS), st.integers(0, 160), st.integers(0, 255), st.integers(0, 200), st.booleans())
def test_no_changed_byte_and_no_cut_makes_it_fail(
    reason: PuntReason, place: int, value: int, end: int, fabric: bool
) -> None:
    inner = bytes(v6() / IPv6ExtHdrHopByHop() / UDP() / Raw(b"x" * 20))
    packet = bytearray(
        bytes(OUTER / UDP(dport=UDP_PORT_GENEVE) / Raw(b"\0\0\x86\xdd" + bytes(4) + inner))
        if fabric
        else frame(IPv6(inner))
    )
    packet[place % len(packet)] = value
    found = answer(reason, 1400, bytes(packet[:end]), ROUTERS)
    if found is not None:
        right(Ether(found.frame))
