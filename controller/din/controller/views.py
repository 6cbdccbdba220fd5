# SPDX-License-Identifier: Apache-2.0
"""Plans and changes as the API shows them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from din.api.schema import (
    Changes,
    ChoiceView,
    DecisionView,
    EntryChange,
    ProblemView,
    RejectionView,
    RouteView,
    TableChange,
)
from din.measure.state import Measured
from din.model.network import Model
from din.model.problem import Problem
from din.p4rt.canonical import show, show_value
from din.p4rt.reconcile import Preview
from din.steering.plan import Decision, Route

#: Entries that are shown one by one.
_SHOWN = 200
#: Deleting more than this share of a switch, or emptying a table of so many entries, may be a mistake.
MASS_SHARE = 0.25
_MASS_TABLE = 16


def route_view(route: Route, measured: Measured) -> RouteView:
    extra = [measured.link(hop.key).latency for hop in route.hops]
    known = [each for each in extra if each is not None]
    return RouteView(
        nodes=[route.hops[0].src, *route.nodes] if route.hops else [],
        base_latency=route.base_latency,
        measured_latency=route.base_latency + sum(known) if known else None,
        mtu=route.mtu,
        cost=route.cost,
    )


def decision_view(decision: Decision, model: Model, measured: Measured) -> DecisionView:
    aggregate = decision.aggregate
    return DecisionView(
        leaf=aggregate.leaf,
        service=aggregate.service,
        tenant=aggregate.tenant,
        traffic_class=aggregate.traffic_class,
        label=aggregate.label,
        choices=[
            ChoiceView(
                instance=choice.instance,
                variant=model.instance[choice.instance].variant,
                share=choice.share,
                request=route_view(choice.request, measured),
                response=route_view(choice.response, measured),
                queue=choice.estimate.queue,
                compute=choice.estimate.compute,
                total=choice.estimate.total,
            )
            for choice in decision.choices
        ],
        rejected=[
            RejectionView(what=each.what, constraint=each.constraint, detail=each.detail)
            for each in decision.rejected
        ],
    )


def problem_view(problem: Problem) -> ProblemView:
    message = f"{problem.message}; {problem.hint}" if problem.hint else problem.message
    return ProblemView(
        file=problem.file,
        line=problem.line or None,
        field=problem.field,
        message=message,
        severity=problem.severity.value,
    )


def changes_view(previews: Mapping[str, Preview], unreachable: Iterable[str] = ()) -> Changes:
    """``previews``: switch -> what is to change there."""
    tables: list[TableChange] = []
    entries: list[EntryChange] = []
    omitted = 0
    reasons: list[str] = []
    for switch, preview in sorted(previews.items()):
        radius, difference = preview.blast, preview.changes
        for name, change in radius.tables.items():
            tables.append(
                TableChange(
                    switch=switch,
                    table=name,
                    inserted=change.inserted,
                    modified=change.modified,
                    deleted=change.deleted,
                    before=change.had,
                )
            )
            if change.had >= _MASS_TABLE and change.deleted == change.had:
                reasons.append(f"{switch}: all {change.had} entries of {name} would go")
        if radius.is_mass_deletion(MASS_SHARE):
            reasons.append(f"{switch}: {radius.deleted} of {radius.had} entries would go")
        for word, part in (
            ("insert", difference.insert),
            ("modify", difference.modify),
            ("delete", difference.delete),
        ):
            for key, value in part.items():
                if len(entries) < _SHOWN:
                    entry = f"{show(key)} {show_value(value)}"
                    entries.append(EntryChange(switch=switch, change=word, entry=entry))
                else:
                    omitted += 1
    return Changes(
        tables=tables,
        entries=entries,
        omitted=omitted,
        unreachable=sorted(unreachable),
        mass_deletion="; ".join(reasons),
    )
