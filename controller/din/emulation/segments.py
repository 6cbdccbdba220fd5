# SPDX-License-Identifier: Apache-2.0
"""A bridge for hosts that share a leaf's port, each in a VLAN of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mininet.node import Switch

from .errors import run
from .links import interface_name


class Segment(Switch):  # type: ignore[misc]
    """A Linux bridge that leaves tags alone."""

    def __init__(self, name: str, **params: Any) -> None:
        super().__init__(name, dpid="0", **{k: v for k, v in params.items() if k != "dpid"})
        self.bridge = interface_name(name, "br")

    def start(self, controllers: Iterable[Any] = ()) -> None:
        """EmulationError: the kernel refuses."""
        ports = [intf.name for intf in self.intfs.values() if intf.name != "lo"]
        commands = [f"link add {self.bridge} type bridge stp_state 0 forward_delay 0"]
        commands += [f"link set {port} master {self.bridge}" for port in ports]
        run(("ip", "-batch", "-"), "\n".join([*commands, f"link set {self.bridge} up"]))

    def stop(self, deleteIntfs: bool = True) -> None:
        run(("ip", "link", "del", self.bridge))
        super().stop(deleteIntfs)
