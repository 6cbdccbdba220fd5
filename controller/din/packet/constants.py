# SPDX-License-Identifier: Apache-2.0
"""The numbers on the wire: p4src/include/constants.p4, as Python has them. docs/wire-format.md explains them.

A test compares the two, so neither changes alone.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final

# ---- Segment identifiers (RFC 9800: block of 32 bits, IDs of 16) -------------------------------------------

DIN_SID_BLOCK: Final = 0xFCBBBB00
SID_BLOCK_PREFIX: Final = "fcbb:bb00::/32"
#: IDs that fit into an address behind the block.
SID_COUNT: Final = 6

# ---- The fabric's encapsulation ----------------------------------------------------------------------------

UDP_PORT_GENEVE: Final = 6081
#: Source ports 0xc000 to 0xffff: 14 bits of the flow's hash.
UDP_ENTROPY_BASE: Final = 0xC000
GENEVE_CLASS_DIN: Final = 0xFF44
GENEVE_TYPE_DIN: Final = 0x01
GENEVE_CLASS_INT: Final = 0x0103
GENEVE_TYPE_INT_MD: Final = 0x01
#: Words of the option's data. Geneve's length leaves its first word out.
GENEVE_LENGTH_DIN: Final = 6
GENEVE_LENGTH_MAX: Final = 31

DIN_VERSION: Final = 1
#: A slack with its top bit set never runs out.
NO_DEADLINE: Final = 0xFFFF_FFFF
HOP_LIMIT: Final = 64
#: Of packet-in and packet-out.
CPU_PORT: Final = 510

#: Bytes in front of a tenant's packet, Ethernet aside: IPv6 40, UDP 8, Geneve 8, DIN option 28.
FABRIC_OVERHEAD: Final = 84
#: And those of INT before any hop: Geneve option 4, INT-MD 12.
INT_OVERHEAD: Final = 16

# ---- The host's option -------------------------------------------------------------------------------------

DIN_OPTION_TYPE: Final = 0x1E
DIN_OPTION_LENGTH: Final = 20

#: No traffic's: what reports say of a packet whose label could not be known.
LABEL_UNKNOWN: Final = 0xFF

# ---- Telemetry ---------------------------------------------------------------------------------------------

INT_VERSION: Final = 2
#: Words that an INT option has for hops, once its header is in: 31 - 3.
INT_STACK_WORDS: Final = 28
REPORT_VERSION: Final = 2
#: Domain specific ID of our reports' metadata: "DI".
REPORT_DOMAIN: Final = 0x4449
#: Where reports go unless configured otherwise. The specification assigns no port.
UDP_PORT_REPORT: Final = 32766
#: A report's length that reaches to the end of the datagram.
REPORT_LENGTH_REST: Final = 0xFF


class Instruction(IntFlag):
    """What each hop is asked to push (INT v2.1), in the order in which it pushes."""

    NODE_ID = 0x8000
    PORTS = 0x4000
    HOP_LATENCY = 0x2000
    QUEUE = 0x1000
    INGRESS_TIME = 0x0800
    EGRESS_TIME = 0x0400
    L2_PORTS = 0x0200
    TX_UTILIZATION = 0x0100
    BUFFER = 0x0080
    CHECKSUM_COMPLEMENT = 0x0001

    #: HopML 4: seven hops.
    DEFAULT = NODE_ID | PORTS | HOP_LATENCY | QUEUE


class ReportBit(IntFlag):
    """Which baseline metadata a report has. The node ID is in the group header."""

    PORTS = 0x4000
    HOP_LATENCY = 0x2000
    QUEUE = 0x1000
    INGRESS_TIME = 0x0800
    EGRESS_TIME = 0x0400
    L2_PORTS = 0x0200
    TX_UTILIZATION = 0x0100
    BUFFER = 0x0080
    DROP = 0x0001


class DomainBit(IntFlag):
    """Which metadata of ours a report has."""

    TRAFFIC = 0x8000
    TOKENS = 0x4000


class ReportType(IntEnum):
    INNER_ONLY = 0
    INT = 1
    IOAM = 2


class InnerType(IntEnum):
    """What follows a report's metadata."""

    NONE = 0
    TLV = 1
    DOMAIN_SPECIFIC = 2
    ETHERNET = 3
    IPV4 = 4
    IPV6 = 5


class TokenEvent(IntEnum):
    """Why a report has token metrics: the two low bits of its domain specific status."""

    NONE = 0
    FIRST = 1  # the first token went by
    DONE = 2  # the response is over


# ---- Classes, queues, reasons ------------------------------------------------------------------------------


class TrafficClass(IntEnum):
    BEST_EFFORT = 0
    TRAINING = 1
    KV_TRANSFER = 2
    SCHEDULED = 3  # token streams and requests, by deadline
    DETERMINISTIC = 4
    CONTROL = 5


#: A report about traffic of a class rides in a class of its own: this bit, and that class.
CLASS_REPORT: Final = 8


class Queue(IntEnum):
    """Strict priorities; the highest number goes first."""

    BEST_EFFORT = 0
    KV_TRANSFER = 1
    SCHEDULED_LOW = 2
    SCHEDULED_HIGH = 5
    DETERMINISTIC = 6
    CONTROL = 7


class DropReason(IntEnum):
    """Why a packet was dropped: the index of its counter, and what its report says."""

    NONE = 0
    TRUNCATED = 1
    IP_HEADER = 2
    IP_LENGTH = 3
    IP_CHECKSUM = 4
    ADDRESS = 5
    PORT = 6
    FABRIC_DESTINATION = 7
    SOURCE = 8
    ETHERTYPE = 9
    HOP_LIMIT = 10
    TTL = 11
    TOO_BIG = 12
    POLICY = 13
    NO_GROUP = 14
    NO_INSTANCE = 15
    NO_DESTINATION = 16
    NO_PATH = 17
    SEGMENT = 18
    FUNCTION = 19
    NO_NEXT_HOP = 20
    ZONE = 21
    BOUNDARY = 22
    OPTION = 23
    STREAM_RATE = 24
    STREAM_SIZE = 25
    TENANT_RATE = 26
    DEADLINE = 27
    PUNT_LIMIT = 28
    OPTION_TAG = 29
    NEIGHBOR = 30
    UNENCAPSULATED = 31
    ECN = 32


class OptionResult(IntEnum):
    """What became of a host's option: the index of its counter."""

    VERIFIED = 0
    NO_KEY = 1
    BAD_TAG = 2
    FOREIGN_TENANT = 3
    CLASS = 4


class PuntReason(IntEnum):
    """Why a packet went to the controller."""

    NONE = 0
    NO_DESTINATION = 1
    TTL = 2
    TOO_BIG = 3
    GATEWAY = 4
    NEIGHBOR = 5
    LLDP = 6
    PROBE = 7
