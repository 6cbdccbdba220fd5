# SPDX-License-Identifier: Apache-2.0
"""What may be, what is to be, and what is to be watched."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from .base import Name, Record
from .service import TrafficClassName
from .units import Microseconds


class Label(Record):
    """A kind of data, and the zones that it may be in. The label `public` is implied: everywhere."""

    name: Name
    zones: list[Name] = Field(min_length=1)
    encrypted: bool = False  # only over links that are


class Policy(Record):
    """Bounds on what steering may choose. Fields that are not given match all."""

    service: Name | None = None
    tenant: Name | None = None
    label: Name | None = None
    quality_floor: float = Field(default=0.0, ge=0, le=1)
    latency_budget: Microseconds | None = None  # request and response path together, no queue in the way
    zones: list[Name] | None = None
    encrypted: bool = False
    cost_ceiling: float | None = None


class Demand(Record):
    """Expected load; what is measured overrules it."""

    site: Name
    service: Name
    tenant: Name | None = None  # the provider
    label: Name | None = None
    requests_per_second: float = Field(gt=0)


class Direction(StrEnum):
    REQUEST = "request"
    RESPONSE = "response"


class Watch(Record):
    """Flows whose packets carry INT. Fields that are not given match all."""

    service: Name | None = None
    tenant: Name | None = None
    label: Name | None = None
    traffic_class: TrafficClassName | None = None
    direction: Direction | None = None
    hops: int = Field(default=7, ge=0, le=28)  # 0: no INT
    tokens: bool = True


class Collector(Record):
    """Who gets reports: a host, or an address that a leaf's port leads to."""

    name: Name
    host: Name
    port: int = Field(default=32766, ge=1, le=65535)
    labels: list[Name] = []  # beside public


class Threshold(Record):
    """A packet that finds ``depth`` others in its queue, or stays for ``latency``, is congested."""

    depth: int = Field(default=32, ge=1, lt=1 << 24)
    latency: Microseconds = 20_000
    reports_per_second: int = Field(default=20, ge=1, le=65535)


class Telemetry(Record):
    watch: list[Watch] = []
    collectors: list[Collector] = []
    drop_reports_per_second: int = Field(default=10, ge=0, le=65535)
    congestion: Threshold = Threshold()
    #: Every fact as a line of JSON, in facts.jsonl of the controller's state: two files of 16 MB at most.
    journal: bool = False


class InstanceChoice(StrEnum):
    DIN = "din"
    EQUAL = "equal"  # equal buckets
    NEAREST = "nearest"  # plain anycast
    CLIENT = "client"  # clients address instances themselves


class PathChoice(StrEnum):
    DIN = "din"
    SHORTEST = "shortest"


class Steering(Record):
    """How the controller decides. The defaults are DIN; the rest is to compare with."""

    instances: InstanceChoice = InstanceChoice.DIN
    paths: PathChoice = PathChoice.DIN
    interval: Microseconds = Field(default=500_000, ge=50_000)
    stale_after: Microseconds = Field(default=3_000_000, gt=0)
