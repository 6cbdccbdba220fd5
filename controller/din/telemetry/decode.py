# SPDX-License-Identifier: Apache-2.0
"""Telemetry Report v2.0 datagrams, many at once, as columns. Pure; docs/wire-format.md, section 6.

Whatever comes in, nothing is raised: a datagram that contradicts itself is counted with a reason, and what
stood before the contradiction is kept. Other vendors' reports are read as far as the specification goes:
several reports in one group, baseline metadata, a quoted packet; foreign domain metadata is skipped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from din.packet.constants import (
    REPORT_DOMAIN,
    REPORT_LENGTH_REST,
    REPORT_VERSION,
    DomainBit,
    ReportBit,
    ReportType,
)

from .bitmaps import WORDS, offset_of
from .quoted import Flows, Hops, read_quoted
from .words import Column, Mask, Times, Words

_GROUP_BYTES: Final = 8
_MAIN_BYTES: Final = 12
_TRAFFIC_WORDS: Final = 3
_TOKENS_WORDS: Final = 13
GAP_BINS: Final = 16


class Malformed(StrEnum):
    """Why a datagram, or the rest of it, could not be read."""

    SHORT = "short"  # no whole group header
    VERSION = "version"  # not 2
    EMPTY = "empty"  # a group without a report
    LENGTH = "length"  # a report that goes beyond the datagram, or is shorter than its own header
    METADATA = "metadata"  # more metadata asked for than there is


@dataclass(frozen=True)
class Groups:
    """Of each datagram whose header could be read."""

    node: Column
    hw_id: Column
    sequence: Column  # 22 bits

    def __len__(self) -> int:
        return len(self.node)


@dataclass(frozen=True)
class Reports:
    """Individual reports. Where a bit of ``md_bits`` or ``ds_bits`` is not set, what it stands for reads 0.

    ``md_bits`` is 0 for reports that are not of type INT, ``ds_bits`` for those of another domain.
    """

    node: Column
    type: Column
    inner_type: Column
    dropped: Mask
    congested: Mask
    tracked: Mask
    md_bits: Column  # `ReportBit`
    ds_bits: Column  # `DomainBit`
    ingress_port: Column
    egress_port: Column
    hop_latency: Column  # ns
    queue: Column
    occupancy: Column  # packets
    ingress_time: Times  # ns, the node's clock
    egress_time: Times
    drop_queue: Column
    drop_reason: Column
    tenant: Column
    service: Column
    instance: Column
    label: Column
    class_id: Column
    flow_hash: Column
    event: Column  # `TokenEvent`; 0: no token metrics
    headers_time: Column  # us
    first_token_time: Column  # us
    segments: Column
    gap_sum: Column  # us
    gap_max: Column  # us
    gaps: npt.NDArray[np.int64]  # (reports, 16), the shortest first

    def __len__(self) -> int:
        return len(self.node)

    def has(self, bit: ReportBit) -> Mask:
        found: Mask = (self.md_bits & bit) != 0
        return found


@dataclass(frozen=True)
class Batch:
    groups: Groups
    reports: Reports
    flows: Flows  # of the packets that reports quote, row by row with `reports`
    hops: Hops  # of their INT stacks
    malformed: Mapping[Malformed, int]


@dataclass(frozen=True)
class _Located:
    """Where reports are: datagram by number, position of the first byte, bytes."""

    datagram: Column
    at: Column
    length: Column


def decode(datagrams: Sequence[bytes]) -> Batch:
    """UDP payloads, in the order of their arrival."""
    words = Words(datagrams)
    malformed: Counter[Malformed] = Counter()
    readable = words.lengths >= _GROUP_BYTES
    malformed[Malformed.SHORT] += int((~readable).sum())
    first = words.u32(words.starts)
    wrong = readable & (first >> 28 != REPORT_VERSION)
    malformed[Malformed.VERSION] += int(wrong.sum())
    datagram = np.flatnonzero(readable & ~wrong)
    first, starts = first[datagram], words.starts[datagram]
    node = words.u32(starts + 4)
    groups = Groups(node=node, hw_id=first >> 22 & 0x3F, sequence=first & 0x3FFFFF)
    located, bad = _locate(words, starts, starts + words.lengths[datagram])
    malformed.update(bad)
    return _read(words, located, groups, malformed)


def _locate(words: Words, starts: Column, ends: Column) -> tuple[_Located, Counter[Malformed]]:
    """The reports in groups: the first of each, then the second of those that have one, and so on."""
    malformed: Counter[Malformed] = Counter()
    malformed[Malformed.EMPTY] += int((starts + _GROUP_BYTES >= ends).sum())
    group = np.flatnonzero(starts + _GROUP_BYTES < ends)
    at = starts[group] + _GROUP_BYTES
    found: list[_Located] = []
    while len(group):
        head = words.u32(at)
        length = 4 + 4 * (head >> 16 & 0xFF)
        rest = ends[group] - at
        length = np.where(head >> 16 & 0xFF == REPORT_LENGTH_REST, rest, length)
        needed = np.where(head >> 28 == ReportType.INT, _MAIN_BYTES, 4)
        good = (length <= rest) & (length >= needed)
        malformed[Malformed.LENGTH] += int((~good).sum())
        group, at, length = group[good], at[good], length[good]
        found.append(_Located(group, at, length))
        at = at + length
        more = at < ends[group]
        group, at = group[more], at[more]
    if not found:
        nothing = np.zeros(0, np.int64)
        return _Located(nothing, nothing, nothing), malformed
    datagram = np.concatenate([each.datagram for each in found])
    order = np.argsort(datagram, kind="stable") if len(found) > 1 else np.arange(len(datagram))
    located = _Located(
        datagram[order],
        np.concatenate([each.at for each in found])[order],
        np.concatenate([each.length for each in found])[order],
    )
    return located, malformed


def _read(words: Words, located: _Located, groups: Groups, malformed: Counter[Malformed]) -> Batch:
    at, length = located.at, located.length
    is_int = words.u8(at) >> 4 == ReportType.INT
    md_bytes = np.where(is_int, 4 * words.u8(at + 2), 0)
    md_bits = np.where(is_int, words.u16(at + 4), 0)
    ours = is_int & (words.u16(at + 6) == REPORT_DOMAIN)
    ds_bits = np.where(ours, words.u16(at + 8), 0)
    needed = 4 * (
        WORDS[md_bits]
        + _TRAFFIC_WORDS * ((ds_bits & DomainBit.TRAFFIC) != 0)
        + _TOKENS_WORDS * ((ds_bits & DomainBit.TOKENS) != 0)
    )
    header = np.where(is_int, _MAIN_BYTES, 4)
    good = (needed <= md_bytes) & (header + md_bytes <= length)
    if not good.all():
        malformed[Malformed.METADATA] += len(np.unique(located.datagram[~good]))
        at, length, header, md_bytes = at[good], length[good], header[good], md_bytes[good]
        md_bits, ds_bits = md_bits[good], ds_bits[good]
    datagram = located.datagram[good]
    reports = _columns(words, at, groups.node[datagram], md_bits, ds_bits)
    inner = at + header + md_bytes
    flows, hops = read_quoted(words, inner, length - header - md_bytes, reports.inner_type)
    return Batch(groups, reports, flows, hops, {why: n for why, n in malformed.items() if n})


def _columns(words: Words, at: Column, node: Column, md_bits: Column, ds_bits: Column) -> Reports:
    kinds, flags = words.u8(at), words.u8(at + 3)
    metadata = at + _MAIN_BYTES

    def where(bit: ReportBit) -> tuple[Mask, Column]:
        return (md_bits & bit) != 0, metadata + offset_of(md_bits, bit)

    has_ports, ports = where(ReportBit.PORTS)
    has_latency, latency = where(ReportBit.HOP_LATENCY)
    has_queue, queue = where(ReportBit.QUEUE)
    has_ingress, ingress = where(ReportBit.INGRESS_TIME)
    has_egress, egress = where(ReportBit.EGRESS_TIME)
    has_drop, drop = where(ReportBit.DROP)
    queue_word = words.u32(queue) * has_queue
    drop_word = words.u16(drop) * has_drop
    has_traffic = (ds_bits & DomainBit.TRAFFIC) != 0
    has_tokens = (ds_bits & DomainBit.TOKENS) != 0
    traffic = metadata + 4 * WORDS[md_bits]
    tokens = traffic + 4 * _TRAFFIC_WORDS * has_traffic
    gaps = np.zeros((len(at), GAP_BINS), np.int64)
    measured = np.flatnonzero(has_tokens)
    if len(measured):
        # The longest are first on the wire.
        counters = words.rows(tokens[measured] + 20, 2 * GAP_BINS).view(">u2").astype(np.int64)
        gaps[measured] = counters[:, ::-1]
    kind = words.u32(traffic + 4) * has_traffic
    return Reports(
        node=node,
        type=kinds >> 4,
        inner_type=kinds & 15,
        dropped=(flags & 0x80) != 0,
        congested=(flags & 0x40) != 0,
        tracked=(flags & 0x20) != 0,
        md_bits=md_bits,
        ds_bits=ds_bits,
        ingress_port=words.u16(ports) * has_ports,
        egress_port=words.u16(ports + 2) * has_ports,
        hop_latency=words.u32(latency) * has_latency,
        queue=queue_word >> 24,
        occupancy=queue_word & 0xFFFFFF,
        ingress_time=words.u64(ingress) * has_ingress,
        egress_time=words.u64(egress) * has_egress,
        drop_queue=drop_word >> 8,
        drop_reason=drop_word & 0xFF,
        tenant=words.u16(traffic) * has_traffic,
        service=words.u16(traffic + 2) * has_traffic,
        instance=kind >> 16,
        label=kind >> 8 & 0xFF,
        class_id=kind & 0xFF,
        flow_hash=words.u32(traffic + 8) * has_traffic,
        event=(words.u16(at + 10) & 3) * has_tokens,
        headers_time=words.u32(tokens) * has_tokens,
        first_token_time=words.u32(tokens + 4) * has_tokens,
        segments=words.u32(tokens + 8) * has_tokens,
        gap_sum=words.u32(tokens + 12) * has_tokens,
        gap_max=words.u32(tokens + 16) * has_tokens,
        gaps=gaps,
    )
