# SPDX-License-Identifier: Apache-2.0
"""What reports say, one thing at a time, with names: for subscribers and for a file of JSON lines. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from din.packet.constants import ReportBit, TokenEvent

from .decode import Batch
from .directory import UNKNOWN, Directory, reason, unpacked
from .spans import Span
from .ttft import TokenReport


@dataclass(frozen=True)
class Subject:
    """The packet that a report is about. None: not known."""

    tenant: str | None
    service: str | None
    instance: str | None
    label: str | None
    class_id: int
    source: str | None  # address and port
    destination: str | None


@dataclass(frozen=True)
class Drop:
    at: float  # Unix time
    switch: str
    reason: str
    ingress_port: int
    egress_port: int | None
    queue: int | None
    subject: Subject


@dataclass(frozen=True)
class Congestion:
    at: float
    switch: str
    egress_port: int
    queue: int
    occupancy: int  # packets before it
    latency: float  # us
    subject: Subject


@dataclass(frozen=True)
class HopFact:
    switch: str
    egress_port: int
    latency: float  # us
    queue: int
    occupancy: int


@dataclass(frozen=True)
class Path:
    """The way of a packet of a watched flow, the node that delivered it last."""

    at: float
    switch: str
    hops: tuple[HopFact, ...]
    subject: Subject


@dataclass(frozen=True)
class Tokens:
    """us."""

    at: float
    switch: str
    place: str
    event: str
    service: str
    instance: str | None
    headers: int
    first_token: int
    segments: int
    gap_sum: int
    gap_max: int


@dataclass(frozen=True)
class Request:
    """As its server saw it."""

    at: float
    span: Span


Fact = Drop | Congestion | Path | Tokens | Request

_NO_PORT, _NO_QUEUE = 0xFFFF, 0xFF


def to_json(fact: Fact) -> dict[str, Any]:
    return {"kind": type(fact).__name__.lower(), **asdict(fact)}


def facts(batch: Batch, directory: Directory, at: float) -> Iterator[Fact]:
    """Drops, congestion and paths."""
    reports, hops = batch.reports, batch.hops
    ends = np.searchsorted(hops.report, np.arange(len(reports) + 1))
    for row in np.flatnonzero(reports.dropped | reports.congested | reports.tracked).tolist():
        switch = directory.node(int(reports.node[row]))
        subject = _subject(batch, row, directory)
        egress_port = int(reports.egress_port[row])
        if reports.dropped[row]:
            queue = int(reports.drop_queue[row])
            yield Drop(
                at,
                switch,
                reason(int(reports.drop_reason[row])),
                int(reports.ingress_port[row]),
                None if egress_port == _NO_PORT else egress_port,
                None if queue == _NO_QUEUE else queue,
                subject,
            )
        if reports.congested[row]:
            latency = int(reports.hop_latency[row]) / 1e3
            queue, occupancy = int(reports.queue[row]), int(reports.occupancy[row])
            yield Congestion(at, switch, egress_port, queue, occupancy, latency, subject)
        if reports.tracked[row] and not reports.event[row] and reports.has(ReportBit.HOP_LATENCY)[row]:
            way = [_hop(batch, each, directory) for each in range(ends[row], ends[row + 1])]
            own = HopFact(
                switch,
                egress_port,
                int(reports.hop_latency[row]) / 1e3,
                int(reports.queue[row]),
                int(reports.occupancy[row]),
            )
            yield Path(at, switch, (*way, own), subject)


def tokens(report: TokenReport) -> Tokens:
    return Tokens(
        report.at,
        report.switch,
        report.place.value,
        "first" if report.event is TokenEvent.FIRST else "done",
        report.service,
        report.instance,
        report.headers,
        report.first_token,
        report.segments,
        report.gap_sum,
        report.gap_max,
    )


def _hop(batch: Batch, index: int, directory: Directory) -> HopFact:
    hops = batch.hops
    return HopFact(
        directory.node(int(hops.node[index])),
        int(hops.egress_port[index]),
        int(hops.latency[index]) / 1e3,
        int(hops.queue[index]),
        int(hops.occupancy[index]),
    )


def _subject(batch: Batch, row: int, directory: Directory) -> Subject:
    reports, flows = batch.reports, batch.flows
    label = int(reports.label[row])
    known = bool(flows.protocol[row])
    return Subject(
        tenant=directory.tenants.get(int(reports.tenant[row])),
        service=directory.service(int(reports.service[row])),
        instance=directory.instance(int(reports.instance[row])),
        label=directory.labels.get(label, UNKNOWN) if label else None,
        class_id=int(reports.class_id[row]),
        source=_end(flows.src[row].tobytes(), int(flows.src_port[row])) if known else None,
        destination=_end(flows.dst[row].tobytes(), int(flows.dst_port[row])) if known else None,
    )


def _end(address: bytes, port: int) -> str:
    text = unpacked(address)
    return f"[{text}]:{port}" if ":" in text else f"{text}:{port}"
