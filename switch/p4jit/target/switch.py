# SPDX-License-Identifier: Apache-2.0
"""A switch in memory, for tests and simulators: frames in, frames out, time when you say so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from p4jit.frontend import ir
from p4jit.frontend.p4info import load_p4info
from p4jit.target.build import CompiledProgram, compile_program
from p4jit.target.device import Device
from p4jit.target.interface import DeviceError, LinkSpec, Output, PortSpec, QueueSpec

#: How one key field matches: a value; (value, mask) for ternary, (value, prefix length) for lpm,
#: (low, high) for range.
Match = int | tuple[int, int]

#: Events after which `Switch.drain` takes it that they do not end.
_MAX_EVENTS = 1_000_000

_T = TypeVar("_T")


class Switch:
    """One device on a virtual clock with memory ports.

    ::

        with Switch("l2.json") as sw:
            sw.insert("ingress.dmac", {"hdr.ethernet.dst": 0x0A}, "ingress.forward", port=2)
            for out in sw.inject(1, frame):
                print(out.port, out.data.hex(), out.time)

    ``program`` is the path of p4c's JSON, its bytes, or a CompiledProgram. Times are nanoseconds from 0.
    """

    def __init__(
        self,
        program: str | Path | bytes | CompiledProgram,
        *,
        p4info: str | Path | None = None,
        ports: Iterable[int] = range(16),
        queues: int = 8,
        drop_port: int = 511,
        cpu_port: int | None = None,
        seed: int = 0,
    ) -> None:
        if not isinstance(program, CompiledProgram):
            info = load_p4info(Path(p4info).read_bytes()) if p4info is not None else None
            if isinstance(program, bytes):
                program = compile_program(program, "program", info)
            else:
                program = compile_program(Path(program).read_bytes(), Path(program).stem, info)
        self.program = program
        self.device = Device(
            clock="virtual", queues=queues, drop_port=drop_port, cpu_port=cpu_port, seed=seed
        )
        try:
            self.device.load(program)
            for port in ports:
                self.device.port_add(port, PortSpec("memory"))
        except BaseException:
            self.device.close()
            raise

    # ---- packets and time --------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        return self.device.now

    def inject(self, port: int, frame: bytes, at: int | None = None) -> list[Output]:
        """A frame arrives on ``port``, at time ``at`` or now; what has left the switch by then, and at once
        because of it. What waits in queues and links leaves in `run_until`."""
        self.device.inject(port, frame, at)
        return self.device.take_outputs()

    def run_until(self, time: int) -> list[Output]:
        """Let time pass; the frames that leave."""
        self.device.run_until(time)
        return self.device.take_outputs()

    def drain(self) -> list[Output]:
        """Let time pass until nothing is under way; the frames that leave. Raises DeviceError for a program
        that keeps itself busy (an egress that clones its own clones, say)."""
        outputs = self.device.take_outputs()
        for _ in range(_MAX_EVENTS):
            time = self.device.next_event()
            if time is None:
                return outputs
            outputs += self.run_until(time)
        raise DeviceError(f"packets are still under way after {_MAX_EVENTS:,} events, at {self.now} ns")

    def configure(
        self, port: int, *, link: LinkSpec | None = None, queues: list[QueueSpec] | None = None
    ) -> None:
        """Emulate a link behind a port, or set its queues."""
        self.device.port_set(port, link=link, queues=queues)

    # ---- tables ------------------------------------------------------------------------------------------

    def insert(
        self,
        table: str,
        match: Mapping[str, Match | None],
        action: str,
        /,
        *,
        priority: int = 0,
        timeout: int = 0,
        **params: int,
    ) -> int:
        """Add an entry and return its handle. Names may be cut from the left ("dmac" for "ingress.dmac")
        where that names one thing. A ternary, lpm or range field that is None or missing matches anything;
        greater priorities win; ``timeout`` is in ns."""
        t = self._table(table)
        values = [_value(t, field, self._match_of(t, field, match)) for field in t.key]
        unknown = [name for name in match if not any(_names(name, field.name) for field in t.key)]
        if unknown:
            raise DeviceError(
                f"table {t.name} has no key field {unknown[0]!r}; it has {[k.name for k in t.key]}"
            )
        encoded = self.program.layout.tables[t.index].encode(values)
        chosen = self._action(t, action)
        data = self._data(chosen, params)
        return self.device.table_insert(
            t.index, encoded.key, encoded.mask, encoded.prefix_length, priority, chosen.index, data, timeout
        )

    def delete(self, table: str, handle: int) -> None:
        self.device.table_delete(self._table(table).index, handle)

    def set_default(self, table: str, action: str, /, **params: int) -> None:
        t = self._table(table)
        chosen = self._action(t, action)
        self.device.table_set_default(t.index, chosen.index, self._data(chosen, params))

    @staticmethod
    def _match_of(table: ir.Table, field: ir.KeyField, match: Mapping[str, Match | None]) -> Match | None:
        for name, value in match.items():
            if _names(name, field.name):
                return value
        if field.kind in (ir.MatchKind.EXACT, ir.MatchKind.VALID):
            raise DeviceError(f"table {table.name}: key field {field.name} is exact and needs a value")
        return None

    def _table(self, name: str) -> ir.Table:
        return _one([t for t in self.program.ir.tables if _names(name, t.name)], "table", name)

    @staticmethod
    def _action(table: ir.Table, name: str) -> ir.Action:
        return _one([a for a in table.actions if _names(name, a.name)], f"action of table {table.name}", name)

    def _data(self, action: ir.Action, params: Mapping[str, int]) -> bytes:
        if {p.name for p in action.params} != set(params):
            raise DeviceError(
                f"action {action.name} takes {[p.name for p in action.params]}, not {list(params)}"
            )
        for p in action.params:
            if not 0 <= params[p.name] < 1 << p.width:
                raise DeviceError(
                    f"{params[p.name]} does not fit the {p.width} bits of {action.name}.{p.name}"
                )
        return self.program.layout.actions[action.index].encode([params[p.name] for p in action.params])

    # ---- life --------------------------------------------------------------------------------------------

    def close(self) -> None:
        self.device.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _names(given: str, full: str) -> bool:
    return full == given or full.endswith("." + given)


def _one(found: list[_T], what: str, name: str) -> _T:
    if len(found) != 1:
        raise DeviceError(f"{'no' if not found else 'more than one'} {what} is called {name!r}")
    return found[0]


def _value(table: ir.Table, field: ir.KeyField, match: Match | None) -> ir.MatchValue:
    """A user's match as the intermediate form has it, checked against the field's width."""
    top = (1 << field.width) - 1
    first, second = match if isinstance(match, tuple) else (match, None)
    if first is None:
        return ir.MatchValue(0, mask=0, prefix_length=0, high=top)
    for number in (first, second or 0):
        if not 0 <= number <= top:
            raise DeviceError(
                f"table {table.name}: {number} does not fit the {field.width} bits of {field.name}"
            )
    match field.kind:
        case ir.MatchKind.LPM:
            prefix = field.width if second is None else second
            if prefix > field.width:
                raise DeviceError(f"table {table.name}: {field.name} has {field.width} bits, not {prefix}")
            return ir.MatchValue(first, prefix_length=prefix)
        case ir.MatchKind.TERNARY:
            mask = top if second is None else second
            return ir.MatchValue(first & mask, mask=mask)
        case ir.MatchKind.RANGE:
            return ir.MatchValue(first, high=first if second is None else second)
    if second is not None:
        raise DeviceError(f"table {table.name}: key field {field.name} is exact and takes one value")
    return ir.MatchValue(first)
