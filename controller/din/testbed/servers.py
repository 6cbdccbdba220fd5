# SPDX-License-Identifier: Apache-2.0
"""The command line of each instance's model server."""

from __future__ import annotations

import sys
from typing import Final

from din.model.dscp import DSCP
from din.model.network import Model
from din.model.service import Instance, InstanceRole, TrafficClassName
from din.model.wiring import Wiring

#: Where the controller takes spans (OTLP over HTTP).
OTLP_PORT: Final = 4318
_MICRO: Final = 1e6


def variant_context(model: Model, instance: Instance) -> int:
    """Tokens. KeyError: no such variant."""
    for family in model.models:
        for variant in family.variants:
            if variant.name == instance.variant:
                return variant.context
    raise KeyError(instance.variant)


def own_url(model: Model, instance: Instance) -> str:
    """Of the server itself, through the fabric: of its host, not of the service."""
    address = model.host[instance.host].addresses[0].ip
    host = f"[{address}]" if address.version == 6 else str(address)
    return f"http://{host}:{model.service[instance.service].port}"


def command(model: Model, wiring: Wiring, instance: Instance) -> list[str]:
    """For the instance's host. It asks the prefill servers of its service, if it only decodes."""
    service = model.service[instance.service]
    argv = [sys.executable, "-m", "din.inference.server", "--name", instance.name]
    argv += ["--served-model", service.served_model, "--context", str(variant_context(model, instance))]
    addresses = (*model.host[instance.host].addresses, *service.addresses)
    for version in sorted({each.version for each in addresses}):
        # A kernel without IPv6 has no such socket.
        argv += ["--listen", f"{'0.0.0.0' if version == 4 else '[::]'}:{service.port}"]
    argv += ["--admin", str(wiring.management_address(instance.host))]
    argv += [
        "--scale-rate",
        str(model.emulation.scale.rate),
        "--scale-bytes",
        str(model.emulation.scale.bytes),
    ]
    argv += ["--role", instance.role.value]
    argv += ["--connection-lifetime", str(service.connection_lifetime / _MICRO)]
    argv += ["--otlp-traces-endpoint", f"http://{wiring.controller_address}:{OTLP_PORT}/v1/traces"]
    for profile in model.emulation.profiles:
        if profile.name == instance.profile:
            argv += ["--profile", profile.model_dump_json()]
    if instance.role is not InstanceRole.BOTH:
        argv += ["--kv-dscp", str(DSCP[TrafficClassName.KV_TRANSFER])]
    if instance.role is InstanceRole.DECODE:
        for other in model.instances_of(service.name):
            if other.role is InstanceRole.PREFILL:
                argv += ["--prefill", own_url(model, other)]
    return argv
