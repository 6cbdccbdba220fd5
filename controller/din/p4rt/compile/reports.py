# SPDX-License-Identifier: Apache-2.0
"""What a switch tells, and to whom: reports to collectors, packets to the controller."""

from __future__ import annotations

from din.packet.constants import LABEL_UNKNOWN, DropReason

from ..entry import Clone, CloneKey, MeterConfig, MeterKey, State, action, default, key
from .context import Context

#: The clone session of all reports (docs/data-plane.md).
REPORT_SESSION = 1
_QUEUES = 8
#: ns. Latencies that differ by less are no news; a flow that does not change tells itself again every quarter
#: second, which is what the measured latency of paths lives on.
_LATENCY_MASK = 0xFFF0_0000
_TIME_MASK = 0xFFFF_FFFF_F000_0000
_NS_PER_US = 1000
#: Packets a second to the controller, and at once: of a port and of a switch, for what hosts cause and for
#: link and neighbour protocols.
_PUNT_PORT = (MeterConfig(50, 20, 100, 50), MeterConfig(100, 50, 200, 100))
_PUNT_SWITCH = (MeterConfig(500, 100, 1000, 200), MeterConfig(500, 100, 1000, 200))


def sinks(context: Context, switch: str) -> State:
    """The first collector that may see a label gets its reports."""
    telemetry = context.model.telemetry
    state: State = {}
    for collector in telemetry.collectors:
        host = context.model.host[collector.host]
        if switch != host.leaf and (switch, host.leaf, "") not in context.plan.transport:
            continue
        address = next(each for each in host.addresses if each.version == 4)
        labels = [0, *(context.ids.label(each) for each in collector.labels)]
        if context.model.zone_of(host.leaf) in context.label_zones[LABEL_UNKNOWN]:
            labels.append(LABEL_UNKNOWN)
        for label in labels:
            where = key("report_sinks", 1, label=label)
            if where not in state:
                state[where] = action(
                    "to_collector",
                    hw_id=context.ids.of("collector", collector.name),
                    src_addr=int(context.model.fabric.report_sources[context.node(switch)]),
                    dst_addr=int(address.ip),
                    dst_port=collector.port,
                )
    return state


def triggers(context: Context, switch: str) -> State:
    """What is worth a report."""
    telemetry = context.model.telemetry
    state: State = {}
    if not telemetry.collectors:
        return state
    ports = [port for port, _ in context.hosts(switch)] + [hop.src_port for hop in context.hops(switch)]
    if ports:
        state[CloneKey(REPORT_SESSION)] = Clone((min(ports),))
    if telemetry.drop_reports_per_second:
        for reason in DropReason:
            if reason != DropReason.NONE:
                state[key("drop_reports", drop_reason=reason)] = action(
                    "report_drops", reports=telemetry.drop_reports_per_second
                )
        state[key("late_drop_reports", drop_reason=DropReason.DEADLINE)] = action(
            "report_late_drops", reports=telemetry.drop_reports_per_second
        )
    congestion = telemetry.congestion
    for hop in context.hops(switch):
        for queue in range(_QUEUES):
            state[key("queue_thresholds", port=hop.src_port, queue=queue)] = action(
                "set_thresholds",
                depth=congestion.depth,
                latency=min(congestion.latency * _NS_PER_US, 0xFFFF_FFFF),
                reports=congestion.reports_per_second,
            )
    state[default("flow_filter")] = action("set_flow_filter", latency=_LATENCY_MASK, time=_TIME_MASK)
    return state


def punts(context: Context, switch: str) -> State:
    """How much the controller can be told; an unset meter would let all through."""
    state: State = {}
    for port, _ in context.hosts(switch):
        for kind, config in enumerate(_PUNT_PORT):
            state[MeterKey("punt_ports", port * 2 + kind)] = config
    for kind, config in enumerate(_PUNT_SWITCH):
        state[MeterKey("punt_switch", kind)] = config
    return state
