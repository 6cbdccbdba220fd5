# SPDX-License-Identifier: Apache-2.0
"""Switches for these tests, as processes, and states to put in them."""

from __future__ import annotations

import itertools
import re
import socket
from pathlib import Path

from din.p4rt.connection import Target
from din.p4rt.entry import (
    Clone,
    CloneKey,
    Lpm,
    MeterConfig,
    MeterKey,
    State,
    Ternary,
    action,
    default,
    key,
    member,
)
from din.packet.constants import CPU_PORT

from tests.p4jit.cli.command import Running

PORTS = range(1, 9)
#: A switch remembers the highest election ID that it saw: every controller of these tests is of a newer term.
terms = itertools.count(1)

SID_BLOCK = 0xFCBBBB00 << 96
ONES = (1 << 128) - 1


class P4jit:
    """`p4jit run`, without a program. Its ports are capture files that nobody feeds: they can be watched."""

    def __init__(self, folder: Path, address: str = "127.0.0.1:0", *, tls: str = "") -> None:
        ports = "".join(f"      {port}: {{pcap: {{output: {folder}/{port}.pcap}}}}\n" for port in PORTS)
        config = folder / "switch.yaml"
        config.write_text(
            f"server:\n  address: {address}\n{tls}"
            f"devices:\n  - id: 1\n    cpu_port: {CPU_PORT}\n    ports:\n{ports}"
        )
        self._running = Running("run", "--config", str(config))
        found = re.search(r":(\d+)$", self._running.wait_for("Server listening on"))
        assert found is not None
        self.address = f"127.0.0.1:{found[1]}"

    def stop(self, number: int) -> None:
        self._running.stop(number)

    def close(self) -> None:
        self._running.__exit__(None, None, None)


def target(address: str, name: str = "leaf1") -> Target:
    return Target(name, address)


def free_address() -> str:
    """Where nobody listens, and somebody may soon."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def steering(group: int, instances: list[int], buckets: int = 64) -> State:
    """A service's group whose buckets are dealt to instances, with all that it needs to be right."""
    state: State = {}
    for instance in instances:
        function = 100 + instance
        state[key("functions", function=function)] = action(
            "deliver", port=1, dst_mac=instance, src_mac=1, vid=0, mtu=1500, zone=1, instance=instance
        )
        state[key("paths", kind=1, target=instance, class_id=2, label=0)] = action("local", function=function)
        state[key("liveness", instance=instance)] = action("NoAction")
        state[key("members", group=group, instance=instance)] = action("honour_cookie")
        sid = Lpm((SID_BLOCK | 1 << 80 | function << 64) >> 64, 64)
        state[key("segments", sid=sid)] = action("end_function", function=function)
    for bucket in range(buckets):
        where = instances[bucket % len(instances)]
        state[key("buckets", group=group, bucket=bucket)] = action(
            "set_bucket", current=where, previous=where, state=0
        )
    state[key("groups", service=group, tenant=1, class_id=2, label=0)] = action("set_group", group=group)
    state[key("services", dst_addr=group, protocol=6, dst_port=80)] = action(
        "set_service", service=group, by_address=0
    )
    return state


def everything() -> State:
    """Something of every kind that there is."""
    return steering(1, [1, 2, 3]) | {
        default("clock"): action("set_clock", base=1 << 40, unit=1000, node_id=7),
        default("boundaries"): action("inside"),
        CloneKey(1): Clone((2, 3)),
        MeterKey("punt_switch", 1): MeterConfig(100, 20, 200, 40),
        MeterKey("punt_ports", 5): MeterConfig(10, 2, 20, 4),
        key("addresses", priority=10, port=1, address=Ternary(5, ONES)): action("answer_gateway", mac=7),
        key("addresses", priority=9, address=Ternary(1 << 64, ONES ^ (1 << 64) - 1)): action(
            "ignore_address"
        ),
        key("sources", port=1, vid=0, src_addr=Lpm(0x20010DB8 << 96, 32)): action(
            "permit", tenant=1, label=0, label_mandatory=0, option_required=0
        ),
        key("routes", sid=Lpm(SID_BLOCK | 7 << 80, 48)): (
            member("set_next_hop", weight=2, watch_port=3, port=3, dst_mac=1, src_mac=2),
            member("set_next_hop", port=1, dst_mac=1, src_mac=2),
        ),
        key("protection", port=3): (
            member("keep", watch_port=3),
            member("detour", watch_port=4, port=4, dst_mac=5, src_mac=6),
            member("no_next_hop"),
        ),
        key("ports", port=1): action("set_access", zone=1),
        key("report_sinks", priority=3, label=0, kind=Ternary(1, 255)): action(
            "to_collector", hw_id=1, src_addr=2, dst_addr=3, dst_port=4
        ),
    }
