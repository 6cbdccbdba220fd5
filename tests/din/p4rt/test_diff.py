# SPDX-License-Identifier: Apache-2.0
"""From what is to what is to be."""

from __future__ import annotations

from din.p4rt.diff import BlastRadius, TableChange, diff
from din.p4rt.entry import Action, State, action, key
from din.p4rt.program import default_program
from hypothesis import given, settings

from tests.din.p4rt.arbitrary import states
from tests.din.p4rt.switches import steering

STATES = states(default_program())


@settings(max_examples=50)
@given(STATES, STATES)
def test_changes_make_one_of_the_other_and_no_more(have: State, want: State) -> None:
    changes = diff(have, want)
    assert not have.keys() & changes.insert.keys()
    assert changes.modify.keys() <= have.keys()
    assert changes.delete.keys() <= have.keys()
    assert not changes.modify.keys() & changes.delete.keys()
    assert all(have[each] != value for each, value in changes.modify.items())
    after = (
        {k: v for k, v in have.items() if k not in changes.delete}
        | dict(changes.insert)
        | dict(changes.modify)
    )
    assert after == want


@settings(max_examples=30)
@given(STATES)
def test_nothing_is_done_to_what_is_right(state: State) -> None:
    assert len(diff(state, dict(state))) == 0


def test_a_blast_radius_counts_by_table() -> None:
    have = steering(1, [1, 2], buckets=10) | steering(2, [3], buckets=10)
    want = {k: v for k, v in have.items() if k not in steering(2, [3], buckets=10)}
    moved = key("buckets", group=1, bucket=0)
    assert isinstance(have[moved], Action)
    want[moved] = action("set_bucket", current=2, previous=1, state=1)
    want[key("ports", port=4)] = action("set_fabric")
    blast = BlastRadius.of("leaf1", have, diff(have, want))
    assert blast.tables["buckets"] == TableChange(had=20, inserted=0, modified=1, deleted=10)
    assert blast.tables["ports"] == TableChange(had=0, inserted=1, modified=0, deleted=0)
    assert (blast.inserted, blast.modified, blast.deleted) == (1, 1, 17)
    assert blast.had == len(have) == 39
    assert str(blast) == "leaf1: +1 ~1 -17 of 39 entries (44% deleted)"
    assert blast.is_mass_deletion(0.4)
    assert not blast.is_mass_deletion(0.5)
    assert blast


def test_nothing_has_no_radius() -> None:
    nothing = BlastRadius.of("leaf1", {}, diff({}, {}))
    assert not nothing
    assert nothing.share_deleted == 0
    assert not nothing.is_mass_deletion(0)
