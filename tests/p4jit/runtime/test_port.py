# SPDX-License-Identifier: Apache-2.0
"""Ports on real interfaces: a small forwarder of two ports, built with sanitizers, between two namespaces."""

from __future__ import annotations

import json
import os
import random
import re
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Raw
from scapy.utils import PcapNgWriter, PcapWriter, rdpcap

from scripts.bench.namespaces import Namespace, add_veth, why_unavailable
from tests.p4jit.runtime.tap import Tap, open_socket

RUNTIME = Path(__file__).parents[3] / "switch" / "p4jit" / "runtime"
MODULES = ("pool", "pcap", "monitor", "offload", "port", "port_packet", "port_pcap", "port_xdp")
FLAGS = ["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fno-sanitize-recover=all"]

_UNAVAILABLE = why_unavailable()
needs_namespaces = pytest.mark.skipif(_UNAVAILABLE is not None, reason=str(_UNAVAILABLE))


def build(target: Path, source: Path) -> Path:
    sources = [str(RUNTIME / f"{module}.c") for module in MODULES]
    sanitize = "-fsanitize=address,undefined"
    compiler = os.environ.get("CC", "cc")
    subprocess.run(
        [compiler, *FLAGS, sanitize, f"-I{RUNTIME}", str(source), *sources, "-o", target], check=True
    )
    return target


@pytest.fixture(scope="session")
def forwarder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(
        tmp_path_factory.mktemp("port") / "forward_ports", Path(__file__).with_name("forward_ports.c")
    )


class Forwarder:
    """A running forwarder; its lines of output as they come."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._read = b""
        self.notes: list[str] = []
        try:
            while (line := self.line()) != "ready":
                self.notes.append(line)
        except BaseException:
            self.kill()
            raise

    def line(self, timeout: float = 5.0) -> str:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        while b"\n" not in self._read:
            ready, _, _ = select.select([self._process.stdout], [], [], timeout)
            more = os.read(self._process.stdout.fileno(), 65536) if ready else b""
            assert more, f"no line: {self._process.stderr.read().decode() if ready else 'silent'}"
            self._read += more
        line, _, self._read = self._read.partition(b"\n")
        return line.decode()

    def statistics(self) -> list[dict[str, int]]:
        self._process.send_signal(signal.SIGUSR1)
        return [json.loads(self.line()) for _ in range(2)]

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> list[dict[str, int]]:
        """Statistics of both ports; fails when a sanitizer complained."""
        self._process.send_signal(signal.SIGTERM)
        out, errors = self._process.communicate(timeout=10)
        assert self._process.returncode == 0, errors.decode()
        return [json.loads(line) for line in (self._read + out).decode().splitlines() if line.startswith("{")]

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


class Bench:
    """Two hosts on the ends of a two-port switch: h0 - s0 (port 0) | (port 1) s1 - h1."""

    def __init__(self, mtu: int) -> None:
        self.mtu = mtu
        self.switch, self.left, self.right = Namespace(), Namespace(), Namespace()
        self.connect(0)
        self.connect(1)

    def connect(self, side: int) -> None:
        host = self.right if side else self.left
        add_veth(self.switch, f"s{side}", host, f"h{side}", self.mtu)

    def close(self) -> None:
        for namespace in (self.switch, self.left, self.right):
            namespace.close()


Start = Callable[..., Forwarder]


@pytest.fixture(params=[1500, 9500], ids=["mtu1500", "mtu9500"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    bench = Bench(request.param)
    yield bench
    bench.close()


@pytest.fixture
def start(forwarder: Path) -> Iterator[Start]:
    running: list[Forwarder] = []

    def start(bench: Bench, kind: str, *arguments: str) -> Forwarder:
        names = ["s0", "s1"]
        running.append(Forwarder(bench.switch.command(str(forwarder), kind, *names, *arguments)))
        if kind == "xdp" and any("AF_PACKET" in note for note in running[-1].notes):
            pytest.skip(running[-1].notes[0])
        return running[-1]

    yield start
    for process in running:
        process.kill()


only_1500 = pytest.mark.parametrize("bench", [1500], indirect=True, ids=["mtu1500"])
only_9500 = pytest.mark.parametrize("bench", [9500], indirect=True, ids=["mtu9500"])
#: AF_XDP refuses jumbo frames: see test_xdp_falls_back.
kinds_and_mtus = pytest.mark.parametrize(
    ("bench", "kind"),
    [(1500, "packet"), (1500, "xdp"), (9500, "packet")],
    indirect=["bench"],
    ids=["packet-1500", "xdp-1500", "packet-9500"],
)
both_kinds = pytest.mark.parametrize("kind", ["packet", "xdp"])


def frame(length: int, seed: int) -> bytes:
    """Random bytes under an Ethernet type of no protocol (IEEE Std 802 - Local Experimental 1)."""
    header = bytes.fromhex("020000000002 020000000001 88b5")
    return (header + random.Random(seed).randbytes(length))[:length]


def as_sent(frames: list[bytes]) -> list[str]:
    return [f"{len(frame)}:{frame.hex()}" for frame in frames]


SIZES_1500 = [14, 15, 16, 59, 60, 61, 64, 100, 128, 511, 1000, 1500, 1513, 1514]
SIZES_9500 = [*range(1900, 2200, 7), 3000, 4096, 4097, 8192, 9000, 9214, 9215, 9216]


@needs_namespaces
@pytest.mark.parametrize(
    ("bench", "kind", "sizes"),
    [(1500, "packet", SIZES_1500), (1500, "xdp", SIZES_1500), (9500, "packet", SIZES_1500 + SIZES_9500)],
    indirect=["bench"],
)
def test_every_byte_arrives_in_order(bench: Bench, start: Start, kind: str, sizes: list[int]) -> None:
    process = start(bench, kind)
    there = [frame(size, seed=size) for size in sizes]
    back = [frame(size, seed=-size) for size in reversed(sizes)]
    with Tap(bench.left, "h0") as left, Tap(bench.right, "h1") as right:
        for at in range(0, len(there), 8):  # as many as small socket buffers hold
            left.send(*there[at : at + 8])
            right.send(*back[at : at + 8])
            assert as_sent(right.receive(len(there[at : at + 8]))) == as_sent(there[at : at + 8])
            assert as_sent(left.receive(len(back[at : at + 8]))) == as_sent(back[at : at + 8])
        # What the switch sent itself must not come in again and go back.
        assert left.receive(1, timeout=0.1) == []
        assert right.receive(1, timeout=0.1) == []
    port0, port1 = process.stop()
    assert port0["rx_packets"] == port1["tx_packets"] == len(there)
    assert port0["rx_bytes"] == port1["tx_bytes"] == sum(sizes)
    assert port1["rx_packets"] == port0["tx_packets"] == len(back)


@needs_namespaces
@only_1500
@both_kinds
def test_the_frames_of_other_programs_on_the_port_do_not_come_in(
    bench: Bench, start: Start, kind: str
) -> None:
    process = start(bench, kind)
    with Tap(bench.switch, "s0") as local, Tap(bench.left, "h0") as left, Tap(bench.right, "h1") as right:
        local.send(frame(100, seed=1))
        assert as_sent(left.receive(1)) == as_sent([frame(100, seed=1)])
        left.send(frame(100, seed=2))
        assert as_sent(right.receive(2, timeout=0.5)) == as_sent([frame(100, seed=2)])
    assert process.stop()[0]["rx_packets"] == 1


@needs_namespaces
@kinds_and_mtus
def test_vlan_tags_stay(bench: Bench, start: Start, kind: str) -> None:
    start(bench, kind)
    header = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    payload = Raw(random.Random(3).randbytes(bench.mtu - 8))
    tagged = [
        bytes(header / Dot1Q(vlan=100, prio=5, dei=1) / Raw(b"x" * 60)),
        bytes(header / Dot1Q(vlan=0) / Raw(b"x" * 60)),
        bytes(header / Dot1AD(vlan=4094) / Dot1Q(vlan=1) / IP() / UDP() / Raw(b"x" * 40)),
        bytes(header / Dot1Q(vlan=7) / payload),
        bytes(header / Dot1Q(vlan=1) / Dot1Q(vlan=2) / Dot1Q(vlan=3)),
    ]
    with Tap(bench.left, "h0") as left, Tap(bench.right, "h1") as right:
        left.send(*tagged)
        assert as_sent(right.receive(len(tagged))) == as_sent(tagged)


def give_addresses(bench: Bench) -> None:
    """Static neighbours too, so that no other frames are about."""
    for host, side in ((bench.left, 0), (bench.right, 1)):
        for name, value in (("disable_ipv6", 0), ("accept_dad", 0)):
            host.set(f"net/ipv6/conf/h{side}/{name}", value)
        host.run("ip", "link", "set", f"h{side}", "address", f"02:00:00:00:00:0{side}")
        host.run("ip", "address", "add", f"10.0.0.{side + 1}/24", "dev", f"h{side}")
        host.run("ip", "address", "add", f"fd00::{side + 1}/64", "dev", f"h{side}", "nodad")
        for address in (f"10.0.0.{2 - side}", f"fd00::{2 - side}"):
            mac = f"02:00:00:00:00:0{1 - side}"
            host.run("ip", "neighbor", "replace", address, "lladdr", mac, "dev", f"h{side}")


def with_checksums_of_scapy(data: bytes) -> bytes:
    packet = Ether(data)
    for layer in (IP, UDP, TCP):
        if layer in packet:
            del packet[layer].chksum
    return bytes(packet)


@needs_namespaces
@kinds_and_mtus
def test_checksums_left_to_hardware_are_completed(bench: Bench, start: Start, kind: str) -> None:
    give_addresses(bench)
    start(bench, kind)
    with Tap(bench.right, "h1") as right:
        for family, address in ((socket.AF_INET, "10.0.0.2"), (socket.AF_INET6, "fd00::2")):
            with open_socket(bench.left, family, socket.SOCK_DGRAM) as sender:
                for size in (0, 1, 2, 3, 100, 1399, bench.mtu - 48):
                    sender.sendto(random.Random(size).randbytes(size), (address, 9))
            with open_socket(bench.left, family, socket.SOCK_STREAM) as sender:
                sender.setblocking(False)
                sender.connect_ex((address, 9))
        seen: dict[str, int] = {}
        for data in right.receive(100, timeout=0.3):
            packet = Ether(data)
            if not (UDP in packet or TCP in packet):
                continue  # multicast listener reports and the like
            assert data.hex() == with_checksums_of_scapy(data).hex()
            name = f"{'IPv6' if IPv6 in packet else 'IP'}/{'UDP' if UDP in packet else 'TCP'}"
            seen[name] = seen.get(name, 0) + 1
    assert seen["IP/UDP"] == seen["IPv6/UDP"] == 7
    assert seen["IP/TCP"] >= 1
    assert seen["IPv6/TCP"] >= 1


def transfer(client: socket.socket, server: socket.socket, data: bytes, timeout: float = 20) -> bytes:
    """What arrives at the other end."""
    client.setblocking(False)
    received = bytearray()
    sent = 0
    deadline = time.monotonic() + timeout
    while len(received) < len(data) and time.monotonic() < deadline:
        writable = [client] if sent < len(data) else []
        readable, ready, _ = select.select([server], writable, [], 1)
        if ready:
            sent += client.send(data[sent : sent + 65536])
        if readable:
            received += server.recv(65536)
    return bytes(received)


@needs_namespaces
@kinds_and_mtus
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["ipv4", "ipv6"])
def test_tcp_needs_no_offload_turned_off(
    bench: Bench, start: Start, kind: str, family: socket.AddressFamily
) -> None:
    """The sender leaves cutting into segments to its interface: the switch sees them as on a wire."""
    give_addresses(bench)
    process = start(bench, kind)
    address = ("10.0.0.2" if family == socket.AF_INET else "fd00::2", 5000)
    data = random.Random(5).randbytes(1_000_003)
    with (
        open_socket(bench.right, family, socket.SOCK_STREAM) as listener,
        open_socket(bench.left, family, socket.SOCK_STREAM) as client,
        Tap(bench.right, "h1") as right,
    ):
        listener.bind(address)
        listener.listen()
        listener.settimeout(5)
        client.settimeout(5)
        client.connect(address)
        server, _ = listener.accept()
        with server:
            assert transfer(client, server, data) == data
        lengths = []
        for frame_seen in right.receive(50, timeout=0.1):
            if TCP in Ether(frame_seen):
                assert frame_seen.hex() == with_checksums_of_scapy(frame_seen).hex()
                lengths.append(len(frame_seen))
    assert max(lengths) == bench.mtu + 14
    statistics = process.stop()
    assert statistics[0]["rx_oversize"] == statistics[1]["tx_oversize"] == 0


UDP_SEGMENT = 103  # linux/udp.h


@needs_namespaces
@only_1500
def test_udp_is_cut_as_its_sender_asked(bench: Bench, start: Start) -> None:
    give_addresses(bench)
    start(bench, "packet")
    data = random.Random(6).randbytes(14_100)
    with Tap(bench.right, "h1") as right:
        for family, address in ((socket.AF_INET, "10.0.0.2"), (socket.AF_INET6, "fd00::2")):
            with open_socket(bench.left, family, socket.SOCK_DGRAM) as sender:
                sender.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1400)
                sender.sendto(data, (address, 9))
            datagrams = []
            for seen in right.receive(11, timeout=1):
                assert seen.hex() == with_checksums_of_scapy(seen).hex()
                datagrams.append(bytes(Ether(seen)[UDP].payload))
            assert as_sent(datagrams) == as_sent([data[at : at + 1400] for at in range(0, 14_100, 1400)])


@needs_namespaces
@pytest.mark.parametrize("bench", [16_000], indirect=True, ids=["mtu16000"])
def test_frames_longer_than_a_buffer_are_counted(bench: Bench, start: Start) -> None:
    process = start(bench, "packet")
    frames = [frame(size, seed) for seed, size in enumerate([10_241, 10_240, 14_000, 10_240])]
    tagged = [
        data[:12] + bytes.fromhex("81000007") + data[12:] for data in (frame(10_237, 1), frame(10_236, 2))
    ]
    with Tap(bench.left, "h0") as left, Tap(bench.right, "h1") as right:
        left.send(*frames, *tagged)
        assert as_sent(right.receive(3)) == as_sent([frames[1], frames[3], tagged[1]])
        assert right.receive(1, timeout=0.1) == []
    assert process.stop()[0]["rx_oversize"] == 3


@needs_namespaces
@only_1500
@both_kinds
def test_frames_too_long_for_the_other_interface_are_counted(bench: Bench, start: Start, kind: str) -> None:
    bench.switch.run("ip", "link", "set", "s1", "mtu", "1000")
    process = start(bench, kind)
    frames = [frame(100, 1), frame(1500, 2), frame(1014, 3)]
    with Tap(bench.left, "h0") as left, Tap(bench.right, "h1") as right:
        left.send(*frames)
        assert as_sent(right.receive(2)) == as_sent([frames[0], frames[2]])
    statistics = process.stop()[1]
    assert (statistics["tx_packets"], statistics["tx_oversize"]) == (2, 1)


def passes(left: Tap, right: Tap, seed: int) -> bool:
    left.send(frame(200, seed))
    return as_sent(right.receive(1)) == as_sent([frame(200, seed)])


@needs_namespaces
@only_1500
@both_kinds
def test_a_port_goes_down_and_comes_up(bench: Bench, start: Start, kind: str) -> None:
    process = start(bench, kind)
    with Tap(bench.left, "h0") as left, Tap(bench.right, "h1") as right:
        assert passes(left, right, 1)
        bench.switch.run("ip", "link", "set", "s0", "down")
        assert process.line() == "port 0 down"
        bench.switch.run("ip", "link", "set", "s0", "up")
        assert process.line() == "port 0 up"
        right.receive(100, timeout=0.05)
        assert passes(left, right, 2)
        bench.right.run("ip", "link", "set", "h1", "down")  # the cable, as it were
        assert process.line() == "port 1 down"
        left.send(frame(200, 3))
        bench.right.run("ip", "link", "set", "h1", "up")
        assert process.line() == "port 1 up"
    with Tap(bench.left, "h0") as left, Tap(bench.right, "h1") as right:
        assert passes(left, right, 4)
    assert [port["up"] for port in process.stop()] == [True, True]


@needs_namespaces
@only_1500
@both_kinds
def test_a_deleted_interface_is_opened_again(bench: Bench, start: Start, kind: str) -> None:
    process = start(bench, kind)
    for round in range(3):
        bench.switch.run("ip", "link", "delete", "s1")
        assert process.line() == "port 1 down"
        with Tap(bench.left, "h0") as left:
            left.send(frame(100, seed=round))
        deadline = time.monotonic() + 5
        while process.statistics()[1]["tx_down"] == round:
            assert time.monotonic() < deadline
        bench.connect(1)
        assert process.line() == "port 1 up"
        with Tap(bench.left, "h0") as left, Tap(bench.right, "h1") as right:
            assert passes(left, right, seed=100 + round)
            right.send(frame(300, seed=round))
            assert as_sent(left.receive(1)) == as_sent([frame(300, seed=round)])
    statistics = process.stop()[1]
    assert statistics["tx_down"] == 3
    assert statistics["tx_packets"] == statistics["rx_packets"] == 3


@needs_namespaces
@only_1500
def test_many_link_changes_are_not_lost(bench: Bench, start: Start) -> None:
    """More than the netlink socket holds, so that the monitor has to ask for everything again."""
    process = start(bench, "packet")
    process.pause()
    for _ in range(3):
        batch = "\n".join(f"link set lo {state}" for state in ("down", "up") * 400)
        subprocess.run(bench.switch.command("ip", "-batch", "-"), input=batch, text=True, check=True)
    bench.switch.run("ip", "link", "delete", "s1")
    bench.switch.run("ip", "link", "set", "s0", "down")
    process.resume()
    assert {process.line(), process.line()} == {"port 0 down", "port 1 down"}


@needs_namespaces
@only_1500
def test_captures_are_read_by_scapy(bench: Bench, start: Start, tmp_path: Path) -> None:
    started = time.time()
    process = start(bench, "packet", str(tmp_path))
    there = [frame(size, seed=size) for size in SIZES_1500]
    back = [frame(77, seed=77)]
    with Tap(bench.left, "h0") as left, Tap(bench.right, "h1") as right:
        left.send(*there)
        right.receive(len(there))
        right.send(*back)
        left.receive(1)
    process.stop()
    expected = {"s0_in": there, "s1_out": there, "s1_in": back, "s0_out": back}
    for name, frames in expected.items():
        capture = rdpcap(str(tmp_path / f"{name}.pcap"))
        assert as_sent([bytes(packet) for packet in capture]) == as_sent(frames)
        times = [float(packet.time) for packet in capture]
        assert times == sorted(times)
        assert started - 1 < times[0]
        assert times[-1] < time.time() + 1


@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("nano", [False, True])
def test_a_capture_file_is_forwarded(forwarder: Path, tmp_path: Path, endian: str, nano: bool) -> None:
    frames = [frame(size, seed=size) for size in SIZES_1500 + SIZES_9500]
    with PcapWriter(str(tmp_path / "in.pcap"), endianness=endian, nano=nano, linktype=1) as writer:
        for data in [*frames, frame(13, 0), frame(10_241, 0)]:
            writer.write(data)
    command = [str(forwarder), "pcap", str(tmp_path / "in.pcap"), str(tmp_path / "out.pcap")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    assert done.returncode == 0, done.stderr
    assert as_sent([bytes(packet) for packet in rdpcap(str(tmp_path / "out.pcap"))]) == as_sent(frames)
    statistics = json.loads(done.stdout.splitlines()[-2])
    assert (statistics["rx_short"], statistics["rx_oversize"]) == (1, 1)


def read_bad_capture(forwarder: Path, path: Path) -> subprocess.CompletedProcess[str]:
    command = [str(forwarder), "pcap", str(path), str(path.with_name("out.pcap"))]
    return subprocess.run(command, capture_output=True, text=True, timeout=10)


def test_a_file_that_is_no_capture_is_refused(forwarder: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.pcap"
    for content, message in (
        (b"", "is too short"),
        (bytes(64), "is not a pcap file"),
        (b"\xd4\xc3\xb2\xa1" + bytes(16) + (228).to_bytes(4, "little"), "does not hold Ethernet"),
    ):
        bad.write_bytes(content)
        done = read_bad_capture(forwarder, bad)
        assert done.returncode == 1
        assert message in done.stderr
        assert str(bad) in done.stderr
    with PcapNgWriter(str(bad)) as writer:
        writer.write(Ether(frame(60, 0)))
    assert "pcapng" in read_bad_capture(forwarder, bad).stderr
    assert "No such file" in read_bad_capture(forwarder, tmp_path / "none.pcap").stderr


def test_a_broken_capture_ends_where_it_breaks(forwarder: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.pcap"
    with PcapWriter(str(whole), linktype=1) as writer:
        for seed in range(3):
            writer.write(frame(100, seed))
    data, bad = whole.read_bytes(), tmp_path / "bad.pcap"
    for broken, left in (
        (data[:-1], 2),
        (data[: 24 + 116 + 7], 1),
        (data[: 24 + 116 + 8] + b"\xff" * 4 + data[24 + 116 + 12 :], 1),
    ):
        bad.write_bytes(broken)
        done = read_bad_capture(forwarder, bad)
        assert done.returncode == 0, done.stderr
        assert len(rdpcap(str(tmp_path / "out.pcap"))) == left


@needs_namespaces
@only_1500
def test_an_interface_that_is_not_there_is_refused(bench: Bench, forwarder: Path) -> None:
    done = subprocess.run(
        bench.switch.command(str(forwarder), "packet", "s0", "eth99"),
        capture_output=True,
        text=True,
        timeout=10,
    )
    assert done.returncode == 1
    assert re.search(r"port 1, interface eth99: .*ip link", done.stderr)


@needs_namespaces
def test_xdp_falls_back(bench: Bench, forwarder: Path) -> None:
    """Without CAP_BPF in the initial user namespace, and with frames that do not fit, AF_PACKET serves."""
    if bench.mtu > 1500:
        command = bench.switch.command(str(forwarder), "xdp", "s0", "s1")
        reason = "MTU"
    else:
        veth = "ip link add s0 type veth peer name h0 && ip link add s1 type veth peer name h1"
        script = f"{veth} && exec {forwarder} xdp s0 s1"
        unprivileged = ["unshare", "--user", "--map-root-user", "--net"]
        if subprocess.run([*unprivileged, "true"], check=False, capture_output=True).returncode != 0:
            pytest.skip("no user namespace can be made here")
        command = [*unprivileged, "sh", "-c", script]
        reason = "CAP_BPF"
    process = Forwarder(command)
    statistics = process.stop()
    assert len(statistics) == len(process.notes) == 2
    assert all(reason in note and note.endswith("using AF_PACKET") for note in process.notes)


def test_the_pool_hands_out_what_it_has(tmp_path: Path) -> None:
    subprocess.run(
        [build(tmp_path / "test_pool", Path(__file__).with_name("test_pool.c"))], check=True, timeout=20
    )


def test_frames_that_lie_do_no_harm(tmp_path: Path) -> None:
    program = build(tmp_path / "test_offload", Path(__file__).with_name("test_offload.c"))
    subprocess.run([program, "300000", "20260101"], check=True, timeout=60, stdout=subprocess.DEVNULL)
