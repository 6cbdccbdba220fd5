# SPDX-License-Identifier: Apache-2.0
"""What the network serves: tenants, models, services, and the instances that answer."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from .base import NO_NUMBER, Name, Record
from .units import Microseconds

Address = Annotated[IPv4Address | IPv6Address, NO_NUMBER]
DnsName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)*$")]


class TrafficClassName(StrEnum):
    """As in `din.packet.constants.TrafficClass`."""

    BEST_EFFORT = "best-effort"
    TRAINING = "training"
    KV_TRANSFER = "kv-transfer"
    SCHEDULED = "scheduled"
    DETERMINISTIC = "deterministic"


KEY_SOURCE: Final = r"^(file|env):.+$"


class Key(Record):
    """Of DIN options. ``source`` says where the master key is: ``file:PATH`` or ``env:NAME``, 32 hex digits
    there. What signs is the epoch's key, derived from it (`din.model.keys`).
    """

    id: int = Field(ge=0, le=255)
    source: Annotated[str, StringConstraints(pattern=KEY_SOURCE)]
    classes: list[TrafficClassName] = [TrafficClassName.BEST_EFFORT, TrafficClassName.SCHEDULED]


class Tenant(Record):
    name: Name
    keys: list[Key] = []


class Variant(Record):
    """One size of a model."""

    name: Name
    quality: float = Field(ge=0, le=1)  # relative within the family
    context: int = Field(gt=0)  # tokens
    cost: float = Field(gt=0)  # of a million tokens, in the operator's unit
    features: list[Name] = []  # of the API, beyond chat and completions


class ModelFamily(Record):
    name: Name
    tokenizer: str = ""  # variants of one family share it
    variants: list[Variant] = Field(min_length=1)


class Slo(Record):
    ttft: Microseconds = Field(gt=0)
    tpot: Microseconds = Field(gt=0)


class Affinity(StrEnum):
    CONNECTION = "connection"  # each connection is steered by itself
    CLIENT = "client"  # all connections of an address go to one instance
    COOKIE = "cookie"  # as connection; and sessions that bear a cookie in their DIN option stay


class Service(Record):
    name: Name
    tenant: Name  # who provides it
    clients: list[Name] = []  # tenants who may use it beside the provider
    addresses: list[Address] = Field(min_length=1)
    port: int = Field(default=8000, ge=1, le=65535)
    dns: DnsName
    model: Name  # family
    served_model: str  # what clients ask for
    features: list[Name] = []
    min_context: int = 0
    slo: Slo
    traffic_class: TrafficClassName = TrafficClassName.SCHEDULED
    #: Of a packet through the fabric; 0: none. Its top bit would mean none, too.
    deadline: Microseconds = Field(default=0, lt=1 << 31)
    affinity: Affinity = Affinity.CONNECTION
    choose_variant: bool = False  # may the network choose among the family's variants?
    variant: Name | None = None  # else this one
    labels: list[Name] = []  # that its requests may bear, beside none
    #: After that no connection is older: the server or its proxy closes it. It bounds how long a bucket
    #: moves.
    connection_lifetime: Microseconds = Field(default=3_600_000_000, gt=0)


class InstanceRole(StrEnum):
    BOTH = "both"
    PREFILL = "prefill"
    DECODE = "decode"


class Instance(Record):
    """A model server that answers for a service."""

    name: Name
    service: Name
    host: Name
    variant: Name
    role: InstanceRole = InstanceRole.BOTH
    profile: Name | None = None  # what it can do: of `emulation.profiles`, or measured
    #: "{management}" stands for the host's address there, "{port}" for the service's port.
    metrics: str = "http://{management}:{port}/metrics"
    health: str = "http://{management}:{port}/health"
    models: str = "http://{management}:{port}/v1/models"
    server: Literal["vllm", "sglang", "triton", "trtllm"] = "vllm"
    #: Requests that it runs at once before they queue; None: learnt.
    slots: int | None = Field(default=None, gt=0)
    #: It does not own the service's address: the egress leaf rewrites to the host's own. Service and host
    #: then have one address each; the port stays the service's.
    rewrite: bool = False
