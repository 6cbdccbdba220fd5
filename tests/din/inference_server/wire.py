# SPDX-License-Identifier: Apache-2.0
"""One answer whose prompt is computed elsewhere, and what its KV transfer looks like on the wire.

Run in a network namespace of its own. Prints JSON: bytes of TCP payload and DSCP values of the packets that
left the prefill server's KV port, and DSCP values of those that went to it; for IPv4 and IPv6.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
from dataclasses import asdict, dataclass, field

from din.inference.server.options import Role
from din.inference.server.server import Server

from tests.din.inference_server.bed import MODEL, client, options, url

DSCP = 18
TOKENS = 3000
_ALL = 3
_OUTGOING = 4  # on loopback each packet is seen twice: as it leaves and as it comes


@dataclass
class Seen:
    bytes: int = 0
    from_port: set[int] = field(default_factory=set)
    to_port: set[int] = field(default_factory=set)

    def packet(self, data: bytes, port: int) -> None:
        """An IP packet, its payload cut."""
        if data[0] >> 4 == 4:
            dscp, protocol, head = data[1] >> 2, data[9], (data[0] & 15) * 4
            size = int.from_bytes(data[2:4], "big")
        else:
            dscp, protocol, head = (data[0] & 15) << 2 | data[1] >> 6, data[6], 40
            size = int.from_bytes(data[4:6], "big") + 40
        if protocol != socket.IPPROTO_TCP:
            return
        tcp = data[head:]
        if int.from_bytes(tcp[0:2], "big") == port:
            self.bytes += size - head - (tcp[12] >> 4) * 4
            self.from_port.add(dscp)
        elif int.from_bytes(tcp[2:4], "big") == port:
            self.to_port.add(dscp)


async def observe(address: str) -> Seen:
    seen = Seen()
    prefill = options(
        name="p", role=Role.PREFILL, listen=((address, 0),), kv_listen=((address, 0),), kv_dscp=DSCP
    )
    async with Server(prefill) as first:
        port = first.kv_addresses[0][1]
        base = f"http://{f'[{address}]' if ':' in address else address}:{first.addresses[0][1]}"
        decode = options(name="d", role=Role.DECODE, prefill=(base,), kv_dscp=DSCP)
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL)) as sniffer:
            sniffer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
            sniffer.setblocking(False)

            def look() -> None:
                data, where = sniffer.recvfrom(120)
                if where[2] == _OUTGOING:
                    seen.packet(data, port)

            asyncio.get_running_loop().add_reader(sniffer, look)
            async with Server(decode) as second, client(second) as ai:
                assert url(second)
                await ai.completions.create(model=MODEL, prompt="abc " * TOKENS, max_tokens=2)
            await asyncio.sleep(0)
            asyncio.get_running_loop().remove_reader(sniffer)
            while True:
                try:
                    data, where = sniffer.recvfrom(120)
                except BlockingIOError:
                    return seen
                if where[2] == _OUTGOING:
                    seen.packet(data, port)


def main() -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    found = {address: asdict(asyncio.run(observe(address))) for address in ("127.0.0.1", "::1")}
    print(json.dumps(found, default=sorted))


if __name__ == "__main__":
    main()
