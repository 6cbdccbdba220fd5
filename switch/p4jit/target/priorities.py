# SPDX-License-Identifier: Apache-2.0
"""Does a program ask for queues that the ports do not have?"""

from __future__ import annotations

from p4jit.frontend import ir
from p4jit.target.interface import DeviceError

_PRIORITY = "intrinsic_metadata.priority"


def check_priorities(program: ir.Program, queues: int) -> None:
    """Raise DeviceError if an action sets standard_metadata.priority to a constant for which there is no
    queue. simple_switch drops such packets without a word."""
    priority = program.standard_fields.get(_PRIORITY)
    if priority is None:
        return
    for action in program.actions:
        for s in action.body:
            if (
                isinstance(s, ir.Assign)
                and isinstance(s.target, ir.FieldRef)
                and s.target.field is priority.field
                and s.target.header is priority.header
                and isinstance(s.value, ir.Const)
                and s.value.value & ((1 << priority.field.width) - 1) >= queues
            ):
                raise DeviceError(
                    f"action {action.name} sets standard_metadata.priority to {s.value.value}, but ports "
                    f"have {queues} queues (0 to {queues - 1}): give them more, or have priorities clamped"
                )
