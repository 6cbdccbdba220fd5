# SPDX-License-Identifier: Apache-2.0
"""DSCP as a host's claim of a class, where it has no DIN option: the standard's closest meaning (RFC 4594,
RFC 8622). Deterministic traffic is admitted, not claimed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .service import TrafficClassName

DSCP: Final[Mapping[TrafficClassName, int]] = {
    TrafficClassName.TRAINING: 1,  # LE: lower effort
    TrafficClassName.KV_TRANSFER: 10,  # AF11: high-throughput data
    TrafficClassName.SCHEDULED: 18,  # AF21: low-latency data
}
