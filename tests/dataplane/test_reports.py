# SPDX-License-Identifier: Apache-2.0
"""Telemetry Reports: what makes one, what is in it, who gets it, and what never is in it."""

from __future__ import annotations

import struct
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dataplane.frames import OVERHEAD, Din, Fabric, access, ethernet, sid, tcp4, udp6
from tests.dataplane.harness import MakeFabric, Node, P4jitNode
from tests.dataplane.int_md import Hop, IntMd
from tests.dataplane.telemetry import (
    BASE,
    CLIENT_LEAF,
    COLLECTOR,
    COLLECTOR4,
    COLLECTOR_FUNCTION,
    CONGESTION,
    DROP,
    FLOW,
    HOST,
    HOST_FUNCTION,
    HW_ID,
    LABEL,
    LABEL_UNKNOWN,
    NODE4,
    SERVER_LEAF,
    TENANT,
    UP,
    ZONE,
    Report,
    at,
    collect,
    exchange,
    function,
    make_leaf,
    make_transit,
    parse_report,
    path,
    permit,
    report_drops,
    reports_of,
    v4,
    watch,
)

NODE, OURS = 0xB0B, 0x0011
DST = sid(OURS, 0x22, 0x33, 0xF001)
HERE = sid(CLIENT_LEAF, HOST_FUNCTION)
SNAP = 128
WINDOW = 1 << 20  # us
BEST_EFFORT_QUEUE = 0
REPORT_CLASS = 8
D_BITS, QF_BITS = 0x4801, 0x7C00
TRUNCATED, IP_HEADER, IP_LENGTH, IP_CHECKSUM, ADDRESS, PORT = range(1, 7)
FABRIC_DESTINATION, SOURCE, ETHERTYPE, HOP_LIMIT = range(7, 11)
SEGMENT, NOT_A_FUNCTION, ZONE_REFUSED, BOUNDARY, DEADLINE = 18, 19, 21, 22, 27
ALL_REASONS = range(1, 32)
LABELS = (0, LABEL, LABEL_UNKNOWN)


def leaf(node: Node, *, label: int = 0, labels: tuple[int, ...] = LABELS) -> None:
    """The client's leaf, with a collector that may hear of anything."""
    make_leaf(node, CLIENT_LEAF, client=True, label=label)
    for each in set(labels) - {label}:
        permit(node, each)
    collect(node, *labels)


def transit(node: Node, *labels: int) -> None:
    make_transit(node, NODE)
    for each in labels or LABELS:
        permit(node, each)
    collect(node, *(labels or LABELS))


def _checked(packet: bytes) -> bytes:
    """An IPv4 packet with a true header checksum."""
    from tests.dataplane.telemetry import ones_sum

    bare = packet[:10] + b"\0\0" + packet[12:]
    return bare[:10] + struct.pack("!H", ~ones_sum(bare[:20]) & 0xFFFF) + bare[12:]


def fix(packet: bytes, **changes: bytes) -> bytes:
    """`packet` with bytes at offsets (named _N) replaced, and its checksum true again."""
    data = bytearray(packet)
    for name, value in changes.items():
        data[int(name[1:]) : int(name[1:]) + len(value)] = value
    return _checked(bytes(data))


def one(node: Node, port: int, frame: bytes) -> Report:
    left, reports = exchange(node, port, frame)
    assert len(reports) == 1, f"{len(reports)} reports; {left}"
    return reports[0]


# ---- drops -----------------------------------------------------------------------------------------------


def test_a_drop_before_anything_is_known_of_the_packet(node: Node) -> None:
    leaf(node)
    report_drops(node, SOURCE)
    packet = fix(tcp4(b"secret"), _12=bytes((192, 168, 0, 1)))
    left, (report,) = exchange(node, HOST, access(packet))
    assert left == []
    assert (report.flags, report.md_bits, report.ds_md_bits, report.status) == ("D", D_BITS, 0x8000, 0)
    assert (report.hw_id, report.node_id, report.sequence) == (HW_ID, CLIENT_LEAF, 0)
    assert report.ports == (HOST, 0xFFFF)
    assert report.drop == (0xFF, SOURCE)
    assert (report.label, report.class_id, report.service, report.instance) == (LABEL_UNKNOWN, 0, 0, 0)
    assert (report.inner_type, report.inner) == (4, packet[:40]), "headers, no payload"
    assert report.ingress_time is not None
    assert BASE <= report.ingress_time < BASE + 10**13
    if isinstance(node, P4jitNode):
        assert report.ingress_time == at(node, 0)
    assert node.counter("drops", SOURCE).packets == 1


def test_a_drop_of_a_packet_that_is_known(node: Node) -> None:
    """Unlabelled: the headers and 128 bytes more, in whole words."""
    make_leaf(node, CLIENT_LEAF, client=True)
    collect(node, 0)
    report_drops(node, ZONE_REFUSED)
    node.delete("destination_guard", {"label": 0, "zone": ZONE})
    node.insert("destination_guard", {"label": 0, "zone": 99}, "permit_destination")
    node.delete("functions", {"function": COLLECTOR_FUNCTION})
    function(node, COLLECTOR_FUNCTION, COLLECTOR, zone=99)
    for payload, kept in ((b"", 0), (b"abcdefg", 4), (b"y" * 128, 128), (bytes(range(200)), 128)):
        packet = tcp4(payload)
        report = one(node, HOST, access(packet))
        assert (report.drop, report.tenant, report.label) == ((0xFF, ZONE_REFUSED), TENANT, 0)
        assert report.inner == packet[: 40 + kept]


def labelled_drop(node: Node) -> None:
    """The client's label is not permitted where its packets go, but where the collector is."""
    make_leaf(node, CLIENT_LEAF, client=True, label=LABEL)
    collect(node, LABEL)
    report_drops(node, ZONE_REFUSED)
    node.delete("destination_guard", {"label": LABEL, "zone": ZONE})
    node.insert("destination_guard", {"label": LABEL, "zone": 99}, "permit_destination")
    node.delete("functions", {"function": COLLECTOR_FUNCTION})
    function(node, COLLECTOR_FUNCTION, COLLECTOR, zone=99)


@pytest.mark.parametrize(
    ("packet", "headers"),
    [
        (tcp4(b"secret"), 40),
        (tcp4(b"secret", options=[("MSS", 1400), ("Timestamp", (1, 2))], flags="S"), None),
        (udp6(b"secret"), 48),
        (tcp4(b"secret")[:9] + b"\x2f" + tcp4(b"secret")[10:], 20),
    ],
    ids=["tcp", "tcp options", "udp6", "gre"],
)
def test_a_labelled_packet_is_quoted_without_payload(node: Node, packet: bytes, headers: int | None) -> None:
    labelled_drop(node)
    packet = _checked(packet) if packet[0] >> 4 == 4 else packet
    report = one(node, HOST, access(packet))
    assert (report.label, report.drop) == (LABEL, (0xFF, ZONE_REFUSED))
    assert report.inner == packet[: headers or len(packet) - len(b"secret")]


def test_a_fabric_packet_is_quoted_with_its_headers(node: Node) -> None:
    """On the way only the fabric's headers are understood; with no label, what follows may be quoted."""
    transit(node)
    report_drops(node, HOP_LIMIT)
    inner = tcp4(b"secret" * 40)
    for label, kept in ((LABEL, 0), (0, SNAP)):
        din = Din(class_id=3, label=label, service=77, flow_hash=0xFEEDF00D)
        packet = Fabric(DST, inner, din, hop_limit=1, tenant=7)
        report = one(node, 1, packet.frame())
        assert (report.drop, report.ports) == ((0xFF, HOP_LIMIT), (1, 0xFFFF))
        assert (report.tenant, report.service, report.label, report.class_id) == (7, 77, label, 3)
        assert report.flow_hash == 0xFEEDF00D
        assert (report.inner_type, report.inner) == (5, packet.packet()[: OVERHEAD + kept])


def test_the_int_stack_is_a_header(node: Node) -> None:
    transit(node)
    report_drops(node, HOP_LIMIT)
    option = IntMd(stack=bytes(range(64)))
    packet = Fabric(DST, tcp4(b"secret"), Din(label=LABEL), hop_limit=1, options=option.bytes())
    report = one(node, 1, packet.frame())
    assert report.inner == packet.packet()[: OVERHEAD + 16 + 64]


def test_a_routing_header_is_a_header(node: Node) -> None:
    """That of a traffic-engineered path, whole or with a segment count that we do not read."""
    transit(node)
    report_drops(node, HOP_LIMIT)
    packet = Fabric(DST, tcp4(b"secret"), Din(label=LABEL), hop_limit=1).packet()
    for segments in (1, 2, 4, 5):
        srh = struct.pack("!BBBBBBH", 17, 2 * segments, 4, 0, segments - 1, 0, 0) + bytes(16 * segments)
        routed = (
            packet[:4]
            + struct.pack("!HB", len(packet) - 40 + len(srh), 43)
            + packet[7:40]
            + srh
            + packet[40:]
        )
        report = one(node, 1, ethernet("02:00:00:00:00:fe", "02:00:00:00:00:01", 0x86DD) + routed)
        if segments <= 4:
            assert (report.label, report.inner) == (LABEL, routed[: OVERHEAD + len(srh)])
        else:
            assert (report.label, report.inner) == (LABEL_UNKNOWN, routed[:40])


def test_a_stack_whose_lengths_lie_is_not(node: Node) -> None:
    """opt_len is that of a long stack; the INT option says otherwise: only what was read is quoted."""
    transit(node)
    report_drops(node, HOP_LIMIT)
    for length in (3, 7, 31):
        option = IntMd(stack=bytes(32), length=length).bytes()
        packet = Fabric(DST, tcp4(b"secret"), Din(label=LABEL), hop_limit=1, options=option)
        report = one(node, 1, packet.frame())
        assert report.inner == packet.packet()[: OVERHEAD + 16]


def test_a_fabric_packet_that_says_nothing_of_its_label(node: Node) -> None:
    transit(node)
    report_drops(node, HOP_LIMIT)
    packet = Fabric(DST, tcp4(b"secret"), din=None, hop_limit=1)
    report = one(node, 1, packet.frame())
    assert report.label == LABEL_UNKNOWN
    assert report.inner == packet.packet()[: 40 + 8 + 8]


def drops(node: Node) -> list[tuple[int, int, bytes, int]]:
    """(reason, port, frame, bytes quoted): a frame for each reason that a leaf without services has."""
    plain = tcp4(b"secret" * 10)
    other = {"dst": sid(SERVER_LEAF, 1)}
    node.insert("ports", {"port": 5}, "set_access", zone=ZONE)
    fabric = Fabric(sid(0x77, 0x78), plain)
    return [
        (TRUNCATED, HOST, access(plain)[:50], 20),
        (IP_HEADER, HOST, access(fix(plain, _0=b"\x44")), 20),
        (IP_LENGTH, HOST, access(fix(plain, _2=b"\x05\x00")), 20),
        (IP_CHECKSUM, HOST, access(plain[:10] + b"\xde\xad" + plain[12:]), 20),
        (ADDRESS, HOST, access(fix(plain, _12=b"\xe0\x00\x00\x01")), 40),
        (PORT, 7, access(plain), 20),
        (FABRIC_DESTINATION, HOST, fabric.but(**other).frame(), OVERHEAD + 40),
        (SOURCE, 5, access(plain), 40),
        (HOP_LIMIT, UP, fabric.but(hop_limit=1).frame(), OVERHEAD + 40 + SNAP),
        (SEGMENT, UP, fabric.but(dst=sid(0)).frame(), OVERHEAD + 40 + SNAP),
        (NOT_A_FUNCTION, UP, fabric.but(dst=sid(CLIENT_LEAF, 0xF00D)).frame(), OVERHEAD + 40 + SNAP),
    ]


def test_every_reason_of_a_leaf_is_reported(node: Node) -> None:
    leaf(node)
    missing = {"sid": (0xFCBBBB00 << 32 | CLIENT_LEAF << 16 | 0xF00D, 64)}
    node.insert("segments", missing, "end_function", function=0xBAD)
    for reason, port, frame, quoted in drops(node):
        assert exchange(node, port, frame) == ([], []), f"{reason}: nobody asked for it"
        report_drops(node, reason)
        report = one(node, port, frame)
        assert report.drop == (0xFF, reason)
        assert report.ports == (port, 0xFFFF)
        assert report.inner == frame[14 : 14 + min(quoted, (len(frame) - 14) // 4 * 4)], reason


def test_what_was_to_leave_by_a_port_says_which(node: Node) -> None:
    transit(node)
    report_drops(node, BOUNDARY)
    node.insert("boundaries", {"port": 2}, "cross", zone=50)
    report = one(node, 1, Fabric(DST, tcp4()).frame())
    assert report.drop == (0xFF, BOUNDARY)
    assert report.ports == (1, 2)


def test_frames_that_are_no_ip(node: Node) -> None:
    leaf(node)
    report_drops(node, ETHERTYPE, SOURCE, TRUNCATED)
    frame = ethernet("ff:ff:ff:ff:ff:ff", "02:00:00:00:00:01", 0x9999) + bytes(60)
    found = exchange(node, HOST, frame)
    assert found[0] == []
    for report in found[1]:
        assert (report.inner_type, report.inner) == (0, b"")
    assert len(found[1]) == 1


def cut_frames() -> list[tuple[int, bytes]]:
    """Ports and whole frames, the last bytes of which are payload."""
    option = IntMd(stack=bytes(range(16))).bytes()
    # A host's option in front of TCP, where UDP was.
    with_option = udp6(b"secret")[:40] + bytes.fromhex("06021e14") + bytes((0x13, LABEL)) + bytes(18)
    with_option += tcp4(b"secret")[20:]
    with_option = with_option[:4] + struct.pack("!HB", len(with_option) - 40, 60) + with_option[7:]
    return [
        (HOST, access(tcp4(b"secret"))),
        (HOST, access(udp6(b"secret"))),
        (HOST, access(tcp4(b"secret"), vid=5)),
        (HOST, access(with_option)),
        (UP, Fabric(HERE, tcp4(b"secret"), Din(label=LABEL), options=option).frame()),
        (UP, Fabric(sid(0x77, 0x78, 0x79), tcp4(b"secret"), Din(label=LABEL)).frame()),
    ]


def test_a_frame_cut_anywhere_makes_a_sound_report(embedded: P4jitNode) -> None:
    """Or is forwarded. What is quoted is the start of what came, whole words, never the payload."""
    node = embedded
    leaf(node)
    report_drops(node, *ALL_REASONS, reports=60000)
    count = 0
    for port, frame in cut_frames():
        for length in range(len(frame)):
            cut = frame[:length]
            left, reports = exchange(node, port, cut)
            assert len(reports) + len(left) <= 1
            for report in reports:
                count += 1
                assert report.label in (LABEL, LABEL_UNKNOWN)
                assert len(report.inner) % 4 == 0
                behind = 18 if cut[12:14] == b"\x81\x00" else 14
                assert cut[behind:].startswith(report.inner)
                assert b"s" not in report.inner
                assert (report.inner == b"") == (report.inner_type == 0)
    assert count > 500


def test_cut_frames_on_every_target(node: Node) -> None:
    leaf(node)
    report_drops(node, TRUNCATED, IP_LENGTH)
    for port, frame in cut_frames():
        for length in (0, 10, 14, 30, 54, 100, len(frame) - 1):
            left, reports = exchange(node, port, frame[:length])
            for report in reports:
                assert report.drop in ((0xFF, TRUNCATED), (0xFF, IP_LENGTH))
                assert frame[18 if frame[12:14] == b"\x81\x00" else 14 : length].startswith(report.inner)
                assert b"s" not in report.inner
            assert len(left) + len(reports) <= 1


def test_a_quota_is_each_port_s_and_reason_s_in_a_window(embedded: P4jitNode) -> None:
    node = embedded
    leaf(node)
    node.insert("ports", {"port": 5}, "set_access", zone=ZONE)
    report_drops(node, SOURCE, ADDRESS, reports=3)
    bad_source = access(fix(tcp4(), _12=bytes((192, 168, 0, 1))))
    bad_address = access(fix(tcp4(), _12=b"\xe0\x00\x00\x01"))

    def count(port: int, frame: bytes) -> int:
        return sum(len(exchange(node, port, frame)[1]) for _ in range(5))

    assert count(HOST, bad_source) == 3
    assert count(5, bad_source) == 3
    assert count(HOST, bad_address) == 3
    assert count(HOST, bad_source) == 0
    node.advance(WINDOW * 1000)
    assert count(HOST, bad_source) == 3


def test_a_quota_holds_on_every_target(node: Node) -> None:
    """Whatever its clock: at most twice, once in each of two windows."""
    leaf(node)
    report_drops(node, SOURCE, reports=2)
    frame = access(fix(tcp4(), _12=bytes((192, 168, 0, 1))))
    found = sum(len(exchange(node, HOST, frame)[1]) for _ in range(12))
    assert 2 <= found <= 4


# ---- collectors ------------------------------------------------------------------------------------------


def test_sequence_numbers_run_for_each_collector(node: Node) -> None:
    leaf(node, labels=())
    for hw_id in (1, 2):
        to = {"hw_id": hw_id, "src_addr": NODE4, "dst_addr": COLLECTOR4, "dst_port": 32766}
        match = {"label": 0, "tenant": (hw_id, 0xFFFF)}
        node.insert("report_sinks", match, "to_collector", priority=1, **to)
    report_drops(node, HOP_LIMIT)
    seen: dict[int, list[int]] = {1: [], 2: []}
    for turn in range(40):
        tenant = 1 + (turn * 7 % 3 > 0)
        report = one(node, UP, Fabric(sid(0x77, 1), tcp4(), hop_limit=1, tenant=tenant).frame())
        assert (report.hw_id, report.tenant) == (tenant, tenant)
        seen[tenant].append(report.sequence)
    assert seen == {hw_id: list(range(len(numbers))) for hw_id, numbers in seen.items()}
    assert min(map(len, seen.values())) > 5


def test_sequence_numbers_under_load(node: Node) -> None:
    """From several ports at once, in one burst: none twice, none left out."""
    leaf(node)
    report_drops(node, PORT)
    count = 60
    for number in range(count):
        node.send(20 + number % 4, access(tcp4()))
    numbers = [report.sequence for report in reports_of(node.receive())]
    assert sorted(numbers) == list(range(count))


def test_sequence_numbers_from_several_threads(node: Node) -> None:
    """bmv2 numbers in the threads of the clones' ports: with four of them, four at once."""
    leaf(node)
    report_drops(node, PORT)
    node.clone_session(1, 20, 21, 22, 23)
    numbers: list[int] = []
    for _ in range(40):
        for port in range(24, 32):
            node.send(port, access(tcp4()))
        numbers += [report.sequence for report in reports_of(node.receive())]
    assert sorted(numbers) == list(range(40 * 8 * 4))


def test_sequence_numbers_wrap(embedded: P4jitNode) -> None:
    leaf(embedded)
    report_drops(embedded, PORT)
    embedded.set_register("report_sequence", HW_ID, 0x3FFFFF)
    numbers = [one(embedded, 7, access(tcp4())).sequence for _ in range(3)]
    assert numbers == [0x3FFFFF, 0, 1]


def test_without_a_collector_there_is_no_report(node: Node) -> None:
    leaf(node, labels=(0,))
    report_drops(node, PORT)
    assert exchange(node, 7, access(tcp4())) == ([], [])


def test_a_collector_for_each_kind(node: Node) -> None:
    make_leaf(node, CLIENT_LEAF, client=True)
    permit(node, LABEL_UNKNOWN)
    collect(node)
    for kind, label in ((DROP, LABEL_UNKNOWN), (CONGESTION, 0)):
        sink = {"hw_id": 10 + kind, "src_addr": NODE4, "dst_addr": COLLECTOR4, "dst_port": 32766}
        match = {"label": label, "kind": (kind, 0xFF)}
        node.insert("report_sinks", match, "to_collector", priority=1, **sink)
    report_drops(node, PORT)
    congest(node, UP)
    assert one(node, 7, access(tcp4())).hw_id == 11
    report = one(node, HOST, access(tcp4()))
    assert (report.hw_id, report.flags) == (12, "Q")


def test_reports_cross_the_fabric(make_fabric: MakeFabric) -> None:
    """Cut to their length, in the class of reports, with their subject's label."""
    fabric = make_fabric("client", "server")
    fabric.link("client", UP, "server", UP)
    client, server = fabric["client"], fabric["server"]
    make_leaf(client, CLIENT_LEAF, client=True)
    make_leaf(server, SERVER_LEAF, client=False)
    client.clone_session(1, 32)
    collect(client, LABEL_UNKNOWN, prepared=True)
    for node in (client, server):
        permit(node, LABEL_UNKNOWN)
    client.insert(
        "destinations", {"tenant": 0, "dst_addr": (v4("192.0.2.0"), 120)}, "to_leaf", leaf=SERVER_LEAF
    )
    path(client, SERVER_LEAF, class_id=REPORT_CLASS, label=LABEL_UNKNOWN)
    report_drops(client, SOURCE)
    packet = fix(tcp4(b"secret" * 100), _12=bytes((192, 168, 0, 1)))
    (arrival,) = fabric.exchange("client", HOST, access(packet), expect=1)
    assert (arrival.node, arrival.port) == ("server", HOST)
    assert parse_report(arrival.data).inner == packet[:40]
    frame = fabric.carried[0][3]
    assert b"secret" not in frame
    assert len(frame) == 14 + OVERHEAD + len(arrival.data) - 14
    option = frame[14 + 56 :][:28]
    assert (option[4] & 15, option[5]) == (REPORT_CLASS, LABEL_UNKNOWN)


def test_a_report_on_a_tagged_port_is_cut_right(node: Node) -> None:
    make_leaf(node, CLIENT_LEAF, client=True)
    permit(node, LABEL_UNKNOWN)
    collect(node, LABEL_UNKNOWN)
    node.delete("functions", {"function": COLLECTOR_FUNCTION})
    function(node, COLLECTOR_FUNCTION, COLLECTOR, vid=77)
    report_drops(node, PORT)
    ((_, frame),) = node.exchange(7, access(tcp4(b"secret" * 20)), expect=1)
    assert frame[12:18] == bytes.fromhex("8100004d0800")
    report = parse_report(frame[:12] + frame[16:])
    assert b"secret" not in report.inner


def test_a_report_may_have_a_better_queue(node: Node) -> None:
    transit(node)
    report_drops(node, HOP_LIMIT)
    for class_id, queue in ((0, 5), (3, 6)):
        node.insert("classes", {"class_id": REPORT_CLASS | class_id}, "set_queue", queue=queue)
        report = one(node, 1, Fabric(DST, tcp4(), Din(class_id=class_id), hop_limit=1).frame())
        assert report.class_id == class_id
        assert node.counter("enqueued", COLLECTOR << 3 | queue).packets == 1


# ---- congestion ------------------------------------------------------------------------------------------


def congest(node: Node, port: int, *, depth: int = 0, latency: int = 0xFFFFFFFF, reports: int = 1000) -> None:
    """As it stands, every packet is over."""
    key = {"port": port, "queue": BEST_EFFORT_QUEUE}
    node.insert("queue_thresholds", key, "set_thresholds", depth=depth, latency=latency, reports=reports)


def test_a_congested_queue(node: Node) -> None:
    """The packet goes on; its report shows it as it left."""
    leaf(node)
    congest(node, UP)
    packet = tcp4(bytes(range(250)))
    ((port, frame),), (report,) = exchange(node, HOST, access(packet))
    assert port == UP
    assert (report.flags, report.md_bits, report.ds_md_bits) == ("Q", QF_BITS, 0x8000)
    assert report.ports == (HOST, UP)
    assert report.queue is not None
    assert report.queue[0] == BEST_EFFORT_QUEUE
    assert report.ingress_time is not None
    assert report.egress_time is not None
    assert report.latency is not None
    assert report.latency == report.egress_time - report.ingress_time
    assert (report.tenant, report.label, report.class_id) == (TENANT, 0, 0)
    assert report.inner_type == 5
    assert report.inner == frame[14:][: OVERHEAD + 40 + SNAP]
    assert report.flow_hash == struct.unpack("!I", frame[14 + 56 + 16 :][:4])[0]


def test_congestion_of_labelled_traffic(node: Node) -> None:
    leaf(node, label=LABEL)
    congest(node, UP)
    ((_, frame),), (report,) = exchange(node, HOST, access(tcp4(b"secret")))
    assert (report.label, report.inner) == (LABEL, frame[14:][: OVERHEAD + 40])


def test_congestion_on_the_way(node: Node) -> None:
    transit(node)
    congest(node, 2)
    for label, din, kept in (
        (LABEL, Din(label=LABEL), OVERHEAD),
        (0, Din(), OVERHEAD + SNAP),
        (LABEL_UNKNOWN, None, 56),
    ):
        packet = Fabric(DST, tcp4(b"secret" * 50), din)
        ((_, frame),), (report,) = exchange(node, 1, packet.frame())
        assert (report.label, report.flags) == (label, "Q")
        assert report.inner == frame[14:][:kept]


def test_congestion_of_same_leaf_traffic(node: Node) -> None:
    leaf(node)
    congest(node, HOST)
    packet = udp6(b"abcd")
    packet = packet[:24] + packet[8:23] + b"\x06" + packet[40:]
    ((port, frame),), (report,) = exchange(node, HOST, access(packet))
    assert port == HOST
    assert (report.inner_type, report.inner) == (6 - 1, frame[14:])


def test_thresholds_and_quota(embedded: P4jitNode) -> None:
    """12 packets on a link of 1 byte/us: the depth threshold tells those that found 5 or more, the latency
    threshold those that waited so long."""
    from p4jit.target.interface import LinkSpec

    node = embedded
    leaf(node)
    node.configure(UP, link=LinkSpec(rate=8_000_000, delay=0))
    frame = access(tcp4(b"x" * 100))
    size = 14 + OVERHEAD + 140

    def burst() -> list[Report]:
        for _ in range(12):
            node.send(HOST, frame)
        return reports_of(node.receive())

    congest(node, UP, depth=5)
    reports = burst()
    # One is on the wire: the 7th finds 5 waiting.
    assert [r.queue for r in reports] == [(0, depth) for depth in range(5, 11)]
    assert [r.latency for r in reports] == [(depth + 1) * size * 1000 for depth in range(5, 11)]
    assert all(r.latency == (r.egress_time or 0) - (r.ingress_time or 0) for r in reports)
    node.delete("queue_thresholds", {"port": UP, "queue": 0})
    congest(node, UP, depth=0xFFFFFF, latency=8 * size * 1000)
    assert [r.latency for r in burst()] == [waited * size * 1000 for waited in (8, 9, 10, 11)]
    node.delete("queue_thresholds", {"port": UP, "queue": 0})
    node.advance(WINDOW * 1000)
    congest(node, UP, reports=4)
    assert len(burst()) == 4
    assert len(burst()) == 0, "the window is not over"
    node.advance(WINDOW * 1000)
    assert len(burst()) == 4


# ---- late drops, and all at once -------------------------------------------------------------------------


def late(node: Node) -> None:
    node.insert("late_drop_reports", {"drop_reason": DEADLINE}, "report_late_drops", reports=1000)


def too_late(**changes: object) -> Fabric:
    return Fabric(DST, tcp4(b"secret" * 40), Din(class_id=3, slack=0, late_drop=1), **changes)  # type: ignore[arg-type]


def test_a_late_drop(node: Node) -> None:
    transit(node)
    late(node)
    packet = too_late()
    left, (report,) = exchange(node, 1, packet.frame())
    assert left == []
    assert (report.flags, report.md_bits) == ("D", D_BITS)
    assert (report.ports, report.drop) == ((1, 2), (0, DEADLINE))
    assert report.class_id == 3
    quoted = packet.but(dst=sid(0x22, 0x33, 0xF001), hop_limit=63).packet()
    assert report.inner == quoted[: OVERHEAD + SNAP]


def test_a_late_drop_has_a_quota(embedded: P4jitNode) -> None:
    node = embedded
    transit(node)
    node.insert("late_drop_reports", {"drop_reason": DEADLINE}, "report_late_drops", reports=2)
    assert sum(len(exchange(node, 1, too_late().frame())[1]) for _ in range(5)) == 2
    node.advance(WINDOW * 1000)
    assert sum(len(exchange(node, 1, too_late().frame())[1]) for _ in range(5)) == 2
    assert node.counter("egress_drops", DEADLINE).packets == 10


def test_all_in_one_report_and_the_drop_decides_who_gets_it(node: Node) -> None:
    """Dropped late at the sink, from a congested queue, with INT: one report, D before Q before F."""
    make_leaf(node, CLIENT_LEAF, client=True)
    permit(node, LABEL)
    collect(node)
    node.set_default("flow_filter", "set_flow_filter", latency=0xF8000000, time=0)
    for kind in (DROP, CONGESTION, FLOW):
        sink = {"hw_id": 10 + kind, "src_addr": NODE4, "dst_addr": COLLECTOR4, "dst_port": 32766}
        match = {"label": LABEL, "kind": (kind, 0xFF)}
        node.insert("report_sinks", match, "to_collector", priority=1, **sink)
    option = IntMd(stack=Hop(0xA).push(0xF000, 4))
    din = Din(label=LABEL, slack=0, late_drop=1)
    packet = Fabric(HERE, tcp4(b"secret"), din, options=option.bytes())
    # F alone, though the packet is lost: nobody asked for late drops.
    report = one(node, UP, packet.frame())
    assert (report.flags, report.hw_id, report.md_bits) == ("DF", 11, QF_BITS | 1)
    late(node)
    congest(node, HOST)
    report = one(node, UP, packet.but(options=IntMd(stack=Hop(0xB).push(0xF000, 4)).bytes()).frame())
    assert (report.flags, report.hw_id, report.md_bits) == ("DQF", 11, QF_BITS | 1)
    assert report.drop == (0, DEADLINE)
    assert report.queue is not None
    assert report.latency is not None
    # The same again is no news.
    report = one(node, UP, packet.but(options=IntMd(stack=Hop(0xB).push(0xF000, 4)).bytes()).frame())
    assert report.flags == "DQ"
    in_time = packet.but(din=Din(label=LABEL))
    _, (report,) = exchange(node, UP, in_time.frame())
    assert (report.flags, report.hw_id, report.md_bits) == ("QF", 12, QF_BITS)
    node.delete("queue_thresholds", {"port": HOST, "queue": 0})
    in_time = in_time.but(options=IntMd(stack=Hop(0xC).push(0xF000, 4)).bytes())
    _, (report,) = exchange(node, UP, in_time.frame())
    assert (report.flags, report.hw_id, report.md_bits) == ("F", 13, QF_BITS)


# ---- flows -----------------------------------------------------------------------------------------------


def arriving(option: IntMd | None, flow_hash: int = 1, **changes: object) -> Fabric:
    options = b"" if option is None else option.bytes()
    din = Din(flow_hash=flow_hash)
    return Fabric(HERE, tcp4(b"secret"), din, options=options).but(**changes)


def stack(*hops: Hop) -> IntMd:
    return IntMd(stack=b"".join(hop.push(0xF000, 4) for hop in hops), remaining=7 - len(hops))


def sink(node: Node) -> None:
    """Time makes no news here, nor what a busy machine adds to a target's latencies: a quantum is 134 ms."""
    leaf(node)
    node.set_default("flow_filter", "set_flow_filter", latency=0xF8000000, time=0)


def test_the_sink_reports_the_stack_and_its_own(node: Node) -> None:
    sink(node)
    option = stack(Hop(2, 3, 4, 5000, 1, 7), Hop(1, 8, 9, 6000, 2, 11))
    packet = arriving(option)
    ((port, frame),), (report,) = exchange(node, UP, packet.frame())
    assert (port, frame[14:]) == (HOST, packet.inner), "the host sees nothing of it"
    assert (report.flags, report.md_bits, report.status) == ("F", QF_BITS, 0)
    assert report.ports == (UP, HOST)
    assert (report.inner_type, report.inner) == (5, packet.packet()[: OVERHEAD + 48 + 46 // 4 * 4])


def test_odd_stacks_are_put_back_together(node: Node) -> None:
    """The sink parses by fours and ones; what it took apart is in the report as it came."""
    sink(node)
    for index, words in enumerate((1, 2, 3, 4, 5, 6, 7, 26, 27, 28)):
        option = IntMd(0x8000, 1, stack=bytes(range(4 * words)))
        packet = arriving(option, flow_hash=index)
        _, (report,) = exchange(node, UP, packet.frame())
        assert report.inner == packet.packet()[: OVERHEAD + 16 + 4 * words + 44]


def test_a_flow_is_reported_when_something_changes(node: Node) -> None:
    sink(node)
    first = stack(Hop(1, 8, 9, 100_000_000))

    def told(option: IntMd | None, flow: int = 1) -> int:
        left, reports = exchange(node, UP, arriving(option, flow).frame())
        assert len(left) == 1
        return len(reports)

    assert [told(first) for _ in range(4)] == [1, 0, 0, 0]
    assert told(stack(Hop(1, 8, 9, 130_000_000))) == 0, "less than a quantum"
    assert told(stack(Hop(1, 8, 9, 140_000_000))) == 1, "another quantum"
    assert told(stack(Hop(1, 8, 9, 140_000_000, 3, 77))) == 0, "queues come and go"
    assert told(stack(Hop(2, 8, 9, 140_000_000))) == 1, "another node"
    assert told(stack(Hop(2, 8, 10, 140_000_000))) == 1, "another port"
    assert told(stack(Hop(2, 8, 10, 140_000_000), Hop(3))) == 1, "another hop"
    assert told(first, flow=2) == 1, "another flow"
    assert told(stack(Hop(2, 8, 10, 140_000_000), Hop(3))) == 0, "which took nothing from the first"
    assert told(None) == 0, "not watched"


def test_a_flow_is_reported_again_after_a_while(embedded: P4jitNode) -> None:
    node = embedded
    sink(node)
    node.set_default("flow_filter", "set_flow_filter", latency=0xFFF00000, time=0xFFFF_FFFF_C000_0000)
    quantum = 1 << 30
    packet = arriving(stack(Hop(1)))
    node.advance(quantum - BASE % quantum + 1000)
    count = 0
    for _ in range(8):
        count += len(exchange(node, UP, packet.frame())[1])
        node.advance(quantum // 4)
    assert count == 2


def test_flows_that_share_a_place_do_not_report_each_other(embedded: P4jitNode) -> None:
    """CRC-16 of the flow's hash is one of its two places."""
    from tests.dataplane.leaf import crc16

    node = embedded
    sink(node)
    place = crc16((1).to_bytes(4, "big"))
    other = next(n for n in range(2, 1 << 20) if crc16(n.to_bytes(4, "big")) == place)
    counts: Counter[int] = Counter()
    for _ in range(10):
        for flow in (1, other):
            counts[flow] += len(exchange(node, UP, arriving(stack(Hop(1)), flow).frame())[1])
    assert counts == {1: 1, other: 1}


def test_instructions_that_it_does_not_know_make_no_difference(node: Node) -> None:
    """Only the default instructions are looked into: a time in a stack would make every packet news."""
    sink(node)
    for number in range(3):
        option = IntMd(0x0800, 2, stack=struct.pack("!Q", number))
        reports = exchange(node, UP, arriving(option).frame())[1]
        assert len(reports) == (number == 0)


def test_a_watched_flow_within_a_leaf(node: Node) -> None:
    sink(node)
    watch(node)
    packet = fix(tcp4(b"abcd"), _16=bytes((10, 1, 0, 6)))
    ((_, frame),), (report,) = exchange(node, HOST, access(packet))
    assert (report.flags, report.inner_type, report.inner) == ("F", 4, frame[14:])


# ---- never -----------------------------------------------------------------------------------------------


def test_reports_do_not_report_themselves(node: Node) -> None:
    """Refused by the guard, congested, late, or dropped on the way: no report of a report."""
    make_leaf(node, CLIENT_LEAF, client=True)
    collect(node, LABEL_UNKNOWN, 0)
    report_drops(node, *ALL_REASONS)
    late(node)
    # Not permitted in the collector's zone.
    assert exchange(node, 7, access(tcp4())) == ([], [])
    assert node.counter("drops", ZONE_REFUSED).packets == 1
    permit(node, LABEL_UNKNOWN)
    congest(node, COLLECTOR)
    key = {"port": COLLECTOR, "queue": 0}
    assert len(exchange(node, 7, access(tcp4()))[1]) == 1
    node.delete("queue_thresholds", key)
    # Another node's, on its way through this one.
    passing = Fabric(sid(0x77, 0x78, 0x79), tcp4(), Din(class_id=REPORT_CLASS | 3))
    assert exchange(node, UP, passing.but(hop_limit=1).frame()) == ([], [])
    congest(node, UP)
    left, reports = exchange(node, UP, passing.frame())
    assert (len(left), reports) == (1, [])
    # And it does tell of others.
    assert len(exchange(node, UP, passing.but(din=Din(class_id=3)).frame())[1]) == 1


def test_a_host_is_no_report(node: Node) -> None:
    """What a host writes into fabric headers hides none of its drops."""
    leaf(node)
    report_drops(node, FABRIC_DESTINATION)
    report = one(node, HOST, Fabric(HERE, tcp4(b"x"), Din(class_id=REPORT_CLASS)).frame())
    assert (report.label, report.class_id, report.tenant) == (LABEL_UNKNOWN, 0, 0)


def test_a_report_about_a_label_is_held_to_its_zones(node: Node) -> None:
    make_leaf(node, CLIENT_LEAF, client=True, label=LABEL)
    collect(node, LABEL, zone=99)
    congest(node, UP)
    left, reports = exchange(node, HOST, access(tcp4(b"secret")))
    assert (len(left), reports) == (1, [])
    assert node.counter("drops", ZONE_REFUSED).packets == 1
    permit(node, LABEL, 99)
    assert len(exchange(node, HOST, access(tcp4(b"secret")))[1]) == 1


MARK = b"\xc5\xc5\xc5\xc5"
PERMITTED = {(0, ZONE), (LABEL, ZONE), (0, 50), (LABEL_UNKNOWN, ZONE)}


@st.composite
def subjects(draw: st.DrawFn) -> tuple[int, bytes]:
    """A labelled packet, of a host or of the fabric. Its payload alone has the mark."""
    payload = MARK * draw(st.integers(1, 60))
    inner = draw(
        st.sampled_from([tcp4(payload), udp6(payload), tcp4(payload, options=[("MSS", 1400)], flags="S")])
    )
    if draw(st.booleans()):
        return HOST, access(inner)
    words = draw(st.sampled_from([None, 0, 4, 8, 28]))
    option = b"" if words is None else IntMd(stack=bytes(4 * words)).bytes()
    din = draw(st.sampled_from([Din(label=LABEL), Din(label=LABEL, slack=0, late_drop=1), None]))
    lists = [HERE, sid(0x77, 0x78, 0x79), sid(0x77, 0x78), sid(CLIENT_LEAF, 0xBAD), sid(0)]
    dst = draw(st.sampled_from(lists))
    hop_limit = draw(st.sampled_from([1, 64]))
    return UP, Fabric(dst, inner, din, options=option if din else b"", hop_limit=hop_limit).frame()


def test_no_report_carries_a_labelled_payload_or_leaves_its_zones(embedded: P4jitNode) -> None:
    """Whatever the packet, and wherever the collectors of each label are."""
    node = embedded
    make_leaf(node, CLIENT_LEAF, client=True, label=LABEL)
    for label, zone in PERMITTED - {(LABEL, ZONE)}:
        permit(node, label, zone)
    node.clone_session(1, 32)
    report_drops(node, *ALL_REASONS, reports=60000)
    late(node)
    congest(node, UP, reports=60000)
    congest(node, HOST, reports=60000)
    # Collectors 192.0.2.1 and .2 in the label's zone and outside.
    zones = {1: (COLLECTOR, ZONE), 2: (COLLECTOR + 1, 50)}
    for number, (port, zone) in zones.items():
        function(node, 0xF100 + number, port, zone)
        match = {"tenant": 0, "dst_addr": (v4(f"192.0.2.{number}"), 128)}
        node.insert("destinations", match, "to_function", function=0xF100 + number)
    sinks = {}
    for label in LABELS:
        sinks[label] = 1
        to = {"hw_id": 1, "src_addr": NODE4, "dst_addr": "192.0.2.1", "dst_port": 32766}
        node.insert("report_sinks", {"label": label}, "to_collector", priority=1, **to)
    seen: Counter[tuple[int, int]] = Counter()

    @settings(max_examples=400, deadline=None)
    @given(subjects(), st.integers(0, 400), st.booleans(), st.sampled_from([1, 2]), st.data())
    def check(
        subject: tuple[int, bytes], cut: int, is_cut: bool, collector: int, data: st.DataObject
    ) -> None:
        for label in LABELS:
            if sinks[label] != collector:
                to = {"hw_id": 1, "src_addr": NODE4, "dst_addr": f"192.0.2.{collector}", "dst_port": 32766}
                node.modify("report_sinks", {"label": label}, "to_collector", priority=1, **to)
                sinks[label] = collector
        port, frame = subject
        if is_cut:
            frame = frame[:cut]
        # A bit in front of the DIN option, or of TCP's data offset: what that covers is header.
        if data.draw(st.booleans()) and len(frame) > 14:
            at_ = data.draw(st.integers(14, min(len(frame), 46 if port == HOST else 70) - 1))
            frame = frame[:at_] + bytes((frame[at_] ^ 1 << data.draw(st.integers(0, 7)),)) + frame[at_ + 1 :]
        for left, out in node.exchange(port, frame):
            if left in (COLLECTOR, COLLECTOR + 1):
                report = parse_report(out, dst=f"192.0.2.{1 + left - COLLECTOR}")
                assert report.label in (LABEL, LABEL_UNKNOWN)
                assert MARK not in out
                assert (report.label, zones[1 + left - COLLECTOR][1]) in PERMITTED
                seen[report.label, left] += 1

    check()
    assert set(seen) == {(LABEL, COLLECTOR), (LABEL_UNKNOWN, COLLECTOR)}, seen
    assert sum(seen.values()) > 100
