# SPDX-License-Identifier: Apache-2.0
"""From a plan to entries: what each switch is to hold. Pure, and in parts that follow the program's.

`compile_network` gives all of it; `compile_buckets` and `compile_ways` only what changes when shares or ways
do, which is often.
"""

from __future__ import annotations

from typing import Final

from din.steering.next_hops import NextHops

from ..entry import State
from . import access, fabric, identity, reports, steering
from .context import Buckets, Context, Secrets, TooManySegmentsError

__all__ = [
    "WAYS",
    "Buckets",
    "Context",
    "Secrets",
    "TooManySegmentsError",
    "compile_buckets",
    "compile_network",
    "compile_ways",
]

#: Tables that `compile_ways` fills, it alone.
WAYS: Final = frozenset({"paths", "response_paths"})


def compile_buckets(context: Context, switch: str, held: Buckets, before: Buckets) -> State:
    """The `buckets` of the groups in ``held`` that are not what they were ``before``."""
    return steering.buckets(context, switch, held, before)


def compile_ways(context: Context, switch: str) -> State:
    """What a plan's ways come to at ``switch``. TooManySegmentsError: one is too long."""
    return (
        steering.transport_paths(context, switch)
        | steering.request_paths(context, switch)
        | steering.response_paths(context, switch)
    )


def compile_network(context: Context) -> dict[str, State]:
    """Switch -> all that it is to hold. TooManySegmentsError: a route is too long."""
    hops = NextHops(context.wiring, context.down)
    return {each.name: _compile_switch(context, hops, each.name) for each in context.model.switches}


def _compile_switch(context: Context, hops: NextHops, switch: str) -> State:
    state: State = {}
    state |= fabric.ports(context, switch)
    state |= fabric.segments(context, switch)
    state |= fabric.next_hops(context, hops, switch)
    state |= fabric.queueing(context, switch)
    state |= fabric.zones(context, switch)
    state |= access.destinations(context, switch)
    state |= compile_ways(context, switch)
    state |= reports.sinks(context, switch)
    state |= reports.triggers(context, switch)
    state |= reports.punts(context, switch)
    if context.is_leaf(switch):
        state |= access.addresses(context, switch)
        state |= access.sources(context, switch)
        state |= access.infrastructure(context)
        state |= access.functions(context, switch)
        state |= identity.services(context, switch)
        state |= identity.classifier(context, switch)
        state |= identity.watchlist(context)
        state |= identity.option_keys(context, switch)
        state |= steering.groups(context, switch)
        state |= steering.buckets(context, switch, context.buckets)
    return state
