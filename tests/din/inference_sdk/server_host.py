# SPDX-License-Identifier: Apache-2.0
"""A model server and an echo, TCP and UDP. Run in a namespace by `live`."""

from __future__ import annotations

import asyncio
import sys
from typing import cast

from din.inference.server.options import DEFAULT_PROFILE, Options
from din.inference.server.server import Server
from din.model.emulated import Profile

from tests.din.inference_sdk.network import say, set_up
from tests.din.inference_sdk.numbers import ECHO_PORT, MODEL, SERVER4, SERVERS6, SERVICE6


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self._transport.sendto(data, address)


async def main(number: int) -> None:
    addresses = [f"{SERVERS6[number - 1]}/64", *([f"{SERVER4}/24"] if number == 1 else [])]
    set_up(f"s{number}", *addresses, loopback=f"{SERVICE6}/128")
    loop = asyncio.get_running_loop()
    await asyncio.start_server(echo, "::", ECHO_PORT)
    await loop.create_datagram_endpoint(Echo, local_addr=("::", ECHO_PORT))
    profile = Profile.model_validate(DEFAULT_PROFILE)
    options = Options(f"instance-{number}", (MODEL,), profile, listen=((SERVICE6, 8000),))
    async with Server(options):
        say("ready")
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
