# SPDX-License-Identifier: Apache-2.0
"""Which controller is primary, for each role of one device (P4Runtime 1.4.1, "Client Arbitration and
Controller Replication")."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

import grpc
from finsy.proto import p4r
from google.protobuf.any_pb2 import Any

from p4jit.p4runtime.roles import RoleConfig, parse_role_config
from p4jit.p4runtime.status import denied, exhausted, invalid, not_found, precondition

#: Streams of one role; each costs the server two threads.
MAX_CLIENTS = 16
_U64 = (1 << 64) - 1


class Client(Protocol):
    """A controller's stream, as far as arbitration goes."""

    def notify(self, update: p4r.MasterArbitrationUpdate) -> None:
        """Send this; never blocks, never raises."""


@dataclass(eq=False, slots=True)
class _Role:
    name: str
    #: Live clients, with their election ids; None is a backup by its own wish.
    clients: dict[Client, int | None] = field(default_factory=dict)
    #: Greatest election id ever seen.
    highest: int | None = None
    #: The client that may write; None also while a new primary waits for the writes of the last one.
    primary: Client | None = None
    #: What the last primary said.
    config_message: Any | None = None
    config: RoleConfig | None = None


class Arbiter:
    """The controllers of one device. Safe to call from any thread.

    ``drain`` returns once no write is under way; it is called when a primary has been stopped.
    """

    def __init__(self, device_id: int, drain: Callable[[], None]) -> None:
        self._device_id = device_id
        self._drain = drain
        # One arbitration at a time; readers of the result do not wait for it.
        self._lock = threading.Lock()
        # The default role is always there.
        self._roles: dict[str, _Role] = {"": _Role("")}
        self._role_of: dict[Client, _Role] = {}

    # ---- streams ---------------------------------------------------------------------------------------

    def update(self, client: Client, update: p4r.MasterArbitrationUpdate) -> None:
        """A client says who it is. Raises P4Error, with which its stream ends."""
        if update.role.id:
            raise invalid("numeric role ids are deprecated: give the role a name")
        name = update.role.name
        config_message = config = None
        if update.role.HasField("config"):
            if not name:
                raise invalid("the default role takes no configuration")
            config_message = Any.FromString(update.role.config.SerializeToString())
            config = parse_role_config(config_message)
        election_id = None
        if update.HasField("election_id"):
            election_id = update.election_id.high << 64 | update.election_id.low
        with self._lock:
            self._check(client, update.device_id, name, election_id, config)
            role = self._roles.setdefault(name, _Role(name))
            was_primary = role.primary is client
            role.clients[client] = election_id
            self._role_of[client] = role
            if election_id is not None and (role.highest is None or election_id >= role.highest):
                self._promote(role, client, election_id, config_message, config)
            elif was_primary:
                role.primary = None
                self._notify(role, role.clients)
            else:
                self._notify(role, (client,))

    def _check(
        self, client: Client, device_id: int, name: str, election_id: int | None, config: RoleConfig | None
    ) -> None:
        current = self._role_of.get(client)
        if current is None:
            if device_id != self._device_id:
                raise not_found(f"device {device_id} is not here")
        elif device_id != self._device_id:
            raise precondition(f"the stream is for device {self._device_id}, not {device_id}")
        elif name != current.name:
            raise precondition(f"the stream is for role {current.name!r}, not {name!r}")
        role = self._roles.get(name)
        clients = role.clients if role is not None else {}
        if election_id is not None:
            for other, used in clients.items():
                if other is not client and used == election_id:
                    raise invalid(f"election id {election_id} is in use by another controller")
        if config is not None:
            for other_role in self._roles.values():
                if other_role.name != name and other_role.config is not None:
                    shared = config.exclusive & other_role.config.exclusive
                    if shared:
                        raise invalid(f"role {other_role.name!r} already has {min(shared):#x} to itself")
        if current is None and len(clients) >= MAX_CLIENTS:
            raise exhausted(f"role {name!r} already has {MAX_CLIENTS} streams")

    def _promote(
        self,
        role: _Role,
        client: Client,
        election_id: int,
        config_message: Any | None,
        config: RoleConfig | None,
    ) -> None:
        had_primary = role.primary is not None
        role.primary = None
        role.highest = election_id
        role.config_message, role.config = config_message, config
        if had_primary:
            others = [c for c in role.clients if c is not client]
            self._notify(role, others, primary=client)
        self._drain()
        role.primary = client
        self._notify(role, (client,) if had_primary else role.clients)

    def disconnect(self, client: Client) -> None:
        """The client's stream has ended."""
        with self._lock:
            role = self._role_of.pop(client, None)
            if role is None:
                return
            del role.clients[client]
            if role.primary is client:
                role.primary = None
                self._notify(role, role.clients)

    def _notify(self, role: _Role, clients: Iterable[Client], primary: Client | None = None) -> None:
        """``primary`` is the one about to be, when it is not there yet."""
        primary = primary or role.primary
        for client in list(clients):
            code = grpc.StatusCode.NOT_FOUND
            message = "there is no primary"
            if client is primary:
                code, message = grpc.StatusCode.OK, "you are primary"
            elif primary is not None:
                code, message = grpc.StatusCode.ALREADY_EXISTS, "you are backup"
            answer = p4r.MasterArbitrationUpdate(device_id=self._device_id)
            if role.name:
                answer.role.name = role.name
                if role.config_message is not None:
                    answer.role.config.CopyFrom(role.config_message)
            if role.highest is not None:
                answer.election_id.high = role.highest >> 64
                answer.election_id.low = role.highest & _U64
            answer.status.code = code.value[0]
            answer.status.message = message
            client.notify(answer)

    # ---- requests --------------------------------------------------------------------------------------

    def check_primary(self, role_name: str, election_id: p4r.Uint128 | None) -> None:
        """That a request is its role's primary's. Raises P4Error (NOT_FOUND, PERMISSION_DENIED)."""
        role = self._roles.get(role_name)
        if role is None:
            raise not_found(f"role {role_name!r} is not known: no controller has come forward for it")
        if election_id is None:
            raise denied("only the primary may do this: the request has no election_id")
        primary = role.primary
        number = election_id.high << 64 | election_id.low
        if primary is None or role.clients.get(primary) != number:
            raise denied(f"election id {number} is not the primary's")

    def role_config(self, role_name: str) -> RoleConfig | None:
        """None for a role that may do everything."""
        role = self._roles.get(role_name)
        return None if role is None else role.config

    def foreign_configs(self, role_name: str) -> list[RoleConfig]:
        """Configurations of the other roles."""
        roles = list(self._roles.values())
        return [r.config for r in roles if r.name != role_name and r.config is not None]

    def primaries(self) -> list[tuple[Client, RoleConfig | None]]:
        """The primary of each role that has one."""
        roles = list(self._roles.values())
        return [(r.primary, r.config) for r in roles if r.primary is not None]

    def is_primary(self, client: Client) -> bool:
        role = self._role_of.get(client)
        return role is not None and role.primary is client
