# SPDX-License-Identifier: Apache-2.0
"""Folders as comparisons leave them, of requests whose fate is chosen."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from din.inference.load.outcome import Generator, Outcome, dump
from din.testbed import record
from din.testbed.record import MODEL_FILE, ArmRun, Run

ENTERPRISE = Path(__file__).parents[3] / "topologies" / "enterprise.yaml"
PHASES = {"calm": 8.0, "slow": 8.0}
WARM_UP = 4.0
RATE = 20  # requests/s, of which a quarter is for assist
SOUND = Generator(0.0, 20.0, 300, 0, 0.001, 0.004, 0.01, 0.001, 0.01, 5.0, 0.3)

Fate = Callable[[Outcome, int], Outcome]


def fine(outcome: Outcome, number: int) -> Outcome:
    """TTFT between 80 and 120 ms, TPOT 20 ms: every objective is met."""
    first = outcome.sent + 0.08 + 0.04 * (number * 7919 % 97) / 97
    return replace(outcome, first_token=first, last_token=first + 0.8, end=first + 0.8)


def slower(seconds: float, phase: str = "") -> Fate:
    """As `fine`, so much later; in one phase alone, if it is named."""

    def fate(outcome: Outcome, number: int) -> Outcome:
        found = fine(outcome, number)
        if phase not in ("", found.phase):
            return found
        assert found.first_token is not None
        assert found.last_token is not None
        assert found.end is not None
        return replace(
            found,
            first_token=found.first_token + seconds,
            last_token=found.last_token + seconds,
            end=found.end + seconds,
        )

    return fate


def refused(every: int) -> Fate:
    """As `fine`, but one of so many gets a 429."""

    def fate(outcome: Outcome, number: int) -> Outcome:
        if number % every:
            return fine(outcome, number)
        return replace(outcome, status="429", chunks=0, output_tokens=0, instance=None)

    return fate


@dataclass
class Arm:
    instances: str
    paths: str
    fate: Fate = fine
    cpu: float = 0.5
    paths_taken: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    latency: Mapping[str, object] = field(default_factory=dict)
    failures: tuple[str, ...] = ()
    generators: int = 2  # that end by themselves, of two


def square(**fates: Fate) -> dict[str, Arm]:
    """The arms that differ in instances and paths."""
    ways = {
        "equal": ("equal", "shortest"),
        "equal-paths": ("equal", "din"),
        "instances": ("din", "shortest"),
        "din": ("din", "din"),
    }
    return {name: Arm(*way, fate=fates.get(name.replace("-", "_"), fine)) for name, way in ways.items()}


def make(folder: Path, arms: Mapping[str, Arm], *, rate: int = RATE, model: Path = ENTERPRISE) -> Path:
    """As `din.testbed.comparison` leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(model, folder / MODEL_FILE)
    run = Run("enterprise", model.name, "p4jit", 1, 2, dict(PHASES), 2, {"bytes": 0.25, "rate": 1.0}, 1e9)
    for order, (name, arm) in enumerate(arms.items()):
        cpu = {"warm-up": 1.0} | dict.fromkeys(PHASES, arm.cpu)
        taken = {phase: {at: dict(ways) for at, ways in of.items()} for phase, of in arm.paths_taken.items()}
        run.arms.append(
            ArmRun(
                name, arm.instances, arm.paths, order, 1e9, cpu, taken, dict(arm.latency), list(arm.failures)
            )
        )
        for number, host in enumerate(("client-a", "client-b")):
            path = folder / name / f"{host}.jsonl"
            path.parent.mkdir(exist_ok=True)
            lines = [dump(arm.fate(each, place)) for place, each in enumerate(_requests(host, rate // 2))]
            if number < arm.generators:
                lines.append(json.dumps(asdict(SOUND)))
            path.write_text("\n".join(lines) + "\n")
    record.write(run, folder)
    return folder


def _requests(host: str, rate: int) -> list[Outcome]:
    ends = {"warm-up": WARM_UP}
    for name, seconds in PHASES.items():
        ends[name] = max(ends.values()) + seconds
    found = []
    for number in range(int(rate * max(ends.values()))):
        at = number / rate
        phase = next(name for name, end in ends.items() if at < end)
        service = "chat" if number % 4 else "assist"
        found.append(
            Outcome(
                id=f"{host}.{number}",
                service=service,
                phase=phase,
                scheduled=at,
                prompt_tokens=200,
                asked_tokens=41,
                sent=at + 0.001,
                status="ok",
                local_address=host,
                local_port=20000 + number,
                connection=number // 2,
                output_tokens=41,
                chunks=41,
                gap_max=0.02,
                instance=f"{service}-1" if service == "assist" else "chat-edge",
            )
        )
    return found
