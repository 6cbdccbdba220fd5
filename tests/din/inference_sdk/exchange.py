# SPDX-License-Identifier: Apache-2.0
"""What a client's processes do with a marked socket."""

from __future__ import annotations

import socket
import threading
from dataclasses import asdict
from typing import Any

from din.inference.marking import Marking


def shown(marking: Marking, sock: socket.socket, **more: Any) -> dict[str, Any]:
    return {**asdict(marking), "port": sock.getsockname()[1], **more}


def exchange(sock: socket.socket, data: bytes) -> bool:
    """Does all of it come back?"""
    sock.settimeout(10)
    threading.Thread(target=sock.sendall, args=(data,), daemon=True).start()
    got = bytearray()
    while len(got) < len(data):
        chunk = sock.recv(1 << 16)
        if not chunk:
            return False
        got += chunk
    return got == data
