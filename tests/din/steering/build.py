# SPDX-License-Identifier: Apache-2.0
"""Small models for the tests: what a test is about is said in it, the rest is filled in here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from din.measure.state import Connections, InstanceState, LinkState, Load, Measured
from din.model.network import Model
from din.model.wiring import Wiring
from din.steering.aggregates import aggregates
from din.steering.decide import decide
from din.steering.plan import Aggregate, Plan


def link(a: str, b: str, delay: str = "1ms", **more: Any) -> dict[str, Any]:
    return {"between": [a, b], "rate": "1Gbit", "delay": delay, **more}


def host(name: str, leaf: str, tenant: str = "acme", **more: Any) -> dict[str, Any]:
    return {"name": name, "leaf": leaf, "tenant": tenant, "addresses": ["10.0.0.1/24"], **more}


def instance(
    name: str, on: str, service: str = "chat", variant: str = "small", **more: Any
) -> dict[str, Any]:
    return {"name": name, "service": service, "host": on, "variant": variant, **more}


def service(name: str = "chat", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "tenant": "acme",
        "addresses": ["10.9.0.1"],
        "dns": f"{name}.example",
        "model": "family",
        "served_model": name,
        "slo": {"ttft": "500ms", "tpot": "50ms"},
        **more,
    }


VARIANTS = [
    {"name": "small", "quality": 0.6, "context": 8192, "cost": 1.0, "features": ["tools"]},
    {"name": "large", "quality": 0.9, "context": 32768, "cost": 4.0, "features": ["tools", "vision"]},
]


def model(
    zones: dict[str, Iterable[str]],
    links: list[dict[str, Any]],
    hosts: list[dict[str, Any]] | None = None,
    transit: Iterable[str] = (),
    **more: Any,
) -> Model:
    """``zones``: zone -> its switches, each at a site of its own name."""
    switches = [(zone, switch) for zone, names in zones.items() for switch in names]
    return Model.model_validate(
        {
            "version": 1,
            "name": "test",
            "zones": [{"name": zone} for zone in zones],
            "sites": [{"name": f"at-{switch}", "zone": zone} for zone, switch in switches],
            "switches": [
                {"name": name, "site": f"at-{name}", "role": "transit" if name in set(transit) else "leaf"}
                for _, name in switches
            ],
            "links": links,
            "tenants": [{"name": "acme"}, {"name": "other"}],
            "hosts": hosts or [],
            "models": [{"name": "family", "variants": VARIANTS}],
            **more,
        }
    )


def triangle(**more: Any) -> Model:
    """A client at `a`; instances `near` at `b` (1 ms) and `far` at `c` (5 ms). `b` to `c`: 10 ms."""
    defaults: dict[str, Any] = {
        "zones": {"home": ["a", "b"], "abroad": ["c"]},
        "links": [link("a", "b"), link("a", "c", "5ms"), link("b", "c", "10ms")],
        "hosts": [host("client", "a"), host("hb", "b"), host("hc", "c")],
        "services": [service()],
        "instances": [instance("near", "hb"), instance("far", "hc")],
    }
    return model(**(defaults | more))


def plan(
    of: Model,
    measured: Measured | None = None,
    before: Plan | None = None,
    drained: Iterable[str] = (),
    now: float = 0.0,
) -> Plan:
    wiring = Wiring(of)
    return decide(of, wiring, aggregates(of, wiring), measured or Measured(), before, frozenset(drained), now)


def chat(label: str = "", leaf: str = "a", tenant: str = "acme") -> Aggregate:
    return Aggregate(leaf, "chat", tenant, "scheduled", label)


def busy(running: float, waiting: float, per_second: float, at: float = 0.0, **more: Any) -> InstanceState:
    """An instance that says how it is."""
    load = Load(at=at, running=running, waiting=waiting, requests_per_second=per_second, **more)
    return InstanceState(alive=True, load=load)


__all__ = [
    "Connections",
    "InstanceState",
    "LinkState",
    "Load",
    "Measured",
    "busy",
    "chat",
    "host",
    "instance",
    "link",
    "model",
    "plan",
    "service",
    "triangle",
]
