# SPDX-License-Identifier: Apache-2.0
"""A path that ends in a lookup of the destination (End.DT46, RFC 8986, 4.8): one for all hosts of a leaf."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrFragment,
)
from scapy.packet import Packet, Raw

from tests.dataplane import hosts, telemetry
from tests.dataplane.edge import with_option
from tests.dataplane.frames import NO_DEADLINE, Din, Fabric, access, ethernet, sid
from tests.dataplane.harness import MakeFabric, Node, P4jitNode
from tests.dataplane.hosts import (
    ACCESS,
    FUNCTION,
    HERE,
    HOST_MAC,
    LABEL,
    NODE,
    OTHER_LEAF,
    OTHER_NODE,
    PAIR4,
    PAIR6,
    PORT_MTU,
    SWITCH_MAC,
    TENANT,
    UPLINK,
    ZONE,
    Pair,
    delivered,
    make_leaf,
    sent,
    true_checksums,
)
from tests.dataplane.int_md import Hop, IntMd
from tests.dataplane.leaf import SERVICE, SERVICE_PORT, Flow, mapped
from tests.dataplane.telemetry import LOOKUP, collect, end_lookup, exchange, permit
from tests.dataplane.test_encapsulation import packets4, packets6

DROP_HOP_LIMIT, DROP_NO_DESTINATION, DROP_SEGMENT, DROP_FUNCTION = 10, 16, 18, 19
DROP_ZONE, DROP_DEADLINE, DROP_ECN, PUNT_TOO_BIG = 21, 27, 32, 3
OTHER_TENANT, OTHER_PORT, OTHER_FUNCTION = 8, 3, 0xF002
PAIRS = pytest.mark.parametrize("pair", [PAIR4, PAIR6], ids=["4", "6"])
#: What the DIN option may say of a packet's direction.
DIRECTIONS = {
    "no service": Din(),
    "request": Din(service=SERVICE),
    "response": Din(service=SERVICE, response=1),
}


def make(node: Node, label: int = 0) -> None:
    make_leaf(node, label=label)
    end_lookup(node, NODE)


def place(node: Node, function: int, port: int, *, modify: bool = False, **more: int | str) -> None:
    values: dict[str, int | str] = {
        "dst_mac": HOST_MAC, "src_mac": SWITCH_MAC, "vid": 0, "mtu": PORT_MTU, "zone": ZONE, "instance": 0,
    }  # fmt: skip
    write = node.modify if modify else node.insert
    write("functions", {"function": function}, "deliver", port=port, **values | more)


def to_function(node: Node, prefix: str, function: int, tenant: int = TENANT) -> None:
    match = {"tenant": tenant, "dst_addr": prefix}
    node.insert("destinations", match, "to_function", function=function)


def ip(pair: Pair, dst: str = "", ttl: int = 63) -> Packet:
    """From the sender of the other leaf, to the host at `HERE` or another."""
    if pair is PAIR6:
        return IPv6(src=pair.there, dst=dst or pair.here, hlim=ttl)
    return IP(src=pair.there, dst=dst or pair.here, ttl=ttl)


def udp(pair: Pair, dst: str = "", payload: bytes = b"tokens") -> bytes:
    return bytes(ip(pair, dst) / UDP(sport=40000, dport=8000) / Raw(payload))


def from_here(pair: Pair, dst: str) -> bytes:
    """From the sender of this leaf."""
    packet = ip(pair, dst) / UDP(sport=40000, dport=8000) / Raw(b"tokens")
    packet.src = pair.host
    return bytes(packet)


def fabric(
    packet: bytes | Packet, *, function: int = LOOKUP, din: Din | None = None, **more: object
) -> bytes:
    return Fabric(sid(NODE, function), bytes(packet), din or Din()).but(**more).frame()


def refused(node: Node, frame: bytes, reason: int) -> None:
    """Dropped and counted once; nobody hears of it."""
    before = node.counter("drops", reason)
    assert node.exchange(UPLINK, frame) == []
    after = node.counter("drops", reason)
    assert (after.packets - before.packets, after.bytes - before.bytes) == (1, len(frame))
    assert node.packet_ins() == []


# ---- where it goes ---------------------------------------------------------------------------------------


@PAIRS
def test_one_path_for_all_hosts_of_a_leaf(node: Node, pair: Pair) -> None:
    """The longest prefix says which function, and with it port, frame and MACs. No hop is counted: the
    ingress leaf has."""
    make(node)
    own, whole = ("/128", "/64") if pair is PAIR6 else ("/32", "/24")
    network, host = ("2001:db8:1::", "2001:db8:1::") if pair is PAIR6 else ("10.1.0.0", "10.1.0.")
    place(node, OTHER_FUNCTION, OTHER_PORT, vid=200)
    place(node, 0xF003, 4, dst_mac="06:11:22:33:44:55", src_mac="06:66:77:88:99:aa")
    to_function(node, network + whole, OTHER_FUNCTION)
    to_function(node, f"{host}77{own}", 0xF003)
    here, other, third = (udp(pair, dst) for dst in ("", f"{host}66", f"{host}77"))
    assert node.exchange(UPLINK, fabric(here)) == [(HERE, delivered(here))]
    assert node.exchange(UPLINK, fabric(other)) == [(OTHER_PORT, delivered(other, 200))]
    macs = ("06:11:22:33:44:55", "06:66:77:88:99:aa")
    found = ethernet(*macs, 0x86DD if pair is PAIR6 else 0x0800) + third
    assert node.exchange(UPLINK, fabric(third)) == [(4, found)]
    # A function of its own is still a function.
    assert node.exchange(UPLINK, fabric(third, function=FUNCTION)) == [(HERE, delivered(third))]


@PAIRS
def test_tenants_are_apart(node: Node, pair: Pair) -> None:
    make(node)
    place(node, OTHER_FUNCTION, OTHER_PORT)
    to_function(node, f"{pair.here}/{128 if pair is PAIR6 else 32}", OTHER_FUNCTION, OTHER_TENANT)
    packet = udp(pair)
    assert node.exchange(UPLINK, fabric(packet)) == [(HERE, delivered(packet))]
    assert node.exchange(UPLINK, fabric(packet, tenant=OTHER_TENANT)) == [(OTHER_PORT, delivered(packet))]
    refused(node, fabric(packet, tenant=OTHER_TENANT + 1), DROP_NO_DESTINATION)
    refused(node, fabric(packet, tenant=0), DROP_NO_DESTINATION)


@PAIRS
@pytest.mark.parametrize("din", DIRECTIONS.values(), ids=DIRECTIONS)
def test_what_is_nowhere_is_dropped(node: Node, pair: Pair, din: Din) -> None:
    """A host would be told, by the controller; a fabric port is no host."""
    make(node)
    nowhere = "2001:db8:9::1" if pair is PAIR6 else "10.9.0.1"
    refused(node, fabric(udp(pair, nowhere), din=din), DROP_NO_DESTINATION)
    assert node.exchange(ACCESS, sent(from_here(pair, nowhere))) == []
    assert len(node.packet_ins()) == 1


@PAIRS
@pytest.mark.parametrize("din", DIRECTIONS.values(), ids=DIRECTIONS)
def test_what_is_at_another_leaf_is_not_sent_round(node: Node, pair: Pair, din: Din) -> None:
    """Although there are paths to that leaf, the service's own among them. The leaf that it came from would
    take it for the way here."""
    make(node)
    where = {"segments": sid(OTHER_NODE, LOOKUP), "mtu": 1600, "zone": ZONE, "base_latency": 0}
    match = {"service": SERVICE, "class_id": 0, "label": 0, "leaf": OTHER_LEAF}
    node.insert("response_paths", match, "via", **where)
    refused(node, fabric(udp(pair, pair.there), din=din), DROP_FUNCTION)
    ((port, _),) = node.exchange(ACCESS, sent(from_here(pair, pair.there)))
    assert port == UPLINK, "from a host it goes there"


def test_a_function_that_is_no_more(node: Node) -> None:
    make(node)
    node.delete("functions", {"function": FUNCTION})
    refused(node, fabric(udp(PAIR4)), DROP_FUNCTION)
    hosts.deliver(node)
    assert node.exchange(UPLINK, fabric(udp(PAIR4))) == [(HERE, delivered(udp(PAIR4)))]


def test_a_function_that_nobody_can_have(node: Node) -> None:
    """Rather than to port 0."""
    make(node)
    to_function(node, "10.9.0.0/16", 0)
    place(node, 0, 0)
    refused(node, fabric(udp(PAIR4, "10.9.0.1")), DROP_FUNCTION)


# ---- what ends here must be understood -------------------------------------------------------------------

OPAQUE = bytes.fromhex("01020304 00000000")
UNREADABLE = {
    "no Geneve": (None, b"", b""),
    "no option": (None, b"", udp(PAIR4)),
    "another version": (Din(version=2), b"", udp(PAIR4)),
    "another option": (None, OPAQUE, udp(PAIR4)),
    "in second place": (None, OPAQUE + Din().bytes(), udp(PAIR4)),
    "one behind it": (Din(), OPAQUE * 2, udp(PAIR4)),
    "lengths of INT that contradict each other": (
        Din(),
        IntMd(stack=bytes(16), length=5).bytes(),
        udp(PAIR4),
    ),
    "no IP": (Din(), b"", b"\x00\x01opaque"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_whose_tenant_or_packet_is_not_understood(node: Node, kind: str) -> None:
    make(node)
    place(node, OTHER_FUNCTION, OTHER_PORT)
    for tenant in (0, TENANT):
        node.insert(
            "destinations", {"tenant": tenant, "dst_addr": None}, "to_function", function=OTHER_FUNCTION
        )
    din, options, packet = UNREADABLE[kind]
    frame = Fabric(sid(NODE, LOOKUP), packet, din, options=options).frame()
    if kind == "no IP":
        at = frame.index(b"\x86\xdd", 14)
        frame = frame[:at] + b"\x88\xb5" + frame[at + 2 :]
    refused(node, frame, DROP_SEGMENT)


def test_a_path_that_does_not_end(node: Node) -> None:
    make(node)
    refused(node, Fabric(sid(NODE, LOOKUP, 0x33), udp(PAIR4)).frame(), DROP_SEGMENT)
    refused(node, fabric(udp(PAIR4), hop_limit=1), DROP_HOP_LIMIT)
    last_hop = fabric(udp(PAIR4), hop_limit=2)
    assert node.exchange(UPLINK, last_hop) == [(HERE, delivered(udp(PAIR4)))]


def test_a_port_for_hosts_has_no_lookups(node: Node) -> None:
    make(node)
    assert node.exchange(ACCESS, fabric(udp(PAIR4))) == []
    assert node.counter("drops", 7).packets == 1


# ---- whose address ---------------------------------------------------------------------------------------


def quoted(pair: Pair, src: str, dst: str) -> bytes:
    header = IPv6(src=src, dst=dst) if pair is PAIR6 else IP(src=src, dst=dst)
    return bytes(header / UDP(sport=8000, dport=40000) / Raw(b"tokens"))


def error(pair: Pair, about: bytes, dst: str = "") -> bytes:
    """Port unreachable."""
    kind = ICMPv6DestUnreach(code=4) if pair is PAIR6 else ICMP(type=3, code=3)
    return bytes(ip(pair, dst) / kind / Raw(about))


@PAIRS
def test_an_icmp_error_goes_to_its_own_destination(node: Node, pair: Pair) -> None:
    """Its flow is the quoted one's, reversed, only if that was sent by its receiver; whatever else it quotes
    leads nowhere else."""
    make(node)
    place(node, OTHER_FUNCTION, OTHER_PORT)
    other = "2001:db8:1::66" if pair is PAIR6 else "10.1.0.66"
    to_function(node, f"{other}/{128 if pair is PAIR6 else 32}", OTHER_FUNCTION)
    for src, dst in (
        (pair.here, pair.there),
        (other, pair.there),
        (pair.there, other),
        (pair.here, other),
        (other, pair.here),
    ):
        for receiver, port in (("", HERE), (other, OTHER_PORT)):
            packet = error(pair, quoted(pair, src, dst), receiver)
            assert node.exchange(UPLINK, fabric(packet)) == [(port, delivered(packet))]
    # Only its own counts for what is nowhere and what is elsewhere, too.
    for receiver, reason in ((pair.there, DROP_FUNCTION), (pair.host, DROP_NO_DESTINATION)):
        refused(node, fabric(error(pair, quoted(pair, pair.here, pair.there), receiver)), reason)


@PAIRS
def test_an_icmp_error_to_an_instance_with_an_address_of_its_own(node: Node, pair: Pair) -> None:
    """What it sent had that address, and so has what is quoted."""
    make(node)
    own = "2001:db8:1::77" if pair is PAIR6 else "10.1.0.77"
    hosts.deliver_rewritten(node, own)
    found = node.exchange(UPLINK, fabric(error(pair, quoted(pair, pair.here, pair.there))))
    about = quoted(pair, own, pair.there)
    # A UDP checksum is its sender's: quoted as it is.
    l4 = 40 if pair is PAIR6 else 20
    about = about[:l4] + quoted(pair, pair.here, pair.there)[l4:]
    assert found == [(HERE, delivered(true_checksums(error(pair, about, own))))]


@PAIRS
def test_fragments(node: Node, pair: Pair) -> None:
    """All have the address."""
    make(node)
    header = ip(pair)
    for offset, upper in ((0, UDP(sport=1, dport=2, len=100) / Raw(bytes(16))), (3, Raw(bytes(range(24))))):
        if pair is PAIR6:
            packet = header / IPv6ExtHdrFragment(nh=17, offset=offset, m=1, id=9) / upper
        else:
            packet = IP(src=pair.there, dst=pair.here, ttl=63, frag=offset, flags="MF", proto=17) / upper
        assert node.exchange(UPLINK, fabric(packet)) == [(HERE, delivered(packet))]
        packet.dst = pair.there
        refused(node, fabric(packet), DROP_FUNCTION)


def test_any_protocol(node: Node) -> None:
    make(node)
    option = with_option(UDP(sport=1, dport=2) / Raw(b"x"), src=PAIR6.there, dst=PAIR6.here)
    for packet in (
        ip(PAIR4) / ICMP() / Raw(b"ping"),
        ip(PAIR6) / ICMPv6EchoRequest(data=b"ping"),
        ip(PAIR4) / Raw(b"what is this"),
        IP(src=PAIR4.there, dst=PAIR4.here, options=[IPOption_NOP()] * 4) / UDP() / Raw(b"options"),
        ip(PAIR6) / ICMPv6PacketTooBig(mtu=1400) / Raw(quoted(PAIR6, PAIR6.here, PAIR6.there)),
        option,
    ):
        assert node.exchange(UPLINK, fabric(packet)) == [(HERE, delivered(bytes(packet)))]


# ---- what the ingress leaf has decided -------------------------------------------------------------------


def tcp(flow: Flow, flags: str = "PA") -> bytes:
    return bytes(flow.packet(flags, b"prompt"))


def test_a_request_is_not_steered_again(node: Node) -> None:
    """Its client's leaf has chosen the instance; here, its service's address is a destination like any."""
    make(node)
    flow = Flow(src=PAIR4.there, dst="10.200.0.1")
    service = {"dst_addr": mapped(flow.dst), "protocol": 6, "dst_port": SERVICE_PORT}
    node.insert("services", service, "set_service", service=SERVICE, by_address=0)
    group = {"service": SERVICE, "tenant": TENANT, "class_id": 0, "label": 0}
    node.insert("groups", group, "set_group", group=3)
    for bucket in {0x12345678 & 0x3FF, flow.bucket, 0}:
        one = {"current": 2, "previous": 2, "state": 0}
        node.insert("buckets", {"group": 3, "bucket": bucket}, "set_bucket", **one)
    node.insert("liveness", {"instance": 2}, "NoAction")
    place(node, OTHER_FUNCTION, OTHER_PORT, instance=2)
    node.insert(
        "paths", {"kind": 1, "target": 2, "class_id": 0, "label": 0}, "local", function=OTHER_FUNCTION
    )
    request = fabric(tcp(flow), din=Din(service=SERVICE))
    refused(node, request, DROP_NO_DESTINATION)
    to_function(node, "10.200.0.1/32", FUNCTION)
    assert node.exchange(UPLINK, request) == [(HERE, delivered(tcp(flow)))]
    # A host's is: the tables are those that would have.
    assert [port for port, _ in node.exchange(ACCESS, sent(tcp(flow)))] == [OTHER_PORT]


def test_a_response_has_no_path_any_more(node: Node) -> None:
    make(node)
    for match in (
        {"service": SERVICE, "class_id": 0, "label": 0, "leaf": leaf_id} for leaf_id in (1, OTHER_LEAF)
    ):
        where = {"segments": sid(OTHER_NODE, LOOKUP), "mtu": 1600, "zone": ZONE, "base_latency": 0}
        node.insert("response_paths", match, "via", **where)
    answer = tcp(Flow(SERVICE_PORT, "10.200.0.1", PAIR4.here, dport=40000))
    frame = fabric(answer, din=DIRECTIONS["response"])
    assert node.exchange(UPLINK, frame) == [(HERE, delivered(answer))]


@pytest.mark.parametrize("label", [0, LABEL])
def test_the_zone_of_the_host_is_guarded(node: Node, label: int) -> None:
    """By the label of the option, whatever the path was."""
    make(node, label)
    frame = fabric(udp(PAIR6), din=Din(label=label))
    assert node.exchange(UPLINK, frame) == [(HERE, delivered(udp(PAIR6)))]
    place(node, FUNCTION, HERE, modify=True, zone=ZONE + 1)
    refused(node, frame, DROP_ZONE)
    node.insert("destination_guard", {"label": label, "zone": ZONE + 1}, "permit_destination")
    assert node.exchange(UPLINK, frame) == [(HERE, delivered(udp(PAIR6)))]
    refused(node, fabric(udp(PAIR6), din=Din(label=label + 1)), DROP_ZONE)


@PAIRS
def test_the_hosts_mtu(node: Node, pair: Pair) -> None:
    """A handshake is told of it, and whoever sends more than that."""
    make(node)
    place(node, FUNCTION, HERE, modify=True, mtu=1300)
    headers = len(udp(pair, payload=b""))
    for extra in (0, 1):
        packet = udp(pair, payload=bytes(1300 - headers + extra))
        found = node.exchange(UPLINK, fabric(packet))
        told = [(p.metadata["reason"], p.metadata["mtu"], p.metadata["tenant"]) for p in node.packet_ins()]
        expected = ([], [(PUNT_TOO_BIG, 1300, TENANT)]) if extra else ([(HERE, delivered(packet))], [])
        assert (found, told) == expected
    for offered, left in ((1460, 1300 - headers + 8 - 20), (500, 500)):
        syn = ip(pair) / TCP(sport=40000, dport=8000, flags="S", options=[("MSS", offered)])
        after = ip(pair) / TCP(sport=40000, dport=8000, flags="S", options=[("MSS", left)])
        assert node.exchange(UPLINK, fabric(syn)) == [(HERE, delivered(after))]


@pytest.mark.parametrize("outer", range(4))
def test_the_fabrics_congestion_mark(node: Node, outer: int) -> None:
    """RFC 6040, 4.2, as at any path's end."""
    make(node)
    for inner in range(4):
        packet = ip(PAIR4) / UDP() / Raw(b"x")
        packet.tos = inner
        found = node.exchange(UPLINK, fabric(packet, traffic_class=outer))
        if outer == 3 and inner == 0:
            assert found == []
            assert node.counter("egress_drops", DROP_ECN).packets == 1
        else:
            packet.tos = 3 if outer == 3 else 1 if (outer, inner) == (1, 2) else inner
            assert found == [(HERE, delivered(packet))]


def test_slack_and_class_are_the_options(node: Node) -> None:
    """The destination's entry begins a slack for a host's packet, not for one that has been on its way."""
    make(node)
    node.insert("classes", {"class_id": 3}, "map_slack")
    node.insert("classes", {"class_id": 4}, "set_queue", queue=6)
    node.insert("slack_queues", {"slack": (0, 1)}, "set_slack_queue", queue=2)
    node.insert("slack_queues", {"slack": (0, 12)}, "set_slack_queue", queue=4)
    expected = [0] * 8
    for din, queue in (
        (Din(class_id=3, slack=1 << 20), 2),
        (Din(class_id=3, slack=1 << 10), 4),
        (Din(class_id=3, slack=NO_DEADLINE), 0),
        (Din(class_id=4, slack=1), 6),
        (Din(class_id=0), 0),
    ):
        assert node.exchange(UPLINK, fabric(udp(PAIR4), din=din)) == [(HERE, delivered(udp(PAIR4)))]
        expected[queue] += 1
        assert [node.counter("enqueued", HERE << 3 | each).packets for each in range(8)] == expected


def test_late_is_dropped_at_the_hosts_port(node: Node) -> None:
    make(node)
    late = fabric(udp(PAIR4), din=Din(slack=0, late_drop=1))
    assert node.exchange(UPLINK, late) == []
    assert node.counter("egress_drops", DROP_DEADLINE).packets == 1
    for din in (Din(slack=0), Din(late_drop=1), Din(slack=1 << 30, late_drop=1)):
        assert len(node.exchange(UPLINK, fabric(udp(PAIR4), din=din))) == 1


# ---- what is told of it ----------------------------------------------------------------------------------

SINK_HOST = "10.1.0.5"


def make_sink(node: Node) -> None:
    """The client's leaf of the telemetry tests; only what is new is reported."""
    telemetry.make_leaf(node, telemetry.CLIENT_LEAF, client=True)
    end_lookup(node, telemetry.CLIENT_LEAF)
    collect(node, 0)
    node.set_default("flow_filter", "set_flow_filter", latency=0xF8000000, time=0)


def to_sink(din: Din, dst: str = SINK_HOST, **more: object) -> Fabric:
    packet = bytes(IP(src="10.2.0.9", dst=dst) / UDP(sport=8000, dport=40000) / Raw(b"tokens"))
    return Fabric(sid(telemetry.CLIENT_LEAF, LOOKUP), packet, din, **more)  # type: ignore[arg-type]


def test_the_sink_reports_the_stack(node: Node) -> None:
    """Hash, class and service are the option's, the instance the function's: 0 at a client."""
    make_sink(node)
    stack = Hop(2, 3, 4, 5000, 1, 7).push(0xF000, 4) + Hop(1, 8, 9, 6000, 2, 11).push(0xF000, 4)
    din = Din(service=SERVICE, response=1, class_id=3, flow_hash=0xABCD1234)
    packet = to_sink(din, options=IntMd(stack=stack, remaining=5).bytes())
    ((port, frame),), (report,) = exchange(node, telemetry.UP, packet.frame())
    assert (port, frame[14:]) == (telemetry.HOST, packet.inner)
    assert (report.flags, report.ports) == ("F", (telemetry.UP, telemetry.HOST))
    found = (report.tenant, report.service, report.instance, report.class_id, report.flow_hash)
    assert found == (TENANT, SERVICE, 0, 3, 0xABCD1234)
    assert report.inner == packet.packet()[: len(report.inner)]
    assert len(report.inner) == (len(packet.packet()) & ~3)
    assert exchange(node, telemetry.UP, packet.frame())[1] == [], "the same again is no news"
    other = packet.but(din=replace(din, flow_hash=0xABCD1235))
    assert len(exchange(node, telemetry.UP, other.frame())[1]) == 1, "another flow"


def test_the_sink_names_the_instance_of_the_function(node: Node) -> None:
    make_sink(node)
    where = {"port": telemetry.HOST, "dst_mac": HOST_MAC, "src_mac": SWITCH_MAC, "vid": 0, "mtu": 1500}
    node.modify(
        "functions",
        {"function": telemetry.HOST_FUNCTION},
        "deliver",
        zone=telemetry.ZONE,
        instance=9,
        **where,
    )
    packet = to_sink(Din(service=SERVICE), options=IntMd(stack=Hop(1).push(0xF000, 4)).bytes())
    _, (report,) = exchange(node, telemetry.UP, packet.frame())
    assert (report.service, report.instance) == (SERVICE, 9)


@pytest.mark.parametrize(
    ("dst", "reason"), [("10.2.0.77", DROP_FUNCTION), ("10.99.0.1", DROP_NO_DESTINATION)]
)
def test_a_drop_is_reported(node: Node, dst: str, reason: int) -> None:
    """With the label and the class of the option. A report of another node's is not reported."""
    make_sink(node)
    collect(node, LABEL, prepared=True)
    permit(node, LABEL)
    telemetry.report_drops(node, reason)
    din = Din(label=LABEL, class_id=2, service=SERVICE, flow_hash=77)
    packet = to_sink(din, dst)
    left, (report,) = exchange(node, telemetry.UP, packet.frame())
    assert (left, report.flags, report.drop) == ([], "D", (255, reason))
    assert (report.ports, report.tenant) == ((telemetry.UP, 0xFFFF), TENANT)
    assert (report.label, report.class_id, report.service, report.flow_hash) == (LABEL, 2, SERVICE, 77)
    assert report.inner == packet.packet()[: 84 + 28], "of a labelled packet the headers alone"
    assert exchange(node, telemetry.UP, packet.but(din=replace(din, class_id=8 | 2)).frame()) == ([], [])
    assert node.counter("drops", reason).packets == 2


def test_reports_reach_a_collector_by_it(make_fabric: MakeFabric) -> None:
    """They are tenant 0's, and need no path of their own."""
    net = make_fabric("client", "server")
    net.link("client", telemetry.UP, "server", telemetry.UP)
    client, server = net["client"], net["server"]
    telemetry.make_leaf(client, telemetry.CLIENT_LEAF, client=True)
    telemetry.make_leaf(server, telemetry.SERVER_LEAF, client=False)
    end_lookup(server, telemetry.SERVER_LEAF)
    client.clone_session(telemetry.SESSION, 32)
    collect(client, telemetry.LABEL_UNKNOWN, prepared=True)
    collect(server)
    for node in (client, server):
        permit(node, telemetry.LABEL_UNKNOWN)
    collectors = {"tenant": 0, "dst_addr": (telemetry.v4("192.0.2.0"), 120)}
    client.insert("destinations", collectors, "to_leaf", leaf=telemetry.SERVER_LEAF)
    key = {"kind": 2, "target": telemetry.SERVER_LEAF, "class_id": 8, "label": telemetry.LABEL_UNKNOWN}
    where = {"segments": sid(telemetry.SERVER_LEAF, LOOKUP), "mtu": 9000, "zone": ZONE, "base_latency": 0}
    client.insert("paths", key, "via", **where)
    telemetry.report_drops(client, 8)
    spoofed = bytes(IP(src="192.168.0.1", dst="10.2.0.9") / UDP() / Raw(b"secret"))
    (arrival,) = net.exchange("client", telemetry.HOST, access(spoofed), expect=1)
    assert (arrival.node, arrival.port) == ("server", telemetry.COLLECTOR)
    report = telemetry.parse_report(arrival.data)
    assert (report.drop, report.inner) == ((255, 8), spoofed[:20] + spoofed[20:][:8])


# ---- from leaf to leaf -----------------------------------------------------------------------------------


def test_hosts_of_two_leaves(make_fabric: MakeFabric) -> None:
    """One path each way, and both ends' hosts reach each other; a host that moves is followed."""
    net = make_fabric("a", "b")
    net.link("a", UPLINK, "b", UPLINK)
    sides = (("a", NODE, OTHER_NODE, "10.1.0.", "10.2.0."), ("b", OTHER_NODE, NODE, "10.2.0.", "10.1.0."))
    for name, own, other, mine, theirs in sides:
        node = net[name]
        node.insert("ports", {"port": UPLINK}, "set_fabric")
        node.set_default("boundaries", "inside")
        telemetry.route(node, "fcbb:bb00::", 32, UPLINK)
        permit(node, 0, ZONE)
        end_lookup(node, own)
        for port in (1, 2, 3):
            node.insert("ports", {"port": port}, "set_access", zone=ZONE)
            source = {"tenant": TENANT, "label": 0, "label_mandatory": 0, "option_required": 0}
            node.insert("sources", {"port": port, "vid": 0}, "permit", **source)
            place(node, port, port)
            to_function(node, f"{mine}{port}/32", port)
        node.insert("destinations", {"tenant": TENANT, "dst_addr": f"{theirs}0/24"}, "to_leaf", leaf=other)
        match = {"kind": 2, "target": other, "class_id": 0, "label": 0}
        where = {"segments": sid(other, LOOKUP), "mtu": 1600, "zone": ZONE, "base_latency": 0}
        node.insert("paths", match, "via", **where)

    networks = {"a": "10.1.0.", "b": "10.2.0."}

    def send(start: str, src: int, end: str, dst: int) -> list[tuple[str, int]]:
        header = IP(src=f"{networks[start]}{src}", dst=f"{networks[end]}{dst}")
        packet, after = (IP(bytes(header / UDP() / Raw(b"hello"))) for _ in range(2))
        after.ttl, after.chksum = 63, None
        found = net.exchange(start, src, sent(packet))
        assert all(each.data == delivered(after) for each in found)
        return [(each.node, each.port) for each in found]

    for start, end in (("a", "b"), ("b", "a"), ("a", "a")):
        for src, dst in product((1, 2, 3), repeat=2):
            if (start, src) != (end, dst):
                assert send(start, src, end, dst) == [(end, dst)]
    # Host 3 of b is now where host 2 is, and then at no port.
    three: dict[str, int | str] = {"tenant": TENANT, "dst_addr": "10.2.0.3/32"}
    net["b"].modify("destinations", three, "to_function", function=2)
    assert send("a", 1, "b", 3) == [("b", 2)]
    net["b"].modify("destinations", three, "to_leaf", leaf=NODE)
    assert send("a", 1, "b", 3) == []
    assert net["b"].counter("drops", DROP_FUNCTION).packets == 1, "not back to a, for ever"


def turned(packet: bytes) -> bytes:
    """With the pair's addresses the other way about: to the host here."""
    pair = PAIR4 if packet[0] >> 4 == 4 else PAIR6
    parsed = (IP if pair is PAIR4 else IPv6)(packet)
    parsed.src, parsed.dst = pair.there, pair.here
    if pair is PAIR4:
        parsed.chksum = None
    return bytes(parsed)


@st.composite
def arrivals(draw: st.DrawFn) -> Callable[[int], bytes]:
    """A fabric frame by the function that it ends in."""
    inner = turned(draw(st.one_of(packets4(), packets6())))
    din = Din(
        class_id=draw(st.sampled_from((0, 3, 3, 3, 8, 15))),
        label=draw(st.sampled_from((0, 0, 0, LABEL))),
        response=draw(st.integers(0, 1)),
        watched=draw(st.integers(0, 1)),
        late_drop=draw(st.integers(0, 1)),
        service=draw(st.sampled_from((0, SERVICE))),
        slack=draw(st.sampled_from((0, 1, 1 << 20, NO_DEADLINE))),
        flow_hash=draw(st.integers(0, 0xFFFFFFFF)),
        version=draw(st.sampled_from((1, 1, 1, 1, 2))),
    )
    words = draw(st.integers(0, 7))
    options = IntMd(stack=bytes(16 * words)).bytes() if draw(st.booleans()) else b""
    more = {"traffic_class": draw(st.integers(0, 255)), "hop_limit": draw(st.sampled_from((64, 2, 1)))}
    return lambda function: fabric(inner, function=function, din=din, options=options, **more)


def test_a_lookup_is_its_function(embedded: P4jitNode) -> None:
    """Where the destination's entry names a function, the frame, the queue and the reasons of drops are those
    of a path that names it."""
    node = embedded
    make(node, LABEL)
    node.delete("destination_guard", {"label": LABEL, "zone": ZONE})
    node.insert("classes", {"class_id": 3}, "map_slack")
    node.insert("slack_queues", {"slack": (0, 1)}, "set_slack_queue", queue=2)
    node.insert("slack_queues", {"slack": (0, 12)}, "set_slack_queue", queue=4)
    seen = {"delivered": 0, "refused": 0}

    counted = [("enqueued", HERE << 3 | queue) for queue in (0, 2, 4)]
    counted += [("drops", reason) for reason in (DROP_HOP_LIMIT, DROP_SEGMENT, DROP_ZONE)]
    counted += [("egress_drops", reason) for reason in (DROP_DEADLINE, DROP_ECN)]

    def counts() -> list[int]:
        return [node.counter(*each).packets for each in counted]

    def outcome(frame: bytes) -> tuple[list[tuple[int, bytes]], list[int]]:
        before = counts()
        found = node.exchange(UPLINK, frame)
        return found, [after - b for after, b in zip(counts(), before, strict=True)]

    @settings(max_examples=80, deadline=None)
    @given(arrivals())
    def check(arrival: Callable[[int], bytes]) -> None:
        by_lookup, by_function = outcome(arrival(LOOKUP)), outcome(arrival(FUNCTION))
        assert by_lookup == by_function
        assert sum(by_lookup[1]) >= 1, "one of these is what happened"
        seen["delivered" if by_lookup[0] else "refused"] += 1

    check()
    assert min(seen.values()) >= 5, seen
