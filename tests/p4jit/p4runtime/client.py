# SPDX-License-Identifier: Apache-2.0
"""A bare P4Runtime client: the stubs, and an arbitration on a stream. No conveniences that hide messages."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

import grpc
from finsy.proto import p4i, p4r, p4r_grpc, rpc_status

OK, NOT_FOUND, ALREADY_EXISTS = 0, 5, 6
_CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_metadata_size", 1 << 24),
    ("grpc.absolute_max_metadata_size", 1 << 24),
)


class WriteFailed(Exception):
    """Per-update codes and messages of a refused batch."""

    def __init__(self, errors: list[p4r.Error]) -> None:
        super().__init__(", ".join(f"{e.canonical_code}: {e.message}" for e in errors))
        self.codes = [grpc_code(e.canonical_code) for e in errors]
        self.errors = errors


def grpc_code(number: int) -> grpc.StatusCode:
    return next(code for code in grpc.StatusCode if code.value[0] == number)


def details_of(error: grpc.RpcError) -> list[p4r.Error]:
    """The p4.v1.Error messages of a failed batch; [] when the error is about the whole request."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status = rpc_status.Status.FromString(value)
            assert status.code == error.code().value[0]
            assert status.message == error.details()
            errors = []
            for detail in status.details:
                item = p4r.Error()
                assert detail.Unpack(item)
                errors.append(item)
            return errors
    return []


class StreamClient:
    """One StreamChannel, with everything that has come back on it."""

    def __init__(self, stub: Any) -> None:
        self._out: queue.Queue[p4r.StreamMessageRequest | None] = queue.Queue()
        self._in: queue.Queue[p4r.StreamMessageResponse | None] = queue.Queue()
        self.error: grpc.RpcError | None = None
        self._call = stub.StreamChannel(iter(self._out.get, None))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            for message in self._call:
                self._in.put(message)
        except grpc.RpcError as error:
            self.error = error
        self._in.put(None)

    def send(self, **update: Any) -> None:
        self._out.put(p4r.StreamMessageRequest(**update))

    def arbitrate(
        self, election_id: int | None, device_id: int = 1, role: str = "", config: Any = None
    ) -> None:
        update = p4r.MasterArbitrationUpdate(device_id=device_id)
        if election_id is not None:
            update.election_id.high, update.election_id.low = divmod(election_id, 1 << 64)
            update.election_id.SetInParent()
        if role:
            update.role.name = role
        if config is not None:
            update.role.config.Pack(config)
        self.send(arbitration=update)

    def receive(self, timeout: float = 10) -> p4r.StreamMessageResponse:
        message = self._in.get(timeout=timeout)
        assert message is not None, f"the stream ended: {self.error}"
        return message

    def arbitration(self) -> p4r.MasterArbitrationUpdate:
        message = self.receive()
        assert message.WhichOneof("update") == "arbitration", message
        return message.arbitration

    def ended(self, timeout: float = 10) -> grpc.StatusCode:
        """Wait for the server to end the stream."""
        while self._in.get(timeout=timeout) is not None:
            pass
        if self.error is None:
            return grpc.StatusCode.OK
        return self.error.code()

    def quiet(self, seconds: float = 0.2) -> bool:
        try:
            self._in.get(timeout=seconds)
        except queue.Empty:
            return True
        return False

    def close(self) -> None:
        """Half-close, as a client that leaves in order."""
        self._out.put(None)

    def cancel(self) -> None:
        self._call.cancel()
        self._reader.join(10)


class Client:
    def __init__(
        self,
        port: int,
        election_id: int | None = 1,
        device_id: int = 1,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        address = f"localhost:{port}"
        options = (*_CHANNEL_OPTIONS, ("grpc.use_local_subchannel_pool", 1))
        if credentials is None:
            self.channel = grpc.insecure_channel(address, options)
        else:
            self.channel = grpc.secure_channel(address, credentials, options)
        self.stub: Any = p4r_grpc.P4RuntimeStub(self.channel)
        self.device_id = device_id
        self.election_id = election_id
        self.role = ""
        self.stream: StreamClient | None = None

    def open(self) -> StreamClient:
        return StreamClient(self.stub)

    def become_primary(self) -> StreamClient:
        assert self.election_id is not None
        self.stream = self.open()
        self.stream.arbitrate(self.election_id, self.device_id, self.role)
        answer = self.stream.arbitration()
        assert answer.status.code == OK, answer
        return self.stream

    def _election(self) -> p4r.Uint128 | None:
        if self.election_id is None:
            return None
        return p4r.Uint128(high=self.election_id >> 64, low=self.election_id & (1 << 64) - 1)

    def set_pipeline(
        self,
        p4info: p4i.P4Info | None,
        device_config: bytes = b"",
        action: int = p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
        cookie: int | None = None,
    ) -> None:
        request = p4r.SetForwardingPipelineConfigRequest(
            device_id=self.device_id, role=self.role, election_id=self._election()
        )
        request.action = action  # type: ignore[assignment]
        if p4info is not None:
            request.config.p4info.CopyFrom(p4info)
            request.config.p4_device_config = device_config
            if cookie is not None:
                request.config.cookie.cookie = cookie
        self.stub.SetForwardingPipelineConfig(request)

    def get_pipeline(self, response_type: int = 0) -> p4r.GetForwardingPipelineConfigResponse:
        request = p4r.GetForwardingPipelineConfigRequest(device_id=self.device_id)
        request.response_type = response_type  # type: ignore[assignment]
        response: p4r.GetForwardingPipelineConfigResponse = self.stub.GetForwardingPipelineConfig(request)
        return response

    def request(self, updates: Iterable[p4r.Update], atomicity: int = 0) -> p4r.WriteRequest:
        request = p4r.WriteRequest(device_id=self.device_id, role=self.role, updates=updates)
        election = self._election()
        if election is not None:
            request.election_id.CopyFrom(election)
        request.atomicity = atomicity  # type: ignore[assignment]
        return request

    def write(self, updates: Iterable[p4r.Update], atomicity: int = 0) -> None:
        """Raises WriteFailed for a batch with errors, grpc.RpcError for a refused request."""
        request = self.request(updates, atomicity)
        try:
            self.stub.Write(request)
        except grpc.RpcError as error:
            details = details_of(error)
            if error.code() is not grpc.StatusCode.UNKNOWN or len(details) != len(request.updates):
                raise
            raise WriteFailed(details) from None

    def insert(self, **entity: Any) -> None:
        self.write([update("INSERT", **entity)])

    def modify(self, **entity: Any) -> None:
        self.write([update("MODIFY", **entity)])

    def delete(self, **entity: Any) -> None:
        self.write([update("DELETE", **entity)])

    def read_stream(self, entities: Iterable[p4r.Entity], role: str = "") -> Iterator[p4r.ReadResponse]:
        request = p4r.ReadRequest(device_id=self.device_id, entities=entities, role=role)
        yield from self.stub.Read(request)

    def read(self, role: str = "", **entity: Any) -> list[Any]:
        """The messages inside the entities that answer one query. Raises WriteFailed for a refused query."""
        result = []
        try:
            for response in self.read_stream([p4r.Entity(**entity)], role):
                for found in response.entities:
                    kind = found.WhichOneof("entity")
                    assert kind == next(iter(entity))
                    result.append(getattr(found, kind))
        except grpc.RpcError as error:
            details = details_of(error)
            if error.code() is not grpc.StatusCode.UNKNOWN or not details:
                raise
            raise WriteFailed(details) from None
        return result

    def close(self) -> None:
        self.channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def update(kind: str, **entity: Any) -> p4r.Update:
    return p4r.Update(type=p4r.Update.Type.Value(kind), entity=p4r.Entity(**entity))
