# SPDX-License-Identifier: Apache-2.0
"""Whether switches have room for a model: what it comes to is compiled, counted and held against the program.

Counted is the most that steering may ask for: every instance that an aggregate may use, nothing measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from din.measure.state import Measured
from din.model.ids import Ids, OutOfNumbersError, assign, group_name
from din.model.network import Model
from din.model.policy import InstanceChoice, PathChoice, Steering
from din.model.problem import Path, Problem
from din.model.wiring import Wiring
from din.steering.aggregates import aggregates
from din.steering.buckets import BUCKETS
from din.steering.decide import decide
from din.steering.plan import Aggregate

from ..canonical import BadStateError, canonical
from ..entry import Key, State
from ..program import Program
from . import compile_network
from .context import Context, Secrets

#: Epochs whose keys are installed at once, at most (`din.model.keys`).
_EPOCHS: Final = 3
_KEY: Final = bytes(8)

#: Table -> what in the model fills it.
_FILLED_BY: Final[Mapping[str, str]] = {
    "addresses": "a gateway takes one, a service's address, and a host's if its network is at several ports",
    "sources": "an address of a host takes one, and one of a service on each of its instances",
    "reverse_rewrites": "an instance with rewrite takes one",
    "option_keys": f"a key of a tenant that has hosts there takes {_EPOCHS}",
    "services": "an address of a service takes one, two with affinity: client",
    "responses": "an address of a service takes one on each of its instances, two with affinity: client",
    "classifier": "a service takes two, and, where its instances are, one for each address of a host with a "
    "label that may use it",
    "watchlist": "an item of telemetry.watch takes one",
    "destinations": "a tenant takes one for each host there, and one for each network elsewhere",
    "groups": "a service takes one for each tenant, label and class that hosts there may ask with",
    "members": "a steering group takes one for each instance that it may use",
    "response_paths": "a service with an instance there takes one for each class, label and leaf that asks",
    "paths": "a leaf takes one for each class and label, and so does an instance that hosts there may use",
    "segments": "a host takes one, and an instance",
    "functions": "a host takes one, and an instance",
    "destination_guard": "a label takes one for each zone that it may be in",
    "boundary_guard": "a label takes one for each zone that it may be in",
    "routes": "a switch takes one, with a member for each equal way to it",
    "report_sinks": "a label that a collector may be told of takes one",
}
#: Table -> the part of the model that fills it at every switch alike.
_EVERYWHERE: Final[Mapping[str, Path]] = {
    "watchlist": ("telemetry", "watch"),
    "destination_guard": ("labels",),
    "boundary_guard": ("labels",),
    "report_sinks": ("telemetry", "collectors"),
    "routes": ("switches",),
}


def check_room(model: Model, program: Program) -> Iterator[Problem]:
    """Of a model without errors (`din.model.check`): what ``program`` cannot hold of it."""
    wiring = Wiring(model)
    steered = aggregates(model, wiring)
    try:
        ids = assign(model, dict.fromkeys(group_name(*each.group) for each in steered))
    except OutOfNumbersError as error:
        yield _out_of_numbers(model, error)
        return
    states = _states(model, wiring, steered, ids)
    needed = {name: _count(program, state) for name, state in states.items()}
    tables = {name: size for name, size in _sizes(program).items() if size}
    full = {
        table: {name: found[table] for name, found in needed.items() if found[table] > size}
        for table, size in tables.items()
    }
    for table, found in full.items():
        if found:
            yield _too_many(model, table, found, tables[table])
    wide = list(_too_wide(model, program, states))
    yield from wide
    if wide or any(full.values()):
        return
    for index, switch in enumerate(model.switches):
        try:
            canonical(program, states[switch.name])
        except BadStateError as error:
            message = f"the program cannot hold what {switch.name} would have: {error}"
            yield Problem(("switches", index), message, "a smaller value, or fewer of them")


def _states(model: Model, wiring: Wiring, steered: list[Aggregate], ids: Ids) -> dict[str, State]:
    """All but buckets. Which of the permitted instances and ways are chosen makes no difference."""
    plain = Steering(instances=InstanceChoice.EQUAL, paths=PathChoice.SHORTEST)
    permitted = model.model_copy(update={"steering": plain})
    plan = decide(permitted, wiring, steered, Measured(), None, frozenset(), 0.0)
    keys = {
        (tenant.name, key.id, epoch): (_KEY, 0)
        for tenant in model.tenants
        for key in tenant.keys
        for epoch in range(_EPOCHS)
    }
    return compile_network(Context(model, wiring, ids, plan, {}, Secrets(keys)))


def _sizes(program: Program) -> dict[str, int]:
    """Of tables, and of what their groups have room for all together."""
    found = {table.name: table.size for table in program.tables.values()}
    for profile in program.p4info.action_profiles:
        found[profile.preamble.alias] = profile.size
    return found


def _count(program: Program, state: State) -> Counter[str]:
    """Entries of tables, and members of action profiles."""
    found = Counter(key.table for key in state if isinstance(key, Key) and not key.default)
    found["buckets"] = BUCKETS * found["groups"]
    for profile in program.p4info.action_profiles:
        tables = {program.tables_by_id[each].name for each in profile.table_ids}
        found[profile.preamble.alias] = sum(
            member.weight
            for key, value in state.items()
            if isinstance(key, Key) and key.table in tables and isinstance(value, tuple)
            for member in value
        )
    return found


def _too_wide(model: Model, program: Program, states: Mapping[str, State]) -> Iterator[Problem]:
    most = program.tables["routes"].max_members
    for index, switch in enumerate(model.switches):
        ways = [
            len(value)
            for key, value in states[switch.name].items()
            if isinstance(key, Key) and key.table == "routes" and isinstance(value, tuple)
        ]
        if most and max(ways, default=0) > most:
            message = f"{switch.name} has {max(ways)} equal ways to a node, and the program room for {most}"
            yield Problem(("switches", index), message, "give some links another delay, or leave them out")


def _out_of_numbers(model: Model, error: OutOfNumbersError) -> Problem:
    for index, switch in enumerate(model.switches):
        if error.kind == f"function/{switch.name}":
            message = f"{switch.name} has more than {error.most} hosts and instances"
            return Problem(("switches", index), message, "put some at another leaf")
    message = f"more than {error.most} kinds of requests: service, tenant, label and class"
    return Problem(("services",), message, "fewer of one of them")


def _too_many(model: Model, table: str, found: Mapping[str, int], room: int) -> Problem:
    """``found``: switches that have not the room, and what they would need."""
    worst = max(found, key=lambda name: (found[name], name))
    index = next(index for index, switch in enumerate(model.switches) if switch.name == worst)
    at = _EVERYWHERE.get(table, ("switches", index))
    others = f" ({len(found)} switches have too many)" if len(found) > 1 else ""
    if table == "buckets":
        groups, most = found[worst] // BUCKETS, room // BUCKETS
        message = f"{worst} has {groups} steering groups, and the program room for {most}{others}"
        return Problem(at, message, _FILLED_BY["groups"])
    message = f"{worst} has {found[worst]} entries of {table}, and the program room for {room}{others}"
    return Problem(at, message, _FILLED_BY.get(table.removesuffix("_selector"), "fewer of what is there"))
