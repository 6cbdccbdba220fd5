# SPDX-License-Identifier: Apache-2.0
"""What a host says of a connection, and the header that says it (docs/wire-format.md, 1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from pydantic import Field, ValidationError

from din.model.base import Name, Record
from din.model.service import TrafficClassName
from din.packet.constants import DIN_OPTION_LENGTH, DIN_OPTION_TYPE, DIN_VERSION, TrafficClass
from din.packet.halfsiphash import host_tag

from .flow import Flow

#: Deadlines with the top bit set are none.
DEADLINE_END: Final = 1 << 31
_CLASSES: Final = {name: TrafficClass[name.name] for name in TrafficClassName}

Word = Annotated[int, Field(strict=True, ge=0, le=0xFFFF)]
Byte = Annotated[int, Field(strict=True, ge=0, le=0xFF)]


class ClaimError(ValueError):
    """It cannot be said: what is wrong with it."""


class Claim(Record):
    """Names or their numbers. What a name's number is, a `Keyring` knows. ``label`` 0: unlabelled."""

    tenant: Word | Name
    service: Word | Name
    label: Byte | Name = 0
    traffic_class: TrafficClassName = TrafficClassName.SCHEDULED
    deadline: Annotated[int, Field(strict=True, ge=0, lt=DEADLINE_END)] = 0  # us; 0: none
    cookie: tuple[Word, Word] = (0, 0)  # instance and session; instance 0: none

    @classmethod
    def of(cls, **fields: Any) -> Claim:
        """ClaimError: which fields are wrong."""
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise ClaimError(explain(error)) from None


def microseconds(deadline_ms: float | None) -> int:
    """A claim's deadline. ClaimError: it is none."""
    if deadline_ms is None:
        return 0
    if isinstance(deadline_ms, bool) or not isinstance(deadline_ms, (int, float)) or not deadline_ms > 0:
        raise ClaimError(f"deadline_ms: a number, more than 0 ms, not {deadline_ms!r}")
    if deadline_ms * 1000 >= DEADLINE_END:
        raise ClaimError(f"deadline_ms: less than {DEADLINE_END / 1000:.0f} ms, not {deadline_ms!r}")
    return max(1, int(deadline_ms * 1000))


def explain(error: ValidationError) -> str:
    """Each field once, though all members of a union complain."""
    wrong: dict[str, list[str]] = {}
    for each in error.errors(include_url=False):
        where = str(each["loc"][0]) if each["loc"] else "all of it"
        wrong.setdefault(where, []).append(each["msg"].removeprefix("Input should be "))
    return "; ".join(f"{where}: {' or '.join(dict.fromkeys(what))}" for where, what in wrong.items())


@dataclass(frozen=True)
class SigningKey:
    """``epoch`` as it is counted; the option has its low byte."""

    id: int
    epoch: int
    secret: bytes = field(repr=False)


@dataclass(frozen=True)
class Option:
    """A claim in numbers."""

    tenant: int
    service: int
    label: int
    traffic_class: TrafficClassName
    deadline: int
    cookie: tuple[int, int]

    def header(self, flow: Flow, key: SigningKey) -> bytes:
        """A Destination Options header, true for packets of ``flow`` in the key's epoch: 24 bytes. Whoever
        sends it fills in the first one, the next header.
        """
        option = struct.pack(
            "!BBBBBBHHHHII",
            DIN_OPTION_TYPE,
            DIN_OPTION_LENGTH,
            DIN_VERSION << 4 | _CLASSES[self.traffic_class],
            self.label,
            key.id,
            key.epoch & 0xFF,
            self.tenant,
            self.service,
            *self.cookie,
            self.deadline,
            0,
        )
        tag = host_tag(key.secret, flow.src, flow.dst, flow.src_port, flow.dst_port, option)
        # Ext Len: 8-byte units after the first.
        return bytes((0, (2 + len(option)) // 8 - 1)) + option[:-4] + tag.to_bytes(4, "big")
