# SPDX-License-Identifier: Apache-2.0
"""INT stacks and congestion reports as what they say of links."""

from __future__ import annotations

import pytest
from din.packet.constants import TrafficClass
from din.telemetry.decode import decode
from din.telemetry.directory import Directory
from din.telemetry.hops import Observation, observations, serialisation

from tests.din.telemetry.making import carried, datagram, fabric, hop, report, request

PLACE = fabric()
DIRECTORY = Directory(PLACE.model, PLACE.ids, PLACE.wiring)
LEAF1, CORE, LEAF2 = (PLACE.node(name) for name in ("leaf-1", "core-1", "leaf-2"))
RATE = 100_000_000
HOP_BYTES = 16


def observed(*data: bytes) -> list[Observation]:
    return list(observations(decode(list(data)), DIRECTORY))


def about(us: float) -> object:
    return pytest.approx(us, abs=1e-6)


def test_each_hop_counts_for_the_link_it_left_by() -> None:
    """The source's first. Before the second hop pushed, the packet was shorter."""
    packet = carried(request(payload=b"x" * 100), [hop(LEAF1, 1, 5000), hop(CORE, 2, 3_000_000)])
    length = len(bytes(packet))
    first, second = observed(datagram(LEAF2, report(packet, tracked=1)))
    assert first == (("leaf-1", 1), about(5 + (length - HOP_BYTES + 14) * 8 / 100))
    assert second == (("core-1", 2), about(3000 + (length + 14) * 8 / 100))


def test_serialisation_of_a_known_packet() -> None:
    assert serialisation(1486, RATE) == 120.0
    assert serialisation(0, RATE) == 0.0


def test_a_stack_on_the_way_is_not_counted() -> None:
    """The source's own report (of a token, say) has its own hop: the sink tells the same packet's."""
    packet = carried(request(), [hop(LEAF1, 1, 5000)])
    assert observed(datagram(LEAF1, report(packet, tracked=1))) == []
    stack = carried(request(), [hop(LEAF1, 1, 5000), hop(CORE, 2, 7000)])
    assert observed(datagram(CORE, report(stack, tracked=1))) == []


def test_the_stack_of_a_packet_dropped_on_the_way_is_not_counted() -> None:
    packet = carried(request(), [hop(LEAF1, 1, 5000)])
    assert observed(datagram(CORE, report(packet, dropped=1))) == []


@pytest.mark.parametrize(
    "strange", [hop(0x0EEE, 1), hop(LEAF1, 99), hop(LEAF1, 65, 5), hop(LEAF1, 1, 0xFFFF_FFFF)]
)
def test_what_is_no_link_s_is_left_out(strange: object) -> None:
    """A node or port that nobody knows, a host's port, a latency that was not known."""
    packet = carried(request(), [strange, hop(CORE, 2, 0)])  # type: ignore[list-item]
    assert [key for key, _ in observed(datagram(LEAF2, report(packet, tracked=1)))] == [("core-1", 2)]


def congestion(class_id: int, **fields: object) -> bytes:
    values = {"egress_port": 2, "hop_latency": 25_000_000, "queue": 2, "occupancy": 40, **fields}
    return datagram(CORE, report(carried(request()), {"class_id": class_id}, congested=1, **values))


def test_congestion_of_the_services_class_counts() -> None:
    """Of a link that is avoided nothing else is known."""
    length = len(bytes(carried(request())))
    assert observed(congestion(TrafficClass.SCHEDULED)) == [
        (("core-1", 2), about(25_000 + (length + 14) * 8 / 100))
    ]


def test_congestion_below_the_services_class_does_not() -> None:
    """Their packets go before it, and never notice."""
    assert observed(congestion(TrafficClass.BEST_EFFORT)) == []


def test_congestion_that_does_not_say_how_long_does_not() -> None:
    assert observed(congestion(TrafficClass.SCHEDULED, hop_latency=0xFFFF_FFFF)) == []
    assert observed(congestion(TrafficClass.SCHEDULED, md_bits=0x4800)) == []
