# SPDX-License-Identifier: Apache-2.0
"""Time to first token of each response, at the client's leaf and at the server's; their difference is the
network.

A leaf measures from the request's last segment to the response's second, by its own clock. What the client's
leaf sees is the server's leaf's and once there and back between the two, so no two clocks are compared.
Reports of the two are joined by service and client (address, port): on one connection responses come one
after the other, and both leaves tell of one within a network's latency. A response whose client and server
are on one leaf is reported once, and has no network in it. Spans of servers are joined in the same way, by
when their first token came. Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import Final, TypeAlias

import numpy as np

from din.measure.state import Load
from din.packet.constants import TokenEvent

from .decode import Batch
from .directory import Directory, packed
from .quoted import Flows
from .spans import Span

#: Seconds between what the two leaves, or a leaf and the server's clock, say of one first token.
JOIN_SECONDS: Final = 2.0
#: us that the client's leaf may have measured less than the server's: what clocks resolve.
_TOLERANCE: Final = 1000.0
#: Seconds, and number: what is remembered of responses.
KEEP_SECONDS: Final = 3600.0
KEEP_RESPONSES: Final = 20_000
#: Of one connection, what a report or span may still belong to.
_RECENT: Final = 8

#: Service, then the client's address and port; or the flow's hash where no packet was quoted.
Connection: TypeAlias = tuple[str, bytes, int]


class Place(StrEnum):
    """Where it was measured."""

    CLIENT = "client_leaf"
    SERVER = "server_leaf"
    BOTH = "both"  # one leaf is both


@dataclass(frozen=True)
class TokenReport:
    """What a leaf says of a response. Times in us, ``at`` Unix time in seconds."""

    at: float
    switch: str
    place: Place
    connection: Connection
    service: str
    instance: str | None
    client_leaf: str | None
    event: TokenEvent
    headers: int
    first_token: int
    segments: int  # of tokens
    gap_sum: int
    gap_max: int
    gaps: tuple[int, ...]  # the shortest first


def token_reports(batch: Batch, directory: Directory, at: float) -> Iterator[TokenReport]:
    """Of services that the model has."""
    reports, flows = batch.reports, batch.flows
    for row in np.flatnonzero(reports.event).tolist():
        service = directory.service(int(reports.service[row]))
        if service is None:
            continue
        switch = directory.node(int(reports.node[row]))
        instance = directory.instance(int(reports.instance[row]))
        client_leaf = None
        if flows.protocol[row]:
            client, port = _client(flows, row, directory, directory.services[int(reports.service[row])].port)
            client_leaf = directory.leaf_of_client(client)
        else:
            client, port = b"", int(reports.flow_hash[row])
        yield TokenReport(
            at=at,
            switch=switch,
            place=_place(switch, client_leaf, directory.leaf_of_instance.get(instance or "")),
            connection=(service, client, port),
            service=service,
            instance=instance,
            client_leaf=client_leaf,
            event=TokenEvent(int(reports.event[row])) if reports.event[row] < 3 else TokenEvent.DONE,
            headers=int(reports.headers_time[row]),
            first_token=int(reports.first_token_time[row]),
            segments=int(reports.segments[row]),
            gap_sum=int(reports.gap_sum[row]),
            gap_max=int(reports.gap_max[row]),
            gaps=tuple(reports.gaps[row].tolist()),
        )


def _client(flows: Flows, row: int, directory: Directory, service_port: int) -> tuple[bytes, int]:
    """That end of a connection, whichever direction its packet went."""
    src, dst = flows.src[row].tobytes(), flows.dst[row].tobytes()
    src_port, dst_port = int(flows.src_port[row]), int(flows.dst_port[row])
    response = bool(flows.response[row]) or (
        directory.is_serving(src) and (src_port == service_port or not directory.is_serving(dst))
    )
    return (dst, dst_port) if response else (src, src_port)


def _place(switch: str, client_leaf: str | None, server_leaf: str | None) -> Place:
    """``server_leaf``: the instance's, which a leaf that delivers does not know."""
    if client_leaf is None:
        return Place.SERVER if switch == server_leaf else Place.CLIENT
    if switch != client_leaf:
        return Place.SERVER
    return Place.BOTH if switch == server_leaf else Place.CLIENT


@dataclass(eq=False)
class Response:
    """All that is known of one. us; None: not known."""

    at: float  # Unix time of its first token, about
    service: str
    connection: Connection | None
    instance: str | None = None
    client_leaf: str | None = None
    client: float | None = None  # TTFT at the client's leaf
    server: float | None = None  # at the server's
    span: Span | None = None
    load: Load | None = None  # of its instance then

    @property
    def network(self) -> float | None:
        """Request and response together, between the two leaves."""
        if self.client is None or self.server is None:
            return None
        return max(0.0, self.client - self.server)


def _told(response: Response, place: Place) -> float | None:
    return response.server if place is Place.SERVER else response.client


def _fits(response: Response, place: Place, value: float) -> bool:
    """Nothing is known of that place yet, and what is known of the other is possible."""
    match place:
        case Place.CLIENT:
            return response.client is None and (response.server or 0.0) <= value + _TOLERANCE
        case Place.SERVER:
            return response.server is None and value <= (response.client or value) + _TOLERANCE
    return response.client is None and response.server is None


class Responses:
    """What is remembered, oldest first."""

    def __init__(self) -> None:
        self.all: deque[Response] = deque()
        self._open: dict[Connection, deque[Response]] = {}

    def report(self, report: TokenReport) -> Response | None:
        """The response that it tells something new of; None: it does not, or there was no first token."""
        if report.event is TokenEvent.NONE or not report.segments or not report.first_token:
            return None
        value = float(report.first_token)
        began = report.at
        if report.event is TokenEvent.DONE:
            # Tells the same once more, in case the first report was lost.
            began -= report.gap_sum / 1e6
        recent = self._open.get(report.connection, ())
        if report.event is TokenEvent.DONE:
            if any(_told(each, report.place) == value for each in recent):
                return None
            # No other response can have begun since; and when it ended, only the next request may tell.
            near = list(recent)[-1:]
        else:
            near = [each for each in recent if abs(each.at - began) <= JOIN_SECONDS]
        response = next((each for each in near if _fits(each, report.place, value)), None)
        if response is None:
            response = self._add(Response(began, report.service, report.connection))
        if report.place is not Place.SERVER:
            response.client = value
        if report.place is not Place.CLIENT:
            response.server = value
        response.instance = response.instance or report.instance
        response.client_leaf = response.client_leaf or report.client_leaf
        return response

    def span(self, span: Span, service: str, instance: str) -> Response:
        """The response that it is about; one of its own if no report was joined."""
        began = span.start + (span.ttft or 0.0)
        connection: Connection | None = None
        if span.peer_address is not None and span.peer_port is not None:
            connection = service, packed(ip_address(span.peer_address)), span.peer_port
            near = [
                each
                for each in self._open.get(connection, ())
                if each.span is None
                and each.instance in (None, instance)
                and abs(each.at - began) <= JOIN_SECONDS
            ]
            if near:
                found = min(near, key=lambda each: abs(each.at - began))
                found.span, found.instance = span, instance
                return found
        return self._add(Response(began, service, connection, instance, span=span))

    def _add(self, response: Response) -> Response:
        self.all.append(response)
        if response.connection is not None:
            self._open.setdefault(response.connection, deque(maxlen=_RECENT)).append(response)
        if len(self.all) > KEEP_RESPONSES:
            self._forget()
        return response

    def expire(self, now: float) -> None:
        while self.all and now - self.all[0].at > KEEP_SECONDS:
            self._forget()

    def _forget(self) -> None:
        gone = self.all.popleft()
        if gone.connection is not None:
            others = self._open.get(gone.connection)
            if others and others[0] is gone:
                others.popleft()
            if not others:
                self._open.pop(gone.connection, None)

    def since(self, at: float) -> list[Response]:
        return [each for each in self.all if each.at >= at]
