# SPDX-License-Identifier: Apache-2.0
"""Why a plan is what it is, for one service seen from one leaf: data, for the CLI and the API to show."""

from __future__ import annotations

from dataclasses import dataclass

from din.model.network import Model
from din.model.service import InstanceRole

from .plan import Aggregate, Choice, Plan, Rejection


@dataclass(frozen=True)
class Chosen:
    """An instance that answers, or keeps what it has (``share`` 0)."""

    instance: str
    host: str
    leaf: str
    zone: str
    variant: str
    role: InstanceRole
    choice: Choice


@dataclass(frozen=True)
class AggregateExplanation:
    aggregate: Aggregate
    chosen: tuple[Chosen, ...]  # the greatest share first
    rejected: tuple[Rejection, ...]


@dataclass(frozen=True)
class Explanation:
    """Each instance of the service is in each aggregate's ``chosen`` or ``rejected``; one that keeps what
    it has, in both.
    """

    service: str
    leaf: str
    aggregates: tuple[AggregateExplanation, ...]  # empty: nobody at the leaf may use the service


def explain(plan: Plan, model: Model, service: str, leaf: str) -> Explanation:
    """KeyError: the model has no such service or leaf."""
    model.service[service]
    model.switch[leaf]
    return Explanation(
        service,
        leaf,
        tuple(
            AggregateExplanation(
                aggregate,
                tuple(
                    _chosen(model, choice)
                    for choice in sorted(decision.choices, key=lambda each: (-each.share, each.instance))
                ),
                decision.rejected,
            )
            for aggregate, decision in sorted(plan.decisions.items(), key=lambda each: each[0])
            if aggregate.service == service and aggregate.leaf == leaf
        ),
    )


def _chosen(model: Model, choice: Choice) -> Chosen:
    instance = model.instance[choice.instance]
    host = model.host[instance.host]
    return Chosen(
        instance.name,
        host.name,
        host.leaf,
        model.zone_of(host.leaf),
        instance.variant,
        instance.role,
        choice,
    )
