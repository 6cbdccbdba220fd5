# SPDX-License-Identifier: Apache-2.0
"""What a program can have, and in which form."""

from __future__ import annotations

import pytest
from din.p4rt.canonical import BadStateError, canonical, show, show_value
from din.p4rt.entry import (
    Action,
    AnyKey,
    AnyValue,
    Clone,
    CloneKey,
    Key,
    Lpm,
    MeterConfig,
    MeterKey,
    Range,
    Ternary,
    action,
    default,
    key,
    member,
)
from din.p4rt.program import Program

from tests.din.p4rt.switches import everything

BUCKET = action("set_bucket", current=1, previous=1, state=0)
HOP = member("set_next_hop", port=1, dst_mac=1, src_mac=1)
PERMIT = action("permit", tenant=1, label=0, label_mandatory=0, option_required=0)
REFUSE = action("ignore_address")

BAD: list[tuple[AnyKey, AnyValue, str]] = [
    (key("bucket", group=1), BUCKET, "the program has no table 'bucket'"),
    (key("gap_bins", gap=Lpm(0, 1)), action("set_gap_bin", one=1), "constant"),
    (key("buckets", group=1), BUCKET, "field 'bucket' is exact and must be given"),
    (key("buckets", group=1, bucket=1024), BUCKET, "field 'bucket': 0x400 does not fit 10 bits"),
    (key("buckets", group=-1, bucket=1), BUCKET, "does not fit 16 bits"),
    (key("buckets", group=1, bucket=1, colour=3), BUCKET, "no field 'colour'; it has bucket, group"),
    (key("buckets", group=1, bucket=Lpm(0, 1)), BUCKET, "field 'bucket' is exact: give it a number"),
    (key("buckets", 5, group=1, bucket=1), BUCKET, "its entries have no priority"),
    (Key("buckets", (("group", 1), ("bucket", 1))), BUCKET, "not sorted by name"),
    (key("buckets", group=1, bucket=1), Action("set_bucket", (("current", 1),)), "lacks previous, state"),
    (
        key("buckets", group=1, bucket=1),
        action("set_bucket", current=1, previous=1, state=0, x=1),
        "has no x",
    ),
    (
        key("buckets", group=1, bucket=1),
        action("set_bucket", current=65536, previous=1, state=0),
        "current=0x10000 does not fit 16 bits",
    ),
    (key("buckets", group=1, bucket=1), action("NoAction"), "'NoAction' is not one of set_bucket here"),
    (key("buckets", group=1, bucket=1), (HOP,), "no action selector"),
    (key("addresses", port=1), REFUSE, "has a priority of 1 to"),
    (key("addresses", 1, address=Ternary(3, 2)), REFUSE, "has bits outside its mask"),
    (key("addresses", 1, address=5), REFUSE, "is ternary: give it Ternary"),
    (key("sources", port=1, vid=0, src_addr=Lpm(1, 32)), PERMIT, "has bits outside its prefix"),
    (key("sources", port=1, vid=0, src_addr=Lpm(0, 129)), PERMIT, "a prefix has 0 to 128 bits"),
    (key("routes", sid=Lpm(0, 0)), action("set_next_hop", port=1, dst_mac=1, src_mac=1), "give it members"),
    (key("routes", sid=Lpm(1 << 127, 1)), (), "at least one member"),
    (key("routes", sid=Lpm(1 << 127, 1)), (member("set_next_hop", port=1),), "lacks dst_mac, src_mac"),
    (
        key("routes", sid=Lpm(1 << 127, 1)),
        (member("set_next_hop", weight=65, port=1, dst_mac=1, src_mac=1),),
        "sum to 65, and a group has room for 64",
    ),
    (
        key("routes", sid=Lpm(1 << 127, 1)),
        (member("set_next_hop", weight=0, port=1, dst_mac=1, src_mac=1),),
        "weight is at least 1",
    ),
    (default("buckets"), action("NoAction"), "is the program's and cannot be set"),
    (default("routes"), action("set_next_hop", port=1, dst_mac=1, src_mac=1), "cannot be set"),
    (default("clock"), action("inside"), "'inside' is not one of set_clock here"),
    (Key("clock"), action("set_clock", base=0, unit=0, node_id=0), "has its default entry alone"),
    (CloneKey(0), Clone((1,)), "a session's number is 1 to"),
    (CloneKey(1), Clone(()), "one port or more"),
    (CloneKey(1), Clone((1, 1)), "a port is there twice"),
    (MeterKey("punts", 0), MeterConfig(1, 1, 1, 1), "no meter 'punts'; it has punt_ports, punt_switch"),
    (MeterKey("punt_switch", 2), MeterConfig(1, 1, 1, 1), "indices 0 to 1"),
    (MeterKey("punt_switch", 0), MeterConfig(2, 1, 1, 1), "above the peak rate"),
]


@pytest.mark.parametrize(("where", "value", "problem"), BAD)
def test_what_no_switch_would_take(program: Program, where: AnyKey, value: AnyValue, problem: str) -> None:
    with pytest.raises(BadStateError) as error:
        canonical(program, everything() | {where: value})
    assert len(error.value.problems) == 1
    assert problem in str(error.value)
    assert str(error.value).startswith(show(where))


def test_all_that_is_wrong_is_told(program: Program) -> None:
    state = {where: value for where, value, _ in BAD}
    with pytest.raises(BadStateError) as error:
        canonical(program, state)
    assert len(error.value.problems) == len(state)
    assert f"and {len(state) - 20} more" in str(error.value)


def test_what_is_right_stays_as_it_is(program: Program) -> None:
    assert canonical(program, everything()) == everything()


def test_a_match_on_anything_is_left_out(program: Program) -> None:
    wanted: dict[AnyKey, AnyValue] = {
        key("addresses", 1, port=0, address=Ternary(0, 0)): REFUSE,
        key("sources", port=1, vid=0, src_addr=Lpm(0, 0)): PERMIT,
    }
    assert canonical(program, wanted) == {
        key("addresses", 1, port=0): REFUSE,
        key("sources", port=1, vid=0): PERMIT,
    }


def test_two_forms_of_one_entry_are_refused(program: Program) -> None:
    wanted: dict[AnyKey, AnyValue] = {
        key("addresses", 1, port=0, address=Ternary(0, 0)): REFUSE,
        key("addresses", 1, port=0): REFUSE,
    }
    with pytest.raises(BadStateError, match="the same entry is there twice"):
        canonical(program, wanted)


def test_a_default_entry_that_is_the_programs_is_left_out(program: Program) -> None:
    assert canonical(program, {default("boundaries"): action("unknown_boundary")}) == {}


def test_more_entries_than_a_table_has_room_for(program: Program) -> None:
    value = action("set_queue", queue=1)
    wanted: dict[AnyKey, AnyValue] = {key("classes", class_id=n): value for n in range(17)}
    with pytest.raises(BadStateError, match="classes: 17 entries are wanted and it has room for 16"):
        canonical(program, wanted)


def test_what_is_known_is_not_looked_at_again(program: Program) -> None:
    bad: dict[AnyKey, AnyValue] = {key("buckets", group=1, bucket=5000): BUCKET}
    assert canonical(program, bad, known=bad) == bad
    with pytest.raises(BadStateError):
        canonical(program, bad, known={key("buckets", group=1, bucket=5000): action("other")})


def test_keys_are_shown_as_operators_write_them() -> None:
    assert show(key("a", 3, x=1, y=Lpm(0x10, 4), z=Ternary(1, 255), w=Range(1, 2))) == (
        "a[w=1..2, x=1, y=0x10/4, z=0x1&&&0xff] priority 3"
    )
    assert show(default("clock")) == "clock default"
    assert show(CloneKey(4)) == "clone session 4"
    assert show(MeterKey("m", 2)) == "meter m[2]"


def test_values_are_shown_as_operators_write_them() -> None:
    assert show_value(action("via", mtu=9000, segments=0xFCBBBB00 << 96)) == (
        "via(mtu=9000, segments=0xfcbbbb00000000000000000000000000)"
    )
    assert show_value((member("a", weight=2, watch_port=3), member("b", port=1))) == (
        "a() weight 2 while port 3 is up | b(port=1)"
    )
    assert show_value(Clone((2, 3))) == "to ports 2, 3"
    assert show_value(MeterConfig(100, 20, 200, 40)) == "100/s (burst 20), at most 200/s (burst 40)"
