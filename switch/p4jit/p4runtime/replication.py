# SPDX-License-Identifier: Apache-2.0
"""Multicast groups and clone sessions (P4Runtime 1.4.1, "PacketReplicationEngineEntry")."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from finsy.proto import p4r

from p4jit.p4runtime.bytestrings import PORT_WIDTH, decode_port
from p4jit.p4runtime.operations import DELETE, INSERT, Operation, Undo
from p4jit.p4runtime.status import exists, invalid, not_found, out_of_range
from p4jit.p4runtime.wire import ENTITY_REPLICATION, entity
from p4jit.target.interface import DeviceInterface, Replica

#: standard_metadata.mcast_grp and egress_rid are 16 bits; clone sessions are kept to as many.
_MAX_ID = 0xFFFF
_MAX_INSTANCE = 0xFFFF
#: Class of service is the queue: there are 8.
_CLASSES = 8


class ReplicationStore:
    def __init__(self, device: DeviceInterface) -> None:
        self._device = device
        #: Serialized MulticastGroupEntry and CloneSessionEntry by id.
        self._multicast: dict[int, bytes] = {}
        self._clones: dict[int, bytes] = {}

    def decode(self, kind: int, entry: p4r.PacketReplicationEngineEntry) -> Operation:
        """Raises P4Error."""
        which = entry.WhichOneof("type")
        if which == "multicast_group_entry":
            return self._decode_multicast(kind, entry.multicast_group_entry)
        if which == "clone_session_entry":
            return self._decode_clone(kind, entry.clone_session_entry)
        raise invalid("packet_replication_engine_entry: neither a multicast group nor a clone session")

    def read(self, entry: p4r.PacketReplicationEngineEntry) -> list[bytes]:
        """Elements of ReadResponse.entities. Raises P4Error."""
        which = entry.WhichOneof("type")
        if which == "multicast_group_entry":
            wanted = entry.multicast_group_entry.multicast_group_id
            return [_multicast_entity(w) for i, w in self._multicast.items() if wanted in (0, i)]
        if which == "clone_session_entry":
            wanted = entry.clone_session_entry.session_id
            return [_clone_entity(w) for i, w in self._clones.items() if wanted in (0, i)]
        raise invalid("packet_replication_engine_entry: neither a multicast group nor a clone session")

    def entries(self) -> Iterable[p4r.PacketReplicationEngineEntry]:
        for wire in self._multicast.values():
            yield p4r.PacketReplicationEngineEntry(
                multicast_group_entry=p4r.MulticastGroupEntry.FromString(wire)
            )
        for wire in self._clones.values():
            yield p4r.PacketReplicationEngineEntry(clone_session_entry=p4r.CloneSessionEntry.FromString(wire))

    # ---- multicast groups ------------------------------------------------------------------------------

    def _decode_multicast(self, kind: int, entry: p4r.MulticastGroupEntry) -> Operation:
        group = _checked_id(entry.multicast_group_id, "multicast_group_id")
        if kind == DELETE:
            return partial(self._delete_multicast, group)
        replicas = self._replicas(entry.replicas)
        return partial(self._set_multicast, kind == INSERT, group, replicas, entry.SerializeToString())

    def _set_multicast(
        self, insert: bool, group: int, replicas: list[Replica], wire: bytes, undo: Undo
    ) -> None:
        old = self._multicast.get(group)
        _check_presence(insert, old, f"multicast group {group}")
        self._device.multicast_set(group, replicas)
        self._multicast[group] = wire
        if undo is not None:
            undo.append(partial(self._restore_multicast, group, old))

    def _delete_multicast(self, group: int, undo: Undo) -> None:
        old = self._multicast.get(group)
        _check_presence(False, old, f"multicast group {group}")
        self._device.multicast_delete(group)
        del self._multicast[group]
        if undo is not None:
            undo.append(partial(self._restore_multicast, group, old))

    def _restore_multicast(self, group: int, wire: bytes | None) -> None:
        if wire is None:
            self._delete_multicast(group, None)
            return
        replicas = self._replicas(p4r.MulticastGroupEntry.FromString(wire).replicas)
        self._device.multicast_set(group, replicas)
        self._multicast[group] = wire

    # ---- clone sessions --------------------------------------------------------------------------------

    def _decode_clone(self, kind: int, entry: p4r.CloneSessionEntry) -> Operation:
        session = _checked_id(entry.session_id, "session_id")
        if kind == DELETE:
            return partial(self._delete_clone, session)
        if entry.class_of_service >= _CLASSES:
            raise invalid(f"class_of_service {entry.class_of_service} is not in 0 to {_CLASSES - 1}")
        if entry.packet_length_bytes < 0:
            raise invalid("packet_length_bytes cannot be negative")
        self._replicas(entry.replicas)
        return partial(self._set_clone, kind == INSERT, session, entry)

    def _set_clone(self, insert: bool, session: int, entry: p4r.CloneSessionEntry, undo: Undo) -> None:
        old = self._clones.get(session)
        _check_presence(insert, old, f"clone session {session}")
        self._write_clone(session, entry)
        if undo is not None:
            undo.append(partial(self._restore_clone, session, old))

    def _write_clone(self, session: int, entry: p4r.CloneSessionEntry) -> None:
        replicas = self._replicas(entry.replicas)
        self._device.clone_set(session, replicas, entry.class_of_service, entry.packet_length_bytes)
        self._clones[session] = entry.SerializeToString()

    def _delete_clone(self, session: int, undo: Undo) -> None:
        old = self._clones.get(session)
        _check_presence(False, old, f"clone session {session}")
        self._device.clone_delete(session)
        del self._clones[session]
        if undo is not None:
            undo.append(partial(self._restore_clone, session, old))

    def _restore_clone(self, session: int, wire: bytes | None) -> None:
        if wire is None:
            self._delete_clone(session, None)
        else:
            self._write_clone(session, p4r.CloneSessionEntry.FromString(wire))

    # ---- replicas --------------------------------------------------------------------------------------

    def _replicas(self, replicas: Iterable[p4r.Replica]) -> list[Replica]:
        result = []
        seen: set[tuple[int, int]] = set()
        for replica in replicas:
            port = self._port(replica)
            backups = [
                (decode_port(backup.port, self._device.cpu_port), backup.instance)
                for backup in replica.backup_replicas
            ]
            pairs = [(port, replica.instance), *backups]
            if port in (backup for backup, _ in backups):
                raise invalid(f"port {port} is its own backup")
            for pair in pairs:
                if pair[1] > _MAX_INSTANCE:
                    raise invalid(f"instance {pair[1]} is above {_MAX_INSTANCE}")
                if pair in seen:
                    raise invalid(f"port {pair[0]}, instance {pair[1]} is there twice")
                seen.add(pair)
            result.append(Replica(port, replica.instance, tuple(backups)))
        return result

    def _port(self, replica: p4r.Replica) -> int:
        kind = replica.WhichOneof("port_kind")
        if kind == "port":
            return decode_port(replica.port, self._device.cpu_port)
        if kind is None:
            raise invalid("a replica needs a port")
        if replica.egress_port >> PORT_WIDTH:
            raise invalid(f"port {replica.egress_port} is not a port of this device")
        return replica.egress_port


def _checked_id(number: int, name: str) -> int:
    if number == 0:
        raise invalid(f"{name} must be set")
    if number > _MAX_ID:
        raise out_of_range(f"{name} {number} is above {_MAX_ID}")
    return number


def _check_presence(insert: bool, old: bytes | None, what: str) -> None:
    if insert and old is not None:
        raise exists(f"{what} already exists")
    if not insert and old is None:
        raise not_found(f"{what} does not exist")


def _multicast_entity(wire: bytes) -> bytes:
    entry = p4r.PacketReplicationEngineEntry(multicast_group_entry=p4r.MulticastGroupEntry.FromString(wire))
    return entity(ENTITY_REPLICATION, entry.SerializeToString())


def _clone_entity(wire: bytes) -> bytes:
    entry = p4r.PacketReplicationEngineEntry(clone_session_entry=p4r.CloneSessionEntry.FromString(wire))
    return entity(ENTITY_REPLICATION, entry.SerializeToString())
