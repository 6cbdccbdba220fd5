# SPDX-License-Identifier: Apache-2.0
"""All of it: datagrams and spans over sockets in; measurements, latencies, facts and metrics out."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from din.measure.state import LinkState, Load, Measured
from din.measure.store import Measurements
from din.model.policy import Collector
from din.packet import INTOption, encapsulate
from din.packet.constants import DropReason, ReportBit, TokenEvent
from din.steering.plan import Plan, Route
from din.telemetry import SwitchHealth, Telemetry, render
from din.telemetry.facts import Congestion, Drop, Fact, HopFact, Request, Tokens
from din.telemetry.facts import Path as PathFact
from din.telemetry.spans import Span
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from tests.din.telemetry.making import (
    CLIENT,
    QUEUEING,
    carried,
    datagram,
    fabric,
    hop,
    report,
    request,
    response,
    token_report,
)
from tests.din.telemetry.test_receiver import PROTOBUF, send
from tests.din.telemetry.test_spans import WHOLE, export

FABRIC = fabric()
LEAF1, CORE, LEAF2 = (FABRIC.node(name) for name in ("leaf-1", "core-1", "leaf-2"))
CHAT = FABRIC.ids.of("service", "chat")


def make(**more: Any) -> Telemetry:
    measurements = Measurements(FABRIC.model, FABRIC.ids, FABRIC.wiring)
    return Telemetry(FABRIC.model, FABRIC.ids, FABRIC.wiring, measurements, **more)


def drop(reason: int, **fields: Any) -> bytes:
    bits = int(ReportBit.PORTS | ReportBit.INGRESS_TIME | ReportBit.DROP)
    known = {"md_bits": bits, "drop_reason": reason, "drop_queue": 255, "egress_port": 0xFFFF, **fields}
    return datagram(CORE, report(carried(request()), {"service": CHAT}, dropped=1, **known))


def first_token(client: int, server: int) -> list[bytes]:
    seen_there = token_report(FABRIC, TokenEvent.FIRST, server, instance="chat-1")
    return [
        datagram(LEAF1, token_report(FABRIC, TokenEvent.FIRST, client)),
        datagram(LEAF2, seen_there),
    ]


def sunk(latency: int) -> bytes:
    """A watched packet that leaf-2 delivered."""
    packet = carried(request(), [hop(LEAF1, 1, 1000), hop(CORE, 2, latency)])
    return datagram(LEAF2, report(packet, {"service": CHAT}, tracked=1, egress_port=65, hop_latency=2000))


# ---- measurements ------------------------------------------------------------------------------------------


def test_int_reaches_the_measurements() -> None:
    telemetry = make()
    telemetry.take_reports([sunk(4_000_000)])
    links = telemetry._measurements.measured(time.monotonic()).links
    assert links["core-1", 2].latency == pytest.approx(4000, abs=50)
    assert links["leaf-1", 1].latency == pytest.approx(1, abs=50)
    assert links["leaf-2", 1].latency is None


def test_numbers_that_are_missing() -> None:
    telemetry = make()
    telemetry.take_reports([datagram(LEAF1, report(), sequence=i) for i in range(600) if i not in (5, 6)])
    telemetry.take_reports([datagram(0x0EEE, report(), sequence=i) for i in (0, 100)])
    assert (telemetry.received, telemetry.lost) == (600, 2)
    assert telemetry.tally.strangers == 2


def test_latency_by_service() -> None:
    telemetry = make()
    measured_load = Load(at=time.monotonic(), queue_time=0.01, prefill_time=0.008)
    telemetry._measurements.load("chat-1", measured_load)
    telemetry.take_reports(first_token(30_000, 21_000))
    found = json.loads(json.dumps(telemetry.latency()))
    chat = found["services"]["chat"]
    assert {name: chat[name]["p50"] for name in ("network", "queue", "compute", "other")} == {
        "network": 9000,
        "queue": 10_000,
        "compute": 8000,
        "other": 3000,
    }
    assert chat["source"] == chat["instances"]["chat-1"]["source"] == "histograms"
    assert telemetry.latency(time.time() + 1)["services"] == {}


def test_another_revision_s_names() -> None:
    telemetry = make()
    renamed = FABRIC.model.model_copy(
        update={"switches": [*FABRIC.model.switches[:1]], "links": [], "hosts": [], "instances": []}
        | {"telemetry": FABRIC.model.telemetry.model_copy(update={"collectors": []})}
    )
    from din.model.ids import assign
    from din.model.wiring import Wiring

    ids = assign(renamed, [], FABRIC.ids)
    telemetry.set(renamed, ids, Wiring(renamed))
    telemetry.take_reports([sunk(4_000_000), *first_token(30_000, 21_000), drop(DropReason.TTL)])
    assert telemetry.directory.node(LEAF2) == "unknown"
    assert telemetry.tally.strangers == 3


# ---- facts -------------------------------------------------------------------------------------------------


def facts_of(*data: bytes) -> list[Fact]:
    telemetry, found = make(), []
    leave = telemetry.subscribe(found.append)
    telemetry.take_reports(list(data))
    leave()
    telemetry.take_reports(list(data))
    return found


def test_a_drop() -> None:
    (found,) = facts_of(drop(DropReason.HOP_LIMIT, ingress_port=9))
    assert isinstance(found, Drop)
    assert (found.switch, found.reason, found.ingress_port) == ("core-1", "hop_limit", 9)
    assert (found.egress_port, found.queue) == (None, None)
    subject = found.subject
    assert (subject.service, subject.label, subject.tenant) == ("chat", None, None)
    assert (subject.source, subject.destination) == ("10.1.0.10:40000", "10.100.0.1:8000")


def test_a_drop_of_a_reason_that_nobody_knows() -> None:
    (found,) = facts_of(drop(200))
    assert isinstance(found, Drop)
    assert found.reason == "unknown"


def test_one_report_may_be_several_facts() -> None:
    """A late packet that was dropped behind a queue."""
    bits = int(QUEUEING | ReportBit.DROP)
    fields = {"md_bits": bits, "hop_latency": 5_000_000, "queue": 2, "occupancy": 40, "egress_port": 2}
    packet = report(
        carried(request(six=True)), {"label": 7}, dropped=1, congested=1, drop_reason=27, **fields
    )
    one, two = facts_of(datagram(CORE, packet))
    assert isinstance(one, Drop)
    assert one.reason == "deadline"
    assert isinstance(two, Congestion)
    assert (two.egress_port, two.queue, two.occupancy, two.latency) == (2, 2, 40, 5000)
    assert two.subject.source == "[2001:db8:1::10]:40000"
    assert two.subject.label == "unknown"


def test_a_path() -> None:
    (found,) = facts_of(sunk(4_000_000))
    assert isinstance(found, PathFact)
    assert [(each.switch, each.egress_port, each.latency) for each in found.hops] == [
        ("leaf-1", 1, 1),
        ("core-1", 2, 4000),
        ("leaf-2", 65, 2),
    ]


def test_what_nodes_do_not_know_is_none() -> None:
    """All ones by the specification; or the source did not ask for it."""
    dumb = hop(CORE, 0xFFFF, 0xFFFF_FFFF, queue=0xFF, occupancy=0xFFFFFF)
    nodes_alone = INTOption(instructions=0x8000, hop_ml=1).with_hops([hop(CORE)])
    packets = [
        carried(request(), [dumb]),
        encapsulate(request(), [2, 3], "fcbb:bb00::1", telemetry=nodes_alone),
    ]
    for packet in packets:
        (path,) = facts_of(datagram(LEAF2, report(packet, tracked=1, egress_port=65, hop_latency=2000)))
        assert isinstance(path, PathFact)
        assert path.hops == (HopFact("core-1", None, None, None, None), HopFact("leaf-2", 65, 2.0, 0, 0))
    bare = report(request(), dropped=1, congested=1, md_bits=0)
    lost, late = facts_of(datagram(CORE, bare))
    assert isinstance(lost, Drop)
    assert isinstance(late, Congestion)
    assert (lost.reason, lost.ingress_port, lost.egress_port, lost.queue) == ("unknown", None, None, None)
    assert (late.egress_port, late.queue, late.occupancy, late.latency) == (None, None, None, None)


def test_tokens() -> None:
    first, second = facts_of(*first_token(30_000, 21_000))
    assert isinstance(first, Tokens)
    assert isinstance(second, Tokens)
    assert (first.place, first.event, first.first_token) == ("client_leaf", "first", 30_000)
    assert (second.place, second.instance) == ("server_leaf", "chat-1")


def test_the_journal(tmp_path: Path) -> None:
    telemetry = make(journal=tmp_path / "facts.jsonl")
    telemetry.take_reports([drop(DropReason.TTL), sunk(1000), *first_token(3000, 2000)])
    lines = [json.loads(line) for line in (tmp_path / "facts.jsonl").read_text().splitlines()]
    assert [each["kind"] for each in lines] == ["drop", "path", "tokens", "tokens"]
    assert lines[1]["hops"][0]["switch"] == "leaf-1"


# ---- sockets -----------------------------------------------------------------------------------------------


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
async def live(unused_udp_port: int) -> AsyncIterator[Telemetry]:
    """The collector's address is the sandbox's, and not ours; the switches' are."""
    collector = Collector(name="main", host="collector", port=unused_udp_port)
    configured = FABRIC.model.telemetry.model_copy(update={"collectors": [collector]})
    here = FABRIC.model.fabric.model_copy(update={"report_sources": IPv4Network("127.0.0.0/24")})
    model = FABRIC.model.model_copy(update={"telemetry": configured, "fabric": here})
    measurements = Measurements(model, FABRIC.ids, FABRIC.wiring)
    telemetry = Telemetry(model, FABRIC.ids, FABRIC.wiring, measurements, otlp_port=0)
    async with telemetry.running():
        yield telemetry


async def test_reports_and_spans_meet(live: Telemetry) -> None:
    (port,) = live.report_ports
    send(port, *first_token(30_000, 21_000), b"nonsense", source=f"127.0.0.{LEAF1}")
    await until(lambda: live.received == 3)
    client = {
        "network.peer.address": CLIENT,
        "network.peer.port": 40000,
        "gen_ai.latency.time_to_first_token": 0.0,
    }
    now = round(time.time() * 1e9).to_bytes(8, "little")
    body = export({**WHOLE, **client}).replace((1_700_000_000_500_000_000).to_bytes(8, "little"), now)
    found: list[Fact] = []
    live.subscribe(found.append)
    url = f"http://127.0.0.1:{live.span_port}/v1/traces"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=body, headers=PROTOBUF) as answer,
    ):
        assert answer.status == 200
    (joined,) = live.responses.all
    assert joined.span is not None
    assert (joined.network, joined.span.queue) == (9000, 0.125)
    assert live.latency()["services"]["chat"]["source"] == "spans"
    assert [type(each) for each in found] == [Request]
    assert live.tally.malformed == {"version": 1}


async def test_reports_that_a_host_makes_up(live: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    (port,) = live.report_ports
    send(port, *first_token(30_000, 21_000), source="127.0.1.1")
    await until(lambda: live.tally.strangers == 2)
    send(port, sunk(1000), source=f"127.0.0.{LEAF2}")
    await until(lambda: live.received == 1)
    assert not live.responses.all
    assert caplog.text.count("reports from 127.0.1.1 are not taken: it is no switch's in 127.0.0.0/24") == 1


def test_spans_of_another_time() -> None:
    """A clock that is far off would keep them for ever, or not at all."""
    telemetry = make()
    telemetry.take_spans([Span("chat-1", "", start) for start in (0.0, 1.8e10, time.time())])
    assert telemetry.tally.spans == {"chat-1": 3}
    assert len(telemetry.responses.all) == 1


async def test_spans_of_strangers_are_counted_alone(live: Telemetry) -> None:
    url = f"http://127.0.0.1:{live.span_port}/v1/traces"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=export(WHOLE, name="somebody"), headers=PROTOBUF) as answer,
    ):
        assert answer.status == 200
    assert live.tally.spans == {"unknown": 1}
    assert not live.responses.all


async def test_a_revision_without_collectors_listens_to_nobody(live: Telemetry) -> None:
    none = FABRIC.model.telemetry.model_copy(update={"collectors": []})
    live.set(FABRIC.model.model_copy(update={"telemetry": none}), FABRIC.ids, FABRIC.wiring)
    assert live.report_ports == []


async def test_a_port_that_is_taken_is_said_and_nothing_else(
    live: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    other = Telemetry(live.directory.model, FABRIC.ids, FABRIC.wiring, live._measurements, otlp_port=0)
    async with other.running():
        assert other.report_ports == []
        assert "no reports are taken at 10.1.0.20" in caplog.text


# ---- metrics -----------------------------------------------------------------------------------------------


def page(
    telemetry: Telemetry, measured: Measured | None = None, plan: Plan | None = None
) -> dict[Any, float]:
    text = render(
        telemetry, measured or Measured(), plan or Plan(), [SwitchHealth("leaf-1", True, False, 3)], 5.0, 2
    )
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_metrics_of_reports() -> None:
    telemetry = make()
    telemetry.take_reports(
        [drop(DropReason.TTL), drop(DropReason.TTL), drop(222), *first_token(30_000, 21_000), b"x"]
    )
    found = page(telemetry)
    assert found["din_drop_reports_total", ("reason", "ttl"), ("switch", "core-1")] == 2
    assert found["din_drop_reports_total", ("reason", "unknown"), ("switch", "core-1")] == 1
    assert found["din_reports_received_total", ("collector", "main"), ("switch", "core-1")] == 3
    assert found["din_reports_malformed_total", ("reason", "short")] == 1
    assert found["din_switch_pending_entries", ("switch", "leaf-1")] == 3
    assert found["din_switch_primary", ("switch", "leaf-1")] == 0
    assert found["din_controller_uptime_seconds",] == 5
    assert found["din_model_revision",] == 2


def test_histograms() -> None:
    telemetry = make()
    telemetry.take_reports(first_token(30_000, 21_000))
    done = token_report(
        FABRIC, TokenEvent.DONE, 30_000, segments=4, gap_sum=45_000, gaps=[1, 0, 2] + [0] * 12 + [4]
    )
    telemetry.take_reports([datagram(LEAF1, done)])
    found = page(telemetry)

    def of(name: str, place: str, le: str = "") -> float:
        labels = {"service": "chat", "place": place} | ({"le": le} if le else {})
        return found[(name, *sorted(labels.items()))]

    ttft = "din_time_to_first_token_seconds"
    for place, seconds in (("client_leaf", 0.03), ("server_leaf", 0.021)):
        assert of(f"{ttft}_count", place) == 1
        assert of(f"{ttft}_sum", place) == pytest.approx(seconds)
    network = "din_time_to_first_token_network_seconds"
    assert found[f"{network}_sum", ("service", "chat")] == pytest.approx(0.009)
    assert found[f"{network}_bucket", ("le", "0.008"), ("service", "chat")] == 0
    assert found[f"{network}_bucket", ("le", "0.01"), ("service", "chat")] == 1
    assert (of(f"{ttft}_bucket", "client_leaf", "0.02"), of(f"{ttft}_bucket", "client_leaf", "0.04")) == (
        0,
        1,
    )
    gap = "din_token_gap_seconds"
    assert [of(f"{gap}_bucket", "client_leaf", le) for le in ("0.000128", "0.000512", "2.09715", "+Inf")] == [
        1,
        3,
        3,
        7,
    ]
    assert (of(f"{gap}_count", "client_leaf"), of(f"{gap}_sum", "client_leaf")) == (7, pytest.approx(0.045))


def test_metrics_of_links_and_paths() -> None:
    links = {hop_.key: LinkState() for hop_ in FABRIC.wiring.hops}
    links["core-1", 2] = LinkState(up=False, latency=1500.0)
    route = Route((FABRIC.wiring.by_port["leaf-1", 1], FABRIC.wiring.by_port["core-1", 2]))
    plan = Plan(routes={("leaf-1", "chat-1", "scheduled", ""): route})
    found = page(make(), Measured(links=links), plan)
    link = ("dst", "leaf-2"), ("src", "core-1"), ("src_port", "2")
    assert found["din_link_up", *link] == 0
    assert found["din_link_extra_latency_seconds", *link] == 0.0015
    assert sum(name[0] == "din_link_extra_latency_seconds" for name in found) == 1
    (path,) = [value for name, value in found.items() if name[0] == "din_path_latency_seconds"]
    assert path == pytest.approx(0.0045)


def test_names_types_and_units_are_prometheus_own() -> None:
    """Read by OpenMetrics' parser, which is the stricter one."""
    telemetry = make()
    telemetry.take_reports([*first_token(30_000, 21_000), drop(DropReason.TTL), sunk(1000), b""])
    telemetry.take_spans([Span("chat-1", "", time.time())])
    text = render(telemetry, Measured(), Plan(), [SwitchHealth("leaf-1", True, False, 3)]).decode()
    # Where the formats differ: a counter's name in its comments, and the end.
    comments = re.sub(r"^(# \w+ \w+)_total ", r"\1 ", text, flags=re.MULTILINE)
    families = list(openmetrics.text_string_to_metric_families(comments + "# EOF\n"))
    assert len(families) == len({each.name for each in families}) > 20
    for each in families:
        assert re.fullmatch(r"din_[a-z_]+", each.name)
        assert each.documentation
        assert each.type in ("gauge", "counter", "histogram")
    assert {each.name for each in families if each.type == "histogram" and each.samples} == {
        "din_time_to_first_token_seconds",
        "din_time_to_first_token_network_seconds",
    }


def test_series_are_bounded() -> None:
    """Whatever numbers strangers send, labels are names of the model."""
    telemetry = make()
    before = len(page(telemetry))
    for number in range(300):
        strange = {"tenant": number, "service": number, "instance": number, "label": number & 255}
        fields = {
            "dropped": 1,
            "congested": 1,
            "tracked": 1,
            "queue": number & 255,
            "drop_reason": number & 255,
        }
        packet = report(response(number), strange, ds_md_bits=0xC000, ds_md_status=1, **fields)
        packet.md_bits = int(QUEUEING | ReportBit.DROP)
        telemetry.take_reports([datagram(5000 + number, packet, hw_id=number & 63)])
    found = page(telemetry)
    assert len(found) - before < 60
