# SPDX-License-Identifier: Apache-2.0
"""What reports say, one thing at a time, with names: for subscribers and for a file of JSON lines. Pure.

What a report was not asked for, or a node did not know (all its bits are set), is None.
"""

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
from .words import Column, Mask


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
    at: float  # Unix time at which it was reported
    switch: str
    reason: str
    ingress_port: int | None
    egress_port: int | None
    queue: int | None
    subject: Subject


@dataclass(frozen=True)
class Congestion:
    at: float
    switch: str
    egress_port: int | None
    queue: int | None
    occupancy: int | None  # packets before it
    latency: float | None  # us
    subject: Subject


@dataclass(frozen=True)
class HopFact:
    switch: str
    egress_port: int | None
    latency: float | None  # us
    queue: int | None
    occupancy: int | None


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

_NO_PORT, _NO_QUEUE, _NO_OCCUPANCY, _NO_LATENCY = 0xFFFF, 0xFF, 0xFFFFFF, 0xFFFF_FFFF


def to_json(fact: Fact) -> dict[str, Any]:
    return {"kind": type(fact).__name__.lower(), **asdict(fact)}


def facts(batch: Batch, directory: Directory, at: float) -> Iterator[Fact]:
    """Drops, congestion and paths."""
    reports = batch.reports
    wanted = np.flatnonzero(reports.dropped | reports.congested | reports.tracked)
    if not len(wanted):
        return
    way = _way(batch, directory)
    ends = np.searchsorted(batch.hops.report, np.arange(len(reports) + 1)).tolist()
    owns = _own(batch, directory)
    ingress = _told(reports.ingress_port, _NO_PORT, reports.has(ReportBit.PORTS))
    queues = _told(reports.drop_queue, _NO_QUEUE, reports.has(ReportBit.DROP))
    reasons = _told(reports.drop_reason, -1, reports.has(ReportBit.DROP))
    is_path = (reports.tracked & (reports.event == 0) & reports.has(ReportBit.HOP_LATENCY)).tolist()
    for row in wanted.tolist():
        own, subject = owns[row], _subject(batch, row, directory)
        if reports.dropped[row]:
            number = reasons[row]
            why = UNKNOWN if number is None else reason(number)
            yield Drop(at, own.switch, why, ingress[row], own.egress_port, queues[row], subject)
        if reports.congested[row]:
            yield Congestion(at, own.switch, own.egress_port, own.queue, own.occupancy, own.latency, subject)
        if is_path[row]:
            yield Path(at, own.switch, (*way[ends[row] : ends[row + 1]], own), subject)


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


def _told(column: Column, unknown: int, has: Mask | None = None) -> list[int | None]:
    told = (column != unknown) & (column != -1)
    if has is not None:
        told &= has
    return [value if is_told else None for value, is_told in zip(column.tolist(), told.tolist(), strict=True)]


def _way(batch: Batch, directory: Directory) -> list[HopFact]:
    """Row by row of `Batch.hops`."""
    hops = batch.hops
    rows = zip(
        hops.node.tolist(),
        _told(hops.egress_port, _NO_PORT),
        _told(hops.latency, _NO_LATENCY),
        _told(hops.queue, _NO_QUEUE),
        _told(hops.occupancy, _NO_OCCUPANCY),
        strict=True,
    )
    return [_hop(directory, *each) for each in rows]


def _own(batch: Batch, directory: Directory) -> list[HopFact]:
    """What the nodes that report say of themselves, row by row."""
    reports = batch.reports
    has_queue = reports.has(ReportBit.QUEUE)
    rows = zip(
        reports.node.tolist(),
        _told(reports.egress_port, _NO_PORT, reports.has(ReportBit.PORTS)),
        _told(reports.hop_latency, _NO_LATENCY, reports.has(ReportBit.HOP_LATENCY)),
        _told(reports.queue, _NO_QUEUE, has_queue),
        _told(reports.occupancy, _NO_OCCUPANCY, has_queue),
        strict=True,
    )
    return [_hop(directory, *each) for each in rows]


def _hop(
    directory: Directory,
    node: int,
    egress_port: int | None,
    latency: int | None,
    queue: int | None,
    occupancy: int | None,
) -> HopFact:
    us = None if latency is None else latency / 1e3
    return HopFact(directory.node(node), egress_port, us, queue, occupancy)


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
