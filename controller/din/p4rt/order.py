# SPDX-License-Identifier: Apache-2.0
"""In which order a switch is changed, so that it is right at every step: make before break. Pure.

First all that is new or changes, what is referred to before what refers to it; then all that goes, the other
way round. An entry so never points at one that is not there yet, or not any more, and a change that stops
between two batches leaves a switch that works. Ranks come from the program's `@refers_to` and from `NEEDS`.

Both the old and the new entries are in a table for a while, so its size must have room for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Final

from din.p4rt.codec import Op
from din.p4rt.diff import Changes, place
from din.p4rt.entry import AnyKey, AnyValue
from din.p4rt.program import Program, ProgramError

#: Updates of one WriteRequest: large enough that its cost does not count, small enough that a newer plan
#: waits for milliseconds.
BATCH: Final = 1000

#: What must stand before entries of a table do good, beside what `@refers_to` says of their values. Names
#: that a program does not have are passed over.
NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    # Fail closed: what is not permitted yet is dropped, so permissions come before what leads there.
    "boundary_guard": ("boundaries",),
    "routes": ("protection", "boundaries", "boundary_guard", "links", "arrivals"),
    "functions": ("destination_guard",),
    # A way is taken when it leads through.
    "paths": ("routes",),
    "response_paths": ("routes", "paths"),
    "segments": ("routes", "protection"),
    # A connection is not sent to an instance that is not known to stand, or that no path leads to.
    "members": ("liveness", "paths"),
    "buckets": ("liveness", "paths"),
    "groups": ("members",),
    "destinations": ("response_paths",),
    # Reports: where they go, and when it is, before what causes them.
    "report_sinks": ("clock", "clone sessions", "destinations"),
    "drop_reports": ("report_sinks",),
    "late_drop_reports": ("report_sinks",),
    "queue_thresholds": ("report_sinks",),
    "watchlist": ("report_sinks", "flow_filter", "links", "arrivals"),
    # What recognises traffic comes after what becomes of it.
    "classifier": ("classes", "slack_queues", "streams", "tenant_meters"),
    "services": ("groups", "classifier", "watchlist", "affinity_timeouts"),
    "responses": ("destinations", "classifier", "watchlist"),
    "reverse_rewrites": ("responses",),
    # The trust boundary last: until then nothing comes in.
    "sources": ("services", "responses", "reverse_rewrites", "destinations", "option_keys", "infrastructure"),
    "addresses": ("sources", "punt_ports", "punt_switch"),
    "ports": ("sources", "addresses", "segments", "infrastructure"),
}


@dataclass(frozen=True, slots=True)
class Change:
    op: Op
    key: AnyKey
    value: AnyValue | None


class Order:
    """Of a program. ProgramError: what its entries need goes round in a circle."""

    def __init__(self, program: Program) -> None:
        self.rank = _ranks(program)

    def batches(self, changes: Changes, size: int = BATCH) -> Iterator[list[Change]]:
        """Each is one WriteRequest, whose updates do not depend on each other; the next one follows when it
        is done."""
        made = [Change(Op.INSERT, key, value) for key, value in changes.insert.items()]
        made += [Change(Op.MODIFY, key, value) for key, value in changes.modify.items()]
        gone = [Change(Op.DELETE, key, None) for key in changes.delete]
        for stage in (*self._stages(made), *reversed(self._stages(gone))):
            for start in range(0, len(stage), size):
                yield stage[start : start + size]

    def _stages(self, changes: Iterable[Change]) -> list[list[Change]]:
        stages: dict[int, list[Change]] = {}
        for change in changes:
            stages.setdefault(self.rank.get(place(change.key), 0), []).append(change)
        return [stages[rank] for rank in sorted(stages)]


def _ranks(program: Program) -> dict[str, int]:
    """Place -> rank; what an entry needs has a lower one."""
    places = {*program.tables, *program.meters, "clone sessions"}
    needs = {name: {need for need in NEEDS.get(name, ()) if need in places} for name in places}
    for table in program.tables.values():
        refers = [r for f in table.fields.values() for r in f.refers_to]
        actions = (*table.actions.values(), *table.default_actions.values())
        refers += [r for action in actions for param in action.params.values() for r in param.refers_to]
        needs[table.name] |= {reference.table for reference in refers}
    ranks: dict[str, int] = {}
    try:
        for name in TopologicalSorter(needs).static_order():
            ranks[name] = max((ranks[need] + 1 for need in needs.get(name, ())), default=0)
    except CycleError as error:
        raise ProgramError(f"entries need each other in a circle: {' -> '.join(error.args[1])}") from None
    return ranks
