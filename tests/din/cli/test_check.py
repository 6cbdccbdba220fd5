# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.din.cli.conftest import Din

_DIN = [sys.executable, "-m", "din.cli"]

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


def test_what_switches_have_no_room_for(din: Din, tmp_path: Path) -> None:
    """Told as all else, with its line; and nothing is sent."""
    watches = "".join("    - {service: chat}\n" for _ in range(1025))
    path = tmp_path / "large.yaml"
    path.write_text(SKELETON.read_text().replace("    - {service: chat}\n", watches))
    number = next(n for n, line in enumerate(path.read_text().splitlines(), 1) if "watch:" in line)
    result = din("check", path)
    assert result.exit_code == 1
    assert f"{path}:{number}: telemetry.watch: " in result.stdout
    assert "1025 entries of watchlist, and the program room for 1024" in result.stdout
    assert din("up", path, "--state", tmp_path / "s").exit_code == 1
    assert not (tmp_path / "s").exists()


def test_a_model_may_come_through_a_pipe() -> None:
    done = subprocess.run(
        [*_DIN, "check", "/dev/stdin"], input=SKELETON.read_bytes(), capture_output=True, check=True
    )
    assert b"no problems" in done.stdout


def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_DIN, *map(str, arguments)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **options
    )


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["", "json"])
def test_a_reader_who_has_gone(options: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = run("check", SKELETON, *options, stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_disk_that_is_full() -> None:
    with open("/dev/full", "w") as full:
        done = run("check", SKELETON, stdout=full)
    assert (done.returncode, done.stderr) == (1, "din: [Errno 28] No space left on device\n")


def test_nobody_to_print_to() -> None:
    done = subprocess.run(["sh", "-c", 'exec "$0" "$@" >&- 2>&-', *_DIN, "check", str(SKELETON)])
    assert done.returncode == 0


def test_letters_that_the_output_has_not(broken: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    broken.write_text(broken.read_text().replace("host: servr-2", "host: server-→"))
    done = run("check", broken, stdout=subprocess.PIPE, env=environment)
    assert (done.returncode, r"not server-\u2192" in done.stdout) == (1, True)


def test_a_state_directory_without_a_name(din: Din) -> None:
    """As of a variable that is not set: it is not the folder that one happens to be in."""
    for command in (("status",), ("up", SKELETON)):
        result = din(*command, "--state", "")
        assert (result.exit_code, "'--state': empty" in result.stderr) == (2, True)
