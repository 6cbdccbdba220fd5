# SPDX-License-Identifier: Apache-2.0
"""Damaged programs: whatever the input, the answer is a program or a ProgramError."""

from __future__ import annotations

import contextlib
import copy
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from p4jit.frontend.errors import ProgramError
from p4jit.frontend.load import load_program
from p4jit.frontend.p4info import check_p4info, load_p4info

from tests.p4jit.frontend.builder import load, valid
from tests.p4jit.frontend.test_p4info import TEXT as P4INFO

SCALARS: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3, 7, 255, 65536, 2**31, 2**63, -(2**70), 10**100, 0.5, 1e300,
    "", "x", "0x", "0x0", "-0x1", "0xffffffffffffffffffff", "default", "$valid$", "ethernet", "labels", "us",
    "u", "meta", "start", "forward", "field", "hexstr", "header", "expression", "header_stack", "lookahead",
    "register", "calc", "r", "ingress", "egress", "lpm", "ternary", "range", "exact", "valid", "simple",
    "indirect", "\ud800", "\x00", "é" * 10, [], {}, [[]], [None], {"type": "hexstr", "value": "0x1"},
    {"type": "expression", "value": {"op": "+", "left": None, "right": None}}, ["ethernet", "dst"],
]  # fmt: skip


def places(node: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Every (container, key) in a document."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        found.append((node, key))
        places(value, found)
    return found


def mutate(document: Any, rng: random.Random, times: int) -> None:
    """Damage a document in place: remove, replace, swap, repeat or rename parts of it."""
    for _ in range(times):
        found = places(document, [])
        if not found:
            return
        container, key = rng.choice(found)
        kind = rng.randrange(6)
        other, other_key = rng.choice(found)
        if kind == 0:
            del container[key]
        elif kind == 1:
            container[key] = copy.deepcopy(rng.choice(SCALARS))
        elif kind == 2:
            container[key] = copy.deepcopy(other[other_key])
        elif kind == 3 and isinstance(container, list):
            container.append(copy.deepcopy(container[key]))
        elif kind == 4 and isinstance(container, dict):
            container[str(rng.choice(SCALARS))] = container.pop(key)
        elif isinstance(container[key], int):
            container[key] += rng.choice((-1, 1))
        else:
            container[key] = [container[key]]


def attempt(document: Any) -> ProgramError | None:
    """Why it does not load, if so. Anything but ProgramError goes on to the caller."""
    try:
        load_program(json.dumps(document), "fuzz")
    except ProgramError as error:
        return error
    return None


def check(document: Any) -> None:
    error = attempt(document)
    assert error is None or (error.path.startswith("$") and error.problem)


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_program_loads_or_is_refused(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(50):
        document = valid()
        mutate(document, rng, rng.randrange(1, 4))
        check(document)


json_values = st.recursive(
    st.sampled_from(SCALARS) | st.integers() | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=5), children, max_size=4)
    ),
    max_leaves=12,
)


@given(st.sampled_from(sorted(valid())), json_values)
@settings(max_examples=200)
def test_any_value_as_a_section(section: str, value: Any) -> None:
    check(valid() | {section: value})


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_any_text(text: str | bytes) -> None:
    with pytest.raises(ProgramError):
        load_program(text, "fuzz")


@pytest.mark.parametrize("seed", range(10))
def test_damaged_p4info_is_read_or_refused(seed: int) -> None:
    """Bytes changed in the binary form: much of it still parses, and then must be checked."""
    rng = random.Random(seed)
    original = load_p4info(P4INFO.encode()).SerializeToString()
    for _ in range(50):
        data = bytearray(original)
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        program = load(valid())
        with contextlib.suppress(ProgramError):
            check_p4info(program, load_p4info(bytes(data)))


@given(st.binary(max_size=200))
def test_any_bytes_as_p4info(data: bytes) -> None:
    with contextlib.suppress(ProgramError):
        load_p4info(data)
