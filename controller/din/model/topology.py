# SPDX-License-Identifier: Apache-2.0
"""Where things are: zones, sites, switches, links, hosts."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from .base import NO_NUMBER, Name, Record
from .units import BitsPerSecond, Bytes, Microseconds

Mac = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}$")]
Interface = Annotated[IPv4Interface | IPv6Interface, NO_NUMBER]
Network = Annotated[IPv4Network, NO_NUMBER]
#: `switch` or `switch:port`.
Endpoint = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*(:[0-9]+)?$")]

DEFAULT_MTU: Final = 9000


class Role(StrEnum):
    LEAF = "leaf"  # has hosts, begins and ends paths
    TRANSIT = "transit"  # spine or WAN node


class Target(StrEnum):
    P4JIT = "p4jit"
    BMV2 = "bmv2"
    TOFINO = "tofino"


class Tls(Record):
    """Files in PEM, relative to the model's. Mutual: the switch checks `certificate`."""

    ca: str
    certificate: str
    key: str


class Fabric(Record):
    mtu: Bytes = DEFAULT_MTU  # of links that do not say, in bytes of IP packet
    access_mtu: Bytes = 1500  # of hosts that do not say
    locator: Literal["fcbb:bb00::/32"] = "fcbb:bb00::/32"  # the program's; another one is another build
    #: Source addresses of nodes' reports: node n has the n-th.
    report_sources: Network = IPv4Network("192.0.2.0/24")


class Zone(Record):
    name: Name


class Site(Record):
    name: Name
    zone: Name


class Switch(Record):
    name: Name
    site: Name
    role: Role
    target: Target = Target.P4JIT
    #: gRPC target of its P4Runtime server. Emulation finds one by itself.
    address: str | None = None
    device_id: int = Field(default=1, ge=1)
    tls: Tls | None = None
    #: Our own addresses on the hosts' links, and with them their prefixes: a leaf's.
    gateways: list[Interface] = []


class Link(Record):
    """Between two switches, the same both ways."""

    between: tuple[Endpoint, Endpoint]
    rate: BitsPerSecond
    delay: Microseconds
    cost: float = Field(default=1.0, gt=0)  # of the path's price, not of its latency
    encrypted: bool = False
    mtu: Bytes | None = None


class Host(Record):
    name: Name
    leaf: Name
    tenant: Name
    addresses: list[Interface] = Field(min_length=1)
    port: int | None = Field(default=None, ge=1, le=509)
    mac: Mac | None = None
    vlan: int = Field(default=0, ge=0, le=4094)  # 0: untagged
    label: Name | None = None  # of all that it sends, if nobody says more
    label_mandatory: bool = False  # and nobody may
    option_required: bool = False
    mtu: Bytes | None = None
    rate: BitsPerSecond | None = None  # of its access link, where that is emulated
    delay: Microseconds = 0


class Management(Record):
    """How the controller reaches servers' metrics, beside the fabric."""

    network: Network = IPv4Network("172.30.0.0/24")
    tls: Tls | None = None  # to all switches that do not say
