# SPDX-License-Identifier: Apache-2.0
"""The device itself, with ports in memory."""

from __future__ import annotations

from finsy.proto import p4i
from p4jit.target.build import CompiledProgram, compile_program
from p4jit.target.device import Device
from p4jit.target.interface import PortSpec

from tests.p4jit.p4runtime.fake_device import CPU_PORT


def compile_pushed(json: bytes, p4info: p4i.P4Info) -> CompiledProgram:
    return compile_program(json, "everything", p4info)


def new_device(device_id: int) -> Device:
    device = Device(device_id, cpu_port=CPU_PORT)
    for number in range(8):
        device.port_add(number, PortSpec("memory"))
    device.start()
    return device
