# SPDX-License-Identifier: Apache-2.0
"""What a program's tables hold before any control plane has written to them."""

from __future__ import annotations

from p4jit.target.build import CompiledProgram
from p4jit.target.interface import DeviceInterface


def initialise(device: DeviceInterface, program: CompiledProgram) -> None:
    """Set the default entries and insert the const entries of a program that was just loaded.

    The JSON prefers the smaller priority, P4Runtime the larger: the first of N entries gets N, so that a
    controller can insert above the initial entries of a table that is not const."""
    for table in program.ir.tables:
        if table.default is not None:
            device.table_reset_default(table.index)
        largest = max((e.priority or 0 for e in table.entries), default=0)
        for entry in table.entries:
            match = program.layout.tables[table.index].encode(entry.match)
            action = entry.call.action.index
            device.table_insert(
                table.index,
                match.key,
                match.mask,
                match.prefix_length,
                0 if entry.priority is None else largest + 1 - entry.priority,
                action,
                program.layout.actions[action].encode(entry.call.arguments),
            )
