# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from din.cli.errors import CommandError
from din.cli.find import find
from din.testbed import networks

_HOLD = """\
import sys, time; from pathlib import Path; from din.testbed import networks
state = Path(sys.argv[1]); networks.hold(state)
note = networks.Note(model=sys.argv[2], file="m.yaml", target="p4jit", started=0, ready=True)
networks.write_note(state, note)
print(flush=True); sys.stdin.read()
"""


@contextmanager
def keeping(state: Path, model: str) -> Iterator[subprocess.Popen[bytes]]:
    """Somebody keeps a network up there."""
    networks.make(state)
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(state), model], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process
        process.kill()


def test_state_is_where_xdg_has_it(short: Path) -> None:
    assert networks.base({"XDG_STATE_HOME": "/var/state"}) == Path("/var/state/din-fabric")
    usual = Path.home() / ".local/state/din-fabric"
    assert networks.base({}) == networks.base({"XDG_STATE_HOME": "not/absolute"}) == usual
    assert networks.default_state("pair") == short / "xs/din-fabric/pair"


def test_a_path_too_long_for_sockets_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    long = Path("/tmp") / ("x" * 80)
    monkeypatch.setenv("XDG_STATE_HOME", str(long))
    assert networks.default_state("pair") == Path(f"/tmp/din-{os.geteuid()}-pair")
    with pytest.raises(networks.NetworkError, match="too long"):
        networks.make(long)
    assert not long.exists()


def test_state_is_for_its_owner_alone(short: Path) -> None:
    networks.make(short / "a/b")
    assert (short / "a/b").stat().st_mode & 0o777 == 0o700
    (short / "file").touch()
    with pytest.raises(networks.NetworkError, match="file"):
        networks.make(short / "file")


def test_who_holds_it_is_known_until_it_ends(short: Path) -> None:
    state = short / "held"
    assert networks.holder(state) is None
    with keeping(state, "pair") as process:
        assert networks.holder(state) == process.pid
        with pytest.raises(networks.NetworkError, match="up already"):
            networks.hold(state)
        network = networks.at(state)
        assert network is not None
        assert (network.name, network.keeper) == ("pair", process.pid)
        process.kill()
        process.wait()
        assert networks.holder(state) is None
        assert networks.at(state) is None


def test_networks_are_found_wherever_their_state_is(short: Path) -> None:
    elsewhere = short / "elsewhere"
    assert networks.running() == []
    with keeping(networks.default_state("b"), "b"):
        with keeping(elsewhere, "a") as process:
            assert [each.name for each in networks.running()] == ["a", "b"]
            assert find(None, "a").state == elsewhere
            with pytest.raises(CommandError, match="several networks are up") as refused:
                find(None, None)
            assert refused.value.status == 2
            with pytest.raises(CommandError, match=r"state in .*elsewhere is a") as refused:
                find(elsewhere, "b")
            assert refused.value.status == 2
            with pytest.raises(CommandError, match=r"no network c is up \(there is a, b\)"):
                find(None, "c")
            process.kill()
        assert [each.name for each in networks.running()] == ["b"]
        assert find(None, None).state == networks.default_state("b")
        # What was killed could not take its link away.
        assert list((networks.base() / ".elsewhere").iterdir()) == []


def test_a_network_whose_controller_is_away(short: Path) -> None:
    with (
        keeping(short, "pair"),
        pytest.raises(CommandError, match="its controller does not answer now") as refused,
        find(short, None).client() as client,
    ):
        client.status()
    assert refused.value.status == 4


def test_one_that_is_coming_up_has_no_controller_yet(short: Path) -> None:
    with keeping(short, "pair"):
        note = networks.Note(model="pair", file="m.yaml", target="p4jit", started=time.time())
        networks.write_note(short, note)
        with pytest.raises(CommandError, match="coming up"):
            find(short, None).client().__enter__()
        with pytest.raises(CommandError, match="coming up"):
            find(short, None).init()
