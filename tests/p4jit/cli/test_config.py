# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from p4jit.cli.config import Config, ConfigError, Files, load, parse
from p4jit.target.interface import LinkSpec, PortSpec, QueueSpec

FULL = """\
server:
  address: "[::1]:9559"
  tls: {certificate: server.pem, key: server.key, client_ca: /etc/ca.pem}
devices:
  - id: 7
    pipeline: {json: leaf.json, p4info: leaf.p4info.txtpb}
    cpu_port: 255
    drop_port: 500
    queues: 4
    queue: {depth: 100}
    ports:
      1:
        interface: leaf1-eth1
        link: {rate: 100Mbit, delay: 5ms, jitter: 100us, loss: 0.1%, seed: 3, limit: 50}
        rate: 1Gbit
        queues:
          3: {rate: 5kpps, burst_packets: 8}
          0: {rate: 10Mbit, burst: 3kB, depth_bytes: 64KiB, depth: 10}
        capture: captures
      2: {pcap: {input: in.pcap, output: /tmp/out.pcap}}
      3: {pcap: {output: out.pcap}}
      511: {interface: leaf1-eth3, xdp: true}
  - id: 8
"""

# Ten references to ten references to ...: a million values in six lines.
UNFOLDING = "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}' if level else '1'] * 10)}]\n" for level in range(6)
)


def test_every_field_arrives() -> None:
    config = parse(FULL, "fabric.yaml")
    first, second = config.devices
    assert (first.id, first.cpu_port, first.drop_port, first.queues) == (7, 255, 500, 4)
    assert first.ports[1].spec(first) == PortSpec(
        kind="interface",
        name="leaf1-eth1",
        link=LinkSpec(rate=10**8, delay=5 * 10**6, jitter=10**5, loss=0.001, seed=3, limit=50),
        rate_bits=10**9,
        queues=(
            QueueSpec(depth_packets=10, depth_bytes=65536, rate_bits=10**7, burst_bytes=3000),
            QueueSpec(depth_packets=100),
            QueueSpec(depth_packets=100),
            QueueSpec(depth_packets=100, rate_packets=5000, burst_packets=8),
        ),
        capture="captures",
    )
    assert first.ports[2].spec(first) == PortSpec(
        kind="pcap", name="in.pcap:/tmp/out.pcap", queues=(QueueSpec(depth_packets=100),) * 4
    )
    assert first.ports[3].spec(first).name == ":out.pcap"
    assert first.ports[511].spec(first).xdp
    assert (second.id, second.pipeline, second.queues, second.ports) == (8, None, 8, {})


def test_without_queues_the_device_chooses() -> None:
    config = parse("devices: [{id: 1, ports: {1: {interface: eth0}}}]", "x")
    assert config.devices[0].ports[1].spec(config.devices[0]) == PortSpec(kind="interface", name="eth0")


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "fabric.yaml"
    file.write_text(FULL)
    config = load(file)
    assert config.devices[0].pipeline is not None
    assert config.devices[0].pipeline.json_file == tmp_path / "leaf.json"
    assert config.devices[0].pipeline.p4info == tmp_path / "leaf.p4info.txtpb"
    assert config.devices[0].ports[1].capture == str(tmp_path / "captures")
    assert config.devices[0].ports[1].interface == "leaf1-eth1"
    assert config.devices[0].ports[2].pcap == Files(input=str(tmp_path / "in.pcap"), output="/tmp/out.pcap")
    assert config.server.tls is not None
    assert config.server.tls.certificate == tmp_path / "server.pem"
    assert config.server.tls.client_ca == Path("/etc/ca.pem")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "f.yaml: empty"),
        ("devices: []", "f.yaml:1: devices: "),
        ("devices:\n  - id: 1\n    prots: {}\n", "f.yaml:3: devices.0.prots: unknown field"),
        ("devices:\n  - id: 1\n    queues: 9\n", "f.yaml:3: devices.0.queues: "),
        ("devices:\n  - queues: 1\n", "f.yaml:2: devices.0.id: Field required"),
        (
            "devices:\n  - id: 1\n    ports:\n      1:\n        interface: a\n        link:\n"
            "          rate: 10Gbps\n",
            "f.yaml:7: devices.0.ports.1.link.rate: '10Gbps': unknown unit 'Gbps'",
        ),
        ("devices:\n  - id: 1\n    ports: {512: {interface: a}}\n", "f.yaml:3: devices.0.ports.512: "),
        ("devices:\n  - id: 1\n    ports: {x: {interface: a}}\n", "f.yaml:3: devices.0.ports.x: "),
        ("devices:\n  - id: 1\n    ports:\n      1: {}\n", "f.yaml:4: devices.0.ports.1: a port has"),
        (
            "devices:\n  - id: 1\n    ports:\n      1: {interface: a, pcap: {input: b}}\n",
            "f.yaml:4: devices.0.ports.1: a port has an 'interface' or a 'pcap'",
        ),
        ("devices:\n  - id: 1\n    ports: {1: {interface: averylonginterface}}\n", "1 to 15 bytes"),
        ("devices:\n  - id: 1\n    ports: {1: {interface: a}, 2: {interface: a}}\n", "a is behind two ports"),
        ("devices:\n  - id: 1\n    ports: {1: {pcap: {input: 'a:b'}}}\n", "ports.1.pcap.input: 'a:b' is not"),
        ("devices:\n  - id: 1\n    ports: {1: {pcap: {}, xdp: true}}\n", "need an 'interface'"),
        ("devices:\n  - id: 1\n    cpu_port: 3\n    ports: {3: {interface: a}}\n", "port 3 is the CPU port"),
        ("devices:\n  - id: 1\n    ports: {511: {interface: a}}\n", "port 511 is the drop port"),
        (
            "devices:\n  - id: 1\n    queues: 2\n    ports: {1: {interface: a, queues: {2: {}}}}\n",
            "queue 2 of 2",
        ),
        ("devices: [{id: 1}, {id: 1}]", "two devices have the id 1"),
        ("devices:\n  - id: 1\n    id: 2\n", "f.yaml:3: 'id' is given twice"),
        ("devices:\n  - id: [\n", "f.yaml:3: "),
        (
            "server: {address: nowhere}\ndevices: [{id: 1}]",
            "f.yaml:1: server.address: 'nowhere' is not an address",
        ),
        ("- 1\n", "f.yaml:1: "),
        ("devices: &a\n  - *a\n", "f.yaml:1: more than 100000 values or 32 levels"),
        ("a: " + "[" * 5000, "f.yaml: more than 32 levels"),
        (UNFOLDING, "more than 100000 values"),
        ("devices: !!python/object:os.system {}\n", "f.yaml:1: "),
    ],
)
def test_errors_name_file_line_and_field(text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "f.yaml")
    assert expected in str(caught.value)
    assert "validation error" not in str(caught.value)


def test_all_errors_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("devices:\n  - id: x\n    cpu_port: 0\n", "f.yaml")
    assert [line.split(": ")[:2] for line in str(caught.value).splitlines()] == [
        ["f.yaml:2", "devices.0.id"],
        ["f.yaml:3", "devices.0.cpu_port"],
    ]


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: No such file"):
        load(tmp_path / "nowhere.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"binary\.yaml: not UTF-8"):
        load(tmp_path / "binary.yaml")


def test_the_shortest_configuration() -> None:
    assert parse("devices: [{id: 1}]", "x") == Config.model_validate({"devices": [{"id": 1}]})
