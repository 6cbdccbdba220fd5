# SPDX-License-Identifier: Apache-2.0
"""The controller's /metrics and API on a TCP address, for whoever cannot reach its Unix socket.

For reading alone: it asks nobody who they are, so that it lets GET and HEAD through, and nothing that would
change the network. A connection is for one request (RFC 9112, 9.6).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Final

_METHODS: Final = (b"GET", b"HEAD")
#: Bytes of a request's head, and seconds in which it comes.
_LARGEST_HEAD: Final = 16_384
_HEAD_SECONDS: Final = 10.0
_CHUNK: Final = 65_536


def parse(text: str) -> tuple[str, int]:
    """``ADDRESS:PORT`` or ``[ADDRESS]:PORT``. ValueError."""
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{text!r} is no address: ADDRESS:PORT, as in 127.0.0.1:9100")
    return host.removeprefix("[").removesuffix("]"), int(port)


async def serve(address: str, port: int, upstream: Path) -> asyncio.Server:
    """``upstream``: the Unix socket. OSError: the address is not to be had."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            await _answer(reader, writer, upstream)
        writer.close()

    return await asyncio.start_server(handle, address, port, limit=_LARGEST_HEAD)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: Path) -> None:
    try:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _HEAD_SECONDS)
    except asyncio.LimitOverrunError:
        return await _refuse(writer, "431 Request Header Fields Too Large", "a shorter head, please")
    request, *fields = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    if request.partition(b" ")[0] not in _METHODS:
        return await _refuse(writer, "405 Method Not Allowed", "this address is for reading: use din")
    try:
        from_upstream, to_upstream = await asyncio.open_unix_connection(upstream)
    except OSError:
        return await _refuse(writer, "502 Bad Gateway", "the controller is not running")
    try:
        to_upstream.write(b"\r\n".join([request, *filter(_passes, fields), b"Connection: close", b"", b""]))
        while chunk := await from_upstream.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    finally:
        to_upstream.close()


def _passes(field: bytes) -> bool:
    """Not those of a connection, nor of a body: there is none."""
    name = field.partition(b":")[0].strip().lower()
    return name not in (b"connection", b"keep-alive", b"upgrade", b"content-length", b"transfer-encoding")


async def _refuse(writer: asyncio.StreamWriter, status: str, text: str) -> None:
    body = f"{text}\n".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
    writer.write(f"{head}Connection: close\r\n\r\n".encode() + body)
    await writer.drain()
