# SPDX-License-Identifier: Apache-2.0
"""Messages written with the names of a P4Info, so that tests read like the program."""

from __future__ import annotations

from typing import Any

from finsy.proto import p4i, p4r

Value = int | bytes


def to_bytes(value: Value) -> bytes:
    if isinstance(value, bytes):
        return value
    return value.to_bytes((value.bit_length() + 7) // 8 or 1, "big")


class Names:
    """Builders of messages for one P4Info. Match values: exact V or b"V"; lpm (V, length); ternary
    (V, mask); range (low, high); optional V."""

    def __init__(self, p4info: p4i.P4Info) -> None:
        self.p4info = p4info
        self._objects: dict[str, Any] = {}
        for group in (
            p4info.tables,
            p4info.actions,
            p4info.action_profiles,
            p4info.counters,
            p4info.meters,
            p4info.registers,
            p4info.digests,
            p4info.value_sets,
        ):
            for item in group:
                self._objects[item.preamble.alias] = item

    def id(self, alias: str) -> int:
        number: int = self._objects[alias].preamble.id
        return number

    def match(self, fields: Any, /, **values: Any) -> list[p4r.FieldMatch]:
        """``values`` by the last part of the field's name."""
        result = []
        for field in fields:
            name = field.name.rsplit(".", 1)[-1].replace("$valid$", "valid").replace("isValid()", "valid")
            if name not in values:
                continue
            value = values.pop(name)
            match = p4r.FieldMatch(field_id=field.id)
            kind = p4i.MatchField.MatchType.Name(field.match_type)
            if kind == "EXACT":
                match.exact.value = to_bytes(value)
            elif kind == "LPM":
                match.lpm.value, match.lpm.prefix_len = to_bytes(value[0]), value[1]
            elif kind == "TERNARY":
                match.ternary.value, match.ternary.mask = to_bytes(value[0]), to_bytes(value[1])
            elif kind == "RANGE":
                match.range.low, match.range.high = to_bytes(value[0]), to_bytes(value[1])
            else:
                match.optional.value = to_bytes(value)
            result.append(match)
        assert not values, f"no such match fields: {values}"
        return result

    def action(self, alias: str, *arguments: Value) -> p4r.Action:
        action = self._objects[alias]
        assert len(arguments) == len(action.params)
        return p4r.Action(
            action_id=action.preamble.id,
            params=[
                p4r.Action.Param(param_id=p.id, value=to_bytes(a))
                for p, a in zip(action.params, arguments, strict=True)
            ],
        )

    def entry(self, table: str, match: dict[str, Any], action: Any = None, **fields: Any) -> p4r.TableEntry:
        """``action`` is a p4r.Action, a p4r.TableAction or None."""
        info = self._objects[table]
        entry = p4r.TableEntry(
            table_id=info.preamble.id, match=self.match(info.match_fields, **match), **fields
        )
        if isinstance(action, p4r.Action):
            entry.action.action.CopyFrom(action)
        elif action is not None:
            entry.action.CopyFrom(action)
        return entry

    def member(self, profile: str, member_id: int, action: p4r.Action | None) -> p4r.ActionProfileMember:
        return p4r.ActionProfileMember(action_profile_id=self.id(profile), member_id=member_id, action=action)

    def group(
        self, profile: str, group_id: int, members: list[tuple[Any, ...]], max_size: int = 0
    ) -> p4r.ActionProfileGroup:
        """``members``: (id, weight) or (id, weight, watch port)."""
        group = p4r.ActionProfileGroup(
            action_profile_id=self.id(profile), group_id=group_id, max_size=max_size
        )
        for member_id, weight, *watch in members:
            member = group.members.add(member_id=member_id, weight=weight)
            if watch:
                member.watch_port = to_bytes(watch[0])
        return group

    def one_shot(self, *actions: tuple[Any, ...]) -> p4r.TableAction:
        """(action, weight) or (action, weight, watch port) each."""
        result = p4r.TableAction()
        result.action_profile_action_set.SetInParent()
        for action, weight, *watch in actions:
            item = result.action_profile_action_set.action_profile_actions.add(action=action, weight=weight)
            if watch:
                item.watch_port = to_bytes(watch[0])
        return result
