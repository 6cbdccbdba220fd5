# SPDX-License-Identifier: Apache-2.0
"""What a plan says to a leaf: groups and their buckets, instances that stand, both ways' paths."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from din.model.ids import group_name
from din.packet.constants import LABEL_UNKNOWN
from din.steering.buckets import Bucket

from ..entry import Action, Key, State, action, key
from .context import CLASS_OF, CLASSES, REPORT_CLASSES, TARGET_INSTANCE, TARGET_LEAF, Buckets, Context

_STABLE, _MOVING, _DRAINED = 0, 1, 2


def groups(context: Context, switch: str) -> State:
    """One for each aggregate, its members, and which of them stand."""
    state: State = {}
    for aggregate, decision in context.plan.decisions.items():
        if aggregate.leaf != switch or not decision.choices:
            continue
        group = context.ids.of("group", group_name(*aggregate.group))
        where = key(
            "groups",
            service=context.ids.of("service", aggregate.service),
            tenant=context.ids.of("tenant", aggregate.tenant),
            class_id=CLASS_OF[aggregate.traffic_class],
            label=context.ids.label(aggregate.label),
        )
        state[where] = action("set_group", group=group)
        for choice in decision.choices:
            instance = context.ids.of("instance", choice.instance)
            state[key("members", group=group, instance=instance)] = action("honour_cookie")
            if choice.instance in context.plan.alive:
                state[key("liveness", instance=instance)] = action("NoAction")
    return state


def buckets(context: Context, switch: str, held: Buckets, before: Buckets | None = None) -> State:
    """Every bucket of a leaf's groups; with ``before`` those alone that are not as they were."""
    state: State = {}
    # Few different values for many buckets: made once.
    values: dict[tuple[str, str, bool], Action] = {}
    for (leaf, group), found in held.items():
        if leaf != switch:
            continue
        number = context.ids.of("group", group_name(*group))
        old: Sequence[Bucket | None] = (before or {}).get((leaf, group)) or (None,) * len(found)
        for place, (bucket, was) in enumerate(zip(found, old, strict=True)):
            if bucket is was:
                continue
            kind = (bucket.current, bucket.previous, bucket.drained)
            value = values.get(kind)
            if value is None:
                stable = bucket.current == bucket.previous
                value = values[kind] = action(
                    "set_bucket",
                    current=context.ids.of("instance", bucket.current),
                    previous=context.ids.of("instance", bucket.previous),
                    state=_STABLE if stable else _DRAINED if bucket.drained else _MOVING,
                )
            state[_bucket_key(number, place)] = value
    return state


@lru_cache(maxsize=1 << 17)
def _bucket_key(group: int, place: int) -> Key:
    return key("buckets", group=group, bucket=place)


def request_paths(context: Context, switch: str) -> State:
    """To each instance that a group of this leaf may use."""
    state: State = {}
    for (leaf, instance, traffic_class, label), route in context.plan.routes.items():
        if leaf != switch:
            continue
        function = context.instance_function(instance)
        where = key(
            "paths",
            kind=TARGET_INSTANCE,
            target=context.ids.of("instance", instance),
            class_id=CLASS_OF[traffic_class],
            label=context.ids.label(label),
        )
        state[where] = (
            action("via", **context.via(route, function))
            if route.hops
            else action("local", function=function)
        )
    return state


def response_paths(context: Context, switch: str) -> State:
    """To the clients' leaves, for what instances here answer."""
    state: State = {}
    for (leaf, service, traffic_class, label, client_leaf), route in context.plan.responses.items():
        if leaf != switch or not route.hops:
            continue
        where = key(
            "response_paths",
            service=context.ids.of("service", service),
            class_id=CLASS_OF[traffic_class],
            label=context.ids.label(label),
            leaf=context.node(client_leaf),
        )
        state[where] = action("via", **context.via_leaf(route))
    return state


def transport_paths(context: Context, switch: str) -> State:
    """To every leaf, for all other traffic; and for reports, which have classes of their own."""
    state: State = {}
    collectors = {context.model.host[each.host].leaf for each in context.model.telemetry.collectors}
    for (source, leaf, label), route in context.plan.transport.items():
        if source != switch or not route.hops:
            continue
        value = action("via", **context.via_leaf(route))
        target = context.node(leaf)
        number = context.ids.label(label)
        reports = REPORT_CLASSES if leaf in collectors else ()
        for class_id in (*(CLASSES if context.is_leaf(switch) else ()), *reports):
            state[key("paths", kind=TARGET_LEAF, target=target, class_id=class_id, label=number)] = value
        # Reports about what nobody could read go only where everything may.
        if (
            number == 0
            and {context.model.zone_of(node) for node in route.nodes} <= context.label_zones[LABEL_UNKNOWN]
        ):
            for class_id in reports:
                where = key("paths", kind=TARGET_LEAF, target=target, class_id=class_id, label=LABEL_UNKNOWN)
                state[where] = value
    return state
