# SPDX-License-Identifier: Apache-2.0
"""``python -m din.testbed.demo FILE``: a network comes up, all ways of deciding run on it, and what they are
worth is shown, with a report for the browser.

The environment's DIN_TARGET chooses the switches: p4jit (the default) or bmv2.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from din.emulation import sandbox
from din.model.check import check_file
from din.model.load import load
from din.model.network import Model
from din.model.problem import ModelError, Severity
from din.model.topology import Target

from . import report, terminal
from .compare import INTERRUPTED
from .networks import fits
from .record import RecordError, read
from .results import ResultsError, read_results, write_json
from .scaling import SCALED_FILE, bmv2_load, scaled

#: The least that tables want.
_WIDTH: Final = 120


class DemoError(Exception):
    """It cannot run; the text says why, and what to do."""


def main(argv: Sequence[str] | None = None) -> int:
    """0: it ran, void arms or not. 1: it did not, and said why. 2: wrong use. 130: it was interrupted."""
    arguments = _parser().parse_args(argv)
    console = Console()
    if console.width < _WIDTH:
        console = Console(width=_WIDTH)
    try:
        return _run(arguments.file, arguments.results, tuple(arguments.arm), console)
    except (DemoError, ModelError, ResultsError, sandbox.SandboxError, OSError) as error:
        print(f"din: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m din.testbed.demo", description=__doc__)
    parser.add_argument("file", type=Path, metavar="FILE", help="the model, as topologies/enterprise.yaml")
    parser.add_argument(
        "--arm", action="append", default=[], metavar="NAME", help="only this one; repeatable"
    )
    parser.add_argument(
        "--results", type=Path, default=Path("results"), metavar="DIR", help="default: %(default)s"
    )
    return parser


def _run(file: Path, results: Path, only: tuple[str, ...], console: Console) -> int:
    target = _target(os.environ.get("DIN_TARGET", Target.P4JIT))
    model = _checked(file, only, console)
    sandbox.check()
    folder = _folder(results, model.name)
    if target is Target.BMV2:
        file, model = _smaller(file, folder)
    _announce(model, target, only, folder, console)
    state, elsewhere = folder / "state", None
    if not fits(state):
        # The paths of sockets have few bytes.
        elsewhere = Path(tempfile.mkdtemp(prefix="din-", dir="/tmp"))
        state = elsewhere
    began = time.monotonic()
    argv = [sys.executable, "-m", "din.testbed.compare", str(file), str(folder), str(state), target, *only]
    status = sandbox.run(argv)
    if elsewhere is not None:
        shutil.copytree(elsewhere, folder / "state", ignore=_not_files)
        shutil.rmtree(elsewhere)
    if status != 0:
        _say_what_is_kept(folder, console)
        return INTERRUPTED if status in (INTERRUPTED, 128 + 15) else 1
    try:
        _show(folder, console)
    except KeyboardInterrupt:
        _say_what_is_kept(folder, console)
        return INTERRUPTED
    console.print(f"{time.monotonic() - began:.0f} s in all", highlight=False)
    return 0


def _target(name: str) -> Target:
    try:
        target = Target(name)
    except ValueError:
        target = Target.TOFINO
    if target not in (Target.P4JIT, Target.BMV2):
        raise DemoError(f"DIN_TARGET is {name}: p4jit and bmv2 can be emulated")
    if target is Target.BMV2 and shutil.which("simple_switch_grpc") is None:
        raise DemoError(
            "DIN_TARGET is bmv2, but there is no simple_switch_grpc: install it, or unset DIN_TARGET"
        )
    return target


def _checked(file: Path, only: Sequence[str], console: Console) -> Model:
    """ModelError, DemoError: it cannot be compared."""
    model, problems = check_file(file)
    errors = [each for each in problems if each.severity is Severity.ERROR]
    if errors:
        raise ModelError(errors)
    for each in problems:
        console.print(str(each), style="yellow", markup=False, highlight=False)
    comparison = model.emulation.comparison
    if comparison is None:
        raise DemoError(f"{file} has no emulation.comparison: it says which load, phases and arms to run")
    known = [each.name for each in comparison.arms]
    for name in only:
        if name not in known:
            raise DemoError(f"{file} has no arm {name}: there are {', '.join(known)}")
    return model


def _folder(results: Path, name: str) -> Path:
    """A new one: two that begin in the same second have one each."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for number in range(100):
        folder = (results / f"{name}-{stamp}{f'-{number + 1}' if number else ''}").absolute()
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise DemoError(f"{results} has a hundred results of this second")


def _smaller(file: Path, folder: Path) -> tuple[Path, Model]:
    """What simple_switch_grpc carries of it on this machine."""
    smaller = folder / SCALED_FILE
    smaller.write_text(scaled(file.read_text(), file, bmv2_load(len(os.sched_getaffinity(0)))))
    return smaller, load(smaller)


def _announce(model: Model, target: Target, only: Sequence[str], folder: Path, console: Console) -> None:
    comparison = model.emulation.comparison
    assert comparison is not None
    arms = list(only) or [each.name for each in comparison.arms]
    seconds = (comparison.warm_up + sum(each.duration for each in comparison.phases)) / 1e6
    console.print(
        f"{model.name}: {len(model.switches)} switches ({target}), {len(model.hosts)} hosts, "
        f"{len(model.instances)} model servers; {', '.join(arms)}, {seconds:g} s each. Results in {folder}",
        highlight=False,
        soft_wrap=True,
    )


def _not_files(folder: str, names: list[str]) -> list[str]:
    """Sockets and pipes, which are of no use when nobody has them."""
    return [
        name for name in names if not os.path.isfile(p := os.path.join(folder, name)) and not os.path.isdir(p)
    ]


def _say_what_is_kept(folder: Path, console: Console) -> None:
    try:
        ran = [each.name for each in read(folder).arms]
    except RecordError:
        ran = []
    if ran:
        kept = f"{', '.join(ran)} ran whole: python -m din.testbed.report {folder} makes a report of that"
    else:
        kept = "no arm ran whole"
    console.print(f"stopped; {kept}. Logs are in {folder / 'state'}", highlight=False, soft_wrap=True)


def _show(folder: Path, console: Console) -> None:
    results = read_results(folder)
    terminal.show(results, console)
    write_json(results)
    path = report.write(results)
    console.print()
    console.print(f"The report: {path}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
