# SPDX-License-Identifier: Apache-2.0
"""Switches, ports and links: what is plugged where, what reaches what, and which packets fit."""

from __future__ import annotations

from collections.abc import Iterator

import networkx as nx

from din.model.network import Model
from din.model.problem import Path, Problem, Severity
from din.model.topology import Role, Target
from din.model.units import show_time
from din.model.wiring import LAST_PORT
from din.packet.constants import FABRIC_OVERHEAD, SID_COUNT

#: What every IPv6 path carries (RFC 8200, 5).
IPV6_MINIMUM_MTU = 1280
SMALLEST_FABRIC_MTU = IPV6_MINIMUM_MTU + FABRIC_OVERHEAD
LARGEST_MTU = 65_535
#: us. A path's latency has 32 bits.
LONGEST_DELAY = ((1 << 32) - 1) // (SID_COUNT - 1)


def fabric_graph(model: Model) -> nx.Graph[str]:
    """Switches and links, of which only those between switches that there are."""
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(model.switch)
    for link in model.links:
        a, b = (end.partition(":")[0] for end in link.between)
        if a in model.switch and b in model.switch:
            graph.add_edge(a, b)
    return graph


def delay_graph(model: Model) -> nx.Graph[str]:
    """Links with their ``delay``; of parallel ones, the shortest."""
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(model.switch)
    for link in sorted(model.links, key=lambda link: -link.delay):
        a, b = (end.partition(":")[0] for end in link.between)
        if a in model.switch and b in model.switch:
            graph.add_edge(a, b, delay=link.delay)
    return graph


def reached(graph: nx.Graph[str], start: str) -> set[str]:
    """Nodes that there is a way to, the start among them."""
    return set(nx.single_source_shortest_path_length(graph, start))


def leaves(model: Model) -> list[str]:
    return [switch.name for switch in model.switches if switch.role is Role.LEAF]


def check_switches(model: Model) -> Iterator[Problem]:
    """Roles, and how switches are reached."""
    if not leaves(model):
        yield Problem(("switches",), "none is a leaf", "hosts need one")
    reached: dict[tuple[str, int], str] = {}
    for index, switch in enumerate(model.switches):
        at: Path = ("switches", index)
        if switch.role is Role.TRANSIT and switch.gateways:
            yield Problem(
                (*at, "gateways"), f"{switch.name} is a transit node: it has no hosts", "leave them out"
            )
        if switch.target is Target.TOFINO and switch.address is None:
            message = f"{switch.name} is not emulated: where is its P4Runtime server?"
            yield Problem((*at, "address"), message, "as in 10.0.0.7:9559")
        if switch.address is None:
            continue
        other = reached.setdefault((switch.address, switch.device_id), switch.name)
        if other != switch.name:
            message = f"{switch.address}, device {switch.device_id}, is {other}"
            yield Problem((*at, "address"), message, "give each its own address or device_id")


def check_ports(model: Model) -> Iterator[Problem]:
    """Two things on one port, ports that there are not, links that lead nowhere."""
    links: dict[tuple[str, int], str] = {}
    for index, link in enumerate(model.links):
        ends = [end.partition(":") for end in link.between]
        if link.delay > LONGEST_DELAY:
            message = f"a delay of {show_time(link.delay)}"
            yield Problem(("links", index, "delay"), message, f"at most {show_time(LONGEST_DELAY)}")
        if ends[0][0] == ends[1][0]:
            yield Problem(("links", index, "between"), f"from {ends[0][0]} to itself", "name two switches")
        for side, (name, _, text) in enumerate(ends):
            at: Path = ("links", index, "between", side)
            if not text:
                continue
            port = int(text)
            if not 1 <= port <= LAST_PORT:
                yield Problem(at, f"{name} has no port {port}", f"ports are 1 to {LAST_PORT}")
            elif (name, port) in links:
                yield Problem(at, f"port {port} of {name} is taken by {links[name, port]}", "choose another")
            links.setdefault((name, port), f"links[{index}]")
    hosts: dict[tuple[str, int, int], str] = {}
    for index, host in enumerate(model.hosts):
        if host.port is None:
            continue
        at = ("hosts", index, "port")
        if (host.leaf, host.port) in links:
            user = links[host.leaf, host.port]
            yield Problem(at, f"port {host.port} of {host.leaf} is taken by {user}", "choose another")
        other = hosts.setdefault((host.leaf, host.port, host.vlan), host.name)
        if other != host.name:
            message = f"port {host.port} of {host.leaf} has {other}, in VLAN {host.vlan} as well"
            yield Problem(at, message, "choose another port or VLAN")
    for index, switch in enumerate(model.switches):
        ends_here = sum(end.partition(":")[0] == switch.name for link in model.links for end in link.between)
        hosts_here = [host for host in model.hosts if host.leaf == switch.name]
        shared = {host.port for host in hosts_here if host.port is not None}
        count = ends_here + len(shared) + sum(host.port is None for host in hosts_here)
        if count > LAST_PORT:
            message = f"{switch.name} has {count} links and hosts"
            yield Problem(("switches", index), message, f"a switch has {LAST_PORT} ports")


def check_paths(model: Model) -> Iterator[Problem]:
    """Each leaf reaches each other one, by a path that fits into an address."""
    graph = fabric_graph(model)
    position = {switch.name: index for index, switch in enumerate(model.switches)}
    names = leaves(model)
    for switch in model.switches:
        if switch.role is Role.TRANSIT and graph.degree(switch.name) < 2:
            at: Path = ("switches", position[switch.name])
            message = f"{switch.name} leads nowhere"
            yield Problem(at, message, "a transit node has two links or more", Severity.WARNING)
    if not names:
        return
    #: A function takes the last place.
    most = SID_COUNT - 1
    for first_index, first in enumerate(names):
        distances = nx.single_source_shortest_path_length(graph, first)
        for other in names[first_index + 1 :]:
            at = ("switches", position[other])
            if other not in distances:
                if first_index == 0:
                    yield Problem(at, f"no path from {first} to {other}", "add a link")
            elif distances[other] > most:
                message = f"{distances[other]} hops from {first} to {other}"
                yield Problem(at, message, f"a path has at most {most}: add a link between")


def check_mtu(model: Model) -> Iterator[Problem]:
    """What a tenant may send fits into the fabric, or is at least known not to."""
    fabric = model.fabric
    access = [
        (("hosts", index, "mtu"), host.mtu) for index, host in enumerate(model.hosts) if host.mtu is not None
    ]
    for at, mtu in [(("fabric", "access_mtu"), fabric.access_mtu), *access]:
        if not IPV6_MINIMUM_MTU <= mtu <= LARGEST_MTU:
            yield Problem(
                at, f"an MTU of {mtu} B", f"from {IPV6_MINIMUM_MTU} B (IPv6's least) to {LARGEST_MTU} B"
            )
    places: dict[Path, int] = {("fabric", "mtu"): fabric.mtu}
    for index, link in enumerate(model.links):
        if link.mtu is not None:
            places["links", index, "mtu"] = link.mtu
    largest = max([fabric.access_mtu if host.mtu is None else host.mtu for host in model.hosts], default=0)
    for at, mtu in places.items():
        if not SMALLEST_FABRIC_MTU <= mtu <= LARGEST_MTU:
            least = f"{SMALLEST_FABRIC_MTU} B (a tenant's {IPV6_MINIMUM_MTU} B, encapsulated)"
            hint = f"from {least} to {LARGEST_MTU} B"
            yield Problem(at, f"an MTU of {mtu} B", hint)
        elif mtu < largest + FABRIC_OVERHEAD:
            message = (
                f"hosts' packets of {largest} B do not fit into {mtu} B when encapsulated: MSS is clamped"
            )
            hint = f"{largest + FABRIC_OVERHEAD} B take them whole"
            yield Problem(at, message, hint, Severity.WARNING)
