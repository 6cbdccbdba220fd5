# SPDX-License-Identifier: Apache-2.0
"""The comparison: the same requests at the same times, and the same events, for each way of deciding (an
arm).

A result is a folder (`record.py`). Whoever makes tables of it needs nothing else (`results.py`).
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final
from urllib.parse import urljoin

from din.api.schema import SteeringRequest
from din.emulation.events import Running, begin
from din.emulation.processes import Process
from din.inference.load.arrivals import WARM_UP, boundaries, schedule
from din.inference.load.request import Request, write_schedule
from din.inference.load.stats import why_void
from din.measure.targets import url
from din.model.emulated import Arm, Comparison, Phase
from din.model.network import Model

from .record import MODEL_FILE, ArmRun, Run, write
from .servers import own_url
from .testbed import Testbed, TestbedError

#: What is being done, and how much of it is.
Progress = Callable[[str, int, int], None]
#: Seconds: for generators to start, and for the last answers to end, before they are cut.
_START_SECONDS: Final = 3.0
_END_SECONDS: Final = 4.0
#: Between polls of clients that choose, at full load.
_POLL_SECONDS: Final = 1.0
#: Between looks at the plan: where tokens went.
_PLAN_SECONDS: Final = 2.0


class TooBusyError(Exception):
    """The first arm is void already: the machine does not carry this load."""

    def __init__(self, phase: str, cpu: float) -> None:
        super().__init__(f"the machine was {cpu:.0%} busy in the phase {phase}")
        self.cpu = cpu


class ComparisonRunner:
    """Of a test bed that is up. ``folder`` gets the result."""

    def __init__(self, testbed: Testbed, folder: Path, progress: Progress, *, give_up: bool = False) -> None:
        """``give_up``: as soon as the first arm is void, since the others would be as well."""
        found = testbed.model.emulation.comparison
        if found is None:
            raise TestbedError(f"{testbed.file} has no emulation.comparison: there is nothing to compare")
        self._testbed = testbed
        self._comparison: Comparison = found
        self._folder = folder
        self._progress = progress
        self._give_up = give_up
        self._generators: list[Process] = []
        self._phases = boundaries(found)
        self._requests = self._schedules()

    @property
    def _model(self) -> Model:
        return self._testbed.model

    def _schedules(self) -> dict[str, list[Request]]:
        """Host -> what its generator sends."""
        found: dict[str, list[Request]] = {}
        for site in dict.fromkeys(load.site for load in self._comparison.loads):
            for request in schedule(self._comparison, site, self._comparison.seed):
                found.setdefault(request.host, []).append(request)
        return found

    def run(self, only: tuple[str, ...] = ()) -> Run:
        """All arms, or ``only`` those, in an order that the seed decides. TooBusyError: it gave up."""
        arms = [each for each in self._comparison.arms if not only or each.name in only]
        random.Random(self._comparison.seed).shuffle(arms)
        scale = self._model.emulation.scale
        run = Run(
            model=self._model.name,
            file=self._testbed.file.name,
            target=str(self._testbed.emulation.target),
            seed=self._comparison.seed,
            cores=len(os.sched_getaffinity(0)),
            phases={each.name: each.duration / 1e6 for each in self._comparison.phases},
            sites=len(self._requests),
            scale={"bytes": scale.bytes, "rate": scale.rate, "load": scale.load},
            started=time.time(),
        )
        self._folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self._testbed.file, self._folder / MODEL_FILE)
        for order, arm in enumerate(arms):
            run.arms.append(self._run_arm(arm, order, len(arms)))
            write(run, self._folder)
        return run

    # ---- one arm -------------------------------------------------------------------------------------------

    def _run_arm(self, arm: Arm, order: int, count: int) -> ArmRun:
        self._testbed.client.set_steering(SteeringRequest(instances=arm.instances, paths=arm.paths))
        for instance in self._model.instances:
            _post(urljoin(url(instance.metrics, instance, self._testbed.wiring), "/admin/reset"))
        folder = self._folder / arm.name
        folder.mkdir(parents=True, exist_ok=True)
        found = ArmRun(arm.name, arm.instances, arm.paths, order, time.time() + _START_SECONDS)
        processes = [
            self._generate(arm, host, requests, folder, found.start)
            for host, requests in self._requests.items()
        ]
        named: dict[str, Phase] = {each.name: each for each in self._comparison.phases}
        for name, begins, ends in self._phases:
            self._until(found.start + begins)
            self._progress(f"arm {order + 1} of {count}, {arm.name}: {name}", order, count)
            with ExitStack() as events:
                for event in named[name].events if name in named else ():
                    running: Running = begin(self._testbed.emulation, event)
                    events.callback(running.end)
                self._observe(name, found, found.start + ends)
            # What starts is busy in the warm-up.
            cpu = found.cpu[name]
            if self._give_up and not order and name != WARM_UP and why_void((), sites=0, host_cpu=cpu):
                raise TooBusyError(name, cpu)
        for process in processes:
            self._wait(process)
        found.failures += [each.failure() or "" for each in processes if each.failure()]
        self._generators += processes
        # A switch or a server that has ended is missing from then on; an earlier arm's generator is not.
        generators = {each.failure() for each in self._generators}
        found.failures += [each for each in self._testbed.emulation.failures() if each not in generators]
        return found

    def _observe(self, phase: str, found: ArmRun, until: float) -> None:
        """Let a phase pass, and see what happens in it."""
        self._testbed.emulation.host_cpu()
        began = time.time()
        taken: dict[str, dict[str, float]] = {}
        while time.time() < until:
            self._until(min(until, time.time() + _PLAN_SECONDS))
            if phase != WARM_UP:
                self._see_paths(taken)
        found.cpu[phase] = self._testbed.emulation.host_cpu()
        if phase == WARM_UP:
            return
        found.latency[phase] = self._testbed.client.latency(began)
        found.paths_taken[phase] = {
            where: {path: round(share / sum(shares.values()), 4) for path, share in sorted(shares.items())}
            for where, shares in sorted(taken.items())
            if sum(shares.values())
        }

    def _see_paths(self, taken: dict[str, dict[str, float]]) -> None:
        for decision in self._testbed.client.plan().decisions:
            where = f"{decision.leaf} {decision.service} {decision.label}".strip()
            shares = taken.setdefault(where, {})
            for choice in decision.choices:
                path = " ".join(choice.response.nodes)
                shares[path] = shares.get(path, 0.0) + choice.share

    def _generate(self, arm: Arm, host: str, requests: list[Request], folder: Path, start: float) -> Process:
        file = self._folder / f"schedule-{host}.jsonl"
        if not file.exists():
            write_schedule(requests, file)
        total = self._phases[-1][2]
        argv = [sys.executable, "-m", "din.inference.load", "--schedule", str(file)]
        argv += ["--out", str(folder / f"{host}.jsonl"), "--start-at", repr(start)]
        argv += [
            "--stop-after",
            repr(total + _END_SECONDS),
            "--scale-bytes",
            str(self._model.emulation.scale.bytes),
        ]
        for name in sorted({each.service for each in requests}):
            service = self._model.service[name]
            argv += ["--model", f"{name}={service.served_model}"]
            if arm.instances == "client":
                for instance in self._model.instances_of(name):
                    if self._may_reach(host, instance.name):
                        where = own_url(self._model, instance)
                        argv += ["--instance", f"{name},{instance.name},{where}/v1,{where}/metrics"]
            else:
                argv += ["--base-url", f"{name}=http://{service.dns}:{service.port}/v1"]
        if arm.instances == "client":
            # A poll of every server by every client is traffic as well.
            every = _POLL_SECONDS / self._model.emulation.scale.load
            argv += ["--choose", "least-queue", "--poll", repr(every)]
        return self._testbed.emulation.run(host, argv, f"load-{arm.name}-{host}")

    def _may_reach(self, host: str, instance: str) -> bool:
        """Whether the host's label may go where the instance is: a client that chooses is told no other."""
        label = self._model.label.get(self._model.host[host].label or "")
        zone = self._model.zone_of(self._model.host[self._model.instance[instance].host].leaf)
        return label is None or zone in label.zones

    # ---- time ----------------------------------------------------------------------------------------------

    @staticmethod
    def _until(when: float) -> None:
        time.sleep(max(0.0, when - time.time()))

    def _wait(self, process: Process) -> None:
        try:
            process.wait(_END_SECONDS + 2.0)
        except subprocess.TimeoutExpired:
            process.stop()


def _post(where: str) -> None:
    request = urllib.request.Request(where, b"{}", {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=5.0).close()
