# SPDX-License-Identifier: Apache-2.0
"""What a leaf answers to its hosts itself, what it tells the controller, and what it drops at the door.

Expected frames are scapy's, checksums included.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import (
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6MLReport2,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6NDOptUnknown,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrSegmentRouting,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet, Raw

from tests.dataplane.frames import Fabric, sid, tcp4
from tests.dataplane.harness import Node, P4jitNode, PacketIn

ACCESS, OTHER, FABRIC = 1, 2, 3
VID = 100
HOST_MAC, GATEWAY_MAC, SERVICE_MAC, PROXY_MAC = (f"02:00:00:00:00:{n}" for n in ("01", "fe", "fd", "fc"))
HOST, GATEWAY, SERVICE, NEIGHBOR, UNKNOWN = "10.1.0.5", "10.1.0.1", "10.200.0.1", "10.1.0.9", "10.9.9.9"
HOST6, GATEWAY6, SERVICE6 = "2001:db8:1::5", "2001:db8:1::1", "2001:db8:200::1"
NEIGHBOR6, UNKNOWN6 = "2001:db8:1::9", "2001:db8:9::9"
LINK_HOST, LINK_GATEWAY = "fe80::5", "fe80::1"

DROP_TRUNCATED, DROP_ADDRESS, DROP_FABRIC_DESTINATION, DROP_SOURCE, DROP_ETHERTYPE = 1, 5, 7, 8, 9
DROP_NEIGHBOR, DROP_UNENCAPSULATED = 30, 31
PUNT_GATEWAY, PUNT_NEIGHBOR, PUNT_LLDP = 4, 5, 6


def make(node: Node) -> None:
    node.insert("ports", {"port": ACCESS}, "set_access", zone=1)
    node.insert("ports", {"port": OTHER}, "set_access", zone=1)
    node.insert("ports", {"port": FABRIC}, "set_fabric")
    for address in (GATEWAY, GATEWAY6, LINK_GATEWAY):
        own(node, address, "answer_gateway", GATEWAY_MAC, port=ACCESS, vid=0)
        own(node, address, "answer_gateway", GATEWAY_MAC, port=ACCESS, vid=VID)
        own(node, address, "answer_gateway", GATEWAY_MAC, port=FABRIC)
    for address in (SERVICE, SERVICE6):
        own(node, address, "answer_service", SERVICE_MAC)
    for prefix in ("10.1.0.0/24", "2001:db8:1::/64"):
        own(node, prefix, "answer_neighbor", PROXY_MAC, port=ACCESS, vid=0, priority=1)


def own(
    node: Node,
    address: str,
    action: str,
    mac: str,
    *,
    port: int | None = None,
    vid: int | None = None,
    priority: int = 10,
) -> None:
    node.insert(
        "addresses", {"port": port, "vid": vid, "address": address}, action, priority=priority, mac=mac
    )


def wire(packet: Packet, size: int = 60) -> bytes:
    """As an Ethernet NIC sends it: no shorter than `size`."""
    return bytes(packet).ljust(size, b"\0")


def answered(node: Node, port: int, request: Packet | bytes, reply: Packet | bytes) -> None:
    assert node.exchange(port, request, expect=1) == [(port, bytes(reply))]
    assert node.packet_ins() == []


def told(node: Node, port: int, frame: Packet | bytes, reason: int, size: int | None = None) -> None:
    """The controller is, and nobody else."""
    assert node.exchange(port, frame) == []
    metadata = {"ingress_port": port, "reason": reason, "label": 0, "mtu": 0, "tenant": 0}
    assert node.packet_ins() == [PacketIn(bytes(frame)[:size], metadata)]


def dropped(node: Node, port: int, frame: Packet | bytes, reason: int) -> None:
    before = node.counter("drops", reason).packets
    assert node.exchange(port, frame) == []
    assert node.packet_ins() == []
    assert node.counter("drops", reason).packets == before + 1


# ---- ARP -------------------------------------------------------------------------------------------------


def arp(
    target: str = GATEWAY, sender: str = HOST, op: int = 1, mac: str = HOST_MAC, **fields: object
) -> Packet:
    values = {"op": op, "hwsrc": mac, "psrc": sender, "hwdst": "00:00:00:00:00:00", "pdst": target} | fields
    return Ether(dst="ff:ff:ff:ff:ff:ff", src=HOST_MAC) / ARP(**values)


def arp_reply(asked: str, owner: str, asker: str = HOST, mac: str = HOST_MAC) -> Packet:
    return Ether(dst=mac, src=owner) / ARP(op=2, hwsrc=owner, psrc=asked, hwdst=mac, pdst=asker)


@pytest.mark.parametrize(
    ("asked", "owner"), [(GATEWAY, GATEWAY_MAC), (SERVICE, SERVICE_MAC), (NEIGHBOR, PROXY_MAC)]
)
def test_arp(node: Node, asked: str, owner: str) -> None:
    make(node)
    answered(node, ACCESS, wire(arp(asked)), wire(arp_reply(asked, owner)))


def test_arp_keeps_what_is_behind_it(node: Node) -> None:
    make(node)
    answered(node, ACCESS, arp() / Raw(b"trailer"), arp_reply(GATEWAY, GATEWAY_MAC) / Raw(b"trailer"))


def test_arp_is_answered_to_whom_it_names(node: Node) -> None:
    """Not to the frame's source: they differ where a standby router sends (RFC 826)."""
    make(node)
    mac = "02:00:00:00:00:77"
    answered(node, ACCESS, arp(mac=mac), arp_reply(GATEWAY, GATEWAY_MAC, mac=mac))


def test_arp_in_a_vlan(node: Node) -> None:
    make(node)

    def tagged(packet: Packet, vid: int) -> bytes:
        return bytes(Ether(dst=packet.dst, src=packet.src) / Dot1Q(vlan=vid, prio=5) / packet[ARP])

    answered(node, ACCESS, tagged(arp(), VID), tagged(arp_reply(GATEWAY, GATEWAY_MAC), VID))
    # VLAN 0 is no VLAN, and another has another gateway.
    answered(node, ACCESS, tagged(arp(), 0), tagged(arp_reply(GATEWAY, GATEWAY_MAC), 0))
    told(node, ACCESS, tagged(arp(), VID + 1), PUNT_NEIGHBOR)
    answered(node, ACCESS, tagged(arp(SERVICE), VID + 1), tagged(arp_reply(SERVICE, SERVICE_MAC), VID + 1))


def test_a_gateway_belongs_to_a_port_and_a_service_to_all(node: Node) -> None:
    make(node)
    told(node, OTHER, arp(), PUNT_NEIGHBOR)
    answered(node, OTHER, arp(SERVICE), arp_reply(SERVICE, SERVICE_MAC))


def test_an_exception_from_a_neighbours_prefix(node: Node) -> None:
    """A host behind the same port answers for itself."""
    make(node)
    node.insert("addresses", {"port": ACCESS, "address": NEIGHBOR}, "ignore_address", priority=5)
    told(node, ACCESS, arp(NEIGHBOR), PUNT_NEIGHBOR)


def test_arp_probes(node: Node) -> None:
    """RFC 5227. A host that checks its own address must not hear that it is taken."""
    make(node)
    nobody = "0.0.0.0"
    answered(node, ACCESS, arp(GATEWAY, nobody), arp_reply(GATEWAY, GATEWAY_MAC, nobody))
    answered(node, ACCESS, arp(SERVICE, nobody), arp_reply(SERVICE, SERVICE_MAC, nobody))
    told(node, ACCESS, arp(HOST, nobody), PUNT_NEIGHBOR)


@pytest.mark.parametrize(
    "frame",
    [
        arp(UNKNOWN),
        arp(HOST, HOST),
        arp(GATEWAY, GATEWAY),
        arp(op=2),
        arp(op=2, target=HOST, sender=GATEWAY),
    ],
    ids=["unknown target", "announcement", "claim of our address", "reply to us", "reply in our name"],
)
def test_other_arp_is_for_the_controller(node: Node, frame: Packet) -> None:
    make(node)
    told(node, ACCESS, frame, PUNT_NEIGHBOR)


#: What is written over a sound request, and where.
MALFORMED_ARP = {
    "not Ethernet": (14, b"\0\6"),
    "not IPv4": (16, b"\x86\xdd"),
    "hardware length": (18, b"\x08"),
    "protocol length": (19, b"\x10"),
    "operation 0": (20, b"\0\0"),
    "RARP": (20, b"\0\3"),
    "InARP": (20, b"\0\x08"),
    "no sender": (22, bytes(6)),
    "a group as sender": (22, b"\1\0\x5e\0\0\1"),
    "everybody as sender": (22, b"\xff" * 6),
    "from multicast": (28, b"\xe0\0\0\1"),
    "from broadcast": (28, b"\xff" * 4),
    "for multicast": (38, b"\xef\1\1\1"),
}


@pytest.mark.parametrize("lie", MALFORMED_ARP)
def test_malformed_arp(node: Node, lie: str) -> None:
    make(node)
    at, value = MALFORMED_ARP[lie]
    frame = bytes(arp())
    dropped(node, ACCESS, frame[:at] + value + frame[at + len(value) :], DROP_NEIGHBOR)


def test_arp_that_is_cut_short(node: Node) -> None:
    make(node)
    for length in range(14, 42):
        dropped(node, ACCESS, bytes(arp())[:length], DROP_TRUNCATED)


def test_frames_from_a_group_address(node: Node) -> None:
    """No host has one; a reply would be for many."""
    make(node)
    for request in (arp(), solicitation(), echo4(), echo6()):
        request.src = "33:33:00:00:00:01"
        dropped(node, ACCESS, request, DROP_ADDRESS)


# ---- neighbour discovery -----------------------------------------------------------------------------------


def solicited_node(target: str) -> str:
    return str(IPv6Address(int(IPv6Address("ff02::1:ff00:0")) | int(IPv6Address(target)) & 0xFFFFFF))


SOURCE_LINK = ICMPv6NDOptSrcLLAddr(lladdr=HOST_MAC)
NONCE = ICMPv6NDOptUnknown(type=14, len=1, data=b"nonce!")


def solicitation(
    target: str = GATEWAY6,
    src: str = HOST6,
    dst: str | None = None,
    options: tuple[Packet, ...] = (SOURCE_LINK,),
    hlim: int = 255,
    icmp: dict[str, int] | None = None,
) -> Packet:
    packet = Ether(dst="33:33:ff:00:00:01", src=HOST_MAC) / IPv6(
        src=src, dst=dst or solicited_node(target), hlim=hlim
    )
    packet /= ICMPv6ND_NS(tgt=target, **(icmp or {}))
    for option in options:
        packet /= option
    return packet


def advertisement(
    target: str, mac: str, dst: str | None = HOST6, override: int = 1, src_mac: str = HOST_MAC
) -> Packet:
    """To all nodes without `dst`."""
    return (
        Ether(dst=src_mac if dst else "33:33:00:00:00:01", src=mac)
        / IPv6(src=target, dst=dst or "ff02::1", hlim=255)
        / ICMPv6ND_NA(tgt=target, R=1, S=int(dst is not None), O=override)
        / ICMPv6NDOptDstLLAddr(lladdr=mac)
    )


OPTIONS: dict[str, tuple[Packet, ...]] = {
    "none": (),
    "source": (SOURCE_LINK,),
    "nonce": (NONCE,),
    "source, nonce": (SOURCE_LINK, NONCE),
    "nonce, source": (NONCE, SOURCE_LINK),
}


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("unicast", [False, True], ids=["multicast", "unicast"])
def test_solicitations(node: Node, options: str, unicast: bool) -> None:
    make(node)
    for target, mac, override in [
        (GATEWAY6, GATEWAY_MAC, 1),
        (SERVICE6, SERVICE_MAC, 0),
        (NEIGHBOR6, PROXY_MAC, 0),
    ]:
        request = solicitation(target, dst=target if unicast else None, options=OPTIONS[options])
        answered(node, ACCESS, request, advertisement(target, mac, override=override))


def test_a_solicitation_between_link_local_addresses(node: Node) -> None:
    make(node)
    request = solicitation(LINK_GATEWAY, LINK_HOST)
    answered(node, ACCESS, request, advertisement(LINK_GATEWAY, GATEWAY_MAC, LINK_HOST))


@pytest.mark.parametrize("options", [(), (NONCE,)], ids=["plain", "nonce"])
def test_duplicate_address_detection(node: Node, options: tuple[Packet, ...]) -> None:
    """RFC 4862, 5.4; with a nonce, RFC 7527. Told to all nodes, unsolicited."""
    make(node)
    for target, mac, override in [(GATEWAY6, GATEWAY_MAC, 1), (SERVICE6, SERVICE_MAC, 0)]:
        request = solicitation(target, "::", options=options)
        answered(node, ACCESS, request, advertisement(target, mac, None, override))
    # Its own address, inside a prefix that we stand in for.
    told(node, ACCESS, solicitation(HOST6, "::", options=options), PUNT_NEIGHBOR)


def test_a_solicitation_in_a_vlan(node: Node) -> None:
    make(node)

    def tagged(packet: Packet) -> Packet:
        return Ether(dst=packet.dst, src=packet.src) / Dot1Q(vlan=VID) / packet.payload

    answered(node, ACCESS, tagged(solicitation()), tagged(advertisement(GATEWAY6, GATEWAY_MAC)))


def test_a_solicitation_with_a_traffic_class_and_a_trailer(node: Node) -> None:
    """None of that is in the answer, but for what is behind the packet."""
    make(node)
    request = solicitation()
    request[IPv6].tc, request[IPv6].fl = 0xC1, 0x12345
    request = Ether(bytes(request) + b"\0" * 5)
    answered(node, ACCESS, request, bytes(advertisement(GATEWAY6, GATEWAY_MAC)) + b"\0" * 5)


@pytest.mark.parametrize(
    "frame",
    [
        solicitation(UNKNOWN6),
        solicitation(GATEWAY6, GATEWAY6),
        solicitation(options=(SOURCE_LINK, NONCE, NONCE)),
        solicitation(options=(ICMPv6NDOptUnknown(type=14, len=2, data=b"a longer nonce"),)),
        Ether(dst="33:33:00:00:00:01", src=HOST_MAC)
        / IPv6(src=HOST6, dst="ff02::1", hlim=255)
        / ICMPv6ND_NA(tgt=HOST6, R=0, S=0, O=1)
        / ICMPv6NDOptDstLLAddr(lladdr=HOST_MAC),
        Ether(dst=GATEWAY_MAC, src=HOST_MAC)
        / IPv6(src=LINK_HOST, dst=LINK_GATEWAY, hlim=255)
        / ICMPv6ND_NA(tgt=LINK_HOST, R=0, S=1, O=1),
        Ether(dst=GATEWAY_MAC, src=HOST_MAC)
        / IPv6(src=HOST6, dst=GATEWAY6, hlim=255)
        / ICMPv6ND_NA(tgt=HOST6, R=0, S=1, O=1),
        Ether(dst="33:33:00:00:00:02", src=HOST_MAC)
        / IPv6(src=LINK_HOST, dst="ff02::2", hlim=255)
        / ICMPv6ND_RS(),
    ],
    ids=[
        "unknown target",
        "from our address",
        "three options",
        "a long option",
        "unsolicited advertisement",
        "advertisement to the link-local gateway",
        "advertisement to the gateway",
        "router solicitation",
    ],
)
def test_other_discovery_is_for_the_controller(node: Node, frame: Packet) -> None:
    make(node)
    told(node, ACCESS, frame, PUNT_NEIGHBOR)


def broken(target: str = GATEWAY6, at: int = -1, **fields: object) -> Packet | bytes:
    """With one bit of the packet turned over."""
    frame = bytearray(bytes(solicitation(target, **fields)))  # type: ignore[arg-type]
    frame[at] ^= 0x10
    return bytes(frame)


def behind(header: Packet) -> Packet:
    request = solicitation()
    inner = request[ICMPv6ND_NS]
    inner.cksum = Ether(bytes(request))[ICMPv6ND_NS].cksum
    return (
        Ether(dst=request.dst, src=HOST_MAC)
        / IPv6(src=HOST6, dst=request[IPv6].dst, hlim=255)
        / header
        / inner
    )


@dataclass
class Short:
    """A solicitation whose IPv6 packet ends before its target does: what is behind it is not its."""

    length: int

    def __bytes__(self) -> bytes:
        frame = bytearray(bytes(solicitation(options=())))
        frame[18:20] = self.length.to_bytes(2, "big")
        # The sum of all that is there, as if it were the packet's, is true.
        checksum = int.from_bytes(frame[56:58], "big") + 24 - self.length
        frame[56:58] = (checksum % 0xFFFF).to_bytes(2, "big")
        return bytes(frame)


LIES: dict[str, Packet | bytes | Short] = {
    "came through a router": solicitation(hlim=254),
    "code": solicitation(icmp={"code": 1}),
    "checksum": solicitation(icmp={"cksum": 0x1234}),
    "no checksum": solicitation(icmp={"cksum": 0}),
    "source changed": broken(at=14 + 8 + 15),
    "target changed": broken(SERVICE6, at=14 + 40 + 8),
    "option changed": broken(at=-1),
    "target is multicast": solicitation("ff02::1:ff00:1"),
    "probe to the target itself": solicitation(src="::", dst=GATEWAY6, options=()),
    "probe to all nodes": solicitation(src="::", dst="ff02::1", options=()),
    "probe with a source": solicitation(src="::"),
    "probe with a nonce and a source": solicitation(src="::", options=(NONCE, SOURCE_LINK)),
    "option without length": solicitation(options=(ICMPv6NDOptUnknown(type=1, len=0, data=b"123456"),)),
    "second option without length": solicitation(
        options=(NONCE, ICMPv6NDOptUnknown(type=1, len=0, data=b"123456"))
    ),
    "in a fragment": behind(IPv6ExtHdrFragment(m=0, offset=0)) / Raw(b"trailer."),
    "shorter than its target": Short(20),
    "nothing but an ICMPv6 header": Short(8),
}


@pytest.mark.parametrize("lie", LIES)
def test_solicitations_with_lies(node: Node, lie: str) -> None:
    make(node)
    dropped(node, ACCESS, bytes(LIES[lie]), DROP_NEIGHBOR)


@pytest.mark.parametrize(
    "kind", [ICMPv6ND_NA(tgt=HOST6), ICMPv6ND_RS()], ids=["advertisement", "router solicitation"]
)
def test_advice_from_beyond_the_link(node: Node, kind: Packet) -> None:
    make(node)
    for dst in ("ff02::1", GATEWAY6):
        packet = Ether(dst=GATEWAY_MAC, src=HOST_MAC) / IPv6(src=HOST6, dst=dst, hlim=254) / kind
        dropped(node, ACCESS, packet, DROP_NEIGHBOR)
        packet[IPv6].hlim, packet[IPv6].payload.code = 255, 1
        dropped(node, ACCESS, packet, DROP_NEIGHBOR)


def test_a_solicitation_that_is_cut_short(node: Node) -> None:
    make(node)
    frame = bytes(solicitation(options=(SOURCE_LINK, NONCE)))
    for length in range(len(frame) - 40, len(frame)):
        dropped(node, ACCESS, frame[:length], DROP_TRUNCATED)


def test_any_solicitation_gets_a_true_answer_or_none(embedded: P4jitNode) -> None:
    """Any bytes in place of any of its own."""
    make(embedded)
    right = bytes(solicitation(options=(SOURCE_LINK, NONCE)))

    @settings(max_examples=300, deadline=None)
    @given(st.dictionaries(st.integers(0, len(right) - 1), st.integers(0, 255), max_size=4))
    def check(changes: dict[int, int]) -> None:
        frame = bytearray(right)
        for at, value in changes.items():
            frame[at] = value
        for port, sent in embedded.exchange(ACCESS, bytes(frame)):
            assert port == ACCESS
            assert sent == checked(sent)
            assert Ether(sent)[IPv6].src in (GATEWAY6, NEIGHBOR6, SERVICE6)

    check()


def checked(frame: bytes) -> bytes:
    """With the checksums that scapy computes."""
    packet = Ether(frame)
    for layer in (IP, ICMP, TCP, UDP):
        if layer in packet:
            packet[layer].chksum = None
    if IPv6 in packet and hasattr(packet[IPv6].payload, "cksum"):
        packet[IPv6].payload.cksum = None
    return bytes(packet)


# ---- echo ------------------------------------------------------------------------------------------------


def echo4(dst: str = GATEWAY, src: str = HOST, payload: bytes = b"payload", **fields: object) -> Packet:
    header = {"ttl": 77, "id": 4711, "tos": 0x42, "flags": "DF"} | fields
    return (
        Ether(dst=GATEWAY_MAC, src=HOST_MAC)
        / IP(src=src, dst=dst, **header)
        / ICMP(type=8, id=0x1234, seq=7)
        / Raw(payload)
    )


def echo_reply4(request: Packet, mac: str) -> Packet:
    ip = request[IP]
    header = {"ttl": 64, "id": ip.id, "tos": ip.tos, "flags": ip.flags}
    return (
        Ether(dst=HOST_MAC, src=mac)
        / IP(src=ip.dst, dst=ip.src, **header)
        / ICMP(type=0, id=0x1234, seq=7)
        / request[Raw]
    )


def echo6(dst: str = GATEWAY6, src: str = HOST6, payload: bytes = b"payload", hlim: int = 77) -> Packet:
    return (
        Ether(dst=GATEWAY_MAC, src=HOST_MAC)
        / IPv6(src=src, dst=dst, hlim=hlim, tc=0x42, fl=0x12345)
        / ICMPv6EchoRequest(id=0x1234, seq=7, data=payload)
    )


def echo_reply6(request: Packet, mac: str) -> Packet:
    ip = request[IPv6]
    return (
        Ether(dst=HOST_MAC, src=mac)
        / IPv6(src=ip.dst, dst=ip.src, hlim=64, tc=ip.tc, fl=ip.fl)
        / ICMPv6EchoReply(id=0x1234, seq=7, data=request[ICMPv6EchoRequest].data)
    )


@pytest.mark.parametrize(("dst", "mac"), [(GATEWAY, GATEWAY_MAC), (SERVICE, SERVICE_MAC)])
@pytest.mark.parametrize("ttl", [0, 1, 2, 64, 255])
def test_echo_over_ipv4(node: Node, dst: str, mac: str, ttl: int) -> None:
    """Also with no hop left: it need not go any further."""
    make(node)
    request = echo4(dst, ttl=ttl)
    answered(node, ACCESS, request, echo_reply4(request, mac))


@pytest.mark.parametrize(("dst", "mac"), [(GATEWAY6, GATEWAY_MAC), (SERVICE6, SERVICE_MAC)])
@pytest.mark.parametrize("hlim", [0, 1, 64, 255])
def test_echo_over_ipv6(node: Node, dst: str, mac: str, hlim: int) -> None:
    make(node)
    request = echo6(dst, hlim=hlim)
    answered(node, ACCESS, request, echo_reply6(request, mac))


def test_echo_between_link_local_addresses(node: Node) -> None:
    make(node)
    request = echo6(LINK_GATEWAY, LINK_HOST)
    answered(node, ACCESS, request, echo_reply6(request, GATEWAY_MAC))


@pytest.mark.parametrize("size", [0, 1, 18, 1400])
def test_echo_of_any_size(node: Node, size: int) -> None:
    make(node)
    request = echo4(payload=bytes(range(256)) * 6)
    request[Raw].load = request[Raw].load[:size]
    answered(node, ACCESS, wire(request), wire(echo_reply4(request, GATEWAY_MAC)))
    request = echo6(payload=b"x" * size)
    answered(node, ACCESS, request, echo_reply6(request, GATEWAY_MAC))


def test_echo_in_a_vlan(node: Node) -> None:
    make(node)

    def tagged(packet: Packet) -> Packet:
        return Ether(dst=packet.dst, src=packet.src) / Dot1Q(vlan=VID, prio=3, dei=1) / packet.payload

    for request, reply in [
        (echo4(), echo_reply4(echo4(), GATEWAY_MAC)),
        (echo6(), echo_reply6(echo6(), GATEWAY_MAC)),
    ]:
        answered(node, ACCESS, tagged(request), tagged(reply))


def test_a_damaged_echo_is_returned_damaged(node: Node) -> None:
    """The switch doesn't see the payload: the one who asked finds out."""
    make(node)
    request = echo6()
    request[ICMPv6EchoRequest].cksum = 0x1234
    reply = echo_reply6(request, GATEWAY_MAC)
    right = Ether(bytes(echo6()))[ICMPv6EchoRequest].cksum
    (_, sent) = node.exchange(ACCESS, request, expect=1)[0]
    found = Ether(sent)[ICMPv6EchoReply].cksum
    assert (found - Ether(bytes(reply))[ICMPv6EchoReply].cksum) % 0xFFFF == (0x1234 - right) % 0xFFFF


def test_echo_behind_a_hosts_option(node: Node) -> None:
    """The answer has none: the option spoke of the packet it was in."""
    make(node)
    request = echo6()
    icmp = bytes(Ether(bytes(request))[ICMPv6EchoRequest])
    option = bytes((58, 2, 0x1E, 20, 0x10)) + bytes(19)
    header = IPv6(src=HOST6, dst=GATEWAY6, nh=60, tc=0x42, fl=0x12345)
    with_option = Ether(dst=GATEWAY_MAC, src=HOST_MAC) / header / Raw(option + icmp)
    answered(node, ACCESS, with_option, echo_reply6(request, GATEWAY_MAC))


def test_echo_checksums_are_true(embedded: P4jitNode) -> None:
    make(embedded)
    word = st.integers(0, 0xFFFF)

    @settings(max_examples=200, deadline=None)
    @given(
        payload=st.binary(max_size=64), ttl=st.integers(0, 255), tos=st.integers(0, 255), id=word, host=word
    )
    def check(payload: bytes, ttl: int, tos: int, id: int, host: int) -> None:
        request = echo4(src=f"10.8.{host >> 8}.{host & 255}", payload=payload, ttl=ttl, tos=tos, id=id)
        reply = bytes(echo_reply4(request, GATEWAY_MAC))
        assert embedded.exchange(ACCESS, request) == [(ACCESS, reply)]
        request = echo6(src=f"2001:db8:8::{host:x}", payload=payload, hlim=ttl)
        assert embedded.exchange(ACCESS, request) == [(ACCESS, bytes(echo_reply6(request, GATEWAY_MAC)))]

    check()


NOT_ANSWERED: dict[str, Packet] = {
    "first fragment": echo4(flags="MF"),
    "later fragment": echo4(flags="", frag=4),
    "IPv4 options": echo4(options=[IPOption_NOP()] * 4),
    "code": echo4(),
    "reply": echo4(),
    "timestamp": echo4(),
    "IPv6 fragment": Ether(dst=GATEWAY_MAC, src=HOST_MAC)
    / IPv6(src=HOST6, dst=GATEWAY6)
    / IPv6ExtHdrFragment(m=1, id=5)
    / ICMPv6EchoRequest(cksum=1),
    "IPv6 code": echo6(),
    "behind a routing header": Ether(dst=GATEWAY_MAC, src=HOST_MAC)
    / IPv6(src=HOST6, dst=GATEWAY6)
    / IPv6ExtHdrSegmentRouting(addresses=[GATEWAY6], segleft=0, lastentry=0)
    / ICMPv6EchoRequest(),
    "behind hop-by-hop options": Ether(dst=GATEWAY_MAC, src=HOST_MAC)
    / IPv6(src=HOST6, dst=GATEWAY6)
    / IPv6ExtHdrHopByHop()
    / ICMPv6EchoRequest(),
    "behind unknown destination options": Ether(dst=GATEWAY_MAC, src=HOST_MAC)
    / IPv6(src=HOST6, dst=GATEWAY6)
    / IPv6ExtHdrDestOpt()
    / ICMPv6EchoRequest(),
}
NOT_ANSWERED["code"][ICMP].code = 1
NOT_ANSWERED["reply"][ICMP].type = 0
NOT_ANSWERED["timestamp"][ICMP].type = 13
NOT_ANSWERED["IPv6 code"][ICMPv6EchoRequest].code = 1


@pytest.mark.parametrize("what", NOT_ANSWERED)
def test_echo_that_is_not_answered(node: Node, what: str) -> None:
    """It goes to the controller, as all that is for the gateway, without payload."""
    make(node)
    assert node.exchange(ACCESS, NOT_ANSWERED[what]) == []
    (packet,) = node.packet_ins()
    assert packet.metadata["reason"] == PUNT_GATEWAY
    frame = bytes(NOT_ANSWERED[what])
    assert frame.startswith(packet.payload)
    assert len(packet.payload) >= 14 + 20


def test_a_neighbour_answers_echo_itself(node: Node) -> None:
    """Not the switch that answers ARP for it: to be routed, and from a source that is not permitted."""
    make(node)
    dropped(node, ACCESS, echo4(NEIGHBOR), DROP_SOURCE)


# ---- everything else -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "packet",
    [
        IP(src=HOST, dst=GATEWAY) / TCP(dport=22),
        IP(src=HOST, dst=GATEWAY) / UDP(dport=33434),
        IPv6(src=HOST6, dst=GATEWAY6) / TCP(dport=179),
        IPv6(src=LINK_HOST, dst=LINK_GATEWAY) / UDP(dport=33434),
        IP(src=HOST, dst=GATEWAY, proto=89),
    ],
    ids=["TCP", "UDP", "TCP over IPv6", "UDP to link-local", "OSPF"],
)
@pytest.mark.parametrize("ttl", [1, 64])
def test_what_else_is_for_the_gateway(node: Node, packet: Packet, ttl: int) -> None:
    """Headers alone: nobody has said whether it has a label. Its hop limit does not matter."""
    make(node)
    packet = packet.copy()
    if IP in packet:
        packet.ttl = ttl
    else:
        packet.hlim = ttl
    frame = bytes(Ether(dst=GATEWAY_MAC, src=HOST_MAC) / packet)
    made = Ether(bytes(Ether(frame) / Raw(b"secret")))
    for layer in (IP, IPv6):
        if layer in made:
            made[layer].len = made[layer].plen = None
    told(node, ACCESS, bytes(made), PUNT_GATEWAY, size=len(frame))


def test_other_traffic_to_a_service_is_routed(node: Node) -> None:
    """Here: as far as the check of its source."""
    make(node)
    dropped(
        node, ACCESS, Ether(dst=GATEWAY_MAC, src=HOST_MAC) / IP(src=HOST, dst=SERVICE) / TCP(), DROP_SOURCE
    )


LINK_ONLY: dict[str, Packet] = {
    "from link-local": IPv6(src=LINK_HOST, dst=UNKNOWN6) / TCP(),
    "from link-local to a service": IPv6(src=LINK_HOST, dst=SERVICE6) / TCP(),
    "to link-local": IPv6(src=HOST6, dst="fe80::99") / TCP(),
    "to the other end of link-local": IPv6(src=HOST6, dst="febf::1") / TCP(),
    "from IPv4 link-local": IP(src="169.254.1.1", dst=UNKNOWN) / TCP(),
    "to IPv4 link-local": IP(src=HOST, dst="169.254.169.254") / TCP(),
    "multicast": IPv6(src=HOST6, dst="ff0e::1") / UDP(),
    "echo to all nodes": IPv6(src=LINK_HOST, dst="ff02::1") / ICMPv6EchoRequest(),
    "router advertisement": IPv6(src=LINK_HOST, dst="ff02::1", hlim=255) / ICMPv6ND_RA(),
    "listener report": IPv6(src=LINK_HOST, dst="ff02::16", hlim=1) / IPv6ExtHdrHopByHop() / ICMPv6MLReport2(),
    "to itself": IP(src=HOST, dst=HOST) / TCP(),
    "to itself over IPv6": IPv6(src=HOST6, dst=HOST6) / TCP(),
    "gateway to itself": IP(src=GATEWAY, dst=GATEWAY) / ICMP(),
    "from an IPv4-mapped address": IPv6(src="::ffff:10.1.0.5", dst=UNKNOWN6) / TCP(),
    "to an IPv4-mapped address": IPv6(src=HOST6, dst="::ffff:10.9.9.9") / TCP(),
    "echo to an IPv4-mapped gateway": IPv6(src=HOST6, dst="::ffff:10.1.0.1") / ICMPv6EchoRequest(),
}


@pytest.mark.parametrize("what", LINK_ONLY)
def test_what_no_router_forwards(node: Node, what: str) -> None:
    make(node)
    dropped(node, ACCESS, Ether(dst=GATEWAY_MAC, src=HOST_MAC) / LINK_ONLY[what], DROP_ADDRESS)


@pytest.mark.parametrize("mac", ["ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"])
@pytest.mark.parametrize(
    "packet",
    [
        IP(src=HOST, dst=UNKNOWN) / UDP(),
        IPv6(src=HOST6, dst=UNKNOWN6) / UDP(),
        IP(src=HOST, dst=GATEWAY) / ICMP(),
        IP(src=HOST, dst=GATEWAY) / UDP(),
    ],
    ids=["ipv4", "ipv6", "echo", "to the gateway"],
)
def test_a_packet_to_one_in_a_frame_to_many(node: Node, mac: str, packet: Packet) -> None:
    """RFC 1812, 5.3.4: each router that hears it would send one on."""
    make(node)
    dropped(node, ACCESS, Ether(dst=mac, src=HOST_MAC) / packet, DROP_ADDRESS)


@pytest.mark.parametrize("address", ["fec0::1", "fe00::1"])
def test_what_only_looks_like_link_local(node: Node, address: str) -> None:
    make(node)
    packet = Ether(dst=GATEWAY_MAC, src=HOST_MAC) / IPv6(src=HOST6, dst=address) / TCP()
    dropped(node, ACCESS, packet, DROP_SOURCE)


def test_a_forged_encapsulation_is_not_answered(node: Node) -> None:
    """Whatever is inside."""
    make(node)
    for inner in (echo4(), echo6(), solicitation()):
        frame = Fabric(sid(1, 2), bytes(inner.payload)).frame(src_mac=HOST_MAC)
        dropped(node, ACCESS, frame, DROP_FABRIC_DESTINATION)


LLDP = Ether(dst="01:80:c2:00:00:0e", src=HOST_MAC, type=0x88CC) / Raw(bytes(range(200)) * 2)


@pytest.mark.parametrize("port", [ACCESS, FABRIC])
def test_lldp(node: Node, port: int) -> None:
    """Whole, however long it is: the last of its parts is as good as the first."""
    make(node)
    told(node, port, LLDP, PUNT_LLDP)


@pytest.mark.parametrize("port", [ACCESS, FABRIC])
@pytest.mark.parametrize("kind", [0x0000, 0x05DC, 0x8809, 0x88F7, 0x8847, 0x88A8])
def test_unknown_ethertypes(node: Node, port: int, kind: int) -> None:
    make(node)
    dropped(node, port, Ether(dst=GATEWAY_MAC, src=HOST_MAC, type=kind) / Raw(bytes(60)), DROP_ETHERTYPE)
    tagged = Ether(dst=GATEWAY_MAC, src=HOST_MAC) / Dot1Q(vlan=VID, type=kind) / Raw(bytes(60))
    dropped(node, port, tagged, DROP_ETHERTYPE)


def test_two_tags(node: Node) -> None:
    make(node)
    frame = Ether(dst=GATEWAY_MAC, src=HOST_MAC) / Dot1Q(vlan=VID) / Dot1Q(vlan=VID) / arp().payload
    dropped(node, ACCESS, frame, DROP_ETHERTYPE)


# ---- fabric links ----------------------------------------------------------------------------------------


def test_a_router_on_a_fabric_link_finds_its_next_hop(node: Node) -> None:
    """As a Linux node of the path does."""
    make(node)
    answered(node, FABRIC, arp(), arp_reply(GATEWAY, GATEWAY_MAC))
    answered(node, FABRIC, solicitation(), advertisement(GATEWAY6, GATEWAY_MAC))
    answered(node, FABRIC, echo4(), echo_reply4(echo4(), GATEWAY_MAC))
    told(node, FABRIC, arp(op=2), PUNT_NEIGHBOR)


@pytest.mark.parametrize(
    "packet", [tcp4(b"data"), bytes(IPv6(src=HOST6, dst=UNKNOWN6) / TCP())], ids=["4", "6"]
)
def test_tenant_packets_do_not_come_naked_through_the_fabric(node: Node, packet: bytes) -> None:
    make(node)
    kind = 0x0800 if packet[0] >> 4 == 4 else 0x86DD
    dropped(node, FABRIC, Ether(dst=GATEWAY_MAC, src=HOST_MAC, type=kind) / Raw(packet), DROP_UNENCAPSULATED)


def test_no_sense_in_a_packet(embedded: P4jitNode) -> None:
    """Whatever comes, what leaves is an answer to it, with true checksums, or nothing."""
    make(embedded)
    frames = [bytes(f) for f in (arp(), arp(SERVICE), solicitation(), echo4(), echo6(), LLDP)]

    @settings(max_examples=500, deadline=None)
    @given(
        st.sampled_from(frames),
        st.dictionaries(st.integers(0, 100), st.integers(0, 255), max_size=3),
        st.integers(0, 90),
    )
    def check(frame: bytes, changes: dict[int, int], cut: int) -> None:
        sent = bytearray(frame)
        for at, value in changes.items():
            if at < len(sent):
                sent[at] = value
        length = max(14, len(sent) - cut)
        for port, reply in embedded.exchange(ACCESS, bytes(sent[:length])):
            assert port == ACCESS
            assert reply[6:12] in (
                bytes.fromhex(m.replace(":", "")) for m in (GATEWAY_MAC, SERVICE_MAC, PROXY_MAC)
            )
            assert reply[0] & 1 == 0 or reply[:6] == b"\x33\x33\0\0\0\1"
            if reply[12:14] == b"\x08\0":
                assert Ether(checked(reply))[IP].chksum == Ether(reply)[IP].chksum
        embedded.packet_ins()

    check()
