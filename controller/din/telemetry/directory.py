# SPDX-License-Identifier: Apache-2.0
"""What the numbers and addresses of reports are called in a model."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Final

from din.model.ids import Ids
from din.model.network import Model
from din.model.topology import Role
from din.model.wiring import Wiring
from din.p4rt.compile.context import CLASS_OF
from din.packet.constants import DropReason

#: What has no name: of a model that is gone, or of nobody's.
UNKNOWN: Final = "unknown"
_MAPPED: Final = b"\0" * 10 + b"\xff\xff"


def packed(address: IPv4Address | IPv6Address) -> bytes:
    """16 bytes, IPv4 mapped: as `din.telemetry.quoted.Flows` has them."""
    return _MAPPED + address.packed if address.version == 4 else address.packed


def unpacked(address: bytes) -> str:
    """The reverse, as text."""
    found = IPv6Address(address)
    return str(found.ipv4_mapped or found)


class Directory:
    """Of one revision. Lookups of what is not there give None, or `UNKNOWN` where a name is asked for."""

    def __init__(self, model: Model, ids: Ids, wiring: Wiring) -> None:
        self.model = model
        self.wiring = wiring
        self.nodes = {ids.of("node", each.name): each.name for each in model.switches}
        #: Addresses that their reports come from.
        self.report_sources = frozenset(str(model.fabric.report_sources[number]) for number in self.nodes)
        self.services = {ids.of("service", each.name): each for each in model.services}
        self.instances = {ids.of("instance", each.name): each for each in model.instances}
        self.tenants = {ids.of("tenant", each.name): each.name for each in model.tenants}
        self.labels = {ids.of("label", each.name): each.name for each in model.labels}
        self.collectors = {ids.of("collector", each.name): each.name for each in model.telemetry.collectors}
        self.leaf_of_instance = {each.name: model.host[each.host].leaf for each in model.instances}
        #: Classes that services' requests and responses have.
        self.classes = frozenset(CLASS_OF[each.traffic_class] for each in model.services)
        self.rates = {hop.key: hop.link.rate for hop in wiring.hops}
        #: Which end of a connection is the service's.
        self._serving = {packed(address) for service in model.services for address in service.addresses} | {
            packed(each.ip) for instance in model.instances for each in model.host[instance.host].addresses
        }
        self._hosts = {packed(each.ip): host.leaf for host in model.hosts for each in host.addresses}
        self._networks = [
            (_network(each.network.with_prefixlen), leaf.name)
            for leaf in model.switches
            if leaf.role is Role.LEAF
            for each in leaf.gateways
        ]

    def node(self, number: int) -> str:
        return self.nodes.get(number, UNKNOWN)

    def service(self, number: int) -> str | None:
        found = self.services.get(number)
        return found.name if found else None

    def instance(self, number: int) -> str | None:
        found = self.instances.get(number)
        return found.name if found else None

    def is_serving(self, address: bytes) -> bool:
        """A service's address, or that of an instance's host."""
        return address in self._serving

    def leaf_of_client(self, address: bytes) -> str | None:
        """By the host that has it, else by the leaf whose network it is in."""
        found = self._hosts.get(address)
        if found is not None:
            return found
        value = IPv6Address(address)
        return next((leaf for network, leaf in self._networks if value in network), None)


def reason(number: int) -> str:
    """A drop reason's name."""
    try:
        return DropReason(number).name.lower()
    except ValueError:
        return UNKNOWN


def _network(prefix: str) -> IPv6Network:
    if ":" in prefix:
        return IPv6Network(prefix)
    address, _, length = prefix.partition("/")
    return IPv6Network((packed(IPv4Address(address)), 96 + int(length)))
