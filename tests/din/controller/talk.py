# SPDX-License-Identifier: Apache-2.0
"""What runs in hosts while something happens to the network, and notes what it sees. Times are of
CLOCK_MONOTONIC, which is one for the whole machine.

    talk.py connect ADDRESS PORT INTERVAL      one connection after the other, until SIGTERM
    talk.py hold ADDRESS PORT COUNT            connections that are kept; asked again at a line of stdin
    talk.py send ADDRESS PORT INTERVAL         UDP, until SIGTERM
    talk.py receive PORT                       notes what arrives of that, until SIGTERM

Each writes lines of JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import random
import signal
import socket
import struct
import sys
import time
from typing import Any

_REQUEST = b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"
#: Seconds: a connection that is not answered until then is not answered.
PATIENCE = 1.0


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def _instance(answer: bytes) -> str:
    for line in answer.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "x-din-instance":
            return value.strip()
    return ""


async def _open(address: str, port: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """From a port as of many clients: a kernel's own follow each other, and so do their hashes."""
    while True:
        try:
            return await asyncio.open_connection(
                address, int(port), local_addr=("0.0.0.0", random.randint(10000, 60000))
            )
        except OSError as problem:
            if problem.errno != errno.EADDRINUSE:
                raise


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    writer.write(_REQUEST)
    answer = await reader.readuntil(b"\r\n\r\n")
    lengths = [each for each in answer.lower().split(b"\r\n") if each.startswith(b"content-length:")]
    await reader.readexactly(int(lengths[0].partition(b":")[2]))
    return _instance(answer)


async def _connect(address: str, port: str) -> None:
    at, instance, error = time.monotonic(), "", ""
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await _open(address, port)
            try:
                instance = await _ask(reader, writer)
            finally:
                writer.transport.abort()
    except (OSError, asyncio.IncompleteReadError) as problem:
        error = repr(problem)
    say(at=at, instance=instance, error=error)


async def connect(address: str, port: str, interval: str) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    asked = []
    while not stopping.is_set():
        asked.append(asyncio.create_task(_connect(address, port)))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), float(interval))
    await asyncio.gather(*asked)


async def hold(address: str, port: str, count: str) -> None:
    held = []
    for _ in range(int(count)):
        reader, writer = await _open(address, port)
        held.append((reader, writer, await _ask(reader, writer)))
    say(instances=[each[2] for each in held])
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.readline)

    async def again(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> None:
        began, answered, error = time.monotonic(), "", ""
        try:
            async with asyncio.timeout(5 * PATIENCE):
                answered = await _ask(reader, writer)
        except (OSError, asyncio.IncompleteReadError) as problem:
            error = repr(problem)
        say(instance=name, answered=answered, error=error, seconds=time.monotonic() - began)

    await asyncio.gather(*(again(*each) for each in held))


def send(address: str, port: str, interval: str) -> None:
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    pause, number = float(interval), 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        began = time.monotonic()
        while not stopping:
            with contextlib.suppress(OSError):  # an ICMP error came back: what was sent counts all the same
                out.sendto(struct.pack("!Qd", number, time.monotonic()), (address, int(port)))
            number += 1
            time.sleep(max(0.0, began + number * pause - time.monotonic()))
    say(sent=number, began=began, interval=pause)


def receive(port: str) -> None:
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    found: list[tuple[int, float, float]] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as come:
        come.bind(("0.0.0.0", int(port)))
        come.settimeout(0.1)
        say(ready=True)
        while not stopping:
            with contextlib.suppress(TimeoutError):
                data = come.recv(64)
                found.append((*struct.unpack("!Qd", data), time.monotonic()))
    say(received=found)


if __name__ == "__main__":
    mode, arguments = sys.argv[1], sys.argv[2:]
    if mode == "send":
        send(*arguments)
    elif mode == "receive":
        receive(*arguments)
    else:
        asyncio.run({"connect": connect, "hold": hold}[mode](*arguments))
