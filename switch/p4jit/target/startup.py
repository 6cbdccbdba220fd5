# SPDX-License-Identifier: Apache-2.0
"""What a program's tables hold before any control plane has written to them."""

from __future__ import annotations

from p4jit.target.build import CompiledProgram
from p4jit.target.interface import DeviceInterface

_TOP_PRIORITY = (1 << 31) - 1


def initialise(device: DeviceInterface, program: CompiledProgram) -> None:
    """Set the default entries and insert the const entries of a program that was just loaded."""
    for table in program.ir.tables:
        if table.default is not None:
            device.table_reset_default(table.index)
        for entry in table.entries:
            match = program.layout.tables[table.index].encode(entry.match)
            action = entry.call.action.index
            device.table_insert(
                table.index,
                match.key,
                match.mask,
                match.prefix_length,
                device_priority(entry.priority),
                action,
                program.layout.actions[action].encode(entry.call.arguments),
            )


def device_priority(priority: int | None) -> int:
    """bmv2 prefers the smaller number, a device the greater."""
    return 0 if priority is None else max(_TOP_PRIORITY - priority, 0)
