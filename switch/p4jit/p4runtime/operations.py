# SPDX-License-Identifier: Apache-2.0
"""One update, decoded and ready to be applied; and how what was applied is taken back."""

from __future__ import annotations

import logging
from collections.abc import Callable

from finsy.proto import p4r

from p4jit.p4runtime.status import invalid

_log = logging.getLogger(__name__)

#: What takes back the updates applied so far, oldest first; None when nothing will be taken back.
Undo = list[Callable[[], None]] | None
#: Applies one update, or raises P4Error or DeviceError having changed nothing.
Operation = Callable[[Undo], None]

INSERT = p4r.Update.INSERT
MODIFY = p4r.Update.MODIFY
DELETE = p4r.Update.DELETE


def modify_only(kind: int, what: str) -> None:
    """Raises P4Error for an update type that ``what`` does not have."""
    if kind != MODIFY:
        raise invalid(f"{what} can only be modified")


def roll_back(undo: list[Callable[[], None]]) -> None:
    """Take back everything, newest first. A step that fails is logged; the others still run."""
    while undo:
        try:
            undo.pop()()
        except Exception:
            _log.exception("an update could not be taken back")
