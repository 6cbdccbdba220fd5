# SPDX-License-Identifier: Apache-2.0
"""Laws of what is compiled, whatever the network and whatever is measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Interface
from itertools import pairwise
from time import process_time

from din.measure.state import Measured
from din.model.ids import FUNCTION_BASE, assign, group_name
from din.model.network import Model
from din.model.wiring import Wiring
from din.p4rt.compile import Context, compile_network
from din.p4rt.constraints import Constraints
from din.p4rt.entry import Action, Key, State
from din.p4rt.program import default_program
from din.p4rt.references import dangling
from din.steering.buckets import BUCKETS
from din.steering.plan import Plan
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.din.steering.build import host, link, model
from tests.din.steering.generate import history

from .fabric import buckets_of


def context(of: Model, measured: Measured, plan: Plan) -> Context:
    groups = dict.fromkeys(group_name(*each.group) for each in plan.decisions)
    down = frozenset(key for key, link in measured.links.items() if not link.up)
    return Context(of, Wiring(of), assign(of, groups), plan, buckets_of(plan), down=down)


def compiled(of: Model, measured: Measured, plan: Plan) -> dict[str, State]:
    return compile_network(context(of, measured, plan))


def nodes(found: Context, segments: int) -> list[str]:
    """Of a NEXT-CSID list, less its function."""
    names = {number: name for name, number in found.ids.numbers["node"].items()}
    ids = [segments >> shift & 0xFFFF for shift in range(80, -1, -16)]
    used = [each for each in ids if each]
    assert ids == used + [0] * (len(ids) - len(used))
    assert used[-1] >= FUNCTION_BASE
    return [names[each] for each in used[:-1]]


def paths(state: State) -> Iterator[tuple[dict[str, int], dict[str, int]]]:
    """What matches and the parameters, of every entry with a SID list."""
    for where, value in state.items():
        if isinstance(where, Key) and isinstance(value, Action) and value.name == "via":
            yield dict(where.match), dict(value.params)  # type: ignore[arg-type]


@settings(max_examples=50)
@given(st.integers(0, 10**6))
def test_no_entry_leads_what_is_labelled_out_of_its_zones(seed: int) -> None:
    for of, measured, _, plan in history(seed):
        found = replace(context(of, measured, plan), buckets={})
        labels = {found.ids.label(each.name): each for each in of.labels}
        for switch, state in compile_network(found).items():
            for match, params in paths(state):
                way = [switch, *nodes(found, params["segments"])]
                assert params["zone"] == found.zone(way[-1])
                label = labels.get(match["label"])
                for a, b in pairwise(way):
                    links = found.wiring.between(a, b)
                    # What is down is not the way; what is encrypted is so on every link of it.
                    assert any(measured.link(hop.key).up for hop in links)
                    assert label is None or not label.encrypted or all(hop.link.encrypted for hop in links)
                assert label is None or {of.zone_of(node) for node in way} <= set(label.zones)


@settings(max_examples=40)
@given(st.integers(0, 10**6))
def test_entries_keep_to_the_program_and_refer_to_what_is_there(seed: int) -> None:
    program = default_program()
    check = Constraints(program).check
    for of, measured, _, plan in history(seed)[-1:]:
        for switch, state in compiled(of, measured, plan).items():
            assert [problem for key, value in state.items() for problem in check(key, value)] == [], switch
            assert dangling(program, state) == [], switch


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_every_group_has_all_its_buckets_with_members_that_stand(seed: int) -> None:
    for of, measured, _, plan in history(seed):
        for state in compiled(of, measured, plan).values():
            keys = [each for each in state if isinstance(each, Key)]
            members = {
                (dict(each.match)["group"], dict(each.match)["instance"])
                for each in keys
                if each.table == "members"
            }
            alive = {dict(each.match)["instance"] for each in keys if each.table == "liveness"}
            used: dict[object, int] = {}
            for each in keys:
                if each.table == "buckets":
                    group = dict(each.match)["group"]
                    used[group] = used.get(group, 0) + 1
                    value = state[each]
                    assert isinstance(value, Action)
                    current = dict(value.params)["current"]
                    assert (group, current) in members
                    assert current in alive
            assert set(used.values()) <= {BUCKETS}


def test_a_leaf_with_many_hosts_takes_no_time() -> None:
    """Four leaves of 500 hosts each, in one prefix."""
    leaves = [f"l{k}" for k in range(4)]
    of = model(
        {"z": leaves},
        [link(a, b) for a, b in pairwise(leaves)],
        [
            host(f"h{k}-{n}", leaf, addresses=[f"10.{k}.{n // 250}.{n % 250 + 2}/16"])
            for k, leaf in enumerate(leaves)
            for n in range(500)
        ],
    )
    # A prefix tells other leaves of all of them.
    gateways = {leaf: [IPv4Interface(f"10.{k}.0.1/16")] for k, leaf in enumerate(leaves)}
    of = of.model_copy(
        update={
            "switches": [each.model_copy(update={"gateways": gateways[each.name]}) for each in of.switches]
        }
    )
    found = context(of, Measured(), Plan())
    start = process_time()
    states = compile_network(found)
    assert process_time() - start < 2.0
    assert sum(isinstance(each, Key) and each.table == "sources" for each in states["l0"]) == 500
