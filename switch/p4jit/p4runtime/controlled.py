# SPDX-License-Identifier: Apache-2.0
"""One device under control: its pipelines, its controllers, and the thread that brings them its events."""

from __future__ import annotations

import logging
import threading
import time

from finsy.proto import p4r
from google.protobuf.any_pb2 import Any
from google.protobuf.struct_pb2 import Struct

from p4jit.p4runtime.arbitration import Arbiter
from p4jit.p4runtime.digests import DigestLists
from p4jit.p4runtime.packet_io import ControllerHeader
from p4jit.p4runtime.pipeline import Installed, Pipeline
from p4jit.p4runtime.state import ForwardingState
from p4jit.p4runtime.status import P4Error, as_p4_error, denied, invalid, precondition
from p4jit.p4runtime.stream import Stream, digest_ack_error, other_error, packet_out_error
from p4jit.target.interface import (
    DeviceInterface,
    Digest,
    Event,
    IdleTimeout,
    LogRecord,
    PacketIn,
    PortChange,
)

_log = logging.getLogger(__name__)

#: How long the event thread sleeps at most, in seconds: also how soon it notices that it must stop.
_POLL_SECONDS = 0.1


class ControlledDevice:
    """``lock`` guards the pipeline, its entities and the digest lists."""

    def __init__(self, device: DeviceInterface) -> None:
        self.device = device
        self.lock = threading.RLock()
        self.pipeline = Pipeline(device)
        self.arbiter = Arbiter(device.device_id, self._drain)
        self._headers: tuple[Installed | None, ControllerHeader, ControllerHeader] = (
            None,
            ControllerHeader(()),
            ControllerHeader(()),
        )
        self._digests = DigestLists({})
        self._digests_of: Installed | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def _drain(self) -> None:
        with self.lock:
            # A write holds the lock from its check of who is primary to its end.
            self._digests.clear()

    def start(self) -> None:
        name = f"p4runtime-events-{self.device.device_id}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()

    def join(self) -> None:
        """After `stop`: wait until no event is under way."""
        if self._thread is not None:
            self._thread.join()

    # ---- from the controllers --------------------------------------------------------------------------

    def handle(self, stream: Stream, message: p4r.StreamMessageRequest) -> None:
        """One message of a stream that has been through arbitration. Raises P4Error to end the stream."""
        which = message.WhichOneof("update")
        if which == "arbitration":
            self.arbiter.update(stream, message.arbitration)
        elif which == "packet":
            try:
                self._packet_out(stream, message.packet)
            except Exception as error:
                stream.send(packet_out_error(as_p4_error(error, "sending a packet"), message.packet))
        elif which == "digest_ack":
            try:
                self._acknowledge(stream, message.digest_ack)
            except P4Error as error:
                stream.send(digest_ack_error(error, message.digest_ack))
        else:
            stream.send(other_error(invalid(f"stream message {which or 'unset'} is not supported"), message))

    def _packet_out(self, stream: Stream, packet: p4r.PacketOut) -> None:
        if not self.arbiter.is_primary(stream):
            raise denied("only the primary sends packets")
        running = self.pipeline.running
        if running is None:
            raise precondition("no pipeline is set")
        cpu_port = self.device.cpu_port
        if cpu_port is None:
            raise precondition("the device has no CPU port: start it with one (--cpu-port)")
        header = self._packet_headers(running)[1].encode(packet.metadata)
        self.device.inject(cpu_port, header + packet.payload)

    def _acknowledge(self, stream: Stream, ack: p4r.DigestListAck) -> None:
        if not self.arbiter.is_primary(stream):
            raise denied("only the primary acknowledges digests")
        running = self.pipeline.running
        if running is None or ack.digest_id not in running.state.schema.digests:
            raise invalid(f"the P4Info has no digest with id {ack.digest_id:#x}")
        with self.lock:
            self._digests.acknowledge(ack.digest_id, ack.list_id)

    def _packet_headers(self, running: Installed) -> tuple[ControllerHeader, ControllerHeader]:
        """packet_in and packet_out of the pipeline that runs."""
        of, packet_in, packet_out = self._headers
        if of is not running:
            schema = running.state.schema
            packet_in, packet_out = ControllerHeader(schema.packet_in), ControllerHeader(schema.packet_out)
            self._headers = (running, packet_in, packet_out)
        return packet_in, packet_out

    # ---- from the device -------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                events = self.device.poll_events(self._patience())
                now = time.monotonic_ns()
                self._dispatch(events, now)
            except Exception:
                _log.exception("device %d: an event was lost", self.device.device_id)

    def _patience(self) -> float:
        with self.lock:
            deadline = self._digests.deadline(self._digest_configs())
        if deadline is None:
            return _POLL_SECONDS
        return min(_POLL_SECONDS, max(0.0, (deadline - time.monotonic_ns()) / 1e9))

    def _dispatch(self, events: list[Event], now: int) -> None:
        idle: list[IdleTimeout] = []
        for event in events:
            if isinstance(event, PacketIn):
                self._packet_in(event)
            elif isinstance(event, Digest):
                self._digest(event, now)
            elif isinstance(event, IdleTimeout):
                idle.append(event)
            elif isinstance(event, PortChange):
                self._port_change(event)
            elif isinstance(event, LogRecord):
                level = logging.ERROR if event.error else logging.INFO
                _log.log(level, "device %d: %s", self.device.device_id, event.text)
        if idle:
            self._idle_timeouts(idle)
        with self.lock:
            due = list(self._digests.due(self._digest_configs(), now))
        for digest_list in due:
            self._send_digest(digest_list)

    def _packet_in(self, event: PacketIn) -> None:
        running = self.pipeline.running
        if running is None:
            return
        decoded = self._packet_headers(running)[0].decode(event.data)
        if decoded is None:
            _log.warning("device %d: a packet-in is shorter than its header", self.device.device_id)
            return
        metadata, payload = decoded
        message = p4r.StreamMessageResponse(packet=p4r.PacketIn(payload=payload, metadata=metadata))
        for client, config in self.arbiter.primaries():
            if config is None or config.wants_packet(metadata):
                _stream(client).send(message)

    def _state(self) -> ForwardingState | None:
        running = self.pipeline.running
        return None if running is None else running.state

    def _digest_configs(self) -> dict[int, p4r.DigestEntry.Config]:
        state = self._state()
        if state is None:
            return {}
        return {entry.digest_id: entry.config for entry in state.digests.entries()}

    def _digest(self, event: Digest, now: int) -> None:
        with self.lock:
            running = self.pipeline.running
            if running is None:
                return
            if self._digests_of is not running:
                self._digests = DigestLists(running.state.schema.digests)
                self._digests_of = running
            schema = running.state.schema.digests_by_list.get(event.list)
            # A message of the program before this one may still come.
            if schema is None or len(event.data) != schema.size:
                return
            config = running.state.digests.config(schema.id)
            if config is None:
                return
            complete = self._digests.add(schema.id, event.data, config, now)
        if complete is not None:
            self._send_digest(complete)

    def _send_digest(self, digest_list: p4r.DigestList) -> None:
        digest_list.timestamp = time.time_ns()
        self._send_to_owners(p4r.StreamMessageResponse(digest=digest_list), digest_list.digest_id)

    def _idle_timeouts(self, events: list[IdleTimeout]) -> None:
        notifications: dict[int, p4r.IdleTimeoutNotification] = {}
        with self.lock:
            state = self._state()
            if state is None:
                return
            for event in events:
                table = state.schema.tables_by_index.get(event.table)
                entry = None if table is None else state.tables[table.id].expire(event.handle)
                if table is not None and entry is not None:
                    notification = notifications.setdefault(table.id, p4r.IdleTimeoutNotification())
                    notification.table_entry.append(entry)
        for table_id, notification in notifications.items():
            notification.timestamp = time.time_ns()
            message = p4r.StreamMessageResponse(idle_timeout_notification=notification)
            self._send_to_owners(message, table_id)

    def _send_to_owners(self, message: p4r.StreamMessageResponse, object_id: int) -> None:
        for client, config in self.arbiter.primaries():
            if config is None or config.owns(object_id):
                _stream(client).send(message)

    def _port_change(self, event: PortChange) -> None:
        """P4Runtime has no message for it: a google.protobuf.Struct {"port": number, "up": bool}."""
        change = Struct()
        change.update({"port": event.port, "up": event.up})
        other = Any()
        other.Pack(change)
        for client, _ in self.arbiter.primaries():
            _stream(client).send(p4r.StreamMessageResponse(other=other))


def _stream(client: object) -> Stream:
    assert isinstance(client, Stream)
    return client
