# SPDX-License-Identifier: Apache-2.0
"""What tests need of any device beside its work: a record of what it was told, and faults on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

#: Methods of `DeviceInterface` that are recorded, and that can be made to fail.
_METHODS = (
    "load",
    "table_insert",
    "table_modify",
    "table_delete",
    "table_set_default",
    "table_reset_default",
    "entry_set_counter",
    "entry_set_meter",
    "member_add",
    "member_modify",
    "member_delete",
    "group_add",
    "group_modify",
    "group_delete",
    "counter_write",
    "meter_write",
    "register_write",
    "value_set_write",
    "multicast_set",
    "multicast_delete",
    "clone_set",
    "clone_delete",
    "inject",
)


@dataclass(frozen=True, slots=True)
class Call:
    """``frozen``: how many times over its caller had frozen the device."""

    method: str
    arguments: tuple[Any, ...]
    result: Any
    frozen: int


class _Thread(threading.local):
    frozen = 0
    loading = False


class Rigged:
    """In front of a device class: all goes on to it, but what a test has asked to fail or to wait.

    What a device does to itself while it loads a program is neither recorded nor made to fail.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.calls: list[Call] = []
        #: Method name -> exception to raise from it, once.
        self.failures: dict[str, Exception] = {}
        #: When set, every insert waits for it.
        self.gate: threading.Event | None = None
        self.waiting = threading.Event()
        self._thread = _Thread()
        super().__init__(*arguments, **named)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        with super().frozen():  # type: ignore[misc]
            self._thread.frozen += 1
            try:
                yield
            finally:
                self._thread.frozen -= 1

    def told(self, method: str) -> list[tuple[Any, ...]]:
        """The arguments of each call of a method that succeeded, in order."""
        return [call.arguments for call in self.calls if call.method == method]

    def call(self, method: str, forward: Callable[..., Any], *arguments: Any) -> Any:
        if self._thread.loading:
            return forward(*arguments)
        failure = self.failures.pop(method, None)
        if failure is not None:
            raise failure
        if method == "table_insert" and self.gate is not None:
            self.waiting.set()
            assert self.gate.wait(30)
        self._thread.loading = method == "load"
        try:
            result = forward(*arguments)
        finally:
            self._thread.loading = False
        self.calls.append(Call(method, arguments, result, self._thread.frozen))
        return result


def _rig(method: str) -> Any:
    def rigged(self: Rigged, *arguments: Any) -> Any:
        return self.call(method, getattr(super(Rigged, self), method), *arguments)

    return rigged


for _method in _METHODS:
    setattr(Rigged, _method, _rig(_method))
