# SPDX-License-Identifier: Apache-2.0
"""The compiled program by its names."""

from __future__ import annotations

from pathlib import Path

import pytest
from din.p4rt import program as module
from din.p4rt.entry import action
from din.p4rt.program import MatchKind, Program, ProgramError, Reference
from finsy.proto import p4i
from google.protobuf import text_format


def test_the_data_plane_is_found_and_known_by_its_names(program: Program) -> None:
    buckets = program.tables["buckets"]
    assert buckets.names == ("bucket", "group")
    assert buckets.is_exact
    assert not buckets.has_priority
    assert buckets.fields["bucket"].width == 10
    assert list(buckets.actions) == ["set_bucket"]
    assert set(buckets.default_actions) == {"set_bucket", "NoAction"}
    assert not buckets.default_can_be_set
    assert program.tables["sources"].fields["src_addr"].kind is MatchKind.LPM
    assert program.tables["addresses"].has_priority
    assert program.counters["connections"].size == 32768
    assert set(program.packet_in) == {"ingress_port", "reason", "label", "mtu", "tenant"}


def test_what_is_constant_and_what_can_be_set(program: Program) -> None:
    assert {name for name, table in program.tables.items() if table.is_const} == {"gap_bins", "budgets"}
    assert {n for n, t in program.tables.items() if t.has_selector} == {"routes", "protection"}
    assert program.tables["boundaries"].default_can_be_set
    assert program.tables["boundaries"].initial_default == action("unknown_boundary")
    assert program.tables["affinity_timeouts"].initial_default == action(
        "set_affinity_timeouts", established=7096, transitory=229
    )
    assert not program.tables["routes"].default_can_be_set
    assert program.tables["routes"].max_members == 64


def test_references_are_read_from_annotations(program: Program) -> None:
    group = program.actions["set_group"].params["group"]
    assert group.refers_to == (Reference("buckets", "group"),)


def test_the_cookie_tells_programs_apart(program: Program) -> None:
    assert program.cookie != 0
    assert Program.load(program.p4info, program.config).cookie == program.cookie
    assert Program.load(program.p4info, program.config + b" ").cookie != program.cookie
    other = p4i.P4Info()
    other.CopyFrom(program.p4info)
    other.pkg_info.version = "other"
    assert Program.load(other, program.config).cookie != program.cookie


def test_a_program_is_read_from_files(program: Program, tmp_path: Path) -> None:
    config, p4info = tmp_path / "a.json", tmp_path / "a.txtpb"
    config.write_bytes(program.config)
    p4info.write_text(text_format.MessageToString(program.p4info))
    assert Program.read(config, p4info).cookie == program.cookie
    p4info.write_text("tables {")
    with pytest.raises(ProgramError, match=r"a\.txtpb is no P4Info"):
        Program.read(config, p4info)
    p4info.write_bytes(b"\xff\xfe")
    with pytest.raises(ProgramError, match=r"a\.txtpb is no P4Info .*not text"):
        Program.read(config, p4info)
    p4info.write_text("")
    with pytest.raises(ProgramError, match=r"b\.json: No such file"):
        Program.read(tmp_path / "b.json", p4info)


def test_an_installed_program_comes_first(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "din.json").write_bytes(program.config + b" ")
    (tmp_path / "build" / "din.p4info.txtpb").write_text(text_format.MessageToString(program.p4info))
    monkeypatch.setattr(module.resources, "files", lambda _: tmp_path)
    assert module.default_program.__wrapped__().cookie != program.cookie


def test_without_a_program_it_says_where_it_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.resources, "files", lambda _: tmp_path)
    monkeypatch.setattr(module, "__file__", str(tmp_path / "a" / "b" / "c" / "program.py"))
    with pytest.raises(ProgramError, match=r"no din\.json.*run scripts/build_p4"):
        module.default_program.__wrapped__()


def test_a_p4info_that_is_not_consistent_is_refused(program: Program) -> None:
    double = p4i.P4Info()
    double.CopyFrom(program.p4info)
    double.tables[1].preamble.alias = double.tables[0].preamble.alias
    with pytest.raises(ProgramError, match="two tables called 'ports'"):
        Program.load(double, b"")
    dangling = p4i.P4Info()
    dangling.CopyFrom(program.p4info)
    dangling.tables[0].action_refs[0].id = 1
    with pytest.raises(ProgramError, match="table ports refers to action 1"):
        Program.load(dangling, b"")
    unknown = p4i.P4Info()
    unknown.CopyFrom(program.p4info)
    clock = next(each for each in unknown.tables if each.preamble.alias == "clock")
    clock.initial_default_action.arguments[0].param_id = 77
    with pytest.raises(ProgramError, match="table clock gives set_clock a parameter 77"):
        Program.load(unknown, b"")
