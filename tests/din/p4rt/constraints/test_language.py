# SPDX-License-Identifier: Apache-2.0
"""What constraints mean."""

from __future__ import annotations

import pytest
from din.p4rt.constraints import ConstraintError, Constraints
from din.p4rt.entry import Clone, CloneKey, Key, Lpm, Range, Ternary, action, default, member

from tests.din.p4rt.constraints.programs import entry, of_actions, of_entries, program

A = action("a", p8=1, q8=2, r16=3)

#: Constraint, an entry for which it holds, one for which it does not.
ENTRIES = [
    ("exact8 == 5", entry(exact8=5), entry(exact8=6)),
    ("exact8::value == 5", entry(exact8=5), entry(exact8=6)),
    ("5 == exact8", entry(exact8=5), entry(exact8=6)),
    ("exact8 != 5", entry(exact8=6), entry(exact8=5)),
    ("exact8 < 5", entry(exact8=4), entry(exact8=5)),
    ("exact8 <= 5", entry(exact8=5), entry(exact8=6)),
    ("exact8 > 5", entry(exact8=6), entry(exact8=5)),
    ("exact8 >= 5", entry(exact8=5), entry(exact8=4)),
    ("exact8 == 0x1f", entry(exact8=31), entry(exact8=1)),
    ("exact8 == 0X1F", entry(exact8=31), entry(exact8=1)),
    ("exact8 == 0b101", entry(exact8=5), entry(exact8=101)),
    ("exact8 == 0o17", entry(exact8=15), entry(exact8=17)),
    ("exact8 == 0d17", entry(exact8=17), entry(exact8=15)),
    ("exact8 == 017", entry(exact8=17), entry(exact8=15)),
    # Negative numbers are modulo 2^8.
    ("exact8 == -1", entry(exact8=255), entry(exact8=1)),
    ("exact8 == --1", entry(exact8=1), entry(exact8=255)),
    # A match on anything has mask, prefix length and low 0.
    ("ternary8::mask == 0", entry(), entry(ternary8=Ternary(0, 1))),
    ("ternary8::mask == -1", entry(ternary8=Ternary(3, 255)), entry(ternary8=Ternary(3, 3))),
    ("ternary8::value < 4", entry(ternary8=Ternary(3, 255)), entry(ternary8=Ternary(4, 255))),
    # What is compared with a number is the match on exactly that.
    ("ternary8 == 3", entry(ternary8=Ternary(3, 255)), entry(ternary8=Ternary(3, 3))),
    ("ternary8 == 0", entry(ternary8=Ternary(0, 255)), entry()),
    ("ternary8 != 0", entry(), entry(ternary8=Ternary(0, 255))),
    ("optional8 == 3", entry(optional8=3), entry()),
    ("optional8::mask == -1", entry(optional8=0), entry()),
    ("optional8::value == 3", entry(optional8=3), entry(optional8=4)),
    ("lpm8 == 3", entry(lpm8=Lpm(3, 8)), entry(lpm8=Lpm(2, 7))),
    ("lpm8::prefix_length <= 4", entry(), entry(lpm8=Lpm(0, 5))),
    ("lpm8::value == 0x80", entry(lpm8=Lpm(128, 1)), entry(lpm8=Lpm(64, 2))),
    ("range8 == 3", entry(range8=Range(3, 3)), entry(range8=Range(3, 4))),
    ("range8::low == 0 && range8::high == 255", entry(), entry(range8=Range(0, 254))),
    ("range8::low < range8::high", entry(), entry(range8=Range(2, 2))),
    ("::priority < 100", entry(priority=99), entry(priority=100)),
    ("-::priority > -100", entry(priority=99), entry(priority=100)),
    # 200 + 256 is 200 in 8 bits.
    ("exact8 == ::priority", entry(priority=456, exact8=200), entry(priority=456, exact8=201)),
    ("lpm8::prefix_length == exact8", entry(exact8=0), entry(exact8=1)),
    ("mac48 == mac('02:00:00:00:00:0a')", entry(mac48=0x02000000000A), entry(mac48=10)),
    ("mac48 == mac('2:0:0:0:0:A')", entry(mac48=0x02000000000A), entry(mac48=10)),
    ("ipv4.dst == ipv4('10.0.0.1')", entry(ipv4__dst=0x0A000001), entry()),
    ("ipv6.dst::value > ipv6('::')", entry(ipv6__dst=1), entry()),
    ("ipv6.dst == ipv6('2001:db8::1')", entry(ipv6__dst=0x20010DB8 << 96 | 1), entry()),
    ("!(exact8 == 5)", entry(exact8=6), entry(exact8=5)),
    ("exact8 == 1 || exact8 == 2", entry(exact8=2), entry(exact8=3)),
    ("exact8 == 1 -> lpm8 == 2", entry(exact8=0), entry(exact8=1)),
    ("(exact8 == 1) == (lpm8::prefix_length == 0)", entry(exact8=1), entry(exact8=2)),
    ("true != (exact8 == 1)", entry(exact8=2), entry(exact8=1)),
    # && binds more than ||, that more than ->, that more than ;
    ("true || false && false", entry(), None),
    ("(true || false) && false", None, entry()),
    ("false -> true && false", entry(), None),
    ("true || true -> false", None, entry()),
    ("true || true; false", None, entry()),
    ("false -> true; false", None, entry()),
    ("true -> false; true", None, entry()),
    ("false -> false; true;", entry(), None),
    ("(true;) && (true; true)", entry(), None),
    ("true // false\n && // one\n /* && false \n * ** */ true", entry(), None),
    ("exact8/**/==5//", entry(exact8=5), entry(exact8=4)),
    ("  \t\r\n true", entry(), None),
    ("false", None, entry()),
]


@pytest.mark.parametrize(("constraint", "good", "bad"), ENTRIES, ids=[each[0] for each in ENTRIES])
def test_of_entries(constraint: str, good: Key | None, bad: Key | None) -> None:
    constraints = of_entries(constraint)
    if good is not None:
        assert constraints.check(good, A) == []
    if bad is not None:
        assert constraints.check(bad, A)


def test_an_action_is_checked_wherever_it_is() -> None:
    constraints = of_actions("p8 < q8; r16 != 7")
    bad = action("a", p8=2, q8=2, r16=7)
    assert constraints.check(entry(), A) == []
    problems = constraints.check(entry(), bad)
    assert len(problems) == 2
    assert constraints.check(entry(), bad) == problems
    assert constraints.check(default("t"), bad) == problems
    members = (member("a", p8=1, q8=2, r16=3), member("a", p8=1, q8=2, r16=7), member("a", p8=9, q8=1, r16=7))
    assert [each.split(":")[0] for each in constraints.check(entry(), members)] == [
        "member 2",
        "member 3",
        "member 3",
    ]


def test_a_default_entry_has_no_key_to_be_wrong() -> None:
    assert of_entries("false").check(default("t"), A) == []


def test_what_is_no_table_entry_is_not_constrained() -> None:
    assert of_entries("false").check(CloneKey(1), Clone((1,))) == []


def test_a_program_without_constraints_demands_nothing() -> None:
    assert Constraints(program()).check(entry(), A) == []


@pytest.mark.parametrize(
    "annotation",
    [
        # As p4c writes strings side by side, and with blanks.
        '@entry_restriction("exact8 == 1;" "lpm8::prefix_length == 0")',
        '@entry_restriction( "exact8 == 1; lpm8::prefix_length == 0" )',
        '@entry_restriction ("exact8 == 1; // one" "lpm8::prefix_length == 0")',
    ],
)
def test_forms_of_an_annotation(annotation: str) -> None:
    constraints = Constraints(program(annotation))
    assert constraints.check(entry(exact8=1), A) == []
    assert constraints.check(entry(exact8=0), A)
    assert constraints.check(entry(exact8=1, lpm8=Lpm(0, 1)), A)


def test_other_annotations_are_none_of_ours() -> None:
    assert Constraints(program('@entry_restrictions("false")')).check(entry(), A) == []


def test_all_that_is_wrong_is_told_at_once() -> None:
    both = program('@entry_restriction("nothing == 1")', '@action_restriction("p8 ==")')
    with pytest.raises(ConstraintError) as error:
        Constraints(both)
    assert len(error.value.problems) == 2
    assert "table t" in error.value.problems[0]
    assert "action a" in error.value.problems[1]


def test_a_second_restriction_is_not_passed_over() -> None:
    two = program('@entry_restriction("true")')
    two.p4info.tables[0].preamble.annotations.append('@entry_restriction("false")')
    with pytest.raises(ConstraintError, match="table t has 2 @entry_restriction"):
        Constraints(two)
