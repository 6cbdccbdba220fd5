# SPDX-License-Identifier: Apache-2.0
"""The layers, for scapy. Importing this package registers them."""

try:
    import scapy.packet  # noqa: F401
except ModuleNotFoundError as error:
    raise ImportError("din.packet's layers need scapy: pip install din-fabric[packet]") from error

from din.packet.layers.fabric import DINOption, encapsulate, sid_list, sids
from din.packet.layers.host_option import DINHostOption, sign
from din.packet.layers.int_option import INTHop, INTOption
from din.packet.layers.report import ReportTokens, ReportTraffic, TelemetryReport, TelemetryReportGroup

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
