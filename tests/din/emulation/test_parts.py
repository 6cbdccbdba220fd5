# SPDX-License-Identifier: Apache-2.0
"""What is decided without a network: names of interfaces, commands, configurations, rates."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_interface
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from din.emulation import control, cpu, traffic
from din.emulation.control import Commands, answer
from din.emulation.errors import EmulationError
from din.emulation.hosts import Attachment, explain, host_commands
from din.emulation.links import frames_under_way, interface_name
from din.emulation.supervisor import Emulation
from din.emulation.switches import P4jitSwitch, ServerTls
from din.emulation.topology import DinTopo, attachment, server_tls
from din.model.topology import Target
from din.model.wiring import Wiring
from hypothesis import given
from hypothesis import strategies as st
from p4jit.cli.config import parse as parse_p4jit

from tests.din.emulation.live import MODEL, model

# ---- links -----------------------------------------------------------------------------------------------

node_names = st.from_regex(r"[a-z][a-z0-9-]{0,39}", fullmatch=True)


def test_interfaces_are_named_as_in_mininet() -> None:
    assert interface_name("leaf1", "eth2") == "leaf1-eth2"
    digest = hashlib.sha256(b"frankfurt-leaf").hexdigest()[:4]
    assert interface_name("frankfurt-leaf", "eth2") == f"frankf{digest}-eth2"


@given(node_names, st.integers(1, 509))
def test_no_interfaces_name_is_too_long(name: str, port: int) -> None:
    found = interface_name(name, f"eth{port}")
    assert len(found) <= 15
    assert found.endswith(f"-eth{port}")


@given(st.sets(st.text("abc", min_size=12, max_size=40), min_size=2, max_size=30))
def test_long_names_stay_apart(names: set[str]) -> None:
    assert len({interface_name(name, "eth1") for name in names}) == len(names)


def test_a_long_link_has_room_for_what_is_under_way() -> None:
    assert frames_under_way(10**8, 0) == 1000
    # 1 Gbit/s for 50 ms is 6.25 MB.
    assert frames_under_way(10**9, 50_000) * 256 >= 6_200_000


# ---- hosts -----------------------------------------------------------------------------------------------


def test_a_hosts_commands() -> None:
    found = host_commands(
        Attachment(
            [ip_interface("10.1.0.5/24"), ip_interface("2001:db8:1::5/64")],
            [ip_interface("10.1.0.1/24"), ip_interface("2001:db8:1::1/64")],
            ["10.200.0.1"],
        ),
        "h-eth0",
    )
    assert found == [
        "address add 10.1.0.5/24 dev h-eth0",
        "address add 2001:db8:1::5/64 dev h-eth0 nodad",
        "route add 0.0.0.0/0 via 10.1.0.1 dev h-eth0",
        "route add ::/0 via 2001:db8:1::1 dev h-eth0",
        "address add 10.200.0.1 dev lo",
    ]


def test_a_host_in_a_vlan() -> None:
    found = host_commands(
        Attachment([ip_interface("10.1.0.5/24")], [ip_interface("10.1.0.1/24")], vlan=20), "e"
    )
    assert found == [
        "link add link e name vlan20 type vlan id 20",
        "link set vlan20 up",
        "address add 10.1.0.5/24 dev vlan20",
        "route add 0.0.0.0/0 via 10.1.0.1 dev vlan20",
    ]


def test_what_a_kernel_lacks_is_named() -> None:
    four, six = Attachment([ip_interface("10.1.0.5/24")]), Attachment([ip_interface("2001:db8:1::5/64")])
    assert "modprobe 8021q" in explain(replace(four, vlan=20), "Error: Unknown device type.", True)
    assert "without IPv6" in explain(six, "Permission denied", False)
    assert "without IPv6" in explain(replace(four, services=["2001:db8:200::1"]), "Permission denied", False)
    assert [explain(each, "No space left", has) for each, has in ((six, True), (four, False))] == ["", ""]


def test_attachments() -> None:
    found = model()
    b = attachment(found, found.host["b"])
    assert [str(each) for each in b.gateways] == ["10.2.0.1/24", "2001:db8:2::1/64"]
    assert b.services == ["10.200.0.1", "2001:db8:200::1"]
    assert attachment(found, found.host["a"]).services == []


def test_an_instance_that_is_rewritten_to_has_no_services_address() -> None:
    found = model(MODEL.replace("variant: small}", "variant: small, rewrite: true}"))
    assert attachment(found, found.host["b"]).services == []


# ---- topology --------------------------------------------------------------------------------------------


def topology(text: str, target: Target = Target.P4JIT) -> DinTopo:
    found = model(text)
    return DinTopo(model=found, wiring=Wiring(found), folder=Path("/nowhere"), target=target, files=Path())


def links(topo: DinTopo) -> dict[tuple[str, str], dict[str, Any]]:
    return {(a, b): info for a, b, info in topo.links(sort=True, withInfo=True)}


def test_who_emulates_a_link() -> None:
    by_port = links(topology(MODEL))
    assert {pair: info["cls"].__name__ for pair, info in by_port.items()} == {
        ("leaf1", "leaf2"): "PortLink",
        ("leaf1", "a"): "WireLink",  # it has a delay, and hosts emulate none
        ("leaf2", "b"): "PlainLink",
        ("leaf2", "collector"): "PlainLink",
    }
    assert links(topology(MODEL, Target.BMV2))["leaf1", "leaf2"]["cls"].__name__ == "WireLink"


@pytest.mark.parametrize(
    ("old", "new", "unlike"),
    [
        ("dns: chat.din.example", "dns: talk.din.example", []),
        ("addresses: [10.200.0.1,", "addresses: [10.200.0.7,", []),
        ("host: b, variant: small}", "host: a, variant: small}", []),
        ("delay: 5ms", "delay: 6ms", ["link leaf1:1 - leaf2:1 is changed"]),
        ("10.2.0.5/24", "10.2.0.6/24", ["host b is changed"]),
        ("name: b, leaf", "name: c, leaf", ["host c is new", "host b is gone"]),
        ("collectors: [{name: reports, host: collector}]", "collectors: []", ["host collector is changed"]),
    ],
)
def test_what_an_emulation_cannot_become(old: str, new: str, unlike: list[str], tmp_path: Path) -> None:
    there = model()
    emulation = Emulation(there, Wiring(there), tmp_path)
    text = MODEL.replace(old, new)
    assert text != MODEL
    assert emulation.unlike(model(text)) == unlike


def test_tofino_is_not_emulated() -> None:
    with pytest.raises(EmulationError, match="tofino is not emulated: take p4jit or bmv2"):
        topology(MODEL, Target.TOFINO)


def test_hosts_in_vlans_share_a_port_behind_a_bridge() -> None:
    text = MODEL.replace("addresses: [10.2.0.5/24", "port: 70, vlan: 10, addresses: [10.2.0.5/24").replace(
        "addresses: [10.2.0.9/24", "port: 70, vlan: 20, mtu: 1400B, addresses: [10.2.0.9/24"
    )
    found = links(topology(text))
    assert found["leaf2", "leaf2-p70"]["port1"] == 70
    assert {pair for pair in found if "leaf2-p70" in pair} == {
        ("leaf2", "leaf2-p70"),
        ("leaf2-p70", "b"),
        ("leaf2-p70", "collector"),
    }
    assert found["leaf2", "leaf2-p70"]["mtu"] == 1500


def test_files_of_tls_are_relative_to_the_model() -> None:
    tls = "management: {tls: {ca: ca.pem, certificate: c.pem, key: k.pem}}\n"
    found = model(MODEL + tls)
    files = server_tls(found, found.switch["leaf1"], Path("/models"))
    assert files == ServerTls(Path("/models/c.pem"), Path("/models/k.pem"), Path("/models/ca.pem"))


def test_p4jit_takes_what_is_written_for_it() -> None:
    """Without Mininet: a switch is a process in a namespace as soon as it is made."""
    switch = SimpleNamespace(
        address="127.0.0.1:50001",
        tls=ServerTls(Path("c.pem"), Path("k.pem"), Path("ca.pem")),
        device_id=3,
        port_interfaces=lambda: {
            1: SimpleNamespace(name="leaf1-eth1", params={"rate": 10**8, "delay": 5000}),
            65: SimpleNamespace(name="leaf1-eth65", params={}),
        },
    )
    config = parse_p4jit(json.dumps(P4jitSwitch.configuration(switch)), "written")  # type: ignore[arg-type]
    (device,) = config.devices
    assert (device.id, device.cpu_port, device.queues) == (3, 510, 8)
    assert device.pipeline is None
    link = device.ports[1].link
    assert link is not None
    assert (link.rate, link.delay) == (10**8, 5_000_000)
    assert device.ports[65].link is None
    assert config.server.tls is not None
    assert config.server.tls.client_ca == Path("ca.pem").absolute()


# ---- processors ------------------------------------------------------------------------------------------


def test_utilisation_is_of_the_processors_that_we_may_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 2})
    stat = tmp_path / "stat"
    stat.write_text(
        "cpu  9 9 9 9 9 9 9 9 9 9\n"
        "cpu0 1 2 3 40 50 6 7 8 1000 1000\n"
        "cpu1 1 1 1 1 1 1 1 1 1 1\n"
        "cpu2 10 0 0 90 0 0 0 0 0 0\n"
        "intr 1 2 3\n"
    )
    assert cpu.read(stat) == cpu.Used(1 + 2 + 3 + 6 + 7 + 8 + 10, 117 + 100)


def test_a_meter_measures_from_sample_to_sample() -> None:
    readings = iter([cpu.Used(0, 0), cpu.Used(80, 100), cpu.Used(90, 200), cpu.Used(90, 200)])
    meter = cpu.CpuMeter(lambda: next(readings))
    assert [meter.sample() for _ in range(3)] == [0.8, 0.1, 0.0]


# ---- traffic ---------------------------------------------------------------------------------------------


def test_what_is_due() -> None:
    assert traffic.pace(9.6e6, 1200, 0.0, 0.01) == 10
    # A long sleep is not made up for.
    assert traffic.pace(9.6e6, 1200, 0.0, 5.0) == 20


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_traffic_has_its_rate_size_and_class(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rate, size, seconds = 20e6, 1000, 0.5
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    level, option = (
        (socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS)
        if family is socket.AF_INET6
        else (socket.IPPROTO_IP, socket.IP_RECVTOS)
    )
    with socket.socket(family, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        receiver.setsockopt(level, option, 1)
        receiver.bind((address, 0))
        receiver.settimeout(10)
        script = (
            "from din.emulation import traffic; "
            f"traffic.PORT = {receiver.getsockname()[1]}; traffic.send({address!r}, {rate}, {size}, 34)"
        )
        sender = subprocess.Popen([sys.executable, "-c", script])
        try:
            data, ancillary, _, _ = receiver.recvmsg(2000, 100)
            begun, received = time.monotonic(), 0
            while time.monotonic() - begun < seconds:
                received += len(receiver.recv(2000)) + size - len(data)
            took = time.monotonic() - begun
        finally:
            sender.kill()
            sender.wait()
    assert len(data) == size - (48 if ":" in address else 28)
    assert ancillary[0][2][0] == 34 << 2
    assert 0.5 * rate < received * 8 / took < 1.2 * rate


# ---- control ---------------------------------------------------------------------------------------------


class Stub:
    """An emulation that remembers what was asked of it."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    def set_link(self, a: str, b: str, up: bool) -> None:
        if a == "nowhere":
            raise EmulationError("there is no link")
        self.asked.append((a, b, up))


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"nonsense", 'a request is a JSON object with "do"'),
        (b"[]", 'a request is a JSON object with "do"'),
        (b"{}", 'a request is a JSON object with "do"'),
        (b'{"do": []}', "nothing is called []"),
        (b'{"do": "_process", "number": 1}', "nothing is called '_process'"),
        (b'{"do": "link", "a": "x"}', "b: Missing required argument; up: Missing required argument"),
        (b'{"do": "link", "a": 5, "b": "x", "up": true}', "a: Input should be a valid string"),
        (b'{"do": "run", "host": "a", "argv": "ls", "log": "x"}', "argv: Input should be a valid list"),
        (b'{"do": "stop", "now": true}', "now: Unexpected keyword argument"),
        (b'{"do": "link", "a": "nowhere", "b": "x", "up": true}', "there is no link"),
        (b'{"do": "process", "number": 7}', "there is no process 7"),
        (b'{"do": "end", "number": 7}', "there is no event 7"),
        (b'{"do": "begin", "event": {"kind": "flood"}}', "event.kind: Input should be"),
        (b'{"do": "begin", "event": 5}', "Input should be"),
    ],
)
def test_wrong_requests(line: bytes, error: str) -> None:
    said = answer(Commands(Stub(), lambda: None), line)  # type: ignore[arg-type]
    assert said.keys() == {"error"}
    assert error in said["error"]


async def test_one_that_asks_and_does_not_read_does_not_keep_it_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_ANSWER_SECONDS", 0.1)
    emulation = SimpleNamespace(set_link=lambda a, b, up: None)
    stopping, listening = asyncio.Event(), asyncio.Event()
    path = tmp_path / "s"
    serving = asyncio.create_task(
        control.serve(emulation, path, stopping, listening.set)  # type: ignore[arg-type]
    )
    await listening.wait()
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.setblocking(False)
        deaf.connect(str(path))
        with suppress(BlockingIOError):
            # Until neither of them takes any more.
            while True:
                await asyncio.sleep(0.01)
                deaf.send(b"{}\n" * 10_000)
        stopping.set()
        await asyncio.wait_for(serving, 10)


def test_a_request() -> None:
    stub = Stub()
    line = b'{"do": "link", "a": "leaf1", "b": "leaf2", "up": false}'
    assert answer(Commands(stub, lambda: None), line) == {"result": None}  # type: ignore[arg-type]
    assert stub.asked == [("leaf1", "leaf2", False)]
