# SPDX-License-Identifier: Apache-2.0
"""What is to be steered: everything that may come from a leaf to a service, sorted by what it may be
treated by.
"""

from __future__ import annotations

from din.model.network import Model
from din.model.service import Service
from din.model.wiring import Wiring

from .bounds import unlabelled
from .plan import Aggregate


def aggregates(model: Model, wiring: Wiring) -> list[Aggregate]:
    """Sorted. One for each (leaf with hosts of a permitted tenant, service, class, tenant, label).

    Classes are the service's, and those that a key of the tenant may claim. Labels are none and the
    service's, but hosts whose label is mandatory bear no other. A host that answers for a service is no
    client of it.
    """
    return sorted(
        {
            Aggregate(leaf.name, service.name, tenant, traffic_class, label)
            for leaf in model.switches
            for service in model.services
            for tenant in (service.tenant, *service.clients)
            for label in _labels(model, wiring, leaf.name, service, tenant)
            for traffic_class in _classes(model, service, tenant)
        }
    )


def _labels(model: Model, wiring: Wiring, leaf: str, service: Service, tenant: str) -> set[str]:
    """That requests of the tenant's hosts there may bear; empty without hosts."""
    servers = {each.host for each in model.instances_of(service.name)}
    permitted = {"", *map(unlabelled, service.labels)}
    found: set[str] = set()
    for host in wiring.hosts_of(leaf):
        if host.tenant == tenant and host.name not in servers:
            found |= permitted & {unlabelled(host.label)} if host.label_mandatory else permitted
    return found


def _classes(model: Model, service: Service, tenant: str) -> set[str]:
    keys = (key for each in model.tenants if each.name == tenant for key in each.keys)
    return {service.traffic_class.value, *(claimed.value for key in keys for claimed in key.classes)}
