# SPDX-License-Identifier: Apache-2.0
"""Switches for the tests of the data plane: see `tests.dataplane.harness`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from tests.dataplane.harness import Fabric, MakeFabric, Node, P4jitNode, Program
from tests.dataplane.harness.bmv2 import Bmv2Pool, available

TARGETS = ["p4jit", "bmv2"]


@pytest.fixture(scope="session", autouse=True)
def _quick_stops() -> Iterator[None]:
    """A server waits for its devices' event threads to end: have them look more often whether they should."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("p4jit.p4runtime.controlled._POLL_SECONDS", 0.01)
        yield


@pytest.fixture(scope="session")
def program() -> Program:
    """What the nodes run. A test file that tests with another program overrides this."""
    return Program.din()


@pytest.fixture(scope="session")
def bmv2_pool() -> Iterator[Bmv2Pool]:
    missing = available()
    if missing is not None:
        pytest.skip(missing)
    with closing(Bmv2Pool()) as pool:
        yield pool


@pytest.fixture(params=TARGETS)
def node(request: pytest.FixtureRequest, program: Program) -> Iterator[Node]:
    if request.param == "bmv2":
        pool: Bmv2Pool = request.getfixturevalue("bmv2_pool")
        yield pool.node(0, "switch", program)
    else:
        with P4jitNode(program) as node:
            yield node


@pytest.fixture
def embedded(program: Program) -> Iterator[P4jitNode]:
    with P4jitNode(program) as node:
        yield node


@pytest.fixture(params=TARGETS)
def make_fabric(request: pytest.FixtureRequest, program: Program) -> Iterator[MakeFabric]:
    pool = request.getfixturevalue("bmv2_pool") if request.param == "bmv2" else None
    yield from _fabrics(program, pool)


@pytest.fixture
def make_embedded_fabric(program: Program) -> Iterator[MakeFabric]:
    yield from _fabrics(program, None)


def _fabrics(program: Program, pool: Bmv2Pool | None) -> Iterator[MakeFabric]:
    with ExitStack() as stack:

        def make(*names: str) -> Fabric:
            fabric = Fabric()
            for index, name in enumerate(names):
                if pool is not None:
                    fabric.add(pool.node(index, name, program))
                else:
                    fabric.add(stack.enter_context(P4jitNode(program, name)))
            return fabric

        yield make
