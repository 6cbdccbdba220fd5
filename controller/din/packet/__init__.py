# SPDX-License-Identifier: Apache-2.0
"""What is on the wire of a DIN fabric (docs/wire-format.md), for programs that build and read packets.

``constants`` and ``halfsiphash`` need nothing. The layers need scapy::

    from scapy.all import IPv6, IPv6ExtHdrDestOpt, TCP
    from din.packet import DINHostOption

    IPv6(dst=service) / IPv6ExtHdrDestOpt(options=[DINHostOption(tenant=7, class_id=3)]) / TCP(dport=443)

Importing a layer teaches scapy to find the options in packets that it dissects. Scapy is under the GPL 2.0,
so it is an extra (``pip install din-fabric[packet]``) and nothing else in din imports these layers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from din.packet.layers import DINHostOption as DINHostOption
    from din.packet.layers import DINOption as DINOption
    from din.packet.layers import INTHop as INTHop
    from din.packet.layers import INTOption as INTOption
    from din.packet.layers import ReportTokens as ReportTokens
    from din.packet.layers import ReportTraffic as ReportTraffic
    from din.packet.layers import TelemetryReport as TelemetryReport
    from din.packet.layers import TelemetryReportGroup as TelemetryReportGroup
    from din.packet.layers import encapsulate as encapsulate
    from din.packet.layers import sid_list as sid_list
    from din.packet.layers import sids as sids
    from din.packet.layers import sign as sign

__all__ = [
    "DINHostOption",
    "DINOption",
    "INTHop",
    "INTOption",
    "ReportTokens",
    "ReportTraffic",
    "TelemetryReport",
    "TelemetryReportGroup",
    "encapsulate",
    "sid_list",
    "sids",
    "sign",
]


def __getattr__(name: str) -> object:
    # On first use, so that constants and the hash do without scapy.
    if name in __all__:
        return getattr(import_module("din.packet.layers"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
