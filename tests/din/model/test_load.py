# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a file's form is told at once, each with its line, its field and what would be right."""

from __future__ import annotations

import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from din.model.check import check_file, check_text
from din.model.document import DEEPEST, LARGEST, MOST_VALUES, read
from din.model.load import load, parse, resolve_key
from din.model.problem import ModelError, Severity
from din.model.service import Key
from hypothesis import given
from hypothesis import strategies as st

from tests.din.model.edits import TOPOLOGIES

SKELETON = (TOPOLOGIES / "skeleton.yaml").read_text()


def errors(text: str) -> list[str]:
    with pytest.raises(ModelError) as caught:
        parse(textwrap.dedent(text), "x.yaml")
    return str(caught.value).splitlines()


def with_line(old: str, new: str) -> tuple[str, int]:
    """The skeleton with an edit, and the edit's line."""
    assert SKELETON.count(old) == 1, old
    return SKELETON.replace(old, new), SKELETON[: SKELETON.index(old)].count("\n") + 1


# ---- YAML --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x.yaml:1: empty; a model begins with version: 1"),
        ("# nothing\n", "x.yaml:1: empty; a model begins with version: 1"),
        ("- 1", "x.yaml:1: not a model; it begins with version: 1"),
        ("version: 2\nfoo: 3", "x.yaml:1: version: 2 is not known; known is 1"),
        ("version: one", "x.yaml:1: version: 'one' is not known; known is 1"),
        ("version: true", "x.yaml:1: version: True is not known; known is 1"),
        ("version: 1.0", "x.yaml:1: version: 1.0 is not known; known is 1"),
        ('name: "a\\0b"', r"x.yaml:1: name: the character \x00 is no text; leave it out"),
        ('name: "\\ud800"', r"x.yaml:1: name: the character \ud800 is no text; leave it out"),
        ("version: 1\nname: [", "x.yaml:2: not YAML: while parsing"),
        ("a: b: c", "x.yaml:1: not YAML: mapping values are not allowed here"),
        ("a:\n\tb: c", "x.yaml:2: not YAML: "),
        ("a: 1\n---\nb: 2", "x.yaml:2: not YAML: expected a single document in the stream"),
        ("a: *b", "x.yaml:1: not YAML: found undefined alias"),
        ("a: 1\nb: \x01", "x.yaml:2: the character #x0001 is not allowed; the file is UTF-8 text"),
        ("a: &a\n  b: *a", "x.yaml:1: a.b: an alias of what it is in; a model is a tree"),
        (
            "a: !!python/object:os.system {}",
            "x.yaml:1: a: the tag tag:yaml.org,2002:python/object:os.system has",
        ),
        ("a: !!binary aGk=", "x.yaml:1: a: the tag tag:yaml.org,2002:binary has no meaning here"),
        ("? [a]\n: b", "x.yaml:1: a field's name is a word"),
    ],
)
def test_what_is_not_yaml_or_not_a_model(text: str, message: str) -> None:
    assert errors(text)[0].startswith(message)


def test_a_field_twice() -> None:
    found = errors("version: 1\nzones:\n  - name: a\n    name: b\nname: x\nversion: 1\n<<: {}\n")
    assert found == [
        "x.yaml:4: zones[0].name: given twice; first in line 3",
        "x.yaml:6: version: given twice; first in line 1",
        "x.yaml:7: <<: fields are not merged; an alias stands for a whole value",
    ]


def test_what_is_told_does_not_reach_for_the_terminal() -> None:
    (told,) = [each for each in errors('version: 1\n"\\e[2J": 2') if "unknown field" in each]
    assert told.startswith(r"x.yaml:2: \x1b[2J: unknown field")


def test_text_may_have_lines_and_tabs() -> None:
    assert read('a: "b\\n\\tc"\n', "x").data == {"a": "b\n\tc"}


def test_words_are_words() -> None:
    """Of YAML 1.1's surprises none is left."""
    data = read(
        "a: no\nb: 12:30\nc: 0o7\nd: '7'\ne: 2001:db8::1\nf: 1e3\ng: .inf\nh: ~\ni: true\nj: -3\nk: 010", "x"
    ).data
    assert data == {
        "a": "no",
        "b": "12:30",
        "c": "0o7",
        "d": "7",
        "e": "2001:db8::1",
        "f": 1000.0,
        "g": ".inf",
        "h": None,
        "i": True,
        "j": -3,
        "k": 10,
    }


def test_depth_is_limited() -> None:
    assert "not YAML" in errors("a: " + "[" * 100_000)[0]
    assert f"more than {DEEPEST} levels deep" in errors("a: " + "[" * DEEPEST + "]" * DEEPEST)[0]
    deep = "a: " + "[" * (DEEPEST - 2) + "]" * (DEEPEST - 2)
    assert read(deep, "x").data["a"]


def test_aliases_do_not_multiply() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    begin = time.monotonic()
    assert errors("\n".join(lines)) == [
        f"x.yaml:1: more than {MOST_VALUES} values, counting what aliases repeat"
    ]
    assert time.monotonic() - begin < 5


def test_an_alias_stands_for_a_value() -> None:
    document = read("a: &x {b: 1}\nc:\n  - *x\n", "x")
    assert document.data == {"a": {"b": 1}, "c": [{"b": 1}]}
    assert document.line(("c", 0, "b")) == 1  # where it is written


def test_size_is_limited(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"#" * (LARGEST + 1))
    with pytest.raises(ModelError, match=r"large.yaml: more than 1 MiB"):
        load(path)
    path.write_bytes("é".encode() * LARGEST)  # cut within a character
    with pytest.raises(ModelError, match=r"large.yaml: more than 1 MiB"):
        load(path)
    path.write_bytes(SKELETON.encode() + b"#" * (LARGEST - len(SKELETON.encode())))
    assert load(path).name == "skeleton"
    with pytest.raises(ModelError, match="more than 1 MiB"):
        parse("#" + "é" * (LARGEST // 2))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"missing.yaml: No such file"):
        load(tmp_path / "missing.yaml")
    with pytest.raises(ModelError, match="Is a directory"):
        load(tmp_path)
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"version: 1\nname: caf\xe9\n")
    with pytest.raises(ModelError, match=r"latin.yaml:2: not UTF-8"):
        load(path)
    path.write_bytes(b"\xef\xbb\xbf" + SKELETON.encode())
    assert load(path).name == "skeleton"


# ---- Schema ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "name: skeleton",
            "name: Skeleton",
            "name: lower-case letters, digits and hyphens, a letter first, as in branch-a; not Skeleton",
        ),
        ("role: transit", "role: tranzit", "switches[1].role: one of leaf, transit; did you mean transit?"),
        ("role: transit", "rule: transit", "switches[1].rule: unknown field; did you mean role?"),
        ("role: transit", "rule: transit", "switches[1].role: missing"),
        (
            "rate: 100Mbit, delay: 2ms",
            "rate: 100, delay: 2ms",
            "links[0].rate: a rate with its unit (bit, kbit, Mbit, Gbit, Tbit), as in 100Mbit; not 100",
        ),
        (
            "slo: {ttft: 500ms, tpot",
            "slo: {ttft: 500, tpot",
            "services[0].slo.ttft: a time with its unit (us, ms, s, min, h, d), as in 5ms; not 500",
        ),
        ("between: [leaf-1, core-1]", "between: [leaf-1]", "links[0].between[1]: missing"),
        (
            "between: [leaf-1, core-1]",
            "between: [leaf-1, core-1, leaf-2]",
            "links[0].between: at most 2 of them, not 3",
        ),
        (
            "between: [leaf-1, core-1]",
            "between: [leaf-1, core-1:x]",
            "links[0].between[1]: a switch, or a switch and its port, as in wan-1 or wan-1:3; not core-1:x",
        ),
        (
            "between: [leaf-1, core-1]",
            "between: leaf-1",
            "links[0].between: a list, as in [a, b]; not leaf-1",
        ),
        (
            "addresses: [10.1.0.20/24]",
            "addresses: [10.1.0.320/24]",
            "hosts[1].addresses[0]: an address and the length of its prefix, as in 10.1.0.1/24 or "
            "2001:db8:1::1/64; not 10.1.0.320/24",
        ),
        (
            "addresses: [10.1.0.20/24]",
            "addresses: [7]",
            "hosts[1].addresses[0]: an address in its usual form, as in 10.1.0.1 or 2001:db8::1; not 7",
        ),
        ("addresses: [10.1.0.20/24]", "addresses: []", "hosts[1].addresses: at least 1 of them, not 0"),
        (
            "addresses: [10.1.0.20/24]",
            "addresses: [10.1.0.20/24], port: 510",
            "hosts[1].port: less than or equal to 509; not 510",
        ),
        (
            "addresses: [10.1.0.20/24]",
            "addresses: [10.1.0.20/24], port: x",
            "hosts[1].port: a whole number; not x",
        ),
        (
            "addresses: [10.1.0.20/24]",
            "addresses: [10.1.0.20/24], mac: 02:00",
            "hosts[1].mac: a MAC address in lower case, as in 02:00:00:00:00:01; not 02:00",
        ),
        (
            "addresses: [10.100.0.1, ",
            "addresses: [10.100.0, ",
            "services[0].addresses[0]: an IP address, as in 10.100.0.1 or 2001:db8:100::1; not 10.100.0",
        ),
        (
            "dns: chat.din.example",
            "dns: Chat",
            "services[0].dns: a DNS name in lower case, as in chat.example; not Chat",
        ),
        ("dns: chat.din.example", "dns:", "services[0].dns: text; not empty"),
        ("quality: 0.7", "quality: 1.5", "models[0].variants[0].quality: less than or equal to 1; not 1.5"),
        ("quality: 0.7", "quality: nan", "models[0].variants[0].quality: "),
        (
            "requests_per_second: 8\n",
            "requests_per_second: inf\n",
            "emulation.comparison.loads[0].requests_per_second: a finite number; not inf",
        ),
        ("ttft: 500ms", "ttft: 0", "services[0].slo.ttft: greater than 0; not 0"),
        ("duration: 5s", "duration: 0", "emulation.comparison.phases[0].duration: greater than 0; not 0"),
        ("seed: 1", "seed: -1", "emulation.comparison.seed: greater than or equal to 0; not -1"),
        ("max_queue: 32", "max_queue: 3.5", "emulation.profiles[0].max_queue: a whole number; not 3.5"),
        ("paths: din}", "paths: best}", "emulation.comparison.arms[0].paths: one of din, shortest; not best"),
        ("role: transit}", "role: transit, tls: 5}", "switches[1].tls: fields with their values; not 5"),
        (
            "name: chat\n",
            "name: " + "c" * 41 + "\n",
            "services[0].name: at most 40 characters; not " + "c" * 41,
        ),
        ("  - name: campus", "  name: campus", "zones: a list: lines that begin with -"),
    ],
)
def test_what_does_not_fit(old: str, new: str, message: str) -> None:
    text, line = with_line(old, new)
    found = errors(text)
    assert [each for each in found if each.startswith(f"x.yaml:{line}: {message}")] or [
        each
        for each in found
        if each.startswith(f"x.yaml:{line - 1}: {message}")  # a list's own line
    ], found


def test_everything_is_told_at_once() -> None:
    text = (
        SKELETON.replace("role: leaf", "role: leef")
        .replace("delay: 1ms", "delay: 1")
        .replace("tpot: 50ms", "tpto: 1ms")
    )
    assert [line.split(": ")[1] for line in errors(text)] == [
        "switches[0].role",
        "switches[2].role",
        "links[1].delay",
        "services[0].slo.tpot",
        "services[0].slo.tpto",
    ]


def test_keys_sources() -> None:
    text, line = with_line("  - name: acme", "  - {name: acme, keys: [{id: 1, source: secret}]}")
    assert errors(text) == [
        f"x.yaml:{line}: tenants[0].keys[0].source: file:PATH or env:NAME, where the key is; not secret"
    ]


def leaves(data: Any, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [at, *(place for key, value in items for place in leaves(value, (*at, key)))]


DOCUMENT = read((TOPOLOGIES / "enterprise.yaml").read_text(), "enterprise.yaml")


@given(st.sampled_from(leaves(DOCUMENT.data)))
def test_every_value_has_the_line_that_it_is_in(place: tuple[str | int, ...]) -> None:
    line = (TOPOLOGIES / "enterprise.yaml").read_text().splitlines()[DOCUMENT.line(place) - 1]
    inside: Any = DOCUMENT.data
    for part in place:
        inside = inside[part]
    if place and isinstance(place[-1], str):
        assert place[-1] in line
    elif isinstance(inside, str):
        assert inside in line


@given(st.text())
def test_any_text_is_a_model_or_a_problem(text: str) -> None:
    with pytest.raises(ModelError):
        parse(text)


@given(st.integers(0, len(SKELETON)), st.integers(0, 40), st.text(st.characters(codec="ascii"), max_size=8))
def test_any_edit_is_a_model_or_a_problem(begin: int, length: int, new: str) -> None:
    try:
        _, problems = check_text(SKELETON[:begin] + new + SKELETON[begin + length :], "edited.yaml")
    except ModelError as error:
        problems = error.problems
        assert problems
    assert all(str(problem).startswith("edited.yaml:") for problem in problems)


# ---- Files beside it ---------------------------------------------------------------------------------------


def test_problems_between_the_parts_have_lines(tmp_path: Path) -> None:
    text, line = with_line("host: server-2", "host: server-3")
    (tmp_path / "m.yaml").write_text(text)
    model, problems = check_file(tmp_path / "m.yaml")
    assert model.name == "skeleton"
    assert [str(problem) for problem in problems] == [
        f"{tmp_path}/m.yaml:{line}: instances[1].host: there is no host server-3; did you mean server-2?"
    ]


def test_warnings_come_last_and_say_so() -> None:
    text, _ = with_line("zones:\n  - name: campus", "fabric: {mtu: 1500B}\nzones:\n  - name: campus")
    _, problems = check_text(text.replace("profile: small-8b}", "profile: large-8b}"), "x.yaml")
    assert [problem.severity for problem in problems] == [Severity.ERROR, Severity.ERROR, Severity.WARNING]
    assert ": fabric.mtu: warning: hosts' packets" in str(problems[-1])


def key(source: str) -> Key:
    return Key(id=1, source=source)


def test_a_key_is_in_a_file_or_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "k").write_text("00112233445566778899AABBccddeeff\n")
    assert resolve_key(key("file:k"), tmp_path) == bytes.fromhex("00112233445566778899aabbccddeeff")
    assert resolve_key(key(f"file:{tmp_path}/k"), "/") == resolve_key(key("file:k"), tmp_path)
    monkeypatch.setenv("DIN_TEST_KEY", "f" * 32)
    assert resolve_key(key("env:DIN_TEST_KEY"), tmp_path) == b"\xff" * 16


@pytest.mark.parametrize(
    "content", ["", "0" * 31, "0" * 33, "g" * 32, "0x" + "0" * 30, "0" * 16 + "\n" + "0" * 16, "é" * 32]
)
def test_what_is_no_key(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "k").write_text(content)
    with pytest.raises(ValueError, match="file:k holds no key: that is 32 hexadecimal digits"):
        resolve_key(key("file:k"), tmp_path)
    monkeypatch.setenv("DIN_TEST_KEY", content)
    with pytest.raises(ValueError, match="env:DIN_TEST_KEY holds no key") as caught:
        resolve_key(key("env:DIN_TEST_KEY"), tmp_path)
    assert not content or content not in str(caught.value)  # a secret is not shown, even a wrong one


def test_keys_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DIN_TEST_KEY", raising=False)
    with pytest.raises(ValueError, match=r"/k: No such file"):
        resolve_key(key("file:k"), tmp_path)
    with pytest.raises(ValueError, match="DIN_TEST_KEY is not set"):
        resolve_key(key("env:DIN_TEST_KEY"), tmp_path)


def test_files_of_a_model_are_looked_for_beside_it(tmp_path: Path) -> None:
    text, line = with_line(
        "  - name: acme",
        "  - {name: acme, keys: [{id: 1, source: 'file:k'}]}\n"
        "management: {tls: {ca: ca.pem, certificate: c.pem, key: k.pem}}",
    )
    path = tmp_path / "m.yaml"
    path.write_text(text)
    _, problems = check_file(path)
    assert [(problem.line, problem.field, problem.severity) for problem in problems] == [
        (line, "tenants[0].keys[0].source", Severity.ERROR),
        (line + 1, "management.tls.ca", Severity.ERROR),
        (line + 1, "management.tls.certificate", Severity.ERROR),
        (line + 1, "management.tls.key", Severity.ERROR),
    ]
    # Of one without an end the beginning is looked at.
    (tmp_path / "ca.pem").symlink_to("/dev/zero")
    _, problems = check_file(path)
    assert any(problem.message.endswith("ca.pem holds no certificate") for problem in problems)
    (tmp_path / "ca.pem").unlink()
    (tmp_path / "k").write_text("0" * 32)
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    (tmp_path / "c.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
    (tmp_path / "k.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
    _, problems = check_file(path)
    assert [str(problem) for problem in problems] == [
        f"{path}:{line + 1}: management.tls.certificate: {tmp_path}/c.pem holds no certificate; in PEM"
    ]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("steering: {interval: 0}", "steering.interval: greater than or equal to 50000; not 0"),
        ("steering: {stale_after: 0}", "steering.stale_after: greater than 0; not 0"),
    ],
)
def test_what_would_never_end(section: str, message: str) -> None:
    assert [each.partition(": ")[2] for each in errors(f"{SKELETON}\n{section}\n")] == [message]
