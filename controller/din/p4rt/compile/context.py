# SPDX-License-Identifier: Apache-2.0
"""What every part of the compiler looks at, and the few numbers that they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from typing import Final, TypeAlias

from din.model.ids import FUNCTION_BASE, LOOKUP_FUNCTION, Ids, function_kind, host_function, instance_function
from din.model.network import Model
from din.model.policy import InstanceChoice
from din.model.service import Instance, Service, TrafficClassName
from din.model.topology import Host, Role
from din.model.wiring import Hop, Wiring
from din.packet.constants import CLASS_REPORT, DIN_SID_BLOCK, LABEL_UNKNOWN, SID_COUNT, TrafficClass
from din.steering.buckets import Bucket
from din.steering.plan import Plan, Route

IPInterface: TypeAlias = IPv4Interface | IPv6Interface
IPNetwork: TypeAlias = IPv4Network | IPv6Network

TCP: Final = 6
#: What `paths` and `destinations` count: path targets.
TARGET_INSTANCE: Final = 1
TARGET_LEAF: Final = 2
#: Classes a host's traffic may have.
CLASSES: Final = tuple(sorted(TrafficClass))
REPORT_CLASSES: Final = tuple(CLASS_REPORT | each for each in CLASSES)

CLASS_OF: Final[Mapping[str, TrafficClass]] = {
    TrafficClassName.BEST_EFFORT: TrafficClass.BEST_EFFORT,
    TrafficClassName.TRAINING: TrafficClass.TRAINING,
    TrafficClassName.KV_TRANSFER: TrafficClass.KV_TRANSFER,
    TrafficClassName.SCHEDULED: TrafficClass.SCHEDULED,
    TrafficClassName.DETERMINISTIC: TrafficClass.DETERMINISTIC,
}

#: (leaf, what the group is for) -> its buckets.
Buckets = Mapping[tuple[str, tuple[str, str, str, str]], tuple[Bucket, ...]]


class TooManySegmentsError(ValueError):
    """A route that does not fit one NEXT-CSID list."""


def mapped(address: IPv4Address | IPv6Address | IPv4Interface | IPv6Interface) -> int:
    """As tables have addresses: IPv4 in its IPv4-mapped form (RFC 4291, 2.5.5.2)."""
    value = int(address.ip) if isinstance(address, IPv4Interface | IPv6Interface) else int(address)
    return value | 0xFFFF << 32 if address.version == 4 else value


def mapped_length(length: int, version: int) -> int:
    """Of a prefix, among mapped addresses."""
    return length + 96 if version == 4 else length


def mac_number(text: str) -> int:
    return int(text.replace(":", ""), 16)


@dataclass(frozen=True)
class Secrets:
    """(tenant, key ID, epoch's low byte) -> (key, classes as a bitmap)."""

    keys: Mapping[tuple[str, int, int], tuple[bytes, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Context:
    """The input of every part."""

    model: Model
    wiring: Wiring
    ids: Ids
    plan: Plan
    buckets: Buckets
    secrets: Secrets = Secrets()
    #: Links that are down, by (switch, egress port).
    down: frozenset[tuple[str, int]] = frozenset()
    #: Of a switch's ports, where there are other than the data plane wants.
    queues: Mapping[str, int] = field(default_factory=dict)

    # ---- numbers -------------------------------------------------------------------------------------------

    def node(self, switch: str) -> int:
        return self.ids.of("node", switch)

    def zone(self, switch: str) -> int:
        return self.ids.of("zone", self.model.zone_of(switch))

    def host_function(self, host: Host) -> int:
        return self.ids.of(function_kind(host.leaf), host_function(host.name))

    def instance_function(self, instance: str) -> int:
        leaf = self.leaf_of(instance)
        return self.ids.of(function_kind(leaf), instance_function(instance))

    def leaf_mac(self, leaf: str) -> int:
        """Of a leaf towards its hosts."""
        return mac_number(self.wiring.port_mac(leaf, 0))

    # ---- segments (RFC 9800) -------------------------------------------------------------------------------

    def node_sid(self, switch: str) -> int:
        """A node's SID as an address: block, node, zeros."""
        return DIN_SID_BLOCK << 96 | self.node(switch) << 80

    def segments(self, route: Route, function: int) -> int:
        """All nodes of a route, and the last one's function. TooManySegmentsError: more than fit."""
        ids = [*(self.node(each) for each in route.nodes), FUNCTION_BASE + function]
        if len(ids) > SID_COUNT:
            raise TooManySegmentsError(
                f"{route} has {len(ids) - 1} nodes; a SID list has room for {SID_COUNT - 1}"
            )
        value = DIN_SID_BLOCK << 96
        for place, number in enumerate(ids):
            value |= number << (80 - 16 * place)
        return value

    def via(self, route: Route, function: int) -> dict[str, int]:
        """Parameters of the action `via`."""
        assert route.hops
        return {
            "segments": self.segments(route, function),
            "mtu": min(hop.mtu for hop in route.hops),
            "zone": self.zone(route.nodes[-1]),
            "base_latency": route.base_latency,
        }

    def via_leaf(self, route: Route) -> dict[str, int]:
        return self.via(route, LOOKUP_FUNCTION)

    # ---- who is where --------------------------------------------------------------------------------------

    @cached_property
    def leaves(self) -> list[str]:
        return [each.name for each in self.model.switches if each.role is Role.LEAF]

    def leaf_of(self, instance: str) -> str:
        return self.model.host[self.model.instance[instance].host].leaf

    def is_leaf(self, switch: str) -> bool:
        return self.model.switch[switch].role is Role.LEAF

    def hosts(self, switch: str) -> list[tuple[int, Host]]:
        """Ports and hosts."""
        return self._hosts.get(switch, [])

    @cached_property
    def _hosts(self) -> dict[str, list[tuple[int, Host]]]:
        found: dict[str, list[tuple[int, Host]]] = {}
        for host in self.model.hosts:
            found.setdefault(host.leaf, []).append((self.wiring.host_ports[host.name], host))
        return found

    def instances_on(self, host: str) -> list[Instance]:
        return self._instances.get(host, [])

    @cached_property
    def _instances(self) -> dict[str, list[Instance]]:
        found: dict[str, list[Instance]] = {}
        for instance in self.model.instances:
            found.setdefault(instance.host, []).append(instance)
        return found

    @cached_property
    def prefixes(self) -> dict[str, dict[IPNetwork | None, list[tuple[str, IPInterface]]]]:
        """Leaf -> its prefixes -> (host, address) in them; None: those in no prefix of the leaf."""
        found: dict[str, dict[IPNetwork | None, list[tuple[str, IPInterface]]]] = {}
        for leaf in self.leaves:
            networks = [each.network for each in self.model.switch[leaf].gateways]
            here = found[leaf] = {}
            for _, host in self.hosts(leaf):
                for address in host.addresses:
                    prefix = next((each for each in networks if address.ip in each), None)
                    here.setdefault(prefix, []).append((host.name, address))
        return found

    def hops(self, switch: str) -> list[Hop]:
        return list(self.wiring.hops_of(switch))

    # ---- who may what --------------------------------------------------------------------------------------

    def clients_of(self, service: Service) -> set[str]:
        """Tenants."""
        return {service.tenant, *service.clients}

    @cached_property
    def label_zones(self) -> dict[int, set[str]]:
        """Label -> zones that it may be in. What is not known (in reports) may be where all may."""
        every = {each.name for each in self.model.zones}
        found = {0: every} | {self.ids.label(each.name): set(each.zones) for each in self.model.labels}
        return found | {LABEL_UNKNOWN: set.intersection(*found.values())}

    @property
    def clients_choose(self) -> bool:
        """Clients address instances themselves, so these are open to them."""
        return self.model.steering.instances is InstanceChoice.CLIENT

    def visible(self, tenant: str) -> list[Host]:
        """Hosts that a tenant's packets may be for: its own, and the clients of what it serves; and who
        serves it, where clients choose.
        """
        tenants = {tenant}
        servers: set[str] = set()
        for service in self.model.services:
            if service.tenant == tenant:
                tenants |= set(service.clients)
            if self.clients_choose and tenant in self.clients_of(service):
                servers |= {each.host for each in self.model.instances_of(service.name)}
        return [each for each in self.model.hosts if each.tenant in tenants or each.name in servers]
