# SPDX-License-Identifier: Apache-2.0
"""Who may claim what."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from din.inference.marking.claim import Option

from .config import Permit

_SO_PEERGROUPS: Final = 59  # linux/socket.h; Python has no name for it
#: Of an answer, as Python allows: 256 groups.
_LONGEST: Final = 1024


@dataclass(frozen=True)
class Caller:
    """As the kernel knew it when it connected."""

    pid: int
    user: int
    groups: frozenset[int]

    @classmethod
    def of(cls, connection: socket.socket) -> Caller:
        layout = struct.Struct("iII")
        pid, user, group = layout.unpack(
            connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, layout.size)
        )
        try:
            raw = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _LONGEST)
        except OSError:  # there are more
            raw = b""
        others = (number for (number,) in struct.iter_unpack("I", raw))
        return cls(pid, user, frozenset((group, *others)))


def covers(permit: Permit, caller: Caller) -> bool:
    """Whatever the caller may claim by it."""
    return caller.user in permit.users or not caller.groups.isdisjoint(permit.groups)


def refusal(permits: Iterable[Permit], caller: Caller, option: Option) -> str:
    """Why the caller may not claim this: of the permit that comes closest. "": it may."""
    who = f"user {caller.user}"
    closest = (0, f"{who} may claim nothing here")
    for permit in permits:
        if not covers(permit, caller):
            continue
        steps = (
            (option.tenant == permit.tenant, f"{who} may not speak for tenant {option.tenant}"),
            (option.label in permit.labels, f"{who} may not claim the label {option.label}"),
            (option.traffic_class in permit.classes, f"{who} may not claim the class {option.traffic_class}"),
            (
                permit.services is None or option.service in permit.services,
                f"{who} may not claim the service {option.service}",
            ),
        )
        wrong = next(((depth, why) for depth, (holds, why) in enumerate(steps, 1) if not holds), None)
        if wrong is None:
            return ""
        closest = max(closest, wrong, key=lambda each: each[0])
    return closest[1]
