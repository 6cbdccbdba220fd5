# SPDX-License-Identifier: Apache-2.0
"""Workloads of the data plane's roles: p4src/build, the entries of one role, and frames for it.

A tenant's frame has 100 bytes; in the fabric it is 84 bytes longer.

  din-ingress         requests of 1,000 flows of a host: source, service, steering, path, encapsulation
  din-ingress-option  the same with a verified DIN option (IPv6; the frame has 124 bytes)
  din-ingress-int     the same with INT started
  din-transit         NEXT-CSID shift and routing among 1,000 routes
  din-transit-int     the same, pushing INT
  din-egress          decapsulation and delivery to one of 100 functions
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from finsy.proto import p4r
from scapy.layers.inet import IP, UDP
from scapy.packet import Raw

from scripts.bench.workload import FRAME_BYTES, Workload
from tests.dataplane import edge
from tests.dataplane.frames import Din, Fabric, access, sid
from tests.dataplane.harness import Program, choice
from tests.dataplane.harness.entries import Entries

IN, OUT = 0, 1
FLOWS = 1000
SERVICE, GROUP, INSTANCES, LEAF = 77, 5, 16, 0x44
SERVICE4, SERVICE6, PORT = "10.200.0.1", "2001:db8:200::1", 8000
_UDP = 17


class Recorder:
    """Takes entries as a node of the tests does, and keeps the updates."""

    def __init__(self, entries: Entries) -> None:
        self.names = entries
        self.updates: list[p4r.Update] = []

    def insert(
        self, table: str, match: Mapping[str, Any], action: Any, /, *, priority: int = 0, **params: Any
    ) -> None:
        self._add(p4r.Update.INSERT, self.names.table_entry(table, match, action, params, priority))

    def set_default(self, table: str, action: str, /, **params: Any) -> None:
        entry = self.names.table_entry(table, {}, action, params, is_default_action=True)
        self._add(p4r.Update.MODIFY, entry)

    def batch(self) -> AbstractContextManager[None]:
        return nullcontext()

    def _add(self, kind: p4r.Update.Type.ValueType, entry: p4r.TableEntry) -> None:
        self.updates.append(p4r.Update(type=kind, entity=p4r.Entity(table_entry=entry)))


def _next_hop(node: Recorder, to: int) -> None:
    hop = choice("set_next_hop", port=OUT, dst_mac="02:00:00:00:00:02", src_mac="02:00:00:00:00:01")
    node.insert("routes", {"sid": (sid(to), 48)}, [hop])


def _ingress(node: Recorder) -> None:
    node.insert("ports", {"port": IN}, "set_access", zone=edge.PORT_ZONE)
    edge.permit(node, IN)  # type: ignore[arg-type]
    node.set_default("boundaries", "inside")
    for address in (SERVICE4, SERVICE6):
        match = {"dst_addr": address, "protocol": _UDP, "dst_port": PORT}
        node.insert("services", match, "set_service", service=SERVICE, by_address=0)
    node.insert(
        "groups",
        {"service": SERVICE, "tenant": edge.TENANT, "class_id": 0, "label": 0},
        "set_group",
        group=GROUP,
    )
    for bucket in range(1024):
        instance = 1 + bucket % INSTANCES
        node.insert(
            "buckets", {"group": GROUP, "bucket": bucket}, "set_bucket",
            current=instance, previous=instance, state=0,
        )  # fmt: skip
    for instance in range(1, 1 + INSTANCES):
        node.insert("liveness", {"instance": instance}, "NoAction")
        match = {"kind": 1, "target": instance, "class_id": 0, "label": 0}
        segments = sid(LEAF, 0xF000 + instance)
        node.insert("paths", match, "via", segments=segments, mtu=9000, zone=edge.ZONE, base_latency=100)
    node.insert("destination_guard", {"label": 0, "zone": edge.ZONE}, "permit_destination")
    node.insert("classes", {"class_id": 0}, "set_queue", queue=0)
    _next_hop(node, LEAF)


def _ingress_int(node: Recorder) -> None:
    _ingress(node)
    watch = {"instructions": 0xF000, "hop_ml": 4, "hops": 7, "tokens": 0}
    node.insert("watchlist", {"service": SERVICE}, "watch", priority=1, **watch)


def _ingress_option(node: Recorder) -> None:
    _ingress(node)
    edge.add_key(node)  # type: ignore[arg-type]


def _tenant(flow: int, address: str = SERVICE4) -> bytes:
    packet = IP(src=f"10.1.{flow >> 8}.{flow & 255}", dst=address) / UDP(sport=40000 + flow, dport=PORT)
    return bytes(packet / Raw(bytes(FRAME_BYTES - 14 - 28)))


def _ingress_frame(flow: int) -> bytes:
    return access(_tenant(flow))


def _option_frame(flow: int) -> bytes:
    upper = UDP(sport=40000 + flow, dport=PORT) / Raw(bytes(FRAME_BYTES - 14 - 48))
    return access(bytes(edge.with_option(upper, dst=SERVICE6)))


def _transit(node: Recorder) -> None:
    node.insert("ports", {"port": IN}, "set_fabric")
    node.insert("segments", {"sid": (0xFCBBBB00 << 32 | 0x11 << 16, 48)}, "end")
    node.set_default("boundaries", "inside")
    for n in range(FLOWS):
        _next_hop(node, 0x100 + n)


def _transit_frame(flow: int) -> bytes:
    return Fabric(sid(0x11, 0x100 + flow, LEAF, 0xF001), _tenant(flow), Din(), entropy=0xC000 + flow).frame()


def _transit_int_frame(flow: int) -> bytes:
    # Geneve option, INT-MD with six hops left, and one hop's four words.
    option = bytes.fromhex("01030107 2000 0406 f000 0000 0000 0000".replace(" ", "")) + bytes(16)
    return Fabric(
        sid(0x11, 0x100 + flow, LEAF, 0xF001), _tenant(flow), Din(watched=1), options=option
    ).frame()


def _egress(node: Recorder) -> None:
    node.insert("ports", {"port": IN}, "set_fabric")
    node.insert("destination_guard", {"label": 0, "zone": edge.ZONE}, "permit_destination")
    for n in range(100):
        match = {"sid": (0xFCBBBB00 << 32 | LEAF << 16 | (0xF000 + n), 64)}
        node.insert("segments", match, "end_function", function=1 + n)
        node.insert(
            "functions", {"function": 1 + n}, "deliver",
            port=OUT, dst_mac="02:00:00:00:00:99", src_mac="02:00:00:00:00:fe", vid=0, mtu=1500,
            zone=edge.ZONE, instance=1 + n,
        )  # fmt: skip


def _egress_frame(flow: int) -> bytes:
    return Fabric(sid(LEAF, 0xF000 + flow % 100), _tenant(flow), Din(service=SERVICE)).frame()


ROLES: dict[str, tuple[Callable[[Recorder], None], Callable[[int], bytes]]] = {
    "din-ingress": (_ingress, _ingress_frame),
    "din-ingress-option": (_ingress_option, _option_frame),
    "din-ingress-int": (_ingress_int, _ingress_frame),
    "din-transit": (_transit, _transit_frame),
    "din-transit-int": (_transit, _transit_int_frame),
    "din-egress": (_egress, _egress_frame),
}


def load(name: str) -> Workload:
    program = Program.din()
    node = Recorder(Entries(program.p4info))
    configure, frame = ROLES[name]
    configure(node)
    return Workload(name, program.json, program.p4info, node.updates, [frame(flow) for flow in range(FLOWS)])
