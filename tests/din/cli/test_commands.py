# SPDX-License-Identifier: Apache-2.0
"""Each command against a controller that answers what we want."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from din.api.schema import ApplyRequest, DrainProgress, DrainRequest, ProblemView, RollbackRequest, Status

from tests.din.cli.conftest import Din
from tests.din.cli.controllers import CHANGES, NO_CHANGES, FakeController, status

SKELETON = Path("topologies/skeleton.yaml")


def test_status(din: Din, state: Path) -> None:
    result = din("status", "--state", state)
    assert result.exit_code == 0
    for words in (
        ("pair", "revision 7", "1 h 2 min", "primary"),
        ("leaf-1", "programmed", "1,149"),
        ("leaf-2", "not connected: connection refused", "1, 2"),
        ("leaf-1:1", "leaf-2:2", "up", "2 ms", "+150 us", "miswired: spine-1:4"),
        ("chat-1", "alive", "3", "25%"),
        ("chat-2", "dead: no answer"),
        ("chat-3", "drained"),
        ("http://chat.din.example:8000/v1", "1 of 2"),
        ("1,234", "5 lost"),
    ):
        assert any(all(word in line for word in words) for line in result.stdout.splitlines()), words


def test_read_commands_have_json(din: Din, state: Path) -> None:
    found = json.loads(din("status", "--state", state, "--json").stdout)
    assert Status.model_validate(found) == status()
    assert json.loads(din("plan", "--state", state, "--json").stdout)["decisions"][0]["leaf"] == "leaf-1"
    explained = json.loads(din("explain", "chat", "--from", "leaf-1", "--state", state, "--json").stdout)
    assert explained[0]["rejected"][0]["constraint"] == "zone"
    assert json.loads(din("diff", "--state", state, "--json").stdout) == CHANGES.model_dump()
    assert [
        each["number"] for each in json.loads(din("rollback", "--list", "--state", state, "--json").stdout)
    ] == [6, 7]


def test_plan(din: Din, state: Path) -> None:
    line = next(each for each in din("plan", "--state", state).stdout.splitlines() if "chat-1" in each)
    for word in ("75%", "leaf-1 → core-1 → leaf-2", "leaf-2 → core-2 → leaf-1", "29 ms"):
        assert word in line


def test_explain_shows_both_ways_and_what_was_rejected(
    din: Din, state: Path, controller: FakeController
) -> None:
    result = din("explain", "chat", "--from", "leaf-1", "--state", state)
    assert controller.asked == [("chat", "leaf-1")]
    lines = [line.strip() for line in result.stdout.splitlines()]
    assert lines[:4] == [
        "chat from leaf-1, tenant acme, class interactive, labelled secret",
        "75% chat-1 (llama-8b), 29 ms expected: network 8 ms, queue 1 ms, compute 20 ms",
        "request   leaf-1 → core-1 → leaf-2  (3 ms by its links, 3.45 ms measured; cost 2, MTU 9000)",
        "response  leaf-2 → core-2 → leaf-1  (5 ms by its links; cost 1.5)",
    ]
    assert lines[4].startswith("25% chat-2")
    assert any("keeps what it has" in line and "chat-4" in line for line in lines)
    assert any(line.split() == ["chat-3", "zone", "cloud", "is", "not", "campus"] for line in lines)


def test_explain_needs_to_know_from_where(din: Din, state: Path) -> None:
    assert din("explain", "chat", "--state", state).exit_code == 2


def test_apply_sends_the_text_and_shows_the_blast_radius(
    din: Din, state: Path, controller: FakeController
) -> None:
    result = din("apply", SKELETON, "--state", state)
    assert result.exit_code == 0
    (request,) = controller.asked
    assert isinstance(request, ApplyRequest)
    assert request.model.text == SKELETON.read_text()
    assert request.model.file == str(SKELETON.absolute())
    assert (request.yes, request.dry_run) == (False, False)
    assert any(
        line.split() == ["leaf-1", "paths", "3", "2", "1", "40"] for line in result.stdout.splitlines()
    )
    assert "members" not in result.stdout
    assert "revision 8 is in force" in result.stdout


def test_apply_options(din: Din, state: Path, controller: FakeController) -> None:
    result = din("apply", SKELETON, "--yes", "--dry-run", "--state", state)
    assert (controller.asked[0].yes, controller.asked[0].dry_run) == (True, True)
    assert "stays in force: nothing was changed" in result.stdout


def test_a_refusal_is_explained(din: Din, state: Path, controller: FakeController) -> None:
    controller.refuse(
        409,
        "this would delete much. If that is meant, say --yes",
        changes=CHANGES,
        problems=[ProblemView(file="m.yaml", line=3, field="links[0]", message="too short")],
    )
    result = din("apply", SKELETON, "--state", state)
    assert result.exit_code == 3
    assert result.stdout == ""
    assert "m.yaml:3: links[0]: too short" in result.stderr
    assert "paths" in result.stderr
    assert "say --yes" in result.stderr


def test_apply_of_a_wrong_model_asks_nobody(
    din: Din, state: Path, controller: FakeController, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(SKELETON.read_text().replace("leaf: leaf-2", "leaf: leaf-9"))
    result = din("apply", wrong, "--state", state)
    assert (result.exit_code, controller.asked) == (1, [])
    assert f"{wrong}:" in result.stderr


def test_apply_of_what_can_be_read_once(din: Din, state: Path, controller: FakeController) -> None:
    reader, writer = os.pipe()
    os.write(writer, SKELETON.read_bytes())
    os.close(writer)
    assert din("apply", f"/dev/fd/{reader}", "--state", state).exit_code == 0
    os.close(reader)
    assert controller.asked[0].model.text == SKELETON.read_text()


def test_up_needs_a_file_that_stays(din: Din, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    result = din("up", tmp_path / "pipe", "--state", tmp_path / "s")
    assert (result.exit_code, "no regular file" in result.stderr) == (2, True)


def test_diff_says_whether_there_is_a_difference(din: Din, state: Path, controller: FakeController) -> None:
    result = din("diff", "--state", state)
    assert result.exit_code == 1
    assert result.stdout.startswith(
        "+ leaf-1: paths[target=3] via\n- leaf-1: paths[target=4] via\nand 4 more\n"
    )
    controller.changes = NO_CHANGES
    same = din("diff", SKELETON, "--state", state)
    assert (same.exit_code, same.stdout) == (0, "no entry of any switch changes\n")
    assert controller.asked[1].text == SKELETON.read_text()


def test_a_switch_that_cannot_be_read_may_differ(din: Din, state: Path, controller: FakeController) -> None:
    controller.changes = NO_CHANGES.model_copy(update={"unreachable": ["leaf-2"]})
    result = din("diff", "--state", state)
    assert result.exit_code == 1
    assert "cannot be read: leaf-2" in result.stdout


def test_rollback(din: Din, state: Path, controller: FakeController) -> None:
    assert "revision 9 is in force" in din("rollback", "6", "--yes", "--state", state).stdout
    din("rollback", "--state", state)
    assert controller.asked == [RollbackRequest(revision=6, yes=True), RollbackRequest()]
    listed = din("rollback", "--list", "--state", state).stdout.splitlines()
    assert any(line.split()[:2] == ["→", "7"] for line in listed)
    assert len(controller.asked) == 2
    assert din("rollback", "6", "--list", "--state", state).exit_code == 2


def test_drain(din: Din, state: Path, controller: FakeController) -> None:
    result = din("drain", "chat-1", "--deadline", "90s", "--state", state)
    assert controller.asked == [DrainRequest(instance="chat-1", deadline=90.0)]
    assert result.stdout == (
        "chat-1 is drained: no connection is left after 1.5 s. din undrain chat-1 takes it back\n"
    )


def test_drain_says_what_it_cut(din: Din, state: Path, controller: FakeController) -> None:
    controller.drained[-1] = DrainProgress(instance="chat-1", in_flight=2, elapsed=60.2, state="cut", cut=2)
    result = din("drain", "chat-1", "--state", state)
    assert result.exit_code == 0
    assert "2 connections cut off after 60 s" in result.stdout
    controller.drained[-1] = DrainProgress(instance="chat-1", in_flight=None, elapsed=0.1, state="cut")
    assert "whatever it had is cut off" in din("drain", "chat-1", "--state", state).stdout


def test_a_drain_may_be_refused(din: Din, state: Path, controller: FakeController) -> None:
    controller.refuse(409, "chat-1 is the last instance of chat that takes connections")
    result = din("drain", "chat-1", "--state", state)
    assert result.exit_code == 3
    assert "the last instance" in result.stderr
    assert din("drain", "chat-1", "--deadline", "soon", "--state", state).exit_code == 2


def test_a_drain_that_is_not_waited_for_is_none(din: Din, state: Path, controller: FakeController) -> None:
    del controller.drained[-1]
    result = din("drain", "chat-1", "--state", state)
    assert (result.exit_code, "may not be drained" in result.stderr) == (4, True)


def test_a_drain_that_somebody_ends(din: Din, state: Path, controller: FakeController) -> None:
    controller.drained[-1] = DrainProgress(instance="chat-1", in_flight=2, elapsed=3.0, state="undrained")
    for options in ((), ("--json",)):
        result = din("drain", "chat-1", "--state", state, *options)
        assert (result.exit_code, "is drained" in result.stdout) == (1, False)
        assert "was taken back meanwhile" in result.stderr


def test_undrain(din: Din, state: Path, controller: FakeController) -> None:
    assert din("undrain", "chat-1", "--state", state).exit_code == 0
    assert controller.asked == ["chat-1"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("plan",),
        ("explain", "chat", "--from", "leaf-1"),
        ("apply", SKELETON),
        ("diff",),
        ("rollback",),
        ("drain", "chat-1"),
        ("undrain", "chat-1"),
        ("shell", "leaf-1"),
        ("run", "client", "--", "true"),
        ("down",),
    ],
    ids=lambda arguments: arguments[0],
)
def test_nothing_is_running(din: Din, tmp_path: Path, arguments: tuple[object, ...]) -> None:
    assert din(*arguments[:1], "--state", tmp_path, *arguments[1:]).exit_code == 4
    nowhere = din(*arguments)
    assert nowhere.exit_code == 4
    assert "din up FILE" in nowhere.stderr


def test_a_controller_that_has_gone(din: Din, tmp_path: Path) -> None:
    (tmp_path / "controller.sock").touch()
    assert din("status", "--state", tmp_path).exit_code == 4


def test_what_was_not_started_here_is_not_ended_here(din: Din, state: Path) -> None:
    assert "was not started by din up" in din("down", "--state", state).stderr
    assert "not emulated here" in din("run", "--state", state, "client", "--", "true").stderr
