# SPDX-License-Identifier: Apache-2.0
"""The commands of an STF test, as `parse` reads them and `run` carries them out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a packet must look like: upper-case hex digits and ``*`` (any nibble).

    A longer packet matches too unless ``exact_length``; a shorter one never does.
    """

    digits: str
    exact_length: bool = False


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written. In base 2 and 16, bit i is compared where ``written`` has bit i; digits written
    as ``*`` are 0 in both. ``written`` is None for a decimal number, which always means all bits."""

    value: int
    written: int | None = None
    #: Bits that the ``*`` at the end of the number stand for.
    trailing_wild: int = 0
    wild: bool = False


@dataclass(frozen=True, slots=True)
class KeyValue:
    """One ``name:value`` of a match; at most one of prefix_length, mask and high is given."""

    name: str
    value: Number
    prefix_length: int | None = None
    mask: int | None = None
    high: int | None = None


@dataclass(frozen=True, slots=True)
class ActionText:
    name: str
    arguments: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Command:
    line: int


@dataclass(frozen=True, slots=True)
class Packet(Command):
    port: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Expect(Command):
    """``pattern`` None: one packet, whatever it holds."""

    port: int
    pattern: Pattern | None


@dataclass(frozen=True, slots=True)
class NoPacket(Command):
    """Nothing has left by any port since the last ``packet``."""


@dataclass(frozen=True, slots=True)
class Wait(Command):
    pass


@dataclass(frozen=True, slots=True)
class Add(Command):
    table: str
    priority: int | None
    match: tuple[KeyValue, ...]
    action: ActionText
    handle: str | None


@dataclass(frozen=True, slots=True)
class SetDefault(Command):
    table: str
    action: ActionText


@dataclass(frozen=True, slots=True)
class RemoveAll(Command):
    pass


@dataclass(frozen=True, slots=True)
class CheckCounter(Command):
    """``index`` is a cell, or the ``$handle`` of an entry for a direct counter. Without ``unit`` the counter
    only has to exist."""

    counter: str
    index: int | str
    unit: str | None = None
    relation: str = "=="
    value: int = 0


@dataclass(frozen=True, slots=True)
class MirroringAdd(Command):
    session: int
    port: int


@dataclass(frozen=True, slots=True)
class MirroringAddGroup(Command):
    session: int
    group: int


@dataclass(frozen=True, slots=True)
class MirroringDelete(Command):
    session: int


@dataclass(frozen=True, slots=True)
class MirroringGet(Command):
    session: int


@dataclass(frozen=True, slots=True)
class MulticastGroupCreate(Command):
    group: int


@dataclass(frozen=True, slots=True)
class MulticastNodeCreate(Command):
    """Nodes are numbered from 0 in the order of their creation."""

    rid: int
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MulticastNodeUpdate(Command):
    node: int
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MulticastNodeAssociate(Command):
    group: int
    node: int


@dataclass(frozen=True, slots=True)
class CounterRead(Command):
    counter: str
    index: int


@dataclass(frozen=True, slots=True)
class CounterWrite(Command):
    counter: str
    index: int
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class RegisterRead(Command):
    register: str
    index: int


@dataclass(frozen=True, slots=True)
class RegisterWrite(Command):
    register: str
    index: int
    value: int


@dataclass(frozen=True, slots=True)
class RegisterReset(Command):
    register: str


@dataclass(frozen=True, slots=True)
class MeterGetRates(Command):
    """``index`` is a cell, or the ``$handle`` of an entry for a direct meter."""

    meter: str
    index: int | str


#: (units per microsecond, burst in units) for the committed and the peak rate.
Rates = tuple[tuple[float, int], tuple[float, int]]


@dataclass(frozen=True, slots=True)
class MeterSetRates(Command):
    """``index`` as in MeterGetRates; None sets every cell (``meter_array_set_rates``)."""

    meter: str
    index: int | str | None
    rates: Rates


@dataclass(frozen=True, slots=True)
class MemberCreate(Command):
    """Members, like groups, are numbered from 0 in the order of their creation in their profile."""

    profile: str
    action: ActionText


@dataclass(frozen=True, slots=True)
class GroupCreate(Command):
    profile: str


@dataclass(frozen=True, slots=True)
class GroupAddMember(Command):
    profile: str
    member: int
    group: int


@dataclass(frozen=True, slots=True)
class AddIndirect(Command):
    """An entry of a table with an action profile that refers to a member or a group."""

    table: str
    priority: int | None
    match: tuple[KeyValue, ...]
    target: int
    group: bool


@dataclass(frozen=True, slots=True)
class ValueSetAdd(Command):
    value_set: str
    value: int
