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
        self._ports = [f"{BRIDGE}{number}" for number in range(1, len(members) + 1)]
        for port, (node, _) in zip(self._ports, members, strict=True):
            commands.append(f"link add {port} type veth peer name {INTERFACE} netns {node.pid}")
            commands.append(f"link set {port} master {BRIDGE} up")
        run(("ip", "-batch", "-"), "\n".join(commands))
        for node, address in members:
            run_in(
                node,
                f"ip address add {address}/{network.prefixlen} dev {INTERFACE}\nip link set {INTERFACE} up\n",
            )

    def stop(self) -> None:
        """Hosts' interfaces go with their other ends."""
        run(("ip", "-batch", "-"), "\n".join(f"link del {each}" for each in (*self._ports, BRIDGE)))
