# SPDX-License-Identifier: Apache-2.0
"""Sees to it that a switch runs the program, and touches nothing where it does."""

from __future__ import annotations

from enum import Enum

import finsy as fy
from finsy.proto import U128, p4r

from din.p4rt.channel import Channel
from din.p4rt.program import Program

_Set = p4r.SetForwardingPipelineConfigRequest
_Get = p4r.GetForwardingPipelineConfigRequest


class Pushed(Enum):
    """What became of a switch's pipeline."""

    KEPT = "kept"  # it ran the program
    RECONCILED = "reconciled"  # replaced; entries of tables that stay the same are still there
    REPLACED = "replaced"  # the switch is empty


async def ensure(
    channel: Channel, program: Program, device_id: int, election_id: int, can_reconcile: bool
) -> Pushed:
    """fy.P4ClientError: the switch does not take the program.

    ``can_reconcile``: the target has RECONCILE_AND_COMMIT. It must not be tried to find that out: after
    a RECONCILE simple_switch_grpc refuses every other program until it is started anew."""
    runs = await _runs(channel, program, device_id)
    if runs:
        return Pushed.KEPT
    request = _Set(device_id=device_id, election_id=U128.encode(election_id))
    request.config.p4info.CopyFrom(program.p4info)
    request.config.p4_device_config = program.config
    request.config.cookie.cookie = program.cookie
    if runs is not None and can_reconcile:
        request.action = _Set.RECONCILE_AND_COMMIT
        try:
            await channel.push(request)
        except fy.P4ClientError as error:
            # The program is too different for what is there to be kept.
            if error.code is not fy.GRPCStatusCode.INVALID_ARGUMENT:
                raise
        else:
            return Pushed.RECONCILED
    request.action = _Set.VERIFY_AND_COMMIT
    await channel.push(request)
    return Pushed.REPLACED


async def _runs(channel: Channel, program: Program, device_id: int) -> bool | None:
    """Whether the switch runs the program; None: it runs none.

    The cookie tells, which is of the program's every byte: a target may give P4Info back in another form."""
    request = _Get(device_id=device_id, response_type=_Get.COOKIE_ONLY)
    try:
        if (await channel.request(request)).config.cookie.cookie == program.cookie:
            return True
        # A switch that was started with the program on its command line has no cookie.
        request.response_type = _Get.ALL
        config = (await channel.request(request)).config
    except fy.P4ClientError as error:
        # P4Runtime 1.4.1, "GetForwardingPipelineConfig": without a pipeline it is FAILED_PRECONDITION.
        if error.code is fy.GRPCStatusCode.FAILED_PRECONDITION:
            return None
        raise
    if not config.HasField("p4info"):
        return None
    return bool(config.p4info == program.p4info and config.p4_device_config == program.config)
