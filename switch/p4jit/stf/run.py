# SPDX-License-Identifier: Apache-2.0
"""Runs an STF test and judges what comes out.

The rules are those of p4c's bmv2 runner: the switch has the ports that the test names in ``packet`` and
``expect``; on each, the frames that leave must be the expected ones, in order, no more and no fewer. Where
that runner ignores a command (``check_counter``, ``wait``, ``remove all``, ``no_packet``), it is carried out.
A packet is done with before the next command runs, and a ``wait`` lasts a second of the switch's clock.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from p4jit.frontend import ir
from p4jit.stf import commands, resolve
from p4jit.stf.diff import hex_rows, matches, packet_diff
from p4jit.stf.parse import parse
from p4jit.stf.resolve import StfError
from p4jit.stf.target import DeviceTarget, Target, VirtualDevice
from p4jit.target.build import CompiledProgram
from p4jit.target.interface import (
    CounterValue,
    DeviceError,
    MeterRates,
    Output,
    Replica,
)

WAIT_NS = 1_000_000_000

_Item = TypeVar("_Item")

_RELATIONS: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check. ``line`` is that of the command, None for a frame that no command speaks of."""

    line: int | None
    passed: bool
    #: What was checked; for a failure also what was seen, over several lines.
    text: str


@dataclass(slots=True)
class StfResult:
    outcomes: list[Outcome] = field(default_factory=list)
    #: What the ``…_read`` and ``…_get`` commands showed.
    log: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return all(outcome.passed for outcome in self.outcomes)

    @property
    def failures(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if not outcome.passed]

    def __str__(self) -> str:
        """Every failure in full, then one line that sums up."""
        parts = [*self.log]
        for outcome in self.failures:
            where = f"line {outcome.line}: " if outcome.line is not None else ""
            parts.append(f"FAIL {where}{outcome.text}")
        failed = len(self.failures)
        parts.append(f"{len(self.outcomes) - failed} checks passed, {failed} failed")
        return "\n".join(parts)


class Runner:
    """Runs commands one by one against a target, whose program is loaded and which has no ports yet."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._program = target.program
        self._tables = [*self._program.ingress.tables, *self._program.egress.tables]
        self._ports: set[int] = set()
        self._expected: dict[int, list[commands.Expect]] = {}
        self._received: dict[int, list[Output]] = {}
        self._since_packet: list[Output] = []
        #: All entries added, for ``remove all``, and those that were given a name.
        self._entries: list[tuple[ir.Table, int]] = []
        self._named: dict[str, tuple[ir.Table, int]] = {}
        self._members: dict[str, list[int]] = {}
        self._groups: dict[str, list[tuple[int, list[int]]]] = {}
        self._nodes: list[tuple[int, tuple[int, ...]]] = []
        self._multicast: dict[int, list[int]] = {}
        #: Mirroring sessions, and those among them that follow a multicast group.
        self._sessions: dict[int, str] = {}
        self._group_sessions: dict[int, int] = {}
        self._value_sets: dict[str, list[int]] = {}
        self.log: list[str] = []

    def run(self, test: list[commands.Command]) -> Iterator[Outcome]:
        """Yields the outcome of each check as it is made; those of ``expect`` come last, by port."""
        for command in test:
            if isinstance(command, commands.Packet | commands.Expect) and command.port not in self._ports:
                self._ports.add(command.port)
                self._target.port_add(command.port)
        for command in test:
            try:
                outcome = self._execute(command)
            except DeviceError as error:
                raise StfError(command.line, f"refused: {error}") from error
            if outcome is not None:
                yield outcome
        self._collect()
        for port in sorted(self._ports):
            yield from self._judge(port)

    # -- packets

    def _collect(self) -> None:
        for output in self._target.outputs():
            self._received.setdefault(output.port, []).append(output)
            self._since_packet.append(output)

    def _judge(self, port: int) -> Iterator[Outcome]:
        expected, received = self._expected.get(port, []), self._received.get(port, [])
        for i, expect in enumerate(expected):
            if i >= len(received):
                text = f"packet {i + 1} expected on port {port} did not come"
                if expect.pattern is not None:
                    text += f": {expect.pattern.digits}"
                yield Outcome(expect.line, False, text)
                continue
            text = f"packet {i + 1} on port {port}"
            if matches(expect.pattern, received[i].data):
                yield Outcome(expect.line, True, text)
            else:
                assert expect.pattern is not None
                yield Outcome(
                    expect.line, False, f"{text} differs\n{packet_diff(expect.pattern, received[i].data)}"
                )
        for i, output in enumerate(received[len(expected) :], len(expected) + 1):
            text = f"unexpected packet {i} on port {port}, {len(output.data)} bytes\n{hex_rows(output.data)}"
            yield Outcome(None, False, text)

    def _no_packet(self, command: commands.NoPacket) -> Outcome:
        self._collect()
        seen = self._since_packet
        if not seen:
            return Outcome(command.line, True, "no packet")
        shown = "\n".join(f"port {o.port}, {len(o.data)} bytes\n{hex_rows(o.data)}" for o in seen)
        return Outcome(command.line, False, f"no packet was to leave, {len(seen)} did\n{shown}")

    # -- commands

    def _execute(self, command: commands.Command) -> Outcome | None:
        target = self._target
        match command:
            case commands.Packet(port=port, data=data):
                self._collect()
                self._since_packet = []
                target.send(port, data)
            case commands.Expect(port=port):
                self._expected.setdefault(port, []).append(command)
            case commands.NoPacket():
                return self._no_packet(command)
            case commands.Wait():
                target.wait(WAIT_NS)
            case commands.Add():
                self._add(command)
            case commands.AddIndirect():
                self._add_indirect(command)
            case commands.SetDefault(line=line, table=name):
                table = resolve.find(self._tables, name, "table", line)
                target.set_default(table, self._call(table.actions, command.action, line))
            case commands.RemoveAll():
                for table, handle in self._entries:
                    target.delete(table, handle)
                self._entries.clear()
                self._named.clear()
            case commands.CheckCounter():
                return self._check_counter(command)
            case commands.CounterRead() | commands.CounterWrite():
                self._counter(command)
            case commands.RegisterRead() | commands.RegisterWrite() | commands.RegisterReset():
                self._register(command)
            case commands.MeterGetRates() | commands.MeterSetRates():
                self._meter(command)
            case commands.MemberCreate() | commands.GroupCreate() | commands.GroupAddMember():
                self._action_profile(command)
            case commands.ValueSetAdd(line=line, value_set=name, value=value):
                value_set = resolve.find(self._program.value_sets, name, "value set", line)
                if value >> value_set.width:
                    raise StfError(line, f"{value:#x} does not fit {value_set.width} bits")
                values = self._value_sets.setdefault(value_set.name, [])
                values.append(value)
                target.value_set(value_set, values)
            case _:
                self._replication(command)
        return None

    def _call(self, actions: list[ir.Action], text: commands.ActionText, line: int) -> ir.ActionCall:
        action = resolve.find(actions, text.name, "action", line)
        return ir.ActionCall(action, resolve.arguments(action, text, line))

    def _key(self, command: commands.Add | commands.AddIndirect) -> tuple[ir.Table, list[ir.MatchValue], int]:
        table = resolve.find(self._tables, command.table, "table", command.line)
        match = resolve.match_values(table, command.match, command.line)
        if table.kind not in (ir.MatchKind.TERNARY, ir.MatchKind.RANGE):
            return table, match, 0
        if command.priority is None:
            kind = table.kind.value
            raise StfError(command.line, f"entries of table {table.name}, which is {kind}, need a priority")
        return table, match, command.priority

    def _add(self, command: commands.Add) -> None:
        table, match, priority = self._key(command)
        call = self._call(table.actions, command.action, command.line)
        if table.profile is None:
            handle = self._target.insert(table, match, priority, call)
        else:
            member = self._target.member_add(table.profile, call)
            handle = self._target.insert_indirect(table, match, priority, member, group=False)
        self._remember(table, handle, command.handle)

    def _add_indirect(self, command: commands.AddIndirect) -> None:
        table, match, priority = self._key(command)
        if table.profile is None:
            raise StfError(command.line, f"table {table.name} has no action profile")
        name, number, line = table.profile.name, command.target, command.line
        if command.group:
            known = [group for group, _ in self._groups.get(name, [])]
            handle = _numbered(known, number, f"group of {name}", line)
        else:
            handle = _numbered(self._members.get(name, []), number, f"member of {name}", line)
        entry = self._target.insert_indirect(table, match, priority, handle, command.group)
        self._remember(table, entry, None)

    def _remember(self, table: ir.Table, handle: int, name: str | None) -> None:
        self._entries.append((table, handle))
        if name is not None:
            self._named[name] = (table, handle)

    def _action_profile(
        self, command: commands.MemberCreate | commands.GroupCreate | commands.GroupAddMember
    ) -> None:
        line = command.line
        profile = resolve.find(self._program.profiles, command.profile, "action profile", line)
        members = self._members.setdefault(profile.name, [])
        groups = self._groups.setdefault(profile.name, [])
        match command:
            case commands.MemberCreate(action=text):
                actions = {a.name: a for t in self._tables if t.profile is profile for a in t.actions}
                members.append(self._target.member_add(profile, self._call([*actions.values()], text, line)))
            case commands.GroupCreate():
                groups.append((self._target.group_add(profile), []))
            case commands.GroupAddMember(member=member, group=group):
                handle, of_group = _numbered(groups, group, f"group of {profile.name}", line)
                of_group.append(_numbered(members, member, f"member of {profile.name}", line))
                self._target.group_set(profile, handle, of_group)

    def _entry(self, name: str, line: int) -> tuple[ir.Table, int]:
        name = name.removeprefix("$")
        if name not in self._named:
            raise StfError(line, f"no entry was named {name!r}")
        return self._named[name]

    # -- externs

    def _check_counter(self, command: commands.CheckCounter) -> Outcome:
        self._collect()
        line, where = command.line, f"{command.counter}({command.index})"
        if isinstance(command.index, str):
            table, handle = self._entry(command.index, line)
            if not table.with_counters:
                raise StfError(line, f"table {table.name} has no direct counter")
            value = self._target.entry_counter(table, handle)
        else:
            counter = resolve.find(self._program.counters, command.counter, "counter", line)
            value = self._target.counter_read(counter, command.index)
        if command.unit is None:
            return Outcome(line, True, where)
        seen = value.packets if command.unit == "packets" else value.bytes
        passed = _RELATIONS[command.relation](seen, command.value)
        text = f"{where} {command.unit} {command.relation} {command.value}"
        return Outcome(line, passed, text if passed else f"{text}: it is {seen}")

    def _counter(self, command: commands.CounterRead | commands.CounterWrite) -> None:
        counter = resolve.find(self._program.counters, command.counter, "counter", command.line)
        if isinstance(command, commands.CounterWrite):
            value = CounterValue(command.packets, command.bytes)
            self._target.counter_write(counter, command.index, value)
        else:
            value = self._target.counter_read(counter, command.index)
            self.log.append(f"{counter.name}[{command.index}]: {value.packets} packets, {value.bytes} bytes")

    def _register(
        self, command: commands.RegisterRead | commands.RegisterWrite | commands.RegisterReset
    ) -> None:
        register = resolve.find(self._program.registers, command.register, "register", command.line)
        match command:
            case commands.RegisterWrite(index=index, value=value):
                if value >> register.width:
                    raise StfError(command.line, f"{value:#x} does not fit {register.width} bits")
                self._target.register_write(register, index, value)
            case commands.RegisterReset():
                for index in range(register.size):
                    self._target.register_write(register, index, 0)
            case commands.RegisterRead(index=index):
                self.log.append(f"{register.name}[{index}]: {self._target.register_read(register, index)}")

    def _meter(self, command: commands.MeterGetRates | commands.MeterSetRates) -> None:
        meter = resolve.find(self._program.meters, command.meter, "meter", command.line)
        index = command.index
        if (meter.table is not None) is not isinstance(index, str):
            wanted = "an entry's $handle" if meter.table is not None else "a cell"
            raise StfError(command.line, f"meter {meter.name} takes {wanted} as its index")
        if isinstance(command, commands.MeterGetRates):
            if isinstance(index, str):
                shown = self._target.entry_meter(*self._entry(index, command.line))
            else:
                assert index is not None
                shown = self._target.meter_read(meter, index)
            self.log.append(f"{meter.name}[{index}]: {shown}")
            return
        (cir, cburst), (pir, pburst) = command.rates
        rates = MeterRates(round(cir * 1e6), cburst, round(pir * 1e6), pburst)
        if isinstance(index, str):
            self._target.entry_set_meter(*self._entry(index, command.line), rates)
            return
        for cell in range(meter.size) if index is None else (index,):
            self._target.meter_write(meter, cell, rates)

    # -- packet replication

    def _replication(self, command: commands.Command) -> None:
        line = command.line
        match command:
            case commands.MirroringAdd(session=session, port=port):
                self._target.mirror(session, [Replica(port)])
                self._group_sessions.pop(session, None)
                self._sessions[session] = f"port {port}"
            case commands.MirroringAddGroup(session=session, group=group):
                self._group_sessions[session] = group
                self._sessions[session] = f"multicast group {group}"
                self._target.mirror(session, self._replicas(group))
            case commands.MirroringDelete(session=session):
                self._target.mirror_delete(session)
                self._group_sessions.pop(session, None)
                self._sessions.pop(session, None)
            case commands.MirroringGet(session=session):
                self.log.append(f"session {session}: {self._sessions.get(session, 'not set')}")
            case commands.MulticastGroupCreate(group=group):
                if group in self._multicast:
                    raise StfError(line, f"multicast group {group} exists already")
                self._multicast[group] = []
                self._target.multicast(group, [])
            case commands.MulticastNodeCreate(rid=rid, ports=ports):
                self._nodes.append((rid, ports))
            case commands.MulticastNodeUpdate(node=node, ports=ports):
                rid, _ = _numbered(self._nodes, node, "multicast node", line)
                self._nodes[node] = (rid, ports)
                self._replicate([g for g, nodes in self._multicast.items() if node in nodes])
            case commands.MulticastNodeAssociate(group=group, node=node):
                _numbered(self._nodes, node, "multicast node", line)
                if group not in self._multicast:
                    raise StfError(line, f"no multicast group {group}")
                self._multicast[group].append(node)
                self._replicate([group])
            case _:
                raise AssertionError(f"no rule for {command}")

    def _replicas(self, group: int) -> list[Replica]:
        nodes = (self._nodes[node] for node in self._multicast.get(group, []))
        return [Replica(port, rid) for rid, ports in nodes for port in ports]

    def _replicate(self, groups: list[int]) -> None:
        """Bring the device's groups, and the sessions that mirror to them, up to date."""
        for group in groups:
            self._target.multicast(group, self._replicas(group))
        for session, group in self._group_sessions.items():
            if group in groups:
                self._target.mirror(session, self._replicas(group))


def run_on(target: Target, text: str) -> StfResult:
    """Run the text of an STF test against a fresh target. Raises StfSyntaxError and StfError."""
    test = parse(text)
    runner = Runner(target)
    result = StfResult()
    result.outcomes.extend(runner.run(test))
    result.log = runner.log
    return result


def run_stf(device_factory: Callable[[], VirtualDevice], program: CompiledProgram, text: str) -> StfResult:
    """Run the text of an STF test on a new device in virtual time, which is closed afterwards.

    Raises StfSyntaxError for text that is not STF and StfError for a command that this program or the
    device refuses; a failed check is no error but an outcome.
    """
    device = device_factory()
    try:
        device.load(program)
        return run_on(DeviceTarget(device), text)
    finally:
        device.close()


def _numbered(items: list[_Item], number: int, what: str, line: int) -> _Item:
    if number >= len(items):
        raise StfError(line, f"no {what} has number {number}; there are {len(items)}")
    return items[number]
