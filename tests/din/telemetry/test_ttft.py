# SPDX-License-Identifier: Apache-2.0
"""Reports of two leaves and spans, joined to responses."""

from __future__ import annotations

import random

import pytest
from din.packet.constants import TokenEvent
from din.telemetry.decode import decode
from din.telemetry.directory import Directory
from din.telemetry.spans import Span
from din.telemetry.ttft import (
    JOIN_SECONDS,
    KEEP_RESPONSES,
    KEEP_SECONDS,
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


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1000, 400_000), st.integers(0, 90_000)), min_size=1, max_size=12),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_requests_on_one_connection(made: list[tuple[int, int]], lossy: bool, chance: random.Random) -> None:
    """In their order; the two leaves' reports of one come in any order. Lost ones leave the others' pairs."""
    now, reports, wanted = NOW, [], []
    for server, network in made:
        now += server / 1e6 + JOIN_SECONDS * 1.1
        here = [(at_client(server + network, at=now), 0), (at_server(server, at=now + 0.01), 1)]
        chance.shuffle(here)
        if lossy and chance.random() < 0.3:
            here.pop()
        pair: list[float | None] = [None, None]
        for told, side in here:
            pair[side] = float(told.first_token)
            reports.append(told)
        wanted.append((pair[0], pair[1]))
    assert times(joined(*reports)) == wanted


def test_connections_are_apart() -> None:
    reports = [at_client(1000 + port, port=port) for port in range(5)]
    reports += [at_server(900 + port, port=port) for port in reversed(range(5))]
    assert times(joined(*reports)) == [(1000 + port, 900 + port) for port in range(5)]


def test_the_client_cannot_have_seen_it_sooner() -> None:
    """Then these are two responses, and each misses the other's report."""
    assert times(joined(at_server(50_000), at_client(20_000))) == [(None, 50_000), (20_000, None)]
    assert times(joined(at_server(50_000), at_client(49_999))) == [(49_999, 50_000)]


def test_too_far_apart_to_be_one() -> None:
    late = at_client(60_000, at=NOW + JOIN_SECONDS + 0.1)
    assert times(joined(at_server(50_000), late)) == [(None, 50_000), (60_000, None)]


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
