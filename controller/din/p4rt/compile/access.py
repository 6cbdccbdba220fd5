# SPDX-License-Identifier: Apache-2.0
"""A leaf's hosts: which addresses they may send from and are found at, who answers for their neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from ..entry import Lpm, State, Ternary, action, key
from .context import TCP, Context, IPNetwork, mac_number, mapped, mapped_length

_ALL = (1 << 128) - 1
_EXACT_PRIORITY, _OWN_PRIORITY, _PREFIX_PRIORITY = 30, 20, 10


def _mask(length: int) -> int:
    return _ALL >> (128 - length) << (128 - length)


def addresses(context: Context, switch: str) -> State:
    """Whom the leaf answers for in ARP, neighbour discovery and echo."""
    state: State = {}
    us = context.leaf_mac(switch)
    for gateway in context.model.switch[switch].gateways:
        where = key("addresses", _EXACT_PRIORITY, address=Ternary(mapped(gateway), _ALL))
        state[where] = action("answer_gateway", mac=us)
        # Hosts of one prefix on several ports are not on one link: the leaf stands in for those that are
        # elsewhere.
        length = mapped_length(gateway.network.prefixlen, gateway.version)
        network = Ternary(mapped(gateway.network.network_address), _mask(length))
        here = [
            (port, host, address)
            for port, host in context.hosts(switch)
            for address in host.addresses
            if address.version == gateway.version and address.ip in gateway.network
        ]
        if len({(port, host.vlan) for port, host, _ in here}) > 1:
            state[key("addresses", _PREFIX_PRIORITY, address=network)] = action("answer_neighbor", mac=us)
            for port, host, address in here:
                own = Ternary(mapped(address), _ALL)
                state[key("addresses", _OWN_PRIORITY, port=port, vid=host.vlan, address=own)] = action(
                    "ignore_address"
                )
    for service in context.model.services:
        for anycast in service.addresses:
            where = key("addresses", _EXACT_PRIORITY, address=Ternary(mapped(anycast), _ALL))
            state[where] = action("answer_service", mac=us)
    return state


def sources(context: Context, switch: str) -> State:
    """What each port may send from. Instances answer from their service's address, as the provider's."""
    state: State = {}
    for port, host in context.hosts(switch):
        permitted = {mapped(address): host.tenant for address in host.addresses}
        for instance in context.instances_on(host.name):
            service = context.model.service[instance.service]
            for anycast in service.addresses:
                if instance.rewrite:
                    own = next(each for each in host.addresses if each.version == anycast.version)
                    where = key(
                        "reverse_rewrites",
                        port=port,
                        src_addr=mapped(own),
                        protocol=TCP,
                        src_port=service.port,
                    )
                    state[where] = action("restore_source", service_addr=mapped(anycast))
                    permitted[mapped(own)] = service.tenant
                else:
                    permitted[mapped(anycast)] = service.tenant
        for address, tenant in permitted.items():
            state[key("sources", port=port, vid=host.vlan, src_addr=Lpm(address, 128))] = action(
                "permit",
                tenant=context.ids.of("tenant", tenant),
                label=context.ids.label(host.label),
                label_mandatory=int(host.label_mandatory),
                option_required=int(host.option_required),
            )
    return state


def infrastructure(context: Context) -> State:
    """Nobody but the fabric sends to its nodes."""
    network = context.model.fabric.report_sources
    prefix = Lpm(mapped(network.network_address), mapped_length(network.prefixlen, 4))
    return {key("infrastructure", dst_addr=prefix): action("refuse_destination")}


def functions(context: Context, switch: str) -> State:
    """The last step: to each host, and to each instance on it."""
    state: State = {}
    for port, host in context.hosts(switch):
        step = {
            "port": port,
            "dst_mac": mac_number(context.wiring.host_mac(host)),
            "src_mac": context.leaf_mac(switch),
            "vid": host.vlan,
            "mtu": host.mtu or context.model.fabric.access_mtu,
            "zone": context.zone(switch),
        }
        state[key("functions", function=context.host_function(host))] = action("deliver", instance=0, **step)
        for instance in context.instances_on(host.name):
            where = key("functions", function=context.instance_function(instance.name))
            number = context.ids.of("instance", instance.name)
            if instance.rewrite:
                (anycast,) = context.model.service[instance.service].addresses
                own = next(each for each in host.addresses if each.version == anycast.version)
                state[where] = action("deliver_rewritten", instance=number, dst_addr=mapped(own), **step)
            else:
                state[where] = action("deliver", instance=number, **step)
    return state


def _remote_prefixes(context: Context, leaf: str, visible: set[str]) -> Iterator[IPNetwork]:
    """Of a leaf's hosts that are ``visible``: its prefixes, where all in one are; else the hosts' own."""
    for prefix, addresses in context.prefixes[leaf].items():
        if prefix is not None and all(name in visible for name, _ in addresses):
            yield prefix
        else:
            yield from (ip_network(address.ip) for name, address in addresses if name in visible)


def destinations(context: Context, switch: str) -> State:
    """Where each tenant's hosts are, as far as anyone here sends to them; and the collectors."""
    state: State = {}
    senders: set[str] = set()
    for _, host in context.hosts(switch):
        senders.add(host.tenant)
        senders |= {context.model.service[each.service].tenant for each in context.instances_on(host.name)}
    for tenant in (each.name for each in context.model.tenants):
        number = context.ids.of("tenant", tenant)
        visible = context.visible(tenant)
        # Local ones also where no such tenant sends: what comes through the fabric is looked up here.
        for host in (each for each in visible if each.leaf == switch):
            for address in host.addresses:
                where = key("destinations", tenant=number, dst_addr=Lpm(mapped(address), 128))
                state[where] = action("to_function", function=context.host_function(host))
        if tenant not in senders:
            continue
        names = {each.name for each in visible}
        for leaf in context.leaves:
            if leaf == switch or not _reaches(context, switch, leaf):
                continue
            for prefix in _remote_prefixes(context, leaf, names):
                length = mapped_length(prefix.prefixlen, prefix.version)
                where = key(
                    "destinations", tenant=number, dst_addr=Lpm(mapped(prefix.network_address), length)
                )
                state[where] = action("to_leaf", leaf=context.node(leaf))
    for collector in context.model.telemetry.collectors:
        host = context.model.host[collector.host]
        address = next(each for each in host.addresses if each.version == 4)
        where = key("destinations", tenant=0, dst_addr=Lpm(mapped(address), 128))
        if host.leaf == switch:
            state[where] = action("to_function", function=context.host_function(host))
        elif _reaches(context, switch, host.leaf):
            state[where] = action("to_leaf", leaf=context.node(host.leaf))
    return state


def _reaches(context: Context, switch: str, leaf: str) -> bool:
    """An entry that leads to a leaf refers to a path: without one, hosts are told at once that there is no
    way.
    """
    return (switch, leaf, "") in context.plan.transport
