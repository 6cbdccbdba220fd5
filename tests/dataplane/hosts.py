# SPDX-License-Identifier: Apache-2.0
"""A leaf with hosts of one tenant: at `ACCESS` those who send, at `HERE` one who is sent to; all others are
behind `UPLINK`, at another leaf. The two leaves of a fabric are made alike."""

from __future__ import annotations

from dataclasses import dataclass

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet, Raw

from tests.dataplane.frames import ethernet, sid
from tests.dataplane.harness import Node, choice

ACCESS, HERE, UPLINK = 1, 2, 9
TENANT, ZONE, LABEL = 7, 3, 5
NODE, OTHER_NODE, FUNCTION = 0x0011, 0x0022, 0xF001
OTHER_LEAF = 2
HOST_MAC, SWITCH_MAC, NEXT_MAC, LEAF_MAC = (f"02:00:00:00:00:{n}" for n in ("01", "fe", "0a", "0b"))
#: Of an IP packet on the uplink, and at a host's port.
LINK_MTU, PORT_MTU = 1600, 1500


@dataclass(frozen=True)
class Pair:
    """A sender, and receivers here and at the other leaf."""

    host: str
    here: str
    there: str


PAIR4 = Pair("10.1.0.5", "10.1.0.9", "10.2.0.9")
PAIR6 = Pair("2001:db8:1::5", "2001:db8:1::9", "2001:db8:2::9")


def make_leaf(
    node: Node,
    *,
    own: int = NODE,
    other: int = OTHER_NODE,
    label: int = 0,
    link_mtu: int = LINK_MTU,
    port_mtu: int = PORT_MTU,
) -> None:
    """The label is that of all that the host sends."""
    node.insert("ports", {"port": ACCESS}, "set_access", zone=ZONE)
    node.insert("ports", {"port": UPLINK}, "set_fabric")
    node.insert(
        "sources",
        {"port": ACCESS, "vid": 0},
        "permit",
        tenant=TENANT,
        label=label,
        label_mandatory=0,
        option_required=0,
    )
    for pair, length in ((PAIR4, 32), (PAIR6, 128)):
        node.insert(
            "destinations",
            {"tenant": TENANT, "dst_addr": f"{pair.here}/{length}"},
            "to_function",
            function=FUNCTION,
        )
        node.insert(
            "destinations",
            {"tenant": TENANT, "dst_addr": f"{pair.there}/{length}"},
            "to_leaf",
            leaf=OTHER_LEAF,
        )
    deliver(node, mtu=port_mtu)
    node.insert(
        "paths",
        {"kind": 2, "target": OTHER_LEAF, "class_id": 0, "label": label},
        "via",
        segments=sid(other, FUNCTION),
        mtu=link_mtu,
        zone=ZONE,
        base_latency=0,
    )
    next_hop = choice("set_next_hop", port=UPLINK, dst_mac=NEXT_MAC, src_mac=LEAF_MAC)
    node.insert("routes", {"sid": ("fcbb:bb00::", 32)}, [next_hop])
    node.insert(
        "segments", {"sid": (0xFCBBBB00 << 32 | own << 16 | FUNCTION, 64)}, "end_function", function=FUNCTION
    )
    node.set_default("boundaries", "inside")
    for each in {0, label}:
        node.insert("destination_guard", {"label": each, "zone": ZONE}, "permit_destination")


def deliver(node: Node, *, mtu: int = PORT_MTU, vid: int = 0) -> None:
    node.insert(
        "functions",
        {"function": FUNCTION},
        "deliver",
        port=HERE,
        dst_mac=HOST_MAC,
        src_mac=SWITCH_MAC,
        vid=vid,
        mtu=mtu,
        zone=ZONE,
        instance=0,
    )


def deliver_rewritten(node: Node, address: str) -> None:
    """Whoever is delivered to has this address."""
    node.modify(
        "functions",
        {"function": FUNCTION},
        "deliver_rewritten",
        port=HERE,
        dst_mac=HOST_MAC,
        src_mac=SWITCH_MAC,
        vid=0,
        mtu=PORT_MTU,
        zone=ZONE,
        instance=0,
        dst_addr=address,
    )


def sent(packet: Packet | bytes, vid: int | None = None) -> bytes:
    """The host's frame."""
    return _frame(packet, SWITCH_MAC, HOST_MAC, vid)


def delivered(packet: Packet | bytes, vid: int | None = None) -> bytes:
    """The frame that a host gets."""
    return _frame(packet, HOST_MAC, SWITCH_MAC, vid)


def _frame(packet: Packet | bytes, dst: str, src: str, vid: int | None) -> bytes:
    data = bytes(packet)
    ether_type = 0x0800 if data[0] >> 4 == 4 else 0x86DD
    if vid is None:
        return ethernet(dst, src, ether_type) + data
    return bytes(Ether(dst=dst, src=src) / Dot1Q(vlan=vid, type=ether_type) / Raw(data))


def inner(frame: bytes) -> bytes:
    """The tenant's packet of a fabric frame without INT."""
    return frame[14 + 84 :]


def true_checksums(packet: bytes | Packet) -> bytes:
    """An IP packet, with the checksums that scapy computes: not what it quotes. A UDP checksum of 0 stays."""
    data = bytes(packet)
    parsed = IP(data) if data[0] >> 4 == 4 else IPv6(data)
    if isinstance(parsed, IP):
        parsed.chksum = None
    l4 = parsed.payload
    if isinstance(l4, TCP | ICMP) or (isinstance(l4, UDP) and l4.chksum != 0):
        l4.chksum = None
    elif hasattr(l4, "cksum"):
        l4.cksum = None
    return bytes(parsed)
