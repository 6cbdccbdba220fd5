# SPDX-License-Identifier: Apache-2.0
"""How an STF test is judged: that each kind of wrong output is caught and each wrong command refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from p4jit.stf.resolve import StfError
from p4jit.stf.run import StfResult, run_stf
from p4jit.target.build import compile_program
from p4jit.target.device import Device

PROGRAMS = Path(__file__).parent / "programs"


def run(program: str, text: str) -> StfResult:
    compiled = compile_program((PROGRAMS / f"{program}.json").read_bytes(), program)
    return run_stf(lambda: Device(clock="virtual"), compiled, text)


def failures(program: str, text: str) -> list[tuple[int | None, str]]:
    return [(outcome.line, outcome.text) for outcome in run(program, text).failures]


# drop_truncate: op 0 leaves by port 1 as it came, op 1 is dropped, op 2 leaves by port 2.


def test_a_packet_that_differs() -> None:
    ((line, text),) = failures("drop_truncate", "packet 0 00 11\nexpect 1 00 12 $")
    assert line == 2
    assert text.startswith("packet 1 on port 1 differs\n")
    assert text.splitlines()[-1].strip() == "^"


def test_packets_are_compared_in_order() -> None:
    sent = "packet 0 00 11\npacket 0 00 22\n"
    assert run("drop_truncate", sent + "expect 1 00 11\nexpect 1 00 22").passed
    assert [line for line, _ in failures("drop_truncate", sent + "expect 1 00 22\nexpect 1 00 11")] == [3, 4]


def test_order_between_ports_does_not_matter() -> None:
    assert run("drop_truncate", "packet 0 02 00\npacket 0 00 00\nexpect 1 00 00 $\nexpect 2 02 00 $").passed


def test_a_packet_that_does_not_come() -> None:
    assert failures("drop_truncate", "packet 0 01 00\nexpect 1 01 00") == [
        (2, "packet 1 expected on port 1 did not come: 0100")
    ]


def test_a_packet_too_many() -> None:
    ((line, text),) = failures("drop_truncate", "packet 0 00 00\npacket 0 00 ff\nexpect 1 00 00")
    assert line is None
    assert text == "unexpected packet 2 on port 1, 2 bytes\n  0000  00 FF"


def test_a_packet_on_a_port_that_only_sends() -> None:
    # Port 1 is part of the test, though nothing is expected there.
    ((line, text),) = failures("drop_truncate", "packet 1 00 00")
    assert line is None
    assert text.startswith("unexpected packet 1 on port 1")


def test_ports_the_test_does_not_name_do_not_exist() -> None:
    assert run("drop_truncate", "packet 0 00 00").passed


def test_expect_without_data_wants_one_packet() -> None:
    assert run("drop_truncate", "packet 0 00 00\nexpect 1").passed
    assert failures("drop_truncate", "expect 1") == [(1, "packet 1 expected on port 1 did not come")]


def test_lengths() -> None:
    assert run("drop_truncate", "packet 0 00 00 ff\nexpect 1 00 00").passed
    assert not run("drop_truncate", "packet 0 00 00 ff\nexpect 1 00 00 $").passed
    assert not run("drop_truncate", "packet 0 00 00\nexpect 1 00 00 ff").passed


def test_no_packet() -> None:
    assert run("drop_truncate", "packet 0 00 00\nexpect 1\npacket 0 01 00\nno_packet").passed
    ((line, text),) = failures("drop_truncate", "packet 0 00 00\nno_packet\nexpect 1")
    assert line == 2
    assert text.startswith("no packet was to leave, 1 did\nport 1, 2 bytes")


@pytest.mark.parametrize(
    ("check", "passed"),
    [
        ("== 2", True),
        ("== 3", False),
        ("!= 3", True),
        ("!= 2", False),
        ("< 3", True),
        ("< 2", False),
        ("<= 2", True),
        ("<= 1", False),
        ("> 1", True),
        ("> 2", False),
        (">= 2", True),
        (">= 3", False),
    ],
)
def test_check_counter(check: str, passed: bool) -> None:
    text = f"packet 0 01 00\npacket 0 01 00\nexpect 1\nexpect 1\ncheck_counter by_packets(0) packets {check}"
    result = run("counters", text)
    assert result.passed is passed
    if not passed:
        assert result.failures[0].line == 5
        assert result.failures[0].text.endswith("it is 2")


def test_wait_lets_time_pass() -> None:
    # A packet a second, bursts of one: a second packet at once is red, one after a wait green.
    text = """add t a:9 colour()
        meter_set_rates in_packets 0 0.000001:1 0.000001:1
        packet 0 02 00
        expect 1 00
        packet 0 02 00
        expect 1 02
        wait
        packet 0 02 00
        expect 1 00"""
    assert run("meters", text).passed


def test_remove_all_takes_back_what_was_added() -> None:
    text = """add t a:1 b:2 found(value:1)
        packet 0 0001 02
        expect 1 01
        remove all
        packet 0 0001 02
        expect 1 ff"""
    assert run("match_optional", text.replace("add t ", "add t 1 ")).passed


def test_reads_are_logged() -> None:
    result = run("registers", "register_write r48 2 77\nregister_read r48 2")
    assert result.log == ["ingress.r48[2]: 77"]
    assert result.passed


def test_action_profile_entries_may_be_written_as_plain_ones() -> None:
    text = "add t a:1 found(value:0x33, port:1)\npacket 0 01\nexpect 1 33 01 $"
    assert run("action_profile", text).passed


def test_a_mirror_follows_its_multicast_group() -> None:
    text = """mc_mgrp_create 7
        mirroring_add_mc 1 7
        mc_node_create 5 4
        mc_node_associate 7 0
        packet 0 01 10
        expect 1
        expect 4
        mc_node_update 0 3
        packet 0 01 10
        expect 1
        expect 3"""
    assert run("clone_ingress", text).passed


@pytest.mark.parametrize(
    ("program", "text", "message"),
    [
        ("match_exact", "add tt a()", "line 1: no table 'tt'; there is: ingress.t"),
        (
            "match_exact",
            "\nadd t one:1 a()",
            "line 2: no action 'a'; there is: ingress.found, ingress.missed",
        ),
        ("match_exact", "add t two:1 missed()", "line 1: table ingress.t has no key field 'two'; it has: "),
        (
            "match_exact",
            "add t one:2 missed()",
            "line 1: key field 'hdr.key.one': 0x2 does not fit its 1 bits",
        ),
        ("match_exact", "add t one:0b* missed()", "line 1: key field 'hdr.key.one' is exact and takes no"),
        ("match_exact", "add t one:1 one:1 missed()", "line 1: key field 'hdr.key.one' is given twice"),
        ("match_exact", "add t one:1 found()", "line 1: action ingress.found needs parameter 'value'"),
        ("match_exact", "add t one:1 missed(x:1)", "line 1: action ingress.missed has no parameter 'x'"),
        (
            "match_exact",
            "add t one:1 found(value:0x10000)",
            "line 1: parameter 'value': 0x10000 does not fit",
        ),
        (
            "match_ternary",
            "add t a:1 NoAction()",
            "line 1: entries of table ingress.t, which is ternary, need",
        ),
        ("match_lpm", "add route address:1/33 NoAction()", "line 1: key field 'hdr.ip4.address' has 32 bits"),
        ("match_range", "add t 1 port:5..4 NoAction()", "line 1: key field 'hdr.key.port': 5..4 is empty"),
        ("match_optional", "add t 1 a:1 NoAction()\nadd t 1 a:1 NoAction()", "line 2: refused: "),
        ("counters", "check_counter nothing(1)", "line 1: no counter 'nothing'"),
        ("counters", "check_counter by_both(9)", "line 1: refused: "),
        ("counters", "check_counter direct($X) packets == 1", "line 1: no entry was named 'X'"),
        (
            "meters",
            "meter_set_rates direct 1 1:1 1:1",
            "line 1: meter ingress.direct takes an entry's $handle",
        ),
        ("registers", "register_write r8 0 256", "line 1: 0x100 does not fit 8 bits"),
        ("registers", "register_write r8 4 1", "line 1: refused: "),
        ("multicast", "mc_node_associate 1 0", "line 1: no multicast node has number 0; there are 0"),
        (
            "action_profile",
            "table_indirect_add t a:1 => 0",
            "line 1: no member of ingress.profile has number 0",
        ),
        ("parser_value_set", "pvs_add types 0x10000", "line 1: 0x10000 does not fit 16 bits"),
    ],
)
def test_refusals_name_the_line(program: str, text: str, message: str) -> None:
    with pytest.raises(StfError) as caught:
        run(program, text)
    assert str(caught.value).startswith(message)


def test_the_result_as_text() -> None:
    result = run("drop_truncate", "packet 0 00 11\nexpect 1 00 12 $\npacket 0 02 00\nexpect 2 02 00 $")
    lines = str(result).splitlines()
    assert lines[0] == "FAIL line 2: packet 1 on port 1 differs"
    assert lines[-1] == "1 checks passed, 1 failed"
