# SPDX-License-Identifier: Apache-2.0
"""`p4jit run` as a process: on interfaces, on capture files, with and without a program, and its failures."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from finsy.proto import p4r, p4r_grpc
from scapy.utils import rdpcap, wrpcap

from scripts.bench.namespaces import Namespace, add_veth, why_unavailable
from tests.p4jit.cli.command import ANSWER, FRAME, PROGRAM, Running, run
from tests.p4jit.runtime.tap import Tap

needs_namespaces = pytest.mark.skipif(why_unavailable() is not None, reason=str(why_unavailable()))


@pytest.fixture
def switch() -> Iterator[Namespace]:
    with Namespace() as namespace:
        yield namespace


@pytest.fixture
def host(switch: Namespace) -> Iterator[Namespace]:
    """h0 and h1, on s0 and s1 of the switch."""
    with Namespace() as namespace:
        for number in range(2):
            add_veth(switch, f"s{number}", namespace, f"h{number}")
        yield namespace


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def capabilities(address: str) -> str:
    with grpc.insecure_channel(address) as channel:
        stub = p4r_grpc.P4RuntimeStub(channel)
        response = stub.Capabilities(p4r.CapabilitiesRequest(), timeout=10, wait_for_ready=True)
        return response.p4runtime_api_version


def cookie(address: str, device: int) -> p4r.GetForwardingPipelineConfigResponse:
    with grpc.insecure_channel(address) as channel:
        stub = p4r_grpc.P4RuntimeStub(channel)
        request = p4r.GetForwardingPipelineConfigRequest(device_id=device)
        return stub.GetForwardingPipelineConfig(request, timeout=10, wait_for_ready=True)


@needs_namespaces
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_forwards_and_ends_when_told(
    switch: Namespace, host: Namespace, tmp_path: Path, number: signal.Signals
) -> None:
    address = f"unix:{tmp_path}/p4runtime"
    line = [
        "-i",
        "0@s0",
        "-i1@s1",
        "--pcap",
        str(tmp_path),
        "--log-console",
        "--device-id",
        "4",
        str(PROGRAM),
    ]
    with Running("run", *line, "--", "--grpc-server-addr", address, prefix=switch.command()) as command:
        command.wait_for("Adding interface s1 as port 1")
        command.wait_for(f"Server listening on {address}")
        with Tap(host, "h0") as sender, Tap(host, "h1") as receiver:
            sender.send(FRAME)
            assert receiver.receive(1) == [ANSWER]
        assert capabilities(address)
        assert command.stop(number) == (0, "")
    assert [bytes(packet) for packet in rdpcap(str(tmp_path / "s0_in.pcap"))] == [FRAME]
    assert [bytes(packet) for packet in rdpcap(str(tmp_path / "s1_out.pcap"))] == [ANSWER]


@needs_namespaces
def test_the_name_alone_runs_a_switch(switch: Namespace, host: Namespace, tmp_path: Path) -> None:
    line = ["-i", "0@s0", "-i", "1@s1", str(PROGRAM), "--", "--grpc-server-addr", f"unix:{tmp_path}/s"]
    with Running(*line, prefix=switch.command()) as command:
        command.wait_for("Server listening")
        with Tap(host, "h0") as sender, Tap(host, "h1") as receiver:
            sender.send(FRAME)
            assert receiver.receive(1) == [ANSWER]


def test_without_a_program_it_waits_for_one() -> None:
    thrift = free_port()
    line = ["--no-p4", "--device-id", "3", "--thrift-port", str(thrift)]
    with Running("run", *line, "--", "--grpc-server-addr", "127.0.0.1:0") as command:
        address = command.wait_for("Server listening on ").split()[-1]
        assert not cookie(address, 3).HasField("config")
        with pytest.raises(grpc.RpcError) as caught:
            cookie(address, 5)
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND
        with socket.create_connection(("127.0.0.1", thrift), timeout=5) as connection:
            assert connection.recv(1) == b""
        status, err = command.stop(signal.SIGTERM)
        assert status == 0
        assert "--thrift-port: Thrift is not served" in err
    port = int(address.rpartition(":")[2])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", port))


def test_device_0_is_served_as_bmv2_serves_it() -> None:
    with Running("run", "--no-p4", "--", "--grpc-server-addr", "127.0.0.1:0") as command:
        address = command.wait_for("Server listening on ").split()[-1]
        assert not cookie(address, 0).HasField("config")


def test_a_configuration_file_runs_several_devices(tmp_path: Path) -> None:
    file = tmp_path / "fabric.yaml"
    file.write_text(
        f"""
server: {{address: "127.0.0.1:0"}}
devices:
  - id: 1
    pipeline: {{json: {PROGRAM}, p4info: {PROGRAM.with_suffix(".p4info.txtpb")}}}
    ports: {{1: {{pcap: {{output: one.pcap}}, link: {{delay: 1ms}}, queues: {{7: {{rate: 10Mbit}}}}}}}}
  - id: 2
    queues: 2
"""
    )
    with Running("run", "--config", str(file)) as command:
        address = command.wait_for("Server listening on ").split()[-1]
        assert cookie(address, 1).config.p4_device_config == PROGRAM.read_bytes()
        assert not cookie(address, 2).HasField("config")
        assert command.stop(signal.SIGTERM)[0] == 0


def test_capture_files_in_place_of_interfaces(tmp_path: Path) -> None:
    wrpcap(str(tmp_path / "a_in.pcap"), [FRAME] * 3, linktype=1)
    wrpcap(str(tmp_path / "b_in.pcap"), [], linktype=1)
    line = ["--use-files", "0", "-i", "0@a", "-i", "1@b", str(PROGRAM)]
    with Running("run", *line, "--", "--grpc-server-addr", "127.0.0.1:0", cwd=tmp_path) as command:
        command.wait_for("as port 1")
        output = tmp_path / "b_out.pcap"
        # A record is its 16 bytes and the frame, after a header of 24. It is there while the switch runs:
        # Mininet classes end it with SIGKILL.
        whole = 24 + 3 * (16 + len(ANSWER))
        deadline = time.monotonic() + 10
        while output.stat().st_size < whole and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [bytes(packet) for packet in rdpcap(str(output))] == [ANSWER] * 3
        assert command.stop(signal.SIGTERM)[0] == 0


def test_a_missing_interface_is_named() -> None:
    result = run("run", "-i", "1@nowhere", str(PROGRAM), "--", "--grpc-server-addr", "127.0.0.1:0")
    assert result.returncode == 1
    assert "nowhere" in result.stderr
    assert "Traceback" not in result.stderr
    assert "Server listening" not in result.stdout


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        result = run("run", "--no-p4", "--", "--grpc-server-addr", address)
    assert result.returncode == 1
    assert address in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "No such file"),
        ("", "broken.json"),
        ("{]", "broken.json"),
        ("[]", "broken.json: $"),
        (json.dumps({"__meta__": {"version": [3, 0]}}), "bmv2 JSON format 3.0 is not supported"),
        ("[" * 100_000, "broken.json"),
    ],
)
def test_a_wrong_program_is_refused(text: str | None, words: str, tmp_path: Path) -> None:
    file = tmp_path / "broken.json"
    if text is not None:
        file.write_text(text)
    result = run("run", str(file), "--", "--grpc-server-addr", "127.0.0.1:0")
    assert result.returncode == 1
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_without_a_compiler_it_says_what_to_install(tmp_path: Path) -> None:
    result = run("run", str(PROGRAM), PATH=str(tmp_path), P4JIT_CACHE=str(tmp_path / "cache"), CC="")
    assert result.returncode == 1
    assert "no C compiler found" in result.stderr
    assert "apt install gcc" in result.stderr


def test_usage_errors_exit_with_2() -> None:
    result = run("run", "--no-p4", "-i", "eth0")
    assert result.returncode == 2
    assert "not PORT@INTERFACE" in result.stderr
    assert result.stdout == ""


def test_a_p4info_that_is_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "wrong.txtpb"
    file.write_text("tables { no_such_field: 1 }")
    result = run("run", str(PROGRAM), "--p4info", str(file))
    assert result.returncode == 1
    assert f"{file}: P4Info: cannot be read: " in result.stderr


def test_missing_certificates_are_named(tmp_path: Path) -> None:
    line = ["--grpc-server-ssl", "--grpc-server-cert", str(tmp_path / "c"), "--grpc-server-key", "k"]
    result = run("run", "--no-p4", "--", *line)
    assert result.returncode == 1
    assert "No such file" in result.stderr


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl (Debian: openssl)")
def test_tls(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    openssl = (
        "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*openssl.split(), *files], check=True, capture_output=True)
    line = ["--grpc-server-ssl", "--grpc-server-cert", str(certificate), "--grpc-server-key", str(key)]
    with Running(
        "run", "--no-p4", "--device-id", "1", "--", "--grpc-server-addr", "localhost:0", *line
    ) as command:
        address = command.wait_for("Server listening on ").split()[-1]
        credentials = grpc.ssl_channel_credentials(certificate.read_bytes())
        with grpc.secure_channel(address, credentials) as channel:
            stub = p4r_grpc.P4RuntimeStub(channel)
            response = stub.Capabilities(p4r.CapabilitiesRequest(), timeout=10, wait_for_ready=True)
        assert response.p4runtime_api_version
        assert command.stop(signal.SIGTERM)[0] == 0


def test_a_signal_while_it_compiles_ends_it(tmp_path: Path) -> None:
    """A compiler that says it was started and then never ends."""
    compiler = tmp_path / "cc"
    started = tmp_path / "started"
    os.mkfifo(started)
    compiler.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exit\necho > {started}\nexec sleep 600\n')
    compiler.chmod(0o755)
    environment = ["env", f"CC={compiler}", f"P4JIT_CACHE={tmp_path / 'cache'}"]
    with Running("run", str(PROGRAM), prefix=environment) as command:
        started.read_text()
        status, _ = command.stop(signal.SIGTERM)
        assert status == 0
