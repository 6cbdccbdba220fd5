# SPDX-License-Identifier: Apache-2.0
"""One switch's connection: whose the switch is, what it runs, what it tells."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from din.p4rt.channel import TlsFiles
from din.p4rt.codec import Op
from din.p4rt.connection import Connection, NotPrimaryError, Target, election_id
from din.p4rt.entry import Key, action, key
from din.p4rt.events import (
    BecameBackup,
    BecamePrimary,
    Digest,
    Down,
    IdleTimeout,
    NoPrimary,
    PacketIn,
    PortChanged,
    StreamError,
    Up,
)
from din.p4rt.fleet import Fleet
from din.p4rt.pipeline import Pushed
from din.p4rt.program import Program
from din.p4rt.reconcile import Outcome, Result
from din.packet.constants import Queue
from finsy.proto import p4r

from scripts.bench.namespaces import Namespace, add_veth, why_unavailable
from tests.dataplane.harness import P4jitNode
from tests.dataplane.harness import Program as Files
from tests.din.p4rt.fleets import Seen, Sent, controller
from tests.din.p4rt.switches import CPU_PORT, P4jit, everything, steering, target, terms
from tests.p4jit.cli.command import PROGRAMS, Running
from tests.p4jit.p4runtime.client import Client

LONG = 60.0
PUNT_PROBE = 7


@contextlib.contextmanager
def another(address: str, number: int) -> Iterator[Client]:
    """A controller that is not ours, with that election ID."""
    client = Client(int(address.rpartition(":")[2]), election_id=number)
    try:
        client.become_primary()
        yield client
    finally:
        if client.stream is not None:
            client.stream.cancel()
        client.channel.close()


@contextlib.asynccontextmanager
async def connection(address: str, program: Program) -> AsyncIterator[tuple[Connection, Seen]]:
    """Without a reconciler: for programs that are not the data plane's."""
    seen = Seen()
    found = Connection(target(address), program, next(terms), seen)
    task = asyncio.create_task(found.run())
    try:
        async with asyncio.timeout(LONG):
            await found.primary()
        yield found, seen
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture(autouse=True)
def _quick_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """An embedded server waits for its devices' event threads to end: have them look more often."""
    monkeypatch.setattr("p4jit.p4runtime.controlled._POLL_SECONDS", 0.01)


@pytest.fixture(autouse=True)
def _no_wait_for_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where time stands still no packet comes back."""
    monkeypatch.setattr("din.p4rt.connection._QUEUES_SECONDS", 0.05)


class Embedded(P4jitNode):
    """p4jit with ports that can be taken down and a time that can be moved, behind its real server."""

    def _connect(self, port: int, device_id: int) -> None:
        self.address = f"localhost:{port}"
        super()._connect(port, device_id)


@pytest.fixture
def node() -> Iterator[Embedded]:
    with Embedded(Files.din()) as found:
        yield found


# ---- mastership --------------------------------------------------------------------------------------------


async def test_mastership_is_lost_and_regained(address: str, program: Program) -> None:
    want = steering(1, [1, 2])
    lost = key("buckets", group=1, bucket=0)
    async with controller(target(address)) as (fleet, seen):
        await fleet.apply({"leaf1": want}, patience=LONG)
        ours = fleet.connection("leaf1")
        higher = next(terms)
        with another(address, election_id(higher)) as other:
            backup = await seen.wait(BecameBackup)
            assert backup.primary_term == higher
            assert ours.is_up
            assert not ours.is_primary
            with pytest.raises(NotPrimaryError, match=f"another controller's, in term {higher}"):
                await ours.write(p4r.WriteRequest())
            waiting = (await fleet.apply({"leaf1": want}, patience=0.05))["leaf1"]
            assert waiting.outcome is Outcome.WAITING
            # What the other one does meanwhile:
            request = p4r.WriteRequest()
            ours.codec.add(request, Op.DELETE, lost, None)
            other.write(list(request.updates))
            before = len(seen.all)
        # simple_switch_grpc makes the next one primary by itself; P4Runtime leaves the switch nobody's.
        event = await seen.wait(NoPrimary | BecamePrimary, start=before)
        if isinstance(event, NoPrimary):
            assert event.highest_term == higher
            assert not ours.is_primary
            fleet.raise_term(next(terms))
        result = await seen.wait(Result, start=before)
        assert (result.outcome, result.had_to_read) == (Outcome.DONE, True)
        assert result.blast.inserted == 1
        assert await ours.read_state() == want


async def test_a_leader_of_an_older_term_gets_nothing(address: str, sent: Sent) -> None:
    old, new = next(terms), next(terms)
    async with controller(target(address), term=new) as (fleet, seen):
        await fleet.apply({"leaf1": steering(1, [1])}, patience=LONG)
        async with controller(target(address), term=old) as (older, older_seen):
            await older_seen.wait(BecameBackup)
            waiting = (await older.apply({"leaf1": {}}, patience=0.2))["leaf1"]
            assert waiting.outcome is Outcome.WAITING
            assert f"another controller's, in term {new}" in waiting.errors[0]
            assert not older_seen.of(BecamePrimary)
        assert not seen.of(BecameBackup)
        sent.requests.clear()
        assert (await fleet.apply({"leaf1": steering(1, [1])}))["leaf1"].written == 0


async def test_two_leaders_of_one_term_are_an_error(address: str) -> None:
    async with controller(target(address)) as (fleet, _):
        await fleet.connection("leaf1").primary()
        async with controller(target(address), term=fleet.term) as (_, second):
            down = await second.wait(Down)
            assert f"election ID of term {fleet.term}: two leaders in one term" in down.reason
        assert fleet.connection("leaf1").is_primary


async def test_a_term_is_raised_while_the_switch_is_ours(address: str) -> None:
    async with controller(target(address)) as (fleet, seen):
        await fleet.apply({"leaf1": steering(1, [1])}, patience=LONG)
        before = len(seen.all)
        fleet.raise_term(next(terms))
        result = (await fleet.apply({"leaf1": steering(1, [1, 2])}))["leaf1"]
        assert result.outcome is Outcome.DONE
        assert await fleet.connection("leaf1").read_state() == steering(1, [1, 2])
        assert not [each for each in seen.all[before:] if isinstance(each, Down | BecameBackup)]
        with pytest.raises(ValueError, match="is not above"):
            fleet.raise_term(fleet.term)


def test_a_term_is_a_number_of_its_own(program: Program) -> None:
    for term in (0, -1, 1 << 64):
        with pytest.raises(ValueError, match="a term is 1 or more"):
            Connection(target("127.0.0.1:1"), program, term, print)
    assert election_id(1) > 1 << 64, "above what p4runtime-shell bids"
    assert election_id(3) > election_id(2)


# ---- the pipeline ------------------------------------------------------------------------------------------


async def test_another_program_is_replaced_and_its_entries_are_made_again(
    address: str, program: Program
) -> None:
    other = Program.load(program.p4info, program.config + b"\n")
    want = steering(1, [1])
    for each in (other, program):
        async with controller(target(address), program=each) as (fleet, seen):
            result = (await fleet.apply({"leaf1": want}, patience=LONG))["leaf1"]
            assert result.outcome is Outcome.DONE
            assert result.blast.had == 0
            assert seen.of(BecamePrimary)[0].pushed is Pushed.REPLACED
            assert await fleet.connection("leaf1").read_state() == want


async def test_a_target_that_can_keeps_what_fits_another_program(p4jit: str, program: Program) -> None:
    other = Program.load(program.p4info, program.config + b"\n")
    want = everything()
    pushed = []
    for each in (program, other, program):
        leaf = Target("leaf1", p4jit, can_reconcile=True)
        async with controller(leaf, program=each) as (fleet, seen):
            result = (await fleet.apply({"leaf1": want}, patience=LONG))["leaf1"]
            assert result.outcome is Outcome.DONE
            pushed.append((seen.of(BecamePrimary)[0].pushed, result.written))
    assert pushed[1:] == [(Pushed.RECONCILED, 0)] * 2


async def test_a_program_that_is_refused_is_told(p4jit: str, program: Program) -> None:
    broken = Program.load(program.p4info, b"{}")
    async with controller(target(p4jit), program=broken) as (_, seen):
        down = await seen.wait(Down)
        assert "INVALID_ARGUMENT" in down.reason
        assert not seen.of(BecamePrimary)


async def test_the_program_that_runs_already_is_not_pushed(node: Embedded, sent: Sent) -> None:
    """The node got it from somebody who sets no cookie."""
    async with controller(target(node.address)) as (_, seen):
        event = await seen.wait(BecamePrimary)
        assert event.pushed is Pushed.KEPT
        assert sent.pushes == []


# ---- what a switch tells -----------------------------------------------------------------------------------


@pytest.mark.skipif(why_unavailable() is not None, reason=str(why_unavailable()))
async def test_ports_that_go_and_come_are_told(tmp_path: Path) -> None:
    """Of real interfaces, by the kernel's own notice."""
    with Namespace() as here, Namespace() as there:
        add_veth(here, "s3", there, "h3")
        address = f"unix:{tmp_path}/p4runtime"
        line = ("-i", "3@s3", "--no-p4", "--device-id", "1", "--", "--grpc-server-addr", address)
        with Running("run", *line, prefix=here.command()) as process:
            process.wait_for("Server listening on")
            async with controller(target(address)) as (_, seen):
                await seen.wait(BecamePrimary)
                for up in (False, True, False):
                    mark = len(seen.all)
                    there.run("ip", "link", "set", "h3", "up" if up else "down")
                    event = await seen.wait(PortChanged, start=mark)
                    assert event == PortChanged("leaf1", 3, up)


async def test_packets_to_and_from_the_controller(address: str) -> None:
    """A packet-out to the CPU port comes back."""
    async with controller(target(address)) as (fleet, seen):
        ours = fleet.connection("leaf1")
        await ours.primary()
        payload = bytes(range(100))
        # simple_switch_grpc takes no packets until it has taken up its program, and says nothing then.
        for _ in range(100):
            await ours.packet_out(CPU_PORT, payload)
            await asyncio.sleep(0.02)
            if seen.of(PacketIn):
                break
        packet = seen.of(PacketIn)[0]
        assert (packet.switch, packet.payload, packet.reason) == ("leaf1", payload, PUNT_PROBE)
        assert packet.tenant == 0
        with pytest.raises(ValueError, match=r"packet_out\.port: 65536 does not fit 16 bits"):
            await ours.packet_out(1 << 16, payload)


async def test_what_leaves_has_the_fields_that_it_was_given(node: Embedded) -> None:
    async with controller(target(node.address)) as (fleet, seen):
        await seen.wait(BecamePrimary)
        await fleet.connection("leaf1").packet_out(5, b"x" * 60)
        async with asyncio.timeout(10):
            while not (out := await asyncio.to_thread(node.receive)):
                await asyncio.sleep(0.005)
        assert out == [(5, b"x" * 60)]
        sent = [queue.sent_packets for queue in node.port_status(5).queues]
        assert [queue for queue, packets in enumerate(sent) if packets] == [Queue.CONTROL]


async def test_a_message_that_the_switch_refuses_is_told(p4jit: str) -> None:
    async with controller(target(p4jit)) as (fleet, seen):
        ours = fleet.connection("leaf1")
        await ours.primary()
        assert ours._channel is not None
        packet = p4r.PacketOut(payload=b"x", metadata=[p4r.PacketMetadata(metadata_id=99, value=b"\1")])
        await ours._channel.send(p4r.StreamMessageRequest(packet=packet))
        error = await seen.wait(StreamError)
        assert error.message.startswith("INVALID_ARGUMENT: ")
        assert "99" in error.message
        assert ours.is_primary, "and nothing else"


async def test_digests_are_told_and_acknowledged() -> None:
    files = Files.at(PROGRAMS / "digests")
    program = Program.read(files.json, files.p4info_file)
    with Embedded(files) as node:
        async with connection(node.address, program) as (ours, seen):
            digest_id, name = next(iter(program.digests.items()))
            request = p4r.WriteRequest()
            entry = request.updates.add(type=p4r.Update.INSERT).entity.digest_entry
            entry.digest_id = digest_id
            # One list at a time, until it is acknowledged.
            entry.config.max_list_size = 1
            entry.config.ack_timeout_ns = 1 << 50
            await ours.write(request)
            mark = 0
            for number in range(2):
                # Two addresses to learn: what was told is not told again.
                node.send(1, b"\1" + bytes([number]) * 64)
                await asyncio.to_thread(node.settle)
                found = await seen.wait(Digest, start=mark)
                assert (found.switch, found.name) == ("leaf1", name)
                assert len(found.data) == 1
                mark = len(seen.all)


async def test_entries_that_are_idle_are_told() -> None:
    files = Files.at(PROGRAMS / "everything")
    program = Program.read(files.json, files.p4info_file)
    where = Key("l2", (("h.ethernet.dst", 7),))
    with Embedded(files) as node:
        async with connection(node.address, program) as (ours, seen):
            request = p4r.WriteRequest()
            ours.codec.add(request, Op.INSERT, where, action("forward", port=1))
            request.updates[0].entity.table_entry.idle_timeout_ns = 50_000_000
            await ours.write(request)
            await asyncio.to_thread(node.advance, 60_000_000)
            found = await seen.wait(IdleTimeout)
            assert (found.switch, found.entries) == ("leaf1", (where,))


async def test_a_listener_that_fails_harms_nobody(p4jit: str, caplog: pytest.LogCaptureFixture) -> None:
    def fail(event: Any) -> None:
        raise RuntimeError("a listener's mistake")

    async with Fleet([target(p4jit)], term=next(terms), on_event=fail, on_result=fail) as fleet:
        for _ in range(2):
            assert (await fleet.apply({"leaf1": {}}, patience=LONG))["leaf1"].outcome is Outcome.DONE
    assert "a listener failed at BecamePrimary" in caplog.text
    assert "a listener failed at a result" in caplog.text


# ---- TLS ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates: the fabric's authority has signed a switch's, a controller's and that of a switch
    elsewhere; another one an intruder's."""
    folder = tmp_path_factory.mktemp("pki")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    fresh = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for name in ("ca", "stranger"):
        openssl("req", "-x509", *fresh, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2",
                "-subj", f"/CN={name}")  # fmt: skip
    for name, authority, names in (
        ("switch", "ca", "IP:127.0.0.1"),
        ("elsewhere", "ca", "DNS:leaf9.example"),
        ("controller", "ca", "DNS:controller"),
        ("intruder", "stranger", "DNS:controller"),
    ):
        (folder / "names").write_text(f"subjectAltName={names}")
        openssl("req", *fresh, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key",
                "-CAcreateserial", "-out", f"{name}.pem", "-days", "2", "-extfile", "names")  # fmt: skip
    return folder


def secure(folder: Path, pki: Path, name: str) -> P4jit:
    """A switch that lets in whom the authority has signed."""
    return P4jit(
        folder,
        tls=f"  tls: {{certificate: {pki}/{name}.pem, key: {pki}/{name}.key, client_ca: {pki}/ca.pem}}\n",
    )


@pytest.fixture(scope="module")
def secure_switch(pki: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with contextlib.closing(secure(tmp_path_factory.mktemp("secure"), pki, "switch")) as process:
        yield process.address


def tls_target(address: str, pki: Path, who: str, ca: str = "ca", server_name: str = "") -> Target:
    return Target(
        "leaf1", address, tls=TlsFiles(pki / f"{ca}.pem", pki / f"{who}.pem", pki / f"{who}.key", server_name)
    )


async def test_mutual_tls(secure_switch: str, pki: Path) -> None:
    async with controller(tls_target(secure_switch, pki, "controller")) as (fleet, _):
        result = (await fleet.apply({"leaf1": everything()}, patience=LONG, verify=True))["leaf1"]
        assert result.outcome is Outcome.DONE


@pytest.mark.parametrize(
    ("who", "ca", "server_name", "reason"),
    [
        ("intruder", "ca", "", "TLS: the switch refuses our certificate .*intruder.pem"),
        (
            "controller",
            "stranger",
            "",
            "TLS: the switch's certificate is refused .*checked with .*stranger.pem",
        ),
        ("controller", "ca", "leaf9.example", "TLS: the switch's certificate is refused .*leaf9.example"),
        ("nobody", "ca", "", "nobody.pem|nobody.key"),
    ],
)
async def test_a_wrong_certificate_is_refused_and_named(
    secure_switch: str, pki: Path, who: str, ca: str, server_name: str, reason: str
) -> None:
    async with controller(tls_target(secure_switch, pki, who, ca, server_name)) as (_, seen):
        down = await seen.wait(Down)
        assert re.search(reason, down.reason), down.reason
        assert not seen.of(Up)


async def test_a_switch_is_known_by_the_name_that_is_asked_for(pki: Path, tmp_path: Path) -> None:
    with contextlib.closing(secure(tmp_path, pki, "elsewhere")) as process:
        async with controller(tls_target(process.address, pki, "controller")) as (_, seen):
            assert "certificate is refused" in (await seen.wait(Down)).reason
        by_name = tls_target(process.address, pki, "controller", server_name="leaf9.example")
        async with controller(by_name) as (_, seen):
            await seen.wait(Up)


async def test_a_switch_without_tls_is_not_trusted(p4jit: str, pki: Path) -> None:
    async with controller(tls_target(p4jit, pki, "controller")) as (_, seen):
        assert "TLS" in (await seen.wait(Down)).reason
        assert not seen.of(Up)
