# SPDX-License-Identifier: Apache-2.0
"""Between which addresses and ports a socket's packets will go: the tag covers them, so they must be known
before the first packet is.
"""

from __future__ import annotations

import errno
import socket
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Any, Final, TypeAlias

#: As `socket.connect` takes it, the host as an address: (host, port) or (host, port, flow info, scope).
Peer: TypeAlias = tuple[str, int] | tuple[str, int, int, int]

_PROTOCOLS: Final = {socket.IPPROTO_TCP: socket.SOCK_STREAM, socket.IPPROTO_UDP: socket.SOCK_DGRAM}
_SO_MARK: Final = 36  # linux/socket.h; Python has no name for it
_ANY: Final = IPv6Address("::")


class NoFlowError(Exception):
    """The socket can have no option, and why."""


@dataclass(frozen=True)
class Flow:
    src: IPv6Address
    src_port: int
    dst: IPv6Address
    dst_port: int


def require(sock: socket.socket) -> None:
    """ValueError: it sends no TCP or UDP packets. TypeError: it is no socket object."""
    if not isinstance(sock, socket.socket):
        raise TypeError(
            f"a socket.socket, not {type(sock).__name__}: mark the socket before asyncio gets it (sock=)"
        )
    kind = None
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        kind = _PROTOCOLS.get(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL))
    if kind is None or sock.type != kind:
        raise ValueError(f"not a TCP or UDP socket: {sock.family.name}, {sock.type.name}")
    if kind == socket.SOCK_STREAM and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise ValueError("a listening socket sends nothing: mark the connections that it accepts")


def settle(sock: socket.socket, peer: Peer | None) -> Flow:
    """The flow that a TCP or UDP socket is, or will be once it is connected to ``peer``. A socket that has no
    source yet is bound to the one that the routing table gives it.

    NoFlowError: it is not IPv6. ValueError: it is not known where it leads. OSError: no route, no port left.
    """
    if sock.family != socket.AF_INET6:
        raise NoFlowError("it is no IPv6 socket, and only IPv6 has the option")
    connected = _connected(sock)
    if connected is None:
        if peer is None:
            raise ValueError("the socket is not connected: say with peer= where it will lead")
        if sock.type != socket.SOCK_STREAM:
            raise ValueError("a datagram socket is to be connected first")
    dst, port = _end(connected or peer)
    if dst.ipv4_mapped is not None:
        raise NoFlowError("it leads to an IPv4 address, and only IPv6 has the option")
    if connected is None:
        assert peer is not None
        bind(sock, peer)
    src, src_port = sock.getsockname()[:2]
    source = _address(src)
    if source == _ANY:  # bound to a port alone
        assert peer is not None
        source = _address(_source(sock, peer)[0])
    return Flow(source, src_port, dst, port)


def bind(sock: socket.socket, peer: Peer) -> None:
    """To the source that packets to ``peer`` would have, unless the socket is bound."""
    if sock.getsockname()[1]:
        return
    host, _, flow_info, scope = _source(sock, peer)
    try:
        sock.bind((host, 0, flow_info, scope))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise OSError(error.errno, f"no port is left at {host} for another marked connection") from None


def _connected(sock: socket.socket) -> Any:
    try:
        return sock.getpeername()
    except OSError as error:
        if error.errno in (errno.ENOTCONN, errno.EINVAL):
            return None
        raise


def _source(sock: socket.socket, peer: Peer) -> tuple[str, int, int, int]:
    """What a datagram socket that is connected to ``peer`` has as its address. Nothing is sent."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        # What else a route may depend on, as far as this process may say so.
        device = sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16)
        if device.strip(b"\0"):
            with suppress(PermissionError):
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
        if fwmark := sock.getsockopt(socket.SOL_SOCKET, _SO_MARK):
            with suppress(PermissionError):
                probe.setsockopt(socket.SOL_SOCKET, _SO_MARK, fwmark)
        probe.connect(peer)
        found: tuple[str, int, int, int] = probe.getsockname()
        return found


def _end(peer: Any) -> tuple[IPv6Address, int]:
    """ValueError: that is none that a connection could lead to."""
    match peer:
        case (str(host), int(port)) | (str(host), int(port), int(), int()):
            pass
        case _:
            raise ValueError(f"peer: (host, port) or (host, port, flow info, scope), not {peer!r}")
    if not 0 < port <= 0xFFFF:
        raise ValueError(f"{port} is no port that a connection could lead to")
    address = _address(host)
    if address == _ANY:
        raise ValueError(":: is no address that a connection could lead to")
    return address, port


def _address(host: str) -> IPv6Address:
    try:
        return IPv6Address(host.partition("%")[0])
    except ValueError:
        raise ValueError(f"{host!r} is not an IPv6 address; resolve names first") from None
