# SPDX-License-Identifier: Apache-2.0
"""One controller's StreamChannel: messages in, messages out (P4Runtime 1.4.1, "P4Runtime Stream
Messages")."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator

from finsy.proto import p4r

from p4jit.p4runtime.status import P4Error

_log = logging.getLogger(__name__)

#: Messages that wait for a slow client. Beyond it packets, digests, notifications and errors are dropped.
_MAX_WAITING = 4096


class Stream:
    """The way out to one client. Safe to call from any thread."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self._ready = threading.Condition()
        self._waiting: deque[p4r.StreamMessageResponse] = deque()
        self._closed = False
        #: Why the server ended the stream; None when the client did.
        self.error: P4Error | None = None
        self._dropped = 0

    def notify(self, update: p4r.MasterArbitrationUpdate) -> None:
        """Arbitration is never dropped."""
        self._put(p4r.StreamMessageResponse(arbitration=update))

    def send(self, message: p4r.StreamMessageResponse) -> bool:
        """False when the client does not keep up, and the message is dropped."""
        with self._ready:
            if len(self._waiting) >= _MAX_WAITING:
                self._dropped += 1
                return False
        self._put(message)
        return True

    def _put(self, message: p4r.StreamMessageResponse) -> None:
        with self._ready:
            if not self._closed:
                self._waiting.append(message)
                self._ready.notify()

    def close(self, error: P4Error | None = None) -> None:
        """End the stream: what waits is still sent."""
        with self._ready:
            if not self._closed:
                self._closed = True
                self.error = error
                if self._dropped:
                    _log.warning("stream of %s: too slow, %d messages were dropped", self.peer, self._dropped)
                self._ready.notify()

    def responses(self) -> Iterator[p4r.StreamMessageResponse]:
        """What to send, until the stream is closed."""
        while True:
            with self._ready:
                while not self._waiting and not self._closed:
                    self._ready.wait()
                if not self._waiting:
                    return
                message = self._waiting.popleft()
            yield message


def packet_out_error(error: P4Error, packet: p4r.PacketOut) -> p4r.StreamMessageResponse:
    details = p4r.PacketOutError(packet_out=packet)
    stream_error = p4r.StreamError(canonical_code=error.number, message=error.message, packet_out=details)
    return p4r.StreamMessageResponse(error=stream_error)


def digest_ack_error(error: P4Error, ack: p4r.DigestListAck) -> p4r.StreamMessageResponse:
    details = p4r.DigestListAckError(digest_list_ack=ack)
    stream_error = p4r.StreamError(
        canonical_code=error.number, message=error.message, digest_list_ack=details
    )
    return p4r.StreamMessageResponse(error=stream_error)


def other_error(error: P4Error, message: p4r.StreamMessageRequest) -> p4r.StreamMessageResponse:
    details = p4r.StreamOtherError()
    if message.HasField("other"):
        details.other.CopyFrom(message.other)
    stream_error = p4r.StreamError(canonical_code=error.number, message=error.message, other=details)
    return p4r.StreamMessageResponse(error=stream_error)
