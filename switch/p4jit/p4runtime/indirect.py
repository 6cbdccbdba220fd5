# SPDX-License-Identifier: Apache-2.0
"""Entries of tables with an action profile: each refers to a member, a group, or its own action set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from finsy.proto import p4r

from p4jit.p4runtime.actions import EncodedAction
from p4jit.p4runtime.objects import TableSchema
from p4jit.p4runtime.profiles import OneShot, OneShotAction, ProfileStore
from p4jit.p4runtime.status import invalid
from p4jit.p4runtime.tables import Bound, EntryKey, TableStore
from p4jit.target.interface import ACTION_GROUP, ACTION_MEMBER, DeviceInterface


@dataclass(frozen=True, slots=True)
class _Reference:
    """A member or group by its P4Runtime id."""

    id: int
    group: bool


class IndirectTableStore(TableStore):
    def __init__(self, schema: TableSchema, device: DeviceInterface, profile: ProfileStore) -> None:
        self._profile = profile
        self._one_shots: dict[EntryKey, OneShot] = {}
        super().__init__(schema, device)

    def _decode_action(self, action: p4r.TableAction) -> Any:
        kind = action.WhichOneof("type")
        if kind == "action_profile_action_set":
            return self._profile.decode_one_shot(action.action_profile_action_set)
        if kind == "action_profile_member_id":
            reference = _Reference(action.action_profile_member_id, group=False)
        elif kind == "action_profile_group_id" and self._profile.schema.with_selector:
            reference = _Reference(action.action_profile_group_id, group=True)
        else:
            raise invalid(
                f"table {self.schema.name} has an action profile: it does not take {kind or 'nothing'}"
            )
        if reference.id == 0:
            raise invalid("a member or group id must be set")
        return reference

    def _acquire(self, binding: Any) -> Bound:
        if isinstance(binding, _Reference):
            return (*self._refer(binding), None)
        actions: tuple[OneShotAction, ...] = binding
        one_shot = self._profile.acquire_one_shot(actions)
        return ACTION_GROUP, _handle_data(one_shot.group), one_shot

    def _refer(self, reference: _Reference) -> EncodedAction:
        if reference.group:
            return ACTION_GROUP, _handle_data(self._profile.group_handle(reference.id))
        return ACTION_MEMBER, _handle_data(self._profile.member_handle(reference.id))

    def _current(self, key: EntryKey, entry: p4r.TableEntry) -> EncodedAction:
        one_shot = self._one_shots.get(key)
        if one_shot is not None:
            return ACTION_GROUP, _handle_data(one_shot.group)
        return self._refer(self._decode_action(entry.action))

    def _hold(self, key: EntryKey, resource: Any) -> None:
        self._one_shots[key] = resource

    def _release(self, key: EntryKey) -> None:
        self._give_back(self._one_shots.pop(key, None))

    def _give_back(self, resource: Any) -> None:
        if resource is not None:
            self._profile.release_one_shot(resource)


def _handle_data(handle: int) -> bytes:
    return handle.to_bytes(4, "little")
