# SPDX-License-Identifier: Apache-2.0
"""Batches of updates, with the atomicity they ask for (P4Runtime 1.4.1, "Write RPC").

Updates are applied in order. CONTINUE_ON_ERROR attempts each. ROLLBACK_ON_ERROR and DATAPLANE_ATOMIC apply
all or none: when one fails, those before it are taken back, and every other update reports ABORTED. During
a DATAPLANE_ATOMIC batch the device processes no packet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import grpc
from finsy.proto import p4r

from p4jit.p4runtime.operations import Operation, roll_back
from p4jit.p4runtime.state import ForwardingState
from p4jit.p4runtime.status import P4Error, as_p4_error, invalid

#: Raises P4Error for an entity that the writer's role may not write.
CheckRole = Callable[[p4r.Entity], None]


def write_batch(
    state: ForwardingState,
    updates: Iterable[p4r.Update],
    atomicity: int,
    check_role: CheckRole | None = None,
) -> list[P4Error | None] | None:
    """One error or None for each update; None when all succeeded. Raises P4Error for an unknown atomicity."""
    if atomicity == p4r.WriteRequest.CONTINUE_ON_ERROR:
        return _continue_on_error(state, updates, check_role)
    if atomicity not in (p4r.WriteRequest.ROLLBACK_ON_ERROR, p4r.WriteRequest.DATAPLANE_ATOMIC):
        raise invalid(f"atomicity {atomicity} is not one of WriteRequest.Atomicity")
    operations: list[Operation] = []
    errors: list[P4Error | None] = []
    for update in updates:
        try:
            if check_role is not None:
                check_role(update.entity)
            operations.append(state.prepare(update))
            errors.append(None)
        except Exception as error:
            errors.append(as_p4_error(error, "decoding an update"))
    if any(errors):
        return _aborted(errors)
    if atomicity == p4r.WriteRequest.DATAPLANE_ATOMIC:
        with state.device.frozen():
            return _all_or_none(operations)
    return _all_or_none(operations)


def _continue_on_error(
    state: ForwardingState, updates: Iterable[p4r.Update], check_role: CheckRole | None
) -> list[P4Error | None] | None:
    errors: list[P4Error | None] = []
    failed = False
    prepare = state.prepare
    for update in updates:
        try:
            if check_role is not None:
                check_role(update.entity)
            prepare(update)(None)
            errors.append(None)
        except Exception as error:
            errors.append(as_p4_error(error, "applying an update"))
            failed = True
    return errors if failed else None


def _all_or_none(operations: Sequence[Operation]) -> list[P4Error | None] | None:
    undo: list[Callable[[], None]] = []
    for index, operation in enumerate(operations):
        try:
            operation(undo)
        except BaseException as error:
            roll_back(undo)
            if not isinstance(error, Exception):
                raise
            errors: list[P4Error | None] = [None] * len(operations)
            errors[index] = as_p4_error(error, "applying an update")
            return _aborted(errors)
    return None


def _aborted(errors: Sequence[P4Error | None]) -> list[P4Error | None]:
    failed = next(i for i, e in enumerate(errors) if e is not None)
    aborted = P4Error(grpc.StatusCode.ABORTED, f"not applied, because update {failed} of the batch failed")
    return [aborted if error is None else error for error in errors]
