# SPDX-License-Identifier: Apache-2.0
"""Leaf, Linux, leaf: run under `unshare --net`. Prints what came out of the second leaf as JSON lines.

memory 1 - leaf A - 2 pa=la (Linux: seg6local End, next-csid) lb=pb 1 - leaf B - 2 memory
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import ExitStack

from p4jit.p4runtime import P4RuntimeServer
from p4jit.target.device import Device
from p4jit.target.interface import PortSpec

from tests.dataplane.frames import Fabric, sid, tcp4, udp6
from tests.dataplane.harness import CPU_PORT, DROP_PORT, Node, Program, choice
from tests.dataplane.harness.program import compile_pushed

LEAF_A, LINUX, LEAF_B, FUNCTION = 0x0A, 0x11, 0x0B, 0xF001
LINUX_MAC, B_MAC = "02:00:00:00:00:11", "02:00:00:00:00:0b"
HOST_MAC = "02:00:00:00:99:01"
_SECONDS = 20.0


class LiveNode(Node):
    kind, is_embedded = "p4jit", True

    def __init__(self, program: Program, name: str, ports: dict[int, PortSpec]) -> None:
        super().__init__(name)
        self._stack = ExitStack()
        self.device = self._stack.enter_context(
            Device(1, clock="wall", queues=8, drop_port=DROP_PORT, cpu_port=CPU_PORT)
        )
        for number, spec in ports.items():
            self.device.port_add(number, spec)
        server = self._stack.enter_context(P4RuntimeServer([self.device], compile_pushed, "localhost:0"))
        self._connect(server.port, 1)
        self.load(program)
        self.device.start()

    def close(self) -> None:
        self.stream.cancel()
        self.client.close()
        self._stack.close()

    def send(self, port: int, packet: object) -> None:
        self.device.inject(port, bytes(packet))  # type: ignore[call-overload]

    def receive(self) -> list[tuple[int, bytes]]:
        """The next packets out, or none after a while."""
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            if outputs := self.device.take_outputs():
                return [(o.port, o.data) for o in outputs]
            time.sleep(0.002)
        return []

    def settle(self) -> None:
        raise NotImplementedError("a live switch is never known to be idle")

    def set_port(self, port: int, up: bool) -> None:
        raise NotImplementedError

    def advance(self, nanoseconds: int) -> None:
        raise NotImplementedError("time goes by itself")

    def _before_packet_out(self) -> None:
        raise NotImplementedError


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def make_linux() -> None:
    run("ip", "link", "set", "lo", "up")
    for one, other, mac in (("la", "pa", LINUX_MAC), ("lb", "pb", "02:00:00:00:00:12")):
        run(
            "ip",
            "link",
            "add",
            one,
            "address",
            mac,
            "mtu",
            "9000",
            "type",
            "veth",
            "peer",
            "name",
            other,
            "mtu",
            "9000",
        )
        with open(f"/proc/sys/net/ipv6/conf/{other}/disable_ipv6", "w") as setting:
            setting.write("1")
        run("ip", "link", "set", one, "up")
        run("ip", "link", "set", other, "up")
    for name in ("all", "la", "lb"):
        for key in ("forwarding", "seg6_enabled"):
            with open(f"/proc/sys/net/ipv6/conf/{name}/{key}", "w") as setting:
                setting.write("1")
    run("ip", "-6", "neigh", "add", "fe80::b", "lladdr", B_MAC, "dev", "lb", "nud", "permanent")
    next_csid = ("flavors", "next-csid", "lblen", "32", "nflen", "16")
    run(
        "ip",
        "-6",
        "route",
        "add",
        f"{sid(LINUX)}/48",
        "encap",
        "seg6local",
        "action",
        "End",
        *next_csid,
        "dev",
        "la",
    )
    run("ip", "-6", "route", "add", f"{sid(LEAF_B)}/48", "via", "fe80::b", "dev", "lb")


def main() -> None:
    make_linux()
    program = Program.din()
    with (
        LiveNode(program, "A", {1: PortSpec("memory"), 2: PortSpec("interface", "pa")}) as a,
        LiveNode(program, "B", {1: PortSpec("interface", "pb"), 2: PortSpec("memory")}) as b,
    ):
        a.set_default("boundaries", "inside")
        a.insert("ports", {"port": 1}, "set_fabric")
        a.insert("segments", {"sid": (0xFCBBBB00 << 32 | LEAF_A << 16, 48)}, "end")
        a.insert(
            "routes",
            {"sid": (sid(LINUX), 48)},
            [choice("set_next_hop", port=2, dst_mac=LINUX_MAC, src_mac="02:00:00:00:00:0a")],
        )
        b.insert("ports", {"port": 1}, "set_fabric")
        b.insert(
            "segments",
            {"sid": (0xFCBBBB00 << 32 | LEAF_B << 16 | FUNCTION, 64)},
            "end_function",
            function=FUNCTION,
        )
        b.insert(
            "functions",
            {"function": FUNCTION},
            "deliver",
            port=2, dst_mac=HOST_MAC, src_mac=B_MAC, vid=0, mtu=1500, zone=1, instance=1,
        )  # fmt: skip
        b.insert("destination_guard", {"label": 0, "zone": 1}, "permit_destination")
        for inner in (tcp4(b"tokens"), udp6(b"x" * 1400)):
            a.send(1, Fabric(sid(LEAF_A, LINUX, LEAF_B, FUNCTION), inner).frame())
            out = b.receive()
            print(json.dumps({"inner": inner.hex(), "out": [[port, frame.hex()] for port, frame in out]}))


if __name__ == "__main__":
    sys.exit(main())
