# SPDX-License-Identifier: Apache-2.0
"""Links as Mininet has them: veth pairs whose frames are as they would be on a wire.

A link's rate and delay are said with it: ``addLink(a, b, rate=10**8, delay=5000, mtu=9000)``, in bit/s, us
and bytes of IP packet. With `PortLink` a p4jit switch emulates them on its way out of a port; with
`WireLink`, for switches that cannot and for hosts, a process between two veth pairs does.
"""

from __future__ import annotations

import hashlib
import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from mininet.link import Intf, Link
from mininet.node import Switch

from .errors import EmulationError, run

#: Of an interface's name: IFNAMSIZ less the NUL.
_LONGEST: Final = 15
#: A switch must not see what a sender left to hardware that is not there.
_OFFLOADS: Final = "rx off tx off tso off gso off gro off rxvlan off txvlan off"
#: Frames under way on a link, at least; and the size that many small ones are taken to have.
_LIMIT: Final = 1000
_SMALL_FRAME_BITS: Final = 256 * 8

#: Of wires: their middles are all in one namespace.
_numbers = itertools.count(1)


def interface_name(node: str, suffix: str) -> str:
    """``leaf1-eth2``; of nodes whose names are too long, the beginning and a hash."""
    name = f"{node}-{suffix}"
    if len(name) <= _LONGEST:
        return name
    digest = hashlib.sha256(node.encode()).hexdigest()[:4]
    return f"{node[: _LONGEST - len(suffix) - 5]}{digest}-{suffix}"


def frames_under_way(rate: int | None, delay: int) -> int:
    """How many frames a link must have room for, ``rate`` in bit/s and ``delay`` in us."""
    return max(_LIMIT, (rate or 10**9) * delay // 10**6 // _SMALL_FRAME_BITS)


def silence(interface: str) -> None:
    """No IPv6 of the kernel's own on one of our interfaces; a kernel without IPv6 has no such setting."""
    setting = Path("/proc/sys/net/ipv6/conf") / interface / "disable_ipv6"
    if setting.exists():
        setting.write_text("1")


class PlainIntf(Intf):  # type: ignore[misc]
    """An end of a link. A switch's has no IPv6 of its own: all that leaves it, the switch has sent."""

    def config(self, up: bool = True, **params: Any) -> dict[str, Any]:
        """EmulationError: the kernel refuses."""
        commands = [f"ethtool -K {self.name} {_OFFLOADS} >/dev/null"]
        if isinstance(self.node, Switch):
            setting = f"/proc/sys/net/ipv6/conf/{self.name}/disable_ipv6"
            commands.append(f"if [ -e {setting} ]; then echo 1 >{setting}; fi")
        if up:
            commands.append(f"ip link set {self.name} up")
        said = self.cmd(" && ".join(commands)).strip()
        if said:
            raise EmulationError(f"interface {self.name}: {said}")
        return {}


class PlainLink(Link):  # type: ignore[misc]
    """A veth pair between two nodes; ``mtu`` in bytes of IP packet."""

    def __init__(self, node1: Any, node2: Any, *, mtu: int = 1500, **params: Any) -> None:
        self.mtu = mtu
        params["intf"] = PlainIntf
        super().__init__(node1, node2, **params)

    def intfName(self, node: Any, n: int) -> str:
        return interface_name(node.name, f"eth{n}")

    @property
    def names(self) -> tuple[str, str]:
        return self.intf1.name, self.intf2.name

    def carriers(self, intf: Any) -> tuple[str, ...]:
        """What is to be taken down, of interfaces here, so that both ends see the link fail; ``intf`` is one
        of them."""
        return (intf.name,)

    def makeIntfPair(
        self, intfname1: str, intfname2: str, addr1: str, addr2: str, node1: Any, node2: Any, **_: Any
    ) -> None:
        """Each end in its node's namespace. EmulationError: the kernel refuses."""
        one, other = (
            f"name {name} mtu {self.mtu} address {address} netns {node.pid}"
            for name, address, node in ((intfname1, addr1, node1), (intfname2, addr2, node2))
        )
        run(("ip", "link", "add", *one.split(), "type", "veth", "peer", *other.split()))

    def delete(self) -> None:
        """One end takes the other with it."""
        self.intf1.delete()
        self.intf2.node.delIntf(self.intf2)


class PortLink(PlainLink):
    """A veth pair whose rate and delay its switches emulate."""


class WireLink(PlainLink):
    """Two veth pairs with ``p4jit wire`` between them, which emulates rate and delay."""

    def __init__(
        self, node1: Any, node2: Any, *, rate: int | None = None, delay: int = 0, **params: Any
    ) -> None:
        number = next(_numbers)
        self._middle = f"wire{number}a", f"wire{number}b"
        super().__init__(node1, node2, **params)
        options = ["--limit", str(frames_under_way(rate, delay)), "--delay", f"{delay}us"]
        if rate is not None:
            options += ["--rate", f"{rate}bit"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "p4jit", "wire", *self._middle, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )

    def makeIntfPair(
        self, intfname1: str, intfname2: str, addr1: str, addr2: str, node1: Any, node2: Any, **_: Any
    ) -> None:
        """Of each pair one end is in its node's namespace, the other in ours. EmulationError."""
        ends = zip((intfname1, intfname2), (addr1, addr2), (node1, node2), self._middle, strict=True)
        pairs = [
            f"link add name {middle} mtu {self.mtu} type veth "
            f"peer name {name} mtu {self.mtu} address {address} netns {node.pid}"
            for name, address, node, middle in ends
        ]
        run(("ip", "-batch", "-"), "\n".join(pairs))
        for middle in self._middle:
            silence(middle)
            run(("ip", "link", "set", middle, "up"))

    def carriers(self, intf: Any) -> tuple[str, ...]:
        """Each end's carrier is its own. The ends themselves stay up: with a port that is taken down, bmv2
        waits in libpcap for that port alone and receives nothing from any other."""
        return self._middle

    def wait(self) -> None:
        """Until it carries frames. EmulationError: it does not."""
        assert self.process.stdout is not None
        said = self.process.stdout.readline().strip()
        if not said.startswith(f"{self._middle[0]} - "):
            said += self.process.stdout.read()
            raise EmulationError(f"the wire between {' and '.join(self.names)} failed: {said}")

    def delete(self) -> None:
        self.process.terminate()
        self.process.communicate()
        self.intf1.delete()
        self.intf2.delete()
