# SPDX-License-Identifier: Apache-2.0
"""Multicast groups and clone sessions against dictionaries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.p4jit.runtime.build import Driver, driver

MAX_PORTS, MAX_REPLICAS, MAX_BACKUPS = 512, 4096, 64


@pytest.fixture(scope="module")
def pre() -> Iterator[Driver]:
    with driver("replication", "replication") as running:
        yield running


@dataclass(frozen=True)
class Replica:
    """Copies in order of preference, the primary first, as (port, rid)."""

    copies: tuple[tuple[int, int], ...]

    def choose(self, up: set[int]) -> tuple[int, int]:
        if len(self.copies) == 1:
            return self.copies[0]
        return next((copy for copy in self.copies if copy[0] in up), self.copies[0])

    def __str__(self) -> str:
        return "/".join(f"{port}:{rid}" for port, rid in self.copies)


def replica_words(replicas: Sequence[Replica]) -> str:
    backups = sum(len(replica.copies) - 1 for replica in replicas)
    return " ".join(map(str, [len(replicas), backups, *replicas]))


def set_operation(
    kind: str, identifier: int, replicas: Sequence[Replica], class_of_service: int = 0, truncate: int = 0
) -> str:
    words = ["set", kind, identifier, class_of_service, truncate]
    return " ".join([*map(str, words), replica_words(replicas)])


def copies_answer(
    replicas: Sequence[Replica], up: set[int], class_of_service: int = 0, truncate: int = 0
) -> str:
    copies = [f"{port}:{rid}" for port, rid in (replica.choose(up) for replica in replicas)]
    return " ".join([str(class_of_service), str(truncate), *copies])


ports = st.integers(0, 11).map(lambda n: n if n < 10 else MAX_PORTS - 12 + n)
rids = st.integers(0, 3) | st.integers(0, 65535)
replicas = st.lists(st.tuples(ports, rids), min_size=1, max_size=4, unique_by=lambda c: c[0]).map(
    lambda copies: Replica(tuple(copies))
)
sets = st.lists(replicas, max_size=6, unique_by=lambda replica: replica.copies[0])
kinds = st.sampled_from(["group", "session"])
identifiers = st.sampled_from([1, 2, 255, 256, 257, 32767])
operations = st.lists(
    st.one_of(
        st.tuples(st.just("set"), kinds, identifiers, sets, st.integers(0, 7), st.integers(0, 2000)),
        st.tuples(st.just("delete"), kinds, identifiers),
        st.tuples(st.just("copies"), kinds, identifiers),
        st.tuples(st.just("up"), ports, st.booleans()),
        st.just(("clear",)),
    ),
    max_size=40,
)


@given(operations)
def test_behaves_like_dictionaries(pre: Driver, operations: list[tuple[object, ...]]) -> None:
    model: dict[tuple[str, int], tuple[list[Replica], int, int]] = {}
    up: set[int] = set()
    script, expected = [], []
    for operation in operations:
        match operation:
            case ("set", str(kind), int(identifier), list(members), int(service), int(truncate)):
                if kind == "group":
                    service = truncate = 0
                model[kind, identifier] = (members, service, truncate)
                script.append(set_operation(kind, identifier, members, service, truncate))
                expected.append("0")
            case ("delete", str(kind), int(identifier)):
                expected.append("0" if model.pop((kind, identifier), None) is not None else "-1")
                script.append(f"delete {kind} {identifier}")
            case ("copies", str(kind), int(identifier)):
                found = model.get((kind, identifier))
                script.append(f"copies {kind} {identifier}")
                expected.append("-" if found is None else copies_answer(found[0], up, *found[1:]))
            case ("up", int(port), bool(state)):
                (up.add if state else up.discard)(port)
                script.append(f"up {port} {int(state)}")
            case _:
                model.clear()
                script.append("clear")
    assert pre.run(script) == expected


def test_identifiers_are_bounded(pre: Driver) -> None:
    one = [Replica(((1, 0),))]
    script = [
        set_operation("group", 0, one),
        set_operation("group", 1, one),
        set_operation("group", 65535, one),
        set_operation("group", 65536, one),
        set_operation("session", 0, one),
        set_operation("session", 32767, one),
        set_operation("session", 32768, one),
        "copies group 65536",
        f"copies group {2**32 - 1}",
        f"delete session {2**32 - 1}",
    ]
    assert pre.run(script) == ["-1", "0", "0", "-1", "0", "0", "-1", "-", "-", "-1"]


@pytest.mark.parametrize(
    "refused",
    [
        pytest.param([Replica(((MAX_PORTS, 0),))], id="port"),
        pytest.param([Replica(((1, 0), (MAX_PORTS, 0)))], id="backup port"),
        pytest.param([Replica(((1, 7),)), Replica(((2, 7),)), Replica(((1, 7),))], id="duplicate"),
        pytest.param([Replica(((1, 0), (2, 0), (1, 1)))], id="backup is the primary's port"),
        pytest.param([Replica(((1, 0), (2, 0), (2, 1)))], id="one backup port twice"),
        pytest.param([Replica(tuple((p, 0) for p in range(MAX_BACKUPS + 2)))], id="backups"),
        pytest.param([Replica(((p % 512, p),)) for p in range(MAX_REPLICAS + 1)], id="replicas"),
    ],
)
def test_a_refused_set_leaves_the_old_one(pre: Driver, refused: list[Replica]) -> None:
    old = [Replica(((5, 1), (6, 2)))]
    script = [set_operation("group", 9, old), set_operation("group", 9, refused), "copies group 9"]
    assert pre.run(script) == ["0", "-1", copies_answer(old, set())]


def test_the_largest_group(pre: Driver) -> None:
    group = [Replica(((p % 512, p), ((p + 1) % 512, 9))) for p in range(MAX_REPLICAS)]
    script = [set_operation("group", 1, group), "up 1 1", "copies group 1"]
    assert pre.run(script) == ["0", copies_answer(group, {1})]


def test_backups_take_over_in_order_and_give_back(pre: Driver) -> None:
    group = [Replica(((18, 3), (19, 6), (20, 7)))]
    script = [
        set_operation("group", 1, group),
        *["up 18 1", "up 19 1", "up 20 1", "copies group 1"],
        *["up 18 0", "copies group 1"],
        *["up 19 0", "copies group 1"],
        *["up 20 0", "copies group 1"],
        *["up 18 1", "copies group 1"],
    ]
    assert [answer.split()[2] for answer in pre.run(script)[1:]] == ["18:3", "19:6", "20:7", "18:3", "18:3"]
