# SPDX-License-Identifier: Apache-2.0
"""A model as a Mininet topology: ``Mininet(DinTopo(model=…, wiring=…, …), controller=None)``.

Interfaces are ``<switch>-eth<port>``, with the port numbers and MAC addresses of the model's `Wiring`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from mininet.topo import Topo

from ..model.network import Model
from ..model.topology import Host, Switch, Target
from ..model.wiring import Wiring
from .errors import EmulationError
from .hosts import Attachment, DinHost
from .links import PlainLink, PortLink, WireLink
from .segments import Segment
from .switches import Bmv2Switch, P4jitSwitch, ServerTls

#: P4Runtime servers' ports begin here, in the order of the model.
FIRST_PORT: Final = 50001


class DinTopo(Topo):  # type: ignore[misc]
    """Switches, hosts and links. ``files`` is the folder that the model's files are relative to."""

    def build(self, model: Model, wiring: Wiring, folder: Path, target: Target, files: Path) -> None:
        classes = {Target.P4JIT: (P4jitSwitch, PortLink), Target.BMV2: (Bmv2Switch, WireLink)}
        if target not in classes:
            raise EmulationError(f"{target} is not emulated: take {' or '.join(classes)}")
        switch_class, link_class = classes[target]
        for index, switch in enumerate(model.switches):
            self.addSwitch(
                switch.name,
                cls=switch_class,
                device_id=switch.device_id,
                address=f"127.0.0.1:{FIRST_PORT + index}",
                tls=server_tls(model, switch, files),
                folder=folder,
            )
        collectors = {each.host for each in model.telemetry.collectors}
        for host in model.hosts:
            self.addHost(
                host.name,
                cls=DinHost,
                inNamespace=host.name not in collectors,
                attachment=attachment(model, host),
            )
        # Both directions are one link.
        for hop in wiring.hops[::2]:
            self.addLink(
                hop.src,
                hop.dst,
                port1=hop.src_port,
                port2=hop.dst_port,
                cls=link_class,
                addr1=wiring.port_mac(hop.src, hop.src_port),
                addr2=wiring.port_mac(hop.dst, hop.dst_port),
                mtu=hop.mtu,
                rate=hop.link.rate,
                delay=hop.link.delay,
            )
        self._add_access_links(model, wiring)

    def _add_access_links(self, model: Model, wiring: Wiring) -> None:
        """A port's hosts: one, or several in VLANs behind a bridge."""
        sharing: dict[tuple[str, int], list[Host]] = defaultdict(list)
        for host in model.hosts:
            sharing[host.leaf, wiring.host_ports[host.name]].append(host)
        for (leaf, port), hosts in sharing.items():
            ends: dict[str, Any] = {"port1": port, "addr1": wiring.port_mac(leaf, port)}
            node = leaf
            if len(hosts) > 1:
                node = self.addSwitch(f"{leaf}-p{port}", cls=Segment)
                mtu = max(access_mtu(model, host) for host in hosts)
                self.addLink(leaf, node, cls=PlainLink, mtu=mtu, **ends)
                ends = {}
            for host in hosts:
                link: dict[str, Any] = {"cls": PlainLink}
                if host.rate is not None or host.delay:
                    link = {"cls": WireLink, "rate": host.rate, "delay": host.delay}
                mac, mtu = wiring.host_mac(host), access_mtu(model, host)
                self.addLink(node, host.name, port2=0, addr2=mac, mtu=mtu, **ends, **link)


def access_mtu(model: Model, host: Host) -> int:
    """Bytes of IP packet on a host's link."""
    return host.mtu or model.fabric.access_mtu


def attachment(model: Model, host: Host) -> Attachment:
    """EmulationError: the leaf has no address in the prefix of one of the host's."""
    return Attachment(host.addresses, _gateways(model, host), services_of(model, host), host.vlan)


def services_of(model: Model, host: Host) -> list[str]:
    """Addresses that a host answers for, as those of services that it has instances of."""
    found: list[str] = []
    for instance in model.instances:
        if instance.host == host.name and not instance.rewrite:
            found += map(str, model.service[instance.service].addresses)
    return list(dict.fromkeys(found))


def built(model: Model, wiring: Wiring, files: Path) -> dict[str, object]:
    """What of a model an emulation is made of, by name, and cannot change while it runs; service addresses
    and names it can."""
    collectors = {each.host for each in model.telemetry.collectors}
    found: dict[str, object] = {"management network": model.management.network}
    for switch in model.switches:
        found[f"switch {switch.name}"] = switch.device_id, server_tls(model, switch, files)
    for hop in wiring.hops[::2]:
        name = f"link {hop.src}:{hop.src_port} - {hop.dst}:{hop.dst_port}"
        found[name] = hop.mtu, hop.link.rate, hop.link.delay
    for host in model.hosts:
        found[f"host {host.name}"] = (
            (host.leaf, wiring.host_ports[host.name], wiring.host_mac(host), host.name in collectors),
            replace(attachment(model, host), services=()),
            (access_mtu(model, host), host.rate, host.delay),
            wiring.management_address(host.name),
        )
    return found


def _gateways(model: Model, host: Host) -> Sequence[Any]:
    """The leaf's addresses that lead out, one a family."""
    found: dict[int, Any] = {}
    for address in host.addresses:
        offered = model.switch[host.leaf].gateways
        matching = [
            each for each in offered if each.version == address.version and address.ip in each.network
        ]
        if not matching:
            have = ", ".join(map(str, offered)) or "none"
            raise EmulationError(
                f"host {host.name}: {address} is in the prefix of no gateway of {host.leaf} ({have})"
            )
        found.setdefault(address.version, matching[0])
    return list(found.values())


def server_tls(model: Model, switch: Switch, files: Path) -> ServerTls | None:
    """An emulated switch shows the controller's own certificate: there is one key pair in the model."""
    tls = switch.tls or model.management.tls
    if tls is None:
        return None
    return ServerTls(files / tls.certificate, files / tls.key, files / tls.ca)
