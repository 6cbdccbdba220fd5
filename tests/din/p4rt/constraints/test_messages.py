# SPDX-License-Identifier: Apache-2.0
"""What constraints and entries that are wrong are told, word by word: golden/*.txt.

A file has cases with lines of `----` between them; of each, what is put in, `=>`, and what is said.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from din.p4rt.constraints import ConstraintError
from din.p4rt.entry import Action, Lpm, Match, Range, Ternary

from tests.din.p4rt.constraints.programs import entry, of_actions, of_entries

GOLDEN = Path(__file__).parent / "golden"


def cases(name: str) -> list[tuple[str, str]]:
    found = (GOLDEN / f"{name}.txt").read_text().split("----\n")
    return [(case.split("\n=>\n")[0], case.split("\n=>\n")[1]) for case in found]


@pytest.mark.parametrize(("given", "said"), cases("errors"))
def test_of_constraints_that_are_none(given: str, said: str) -> None:
    kind, constraint = given.split(": ", 1)
    with pytest.raises(ConstraintError) as error:
        (of_entries if kind == "entry" else of_actions)(constraint)
    assert f"{error.value}\n" == said


def number(text: str) -> Match:
    """As messages write a match."""
    numbers = [int(each, 0) for each in re.split(r"&&&|/|\.\.", text)]
    if "&&&" in text:
        return Ternary(*numbers)
    if "/" in text:
        return Lpm(*numbers)
    return Range(*numbers) if ".." in text else numbers[0]


@pytest.mark.parametrize(("given", "said"), cases("violations"))
def test_of_entries_that_are_wrong(given: str, said: str) -> None:
    first, constraint = given.split("\n", 1)
    kind, _, rest = first.partition(" ")
    values = {name: number(value) for name, value in (each.split("=") for each in rest.split())}
    if kind == "entry":
        priority = values.pop("::priority", 1)
        assert isinstance(priority, int)
        found = of_entries(constraint).check(entry(priority, **values), Action("a"))
    else:
        params = {"p8": 0, "q8": 0, "r16": 0} | values
        value = Action("a", tuple((name, each) for name, each in params.items() if isinstance(each, int)))
        found = of_actions(constraint).check(entry(), value)
    assert "".join(f"{each}\n" for each in found) == said
