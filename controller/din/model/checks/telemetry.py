# SPDX-License-Identifier: Apache-2.0
"""INT that fits, and reports that somebody gets who may."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import networkx as nx

from din.model.network import Model
from din.model.problem import Path, Problem, Severity
from din.packet.constants import FABRIC_OVERHEAD, INT_OVERHEAD, INT_STACK_WORDS

from .wires import IPV6_MINIMUM_MTU, fabric_graph, leaves

#: Node, ports, hop latency and queue: the default instructions.
HOP_WORDS: Final = 4
MOST_HOPS: Final = INT_STACK_WORDS // HOP_WORDS


def int_mtu(hops: int) -> int:
    """What a link must take for a tenant's smallest full packet to bear so many hops' metadata."""
    return IPV6_MINIMUM_MTU + FABRIC_OVERHEAD + INT_OVERHEAD + 4 * HOP_WORDS * hops


def check_watch(model: Model) -> Iterator[Problem]:
    """Hops fit into the option, and the option into the links."""
    narrowest = min(
        [
            (model.fabric.mtu if link.mtu is None else link.mtu, str(link.between[0]), link.between[1])
            for link in model.links
        ],
        default=None,
    )
    longest = _longest(model)
    for index, watch in enumerate(model.telemetry.watch):
        at: Path = ("telemetry", "watch", index, "hops")
        if watch.hops > MOST_HOPS:
            yield Problem(at, f"INT of {watch.hops} hops does not fit into its option", f"{MOST_HOPS} do")
        elif watch.hops and narrowest and int_mtu(watch.hops) > narrowest[0]:
            mtu, a, b = narrowest
            fits = (mtu - int_mtu(0)) // (4 * HOP_WORDS)
            message = f"INT of {watch.hops} hops does not fit into the {mtu} B of {a} to {b}"
            yield Problem(at, message, f"{max(fits, 0)} hops do, or {int_mtu(watch.hops)} B")
        elif 0 < watch.hops < longest:
            message = f"paths have up to {longest} nodes: the last ones will tell nothing"
            yield Problem(at, message, f"hops: {min(longest, MOST_HOPS)}", Severity.WARNING)
    if model.telemetry.watch and not model.telemetry.collectors:
        message = "flows are watched, and nobody gets the reports"
        yield Problem(("telemetry", "watch"), message, "add one to telemetry.collectors", Severity.WARNING)


def _longest(model: Model) -> int:
    """Nodes that push metadata on the longest shortest path: all but the last leaf."""
    graph, ends = fabric_graph(model), leaves(model)
    lengths = (nx.single_source_shortest_path_length(graph, leaf) for leaf in ends)
    return max((each[end] for each in lengths for end in ends if end in each), default=0)


def check_collectors(model: Model) -> Iterator[Problem]:
    """A collector gets reports about what may be in its zone, over IPv4."""
    for index, collector in enumerate(model.telemetry.collectors):
        at: Path = ("telemetry", "collectors", index)
        host = model.host.get(collector.host)
        if host is None:
            continue
        if all(address.version != 4 for address in host.addresses):
            yield Problem(
                (*at, "host"), f"{host.name} has no IPv4 address", "reports are sent over IPv4: give it one"
            )
        leaf = model.switch.get(host.leaf)
        site = model.site.get(leaf.site) if leaf else None
        for place, name in enumerate(collector.labels):
            label = model.label.get(name)
            if label and site and site.zone not in label.zones:
                message = f"{host.name} is in {site.zone}, where {name} may not be, nor reports about it"
                yield Problem((*at, "labels", place), message, f"a collector in {', '.join(label.zones)}")
    told = {label for collector in model.telemetry.collectors for label in collector.labels}
    for index, watch in enumerate(model.telemetry.watch):
        if watch.label in model.label and watch.label not in told and model.telemetry.collectors:
            message = f"no collector gets reports about {watch.label}"
            hint = "add it to a collector's labels"
            yield Problem(("telemetry", "watch", index, "label"), message, hint, Severity.WARNING)
