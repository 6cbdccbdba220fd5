# SPDX-License-Identifier: Apache-2.0
"""GET, and no more of HTTP/1.1 (RFC 9112) than that takes.

Forty-five times a second for ten servers: a general client (aiohttp) spends half as much CPU time again on
it, and CPU time on the machine of a demo is what the model servers live on.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from dataclasses import dataclass
from functools import cache
from typing import Final
from urllib.parse import urlsplit

_STATUS: Final = re.compile(rb"HTTP/1\.([01]) ([0-9]{3})(?: |$)")
#: Of a status line, or of one chunk's size, in an error.
_SHOWN: Final = 60


class HttpError(Exception):
    """No answer that can be used: says why."""


@dataclass(frozen=True)
class Response:
    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes = b""  # as it came: encodings are not undone


class Client:
    """Of one URL; one request at a time. Redirects are not followed.

    Whatever ends a request before its end, a cancellation among it, ends the connection too.
    """

    def __init__(self, url: str, headers: str = "") -> None:
        """``headers``: lines to send beside Host, each with its CRLF. HttpError: no URL of http or https."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise HttpError(f"{url!r} is no URL: {error}") from None
        plain = url.isascii() and url.isprintable() and " " not in url
        if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
            raise HttpError(f"{url!r} is no URL of http or https")
        self._host = parts.hostname
        self._tls = parts.scheme == "https"
        self._port = port or (443 if self._tls else 80)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        host = parts.netloc.rpartition("@")[2]
        self._request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n".encode()
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        #: Whether its host ever took a connection.
        self.reached = False

    def close(self) -> None:
        if self._connection is not None:
            # Nothing is left to be sent, and nobody waits for the rest.
            self._connection[1].transport.abort()
            self._connection = None

    async def get(self, limit: int | None) -> Response:
        """``limit``: bytes of body, at most; None: it is not waited for, and the connection is done with. So
        it is after any status but 200, whose body is not read either.

        HttpError, and OSError as connecting and reading raise it.
        """
        try:
            return await self._get(limit)
        except asyncio.IncompleteReadError:
            self.close()
            raise HttpError("the connection ended before the answer did") from None
        except asyncio.LimitOverrunError:
            self.close()
            raise HttpError("its headers are too long") from None
        except BaseException:
            self.close()
            raise

    async def _get(self, limit: int | None) -> Response:
        kept = self._connection is not None
        try:
            head = await self._ask()
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            # Servers end idle connections when they like, so that one is not the server's last word.
            if not kept or (isinstance(error, asyncio.IncompleteReadError) and error.partial):
                raise
            self.close()
            head = await self._ask()
        version, status, headers = _parse(head)
        body, ends = b"", True
        if limit is not None and status == 200:
            body, ends = await self._body(headers, limit)
        if ends or version == 0 or headers.get("connection", "").lower() == "close":
            self.close()
        return Response(status, headers, body)

    async def _ask(self) -> bytes:
        if self._connection is None:
            self._connection = await asyncio.open_connection(self._host, self._port)
            self.reached = True
            if self._tls:
                await self._connection[1].start_tls(_tls(), server_hostname=self._host)
        reader, writer = self._connection
        writer.write(self._request)
        try:
            return await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                _parse(error.partial)  # says so if that is another protocol
            raise

    async def _body(self, headers: dict[str, str], limit: int) -> tuple[bytes, bool]:
        """(the body, the connection ends with it)."""
        assert self._connection is not None
        reader = self._connection[0]
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return await _chunks(reader, limit), False
        if "content-length" in headers:
            length = _number(headers["content-length"], 10)
            if length > limit:
                raise HttpError(f"a body of {length} bytes: more than {limit} are not read")
            return await reader.readexactly(length), False
        body = b""
        while part := await reader.read(1 << 16):
            body = _grown(body, part, limit)
        return body, True


@cache
def _tls() -> ssl.SSLContext:
    """The system's authorities; reading them takes longer than all the rest."""
    return ssl.create_default_context()


def _parse(head: bytes) -> tuple[int, int, dict[str, str]]:
    """(minor version, status, headers)."""
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    match = _STATUS.match(first)
    if match is None:
        raise HttpError(f"no HTTP/1.1: {first[:_SHOWN]!r}")
    headers = {}
    for line in lines:
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    return int(match[1]), int(match[2]), headers


async def _chunks(reader: asyncio.StreamReader, limit: int) -> bytes:
    body = b""
    while True:
        line = await reader.readuntil(b"\r\n")
        size = _number(line.partition(b";")[0].strip().decode("latin-1"), 16)
        if size == 0:
            break
        if size > limit:
            raise HttpError(f"a body of more than {limit} bytes: they are not read")
        body = _grown(body, await reader.readexactly(size), limit)
        await reader.readuntil(b"\r\n")
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass  # trailers
    return body


def _grown(body: bytes, part: bytes, limit: int) -> bytes:
    if len(body) + len(part) > limit:
        raise HttpError(f"a body of more than {limit} bytes: they are not read")
    return body + part


def _number(text: str, base: int) -> int:
    digits = "0123456789abcdef"[:base]
    if not text or len(text) > 16 or any(each not in digits for each in text.lower()):
        raise HttpError(f"no length of a body: {text[:_SHOWN]!r}")
    return int(text, base)
