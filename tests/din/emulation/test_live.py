# SPDX-License-Identifier: Apache-2.0
"""Emulations as they are: see `live` for what is done to them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from din.model.check import check

from tests.din.emulation.live import model
from tests.din.emulation.outside import WITHOUT_CAPABILITIES
from tests.p4jit.differential.bmv2 import available

ROOT = Path(__file__).parents[3]
RUN = "import sys; from din.emulation import sandbox; sys.exit(sandbox.run([sys.executable, *sys.argv[1:]]))"


def live(what: str, target: str, folder: Path, prefix: Sequence[str] = ()) -> dict[str, Any]:
    program = ("-m", "tests.din.emulation.live", what, target, str(folder))
    command = [*prefix, sys.executable, "-c", RUN, *program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module", params=["p4jit", "bmv2"])
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    target: str = request.param
    if target == "bmv2" and (missing := available()) is not None:
        pytest.skip(missing)
    return {"target": target} | live("everything", target, tmp_path_factory.mktemp(target))


def test_it_starts_and_says_how_far_it_is(seen: dict[str, Any]) -> None:
    assert seen["start"]["steps"] == [
        ["hosts and links", 0, 1],
        ["hosts and links", 1, 1],
        ["switches", 1, 2],
        ["switches", 2, 2],
    ]
    assert seen["addresses"].keys() == {"leaf1", "leaf2"}


def test_links_are_as_the_model_has_them(seen: dict[str, Any]) -> None:
    assert seen["mtu"] == {"leaf1-eth1": 9000, "leaf2-eth1": 9000, "leaf1-eth65": 1500}
    assert len(set(seen["mac"].values())) == 2


def test_the_kernel_says_nothing_on_switches_ports(seen: dict[str, Any]) -> None:
    assert seen["kernel's own addresses"] == []


def test_a_collector_is_in_the_switches_namespace_without_a_route(seen: dict[str, Any]) -> None:
    assert seen["collector"] == ["10.2.0.9/32"]


def test_an_instance_has_the_services_addresses(seen: dict[str, Any]) -> None:
    assert {"10.200.0.1/32", "2001:db8:200::1/128"} < set(seen["lo of b"].split())


def test_hosts_have_their_leaf_for_a_router(seen: dict[str, Any]) -> None:
    assert "default via 10.1.0.1 dev a-eth0" in seen["routes of a"]
    assert "default via 2001:db8:1::1 dev a-eth0" in seen["routes of a"]


def test_services_have_names_and_nobody_waits_for_a_resolver(seen: dict[str, Any]) -> None:
    service, nobody = seen["names"]
    assert {"10.200.0.1", "2001:db8:200::1"} < set(service.split())
    assert nobody == ""
    # A name server that does not answer is given five seconds.
    assert seen["resolving"] < 4


def test_hosts_reach_the_controller_beside_the_fabric(seen: dict[str, Any]) -> None:
    assert seen["management"]["received"] == 3
    assert seen["management"]["shortest"] < 5


def test_hosts_reach_each_other_over_links_that_take_their_time(seen: dict[str, Any]) -> None:
    for ping in seen["ping"]:
        assert ping["received"] == 3
        # 2 ms of the wire and 5 ms of the link, there and back.
        assert 14 <= ping["shortest"] < 28


def test_hosts_frames_pass_whole(seen: dict[str, Any]) -> None:
    assert seen["large"]["received"] == 3


def test_checksums_are_real(seen: dict[str, Any]) -> None:
    assert seen["frame"] == {"length": 1042, "true": True}


def test_a_link_fails_and_is_mended(seen: dict[str, Any]) -> None:
    if seen["target"] == "p4jit":
        assert seen["down"] == [{"port": 1, "up": False}] * 2
        assert seen["up"] == [{"port": 1, "up": True}] * 2
    assert seen["reached without the link"] is False
    assert seen["reached with it"] is True


def test_a_switch_fails_and_comes_again_empty(seen: dict[str, Any]) -> None:
    assert seen["running"] == [True, False]
    if seen["target"] == "p4jit":
        assert seen["neighbour"] == {"port": 1, "up": False}
    assert seen["failures of what was stopped"] == []
    assert seen["entries after"] == 0
    assert seen["reached again"] is True


def test_a_link_can_be_filled(seen: dict[str, Any]) -> None:
    # A busy machine sends less than 20 Mbit/s, never more.
    assert 1e6 < seen["congested"] < 23e6
    assert seen["calm"] < seen["congested"] / 2


def test_what_cannot_be_is_refused(seen: dict[str, Any]) -> None:
    *ours, unanswered, incomplete = seen["refused"]
    assert ours == [
        "there is no link between leaf1 and nowhere",
        "there is no link between leaf1:9 and leaf2",
        "leaf1:x: x is no port's number",
        "there is no host nobody",
        "'../x' is no name for a log",
        "there is no switch b",
        "switch leaf1 runs already",
        "there is no instance nobody",
        "there is no host nobody",
    ]
    assert unanswered.startswith("instance chat-b was not slowed down: ")
    assert incomplete == "a failed-link event needs link"


def test_a_switch_that_ends_by_itself_is_told(seen: dict[str, Any]) -> None:
    assert seen["failures"] == seen["crashes"]
    (crash,) = seen["crashes"]
    assert crash.startswith("switch leaf1 ended by signal 9 (")
    assert "Adding interface leaf1-eth1 as port 1" in crash  # the end of its log


def test_nothing_is_left_in_the_namespace(seen: dict[str, Any]) -> None:
    assert seen["left"] == ["lo"]


def test_a_fabric_of_1500_bytes_and_no_privileges(tmp_path: Path) -> None:
    seen = live("narrow", "p4jit", tmp_path, WITHOUT_CAPABILITIES if os.geteuid() == 0 else ())
    assert seen["mtu"] == [1500, 1500]
    assert seen["fits"]["received"] == 3
    assert seen["does not"]["received"] == 0


@pytest.mark.parametrize("target", ["p4jit", "bmv2"])
def test_the_switches_serve_in_scripts_of_others(target: str, tmp_path: Path) -> None:
    if target == "bmv2" and (missing := available()) is not None:
        pytest.skip(missing)
    assert live("script", target, tmp_path) == {
        "connected": True,
        "ports": [1, 2],
        "entries": 0,
        "folder": False,
        "lost on a segment": 0.0,
        "left": ["lo"],
    }


def test_the_model_has_no_mistakes() -> None:
    assert check(model()) == []
