# SPDX-License-Identifier: Apache-2.0
"""The RPCs of p4.v1.P4Runtime, each with its checks in the order of the specification."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import grpc
from finsy.proto import p4r
from google.protobuf.message import DecodeError, Message

from p4jit.p4runtime.controlled import ControlledDevice
from p4jit.p4runtime.pipeline import Compile, Verified, verify
from p4jit.p4runtime.roles import check_write, may_see
from p4jit.p4runtime.status import (
    P4Error,
    abort,
    abort_batch,
    as_p4_error,
    denied,
    exhausted,
    invalid,
    not_found,
    precondition,
)
from p4jit.p4runtime.stream import Stream
from p4jit.p4runtime.wire import responses
from p4jit.p4runtime.write import write_batch

_log = logging.getLogger(__name__)

API_VERSION = "1.4.1"
#: Streams in all, over all devices: each holds a thread of the pool, and other requests must find some.
MAX_STREAMS = 192

_M = TypeVar("_M", bound=Message)
_SetRequest = p4r.SetForwardingPipelineConfigRequest
_PIPELINE_ACTIONS = frozenset(
    (
        _SetRequest.VERIFY,
        _SetRequest.VERIFY_AND_SAVE,
        _SetRequest.VERIFY_AND_COMMIT,
        _SetRequest.COMMIT,
        _SetRequest.RECONCILE_AND_COMMIT,
    )
)


class P4RuntimeService:
    """Requests and responses are serialized messages: a malformed one gets INVALID_ARGUMENT, not gRPC's
    INTERNAL, and reads are answered without building messages."""

    def __init__(self, devices: Mapping[int, ControlledDevice], compile_program: Compile) -> None:
        self._devices = devices
        self._compile = compile_program
        self._streams: set[Stream] = set()
        self._streams_lock = threading.Lock()

    def handlers(self) -> grpc.GenericRpcHandler[bytes, bytes]:
        unary, streaming = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        return grpc.method_handlers_generic_handler(
            "p4.v1.P4Runtime",
            {
                "Write": unary(self._write),
                "Read": streaming(self._read),
                "SetForwardingPipelineConfig": unary(self._set_pipeline),
                "GetForwardingPipelineConfig": unary(self._get_pipeline),
                "StreamChannel": grpc.stream_stream_rpc_method_handler(self._stream_channel),
                "Capabilities": unary(self._capabilities),
            },
        )

    def close_streams(self, error: P4Error) -> None:
        with self._streams_lock:
            streams = list(self._streams)
        for stream in streams:
            stream.close(error)

    def _device(self, device_id: int) -> ControlledDevice:
        device = self._devices.get(device_id)
        if device is None:
            raise not_found(f"device {device_id} is not here")
        return device

    # ---- Write and Read --------------------------------------------------------------------------------

    def _write(self, data: bytes, context: grpc.ServicerContext) -> bytes:
        errors: list[P4Error | None] | None
        try:
            request = _parse(p4r.WriteRequest, data)
            errors = self._apply(request)
        except Exception as error:
            abort(context, as_p4_error(error, "writing"))
        if errors is not None:
            abort_batch(context, errors)
        return b""

    def _apply(self, request: p4r.WriteRequest) -> list[P4Error | None] | None:
        device = self._device(request.device_id)
        with device.lock:
            arbiter = device.arbiter
            election_id = request.election_id if request.HasField("election_id") else None
            arbiter.check_primary(_role(request), election_id)
            active = device.pipeline.active
            if active is None:
                raise precondition("no pipeline is set: SetForwardingPipelineConfig comes first")
            config = arbiter.role_config(request.role)
            foreign = arbiter.foreign_configs(request.role)
            check: Callable[[p4r.Entity], None] | None = None
            if config is not None or foreign:

                def check(entity: p4r.Entity) -> None:
                    check_write(config, foreign, entity)

            return write_batch(active.state, request.updates, request.atomicity, check)

    def _read(self, data: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        entities: list[bytes] = []
        errors: list[P4Error | None] = []
        try:
            request = _parse(p4r.ReadRequest, data)
            self._collect(request, entities, errors)
        except Exception as error:
            abort(context, as_p4_error(error, "reading"))
        yield from responses(entities)
        if any(errors):
            abort_batch(context, errors)

    def _collect(self, request: p4r.ReadRequest, entities: list[bytes], errors: list[P4Error | None]) -> None:
        device = self._device(request.device_id)
        with device.lock:
            active = device.pipeline.active
            if active is None:
                raise precondition("no pipeline is set: SetForwardingPipelineConfig comes first")
            config = device.arbiter.role_config(request.role)
            for entity in request.entities:
                try:
                    found = active.state.read(entity)
                    if config is not None:
                        found = [e for e in found if may_see(config, _entity(e))]
                    entities.extend(found)
                    errors.append(None)
                except Exception as error:
                    errors.append(as_p4_error(error, "reading an entity"))

    # ---- pipelines -------------------------------------------------------------------------------------

    def _set_pipeline(self, data: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            request = _parse(_SetRequest, data)
            device = self._device(request.device_id)
            self._check_pusher(device, request)
            self._push(device, request)
        except Exception as error:
            abort(context, as_p4_error(error, "setting a pipeline"))
        return b""

    def _check_pusher(self, device: ControlledDevice, request: _SetRequest) -> None:
        election_id = request.election_id if request.HasField("election_id") else None
        device.arbiter.check_primary(_role(request), election_id)
        config = device.arbiter.role_config(request.role)
        if config is not None and not config.push_pipeline:
            raise denied(f"role {request.role!r} may not push a pipeline")

    def _push(self, device: ControlledDevice, request: _SetRequest) -> None:
        action = request.action
        if action not in _PIPELINE_ACTIONS:
            raise invalid(f"action {action} is not one of SetForwardingPipelineConfigRequest.Action")
        if action == _SetRequest.COMMIT:
            if request.HasField("config"):
                raise invalid("COMMIT takes no config: it commits the one that is saved")
            with device.lock:
                self._check_pusher(device, request)
                device.pipeline.commit_saved()
            return
        if not request.HasField("config"):
            raise invalid("config is not set")
        # Compiling takes seconds: reads, writes and packets go on meanwhile.
        verified = verify(request.config, self._compile)
        if action != _SetRequest.VERIFY:
            with device.lock:
                # Another controller may have become primary meanwhile.
                self._check_pusher(device, request)
                _carry_out(device, action, verified)

    def install(self, device_id: int, config: p4r.ForwardingPipelineConfig) -> None:
        """Run a configuration that comes with the device rather than from a controller. Raises P4Error."""
        device = self._device(device_id)
        verified = verify(config, self._compile)
        with device.lock:
            device.pipeline.commit(verified)

    def _get_pipeline(self, data: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            request = _parse(p4r.GetForwardingPipelineConfigRequest, data)
            device = self._device(request.device_id)
            with device.lock:
                return device.pipeline.describe(request.response_type).SerializeToString()
        except Exception as error:
            abort(context, as_p4_error(error, "reading a pipeline"))

    def _capabilities(self, data: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            request = _parse(p4r.CapabilitiesRequest, data)
            if request.device_id:
                self._device(request.device_id)
        except Exception as error:
            abort(context, as_p4_error(error, "answering"))
        return p4r.CapabilitiesResponse(p4runtime_api_version=API_VERSION).SerializeToString()

    # ---- StreamChannel ---------------------------------------------------------------------------------

    def _stream_channel(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        stream = Stream(context.peer())
        with self._streams_lock:
            room = len(self._streams) < MAX_STREAMS
            if room:
                self._streams.add(stream)
        if not room:
            abort(context, exhausted(f"the server already has {MAX_STREAMS} streams"))
        context.add_callback(stream.close)
        reader = threading.Thread(
            target=self._read_stream, args=(stream, requests), name="p4runtime-stream", daemon=True
        )
        reader.start()
        try:
            for message in stream.responses():
                yield message.SerializeToString()
        finally:
            with self._streams_lock:
                self._streams.discard(stream)
        if stream.error is not None:
            abort(context, stream.error)

    def _read_stream(self, stream: Stream, requests: Iterator[bytes]) -> None:
        """Until the client, or an error of its own, ends the stream."""
        device: ControlledDevice | None = None
        error: P4Error | None = None
        try:
            for data in requests:
                message = _parse(p4r.StreamMessageRequest, data)
                if device is None:
                    if message.WhichOneof("update") != "arbitration":
                        raise precondition("a stream starts with a MasterArbitrationUpdate")
                    device = self._device(message.arbitration.device_id)
                device.handle(stream, message)
        except P4Error as refused:
            error = refused
        except grpc.RpcError:
            _log.debug("stream of %s: broken off by the client", stream.peer)
        except Exception as failure:
            error = as_p4_error(failure, "serving a stream")
        finally:
            if device is not None:
                device.arbiter.disconnect(stream)
            stream.close(error)


def _carry_out(device: ControlledDevice, action: int, verified: Verified) -> None:
    if action == _SetRequest.VERIFY_AND_SAVE:
        device.pipeline.save(verified)
    elif action == _SetRequest.VERIFY_AND_COMMIT:
        device.pipeline.commit(verified)
    elif not device.pipeline.recookie(verified.config):
        device.pipeline.reconcile(verified)


def _parse(message_type: type[_M], data: bytes) -> _M:
    try:
        return message_type.FromString(data)
    except DecodeError:
        raise invalid(f"the request is not a {message_type.DESCRIPTOR.full_name}") from None


def _role(request: p4r.WriteRequest | _SetRequest) -> str:
    if request.role_id:
        raise invalid("numeric role ids are deprecated: give the role a name")
    return request.role


def _entity(element: bytes) -> p4r.Entity:
    return p4r.ReadResponse.FromString(element).entities[0]
