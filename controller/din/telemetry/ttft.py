# SPDX-License-Identifier: Apache-2.0
"""Time to first token of each response, at the client's leaf and at the server's; their difference is the
network.

A leaf measures from the request's last segment to the response's second, by its own clock. What the client's
leaf sees is the server's leaf's and once there and back between the two, so no two clocks are compared.
A request that is sent again counts from then on, at each leaf that it passes; a response that is lost on its
way is in the client's figure, and so the network's.

Reports of the two are joined by service and client (address, port), and by when they came: on one connection
responses come one after the other, and both leaves tell of one within a network's latency. The end of a
response tells what a lost report would have. A response whose client and server are on one leaf is reported
once, and has no network in it. Spans of servers are joined in the same way, by when their first token came:
there alone a clock is compared with the collector's, within `JOIN_SECONDS`. Pure.
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

#: Seconds by which reports of two leaves may overtake each other on their ways.
LATE_SECONDS: Final = 0.5
#: Seconds between when a leaf's report of a first token came, and when by the server's clock it was.
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
    over: float | None = None  # Unix time at which that was told

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


def _begins(response: Response, place: Place, value: float, at: float) -> bool:
    """Both leaves tell of one token: the client's after the server's, by no more than the network took."""
    other = response.server if place is Place.CLIENT else response.client
    later = at - response.at if place is Place.CLIENT else response.at - at
    network = abs(value - other) / 1e6 if other is not None else 0.0
    over = response.over is not None and at > response.over + LATE_SECONDS
    return -LATE_SECONDS <= later <= network + LATE_SECONDS and not over


def _ends(response: Response, at: float) -> bool:
    """Both leaves tell that it is over when the next request passes, or the connection is closed."""
    return response.over is None or abs(at - response.over) <= LATE_SECONDS


class Responses:
    """What is remembered, oldest first."""

    def __init__(self) -> None:
        self.all: deque[Response] = deque()
        self._open: dict[Connection, deque[Response]] = {}

    def report(self, report: TokenReport) -> Response | None:
        """The response that it tells something new of; None: it does not, or there was no first token."""
        if report.event is TokenEvent.NONE or not report.segments or not report.first_token:
            return None
        at, place, value = report.at, report.place, float(report.first_token)
        recent = self._open.get(report.connection, ())
        done = report.event is TokenEvent.DONE
        # The end tells the same once more, in case the first report was lost; and any report may come twice.
        told = [
            each for each in recent if _told(each, place) == value and (done or at - each.at <= LATE_SECONDS)
        ]
        fits = [
            each
            for each in recent
            if _fits(each, place, value) and (_ends(each, at) if done else _begins(each, place, value, at))
        ]
        if told:
            response = told[-1]
        elif fits:
            response = fits[-1]
        else:
            # When the first token of one that is over went by is a guess: the next request may tell.
            began = at - report.gap_sum / 1e6 if done else at
            response = self._add(Response(began, report.service, report.connection))
        if done and response.over is None:
            response.over = at
        if told:
            return None
        if place is not Place.SERVER:
            response.client = value
        if place is not Place.CLIENT:
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
