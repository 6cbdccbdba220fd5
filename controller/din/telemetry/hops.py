# SPDX-License-Identifier: Apache-2.0
"""What reports say of hops: (switch, egress port) -> what a packet took there beyond propagation. Pure.

A hop's latency goes from a packet's arrival in a switch to the start of egress: processing and the wait in
the queue of the port that it left by, so it counts for that port's link. Added is the packet's own
serialisation on that link, from its length there (IP packet and Ethernet header, no preamble nor checksum)
and the model's rate. Propagation is not in it, nor is what a switch takes after its egress.

Taken are the stacks of packets that were delivered, which is where every watched packet is seen once; stacks
that other nodes quote on the way would count the same packets twice. Of a congestion report the reporting
node's own hop is taken if its class is one of a service: a link that is avoided is known as congested only by
what others suffer there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from din.packet.constants import ReportBit

from .decode import Batch
from .directory import Directory

_ETHERNET_BYTES: Final = 14
#: A latency that a node did not know.
_UNKNOWN: Final = 0xFFFF_FFFF


class Observation(NamedTuple):
    """For `din.measure.network.Network.observe`."""

    key: tuple[str, int]
    extra_latency: float  # us


def observations(batch: Batch, directory: Directory) -> Iterator[Observation]:
    """Of links of the model only."""
    yield from _stacks(batch, directory)
    yield from _congestion(batch, directory)


def _stacks(batch: Batch, directory: Directory) -> Iterator[Observation]:
    hops, reports = batch.hops, batch.reports
    if not len(hops):
        return
    # Of the last hop's node itself, its report is one from the way.
    newest = np.full(len(reports), -1)
    newest[hops.report[hops.last]] = hops.node[hops.last]
    delivered = reports.tracked & (newest != reports.node)
    known = (hops.node >= 0) & (hops.egress_port >= 0) & (hops.latency >= 0) & (hops.latency != _UNKNOWN)
    wanted = np.flatnonzero(delivered[hops.report] & known)
    for node, port, latency, length in zip(
        hops.node[wanted].tolist(),
        hops.egress_port[wanted].tolist(),
        hops.latency[wanted].tolist(),
        hops.length[wanted].tolist(),
        strict=True,
    ):
        key = directory.nodes.get(node, ""), port
        rate = directory.rates.get(key)
        if rate is not None:
            yield Observation(key, latency / 1e3 + serialisation(length, rate))


def _congestion(batch: Batch, directory: Directory) -> Iterator[Observation]:
    reports = batch.reports
    wanted = np.flatnonzero(
        reports.congested
        & reports.has(ReportBit.HOP_LATENCY)
        & reports.has(ReportBit.PORTS)
        & (reports.hop_latency != _UNKNOWN)
        & np.isin(reports.class_id, list(directory.classes))
    )
    for row in wanted.tolist():
        key = directory.node(int(reports.node[row])), int(reports.egress_port[row])
        rate = directory.rates.get(key)
        if rate is not None:
            length = int(batch.flows.path_bytes[row])
            yield Observation(key, int(reports.hop_latency[row]) / 1e3 + serialisation(length, rate))


def serialisation(length: int, rate: int) -> float:
    """us of an IP packet of ``length`` bytes on a link of ``rate`` bit/s. 0: its length is not known."""
    return (length + _ETHERNET_BYTES) * 8e6 / rate if length else 0.0
