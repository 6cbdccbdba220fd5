# SPDX-License-Identifier: Apache-2.0
"""Names: each given once, and each that is used given."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from din.model.base import Record
from din.model.emulated import Event, EventKind
from din.model.ids import PUBLIC, RANGES
from din.model.network import Model
from din.model.problem import Path, Problem, nearest
from din.model.topology import Role


def check_names(model: Model) -> Iterator[Problem]:
    """Twice the same name, a name that has a meaning already, more names than numbers."""
    kinds: dict[str, tuple[Path, Iterable[Record]]] = {
        "zone": (("zones",), model.zones),
        "site": (("sites",), model.sites),
        "node": (("switches",), model.switches),
        "tenant": (("tenants",), model.tenants),
        "host": (("hosts",), model.hosts),
        "label": (("labels",), model.labels),
        "model": (("models",), model.models),
        "service": (("services",), model.services),
        "instance": (("instances",), model.instances),
        "collector": (("telemetry", "collectors"), model.telemetry.collectors),
        "profile": (("emulation", "profiles"), model.emulation.profiles),
    }
    if comparison := model.emulation.comparison:
        kinds["phase"] = (("emulation", "comparison", "phases"), comparison.phases)
        kinds["arm"] = (("emulation", "comparison", "arms"), comparison.arms)
    for index, family in enumerate(model.models):
        kinds[f"variant {index}"] = (("models", index, "variants"), family.variants)
    for kind, (at, records) in kinds.items():
        names = [str(record.name) for record in records]  # type: ignore[attr-defined]
        yield from _once(at, names)
        lowest, highest = RANGES.get(kind, (0, len(names)))
        if len(names) > highest - lowest + 1:
            yield Problem(at, f"{len(names)} of them", f"the data plane has room for {highest - lowest + 1}")
    for index, host in enumerate(model.hosts):
        if host.name in model.switch:
            yield Problem(
                ("hosts", index, "name"), f"{host.name} is a switch's name, too", "name it otherwise"
            )
    for index, label in enumerate(model.labels):
        if label.name == PUBLIC:
            at = ("labels", index, "name")
            yield Problem(at, f"{PUBLIC} is what has no label, and may go everywhere", "name it otherwise")
    for index, tenant in enumerate(model.tenants):
        yield from _once(("tenants", index, "keys"), [str(key.id) for key in tenant.keys], "id")


def _once(at: Path, names: list[str], field: str = "name") -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        if name in first:
            where = Problem((*at, first[name]), "").field
            yield Problem((*at, index, field), f"{name} is given twice", f"{where} has it, too")
        first.setdefault(name, index)


def check_references(model: Model) -> Iterator[Problem]:
    """Names that are used and not given."""
    return (problem for part in (_topology, _services, _policies, _emulation) for problem in part(model))


def _refer(at: Path, kind: str, known: Collection[str], *names: str | None) -> Iterator[Problem]:
    for name in names:
        if name is not None and name not in known:
            yield Problem(at, f"there is no {kind} {name}", nearest(name, known))


def _refer_all(at: Path, kind: str, known: Collection[str], names: Iterable[str]) -> Iterator[Problem]:
    for index, name in enumerate(names):
        yield from _refer((*at, index), kind, known, name)


def _topology(model: Model) -> Iterator[Problem]:
    zones = [zone.name for zone in model.zones]
    tenants = [tenant.name for tenant in model.tenants]
    leaves = [switch.name for switch in model.switches if switch.role is Role.LEAF]
    for index, site in enumerate(model.sites):
        yield from _refer(("sites", index, "zone"), "zone", zones, site.zone)
    for index, switch in enumerate(model.switches):
        yield from _refer(("switches", index, "site"), "site", model.site, switch.site)
    for index, link in enumerate(model.links):
        ends = [end.partition(":")[0] for end in link.between]
        yield from _refer_all(("links", index, "between"), "switch", model.switch, ends)
    for index, host in enumerate(model.hosts):
        if host.leaf in model.switch and host.leaf not in leaves:
            message = f"{host.leaf} is a transit node, and hosts are at leaves"
            yield Problem(("hosts", index, "leaf"), message, nearest(host.leaf, leaves))
        else:
            yield from _refer(("hosts", index, "leaf"), "leaf", leaves, host.leaf)
        yield from _refer(("hosts", index, "tenant"), "tenant", tenants, host.tenant)
        yield from _label(model, ("hosts", index, "label"), host.label)
    for index, label in enumerate(model.labels):
        yield from _refer_all(("labels", index, "zones"), "zone", zones, label.zones)


def _label(model: Model, at: Path, *names: str | None) -> Iterator[Problem]:
    return _refer(at, "label", [PUBLIC, *model.label], *names)


def _services(model: Model) -> Iterator[Problem]:
    tenants = [tenant.name for tenant in model.tenants]
    variants = {family.name: [variant.name for variant in family.variants] for family in model.models}
    for index, service in enumerate(model.services):
        at: Path = ("services", index)
        yield from _refer((*at, "tenant"), "tenant", tenants, service.tenant)
        yield from _refer_all((*at, "clients"), "tenant", tenants, service.clients)
        yield from _refer((*at, "model"), "model family", variants, service.model)
        if service.model in variants:
            kind = f"variant of {service.model}"
            yield from _refer((*at, "variant"), kind, variants[service.model], service.variant)
        for label_index, label in enumerate(service.labels):
            yield from _label(model, (*at, "labels", label_index), label)
    profiles = [profile.name for profile in model.emulation.profiles]
    for index, instance in enumerate(model.instances):
        at = ("instances", index)
        yield from _refer((*at, "service"), "service", model.service, instance.service)
        yield from _refer((*at, "host"), "host", model.host, instance.host)
        yield from _refer((*at, "profile"), "profile in emulation.profiles", profiles, instance.profile)
        serves = model.service.get(instance.service)
        if serves and serves.model in variants:
            kind = f"variant of {serves.model}"
            yield from _refer((*at, "variant"), kind, variants[serves.model], instance.variant)


def _policies(model: Model) -> Iterator[Problem]:
    tenants = [tenant.name for tenant in model.tenants]
    zones = [zone.name for zone in model.zones]
    for index, policy in enumerate(model.policies):
        at: Path = ("policies", index)
        yield from _refer((*at, "service"), "service", model.service, policy.service)
        yield from _refer((*at, "tenant"), "tenant", tenants, policy.tenant)
        yield from _label(model, (*at, "label"), policy.label)
        yield from _refer_all((*at, "zones"), "zone", zones, policy.zones or [])
    for index, demand in enumerate(model.demand):
        at = ("demand", index)
        yield from _refer((*at, "site"), "site", model.site, demand.site)
        yield from _refer((*at, "service"), "service", model.service, demand.service)
        yield from _refer((*at, "tenant"), "tenant", tenants, demand.tenant)
        yield from _label(model, (*at, "label"), demand.label)
    for index, watch in enumerate(model.telemetry.watch):
        at = ("telemetry", "watch", index)
        yield from _refer((*at, "service"), "service", model.service, watch.service)
        yield from _refer((*at, "tenant"), "tenant", tenants, watch.tenant)
        yield from _label(model, (*at, "label"), watch.label)
    for index, collector in enumerate(model.telemetry.collectors):
        at = ("telemetry", "collectors", index)
        yield from _refer((*at, "host"), "host", model.host, collector.host)
        for label_index, label in enumerate(collector.labels):
            yield from _label(model, (*at, "labels", label_index), label)


def _emulation(model: Model) -> Iterator[Problem]:
    comparison = model.emulation.comparison
    if comparison is None:
        return
    for index, load in enumerate(comparison.loads):
        at: Path = ("emulation", "comparison", "loads", index)
        yield from _refer((*at, "site"), "site", model.site, load.site)
        yield from _refer((*at, "service"), "service", model.service, load.service)
        yield from _refer((*at, "host"), "host", model.host, load.host)
    for phase_index, phase in enumerate(comparison.phases):
        for index, event in enumerate(phase.events):
            yield from _event(
                model, ("emulation", "comparison", "phases", phase_index, "events", index), event
            )


#: What an event of a kind is made of.
_NEEDS = {
    EventKind.CONGESTED_LINK: ("link", "rate", "source", "sink"),
    EventKind.SLOW_SERVER: ("instance", "slowdown"),
    EventKind.FAILED_LINK: ("link",),
}


def _event(model: Model, at: Path, event: Event) -> Iterator[Problem]:
    for field in _NEEDS[event.kind]:
        if field not in event.model_fields_set:
            yield Problem((*at, field), "missing", f"a {event.kind} has {', '.join(_NEEDS[event.kind])}")
    may = {*_NEEDS[event.kind], *(("traffic_class",) if event.kind is EventKind.CONGESTED_LINK else ())}
    for field in sorted(event.model_fields_set - {"kind", *may}):
        yield Problem((*at, field), f"means nothing to a {event.kind}", "leave it out")
    yield from _refer((*at, "instance"), "instance", model.instance, event.instance)
    yield from _refer((*at, "source"), "host", model.host, event.source)
    yield from _refer((*at, "sink"), "host", model.host, event.sink)
    if event.link:
        yield from _refer_all((*at, "link"), "switch", model.switch, event.link)
        between = [{end.partition(":")[0] for end in link.between} for link in model.links]
        if set(event.link) not in between and all(end in model.switch for end in event.link):
            neighbours = {
                name for ends in between if event.link[0] in ends for name in ends - {event.link[0]}
            }
            message = f"no link is between {event.link[0]} and {event.link[1]}"
            yield Problem((*at, "link"), message, f"from {event.link[0]}: {', '.join(sorted(neighbours))}")
