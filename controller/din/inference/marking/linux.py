# SPDX-License-Identifier: Apache-2.0
"""What Linux is told about a socket's packets."""

from __future__ import annotations

import socket
from contextlib import suppress

from din.model.dscp import DSCP
from din.model.service import TrafficClassName


def set_header(sock: socket.socket, header: bytes) -> None:
    """A Destination Options header in all packets of an IPv6 socket from now on (RFC 3542, 9.3).

    PermissionError: that takes CAP_NET_RAW in the namespace where the socket was made.
    """
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, header)


def set_dscp(sock: socket.socket, traffic_class: TrafficClassName) -> int:
    """Claims a class by DSCP, for IPv4 and IPv6. What has no DSCP (best effort, and deterministic traffic,
    which is admitted) gets 0. ECN bits stay as they are. Returns the DSCP.
    """
    dscp = DSCP.get(traffic_class, 0)
    if sock.family == socket.AF_INET6:
        _set_dscp(sock, socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp)
        # An IPv6 socket may lead to an IPv4 address, unless it was told not to.
        with suppress(OSError):
            _set_dscp(sock, socket.IPPROTO_IP, socket.IP_TOS, dscp)
    else:
        _set_dscp(sock, socket.IPPROTO_IP, socket.IP_TOS, dscp)
    return dscp


def _set_dscp(sock: socket.socket, level: int, name: int, dscp: int) -> None:
    # A datagram's ECN is its application's (QUIC has it), a segment's is TCP's own.
    sock.setsockopt(level, name, dscp << 2 | sock.getsockopt(level, name) & 3)
