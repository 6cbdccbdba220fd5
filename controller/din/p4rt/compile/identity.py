# SPDX-License-Identifier: Apache-2.0
"""What traffic is: services by address, responses by where they come from, classes, labels, watched flows,
keys.
"""

from __future__ import annotations

from din.model.dscp import DSCP
from din.model.policy import Direction
from din.model.service import Affinity, Service
from din.packet.constants import Instruction

from ..entry import Match, State, Ternary, action, key
from .context import CLASS_OF, TCP, Context, mapped

_DIRECTIONS = {Direction.REQUEST: 1, Direction.RESPONSE: 2}
_ALL = (1 << 128) - 1
#: Words of a hop with the default instructions.
_HOP_WORDS = 4
#: The more that is known, the higher.
_LABELLED_RESPONSE, _SERVICE, _DSCP = 30, 20, 10


def _ports(service: Service) -> list[int]:
    """Fragments have no port: where addresses alone decide, they are the service's too."""
    return [service.port, 0] if service.affinity is Affinity.CLIENT else [service.port]


def services(context: Context, switch: str) -> State:
    """Requests, where someone may make them; responses, at the ports of instances."""
    state: State = {}
    wanted = {aggregate.service for aggregate in context.plan.decisions if aggregate.leaf == switch}
    for service in context.model.services:
        if service.name not in wanted:
            continue
        by_address = int(service.affinity is Affinity.CLIENT)
        for anycast in service.addresses:
            for port in _ports(service):
                where = key("services", dst_addr=mapped(anycast), protocol=TCP, dst_port=port)
                number = context.ids.of("service", service.name)
                state[where] = action("set_service", service=number, by_address=by_address)
    for port, host in context.hosts(switch):
        for instance in context.instances_on(host.name):
            service = context.model.service[instance.service]
            value = action(
                "set_response",
                service=context.ids.of("service", service.name),
                instance=context.ids.of("instance", instance.name),
                by_address=int(service.affinity is Affinity.CLIENT),
            )
            for anycast in service.addresses:
                for src_port in _ports(service):
                    where = key(
                        "responses",
                        port=port,
                        src_addr=mapped(anycast),
                        protocol=TCP,
                        src_port=src_port,
                    )
                    state[where] = value
    return state


def _classify(class_id: int, label: int = 0, deadline: int = 0) -> dict[str, int]:
    return {
        "class_id": class_id,
        "label": label,
        "deadline": deadline,
        "late_drop": 0,
        "late_drop_tcp": 0,
        "stream": 0,
        "tenant_meter": 0,
        "overrule": 0,
    }


def classifier(context: Context, switch: str) -> State:
    """Of services the class and deadline, both ways. A response bears the label of the client it is for."""
    state: State = {}
    for service in context.model.services:
        number = context.ids.of("service", service.name)
        values = _classify(CLASS_OF[service.traffic_class], 0, service.deadline)
        for direction in _DIRECTIONS.values():
            where = key(
                "classifier",
                _SERVICE,
                service=Ternary(number, 0xFFFF),
                direction=Ternary(direction, 3),
            )
            state[where] = action("classify", **values)
        if context.clients_choose:
            state |= _direct(context, service, values)
        if not any(context.leaf_of(each.name) == switch for each in context.model.instances_of(service.name)):
            continue
        for host in context.model.hosts:
            label = context.ids.label(host.label)
            if label == 0 or host.tenant not in context.clients_of(service):
                continue
            for address in host.addresses:
                where = key(
                    "classifier",
                    _LABELLED_RESPONSE,
                    service=Ternary(number, 0xFFFF),
                    direction=Ternary(_DIRECTIONS[Direction.RESPONSE], 3),
                    dst_addr=Ternary(mapped(address), _ALL),
                )
                labelled = _classify(CLASS_OF[service.traffic_class], label, service.deadline)
                state[where] = action("classify", **labelled)
    for name, dscp in DSCP.items():
        where = key("classifier", _DSCP, dscp=Ternary(dscp, 0x3F))
        state[where] = action("classify", **_classify(CLASS_OF[name]))
    return state


def _direct(context: Context, service: Service, values: dict[str, int]) -> State:
    """Requests to instances themselves, and their answers: treated as the service's."""
    state: State = {}
    for instance in context.model.instances_of(service.name):
        for address in context.model.host[instance.host].addresses:
            host = Ternary(mapped(address), _ALL)
            port = Ternary(service.port, 0xFFFF)
            protocol = Ternary(TCP, 0xFF)
            to = key("classifier", _SERVICE, dst_addr=host, protocol=protocol, dst_port=port)
            back = key("classifier", _SERVICE, src_addr=host, protocol=protocol, src_port=port)
            state[to] = state[back] = action("classify", **values)
    return state


def watchlist(context: Context) -> State:
    """INT and token metrics. The first that matches counts."""
    state: State = {}
    for place, watch in enumerate(context.model.telemetry.watch):
        match: dict[str, Match] = {}
        if watch.service is not None:
            match["service"] = Ternary(context.ids.of("service", watch.service), 0xFFFF)
        if watch.tenant is not None:
            match["tenant"] = Ternary(context.ids.of("tenant", watch.tenant), 0xFFFF)
        if watch.label is not None:
            match["label"] = Ternary(context.ids.label(watch.label), 0xFF)
        if watch.traffic_class is not None:
            match["class_id"] = Ternary(CLASS_OF[watch.traffic_class], 0xFF)
        if watch.direction is not None:
            match["direction"] = Ternary(_DIRECTIONS[watch.direction], 3)
        priority = len(context.model.telemetry.watch) - place
        state[key("watchlist", priority, **match)] = action(
            "watch",
            instructions=int(Instruction.DEFAULT) if watch.hops else 0,
            hop_ml=_HOP_WORDS if watch.hops else 0,
            hops=watch.hops,
            tokens=int(watch.tokens),
        )
    return state


def option_keys(context: Context, switch: str) -> State:
    """Of the tenants that have hosts here."""
    state: State = {}
    here = {host.tenant for _, host in context.hosts(switch)}
    for (tenant, key_id, epoch), (secret, classes) in context.secrets.keys.items():
        if tenant in here:
            where = key("option_keys", tenant=context.ids.of("tenant", tenant), key_id=key_id, epoch=epoch)
            state[where] = action("set_key", key=int.from_bytes(secret, "big"), classes=classes)
    return state
