# SPDX-License-Identifier: Apache-2.0
"""Events of a comparison: what begins with a phase, and ends with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..model.emulated import Event, EventKind
from .errors import EmulationError

if TYPE_CHECKING:
    from .supervisor import Emulation


@dataclass(frozen=True)
class Running:
    """An event that has begun; ``end`` undoes it."""

    event: Event
    end: Callable[[], None]


def begin(emulation: Emulation, event: Event) -> Running:
    """EmulationError: the event lacks something, or names what is not there."""
    match event.kind:
        case EventKind.FAILED_LINK:
            if event.link is None:
                raise EmulationError("a failed-link event needs link")
            a, b = event.link
            emulation.set_link(a, b, False)
            return Running(event, lambda: emulation.set_link(a, b, True))
        case EventKind.SLOW_SERVER:
            if event.instance is None:
                raise EmulationError("a slow-server event needs instance")
            name = event.instance
            emulation.slow(name, event.slowdown)
            return Running(event, lambda: emulation.slow(name, 1.0))
        case EventKind.CONGESTED_LINK:
            processes = emulation.congest(event)

            def stop() -> None:
                for process in processes:
                    process.stop()

            return Running(event, stop)
