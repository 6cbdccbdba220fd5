# SPDX-License-Identifier: Apache-2.0
"""A switch under test, and fabrics of them: the same test on p4jit and on bmv2.

::

    from tests.dataplane.harness import Node, choice

    def test_a_route(node: Node) -> None:                 # runs twice: on p4jit and on simple_switch_grpc
        node.set_default("clock", "set_clock", base=0)
        node.insert("routes", {"dst_addr": "fcbb:bb00::/32"}, "set_next_hop", port=2, mac="02:00:00:00:00:02")
        node.insert("ecmp", {"group": 1}, [choice("out", port=2, weight=3, watch=2), choice("out", port=3)])
        (left,) = node.exchange(1, Ether() / IPv6() / UDP(), expect=1)   # bytes, or a packet of scapy's
        assert left == (2, expected_bytes)
        assert node.exchange(1, b"nonsense") == []        # sound: the node is idle when exchange returns
        assert node.counter("drops", DROP_TRUNCATED).packets == 1
        (told,) = node.packet_ins()                       # told.payload, told.metadata["reason"]
        node.packet_out(frame, port=4)                    # fields of packet_out by name; then node.receive()

Fixtures (conftest.py): ``node``, on both targets; ``embedded``, p4jit alone, for registers, queues, links
and time (`P4jitNode`: ``now``, ``advance``, ``configure``, ``port_status``, ``outputs`` with times);
``make_fabric`` and ``make_embedded_fabric``, which make a `Fabric` of named nodes. All of them run
``program``, a fixture that a test file may override; the din program is taken from p4src/build, or from the
folder in DIN_P4_BUILD (scripts/build_p4 --output).

Every test begins with the program's initial state. Entries are written through each target's P4Runtime
server and are checked as in life: what it refuses raises `Refused`, with the status codes. `Node` lists all
there is. On both targets a node is known to be idle, not waited for: p4jit runs in virtual time, and bmv2
tells when no packet is left in it (see bmv2.py).

::

    def test_two_hops(make_fabric: MakeFabric) -> None:
        fabric = make_fabric("leaf1", "leaf2")
        fabric.link("leaf1", 9, "leaf2", 9, delay=5_000, rate=10**9)     # ns, bit/s: they hold on p4jit
        fabric["leaf1"].insert(...)
        fabric.send("leaf1", 1, packet, at=1_000)
        (arrival,) = fabric.run()                         # arrival.node, .port, .data, .time; fabric.carried
"""

from tests.dataplane.harness.embedded import P4jitNode
from tests.dataplane.harness.entries import Choice, NameProblem, choice
from tests.dataplane.harness.fabric import Arrival, Fabric, MakeFabric
from tests.dataplane.harness.node import CPU_PORT, DROP_PORT, PORTS, QUEUES, Counter, Node, PacketIn, Refused
from tests.dataplane.harness.program import Program

__all__ = [
    "CPU_PORT",
    "DROP_PORT",
    "PORTS",
    "QUEUES",
    "Arrival",
    "Choice",
    "Counter",
    "Fabric",
    "MakeFabric",
    "NameProblem",
    "Node",
    "P4jitNode",
    "PacketIn",
    "Program",
    "Refused",
    "choice",
]
