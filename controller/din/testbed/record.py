# SPDX-License-Identifier: Apache-2.0
"""The folder that a comparison leaves.

run.json            what was run, on what, in which order, and what was seen beside the requests
model.yaml          the model it was run on
schedule-HOST.jsonl what each generator was to send
ARM/HOST.jsonl      what came of it (`din.inference.load.outcome`)
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

RUN_FILE: Final = "run.json"
MODEL_FILE: Final = "model.yaml"
_STRICT: Final = ConfigDict(extra="forbid")
#: s
_Length = Annotated[float, Field(gt=0)]


class RecordError(ValueError):
    """The folder is not what a comparison leaves."""


@dataclass
class ArmRun:
    """What is known of an arm beside its outcomes."""

    __pydantic_config__ = _STRICT

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
    __pydantic_config__ = _STRICT

    model: str
    file: str
    target: str
    seed: int
    cores: int
    phases: Annotated[dict[str, _Length], Field(min_length=1)]  # name -> seconds
    sites: int  # generators
    scale: dict[str, float]
    started: float
    arms: list[ArmRun] = field(default_factory=list)


_RUN: Final = TypeAdapter(Run)


def write(run: Run, folder: Path) -> None:
    (folder / RUN_FILE).write_text(json.dumps(asdict(run), indent=1))


def read(folder: Path) -> Run:
    """RecordError: there is none, or it is of another kind."""
    path = folder / RUN_FILE
    try:
        return _RUN.validate_json(path.read_bytes())
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror}: a comparison's folder is expected") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RecordError(f"{path}: {f'{where}: ' if where else ''}{first['msg']}") from None
