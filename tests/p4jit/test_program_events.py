# SPDX-License-Identifier: Apache-2.0
"""What programs tell the control plane beside packets: digests, log messages, failed assertions.

STF has no words for these.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from p4jit.target.build import compile_program
from p4jit.target.device import Device
from p4jit.target.interface import Digest, Event, LogRecord, PortSpec

PROGRAMS = Path(__file__).parent / "programs"


def run(program: str, *frames: str) -> tuple[list[Event], list[str]]:
    """The events and the frames that came of frames given on port 3."""
    with Device(clock="virtual") as device:
        device.load(compile_program((PROGRAMS / f"{program}.json").read_bytes(), program))
        for port in (1, 3):
            device.port_add(port, PortSpec("memory"))
        for frame in frames:
            device.inject(3, bytes.fromhex(frame))
        events: list[Event] = []
        while found := device.poll_events(0):
            events += found
        return events, [output.data.hex() for output in device.take_outputs()]


def test_digests_hold_each_field_in_whole_bytes() -> None:
    # address (48 bits) and ingress port (9 bits); then tag split in 13 and 3 bits, and a constant.
    events, frames = run("digests", "01 112233445566 abcd", "00 112233445566 abcd", "02 112233445566 abcd")
    assert [event.data.hex(" ", -2) for event in events if isinstance(event, Digest)] == [
        "1122 3344 5566 0003",
        f"{0xABCD >> 3:04x} {0xABCD & 7:02x}be ef",
    ]
    lists = [event.list for event in events if isinstance(event, Digest)]
    assert len(set(lists)) == 2
    assert len(frames) == 3


def test_log_messages_are_formatted() -> None:
    events, frames = run("log_assert", "01" + "00" * 15 + "ff")
    texts = [event.text for event in events if isinstance(event, LogRecord)]
    assert texts == ["a packet", "a = 1, wide = 255"]
    assert frames == ["02" + "00" * 15 + "ff"]


@pytest.mark.parametrize("value", ["aa", "bb"], ids=["assert", "assume"])
def test_a_failed_assertion_ends_the_packet_and_says_so(value: str) -> None:
    events, frames = run("log_assert", value + "00" * 16, "01" + "00" * 16)
    errors = [event for event in events if isinstance(event, LogRecord) and event.error]
    assert len(errors) == 1
    assert frames == ["02" + "00" * 16]
