# SPDX-License-Identifier: Apache-2.0
"""What steering decides, and why: the data that `din.steering` computes and `din.p4rt` turns into entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from din.model.wiring import Hop


@dataclass(frozen=True, order=True)
class Aggregate:
    """What is steered: never a session. ``label`` "" is unlabelled."""

    leaf: str
    service: str
    tenant: str
    traffic_class: str
    label: str = ""

    @property
    def group(self) -> tuple[str, str, str, str]:
        """What a steering group stands for, on whichever leaf."""
        return self.service, self.tenant, self.traffic_class, self.label


@dataclass(frozen=True)
class Route:
    """A way from leaf to leaf. Without hops: within one leaf."""

    hops: tuple[Hop, ...] = ()

    @property
    def nodes(self) -> tuple[str, ...]:
        """After the first."""
        return tuple(hop.dst for hop in self.hops)

    @property
    def base_latency(self) -> int:
        """us, no queue in the way: propagation."""
        return sum(hop.link.delay for hop in self.hops)

    @property
    def mtu(self) -> int | None:
        return min((hop.mtu for hop in self.hops), default=None)

    @property
    def cost(self) -> float:
        return sum(hop.link.cost for hop in self.hops)

    def __str__(self) -> str:
        return " > ".join((self.hops[0].src, *self.nodes)) if self.hops else "(same leaf)"


@dataclass(frozen=True)
class Rejection:
    """What was not chosen, and the constraint that forbade it, or by how much it lost."""

    what: str  # instance
    #: Who may not: health | role | label | zone | drained | variant | quality | context | features | cost;
    #: no way there: route | mtu | segments | zone | label | encryption | latency; no room: capacity. Who
    #: might, and is outdone: ttft, or distance where the nearest is to be taken.
    constraint: str
    detail: str  # figures have their units


@dataclass(frozen=True)
class Estimate:
    """What a choice was believed to cost, us; None where nothing was known."""

    request: float
    response: float
    queue: float | None
    compute: float | None

    @property
    def total(self) -> float:
        return self.request + self.response + (self.queue or 0.0) + (self.compute or 0.0)


@dataclass(frozen=True)
class Choice:
    """An instance, its share of new connections, and both ways. A share of 0: only what is there already."""

    instance: str
    share: float
    request: Route
    response: Route
    estimate: Estimate


@dataclass(frozen=True)
class Decision:
    aggregate: Aggregate
    choices: tuple[Choice, ...]  # shares sum to 1; or to 0, and nobody takes new connections
    rejected: tuple[Rejection, ...] = ()

    @property
    def shares(self) -> dict[str, float]:
        return {choice.instance: choice.share for choice in self.choices}


@dataclass(frozen=True)
class Pace:
    """How long a request is believed to take at an instance, seconds."""

    hold: float  # that it has one of the slots
    prefill: float


@dataclass(frozen=True)
class Plan:
    """All that is to be, both directions.

    Keys of ``routes``: (leaf, instance, class, label), because that is what the data plane's paths are by; so
    of two tenants' constraints on such a route both hold. ``responses``: (instance's leaf, service, class,
    label, client's leaf). ``transport``: (leaf or node, leaf, label): all other traffic, reports among it.
    """

    decisions: Mapping[Aggregate, Decision] = field(default_factory=dict)
    routes: Mapping[tuple[str, str, str, str], Route] = field(default_factory=dict)
    responses: Mapping[tuple[str, str, str, str, str], Route] = field(default_factory=dict)
    transport: Mapping[tuple[str, str, str], Route] = field(default_factory=dict)
    #: Instances that stand: they have a liveness entry, cookies and remembered connections reach them.
    alive: frozenset[str] = frozenset()
    drained: frozenset[str] = frozenset()
    #: Connections a second that were believed to begin; an aggregate of which nothing was known is missing.
    demand: Mapping[Aggregate, float] = field(default_factory=dict)
    #: Of the instances that told of their requests.
    paces: Mapping[str, Pace] = field(default_factory=dict)
