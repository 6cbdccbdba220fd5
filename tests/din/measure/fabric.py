# SPDX-License-Identifier: Apache-2.0
"""A model of two leaves and a spine, with three instances."""

from __future__ import annotations

from din.model.ids import Ids, assign
from din.model.network import Model
from din.model.wiring import Wiring


def model(instances: tuple[str, ...] = ("hq-0", "hq-1", "branch-0")) -> Model:
    def instance(name: str) -> dict[str, object]:
        return {"name": name, "service": "chat", "host": f"{name}-host", "variant": "small", "server": "vllm"}

    def host(name: str, number: int) -> dict[str, object]:
        leaf = name.split("-")[0]
        return {
            "name": f"{name}-host",
            "leaf": leaf,
            "tenant": "acme",
            "addresses": [f"10.{1 if leaf == 'hq' else 2}.0.{10 + number}/24"],
        }

    return Model.model_validate(
        {
            "version": 1,
            "name": "measured",
            "zones": [{"name": "inside"}],
            "sites": [{"name": "office", "zone": "inside"}],
            "switches": [
                {"name": "hq", "site": "office", "role": "leaf"},
                {"name": "branch", "site": "office", "role": "leaf"},
                {"name": "spine", "site": "office", "role": "transit"},
            ],
            "links": [
                {"between": ["hq", "spine"], "rate": "100Mbit", "delay": "2ms"},
                {"between": ["branch", "spine"], "rate": "100Mbit", "delay": "5ms"},
            ],
            "tenants": [{"name": "acme"}],
            "hosts": [host(name, number) for number, name in enumerate(instances)],
            "models": [
                {"name": "llama", "variants": [{"name": "small", "quality": 0.7, "context": 8192, "cost": 1}]}
            ],
            "services": [
                {
                    "name": "chat",
                    "tenant": "acme",
                    "addresses": ["203.0.113.1"],
                    "dns": "chat.example",
                    "model": "llama",
                    "served_model": "llama-3.1",
                    "slo": {"ttft": "500ms", "tpot": "30ms"},
                }
            ],
            "instances": [instance(name) for name in instances],
        }
    )


def ids(of: Model, before: Ids | None = None) -> Ids:
    return assign(of, groups=[], before=before)


def wiring(of: Model) -> Wiring:
    return Wiring(of)
