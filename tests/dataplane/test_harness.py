# SPDX-License-Identifier: Apache-2.0
"""The harness itself, on a program that has every kind of P4Runtime entity."""

from __future__ import annotations

import grpc
import pytest
from p4jit.target.interface import LinkSpec

from tests.dataplane.harness import (
    Arrival,
    Counter,
    Fabric,
    MakeFabric,
    NameProblem,
    Node,
    P4jitNode,
    PacketIn,
    Program,
    Refused,
    choice,
)
from tests.dataplane.harness.entries import Match
from tests.dataplane.harness.program import ROOT


@pytest.fixture(scope="module")
def program() -> Program:
    return Program.at(ROOT / "tests" / "p4jit" / "programs" / "everything.p4")


def frame(dst: int = 1, src: int = 2, kind: int = 0x9999, rest: bytes = b"payload") -> bytes:
    return dst.to_bytes(6, "big") + src.to_bytes(6, "big") + kind.to_bytes(2, "big") + rest


def test_entries_decide_and_what_does_not_come_out_is_seen(node: Node) -> None:
    assert node.exchange(1, frame()) == []
    node.insert("l2", {"dst": "00:00:00:00:00:01"}, "forward", port=3)
    assert node.exchange(1, frame(), expect=1) == [(3, frame())]
    node.modify("l2", {"dst": 1}, "forward", port=4)
    assert node.exchange(1, frame(), expect=1) == [(4, frame())]
    node.delete("l2", {"dst": b"\1"})
    node.set_default("l2", "forward", port=5)
    assert node.exchange(1, frame()) == [(5, frame())]
    node.reset_default("l2")
    assert node.exchange(1, frame()) == []
    with pytest.raises(AssertionError, match="0 packets left, not 1"):
        node.exchange(1, frame(), expect=1)


def test_each_test_begins_anew(node: Node) -> None:
    """After the one before, on a switch that may be the same."""
    assert node.entries("l2") == []
    assert node.exchange(1, frame()) == []


def test_the_server_checks_entries(node: Node) -> None:
    node.insert("l2", {"dst": 1}, "forward", port=3)
    with pytest.raises(Refused) as refused:
        node.insert("l2", {"dst": 1}, "forward", port=3)
    assert refused.value.codes == [grpc.StatusCode.ALREADY_EXISTS]
    with pytest.raises(NameProblem, match=r"forward takes \['port'\]"):
        node.insert("l2", {"dst": 2}, "forward")
    with pytest.raises(NameProblem, match="no key field"):
        node.insert("l2", {"dest": 2}, "forward", port=1)
    with pytest.raises(NameProblem, match="does not fit 9 bits"):
        node.insert("l2", {"dst": 2}, "forward", port=512)
    with pytest.raises(NameProblem, match=r"l2\.dst is exact"):
        node.insert("l2", {"dst": (2, 3)}, "forward", port=1)
    with pytest.raises(NameProblem, match="has no 'l3'"):
        node.insert("l3", {"dst": 2}, "forward", port=1)


def test_values_as_people_write_them(node: Node) -> None:
    """Each kind of key, each way to write a value; what the switch then holds."""

    def held(table: str, **match: Match) -> list[tuple[int, ...]]:
        priority = 7 if table in ("acl", "filters") else 0
        node.insert(table, match, "forward", port=1, priority=priority)
        (entry,) = node.entries(table)
        node.delete(table, match, priority=priority)
        assert node.entries(table) == []
        found: list[tuple[int, ...]] = []
        for field in sorted(entry.match, key=lambda f: f.field_id):
            kind = field.WhichOneof("field_match_type")
            assert kind is not None
            values = [v for _, v in getattr(field, kind).ListFields()]
            found.append(
                (field.field_id, *(int.from_bytes(v, "big") if isinstance(v, bytes) else v for v in values))
            )
        return found

    mapped = 0xFFFF << 32
    assert held("l2", dst="02:00:00:00:00:0a") == [(1, 0x02000000000A)]
    assert held("wide_routes", wide="10.1.0.0/16") == [(1, mapped | 0x0A010000, 112)]
    assert held("wide_routes", wide="10.1.2.3") == [(1, mapped | 0x0A010203, 128)]
    assert held("wide_routes", wide="2001:db8::/32") == [(1, 0x20010DB8 << 96, 32)]
    assert held("wide_routes", wide=(0x20010DB8 << 96, 40)) == [(1, 0x20010DB8 << 96, 40)]
    assert held("acl", type=0x0800, sport=80, proto=6, src="10.0.0.0/8", nibble=3) == [
        (1, 0x0800, 0xFFFF),
        (2, 80, 80),
        (3, 6),
        (4, 0x0A000000, 0xFF000000),
        (5, 3),
    ]
    assert held("acl", type=(0x0800, 0xFF00), sport=(80, 90), src=None, nibble=0) == [
        (1, 0x0800, 0xFF00),
        (2, 80, 90),
        (5, 0),
    ]


def test_batches(node: Node) -> None:
    with node.batch():
        for dst in range(100):
            node.insert("l2", {"dst": dst}, "forward", port=3)
        assert node.entries("l2") == []
    assert len(node.entries("l2")) == 100


def test_clones_and_controller_packets(node: Node) -> None:
    node.clone_session(5, 2, 4)
    node.insert("l2", {"dst": 1}, "mirror", session=5)
    # The original leaves by port 0: nobody has decided about it.
    assert sorted(node.exchange(1, frame())) == [(0, frame()), (2, frame()), (4, frame())]
    node.clone_session(5, 6)
    assert sorted(node.exchange(1, frame())) == [(0, frame()), (6, frame())]
    assert node.packet_ins() == []

    node.insert("l2", {"dst": 2}, "to_cpu")
    node.send(9, frame(dst=2))
    node.send(8, frame(dst=2, src=7))
    assert node.packet_ins() == [
        PacketIn(frame(dst=2), {"ingress_port": 9, "reason": 5}),
        PacketIn(frame(dst=2, src=7), {"ingress_port": 8, "reason": 5}),
    ]
    assert node.packet_ins() == []
    assert node.receive() == []

    node.packet_out(frame(dst=3), egress_port=9)
    assert node.receive() == [(9, frame(dst=3))]


def test_one_shots_follow_their_watch_ports(node: Node) -> None:
    node.insert("l2", {"dst": 1}, "mirror", session=100)  # which nobody sets: l2 leaves the packet alone
    node.insert(
        "ecmp", {}, [choice("forward", port=2, watch=2), choice("forward", port=3, weight=3, watch=3)]
    )

    def taken() -> list[int]:
        flows = (n.to_bytes(4, "big") + bytes(23) for n in range(100))
        for flow in flows:
            node.send(1, frame(kind=0x0800, rest=flow))
        return [port for port, _ in node.receive()]

    assert {2, 3} == set(taken())
    node.set_port(2, False)
    assert taken() == [3] * 100
    assert node.exchange(2, frame(kind=0x0800, rest=bytes(27))) == []
    node.set_port(2, True)
    assert {2, 3} == set(taken())


def test_counters(node: Node) -> None:
    node.insert("l2", {"dst": 1}, "remember", index=3)
    for _ in range(4):
        node.exchange(1, frame())
    assert node.counter("port_counter", 3) == Counter(4, 4 * len(frame()))
    assert node.counter("port_counter", 4) == Counter(0, 0)
    assert node.direct_counter("l2", {"dst": 1}) == Counter(4, 4 * len(frame()))


def test_registers(embedded: P4jitNode) -> None:
    embedded.insert("l2", {"dst": 1}, "remember", index=3)
    embedded.exchange(1, frame(src=0x020304050607))
    assert embedded.register("seen", 3) == 0x020304050607
    embedded.set_register("seen", 2, 9)
    assert [embedded.register("seen", i) for i in range(4)] == [0, 0, 9, 0x020304050607]


def test_time_passes_when_told(embedded: P4jitNode) -> None:
    embedded.insert("l2", {"dst": 1}, "forward", port=3)
    embedded.configure(3, link=LinkSpec(rate=8_000_000, delay=500))  # 1 byte a us
    embedded.advance(10_000)
    embedded.send(1, frame(rest=bytes(86)))
    embedded.send(1, frame(rest=bytes(86)))
    assert [(o.port, o.time) for o in embedded.outputs()] == [(3, 110_500), (3, 210_500)]
    assert embedded.port_status(3).queues[0].sent_packets == 2


def chain(fabric: Fabric) -> None:
    """Hosts at port 1 of a and of c; whatever goes to 3 goes to c's."""
    fabric.link("a", 9, "b", 8, delay=1_000, rate=8_000_000_000)  # 1 byte a ns
    fabric.link("b", 9, "c", 8, delay=2_000)
    fabric["a"].insert("l2", {"dst": 3}, "forward", port=9)
    fabric["b"].insert("l2", {"dst": 3}, "forward", port=9)
    fabric["c"].insert("l2", {"dst": 3}, "forward", port=1)


def test_a_chain_of_nodes(make_fabric: MakeFabric) -> None:
    fabric = make_fabric("a", "b", "c")
    chain(fabric)
    assert fabric.exchange("a", 1, frame(dst=3)) == [Arrival("c", 1, frame(dst=3))]
    assert [(source, to) for _, source, to, _ in fabric.carried] == [
        (("a", 9), ("b", 8)),
        (("b", 9), ("c", 8)),
    ]
    assert fabric.exchange("a", 1, frame(dst=4)) == []
    fabric["b"].packet_out(frame(dst=3), egress_port=9)
    assert fabric.run() == [Arrival("c", 1, frame(dst=3))]
    fabric.cut("b", 9)
    assert fabric.exchange("a", 1, frame(dst=3)) == []
    fabric.mend("b", 9)
    fabric.exchange("a", 1, frame(dst=3), expect=1)


def test_a_fabric_has_one_time(make_embedded_fabric: MakeFabric) -> None:
    fabric = make_embedded_fabric("a", "b", "c")
    chain(fabric)
    fabric.edge("c", 1, delay=7)
    first, second, late = (frame(dst=3, rest=bytes((n,)) * 86) for n in range(3))
    fabric.send("a", 1, late, at=100_000)
    fabric.send("a", 1, first, at=5_000)
    fabric.send("a", 1, second, at=5_000)
    assert [(a.data, a.time) for a in fabric.run(until=50_000)] == [
        (first, 5_000 + 100 + 1_000 + 2_000 + 7),
        (second, 5_000 + 200 + 1_000 + 2_000 + 7),
    ]
    assert {fabric.now} | {fabric.embedded(name).now for name in "abc"} == {50_000}
    ((data, time),) = [(a.data, a.time) for a in fabric.run()]
    assert (data, time) == (late, 100_000 + 100 + 1_000 + 2_000 + 7)


def test_packets_that_go_round_for_ever_are_noticed(make_embedded_fabric: MakeFabric) -> None:
    fabric = make_embedded_fabric("a", "b")
    fabric.link("a", 9, "b", 9)
    for name in "ab":
        fabric[name].insert("l2", {"dst": 3}, "forward", port=9)
    fabric.send("a", 1, frame(dst=3))
    with pytest.raises(AssertionError, match="round for ever"):
        fabric.run()
