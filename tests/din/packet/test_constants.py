# SPDX-License-Identifier: Apache-2.0
"""Python and P4 say the same."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import pytest
from din.packet import constants
from din.packet.constants import DropReason, OptionResult, PuntReason, Queue, TokenEvent, TrafficClass

from tests.din.packet import p4

CONSTANTS = p4.constants()
NAMES = [
    "DIN_SID_BLOCK",
    "UDP_PORT_GENEVE",
    "GENEVE_CLASS_DIN",
    "GENEVE_TYPE_DIN",
    "GENEVE_CLASS_INT",
    "GENEVE_TYPE_INT_MD",
    "DIN_VERSION",
    "CLASS_REPORT",
    "NO_DEADLINE",
    "HOP_LIMIT",
    "FABRIC_OVERHEAD",
    "INT_OVERHEAD",
    "DIN_OPTION_TYPE",
    "DIN_OPTION_LENGTH",
    "REPORT_DOMAIN",
    "LABEL_UNKNOWN",
    "INT_VERSION",
    "REPORT_VERSION",
]


@pytest.mark.parametrize("name", NAMES)
def test_numbers(name: str) -> None:
    assert getattr(constants, name) == CONSTANTS[name]


@pytest.mark.parametrize(
    ("enum", "type_name", "prefix", "file"),
    [
        (TrafficClass, "class_id_t", "CLASS_", "constants.p4"),
        (Queue, "queue_id_t", "QUEUE_", "constants.p4"),
        (DropReason, "drop_reason_t", "DROP_", "constants.p4"),
        (OptionResult, "option_result_t", "OPTION_", "constants.p4"),
        (PuntReason, "punt_reason_t", "PUNT_", "constants.p4"),
        (TokenEvent, "token_event_t", "TOKEN_", "metadata.p4"),
    ],
)
def test_enumerations(enum: type[IntEnum], type_name: str, prefix: str, file: str) -> None:
    theirs = p4.enumeration(type_name, file)
    # Not a class, but a bit of one.
    theirs.pop("CLASS_REPORT", None)
    ours: dict[str, Any] = {f"{prefix}{each.name}": each.value for each in enum}
    assert ours == theirs, f"din.packet.constants.{enum.__name__} and p4src/include/{file} differ"


def test_the_port_of_the_controller() -> None:
    assert p4.constants("../v1model/target.p4")["CPU_PORT"] == constants.CPU_PORT


def test_ports_of_entropy() -> None:
    assert CONSTANTS["UDP_ENTROPY_PREFIX"] << 14 == constants.UDP_ENTROPY_BASE
