# SPDX-License-Identifier: Apache-2.0
"""A leaf with clients, a service and its instances on its own ports: which port a packet leaves by tells what
was decided about it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from ipaddress import ip_address

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet, Raw

from tests.dataplane import edge
from tests.dataplane.frames import HOST_MAC, SWITCH_MAC, access
from tests.dataplane.harness import Node

CLIENT, OTHER_CLIENT = 1, 2
TENANT, OTHER_TENANT = 7, 8
SERVICE, ZONE = 77, 3
SERVICE4, SERVICE6 = "10.200.0.1", "2001:db8:200::1"
SERVICE_PORT = 8000
STABLE, MOVING, DRAINED = 0, 1, 2
INSTANCE_KIND, LEAF_KIND = 1, 2


def mapped(address: str) -> int:
    """An address as tables have it."""
    found = ip_address(address)
    return int(found) | (0xFFFF << 32 if found.version == 4 else 0)


@dataclass(frozen=True)
class Flow:
    """A client's packets to the service."""

    sport: int = 40000
    src: str = "10.1.0.5"
    dst: str = SERVICE4
    protocol: int = 6
    dport: int = SERVICE_PORT

    @property
    def key(self) -> bytes:
        return (
            mapped(self.src).to_bytes(16, "big")
            + mapped(self.dst).to_bytes(16, "big")
            + bytes((self.protocol,))
            + self.sport.to_bytes(2, "big")
            + self.dport.to_bytes(2, "big")
        )

    @property
    def hash(self) -> int:
        return zlib.crc32(self.key)

    @property
    def bucket(self) -> int:
        return self.hash & 0x3FF

    def cell(self, group: int) -> int:
        """Its place in the affinity cache."""
        return crc16(group.to_bytes(2, "big") + self.key)

    @property
    def without_ports(self) -> Flow:
        return replace(self, sport=0, dport=0)

    def ip(self, **fields: int) -> Packet:
        return (
            IPv6(src=self.src, dst=self.dst) if ":" in self.src else IP(src=self.src, dst=self.dst, **fields)
        )

    def packet(self, flags: str = "A", payload: bytes = b"") -> Packet:
        """With TCP, of these flags."""
        ports = {"sport": self.sport, "dport": self.dport}
        return self.ip() / (TCP(flags=flags, **ports) if self.protocol == 6 else UDP(**ports)) / Raw(payload)

    def answer(self, flags: str = "A", payload: bytes = b"") -> Packet:
        """The service's."""
        return Flow(self.dport, self.dst, self.src, self.protocol, self.sport).packet(flags, payload)


def crc16(data: bytes) -> int:
    """CRC-16/ARC: what v1model calls crc16."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value


def port_of(instance: int) -> int:
    return 10 + instance


class Leaf:
    """Instances 1 to 9 are on ports 11 to 19."""

    def __init__(self, node: Node, *, instances: int = 4, clients: bool = True) -> None:
        self.node = node
        if clients:
            self.host(CLIENT, TENANT)
            self.host(OTHER_CLIENT, OTHER_TENANT)
        self.zone(0, ZONE)
        for instance in range(1, instances + 1):
            self.function(100 + instance, port_of(instance), instance=instance)
            self.alive(instance)

    # ---- admission and classification

    def host(self, port: int, tenant: int, zone: int = ZONE) -> None:
        """An access port; its hosts may have any address."""
        self.node.insert("ports", {"port": port}, "set_access", zone=zone)
        edge.permit(self.node, port, tenant)

    def zone(self, label: int, zone: int) -> None:
        """What has the label may go there."""
        self.node.insert("destination_guard", {"label": label, "zone": zone}, "permit_destination")

    def service(
        self, address: str = SERVICE4, protocol: int = 6, port: int = SERVICE_PORT, **more: int
    ) -> None:
        values = {"service": SERVICE, "by_address": 0} | more
        match = {"dst_addr": address, "protocol": protocol, "dst_port": port}
        self.node.insert("services", match, "set_service", **values)

    def responses(
        self,
        port: int,
        instance: int,
        address: str = SERVICE4,
        protocol: int = 6,
        src_port: int = SERVICE_PORT,
    ) -> None:
        """What comes from a port with this source is an instance's answers."""
        match = {"port": port, "src_addr": address, "protocol": protocol, "src_port": src_port}
        self.node.insert("responses", match, "set_response", service=SERVICE, instance=instance, by_address=0)

    def classify(self, port: int, **values: int) -> None:
        """All that comes from a port."""
        edge.classify(self.node, {"port": port}, **values)

    # ---- steering

    def group(
        self, group: int, tenant: int = TENANT, class_id: int = 0, label: int = 0, service: int = SERVICE
    ) -> None:
        match = {"service": service, "tenant": tenant, "class_id": class_id, "label": label}
        self.node.insert("groups", match, "set_group", group=group)

    def bucket(
        self,
        group: int,
        bucket: int,
        current: int,
        previous: int | None = None,
        state: int | None = None,
        *,
        modify: bool = False,
    ) -> None:
        """Stable without `previous`, else moving."""
        write = self.node.modify if modify else self.node.insert
        write(
            "buckets",
            {"group": group, "bucket": bucket},
            "set_bucket",
            current=current,
            previous=current if previous is None else previous,
            state=state if state is not None else STABLE if previous is None else MOVING,
        )

    def alive(self, instance: int) -> None:
        self.node.insert("liveness", {"instance": instance}, "NoAction")

    def dead(self, instance: int) -> None:
        self.node.delete("liveness", {"instance": instance})

    # ---- where things are

    def function(
        self, function: int, port: int, *, instance: int = 0, mtu: int = 1500, zone: int = ZONE
    ) -> None:
        self.node.insert(
            "functions",
            {"function": function},
            "deliver",
            port=port,
            dst_mac=HOST_MAC,
            src_mac=SWITCH_MAC,
            vid=0,
            mtu=mtu,
            zone=zone,
            instance=instance,
        )

    def path(
        self,
        target: int,
        action: str,
        class_id: int = 0,
        label: int = 0,
        kind: int = INSTANCE_KIND,
        **params: int,
    ) -> None:
        match = {"kind": kind, "target": target, "class_id": class_id, "label": label}
        self.node.insert("paths", match, action, **params)

    def local(self, instance: int, class_id: int = 0, label: int = 0) -> None:
        self.path(instance, "local", class_id, label, function=100 + instance)

    # ---- what happens

    def reached(self, packet: Packet, port: int = CLIENT) -> int:
        """The instance that gets a packet; 0: none."""
        found = self.node.exchange(port, access(packet))
        assert len(found) <= 1
        return found[0][0] - 10 if found else 0

    def drops(self, reason: int) -> int:
        return self.node.counter("drops", reason).packets


def quoting(flow: Flow, packet: Packet) -> Packet:
    """What a client answers to a packet that it can't take: an ICMP error, port unreachable."""
    from scapy.layers.inet6 import ICMPv6DestUnreach

    if ":" in flow.src:
        return flow.ip() / ICMPv6DestUnreach(code=4) / Raw(bytes(packet)[:64])
    return flow.ip() / ICMP(type=3, code=3) / Raw(bytes(packet)[:28])
