# SPDX-License-Identifier: Apache-2.0
"""The pictures and figures of docs/wire-format.md are those of p4src."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from din.packet import DINHostOption, INTOption, TelemetryReport, TelemetryReportGroup, encapsulate
from din.packet.constants import FABRIC_OVERHEAD, INT_STACK_WORDS, DomainBit, ReportBit
from din.packet.halfsiphash import host_tag
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt

from tests.din.packet import p4

DOCUMENT = (Path(__file__).parents[3] / "docs" / "wire-format.md").read_text()
PICTURES = dict(re.findall(r"^```text (\w+)\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL))


def widths(picture: str) -> list[int]:
    """Bits of the fields: two characters each, and whole rows for those that go on below."""
    found: list[int] = []
    below = False
    for line in picture.splitlines():
        if re.fullmatch(r"(\+-)+\+", line):
            below = False
        elif line.startswith("+"):
            below = True
        elif line.startswith("|"):
            row = [(len(cell) + 1) // 2 for cell in line.strip("|").split("|")]
            assert sum(row) == 32, line
            if below:
                assert row == [32], line
                found[-1] += 32
                below = False
            else:
                found.extend(row)
    return found


def test_there_are_pictures() -> None:
    assert set(PICTURES) == {
        "host_option_t",
        "din_option_t",
        "int_md_t",
        "report_group_t",
        "report_t",
        "report_traffic_t",
        "report_tokens_t",
    }


@pytest.mark.parametrize("header", PICTURES)
def test_pictures(header: str) -> None:
    assert widths(PICTURES[header]) == [bits for _, bits in p4.headers()[header]]


def test_numbers_in_pictures() -> None:
    constants = p4.constants()
    assert f"Type = 0x{constants['DIN_OPTION_TYPE']:x}" in PICTURES["host_option_t"]
    assert f"Ext Len = {constants['DIN_OPTION_EXT_LEN']}" in PICTURES["host_option_t"]
    assert f"Length = {constants['DIN_OPTION_LENGTH']}" in PICTURES["host_option_t"]
    assert f"Ver = {constants['DIN_VERSION']}" in PICTURES["host_option_t"]
    assert f"Ver = {constants['DIN_VERSION']}" in PICTURES["din_option_t"]
    assert f"Class = 0x{constants['GENEVE_CLASS_DIN']:04x}" in PICTURES["din_option_t"]
    assert f"Class = 0x{constants['GENEVE_CLASS_INT']:04x}" in PICTURES["int_md_t"]
    assert f"= 0x{constants['REPORT_DOMAIN']:x}" in PICTURES["report_t"]


def test_the_example_of_a_tag() -> None:
    example = re.search(r"data\s+`([0-9a-f\s]*)`:\s+Tag\s+`(\w+)`", DOCUMENT)
    assert example is not None
    option = bytes.fromhex("1e14" + example[1]) + bytes(4)
    assert f"{host_tag(bytes(range(8)), '2001:db8::1', '2001:db8::2', 50_000, 443, option):08x}" == example[2]


def test_hops_that_fit() -> None:
    (words,) = re.findall(r"^\| HopML \|(.*)\|$", DOCUMENT, re.MULTILINE)
    (hops,) = re.findall(r"^\| hops \|(.*)\|$", DOCUMENT, re.MULTILINE)
    seen = []
    for wanted, fitting in zip(words.split("|"), hops.split("|"), strict=True):
        low, _, high = wanted.split("(")[0].strip().partition("-")
        for hop_ml in range(int(low), int(high or low) + 1):
            seen.append(hop_ml)
            assert int(fitting) == INT_STACK_WORDS // hop_ml
    assert seen == list(range(1, 29))


def row(case: str) -> list[int]:
    """The numbers of a line of the table of overheads."""
    (numbers,) = re.findall(rf"^\| {re.escape(case)} \| ([0-9; ]+) \|", DOCUMENT, re.MULTILINE)
    return [int(number) for number in numbers.split(";")]


def test_overheads() -> None:
    inner = IP() / UDP() / b"payload."
    plain = len(bytes(inner))

    def fabric(telemetry: INTOption | None = None) -> int:
        return len(bytes(encapsulate(inner, [1, 2], "::1", telemetry=telemetry))) - plain

    option = len(bytes(IPv6() / IPv6ExtHdrDestOpt(options=[DINHostOption()]))) - 40
    assert row("host option, on the access link and inside the fabric") == [option]
    assert row("fabric") == [fabric()] == [FABRIC_OVERHEAD]
    assert row("INT, header alone") == [fabric(INTOption())]
    full = INTOption(stack=bytes(4 * INT_STACK_WORDS))
    assert row("the same, 7 hops: the most that an option holds") == [fabric(full)]
    assert row("INT with both times, 3 hops") == [fabric(INTOption(hop_ml=8, stack=bytes(3 * 32)))]


def test_overheads_of_reports() -> None:
    queueing = ReportBit.HOP_LATENCY | ReportBit.QUEUE | ReportBit.EGRESS_TIME

    def report(bits: ReportBit, ours: DomainBit = DomainBit.TRAFFIC) -> int:
        one = TelemetryReport(md_bits=bits | ReportBit.PORTS | ReportBit.INGRESS_TIME, ds_md_bits=ours)
        return len(bytes(IP() / UDP(sport=1) / TelemetryReportGroup(reports=[one])))

    tokens = DomainBit.TRAFFIC | DomainBit.TOKENS
    assert row("report of a drop, without what it quotes") == [report(ReportBit.DROP)]
    assert row("report of congestion or a flow") == [report(queueing)]
    assert row("the same with a drop; with token metrics; with both") == [
        report(queueing | ReportBit.DROP),
        report(queueing, tokens),
        report(queueing | ReportBit.DROP, tokens),
    ]
