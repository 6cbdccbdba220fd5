# SPDX-License-Identifier: Apache-2.0
"""A controller, four switches, three model servers and their clients, as processes and network namespaces of
this machine, with mutual TLS between controller and switches. What is done to them is in `scenarios`, all in
one bring-up; here is what must have come of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from din.emulation import sandbox
from din.p4rt.fleet import PATIENCE

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
#: Seconds, of all scenarios.
_LONGEST = 300
Seen = dict[str, Any]


@pytest.fixture(scope="module")
def all_seen() -> Seen:
    # A Unix socket's path is short.
    with tempfile.TemporaryDirectory(prefix="din") as folder:
        state, result, log = Path(folder), Path(folder) / "seen.json", Path(folder) / "log"
        argv = [sys.executable, "-m", "tests.din.controller.scenarios"]
        with log.open("w") as output:
            box = sandbox.start(
                [*argv, str(HERE / "two-ways.yaml"), str(state), str(result)],
                cwd=ROOT,
                stdout=output,
                stderr=output,
            )
            with box:
                try:
                    box.process.wait(_LONGEST)
                except subprocess.TimeoutExpired:
                    pytest.fail(f"longer than {_LONGEST} s: {log.read_text()}")
        if not result.exists():
            pytest.fail(f"{log.read_text()}\n{_tail(state / 'controller.log')}")
        found: Seen = json.loads(result.read_text())
        print(log.read_text())
        return found


def _tail(file: Path) -> str:
    return "\n".join(file.read_text().splitlines()[-30:]) if file.exists() else ""


@pytest.fixture
def seen(all_seen: Seen) -> Callable[[str], Seen]:
    def of(scenario: str) -> Seen:
        found: Seen = all_seen[scenario]
        if "failed" in found:
            pytest.fail(found["failed"])
        return found

    return of


def lost(all_seen: Seen, begin: float, end: float) -> int:
    """Datagrams between two hosts, of 500 a second, sent then and not received."""
    return sum(begin <= at <= end for at in all_seen["lost"])


def failures(connections: list[Seen], since: float) -> list[float]:
    """Of connections that were begun after ``since``: how long after, each that failed."""
    return [each["at"] - since for each in connections if each["at"] > since and each["error"]]


# ---- the process -----------------------------------------------------------------------------------------


def test_switches_answer_to_our_certificate_alone(seen: Callable[[str], Seen]) -> None:
    found = seen("intruders")
    stranger, own = found["answers"]
    assert found["tls"]
    assert stranger != "answered"
    assert own == "answered"


@pytest.mark.parametrize("how", ["terminated", "killed"])
def test_a_restart_changes_no_entry_and_loses_no_packet(
    seen: Callable[[str], Seen], all_seen: Seen, how: str
) -> None:
    found = seen("restarts")[how]
    assert found["differences"] == []
    # It was looked at, and more than once.
    assert found["readings"] > 5
    assert lost(all_seen, *found["window"]) == 0
    before, after = found["drained"]
    assert before == after
    # Though somebody watches a drain.
    assert found["stopped"] < 5.0
    print(f"{how}: every switch held all again after {found['settled']:.1f} s")


def test_moves_under_way_go_on_after_a_restart(seen: Callable[[str], Seen]) -> None:
    found = seen("restarts")
    assert found["moving"] > 100
    assert found["terminated"]["drained"][0] == [found["name"]]


def test_streams_do_not_notice_restarts(seen: Callable[[str], Seen]) -> None:
    streams = seen("restarts")["streams"]
    assert [each["error"] for each in streams] == [""] * 4
    assert [each["tokens"] for each in streams] == [430] * 4
    gap = max(each["gap"] for each in streams)
    print(f"longest gap in a stream while the controller was restarted: {gap * 1e3:.0f} ms")
    assert gap < 0.5


# ---- revisions -------------------------------------------------------------------------------------------


def test_an_edit_of_one_service_touches_only_its_entries(seen: Callable[[str], Seen]) -> None:
    found = seen("edits")
    assert found["changed"]
    assert found["of_chat"] == []
    assert {each.partition(":")[0] for each in found["changed"]} == {"leaf-1", "leaf-2"}
    # All that changed is of assist's address, in one table or another.
    assert all("20010db8010000000000000000000002" in each for each in found["changed"])
    assert found["said"] == len(found["changed"])
    print(f"an edit took {found['seconds'] * 1e3:.0f} ms")


def test_rollback_restores_exactly_what_was(seen: Callable[[str], Seen]) -> None:
    found = seen("edits")
    assert found["restored"] == []
    applied, back, current = found["revisions"]
    assert applied < back == current


def test_an_instance_leaves_and_comes_back(seen: Callable[[str], Seen]) -> None:
    found = seen("edits")
    assert found["left"] == [200, ""]
    assert found["buckets_left"] == 0
    assert found["back"] == [200, ""]
    assert found["after_back"] == []


def test_a_wrong_model_changes_nothing_and_is_told_by_line(seen: Callable[[str], Seen]) -> None:
    found = seen("refusals")
    status, refusal = found["wrong"]
    assert status == 422
    assert [each["line"] for each in refusal["problems"]] == [found["line"]] * 2
    assert "server-9" in refusal["problems"][0]["message"]
    status, refusal = found["not_yaml"]
    assert status == 422
    assert refusal["problems"][0]["line"] == 1
    assert found["unknown"][0] == 404
    assert found["touched"] == []
    before, after = found["revisions"]
    assert before == after


def test_much_is_deleted_only_if_that_is_meant(seen: Callable[[str], Seen]) -> None:
    found = seen("refusals")
    status, refusal = found["mass"]
    assert status == 409
    assert "leaf-1" in refusal["changes"]["mass_deletion"]
    assert refusal["changes"]["mass_deletion"] in refusal["error"]
    status, dry = found["dry"]
    assert status == 200
    assert dry["changes"]["tables"] == refusal["changes"]["tables"]
    assert found["meant"][0] == 200
    assert found["left"] == []
    assert found["back"][0] == 200
    assert found["restored"] == []


def test_two_revisions_at_once_do_not_mix(seen: Callable[[str], Seen]) -> None:
    found = seen("races")
    assert found["differ"] > 5
    assert [each["mixed"] for each in found["rounds"]] == [[]] * len(found["rounds"])


# ---- instances -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["hung", "killed"])
def test_a_dead_instance_is_out_in_two_seconds(seen: Callable[[str], Seen], how: str) -> None:
    found = seen("deaths")[how]
    assert found["known"] < 2.0
    assert "/health" in found["reason"]
    connections, at = found["connections"], found["at"]
    # It was in use.
    assert any(each["instance"] == "chat-2" for each in connections if each["at"] < at)
    assert failures(connections, at)
    last = max(failures(connections, at))
    print(f"{how}: known to be dead after {found['known']:.2f} s, last failed connection {last:.2f} s")
    assert last < 2.0
    late = [each for each in connections if each["at"] > at + 2.0]
    assert {each["instance"] for each in late} <= {"chat-1"}
    assert found["alive_again"] < 5.0
    assert found["reached_again"] < 10.0


@pytest.mark.parametrize("how", ["hung", "killed"])
def test_connections_of_a_dead_instance_end(seen: Callable[[str], Seen], how: str) -> None:
    held = seen("deaths")[how]["held"]
    its = [each for each in held if each["instance"] == "chat-2"]
    others = [each for each in held if each["instance"] == "chat-1"]
    assert its
    assert all(each["error"] and each["seconds"] < 1.0 for each in its)
    assert all(each["answered"] == "chat-1" for each in others)


def test_without_the_management_network_servers_live_on(seen: Callable[[str], Seen]) -> None:
    found = seen("no_management")
    assert found["told"] < 2.0
    assert len(found["alive"]) > 5
    assert all(each == [True] * 3 for each in found["alive"])
    assert [each["error"] for each in found["streams"]] == [""] * 4
    assert {each["tokens"] for each in found["streams"]} == {150}
    assert found["differences"] == []
    assert found["metrics"].count('din_instance_watched{instance="') == 3
    assert 'din_instance_watched{instance="chat-1",service="chat",variant="llama-8b"} 0.0' in found["metrics"]
    assert [each for each in found["connections"] if each["at"] < -0.5 and each["error"]] == []


def test_without_the_management_network_one_that_dies_is_out_in_two_seconds(
    seen: Callable[[str], Seen],
) -> None:
    found = seen("no_management")
    assert "none answered" in found["reason"]
    last = max(failures(found["connections"], 0.0))
    print(f"without probes: out after {found['out']:.2f} s, last failed connection {last:.2f} s")
    assert found["out"] < 2.0
    assert last < 2.0
    assert found["back"] < 10.0


def test_a_drain_waits_for_streams_and_takes_no_connection(seen: Callable[[str], Seen]) -> None:
    found = seen("drains")
    name = found["name"]
    its = [each for each in found["streams"] if each["instance"] == name]
    assert its
    assert [each["error"] for each in found["streams"]] == [""] * 6
    assert {each["tokens"] for each in found["streams"]} == {110}
    assert found["progress"][0]["state"] == "draining"
    assert found["progress"][-1]["state"] == "drained"
    # Not before they were done.
    assert found["drained"] > max(each["ended"] for each in its)
    while_draining = [
        each for each in found["connections"] if found["began"] + 0.5 < each["at"] < found["drained"]
    ]
    assert while_draining
    assert name not in {each["instance"] for each in while_draining}
    assert [each["error"] for each in while_draining] == [""] * len(while_draining)
    assert found["reached_again"] < 5.0


def test_at_its_deadline_a_drain_cuts_what_is_left_and_says_how_much(seen: Callable[[str], Seen]) -> None:
    found = seen("drains")["deadline"]
    last = found["progress"][-1]
    assert last["state"] == "cut"
    assert last["cut"] == found["on_it"]
    ended = [each for each in found["ended"] if each["instance"] == found["name"]]
    assert len(ended) == found["on_it"]
    assert all(each["error"] and each["ended"] - found["cut"] < 2.0 for each in ended)


def test_the_last_instance_is_not_drained(seen: Callable[[str], Seen]) -> None:
    found = seen("drains")
    assert found["last"][0] == 409
    assert "last instance" in found["last"][1]["error"]
    assert found["nobody"][0] == 404
    assert found["drained_after"] == []


# ---- network ---------------------------------------------------------------------------------------------


def test_streams_live_through_a_link_that_fails(seen: Callable[[str], Seen], all_seen: Seen) -> None:
    found = seen("link_fails")
    assert [each["error"] for each in found["streams"]] == [""] * 6
    assert {each["tokens"] for each in found["streams"]} == {220}
    gaps = sorted(each["gap"] for each in found["streams"])
    gone = lost(all_seen, found["down"] - 0.1, found["up"])
    print(
        f"link down: longest gaps of the streams {', '.join(f'{each * 1e3:.0f}' for each in gaps)} ms; "
        f"{gone} datagrams of 500 a second lost; all switches reprogrammed within "
        f"{found['programmed'] * 1e3:.0f} ms ({found['changed']} entries)"
    )
    assert gaps[-1] < 1.0
    # The new way does not wait for the controller.
    assert gone < 500 * 0.5
    assert found["changed"] > 0
    assert found["programmed"] < 1.0


def test_streams_live_through_a_moment_without_any_way(seen: Callable[[str], Seen]) -> None:
    found = seen("no_way")
    assert [each["error"] for each in found["streams"]] == [""] * 4
    assert {each["tokens"] for each in found["streams"]} == {110}
    # They did notice.
    assert min(each["gap"] for each in found["streams"]) > 0.8
    assert found["buckets"] == []


def test_a_link_that_is_full_is_not_taken_for_dead(seen: Callable[[str], Seen]) -> None:
    """The controller's probes of links go before all that waits."""
    assert seen("full_link")["down"] == []


def test_a_switch_that_comes_back_empty_is_filled_and_forwards(
    seen: Callable[[str], Seen], all_seen: Seen
) -> None:
    found = seen("switch_dies")
    resumed = max(all_seen_before(all_seen, found["served_at"])) - found["started"]
    print(
        f"switch back: filled after {found['refilled']:.1f} s, last datagram lost after {resumed:.1f} s, "
        f"a connection answered after {found['served']:.1f} s"
    )
    assert found["differences"] == []
    assert lost(all_seen, found["died"], found["started"]) > 100
    assert found["refilled"] < 6.0
    assert found["served"] < 10.0


def all_seen_before(all_seen: Seen, end: float) -> list[float]:
    return [at for at in all_seen["lost"] if at < end]


def test_a_switch_that_cannot_be_reached_delays_nobody(seen: Callable[[str], Seen]) -> None:
    found = seen("switch_dies")
    assert found["unreachable"] == ["leaf-2"]
    # Its own write would be given up after 10 s.
    assert found["elsewhere"] < 5.0
    found = seen("switch_hangs")
    assert found["waits"]
    assert found["others"] < 5.0
    assert found["steered"] < 1.0
    # It waits for what the switch has, as long as for any that does not answer.
    assert found["applied"] < PATIENCE + 1.0


# ---- who may write ---------------------------------------------------------------------------------------


def test_a_controller_of_a_higher_term_takes_over_and_leaves(seen: Callable[[str], Seen]) -> None:
    found = seen("another_controller")
    assert all("another controller's, in term 1000" in each for each in found["errors"])
    status, answer = found["apply"]
    assert status == 200
    assert answer["changes"]["unreachable"] == ["core-1", "core-2", "leaf-1", "leaf-2"]
    # It writes nothing while it is backup,
    assert found["written"] == []
    # and is primary again by itself.
    assert found["regained"] < 5.0
    assert found["differences"] == []
    # What it has moved, with its connections, stays where it is.
    assert found["moves"] == 2
    assert found["undone"] == []
