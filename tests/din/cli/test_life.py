# SPDX-License-Identifier: Apache-2.0
"""A real network, from ``din up`` to its end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from din.api.schema import Status
from din.cli import shell_environment
from din.cli.errors import CommandError
from din.cli.find import find
from din.testbed import networks

from tests.din.cli.conftest import Din, processes, until

SKELETON = Path("topologies/skeleton.yaml")
_DIN = (sys.executable, "-m", "din.cli")


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture(scope="module")
def metrics() -> str:
    return free_address()


@pytest.fixture(scope="module")
def network(short: Path, din: Din, metrics: str) -> Iterator[networks.Network]:
    """The skeleton, up; the test that wants it last takes it down."""
    result = din("up", SKELETON, "--metrics", metrics)
    assert result.exit_code == 0, result.stderr
    assert "din run client -- curl" in result.stdout
    (found,) = networks.running()
    assert found.state == short / "xs/din-fabric/skeleton"
    yield found
    din("down")


def test_up_again_says_that_it_is(din: Din, network: networks.Network, tmp_path: Path) -> None:
    again = din("up", SKELETON)
    assert (again.exit_code, "already up" in again.stdout) == (0, True)
    other = tmp_path / "other.yaml"
    other.write_text(SKELETON.read_text())
    refused = din("up", other)
    assert (refused.exit_code, "din apply" in refused.stderr) == (3, True)


def test_status(din: Din, network: networks.Network) -> None:
    found = json.loads(din("status", "--json").stdout)
    status = Status.model_validate(found)
    assert all(each.primary and not each.pending for each in status.switches)
    assert all(each.alive for each in status.instances)
    assert set(found["hosts"]) == {"client", "collector", "server-1", "server-2"}
    assert found["failures"] == []
    assert "emulated with p4jit" in din("status").stdout


def test_explain(din: Din, network: networks.Network) -> None:
    text = din("explain", "chat", "--from", "leaf-1").stdout
    assert "chat-1" in text
    assert "leaf-1 → core-1 → leaf-2" in text
    assert "leaf-2 → core-1 → leaf-1" in text
    missing = din("explain", "talk", "--from", "leaf-1")
    assert (missing.exit_code, "there is no service talk" in missing.stderr) == (3, True)


def test_run_is_in_the_host(network: networks.Network, tmp_path: Path) -> None:
    program = (
        "import json, os, sys, urllib.request as r\n"
        "print(json.load(r.urlopen('http://chat.din.example:8000/v1/models'))['data'][0]['id'])\n"
        "print(os.getcwd()); print(input()); sys.exit(7)"
    )
    done = subprocess.run(
        [*_DIN, "run", "client", "--", sys.executable, "-c", program],
        input="what was typed\n",
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.stdout.splitlines() == ["llama-3", str(tmp_path), "what was typed"], done.stderr
    assert done.returncode == 7


def test_run_in_no_host(din: Din, network: networks.Network) -> None:
    result = din("run", "nobody", "--", "true")
    assert (result.exit_code, "there are client, collector" in result.stderr) == (2, True)


def test_run_of_no_program(network: networks.Network) -> None:
    done = subprocess.run([*_DIN, "run", "client", "--", "no-such-program"], capture_output=True, text=True)
    assert (done.returncode, "no-such-program" in done.stderr) == (127, True)


def test_apply_diff_and_rollback(din: Din, network: networks.Network, tmp_path: Path) -> None:
    until(lambda: din("diff").exit_code == 0, "switches are not as they are to be")
    edited = tmp_path / "edited.yaml"
    edited.write_text(SKELETON.read_text().replace("delay: 2ms", "delay: 4ms"))
    before = din("diff", edited)
    assert before.exit_code == 1
    assert "~ leaf-1: paths" in before.stdout
    assert din("apply", edited, "--dry-run").exit_code == 0
    until(lambda: din("diff", SKELETON).exit_code == 0, "a dry run has changed something")
    applied = din("apply", edited)
    assert (applied.exit_code, "revision 2 is in force" in applied.stdout) == (0, True)
    # What is measured may change what is planned in between.
    until(lambda: din("diff", edited).exit_code == 0, "not all of it was applied")
    assert din("diff", SKELETON).exit_code == 1
    assert "5 ms by its links" in din("explain", "chat", "--from", "leaf-1").stdout
    assert din("rollback").exit_code == 0
    until(lambda: din("diff", SKELETON).exit_code == 0, "not all of it was rolled back")
    reasons = [each["reason"] for each in json.loads(din("rollback", "--list", "--json").stdout)]
    assert reasons == ["start", f"apply {edited}", "rollback to 1"]


def test_the_emulation_follows_what_is_applied(din: Din, network: networks.Network, tmp_path: Path) -> None:
    """Servers start and stop, and hosts answer for their services; what cannot be is told."""
    edited = tmp_path / "edited.yaml"
    service = (
        "  - {name: talk, tenant: acme, addresses: [10.100.0.2], port: 8001, dns: talk.din.example,\n"
        "     model: llama-3, served_model: talker, slo: {ttft: 500ms, tpot: 50ms}}\n"
    )
    instance = "  - {name: talk-1, service: talk, host: server-1, variant: llama-8b, profile: small-8b}\n"
    text = SKELETON.read_text().replace("services:\n", "services:\n" + service)
    edited.write_text(text.replace("instances:\n", "instances:\n" + instance))
    asking = [*_DIN, "run", "client", "--", "curl", "-s", "-m", "1", "http://talk.din.example:8001/v1/models"]

    def asked() -> str:
        return subprocess.run(asking, capture_output=True, text=True).stdout

    def addresses() -> str:
        argv = [*_DIN, "run", "server-1", "--", "ip", "-br", "address", "show", "lo"]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

    applied = din("apply", edited)
    assert (applied.exit_code, applied.stderr) == (0, "")
    until(lambda: "talker" in asked(), "the new service does not answer")
    assert "10.100.0.2/32" in addresses()
    edited.write_text(SKELETON.read_text().replace("delay: 2ms", "delay: 4ms"))
    applied = din("apply", edited, "--yes")
    assert "stays as it is in this: link leaf-1:1 - core-1:1 is changed" in applied.stderr
    until(lambda: "talk-1" not in " ".join(processes(network.state)), "the old server does not end")
    until(lambda: "10.100.0.2/32" not in addresses(), "the old address stays")
    assert "10.100.0.1/32" in addresses()
    log = network.state / "up.log"
    until(lambda: "server talk-1 on server-1 is stopped" in log.read_text(), "it is not in the log")
    assert "server talk-1 on server-1 is started" in log.read_text()
    assert din("apply", SKELETON, "--yes").exit_code == 0
    assert json.loads(din("status", "--json").stdout)["failures"] == []


def test_link(din: Din, network: networks.Network) -> None:
    def up() -> bool:
        links = Status.model_validate_json(din("status", "--json").stdout).links
        return all(each.up for each in links if {each.src, each.dst} == {"leaf-1", "core-1"})

    assert din("link", "leaf-1", "core-1", "down").stdout == "leaf-1–core-1 is down\n"
    until(lambda: not up(), "the controller does not see that the link is down")
    assert din("link", "leaf-1", "core-1", "up").exit_code == 0
    until(up, "the controller does not see that the link is up")
    nowhere = din("link", "leaf-1", "leaf-2", "down")
    assert (nowhere.exit_code, nowhere.stderr) == (1, "din: there is no link between leaf-1 and leaf-2\n")
    assert din("link", "leaf-1", "core-1", "off").exit_code == 2


def test_drain(din: Din, network: networks.Network) -> None:
    assert "chat-1 is drained" in din("drain", "chat-1").stdout
    refused = din("drain", "chat-2")
    assert (refused.exit_code, "last instance" in refused.stderr) == (3, True)
    assert din("undrain", "chat-1").exit_code == 0
    status = Status.model_validate_json(din("status", "--json").stdout)
    assert not any(each.drained for each in status.instances)


def test_shell_reaches_the_switch(
    din: Din, network: networks.Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    # In the place of its environment, a program that tells what it was given, and that the switch is there.
    folder = shell_environment.folder()
    (folder / "bin").mkdir(parents=True)
    (folder / ".complete").write_text(shell_environment.PACKAGE)
    (folder / "bin/python").write_text(
        f"#!{sys.executable}\n"
        "import socket, sys\n"
        "host, port = sys.argv[sys.argv.index('--grpc-addr') + 1].split(':')\n"
        "socket.create_connection((host, int(port))).close()\n"
        "print(*sys.argv[1:])\n"
    )
    (folder / "bin/python").chmod(0o755)
    reading = subprocess.run([*_DIN, "shell", "leaf-2"], capture_output=True, text=True)
    assert reading.stdout.split()[1].endswith("reading_shell.py"), reading.stderr
    assert reading.stdout.split()[-4:] == ["--device-id", "1", "--election-id", "0,0"]
    writing = subprocess.run([*_DIN, "shell", "leaf-2", "--write"], capture_output=True, text=True)
    term = json.loads((network.state / "controller/term.json").read_text())["term"]
    assert writing.stdout.split()[-2:] == ["--election-id", f"{term},2"]
    assert "not the controller's" in writing.stderr
    assert din("shell", "leaf-3").exit_code == 2


def test_metrics_are_served_outside(network: networks.Network, metrics: str) -> None:
    with urllib.request.urlopen(f"http://{metrics}/metrics") as answer:
        assert b"din_model_revision" in answer.read()
    with pytest.raises(urllib.error.HTTPError, match="405"):
        urllib.request.urlopen(f"http://{metrics}/v1/undrain/chat-1", data=b"")


def test_a_controller_that_is_killed_comes_back_as_it_was(
    din: Din, network: networks.Network, tmp_path: Path
) -> None:
    edited = tmp_path / "edited.yaml"
    edited.write_text(SKELETON.read_text().replace("delay: 2ms", "delay: 7ms"))
    assert din("apply", edited).exit_code == 0
    before = Status.model_validate_json(din("status", "--json").stdout)
    (controller,) = [
        each
        for each in psutil.Process(network.keeper).children(recursive=True)
        if "din.controller" in each.cmdline()
    ]
    controller.kill()
    until(lambda: not controller.is_running(), "it is not waited for")

    def is_back() -> bool:
        try:
            with find(None, None).client() as client:
                status = client.status()
        except CommandError:
            return False
        return all(each.primary and not each.pending for each in status.switches)

    until(is_back, "the controller does not come back")
    assert Status.model_validate_json(din("status", "--json").stdout).revision == before.revision
    until(lambda: din("diff", edited).exit_code == 0, "it is not as it was")
    assert "the controller has ended" in (network.state / networks.LOG_NAME).read_text()


def test_down_leaves_nothing(din: Din, network: networks.Network) -> None:
    assert processes(network.state)
    assert din("down").exit_code == 0
    assert processes(network.state) == []
    assert networks.running() == []
    assert din("status").exit_code == 4


def test_kill_9_of_what_keeps_it_leaves_nothing(din: Din, short: Path) -> None:
    state = short / "k"
    assert din("up", SKELETON, "--state", state).exit_code == 0
    (network,) = networks.running()
    assert len(processes(state)) > 5
    os.kill(network.keeper, signal.SIGKILL)
    until(lambda: not processes(state), "something is left")
    assert din("status", "--state", state).exit_code == 4


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_an_interrupted_beginning_leaves_nothing(din: Din, short: Path, number: int, status: int) -> None:
    state = short / f"i{number}"
    up = subprocess.Popen([*_DIN, "up", str(SKELETON), "--state", str(state)], stderr=subprocess.PIPE)
    # As soon as there are switches.
    until(lambda: any("p4jit" in line for line in processes(state)), "no switch begins")
    up.send_signal(number)
    up.communicate()
    assert up.returncode == status
    until(lambda: not processes(state), "something is left")
    assert networks.running() == []


def test_why_it_does_not_come_up_is_told(din: Din, short: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.yaml"
    model.write_text(SKELETON.read_text().replace("role: transit}", "role: transit, address: nowhere}"))
    needs = din("up", model, "--no-emulation", "--state", short / "n")
    assert (needs.exit_code, "address` of leaf-1, leaf-2" in needs.stderr) == (1, True)
    taken = free_address()
    host, _, port = taken.partition(":")
    with socket.create_server((host, int(port))):
        refused = din("up", SKELETON, "--metrics", taken, "--state", short / "m")
    assert refused.exit_code == 1
    assert "address already in use" in refused.stderr
    assert str(short / "m" / networks.LOG_NAME) in refused.stderr
    assert processes(short / "m") == []
    assert din("up", SKELETON, "--metrics", "nowhere").exit_code == 2
