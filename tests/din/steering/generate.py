# SPDX-License-Identifier: Apache-2.0
"""Models and measurements of every kind, from a number: what laws are held against."""

from __future__ import annotations

from random import Random
from typing import Any

from din.measure.state import Connections, InstanceState, LinkState, Load, Measured
from din.model.network import Model
from din.model.wiring import Wiring
from din.steering.aggregates import aggregates
from din.steering.decide import decide
from din.steering.plan import Plan

from tests.din.steering.build import host, instance, link, model, service


def random_model(random: Random) -> Model:
    zones = ["x", "y", "w"]
    names = [f"n{k}" for k in range(random.randrange(2, 9))]
    where = {name: random.choice(zones) for name in names}
    hosts = [
        host(
            f"h{k}",
            random.choice(names),
            random.choice(["acme", "other"]),
            addresses=[f"10.0.{k}.1/24"],
            **random.choice([{}, {}, {"label": "secret"}, {"label": "secret", "label_mandatory": True}]),
        )
        for k in range(random.randrange(2, 12))
    ]
    policies: list[dict[str, Any]] = [
        random.choice(
            [{}, {"tenant": "other"}, {"label": "secret"}, {"label": "public"}, {"service": "chat"}]
        )
        | random.choice(
            [
                {"zones": random.sample(zones, 2)},
                {"encrypted": True},
                {"latency_budget": "9ms"},
                {"quality_floor": 0.8},
                {"cost_ceiling": 2.0},
            ]
        )
        for _ in range(random.randrange(3))
    ]
    return model(
        {zone: [name for name in names if where[name] == zone] for zone in zones},
        [
            link(*random.sample(names, 2), f"{random.randrange(6)}ms", encrypted=random.random() < 0.7)
            for _ in range(random.randrange(1, 16))
        ],
        hosts,
        services=[
            service(clients=["other"], labels=["secret"], choose_variant=random.random() < 0.5),
            service("code", addresses=["10.9.0.2"]),
        ],
        instances=[
            instance(
                f"i{k}",
                random.choice(hosts)["name"],
                random.choice(["chat", "code"]),
                random.choice(["small", "large"]),
                role=random.choice(["both", "both", "prefill", "decode"]),
                slots=random.choice([None, 8]),
            )
            for k in range(random.randrange(8))
        ],
        labels=[{"name": "secret", "zones": random.sample(zones, 2), "encrypted": random.random() < 0.4}],
        policies=policies,
        telemetry={"collectors": [{"name": "c", "host": hosts[0]["name"], "labels": ["secret"]}]},
        steering={
            "instances": random.choice(["din", "din", "equal", "nearest", "client"]),
            "paths": random.choice(["din", "shortest"]),
        },
    )


def random_measured(random: Random, of: Model, now: float) -> Measured:
    def state() -> InstanceState:
        def some(value: float) -> float | None:
            return value if random.random() < 0.8 else None

        return InstanceState(
            random.choice([True, True, True, None, False]),
            "",
            random.choice(
                [
                    None,
                    Load(
                        now - random.uniform(0, 5),
                        some(random.randrange(20)),
                        some(random.randrange(9)),
                        requests_per_second=some(random.uniform(0, 9)),
                        prefill_time=some(0.1),
                    ),
                ]
            ),
            random.choice([None, Connections(now - random.uniform(0, 5), random.randrange(30), 0, 2.0)]),
        )

    wiring = Wiring(of)
    return Measured(
        now,
        {each.name: state() for each in of.instances},
        {hop.key: LinkState(random.random() < 0.9, now, random.uniform(0, 20_000)) for hop in wiring.hops},
        {(name, "chat"): random.uniform(0, 5) for name in of.switch if random.random() < 0.7},
    )


def history(seed: int) -> list[tuple[Model, Measured, frozenset[str], Plan]]:
    """A few decisions, each on the one before it."""
    random = Random(seed)
    of, found, before = random_model(random), [], None
    wiring = Wiring(of)
    wanted = aggregates(of, wiring)
    for now in range(3):
        measured = random_measured(random, of, float(now))
        drained = frozenset(each.name for each in of.instances if random.random() < 0.1)
        before = decide(of, wiring, wanted, measured, before, drained, float(now))
        found.append((of, measured, drained, before))
    return found
