# SPDX-License-Identifier: Apache-2.0
"""Reports of two leaves and spans, joined to responses."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from din.packet.constants import TokenEvent
from din.telemetry.decode import decode
from din.telemetry.directory import Directory
from din.telemetry.spans import Span
from din.telemetry.ttft import (
    KEEP_RESPONSES,
    KEEP_SECONDS,
    LATE_SECONDS,
    Place,
    Response,
    Responses,
    TokenReport,
    token_reports,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.din.telemetry.making import (
    CLIENT,
    carried,
    datagram,
    fabric,
    report,
    request,
    response,
    token_report,
)

FABRIC = fabric()
DIRECTORY = Directory(FABRIC.model, FABRIC.ids, FABRIC.wiring)
LEAF1, LEAF2 = FABRIC.node("leaf-1"), FABRIC.node("leaf-2")
FIRST, DONE = TokenEvent.FIRST, TokenEvent.DONE
NOW = 1_700_000_000.0


def read(*data: bytes, at: float = NOW) -> list[TokenReport]:
    return list(token_reports(decode(list(data)), DIRECTORY, at))


def at_client(first: int, event: TokenEvent = FIRST, at: float = NOW, **more: object) -> TokenReport:
    (found,) = read(datagram(LEAF1, token_report(FABRIC, event, first, **more)), at=at)  # type: ignore[arg-type]
    assert found.place is Place.CLIENT
    return found


def at_server(first: int, event: TokenEvent = FIRST, at: float = NOW, **more: object) -> TokenReport:
    packet = token_report(FABRIC, event, first, instance="chat-2", **more)  # type: ignore[arg-type]
    (found,) = read(datagram(LEAF2, packet), at=at)
    assert found.place is Place.SERVER
    return found


def joined(*reports: TokenReport) -> list[Response]:
    responses = Responses()
    for each in reports:
        responses.report(each)
    return list(responses.all)


def times(responses: list[Response]) -> list[tuple[float | None, float | None]]:
    return [(each.client, each.server) for each in responses]


# ---- which leaf it is --------------------------------------------------------------------------------------


def test_both_directions_are_one_connection() -> None:
    """A response is done when the next request comes: then that is what is quoted."""
    ends = {
        read(datagram(node, token_report(FABRIC, DONE, 5, inner=packet, through_fabric=wrapped)))[
            0
        ].connection
        for node in (LEAF1, LEAF2)
        for packet in (request(), response())
        for wrapped in (True, False)
    }
    assert len(ends) == 1
    assert read(datagram(LEAF1, token_report(FABRIC, DONE, 5, port=40001)))[0].connection not in ends


def test_ipv6() -> None:
    packet = token_report(FABRIC, FIRST, 5, inner=response(six=True))
    (found,) = read(datagram(LEAF1, packet))
    assert (found.place, found.client_leaf) == (Place.CLIENT, "leaf-1")
    assert found.connection != at_client(5).connection


@pytest.mark.parametrize(
    ("switch", "instance", "packet", "place"),
    [
        ("leaf-1", None, response(), Place.CLIENT),
        ("leaf-1", "chat-1", request(), Place.CLIENT),  # that steered it
        ("leaf-2", "chat-1", response(), Place.SERVER),
        ("leaf-2", None, request(), Place.SERVER),  # that delivers it
    ],
)
def test_whose_leaf_it_is(switch: str, instance: str | None, packet: object, place: Place) -> None:
    made = token_report(FABRIC, DONE, 5, instance=instance, inner=packet)  # type: ignore[arg-type]
    (found,) = read(datagram(FABRIC.node(switch), made))
    assert found.place is place


def test_a_client_next_to_its_server() -> None:
    """One leaf, one report: no network between."""
    near = response()
    near.dst = "10.2.0.99"  # nobody's in the model, but of leaf-2's network
    packet = token_report(FABRIC, FIRST, 7000, instance="chat-1", inner=near, through_fabric=False)
    (found,) = read(datagram(LEAF2, packet))
    assert (found.place, found.client_leaf) == (Place.BOTH, "leaf-2")
    (only,) = joined(found)
    assert (only.client, only.server, only.network) == (7000, 7000, 0)


def test_without_a_quoted_packet_the_flow_s_hash_tells() -> None:
    bare = token_report(FABRIC, FIRST, 9)
    bare.inner, bare.inner_type, bare.traffic.flow_hash = None, 0, 77
    (found,) = read(datagram(LEAF1, bare))
    assert found.connection == ("chat", b"", 77)


def test_other_services_reports_are_left_out() -> None:
    strange = token_report(FABRIC, FIRST, 9)
    strange.traffic.service = 999
    assert read(datagram(LEAF1, strange)) == []
    assert read(datagram(LEAF1, report(carried(response()), {"service": 1}, tracked=1))) == []


# ---- joining -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client_first", [True, False])
def test_the_difference_is_the_network(client_first: bool) -> None:
    both = [at_client(30_000), at_server(21_000, at=NOW + 0.05)]
    (found,) = joined(*(both if client_first else both[::-1]))
    assert (found.client, found.server, found.network) == (30_000, 21_000, 9_000)
    assert (found.service, found.instance, found.client_leaf) == ("chat", "chat-2", "leaf-1")


@dataclass
class KeepAlive:
    """Requests on one connection, each after the other's response, and what the two leaves report."""

    chance: random.Random
    lost: float = 0.0
    twice: float = 0.0
    reports: list[TokenReport] = field(default_factory=list)
    #: Of each response, TTFT at the client's leaf and at the server's.
    made: list[tuple[float, float]] = field(default_factory=list)

    def run(self, now: float, count: int, longest: float) -> float:
        """``longest``: s of a response, and of the pause after it. Times in us never come twice."""
        uniform = self.chance.uniform
        for _ in range(count):
            number = len(self.made)
            server = self.chance.randrange(20_000, 120_000, 1000) + number
            network = self.chance.randrange(2000, 60_000, 1000)
            self.made.append((server + network, server))
            first = now + (network / 2 + server) / 1e6
            now += (network + server) / 1e6 + (streaming := uniform(0.05, longest)) + uniform(0.0, longest)
            later = network / 2e6
            self._report(Place.SERVER, FIRST, first, server, 0.0)
            self._report(Place.CLIENT, FIRST, first + later, server + network, 0.0)
            # It is over for the leaves when the next request passes.
            self._report(Place.CLIENT, DONE, now, server + network, streaming)
            self._report(Place.SERVER, DONE, now + later, server, streaming)
        self.reports.sort(key=lambda each: each.at)
        return now

    def _report(self, place: Place, event: TokenEvent, at: float, first_token: int, gaps: float) -> None:
        if self.chance.random() < self.lost:
            return
        values = (first_token // 2, first_token, 9, round(gaps * 1e6), 1, (0,) * 16)
        for _ in range(1 + (self.chance.random() < self.twice)):
            # On their ways reports overtake each other.
            arrived = at + self.chance.uniform(0.0, 0.08)
            self.reports.append(
                TokenReport(arrived, "leaf", place, ("chat", b"c", 1), "chat", None, "leaf-1", event, *values)
            )

    def pairs(self) -> list[tuple[float, float]]:
        found = times(joined(*self.reports))
        return [(client, server) for client, server in found if client is not None and server is not None]


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from([0.0, 0.3]), st.sampled_from([0.1, 0.5, 30.0]))
def test_requests_on_one_connection(chance: random.Random, twice: float, longest: float) -> None:
    """Back to back, or with pauses; their reports out of order, some twice: each finds its other."""
    connection = KeepAlive(chance, twice=twice)
    connection.run(NOW, 30, longest)
    assert times(joined(*connection.reports)) == connection.made


@pytest.mark.parametrize(
    ("lost", "longest", "least"), [(0.05, 3.0, 0.995), (0.05, 0.3, 0.98), (0.2, 3.0, 0.98)]
)
def test_lost_reports_leave_others_pairs(lost: float, longest: float, least: float) -> None:
    """Of a lost report's response the other leaf's part is left; seldom is it taken for the next one's."""
    connection = KeepAlive(random.Random(5), lost=lost)
    connection.run(NOW, 2000, longest)
    pairs = connection.pairs()
    right = len(set(pairs) & set(connection.made))
    assert right / len(pairs) > least
    assert right / len(connection.made) > 1 - 2.2 * lost**2 - (1 - least)


def test_a_port_that_is_used_again() -> None:
    """The first connection was closed, which was not reported; the second is to another server."""
    connection = KeepAlive(random.Random(1))
    now = connection.run(NOW, 3, 0.5)
    connection.reports = [each for each in connection.reports if each.event is FIRST]
    connection.run(now + 1.0, 3, 0.5)
    assert times(joined(*connection.reports)) == connection.made


def test_connections_are_apart() -> None:
    reports = [at_client(1000 + port, port=port) for port in range(5)]
    reports += [at_server(900 + port, port=port) for port in reversed(range(5))]
    assert times(joined(*reports)) == [(1000 + port, 900 + port) for port in range(5)]


def test_the_client_cannot_have_seen_it_sooner() -> None:
    """Then these are two responses, and each misses the other's report."""
    assert times(joined(at_server(50_000), at_client(20_000))) == [(None, 50_000), (20_000, None)]
    assert times(joined(at_server(50_000), at_client(49_999))) == [(49_999, 50_000)]


def test_too_far_apart_to_be_one() -> None:
    """The network took 10 ms, which is how much later the client's leaf saw it."""
    late = at_client(60_000, at=NOW + LATE_SECONDS + 0.02)
    assert times(joined(at_server(50_000), late)) == [(None, 50_000), (60_000, None)]
    slow = at_client(1_050_000, at=NOW + LATE_SECONDS + 0.02)
    assert times(joined(at_server(50_000), slow)) == [(1_050_000, 50_000)]
    early = at_client(60_000, at=NOW - LATE_SECONDS - 0.01)
    assert times(joined(early, at_server(50_000))) == [(60_000, None), (None, 50_000)]


def test_the_same_report_twice_is_one_response() -> None:
    responses = Responses()
    assert responses.report(at_client(30_000)) is not None
    assert responses.report(at_client(30_000)) is None
    assert responses.report(at_client(30_000, at=NOW + 10)) is not None
    assert len(responses.all) == 2


def test_what_is_over_takes_no_other_response_s_part() -> None:
    """Of the first response the server's leaf's reports are lost, of the second the client's leaf's first."""
    first, over = at_client(60_000), at_client(60_000, DONE, at=NOW + 0.1)
    second = at_server(50_000, at=NOW + 0.1 + LATE_SECONDS + 0.05)
    assert times(joined(first, over, second)) == [(60_000, None), (None, 50_000)]


def test_the_end_tells_what_a_lost_report_would_have() -> None:
    """Long after, where a client keeps its connection and thinks."""
    done = at_client(30_000, DONE, at=NOW + 40, gap_sum=2_000_000)
    assert times(joined(at_server(21_000), done)) == [(30_000, 21_000)]


def test_the_end_tells_nothing_twice() -> None:
    responses = Responses()
    assert responses.report(at_client(30_000)) is not None
    assert responses.report(at_client(30_000, DONE, at=NOW + 3)) is None
    assert len(responses.all) == 1


def test_a_response_of_one_segment_had_no_first_token() -> None:
    assert joined(at_client(0, DONE, segments=0)) == []


# ---- spans -------------------------------------------------------------------------------------------------


def span(start: float, ttft: float = 0.02, port: int | None = 40000, **more: object) -> Span:
    known: dict[str, object] = {"queue": 0.005, "prefill": 0.01, **more}
    return Span("chat-2", "id", start, CLIENT if port else None, port, ttft=ttft, **known)  # type: ignore[arg-type]


def test_a_span_finds_its_response() -> None:
    """Of several on a connection, by when the first token came."""
    responses = Responses()
    for i in range(3):
        responses.report(at_server(21_000, at=NOW + 10 * i))
    found = responses.span(span(NOW + 9.98), "chat", "chat-2")
    assert found is responses.all[1]
    assert found.span is not None
    assert [each.span is None for each in responses.all] == [True, False, True]


def test_a_span_alone_is_a_response_too() -> None:
    responses = Responses()
    responses.report(at_server(21_000))
    for other in (span(NOW + 100), span(NOW, port=40001), span(NOW, port=None)):
        assert responses.span(other, "chat", "chat-2").server is None
    assert len(responses.all) == 4
    assert responses.all[0].span is None


def test_a_span_of_another_instance_is_not_this_response_s() -> None:
    responses = Responses()
    responses.report(at_server(21_000))
    assert responses.span(span(NOW), "chat", "chat-1") is not responses.all[0]


# ---- forgetting --------------------------------------------------------------------------------------------


def test_old_ones_are_forgotten() -> None:
    responses = Responses()
    responses.report(at_server(21_000))
    responses.report(at_server(22_000, port=2, at=NOW + KEEP_SECONDS / 2))
    responses.expire(NOW + KEEP_SECONDS + 1)
    assert times(list(responses.all)) == [(None, 22_000)]
    responses.report(at_client(30_000, at=NOW + 1))
    assert times(list(responses.all)) == [(None, 22_000), (30_000, None)]
    assert len(responses.since(NOW + 2)) == 1


def test_there_are_only_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    assert KEEP_RESPONSES >= 10_000
    monkeypatch.setattr("din.telemetry.ttft.KEEP_RESPONSES", 20)
    responses = Responses()
    for i in range(100):
        responses.report(at_server(1000 + i, port=1 + i % 7, at=NOW + i * 3))
    assert [each.server for each in responses.all] == [1000 + i for i in range(80, 100)]
    for i in range(20, 100):
        responses.expire(NOW + 3 * i + KEEP_SECONDS)
    assert len(responses._open) <= 7
