# SPDX-License-Identifier: Apache-2.0
"""The whole of it: what an operator wants the network to be."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

from pydantic import Field

from .base import Name, Record
from .emulated import Emulation
from .policy import Demand, Label, Policy, Steering, Telemetry
from .service import Instance, ModelFamily, Service, Tenant
from .topology import Fabric, Host, Link, Management, Site, Switch, Zone


class Model(Record):
    """Version 1 of the schema. Names are unique within their kind; `din.model.check` sees to what lies
    between them.
    """

    version: Literal[1]
    name: Name
    fabric: Fabric = Fabric()
    management: Management = Management()
    zones: list[Zone] = Field(min_length=1)
    sites: list[Site] = Field(min_length=1)
    switches: list[Switch] = Field(min_length=1)
    links: list[Link] = []
    tenants: list[Tenant] = Field(min_length=1)
    hosts: list[Host] = []
    labels: list[Label] = []
    models: list[ModelFamily] = []
    services: list[Service] = []
    instances: list[Instance] = []
    policies: list[Policy] = []
    demand: list[Demand] = []
    telemetry: Telemetry = Telemetry()
    steering: Steering = Steering()
    emulation: Emulation = Emulation()

    @cached_property
    def switch(self) -> dict[str, Switch]:
        return {each.name: each for each in self.switches}

    @cached_property
    def site(self) -> dict[str, Site]:
        return {each.name: each for each in self.sites}

    @cached_property
    def host(self) -> dict[str, Host]:
        return {each.name: each for each in self.hosts}

    @cached_property
    def service(self) -> dict[str, Service]:
        return {each.name: each for each in self.services}

    @cached_property
    def instance(self) -> dict[str, Instance]:
        return {each.name: each for each in self.instances}

    @cached_property
    def label(self) -> dict[str, Label]:
        return {each.name: each for each in self.labels}

    def zone_of(self, switch: str) -> str:
        """The zone of a switch, and of the hosts on it."""
        return self.site[self.switch[switch].site].zone

    def instances_of(self, service: str) -> list[Instance]:
        return [each for each in self.instances if each.service == service]
