# SPDX-License-Identifier: Apache-2.0
"""What labels and policies permit, gathered: the narrowest of all that apply."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import reduce

from din.model.ids import PUBLIC
from din.model.network import Model
from din.model.policy import Policy


def unlabelled(label: str | None) -> str:
    """A label's name as aggregates have it: "" for none and for `public`."""
    return "" if label is None or label == PUBLIC else label


@dataclass(frozen=True)
class RouteBounds:
    """Of every node (the first and the last among them) and every link of a way. ``zones`` None: any."""

    zones: frozenset[str] | None = None
    encrypted: bool = False

    def both(self, other: RouteBounds) -> RouteBounds:
        """What fulfils this and ``other``."""
        if self.zones is None or other.zones is None:
            zones = other.zones if self.zones is None else self.zones
        else:
            zones = self.zones & other.zones
        return RouteBounds(zones, self.encrypted or other.encrypted)

    def permits(self, zone: str) -> bool:
        return self.zones is None or zone in self.zones


@dataclass(frozen=True)
class Bounds:
    """Of an aggregate. The label's part and the policies' are apart, so that a rejection can say whose it
    was.
    """

    by_label: RouteBounds = RouteBounds()
    by_policy: RouteBounds = RouteBounds()
    quality_floor: float = 0.0
    latency_budget: int | None = None  # us
    cost_ceiling: float | None = None
    route: RouteBounds = field(init=False, default=RouteBounds())

    def __post_init__(self) -> None:
        object.__setattr__(self, "route", self.by_label.both(self.by_policy))


def of_label(model: Model, label: str) -> RouteBounds:
    """Of all that bears ``label``. A label that the model does not define may be nowhere."""
    if not label:
        return RouteBounds()
    if label not in model.label:
        return RouteBounds(frozenset())
    return RouteBounds(frozenset(model.label[label].zones), model.label[label].encrypted)


def of_aggregate(model: Model, service: str, tenant: str, label: str) -> Bounds:
    """Of a client tenant's requests to a service, and of what is answered."""
    return _gather(
        of_label(model, label),
        (
            policy
            for policy in model.policies
            if policy.service in (None, service)
            and policy.tenant in (None, tenant)
            and (policy.label is None or unlabelled(policy.label) == label)
        ),
    )


def of_transport(model: Model, label: str) -> RouteBounds:
    """Of what no service is involved in. Policies about a service or a tenant do not speak of it: its ways
    have neither.
    """
    return _gather(
        of_label(model, label),
        (
            policy
            for policy in model.policies
            if policy.service is None
            and policy.tenant is None
            and (policy.label is None or unlabelled(policy.label) == label)
        ),
    ).route


def _gather(by_label: RouteBounds, policies: Iterable[Policy]) -> Bounds:
    found = list(policies)
    budgets = [each.latency_budget for each in found if each.latency_budget is not None]
    ceilings = [each.cost_ceiling for each in found if each.cost_ceiling is not None]
    by_policy = (
        RouteBounds(None if each.zones is None else frozenset(each.zones), each.encrypted) for each in found
    )
    return Bounds(
        by_label,
        reduce(RouteBounds.both, by_policy, RouteBounds()),
        max((each.quality_floor for each in found), default=0.0),
        min(budgets, default=None),
        min(ceilings, default=None),
    )
