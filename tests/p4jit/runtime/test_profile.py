# SPDX-License-Identifier: Apache-2.0
"""Action profiles against a model that lists a group's places anew for every packet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.p4jit.runtime.build import Driver, driver
from tests.p4jit.runtime.table_model import (
    FULL,
    GROUP,
    IN_USE,
    INVALID,
    MEMBER,
    NONE,
    NOT_FOUND,
    OK,
)

MAX_PLACES = 65536
PORTS = 512


@pytest.fixture(scope="module")
def profiles() -> Iterator[Driver]:
    with driver("profile", "profile") as running:
        yield running


@dataclass(frozen=True, order=True)
class Place:
    member: int
    weight: int = 1
    port: int = NONE

    def __str__(self) -> str:
        return f"{self.member} {self.weight} {self.port}"


@dataclass
class Profile:
    """Runs operations; ``script`` and ``expected`` grow."""

    max_size: int = 1000
    data_bytes: int = 8
    members: dict[int, tuple[int, int]] = field(default_factory=dict)
    groups: dict[int, list[Place]] = field(default_factory=dict)
    up: set[int] = field(default_factory=set)
    references: list[tuple[int, int]] = field(default_factory=list)
    script: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._say(f"init {self.data_bytes} {self.max_size}", OK)

    def _say(self, operation: str, *answer: object) -> None:
        self.script.append(operation)
        self.expected.append(" ".join(map(str, answer)))

    @staticmethod
    def _free(used: dict[int, object]) -> int:
        return next(h for h in range(len(used) + 1) if h not in used)

    def add_member(self, action: int, data: int, length: int = 8) -> None:
        operation = f"add_member {action} {data} {length}"
        handle = self._free({**self.members})
        if length > self.data_bytes:
            self._say(operation, INVALID, NONE)
        elif len(self.members) >= self.max_size:
            self._say(operation, FULL, NONE)
        else:
            self.members[handle] = (action, data % (1 << 8 * length))
            self._say(operation, OK, handle)

    def modify_member(self, handle: int, action: int, data: int) -> None:
        status = OK if handle in self.members else NOT_FOUND
        if status == OK:
            self.members[handle] = (action, data)
        self._say(f"modify_member {handle} {action} {data} 8", status)

    def delete_member(self, handle: int) -> None:
        status = OK
        if handle not in self.members:
            status = NOT_FOUND
        elif (MEMBER, handle) in self.references or any(
            p.member == handle for places in self.groups.values() for p in places
        ):
            status = IN_USE
        else:
            del self.members[handle]
        self._say(f"delete_member {handle}", status)

    def _refused(self, places: list[Place]) -> int:
        for p in places:
            if p.member not in self.members:
                return NOT_FOUND
            if p.weight == 0 or PORTS <= p.port < NONE:
                return INVALID
        if sum(p.weight for p in places) > MAX_PLACES:
            return FULL
        return INVALID if len({p.member for p in places}) < len(places) else OK

    def add_group(self, places: list[Place]) -> None:
        status, handle = self._refused(places), NONE
        if status == OK:
            handle = self._free({**self.groups})
            self.groups[handle] = sorted(places)
        self._say(f"add_group {len(places)} {' '.join(map(str, places))}", status, handle)

    def modify_group(self, handle: int, places: list[Place]) -> None:
        status = self._refused(places) if handle in self.groups else NOT_FOUND
        if status == OK:
            self.groups[handle] = sorted(places)
        self._say(f"modify_group {handle} {len(places)} {' '.join(map(str, places))}", status, handle)

    def delete_group(self, handle: int) -> None:
        status = OK
        if handle not in self.groups:
            status = NOT_FOUND
        elif (GROUP, handle) in self.references:
            status = IN_USE
        else:
            del self.groups[handle]
        self._say(f"delete_group {handle}", status)

    def get_group(self, handle: int) -> None:
        places = self.groups.get(handle, [])
        status = OK if handle in self.groups else NOT_FOUND
        self._say(f"get_group {handle}", status, len(places), *places[:4])

    def port(self, port: int, up: bool) -> None:
        (self.up.add if up else self.up.discard)(port)
        self.script.append(f"port {port} {int(up)}")

    def _described(self, handle: int) -> list[object]:
        return [handle, *self.members[handle]] if handle in self.members else ["-"]

    def member(self, handle: int) -> None:
        self._say(f"member {handle}", *self._described(handle))
        self._say(f"get_member {handle}", *self._described(handle))

    def pick(self, group: int, hashed: int) -> None:
        chosen = NONE
        places = [
            p.member
            for p in self.groups.get(group, [])
            for _ in range(p.weight)
            if p.port == NONE or p.port in self.up
        ]
        if places:
            chosen = places[hashed % len(places)]
        self._say(f"pick {group} {hashed}", *self._described(chosen))

    def reference(self, action: int, handle: int) -> None:
        there = handle in (self.members if action == MEMBER else self.groups)
        if there:
            self.references.append((action, handle))
        self._say(f"reference {action} {handle}", OK if there else NOT_FOUND)

    def unreference(self) -> None:
        if self.references:
            action, handle = self.references.pop()
            self.script.append(f"unreference {action} {handle}")

    def clear(self) -> None:
        status = IN_USE if self.references else OK
        if status == OK:
            self.members.clear()
            self.groups.clear()
        self._say("clear", status)


def agree(profiles: Driver, model: Profile) -> None:
    spoken = [line for line in model.script if line.split()[0] not in ("port", "unreference")]
    for operation, got, expected in zip(spoken, profiles.run(model.script), model.expected, strict=True):
        assert got == expected, operation


PLACES = st.lists(
    st.builds(
        Place,
        st.integers(0, 8),
        st.sampled_from([1, 1, 1, 2, 3, 17, 0]),
        st.sampled_from([NONE, 0, 1, 2, 511, 512]),
    ),
    max_size=6,
)
STEP = st.tuples(st.integers(0, 13), st.integers(0, 9), st.integers(0, 2**64 - 1), PLACES)


@given(size=st.sampled_from([4, 1000]), steps=st.lists(STEP, max_size=100))
def test_profile(profiles: Driver, size: int, steps: list[tuple[int, int, int, list[Place]]]) -> None:
    model = Profile(size)
    for kind, handle, number, places in steps:
        if kind < 3:
            model.add_member(handle, number, number % 10)
        elif kind == 3:
            model.modify_member(handle, handle, number)
        elif kind == 4:
            model.delete_member(handle)
        elif kind < 7:
            # Most groups that are drawn at random name a member that is not there.
            model.add_group([p for p in places if p.member in model.members or number % 8 == 0])
        elif kind == 7:
            model.modify_group(handle % 4, [p for p in places if p.member in model.members])
        elif kind == 8:
            model.delete_group(handle % 4)
        elif kind == 9:
            model.port([0, 1, 2, 511, 600][handle % 5], number % 2 == 1)
        elif kind == 10:
            model.reference(MEMBER if number % 2 else GROUP, handle)
        elif kind == 11:
            model.unreference()
        elif kind == 12 and number % 4 == 0:
            model.clear()
        model.member(handle)
        model.get_group(handle % 4)
        for group in range(3):
            model.pick(group, number)
    agree(profiles, model)


def test_every_hash_of_a_group_with_weights(profiles: Driver) -> None:
    model = Profile()
    for i in range(4):
        model.add_member(i, i)
    # Not in order, and the first goes down.
    model.add_group([Place(3, 2), Place(0, 1, 7), Place(2, 5), Place(1, 1, 9)])
    for ports in ([7, 9], [9], []):
        for port in (7, 9):
            model.port(port, port in ports)
        for hashed in range(20):
            model.pick(0, hashed)
    agree(profiles, model)


def test_all_members_down(profiles: Driver) -> None:
    model = Profile()
    model.add_member(1, 1)
    model.add_group([Place(0, 1, 7)])
    model.pick(0, 0)
    model.port(7, True)
    model.pick(0, 0)
    model.port(7, False)
    model.pick(0, 0)
    agree(profiles, model)


def test_too_many_places(profiles: Driver) -> None:
    model = Profile()
    model.add_member(1, 1)
    model.add_member(1, 2)
    model.add_group([Place(0, MAX_PLACES - 1), Place(1, 2)])
    model.add_group([Place(0, 2**32 - 1), Place(1, 2)])
    model.add_group([Place(0, MAX_PLACES - 1), Place(1, 1)])
    for hashed in (0, MAX_PLACES - 2, MAX_PLACES - 1, MAX_PLACES):
        model.pick(0, hashed)
    agree(profiles, model)


def test_many_groups_on_one_port(profiles: Driver) -> None:
    model = Profile()
    model.add_member(1, 1)
    model.add_member(2, 2)
    for i in range(2000):
        model.add_group([Place(0, 1, 7), Place(1, 1, 8 + i % 3)])
    for port in (7, 9):
        model.port(port, True)
        for group in range(0, 2000, 97):
            model.pick(group, 1)
    for group in range(0, 2000, 3):
        model.delete_group(group)
    model.port(9, False)
    for group in range(0, 2000, 97):
        model.pick(group, 1)
    agree(profiles, model)
