# SPDX-License-Identifier: Apache-2.0
"""The folder that a comparison leaves.

run.json            what was run, on what, in which order, and what was seen beside the requests
model.yaml          the model it was run on
schedule-HOST.jsonl what each generator was to send
ARM/HOST.jsonl      what came of it (`din.inference.load.outcome`)
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, TypeVar

RUN_FILE: Final = "run.json"
MODEL_FILE: Final = "model.yaml"
_Record = TypeVar("_Record", "ArmRun", "Run")


class RecordError(ValueError):
    """The folder is not what a comparison leaves."""


@dataclass
class ArmRun:
    """What is known of an arm beside its outcomes."""

    name: str
    instances: str
    paths: str
    order: int  # 0: the first that ran
    start: float  # Unix time of second 0
    cpu: dict[str, float] = field(default_factory=dict)  # phase -> the machine's utilisation, 0 to 1
    #: phase -> "leaf service label" -> route of responses -> share of them.
    paths_taken: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    latency: dict[str, Any] = field(default_factory=dict)  # phase -> as the controller's API says
    failures: list[str] = field(default_factory=list)


@dataclass
class Run:
    model: str
    file: str
    target: str
    seed: int
    cores: int
    phases: dict[str, float]  # name -> seconds
    sites: int  # generators
    scale: dict[str, float]
    started: float
    arms: list[ArmRun] = field(default_factory=list)


def write(run: Run, folder: Path) -> None:
    (folder / RUN_FILE).write_text(json.dumps(asdict(run), indent=1))


def read(folder: Path) -> Run:
    """RecordError: there is none, or it is of another kind."""
    path = folder / RUN_FILE
    try:
        row = json.loads(path.read_text())
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror}: a comparison's folder is expected") from None
    except ValueError as error:
        raise RecordError(f"{path}: not JSON: {error}") from None
    run = _record(Run, row, path)
    run.arms = [_record(ArmRun, each, path) for each in run.arms]
    return run


def _record(kind: type[_Record], row: Any, path: Path) -> _Record:
    names = {each.name for each in fields(kind)}
    if not isinstance(row, dict):
        raise RecordError(f"{path}: a JSON object is expected")
    for name in row.keys() - names:
        raise RecordError(f"{path}: {name}: no such field")
    try:
        return kind(**row)
    except TypeError as error:
        raise RecordError(f"{path}: {error}") from None
