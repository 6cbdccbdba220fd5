# SPDX-License-Identifier: Apache-2.0
"""finsy, unmodified, as the controller."""

from __future__ import annotations

import asyncio
from pathlib import Path

import finsy as fy
import pytest
from finsy.p4entity import P4ValueSetMember
from p4jit.p4runtime import P4RuntimeServer
from p4jit.target.interface import Digest, IdleTimeout, PacketIn

from tests.p4jit.p4runtime.fake_device import CPU_PORT, FakeDevice

PROGRAMS = Path(__file__).parent.parent / "programs"


@pytest.fixture
def device() -> FakeDevice:
    """Its packets come when the test says so. In test_process finsy drives the device itself."""
    return FakeDevice()


def options() -> fy.SwitchOptions:
    return fy.SwitchOptions(
        p4info=PROGRAMS / "everything.p4info.txtpb", p4blob=PROGRAMS / "everything.json", device_id=1
    )


async def test_finsy(server: P4RuntimeServer, device: FakeDevice) -> None:
    async with fy.Switch("sw", f"localhost:{server.port}", options()) as switch:
        assert switch.is_primary
        assert switch.p4runtime_version == fy.P4RuntimeVersion.parse("1.4.1")
        await _entries(switch)
        await _externs(switch)
        await _stream(switch, device)
        # What finsy does at the start of its examples.
        await switch.delete_all()
        left = [e async for e in switch.read(fy.P4TableEntry())]
        assert all(e.is_const for e in left)
    # A second session finds the pipeline, and does not push it again.
    loaded = device.program
    async with fy.Switch("sw", f"localhost:{server.port}", options()):
        assert device.program is loaded


async def _entries(switch: fy.Switch) -> None:
    entry = fy.P4TableEntry(
        "l2", match=fy.Match(dst="0a:00:00:00:00:01"), action=fy.Action("forward", port=3), idle_timeout_ns=10
    )
    route = fy.P4TableEntry(
        "routes", match=fy.Match(flag=1, dst="10.0.0.0/8"), action=fy.Action("metered", port=2)
    )
    acl = fy.P4TableEntry(
        "acl",
        match=fy.Match(type="0x0800/&0xff00", sport="1...1024", proto=6, nibble=1),
        action=fy.Action("drop"),
        priority=10,
    )
    one_shot = fy.P4TableEntry(
        "ecmp",
        match=fy.Match(dst="10.0.0.0/8"),
        action=fy.P4IndirectAction([(1, fy.Action("forward", port=1)), (2, fy.Action("forward", port=2))]),
    )
    translated = fy.P4TableEntry(
        "translated", match=fy.Match(port=3, name="17"), action=fy.Action("name_it", name="18")
    )
    entries = [entry, route, acl, one_shot, translated]
    await switch.insert(entries)
    for each in entries:
        assert [
            e
            async for e in switch.read(
                fy.P4TableEntry(each.table_id, match=each.match, priority=each.priority)
            )
        ]
    members = [fy.P4ActionProfileMember("shared", member_id=1, action=fy.P4TableAction("forward", port=1))]
    await switch.insert(members)
    assert [e async for e in switch.read(fy.P4ActionProfileMember("shared"))] == members
    with pytest.raises(fy.P4ClientError) as failure:
        await switch.insert([entry])
    (detail,) = failure.value.details.values()
    assert detail.canonical_code == fy.GRPCStatusCode.ALREADY_EXISTS


async def _externs(switch: fy.Switch) -> None:
    await switch.write(
        [
            +fy.P4MulticastGroupEntry(1, replicas=[1, 2, (3, 1)]),
            +fy.P4CloneSessionEntry(5, replicas=[1], packet_length_bytes=100),
            ~fy.P4CounterEntry("port_counter", index=2, data=fy.P4CounterData(packet_count=5, byte_count=6)),
            ~fy.P4RegisterEntry("seen", index=2, data=77),
            ~fy.P4MeterEntry(
                "port_meter", index=1, config=fy.P4MeterConfig(cir=1, cburst=2, pir=3, pburst=4)
            ),
            ~fy.P4ValueSetEntry("ipv4_types", members=[P4ValueSetMember(0x88B5)]),
            +fy.P4DigestEntry("learn_t", max_list_size=1),
        ]
    )
    (counter,) = [e async for e in switch.read(fy.P4CounterEntry("port_counter", index=2))]
    assert counter.packet_count == 5
    (register,) = [e async for e in switch.read(fy.P4RegisterEntry("seen", index=2))]
    assert register.data == 77
    assert len([e async for e in switch.read(fy.P4MulticastGroupEntry())]) == 1


async def _stream(switch: fy.Switch, device: FakeDevice) -> None:
    async with asyncio.timeout(20):
        packets = switch.read_packets()
        device.events.put(PacketIn(bytes((0x01, 0x85)) + b"frame"))
        packet = await anext(aiter(packets))
        assert packet.payload == b"frame"
        assert packet["ingress_port"] == 3
        await switch.write(fy.P4PacketOut(b"out", egress_port=3, pad=0))
        while not device.injected:
            await asyncio.sleep(0.01)
        assert device.injected == [(CPU_PORT, b"\x01\x80out")]

        digests = switch.read_digests("learn_t")
        reader = asyncio.ensure_future(anext(aiter(digests)))
        await asyncio.sleep(0)
        device.events.put(Digest(1, bytes(5) + b"\x09" + b"\0\x02"))
        digest = await reader
        assert digest.data[0] == {"src": 9, "port": 2}

        timeouts = switch.read_idle_timeouts()
        waiter = asyncio.ensure_future(anext(aiter(timeouts)))
        await asyncio.sleep(0)
        assert device.program is not None
        index = next(t.index for t in device.program.ir.tables if t.name == "I.l2")
        (handle,) = device.tables[index].entries
        device.events.put(IdleTimeout(index, handle))
        assert len(await waiter) == 1
