# SPDX-License-Identifier: Apache-2.0
"""What the program cannot hold is told before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest
from din.model.check import check
from din.model.document import Document
from din.model.ids import RANGES
from din.model.load import build
from din.model.network import Model
from din.p4rt.canonical import BadStateError
from din.p4rt.compile import room
from din.p4rt.compile.room import check_room
from din.p4rt.program import default_program

PROGRAM = default_program()


def fabric(services: int = 1, clients: int = 2, spines: int = 1, **more: Any) -> Model:
    """Two leaves; the server of all services is at the second."""
    leaves = [f"leaf-{n}" for n in (1, 2)]
    data: dict[str, Any] = {
        "version": 1,
        "name": "fabric",
        "zones": [{"name": "here"}],
        "sites": [{"name": "here", "zone": "here"}],
        "switches": [
            *(
                {"name": leaf, "site": "here", "role": "leaf", "gateways": [f"10.{n}.0.1/16"]}
                for n, leaf in enumerate(leaves, 1)
            ),
            *({"name": f"spine-{n}", "site": "here", "role": "transit"} for n in range(spines)),
        ],
        "links": [
            {"between": [leaf, f"spine-{n}"], "rate": "1Gbit", "delay": "1ms"}
            for leaf in leaves
            for n in range(spines)
        ],
        "tenants": [{"name": "acme"}],
        "management": {"network": "172.16.0.0/16"},
        "hosts": [
            {"name": "server", "leaf": "leaf-2", "tenant": "acme", "addresses": ["10.2.0.9/16"]},
            *(
                {
                    "name": f"client-{n}",
                    "leaf": "leaf-1",
                    "tenant": "acme",
                    "addresses": [f"10.1.{n // 200 + 1}.{n % 200}/16"],
                }
                for n in range(clients)
            ),
        ],
        "models": [
            {
                "name": "m",
                "tokenizer": "t",
                "variants": [{"name": "v", "quality": 1, "context": 1, "cost": 1}],
            }
        ],
        "services": [
            {
                "name": f"s{n}",
                "tenant": "acme",
                "addresses": [f"10.9.{n // 200}.{n % 200 + 1}"],
                "dns": f"s{n}.example",
                "model": "m",
                "served_model": "m",
                "slo": {"ttft": "1s", "tpot": "1s"},
            }
            for n in range(services)
        ],
        "instances": [
            {
                "name": f"i{n}",
                "service": f"s{n}",
                "host": "server",
                "variant": "v",
                "metrics": f"http://{{management}}:{9000 + n}/metrics",
            }
            for n in range(services)
        ],
    }
    made = build(Document("fabric", data | more))
    assert check(made) == []
    return made


def told(model: Model) -> list[str]:
    return [str(each) for each in check_room(model, PROGRAM)]


def test_what_just_fits() -> None:
    assert told(fabric(services=128)) == []


def test_steering_groups() -> None:
    assert told(fabric(services=129)) == [
        "switches[0]: leaf-1 has 129 steering groups, and the program room for 128; "
        "a service takes one for each tenant, label and class that hosts there may ask with"
    ]


def test_a_table_and_who_fills_it() -> None:
    """Labelled hosts, times the services that they may use, are in the classifier of the servers' leaf."""
    hosts = [
        {**each.model_dump(mode="json", include={"name", "leaf", "tenant", "addresses"}), "label": "secret"}
        for each in fabric(clients=100).hosts
    ]
    more = {"hosts": hosts, "labels": [{"name": "secret", "zones": ["here"]}]}
    (only,) = told(fabric(services=41, **more))
    assert only.startswith(
        "switches[1]: leaf-2 has 4226 entries of classifier, and the program room for 4096;"
    )
    assert "one for each address of a host with a label" in only


def test_what_is_alike_everywhere_is_told_where_it_is_written() -> None:
    watch = [{"service": "s0"}] * 1025
    collectors = [{"name": "c", "host": "client-0"}]
    more = {"telemetry": {"watch": watch, "collectors": collectors}}
    assert told(fabric(**more)) == [
        "telemetry.watch: leaf-2 has 1025 entries of watchlist, and the program room for 1024 "
        "(2 switches have too many); an item of telemetry.watch takes one"
    ]


def test_equal_ways() -> None:
    assert told(fabric(spines=64)) == []
    assert [each.partition(";")[0] for each in told(fabric(spines=65))] == [
        f"switches[{n}]: leaf-{n + 1} has 65 equal ways to a node, and the program room for 64"
        for n in (0, 1)
    ]


@pytest.mark.parametrize(
    ("kind", "at", "message"),
    [
        ("group", "services", "more than 2 kinds of requests"),
        ("function/leaf-2", "switches[1]", "leaf-2 has more than 2 hosts and instances"),
    ],
)
def test_numbers(monkeypatch: pytest.MonkeyPatch, kind: str, at: str, message: str) -> None:
    if kind in RANGES:
        monkeypatch.setitem(RANGES, kind, (1, 2))  # type: ignore[arg-type]
    else:
        monkeypatch.setattr("din.model.ids.FUNCTIONS", (1, 2))
    # There are three groups; two hosts at leaf-1; a host and three instances at leaf-2.
    (only,) = check_room(fabric(services=3), PROGRAM)
    assert (only.field, only.message.startswith(message), bool(only.hint)) == (at, True, True)


def test_whatever_else_a_switch_would_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    model = fabric()

    def refuse(*_: object) -> None:
        raise BadStateError(["paths[kind=1]: action 'via': mtu=0x10000 does not fit 16 bits"])

    assert told(model) == []
    monkeypatch.setattr(room, "canonical", refuse)
    assert told(model)[0].startswith(
        "switches[0]: the program cannot hold what leaf-1 would have: paths[kind=1]: action 'via': mtu="
    )
