# SPDX-License-Identifier: Apache-2.0
"""Members and groups of action profiles (P4Runtime 1.4.1, "ActionProfileMember & ActionProfileGroup")."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from finsy.proto import p4r

from p4jit.p4runtime.actions import EncodedAction, decode_action
from p4jit.p4runtime.bytestrings import decode_port
from p4jit.p4runtime.objects import ProfileSchema
from p4jit.p4runtime.operations import DELETE, INSERT, Operation, Undo
from p4jit.p4runtime.status import denied, exhausted, exists, invalid, not_found, unimplemented
from p4jit.p4runtime.wire import ENTITY_GROUP, ENTITY_MEMBER, entity
from p4jit.target.interface import DeviceInterface, GroupMember

#: Device handle and serialized message.
Stored = tuple[int, bytes]
#: A group's members before their handles are known: member id, weight, watch port.
Membership = tuple[int, int, int | None]


@dataclass(frozen=True, slots=True)
class OneShotAction:
    action: int
    data: bytes
    weight: int
    watch_port: int | None


@dataclass(frozen=True, slots=True)
class OneShot:
    """Device handles of a group and members that belong to one table entry."""

    group: int
    members: tuple[int, ...]


class ProfileStore:
    """One action profile or action selector.

    Its tables use it either by members and groups, or by one-shot action sets, never both.
    """

    def __init__(self, schema: ProfileSchema, device: DeviceInterface) -> None:
        self.schema = schema
        self._device = device
        self._members: dict[int, Stored] = {}
        self._groups: dict[int, Stored] = {}
        self._one_shots = 0

    # ---- members ---------------------------------------------------------------------------------------

    def decode_member(self, kind: int, member: p4r.ActionProfileMember) -> Operation:
        """Raises P4Error. Takes ``member`` over."""
        member_id = member.member_id
        if member_id == 0:
            raise invalid("member_id must be set")
        if kind == DELETE:
            return partial(self._delete_member, member_id)
        if not member.HasField("action"):
            raise invalid("a member needs an action")
        encoded = self._action(member.action)
        apply = self._insert_member if kind == INSERT else self._modify_member
        return partial(apply, member_id, encoded, member.SerializeToString())

    def _action(self, action: p4r.Action) -> EncodedAction:
        encoded = decode_action(self.schema.all_actions, action)
        if action.action_id not in self.schema.actions:
            raise denied(f"{self.schema.all_actions[action.action_id].name} can only be a default action")
        return encoded

    def _insert_member(self, member_id: int, encoded: EncodedAction, wire: bytes, undo: Undo) -> None:
        self._forbid_one_shots()
        if member_id in self._members:
            raise exists(f"{self.schema.name} already has member {member_id}")
        handle = self._device.member_add(self.schema.index, *encoded)
        self._members[member_id] = (handle, wire)
        if undo is not None:
            undo.append(partial(self._delete_member, member_id, None))

    def _modify_member(self, member_id: int, encoded: EncodedAction, wire: bytes, undo: Undo) -> None:
        handle, old = self._member(member_id)
        self._device.member_modify(self.schema.index, handle, *encoded)
        self._members[member_id] = (handle, wire)
        if undo is not None:
            before = self._action(p4r.ActionProfileMember.FromString(old).action)
            undo.append(partial(self._modify_member, member_id, before, old, None))

    def _delete_member(self, member_id: int, undo: Undo) -> None:
        handle, old = self._member(member_id)
        self._device.member_delete(self.schema.index, handle)
        del self._members[member_id]
        if undo is not None:
            before = self._action(p4r.ActionProfileMember.FromString(old).action)
            undo.append(partial(self._insert_member, member_id, before, old, None))

    def _member(self, member_id: int) -> Stored:
        if member_id not in self._members:
            raise not_found(f"{self.schema.name} has no member {member_id}")
        return self._members[member_id]

    # ---- groups ----------------------------------------------------------------------------------------

    def decode_group(self, kind: int, group: p4r.ActionProfileGroup) -> Operation:
        """Raises P4Error. Takes ``group`` over."""
        group_id = group.group_id
        if not self.schema.with_selector:
            raise invalid(f"{self.schema.name} has no selector, and so no groups")
        if group_id == 0:
            raise invalid("group_id must be set")
        if kind == DELETE:
            return partial(self._delete_group, group_id)
        self._check_max_size(group.max_size)
        members = self._memberships(group)
        size = len(members) if self.schema.sum_of_members else sum(weight for _, weight, _ in members)
        limit = group.max_size or self.schema.max_group_size
        if limit and size > limit:
            raise exhausted(f"group {group_id} has a size of {size}, above its max_size of {limit}")
        apply = self._insert_group if kind == INSERT else self._modify_group
        return partial(apply, group_id, members, group.max_size, group.SerializeToString())

    def _check_max_size(self, max_size: int) -> None:
        largest = self.schema.max_group_size
        if max_size < 0:
            raise invalid("max_size cannot be negative")
        if largest and not 0 < max_size <= largest:
            raise invalid(f"max_size {max_size} is not in 1 to max_group_size, {largest}")

    def _memberships(self, group: p4r.ActionProfileGroup) -> list[Membership]:
        members: list[Membership] = []
        seen: set[int] = set()
        for member in group.members:
            if member.member_id == 0:
                raise invalid("member_id must be set")
            if member.member_id in seen:
                raise invalid(f"member {member.member_id} is in the group twice; use its weight")
            seen.add(member.member_id)
            members.append((member.member_id, self._weight(member.weight), self._watch_port(member)))
        return members

    def _weight(self, weight: int) -> int:
        if self.schema.weights_disallowed:
            if weight:
                raise invalid(f"{self.schema.name} takes no weights")
            return 1
        if weight <= 0:
            raise invalid(f"weight {weight} is not above 0")
        largest = self.schema.max_member_weight
        if self.schema.sum_of_members and largest and weight > largest:
            raise invalid(f"weight {weight} is above max_member_weight, {largest}")
        return weight

    def _watch_port(self, member: p4r.ActionProfileGroup.Member | p4r.ActionProfileAction) -> int | None:
        kind = member.WhichOneof("watch_kind")
        if kind is None or (kind == "watch_port" and not member.watch_port):
            return None
        port = member.watch if kind == "watch" else decode_port(member.watch_port, self._device.cpu_port)
        if all(status.number != port for status in self._device.ports()):
            raise invalid(f"watch port {port} is not a port of this device")
        return port

    def _resolve(self, members: Iterable[Membership]) -> list[GroupMember]:
        return [GroupMember(self._member(i)[0], weight, port) for i, weight, port in members]

    def _insert_group(
        self, group_id: int, members: list[Membership], max_size: int, wire: bytes, undo: Undo
    ) -> None:
        self._forbid_one_shots()
        if group_id in self._groups:
            raise exists(f"{self.schema.name} already has group {group_id}")
        handle = self._device.group_add(self.schema.index, self._resolve(members))
        self._groups[group_id] = (handle, wire)
        if undo is not None:
            undo.append(partial(self._delete_group, group_id, None))

    def _modify_group(
        self, group_id: int, members: list[Membership], max_size: int, wire: bytes, undo: Undo
    ) -> None:
        handle, old_wire = self._group(group_id)
        old = p4r.ActionProfileGroup.FromString(old_wire)
        if old.max_size != max_size:
            raise invalid(f"max_size of group {group_id} is {old.max_size} and cannot be changed")
        self._device.group_modify(self.schema.index, handle, self._resolve(members))
        self._groups[group_id] = (handle, wire)
        if undo is not None:
            undo.append(partial(self._put_group_back, group_id, old))

    def _delete_group(self, group_id: int, undo: Undo) -> None:
        handle, old_wire = self._group(group_id)
        self._device.group_delete(self.schema.index, handle)
        del self._groups[group_id]
        if undo is not None:
            undo.append(partial(self._put_group_back, group_id, p4r.ActionProfileGroup.FromString(old_wire)))

    def _put_group_back(self, group_id: int, group: p4r.ActionProfileGroup) -> None:
        apply = self._modify_group if group_id in self._groups else self._insert_group
        apply(group_id, self._memberships(group), group.max_size, group.SerializeToString(), None)

    def _group(self, group_id: int) -> Stored:
        if group_id not in self._groups:
            raise not_found(f"{self.schema.name} has no group {group_id}")
        return self._groups[group_id]

    # ---- what table entries refer to -------------------------------------------------------------------

    def member_handle(self, member_id: int) -> int:
        """Raises P4Error (NOT_FOUND; INVALID_ARGUMENT while the profile is used by one-shots)."""
        self._forbid_one_shots()
        return self._member(member_id)[0]

    def group_handle(self, group_id: int) -> int:
        """Raises P4Error, as `member_handle` does."""
        self._forbid_one_shots()
        return self._group(group_id)[0]

    def _forbid_one_shots(self) -> None:
        if self._one_shots:
            raise invalid(
                f"{self.schema.name} is in use by one-shot action sets; it takes no members or groups"
            )

    def decode_one_shot(self, actions: p4r.ActionProfileActionSet) -> tuple[OneShotAction, ...]:
        """Raises P4Error."""
        if not self.schema.with_selector:
            raise invalid(f"{self.schema.name} has no selector: it takes no action set")
        mode = actions.action_selection_mode
        if mode not in (p4r.ActionProfileActionSet.DEFAULT_MODE_DETERMINED_BY_ACTION_SELECTOR, _HASH):
            raise unimplemented("action_selection_mode: a group selects by the hash of its action selector")
        semantics = p4r.ActionProfileActionSet.SUM_OF_WEIGHTS
        if self.schema.sum_of_members:
            semantics = p4r.ActionProfileActionSet.SUM_OF_MEMBERS
        if actions.size_semantics not in (_DEFAULT_SIZE, semantics):
            raise unimplemented("size_semantics: groups have those of their action selector")
        decoded = tuple(
            OneShotAction(*self._action(a.action), self._weight(a.weight), self._watch_port(a))
            for a in actions.action_profile_actions
        )
        size = len(decoded) if self.schema.sum_of_members else sum(a.weight for a in decoded)
        if self.schema.max_group_size and size > self.schema.max_group_size:
            raise invalid(f"the action set has a size of {size}, above {self.schema.max_group_size}")
        return decoded

    def acquire_one_shot(self, actions: Iterable[OneShotAction]) -> OneShot:
        """A group of its own for one table entry. Raises P4Error, DeviceError."""
        if self._members or self._groups:
            raise invalid(
                f"{self.schema.name} is in use by members and groups; it takes no one-shot action set"
            )
        index = self.schema.index
        added: list[int] = []
        with self._device.frozen():
            try:
                members = []
                for a in actions:
                    added.append(self._device.member_add(index, a.action, a.data))
                    members.append(GroupMember(added[-1], a.weight, a.watch_port))
                group = self._device.group_add(index, members)
            except Exception:
                for handle in added:
                    self._device.member_delete(index, handle)
                raise
        self._one_shots += 1
        return OneShot(group, tuple(added))

    def release_one_shot(self, one_shot: OneShot) -> None:
        with self._device.frozen():
            self._device.group_delete(self.schema.index, one_shot.group)
            for member in one_shot.members:
                self._device.member_delete(self.schema.index, member)
        self._one_shots -= 1

    # ---- reading ---------------------------------------------------------------------------------------

    def read_members(self, member_id: int) -> list[bytes]:
        """Elements of ReadResponse.entities; all members for id 0."""
        return [entity(ENTITY_MEMBER, w) for i, (_, w) in self._members.items() if member_id in (0, i)]

    def read_groups(self, group_id: int) -> list[bytes]:
        return [entity(ENTITY_GROUP, w) for i, (_, w) in self._groups.items() if group_id in (0, i)]

    def members(self) -> list[bytes]:
        return [wire for _, wire in self._members.values()]

    def groups(self) -> list[bytes]:
        return [wire for _, wire in self._groups.values()]


_HASH = p4r.ActionProfileActionSet.HASH
_DEFAULT_SIZE = p4r.ActionProfileActionSet.DEFAULT_SIZE_DETERMINED_BY_ACTION_SELECTOR
