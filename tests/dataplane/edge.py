# SPDX-License-Identifier: Apache-2.0
"""An ingress leaf with everything behind one uplink: the DIN option of what leaves there shows what was
found out about a packet. Hosts are on access ports; the prefixes of frames.SERVER4 and frames.SERVER6 are at
another leaf, and LOCAL4 and LOCAL6 at a port of this one."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address

from din.packet import DINHostOption, sign
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt
from scapy.packet import Packet

from tests.dataplane.frames import CLIENT6, HOST_MAC, SERVER6, SWITCH_MAC, Din, access, sid
from tests.dataplane.harness import Node, choice

ACCESS, OTHER_ACCESS, LOCAL, FABRIC = 1, 2, 3, 9
TENANT, OTHER_TENANT = 7, 8
PORT_ZONE, ZONE = 1, 2
LEAF, LOCAL_FUNCTION = 0x44, 5
LOCAL4, LOCAL6 = "10.3.0.9", "2001:db8:3::9"
LABELS = CLASSES = range(6)
KEY = bytes(range(0x10, 0x18))
KEY_ID, EPOCH = 3, 200

#: The fabric's DIN option, in Geneve's words.
OPTION_WORDS = 7

DROP_SOURCE, DROP_POLICY, DROP_NO_GROUP, DROP_ZONE, DROP_BOUNDARY, DROP_OPTION = 8, 13, 14, 21, 22, 23
DROP_STREAM_RATE, DROP_STREAM_SIZE, DROP_TENANT_RATE, DROP_OPTION_TAG = 24, 25, 26, 29
VERIFIED, NO_KEY, BAD_TAG, FOREIGN_TENANT, FORBIDDEN_CLASS = RESULTS = range(5)


def make(
    node: Node, *, source: bool = True, labels: Iterable[int] = LABELS, classes: Iterable[int] = CLASSES
) -> None:
    with node.batch():
        for port in (ACCESS, OTHER_ACCESS):
            node.insert("ports", {"port": port}, "set_access", zone=PORT_ZONE)
        node.insert("ports", {"port": FABRIC}, "set_fabric")
        for tenant in (TENANT, OTHER_TENANT):
            for prefix in ("10.2.0.0/16", "2001:db8:2::/48"):
                node.insert("destinations", {"tenant": tenant, "dst_addr": prefix}, "to_leaf", leaf=LEAF)
            for prefix in ("10.3.0.0/16", "2001:db8:3::/48"):
                node.insert(
                    "destinations",
                    {"tenant": tenant, "dst_addr": prefix},
                    "to_function",
                    function=LOCAL_FUNCTION,
                )
        for label in labels:
            for class_id in classes:
                match = {"kind": 2, "target": LEAF, "class_id": class_id, "label": label}
                segments = sid(LEAF, 0xF001)
                node.insert("paths", match, "via", segments=segments, mtu=9000, zone=ZONE, base_latency=0)
            node.insert("destination_guard", {"label": label, "zone": ZONE}, "permit_destination")
        deliver_locally(node)
    node.set_default("boundaries", "inside")
    mac = {"dst_mac": "02:00:00:00:00:09", "src_mac": SWITCH_MAC}
    node.insert("routes", {"sid": (sid(LEAF), 48)}, [choice("set_next_hop", port=FABRIC, **mac)])
    if source:
        permit(node)


def deliver_locally(node: Node, vid: int = 0, *, modify: bool = False) -> None:
    write = node.modify if modify else node.insert
    params = {
        "port": LOCAL,
        "dst_mac": HOST_MAC,
        "src_mac": SWITCH_MAC,
        "vid": vid,
        "mtu": 1500,
        "zone": ZONE,
    }
    write("functions", {"function": LOCAL_FUNCTION}, "deliver", instance=0, **params)


def permit(
    node: Node, port: int = ACCESS, tenant: int = TENANT, *, modify: bool = False, vid: int = 0, **more: int
) -> None:
    """Every source of a port."""
    values = {"label": 0, "label_mandatory": 0, "option_required": 0} | more
    write = node.modify if modify else node.insert
    write("sources", {"port": port, "vid": vid}, "permit", tenant=tenant, **values)


def classify(node: Node, match: dict[str, int], *, priority: int = 1, **more: int) -> None:
    values = dict.fromkeys(
        ("class_id", "label", "deadline", "late_drop", "late_drop_tcp", "stream", "tenant_meter", "overrule"),
        0,
    )
    node.insert("classifier", match, "classify", priority=priority, **values | more)


def add_key(
    node: Node, tenant: int = TENANT, *, key: bytes = KEY, epoch: int = EPOCH, classes: int = 0x1F
) -> None:
    match = {"tenant": tenant, "key_id": KEY_ID, "epoch": epoch}
    node.insert("option_keys", match, "set_key", key=key, classes=classes)


def with_option(
    upper: Packet, *, key: bytes | None = KEY, src: str = CLIENT6, dst: str = SERVER6, **fields: int
) -> Packet:
    """An IPv6 packet with a DIN option, signed if there is a key."""
    fields = {"tenant": TENANT, "key_id": KEY_ID, "epoch": EPOCH} | fields
    packet = IPv6(src=src, dst=dst) / IPv6ExtHdrDestOpt(options=[DINHostOption(**fields)]) / upper
    return sign(packet, key) if key is not None else packet


@dataclass(frozen=True)
class Seen:
    """What left by the uplink."""

    tenant: int
    din: Din
    inner: bytes
    #: The NEXT-CSID list.
    dst: str
    int_instructions: int = 0
    int_hop_ml: int = 0
    int_hops: int = 0


def seen(frame: bytes) -> Seen:
    opt_len = frame[62] & 0x3F
    tenant = int.from_bytes(frame[66:69], "big")
    option = frame[70:98]
    version, label, flags, _, service, session, slack, flow_hash, time = struct.unpack(
        "!BBBBHHIIQ", option[4:]
    )
    bits = [flags >> n & 1 for n in (7, 6, 5, 4)]
    din = Din(version & 15, label, *bits, service, session, slack, flow_hash, time, version >> 4)
    assert option == din.bytes()
    inner = frame[70 + opt_len * 4 :]
    dst = str(IPv6Address(frame[38:54]))
    if opt_len == OPTION_WORDS:
        return Seen(tenant, din, inner, dst)
    # INT-MD behind it; the leaf has pushed its own words, and taken a hop off.
    words, hops, instructions = struct.unpack_from("!xxBBH", frame, 102)
    return Seen(tenant, din, inner, dst, instructions, words & 0x1F, hops + 1)


def through(node: Node, packet: bytes | Packet, *, port: int = ACCESS, vid: int = 0) -> Seen | None:
    """What was found out about a host's packet; None: it went nowhere."""
    found = node.exchange(port, access(packet, vid))
    assert len(found) <= 1, found
    if not found:
        return None
    ((left_by, frame),) = found
    assert left_by == FABRIC
    return seen(frame)


def drops(node: Node, reason: int) -> int:
    return node.counter("drops", reason).packets


def results(node: Node) -> list[int]:
    """Packets with an option, by what became of it."""
    return [node.counter("host_options", result).packets for result in RESULTS]
