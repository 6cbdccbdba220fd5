# SPDX-License-Identifier: Apache-2.0
"""The compiled program in p4src/build belongs to its sources, and the sources keep their contracts."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from finsy.proto import p4i

from tests.dataplane.harness import Program
from tests.dataplane.harness.program import ROOT

P4SRC = ROOT / "p4src"
BUILD = P4SRC / "build"
#: bmv2 reads it at every start, and how a control is written can make it grow a thousandfold (HalfSipHash).
MAX_JSON_BYTES = 4 << 20

#: What v1model declares, of which nothing may be in what all targets share.
EXTERNS = (
    r"\b(?:direct_)?(?:counter|meter)\s*[<(]",
    r"\bregister\s*<",
    r"\baction_(?:profile|selector)\s*\(",
    r"\b(?:implementation|counters|meters)\s*=",
    r"\b(?:hash|random|digest|clone\w*|resubmit\w*|recirculate\w*|truncate|mark_to_drop|log_msg|assert|assume)\s*[<(]",
    r"\b(?:verify|update)_checksum\w*\s*[<(]",
    r"\bChecksum16\b",
    r"\bstandard_metadata\w*",
    r"\bextern\b",
    r"#include\s+<(?!core\.p4>)",
)


def sources(*folders: str) -> list[Path]:
    return [p for folder in folders for p in sorted((P4SRC / folder).rglob("*.p4"))]


def code(path: Path) -> str:
    """Without comments, line by line as it was."""
    text = re.sub(r"/\*.*?\*/", lambda found: "\n" * found[0].count("\n"), path.read_text(), flags=re.DOTALL)
    return re.sub(r"//.*", "", text)


def externs_in(text: str) -> list[str]:
    return [found[0] for pattern in EXTERNS for found in re.finditer(pattern, text)]


# ---- the build --------------------------------------------------------------------------------------------


def build_p4(
    *arguments: str, script: Path = ROOT / "scripts" / "build_p4"
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_build_is_that_of_the_sources() -> None:
    done = build_p4("--check")
    assert done.returncode == 0, done.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Another tree with all that scripts/build_p4 needs."""
    (tmp_path / "scripts").mkdir()
    for name in ("build_p4", "p4c.py"):
        shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts" / name)
    shutil.copytree(P4SRC, tmp_path / "p4src")
    return tmp_path


def write_manifest(tree: Path) -> None:
    """Take what is there for what was compiled."""
    script = (
        "import runpy, json, pathlib; m = runpy.run_path('build_p4', run_name='build_p4'); b = m['BUILD'];"
        "r = {'sources': m['sources'](), 'outputs': m['outputs'](b), 'flags': list(m['FLAGS'])};"
        "(b / m['MANIFEST']).write_text(json.dumps(r))"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tree / "scripts", check=True)


def test_whatever_changes_makes_it_stale(copy: Path) -> None:
    write_manifest(copy)

    def check() -> tuple[int, str]:
        done = build_p4("--check", script=copy / "scripts" / "build_p4")
        return done.returncode, done.stderr

    assert check() == (0, "")
    include = copy / "p4src" / "include"
    parser = (include / "parser.p4").read_bytes()
    (include / "parser.p4").write_bytes(parser + b"\n")
    assert check() == (1, "source include/parser.p4 has changed\nrun scripts/build_p4\n")
    (include / "parser.p4").unlink()
    (include / "parser2.p4").write_bytes(parser)
    lines = "source include/parser.p4 is gone\nsource include/parser2.p4 is new\nrun scripts/build_p4\n"
    assert check() == (1, lines)
    (include / "parser2.p4").rename(include / "parser.p4")
    assert check() == (0, "")
    with (copy / "p4src" / "build" / "din.json").open("a") as file:
        file.write("\n")
    assert check() == (1, "output din.json has changed\nrun scripts/build_p4\n")


def test_who_has_no_compiler_is_told_where_to_get_it(copy: Path) -> None:
    command = [sys.executable, str(copy / "scripts" / "build_p4")]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PATH": str(copy / "scripts")}
    )
    assert done.returncode == 1
    assert "https://github.com/p4lang/p4c" in done.stderr


def test_the_json_is_not_too_large() -> None:
    size = (BUILD / "din.json").stat().st_size
    assert size <= MAX_JSON_BYTES, f"din.json has {size:,} bytes, more than {MAX_JSON_BYTES:,}"


def test_the_build_holds_no_absolute_paths() -> None:
    for path in BUILD.iterdir():
        assert not re.search(r'"/\w+/', path.read_text()), f"{path.name} holds an absolute path"
    assert json.loads((BUILD / "din.json").read_text())["program"] == "v1model/din.p4"


# ---- the sources ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sources("include"), ids=lambda p: p.name)
def test_what_targets_share_uses_no_extern(path: Path) -> None:
    assert externs_in(code(path)) == []


@pytest.mark.parametrize(
    "line",
    [
        "register<bit<32>>(8) seen;",
        "direct_counter(CounterType.packets) hits;",
        "    counters = hits;",
        "meter(4, MeterType.bytes) rates;",
        "hash(result, HashAlgorithm.crc32, 16w0, { x }, 32w7);",
        "mark_to_drop(standard_metadata);",
        "clone_preserving_field_list(CloneType.I2E, 1, 2);",
        "recirculate_preserving_field_list(1);",
        "action_selector(HashAlgorithm.crc32, 32w64, 32w16) balancer;",
        "#include <v1model.p4>",
    ],
)
def test_an_extern_would_be_found(line: str) -> None:
    assert externs_in(line)


#: Top byte of an ID, by the kind of object (P4Runtime, "ID Allocation for P4Info Objects").
PREFIXES = {"ACTION": 0x01, "TABLE": 0x02, "PROFILE": 0x11, "SELECTOR": 0x11, "COUNTER": 0x12}
PREFIXES |= {"DIRECT_COUNTER": 0x13, "METER": 0x14, "DIRECT_METER": 0x15, "REGISTER": 0x16, "DIGEST": 0x17}

_DEFINE = re.compile(r"^#define\s+(\w+)_ID\s+(0x[0-9a-f]{8})\s*$", re.MULTILINE)


def ids() -> list[tuple[str, int]]:
    """What ids.p4 defines, without the _ID at the end."""
    return [(name, int(value, 16)) for name, value in _DEFINE.findall(code(P4SRC / "include" / "ids.p4"))]


def test_ids_are_defined_once_and_say_what_they_are_of() -> None:
    text = code(P4SRC / "include" / "ids.p4")
    assert len(ids()) == len(re.findall(r"^#define\s+\w+_ID\b", text, re.MULTILINE)), (
        "an ID is not 0x and 8 digits"
    )
    for part in (0, 1):
        assert [x for x, n in Counter(item[part] for item in ids()).items() if n > 1] == []
    for name, value in ids():
        kind = max((k for k in PREFIXES if name.endswith(f"_{k}")), key=len, default=None)
        assert kind is not None, f"{name}_ID does not end in its kind: {sorted(PREFIXES)}"
        assert value >> 24 == PREFIXES[kind], f"{name}_ID: {kind} begins with {PREFIXES[kind]:#04x}"


_ANNOTATION = r'@\w+\s*(?:\((?:"[^"]*"|\([^()]*\)|[^()"])*\)|\[[^\]]*\])?\s*'
_DECLARED = re.compile(rf"((?:{_ANNOTATION})*)\b(table|action)\s+(\w+)\s*[({{]")
_LISTED = re.compile(r"\bactions\s*=\s*\{([^}]*)\}")


def without_id(text: str, known: set[str]) -> list[str]:
    """Tables, and actions that tables have, without an @id of one of the known names. An action that is only
    called no controller can name."""
    listed = {name for block in _LISTED.findall(text) for name in re.findall(r"\w+", block)}
    return [
        f"{kind} {name}"
        for before, kind, name in _DECLARED.findall(text)
        if (kind == "table" or name in listed) and not known & set(re.findall(r"@id\(\s*(\w+)\s*\)", before))
    ]


@pytest.mark.parametrize("path", sources("include", "v1model"), ids=lambda p: p.name)
def test_tables_and_their_actions_carry_a_named_id(path: Path) -> None:
    assert without_id(code(path), {f"{name}_ID" for name, _ in ids()}) == []


def test_a_missing_id_would_be_found() -> None:
    text = """
        @id(GO_ACTION_ID) @action_restriction("(port != 0) -> ((port > 1) || (port < 3))
            && port != 9")
        action go(@id(1) @refers_to(ports , port) port_id_t port) {}
        @id(0x01000001)
        action stop() {}
        @hidden action helper() {}
        @name("t")
        table t { key = { x : exact @id(1); } actions = { go; @defaultonly stop; } }
    """
    assert without_id(text, {"GO_ACTION_ID"}) == ["action stop", "table t"]


def objects(info: p4i.P4Info) -> Iterator[Any]:
    for field, value in info.ListFields():
        if (
            field.is_repeated
            and field.message_type is not None
            and "preamble" in field.message_type.fields_by_name
        ):
            yield from value


def test_the_program_s_ids_are_those() -> None:
    """Whatever a controller names has an ID of ours: one made up by p4c changes with the name. NoAction is
    the language's, and controller headers have no @id."""
    info = Program.din().p4info
    found = {o.preamble.id: o.preamble.name for o in objects(info)}
    assert len(found) == len(list(objects(info))), "an ID is there twice"
    listed = {reference.id for table in info.tables for reference in table.action_refs}
    calls = {a.preamble.id for a in info.actions} - listed
    known = {value for _, value in ids()} | calls
    left = {name for number, name in found.items() if number not in known}
    assert left <= {"NoAction", "packet_in", "packet_out"}
