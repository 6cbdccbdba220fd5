# SPDX-License-Identifier: Apache-2.0
"""Errors as P4Runtime reports them: canonical codes, and google.rpc.Status with one p4.v1.Error an element.

P4Runtime 1.4.1, section "Error Reporting Messages".
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NoReturn

import grpc
from finsy.proto import p4r, rpc_status

from p4jit.target.interface import (
    DeviceError,
    ExistsError,
    FullError,
    InUseError,
    NotFoundError,
)

_log = logging.getLogger(__name__)

#: Trailing metadata key that gRPC libraries read a google.rpc.Status from.
_DETAILS_KEY = "grpc-status-details-bin"
_ERROR_TYPE = "type.googleapis.com/p4.v1.Error"


class P4Error(Exception):
    """A request, or one element of a batch, that the server refuses; nothing has changed."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def number(self) -> int:
        """The canonical code as google.rpc.Code counts it."""
        number: int = self.code.value[0]
        return number

    def to_proto(self) -> p4r.Error:
        return p4r.Error(canonical_code=self.number, message=self.message)


def invalid(message: str) -> P4Error:
    return P4Error(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(message: str) -> P4Error:
    return P4Error(grpc.StatusCode.NOT_FOUND, message)


def exists(message: str) -> P4Error:
    return P4Error(grpc.StatusCode.ALREADY_EXISTS, message)


def out_of_range(message: str) -> P4Error:
    return P4Error(grpc.StatusCode.OUT_OF_RANGE, message)


def denied(message: str) -> P4Error:
    return P4Error(grpc.StatusCode.PERMISSION_DENIED, message)


def exhausted(message: str) -> P4Error:
    return P4Error(grpc.StatusCode.RESOURCE_EXHAUSTED, message)


def precondition(message: str) -> P4Error:
    return P4Error(grpc.StatusCode.FAILED_PRECONDITION, message)


def unimplemented(message: str) -> P4Error:
    return P4Error(grpc.StatusCode.UNIMPLEMENTED, message)


_DEVICE_CODES: tuple[tuple[type[DeviceError], grpc.StatusCode], ...] = (
    (NotFoundError, grpc.StatusCode.NOT_FOUND),
    (ExistsError, grpc.StatusCode.ALREADY_EXISTS),
    (FullError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (InUseError, grpc.StatusCode.FAILED_PRECONDITION),
    (DeviceError, grpc.StatusCode.INVALID_ARGUMENT),
)


def as_p4_error(error: Exception, doing: str) -> P4Error:
    """What to report for ``error``, met while ``doing``. Anything unforeseen is logged and INTERNAL."""
    if isinstance(error, P4Error):
        return error
    for kind, code in _DEVICE_CODES:
        if isinstance(error, kind):
            return P4Error(code, str(error) or kind.__name__)
    _log.error("unexpected failure while %s", doing, exc_info=error)
    return P4Error(grpc.StatusCode.INTERNAL, f"internal error while {doing}; the server's log has the cause")


def batch_status(message: str, errors: Sequence[P4Error | None]) -> bytes:
    """Serialized google.rpc.Status of a batch: UNKNOWN, with one p4.v1.Error an element, in order."""
    unknown: int = grpc.StatusCode.UNKNOWN.value[0]
    status = rpc_status.Status(code=unknown, message=message)
    for error in errors:
        detail = status.details.add()
        detail.type_url = _ERROR_TYPE
        if error is not None:
            detail.value = error.to_proto().SerializeToString()
    return status.SerializeToString()


def abort(context: grpc.ServicerContext, error: P4Error) -> NoReturn:
    """End the RPC with an RPC-wide error, without details."""
    context.abort(error.code, error.message)
    raise AssertionError("ServicerContext.abort returned")


def abort_batch(context: grpc.ServicerContext, errors: Sequence[P4Error | None]) -> NoReturn:
    """End the RPC with UNKNOWN and the status of each element."""
    failed = sum(error is not None for error in errors)
    first = next(error for error in errors if error is not None)
    message = f"{failed} of {len(errors)} failed; first: {first.code.name}: {first.message}"
    context.set_trailing_metadata(((_DETAILS_KEY, batch_status(message, errors)),))
    context.abort(grpc.StatusCode.UNKNOWN, message)
    raise AssertionError("ServicerContext.abort returned")
