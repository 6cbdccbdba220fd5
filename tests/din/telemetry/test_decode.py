# SPDX-License-Identifier: Apache-2.0
"""Columns of reports against scapy's reading of the same bytes; and bytes that are nobody's reports."""

from __future__ import annotations

import random
from collections import Counter
from ipaddress import IPv6Address, ip_address
from itertools import chain
from typing import Any

import numpy as np
import pytest
from din.packet import DINOption, INTHop, INTOption, TelemetryReport, TelemetryReportGroup, encapsulate
from din.packet.constants import DomainBit, InnerType, ReportBit, ReportType, TokenEvent
from din.telemetry.decode import Batch, Malformed, decode
from din.telemetry.directory import packed, unpacked
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet

from tests.din.telemetry.making import (
    carried,
    datagram,
    hop,
    hops,
    report,
    reports,
    request,
    tenant_packets,
    u16,
    u32,
)

COLUMNS = {
    ReportBit.PORTS: ("ingress_port", "egress_port"),
    ReportBit.HOP_LATENCY: ("hop_latency",),
    ReportBit.QUEUE: ("queue", "occupancy"),
    ReportBit.INGRESS_TIME: ("ingress_time",),
    ReportBit.EGRESS_TIME: ("egress_time",),
    ReportBit.DROP: ("drop_queue", "drop_reason"),
}
TRAFFIC = ("tenant", "service", "instance", "label", "class_id", "flow_hash")
TOKENS = ("headers_time", "first_token_time", "segments", "gap_sum", "gap_max")


def same_report(batch: Batch, row: int, wanted: Packet) -> None:
    found = batch.reports
    assert found.type[row] == wanted.type
    assert found.inner_type[row] == wanted.inner_type
    for name in ("dropped", "congested", "tracked"):
        assert found.__dict__[name][row] == getattr(wanted, name), name
    for bit, names in COLUMNS.items():
        for name in names:
            expected = getattr(wanted, name) if int(wanted.md_bits) & bit else 0
            assert int(found.__dict__[name][row]) == expected, name
    ours = wanted.domain == 0x4449
    for name in TRAFFIC:
        told = ours and wanted.ds_md_bits & DomainBit.TRAFFIC
        assert found.__dict__[name][row] == (getattr(wanted.traffic, name) if told else 0), name
    told = ours and wanted.ds_md_bits & DomainBit.TOKENS
    for name in TOKENS:
        assert found.__dict__[name][row] == (getattr(wanted.tokens, name) if told else 0), name
    assert found.gaps[row].tolist() == (wanted.tokens.gaps if told else [0] * 16)
    assert found.event[row] == (wanted.ds_md_status & 3 if told else 0)


def same_flow(batch: Batch, row: int, wanted: Packet | None) -> None:
    flows = batch.flows
    if wanted is None:
        assert flows.protocol[row] == 0
        return
    option = wanted.getlayer("GENEVE").options[0] if wanted.haslayer("GENEVE") else None
    assert flows.fabric[row] == (option is not None)
    assert flows.response[row] == (option.response if option else 0)
    network = wanted.getlayer("GENEVE").payload if option else wanted
    assert flows.src[row].tobytes() == packed(ip_address(network.src))
    assert flows.dst[row].tobytes() == packed(ip_address(network.dst))
    transport = network.getlayer(TCP) or network.getlayer(UDP)
    if isinstance(network, IP) and network.frag:
        transport = None  # scapy leaves a fragment's payload alone, but ours was built with one
    fragment = network.getlayer("IPv6ExtHdrFragment")
    if fragment is not None and fragment.offset:
        transport = None
    expected = (transport.sport, transport.dport) if transport else (0, 0)
    assert (flows.src_port[row], flows.dst_port[row]) == expected


def stack(batch: Batch, row: int) -> list[tuple[int, ...]]:
    """The oldest first."""
    found = batch.hops
    names = ("node", "ingress_port", "egress_port", "latency", "queue", "occupancy")
    rows = np.flatnonzero(found.report == row)
    assert found.place[rows].tolist() == list(range(len(rows)))
    assert found.last[rows].tolist() == [False] * (len(rows) - 1) + [True] * bool(len(rows))
    return [tuple(int(found.__dict__[name][each]) for name in names) for each in rows]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(reports(), min_size=1, max_size=3), min_size=1, max_size=4), st.integers(0, 63))
def test_round_trip(groups: list[list[Packet]], hw_id: int) -> None:
    """Several datagrams, and several reports in one: all there, in their order."""
    data = [datagram(7 + i, *group, sequence=i, hw_id=hw_id) for i, group in enumerate(groups)]
    batch = decode(data)
    assert batch.malformed == {}
    assert batch.groups.node.tolist() == [7 + i for i in range(len(groups))]
    assert batch.groups.sequence.tolist() == list(range(len(groups)))
    assert set(batch.groups.hw_id.tolist()) == {hw_id}
    flat = [(7 + i, each) for i, group in enumerate(groups) for each in group]
    assert batch.reports.node.tolist() == [node for node, _ in flat]
    for row, (_, wanted) in enumerate(flat):
        same_report(batch, row, wanted)
        same_flow(batch, row, wanted.inner)
        option = (
            wanted.inner.getlayer("GENEVE").options[-1]
            if wanted.inner is not None and wanted.inner.haslayer("GENEVE")
            else None
        )
        expected = option.hops[::-1] if isinstance(option, INTOption) else []
        assert stack(batch, row) == [
            (h.node_id, h.ingress_port, h.egress_port, h.hop_latency, h.queue, h.occupancy) for h in expected
        ]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=8))
def test_whatever_comes_nothing_is_raised(data: list[bytes]) -> None:
    batch = decode(data)
    assert len(batch.groups) == len(data) - sum(
        batch.malformed.get(why, 0) for why in (Malformed.SHORT, Malformed.VERSION)
    )


def test_broken_reports_are_counted_and_their_neighbours_read() -> None:
    """Good ones with bytes changed, cut or added, in one batch with good ones."""
    chance = random.Random(7)
    whole = carried(request(payload=b"x" * 30), [hop(1), hop(2)])
    good = datagram(5, report(whole, {"service": 3}, tracked=1), report(whole, {"service": 3}))
    for _ in range(300):
        bad = bytearray(good)
        for _ in range(chance.randint(1, 6)):
            bad[chance.randrange(8, len(bad))] = chance.randrange(256)
        cut = bytes(bad[: chance.randrange(len(bad) + 1)]) + bytes(chance.randrange(5))
        batch = decode([good, cut, good])
        services = batch.reports.service[batch.reports.node == 5]
        assert services[:2].tolist() == services[-2:].tolist() == [3, 3]
        assert len(batch.reports) >= 4
        assert (batch.hops.report < len(batch.reports)).all()
        first, last = stack(batch, 0), stack(batch, len(batch.reports) - 1)
        assert first == last == [(1, 9, 1, 0, 2, 0), (2, 9, 1, 0, 2, 0)]


def rows(batch: Batch) -> list[Any]:
    """All columns, row by row; hops with their reports."""
    parts = [
        list(zip(*(column.tolist() for column in part.__dict__.values()), strict=True))
        for part in (batch.groups, batch.reports, batch.flows)
    ]
    stacks = [stack(batch, row) for row in range(len(batch.reports))]
    lengths = [batch.hops.length[batch.hops.report == row].tolist() for row in range(len(stacks))]
    return [*parts, stacks, lengths]


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=False))
def test_a_batch_says_what_its_datagrams_say(chance: random.Random) -> None:
    """However broken: none reads what is its neighbour's."""
    whole = carried(request(payload=b"x" * 30), [hop(1), hop(2)])
    good = datagram(5, report(whole, {"service": 3}, tracked=1), report(request(six=True), dropped=1))
    data = []
    for _ in range(chance.randint(2, 5)):
        bad = bytearray(good)
        for _ in range(chance.randint(0, 6)):
            bad[chance.randrange(len(bad))] = chance.choice([0, 1, 0x80, 0xFF, chance.randrange(256)])
        data.append(bytes(bad[: chance.choice([len(bad), chance.randrange(len(bad) + 1)])]))
    batch, alone = decode(data), [decode([each]) for each in data]
    assert rows(batch) == [list(chain(*each)) for each in zip(*map(rows, alone), strict=True)]
    assert batch.malformed == sum((Counter(each.malformed) for each in alone), Counter())


def test_an_ipv4_header_that_is_too_short_has_no_ports() -> None:
    inner = request()
    inner.ihl = 4
    assert decode([datagram(1, report(inner))]).flows.dst_port.tolist() == [0]


GOOD = datagram(1, report())


def changed(at: int, value: int) -> bytes:
    return GOOD[:at] + bytes([value]) + GOOD[at + 1 :]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", Malformed.SHORT),
        (GOOD[:7], Malformed.SHORT),
        (GOOD[:8], Malformed.EMPTY),
        (changed(0, 0x10), Malformed.VERSION),
        (GOOD[:-4], Malformed.LENGTH),
        (GOOD[:10], Malformed.LENGTH),
        (changed(9, 0), Malformed.LENGTH),  # not even its own header
        (GOOD + GOOD[8:-4], Malformed.LENGTH),
        (changed(10, 255), Malformed.METADATA),  # more than the report has
        (changed(10, 1), Malformed.METADATA),  # less than its bits ask for
        (changed(13, 0xFF), Malformed.METADATA),
    ],
)
def test_why_it_could_not_be_read(data: bytes, why: Malformed) -> None:
    batch = decode([GOOD, data])
    assert batch.malformed == {why: 1}
    assert len(batch.groups) == 1 + (why not in (Malformed.SHORT, Malformed.VERSION))


def test_nothing_at_all() -> None:
    batch = decode([])
    assert (len(batch.groups), len(batch.reports), len(batch.hops), batch.malformed) == (0, 0, 0, {})


def test_a_length_of_255_reaches_to_the_end() -> None:
    inner = request(payload=bytes(range(250)) * 5)
    data = datagram(1, report(inner, length=255))
    batch = decode([data])
    assert len(data) > 8 + 4 * 256
    assert batch.malformed == {}
    same_flow(batch, 0, inner)


@pytest.mark.parametrize("kind", [ReportType.INNER_ONLY, ReportType.IOAM])
def test_reports_of_other_types_are_passed_over(kind: ReportType) -> None:
    inner = request()
    other = TelemetryReport(type=int(kind), inner_type=int(InnerType.IPV4), inner=inner, dropped=1)
    batch = decode([datagram(1, other, report(traffic={"service": 9}))])
    assert batch.malformed == {}
    assert batch.reports.type.tolist() == [kind, ReportType.INT]
    assert batch.reports.service.tolist() == [0, 9]
    assert batch.reports.md_bits[0] == batch.reports.ds_bits[0] == 0
    if kind is ReportType.INNER_ONLY:
        same_flow(batch, 0, inner)


@pytest.mark.parametrize("tagged", [False, True])
def test_a_quoted_frame(tagged: bool) -> None:
    inner = request()
    frame = Ether() / Dot1Q(vlan=5) / inner if tagged else Ether() / inner
    packed_frame = TelemetryReport(inner_type=int(InnerType.ETHERNET), inner=frame, ds_md_bits=0)
    batch = decode([datagram(1, packed_frame)])
    same_flow(batch, 0, inner)


@settings(max_examples=80, deadline=None)
@given(tenant_packets(), st.lists(hops, min_size=1, max_size=5), st.booleans(), st.integers(0, 400))
def test_a_quote_may_end_anywhere(inner: Packet, pushed: list[INTHop], wrapped: bool, cut: int) -> None:
    """What is found in it is what is found in the whole, or nothing."""
    packet = bytes(carried(inner, pushed) if wrapped else inner)
    kind = InnerType.IPV4 if packet[0] >> 4 == 4 else InnerType.IPV6

    def read(quote: bytes) -> Batch:
        quote = quote[: len(quote) // 4 * 4]
        head = TelemetryReport(md_bits=0, inner_type=int(kind), md_length=0, length=2 + len(quote) // 4)
        return decode([datagram(1, head)[:20] + quote, GOOD])

    whole, part = read(packet), read(packet[:cut])
    assert part.malformed == {}
    if part.flows.protocol[0] and part.flows.fabric[0] == whole.flows.fabric[0]:
        assert part.flows.src[0].tolist() == whole.flows.src[0].tolist()
        ports = part.flows.src_port[0], part.flows.dst_port[0]
        assert ports in ((0, 0), (whole.flows.src_port[0], whole.flows.dst_port[0]))
    assert stack(part, 0) in ([], stack(whole, 0))


@settings(max_examples=70, deadline=None)
@given(u16, st.integers(0, 3), st.integers(0, 6), st.data())
def test_any_instructions(instructions: int, more: int, count: int, data: st.DataObject) -> None:
    """Hops of any make, with words of a domain behind the known ones: as far as an option has room."""
    one = INTHop(
        **{name: data.draw(u16) for name in ("ingress_port", "egress_port", "hop_latency")}, node_id=3
    )
    width = len(one.encode(instructions)) + 4 * more
    if not 0 < width <= 28 * 4:
        return
    count = min(count, 28 * 4 // width)
    domain = bytes(4 * more)
    pushed = [
        INTHop(node_id=data.draw(u32), ingress_port=i, egress_port=i + 1, hop_latency=i * 7, domain=domain)
        for i in range(count)
    ]
    option = INTOption(instructions=instructions, hop_ml=width // 4).with_hops(pushed[::-1])
    inner = request()
    packet = encapsulate(inner, [2, 3], "fcbb:bb00::1", telemetry=option)
    batch = decode([datagram(1, report(packet))])
    same_flow(batch, 0, packet)
    told = (
        (0x8000, "node", "node_id"),
        (0x4000, "egress_port", "egress_port"),
        (0x2000, "latency", "hop_latency"),
    )
    for bit, column, name in told:
        expected = [getattr(each, name) if instructions & bit else -1 for each in pushed]
        assert batch.hops.__dict__[column].tolist() == expected, column
    # As each left its hop: the last with the whole stack.
    total = len(bytes(packet))
    assert batch.hops.length.tolist() == [total - width * (count - 1 - i) for i in range(count)]


@pytest.mark.parametrize("change", [{"hop_ml": 3}, {"hop_ml": 0}, {"version": 1}])
def test_a_stack_that_cannot_be_is_not_read(change: dict[str, Any]) -> None:
    option = INTOption(stack=bytes(32), **change)
    batch = decode([datagram(1, report(encapsulate(request(), [2, 3], "fcbb:bb00::1", telemetry=option)))])
    assert len(batch.hops) == 0
    assert batch.malformed == {}


def test_behind_a_routing_header() -> None:
    """As the fabric passes it through."""
    whole = carried(request(), [hop(4, 2, 5000)])
    data = bytes(whole)
    srh = bytes([17, 4, 4, 0, 1, 0, 0, 0]) + bytes(range(32))
    routed = data[:4] + (len(data) - 40 + 40).to_bytes(2, "big") + bytes([43]) + data[7:40] + srh + data[40:]
    head = report(IPv6(routed))
    batch = decode([datagram(1, head)])
    same_flow(batch, 0, whole)
    assert stack(batch, 0) == [(4, 9, 2, 5000, 2, 0)]


def test_a_tenant_s_own_geneve_is_no_fabric() -> None:
    inner = encapsulate(request(), "2001:db8::1", "2001:db8::2", option=DINOption())
    batch = decode([datagram(1, report(inner))])
    assert not batch.flows.fabric[0]
    assert (batch.flows.src_port[0], batch.flows.dst_port[0]) == (0xC000, 6081)


def test_events_are_two_bits() -> None:
    head = report(ds_md_bits=0xC000, ds_md_status=0xFF00 | TokenEvent.DONE)
    assert decode([datagram(1, head)]).reports.event.tolist() == [TokenEvent.DONE]


@given(st.binary(min_size=16, max_size=16))
def test_addresses_as_text(address: bytes) -> None:
    assert packed(ip_address(unpacked(address))) == address
    assert unpacked(packed(IPv6Address(address))) == unpacked(address)


def test_groups_of_scapy_are_what_they_say() -> None:
    """The reference reads what we read: the builders of this file are no shared mistake."""
    group = TelemetryReportGroup(datagram(3, report(request(), {"service": 4}, tracked=1)))
    (only,) = group.reports
    assert (group.node_id, only.traffic.service, only.tracked, only.inner.dst) == (3, 4, 1, "10.100.0.1")
