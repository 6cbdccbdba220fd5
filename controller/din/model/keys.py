# SPDX-License-Identifier: Apache-2.0
"""Keys of DIN options (docs/wire-format.md, 1.2): one for each epoch, derived from the tenant's master key,
so that controller and SDK agree on it without a word.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

EPOCH_SECONDS: Final = 3600
#: For how long the last epoch's key stays: by how much clocks may differ.
GUARD_SECONDS: Final = 60
MASTER_BYTES: Final = 16


def epoch_number(unix_time: float) -> int:
    """Of a time: it never wraps. The option carries its low byte."""
    return int(unix_time // EPOCH_SECONDS)


def installed_epochs(unix_time: float) -> list[int]:
    """Whose keys a leaf has at a time: this one's, the next one's, and for the guard time the last one's."""
    now = epoch_number(unix_time)
    last = [now - 1] if unix_time % EPOCH_SECONDS < GUARD_SECONDS else []
    return [*last, now, now + 1]


def epoch_key(master: bytes, key_id: int, epoch: int) -> bytes:
    """8 bytes. HMAC-SHA256 of what it is for, cut short (RFC 2104, 5). ValueError: the master is of the wrong
    size.
    """
    if len(master) != MASTER_BYTES:
        raise ValueError(
            f"a master key has {MASTER_BYTES} bytes ({2 * MASTER_BYTES} hex digits), not {len(master)}"
        )
    message = b"DIN option key" + bytes((key_id,)) + epoch.to_bytes(8, "big")
    return hmac.new(master, message, hashlib.sha256).digest()[:8]
