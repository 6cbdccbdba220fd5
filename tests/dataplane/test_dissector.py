# SPDX-License-Identifier: Apache-2.0
"""scripts/wireshark/din.lua, run by tshark: on packets of din.packet's layers, and on what switches send."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

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
)
from din.packet.constants import (
    CLASS_REPORT,
    DropReason,
    InnerType,
    ReportBit,
    ReportType,
    TokenEvent,
    TrafficClass,
)
from scapy.contrib.geneve import GENEVE, GeneveOptions
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from tests.dataplane import telemetry
from tests.dataplane.frames import access, tcp4
from tests.dataplane.harness import MakeFabric

DISSECTOR = Path(__file__).parents[2] / "scripts" / "wireshark" / "din.lua"
TSHARK = shutil.which("tshark")
pytestmark = pytest.mark.skipif(TSHARK is None, reason="tshark is not installed (apt-get install tshark)")

ETHERNET = Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01")
HOST_OPTION = DINHostOption(
    class_id=3,
    label=9,
    key_id=2,
    epoch=200,
    tenant=7,
    service=0x1234,
    instance=5,
    session=6,
    deadline=20_000,
    tag=0xDEADBEEF,
)
TENANT_PACKET = (
    IPv6(src="2001:db8::1", dst="2001:db8::2")
    / IPv6ExtHdrDestOpt(options=[HOST_OPTION])
    / UDP(sport=40_000, dport=40_001)
    / b"tokens"
)
FABRIC_OPTION = DINOption(
    class_id=4,
    label=8,
    response=1,
    late_drop=1,
    service=77,
    session=6,
    slack=1_500,
    flow_hash=0xCAFE0001,
    ingress_time=1_700_000_000_000_000_001,
)
HOPS = [INTHop(0x0B01, 21, 22, 2_222, 3, 33), INTHop(0x0A01, 11, 12, 1_111, 5, 55)]
FABRIC_PACKET = encapsulate(
    TENANT_PACKET,
    [0x0B01, 0x0A02, 0xF001],
    "fcbb:bb00::a01",
    tenant=7,
    option=FABRIC_OPTION,
    telemetry=INTOption(remaining_hops=5).with_hops(HOPS),
)

#: Values of each field, in the order in which they are in the packet.
Found = dict[str, list[str]]
Dissect = Callable[..., list[Found]]


@pytest.fixture
def tshark(tmp_path: Path) -> Callable[..., str]:
    """tshark with the dissector, on these packets: Ethernet frames, or what goes into one."""

    def run(packets: Iterable[Packet | bytes], *options: str) -> str:
        capture = tmp_path / "capture.pcap"
        frames = [each if isinstance(each, bytes) else bytes(ETHERNET / each) for each in packets]
        records = b"".join(struct.pack("<IIII", 0, 0, len(each), len(each)) + each for each in frames)
        capture.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + records)
        assert TSHARK is not None
        done = subprocess.run(
            [TSHARK, "-n", "-X", f"lua_script:{DISSECTOR}", "-r", str(capture), *options],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        noise = [line for line in done.stderr.splitlines() if "could be dangerous" not in line]
        assert noise == [], "tshark or the script has something to say"
        return done.stdout

    return run


@pytest.fixture
def dissect(tshark: Callable[..., str]) -> Dissect:
    """All values of each field, packet by packet."""

    def run(packets: Iterable[Packet | bytes], *fields: str, options: tuple[str, ...] = ()) -> list[Found]:
        wanted = [option for field in fields for option in ("-e", field)]
        separators = ["-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=|"]
        rows = tshark(packets, *options, "-T", "fields", *separators, *wanted).split("\n")[:-1]
        return [
            {
                field: value.split("|") if value else []
                for field, value in zip(fields, row.split("\t"), strict=True)
            }
            for row in rows
        ]

    return run


def values(found: Found, prefix: str = "") -> dict[str, int]:
    """Numbers by the last part of the field's name, of fields that are there once."""
    booleans = {"True": 1, "False": 0}  # Wireshark 4.2 and later; before, 1 and 0
    return {
        name.removeprefix(prefix): booleans[value] if value in booleans else int(value, 0)
        for name, (value,) in found.items()
    }


def cut_short(found: Found) -> bool:
    """Whether a dissector ran out of packet. It is another matter that a header's length says more than a
    report quotes: Wireshark notes that too."""
    return any(message.startswith("Malformed Packet") for message in found["_ws.expert.message"])


# ---- options -----------------------------------------------------------------------------------------------

HOST_FIELDS = [
    "version",
    "label",
    "key_id",
    "epoch",
    "tenant",
    "service",
    "instance",
    "session",
    "deadline",
    "tag",
]
FABRIC_FIELDS = [
    "version",
    "label",
    "response",
    "watched",
    "late_drop",
    "marked",
    "service",
    "session",
    "slack",
]
FABRIC_FIELDS += ["flow_hash", "ingress_time"]


def test_host_option(dissect: Dissect) -> None:
    (found,) = dissect([TENANT_PACKET], *(f"din.host.{name}" for name in [*HOST_FIELDS, "class"]))
    assert values(found, "din.host.") == {
        **{name: HOST_OPTION.getfieldval(name) for name in HOST_FIELDS},
        "class": HOST_OPTION.class_id,
    }


def test_fabric_option(dissect: Dissect) -> None:
    (found,) = dissect([FABRIC_PACKET], *(f"din.{name}" for name in [*FABRIC_FIELDS, "class"]))
    assert values(found, "din.") == {
        **{name: FABRIC_OPTION.getfieldval(name) for name in FABRIC_FIELDS},
        "class": FABRIC_OPTION.class_id,
    }


@pytest.mark.parametrize("flag", ["response", "watched", "late_drop", "marked"])
def test_each_flag(dissect: Dissect, flag: str) -> None:
    packet = encapsulate(TENANT_PACKET, [1], "fcbb:bb00::1", option=DINOption(**{flag: 1}))
    names = ["response", "watched", "late_drop", "marked"]
    (found,) = dissect([packet], *(f"din.{name}" for name in names))
    assert values(found, "din.") == {name: int(name == flag) for name in names}


def test_the_tenant_s_option_shows_inside_the_fabric(dissect: Dissect) -> None:
    (found,) = dissect([FABRIC_PACKET], "din.host.tag", "din.flow_hash", "geneve.vni", "udp.dstport")
    assert found == {
        "din.host.tag": ["0xdeadbeef"],
        "din.flow_hash": ["0xcafe0001"],
        "geneve.vni": ["0x000007"],
        "udp.dstport": ["6081", "40001"],
    }


def test_segments(dissect: Dissect) -> None:
    full = encapsulate(TENANT_PACKET, sid_list(1, 2, 3, 4, 5, 6), "fcbb:bb00::1")
    found = dissect([FABRIC_PACKET, full, TENANT_PACKET], "din.sid")
    assert [[int(each, 0) for each in row["din.sid"]] for row in found] == [
        [0x0B01, 0x0A02, 0xF001],
        [1, 2, 3, 4, 5, 6],
        [],
    ]


def test_display_filters(tshark: Callable[..., str]) -> None:
    packets = [TENANT_PACKET, FABRIC_PACKET]
    assert len(tshark(packets, "-Y", "din.host.tenant == 7").splitlines()) == 2
    assert len(tshark(packets, "-Y", "din.slack == 1500 && int_md.hop_latency > 2000").splitlines()) == 1
    assert tshark(packets, "-Y", "int_md.hop_latency > 3000") == ""


@pytest.mark.parametrize(
    ("packet", "shown"),
    [
        (TENANT_PACKET.__class__(bytes(TENANT_PACKET).replace(b"\x1e\x14\x13", b"\x1e\x14\x23")), "host."),
        (encapsulate(TENANT_PACKET, [1], "::1", option=DINOption(version=3)), ""),
    ],
    ids=["host", "fabric"],
)
def test_another_version_shows_its_number_alone(dissect: Dissect, packet: Packet, shown: str) -> None:
    (found,) = dissect([packet], f"din.{shown}version", f"din.{shown}label", "_ws.expert.message")
    assert found[f"din.{shown}version"] == ["2" if shown else "3"]
    assert found[f"din.{shown}label"] == []
    assert "Another version of the option" in found["_ws.expert.message"]


def test_what_is_not_ours(dissect: Dissect) -> None:
    """Other options of Geneve and IPv6, and an option that the capture cut."""
    other = (
        IPv6() / UDP(sport=1, dport=6081) / GENEVE(options=[GeneveOptions(classid=0x0102, data=bytes(24))])
    )
    short = bytes(TENANT_PACKET).replace(b"\x1e\x14\x13", b"\x1e\x12\x13")
    found = dissect([other, Raw(short), Raw(bytes(FABRIC_PACKET)[:70])], "din", "int_md")
    assert found[0] == {"din": [], "int_md": []}
    assert all(row["int_md"] == [] for row in found)


# ---- INT ---------------------------------------------------------------------------------------------------

HOP_FIELDS = ["node_id", "ingress_port", "egress_port", "hop_latency", "queue", "occupancy"]
ALL_FIELDS = [
    *HOP_FIELDS,
    "ingress_time",
    "egress_time",
    "l2_ingress_port",
    "l2_egress_port",
    "tx_utilization",
]
ALL_FIELDS += ["buffer", "buffer_occupancy"]


def hops_of(found: Found, names: list[str]) -> list[INTHop]:
    columns = [[int(each, 0) for each in found[f"int_md.{name}"]] for name in names]
    return [INTHop(**dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]


def test_hops(dissect: Dissect) -> None:
    fields = [*HOP_FIELDS, "hop", "version", "hop_ml", "remaining_hops", "instructions"]
    (found,) = dissect([FABRIC_PACKET], *(f"int_md.{name}" for name in fields))
    assert hops_of(found, HOP_FIELDS) == HOPS
    assert found["int_md.hop"] == ["2", "1"], "numbered along the way: the newest comes first"
    assert [found[f"int_md.{name}"] for name in fields[-4:]] == [["2"], ["4"], ["5"], ["0xf000"]]


def test_every_instruction(dissect: Dissect) -> None:
    hops = [INTHop(**{name: 100 * hop + index for index, name in enumerate(ALL_FIELDS)}) for hop in (2, 1)]
    option = INTOption(instructions=0xFF80).with_hops(hops)
    packet = encapsulate(TENANT_PACKET, [1], "fcbb:bb00::1", telemetry=option)
    (found,) = dissect([packet], *(f"int_md.{name}" for name in ALL_FIELDS), "int_md.hop_ml")
    assert hops_of(found, ALL_FIELDS) == hops
    assert found["int_md.hop_ml"] == ["12"]


def test_reserved_instructions_domain_and_source_only_words(dissect: Dissect) -> None:
    option = INTOption(instructions=0x8003, hop_ml=4, domain=0x1234, stack=bytes(range(16)) * 2 + b"last")
    packet = encapsulate(TENANT_PACKET, [1], "fcbb:bb00::1", telemetry=option)
    names = ["node_id", "reserved", "checksum_complement", "domain_data", "source_only"]
    (found,) = dissect([packet], *(f"int_md.{name}" for name in names))
    assert found == {
        "int_md.node_id": [str(0x00010203)] * 2,
        "int_md.reserved": ["0x04050607"] * 2,
        "int_md.checksum_complement": ["0x08090a0b"] * 2,
        "int_md.domain_data": ["0c0d0e0f"] * 2,
        "int_md.source_only": [b"last".hex()],
    }


@pytest.mark.parametrize("flag", ["discard", "exceeded", "mtu_exceeded"])
def test_int_flags(dissect: Dissect, flag: str) -> None:
    packet = encapsulate(TENANT_PACKET, [1], "fcbb:bb00::1", telemetry=INTOption(**{flag: 1}))
    names = ["discard", "exceeded", "mtu_exceeded"]
    (found,) = dissect([packet], *(f"int_md.{name}" for name in names), "_ws.expert.message")
    complained = "Hops are missing from the stack" in found.pop("_ws.expert.message")
    assert values(found, "int_md.") == {name: int(name == flag) for name in names}
    assert complained == (flag != "discard")


@pytest.mark.parametrize(
    "option",
    [INTOption(hop_ml=3, stack=bytes(12)), INTOption(hop_ml=0, stack=bytes(12)), INTOption(version=1)],
    ids=["short", "zero", "version"],
)
def test_contradictions_are_told(dissect: Dissect, option: INTOption) -> None:
    packet = encapsulate(TENANT_PACKET, [1], "fcbb:bb00::1", telemetry=option)
    (found,) = dissect([packet], "int_md.bad_length", "int_md.node_id", "din.flow_hash")
    assert found["int_md.bad_length"] != []
    assert found["int_md.node_id"] == []
    assert found["din.flow_hash"] != [], "the rest is dissected"


# ---- reports -----------------------------------------------------------------------------------------------


def report_packet(*reports: TelemetryReport, port: int = 32766, **group: int) -> Packet:
    addresses = IP(src="192.0.2.1", dst="192.0.2.2")
    return (
        addresses
        / UDP(sport=49152, dport=port, chksum=0)
        / TelemetryReportGroup(reports=list(reports), **group)
    )


METADATA = {
    "ingress_port": 3,
    "egress_port": 0xFFFF,
    "hop_latency": 1_234_567,
    "queue": 5,
    "occupancy": 70_000,
    "ingress_time": 1_700_000_000_000_000_001,
    "egress_time": 1_700_000_000_000_000_002,
    "l2_ingress_port": 100_000,
    "l2_egress_port": 100_001,
    "tx_utilization": 77,
    "buffer": 9,
    "buffer_occupancy": 80_000,
    "drop_queue": 6,
    "drop_reason": int(DropReason.ZONE),
}
TRAFFIC = {"tenant": 7, "service": 77, "instance": 3, "label": 8, "flow_hash": 0xCAFE0001}
TOKENS = {"headers_time": 10, "first_token_time": 20, "segments": 30, "gap_sum": 40, "gap_max": 50}
FULL = TelemetryReport(
    inner_type=InnerType.IPV6,
    dropped=1,
    tracked=1,
    md_bits=0x7F81,
    ds_md_bits=0xC000,
    ds_md_status=TokenEvent.DONE,
    **METADATA,
    traffic=ReportTraffic(**TRAFFIC, class_id=4),
    tokens=ReportTokens(**TOKENS, gaps=list(range(16))),
    inner=FABRIC_PACKET,
)


def test_a_report_with_everything(dissect: Dissect) -> None:
    names = [*METADATA, *(f"din.{name}" for name in (*TRAFFIC, *TOKENS, "class", "token_event"))]
    names += [
        "dropped",
        "congested",
        "tracked",
        "intermediate",
        "node_id",
        "hw_id",
        "sequence",
        "type",
        "inner_type",
    ]
    packet = report_packet(FULL, node_id=0x0A02, hw_id=0x2A, sequence=0x2ABCDE)
    (found,) = dissect([packet], *(f"telemetry_report.{name}" for name in names))
    assert values(found, "telemetry_report.") == {
        **METADATA,
        **{
            f"din.{name}": value
            for name, value in (TRAFFIC | TOKENS | {"class": 4, "token_event": 2}).items()
        },
        "dropped": 1,
        "congested": 0,
        "tracked": 1,
        "intermediate": 0,
        "node_id": 0x0A02,
        "hw_id": 0x2A,
        "sequence": 0x2ABCDE,
        "type": 1,
        "inner_type": 5,
    }


def test_gaps_the_shortest_first(tshark: Callable[..., str], dissect: Dissect) -> None:
    (found,) = dissect([report_packet(FULL)], "telemetry_report.din.gaps")
    assert found["telemetry_report.din.gaps"] == [str(count) for count in range(16)]
    shown = re.findall(r"Gaps: (\d+) of (.*) us", tshark([report_packet(FULL)], "-V"))
    assert shown[:2] == [("0", "0 to 127"), ("1", "128 to 255")]
    assert "Gaps: 15 of 2097152 us and more" in tshark([report_packet(FULL)], "-V")


def test_what_a_report_is_about_is_dissected(dissect: Dissect) -> None:
    fields = [
        "int_md.hop_latency",
        "din.slack",
        "din.host.tag",
        "_ws.col.Protocol",
        "_ws.col.Source",
        "_ws.col.Info",
    ]
    (found,) = dissect([report_packet(FULL, node_id=9, sequence=5)], *fields)
    assert found == {
        "int_md.hop_latency": ["2222", "1111"],
        "din.slack": ["1500"],
        "din.host.tag": ["0xdeadbeef"],
        "_ws.col.Protocol": ["Telemetry Report"],
        "_ws.col.Source": ["192.0.2.1"],
        "_ws.col.Info": ["Node 9, sequence 5, dropped: zone"],
    }
    without = ("-o", "telemetry_report.inner:FALSE")
    (found,) = dissect([report_packet(FULL)], "int_md", "telemetry_report.inner", options=without)
    assert found["int_md"] == []
    assert len(found["telemetry_report.inner"]) == 1


@pytest.mark.parametrize("kind", [InnerType.ETHERNET, InnerType.IPV4, InnerType.IPV6])
def test_inner_types(dissect: Dissect, kind: InnerType) -> None:
    ip4 = IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=40_000, dport=40_001)
    inner = {InnerType.ETHERNET: ETHERNET / ip4, InnerType.IPV4: ip4, InnerType.IPV6: TENANT_PACKET}[kind]
    report = TelemetryReport(inner_type=kind, inner=inner)
    (found,) = dissect([report_packet(report)], "eth.src", "ip.src", "ipv6.src")
    assert (len(found["eth.src"]), len(found["ip.src"]), len(found["ipv6.src"])) == {
        InnerType.ETHERNET: (2, 2, 0),
        InnerType.IPV4: (1, 2, 0),
        InnerType.IPV6: (1, 1, 1),
    }[kind]


def test_headers_alone_are_no_error(dissect: Dissect) -> None:
    """Of a labelled packet a report quotes the headers: they end where the payload began."""
    tenant = TENANT_PACKET.copy()
    tenant[UDP].underlayer.remove_payload()
    tenant /= TCP(sport=40_000, dport=40_001)
    inner = encapsulate(tenant / b"tokens", [1], "::1", telemetry=INTOption().with_hops(HOPS))
    report = TelemetryReport(inner_type=InnerType.IPV6, inner=Raw(bytes(inner)[: -len(b"tokens")]))
    names = ["int_md.hop_latency", "din.host.tag", "tcp.dstport"]
    (found,) = dissect([report_packet(report)], *names, "_ws.expert.message")
    assert [found[name] for name in names] == [["2222", "1111"], ["0xdeadbeef"], ["40001"]]
    assert not cut_short(found)


def test_an_inner_packet_cut_anywhere(dissect: Dissect) -> None:
    """The report itself is read all the same."""
    inner = bytes(FABRIC_PACKET)
    packets = [
        report_packet(TelemetryReport(inner_type=5, inner=Raw(inner[:cut])), sequence=cut)
        for cut in range(4, len(inner), 4)
    ]
    found = dissect(packets, "telemetry_report.sequence", "_ws.col.Info", "_ws.expert.message")
    assert cut_short(found[0])
    assert [row["telemetry_report.sequence"] for row in found] == [
        [str(cut)] for cut in range(4, len(inner), 4)
    ]
    assert all(row["_ws.col.Info"][0].startswith("Node 0, sequence") for row in found)


def test_several_reports_in_a_datagram(dissect: Dissect) -> None:
    first = TelemetryReport(md_bits=ReportBit.HOP_LATENCY, hop_latency=1, tracked=1)
    second = TelemetryReport(type=ReportType.INNER_ONLY, inner_type=4, inner=IP() / UDP(), dropped=1)
    third = TelemetryReport(md_bits=ReportBit.HOP_LATENCY, hop_latency=3)
    (found,) = dissect(
        [report_packet(first, second, third)],
        *(f"telemetry_report.{name}" for name in ("type", "hop_latency", "dropped", "bad_length")),
    )
    assert found["telemetry_report.type"] == ["1", "0", "1"]
    assert found["telemetry_report.hop_latency"] == ["1", "3"]
    assert [value in ("True", "1") for value in found["telemetry_report.dropped"]] == [False, True, False]
    assert found["telemetry_report.bad_length"] == []


def test_another_domain_s_metadata_is_bytes(dissect: Dissect) -> None:
    report = TelemetryReport(domain=0x1234, ds_md_bits=0x8000, domain_rest=bytes(range(12)))
    (found,) = dissect([report_packet(report)], "telemetry_report.ds_data", "telemetry_report.din.tenant")
    assert found == {
        "telemetry_report.ds_data": [bytes(range(12)).hex()],
        "telemetry_report.din.tenant": [],
    }


@pytest.mark.parametrize(
    "report",
    [
        TelemetryReport(length=200, md_bits=ReportBit.PORTS),
        TelemetryReport(md_length=200, md_bits=ReportBit.PORTS),
        TelemetryReport(md_length=0, md_bits=ReportBit.PORTS, inner=Raw(bytes(8))),
        TelemetryReport(length=1),
    ],
    ids=["beyond the datagram", "metadata beyond the report", "metadata shorter than its bits", "no room"],
)
def test_lengths_that_do_not_agree(dissect: Dissect, report: TelemetryReport) -> None:
    (found,) = dissect([report_packet(report)], "telemetry_report.bad_length", "telemetry_report.node_id")
    assert found["telemetry_report.bad_length"] != []
    assert len(found["telemetry_report.node_id"]) == 1


def test_another_version(dissect: Dissect) -> None:
    (found,) = dissect([report_packet(FULL, version=1)], "telemetry_report.version", "telemetry_report.type")
    assert found == {"telemetry_report.version": ["1"], "telemetry_report.type": []}


def test_the_port_is_a_preference(dissect: Dissect) -> None:
    packets = [report_packet(FULL, port=5000), report_packet(FULL)]
    fields = ["telemetry_report.node_id"]
    assert [len(row[fields[0]]) for row in dissect(packets, *fields)] == [0, 1]
    moved = dissect(packets, *fields, options=("-o", "telemetry_report.port:5000"))
    assert [len(row[fields[0]]) for row in moved] == [1, 0]
    decoded = dissect(packets, *fields, options=("-d", "udp.port==5000,telemetry_report"))
    assert [len(row[fields[0]]) for row in decoded] == [1, 1]


def test_names_are_those_of_the_constants(tshark: Callable[..., str]) -> None:
    """A reason or class that the dissector does not know would show as unknown."""

    def shown(label: str, text: str) -> dict[int, str]:
        return {int(number): name for name, number in re.findall(rf"{label}: (.*) \((\d+)\)", text)}

    reasons = tshark(
        [report_packet(TelemetryReport(md_bits=ReportBit.DROP, drop_reason=each)) for each in DropReason],
        "-V",
    )
    known = shown("Drop reason", reasons)
    assert {number: name.lower().replace(" ", "_") for number, name in known.items()} == {
        int(each): each.name.lower() for each in DropReason
    }
    numbers = [bit | each for bit in (0, CLASS_REPORT) for each in TrafficClass]
    options = [DINOption(class_id=number) for number in numbers]
    inner = IPv6() / UDP(sport=40_000, dport=40_001)
    classes = shown("Class", tshark([encapsulate(inner, [1], "::1", option=each) for each in options], "-V"))
    assert {number: name.lower().replace(" ", "_") for number, name in classes.items()} == {
        number: "report,_" * (number >= CLASS_REPORT) + TrafficClass(number % CLASS_REPORT).name.lower()
        for number in numbers
    }


# ---- what switches send ------------------------------------------------------------------------------------


def test_a_fabric_s_packets_and_the_sink_s_report(dissect: Dissect, make_fabric: MakeFabric) -> None:
    """Client's leaf, spine, server's leaf: INT of two hops on the last link, and the report of the third."""
    fabric = make_fabric("client", "spine", "server")
    client_leaf, spine, server_leaf = (
        telemetry.CLIENT_LEAF,
        telemetry.CLIENT_SPINE_ID,
        telemetry.SERVER_LEAF,
    )
    fabric.link("client", telemetry.UP, "spine", 1, delay=5_000)
    fabric.link("spine", 2, "server", telemetry.UP, delay=5_000)
    telemetry.make_leaf(fabric["client"], client_leaf, client=True, via_spine=spine)
    telemetry.make_leaf(fabric["server"], server_leaf, client=False)
    telemetry.make_transit(fabric["spine"], spine, own=spine)
    telemetry.watch(fabric["client"])
    telemetry.collect(fabric["server"], 0)

    arrivals = fabric.exchange("client", telemetry.HOST, access(tcp4(b"tokens")), expect=2)
    (report,) = [each.data for each in arrivals if each.port == telemetry.COLLECTOR]
    (delivered,) = [each.data for each in arrivals if each.port == telemetry.HOST]
    carried = [frame for _, _, _, frame in fabric.carried]

    common = ("din.flow_hash", "int_md.node_id", "int_md.remaining_hops", "tcp.dstport", "_ws.expert.message")
    # What Wireshark takes the port for is no matter of ours.
    payload = ("-d", "tcp.port==8000,data")
    first, second = dissect(carried, *common, "din.sid", options=payload)
    nodes = [str(client_leaf)]
    assert (first["int_md.node_id"], first["int_md.remaining_hops"]) == (nodes, ["6"])
    nodes = [str(spine), *nodes]
    assert (second["int_md.node_id"], second["int_md.remaining_hops"]) == (nodes, ["5"])
    assert [int(each, 0) for each in first["din.sid"]] == [spine, server_leaf, telemetry.HOST_FUNCTION]
    assert [int(each, 0) for each in second["din.sid"]] == [server_leaf, telemetry.HOST_FUNCTION]

    numbers = ["node_id", "hw_id", "ingress_port", "egress_port", "din.tenant"]
    names = [f"telemetry_report.{name}" for name in (*numbers, "din.flow_hash", "bad_length")]
    (found,) = dissect([report], *names, *common, options=payload)
    assert values({name: found[f"telemetry_report.{name}"] for name in numbers}) == {
        "node_id": server_leaf,
        "hw_id": telemetry.HW_ID,
        "ingress_port": telemetry.UP,
        "egress_port": telemetry.HOST,
        "din.tenant": telemetry.TENANT,
    }
    assert found["int_md.node_id"] == nodes, "the stack as it came to the sink"
    assert found["telemetry_report.din.flow_hash"] == found["din.flow_hash"] == first["din.flow_hash"]
    assert found["telemetry_report.bad_length"] == []
    for each in (first, second, found):
        assert each["tcp.dstport"] == ["8000"]
        assert not cut_short(each)

    assert dissect([delivered], "din", "int_md", "geneve") == [{"din": [], "int_md": [], "geneve": []}]
