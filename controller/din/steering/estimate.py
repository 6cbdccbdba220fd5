# SPDX-License-Identifier: Apache-2.0
"""What a choice is believed to cost until the first token: both ways, the server's queue, its prefill.

    request   sum over the way's links of propagation delay and of what packets were measured to take beyond
    response  the same of the way back
    queue     max(n + 1 - slots, 0) * s / slots: all that is before a new request and does not fit in the
              slots has to end first, and slots requests end every s
    compute   the mean prefill time; where the server does not say, TTFT less queue time

    n      requests at the server. Its own figures (running + waiting) are a poll old; those that came since
           are bounded by the connections opened since: n = min(in flight, running + waiting + opened/s *
           age). The switches' count of connections is fresher, and more than n where clients keep
           connections that they do not use. Either alone, if the other is not known
    slots  as the model says, else the profile's, else what runs while others wait
    s      mean time that a request holds a slot: running / (finished/s), by Little's law; of connections,
           in flight / (opened/s), for a server that does not say

What is measured counts for `stale_after`; later it is not known. What is not known is None, and whoever
compares takes the mean of what is known of the others: such a server looks neither idle nor full. A link's
unknown latency adds nothing: its propagation delay is all that is known of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from din.measure.state import Connections, InstanceState, LinkState, Load, Measured
from din.model.emulated import Profile
from din.model.service import Instance

from .plan import Estimate, Route


@dataclass(frozen=True)
class Server:
    """What is known of an instance; None: not known. Times in seconds."""

    present: float | None = None  # requests there
    slots: float | None = None
    rate: float | None = None  # requests a second that it can finish
    running: float | None = None  # of these, in slots
    finishing: float | None = None  # requests that it finishes a second
    queue: float | None = None  # what a new request waits
    compute: float | None = None  # what a prefill takes
    tpot: float | None = None
    room: int | None = None  # for requests, in slots and queue
    age: float = 0.0  # of the newest of it

    @property
    def known(self) -> bool:
        return self.present is not None

    @property
    def backlog(self) -> float:
        """Requests that wait; 0 where not known."""
        return 0.0 if self.present is None or self.slots is None else max(self.present - self.slots, 0.0)


def server(
    instance: Instance, state: InstanceState, profile: Profile | None, now: float, stale_after: float
) -> Server:
    """Times in seconds."""
    load = state.load if state.load is not None and now - state.load.at <= stale_after else None
    count = state.connections
    connections = count if count is not None and now - count.at <= stale_after else None
    slots = _slots(instance, profile, load)
    present = _present(load, connections)
    running, finishing = _throughput(load, connections)
    rate = slots * finishing / running if slots and running and finishing else None
    queue = None
    if present is not None and slots:
        ahead = max(present + 1 - slots, 0.0)
        queue = 0.0 if ahead == 0 else ahead / rate if rate else None
    if queue is None and load is not None:
        queue = load.queue_time
    ages = [now - each.at for each in (load, connections) if each is not None]
    return Server(
        present=present,
        slots=slots,
        rate=rate,
        running=running,
        finishing=finishing,
        queue=queue,
        compute=_compute(load),
        tpot=load.tpot if load is not None else None,
        room=profile.max_sequences + profile.max_queue if profile is not None else None,
        age=max(min(ages, default=0.0), 0.0),
    )


def _slots(instance: Instance, profile: Profile | None, load: Load | None) -> float | None:
    if instance.slots is not None:
        return float(instance.slots)
    if profile is not None:
        return float(profile.max_sequences)
    if load is not None and load.waiting and load.running:
        return load.running
    return None


def _present(load: Load | None, connections: Connections | None) -> float | None:
    at_server = None
    if load is not None and load.running is not None and load.waiting is not None:
        at_server = load.running + load.waiting
    if connections is None:
        return at_server
    if at_server is None or load is None:
        return float(connections.in_flight)
    since = max(connections.at - load.at, 0.0)
    # A bound has to be the upper one of the two that switches know.
    most = connections.in_flight if connections.at_most is None else connections.at_most
    return min(float(most), at_server + connections.opened_per_second * since)


def _throughput(load: Load | None, connections: Connections | None) -> tuple[float | None, float | None]:
    """Requests in slots, and those that leave them a second."""
    if load is not None and load.running is not None and load.requests_per_second is not None:
        return load.running, load.requests_per_second
    if connections is not None:
        return float(connections.in_flight), connections.opened_per_second
    return None, None


def _compute(load: Load | None) -> float | None:
    if load is None:
        return None
    if load.prefill_time is not None:
        return load.prefill_time
    if load.ttft is not None and load.queue_time is not None:
        return max(load.ttft - load.queue_time, 0.0)
    return None


def link_extra(state: LinkState, now: float, stale_after: float) -> float:
    """us beyond the propagation delay; 0 where it is not known."""
    if state.latency is None or state.at is None or now - state.at > stale_after:
        return 0.0
    return max(state.latency, 0.0)


def latency(route: Route, measured: Measured, now: float, stale_after: float) -> float:
    """Of a way, us."""
    return route.base_latency + sum(
        link_extra(measured.link(hop.key), now, stale_after) for hop in route.hops
    )


def estimate(request: float, response: float, server: Server) -> Estimate:
    """Latencies of both ways in us."""
    queue = None if server.queue is None else server.queue * 1e6
    compute = None if server.compute is None else server.compute * 1e6
    return Estimate(request, response, queue, compute)
