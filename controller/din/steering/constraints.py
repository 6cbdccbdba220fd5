# SPDX-License-Identifier: Apache-2.0
"""Who may not answer an aggregate, and why. One predicate for each constraint: a `Rejection`, or None if it
lets by.

What is not known rejects nobody: an instance that was never probed may be alive, one without metrics has
room.

Roles: a client's request goes to an instance that does all (`both`) or to one that decodes, because that is
where the tokens come from and the connection stays; a decode server has its prompt's KV cache made by a
prefill server and pulls it, so it needs one of its service that stands. Prefill servers are asked by those
alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from din.measure.state import InstanceState
from din.model.network import Model
from din.model.service import Instance, InstanceRole, Service, Variant
from din.model.units import show_time

from .bounds import Bounds
from .plan import Rejection, Route


@dataclass(frozen=True)
class Candidate:
    """An instance in the light of an aggregate's bounds."""

    instance: Instance
    service: Service
    variant: Variant | None  # None: the family has none of that name
    zone: str
    state: InstanceState
    bounds: Bounds
    drained: bool = False
    #: Does an instance of the service that may prefill stand?
    has_prefill: bool = True

    def rejection(self, constraint: str, detail: str) -> Rejection:
        return Rejection(self.instance.name, constraint, detail)


#: What keeps data where it may be and connections where they work. An instance that breaks one of these is
#: left at once, whatever it still serves; one that breaks another keeps the connections that it has.
HARD: Final = frozenset({"label", "zone", "encryption", "health", "route", "mtu", "segments", "role"})


def role(candidate: Candidate) -> Rejection | None:
    if candidate.instance.role is InstanceRole.PREFILL:
        return candidate.rejection("role", "it prefills for others and answers no client")
    if candidate.instance.role is InstanceRole.DECODE and not candidate.has_prefill:
        return candidate.rejection("role", "it decodes, and no instance that prefills stands")
    return None


def health(candidate: Candidate) -> Rejection | None:
    if candidate.state.alive is False:
        return candidate.rejection("health", candidate.state.reason or "it is dead")
    return None


def label(candidate: Candidate) -> Rejection | None:
    zones = candidate.bounds.by_label.zones
    if zones is not None and candidate.zone not in zones:
        return candidate.rejection("label", f"it is in zone {candidate.zone}, permitted are {_names(zones)}")
    return None


def zone(candidate: Candidate) -> Rejection | None:
    zones = candidate.bounds.by_policy.zones
    if zones is not None and candidate.zone not in zones:
        return candidate.rejection("zone", f"it is in zone {candidate.zone}, permitted are {_names(zones)}")
    return None


def drained(candidate: Candidate) -> Rejection | None:
    if candidate.drained:
        return candidate.rejection("drained", "it keeps what it has and gets no new connections")
    return None


def variant(candidate: Candidate) -> Rejection | None:
    wanted = candidate.service.variant
    if candidate.variant is None:
        return candidate.rejection(
            "variant", f"{candidate.service.model} has no {candidate.instance.variant}"
        )
    if not candidate.service.choose_variant and wanted is not None and candidate.instance.variant != wanted:
        return candidate.rejection("variant", f"it serves {candidate.instance.variant}, wanted is {wanted}")
    return None


def quality(candidate: Candidate) -> Rejection | None:
    floor = candidate.bounds.quality_floor
    if candidate.variant is not None and candidate.variant.quality < floor:
        return candidate.rejection(
            "quality", f"quality {candidate.variant.quality:g}, wanted is {floor:g} or more"
        )
    return None


def context(candidate: Candidate) -> Rejection | None:
    wanted = candidate.service.min_context
    if candidate.variant is not None and candidate.variant.context < wanted:
        return candidate.rejection(
            "context", f"context of {candidate.variant.context} tokens, wanted are {wanted}"
        )
    return None


def features(candidate: Candidate) -> Rejection | None:
    if candidate.variant is None:
        return None
    lacking = sorted(set(candidate.service.features) - set(candidate.variant.features))
    return candidate.rejection("features", f"it lacks {', '.join(lacking)}") if lacking else None


def cost(candidate: Candidate) -> Rejection | None:
    ceiling = candidate.bounds.cost_ceiling
    if candidate.variant is not None and ceiling is not None and candidate.variant.cost > ceiling:
        return candidate.rejection(
            "cost", f"{candidate.variant.cost:g} for a million tokens, the ceiling is {ceiling:g}"
        )
    return None


#: In the order in which they are told.
CONSTRAINTS: Final[tuple[Callable[[Candidate], Rejection | None], ...]] = (
    health,
    role,
    label,
    zone,
    drained,
    variant,
    quality,
    context,
    features,
    cost,
)


def rejections(candidate: Candidate) -> tuple[Rejection, ...]:
    """All that forbids it; empty: it may answer, if there is a way."""
    found = (constraint(candidate) for constraint in CONSTRAINTS)
    return tuple(each for each in found if each is not None)


def latency(instance: str, request: Route, response: Route, budget: int | None) -> Rejection | None:
    """Both ways without a queue against the budget, us."""
    if budget is None:
        return None
    both = request.base_latency + response.base_latency
    if both <= budget:
        return None
    ways = f"{show_time(request.base_latency)} there, {show_time(response.base_latency)} back"
    return Rejection(instance, "latency", f"{show_time(both)} ({ways}) is above {show_time(budget)}")


def capacity(instance: str, present: float | None, room: int | None) -> Rejection | None:
    """``present`` requests where there is room for so many, in slots and queue; more are answered 429."""
    if present is None or room is None or present < room:
        return None
    return Rejection(instance, "capacity", f"{present:.0f} requests, room is for {room}")


def find_variant(model: Model, instance: Instance) -> Variant | None:
    """None: the family has none of that name."""
    family = model.service[instance.service].model
    variants = (each for family_ in model.models if family_.name == family for each in family_.variants)
    return next((each for each in variants if each.name == instance.variant), None)


def _names(zones: frozenset[str]) -> str:
    return ", ".join(sorted(zones)) or "none"
