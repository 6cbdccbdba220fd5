# SPDX-License-Identifier: Apache-2.0
"""Reads p4c's STF ("simple test framework") text into typed commands.

One command a line; ``#`` starts a comment. The language is the one p4c's bmv2 test runner reads, with its
pass-through commands named as in simple_switch_CLI. Four things are ours: range keys (``low..high``), an
explicit mask (``value&&&mask``), the action-profile commands and ``pvs_add``, all spelled as in that CLI
except that keys and action parameters are named, as everywhere in STF.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NoReturn

from p4jit.stf.commands import (
    ActionText,
    Add,
    AddIndirect,
    CheckCounter,
    Command,
    CounterRead,
    CounterWrite,
    Expect,
    GroupAddMember,
    GroupCreate,
    KeyValue,
    MemberCreate,
    MeterGetRates,
    MeterSetRates,
    MirroringAdd,
    MirroringAddGroup,
    MirroringDelete,
    MirroringGet,
    MulticastGroupCreate,
    MulticastNodeAssociate,
    MulticastNodeCreate,
    MulticastNodeUpdate,
    NoPacket,
    Number,
    Packet,
    Pattern,
    Rates,
    RegisterRead,
    RegisterReset,
    RegisterWrite,
    RemoveAll,
    SetDefault,
    ValueSetAdd,
    Wait,
)


class StfSyntaxError(Exception):
    """Text that is not STF. ``line`` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line


# ---- words ---------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>0[xX][0-9a-fA-F*]+|0[bB][01*]+|[0-9]+(?:\.[0-9]+)?(?![\w$]))
    | (?P<name>[A-Za-z_$][A-Za-z_$0-9]*)
    | (?P<quoted>"[^"]+")
    | (?P<mark>=>|==|!=|<=|>=|&&&|\.\.|[<>=:,./()\[\]])
    )""",
    re.VERBOSE,
)


class _Line:
    """The tokens of one line after its command word, read from left to right."""

    def __init__(self, number: int, text: str) -> None:
        self.number = number
        self.tokens: list[tuple[str, str]] = []
        at = 0
        text = text.rstrip()
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                self.fail(f"unexpected character {text[at:].lstrip()[0]!r}")
            kind = found.lastgroup or ""
            word = found[kind]
            self.tokens.append(("name", word[1:-1]) if kind == "quoted" else (kind, word))
            at = found.end()
        self.at = 0

    def fail(self, message: str) -> NoReturn:
        raise StfSyntaxError(self.number, message)

    def peek(self, ahead: int = 0) -> tuple[str, str]:
        at = self.at + ahead
        return self.tokens[at] if at < len(self.tokens) else ("end", "end of line")

    def take(self) -> tuple[str, str]:
        token = self.peek()
        self.at += 1
        return token

    def accept(self, mark: str) -> bool:
        if self.peek() == ("mark", mark):
            self.at += 1
            return True
        return False

    def expect(self, mark: str) -> None:
        kind, text = self.take()
        if (kind, text) != ("mark", mark):
            self.fail(f"expected {mark!r}, found {text!r}")

    def end(self) -> None:
        kind, text = self.peek()
        if kind != "end":
            self.fail(f"unexpected {text!r} after the command")

    def at_end(self) -> bool:
        return self.peek()[0] == "end"

    def word(self) -> str:
        kind, text = self.take()
        if kind != "name":
            self.fail(f"expected a name, found {text!r}")
        return text

    def name(self) -> str:
        """``a``, ``a.b[3].c``."""
        name = self.word()
        while True:
            if self.accept("."):
                name += "." + self.word()
            elif self.peek() == ("mark", "["):
                self.at += 1
                name += f"[{self.integer()}]"
                self.expect("]")
            else:
                return name

    def number_text(self) -> str:
        kind, text = self.take()
        if kind != "number":
            self.fail(f"expected a number, found {text!r}")
        return text

    def integer(self) -> int:
        text = self.number_text()
        if "*" in text or "." in text:
            self.fail(f"expected a whole number, found {text!r}")
        return parse_number(text).value

    def real(self) -> float:
        text = self.number_text()
        return float(text) if "." in text else float(parse_number(text).value)

    def match_number(self) -> Number:
        text = self.number_text()
        if "." in text:
            self.fail(f"expected a whole number, found {text!r}")
        return parse_number(text)

    def integers(self) -> tuple[int, ...]:
        values = [self.integer()]
        while not self.at_end():
            values.append(self.integer())
        return tuple(values)

    def index(self) -> int | str:
        return self.word() if self.peek()[0] == "name" else self.integer()

    def action(self) -> ActionText:
        name = self.name()
        self.expect("(")
        arguments: list[tuple[str, int]] = []
        while not self.accept(")"):
            if arguments:
                self.expect(",")
            parameter = self.word()
            self.expect(":")
            arguments.append((parameter, self.integer()))
        return ActionText(name, tuple(arguments))

    def priority(self) -> int | None:
        return self.integer() if self.peek()[0] == "number" else None

    def matches(self) -> tuple[KeyValue, ...]:
        """As many ``name:value`` as there are; an action or ``=>`` follows."""
        found: list[KeyValue] = []
        while True:
            start = self.at
            if self.peek()[0] != "name":
                return tuple(found)
            name = self.name()
            if not self.accept(":"):
                self.at = start
                return tuple(found)
            found.append(self.match(name))

    def match(self, name: str) -> KeyValue:
        value = self.match_number()
        if self.accept("/"):
            return KeyValue(name, value, prefix_length=self.integer())
        if self.accept("&&&"):
            return KeyValue(name, value, mask=self.integer())
        if self.accept(".."):
            return KeyValue(name, value, high=self.integer())
        return KeyValue(name, value)


def parse_number(text: str) -> Number:
    """A decimal, ``0x`` or ``0b`` number; in the latter two, ``*`` is a digit that may be anything."""
    bits = {"0x": 4, "0b": 1}.get(text[:2].lower())
    if bits is None:
        return Number(int(text))
    digits = text[2:]
    value = int(digits.replace("*", "0"), 1 << bits)
    written = 0
    for digit in digits:
        written = written << bits | (0 if digit == "*" else (1 << bits) - 1)
    trailing = (len(digits) - len(digits.rstrip("*"))) * bits
    return Number(value, written, trailing, "*" in digits)


# ---- commands ------------------------------------------------------------------------------------------


def _add(line: _Line) -> Command:
    table, priority, match = line.name(), line.priority(), line.matches()
    action = line.action()
    handle = line.word() if line.accept("=") else None
    return Add(line.number, table, priority, match, action, handle)


def _indirect(group: bool) -> Callable[[_Line], Command]:
    def read(line: _Line) -> Command:
        table, priority, match = line.name(), line.priority(), line.matches()
        line.expect("=>")
        return AddIndirect(line.number, table, priority, match, line.integer(), group)

    return read


def _remove(line: _Line) -> Command:
    if line.word().lower() != "all":
        line.fail("only 'remove all' is known")
    return RemoveAll(line.number)


def _check_counter(line: _Line) -> Command:
    counter = line.name()
    line.expect("(")
    index = line.index()
    line.expect(")")
    if line.at_end():
        return CheckCounter(line.number, counter, index)
    unit = line.word().lower()
    if unit not in ("packets", "bytes"):
        line.fail(f"expected 'packets' or 'bytes', found {unit!r}")
    relation = line.take()[1]
    if relation not in ("==", "!=", "<", "<=", ">", ">="):
        line.fail(f"expected a comparison, found {relation!r}")
    return CheckCounter(line.number, counter, index, unit, relation, line.integer())


def _rates(line: _Line) -> Rates:
    pairs: list[tuple[float, int]] = []
    while not line.at_end():
        rate = line.real()
        line.expect(":")
        pairs.append((rate, line.integer()))
    if len(pairs) != 2:
        line.fail("a meter takes two rates, committed and peak, each as RATE:BURST")
    return pairs[0], pairs[1]


_COMMANDS: dict[str, Callable[[_Line], Command]] = {
    "add": _add,
    "setdefault": lambda line: SetDefault(line.number, line.name(), line.action()),
    "remove": _remove,
    "wait": lambda line: Wait(line.number),
    "no_packet": lambda line: NoPacket(line.number),
    "check_counter": _check_counter,
    "mirroring_add": lambda line: MirroringAdd(line.number, line.integer(), line.integer()),
    "mirroring_add_mc": lambda line: MirroringAddGroup(line.number, line.integer(), line.integer()),
    "mirroring_delete": lambda line: MirroringDelete(line.number, line.integer()),
    "mirroring_get": lambda line: MirroringGet(line.number, line.integer()),
    "mc_mgrp_create": lambda line: MulticastGroupCreate(line.number, line.integer()),
    "mc_node_create": lambda line: MulticastNodeCreate(line.number, line.integer(), line.integers()),
    "mc_node_update": lambda line: MulticastNodeUpdate(line.number, line.integer(), line.integers()),
    "mc_node_associate": lambda line: MulticastNodeAssociate(line.number, line.integer(), line.integer()),
    "counter_read": lambda line: CounterRead(line.number, line.name(), line.integer()),
    "counter_write": lambda line: CounterWrite(
        line.number, line.name(), line.integer(), line.integer(), line.integer()
    ),
    "register_read": lambda line: RegisterRead(line.number, line.name(), line.integer()),
    "register_write": lambda line: RegisterWrite(line.number, line.name(), line.integer(), line.integer()),
    "register_reset": lambda line: RegisterReset(line.number, line.name()),
    "meter_get_rates": lambda line: MeterGetRates(line.number, line.name(), line.index()),
    "meter_set_rates": lambda line: MeterSetRates(line.number, line.name(), line.index(), _rates(line)),
    "meter_array_set_rates": lambda line: MeterSetRates(line.number, line.name(), None, _rates(line)),
    "act_prof_create_member": lambda line: MemberCreate(line.number, line.name(), line.action()),
    "act_prof_create_group": lambda line: GroupCreate(line.number, line.name()),
    "act_prof_add_member_to_group": lambda line: GroupAddMember(
        line.number, line.name(), line.integer(), line.integer()
    ),
    "table_indirect_add": _indirect(group=False),
    "table_indirect_add_with_group": _indirect(group=True),
    "pvs_add": lambda line: ValueSetAdd(line.number, line.name(), line.integer()),
}


def _packet(number: int, rest: str) -> Packet:
    port, digits = _port(number, rest, "packet")
    wrong = re.search(r"[^0-9a-fA-F]", digits)
    if wrong:
        raise StfSyntaxError(number, f"{wrong[0]!r} is not a hexadecimal digit")
    if not digits:
        raise StfSyntaxError(number, "a packet needs data")
    if len(digits) % 2:
        raise StfSyntaxError(number, f"{len(digits)} hexadecimal digits do not make whole bytes")
    return Packet(number, port, bytes.fromhex(digits))


def _expect(number: int, rest: str) -> Expect:
    port, digits = _port(number, rest, "expect")
    exact_length = digits.endswith("$")
    digits = digits.removesuffix("$").upper()
    wrong = re.search(r"[^0-9A-F*]", digits)
    if wrong:
        raise StfSyntaxError(number, f"{wrong[0]!r} is neither a hexadecimal digit nor '*'")
    return Expect(number, port, Pattern(digits, exact_length) if digits or exact_length else None)


def _port(number: int, rest: str, command: str) -> tuple[int, str]:
    words = rest.split()
    if not words or not (words[0].isascii() and words[0].isdigit()):
        raise StfSyntaxError(number, f"'{command}' takes a port number first")
    return int(words[0]), "".join(words[1:])


def parse(text: str) -> list[Command]:
    """The commands of an STF file, in order. Raises StfSyntaxError at the first line that is not STF."""
    commands: list[Command] = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.partition("#")[0].strip()
        if not line:
            continue
        found = re.match(r"[A-Za-z_]+", line)
        word = found[0].lower() if found else line.split()[0]
        rest = line[len(word) :]
        if word == "packet":
            commands.append(_packet(number, rest))
        elif word == "expect":
            commands.append(_expect(number, rest))
        elif word in _COMMANDS:
            tokens = _Line(number, rest)
            commands.append(_COMMANDS[word](tokens))
            tokens.end()
        else:
            raise StfSyntaxError(number, f"unknown command {word!r}")
    return commands
