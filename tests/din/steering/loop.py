# SPDX-License-Identifier: Apache-2.0
"""A closed loop in simulated time: servers with slots and queues, figures that are old when they arrive,
decisions on them, and connections that begin accordingly. One request a connection.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from din.measure.state import InstanceState, Load, Measured

INTERVAL = 0.5  # of decisions
POLL = 1.0  # of figures
DELAY = 1.0  # until a poll's figures are there: they are 1-2 s old
WINDOW = 2.0  # of rates

Shares = Mapping[str, float]
#: (what is known, now) -> leaf -> shares.
Decide = Callable[[Measured, float], Mapping[str, Shares]]


@dataclass
class SimulatedServer:
    slots: int
    service_time: float
    running: int = 0
    queue: deque[tuple[float, float]] = field(default_factory=deque)  # (arrival, work)
    finished: list[float] = field(default_factory=list)

    def load(self, now: float) -> Load:
        done = sum(1 for at in self.finished if now - WINDOW < at <= now)
        rate = done / WINDOW
        return Load(
            at=now,
            running=float(self.running),
            waiting=float(len(self.queue)),
            requests_per_second=rate,
            prefill_time=0.05,
        )


@dataclass
class Run:
    waits: list[float]
    shares: list[tuple[float, Mapping[str, Shares]]]
    queues: list[tuple[float, dict[str, int]]]

    def mean_wait(self) -> float:
        return sum(self.waits) / len(self.waits)

    def swings(self, leaf: str, instance: str) -> float:
        """Standard deviation of a share, after the first 10 s."""
        values = [shares[leaf].get(instance, 0.0) for at, shares in self.shares if at > 10]
        mean = sum(values) / len(values)
        return float((sum((each - mean) ** 2 for each in values) / len(values)) ** 0.5)


def run(
    servers: dict[str, SimulatedServer],
    demand: Mapping[str, float],
    service: str,
    decide: Decide,
    seconds: float,
    seed: int,
    events: Mapping[float, Callable[[], None]] | None = None,
) -> Run:
    """``demand``: leaf -> connections a second."""
    random = Random(seed)
    found = Run([], [], [])
    order = 0
    agenda: list[tuple[float, int, Callable[[float], None]]] = []
    shares: Mapping[str, Shares] = {}
    known: dict[str, InstanceState] = {name: InstanceState(alive=True) for name in servers}
    opened: dict[str, deque[float]] = {leaf: deque() for leaf in demand}

    def at(time: float, what: Callable[[float], None]) -> None:
        nonlocal order
        order += 1
        heapq.heappush(agenda, (time, order, what))

    def begin(server: SimulatedServer, work: float, arrived: float, now: float) -> None:
        server.running += 1
        found.waits.append(now - arrived)

        def end(now: float) -> None:
            server.running -= 1
            server.finished.append(now)
            if server.queue:
                begin(server, (first := server.queue.popleft())[1], first[0], now)

        at(now + work * server.service_time, end)

    def arrive(leaf: str) -> Callable[[float], None]:
        def arrival(now: float) -> None:
            at(now + random.expovariate(demand[leaf]), arrival)
            opened[leaf].append(now)
            names = sorted(shares[leaf])
            server = servers[random.choices(names, [shares[leaf][name] for name in names])[0]]
            work = random.expovariate(1.0)
            if server.running < server.slots:
                begin(server, work, now, now)
            else:
                server.queue.append((now, work))

        return arrival

    def poll(now: float) -> None:
        figures = {name: server.load(now) for name, server in servers.items()}
        found.queues.append((now, {name: len(server.queue) for name, server in servers.items()}))

        def tell(_: float) -> None:
            known.update({name: InstanceState(alive=True, load=load) for name, load in figures.items()})

        at(now + DELAY, tell)
        at(now + POLL, poll)

    def steer(now: float) -> None:
        nonlocal shares
        for times in opened.values():
            while times and times[0] < now - WINDOW:
                times.popleft()
        arrivals = {
            (leaf, service): len(times) / min(max(now, INTERVAL), WINDOW) for leaf, times in opened.items()
        }
        shares = decide(Measured(at=now, instances=dict(known), arrivals=arrivals if now > 0 else {}), now)
        found.shares.append((now, shares))
        at(now + INTERVAL, steer)

    at(0.0, steer)
    at(0.0, poll)
    for leaf in sorted(demand):
        at(random.expovariate(demand[leaf]), arrive(leaf))
    for time, event in (events or {}).items():
        at(time, lambda _, event=event: event())  # type: ignore[misc]
    while agenda:
        now, _, what = heapq.heappop(agenda)
        if now > seconds:
            break
        what(now)
    # Who never began has waited all the same.
    found.waits += [seconds - arrived for server in servers.values() for arrived, _ in server.queue]
    return found
