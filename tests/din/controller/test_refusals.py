# SPDX-License-Identifier: Apache-2.0
"""What would be wrong in switches is refused, and nothing of it is taken."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from din.api.app import RefusedError
from din.api.schema import ApplyRequest, ModelText
from din.controller import controller as controller_module
from din.controller import operations as operations_module
from din.controller.controller import Controller
from din.controller.desired import prepare
from din.controller.operations import ControllerOperations
from din.controller.store import Store
from din.p4rt.compile import Context, compile_network
from din.p4rt.entry import State, action, key

from tests.din.p4rt.switches import free_address

FILE = Path(__file__).resolve().parents[3] / "topologies" / "skeleton.yaml"
MODEL = ModelText(text=FILE.read_text(), file=str(FILE))


@pytest.fixture
async def operations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ControllerOperations]:
    """Of a controller whose switches cannot be reached."""
    monkeypatch.setattr(controller_module, "STARTUP_SECONDS", 0.01)
    store = Store(tmp_path)
    desired = prepare(MODEL.text, MODEL.file, 1, None)
    nowhere = free_address()
    controller = Controller(store, desired, dict.fromkeys(desired.model.switch, nowhere))
    async with controller.running():
        yield ControllerOperations(controller)
    store.close()


def instead(monkeypatch: pytest.MonkeyPatch, change: Callable[[State], None]) -> None:
    """From now on, what is compiled for leaf-2 is another thing."""

    def compiled(context: Context) -> dict[str, State]:
        states = compile_network(context)
        change(states["leaf-2"])
        return states

    monkeypatch.setattr(operations_module, "compile_network", compiled)


async def test_what_refers_to_nothing(
    operations: ControllerOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forget_a_function(state: State) -> None:
        del state[key("functions", function=1)]

    instead(monkeypatch, forget_a_function)
    with pytest.raises(RefusedError) as refused:
        await operations.apply(ApplyRequest(model=MODEL, yes=True))
    assert refused.value.status == 422
    assert "leaf-2: segments[" in str(refused.value)
    assert "end_function refers to functions[function=1], which is not there" in str(refused.value)
    assert operations.revisions() == []


async def test_what_the_program_forbids(
    operations: ControllerOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    def a_class_that_is_none(state: State) -> None:
        state[key("classes", class_id=16)] = action("set_queue", queue=1)

    instead(monkeypatch, a_class_that_is_none)
    with pytest.raises(RefusedError) as refused:
        await operations.apply(ApplyRequest(model=MODEL, yes=True))
    assert refused.value.status == 422
    assert "class_id is 16 and must be below 16 (@entry_restriction of table classes)" in str(refused.value)
    assert operations.revisions() == []
