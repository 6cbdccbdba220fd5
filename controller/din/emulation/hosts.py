# SPDX-License-Identifier: Apache-2.0
"""Hosts as the fabric expects them: routes to their leaf, service addresses on loopback, files of names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from typing import Any, Final

from mininet.node import Host

from .errors import EmulationError, run_in

Interface = IPv4Interface | IPv6Interface
_IPV6: Final = Path("/proc/sys/net/ipv6")

#: Answer for an address on the interface that has it, and ask with that interface's own: a service address on
#: loopback is every instance's, as servers behind a load balancer with direct return have it.
_SETTINGS = """\
set_if() { if [ -e /proc/sys/net/$1 ]; then echo $2 >/proc/sys/net/$1; fi; }
set_if ipv4/conf/all/arp_ignore 1
set_if ipv4/conf/all/arp_announce 2
set_if ipv4/conf/all/rp_filter 0
set_if ipv4/conf/default/rp_filter 0
set_if ipv6/conf/all/disable_ipv6 0
set_if ipv6/conf/default/disable_ipv6 0
set_if ipv6/conf/all/accept_dad 0
set_if ipv6/conf/default/accept_dad 0
set_if ipv6/conf/all/accept_ra 0
set_if ipv6/conf/default/accept_ra 0
"""


@dataclass(frozen=True)
class Attachment:
    """A host's addresses, its leaf's that lead out, and those of services that it answers for."""

    addresses: Sequence[Interface]
    gateways: Sequence[Interface] = ()
    services: Sequence[str] = ()
    vlan: int = 0


class DinHost(Host):  # type: ignore[misc]
    """A host with one access link, its first interface. Without ``attachment`` it is one of Mininet's.

    With ``inNamespace=False`` it is a collector: its addresses are in the switches' namespace, where the
    controller is, and without routes, since nothing is ever answered from there.
    """

    def __init__(self, name: str, attachment: Attachment | None = None, **params: Any) -> None:
        self.attachment = attachment
        super().__init__(name, **params)

    def config(self, **params: Any) -> dict[str, Any]:
        """EmulationError: the kernel refuses."""
        if self.attachment is None:
            return dict(super().config(**params))
        device = self.defaultIntf().name
        if self.inNamespace:
            commands = host_commands(self.attachment, device)
            try:
                run_in(self, _SETTINGS + _batch(["link set lo up", *commands]))
            except EmulationError as error:
                why = explain(self.attachment, str(error), has_ipv6=_IPV6.exists())
                raise EmulationError(f"host {self.name} {why or f'was not set up: {error}'}") from None
        else:
            run_in(self, _batch([f"address add {a.ip} dev {device}" for a in self.attachment.addresses]))
        first = self.attachment.addresses[0]
        self.defaultIntf().ip, self.defaultIntf().prefixLen = str(first.ip), first.network.prefixlen
        return {}


def explain(attachment: Attachment, said: str, has_ipv6: bool) -> str:
    """What a host wants and this kernel has not, if that is why it refused (``said``); else nothing."""
    if attachment.vlan and "Unknown device type" in said:
        return (
            "is in a VLAN, but this kernel has no VLAN interfaces: `modprobe 8021q`, or take a kernel that "
            "has that module"
        )
    if not has_ipv6 and any(":" in str(each) for each in (*attachment.addresses, *attachment.services)):
        return (
            "or a service of it has IPv6 addresses, but this kernel is without IPv6 (ipv6.disable=1): boot "
            "it without that, or leave IPv6 addresses out of the model"
        )
    return ""


def host_commands(attachment: Attachment, device: str) -> list[str]:
    """For ``ip -batch``."""
    commands = []
    if attachment.vlan:
        tagged = f"vlan{attachment.vlan}"
        commands.append(f"link add link {device} name {tagged} type vlan id {attachment.vlan}")
        commands.append(f"link set {tagged} up")
        device = tagged
    for address in attachment.addresses:
        nodad = " nodad" if address.version == 6 else ""
        commands.append(f"address add {address} dev {device}{nodad}")
    for gateway in attachment.gateways:
        # "default" would be IPv4's, whatever the gateway.
        everywhere = "0.0.0.0/0" if gateway.version == 4 else "::/0"
        commands.append(f"route add {everywhere} via {gateway.ip} dev {device}")
    commands += [f"address add {address} dev lo" for address in attachment.services]
    return commands


def answer_for(host: Any, services: Sequence[str], before: Sequence[str]) -> None:
    """Have a host answer for these services' addresses, and for none of ``before`` any more.

    EmulationError: the kernel refuses. What somebody has added or removed by hand already is no reason to.
    """
    gone = [f"ip address delete {each} dev lo 2>/dev/null || :" for each in before if each not in services]
    script = "\n".join([*gone, *(f"ip address replace {each} dev lo" for each in services)])
    run_in(host, script + "\n")


def _batch(commands: Sequence[str]) -> str:
    lines = "\n".join(commands)
    return f"ip -batch - <<'END'\n{lines}\nEND\n"
