# SPDX-License-Identifier: Apache-2.0
"""Link probes: as scapy reads them, there and back, and of links that are not as the model says."""

from __future__ import annotations

from pathlib import Path

import pytest
from din.controller.lldp import Links, parse, probe
from din.model.load import load
from din.model.wiring import Hop, Wiring
from hypothesis import example, given
from hypothesis import strategies as st
from scapy.contrib.lldp import (
    LLDPDU,
    LLDPDUChassisID,
    LLDPDUEndOfLLDPDU,
    LLDPDUPortID,
    LLDPDUTimeToLive,
)
from scapy.layers.l2 import Ether

MAC = "02:00:00:00:00:07"
NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,40}", fullmatch=True)
ALL = {"leaf-1", "leaf-2", "core-1", "core-2"}


@pytest.fixture
def wiring() -> Wiring:
    return Wiring(load(str(Path(__file__).with_name("two-ways.yaml"))))


def hop(wiring: Wiring, src: str, dst: str) -> Hop:
    return next(each for each in wiring.hops if (each.src, each.dst) == (src, dst))


def arrive(links: Links, of: Hop, now: float) -> None:
    links.arrived(of.dst, of.dst_port, probe(of.src, of.src_port, MAC), now)


def test_a_probe_is_an_lldp_frame() -> None:
    frame = Ether(probe("leaf-1", 7, MAC, ttl=5))
    assert (frame.dst, frame.src, frame.type) == ("01:80:c2:00:00:0e", MAC, 0x88CC)
    assert len(bytes(frame)) >= 60
    pdu = frame[LLDPDU]
    assert pdu[LLDPDUChassisID].id.endswith(b"leaf-1")
    assert pdu[LLDPDUChassisID].subtype == pdu[LLDPDUPortID].subtype == 7
    assert pdu[LLDPDUPortID].id == b"7"
    assert pdu[LLDPDUTimeToLive].ttl == 5
    assert frame.haslayer(LLDPDUEndOfLLDPDU)


@given(NAMES, st.integers(0, 65535))
def test_there_and_back(switch: str, port: int) -> None:
    assert parse(probe(switch, port, MAC)) == (switch, port)


def test_others_probes_are_not_ours() -> None:
    other = Ether(dst="01:80:c2:00:00:0e", src=MAC) / LLDPDUChassisID(subtype=7, id=b"leaf-1")
    assert parse(bytes(other / LLDPDUPortID(subtype=7, id=b"7") / LLDPDUTimeToLive(ttl=5))) is None


@given(st.binary(max_size=200))
@example(b"")
@example(probe("leaf-1", 7, MAC)[:20])
def test_nothing_makes_it_fail(frame: bytes) -> None:
    parse(frame)
    parse(probe("leaf-1", 7, MAC)[:14] + frame)


@given(st.integers(0, 59), st.integers(0, 255))
def test_a_changed_byte_makes_it_no_failure(place: int, value: int) -> None:
    frame = bytearray(probe("leaf-1", 7, MAC))
    frame[place] = value
    parse(bytes(frame))


def test_links_that_were_never_heard_are_left_alone(wiring: Wiring) -> None:
    assert Links(wiring, 0.5).carrying(100.0, ALL) == {}


def test_a_link_carries_while_probes_come(wiring: Wiring) -> None:
    links, of = Links(wiring, 0.5), hop(wiring, "leaf-1", "core-1")
    arrive(links, of, 10.0)
    assert links.carrying(10.6, ALL) == {of.key: True}
    assert links.carrying(10.8, ALL) == {of.key: False}
    arrive(links, of, 11.0)
    assert links.carrying(11.1, ALL) == {of.key: True}


@pytest.mark.parametrize("lost", ["leaf-1", "core-1"])
def test_where_an_end_is_not_ours_silence_says_nothing(wiring: Wiring, lost: str) -> None:
    links, of = Links(wiring, 0.5), hop(wiring, "leaf-1", "core-1")
    arrive(links, of, 10.0)
    assert links.carrying(30.0, ALL - {lost}) == {}
    # And when it is again, a probe has its time to come.
    assert links.carrying(30.5, ALL) == {of.key: True}
    assert links.carrying(31.0, ALL) == {of.key: False}


def test_a_wrong_cable_is_told_and_carries_nothing(wiring: Wiring) -> None:
    links, of = Links(wiring, 0.5), hop(wiring, "leaf-1", "core-1")
    other = hop(wiring, "leaf-1", "core-2")
    links.arrived("core-2", other.dst_port, probe("leaf-1", of.src_port, MAC), 10.0)
    assert links.miswired == {of.key: f"core-2:{other.dst_port}"}
    assert links.carrying(10.1, ALL) == {of.key: False}
    arrive(links, of, 10.2)
    assert links.miswired == {}
    assert links.carrying(10.3, ALL) == {of.key: True}


def test_a_cable_that_the_model_does_not_know(wiring: Wiring) -> None:
    links = Links(wiring, 0.5)
    links.arrived("core-2", 1, probe("leaf-9", 3, MAC), 10.0)
    assert links.miswired == {("leaf-9", 3): "core-2:1"}
    assert links.carrying(10.1, ALL) == {}
