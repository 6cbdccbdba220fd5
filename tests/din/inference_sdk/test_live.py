# SPDX-License-Identifier: Apache-2.0
"""Marks on a wire: what Linux sends of a marked socket, and what a leaf of the real program makes of it.

One network serves all of these: see `live`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from din.model.keys import epoch_key, epoch_number
from din.packet import DINHostOption
from din.packet.halfsiphash import host_tag
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from tests.din.inference_sdk.numbers import KEY_ID, MASTER, SCHEDULED, SERVICE, TENANT

ROOT = Path(__file__).parents[3]
#: As the traffic class has it (RFC 4594).
AF21 = 18 << 2


@dataclass(frozen=True)
class Live:
    found: dict[str, Any]
    packets: list[Packet]
    options: list[int]  # packets by what became of their option

    def of(self, port: int) -> list[Packet]:
        """What left from a port."""
        return [each for each in self.packets if port == _sport(each)]


def _sport(packet: Packet) -> int:
    for kind in (TCP, UDP):
        if kind in packet:
            return int(packet[kind].sport)
    return -1


@pytest.fixture(scope="module")
def live() -> Live:
    sandbox = ["unshare", "--map-root-user", "--net", "--pid", "--fork", "--kill-child"]
    done = subprocess.run(
        [*sandbox, sys.executable, "-m", "tests.din.inference_sdk.live"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["lost"] == 0
    return Live(seen["found"], [Ether(bytes.fromhex(each)) for each in seen["sent"]], seen["options"])


def option(packet: Packet) -> DINHostOption | None:
    """The packet's, if its tag is true by what is in the packet alone."""
    if IPv6ExtHdrDestOpt not in packet:
        return None
    (found,) = packet[IPv6ExtHdrDestOpt].options
    assert isinstance(found, DINHostOption)
    now = epoch_number(time.time())
    epoch = next(each for each in range(now - 1, now + 3) if each & 0xFF == found.epoch)
    upper = packet[TCP] if TCP in packet else packet[UDP]
    tag = host_tag(
        epoch_key(MASTER, KEY_ID, epoch), packet[IPv6].src, packet[IPv6].dst, upper.sport, upper.dport, found
    )
    assert found.tag == tag
    return found


def options(packets: list[Packet]) -> list[DINHostOption]:
    """Every one has its own."""
    found = [option(each) for each in packets]
    assert found
    assert None not in found
    return [each for each in found if each is not None]


def test_no_option_was_false(live: Live) -> None:
    """By the leaf's own counters. Answers have none."""
    assert live.options == [sum(IPv6ExtHdrDestOpt in each for each in live.packets), 0, 0, 0, 0]
    assert live.options[0] > 200


def test_every_segment_of_a_connection_has_the_option(live: Live) -> None:
    found = live.found["by_option"]
    assert (found["how"], found["why"], found["whole"]) == ("option", "", True)
    packets = live.of(found["port"])
    flags = [str(each[TCP].flags) for each in packets]
    assert flags[0] == "S"
    assert any("F" in each for each in flags)
    assert sum(len(each[TCP].payload) for each in packets) >= 200_000
    assert max(len(each[IPv6]) for each in packets) <= 1500
    for each in options(packets):
        claims = (each.tenant, each.service, each.class_id, each.label, each.deadline, each.key_id)
        assert claims == (TENANT, 0, SCHEDULED, 0, 250_000, KEY_ID)
        assert each.epoch == found["epoch"] & 0xFF


def test_datagrams_have_it(live: Live) -> None:
    found = live.found["datagrams"]
    assert (found["how"], found["whole"]) == ("option", True)
    (only,) = options(live.of(found["port"]))
    assert only.deadline == 250_000


def test_a_connection_outlives_its_epoch(live: Live) -> None:
    found = live.found["over_epochs"]
    assert (found["how"], found["whole"], found["same"]) == ("option", True, True)
    assert found["epoch"] == found["first"] + 1
    epochs = [each.epoch for each in options(live.of(found["port"]))]
    assert epochs == sorted(epochs)
    assert set(epochs) == {found["first"] & 0xFF, found["epoch"] & 0xFF}


def test_marks_renew_themselves(live: Live) -> None:
    found = live.found["renewed"]
    assert found["whole"]
    assert found["now"] == (found["epoch"] + 1) & 0xFF
    assert len({each.epoch for each in options(live.of(found["port"]))}) == 2


# ---- what may not mark itself ---------------------------------------------------------------------------


def test_the_agent_marks_for_who_may_not(live: Live) -> None:
    """Its keys, its names."""
    found = live.found["agent"]
    assert (found["how"], found["whole"]) == ("agent", True)
    assert "keyring" in found["why"]
    packets = live.of(found["port"])
    assert str(packets[0][TCP].flags) == "S"
    assert {each.tenant for each in options(packets)} == {TENANT}


@pytest.mark.parametrize(
    ("case", "why"), [("refused", "may not claim the label 2"), ("no agent", "no agent answers")]
)
def test_dscp_is_what_is_left(live: Live, case: str, why: str) -> None:
    found = live.found[case]
    assert (found["how"], found["whole"], found["epoch"]) == ("dscp", True, None)
    assert why in found["why"]
    packets = live.of(found["port"])
    assert {option(each) for each in packets} == {None}
    assert {each[IPv6].tc for each in packets} == {AF21}


def test_a_key_is_not_enough(live: Live) -> None:
    assert live.found["no agent"]["why"].startswith("the process has no CAP_NET_RAW;")


@pytest.mark.parametrize("case", ["to_ipv4", "mapped_ipv4"])
def test_ipv4_has_dscp_alone(live: Live, case: str) -> None:
    found = live.found[case]
    assert (found["how"], found["whole"]) == ("dscp", True)
    assert "only IPv6 has the option" in found["why"]
    (packet,) = live.of(found["port"])
    assert packet[IP].tos == AF21


# ---- the clients ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_each_request_goes_where_the_controller_says(live: Live, kind: str) -> None:
    """By the cookie: without, all go to the first."""
    answers = live.found["clients"][kind]
    assert [instance for instance, _, _ in answers] == ["instance-2", "instance-1", "instance-2"]
    assert {how for _, how, _ in answers} == {"option"}
    ports = [port for _, _, port in answers]
    assert len(set(ports)) == 3
    for port, instance in zip(ports, (2, 1, 2), strict=True):
        assert {(each.service, each.instance) for each in options(live.of(port))} == {(SERVICE, instance)}


def test_a_stream_does_too(live: Live) -> None:
    assert live.found["clients"]["stream"] == ["instance-2", 3]


def test_without_a_controller_the_network_steers(live: Live) -> None:
    """And it is said, once."""
    clients = live.found["clients"]
    assert clients["no controller"] == [["instance-1", None, None]] * 2
    (said,) = clients["said"]
    assert "the network, not the controller, steers connections to chat: no controller answers" in said
