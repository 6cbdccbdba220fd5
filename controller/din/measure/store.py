# SPDX-License-Identifier: Apache-2.0
"""All that is measured, in one place: feeds come in from all sides, `measured` gives what is known now."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from din.model.ids import Ids
from din.model.network import Model
from din.model.wiring import Wiring

from .connections import ConnectionCounts
from .health import FAILURES_TO_DIE, Health, Outcome, lost_at_once
from .network import Network
from .state import Connections, InstanceState, Load, Measured

log = logging.getLogger(__name__)

_UNWATCHED: Final = "not reached over the management network: only connection attempts tell whether it lives"


class Measurements:
    """No I/O and no clock of its own: whoever feeds it says when. All in one thread.

    `load` is a Scraper's feed, `probed` a Prober's; `counters` and `read` bring the switches' counters;
    `network` takes INT's observations and port events.
    """

    def __init__(self, model: Model, ids: Ids, wiring: Wiring | None = None) -> None:
        self.network = Network((), 0.0)
        #: Called with an instance's name when it dies or lives again, at once.
        self.on_health: Callable[[str], None] = lambda name: None
        self._counts = ConnectionCounts()
        self._loads: dict[str, Load] = {}
        self._health: dict[str, Health] = {}
        self._connections: dict[str, Connections] = {}
        self._arrivals: dict[tuple[str, str], float] = {}
        self.set(model, ids, wiring)

    def set(self, model: Model, ids: Ids, wiring: Wiring | None = None) -> None:
        """The model is this now. What is known of what stays, stays."""
        wiring = wiring or Wiring(model)
        self._model = model
        self._names = {ids.of("instance", each.name): each.name for each in model.instances}
        hosts = model.host
        self._access = {
            each.name: (hosts[each.host].leaf, wiring.host_ports[each.host]) for each in model.instances
        }
        self._hosts = {each.name: each.host for each in model.instances}
        for known in (self._loads, self._health, self._connections):
            for name in known.keys() - model.instance.keys():
                del known[name]
        self._counts.keep(self._names)
        self._counts.forget(model.switch)
        self.network.set(wiring.hops, model.steering.stale_after / 1e6)

    # ---- feeds ---------------------------------------------------------------------------------------------

    def load(self, instance: str, load: Load) -> None:
        if instance in self._access:
            self._loads[instance] = load

    def probed(self, instance: str, outcome: Outcome, detail: str, at: float) -> None:
        """Of a probe that was under way when its instance left the model nothing is kept."""
        if instance not in self._access:
            return
        if outcome is Outcome.UNREACHED:
            self._look_for_a_lost_way(instance, at)
        self._become(instance, self.health(instance).probed(outcome, detail, at))

    def _look_for_a_lost_way(self, instance: str, at: float) -> None:
        """Before ``instance`` is taken for dead because a probe has not reached it."""
        health = self.health(instance)
        if health.failures + 1 < FAILURES_TO_DIE:
            return
        watched = {
            name: self.health(name)
            for name in self._access
            if self._alive(name)[0] is not False and not self.health(name).unwatched
        }
        unreached = {name: each.unreached_since for name, each in watched.items()}
        if instance in unreached and unreached[instance] is None:
            unreached[instance] = at
        if lost_at_once(unreached, self._hosts):
            for name, each in watched.items():
                self._become(name, replace(each, unwatched=True))

    def counters(self, switch: str, cells: Mapping[int, int], at: float) -> None:
        """The cells of `connections` that are not 0, by index, as read from ``switch``."""
        self._counts.observe(switch, cells, at)

    def restarted(self, switch: str) -> None:
        """``switch`` is known to have lost its counters."""
        self._counts.restarted(switch)

    def read(self, at: float) -> None:
        """All switches that can be read have been: now what their counters say, together, counts."""
        leaves = {number: self._access[name][0] for number, name in self._names.items()}
        now = self._counts.round(leaves, at)
        self._connections = {self._names[number]: each for number, each in now.connections.items()}
        self._arrivals = {}
        for (leaf, number), rate in now.arrivals.items():
            key = leaf, self._model.instance[self._names[number]].service
            self._arrivals[key] = self._arrivals.get(key, 0.0) + rate
        for number, (syns, answers) in now.evidence.items():
            name = self._names[number]
            self._become(name, self.health(name).counted(syns, answers, at))

    def port_event(self, switch: str, port: int, up: bool) -> None:
        """Instances whose host hangs on that port live and die with it."""
        behind = [name for name, access in self._access.items() if access == (switch, port)]
        before = {name: self._alive(name) for name in behind}
        self.network.port_event(switch, port, up)
        for name in behind:
            self._tell(name, before[name])

    def _become(self, name: str, health: Health) -> None:
        before, was = self._alive(name), self.health(name).unwatched
        self._health[name] = health
        if health.unwatched and not was:
            log.warning("%s: %s", name, _UNWATCHED)
        elif was and not health.unwatched:
            log.info("%s is reached over the management network again", name)
        self._tell(name, before)

    def _tell(self, name: str, before: tuple[bool | None, str]) -> None:
        alive, reason = self._alive(name)
        if alive is before[0]:
            return
        if alive:
            log.info("%s is alive", name)
        else:
            log.warning("%s is dead: %s", name, reason)
        self.on_health(name)

    # ---- what is known -------------------------------------------------------------------------------------

    def health(self, instance: str) -> Health:
        return self._health.get(instance, Health())

    def _alive(self, name: str) -> tuple[bool | None, str]:
        leaf, port = self._access[name]
        if not self.network.up((leaf, port)):
            return False, f"port {port} of {leaf}, where its host is, is down"
        health = self.health(name)
        return health.alive, health.reason or (_UNWATCHED if health.unwatched else "")

    def measured(self, at: float) -> Measured:
        """What is known at ``at``. It never changes."""
        instances = {}
        for name in self._access:
            alive, reason = self._alive(name)
            instances[name] = InstanceState(
                alive,
                reason,
                self._loads.get(name),
                self._connections.get(name),
                watched=not self.health(name).unwatched,
            )
        return Measured(
            at=at,
            instances=MappingProxyType(instances),
            links=MappingProxyType(dict(self.network.links(at))),
            arrivals=MappingProxyType(dict(self._arrivals)),
        )
