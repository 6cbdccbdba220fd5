# SPDX-License-Identifier: Apache-2.0
"""Whose packet it is: nobody speaks for another, and an instance's own address becomes its service's."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, IPv6
from scapy.packet import Packet, Raw

from tests.dataplane import edge
from tests.dataplane.edge import (
    ACCESS,
    DROP_SOURCE,
    OTHER_ACCESS,
    OTHER_TENANT,
    TENANT,
    drops,
    permit,
    through,
)
from tests.dataplane.frames import CLIENT4, CLIENT6, SERVER4, SERVER6, udp6
from tests.dataplane.harness import Node, P4jitNode, Refused

SERVICE4, SERVICE6 = "10.200.0.1", "2001:db8:200::1"
DROP_ADDRESS = 5


def make(node: Node) -> None:
    edge.make(node, source=False)


def allow(
    node: Node, prefix: str, tenant: int = TENANT, port: int = ACCESS, vid: int = 0, label: int = 0
) -> None:
    rest = {"label": label, "label_mandatory": 0, "option_required": 0}
    node.insert("sources", {"port": port, "vid": vid, "src_addr": prefix}, "permit", tenant=tenant, **rest)


def sent(src: str, dst: str | None = None) -> Packet:
    if ":" in src:
        return IPv6(src=src, dst=dst or SERVER6) / UDP(sport=5, dport=6) / Raw(b"data")
    return IP(src=src, dst=dst or SERVER4) / UDP(sport=5, dport=6) / Raw(b"data")


@pytest.mark.parametrize("src", [CLIENT4, CLIENT6])
def test_an_unknown_source_is_dropped(node: Node, src: str) -> None:
    make(node)
    assert through(node, sent(src)) is None
    assert drops(node, DROP_SOURCE) == 1


@pytest.mark.parametrize(("prefix", "inside", "outside"), [
    ("10.1.0.0/24", "10.1.0.5", "10.1.1.5"),
    ("10.1.0.5/32", "10.1.0.5", "10.1.0.4"),
    ("2001:db8:1::/64", "2001:db8:1::5", "2001:db8:1:1::5"),
    ("2001:db8:1::5/128", "2001:db8:1::5", "2001:db8:1::4"),
])  # fmt: skip
def test_a_source_prefix_has_a_tenant(node: Node, prefix: str, inside: str, outside: str) -> None:
    make(node)
    allow(node, prefix)
    found = through(node, sent(inside))
    assert found is not None
    assert found.tenant == TENANT
    assert through(node, sent(outside)) is None
    assert drops(node, DROP_SOURCE) == 1


def test_the_longest_prefix_wins(node: Node) -> None:
    make(node)
    allow(node, "10.1.0.0/16", TENANT)
    allow(node, "10.1.0.0/24", OTHER_TENANT)
    for src, tenant in (("10.1.9.5", TENANT), ("10.1.0.5", OTHER_TENANT)):
        found = through(node, sent(src))
        assert found is not None
        assert found.tenant == tenant


def test_ipv6_does_not_pass_for_ipv4(node: Node) -> None:
    """In tables an IPv4 address is IPv4-mapped (RFC 4291, 2.5.5.2): on the wire that form has no business."""
    make(node)
    allow(node, "10.1.0.0/16")
    assert through(node, sent("::ffff:10.1.0.5")) is None
    assert drops(node, DROP_ADDRESS) == 1


def test_a_source_is_of_its_port(node: Node) -> None:
    make(node)
    allow(node, "10.1.0.0/16")
    assert through(node, sent(CLIENT4), port=OTHER_ACCESS) is None
    assert drops(node, DROP_SOURCE) == 1


def test_a_source_is_of_its_vlan(node: Node) -> None:
    make(node)
    allow(node, "10.1.0.0/16", TENANT, vid=5)
    allow(node, "10.1.0.0/16", OTHER_TENANT, vid=6)
    for vid, tenant in ((5, TENANT), (6, OTHER_TENANT)):
        found = through(node, sent(CLIENT4), vid=vid)
        assert found is not None
        assert found.tenant == tenant
    assert through(node, sent(CLIENT4), vid=7) is None
    assert through(node, sent(CLIENT4)) is None
    assert drops(node, DROP_SOURCE) == 2


def test_a_tag_of_vlan_0_is_a_priority_alone(node: Node) -> None:
    make(node)
    allow(node, "10.1.0.0/16")
    frame = bytes.fromhex("0200000000fe 020000000101 8100 e000 0800".replace(" ", "")) + bytes(sent(CLIENT4))
    ((port, left),) = node.exchange(ACCESS, frame, expect=1)
    assert port == edge.FABRIC
    assert edge.seen(left).tenant == TENANT


def test_the_label_of_a_source(node: Node) -> None:
    make(node)
    allow(node, "10.1.0.0/16", label=4)
    found = through(node, sent(CLIENT4))
    assert found is not None
    assert found.din.label == 4


def test_an_icmp_error_has_its_own_source(node: Node) -> None:
    """Not that of the packet that it quotes, which anyone may write into it."""
    make(node)
    allow(node, "10.1.0.0/16")
    quoted = bytes(IP(src=SERVER4, dst=CLIENT4) / UDP(sport=6, dport=5))
    forged = IP(src="10.1.0.5", dst=SERVER4) / ICMP(type=3, code=3) / Raw(quoted)
    assert through(node, forged) is not None
    forged[IP].src = "10.9.0.5"
    assert through(node, forged) is None
    assert drops(node, DROP_SOURCE) == 1


def test_a_source_may_be_permitted_once(node: Node) -> None:
    make(node)
    allow(node, "10.1.0.0/16")
    with pytest.raises(Refused):
        allow(node, "10.1.0.0/16", OTHER_TENANT)


def test_what_is_not_permitted_never_leaves(embedded: P4jitNode) -> None:
    """Against Python's own idea of a longest prefix."""
    node = embedded
    make(node)
    prefixes = {8: 1, 12: 2, 15: 3, 24: 4, 31: 5, 32: 6}
    for length, tenant in prefixes.items():
        node.insert("destinations", {"tenant": tenant, "dst_addr": "10.2.0.0/16"}, "to_leaf", leaf=edge.LEAF)
        node.insert(
            "sources",
            {
                "port": ACCESS,
                "vid": 0,
                "src_addr": ((0xFFFF << 32) + (0x0A050506 >> 32 - length << 32 - length), 96 + length),
            },
            "permit",
            tenant=tenant,
            label=0,
            label_mandatory=0,
            option_required=0,
        )

    @settings(max_examples=200)
    @given(st.integers(0, 32), st.integers(0, 0xFFFFFFFF))
    def check(same: int, rest: int) -> None:
        """An address that has so many bits in common with the prefixes."""
        keep = (0xFFFFFFFF << 32 - same) & 0xFFFFFFFF
        address = 0x0A050506 & keep | rest & ~keep & 0xFFFFFFFF
        if address >> 24 in {0, 127} or address >> 28 >= 0xE:
            return
        common = next((n for n in range(32, 0, -1) if (address ^ 0x0A050506) >> 32 - n == 0), 0)
        expected = max(((n, t) for n, t in prefixes.items() if n <= common), default=(0, None))[1]
        found = through(node, sent(".".join(str(b) for b in address.to_bytes(4, "big"))))
        assert (found.tenant if found else None) == expected

    check()


# ---- an instance that answers from its own address -----------------------------------------------------


def restore(node: Node, own: str, service: str, protocol: int = 6, src_port: int = 8000) -> None:
    match = {"port": ACCESS, "src_addr": own, "protocol": protocol, "src_port": src_port}
    node.insert("reverse_rewrites", match, "restore_source", service_addr=service)
    match = {"port": ACCESS, "src_addr": service, "protocol": protocol, "src_port": src_port}
    node.insert("responses", match, "set_response", service=77, instance=1, by_address=0)


@pytest.mark.parametrize("l4", [TCP, UDP], ids=["tcp", "udp"])
@pytest.mark.parametrize(("own", "service", "client"), [
    (CLIENT4, SERVICE4, SERVER4), (CLIENT6, SERVICE6, SERVER6),
], ids=["ipv4", "ipv6"])  # fmt: skip
def test_a_response_has_the_services_address(
    node: Node, own: str, service: str, client: str, l4: type[Packet]
) -> None:
    make(node)
    permit(node)
    restore(node, own, service, protocol=6 if l4 is TCP else 17)
    ip = IPv6 if ":" in own else IP
    hops = {"hlim": 63} if ip is IPv6 else {"ttl": 63}
    found = through(node, ip(src=own, dst=client) / l4(sport=8000, dport=40000) / Raw(b"token"))
    assert found is not None
    assert (found.din.response, found.din.service) == (1, 77)
    # Its checksums too, byte for byte.
    assert found.inner == bytes(
        ip(src=service, dst=client, **hops) / l4(sport=8000, dport=40000) / Raw(b"token")
    )
    # Another port of that host is none of the service's.
    found = through(node, ip(src=own, dst=client) / l4(sport=8001, dport=40000) / Raw(b"other"))
    assert found is not None
    assert (found.din.response, found.din.service) == (0, 0)
    assert found.inner == bytes(ip(src=own, dst=client, **hops) / l4(sport=8001, dport=40000) / Raw(b"other"))


def test_an_error_about_a_request_is_the_services_too(node: Node) -> None:
    """The instance was sent the request at its own address, and that is what it quotes."""
    make(node)
    permit(node)
    restore(node, CLIENT6, SERVICE6, protocol=17)

    def error(instance: str, hop_limit: int) -> bytes:
        quoted = (
            IPv6(src=SERVER6, dst=instance) / UDP(sport=40000, dport=8000, chksum=0x1234) / Raw(b"request")
        )
        return bytes(IPv6(src=instance, dst=SERVER6, hlim=hop_limit) / ICMPv6DestUnreach(code=4) / quoted)

    found = through(node, error(CLIENT6, 64))
    assert found is not None
    assert (found.din.response, found.din.service) == (1, 77)
    assert found.inner == error(SERVICE6, 63)


def test_an_address_is_rewritten_at_its_port_alone(node: Node) -> None:
    make(node)
    permit(node)
    permit(node, OTHER_ACCESS)
    restore(node, CLIENT6, SERVICE6, protocol=17, src_port=40000)
    found = through(node, udp6(), port=OTHER_ACCESS)
    assert found is not None
    assert (found.din.response, found.din.service) == (0, 0)


def test_a_rewritten_source_must_be_permitted_as_it_was(node: Node) -> None:
    make(node)
    allow(node, f"{SERVICE4}/32")
    restore(node, CLIENT4, SERVICE4)
    assert through(node, IP(src=CLIENT4, dst=SERVER4) / TCP(sport=8000)) is None
    assert drops(node, DROP_SOURCE) == 1
