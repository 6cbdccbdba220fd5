# SPDX-License-Identifier: Apache-2.0
"""Frames to and from an interface, as they would be on a wire."""

from __future__ import annotations

import ctypes
import socket
import struct
import threading
from collections.abc import Sequence
from types import TracebackType

from scripts.bench.namespaces import Namespace

_CLONE_NEWNET = 0x40000000
_ETH_P_ALL = 3
_SOL_PACKET = 263
_PACKET_AUXDATA = 8
_PACKET_IGNORE_OUTGOING = 23
_TP_STATUS_VLAN_VALID = 1 << 4
_TP_STATUS_VLAN_TPID_VALID = 1 << 6

_libc = ctypes.CDLL(None, use_errno=True)


def open_socket(namespace: Namespace, family: int, kind: int, protocol: int = 0) -> socket.socket:
    """A socket of the namespace, in the caller's hands."""
    made: list[socket.socket | OSError] = []

    def make() -> None:
        try:
            with open(f"/proc/{namespace.pid}/ns/net") as file:
                if _libc.setns(file.fileno(), _CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            made.append(socket.socket(family, kind, protocol))
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=make)  # only this thread enters the namespace
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]


class Tap:
    def __init__(self, namespace: Namespace, interface: str) -> None:
        self._socket = open_socket(namespace, socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.bind((interface, _ETH_P_ALL))

    def send(self, *frames: bytes) -> None:
        for frame in frames:
            self._socket.send(frame)

    def receive(self, count: int, timeout: float = 5.0) -> list[bytes]:
        """The next frames; fewer when no more come for ``timeout`` seconds."""
        self._socket.settimeout(timeout)
        frames: list[bytes] = []
        while len(frames) < count:
            try:
                frame, control, _, _ = self._socket.recvmsg(65536, 256)
            except TimeoutError:
                break
            frames.append(_with_tag(frame, control))
        return frames

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Tap:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _with_tag(frame: bytes, control: Sequence[tuple[int, int, bytes]]) -> bytes:
    """The kernel takes a VLAN tag off and tells of it apart (packet(7), PACKET_AUXDATA)."""
    for level, kind, data in control:
        if (level, kind) != (_SOL_PACKET, _PACKET_AUXDATA):
            continue
        status, _, _, _, _, tag, protocol = struct.unpack("=IIIHHHH", data[:20])
        if status & _TP_STATUS_VLAN_VALID:
            protocol = protocol if status & _TP_STATUS_VLAN_TPID_VALID else 0x8100
            return frame[:12] + struct.pack("!HH", protocol, tag) + frame[12:]
    return frame
