# SPDX-License-Identifier: Apache-2.0
"""p4jit against bmv2 on the benchmark's programs, filled over P4Runtime by the same controller."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from finsy.proto import p4i
from p4jit.p4runtime import P4RuntimeServer
from p4jit.target.build import CompiledProgram, compile_program
from p4jit.target.device import Device
from p4jit.target.interface import Output, PortSpec

from scripts.bench import control, workload
from tests.p4jit.differential.bmv2 import Bmv2, available

pytestmark = pytest.mark.skipif(available() is not None, reason=str(available()))

PORTS = (*range(8), 255)
PACKETS = 500
#: What may stand in place of the Ethernet type: VLAN tags, an MPLS label, ARP, IPv6.
TYPES = ["8100000a0800", "8100600a0800", "88a800010800", "884700005140", "0806", "86dd", "0800"]
#: Where in an untagged frame a changed byte matters: addresses, type, and the whole of IPv4 and UDP.
HEADERS = 42


def frames(load: workload.Workload, rng: random.Random) -> Iterator[tuple[int, bytes]]:
    """The workload's frames; some of other types, most with a few bytes changed, some cut."""
    for _ in range(PACKETS):
        data = bytearray(rng.choice(load.frames))
        if rng.random() < 0.3:
            data[12:14] = bytes.fromhex(rng.choice(TYPES))
        if rng.random() < 0.3:
            data[23] = rng.choice([1, 6, 17])
        for _ in range(rng.choice([0, 1, 1, 2, 4])):
            data[rng.randrange(HEADERS)] = rng.choice([0, 1, 2, 6, 10, 0x12, 0xFF, rng.randrange(256)])
        # Telemetry holds timestamps: keep clear of the watched flows, TCP to 10.8.0.0/16.
        if b"\x0a\x08" in data[:HEADERS]:
            continue
        # What is read of an Ethernet header that is not there is undefined: that much stays.
        length = len(data) if rng.random() < 0.9 else rng.randrange(14, len(data))
        yield rng.choice([0, 0, 0, *PORTS]), bytes(data[:length])


def by_port(outputs: list[tuple[int, bytes]]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for port, data in outputs:
        if port in PORTS:
            found.setdefault(port, []).append(data.hex())
    return found


def flat(outputs: list[Output]) -> list[tuple[int, bytes]]:
    return [(output.port, output.data) for output in outputs]


@pytest.mark.parametrize("name", ["l2", "deep"])
def test_same_packets(name: str) -> None:
    load = workload.load(name)

    def compiled(json: bytes, p4info: p4i.P4Info) -> CompiledProgram:
        return compile_program(json, name, p4info)

    device = Device(control.DEVICE_ID, clock="virtual")
    with Bmv2(control.DEVICE_ID) as bmv2, device:
        for port in PORTS:
            device.port_add(port, PortSpec("memory"))
        with P4RuntimeServer([device], compiled, "127.0.0.1:0") as server:
            control.configure(f"127.0.0.1:{server.port}", load)
        control.configure(bmv2.address, load)
        sent = forwarded = 0
        for port, data in frames(load, random.Random(name)):
            device.inject(port, data)
            while (time := device.next_event()) is not None:
                device.run_until(time)
            got, wanted = by_port(flat(device.take_outputs())), by_port(bmv2.exchange([(port, data)]))
            assert got == wanted, f"packet {data.hex()} on port {port}"
            sent += 1
            forwarded += bool(got)
        # Neither all dropped nor nothing: else the comparison says little.
        assert sent / 10 < forwarded < sent
