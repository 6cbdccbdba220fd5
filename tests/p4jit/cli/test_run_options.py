# SPDX-License-Identifier: Apache-2.0
"""simple_switch_grpc's command line: every option of it, and the lines its known users write."""

from __future__ import annotations

import logging
import shlex
from pathlib import Path

import pytest
from p4jit.cli.config import ConfigError
from p4jit.cli.run_options import JsonVersionAsked, LogOptions, build_parser, parse
from p4jit.cli.usage import UsageError

# What `simple_switch_grpc --help` (1.15.5) lists, and simple_switch's and older versions' own.
OPTIONS = {
    *("--help", "--interface", "--pcap", "--use-files", "--packet-in", "--thrift-port", "--device-id"),
    *("--nanolog", "--log-console", "--log-file", "--log-level", "--log-flush", "--log-file-max-size"),
    *("--log-file-max-files", "--notifications-addr", "--restore-state", "--dump-packet-data"),
    *("--json-version", "--no-p4", "--max-port-count", "--load-modules", "--disable-swap", "--cpu-port"),
    *("--grpc-server-addr", "--grpc-server-ssl", "--grpc-server-cacert", "--grpc-server-cert"),
    *("--grpc-server-key", "--grpc-server-with-client-auth", "--drop-port", "--dp-grpc-server-addr"),
    *("--priority-queues", "--max-mc-groups", "--max-l1-entries", "--max-l2-entries"),
    *("--debugger", "--debugger-addr", "--enable-swap", "-h", "-i", "-L"),
}


# Who writes the line; the line; its ports, device ID, CPU port, queues, address and program.
LINES = [
    (
        "p4lang/tutorials, utils/p4runtime_switch.py",
        "-i 1@s1-eth1 -i 2@s1-eth2 --pcap /tmp/pcaps --nanolog ipc:///tmp/bm-0-log.ipc --device-id 0 "
        "build/basic.json --log-console --thrift-port 9090 -- --grpc-server-addr 0.0.0.0:50051 "
        "--cpu-port 510",
        ({1: "s1-eth1", 2: "s1-eth2"}, 0, 510, 8, "0.0.0.0:50051", "build/basic.json"),
    ),
    (
        "p4lang/tutorials, no program, with queues and debugger",
        "-i 1@s1-eth1 --nanolog ipc:///tmp/bm-3-log.ipc --device-id 3 --no-p4 --debugger --thrift-port 9093 "
        "-- --grpc-server-addr 0.0.0.0:50054 --priority-queues 8",
        ({1: "s1-eth1"}, 3, None, 8, "0.0.0.0:50054", None),
    ),
    (
        "p4lang/behavioral-model, mininet/p4_mininet.py",
        "-i 1@s1-eth1 -i 2@s1-eth2 --pcap --thrift-port 9090 --nanolog ipc:///tmp/bm-0-log.ipc --device-id 0 "
        "router.json --debugger --log-console",
        ({1: "s1-eth1", 2: "s1-eth2"}, 0, None, 8, "0.0.0.0:9559", "router.json"),
    ),
    (
        "nsg-ethz/p4-utils, P4RuntimeSwitch",
        "-i 1@s1-eth1 -i 2@s1-eth2 --pcap=/tmp/pcap --thrift-port 9090 --nanolog ipc:///tmp/bm-1-log.ipc "
        "--device-id 1 l2.json --log-console -- --grpc-server-addr 0.0.0.0:9559",
        ({1: "s1-eth1", 2: "s1-eth2"}, 1, None, 8, "0.0.0.0:9559", "l2.json"),
    ),
    (
        "nsg-ethz/p4-utils, P4Switch without a program",
        "-i 1@s1-eth1 --thrift-port 9090 --nanolog ipc:///tmp/bm-1-log.ipc --device-id 1 --no-p4",
        ({1: "s1-eth1"}, 1, None, 8, "0.0.0.0:9559", None),
    ),
    (
        "ONOS, tools/dev/mininet/bmv2.py, with everything on",
        "--device-id 1 -i 1@s1-eth1 -i 2@s1-eth2 --thrift-port 40001 "
        "--notifications-addr ipc:///tmp/bmv2-s1-notifications.ipc --nanolog ipc:///tmp/bmv2-s1-nanolog.ipc "
        "--debugger-addr ipc:///tmp/bmv2-s1-debug.ipc --log-console --pcap --dump-packet-data 80 -Lwarn "
        "--no-p4 -- --cpu-port 255 --grpc-server-addr 0.0.0.0:50001",
        ({1: "s1-eth1", 2: "s1-eth2"}, 1, 255, 8, "0.0.0.0:50001", None),
    ),
    (
        "p4lang/behavioral-model, simple_switch_grpc's own test",
        "--log-console --no-p4 --device-id 99",
        ({}, 99, None, 8, "0.0.0.0:9559", None),
    ),
    (
        "PTF runs",
        "--log-file ss-log --log-flush --dump-packet-data 10000 -i 0@veth0 -i 1@veth2 --no-p4",
        ({0: "veth0", 1: "veth2"}, 0, None, 8, "0.0.0.0:9559", None),
    ),
    (
        "TLS",
        "-i 1@eth1 --no-p4 --log-file logs/s1 -- --grpc-server-ssl --grpc-server-cacert ca.crt "
        "--grpc-server-cert s1.crt --grpc-server-key s1.key --grpc-server-with-client-auth",
        ({1: "eth1"}, 0, None, 8, "0.0.0.0:9559", None),
    ),
    (
        "short options without spaces, an = and long names",
        "--no-p4 -i1@veth1 --interface=2@veth2 --device-id=4 -L debug -- --cpu-port=192 --drop-port=300",
        ({1: "veth1", 2: "veth2"}, 4, 192, 8, "0.0.0.0:9559", None),
    ),
    (
        "general options and the program after the target's",
        "--log-console -- --device-id 2 --thrift-port 9091 --grpc-server-addr 127.0.0.1:50052 "
        "-i 1@s2-eth1 p.json",
        ({1: "s2-eth1"}, 2, None, 8, "127.0.0.1:50052", "p.json"),
    ),
    (
        "target options without --",
        "--no-p4 --grpc-server-addr 127.0.0.1:9559 --cpu-port 1 --priority-queues 2 -i 0@a",
        ({0: "a"}, 0, 1, 2, "127.0.0.1:9559", None),
    ),
    (
        "a program that --no-p4 overrides",
        "--device-id 0 --no-p4 --log-console p4/awta.json -- --grpc-server-addr 127.0.0.1:50051",
        ({}, 0, None, 8, "127.0.0.1:50051", None),
    ),
]


def test_every_option_of_simple_switch_grpc_is_known() -> None:
    known = {option for action in build_parser()._actions for option in action.option_strings}
    assert known >= OPTIONS


@pytest.mark.parametrize(("line", "expected"), [line[1:] for line in LINES], ids=[line[0] for line in LINES])
def test_known_lines(line: str, expected: tuple[object, ...]) -> None:
    options = parse(shlex.split(line))
    (device,) = options.config.devices
    assert (
        {number: port.interface for number, port in device.ports.items()},
        device.id,
        device.cpu_port,
        device.queues,
        options.config.server.address,
        device.pipeline and str(device.pipeline.json_file),
    ) == expected


def test_what_is_left_out_is_said() -> None:
    line = "--no-p4 --thrift-port 9090 --nanolog ipc:///x --debugger --max-mc-groups 5 --disable-swap"
    notes = parse(line.split()).notes
    assert [note.split()[0].rstrip(":") for note in notes] == [
        "--nanolog",
        "--debugger",
        "--disable-swap",
        "--max-mc-groups",
        "--thrift-port",
    ]


def test_captures_and_files() -> None:
    assert parse(["x.json", "-i", "1@a", "--pcap"]).config.devices[0].ports[1].capture == "."
    assert parse(["x.json", "-i", "1@a"]).config.devices[0].ports[1].capture is None
    options = parse(["--use-files", "3", "-i", "1@pcap1", "x.json"])
    assert options.file_delay == 3
    device = options.config.devices[0]
    assert device.ports[1].spec(device).name == "pcap1_in.pcap:pcap1_out.pcap"


def test_logging() -> None:
    assert parse(["--no-p4"]).log == LogOptions(level=logging.INFO)
    assert parse(["--no-p4", "--log-console", "-Ltrace"]).log == LogOptions(logging.DEBUG, console=True)
    line = "--no-p4 --log-file f --log-level error --log-file-max-size 100 --log-file-max-files 2"
    assert parse(line.split()).log == LogOptions(logging.ERROR, False, Path("f"), 100, 2)
    assert parse(["--no-p4", "--log-level", "off"]).log.level > logging.CRITICAL


def test_tls() -> None:
    tls = "--grpc-server-ssl --grpc-server-cert c --grpc-server-key k"
    served = parse(["--no-p4", *tls.split()]).config.server.tls
    assert served is not None
    assert (served.certificate, served.key, served.client_ca) == (Path("c"), Path("k"), None)
    both = parse(["--no-p4", *tls.split(), "--grpc-server-cacert", "ca", "--grpc-server-with-client-auth"])
    assert both.config.server.tls is not None
    assert both.config.server.tls.client_ca == Path("ca")
    unused = parse(["--no-p4", *tls.split(), "--grpc-server-cacert", "ca"])
    assert unused.config.server.tls is not None
    assert unused.config.server.tls.client_ca is None
    assert "--grpc-server-with-client-auth" in unused.notes[0]
    plain = parse(["--no-p4", "--grpc-server-cert", "c"])
    assert plain.config.server.tls is None
    assert "plain text" in plain.notes[0]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "--no-p4"),
        ("a.json b.json", "'b.json' is one too many"),
        ("--no-p4 -i eth0", "not PORT@INTERFACE"),
        ("--no-p4 -i x@eth0", "'x' is not a number"),
        ("--no-p4 -i 1@", "not PORT@INTERFACE"),
        ("--no-p4 -i 512@eth0", "512 is out of bounds (0 to 511)"),
        ("--no-p4 -i 1@a -i 1@b", "port 1 already is another interface"),
        ("--no-p4 -i 1@a -i 2@a", "a is behind two ports"),
        ("--no-p4 -i 5@a --cpu-port 5", "port 5 is the CPU port"),
        ("--no-p4 -i 511@a", "port 511 is the drop port"),
        ("--no-p4 --cpu-port 511", "cpu_port and drop_port are both 511"),
        ("--no-p4 --cpu-port 0", "0 is out of bounds (1 to 511)"),
        ("--no-p4 --priority-queues 9", "9 is out of bounds (1 to 8)"),
        ("--no-p4 --device-id -1", "--device-id"),
        ("--no-p4 -L loud", "invalid choice: 'loud'"),
        ("--no-p4 --log-console --log-file x", "exclude each other"),
        ("--no-p4 --log-file-max-size 0", "out of bounds"),
        ("--no-p4 --thrift-port 70000", "out of bounds"),
        ("--no-p4 --grpc-server-addr 9559", "'9559' is not an address"),
        ("--no-p4 --grpc-server-ssl", "needs --grpc-server-cert"),
        ("--no-p4 --grpc-server-ssl --grpc-server-cert c", "needs --grpc-server-key"),
        (
            "--no-p4 --grpc-server-ssl --grpc-server-cert c --grpc-server-key k "
            "--grpc-server-with-client-auth",
            "needs --grpc-server-cacert",
        ),
        ("--no-p4 --restore-state f", "--restore-state is not supported"),
        ("--no-p4 --packet-in ipc:///x", "--packet-in is not supported"),
        ("--no-p4 --dp-grpc-server-addr x:1", "--dp-grpc-server-addr is not supported"),
        ("--no-p4 --load-modules a.so", "--load-modules is not supported"),
        ("--no-p4 --controller-ip 10.0.0.1", "unrecognized arguments: --controller-ip"),
    ],
)
def test_refusals_say_why(line: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(line.split())
    assert words in str(caught.value)


def test_json_version() -> None:
    with pytest.raises(JsonVersionAsked):
        parse(["--json-version"])


def test_a_file_says_it_all(tmp_path: Path) -> None:
    file = tmp_path / "fabric.yaml"
    file.write_text("devices: [{id: 3}, {id: 4}]")
    options = parse(["--config", str(file), "--log-console"])
    assert [device.id for device in options.config.devices] == [3, 4]
    assert options.log.console
    for line in (
        "-i 1@a",
        "x.json",
        "--cpu-port 2",
        "--pcap",
        "--grpc-server-ssl",
        "--use-files 0",
        "--device-id 0",
    ):
        with pytest.raises(UsageError, match="beside --config"):
            parse(["--config", str(file), *line.split()])
    with pytest.raises(ConfigError, match="missing"):
        parse(["--config", str(tmp_path / "missing.yaml")])
