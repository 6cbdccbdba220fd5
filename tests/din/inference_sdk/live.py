# SPDX-License-Identifier: Apache-2.0
"""A client's host, two servers' hosts, and a leaf between them: run under `unshare --map-root-user --net
--pid --fork`. Prints one JSON object: what the client found, what it sent, what the leaf made of it.

client_host (netns) c == pc CLIENT - leaf - 11 p1 == s server_host 1 (netns)
                                          - 12 p2 == s server_host 2 (netns)
"""

from __future__ import annotations

import ctypes
import json
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from din.model.keys import epoch_key, epoch_number
from p4jit.target.interface import PortSpec

from tests.dataplane import edge
from tests.dataplane.frames import HOST_MAC
from tests.dataplane.harness import Program
from tests.dataplane.leaf import CLIENT, Leaf, port_of
from tests.dataplane.linux_chain import LiveNode
from tests.din.inference_sdk.numbers import (
    CLIENT4,
    CLIENT6,
    GROUP,
    KEY_ID,
    MASTER,
    SCHEDULED,
    SERVERS6,
    SERVICE6,
    TENANT,
)

_OFFLOADS = ["rx", "off", "tx", "off", "tso", "off", "gso", "off", "gro", "off"]
_ETH_P_ALL, _OUTGOING = 3, 4


def run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


class Host:
    """A process in a network namespace of its own, with an interface that leads to the leaf."""

    def __init__(self, module: str, interface: str, end: str, *arguments: str) -> None:
        run("ip", "link", "add", interface, "address", HOST_MAC, "type", "veth", "peer", "name", end)
        Path(f"/proc/sys/net/ipv6/conf/{end}/disable_ipv6").write_text("1")
        for each in (interface, end):
            run("ethtool", "-K", each, *_OFFLOADS)
        run("ip", "link", "set", end, "up")
        self.process = subprocess.Popen(
            ["unshare", "--net", sys.executable, "-m", f"tests.din.inference_sdk.{module}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.read()  # it is in its namespace
        run("ip", "link", "set", interface, "netns", str(self.process.pid))
        self.tell("go")

    def tell(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def read(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args} ended")
        return json.loads(line)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def make_leaf(node: LiveNode) -> Leaf:
    """With the keys of this epoch and the next ones: clients leap, and an epoch may end meanwhile."""
    leaf = Leaf(node, instances=2)
    for server in (1, 2):
        leaf.host(port_of(server), TENANT)
    leaf.function(150, CLIENT)
    for address, function in ((f"{CLIENT6}/128", 150), (f"{CLIENT4}/32", 150), ("10.2.0.0/16", 101)):
        match = {"tenant": TENANT, "dst_addr": address}
        node.insert("destinations", match, "to_function", function=function)
    for server, address in enumerate(SERVERS6, 1):
        match = {"tenant": TENANT, "dst_addr": f"{address}/128"}
        node.insert("destinations", match, "to_function", function=100 + server)
    leaf.service(SERVICE6)
    for class_id in (0, SCHEDULED):
        leaf.group(GROUP + class_id, class_id=class_id)
        for server in (1, 2):
            match = {"group": GROUP + class_id, "instance": server}
            node.insert("members", match, "honour_cookie")
            leaf.local(server, class_id)
        with node.batch():
            for bucket in range(1024):
                # Whatever has no cookie goes to the first.
                leaf.bucket(GROUP + class_id, bucket, 1)
    epoch = epoch_number(time.time())
    for each in range(epoch, epoch + 3):
        key = epoch_key(MASTER, KEY_ID, each)
        match = {"tenant": TENANT, "key_id": KEY_ID, "epoch": each & 0xFF}
        node.insert("option_keys", match, "set_key", key=key, classes=1 << SCHEDULED | 1)
    return leaf


class Capture:
    """What comes in by an interface."""

    def __init__(self, interface: str) -> None:
        self.frames: list[bytes] = []
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self._socket.bind((interface, _ETH_P_ALL))
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        # Until the interface goes away with its namespace.
        with suppress(OSError):
            while True:
                frame, address = self._socket.recvfrom(65535)
                if address[2] != _OUTGOING:
                    self.frames.append(frame)

    def lost(self) -> int:
        # SOL_PACKET, PACKET_STATISTICS: (seen, dropped)
        return int(struct.unpack("II", self._socket.getsockopt(263, 6, 8))[1])


def main() -> None:
    ctypes.CDLL(None).prctl(1, 9)  # it ends with who started it
    run("ip", "link", "set", "lo", "up")
    with ExitStack() as stack:
        hosts = []
        for module, interface, end, arguments in (
            ("server_host", "s1", "p1", ("1",)),
            ("server_host", "s2", "p2", ("2",)),
            ("client_host", "c", "pc", ()),
        ):
            hosts.append(Host(module, interface, end, *arguments))
            stack.callback(hosts[-1].close)
        ports = {CLIENT: "pc", port_of(1): "p1", port_of(2): "p2"}
        specs = {number: PortSpec("interface", name) for number, name in ports.items()}
        node = stack.enter_context(LiveNode(Program.din(), "leaf", specs))
        make_leaf(node)
        capture = Capture("pc")
        for server in hosts[:2]:
            assert server.read() == "ready"
        hosts[2].tell("begin")
        found = hosts[2].read()
        print(
            json.dumps(
                {
                    "found": found,
                    "sent": [frame.hex() for frame in capture.frames],
                    "lost": capture.lost(),
                    "options": edge.results(node),
                }
            )
        )


if __name__ == "__main__":
    main()
