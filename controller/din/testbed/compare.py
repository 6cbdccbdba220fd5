# SPDX-License-Identifier: Apache-2.0
"""``python -m din.testbed.compare FILE FOLDER STATE TARGET [ARM...]``, in a sandbox: a network comes up, and
all arms, or those named, run on it. ``FOLDER`` gets what they leave (`record.py`); progress is on the
terminal.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from din.api.client import NotRunningError, RefusedError
from din.emulation.errors import EmulationError
from din.emulation.processes import Process
from din.inference.load.arrivals import boundaries
from din.model.emulated import Comparison
from din.model.load import load
from din.model.topology import Target

from .comparison import ComparisonRunner
from .testbed import Testbed, TestbedError

#: Of a program that SIGINT ended, as shells have it.
INTERRUPTED: Final = 130
_FAILED: Final = 1


class _Display:
    """Of what is being done: a bar each in a terminal, a line each elsewhere."""

    def __init__(self, progress: Progress, console: Console) -> None:
        self._progress = progress
        self._console = console
        self._tasks: dict[str, TaskID] = {}
        self._last = ""

    def bring_up(self, what: str, done: int, total: int) -> None:
        if what not in self._tasks:
            self._finish()
            self._tasks[what] = self._progress.add_task(what, total=total)
            self._line(what)
        self._progress.update(self._tasks[what], completed=done, total=total)

    def phases(self, comparison: Comparison, arms: int) -> None:
        """From now on, `phase` is told of each phase of each arm."""
        self._finish()
        self._count = arms * len(boundaries(comparison))
        self._done = 0
        self._task = self._progress.add_task("", total=self._count)

    def phase(self, what: str, done: int, total: int) -> None:
        self._progress.update(self._task, description=what, completed=self._done)
        self._done += 1
        self._line(what)

    def end(self) -> None:
        self._progress.update(self._task, description="all arms", completed=self._count)

    def crashed(self, process: Process) -> None:
        self._console.print(process.failure() or "", style="red", markup=False, highlight=False)

    def _finish(self) -> None:
        for task in self._tasks.values():
            self._progress.stop_task(task)

    def _line(self, what: str) -> None:
        if not self._console.is_terminal:
            self._console.print(what, markup=False, highlight=False)


def main(file: str, folder: str, state: str, target: str, *only: str) -> int:
    """Exit status: 0 when all arms ran."""
    # Whatever is up then is taken down on the way out.
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console()
    columns = (TextColumn("{task.description:<44}"), BarColumn(30), TimeElapsedColumn())
    # What watches takes from what is watched.
    progress = Progress(*columns, console=console, refresh_per_second=2, disable=not console.is_terminal)
    display = _Display(progress, console)
    try:
        with progress:
            _compare(Path(file), Path(folder), Path(state), Target(target), only, display)
    except KeyboardInterrupt:
        return INTERRUPTED
    except (TestbedError, EmulationError, NotRunningError, RefusedError, OSError) as error:
        print(f"din.testbed: {error}", file=sys.stderr)
        return _FAILED
    return 0


def _compare(
    file: Path, folder: Path, state: Path, target: Target, only: Sequence[str], display: _Display
) -> None:
    model = load(file)
    comparison = model.emulation.comparison
    if comparison is None:
        raise TestbedError(f"{file} has no emulation.comparison: there is nothing to run")
    state.mkdir(parents=True, exist_ok=True)
    with Testbed(model, file, state, target, crashed=display.crashed) as testbed:
        testbed.start(display.bring_up)
        runner = ComparisonRunner(testbed, folder, display.phase)
        display.phases(comparison, len(only) or len(comparison.arms))
        runner.run(tuple(only))
        display.end()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
