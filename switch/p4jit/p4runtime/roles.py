# SPDX-License-Identifier: Apache-2.0
"""What a controller's role may do.

P4Runtime leaves role configurations to an agreement between client and server. Ours is Stratum's
`P4RoleConfig`: the P4 objects a role owns or shares, whether it gets packet-ins (and which), and whether it
may push a pipeline. A role without a configuration may do everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from finsy.proto import p4r, stratum
from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError

from p4jit.p4runtime.status import denied, invalid


@dataclass(frozen=True, slots=True)
class RoleConfig:
    exclusive: frozenset[int]
    shared: frozenset[int]
    #: Metadata id and canonical value that a packet-in must carry; None for all.
    packet_filter: tuple[int, bytes] | None
    packet_ins: bool
    push_pipeline: bool

    def owns(self, object_id: int) -> bool:
        return object_id in self.exclusive or object_id in self.shared

    def wants_packet(self, metadata: Sequence[p4r.PacketMetadata]) -> bool:
        if not self.packet_ins:
            return False
        if self.packet_filter is None:
            return True
        return any((m.metadata_id, m.value) == self.packet_filter for m in metadata)


def parse_role_config(config: Any) -> RoleConfig:
    """Raises P4Error (INVALID_ARGUMENT)."""
    message = stratum.P4RoleConfig()
    if not config.Is(message.DESCRIPTOR):
        raise invalid(f"role.config is a {config.type_url!r}, not a {message.DESCRIPTOR.full_name}")
    try:
        config.Unpack(message)
    except DecodeError:
        raise invalid(f"role.config is not a valid {message.DESCRIPTOR.full_name}") from None
    packet_filter = None
    if message.HasField("packet_in_filter"):
        packet_filter = (message.packet_in_filter.metadata_id, message.packet_in_filter.value)
    return RoleConfig(
        exclusive=frozenset(message.exclusive_p4_ids),
        shared=frozenset(message.shared_p4_ids),
        packet_filter=packet_filter,
        packet_ins=message.receives_packet_ins,
        push_pipeline=message.can_push_pipeline,
    )


def object_id(entity: p4r.Entity) -> int | None:
    """The P4Info id that an entity is about. None for those that have none: the packet replication engine."""
    which = entity.WhichOneof("entity")
    if which == "table_entry":
        return entity.table_entry.table_id
    if which in ("action_profile_member", "action_profile_group"):
        profile = entity.action_profile_member if which.endswith("member") else entity.action_profile_group
        return profile.action_profile_id
    if which == "direct_counter_entry":
        return entity.direct_counter_entry.table_entry.table_id
    if which == "direct_meter_entry":
        return entity.direct_meter_entry.table_entry.table_id
    if which == "counter_entry":
        return entity.counter_entry.counter_id
    if which == "meter_entry":
        return entity.meter_entry.meter_id
    if which == "register_entry":
        return entity.register_entry.register_id
    if which == "value_set_entry":
        return entity.value_set_entry.value_set_id
    if which == "digest_entry":
        return entity.digest_entry.digest_id
    return None


def may_see(config: RoleConfig, entity: p4r.Entity) -> bool:
    """Whether an entity is the role's to read."""
    wanted = object_id(entity)
    return wanted is None or config.owns(wanted)


def check_write(config: RoleConfig | None, foreign: Iterable[RoleConfig], entity: p4r.Entity) -> None:
    """``foreign`` are the configurations of other roles, whose exclusive objects nobody else writes.
    Raises P4Error (PERMISSION_DENIED)."""
    wanted = object_id(entity)
    if config is not None and wanted is not None and not config.owns(wanted):
        raise denied(f"the role may not write object {wanted:#x}")
    if any(wanted in other.exclusive for other in foreign):
        raise denied(f"object {wanted:#x} belongs to another role")
