# SPDX-License-Identifier: Apache-2.0
"""The way to a switch, which can be lost without a word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Relay:
    """Of TCP connections. While it is cut, nothing passes, and nobody is told."""

    def __init__(self) -> None:
        self.address = ""
        self.accepted = asyncio.Event()
        self._open = asyncio.Event()
        self._open.set()

    def cut(self) -> None:
        self._open.clear()

    def mend(self) -> None:
        self._open.set()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def relay(address: str) -> AsyncIterator[Relay]:
    found = Relay()
    host, _, port = address.rpartition(":")
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.accepted.set()
        there_reader, there_writer = await asyncio.open_connection(host, int(port))
        tasks.add(asyncio.create_task(found.carry(reader, there_writer)))
        tasks.add(asyncio.create_task(found.carry(there_reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    found.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield found
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
