# SPDX-License-Identifier: Apache-2.0
"""Reports as switches make them: the program of p4src in p4jit, read by us and by its own tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from din.packet.constants import DropReason
from din.telemetry.decode import Batch, decode

from tests.dataplane.frames import Din, Fabric, access, sid, tcp4
from tests.dataplane.harness import P4jitNode, Program
from tests.dataplane.int_md import Hop, IntMd
from tests.dataplane.leaf import SERVICE, Flow
from tests.dataplane.telemetry import (
    CLIENT_LEAF,
    COLLECTOR,
    HOST,
    HOST_FUNCTION,
    HW_ID,
    LABEL_UNKNOWN,
    TENANT,
    UP,
    Report,
    collect,
    make_leaf,
    parse_report,
    permit,
    report_drops,
)
from tests.dataplane.test_reports import fix
from tests.dataplane.test_tokens import make_client_leaf

UDP_PAYLOAD = 14 + 20 + 8


@pytest.fixture(scope="module")
def program() -> Program:
    return Program.din()


@pytest.fixture
def node(program: Program) -> Iterator[P4jitNode]:
    with P4jitNode(program) as node:
        yield node


def told(node: P4jitNode, *frames: tuple[int, bytes]) -> tuple[list[Report], Batch]:
    """The reports that these frames make, as they are and decoded."""
    left = [each for port, frame in frames for each in node.exchange(port, frame)]
    reports = [frame for port, frame in left if port == COLLECTOR]
    return [parse_report(each) for each in reports], decode([each[UDP_PAYLOAD:] for each in reports])


def same(reports: list[Report], batch: Batch) -> None:
    found = batch.reports
    assert batch.malformed == {}
    assert batch.groups.sequence.tolist() == [each.sequence for each in reports]
    assert batch.groups.hw_id.tolist() == [each.hw_id for each in reports]
    for row, wanted in enumerate(reports):
        flags = (found.dropped[row], "D"), (found.congested[row], "Q"), (found.tracked[row], "F")
        assert "".join(letter for is_set, letter in flags if is_set) == wanted.flags
        for name in ("tenant", "service", "instance", "label", "class_id", "flow_hash"):
            assert found.__dict__[name][row] == getattr(wanted, name), name
        assert (found.ingress_port[row], found.egress_port[row]) == wanted.ports
        assert int(found.ingress_time[row]) == wanted.ingress_time
        assert int(found.egress_time[row]) == (wanted.egress_time or 0)
        assert found.hop_latency[row] == (wanted.latency or 0)
        assert (found.queue[row], found.occupancy[row]) == (wanted.queue or (0, 0))
        assert (found.drop_queue[row], found.drop_reason[row]) == (wanted.drop or (0, 0))[:2]


def test_a_drop(node: P4jitNode) -> None:
    make_leaf(node, CLIENT_LEAF, client=True)
    collect(node, 0, LABEL_UNKNOWN)
    permit(node, LABEL_UNKNOWN)
    report_drops(node, DropReason.SOURCE)
    stranger = fix(tcp4(b"secret"), _12=bytes((192, 168, 0, 1)))
    reports, batch = told(node, (HOST, access(stranger)))
    same(reports, batch)
    assert batch.groups.node.tolist() == [CLIENT_LEAF]
    assert batch.groups.hw_id.tolist() == [HW_ID]
    assert batch.reports.drop_reason.tolist() == [DropReason.SOURCE]
    assert batch.flows.src[0].tobytes()[-4:] == bytes((192, 168, 0, 1))


def test_what_a_sink_tells(node: P4jitNode) -> None:
    """The stack of two hops, and its own part."""
    make_leaf(node, CLIENT_LEAF, client=True)
    collect(node, 0)
    hops = [Hop(1, 8, 9, 6000, 2, 11), Hop(2, 3, 4, 5000, 1, 7)]
    option = IntMd(stack=b"".join(each.push(0xF000, 4) for each in reversed(hops)), remaining=5)
    here = sid(CLIENT_LEAF, HOST_FUNCTION)
    arriving = Fabric(here, tcp4(b"x" * 40), Din(flow_hash=1), options=option.bytes())
    reports, batch = told(node, (UP, arriving.frame()))
    same(reports, batch)
    assert [each.flags for each in reports] == ["F"]
    found = batch.hops
    assert found.node.tolist() == [1, 2]
    assert found.egress_port.tolist() == [9, 4]
    assert found.latency.tolist() == [6000, 5000]
    assert found.occupancy.tolist() == [11, 7]
    length = len(arriving.packet())
    assert found.length.tolist() == [length - 16, length]
    assert batch.flows.fabric.tolist() == [True]


def test_tokens_of_a_client_s_leaf(node: P4jitNode) -> None:
    flow = Flow(40000, "10.1.0.5", "10.2.0.9")
    make_client_leaf(node, flow)
    collect(node, 0)

    def respond(payload: bytes) -> tuple[int, bytes]:
        din = Din(watched=1, service=SERVICE, response=1, flow_hash=flow.hash)
        return UP, Fabric(sid(CLIENT_LEAF, HOST_FUNCTION), bytes(flow.answer("PA", payload)), din).frame()

    told(node, (HOST, access(flow.packet("PA", b"POST"))))
    node.advance(500_000_000)
    told(node, respond(b"HTTP/1.1 200 OK"))
    node.advance(20_000_000)
    reports, batch = told(node, respond(b"data: token"))
    same(reports, batch)
    assert batch.reports.event.tolist() == [1]
    assert batch.reports.headers_time.tolist() == [500_000]
    assert batch.reports.first_token_time.tolist() == [520_000]
    assert batch.reports.tenant.tolist() == [TENANT]
    assert batch.flows.response.tolist() == [True]
    assert batch.flows.dst_port.tolist() == [40000]
    node.advance(10_000_000)
    told(node, respond(b"data: another"))
    # What tells that it is over is the next request, in the other direction.
    reports, batch = told(node, (HOST, access(flow.packet("PA", b"POST"))))
    same(reports, batch)
    assert batch.reports.event.tolist() == [2]
    assert batch.reports.segments.tolist() == [2]
    assert batch.reports.gaps[0].tolist() == reports[0].gaps
    assert sum(batch.reports.gaps[0]) == 1
    assert (batch.flows.response[0], batch.flows.src_port[0]) == (False, 40000)
