# SPDX-License-Identifier: Apache-2.0
"""Action profiles and selectors: members, groups, and one-shot action sets."""

from __future__ import annotations

from typing import Any

import pytest
from finsy.proto import p4r
from grpc import StatusCode
from p4jit.target.interface import FullError, GroupMember

from tests.p4jit.p4runtime.client import Client, WriteFailed, update
from tests.p4jit.p4runtime.names import Names
from tests.p4jit.p4runtime.observe import AnyDevice, index_of, ipv4, let_through, ports_of, room


def code(client: Client, kind: str, **entity: Any) -> StatusCode:
    with pytest.raises(WriteFailed) as failure:
        client.write([update(kind, **entity)])
    return failure.value.codes[0]


#: What the balancer holds.
SIZE = 64


def flows(dst: int) -> list[bytes]:
    """Packets to one address: enough for a selector to take every member of a small group."""
    return [ipv4(dst, src) for src in range(64)]


@pytest.fixture
def members(client: Client, names: Names) -> list[p4r.ActionProfileMember]:
    made = [names.member("balancer", i, names.action("forward", i)) for i in (1, 2, 3)]
    client.write([update("INSERT", action_profile_member=m) for m in made])
    return made


@pytest.fixture
def group(client: Client, names: Names, members: list[Any]) -> p4r.ActionProfileGroup:
    made = names.group("balancer", 7, [(1, 1), (2, 3, 5)])
    client.insert(action_profile_group=made)
    return made


def ecmp(names: Names, **action: Any) -> p4r.TableEntry:
    return names.entry("ecmp", {"dst": (0x0A000000, 8)}, p4r.TableAction(**action))


# ---- members ----------------------------------------------------------------------------------------------


def test_members(client: Client, names: Names, members: list[Any], device: AnyDevice) -> None:
    other = names.member("shared", 1, names.action("to_cpu"))
    client.insert(action_profile_member=other)
    wildcard = p4r.ActionProfileMember()
    assert client.read(action_profile_member=wildcard) == [*members, other]
    wildcard.action_profile_id = names.id("balancer")
    assert client.read(action_profile_member=wildcard) == members
    wildcard.member_id = 2
    assert client.read(action_profile_member=wildcard) == [members[1]]
    wildcard.member_id = 9
    assert client.read(action_profile_member=wildcard) == []

    changed = names.member("balancer", 2, names.action("forward", 6))
    client.modify(action_profile_member=changed)
    assert client.read(action_profile_member=names.member("balancer", 2, None)) == [changed]
    let_through(client, names)
    client.insert(table_entry=ecmp(names, action_profile_member_id=2))
    assert ports_of(device, "ecmp", *flows(0x0A000001)) == [6]
    assert room(device, "balancer") == SIZE - 3

    client.delete(
        action_profile_member=p4r.ActionProfileMember(action_profile_id=names.id("balancer"), member_id=3)
    )
    assert room(device, "balancer") == SIZE - 2


def test_member_refusals(client: Client, names: Names, members: list[Any]) -> None:
    forward = names.action("forward", 1)
    cases = [
        ("INSERT", names.member("balancer", 1, forward), StatusCode.ALREADY_EXISTS),
        ("INSERT", names.member("balancer", 0, forward), StatusCode.INVALID_ARGUMENT),
        ("INSERT", names.member("balancer", 4, None), StatusCode.INVALID_ARGUMENT),
        ("INSERT", names.member("balancer", 4, names.action("to_cpu")), StatusCode.INVALID_ARGUMENT),
        ("INSERT", names.member("balancer", 4, names.action("forward", 512)), StatusCode.OUT_OF_RANGE),
        ("MODIFY", names.member("balancer", 4, forward), StatusCode.NOT_FOUND),
        ("MODIFY", names.member("balancer", 1, None), StatusCode.INVALID_ARGUMENT),
        ("DELETE", names.member("balancer", 4, None), StatusCode.NOT_FOUND),
        ("DELETE", p4r.ActionProfileMember(member_id=4), StatusCode.INVALID_ARGUMENT),
        ("DELETE", p4r.ActionProfileMember(action_profile_id=77, member_id=4), StatusCode.NOT_FOUND),
    ]
    for kind, member, expected in cases:
        assert code(client, kind, action_profile_member=member) is expected
    with pytest.raises(WriteFailed) as failure:
        client.read(action_profile_member=p4r.ActionProfileMember(member_id=4))
    assert failure.value.codes == [StatusCode.INVALID_ARGUMENT]


def test_a_full_profile(client: Client, names: Names) -> None:
    for i in range(1, 5):
        client.insert(action_profile_member=names.member("shared", i, names.action("forward", i)))
    fifth = names.member("shared", 5, names.action("forward", 5))
    assert code(client, "INSERT", action_profile_member=fifth) is StatusCode.RESOURCE_EXHAUSTED


def test_members_in_use_cannot_be_deleted(
    client: Client, names: Names, group: p4r.ActionProfileGroup, members: list[Any]
) -> None:
    assert code(client, "DELETE", action_profile_member=members[0]) is StatusCode.FAILED_PRECONDITION
    client.insert(table_entry=ecmp(names, action_profile_member_id=3))
    assert code(client, "DELETE", action_profile_member=members[2]) is StatusCode.FAILED_PRECONDITION
    assert client.read(action_profile_member=p4r.ActionProfileMember()) == members


# ---- groups -----------------------------------------------------------------------------------------------


def test_groups(
    client: Client, names: Names, members: list[Any], group: p4r.ActionProfileGroup, device: AnyDevice
) -> None:
    wildcard = p4r.ActionProfileGroup()
    assert client.read(action_profile_group=wildcard) == [group]
    wildcard.action_profile_id = names.id("balancer")
    assert client.read(action_profile_group=wildcard) == [group]
    wildcard.group_id = 8
    assert client.read(action_profile_group=wildcard) == []
    ((_, staged),) = device.told("group_add")
    assert [(m.weight, m.watch_port) for m in staged] == [(1, None), (3, 5)]

    changed = names.group("balancer", 7, [(3, 2)])
    client.modify(action_profile_group=changed)
    assert client.read(action_profile_group=p4r.ActionProfileGroup()) == [changed]
    client.modify(action_profile_group=names.group("balancer", 7, []))
    client.delete(action_profile_group=names.group("balancer", 7, [(99, 99)]))
    assert client.read(action_profile_group=p4r.ActionProfileGroup()) == []
    # A group left behind in the device would still hold its members.
    client.write([update("DELETE", action_profile_member=m) for m in members])
    assert room(device, "balancer") == SIZE


def test_group_refusals(client: Client, names: Names, group: p4r.ActionProfileGroup) -> None:
    client.insert(action_profile_member=names.member("limited", 1, names.action("forward", 1)))
    client.insert(action_profile_member=names.member("limited", 2, names.action("forward", 1)))
    cases = [
        ("INSERT", names.group("balancer", 7, []), StatusCode.ALREADY_EXISTS),
        ("INSERT", names.group("balancer", 0, []), StatusCode.INVALID_ARGUMENT),
        ("INSERT", names.group("balancer", 8, [(9, 1)]), StatusCode.NOT_FOUND),
        ("INSERT", names.group("balancer", 8, [(0, 1)]), StatusCode.INVALID_ARGUMENT),
        ("INSERT", names.group("balancer", 8, [(1, 0)]), StatusCode.INVALID_ARGUMENT),
        ("INSERT", names.group("balancer", 8, [(1, -1)]), StatusCode.INVALID_ARGUMENT),
        ("INSERT", names.group("balancer", 8, [(1, 1), (1, 2)]), StatusCode.INVALID_ARGUMENT),
        ("INSERT", names.group("balancer", 8, [(1, 1, 99)]), StatusCode.INVALID_ARGUMENT),
        ("INSERT", names.group("balancer", 8, [], max_size=-1), StatusCode.INVALID_ARGUMENT),
        ("INSERT", names.group("balancer", 8, [(1, 2), (2, 2)], max_size=3), StatusCode.RESOURCE_EXHAUSTED),
        ("INSERT", names.group("shared", 8, []), StatusCode.INVALID_ARGUMENT),
        ("INSERT", names.group("limited", 8, [], max_size=0), StatusCode.INVALID_ARGUMENT),
        ("INSERT", names.group("limited", 8, [], max_size=9), StatusCode.INVALID_ARGUMENT),
        ("INSERT", names.group("limited", 8, [(1, 5), (2, 4)], max_size=8), StatusCode.RESOURCE_EXHAUSTED),
        ("MODIFY", names.group("balancer", 8, []), StatusCode.NOT_FOUND),
        ("MODIFY", names.group("balancer", 7, [], max_size=4), StatusCode.INVALID_ARGUMENT),
        ("DELETE", names.group("balancer", 8, []), StatusCode.NOT_FOUND),
    ]
    before = client.read(action_profile_group=p4r.ActionProfileGroup())
    for kind, wrong, expected in cases:
        assert code(client, kind, action_profile_group=wrong) is expected, wrong
    assert client.read(action_profile_group=p4r.ActionProfileGroup()) == before


def test_a_watch_port_by_number(client: Client, names: Names, members: list[Any], device: AnyDevice) -> None:
    """The deprecated int32 form."""
    watched = names.group("balancer", 1, [(1, 1)])
    watched.members[0].watch = 3
    client.insert(action_profile_group=watched)
    ((_, staged),) = device.told("group_add")
    assert [m.watch_port for m in staged] == [3]


# ---- entries that refer to them ---------------------------------------------------------------------------


def test_entries_with_members_and_groups(
    client: Client, names: Names, group: p4r.ActionProfileGroup, device: AnyDevice
) -> None:
    let_through(client, names)
    by_member = ecmp(names, action_profile_member_id=2)
    client.insert(table_entry=by_member)
    query = p4r.TableEntry(table_id=names.id("ecmp"))
    assert client.read(table_entry=query) == [by_member]
    assert ports_of(device, "ecmp", *flows(0x0A000001)) == [2]

    by_group = ecmp(names, action_profile_group_id=7)
    client.modify(table_entry=by_group)
    assert client.read(table_entry=query) == [by_group]
    assert ports_of(device, "ecmp", *flows(0x0A000001)) == [1, 2]
    client.modify(action_profile_group=names.group("balancer", 7, [(3, 2)]))
    assert ports_of(device, "ecmp", *flows(0x0A000001)) == [3]
    assert code(client, "DELETE", action_profile_group=group) is StatusCode.FAILED_PRECONDITION
    client.modify(table_entry=names.entry("ecmp", {"dst": (0x0A000000, 8)}, metadata=b"m"))
    (found,) = client.read(table_entry=query)
    assert (found.action, found.metadata) == (by_group.action, b"m")


def test_what_an_indirect_table_takes(client: Client, names: Names, members: list[Any]) -> None:
    one_shot = names.one_shot((names.action("forward", 1), 1))
    cases = [
        (ecmp(names, action_profile_member_id=9), StatusCode.NOT_FOUND),
        (ecmp(names, action_profile_group_id=9), StatusCode.NOT_FOUND),
        (ecmp(names, action_profile_group_id=0), StatusCode.INVALID_ARGUMENT),
        (ecmp(names, action=names.action("forward", 1)), StatusCode.INVALID_ARGUMENT),
        (names.entry("ecmp", {}, one_shot), StatusCode.INVALID_ARGUMENT),  # members are in use
        (names.entry("profiled", {"dst": 1}, one_shot), StatusCode.INVALID_ARGUMENT),  # no selector
        (
            names.entry("profiled", {"dst": 1}, p4r.TableAction(action_profile_group_id=1)),
            StatusCode.INVALID_ARGUMENT,
        ),
        (
            names.entry("l2", {"dst": 1}, p4r.TableAction(action_profile_member_id=1)),
            StatusCode.INVALID_ARGUMENT,
        ),
    ]
    for entry, expected in cases:
        assert code(client, "INSERT", table_entry=entry) is expected, entry


# ---- one shots --------------------------------------------------------------------------------------------


def test_one_shot(client: Client, names: Names, device: AnyDevice) -> None:
    action_set = names.one_shot(
        (names.action("forward", 1), 1, 1),
        (names.action("forward", 1), 2),
        (names.action("rewrite", 1, 2, 3), 3, 7),
    )
    entry = names.entry("ecmp", {"dst": (0, 1)}, action_set)
    client.insert(table_entry=entry)
    assert client.read(table_entry=p4r.TableEntry(table_id=names.id("ecmp"))) == [entry]
    assert client.read(action_profile_member=p4r.ActionProfileMember()) == []
    ((_, members),) = device.told("group_add")
    assert [(m.weight, m.watch_port) for m in members] == [(1, 1), (2, None), (3, 7)]
    let_through(client, names)
    assert ports_of(device, "ecmp", *flows(1)) == [1, 2]
    assert room(device, "balancer") == SIZE - 3

    changed = names.entry("ecmp", {"dst": (0, 1)}, names.one_shot((names.action("forward", 6), 1)))
    client.modify(table_entry=changed)
    assert client.read(table_entry=p4r.TableEntry(table_id=names.id("ecmp"))) == [changed]
    assert ports_of(device, "ecmp", *flows(1)) == [6]
    assert room(device, "balancer") == SIZE - 1
    client.modify(table_entry=names.entry("ecmp", {"dst": (0, 1)}, metadata=b"kept"))
    (found,) = client.read(table_entry=p4r.TableEntry(table_id=names.id("ecmp")))
    assert found.action == changed.action

    client.delete(table_entry=entry)
    assert room(device, "balancer") == SIZE


def test_one_shot_refusals(client: Client, names: Names) -> None:
    forward = names.action("forward", 1)
    limited: Any = {"dst": 1}
    random = names.one_shot((forward, 1))
    random.action_profile_action_set.action_selection_mode = p4r.ActionProfileActionSet.RANDOM
    by_members = names.one_shot((forward, 1))
    by_members.action_profile_action_set.size_semantics = p4r.ActionProfileActionSet.SUM_OF_MEMBERS
    cases = [
        (names.entry("ecmp", {}, names.one_shot((forward, 0))), StatusCode.INVALID_ARGUMENT),
        (names.entry("ecmp", {}, names.one_shot((forward, -1))), StatusCode.INVALID_ARGUMENT),
        (names.entry("ecmp", {}, names.one_shot((forward, 1, 99))), StatusCode.INVALID_ARGUMENT),
        (names.entry("ecmp", {}, names.one_shot((names.action("to_cpu"), 1))), StatusCode.INVALID_ARGUMENT),
        (names.entry("ecmp_limited", limited, names.one_shot((forward, 9))), StatusCode.INVALID_ARGUMENT),
        (names.entry("ecmp", {}, random), StatusCode.UNIMPLEMENTED),
        (names.entry("ecmp", {}, by_members), StatusCode.UNIMPLEMENTED),
    ]
    for entry, expected in cases:
        assert code(client, "INSERT", table_entry=entry) is expected, entry
    default_modes = names.one_shot((forward, 8))
    default_modes.action_profile_action_set.action_selection_mode = p4r.ActionProfileActionSet.HASH
    default_modes.action_profile_action_set.size_semantics = p4r.ActionProfileActionSet.SUM_OF_WEIGHTS
    client.insert(table_entry=names.entry("ecmp_limited", limited, default_modes))

    client.insert(table_entry=names.entry("ecmp", {}, names.one_shot((forward, 1))))
    member = names.member("balancer", 1, forward)
    assert code(client, "INSERT", action_profile_member=member) is StatusCode.INVALID_ARGUMENT
    group = names.group("balancer", 1, [])
    assert code(client, "INSERT", action_profile_group=group) is StatusCode.INVALID_ARGUMENT
    client.delete(table_entry=names.entry("ecmp", {}))
    client.insert(action_profile_member=member)


def test_a_one_shot_that_fails_leaves_nothing(client: Client, names: Names, device: AnyDevice) -> None:
    action_set = names.one_shot((names.action("forward", 1), 1), (names.action("forward", 2), 1))
    entry = names.entry("ecmp", {}, action_set)
    for place in ("group_add", "table_insert"):
        device.failures[place] = FullError("no room")
        assert code(client, "INSERT", table_entry=entry) is StatusCode.RESOURCE_EXHAUSTED
        assert room(device, "balancer") == SIZE
    client.insert(action_profile_member=names.member("balancer", 1, names.action("forward", 1)))


def test_weights_reach_the_device(
    client: Client, names: Names, members: list[Any], device: AnyDevice
) -> None:
    client.insert(action_profile_group=names.group("balancer", 1, [(1, 10), (3, 2)]))
    handles = [call.result for call in device.calls if call.method == "member_add"]
    added = [GroupMember(handles[0], 10, None), GroupMember(handles[2], 2, None)]
    assert device.told("group_add") == [(index_of(device, "profiles", "balancer"), added)]
