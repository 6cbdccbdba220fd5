# SPDX-License-Identifier: Apache-2.0
"""Every layer, against p4src/include/headers.p4 bit for bit, and through bytes and back."""

from __future__ import annotations

from typing import Any

import pytest
from din.packet import (
    DINHostOption,
    DINOption,
    INTHop,
    INTOption,
    ReportTokens,
    ReportTraffic,
    TelemetryReport,
    TelemetryReportGroup,
    encapsulate,
    sid_list,
    sids,
)
from din.packet.constants import (
    DIN_OPTION_LENGTH,
    DIN_OPTION_TYPE,
    FABRIC_OVERHEAD,
    INT_OVERHEAD,
    DropReason,
    Instruction,
    ReportBit,
    TokenEvent,
)
from din.packet.layers import metadata
from hypothesis import given
from hypothesis import strategies as st
from scapy.contrib.geneve import GENEVE, GeneveOptions
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import HBHOptUnknown, IPv6, IPv6ExtHdrDestOpt, PadN
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

from tests.din.packet import p4

HEADERS = p4.headers()
#: With addresses: scapy would ask the network for those that are not given.
ETHERNET = Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01")


def values(header: str) -> st.SearchStrategy[dict[str, int]]:
    """Any value for each field of a P4 header."""
    return st.fixed_dictionaries({name: st.integers(0, (1 << bits) - 1) for name, bits in HEADERS[header]})


def read(packet: Packet, names: list[str]) -> dict[str, Any]:
    return {name: packet.getfieldval(name) for name in names}


# ---- fixed layouts -----------------------------------------------------------------------------------------

FIXED: list[tuple[type[Packet], str, int]] = [
    # (layer, header, leading fields of the header that scapy has in another layer)
    (DINHostOption, "host_option_t", 2),
    (DINOption, "din_option_t", 0),
    (INTOption, "int_md_t", 0),
    (TelemetryReportGroup, "report_group_t", 0),
    (ReportTraffic, "report_traffic_t", 0),
]


@pytest.mark.parametrize(("layer", "header", "skip"), FIXED, ids=[header for _, header, _ in FIXED])
@given(data=st.data())
def test_bits_are_those_of_the_p4_header(
    layer: type[Packet], header: str, skip: int, data: st.DataObject
) -> None:
    fields = HEADERS[header][skip:]
    wanted = {name: value for name, value in data.draw(values(header)).items() if name in dict(fields)}
    built = layer(**wanted)
    assert bytes(built) == p4.pack(fields, wanted)
    if "length" not in wanted:  # with a length of its own, what follows may be taken for its stack
        assert read(layer(bytes(built)), list(wanted)) == wanted


@given(fixed=values("report_t"))
def test_a_report_header_is_that_of_p4(fixed: dict[str, int]) -> None:
    fixed |= {"type": 1, "md_bits": 0, "ds_md_bits": 0}
    assert bytes(TelemetryReport(**fixed)) == p4.pack(HEADERS["report_t"], fixed)


@given(fixed=values("report_tokens_t"))
def test_tokens_are_those_of_p4(fixed: dict[str, int]) -> None:
    gaps = fixed["gaps"]
    # Counter 0 in the low bits.
    counters = [gaps >> 16 * position & 0xFFFF for position in range(16)]
    built = ReportTokens(**{**fixed, "gaps": counters})
    assert bytes(built) == p4.pack(HEADERS["report_tokens_t"], fixed)
    again = ReportTokens(bytes(built))
    assert again.gaps == counters
    assert read(again, ["headers_time", "segments", "gap_max"]) == {
        name: fixed[name] for name in ("headers_time", "segments", "gap_max")
    }


BASELINE = [
    (ReportBit.PORTS, "report_ports_t"),
    (ReportBit.HOP_LATENCY, "report_latency_t"),
    (ReportBit.QUEUE, "report_queue_t"),
    (ReportBit.INGRESS_TIME, "report_ingress_time_t"),
    (ReportBit.EGRESS_TIME, "report_egress_time_t"),
    (ReportBit.DROP, "report_drop_t"),
]
#: A report has all of these side by side, so scapy's names tell them apart.
RENAMED = {
    "report_latency_t": {"latency": "hop_latency"},
    "report_ingress_time_t": {"time": "ingress_time"},
    "report_egress_time_t": {"time": "egress_time"},
    "report_drop_t": {"queue": "drop_queue", "reason": "drop_reason"},
}


@given(st.data())
def test_baseline_metadata_is_that_of_p4_in_the_order_of_bits(data: st.DataObject) -> None:
    chosen = [pair for pair in BASELINE if data.draw(st.booleans(), label=pair[1])]
    expected, named, bits = b"", {}, 0
    for bit, header in chosen:
        some = data.draw(values(header))
        expected += p4.pack(HEADERS[header], some)
        named |= {RENAMED.get(header, {}).get(name, name): value for name, value in some.items()}
        bits |= bit
    report = TelemetryReport(md_bits=bits, **named)
    assert bytes(report)[12:] == expected
    again = TelemetryReport(bytes(report))
    assert read(again, list(named)) == named
    assert again.md_length == len(expected) // 4
    assert again.length == 2 + len(expected) // 4


INT_HOP_HEADERS = [
    (Instruction.NODE_ID, "int_node_id_t", ["node_id"]),
    (Instruction.PORTS, "int_ports_t", ["ingress_port", "egress_port"]),
    (Instruction.HOP_LATENCY, "int_hop_latency_t", ["hop_latency"]),
    (Instruction.QUEUE, "int_queue_t", ["queue", "occupancy"]),
    (Instruction.INGRESS_TIME, "int_ingress_time_t", ["ingress_time"]),
    (Instruction.EGRESS_TIME, "int_egress_time_t", ["egress_time"]),
    (Instruction.L2_PORTS, "int_l2_ports_t", ["l2_ingress_port", "l2_egress_port"]),
    (Instruction.TX_UTILIZATION, "int_unknown_t", ["tx_utilization"]),
]


@given(st.data())
def test_what_a_hop_pushes_is_that_of_p4(data: st.DataObject) -> None:
    expected, named, instructions = b"", {}, 0
    for bit, header, names in INT_HOP_HEADERS:
        if data.draw(st.booleans(), label=header):
            some = data.draw(values(header))
            expected += p4.pack(HEADERS[header], some)
            named |= {ours: some[name] for ours, (name, _) in zip(names, HEADERS[header], strict=True)}
            instructions |= bit
    hop = INTHop(**named)
    assert hop.encode(instructions) == expected
    assert INTHop.decode(expected, instructions) == hop


# ---- the host's option -------------------------------------------------------------------------------------


@given(fixed=values("host_option_t"), payload=st.binary(max_size=40))
def test_host_option_in_a_packet(fixed: dict[str, int], payload: bytes) -> None:
    del fixed["next_header"], fixed["ext_len"]
    fixed |= {"option_type": DIN_OPTION_TYPE, "option_length": DIN_OPTION_LENGTH, "version": 1}
    frame = (
        ETHERNET
        / IPv6(src="2001:db8::1", dst="2001:db8::2")
        / IPv6ExtHdrDestOpt(options=[DINHostOption(**fixed)])
        / UDP(sport=9, dport=9)
        / payload
    )
    data = bytes(frame)
    # A header of 24 bytes and nothing but the option in it, as the parser looks for it.
    assert data[14 + 40 + 1 : 14 + 40 + 4] == b"\x02\x1e\x14"
    again = Ether(data)
    (option,) = again[IPv6ExtHdrDestOpt].options
    assert isinstance(option, DINHostOption)
    assert read(option, list(fixed)) == fixed
    assert bytes(again[UDP].payload) == payload
    again[IPv6ExtHdrDestOpt].options[0].label ^= 0  # forget the bytes it came from
    assert bytes(again) == data


@pytest.mark.parametrize(
    "option",
    [
        b"\x1e\x14\x23" + bytes(19),  # another version
        b"\x1e\x13\x13" + bytes(18),  # another length
        b"\x1e\x15\x13" + bytes(20),
    ],
    ids=["version", "short", "long"],
)
def test_other_experiments_are_left_alone(option: bytes) -> None:
    padding = bytes(PadN(optdata=bytes(-(len(option) + 4) % 8)))
    data = bytes(IPv6(nh=60) / Raw(bytes([59, (2 + len(option) + len(padding)) // 8 - 1]) + option + padding))
    (first, *_) = IPv6(data)[IPv6ExtHdrDestOpt].options
    assert type(first) is HBHOptUnknown
    assert bytes(first) == option


def test_a_cut_option_is_no_option() -> None:
    data = bytes(IPv6() / IPv6ExtHdrDestOpt(options=[DINHostOption()]))
    for length in range(40, len(data)):
        packet = IPv6(data[:length])
        header = packet.getlayer(IPv6ExtHdrDestOpt)
        assert header is None or not any(isinstance(each, DINHostOption) for each in header.options)


def test_other_options_keep_their_layers() -> None:
    packet = IPv6(
        bytes(IPv6() / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0\0"), HBHOptUnknown(otype=0x3E)]))
    )
    assert [type(each) for each in packet[IPv6ExtHdrDestOpt].options][:2] == [PadN, HBHOptUnknown]


# ---- segment lists -----------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 0xFFFF), max_size=6))
def test_sid_lists(ids: list[int]) -> None:
    assert sids(sid_list(*ids)) == ids


def test_sid_list_by_hand() -> None:
    assert sid_list(1, 0xAB, 0xE001) == "fcbb:bb00:1:ab:e001::"


@pytest.mark.parametrize(
    ("ids", "message"), [((1,) * 7, "room for 6"), ((1, 0), "not 0"), ((0x10000,), "not 65536")]
)
def test_impossible_sid_lists(ids: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sid_list(*ids)


# ---- the fabric's packets ----------------------------------------------------------------------------------

HOPS = [INTHop(2, 21, 22, 2222, 3, 33), INTHop(1, 11, 12, 1111, 5, 55)]
INNERS = [
    IP(src="10.0.0.1", dst="10.0.0.2", tos=0xB9) / TCP(sport=1, dport=2) / b"tokens",
    IPv6(src="2001:db8::1", dst="2001:db8::2", tc=0x2E) / ICMP() / b"x",
    IPv6() / IPv6ExtHdrDestOpt(options=[DINHostOption(tenant=3)]) / UDP(sport=5, dport=6) / b"y",
]


@pytest.mark.parametrize("inner", INNERS)
@given(
    option=values("din_option_t"),
    tenant=st.integers(0, 0xFFFF),
    ids=st.lists(st.integers(1, 0xFFFF), min_size=1, max_size=6),
    with_int=st.booleans(),
)
def test_fabric_packets(
    inner: Packet, option: dict[str, int], tenant: int, ids: list[int], with_int: bool
) -> None:
    option |= {"option_class": 0xFF44, "type": 1, "length": 6, "version": 1}
    telemetry = INTOption(remaining_hops=5).with_hops(HOPS) if with_int else None
    packet = encapsulate(
        inner,
        ids,
        "fcbb:bb00::1",
        tenant=tenant,
        option=DINOption(**option),
        telemetry=telemetry,
        entropy=50_000,
    )
    data = bytes(packet)
    overhead = FABRIC_OVERHEAD + (INT_OVERHEAD + 32 if with_int else 0)
    assert len(data) == overhead + len(bytes(inner))
    again = Ether(bytes(ETHERNET / packet))[IPv6]
    assert bytes(again) == data
    assert (again.dst, again.tc, again.fl, again.hlim) == (
        sid_list(*ids),
        inner.tos if IP in inner else inner.tc,
        50_000,
        64,
    )
    assert (again[UDP].chksum, again[UDP].sport, again[UDP].dport) == (0, 50_000, 6081)
    geneve = again[GENEVE]
    assert (geneve.vni, geneve.optionlen) == (tenant, 7 + (12 if with_int else 0))
    assert read(geneve.options[0], list(option)) == option
    if with_int:
        assert geneve.options[1].hops == HOPS
        assert geneve.options[1].remaining_hops == 5
    assert bytes(geneve.payload) == bytes(inner)


def test_only_ip_is_carried() -> None:
    with pytest.raises(TypeError, match="ARP"):
        encapsulate(ARP(), [1], "::1")


@pytest.mark.parametrize(
    "option",
    [
        b"\xff\x44\x01\x06\x20" + bytes(23),  # another version of ours
        b"\xff\x44\x01\x05\x10" + bytes(19),  # another length
        b"\xff\x44\x02\x06\x10" + bytes(23),  # another type
        b"\x01\x03\x01\x03\x10" + bytes(11),  # INT v1
        b"\x01\x03\x01\x02\x20" + bytes(7),  # INT, too short for its header
        b"\x01\x03\x03\x03\x20" + bytes(11),  # INT-MX
    ],
)
def test_options_that_are_not_understood(option: bytes) -> None:
    data = bytes(
        GENEVE(optionlen=len(option) // 4 + 1, proto=0x1234) / Raw(option + b"\x01\x02\x03\x00" + b"rest")
    )
    geneve = GENEVE(data)
    assert [type(each) for each in geneve.options] == [GeneveOptions, GeneveOptions]
    assert bytes(geneve.options[0]) == option
    assert bytes(geneve.payload) == b"rest"


# ---- INT ---------------------------------------------------------------------------------------------------


@given(
    instructions=st.integers(0, 0xFFFF).filter(lambda bits: metadata.words(bits, metadata.INT_FIELDS) > 0),
    domain_words=st.integers(0, 3),
    data=st.data(),
)
def test_stacks_of_any_instructions(instructions: int, domain_words: int, data: st.DataObject) -> None:
    size = metadata.words(instructions, metadata.INT_FIELDS) + domain_words
    count = data.draw(st.integers(0, 28 // size))
    stack = data.draw(st.binary(min_size=4 * size * count, max_size=4 * size * count))
    option = INTOption(instructions=instructions, hop_ml=size, stack=stack)
    again = INTOption(bytes(option))
    hops = again.hops
    assert len(hops) == count
    assert all(len(hop.domain) == 4 * domain_words for hop in hops)
    assert again.source_only == b""
    # Reserved bits have words without a name, which no hop keeps.
    if not instructions & 0x007E:
        assert again.with_hops(hops).stack == stack
        assert bytes(again.with_hops(hops)) == bytes(option)


def test_source_only_words_are_behind_the_last_hop() -> None:
    option = INTOption().with_hops(HOPS)
    option.stack += b"\x01\x02\x03\x04"
    assert option.hops == HOPS
    assert option.source_only == b"\x01\x02\x03\x04"


def test_what_is_unknown_is_all_ones() -> None:
    (hop,) = INTOption().with_hops([INTHop(node_id=7)]).hops
    assert hop == INTHop(7, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFF, 0xFFFFFF)


def test_seven_hops_fill_an_option_and_eight_do_not_fit() -> None:
    full = bytes(INTOption().with_hops(HOPS[:1] * 7))
    assert len(full) == 4 + 124
    assert full[3] == 31
    with pytest.raises(ValueError, match="does not fit"):
        bytes(INTOption().with_hops(HOPS[:1] * 8))


def test_a_hop_ml_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="HopML is 3 words, instructions ask for 4"):
        _ = INTOption(hop_ml=3, stack=bytes(12)).hops


# ---- reports -----------------------------------------------------------------------------------------------


def report_packet(*reports: TelemetryReport, **group: int) -> Packet:
    return (
        IP(src="192.0.2.1", dst="192.0.2.2")
        / UDP(sport=40_000, dport=32766)
        / TelemetryReportGroup(reports=list(reports), **group)
    )


@given(
    bits=st.integers(0, 0xFFFF),
    ours=st.sampled_from([0, 0x8000, 0x4000, 0xC000]),
    kind=st.sampled_from([0, 3, 4, 5]),
    data=st.data(),
)
def test_reports_round_trip(bits: int, ours: int, kind: int, data: st.DataObject) -> None:
    """Any metadata bits, the reserved ones included, any of our metadata, any inner packet."""
    inner = {0: None, 3: ETHERNET / INNERS[0], 4: INNERS[0], 5: INNERS[2]}[kind]
    size = 4 * metadata.words(bits, metadata.REPORT_FIELDS)
    baseline = data.draw(st.binary(min_size=size, max_size=size))
    domain = bytes(ReportTraffic(tenant=5, label=3)) if ours & 0x8000 else b""
    domain += bytes(ReportTokens(segments=9, gaps=list(range(16)))) if ours & 0x4000 else b""
    tail = b"" if inner is None else bytes(inner)
    tail += bytes(-len(tail) % 4)
    words = (len(baseline) + len(domain)) // 4
    wire = (
        bytes([0x10 | kind, 2 + words + len(tail) // 4, words, 0x60])
        + bits.to_bytes(2, "big")
        + b"\x44\x49"
        + ours.to_bytes(2, "big")
        + b"\x00\x02"
        + baseline
        + domain
        + tail
    )
    second = TelemetryReport(type=0, inner_type=4, inner=INNERS[0], dropped=1)
    group = TelemetryReportGroup(b"\x24\xc0\x00\x07\x00\x00\x00\x2a" + wire + bytes(second))
    assert (group.version, group.hw_id, group.sequence, group.node_id) == (2, 0x13, 7, 42)
    first, other = group.reports
    assert bytes(first) == wire
    assert (first.congested, first.tracked, first.token_event) == (1, 1, TokenEvent.DONE)
    if ours & 0x8000:
        assert (first.traffic.tenant, first.traffic.label) == (5, 3)
    if ours & 0x4000:
        assert (first.tokens.segments, first.tokens.gaps) == (9, list(range(16)))
    assert first.domain_rest == b""
    if bits & ReportBit.PORTS:
        at = 4 * bool(bits & 0x8000)
        assert first.ingress_port == int.from_bytes(baseline[at : at + 2], "big")
    if bits & ReportBit.DROP:
        assert (first.drop_queue, first.drop_reason) == (baseline[-4], baseline[-3])
    if inner is None:
        assert not first.inner
    else:
        assert bytes(first.inner)[: len(bytes(inner))] == bytes(inner)
        assert type(first.inner) is type(inner)
    assert (other.type, other.dropped, other.length) == (0, 1, len(bytes(second)) // 4 - 1)
    # Built again from its fields, with lengths computed, it is the same.
    fields = {name: first.getfieldval(name) for name in first.fields if name not in ("length", "md_length")}
    assert bytes(TelemetryReport(**fields)) == wire


def test_a_report_over_udp() -> None:
    report = TelemetryReport(
        inner_type=5,
        tracked=1,
        md_bits=ReportBit.PORTS | ReportBit.DROP,
        ds_md_bits=0x8000,
        ingress_port=3,
        egress_port=0xFFFF,
        drop_reason=DropReason.ZONE,
        traffic=ReportTraffic(tenant=7, label=2),
        inner=encapsulate(INNERS[0], [1, 2], "fcbb:bb00::1", telemetry=INTOption().with_hops(HOPS)),
    )
    again = IP(bytes(report_packet(report, node_id=9, hw_id=1, sequence=5)))
    group = again[TelemetryReportGroup]
    assert (group.node_id, group.hw_id, group.sequence) == (9, 1, 5)
    (found,) = group.reports
    assert (found.ingress_port, found.egress_port, found.drop_reason) == (3, 0xFFFF, DropReason.ZONE)
    assert found.inner[GENEVE].options[1].hops == HOPS


@given(cut=st.integers(1, 130))
def test_what_is_inside_may_be_cut_anywhere(cut: int) -> None:
    """Reports about labelled traffic carry headers alone, and any report is truncated somewhere."""
    inner = bytes(encapsulate(INNERS[0], [1, 2], "fcbb:bb00::1"))[:cut]
    report = TelemetryReport(inner_type=5, inner=Raw(inner))
    again = IP(bytes(report_packet(report)))
    (found,) = again[TelemetryReportGroup].reports
    assert bytes(found.inner) == inner + bytes(-len(inner) % 4)
    assert (found.md_length, found.length) == (0, 2 + -(-len(inner) // 4))


def test_another_domain_is_not_ours() -> None:
    report = TelemetryReport(domain=0x1234, ds_md_bits=0x8000, domain_rest=b"abcdefgh", inner=Raw(b"word"))
    again = TelemetryReport(bytes(report))
    assert (again.md_length, again.domain_rest, bytes(again.inner)) == (2, b"abcdefgh", b"word")
    assert "traffic" not in again.fields


def test_a_length_of_255_reaches_to_the_end() -> None:
    report = TelemetryReport(inner_type=4, inner=IP() / UDP() / bytes(2000))
    assert bytes(report)[1] == 0xFF
    (found,) = TelemetryReportGroup(bytes(TelemetryReportGroup(reports=[report]))).reports
    assert len(bytes(found.inner)) == 2028
