# SPDX-License-Identifier: Apache-2.0
"""What a model leaves open about the wires is filled in, and nothing twice."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

import pytest
from din.model.wiring import Wiring, mac

from tests.din.model.edits import model


def test_ports_are_numbered_in_order_around_those_that_are_given() -> None:
    wiring = Wiring(model({"links[2].between": ["leaf-b:2", "wan-2:1"], "hosts[1].port": 66}))
    assert [str(hop) for hop in wiring.hops[:8:2]] == [
        "leaf-a:1 -> wan-1:1",
        "leaf-a:2 -> wan-2:2",
        "leaf-b:2 -> wan-2:1",
        "leaf-b:1 -> wan-3:1",
    ]
    assert [wiring.host_ports[host.name] for host in wiring.hosts_of("leaf-b")] == [66, 65]


def test_each_hop_has_its_reverse_and_its_port() -> None:
    wiring = Wiring(model())
    assert len({hop.key for hop in wiring.hops}) == len(wiring.hops) == 26
    for hop in wiring.hops:
        back = wiring.by_port[hop.dst, hop.dst_port]
        assert (back.dst, back.dst_port, back.link) == (hop.src, hop.src_port, hop.link)


def test_a_link_has_the_fabrics_mtu_or_its_own() -> None:
    wiring = Wiring(model({"fabric.mtu": "4kB", "links[0].mtu": "1500B"}))
    assert [hop.mtu for hop in wiring.hops[:3]] == [1500, 1500, 4000]


def test_parallel_links() -> None:
    wiring = Wiring(model({"links[+]": {"between": ["leaf-a", "wan-1"], "rate": "1Mbit", "delay": "1ms"}}))
    assert [hop.src_port for hop in wiring.between("leaf-a", "wan-1")] == [1, 3]
    graph = wiring.graph()
    assert graph.number_of_edges("leaf-a", "wan-1") == 2
    assert graph.edges["leaf-a", "wan-1", 3]["hop"].link.rate == 1_000_000


def test_hosts_of_different_vlans_share_a_port() -> None:
    edits = {"hosts[0].port": 7, "hosts[0].vlan": 1, "hosts[2].port": 7, "hosts[2].vlan": 2}
    assert [Wiring(model(edits)).host_ports[name] for name in ("client-a", "ward-a")] == [7, 7]


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ({"hosts[0].port": 7, "hosts[2].port": 7}, "port 7 of leaf-a is used by client-a and by ward-a"),
        (
            {
                f"hosts[{n}]": {
                    "name": f"h{n}",
                    "leaf": "leaf-a",
                    "tenant": "acme",
                    "addresses": ["10.1.0.9/24"],
                    "port": 7,
                    "vlan": v,
                }
                for n, v in enumerate((1, 2, 1))
            },
            "used by h0 and by h2",
        ),
        ({"links[0].between": ["leaf-a:7", "wan-1"], "hosts[0].port": 7}, "used by .* and by client-a"),
        ({"links[0].between": ["leaf-a:510", "wan-1"]}, "ports are 1 to 509"),
        ({"links[0].between": ["leaf-a:0", "wan-1"]}, "ports are 1 to 509"),
        ({"links[0].between": ["leaf-x", "wan-1"]}, "there is no switch leaf-x"),
        ({"hosts[0].leaf": "leaf-x"}, "client-a: there is no switch leaf-x"),
    ],
)
def test_what_cannot_be_wired(edits: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Wiring(model(edits))


def test_macs_are_of_names() -> None:
    wiring = Wiring(model())
    ports = [wiring.port_mac(hop.src, hop.src_port) for hop in wiring.hops]
    hosts = [wiring.host_mac(host) for host in wiring.model.hosts]
    assert len({*ports, *hosts}) == len(ports) + len(hosts)
    assert all(int(each[:2], 16) & 0b11 == 0b10 for each in (*ports, *hosts))  # local, unicast
    fewer = Wiring(model({"links": [{"between": ["leaf-b", "wan-1"], "rate": "1Mbit", "delay": 0}]}))
    assert fewer.port_mac("leaf-b", 1) == wiring.port_mac("leaf-b", 1) == mac("leaf-b", 1)
    assert (
        Wiring(model({"hosts[0].mac": "02:00:00:00:00:01"})).host_mac(
            model({"hosts[0].mac": "02:00:00:00:00:01"}).hosts[0]
        )
        == "02:00:00:00:00:01"
    )


def test_management_addresses() -> None:
    wiring = Wiring(model())
    addresses = [wiring.management_address(host.name) for host in wiring.model.hosts]
    assert wiring.controller_address == IPv4Address("172.30.0.1")
    assert addresses[:2] == [IPv4Address("172.30.0.2"), IPv4Address("172.30.0.3")]
    assert len({wiring.controller_address, *addresses}) == 16
    with pytest.raises(KeyError):
        wiring.management_address("nobody")


def test_hosts_take_what_links_have_left() -> None:
    hosts = [
        {
            "name": f"h{n}",
            "leaf": "leaf-a",
            "tenant": "acme",
            "addresses": [f"10.1.{n // 200}.{n % 200 + 9}/16"],
        }
        for n in range(507)
    ]
    wiring = Wiring(model({"hosts": hosts, "instances": []}))
    ports = list(wiring.host_ports.values())
    assert ports[:3] == [65, 66, 67]
    assert ports[445:447] == [3, 4]  # 1 and 2 are links'
    assert sorted(ports) == list(range(3, 510))
    with pytest.raises(ValueError, match="h507: all 509 ports of leaf-a are used"):
        Wiring(model({"hosts": [*hosts, {**hosts[0], "name": "h507"}], "instances": []}))
