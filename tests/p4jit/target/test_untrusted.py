# SPDX-License-Identifier: Apache-2.0
"""A pushed pipeline is untrusted: its names and texts must not reach the compiler as anything but letters."""

from __future__ import annotations

import json
import random
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from p4jit.codegen.calculations import ALGORITHMS
from p4jit.codegen.names import Names, sanitise
from p4jit.target import compiler
from p4jit.target.build import compile_program, translate
from p4jit.target.switch import Switch

PROGRAMS = Path(__file__).parent.parent / "programs"

#: Ways out of an identifier, a comment, a string, a line, a file and a shell.
ATTACKS = (
    '"; int p4_evil(void); //',
    "*/ int p4_evil; /*",
    '\n#include "/etc/passwd"\n',
    "\\\n#define p4_packet evil\n",
    "??/\n#error evil",
    "$(touch evil)`touch evil`;|&",
    "__attribute__((constructor)) evil",
    "int",
    "p4_packet",
    "phv",
    "é\u2028\u202e\x00evil",
    "%s%n{}",
    "",
)

#: Names that bmv2 gives a meaning.
_KEPT = frozenset({"ingress", "egress", "parser", "deparser", "standard_metadata", "$valid$"})
_NAMED = ("header_types", "headers", "header_stacks", "header_unions", "header_union_types", "parse_vsets")
_NAMED += ("counter_arrays", "meter_arrays", "register_arrays", "calculations", "actions", "learn_lists")


def _declared(program: dict[str, Any]) -> set[str]:
    """Every name the program chose, field and state names included."""
    names = {item["name"] for section in _NAMED for item in program.get(section, [])}
    standard = {alias[1][1] for alias in program.get("field_aliases", [])}
    standard |= {"ingress_port", "egress_spec", "egress_port", "instance_type", "packet_length"}
    standard |= {"parser_error", "checksum_error"}
    for t in program["header_types"]:
        names |= {f[0] for f in t["fields"] if f[0] not in standard}
    for p in program["parsers"]:
        names |= {s["name"] for s in p["parse_states"]}
    for p in program["pipelines"]:
        for key in ("tables", "conditionals", "action_profiles"):
            names |= {item["name"] for item in p.get(key, [])}
    return names - _KEPT - {t["name"] for t in program["header_types"] if t["name"] == "standard_metadata"}


def _rename(node: Any, change: Callable[[str], str]) -> Any:
    if isinstance(node, dict):
        return {change(k): _rename(v, change) for k, v in node.items()}
    if isinstance(node, list):
        return [_rename(v, change) for v in node]
    return change(node) if isinstance(node, str) else node


def _attacked(text: str, attack: str) -> str:
    program = json.loads(text)
    names = _declared(program)
    # Keys of the format itself ("name", "op", …) are never among them as whole values that matter.
    names -= {"name", "type", "value", "op", "id", "left", "right", "key", "mask", "field", "header"}
    names -= ALGORITHMS
    changed = _rename(program, lambda s: s + attack if s in names else s)
    return json.dumps(changed)


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("name", ["header_stacks", "registers", "hashes", "log_assert", "match_ternary"])
def test_names_reach_the_source_as_identifiers_only(name: str, attack: str) -> None:
    text = (PROGRAMS / f"{name}.json").read_text()
    _, _, source = translate(_attacked(text, attack), "attacked")
    assert source.isascii()
    assert "\\" not in source
    assert "??" not in source
    assert re.findall(r"^#.*$", source, re.MULTILINE) == ['#include "program.h"']
    assert source.count('"') == 2
    assert not re.search(r"\b(p4_evil|evil)\b", re.sub(r"/\*[A-Za-z0-9_.,:;()\[\] -]*\*/", "", source))


@pytest.mark.parametrize("attack", ATTACKS[:6])
def test_an_attacked_program_still_works(attack: str) -> None:
    """It compiles, and does what it did under its own names."""
    text = (PROGRAMS / "header_stacks.json").read_text()
    rng = random.Random(5)
    frames = [bytes([rng.randrange(8) for _ in range(24)]) for _ in range(40)]
    outputs = []
    for source in (text, _attacked(text, attack)):
        with Switch(source.encode()) as sw:
            outputs.append([[(o.port, o.data) for o in sw.inject(0, f)] for f in frames])
    assert outputs[0] == outputs[1]
    assert any(outputs[0])


def test_nothing_of_a_program_is_on_the_compilers_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("P4JIT_CACHE", str(tmp_path))
    commands = []
    real = subprocess.run

    def record(command: list[str], **options: Any) -> Any:
        commands.append(command)
        return real(command, **options)

    monkeypatch.setattr(compiler.subprocess, "run", record)
    text = (PROGRAMS / "registers.json").read_text()
    compile_program(_attacked(text, "EVIL$(x)"), "EVIL;name")
    assert commands
    assert not any("EVIL" in word or "registers" in word for command in commands for word in command)


@given(st.lists(st.text(max_size=60) | st.sampled_from(["w", "p4", "P4", "w_", "int", "7"]), max_size=40))
@settings(max_examples=200)
@example(["w", "w", "p4", "p4", "P4_", "w_w", "7", "7", "int", "int"])
def test_identifiers_are_valid_and_distinct(names: list[str]) -> None:
    made = Names()
    out = [made.make(name) for name in names]
    assert len(set(out)) == len(out)
    for name in out:
        assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)
        assert not name.lower().startswith(("p4_", "w_"))
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9_]+", sanitise(name))
