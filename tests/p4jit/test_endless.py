# SPDX-License-Identifier: Apache-2.0
"""A program that never lets go of a packet is stopped, and the device works on."""

from __future__ import annotations

from pathlib import Path

import pytest
from p4jit.target.build import compile_program
from p4jit.target.device import Device
from p4jit.target.interface import DeviceError, PortSpec, Replica

PROGRAM = Path(__file__).parent / "programs" / "endless.json"


@pytest.mark.parametrize(
    "replicas", [[Replica(2)], [Replica(2), Replica(2, 1), Replica(3)]], ids=["one clone", "three clones"]
)
@pytest.mark.parametrize("op", [1, 2, 3], ids=["resubmit", "recirculate", "clone"])
def test_an_endless_packet_is_an_error(op: int, replicas: list[Replica]) -> None:
    with Device(clock="virtual") as device:
        device.load(compile_program(PROGRAM.read_bytes(), PROGRAM.stem))
        for port in range(4):
            device.port_add(port, PortSpec("memory"))
        device.clone_set(1, replicas)
        with pytest.raises(DeviceError, match="cloned, resubmitted or recirculated over"):
            device.inject(0, bytes([op]))
        device.take_outputs()
        assert device.next_event() is None
        device.inject(0, b"\0")
        assert [(output.port, output.data) for output in device.take_outputs()] == [(1, b"\0")]
