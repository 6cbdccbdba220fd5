# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.din.emulation.live WHAT TARGET FOLDER``, in a sandbox: an emulation is put through what
may happen to it. What was seen is printed at the end, as JSON; `test_live` says what should have been.

    a (2 ms away, by a wire) - leaf1 - (100 Mbit, 5 ms) - leaf2 - b (has the service's address)
                                                            \\_ collector, in the switches' namespace
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from din.emulation.errors import EmulationError
from din.emulation.links import PlainLink
from din.emulation.processes import Process
from din.emulation.segments import Segment
from din.emulation.supervisor import Emulation
from din.emulation.switches import Bmv2Switch, P4jitSwitch
from din.model.emulated import Event
from din.model.load import parse
from din.model.network import Model
from din.model.topology import Target
from din.model.wiring import Wiring
from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from tests.dataplane.frames import sid
from tests.dataplane.harness import Node, Program, choice

MODEL = """
version: 1
name: live
zones: [{name: here}]
sites: [{name: lab, zone: here}]
switches:
  - {name: leaf1, site: lab, role: leaf, gateways: [10.1.0.1/24, "2001:db8:1::1/64"]}
  - {name: leaf2, site: lab, role: leaf, gateways: [10.2.0.1/24, "2001:db8:2::1/64"]}
links:
  - {between: [leaf1, leaf2], rate: 100Mbit, delay: 5ms}
tenants: [{name: acme}]
hosts:
  - {name: a, leaf: leaf1, tenant: acme, addresses: [10.1.0.5/24, "2001:db8:1::5/64"], delay: 2ms}
  - {name: b, leaf: leaf2, tenant: acme, addresses: [10.2.0.5/24, "2001:db8:2::5/64"]}
  - {name: collector, leaf: leaf2, tenant: acme, addresses: [10.2.0.9/24]}
models:
  - {name: llama, variants: [{name: small, quality: 0.5, context: 8192, cost: 1}]}
services:
  - {name: chat, tenant: acme, addresses: [10.200.0.1, "2001:db8:200::1"], dns: chat.din.example,
     model: llama, served_model: llama, slo: {ttft: 1s, tpot: 100ms}}
instances:
  - {name: chat-b, service: chat, host: b, variant: small}
telemetry: {collectors: [{name: reports, host: collector}]}
"""
FABRIC, ACCESS, COLLECTOR, TENANT, ZONE = 1, 65, 66, 7, 1
NODES = {"leaf1": 0x11, "leaf2": 0x22}
FUNCTION = 0xF001
_SECONDS = 15.0


def model(text: str = MODEL) -> Model:
    return parse(text)


class Leaf(Node):
    """A switch of the emulation, for entries to be written to."""

    kind, is_embedded = "emulated", True

    def __init__(self, name: str, address: str) -> None:
        super().__init__(name)
        self._connect(int(address.rpartition(":")[2]), 1)
        self.load(Program.din())

    def entries_of(self, table: str) -> int:
        return len(self.entries(table))

    def port_event(self) -> dict[str, Any]:
        """The next that p4jit tells: {"port": 1, "up": false}."""
        while True:
            message = self.stream.receive(_SECONDS)
            if message.WhichOneof("update") == "other":
                fields = p4rt_struct(message)
                return {"port": int(fields["port"]), "up": bool(fields["up"])}

    def close(self) -> None:
        self.stream.cancel()
        self.client.close()

    def send(self, port: int, packet: object) -> None:
        raise NotImplementedError("hosts send")

    def receive(self) -> list[tuple[int, bytes]]:
        raise NotImplementedError("hosts receive")

    def settle(self) -> None:
        raise NotImplementedError

    def set_port(self, port: int, up: bool) -> None:
        raise NotImplementedError

    def advance(self, nanoseconds: int) -> None:
        raise NotImplementedError("time goes by itself")

    def _before_packet_out(self) -> None:
        raise NotImplementedError


def p4rt_struct(message: Any) -> dict[str, Any]:
    from google.protobuf.struct_pb2 import Struct

    fields = Struct()
    assert message.other.Unpack(fields)
    return dict(fields)


def program(leaf: Leaf, wiring: Wiring) -> None:
    """Hosts reach each other through the fabric."""
    own, other = leaf.name, "leaf2" if leaf.name == "leaf1" else "leaf1"
    here, there = wiring.hosts_of(own)[0], wiring.hosts_of(other)[0]
    gateway = wiring.port_mac(own, ACCESS)
    with leaf.batch():
        leaf.insert("ports", {"port": ACCESS}, "set_access", zone=ZONE)
        leaf.insert("ports", {"port": FABRIC}, "set_fabric")
        leaf.insert(
            "sources",
            {"port": ACCESS, "vid": 0},
            "permit",
            tenant=TENANT,
            label=0,
            label_mandatory=0,
            option_required=0,
        )
        for address in wiring.model.switch[own].gateways:
            leaf.insert(
                "addresses",
                {"port": ACCESS, "vid": 0, "address": str(address.ip)},
                "answer_gateway",
                priority=1,
                mac=gateway,
            )
        for address in here.addresses:
            leaf.insert(
                "destinations",
                {"tenant": TENANT, "dst_addr": f"{address.ip}/{address.max_prefixlen}"},
                "to_function",
                function=FUNCTION,
            )
        for address in there.addresses:
            leaf.insert(
                "destinations",
                {"tenant": TENANT, "dst_addr": f"{address.ip}/{address.max_prefixlen}"},
                "to_leaf",
                leaf=1,
            )
        leaf.insert(
            "functions",
            {"function": FUNCTION},
            "deliver",
            port=ACCESS,
            dst_mac=wiring.host_mac(here),
            src_mac=gateway,
            vid=0,
            mtu=1500,
            zone=ZONE,
            instance=0,
        )
        leaf.insert(
            "paths",
            {"kind": 2, "target": 1, "class_id": 0, "label": 0},
            "via",
            segments=sid(NODES[other], FUNCTION),
            mtu=wiring.hops[0].mtu,
            zone=ZONE,
            base_latency=0,
        )
        leaf.insert("destination_guard", {"label": 0, "zone": ZONE}, "permit_destination")
        prefix = 0xFCBBBB00 << 32 | NODES[own] << 16 | FUNCTION
        leaf.insert("segments", {"sid": (prefix, 64)}, "end_function", function=FUNCTION)
    mac = {"dst_mac": wiring.port_mac(other, FABRIC), "src_mac": wiring.port_mac(own, FABRIC)}
    leaf.insert("routes", {"sid": (sid(NODES[other]), 48)}, [choice("set_next_hop", port=FABRIC, **mac)])
    leaf.set_default("boundaries", "inside")


class Bed:
    """An emulation, programmed."""

    def __init__(self, target: Target, folder: Path, text: str = MODEL) -> None:
        self.model = model(text)
        self.wiring = Wiring(self.model)
        self.crashes: list[str] = []
        self.crashed = threading.Event()
        self.emulation = Emulation(self.model, self.wiring, folder, target, crashed=self._note)
        self.leaves: dict[str, Leaf] = {}

    def _note(self, process: Process) -> None:
        self.crashes.append(process.failure() or "")
        self.crashed.set()

    def start(self) -> list[tuple[str, int, int]]:
        steps: list[tuple[str, int, int]] = []
        self.emulation.start(lambda *step: steps.append(step))
        for name in self.emulation.addresses:
            self.program(name)
        return steps

    def program(self, name: str) -> None:
        self.leaves[name] = Leaf(name, self.emulation.addresses[name])
        program(self.leaves[name], self.wiring)

    def output(self, host: str, *argv: str) -> str:
        """What a program in a host says."""
        log = f"{host}-{Path(argv[0]).name}-{time.monotonic_ns()}"
        process = self.emulation.run(host, argv, log)
        process.stopping = True  # whatever its status
        process.wait(30)
        return process.log.read_text()

    def ping(self, address: str, *options: str, source: str = "a") -> dict[str, float]:
        """Received, and the shortest time in ms. The first packet asks for the gateway's address."""
        said = self.output(source, "ping", "-c3", "-i0.05", "-W0.5", *options, address)
        received = re.search(r"(\d+) received", said)
        times = [float(each) for each in re.findall(r"time=([0-9.]+)", said)]
        assert received is not None, said
        return {"received": int(received[1]), "shortest": min(times, default=0.0)}

    def reaches(self, address: str, wanted: bool) -> bool:
        """Whether pings of b are answered, once that is as wanted."""
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            if bool(self.ping(address, "-c1", "-W0.2")["received"]) is wanted:
                return wanted
        return not wanted


def interfaces() -> dict[str, dict[str, Any]]:
    found = json.loads(os.popen("ip -j address").read())
    return {each["ifname"]: each for each in found}


def frame_of(bed: Bed) -> dict[str, Any]:
    """A datagram of a's, as its leaf's port sees it: its length, and whether its checksum is right."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as tap:
        tap.bind(("leaf1-eth65", 0))
        tap.settimeout(_SECONDS)
        send = "import socket; s = socket.socket(2, 2); s.sendto(b'x' * 1000, ('10.2.0.5', 4000))"
        bed.output("a", sys.executable, "-c", send)
        while True:
            frame = Ether(tap.recv(9100))
            if UDP in frame and frame[UDP].dport == 4000:
                break
    seen = frame[UDP].chksum
    packet = IP(bytes(frame[IP]))
    packet[UDP].chksum = None
    return {"length": len(frame), "true": seen == IP(bytes(packet))[UDP].chksum}


def sent(interface: str) -> int:
    """Bytes of frames that left by it."""
    return int(Path(f"/sys/class/net/{interface}/statistics/tx_bytes").read_text())


def wait_busy(interface: str) -> None:
    """Until much leaves by it."""
    begun, deadline = sent(interface), time.monotonic() + _SECONDS
    while sent(interface) < begun + 50_000:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def rate_at(interface: str, seconds: float) -> float:
    """bit/s of frames that leave by it."""
    before, begun = sent(interface), time.monotonic()
    time.sleep(seconds)
    return (sent(interface) - before) * 8 / (time.monotonic() - begun)


def refused(call: Any, *arguments: Any) -> str:
    try:
        call(*arguments)
    except EmulationError as error:
        return str(error)
    return ""


def everything(target: Target, folder: Path) -> dict[str, Any]:
    bed = Bed(target, folder)
    emulation = bed.emulation
    seen: dict[str, Any] = {}
    begun = time.monotonic()
    steps = bed.start()
    seen["start"] = {"seconds": time.monotonic() - begun, "steps": steps}
    seen["addresses"] = emulation.addresses

    # What there is.
    links = interfaces()
    seen["mtu"] = {name: links[name]["mtu"] for name in ("leaf1-eth1", "leaf2-eth1", "leaf1-eth65")}
    seen["mac"] = {name: links[name]["address"] for name in ("leaf1-eth1", "leaf2-eth65")}
    seen["kernel's own addresses"] = [
        name
        for name, link in links.items()
        if name.startswith(("leaf", "wire")) and any(each["family"] == "inet6" for each in link["addr_info"])
    ]
    seen["collector"] = [
        f"{each['local']}/{each['prefixlen']}"
        for each in links["collector-eth0"]["addr_info"]
        if each["family"] == "inet"
    ]
    seen["lo of b"] = bed.output("b", "ip", "-br", "address", "show", "lo")
    seen["routes of a"] = bed.output("a", "ip", "route") + bed.output("a", "ip", "-6", "route")
    begun = time.monotonic()
    seen["names"] = [
        bed.output("a", "getent", "ahosts", name) for name in ("chat.din.example", "nobody.example")
    ]
    seen["resolving"] = time.monotonic() - begun
    seen["management"] = bed.ping(str(bed.wiring.controller_address), source="b")

    # What passes.
    seen["ping"] = [bed.ping("10.2.0.5"), bed.ping("2001:db8:2::5")]
    seen["large"] = bed.ping("10.2.0.5", "-M", "do", "-s", "1472")
    seen["frame"] = frame_of(bed)

    # A link fails.
    emulation.set_link("leaf1", "leaf2", False)
    if target is Target.P4JIT:
        seen["down"] = [leaf.port_event() for leaf in bed.leaves.values()]
    seen["reached without the link"] = bed.reaches("10.2.0.5", False)
    emulation.set_link("leaf2:1", "leaf1", True)
    if target is Target.P4JIT:
        seen["up"] = [leaf.port_event() for leaf in bed.leaves.values()]
    seen["reached with it"] = bed.reaches("10.2.0.5", True)

    # A switch fails, and comes again.
    emulation.stop_switch("leaf2")
    bed.leaves["leaf2"].close()
    seen["running"] = [emulation.is_running(name) for name in ("leaf1", "leaf2")]
    if target is Target.P4JIT:
        seen["neighbour"] = bed.leaves["leaf1"].port_event()
    seen["failures of what was stopped"] = emulation.failures()
    emulation.start_switch("leaf2")
    again = Leaf("leaf2", emulation.addresses["leaf2"])
    seen["entries after"] = again.entries_of("sources")
    program(again, bed.wiring)
    seen["reached again"] = bed.reaches("10.2.0.5", True)

    # A link is full.
    event = Event.model_validate({"kind": "congested-link", "source": "a", "sink": "b", "rate": "20Mbit"})
    running = emulation.begin(event)
    wait_busy("leaf2-eth65")
    seen["congested"] = rate_at("leaf2-eth65", 0.4)
    running.end()
    deadline = time.monotonic() + _SECONDS
    # What is in queues comes yet.
    while (rate := rate_at("leaf2-eth65", 0.1)) > seen["congested"] / 4 and time.monotonic() < deadline:
        pass
    seen["calm"] = rate

    # What is refused.
    seen["refused"] = [
        refused(emulation.set_link, "leaf1", "nowhere", False),
        refused(emulation.set_link, "leaf1:9", "leaf2", False),
        refused(emulation.set_link, "leaf1:x", "leaf2", False),
        refused(emulation.run, "nobody", ["true"], "x"),
        refused(emulation.run, "a", ["true"], "../x"),
        refused(emulation.stop_switch, "b"),
        refused(emulation.start_switch, "leaf1"),
        refused(emulation.slow, "nobody", 2.0),
        refused(emulation.begin, event.model_copy(update={"sink": "nobody"})),
        refused(emulation.slow, "chat-b", 2.0),
        refused(emulation.begin, Event.model_validate({"kind": "failed-link"})),
    ]

    # One ends by itself.
    process = emulation.node("leaf1").process
    os.kill(process.pid, signal.SIGKILL)
    bed.crashed.wait(_SECONDS)
    seen["crashes"] = bed.crashes
    seen["failures"] = emulation.failures()
    again.close()
    bed.leaves["leaf1"].close()
    emulation.stop()
    seen["left"] = sorted(interfaces())
    return seen


def narrow(target: Target, folder: Path) -> dict[str, Any]:
    """A fabric of 1,500 bytes."""
    bed = Bed(target, folder, MODEL + "fabric: {mtu: 1500B, access_mtu: 1500B}\n")
    bed.start()
    links = interfaces()
    seen = {
        "mtu": [links[name]["mtu"] for name in ("leaf1-eth1", "leaf1-eth65")],
        # 28 bytes of IP and ICMP, 84 of encapsulation.
        "fits": bed.ping("10.2.0.5", "-M", "do", "-s", "1388"),
        "does not": bed.ping("10.2.0.5", "-M", "do", "-s", "1389"),
    }
    for leaf in bed.leaves.values():
        leaf.close()
    bed.emulation.stop()
    return seen


def script(target: Target, folder: Path) -> dict[str, Any]:
    """The classes in a Mininet script of somebody's own."""
    setLogLevel("warning")
    net = Mininet(
        SingleSwitchTopo(k=2), switch={"p4jit": P4jitSwitch, "bmv2": Bmv2Switch}[target], controller=None
    )
    net.start()
    (switch,) = net.switches
    seen: dict[str, Any] = {"connected": switch.connected(), "ports": sorted(switch.port_interfaces())}
    leaf = Leaf("s1", switch.address)
    seen["entries"] = leaf.entries_of("ports")
    leaf.close()
    net.stop()
    seen["folder"] = switch.folder.exists()
    segment = Mininet(SingleSwitchTopo(k=2), switch=Segment, link=PlainLink, controller=None)
    segment.start()
    seen["lost on a segment"] = segment.pingAll(timeout="1")
    segment.stop()
    seen["left"] = sorted(interfaces())
    return seen


if __name__ == "__main__":
    what, target, folder = sys.argv[1:]
    print(
        json.dumps(
            {"everything": everything, "narrow": narrow, "script": script}[what](Target(target), Path(folder))
        )
    )
    sys.stdout.flush()
    # Streams that the switches ended may keep gRPC's threads.
    os._exit(0)
