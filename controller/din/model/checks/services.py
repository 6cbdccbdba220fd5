# SPDX-License-Identifier: Apache-2.0
"""Services and the instances that answer for them: whether each can, and for everyone who may ask."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from din.model.network import Model
from din.model.problem import Path, Problem, Severity
from din.model.service import Instance, InstanceRole, Service, Variant


def variant_of(model: Model, instance: Instance) -> Variant | None:
    """None: the model does not say."""
    service = model.service.get(instance.service)
    family = next((each for each in model.models if service and each.name == service.model), None)
    return next((each for each in family.variants if each.name == instance.variant), None) if family else None


def check_names_served(model: Model) -> Iterator[Problem]:
    """DNS names are names (RFC 1035, 2.3.4), and of one service."""
    taken: dict[str, str] = {}
    for index, service in enumerate(model.services):
        at: Path = ("services", index, "dns")
        labels = service.dns.split(".")
        if len(service.dns) > 253 or any(len(label) > 63 for label in labels):
            yield Problem(at, "too long", "63 characters between dots, 253 in all")
        if any(label.startswith("-") or label.endswith("-") for label in labels):
            yield Problem(at, "a hyphen beside a dot or at an end", "as in chat.din.example")
        if (other := taken.setdefault(service.dns, service.name)) != service.name:
            yield Problem(at, f"{service.dns} is {other}, too", "a name for each service")
        if not service.served_model.strip():
            yield Problem(("services", index, "served_model"), "empty", "what clients ask for as model")


def check_instances(model: Model) -> Iterator[Problem]:
    """Each service has somebody to answer, once a host."""
    for index, service in enumerate(model.services):
        roles = {instance.role for instance in model.instances_of(service.name)}
        at: Path = ("services", index)
        if not roles:
            yield Problem(at, f"no instance serves {service.name}", f"one with service: {service.name}")
        elif InstanceRole.BOTH not in roles and len(roles) == 1:
            missing = {InstanceRole.PREFILL: "decode", InstanceRole.DECODE: "prefill"}[next(iter(roles))]
            message = f"all instances of {service.name} are for {next(iter(roles))} alone"
            yield Problem(at, message, f"one with role: {missing}, or both")
    yield from _hosts(model)
    yield from _rewritten(model)


def _hosts(model: Model) -> Iterator[Problem]:
    """Of instances: the provider's, and of one instance of a service."""
    first: dict[tuple[str, str], str] = {}
    for index, instance in enumerate(model.instances):
        other = first.setdefault((instance.service, instance.host), instance.name)
        if other != instance.name:
            message = f"{instance.host} serves {instance.service} already, by {other}"
            yield Problem(("instances", index, "host"), message, "a host is one instance of a service")
        service, host = model.service.get(instance.service), model.host.get(instance.host)
        if service and host and host.tenant != service.tenant:
            message = f"{host.name} is {host.tenant}'s, and {service.name} is provided by {service.tenant}"
            yield Problem(("instances", index, "host"), message, f"name a host of {service.tenant}")


def check_urls(model: Model) -> Iterator[Problem]:
    """Where a server is asked, once the host's address and the port are in their places."""
    measured: dict[tuple[str, str], str] = {}
    for index, instance in enumerate(model.instances):
        service = model.service.get(instance.service)
        for field in ("metrics", "health", "models"):
            url = getattr(instance, field).replace("{management}", "192.0.2.1")
            url = url.replace("{port}", str(service.port) if service else "1")
            if (
                field == "metrics"
                and measured.setdefault((instance.host, url), instance.name) != instance.name
            ):
                message = f"{measured[instance.host, url]} on {instance.host} is measured by the same page"
                hint = "if they are two servers, give each its own"
                yield Problem(("instances", index, field), message, hint, Severity.WARNING)
            try:
                parts = urlsplit(url)
                is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            except ValueError:
                is_url = False
            if not is_url or "{" in url or re.search(r"\s", url):
                hint = f"as in {Instance.model_fields[field].default}"
                yield Problem(("instances", index, field), "not the URL of a page", hint)


def _rewritten(model: Model) -> Iterator[Problem]:
    """What leaves a host from its own address and one port is one service's."""
    first: dict[tuple[str, int], str] = {}
    for index, instance in enumerate(model.instances):
        service = model.service.get(instance.service)
        if service is None or not instance.rewrite:
            continue
        other = first.setdefault((instance.host, service.port), instance.name)
        if other != instance.name:
            message = f"{other} on {instance.host} answers from port {service.port} as well"
            yield Problem(
                ("instances", index, "rewrite"), message, "use another host, or a service of another port"
            )


def check_variants(model: Model) -> Iterator[Problem]:
    """An instance's variant can stand in for any other that its service's clients might meet."""
    chosen: dict[str, str] = {}
    for index, instance in enumerate(model.instances):
        service, variant = model.service.get(instance.service), variant_of(model, instance)
        if service is None or variant is None:
            continue
        at: Path = ("instances", index, "variant")
        if missing := sorted(set(service.features) - set(variant.features)):
            message = f"{variant.name} cannot stand in: {service.name} needs {', '.join(missing)}"
            yield Problem(at, message, "add it to the variant's features, or take it from the service's")
        if variant.context < service.min_context:
            message = f"{variant.name} cannot stand in: its context is {variant.context} tokens"
            yield Problem(at, message, f"{service.name} needs {service.min_context}")
        if service.choose_variant:
            continue
        wanted = service.variant or chosen.setdefault(service.name, instance.variant)
        if instance.variant != wanted:
            message = f"{service.name} is {wanted} alone, and this is {instance.variant}"
            yield Problem(at, message, "choose_variant: true lets the network choose")
    for index, service in enumerate(model.services):
        yield from _choice(model, ("services", index), service)


def _choice(model: Model, at: Path, service: Service) -> Iterator[Problem]:
    if not service.choose_variant:
        return
    if service.variant:
        message = f"choose_variant lets the network choose, so {service.variant} means nothing"
        yield Problem((*at, "variant"), message, "leave one of them out", Severity.WARNING)
    family = next((each for each in model.models if each.name == service.model), None)
    variants = {instance.variant for instance in model.instances_of(service.name)}
    if family and not family.tokenizer and len(variants) > 1:
        message = f"variants of {family.name} are chosen among, and its tokenizer is not said"
        hint = "variants stand in for each other if they count the same tokens: give models[].tokenizer"
        yield Problem((*at, "choose_variant"), message, hint, Severity.WARNING)


def check_clients(model: Model) -> Iterator[Problem]:
    """Who asks may ask, with the label it bears, and does not ask itself."""
    for index, demand in enumerate(model.demand):
        service = model.service.get(demand.service)
        if service is None:
            continue
        at: Path = ("demand", index)
        yield from _may(
            service, (*at, "tenant"), demand.tenant or service.tenant, (*at, "label"), demand.label
        )
        if demand.site in model.site and not _leaves_at(model, demand.site):
            yield Problem((*at, "site"), f"no leaf is at {demand.site}", "its clients would have no network")
        yield from _itself(
            model, (*at, "site"), service, _askers(model, demand.site, demand.tenant or service.tenant)
        )
    comparison = model.emulation.comparison
    for index, load in enumerate(comparison.loads if comparison else []):
        service, host = model.service.get(load.service), model.host.get(load.host)
        if service is None or host is None:
            continue
        at = ("emulation", "comparison", "loads", index, "host")
        yield from _may(service, at, host.tenant, at, host.label)
        yield from _itself(model, at, service, {host.name})
        if not {address.version for address in service.addresses} & {each.version for each in host.addresses}:
            message = f"{host.name} has no address of the kind that {service.name} has"
            yield Problem(at, message, "give one of them an address of the other's kind")
        leaf = model.switch.get(host.leaf)
        if leaf and leaf.site != load.site:
            yield Problem(
                at, f"{host.name} is at {leaf.site}, and the load at {load.site}", "name a host there"
            )


def _may(service: Service, at: Path, tenant: str, label_at: Path, label: str | None) -> Iterator[Problem]:
    if tenant not in (service.tenant, *service.clients):
        yield Problem(at, f"{tenant} may not use {service.name}", f"add it to the clients of {service.name}")
    if label not in (None, "public", *service.labels):
        message = f"{service.name} takes no requests labelled {label}"
        yield Problem(label_at, message, f"add it to the labels of {service.name}")


def _leaves_at(model: Model, site: str) -> set[str]:
    return {switch.name for switch in model.switches if switch.site == site and switch.role == "leaf"}


def _askers(model: Model, site: str, tenant: str) -> set[str]:
    leaves = _leaves_at(model, site)
    return {host.name for host in model.hosts if host.leaf in leaves and host.tenant == tenant}


def _itself(model: Model, at: Path, service: Service, hosts: set[str]) -> Iterator[Problem]:
    """Where every asker has the service's address on its own loopback interface."""
    serving = {instance.host for instance in model.instances_of(service.name) if not instance.rewrite}
    if hosts and hosts <= serving:
        message = f"{', '.join(sorted(hosts))} asks {service.name} and is an instance of it"
        yield Problem(at, message, "its calls would never leave it: let another host ask")
