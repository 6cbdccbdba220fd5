# SPDX-License-Identifier: Apache-2.0
"""Server-sent events (WHATWG HTML, 9.2), as far as completions use them: the data of each event."""

from __future__ import annotations

from collections.abc import Iterator


class EventSplitter:
    """Bytes in, whole events' data out. Comments and other fields are passed over, as the standard wants."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, received: bytes) -> Iterator[bytes]:
        """Data of the events that ``received`` completes."""
        # A CR at the end may be half of a CRLF: it waits for what follows.
        pending = self._rest + received
        held = b"\r" if pending.endswith(b"\r") else b""
        pending = pending.removesuffix(b"\r")
        if b"\r" in pending:
            pending = pending.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *events, rest = pending.split(b"\n\n")
        self._rest = rest + held
        for event in events:
            data = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
            if data:
                yield b"\n".join(data)
