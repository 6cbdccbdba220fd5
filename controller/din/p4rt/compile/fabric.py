# SPDX-License-Identifier: Apache-2.0
"""What makes a switch a node of the fabric: roles of ports, SIDs, next hops and their protection, queues,
zones.
"""

from __future__ import annotations

from din.model.ids import FUNCTION_BASE, LOOKUP_FUNCTION, function_kind
from din.packet.constants import Queue, TrafficClass
from din.steering.next_hops import NextHops

from ..entry import Action, Lpm, Member, State, action, default, key, member
from ..queues import FULL, class_queues
from .context import Context, mac_number

#: Slack, at most (us, as a prefix length of 32 bits) -> queue of the scheduled class. The static map is what
#: docs/data-plane.md found better than SP-PIFO where slacks differ much.
_SLACK_QUEUES = ((21, 5), (19, 4), (17, 3), (0, 2))
_NS_PER_US = 1000


def ports(context: Context, switch: str) -> State:
    """Who is behind each port."""
    state: State = {}
    for port, host in context.hosts(switch):
        state[key("ports", port=port)] = action("set_access", zone=context.zone(host.leaf))
    for hop in context.hops(switch):
        state[key("ports", port=hop.src_port)] = action("set_fabric")
        l2_port = context.node(switch) << 16 | hop.src_port
        state[key("links", port=hop.src_port)] = action("set_link", mtu=hop.mtu, l2_port=l2_port)
        state[key("arrivals", port=hop.src_port)] = action("set_arrival", l2_port=l2_port)
    return state


def segments(context: Context, switch: str) -> State:
    """Our own SIDs: the node's, the one that looks up, and each function's."""
    node = context.node_sid(switch) >> 64
    state: State = {key("segments", sid=Lpm(node, 48)): action("end")}
    if context.is_leaf(switch):
        lookup = node | FUNCTION_BASE + LOOKUP_FUNCTION
        state[key("segments", sid=Lpm(lookup, 64))] = action("end_lookup")
        for number in context.ids.numbers[function_kind(switch)].values():
            state[key("segments", sid=Lpm(node | FUNCTION_BASE + number, 64))] = action(
                "end_function", function=number
            )
    return state


def next_hops(context: Context, hops: NextHops, switch: str) -> State:
    """To every other node's SID, and what to do when a port is down."""
    state: State = {}
    for other in context.model.switches:
        chosen = hops.to(switch, other.name)
        if other.name == switch or not chosen:
            continue
        # One member of each group is not watched (next_hops.p4): `protection` covers it.
        state[key("routes", sid=Lpm(context.node_sid(other.name), 48))] = tuple(
            member(
                "set_next_hop",
                watch_port=hop.src_port if place else 0,
                port=hop.src_port,
                dst_mac=mac_number(context.wiring.port_mac(hop.dst, hop.dst_port)),
                src_mac=mac_number(context.wiring.port_mac(hop.src, hop.src_port)),
            )
            for place, hop in enumerate(chosen)
        )
    for hop in context.hops(switch):
        alternatives: list[Member] = [member("keep", watch_port=hop.src_port)]
        alternatives += [
            member(
                "detour",
                watch_port=detour.src_port,
                port=detour.src_port,
                dst_mac=mac_number(context.wiring.port_mac(detour.dst, detour.dst_port)),
                src_mac=mac_number(context.wiring.port_mac(detour.src, detour.src_port)),
            )
            for detour in hops.protection(switch, hop.src_port)
        ]
        state[key("protection", port=hop.src_port)] = (*alternatives, member("no_next_hop"))
    return state


def queueing(context: Context, switch: str) -> State:
    """Queues of classes, the node's number and clock, and how much of a change is worth a report."""
    state: State = {}
    for each in class_queues(context.queues.get(switch, FULL)):
        chosen = action("set_queue", queue=each.queue) if each.queue is not None else action("map_slack")
        state[key("classes", class_id=each.class_id)] = chosen
    for length, queue in _SLACK_QUEUES:
        if length:
            state[key("slack_queues", slack=Lpm(0, length))] = action("set_slack_queue", queue=queue)
        else:
            state[default("slack_queues")] = action("set_slack_queue", queue=queue)
    assert class_queues(FULL)[TrafficClass.SCHEDULED].queue is None
    assert {queue for _, queue in _SLACK_QUEUES} == set(range(Queue.SCHEDULED_LOW, Queue.SCHEDULED_HIGH + 1))
    state[default("clock")] = action("set_clock", base=0, unit=_NS_PER_US, node_id=context.node(switch))
    return state


def zones(context: Context, switch: str) -> State:
    """Which ports lead into another zone, and which labels may be where."""
    state: State = {}
    for hop in context.hops(switch):
        same = context.model.zone_of(hop.dst) == context.model.zone_of(switch)
        beyond: Action = action("inside") if same else action("cross", zone=context.zone(hop.dst))
        state[key("boundaries", port=hop.src_port)] = beyond
    for label, names in context.label_zones.items():
        for name in sorted(names):
            zone = context.ids.of("zone", name)
            state[key("destination_guard", label=label, zone=zone)] = action("permit_destination")
            state[key("boundary_guard", label=label, zone=zone)] = action("permit_boundary")
    return state
