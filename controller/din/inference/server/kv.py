# SPDX-License-Identifier: Apache-2.0
"""KV caches over the network: real bytes, a TCP connection for each, pulled by the server that decodes.

The puller connects to the prefill server's KV port and sends ``HANDLE\\n``; the answer is the size (8 bytes,
big endian) and that many bytes; size 0: no such handle. One connection is one transfer, so that the network
sees a flow with a beginning, a size and an end. Both ends mark it with the DSCP that they are given. However
slow it is, it may take its time; but either end gives up on a peer with which nothing moves.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Final

#: What a KV cache's content is does not matter to anyone here.
_CONTENT: Final = memoryview(bytes(64 << 10))
_SIZE_BYTES: Final = 8
_LONGEST_HANDLE: Final = 200
#: s in which something must arrive, or 64 KiB be taken.
STALL_TIMEOUT: Final = 10.0
#: s until the next try, where connections cannot be accepted (no descriptors are left, as a rule).
_ACCEPT_RETRY: Final = 0.2

Address = tuple[str, int]
log = logging.getLogger(__name__)


class TransferError(Exception):
    """A KV cache did not arrive."""


def mark(sock: socket.socket, dscp: int) -> None:
    """The six bits of every packet that ``sock`` sends."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)


@dataclass(frozen=True)
class _Offer:
    size: int
    gone: Callable[[], None]
    timer: asyncio.TimerHandle


class Outbox:
    """The sending side: an `offer` stands for whoever names its handle, once, until its deadline."""

    def __init__(self, dscp: int, patience: float, sent: Callable[[int], None]) -> None:
        self._dscp = dscp
        self._patience = patience
        self._sent = sent
        self._offers: dict[str, _Offer] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._listeners: list[socket.socket] = []

    def start(self, listener: socket.socket) -> None:
        """``listener`` is bound and listens."""
        listener.setblocking(False)
        mark(listener, self._dscp)  # of the handshake too
        self._listeners.append(listener)
        self._spawn(self._accept(listener))

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for listener in self._listeners:
            listener.close()
        self.clear()

    def offer(self, handle: str, size: int, gone: Callable[[], None]) -> None:
        """``gone`` is called when it has been fetched, or nobody came for it."""
        timer = asyncio.get_running_loop().call_later(self._patience, self._withdraw, handle)
        self._offers[handle] = _Offer(size, gone, timer)

    def clear(self) -> None:
        """Withdraws everything."""
        for handle in list(self._offers):
            self._withdraw(handle)

    def _withdraw(self, handle: str) -> None:
        offer = self._offers.pop(handle)
        offer.timer.cancel()
        offer.gone()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(listener)
            except OSError as error:
                log.warning("a KV transfer has to wait: %s", error.strerror)
                await asyncio.sleep(_ACCEPT_RETRY)
                continue
            sock.setblocking(False)
            self._spawn(self._serve(sock))

    async def _serve(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):  # who asked has left, or is not heard of
            mark(sock, self._dscp)
            async with asyncio.timeout(STALL_TIMEOUT) as patience:
                offer = self._offers.pop(await _line(sock), None)
                if offer is None:
                    await asyncio.get_running_loop().sock_sendall(sock, bytes(_SIZE_BYTES))
                    return
                offer.timer.cancel()
                try:
                    await self._send(sock, offer.size, patience)
                finally:
                    offer.gone()

    async def _send(self, sock: socket.socket, size: int, patience: asyncio.Timeout) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(sock, size.to_bytes(_SIZE_BYTES, "big"))
        left = size
        while left:
            part = _CONTENT[:left]
            await loop.sock_sendall(sock, part)
            patience.reschedule(loop.time() + STALL_TIMEOUT)
            self._sent(len(part))
            left -= len(part)


async def fetch(address: Address, handle: str, size: int, dscp: int) -> None:
    """All ``size`` bytes have come. TransferError: they have not, or it is not as many."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(STALL_TIMEOUT) as patience:
            found = await loop.getaddrinfo(*address, type=socket.SOCK_STREAM)
            with socket.socket(found[0][0], socket.SOCK_STREAM) as sock:
                sock.setblocking(False)
                mark(sock, dscp)
                await loop.sock_connect(sock, found[0][4])
                await loop.sock_sendall(sock, handle.encode() + b"\n")
                await _receive(sock, size, patience)
    except TimeoutError:
        raise TransferError(f"{address[0]}:{address[1]}: nothing came for {STALL_TIMEOUT:g} s") from None
    except (OSError, ValueError) as error:
        raise TransferError(f"{address[0]}:{address[1]}: {error}") from None


async def _receive(sock: socket.socket, size: int, patience: asyncio.Timeout) -> None:
    loop = asyncio.get_running_loop()
    head = b""
    while len(head) < _SIZE_BYTES:
        head += await _some(sock, _SIZE_BYTES - len(head))
    offered = int.from_bytes(head, "big")
    if offered == 0:
        raise TransferError("the prefill server knows no such KV cache (any more)")
    if offered != size:
        raise TransferError(
            f"the prompt's KV cache has {offered} bytes there, {size} here: profile and scale must be equal"
        )
    buffer = bytearray(min(size, len(_CONTENT)))
    left = size
    while left:
        got = await loop.sock_recv_into(sock, memoryview(buffer)[:left])
        if got == 0:
            raise TransferError(f"the prefill server hung up {left} bytes before the end")
        patience.reschedule(loop.time() + STALL_TIMEOUT)
        left -= got


async def _line(sock: socket.socket) -> str:
    line = b""
    while not line.endswith(b"\n"):
        line += await _some(sock, _LONGEST_HANDLE)
        if len(line) > _LONGEST_HANDLE:
            raise ConnectionError("that is no handle")
    return line[:-1].decode("latin-1")


async def _some(sock: socket.socket, most: int) -> bytes:
    data = await asyncio.get_running_loop().sock_recv(sock, most)
    if not data:
        raise ConnectionError("the other side hung up")
    return data
