# SPDX-License-Identifier: Apache-2.0
"""Actions and parameters, checked and encoded as action data (P4Runtime 1.4.1, "Action Specification")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from finsy.proto import p4r

from p4jit.p4runtime.objects import ActionSchema
from p4jit.p4runtime.status import P4Error, invalid

#: Index of the action in the program, and its data as `DeviceInterface` takes it.
EncodedAction = tuple[int, bytes]


def decode_action(actions: Mapping[int, ActionSchema], action: p4r.Action) -> EncodedAction:
    """Also rewrites the values in ``action`` to their shortest form. Raises P4Error (INVALID_ARGUMENT,
    OUT_OF_RANGE)."""
    schema = actions.get(action.action_id)
    if schema is None:
        raise invalid(f"action id {action.action_id:#x} is not an action of this table")
    params = schema.plain
    data = seen = 0
    for param in action.params:
        place = params.get(param.param_id)
        value = param.value
        if place is None or not value:
            return _decode_any(schema, action)
        offset, width, bit = place
        number = int.from_bytes(value, "big")
        if number >> width or seen & bit or (value[0] == 0 and len(value) > 1):
            return _decode_any(schema, action)
        data |= number << offset
        seen |= bit
    if seen != schema.all_params:
        return _decode_any(schema, action)
    return schema.index, data.to_bytes(schema.data_bytes, "little")


def _decode_any(schema: ActionSchema, action: p4r.Action) -> EncodedAction:
    """Any form of value, and the error for what is wrong."""
    data = 0
    seen: set[int] = set()
    for given in action.params:
        param = schema.params.get(given.param_id)
        if param is None:
            raise invalid(f"action {schema.name} has no parameter with id {given.param_id}")
        if param.id in seen:
            raise invalid(f"action {schema.name}: parameter {param.name} is given twice")
        seen.add(param.id)
        try:
            number = param.codec.decode(given.value)
        except P4Error as error:
            raise P4Error(error.code, f"action {schema.name}, {param.name}: {error.message}") from None
        given.value = param.codec.encode(number)
        data |= number << param.offset
    for param in schema.params.values():
        if param.id not in seen:
            raise invalid(f"action {schema.name}: parameter {param.name} is missing")
    return schema.index, data.to_bytes(schema.data_bytes, "little")


def action_to_proto(schema: ActionSchema, arguments: Sequence[int]) -> p4r.Action:
    """``arguments`` in the order of declaration."""
    return p4r.Action(
        action_id=schema.id,
        params=[
            p4r.Action.Param(param_id=param.id, value=param.codec.encode(argument))
            for param, argument in zip(schema.params.values(), arguments, strict=True)
        ],
    )
