# SPDX-License-Identifier: Apache-2.0
"""Several nodes and the links between them."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from p4jit.target.interface import LinkSpec

from tests.dataplane.harness.embedded import P4jitNode
from tests.dataplane.harness.node import Frame, Node

#: Steps after which a fabric is held to be busy for ever, and hops without time that a packet may take.
_MAX_STEPS = 1_000_000
_MAX_HOPS = 1_000

End = tuple[str, int]
#: Names of nodes -> the fabric that they make, without links yet.
MakeFabric = Callable[..., "Fabric"]


@dataclass(frozen=True)
class Arrival:
    """A packet that has reached the far end of a port without a link: a host's. ``time`` in ns, with p4jit
    only."""

    node: str
    port: int
    data: bytes
    time: int = field(default=0, compare=False)


class Fabric:
    """Nodes, by name, joined at their ports.

    Nodes of p4jit share one virtual time, which only `run` moves; what passes a link arrives when the link's
    rate and delay say, to the ns, whatever else goes on. Nodes of bmv2 have no such time: packets are carried
    from one to the next as each is done with them, and the times of links and of `send` count for nothing.
    """

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.now = 0
        self._peers: dict[End, End] = {}
        self._sends: list[tuple[int, int, str, int, bytes]] = []
        self._sent = 0
        #: Every frame that went over a link: (time, from, to, frame).
        self.carried: list[tuple[int, End, End, bytes]] = []

    def add(self, node: Node) -> Node:
        assert node.name not in self.nodes, f"two nodes are called {node.name}"
        self.nodes[node.name] = node
        return node

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    def link(
        self,
        a: str,
        a_port: int,
        b: str,
        b_port: int,
        *,
        delay: int = 0,
        rate: int | None = None,
    ) -> None:
        """Join two ports; delay in ns and rate in bit/s hold for each direction."""
        ends = (a, a_port), (b, b_port)
        for end, peer in (ends, ends[::-1]):
            assert end not in self._peers, f"port {end[1]} of {end[0]} has a link already"
            self._peers[end] = peer
            self.edge(*end, delay=delay, rate=rate)

    def edge(self, node: str, port: int, *, delay: int = 0, rate: int | None = None) -> None:
        """The link to a host, on the way to it."""
        switch = self.nodes[node]
        if isinstance(switch, P4jitNode):
            switch.configure(port, link=LinkSpec(rate=rate, delay=delay))

    def cut(self, a: str, a_port: int) -> None:
        """Take a link down at both ends."""
        end = (a, a_port)
        for name, port in (end, self._peers[end]):
            self.nodes[name].set_port(port, False)

    def mend(self, a: str, a_port: int) -> None:
        end = (a, a_port)
        for name, port in (end, self._peers[end]):
            self.nodes[name].set_port(port, True)

    def send(self, node: str, port: int, packet: Frame, *, at: int | None = None) -> None:
        """A host's packet arrives at a port, at a time in ns or now. Nothing moves before `run`."""
        time = self.now if at is None else at
        assert time >= self.now, f"{time} ns is past: it is {self.now} ns"
        heapq.heappush(self._sends, (time, self._sent, node, port, bytes(packet)))
        self._sent += 1

    def run(self, until: int | None = None) -> list[Arrival]:
        """Let time pass until nothing is under way, or up to a time; what has reached the hosts, in the order
        of time."""
        if all(isinstance(n, P4jitNode) for n in self.nodes.values()):
            return list(self._run_in_time(until))
        return list(self._run_in_turn())

    def exchange(self, node: str, port: int, packet: Frame, *, expect: int | None = None) -> list[Arrival]:
        self.send(node, port, packet)
        found = self.run()
        if expect is not None:
            shown = ", ".join(f"{a.node}:{a.port} {a.data.hex()}" for a in found)
            assert len(found) == expect, f"{len(found)} packets left, not {expect}: {shown}"
        return found

    # ---- p4jit -------------------------------------------------------------------------------------------

    def _run_in_time(self, until: int | None) -> Iterator[Arrival]:
        """Always the earliest thing next, so that no node is ahead of what may still reach it."""
        for name in self.nodes:
            yield from self._carry(name)  # what packet-outs have left
        for _ in range(_MAX_STEPS):
            due = [
                (at, order, name)
                for order, (name, node) in enumerate(self.nodes.items())
                if (at := self.embedded(name).device.next_event()) is not None
            ]
            nearest = min(due, default=None)
            sending = bool(self._sends) and (nearest is None or self._sends[0][0] <= nearest[0])
            if sending:
                time = self._sends[0][0]
            elif nearest is not None:
                time = nearest[0]
            else:
                break
            if until is not None and time > until:
                break
            self.now = max(self.now, time)
            if sending:
                _, _, name, port, data = heapq.heappop(self._sends)
                self.embedded(name).device.inject(port, data, self.now)
            else:
                assert nearest is not None
                name = nearest[2]
                self.embedded(name).device.run_until(self.now)
            yield from self._carry(name)
        else:
            raise AssertionError(f"still busy after {_MAX_STEPS:,} steps, at {self.now} ns")
        if until is not None:
            self.now = max(self.now, until)
        for name in self.nodes:
            self.embedded(name).device.run_until(self.now)

    def _carry(self, first: str) -> Iterator[Arrival]:
        """What has just left a node, to its peers, and so on while links take no time."""
        waiting = [first]
        for _ in range(_MAX_HOPS):
            if not waiting:
                return
            name = waiting.pop(0)
            for output in self.embedded(name).device.take_outputs():
                end = (name, output.port)
                peer = self._peers.get(end)
                if peer is None:
                    yield Arrival(name, output.port, output.data, output.time)
                    continue
                self.carried.append((output.time, end, peer, output.data))
                self.embedded(peer[0]).device.inject(peer[1], output.data, output.time)
                waiting.append(peer[0])
        raise AssertionError(f"packets go round for ever at {self.now} ns")

    def embedded(self, name: str) -> P4jitNode:
        """A node of p4jit, with what only p4jit has."""
        node = self.nodes[name]
        assert isinstance(node, P4jitNode)
        return node

    # ---- bmv2 --------------------------------------------------------------------------------------------

    def _run_in_turn(self) -> Iterator[Arrival]:
        while self._sends:
            _, _, name, port, data = heapq.heappop(self._sends)
            self.nodes[name].send(port, data)
        for _ in range(_MAX_HOPS):
            moved = False
            for name, node in self.nodes.items():
                for port, data in node.receive():
                    end = (name, port)
                    peer = self._peers.get(end)
                    if peer is None:
                        yield Arrival(name, port, data)
                        continue
                    moved = True
                    self.carried.append((0, end, peer, data))
                    self.nodes[peer[0]].send(peer[1], data)
            if not moved:
                return
        raise AssertionError("packets go round for ever")
