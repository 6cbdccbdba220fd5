# SPDX-License-Identifier: Apache-2.0
"""What only an emulation needs: how fast pretended servers are, what is scaled, which load and events there
are.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from .base import Name, Record
from .service import TrafficClassName
from .units import BitsPerSecond, Bytes, Microseconds


class Profile(Record):
    """A model server's speed. Prefill and decode share it, as continuous batching does."""

    name: Name
    prefill_tokens_per_second: float = Field(gt=0)
    #: Time of a decode step with one sequence, and what each further one adds.
    decode_step: Microseconds
    decode_step_per_sequence: Microseconds = 0
    max_sequences: int = Field(gt=0)
    max_queue: int = Field(ge=0)
    kv_bytes_per_token: Bytes
    kv_blocks: int = Field(gt=0)
    block_size: int = Field(default=16, gt=0)


class Scale(Record):
    """What an emulation on a small machine makes smaller. Printed with every result."""

    bytes: float = Field(default=1.0, gt=0)  # of prompts and KV transfers
    rate: float = Field(default=1.0, gt=0)  # of servers
    #: Of requests, traffic and what takes them: the file's numbers have it in them (`din.testbed.scaling`).
    load: float = Field(default=1.0, gt=0)


class Lengths(Record):
    """Lognormal, in tokens, cut at ``largest``."""

    median: int = Field(gt=0)
    sigma: float = Field(default=0.0, ge=0, le=10)
    largest: int = Field(gt=0)


class Load(Record):
    """Open-loop arrivals of one site's clients at one service."""

    site: Name
    service: Name
    host: Name
    requests_per_second: float = Field(gt=0)
    prompt: Lengths
    output: Lengths
    keep_alive: bool = False  # one client keeps its connections for the whole run


class EventKind(StrEnum):
    CONGESTED_LINK = "congested-link"
    SLOW_SERVER = "slow-server"
    FAILED_LINK = "failed-link"


class Event(Record):
    kind: EventKind
    link: tuple[Name, Name] | None = None
    instance: Name | None = None
    rate: BitsPerSecond | None = None  # of the traffic that congests
    source: Name | None = None  # host it comes from
    sink: Name | None = None
    #: Of that traffic, claimed by its DSCP. What is below the streams' own class is never in their way.
    traffic_class: TrafficClassName = TrafficClassName.BEST_EFFORT
    slowdown: float = Field(default=1.0, ge=1)


class Phase(Record):
    name: Name
    duration: Microseconds = Field(gt=0)
    events: list[Event] = []  # from its beginning to its end


class Arm(Record):
    """One way of deciding, to compare."""

    name: Name
    instances: Literal["din", "equal", "nearest", "client"]
    paths: Literal["din", "shortest"]


class Comparison(Record):
    seed: int = Field(default=1, ge=0)
    warm_up: Microseconds
    phases: list[Phase] = Field(min_length=1)
    arms: list[Arm] = Field(min_length=1)
    loads: list[Load] = Field(min_length=1)


class Emulation(Record):
    profiles: list[Profile] = []
    scale: Scale = Scale()
    comparison: Comparison | None = None
