# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 for a server that sends many small chunks: h11 keeps the protocol, asyncio's transport the socket.

A token costs one `Reply.write`: no task is woken, nothing is copied twice. What a slow reader leaves is kept,
a whole answer if need be; but its next request waits until it has read enough.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import h11

Header = tuple[str, str]
Address = tuple[str, int]
#: A prompt of a million tokens and its JSON; whatever is longer is not a prompt.
LARGEST_BODY: Final = 16 << 20
#: s that a refused client has to read why and to stop sending.
LINGER: Final = 2.0


@dataclass(frozen=True)
class Request:
    method: str
    path: str  # without the query
    headers: dict[str, str]  # names in lower case
    body: bytes
    peer: Address
    local: Address


class Reply:
    """The answer to one request: `send`, or `start`, any number of `write`, and `end`."""

    def __init__(self, connection: Connection, bodiless: bool = False) -> None:
        self._connection = connection
        self._bodiless = bodiless  # of HEAD
        self.started = False
        self.ended = False
        #: Of every answer.
        self.headers: list[Header] = []
        #: Called once if the client leaves before `end`.
        self.on_disconnect: Callable[[], None] | None = None

    def send(self, status: int, body: bytes, content_type: str, headers: Iterable[Header] = ()) -> None:
        """A whole answer."""
        length = [("Content-Type", content_type), ("Content-Length", str(len(body)))]
        self._connection.send(h11.Response(status_code=status, headers=[*length, *self.headers, *headers]))
        if body and not self._bodiless:
            self._connection.send(h11.Data(data=body))
        self.end()

    def start(self, content_type: str, headers: Iterable[Header] = ()) -> None:
        """Status and headers leave now, the body follows in chunks."""
        self.started = True
        fixed = [
            ("Content-Type", content_type),
            ("Transfer-Encoding", "chunked"),
            ("Cache-Control", "no-cache"),
        ]
        self._connection.send(h11.Response(status_code=200, headers=[*fixed, *self.headers, *headers]))

    def write(self, data: bytes) -> None:
        self._connection.send_piece(data)

    def end(self) -> None:
        self.ended = True
        self._connection.send(h11.EndOfMessage())
        self._connection.replied()

    def cut(self) -> None:
        """Closes the connection in the middle of the answer: the client must see that it is not whole."""
        self.ended = True
        self._connection.close()


Handler = Callable[[Request, Reply], None]


class Connection(asyncio.Protocol):
    """One client's. ``handler`` is called for every request, and answers now or later through its `Reply`."""

    def __init__(self, handler: Handler, connections: set[Connection], lifetime: float | None) -> None:
        self._handler = handler
        self._connections = connections
        self._lifetime = lifetime
        self._http = h11.Connection(h11.SERVER)
        self._transport: asyncio.Transport
        self._head: h11.Request | None = None
        self._body = bytearray()
        self._reply: Reply | None = None
        self._peer: Address = ("", 0)
        self._local: Address = ("", 0)
        self._last = False  # it closes after the answer that is under way
        self._refused = False  # nothing that comes is read any more
        self._stuck = False  # the client does not read what it was sent
        self._ahead = 0  # bytes that came since all was taken, at least those not taken yet
        self._timer: asyncio.TimerHandle | None = None

    @property
    def busy(self) -> bool:
        return self._reply is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connections.add(self)
        # asyncio does so itself only where the listener was made with its protocol named.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._peer = transport.get_extra_info("peername")[:2]
        self._local = transport.get_extra_info("sockname")[:2]
        if self._lifetime is not None:
            self._timer = asyncio.get_running_loop().call_later(self._lifetime, self._expire)

    def connection_lost(self, _error: Exception | None) -> None:
        self._connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        reply, self._reply = self._reply, None
        if reply is not None and not reply.ended:
            reply.ended = True
            if reply.on_disconnect is not None:
                reply.on_disconnect()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._http.receive_data(data)
        self._ahead += len(data)
        if self._ahead > LARGEST_BODY:
            self._ahead = len(self._http.trailing_data[0])  # a copy: not for each piece that comes
            if self._ahead > LARGEST_BODY:
                self.close()  # requests piled up behind one that is not answered yet
                return
        self._advance()

    def pause_writing(self) -> None:
        self._stuck = True

    def resume_writing(self) -> None:
        self._stuck = False
        self._advance()

    def retire(self) -> None:
        """Closes it after its next answer, or the one under way. A request on its way is not lost."""
        self._last = True

    def _expire(self) -> None:
        """Closes it after the answer that is under way, or now."""
        self.retire()
        if not self.busy:
            self.close()

    def close(self) -> None:
        self._transport.close()

    def send(self, event: h11.Event) -> None:
        """h11's events to the wire. Nothing, once the client has gone."""
        if self._transport.is_closing():
            return
        if isinstance(event, h11.Response) and self._last:
            event = h11.Response(
                status_code=event.status_code, headers=[*event.headers.raw_items(), (b"Connection", b"close")]
            )
        data = self._http.send(event)
        if data:
            self._transport.write(data)

    def send_piece(self, data: bytes) -> None:
        """Of a body whose length nobody knows. A chunk does not pass through h11, which has no state that it
        would change, and takes a quarter of what a token costs."""
        if self._http.their_http_version != b"1.1":
            self.send(h11.Data(data=data))
        elif data and not self._transport.is_closing():
            self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def replied(self) -> None:
        """An answer is complete: the next request may follow."""
        self._reply = None
        if self._transport.is_closing():
            return
        if self._last or self._http.our_state is not h11.DONE:
            self.close()
            return
        self._http.start_next_cycle()
        # A pipelined request may wait already. Not from here: its answer would end up here again.
        asyncio.get_running_loop().call_soon(self._advance)

    def _advance(self) -> None:
        """Takes requests from what has arrived, as far as they go."""
        while not (self._transport.is_closing() or self._refused or self._stuck):
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                self._refuse(error.error_status_hint or 400, str(error))
                return
            if event is h11.NEED_DATA:
                self._ahead = 0
                if self._http.they_are_waiting_for_100_continue:
                    self.send(h11.InformationalResponse(status_code=100, headers=[]))
                return
            if event is h11.PAUSED:
                return
            if isinstance(event, h11.ConnectionClosed):
                self.close()
            elif isinstance(event, h11.Request):
                self._head = event
                self._body.clear()
                if _length(event) > LARGEST_BODY:  # known before the client is told to go on
                    self._refuse_body()
            elif isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > LARGEST_BODY:
                    self._refuse_body()
            elif isinstance(event, h11.EndOfMessage):
                self._dispatch()

    def _dispatch(self) -> None:
        assert self._head is not None
        head = self._head
        request = Request(
            head.method.decode("ascii"),
            head.target.partition(b"?")[0].decode("latin-1"),
            {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers},
            bytes(self._body),
            self._peer,
            self._local,
        )
        self._body.clear()
        self._reply = Reply(self, bodiless=head.method == b"HEAD")
        self._handler(request, self._reply)

    def _refuse_body(self) -> None:
        self._refuse(413, f"a body has at most {LARGEST_BODY} bytes")

    def _refuse(self, status: int, message: str) -> None:
        """What came is not taken: say so where that is still possible, and close."""
        self._refused = True
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE) and not self.busy:
            body = message.encode()
            fixed = [
                ("Content-Type", "text/plain"),
                ("Content-Length", str(len(body))),
                ("Connection", "close"),
            ]
            self.send(h11.Response(status_code=status, headers=fixed))
            self.send(h11.Data(data=body))
            self.send(h11.EndOfMessage())
            self._linger()
        else:
            self.close()

    def _linger(self) -> None:
        """Ends what is sent now, and the rest when the client stops, or soon: with bytes unread, the system
        would reset the connection, and the answer with it (RFC 9112, 9.6)."""
        self._transport.write_eof()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(LINGER, self.close)


def _length(head: h11.Request) -> int:
    """What h11 has checked to be a number."""
    return next((int(value) for name, value in head.headers if name == b"content-length"), 0)
