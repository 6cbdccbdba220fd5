# SPDX-License-Identifier: Apache-2.0
"""One POST over a connection of its own. Cancelling it closes that, which aborts the request there.

An answer may take long; but a host that is gone is noticed in seconds, before the answer as well.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

import h11

#: s. Linux sends a SYN again after 1 s, and after 2 more.
CONNECT_TIMEOUT: Final = 2.5
#: s without a word after which the peer's host is asked whether it is there, and how often it is asked again.
KEEPALIVE_IDLE: Final = 2
_KEEPALIVE_INTERVAL: Final = 1
_KEEPALIVE_PROBES: Final = 3


async def post(
    url: str, body: bytes, headers: Iterable[tuple[str, str]], timeout: float
) -> tuple[int, bytes]:
    """Status and body. OSError (TimeoutError included): no answer, or none that is HTTP."""
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname is None:
        raise OSError(f"{url}: an http://HOST:PORT URL is expected")
    http = h11.Connection(h11.CLIENT)
    async with asyncio.timeout(timeout):
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
        except TimeoutError:
            raise TimeoutError(f"no connection within {CONNECT_TIMEOUT:g} s") from None
        try:
            _keep_alive(writer.get_extra_info("socket"))
            fixed = [("Host", parts.netloc), ("Content-Length", str(len(body))), ("Connection", "close")]
            request = h11.Request(method="POST", target=parts.path or "/", headers=[*fixed, *headers])
            events = (request, h11.Data(data=body), h11.EndOfMessage())
            writer.write(b"".join(http.send(event) or b"" for event in events))
            return await _answer(http, reader)
        except h11.RemoteProtocolError as error:
            raise OSError(f"{url}: {error}") from None
        finally:
            writer.close()


def _keep_alive(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_INTERVAL)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _KEEPALIVE_PROBES)
    # Of what was sent and is not acknowledged, which is when there are no probes.
    patience = KEEPALIVE_IDLE + _KEEPALIVE_INTERVAL * _KEEPALIVE_PROBES
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience * 1000)


async def _answer(http: h11.Connection, reader: asyncio.StreamReader) -> tuple[int, bytes]:
    status = 0
    body = bytearray()
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return status, bytes(body)
