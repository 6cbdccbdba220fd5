# SPDX-License-Identifier: Apache-2.0
"""A model's whole network in memory and virtual time: what was compiled, in switches that forward. Frames go
from switch to switch as the model's links say.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from din.controller.desired import Desired, prepare
from din.measure.state import LinkState, Measured
from din.p4rt.codec import Codec, Op
from din.p4rt.compile import Context, compile_network
from din.p4rt.diff import diff
from din.p4rt.entry import State
from din.p4rt.order import Order
from din.p4rt.program import default_program
from din.steering.buckets import Bucket, fresh
from din.steering.decide import decide
from din.steering.plan import Plan
from finsy.proto import p4r
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet

from tests.dataplane.harness import P4jitNode, Program

TOPOLOGIES = Path(__file__).parents[3] / "topologies"
_MAX_HOPS = 32


@dataclass(frozen=True)
class Arrival:
    """A frame that left the fabric for a host, and the switches that it passed."""

    switch: str
    port: int
    frame: bytes
    passed: tuple[str, ...]


def desired(name: str) -> Desired:
    file = TOPOLOGIES / name
    return prepare(file.read_text(), str(file), 1, None)


def buckets_of(plan: Plan) -> dict[tuple[str, tuple[str, str, str, str]], tuple[Bucket, ...]]:
    found: dict[tuple[str, tuple[str, str, str, str]], tuple[Bucket, ...]] = {}
    for aggregate, decision in plan.decisions.items():
        shares = {name: share for name, share in decision.shares.items() if share > 0}
        if shares:
            found[aggregate.leaf, aggregate.group] = fresh(shares, str(aggregate))
    return found


def context(wanted: Desired, down: frozenset[tuple[str, int]] = frozenset()) -> Context:
    """Decided with nothing measured but links that are down."""
    links = {key: LinkState(up=False) for key in down}
    plan = decide(
        wanted.model, wanted.wiring, wanted.aggregates, Measured(links=links), None, frozenset(), 0.0
    )
    return Context(wanted.model, wanted.wiring, wanted.ids, plan, buckets_of(plan), wanted.secrets(1e9), down)


class Network:
    """`send` a host's frame and see where it comes out."""

    def __init__(self, wanted: Desired, nodes: dict[str, P4jitNode]) -> None:
        self.desired = wanted
        self.nodes = nodes
        self.program = default_program()
        #: What switches had to tell meanwhile: not in what `send` gives.
        self.reports: list[Arrival] = []
        self.held: dict[str, State] = {name: {} for name in nodes}

    def hold(self, states: dict[str, State]) -> None:
        """Make the switches so, in the order that a reconciler would take."""
        order, codec = Order(self.program), Codec(self.program)
        for name, state in states.items():
            for batch in order.batches(diff(self.held[name], state)):
                request = p4r.WriteRequest()
                for change in batch:
                    codec.add(request, change.op, change.key, change.value)
                self.nodes[name].client.write(list(request.updates))
            self.held[name] = state
        assert Op.INSERT.value == p4r.Update.INSERT

    def cut(self, a: str, b: str) -> None:
        """Both ends of all links between two switches go down; nobody is told."""
        for hop in (*self.desired.wiring.between(a, b), *self.desired.wiring.between(b, a)):
            self.nodes[hop.src].set_port(hop.src_port, False)

    def frame(self, host: str, packet: Packet) -> bytes:
        """As the host would send it to its gateway."""
        found = self.desired.model.host[host]
        wiring = self.desired.wiring
        link = Ether(src=wiring.host_mac(found), dst=wiring.port_mac(found.leaf, 0))
        return bytes((link / Dot1Q(vlan=found.vlan) if found.vlan else link) / packet)

    def send(self, host: str, packet: Packet) -> list[Arrival]:
        found = self.desired.model.host[host]
        port = self.desired.wiring.host_ports[host]
        arrived = self._forward([(found.leaf, port, self.frame(host, packet), ())])
        reports = [each for each in arrived if self._is_report(each)]
        self.reports += reports
        return [each for each in arrived if each not in reports]

    def _is_report(self, arrival: Arrival) -> bool:
        host = self.host_at(arrival)
        ports = {each.port for each in self.desired.model.telemetry.collectors if each.host == host}
        frame = Ether(arrival.frame)
        return UDP in frame and frame[UDP].dport in ports

    def _forward(self, waiting: list[tuple[str, int, bytes, tuple[str, ...]]]) -> list[Arrival]:
        arrived: list[Arrival] = []
        while waiting:
            switch, port, frame, passed = waiting.pop()
            assert len(passed) < _MAX_HOPS, f"a loop: {passed}"
            self.nodes[switch].send(port, frame)
            for out, data in self.nodes[switch].receive():
                hop = self.desired.wiring.by_port.get((switch, out))
                if hop is None:
                    arrived.append(Arrival(switch, out, data, (*passed, switch)))
                else:
                    waiting.append((hop.dst, hop.dst_port, data, (*passed, switch)))
        return arrived

    def host_at(self, arrival: Arrival) -> str:
        ports = self.desired.wiring.host_ports
        return next(
            host.name
            for host in self.desired.model.hosts
            if (host.leaf, ports[host.name]) == (arrival.switch, arrival.port)
        )

    def drops(self, switch: str) -> dict[int, int]:
        return {
            reason: count.packets
            for reason in range(33)
            if (count := self.nodes[switch].counter("drops", reason)).packets
        }


def segment(src: str, dst: str, sport: int, dport: int, flags: str = "S") -> Packet:
    ip = IPv6(src=src, dst=dst) if ip_address(src).version == 6 else IP(src=src, dst=dst)
    return ip / TCP(sport=sport, dport=dport, flags=flags)


@contextmanager
def network(name: str) -> Iterator[Network]:
    """A topology's switches, programmed."""
    wanted = desired(name)
    program = Program.din()
    with ExitStack() as stack:
        nodes: dict[str, P4jitNode] = {}
        for switch in wanted.model.switches:
            ports = [hop.src_port for hop in wanted.wiring.hops_of(switch.name)]
            ports += [wanted.wiring.host_ports[host.name] for host in wanted.wiring.hosts_of(switch.name)]
            nodes[switch.name] = stack.enter_context(P4jitNode(program, switch.name, ports=ports))
        found = Network(wanted, nodes)
        found.hold(compile_network(context(wanted)))
        yield found
