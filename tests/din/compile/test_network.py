# SPDX-License-Identifier: Apache-2.0
"""Compiled networks forward: requests reach an instance, responses their client, and nothing leaves its
zones.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from din.model.network import Model
from din.p4rt.compile import compile_network
from din.p4rt.constraints import Constraints
from din.p4rt.program import default_program
from din.p4rt.references import dangling
from din.packet import TelemetryReport, TelemetryReportGroup
from din.packet.constants import DropReason
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from .fabric import Network, context, desired, network, segment

NAMES = ["skeleton.yaml", "enterprise.yaml", "small-mtu.yaml"]


@pytest.fixture(scope="module", params=NAMES)
def fabric(request: pytest.FixtureRequest) -> Iterator[Network]:
    with network(request.param) as found:
        yield found


def clients(model: Model, service: str) -> list[str]:
    """Hosts that may ask, and answer not themselves."""
    found = model.service[service]
    servers = {each.host for each in model.instances_of(service)}
    tenants = {found.tenant, *found.clients}
    return [host.name for host in model.hosts if host.tenant in tenants and host.name not in servers]


def pairs(fabric: Network) -> Iterator[tuple[str, str, str]]:
    """(client's host, its address, the service's) of one family each."""
    model = fabric.desired.model
    for service in model.services:
        for client in clients(model, service.name):
            for address in model.host[client].addresses:
                for anycast in service.addresses:
                    if anycast.version == address.version:
                        yield client, str(address.ip), f"{service.name} {anycast}"


def permitted(fabric: Network, client: str, service: str) -> set[str]:
    """Hosts of instances that a client's requests may reach, by its label."""
    model = fabric.desired.model
    label = model.label.get(model.host[client].label or "")
    if label is not None and label.name not in model.service[service].labels:
        return set()
    return {
        each.host
        for each in model.instances_of(service)
        if label is None or model.zone_of(model.host[each.host].leaf) in label.zones
    }


def test_requests_reach_an_instance_and_responses_their_client(fabric: Network) -> None:
    model, wiring = fabric.desired.model, fabric.desired.wiring
    asked = answered = 0
    reached: dict[str, set[str]] = {}
    for number, (client, address, target) in enumerate(pairs(fabric)):
        service, anycast = target.split()
        port = model.service[service].port
        allowed = permitted(fabric, client, service)
        for sport in range(40000 + number * 8, 40004 + number * 8):
            asked += 1
            arrivals = fabric.send(client, segment(address, anycast, sport, port))
            if not allowed:
                assert arrivals == [], (client, target)
                continue
            (arrival,) = arrivals
            server = fabric.host_at(arrival)
            assert server in allowed, (client, target, server)
            reached.setdefault(service, set()).add(server)
            frame = Ether(arrival.frame)
            assert frame.dst == wiring.host_mac(model.host[server])
            inner = frame[IPv6] if ":" in address else frame[IP]
            assert (inner.src, inner.dst) == (address, anycast)
            assert (inner[TCP].sport, inner[TCP].dport, inner[TCP].flags) == (sport, port, "S")
            (back,) = fabric.send(server, segment(anycast, address, port, sport, "SA"))
            assert fabric.host_at(back) == client, (server, target)
            answered += 1
    assert asked > 10
    assert answered > 10
    # Every instance that anybody may reach is reached by somebody.
    for service, servers in reached.items():
        assert servers == {each.host for each in model.instances_of(service)}, service


def test_a_label_keeps_to_its_zones_and_to_encrypted_links(fabric: Network) -> None:
    model = fabric.desired.model
    labelled = [host for host in model.hosts if host.label and host.label_mandatory]
    if fabric.desired.model.name != "enterprise":
        assert not labelled
        return
    seen = 0
    for client, address, target in pairs(fabric):
        if client not in {host.name for host in labelled}:
            continue
        label = model.label[model.host[client].label or ""]
        service, anycast = target.split()
        for sport in range(50000, 50032):
            there = fabric.send(client, segment(address, anycast, sport, model.service[service].port))
            for arrival in there:
                back = fabric.send(fabric.host_at(arrival), segment(anycast, address, 8000, sport, "SA"))
                assert len(back) == 1
                for each in (arrival, *back):
                    assert {model.zone_of(node) for node in each.passed} <= set(label.zones), each.passed
                    for a, b in zip(each.passed, each.passed[1:], strict=False):
                        assert all(hop.link.encrypted for hop in fabric.desired.wiring.between(a, b))
                    seen += 1
    assert seen > 60


def test_hosts_of_a_tenant_find_each_other_and_no_others(fabric: Network) -> None:
    model = fabric.desired.model
    serving = {service.tenant: {service.tenant, *service.clients} for service in model.services}
    found = refused = 0
    for one in model.hosts:
        for other in model.hosts:
            if one.name == other.name or one.label or other.label:
                continue
            src, dst = str(one.addresses[0].ip), str(other.addresses[0].ip)
            arrivals = fabric.send(one.name, IP(src=src, dst=dst) / ICMP())
            visible = other.tenant in serving.get(one.tenant, {one.tenant}) | {one.tenant}
            if visible:
                assert [fabric.host_at(each) for each in arrivals] == [other.name], (one.name, other.name)
                found += 1
            else:
                assert arrivals == [], (one.name, other.name)
                refused += 1
    assert found
    assert refused or model.name != "enterprise"


def test_spoofed_sources_and_the_fabrics_own_addresses_are_refused(fabric: Network) -> None:
    model = fabric.desired.model
    client = clients(model, model.services[0].name)[0]
    own = next(str(each.ip) for each in model.host[client].addresses if each.version == 4)
    other = next(
        str(each.ip)
        for host in model.hosts
        if host.name != client
        for each in host.addresses
        if each.version == 4
    )
    assert fabric.send(client, IP(src="10.77.0.1", dst=other) / ICMP()) == []
    report = str(model.fabric.report_sources[1])
    assert fabric.send(client, IP(src=own, dst=report) / ICMP()) == []
    assert fabric.send(client, IPv6(src="2001:db8:1::10", dst="fcbb:bb00:1::") / ICMP()) == []
    leaf = model.host[client].leaf
    assert {DropReason.FABRIC_DESTINATION, DropReason.SOURCE} <= set(fabric.drops(leaf))
    # And the collector heard of it, wherever it is.
    groups = [TelemetryReportGroup(bytes(Ether(each.frame)[UDP].payload)) for each in fabric.reports]
    reasons = {group[TelemetryReport].drop_reason for group in groups if group[TelemetryReport].dropped}
    assert {DropReason.FABRIC_DESTINATION, DropReason.SOURCE} <= reasons


def test_after_a_link_has_failed_local_protection_and_then_a_new_plan_carry_on() -> None:
    with network("enterprise.yaml") as fabric:
        wanted = fabric.desired
        fabric.cut("leaf-b", "wan-2")

        def ask(first: int) -> list[tuple[str, ...]]:
            passed = []
            for sport in range(first, first + 40):
                (arrival,) = fabric.send("client-b", segment("10.2.0.10", "10.100.0.1", sport, 8000))
                server = fabric.host_at(arrival)
                (back,) = fabric.send(server, segment("10.100.0.1", "10.2.0.10", 8000, sport, "SA"))
                passed += [arrival.passed, back.passed]
            return passed

        # Nobody has told the controller; the entries are the old ones.
        before = ask(41000)
        assert all("wan-3" in each for each in before if {"leaf-b"} < set(each))
        down = frozenset(
            hop.key
            for pair in (("leaf-b", "wan-2"), ("wan-2", "leaf-b"))
            for hop in wanted.wiring.between(*pair)
        )
        fabric.hold(compile_network(context(wanted, down)))
        after = ask(42000)
        assert sum(map(len, after)) <= sum(map(len, before))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_compiled_keeps_to_the_programs_constraints(name: str) -> None:
    program = default_program()
    check = Constraints(program).check
    for switch, state in compile_network(context(desired(name))).items():
        problems = [problem for key, value in state.items() for problem in check(key, value)]
        assert problems == [], switch
        assert dangling(program, state) == [], switch
