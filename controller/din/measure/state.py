# SPDX-License-Identifier: Apache-2.0
"""What was measured, at one time. Whatever is not known is None, never 0 (a missing gauge would look like
an idle server). Times are the controller's monotonic clock, in seconds; latencies us.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Load:
    """Of a model server, as it says itself (its /metrics)."""

    at: float
    running: float | None = None
    waiting: float | None = None
    kv_usage: float | None = None  # 0-1; no signal of saturation
    #: Of the last 2 s, from histograms' and counters' deltas; None where nothing finished in them. Seconds.
    queue_time: float | None = None
    prefill_time: float | None = None
    ttft: float | None = None
    tpot: float | None = None
    prompt_tokens_per_second: float | None = None
    generated_tokens_per_second: float | None = None
    requests_per_second: float | None = None  # finished
    block_size: float | None = None
    blocks: float | None = None


@dataclass(frozen=True)
class Connections:
    """Of an instance, as all switches together count them."""

    at: float
    in_flight: int  # SYN-ACKs less what was closed
    unanswered: int  # SYNs in the last interval less SYN-ACKs in it
    opened_per_second: float
    #: ``in_flight`` if no RST ended a connection: between the two lies the truth (`din.measure.connections`).
    at_most: int | None = None


@dataclass(frozen=True)
class InstanceState:
    alive: bool | None = None  # None: never probed
    reason: str = ""  # why it is believed to be dead; or why that cannot be told by its probes
    load: Load | None = None
    connections: Connections | None = None
    #: False: the management network does not reach it, and connection attempts alone say whether it lives.
    watched: bool = True


@dataclass(frozen=True)
class LinkState:
    """Of a hop, by (switch, egress port)."""

    up: bool = True
    at: float | None = None
    #: What a packet takes beyond the propagation delay: queueing and serialisation, from INT. Smoothed, us.
    latency: float | None = None


@dataclass(frozen=True)
class Measured:
    at: float = 0.0
    instances: Mapping[str, InstanceState] = field(default_factory=dict)
    links: Mapping[tuple[str, int], LinkState] = field(default_factory=dict)
    #: (leaf, service) -> new connections a second.
    arrivals: Mapping[tuple[str, str], float] = field(default_factory=dict)

    def instance(self, name: str) -> InstanceState:
        return self.instances.get(name, InstanceState())

    def link(self, key: tuple[str, int]) -> LinkState:
        return self.links.get(key, LinkState())
