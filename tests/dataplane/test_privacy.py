# SPDX-License-Identifier: Apache-2.0
"""Where labelled packets may be, at both guards; and that nothing else decides about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.packet import Raw

from tests.dataplane import edge
from tests.dataplane.edge import (
    ACCESS,
    DROP_BOUNDARY,
    DROP_OPTION,
    DROP_ZONE,
    FABRIC,
    LEAF,
    LOCAL,
    LOCAL4,
    TENANT,
    ZONE,
    drops,
    permit,
    through,
)
from tests.dataplane.frames import CLIENT4, Din, Fabric, access, sid, tcp4, udp6
from tests.dataplane.harness import Node, P4jitNode, Program, choice

UP, OTHER_UP = 10, 11
NODE, NEXT, FUNCTION = 0x11, 0x22, 0xF001
MACS = {"dst_mac": "02:00:00:00:00:02", "src_mac": "02:00:00:00:00:01"}


# ---- the destination -----------------------------------------------------------------------------------


def make(node: Node, label: int) -> None:
    """Nothing may go anywhere yet."""
    edge.make(node, source=False)
    for each in edge.LABELS:
        node.delete("destination_guard", {"label": each, "zone": ZONE})
    permit(node, label=label)


def allow(node: Node, label: int, zone: int = ZONE) -> None:
    node.insert("destination_guard", {"label": label, "zone": zone}, "permit_destination")


@pytest.mark.parametrize("label", [0, 3])
def test_a_destination_is_refused_unless_listed(node: Node, label: int) -> None:
    """Label 0 like any other."""
    make(node, label)
    allow(node, label, ZONE + 1)
    allow(node, label + 1)
    assert through(node, tcp4()) is None
    assert drops(node, DROP_ZONE) == 1
    allow(node, label)
    found = through(node, tcp4())
    assert found is not None
    assert found.din.label == label


@pytest.mark.parametrize("label", [0, 3])
def test_so_is_one_on_the_same_leaf(node: Node, label: int) -> None:
    make(node, label)
    frame = access(ip_to(LOCAL4))
    assert node.exchange(ACCESS, frame) == []
    assert drops(node, DROP_ZONE) == 1
    allow(node, label)
    ((port, _),) = node.exchange(ACCESS, frame, expect=1)
    assert port == LOCAL


def ip_to(address: str) -> bytes:
    return bytes(IP(src=CLIENT4, dst=address) / UDP(sport=1, dport=2) / Raw(b"data"))


@pytest.mark.parametrize("label", [0, 3])
def test_the_egress_leaf_looks_again(node: Node, label: int) -> None:
    """Who sent it here may have been wrong about the zone."""
    make(node, 0)
    node.insert(
        "segments", {"sid": (0xFCBBBB00 << 32 | NODE << 16 | FUNCTION, 64)}, "end_function", function=5
    )
    frame = Fabric(sid(NODE, FUNCTION), tcp4(), Din(label=label)).frame()
    assert node.exchange(FABRIC, frame) == []
    assert drops(node, DROP_ZONE) == 1
    allow(node, label)
    ((port, left),) = node.exchange(FABRIC, frame, expect=1)
    assert (port, left[14:]) == (LOCAL, tcp4())


def test_the_zone_of_the_path_counts(node: Node) -> None:
    make(node, 3)
    allow(node, 3)
    match = {"kind": 2, "target": LEAF, "class_id": 0, "label": 3}
    assert through(node, tcp4()) is not None
    node.modify("paths", match, "via", segments=sid(LEAF, 1), mtu=9000, zone=ZONE + 1, base_latency=0)
    assert through(node, tcp4()) is None
    assert drops(node, DROP_ZONE) == 1


# ---- the boundary --------------------------------------------------------------------------------------


def transit(node: Node) -> None:
    node.insert("ports", {"port": FABRIC}, "set_fabric")
    node.insert("routes", {"sid": (sid(NEXT), 48)}, [choice("set_next_hop", port=UP, **MACS)])


def passes(node: Node, packet: Fabric) -> bool:
    return bool(node.exchange(FABRIC, packet.frame()))


LABELLED = Fabric(sid(NEXT, LEAF), tcp4(), Din(label=3))
PLAIN = Fabric(sid(NEXT, LEAF), tcp4(), Din(label=0))
UNREADABLE = {
    "no Geneve": Fabric(sid(NEXT, LEAF), b"", None),
    "no option": Fabric(sid(NEXT, LEAF), tcp4(), None),
    "another version": Fabric(sid(NEXT, LEAF), tcp4(), Din(version=2)),
    "another option": Fabric(sid(NEXT, LEAF), tcp4(), None, options=bytes.fromhex("01020304 00000000")),
    "in second place": Fabric(
        sid(NEXT, LEAF), tcp4(), None, options=bytes.fromhex("0102 0300") + Din(label=3).bytes()
    ),
}


def test_inside_a_zone_nothing_is_asked(node: Node) -> None:
    transit(node)
    node.insert("boundaries", {"port": UP}, "inside")
    assert passes(node, LABELLED)
    assert passes(node, PLAIN)
    for packet in UNREADABLE.values():
        assert passes(node, packet)


@pytest.mark.parametrize("packet", [LABELLED, PLAIN], ids=["labelled", "label 0"])
def test_a_boundary_is_closed_unless_listed(node: Node, packet: Fabric) -> None:
    transit(node)
    node.insert("boundaries", {"port": UP}, "cross", zone=5)
    label = packet.din.label if packet.din else 0
    node.insert("boundary_guard", {"label": label, "zone": 6}, "permit_boundary")
    node.insert("boundary_guard", {"label": label + 1, "zone": 5}, "permit_boundary")
    allow(node, label, 5)
    assert not passes(node, packet)
    assert drops(node, DROP_BOUNDARY) == 1
    node.insert("boundary_guard", {"label": label, "zone": 5}, "permit_boundary")
    assert passes(node, packet)


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_does_not_tell_its_label_stays(node: Node, kind: str) -> None:
    transit(node)
    node.insert("boundaries", {"port": UP}, "cross", zone=5)
    for label in (0, 3):
        node.insert("boundary_guard", {"label": label, "zone": 5}, "permit_boundary")
    assert not passes(node, UNREADABLE[kind])
    assert drops(node, DROP_OPTION) == 1
    assert passes(node, LABELLED)


def test_a_port_that_nobody_spoke_of(node: Node) -> None:
    """May lead anywhere."""
    transit(node)
    assert not passes(node, LABELLED)
    assert drops(node, DROP_BOUNDARY) == 1
    for count, packet in enumerate(UNREADABLE.values(), 1):
        assert not passes(node, packet)
        assert drops(node, DROP_OPTION) == count
    assert passes(node, PLAIN)


def test_the_ingress_leaf_has_boundaries_too(node: Node) -> None:
    make(node, 3)
    allow(node, 3)
    node.insert("boundaries", {"port": FABRIC}, "cross", zone=ZONE)
    assert through(node, udp6()) is None
    assert drops(node, DROP_BOUNDARY) == 1
    node.insert("boundary_guard", {"label": 3, "zone": ZONE}, "permit_boundary")
    assert through(node, udp6()) is not None


def test_a_detour_is_a_boundary_like_any_other(embedded: P4jitNode) -> None:
    node = embedded
    transit(node)
    node.insert("boundaries", {"port": UP}, "inside")
    node.insert("boundaries", {"port": OTHER_UP}, "cross", zone=5)
    detour = choice("detour", port=OTHER_UP, **MACS)
    node.insert("protection", {"port": UP}, [choice("keep", watch=UP), detour])
    assert passes(node, LABELLED)
    node.set_port(UP, up=False)
    assert not passes(node, LABELLED)
    assert drops(node, DROP_BOUNDARY) == 1


# ---- whatever the other tables say ---------------------------------------------------------------------

PORTS = (9, 10, 11, 12)
LABELS, ZONES = (0, 1, 2), (1, 2, 3)
pairs = st.sets(st.tuples(st.sampled_from(LABELS), st.sampled_from(ZONES)))
ports, labels, zones = st.sampled_from(PORTS), st.sampled_from(LABELS), st.sampled_from(ZONES)
functions = st.sampled_from((1, 2, 3))


@dataclass(frozen=True)
class Policy:
    """The truth: what the operator has said about zones."""

    destinations: set[tuple[int, int]]
    boundaries: set[tuple[int, int]]
    #: Port -> zone beyond it, or 0: inside. Ports without an entry are unknown.
    beyond: dict[int, int]

    def permits(self, label: int, port: int) -> bool:
        zone = self.beyond.get(port)
        if zone is None:
            return label == 0
        return zone == 0 or (label, zone) in self.boundaries

    def write(self, node: Node) -> None:
        for label, zone in self.destinations:
            allow(node, label, zone)
        for label, zone in self.boundaries:
            node.insert("boundary_guard", {"label": label, "zone": zone}, "permit_boundary")
        for port, zone in self.beyond.items():
            if zone:
                node.insert("boundaries", {"port": port}, "cross", zone=zone)
            else:
                node.insert("boundaries", {"port": port}, "inside")


policies = st.builds(Policy, pairs, pairs, st.dictionaries(ports, st.sampled_from((0, *ZONES))))


states = st.fixed_dictionaries(
    {
        "source_label": labels,
        "classifier_label": labels,
        "local": st.booleans(),
        "function": functions,
        "path_zone": zones,
        "path_local": st.booleans(),
        "next": ports,
        "detour": ports,
        "segment": st.sampled_from(["end", "end_function", "end_lookup", "none"]),
        "function_ports": st.fixed_dictionaries({f: st.sampled_from((3, 4, *PORTS)) for f in (1, 2, 3)}),
        "function_zones": st.fixed_dictionaries(dict.fromkeys((1, 2, 3), zones)),
    }
)


def write_state(node: Node, state: dict[str, Any]) -> None:
    node.insert("ports", {"port": ACCESS}, "set_access", zone=1)
    for port in PORTS:
        node.insert("ports", {"port": port}, "set_fabric")
    permit(node, label=state["source_label"], label_mandatory=1)
    edge.classify(node, {"port": ACCESS}, label=state["classifier_label"], overrule=1)
    edge.add_key(node)
    for prefix in ("10.2.0.0/16", "2001:db8:2::/48"):
        match = {"tenant": TENANT, "dst_addr": prefix}
        if state["local"]:
            node.insert("destinations", match, "to_function", function=state["function"])
        else:
            node.insert("destinations", match, "to_leaf", leaf=LEAF)
    for label in LABELS:
        match = {"kind": 2, "target": LEAF, "class_id": 0, "label": label}
        if state["path_local"]:
            node.insert("paths", match, "local", function=state["function"])
        else:
            zone = state["path_zone"]
            node.insert("paths", match, "via", segments=sid(LEAF, 1), mtu=9000, zone=zone, base_latency=0)
    for function in (1, 2, 3):
        params = {"port": state["function_ports"][function], "zone": state["function_zones"][function]}
        node.insert(
            "functions", {"function": function}, "deliver", vid=0, mtu=1500, instance=0, **MACS, **params
        )
    if state["segment"] != "none":
        params = {"function": state["function"]} if state["segment"] == "end_function" else {}
        node.insert("segments", {"sid": (0xFCBBBB00 << 32 | NODE << 16, 48)}, state["segment"], **params)
    node.insert("routes", {"sid": ("fcbb:bb00::", 32)}, [choice("set_next_hop", port=state["next"], **MACS)])
    node.insert("protection", {"port": state["next"]}, [choice("detour", port=state["detour"], **MACS)])


def test_no_labelled_packet_crosses_a_forbidden_boundary(embedded: P4jitNode, program: Program) -> None:
    """From a host whose label is mandatory, and from the fabric: what leaves by a port may leave there,
    however the tables that lead to it have been filled. A delivery goes where its function is, which is a
    destination."""
    node = embedded
    outcomes = {"left": 0, "delivered": 0, "refused": 0}

    @settings(max_examples=150, deadline=None)
    @given(policies, states, labels, labels)
    def check(policy: Policy, state: dict[str, Any], fabric_label: int, option_label: int) -> None:
        node.load(program)
        with node.batch():
            policy.write(node)
        write_state(node, state)
        own: int = state["source_label"]
        hosts = [
            access(tcp4()),
            access(udp6()),
            access(edge.with_option(UDP(sport=1, dport=2), label=option_label)),
        ]
        fabrics = [
            Fabric(dst, tcp4(), Din(label=fabric_label)).frame()
            for dst in (sid(NODE, FUNCTION), sid(NODE, NEXT, LEAF), sid(NEXT, LEAF), sid(LEAF, 1, 2))
        ]
        function: int = state["function"]
        zone, at = state["function_zones"][function], state["function_ports"][function]
        for port, frame, label in [
            *((ACCESS, frame, own) for frame in hosts),
            *((12, frame, fabric_label) for frame in fabrics),
        ]:
            found = node.exchange(port, frame)
            outcomes["refused"] += not found
            for by, left in found:
                if is_fabric(left):
                    outcomes["left"] += 1
                    assert left[75] == label, "nor does it lose its label"
                    assert policy.permits(label, by)
                else:
                    outcomes["delivered"] += 1
                    assert by == at
                    assert (label, zone) in policy.destinations

    check()
    assert min(outcomes.values()) > 20, outcomes


def is_fabric(frame: bytes) -> bool:
    return frame[12:14] == b"\x86\xdd" and frame[38:42] == bytes.fromhex("fcbbbb00")
