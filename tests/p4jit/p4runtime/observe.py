# SPDX-License-Identifier: Apache-2.0
"""What a device holds and does, asked of the fake and of the real one alike.

The real device is asked by `DeviceInterface` and by packets. The fake processes none: where only packets
tell, it is looked into.
"""

from __future__ import annotations

from typing import Any

from p4jit.frontend import ir
from p4jit.target.interface import (
    ACTION_GROUP,
    ACTION_MEMBER,
    CounterValue,
    Digest,
    FullError,
    MeterRates,
    NotFoundError,
    PacketIn,
)

from tests.p4jit.p4runtime.client import Client
from tests.p4jit.p4runtime.fake_device import PORT_NUMBERS, FakeDevice
from tests.p4jit.p4runtime.names import Names
from tests.p4jit.p4runtime.real_device import RealDevice

AnyDevice = FakeDevice | RealDevice

#: A clone session that nobody sets: what is mirrored to it goes on as it was.
NO_SESSION = 0xFFF


def frame(dst: int = 1, src: int = 2, kind: int = 0x9999, rest: bytes = b"payload") -> bytes:
    return dst.to_bytes(6, "big") + src.to_bytes(6, "big") + kind.to_bytes(2, "big") + rest


def ipv4(dst: int, src: int = 0, mac: int = 1) -> bytes:
    """A frame that the program parses to its end."""
    rest = src.to_bytes(4, "big") + dst.to_bytes(4, "big") + bytes(19)
    return frame(dst=mac, kind=0x0800, rest=rest)


def let_through(client: Client, names: Names) -> None:
    """Have the last table, whose program's default is to drop, leave packets as those before it decided."""
    action = names.action("mirror", NO_SESSION)
    client.modify(table_entry=names.entry("l2", {}, action, is_default_action=True))


# ---- by name ----------------------------------------------------------------------------------------------


def index_of(device: AnyDevice, kind: str, name: str) -> int:
    """``kind``: the list of the intermediate form, as "tables"."""
    assert device.program is not None
    found: int = next(item.index for item in getattr(device.program.ir, kind) if item.name == f"I.{name}")
    return found


def counters(device: AnyDevice, name: str, size: int) -> list[CounterValue]:
    return device.counter_read(index_of(device, "counters", name), 0, size)


def meters(device: AnyDevice, name: str, size: int) -> list[MeterRates | None]:
    index = index_of(device, "meters", name)
    return [device.meter_read(index, cell) for cell in range(size)]


def registers(device: AnyDevice, name: str, size: int) -> list[int]:
    return device.register_read(index_of(device, "registers", name), 0, size)


def entry_count(device: AnyDevice, name: str, largest: int = 200) -> int:
    """Entries whose handles are below ``largest``: devices give out small ones first."""
    return _entry_count(device, index_of(device, "tables", name), largest)


def _entry_count(device: AnyDevice, table: int, largest: int) -> int:
    count = 0
    for handle in range(largest):
        try:
            device.entry_counter(table, handle)
        except NotFoundError:
            continue
        count += 1
    return count


def room(device: AnyDevice, profile: str) -> int:
    """How many more members the action profile takes. Groups keep their members: one that is left behind
    shows as well."""
    return _room(device, index_of(device, "profiles", profile))


def _room(device: AnyDevice, profile: int) -> int:
    assert device.program is not None
    action = next(a for a in device.program.ir.actions if a.name == "I.forward").index
    data = device.program.layout.actions[action].encode([0])
    added = []
    try:
        while True:
            added.append(device.member_add(profile, action, data))
    except FullError:
        return len(added)
    finally:
        for handle in added:
            device.member_delete(profile, handle)


# ---- packets ----------------------------------------------------------------------------------------------


def sent(device: RealDevice, *frames: bytes, port: int = 0) -> list[tuple[int, bytes]]:
    """What leaves, by port, for frames that arrive: injecting one ends when all that it causes is done."""
    device.take_outputs()
    for data in frames:
        device.inject(port, data)
    return [(output.port, output.data) for output in device.take_outputs()]


def ports_of(device: AnyDevice, table: str, *frames: bytes) -> list[int]:
    """The ports by which frames leave that no table but this one decides about, each once.

    Of the fake: the ports that the table's entries name; without an entry, its default entry."""
    if isinstance(device, RealDevice):
        return sorted({port for port, _ in sent(device, *frames)})
    staged = device.tables[index_of(device, "tables", table)]
    ports: set[int] = set()
    for entry in staged.entries.values() or [staged.default]:
        ports.update(_ports(device, staged.profile, entry.action, entry.data))
    return sorted(ports)


def _ports(device: FakeDevice, profile: int | None, action: int, data: bytes) -> set[int]:
    if action == -1:  # the default entry as the program has it
        return set()
    if action in (ACTION_MEMBER, ACTION_GROUP):
        assert profile is not None
        held = device.profiles[profile]
        number = int.from_bytes(data, "little")
        handles = [m.member for m in held.groups[number]] if action == ACTION_GROUP else [number]
        return {port for handle in handles for port in _ports(device, profile, *held.members[handle])}
    assert device.program is not None
    called = device.program.ir.actions[action]
    arguments = device.program.layout.actions[action].decode(data)
    return {value for p, value in zip(called.params, arguments, strict=True) if p.name == "port"}


def replicas_of(device: AnyDevice, group: int, client: Client, names: Names) -> list[int]:
    """The ports that a multicast group reaches: those of the device itself, the CPU port is none."""
    if isinstance(device, FakeDevice):
        copies = ((r.port, *(port for port, _ in r.backups)) for r in device.multicast[group])
        chosen = (next((port for port in ports if port in PORT_NUMBERS), None) for ports in copies)
        return sorted(port for port in chosen if port is not None)
    flood = names.action("flood", group)
    client.modify(table_entry=names.entry("l2", {}, flood, is_default_action=True))
    return sorted(port for port, _ in sent(device, frame()))


def clones_of(device: AnyDevice, session: int, client: Client, names: Names) -> list[tuple[int, int]]:
    """The ports of a clone session, and what they are sent of a frame of 100 bytes."""
    if isinstance(device, FakeDevice):
        replicas, _, length = device.clones[session]
        return sorted((r.port, min(length, 100) or 100) for r in replicas)
    mirror = names.action("mirror", session)
    client.modify(table_entry=names.entry("l2", {}, mirror, is_default_action=True))
    # The original leaves by port 0: nobody decides about it.
    found = sorted((port, len(data)) for port, data in sent(device, frame(rest=bytes(86))))
    found.remove((0, 100))
    return found


def frames_out(device: AnyDevice) -> list[tuple[int, bytes]]:
    """Frames that have left since this was last asked; of the fake, all that the controller has sent out, by
    the port in their header."""
    if isinstance(device, RealDevice):
        return [(output.port, output.data) for output in device.take_outputs()]
    return [(int.from_bytes(data[:2], "big") >> 7, data[2:]) for _, data in device.injected]


def to_controller(device: AnyDevice, port: int, data: bytes) -> None:
    """A frame arrives that the program, whose default in l2 is to_cpu, sends to the controller."""
    if isinstance(device, RealDevice):
        device.inject(port, data)
    else:
        reason = 5
        device.events.put(PacketIn((port << 7 | reason).to_bytes(2, "big") + data))


def learn(device: AnyDevice, mac: int, port: int) -> None:
    """A frame arrives that the program, whose default in l2 is to learn, sends a digest for."""
    if isinstance(device, RealDevice):
        device.inject(port, frame(src=mac))
    else:
        device.events.put(Digest(1, mac.to_bytes(6, "big") + port.to_bytes(2, "big")))


# ---- all of it --------------------------------------------------------------------------------------------


def device_state(device: AnyDevice) -> Any:
    """What the device holds, whatever handles it gave; of the real one, as far as its interface tells."""
    if isinstance(device, FakeDevice):
        return _everything(device)
    assert device.program is not None
    program = device.program.ir
    return (
        [_entry_count(device, table.index, 40) for table in program.tables],
        [_room(device, profile.index) for profile in program.profiles],
        [device.counter_read(c.index, 0, c.size) for c in program.counters],
        [[device.meter_read(m.index, cell) for cell in range(m.size)] for m in program.meters],
        [device.register_read(r.index, 0, r.size) for r in program.registers],
    )


def _everything(device: FakeDevice) -> Any:
    def member(profile: Any, handle: int) -> Any:
        return profile.members[handle]

    def group(profile: Any, handle: int) -> Any:
        return tuple((member(profile, m.member), m.weight, m.watch_port) for m in profile.groups[handle])

    tables = []
    for table in device.tables:
        entries = {}
        for entry in table.entries.values():
            data: Any = entry.data
            if table.profile is not None and entry.action in (ACTION_MEMBER, ACTION_GROUP):
                find = member if entry.action == ACTION_MEMBER else group
                data = find(device.profiles[table.profile], int.from_bytes(entry.data, "little"))
            entries[entry.key] = (entry.action, data, entry.timeout, entry.counter, entry.meter)
        tables.append((entries, table.default))
    profiles = [
        (
            sorted(map(repr, p.members.values())),
            sorted(repr(group(p, handle)) for handle in p.groups),
        )
        for p in device.profiles
    ]
    return (
        repr(tables),
        profiles,
        repr(device.counters),
        repr(device.meters),
        repr(device.registers),
        repr(device.value_sets),
        sorted(device.multicast.items()),
        sorted(device.clones.items()),
    )


def behaviour(device: AnyDevice) -> list[list[tuple[int, bytes]]]:
    """What leaves for each of a set of frames that between them meet the entries, members, groups, multicast
    groups and clone sessions with the ids 0 to 2. Counters count them. The fake does nothing."""
    if isinstance(device, FakeDevice):
        return []
    assert device.program is not None
    layout, index = device.program.layout, index_of(device, "tables", "l2")
    actions = {action.name: action.index for action in device.program.ir.tables[index].actions}
    probes = [("flood", 1), ("flood", 2), ("mirror", 1), ("mirror", 2), ("mirror", NO_SESSION)]
    handles = []
    for mac, (action, argument) in enumerate(probes, start=90):
        key = layout.tables[index].encode([ir.MatchValue(mac)])
        number = actions[f"I.{action}"]
        data = layout.actions[number].encode([argument])
        handles.append(device.table_insert(index, key.key, key.mask, key.prefix_length, 0, number, data))
    through = 94
    frames = [frame(dst=mac) for mac in (0, 1, 2, 90, 91, 92, 93, through)]
    frames += [frame(dst=through, kind=kind, rest=bytes(27)) for kind in (0x0800, 0x0801, 0x0802)]
    # Of the flows to one address all together: which member of a group takes which flow is the device's own
    # affair, and depends on the handles it gives.
    flows = [
        [ipv4(dst, src, mac=through) for src in range(64)]
        for dst in (0x00000001, 0x00800001, 0x20000001, 0x40000001)
    ]
    try:
        alone = [sorted(sent(device, data)) for data in frames]
        return alone + [sorted({(port, b"") for port, _ in sent(device, *each)}) for each in flows]
    finally:
        for handle in handles:
            device.table_delete(index, handle)
