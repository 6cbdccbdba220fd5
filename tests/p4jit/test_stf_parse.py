# SPDX-License-Identifier: Apache-2.0
"""The STF reader: what each command becomes, and where it stops at text that is not STF."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from p4jit.stf import commands, parse
from p4jit.stf.commands import ActionText, KeyValue, Number, Pattern
from p4jit.stf.parse import StfSyntaxError


def one(text: str) -> commands.Command:
    (command,) = parse.parse(text)
    return command


def test_packet_joins_its_groups_of_digits() -> None:
    assert one("packet 3 0102 aB cd0f") == commands.Packet(1, 3, bytes.fromhex("0102abcd0f"))


def test_comments_blank_lines_and_case() -> None:
    found = parse.parse("# a comment\n\nPACKET 0 00 # the rest\n  Expect 1 00\nWAIT\n")
    assert found == [
        commands.Packet(3, 0, b"\0"),
        commands.Expect(4, 1, Pattern("00")),
        commands.Wait(5),
    ]


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("expect 2", None),
        ("expect 2 0a**", Pattern("0A**")),
        ("expect 2 *1 0 $", Pattern("*10", exact_length=True)),
        ("expect 2 01$", Pattern("01", exact_length=True)),
        ("expect 2 $", Pattern("", exact_length=True)),
    ],
)
def test_expect(text: str, pattern: Pattern | None) -> None:
    assert one(text) == commands.Expect(1, 2, pattern)


def test_add_with_priority_wildcards_and_handle() -> None:
    assert one("add c.t 503 data.$valid:0b1 h.f:0x**02 act(v:7, p:0x10) = A") == commands.Add(
        1,
        "c.t",
        503,
        (
            KeyValue("data.$valid", Number(1, 1)),
            KeyValue("h.f", Number(2, 0xFF, wild=True)),
        ),
        ActionText("act", (("v", 7), ("p", 16))),
        "A",
    )


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ("10", KeyValue("f", Number(10))),
        ("0x0a000000/8", KeyValue("f", Number(0x0A000000, 0xFFFFFFFF), prefix_length=8)),
        ("0x0a**", KeyValue("f", Number(0x0A00, 0xFF00, 8, wild=True))),
        ("0b1*0*", KeyValue("f", Number(0b1000, 0b1010, 1, wild=True))),
        ("0x10&&&0xf0", KeyValue("f", Number(0x10, 0xFF), mask=0xF0)),
        ("5..9", KeyValue("f", Number(5), high=9)),
    ],
)
def test_match_values(value: str, match: KeyValue) -> None:
    command = one(f"add t f:{value} a()")
    assert isinstance(command, commands.Add)
    assert command.match == (match,)


def test_add_without_keys() -> None:
    assert one("add t a()") == commands.Add(1, "t", None, (), ActionText("a", ()), None)


def test_stack_elements_in_names() -> None:
    command = one('add "my table" hdr.stack[1].f:1 h$0.g:2 a()')
    assert isinstance(command, commands.Add)
    assert command.table == "my table"
    assert [m.name for m in command.match] == ["hdr.stack[1].f", "h$0.g"]


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("setdefault t a(x:1)", commands.SetDefault(1, "t", ActionText("a", (("x", 1),)))),
        ("remove all", commands.RemoveAll(1)),
        ("no_packet", commands.NoPacket(1)),
        ("check_counter c(10)", commands.CheckCounter(1, "c", 10)),
        ("check_counter c($A) packets == 3", commands.CheckCounter(1, "c", "$A", "packets", "==", 3)),
        ("check_counter i.c(1) bytes >= 20", commands.CheckCounter(1, "i.c", 1, "bytes", ">=", 20)),
        ("mirroring_add 5 4", commands.MirroringAdd(1, 5, 4)),
        ("mirroring_add_mc 5 4", commands.MirroringAddGroup(1, 5, 4)),
        ("mirroring_delete 5", commands.MirroringDelete(1, 5)),
        ("mirroring_get 5", commands.MirroringGet(1, 5)),
        ("mc_mgrp_create 1113", commands.MulticastGroupCreate(1, 1113)),
        ("mc_node_create 400 6 7", commands.MulticastNodeCreate(1, 400, (6, 7))),
        ("mc_node_update 0 6", commands.MulticastNodeUpdate(1, 0, (6,))),
        ("mc_node_associate 1113 0", commands.MulticastNodeAssociate(1, 1113, 0)),
        ("counter_read c 1", commands.CounterRead(1, "c", 1)),
        ("counter_write c 1 2 3", commands.CounterWrite(1, "c", 1, 2, 3)),
        ("register_read r 1", commands.RegisterRead(1, "r", 1)),
        ("register_write r 1 0xff", commands.RegisterWrite(1, "r", 1, 255)),
        ("register_reset r", commands.RegisterReset(1, "r")),
        ("meter_get_rates m 1", commands.MeterGetRates(1, "m", 1)),
        ("meter_set_rates m 1 0.5:10 1:20", commands.MeterSetRates(1, "m", 1, ((0.5, 10), (1.0, 20)))),
        ("meter_array_set_rates m 1:1 2:2", commands.MeterSetRates(1, "m", None, ((1.0, 1), (2.0, 2)))),
        ("act_prof_create_member p a(x:1)", commands.MemberCreate(1, "p", ActionText("a", (("x", 1),)))),
        ("act_prof_create_group p", commands.GroupCreate(1, "p")),
        ("act_prof_add_member_to_group p 2 1", commands.GroupAddMember(1, "p", 2, 1)),
        (
            "table_indirect_add t 9 f:1 => 0",
            commands.AddIndirect(1, "t", 9, (KeyValue("f", Number(1)),), 0, group=False),
        ),
        (
            "table_indirect_add_with_group t f:1 => 3",
            commands.AddIndirect(1, "t", None, (KeyValue("f", Number(1)),), 3, group=True),
        ),
        ("pvs_add s 0x800", commands.ValueSetAdd(1, "s", 0x800)),
    ],
)
def test_commands(text: str, command: commands.Command) -> None:
    assert one(text) == command


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frob 1", "line 1: unknown command 'frob'"),
        ("wait\npacket x 00", "line 2: 'packet' takes a port number first"),
        ("packet 1", "line 1: a packet needs data"),
        ("packet 1 012", "line 1: 3 hexadecimal digits do not make whole bytes"),
        ("packet 1 0g", "line 1: 'g' is not a hexadecimal digit"),
        ("packet 1 **", "line 1: '*' is not a hexadecimal digit"),
        ("expect 1 0$0", "line 1: '$' is neither a hexadecimal digit nor '*'"),
        ("add t f:1 a(x:1 y:2)", "line 1: expected ',', found 'y'"),
        ("add t f:1", "line 1: expected a name, found 'end of line'"),
        ("add t f:1 a(x:0x*)", "line 1: expected a whole number, found '0x*'"),
        ("add t f:1.5 a()", "line 1: expected a whole number, found '1.5'"),
        ("add t f:12ab a()", "line 1: unexpected character '1'"),
        ("wait 5", "line 1: unexpected '5' after the command"),
        ("remove t", "line 1: only 'remove all' is known"),
        ("check_counter c(1) packets = 1", "line 1: expected a comparison, found '='"),
        ("check_counter c(1) flows == 1", "line 1: expected 'packets' or 'bytes', found 'flows'"),
        ("meter_set_rates m 1 1:1", "line 1: a meter takes two rates"),
    ],
)
def test_errors_name_the_line(text: str, message: str) -> None:
    with pytest.raises(StfSyntaxError) as caught:
        parse.parse(text)
    assert str(caught.value).startswith(message)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    lines = len(text.splitlines())
    try:
        assert all(1 <= command.line <= lines for command in parse.parse(text))
    except StfSyntaxError as error:
        if not 1 <= error.line <= lines:
            raise AssertionError(f"there is no line {error.line}") from error


@given(
    st.sampled_from(["add", "expect", "packet", "check_counter", "meter_set_rates", "mc_node_create"]),
    st.lists(
        st.sampled_from(["t", "1", "0x1*", "1.5", ":", "/", "(", ")", ",", "=", "==", "$", "*", "[", "]"])
    ),
)
def test_any_words_are_read_or_refused(command: str, words: list[str]) -> None:
    with contextlib.suppress(StfSyntaxError):
        assert len(parse.parse(" ".join([command, *words]))) == 1


@given(st.integers(0, 2**128 - 1), st.sampled_from(["x", "b", "d"]))
def test_numbers_round_trip(value: int, base: str) -> None:
    text = f"{value:d}" if base == "d" else f"0{base}{value:{base}}"
    number = parse.parse_number(text)
    assert number.value == value
    assert not number.wild
    if base != "d":
        assert number.written is not None
        assert number.written & value == value
