# SPDX-License-Identifier: Apache-2.0
"""Laws of any constraint: random ones, written in random ways, against what Python says of them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

from din.p4rt.constraints import ConstraintError
from din.p4rt.entry import Action, Key, Lpm, Range, Ternary
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.din.p4rt.constraints.programs import entry, of_entries

A = Action("a")
#: Precedence of what is written, as the language's specification has it.
UNARY, COMPARISON, ATOM = 6, 5, 8
BOOLEAN = {"&&": 4, "||": 3, "->": 2, ";": 1}
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Written(NamedTuple):
    """An expression as text, how strongly its outermost operator binds, and what it is worth."""

    text: str
    binds: int
    value: Callable[[Key], Any]


def inside(of: Written, above: int, more: bool = False) -> str:
    """With parentheses where they are needed, or ``more``."""
    return f"({of.text})" if of.binds <= above or more else of.text


blanks = st.sampled_from(["", " ", "\n", "\t ", " // a comment; && false\n", "/* true ** || */"])


@st.composite
def numbers(draw: st.DrawFn, highest: int) -> Written:
    number = draw(st.integers(0, highest))
    form = draw(st.sampled_from(["{}", "0d{}", "{:#x}", "{:#b}", "{:#o}"]))
    return Written(form.format(number), ATOM, lambda _: number)


def field(key: Key, name: str) -> Any:
    left_out: dict[str, Any] = {"ternary8": Ternary(0, 0), "lpm8": Lpm(0, 0), "range8": Range(0, 255)}
    found = dict(key.match).get(name, left_out.get(name))
    if name == "optional8":
        return Ternary(0, 0) if found is None else Ternary(found, 255)
    return found


def part(name: str, attribute: str, asked: str) -> Written:
    return Written(f"{name}::{asked}", 7, lambda key: getattr(field(key, name), attribute))


#: Eight bits each.
BITS = [
    part("ternary8", "value", "value"),
    part("ternary8", "mask", "mask"),
    part("optional8", "value", "value"),
    part("optional8", "mask", "mask"),
    part("lpm8", "value", "value"),
    part("range8", "low", "low"),
    part("range8", "high", "high"),
    Written("exact8", ATOM, lambda key: field(key, "exact8")),
    Written("exact8::value", 7, lambda key: field(key, "exact8")),
]
INTS = [
    part("lpm8", "length", "prefix_length"),
    Written("::priority", 7, lambda key: key.priority),
    Written("-lpm8::prefix_length", UNARY, lambda key: -field(key, "lpm8").length),
]
#: What a number is, compared with such a field.
EXACTLY: dict[str, Callable[[int], Any]] = {
    "ternary8": lambda number: Ternary(number, 255),
    "optional8": lambda number: Ternary(number, 255),
    "lpm8": lambda number: Lpm(number, 8),
    "range8": lambda number: Range(number, number),
}


@st.composite
def comparisons(draw: st.DrawFn) -> Written:
    kind = draw(st.sampled_from(["bits", "bits", "ints", "mixed", "match"]))
    sign = draw(st.sampled_from(["==", "!="] if kind == "match" else list(COMPARE)))
    left: Written
    right: Written
    match kind:
        case "bits":
            left = draw(st.sampled_from(BITS))
            right = draw(st.sampled_from(BITS) | numbers(255))
        case "ints":
            left = draw(st.sampled_from(INTS))
            right = draw(st.sampled_from(INTS) | numbers(300))
        case "mixed":
            left = draw(st.sampled_from(BITS))
            number = draw(st.sampled_from(INTS))
            right = Written(number.text, number.binds, lambda key: number.value(key) % 256)
        case _:
            name = draw(st.sampled_from(list(EXACTLY)))
            number = draw(numbers(255))
            left = Written(name, ATOM, lambda key: field(key, name))
            right = Written(number.text, ATOM, lambda key: EXACTLY[name](number.value(key)))
    if draw(st.booleans()):
        left, right = right, left
    compare = COMPARE[sign]
    text = f"{inside(left, 5)}{draw(blanks)}{sign}{draw(blanks)}{inside(right, 5)}"
    return Written(text, COMPARISON, lambda key: compare(left.value(key), right.value(key)))


constants = st.sampled_from([Written("true", ATOM, lambda _: True), Written("false", ATOM, lambda _: False)])


def extend(smaller: st.SearchStrategy[Written]) -> st.SearchStrategy[Written]:
    @st.composite
    def negations(draw: st.DrawFn) -> Written:
        inner = draw(smaller)
        # `!` of `!` needs no parentheses.
        text = inside(inner, UNARY - 1, draw(st.booleans()))
        return Written(f"!{draw(blanks)}{text}", UNARY, lambda key: not inner.value(key))

    @st.composite
    def combinations(draw: st.DrawFn) -> Written:
        left, right = draw(smaller), draw(smaller)
        sign = draw(st.sampled_from([*BOOLEAN, "==", "!="]))
        binds = BOOLEAN.get(sign, COMPARISON)
        # `a && b && c` is `(a && b) && c`; what is not associative wants parentheses on both sides.
        first = inside(left, binds - (sign in ("&&", "||", ";")), draw(st.booleans()))
        second = inside(right, binds, draw(st.booleans()))
        text = f"{first}{draw(blanks)}{sign}{draw(blanks)}{second}"
        values: dict[str, Callable[[bool, bool], bool]] = {
            "&&": lambda a, b: a and b,
            ";": lambda a, b: a and b,
            "||": lambda a, b: a or b,
            "->": lambda a, b: b or not a,
            "==": lambda a, b: a == b,
            "!=": lambda a, b: a != b,
        }
        return Written(text, binds, lambda key: values[sign](left.value(key), right.value(key)))

    return negations() | combinations()


constraints = st.recursive(comparisons() | constants, extend, max_leaves=12)


@st.composite
def entries(draw: st.DrawFn) -> Key:
    """With few values, so that comparisons often hold."""
    small = st.sampled_from([0, 1, 2, 3, 8, 128, 255])
    match: dict[str, Any] = {"exact8": draw(small)}
    if draw(st.booleans()):
        match["ternary8"] = Ternary(draw(small), draw(small.filter(bool)))
    if draw(st.booleans()):
        match["optional8"] = draw(small)
    if draw(st.booleans()):
        match["lpm8"] = Lpm(draw(small), draw(st.integers(1, 8)))
    if draw(st.booleans()):
        low, high = sorted((draw(small), draw(small)))
        match["range8"] = Range(low, high)
    return entry(draw(st.integers(1, 300)), **match)


@given(constraints, st.lists(entries(), min_size=1, max_size=4), st.booleans())
@settings(max_examples=250, deadline=None)
def test_a_constraint_means_what_python_says(constraint: Written, keys: list[Key], ends: bool) -> None:
    compiled = of_entries(constraint.text + ";" * ends)
    for key in keys:
        problems = compiled.check(key, A)
        assert (not problems) == constraint.value(key)


@given(constraints, entries())
@settings(max_examples=60, deadline=None)
def test_a_constraint_or_its_opposite_holds_and_the_other_is_explained(constraint: Written, key: Key) -> None:
    straight = of_entries(constraint.text).check(key, A)
    opposite = of_entries(f"!({constraint.text})").check(key, A)
    assert bool(straight) != bool(opposite)
    assert all("must" in each and "table t" in each for each in (*straight, *opposite))


@given(constraints, constraints, entries())
@settings(max_examples=60, deadline=None)
def test_reasons_of_a_conjunction_are_those_of_its_parts(one: Written, other: Written, key: Key) -> None:
    def words(text: str) -> list[str]:
        return [each.rsplit(" (@", 1)[0] for each in of_entries(text).check(key, A)]

    assert words(f"({one.text}) && ({other.text})") == words(one.text) + words(other.text)


pieces = st.sampled_from(
    [
        "exact8",
        "ternary8",
        "::",
        "mask",
        "&&",
        "->",
        "==",
        "<",
        "!",
        "-",
        "(",
        ")",
        ";",
        "5",
        "true",
        "'",
        "/*",
        "$",
    ]
)


@given(st.lists(pieces, max_size=12).map(" ".join))
@settings(max_examples=150, deadline=None)
def test_any_text_is_a_constraint_or_an_error_that_names_its_place(text: str) -> None:
    try:
        of_entries(text)
        problem = ""
    except ConstraintError as error:
        problem = str(error)
    assert not problem or problem.startswith("@entry_restriction of table t, line 1, column ")
