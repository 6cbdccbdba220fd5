# SPDX-License-Identifier: Apache-2.0
"""The device itself, with ports in memory."""

from __future__ import annotations

from functools import cache

from finsy.proto import p4i
from p4jit.target.build import CompiledProgram, compile_program
from p4jit.target.device import Device
from p4jit.target.interface import PortSpec

from tests.p4jit.p4runtime.fake_device import CPU_PORT, PORT_NUMBERS
from tests.p4jit.p4runtime.rigged import Rigged


class RealDevice(Rigged, Device):
    pass


def compile_pushed(json: bytes, p4info: p4i.P4Info) -> CompiledProgram:
    """Once for each program in all the tests."""
    return _compile(json, p4info.SerializeToString(deterministic=True))


@cache
def _compile(json: bytes, p4info: bytes) -> CompiledProgram:
    return compile_program(json, "everything", p4i.P4Info.FromString(p4info))


def new_device(device_id: int) -> RealDevice:
    device = RealDevice(device_id, cpu_port=CPU_PORT)
    for number in PORT_NUMBERS:
        device.port_add(number, PortSpec("memory"))
    device.start()
    return device
