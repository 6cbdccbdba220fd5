# SPDX-License-Identifier: Apache-2.0
"""The network beside the fabric: a bridge with the controller's address, and a second link of each host."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Final

from .errors import run, run_in

BRIDGE: Final = "management"
#: A host's interface.
INTERFACE: Final = "mgmt0"


class ManagementNetwork:
    """Made at once; `stop` removes it."""

    def __init__(
        self, network: IPv4Network, controller: IPv4Address, hosts: Iterable[tuple[Any, IPv4Address]]
    ) -> None:
        """``hosts`` are nodes with namespaces of their own. EmulationError: the kernel refuses."""
        commands = [
            f"link add {BRIDGE} type bridge stp_state 0 forward_delay 0",
            f"address add {controller}/{network.prefixlen} dev {BRIDGE}",
            f"link set {BRIDGE} up",
        ]
        members = list(hosts)
        for number, (node, _) in enumerate(members, 1):
            port = f"{BRIDGE}{number}"
            commands.append(f"link add {port} type veth peer name {INTERFACE} netns {node.pid}")
            commands.append(f"link set {port} master {BRIDGE} up")
        run(("ip", "-batch", "-"), "\n".join(commands))
        for node, address in members:
            run_in(
                node,
                f"ip address add {address}/{network.prefixlen} dev {INTERFACE}\nip link set {INTERFACE} up\n",
            )

    def stop(self) -> None:
        """Interfaces on the bridge go with their hosts."""
        run(("ip", "link", "del", BRIDGE))
