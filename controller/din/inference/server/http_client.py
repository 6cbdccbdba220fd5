# SPDX-License-Identifier: Apache-2.0
"""One POST over a connection of its own. Cancelling it closes that, which aborts the request there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from urllib.parse import urlsplit

import h11


async def post(
    url: str, body: bytes, headers: Iterable[tuple[str, str]], timeout: float
) -> tuple[int, bytes]:
    """Status and body. OSError (TimeoutError included): no answer, or none that is HTTP."""
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname is None:
        raise OSError(f"{url}: an http://HOST:PORT URL is expected")
    http = h11.Connection(h11.CLIENT)
    async with asyncio.timeout(timeout):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
        try:
            fixed = [("Host", parts.netloc), ("Content-Length", str(len(body))), ("Connection", "close")]
            request = h11.Request(method="POST", target=parts.path or "/", headers=[*fixed, *headers])
            events = (request, h11.Data(data=body), h11.EndOfMessage())
            writer.write(b"".join(http.send(event) or b"" for event in events))
            return await _answer(http, reader)
        except h11.RemoteProtocolError as error:
            raise OSError(f"{url}: {error}") from None
        finally:
            writer.close()


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
