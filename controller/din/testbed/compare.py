# SPDX-License-Identifier: Apache-2.0
"""``python -m din.testbed.compare FILE FOLDER STATE TARGET [ARM...]``, in a sandbox: a network comes up, and
all arms, or those named, run on it. ``FOLDER`` gets what they leave (`record.py`); progress is on the
terminal. If the first arm shows that the machine does not carry the load, all begins again with less of it.
"""

from __future__ import annotations

import shutil
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

from .comparison import ComparisonRunner, TooBusyError
from .scaling import SCALED_FILE, scaled
from .testbed import Testbed, TestbedError

#: Of a program that SIGINT ended, as shells have it.
INTERRUPTED: Final = 130
_FAILED: Final = 1
#: What is aimed at with a smaller load in the phase that was too busy: others may be busier.
_AIM: Final = 0.55
_MOST_BEGINNINGS: Final = 3


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

    def again(self, why: str) -> None:
        """All of it from the beginning."""
        for task in self._progress.task_ids:
            self._progress.remove_task(task)
        self._tasks.clear()
        self._console.print(why, style="yellow", markup=False, highlight=False, soft_wrap=True)

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
    state.mkdir(parents=True, exist_ok=True)
    for left in reversed(range(_MOST_BEGINNINGS)):
        model = load(file)
        comparison = model.emulation.comparison
        if comparison is None:
            raise TestbedError(f"{file} has no emulation.comparison: there is nothing to run")
        try:
            with Testbed(model, file, state, target, crashed=display.crashed) as testbed:
                testbed.start(display.bring_up)
                runner = ComparisonRunner(testbed, folder, display.phase, give_up=left > 0)
                display.phases(comparison, len(only) or len(comparison.arms))
                runner.run(tuple(only))
                display.end()
                return
        except TooBusyError as busy:
            factor = round(_AIM / busy.cpu, 2)
            display.again(f"{busy}: it all begins again, requests, links and servers times {factor}")
            smaller = scaled(file.read_text(), file, factor)
            file = folder / SCALED_FILE
            file.write_text(smaller)
            _discard(comparison, folder)


def _discard(comparison: Comparison, folder: Path) -> None:
    """What an arm that was given up has left."""
    for path in folder.glob("schedule-*.jsonl"):
        path.unlink()
    for arm in comparison.arms:
        shutil.rmtree(folder / arm.name, ignore_errors=True)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
