# SPDX-License-Identifier: Apache-2.0
"""Addresses: which may be used for what, and each for one thing."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

from din.model.network import Model
from din.model.problem import Path, Problem, Severity
from din.model.service import Affinity
from din.model.topology import Host
from din.packet.constants import SID_BLOCK_PREFIX

_Address = IPv4Address | IPv6Address
_Network = IPv4Network | IPv6Network

#: Nobody's own address.
_SPECIAL: Final[tuple[tuple[str, str], ...]] = (
    ("0.0.0.0/8", "this network"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
    ("::/127", "unspecified or loopback"),
    ("::ffff:0:0/96", "IPv4-mapped, which the data plane keeps for IPv4"),
    ("fe80::/10", "link-local"),
    ("ff00::/8", "multicast"),
    (SID_BLOCK_PREFIX, "of the block of segment identifiers"),
)
_SPECIAL_NETWORKS: Final = tuple((ip_network(prefix), meaning) for prefix, meaning in _SPECIAL)


def _unusable(at: Path, address: _Address) -> Iterator[Problem]:
    for network, meaning in _SPECIAL_NETWORKS:
        if address in network:
            yield Problem(at, f"{address} is {meaning}", "choose a unicast address that is routed")
    if isinstance(address, IPv6Address) and address.scope_id:
        yield Problem(at, f"{address} has a scope", "leave out what is behind the %")


def _overlap(a: _Network, b: _Network) -> bool:
    return a.version == b.version and a.overlaps(b)


def _is_end(address: _Address, network: _Network) -> bool:
    """The network's own address, or its broadcast address."""
    return (
        isinstance(network, IPv4Network)
        and network.prefixlen < 31
        and address in (network.network_address, network.broadcast_address)
    )


def check_gateways(model: Model) -> Iterator[Problem]:
    """Gateways, and networks that are ours alone."""
    taken: list[tuple[_Network, str]] = []
    own = {
        "management.network": model.management.network,
        "fabric.report_sources": model.fabric.report_sources,
    }
    for index, switch in enumerate(model.switches):
        for place, gateway in enumerate(switch.gateways):
            at: Path = ("switches", index, "gateways", place)
            yield from _unusable(at, gateway.ip)
            if _is_end(gateway.ip, gateway.network):
                yield Problem(
                    at, f"{gateway.ip} is no host's address in {gateway.network}", "the next one is"
                )
            if gateway.network.prefixlen == gateway.network.max_prefixlen:
                yield Problem(
                    at, f"{gateway} has no room for hosts", "give the length of its network's prefix"
                )
            for name, network in own.items():
                if _overlap(gateway.network, network):
                    yield Problem(
                        at, f"{gateway.network} overlaps {name}, {network}", "choose another network"
                    )
            for other, leaf in taken:
                if _overlap(gateway.network, other):
                    message = f"{gateway.network} overlaps {other} of {leaf}"
                    yield Problem(at, message, "a network is one leaf's, with one gateway")
            taken.append((gateway.network, switch.name))
    (first, sources), (second, management) = own.items()
    if sources.overlaps(management):
        yield Problem(("management", "network"), f"{first} overlaps {second}", "choose another network")
    needed = len(model.hosts) + 1
    if (room := model.management.network.num_addresses - 2) < needed:
        message = f"{needed} addresses are needed, and {model.management.network} has {max(room, 0)}"
        yield Problem(("management", "network"), message, "choose a wider network")
    if (room := model.fabric.report_sources.num_addresses - 2) < len(model.switches):
        message = (
            f"{len(model.switches)} switches, and {model.fabric.report_sources} has {max(room, 0)} addresses"
        )
        yield Problem(("fabric", "report_sources"), message, "choose a wider network")


def check_hosts(model: Model) -> Iterator[Problem]:
    """A host's addresses are of its leaf's networks, and its own."""
    taken: dict[_Address, str] = {
        gateway.ip: switch.name for switch in model.switches for gateway in switch.gateways
    }
    macs: dict[str, str] = {}
    for index, host in enumerate(model.hosts):
        leaf = model.switch.get(host.leaf)
        gateways = leaf.gateways if leaf else []
        for place, interface in enumerate(host.addresses):
            at: Path = ("hosts", index, "addresses", place)
            yield from _unusable(at, interface.ip)
            if (other := taken.setdefault(interface.ip, host.name)) != host.name:
                yield Problem(at, f"{interface.ip} is an address of {other}, too", "give each its own")
            elif interface.ip in (earlier.ip for earlier in host.addresses[:place]):
                yield Problem(at, f"{interface.ip} is given twice", "leave one out")
            network = next((gateway.network for gateway in gateways if interface.ip in gateway.network), None)
            if leaf and network is None:
                networks = ", ".join(str(gateway.network) for gateway in gateways) or "none"
                message = f"{interface.ip} is in no network of {leaf.name}"
                yield Problem(at, message, f"its gateways have {networks}")
            elif network and interface.network != network:
                yield Problem(at, f"its network is {network}", f"{interface.ip}/{network.prefixlen}")
            elif network and _is_end(interface.ip, network):
                yield Problem(at, f"{interface.ip} is no host's address in {network}", "choose another")
        yield from _option(model, ("hosts", index, "option_required"), host)
        if host.mac is None:
            continue
        at = ("hosts", index, "mac")
        if int(host.mac[:2], 16) & 1 or host.mac == "00:00:00:00:00:00":
            yield Problem(at, f"{host.mac} is no station's address", "the first byte is even, as in 02:…")
        if (other := macs.setdefault(host.mac, host.name)) != host.name:
            yield Problem(at, f"{host.mac} is {other}'s, too", "give each its own")


def _option(model: Model, at: Path, host: Host) -> Iterator[Problem]:
    """A host whose every packet must bear a DIN option can send one."""
    if not host.option_required:
        return
    if not any(tenant.keys for tenant in model.tenants if tenant.name == host.tenant):
        message = f"{host.tenant} has no key, so every packet of {host.name} would be dropped"
        yield Problem(at, message, f"add one to tenants, under {host.tenant}: keys")
    for interface in host.addresses:
        if interface.version == 4:
            message = f"packets from {interface.ip} would be dropped: IPv4 has no DIN option"
            yield Problem(at, message, "leave out the IPv4 address", Severity.WARNING)


def check_service_addresses(model: Model) -> Iterator[Problem]:
    """Off-link, no host's, and with their port of one service."""
    hosts = {interface.ip: host.name for host in model.hosts for interface in host.addresses}
    taken: dict[tuple[_Address, int], str] = {}
    by_address: dict[_Address, str] = {}
    networks: list[tuple[_Network, str]] = [
        (model.management.network, "management.network"),
        (model.fabric.report_sources, "fabric.report_sources"),
    ]
    for switch in model.switches:
        networks += [(gateway.network, f"a network of {switch.name}") for gateway in switch.gateways]
    for index, service in enumerate(model.services):
        for place, address in enumerate(service.addresses):
            at: Path = ("services", index, "addresses", place)
            yield from _unusable(at, address)
            if address in service.addresses[:place]:
                yield Problem(at, f"{address} is given twice", "leave one out")
            other = taken.setdefault((address, service.port), service.name)
            if other != service.name:
                yield Problem(
                    at, f"{address} port {service.port} is {other}'s, too", "choose another address or port"
                )
            if service.affinity is Affinity.CLIENT:
                other = by_address.setdefault(address, service.name)
                if other != service.name:
                    message = f"{other} has affinity: client at {address}, too"
                    hint = "fragments have no port to tell them by: choose another address"
                    yield Problem(at, message, hint)
            if address in hosts:
                message = f"{address} is {hosts[address]}'s"
                yield Problem(at, message, "a service's address is anycast: no host has it by itself")
                continue
            for network, name in networks:
                if address in network:
                    hint = (
                        "a service's address is outside of all networks, so that hosts send it to their leaf"
                    )
                    yield Problem(at, f"{address} is in {network}, {name}", hint)
                    break


def check_families(model: Model) -> Iterator[Problem]:
    """Instances have what it takes to be reached and to answer."""
    for index, instance in enumerate(model.instances):
        service, host = model.service.get(instance.service), model.host.get(instance.host)
        if service is None or host is None:
            continue
        at: Path = ("instances", index, "host")
        versions = {interface.version for interface in host.addresses}
        for version in sorted({address.version for address in service.addresses} - versions):
            message = f"{service.name} has an IPv{version} address, and {host.name} has none"
            yield Problem(at, message, "its answers would have no way: give it one")
        if instance.rewrite and not len(service.addresses) == len(host.addresses) == 1:
            message = "to rewrite, service and host have one address each"
            hint = f"{service.name} has {len(service.addresses)}, {host.name} {len(host.addresses)}"
            yield Problem(("instances", index, "rewrite"), message, hint)
