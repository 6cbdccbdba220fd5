# SPDX-License-Identifier: Apache-2.0
"""Traffic in the background: UDP at a given rate, for little processor time.

    python -m din.emulation.traffic send ADDRESS RATE [--size BYTES] [--dscp N]
    python -m din.emulation.traffic receive

The rate is that of IP packets in bit/s. Packets leave in small bursts, a tick's worth at a time, with one
system call each (sendmmsg). The receiver only keeps the port open, so that nobody answers that it is closed.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import socket
import time
from ipaddress import ip_address
from typing import Final

#: The discard service's.
PORT: Final = 9
DEFAULT_SIZE: Final = 1400
_TICK_SECONDS: Final = 0.004
#: A sender that was not run for a while does not make up for more than this.
_LARGEST_BURST_SECONDS: Final = 0.02
#: Of IP and UDP.
_HEADERS: Final = {4: 28, 6: 48}


class _IoVec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _MessageHeader(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.POINTER(_IoVec)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    _fields_ = (("header", _MessageHeader), ("length", ctypes.c_uint))


class Burst:
    """The same datagram up to so many times, in one system call."""

    def __init__(self, payload: bytes, largest: int) -> None:
        self._payload = ctypes.create_string_buffer(payload, len(payload))
        vector = _IoVec(ctypes.addressof(self._payload), len(payload))
        self._vectors = (_IoVec * 1)(vector)
        self._messages = (_Message * largest)()
        for message in self._messages:
            message.header.vectors = self._vectors
            message.header.vector_count = 1
        self._largest = largest
        self._call = ctypes.CDLL(None, use_errno=True).sendmmsg

    def send(self, connected: socket.socket, count: int) -> int:
        """How many were sent: fewer when the interface takes no more."""
        sent = self._call(connected.fileno(), self._messages, min(count, self._largest), 0)
        return max(int(sent), 0)


def pace(rate: float, size: int, since: float, now: float) -> int:
    """Packets that are due: ``rate`` in bit/s, ``size`` in bytes."""
    return int(min(now - since, _LARGEST_BURST_SECONDS) * rate / (8 * size))


def send(address: str, rate: float, size: int, dscp: int) -> None:
    """Until the process is ended."""
    version = ip_address(address).version
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    largest = max(1, pace(rate, size, 0, 1))
    burst = Burst(os.urandom(size - _HEADERS[version]), largest)
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        option = (
            (socket.IPPROTO_IP, socket.IP_TOS) if version == 4 else (socket.IPPROTO_IPV6, socket.IPV6_TCLASS)
        )
        sender.setsockopt(*option, dscp << 2)
        sender.connect((address, PORT))
        credit_from = time.monotonic()
        while True:
            time.sleep(_TICK_SECONDS)
            now = time.monotonic()
            due = pace(rate, size, credit_from, now)
            burst.send(sender, due)
            credit_from = max(credit_from + due * 8 * size / rate, now - _LARGEST_BURST_SECONDS)


def receive() -> None:
    """Until the process is ended. What arrives is thrown away by the kernel."""
    both = socket.has_dualstack_ipv6()
    with socket.socket(socket.AF_INET6 if both else socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        if both:
            receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        receiver.bind(("::" if both else "", PORT))
        signal.pause()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m din.emulation.traffic", description="UDP in the background."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    sender = commands.add_parser("send", help="send to an address at a rate")
    sender.add_argument("address")
    sender.add_argument("rate", type=float, help="bit/s of IP packets")
    sender.add_argument("--size", type=int, default=DEFAULT_SIZE, help="bytes of an IP packet")
    sender.add_argument("--dscp", type=int, default=0)
    commands.add_parser("receive", help="keep the port open")
    options = parser.parse_args()
    if options.command == "send":
        send(options.address, options.rate, options.size, options.dscp)
    else:
        receive()


if __name__ == "__main__":
    main()
