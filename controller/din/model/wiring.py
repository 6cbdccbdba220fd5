# SPDX-License-Identifier: Apache-2.0
"""What a model leaves open about the wires, filled in: port numbers, MAC addresses, management addresses.

Links that name no port get 1, 2, … and hosts 65, 66, … in the order of the file, and when those are used up
the first that are left; MAC addresses come from names, so that no edit changes them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import chain
from typing import Final

import networkx as nx

from .network import Model
from .topology import Host, Link

FIRST_LINK_PORT: Final = 1
FIRST_HOST_PORT: Final = 65
#: Highest: 510 is the CPU's, 511 means drop.
LAST_PORT: Final = 509


@dataclass(frozen=True)
class Hop:
    """A link in one direction."""

    src: str
    src_port: int
    dst: str
    dst_port: int
    link: Link
    mtu: int  # bytes of IP packet

    @property
    def key(self) -> tuple[str, int]:
        """(switch, egress port): what its measurements are known by."""
        return self.src, self.src_port

    def __str__(self) -> str:
        return f"{self.src}:{self.src_port} -> {self.dst}:{self.dst_port}"


def mac(*name: object) -> str:
    """A locally administered unicast address of that name."""
    digest = hashlib.sha256("/".join(map(str, name)).encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (0x02, *digest[:5]))


class Wiring:
    """ValueError: two things on one port, or an end without a switch (`din.model.check` says it better)."""

    def __init__(self, model: Model) -> None:
        self.model = model
        #: Switch -> port -> VLAN (None: a link, which has the port to itself) -> who uses it.
        self._used: dict[str, dict[int, dict[int | None, str]]] = {each.name: {} for each in model.switches}
        self.hops: list[Hop] = []
        self.host_ports: dict[str, int] = {}
        self._reserve_given()
        for link in model.links:
            ends = [self._end(endpoint, " - ".join(link.between)) for endpoint in link.between]
            mtu = model.fabric.mtu if link.mtu is None else link.mtu
            (a, a_port), (b, b_port) = ends
            self.hops += [Hop(a, a_port, b, b_port, link, mtu), Hop(b, b_port, a, a_port, link, mtu)]
        for host in model.hosts:
            self.host_ports[host.name] = host.port or self._free(host.leaf, FIRST_HOST_PORT, host.name)
        self._position = {host.name: index for index, host in enumerate(model.hosts)}
        self.by_port: dict[tuple[str, int], Hop] = {hop.key: hop for hop in self.hops}

    def _reserve_given(self) -> None:
        for link in self.model.links:
            for endpoint in link.between:
                switch, _, port = endpoint.partition(":")
                if port:
                    self._take(switch, int(port), " - ".join(link.between))
        for host in self.model.hosts:
            if host.port:
                self._take(host.leaf, host.port, host.name, host.vlan)

    def _take(self, switch: str, port: int, user: str, vlan: int | None = None) -> None:
        """``vlan``: of a host. Hosts in different VLANs may share a port."""
        if switch not in self._used:
            raise ValueError(f"{user}: there is no switch {switch}")
        if not 0 < port <= LAST_PORT:
            raise ValueError(f"{user}: port {port} of {switch}: ports are 1 to {LAST_PORT}")
        users = self._used[switch].setdefault(port, {})
        other = next((users[each] for each in users if vlan is None or each in (None, vlan)), None)
        if other is not None:
            raise ValueError(f"port {port} of {switch} is used by {other} and by {user}")
        users[vlan] = user

    def _free(self, switch: str, first: int, user: str) -> int:
        if switch not in self._used:
            raise ValueError(f"{user}: there is no switch {switch}")
        # Hosts beyond the last port have what links have left.
        ports = chain(range(first, LAST_PORT + 1), range(1, first))
        port = next((each for each in ports if each not in self._used[switch]), None)
        if port is None:
            raise ValueError(f"{user}: all {LAST_PORT} ports of {switch} are used")
        self._take(switch, port, user)
        return port

    def _end(self, endpoint: str, user: str) -> tuple[str, int]:
        switch, _, port = endpoint.partition(":")
        return switch, int(port) if port else self._free(switch, FIRST_LINK_PORT, user)

    # ---- addresses -----------------------------------------------------------------------------------------

    def port_mac(self, switch: str, port: int) -> str:
        return mac(switch, port)

    def host_mac(self, host: Host) -> str:
        return host.mac or mac(host.name)

    def management_address(self, host: str) -> IPv4Address:
        """The controller has the network's first. KeyError: no such host. IndexError: the network is full."""
        return self.model.management.network[2 + self._position[host]]

    @property
    def controller_address(self) -> IPv4Address:
        return self.model.management.network[1]

    # ---- structure -----------------------------------------------------------------------------------------

    def hops_of(self, switch: str) -> Iterator[Hop]:
        return (hop for hop in self.hops if hop.src == switch)

    def between(self, src: str, dst: str) -> list[Hop]:
        """Parallel links, if there are."""
        return [hop for hop in self.hops_of(src) if hop.dst == dst]

    def hosts_of(self, leaf: str) -> list[Host]:
        return [host for host in self.model.hosts if host.leaf == leaf]

    def graph(self) -> nx.MultiDiGraph[str]:
        """Switches, and their hops as attribute ``hop`` of edges keyed by egress port."""
        graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
        graph.add_nodes_from(each.name for each in self.model.switches)
        for hop in self.hops:
            graph.add_edge(hop.src, hop.dst, key=hop.src_port, hop=hop)
        return graph
