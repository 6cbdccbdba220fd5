# SPDX-License-Identifier: Apache-2.0
"""One gRPC channel to a P4Runtime server: finsy's client, with what a fabric's controller needs changed.

- A server answers a read in one message (simple_switch_grpc, p4jit): gRPC's limit of 4 MiB is lifted.
- An attempt to connect fails at once instead of waiting for the server: the caller decides when to try again.
- A pipeline may take minutes to be compiled: it has a deadline of its own.
- Who waits for an answer when the channel is closed gets an error; gRPC cancels the task.
- Messages of the stream are written one at a time, and into the stream that was opened: no other takes its
  place when it has ended.
- A handshake that fails is looked into, since gRPC's own words do not say which side refuses which
certificate.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import finsy as fy
import grpc
from finsy.proto import p4r, p4r_grpc

_PUSH_SECONDS: Final = 300.0
#: In which a switch shows that it is alive.
_ALIVE_SECONDS: Final = 5.0
_PROBE_SECONDS: Final = 2.0
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # Errors of a batch are trailing metadata, one for each update.
    ("grpc.max_metadata_size", 1 << 24),
    ("grpc.absolute_max_metadata_size", 1 << 24),
    # Else gRPC remembers across channels that a server was away, and when to try again.
    ("grpc.use_local_subchannel_pool", 1),
)


@dataclass(frozen=True)
class TlsFiles:
    """PEM files of mutual TLS: who may sign switches' certificates, and who we are. ``server_name`` is what
    the switch's certificate must be for, where that is not the host of its address."""

    ca: Path
    certificate: Path
    key: Path
    server_name: str = ""


class Channel(fy.P4Client):
    def __init__(self, address: str, tls: TlsFiles | None) -> None:
        """OSError: a file of ``tls`` cannot be read."""
        super().__init__(address, None, wait_for_ready=False)
        self._tls = tls
        self._sending = asyncio.Lock()

    async def open(self, **_: object) -> None:
        if self._tls is None:
            self._channel = grpc.aio.insecure_channel(self._address, options=_OPTIONS)
        else:
            credentials = grpc.ssl_channel_credentials(
                self._tls.ca.read_bytes(), self._tls.key.read_bytes(), self._tls.certificate.read_bytes()
            )
            name = self._tls.server_name
            options = (*_OPTIONS, *([("grpc.ssl_target_name_override", name)] if name else []))
            self._channel = grpc.aio.secure_channel(self._address, credentials, options=options)
        self._stub = p4r_grpc.P4RuntimeStub(self._channel)

    async def send(self, msg: p4r.StreamMessageRequest) -> None:
        """fy.P4ClientError; ConnectionError: the stream has ended."""
        # A stream that is given a message while another waits for room fails, and the server is not told: it
        # would keep our election ID for the dead stream.
        async with self._sending:
            if self._stub is None or (self._stream is not None and self._stream.done()):
                raise ConnectionError("the stream has ended")
            try:
                with _closed_meanwhile():
                    await super().send(msg)
            except asyncio.InvalidStateError:
                raise ConnectionError("the stream has ended") from None

    async def receive(self) -> p4r.StreamMessageResponse:
        """fy.P4ClientError; ConnectionError: the switch has ended the stream."""
        assert self._stream is not None
        try:
            with _closed_meanwhile():
                message = await self._stream.read()
        except grpc.RpcError as error:
            raise fy.P4ClientError(error, "receive") from None
        if not isinstance(message, p4r.StreamMessageResponse):
            raise ConnectionError("the switch has ended the stream")
        return message

    async def request(self, msg: Any) -> Any:
        """fy.P4ClientError; ConnectionError: the channel was closed."""
        with _closed_meanwhile():
            return await super().request(msg)

    async def request_iter(self, msg: p4r.ReadRequest) -> AsyncIterator[p4r.ReadResponse]:
        """As `request`."""
        with _closed_meanwhile():
            async for reply in super().request_iter(msg):
                yield reply

    async def alive(self) -> None:
        """Any answer will do. ConnectionError: none comes. gRPC's own keepalive is no help: unless configured
        otherwise its servers end a connection that is pinged more than once in five minutes."""
        assert self._stub is not None
        try:
            await self._stub.Capabilities(p4r.CapabilitiesRequest(), timeout=_ALIVE_SECONDS)  # type: ignore[misc]
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise ConnectionError(f"{self._address} has not answered for {_ALIVE_SECONDS:g} s") from None

    async def push(self, request: p4r.SetForwardingPipelineConfigRequest) -> None:
        """fy.P4ClientError: the switch does not take it."""
        assert self._stub is not None
        try:
            await self._stub.SetForwardingPipelineConfig(request, timeout=_PUSH_SECONDS)  # type: ignore[misc]
        except grpc.RpcError as error:
            raise fy.P4ClientError(error, "SetForwardingPipelineConfig") from None


@contextlib.contextmanager
def _closed_meanwhile() -> Iterator[None]:
    """ConnectionError where gRPC cancels whoever waits for a call of a channel that another task closes."""
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionError("the connection was closed before an answer came") from None


async def tls_problem(address: str, tls: TlsFiles) -> str | None:
    """What is wrong with a TLS handshake, in words; None: nothing that could be found."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        context = ssl.create_default_context(cafile=str(tls.ca))
        context.load_cert_chain(tls.certificate, tls.key)
        context.set_alpn_protocols(["h2"])
    except (OSError, ssl.SSLError) as error:
        return f"TLS: {tls.ca}, {tls.certificate} or {tls.key} cannot be used: {error}"
    refused = f"TLS: the switch refuses our certificate {tls.certificate}"
    answer = b""
    connected = False
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            reader, writer = await asyncio.open_connection(
                host, int(port), ssl=context, server_hostname=tls.server_name or host
            )
            connected = True
            try:
                # With TLS 1.3 a client is refused after the handshake; else HTTP/2 speaks first.
                answer = await reader.read(1)
            finally:
                writer.transport.abort()
    except ssl.SSLCertVerificationError as error:
        reason = error.verify_message
        return f"TLS: the switch's certificate is refused ({reason}); it is checked with {tls.ca}"
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).replace("_", " ").lower()
        return f"{refused} ({reason})" if connected else f"TLS: no handshake with the switch ({reason})"
    except TimeoutError:
        return None
    except OSError:
        return refused if connected else None
    return None if answer else refused
