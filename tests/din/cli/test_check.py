# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.din.cli.conftest import Din

TOPOLOGIES = sorted(Path("topologies").glob("*.yaml"))
SKELETON = Path("topologies/skeleton.yaml")


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """Two errors; the second is an unknown host, in the line of chat-2."""
    text = (
        SKELETON.read_text()
        .replace("10.1.0.10/24", "10.9.0.10/24")
        .replace("host: server-2", "host: servr-2")
    )
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("file", TOPOLOGIES, ids=lambda path: path.stem)
def test_topologies_have_no_errors(din: Din, file: Path) -> None:
    assert din("check", file).exit_code == 0


def test_a_good_model_is_summed_up(din: Din) -> None:
    result = din("check", SKELETON)
    assert (
        result.stdout.strip()
        == f"{SKELETON}: no problems; 3 switches, 2 links, 4 hosts, 1 service, 2 model servers"
    )


def test_all_problems_are_told_with_file_line_and_field(din: Din, broken: Path) -> None:
    result = din("check", broken)
    assert result.exit_code == 1
    number = next(n for n, line in enumerate(broken.read_text().splitlines(), 1) if "servr-2" in line)
    assert f"{broken}:{number}: instances[1].host: " in result.stdout
    assert "hosts[0].addresses[0]: 10.9.0.10" in result.stdout
    assert "2 errors" in result.stderr


def test_json_has_the_same(din: Din, broken: Path) -> None:
    result = din("check", broken, "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert not found["ok"]
    assert {each["field"] for each in found["problems"]} == {"instances[1].host", "hosts[0].addresses[0]"}
    assert all(each["severity"] == "error" and each["line"] > 0 for each in found["problems"])
    assert json.loads(din("check", SKELETON, "--json").stdout) == {"ok": True, "problems": []}


def test_a_file_without_form_and_one_that_is_not_there(din: Din, tmp_path: Path) -> None:
    odd = tmp_path / "odd.yaml"
    odd.write_text("- nothing\n")
    assert din("check", odd).exit_code == 1
    missing = din("check", tmp_path / "missing.yaml")
    assert missing.exit_code == 1
    assert "missing.yaml" in missing.stdout


def test_names(din: Din, broken: Path) -> None:
    assert "10.100.0.1\tchat.din.example\n" in din("check", SKELETON, "--hosts").stdout
    zone = din("check", SKELETON, "--zone", "din.example").stdout
    assert "$ORIGIN din.example.\n" in zone
    assert "chat\tIN\tA\t10.100.0.1\n" in zone
    # What is for another program gets nothing of the errors.
    wrong = din("check", broken, "--hosts")
    assert (wrong.exit_code, wrong.stdout) == (1, "")
    assert "servr-2" in wrong.stderr


@pytest.mark.parametrize("arguments", [("--zone", "..."), ("--hosts", "--json"), ("--nothing",)])
def test_a_command_line_without_sense(din: Din, arguments: tuple[str, ...]) -> None:
    result = din("check", SKELETON, *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
