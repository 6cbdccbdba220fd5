# SPDX-License-Identifier: Apache-2.0
"""Whom to ask: the URLs of a model's instances, as the controller reaches them."""

from __future__ import annotations

from typing import Final

from din.model.service import Instance
from din.model.wiring import Wiring

from .scrape import Target

_ADDRESS: Final = "{management}"
_PORT: Final = "{port}"


def url(template: str, instance: Instance, wiring: Wiring) -> str:
    """``template`` with the management address of the instance's host, and its service's port."""
    found = template.replace(_PORT, str(wiring.model.service[instance.service].port))
    if _ADDRESS not in found:
        return found
    return found.replace(_ADDRESS, str(wiring.management_address(instance.host)))


def metrics(wiring: Wiring) -> dict[str, Target]:
    """By instance, for `Scraper.set`."""
    return {
        each.name: Target(url(each.metrics, each, wiring), each.server) for each in wiring.model.instances
    }


def health(wiring: Wiring) -> dict[str, str]:
    """By instance, for `Prober.set`."""
    return {each.name: url(each.health, each, wiring) for each in wiring.model.instances}
