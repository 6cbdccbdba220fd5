# SPDX-License-Identifier: Apache-2.0
"""The server's life: addresses, TLS, several devices, clients that vanish."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import grpc
import pytest
from finsy.proto import p4i, p4r
from grpc import StatusCode
from p4jit.p4runtime import P4Error, P4RuntimeServer, ServerError, Tls

from tests.p4jit.p4runtime.client import NOT_FOUND, Client, update
from tests.p4jit.p4runtime.fake_device import FakeDevice, fake_compile
from tests.p4jit.p4runtime.names import Names


@pytest.fixture
def device() -> FakeDevice:
    """The tests of this module are about connections: what is at their end does not matter."""
    return FakeDevice()


def l2(names: Names, dst: int) -> p4r.TableEntry:
    return names.entry("l2", {"dst": dst}, names.action("forward", 1))


# ---- several devices --------------------------------------------------------------------------------------


def test_devices_are_apart(names: Names, p4info: p4i.P4Info, program_json: bytes) -> None:
    devices = [FakeDevice(1), FakeDevice(2)]
    with (
        P4RuntimeServer(devices, fake_compile, "localhost:0") as server,
        Client(server.port, device_id=1) as one,
        Client(server.port, device_id=2) as two,
    ):
        one.become_primary()
        with pytest.raises(grpc.RpcError) as failure:
            two.set_pipeline(p4info, program_json)
        assert failure.value.code() is StatusCode.PERMISSION_DENIED
        two.become_primary()
        for client in (one, two):
            client.set_pipeline(p4info, program_json)
        two.insert(table_entry=l2(names, 1))
        assert one.read(table_entry=names.entry("l2", {"dst": 1})) == []
        assert two.read(table_entry=names.entry("l2", {"dst": 1}))


def test_device_ids_are_distinct() -> None:
    with pytest.raises(ValueError, match="7"):
        P4RuntimeServer([FakeDevice(7), FakeDevice(7)], fake_compile, "localhost:0")


def test_device_zero() -> None:
    """simple_switch_grpc's own default."""
    with (
        P4RuntimeServer([FakeDevice(0)], fake_compile, "localhost:0") as server,
        Client(server.port, device_id=0) as client,
    ):
        client.become_primary()


def test_a_pipeline_that_comes_with_the_device(
    server: P4RuntimeServer, bare: Client, p4info: p4i.P4Info, program_json: bytes
) -> None:
    server.install(1, p4info, program_json)
    assert bare.get_pipeline().config.p4info == p4info
    assert not bare.get_pipeline().config.HasField("cookie")
    assert bare.read(table_entry=p4r.TableEntry())
    with pytest.raises(P4Error):
        server.install(1, p4info, b"{}")
    with pytest.raises(P4Error):
        server.install(9, p4info, program_json)


# ---- the address ------------------------------------------------------------------------------------------


def test_an_address_in_use(server: P4RuntimeServer) -> None:
    second = P4RuntimeServer([FakeDevice()], fake_compile, f"localhost:{server.port}")
    with pytest.raises(ServerError, match=str(server.port)):
        second.start()


def test_stop_is_final_and_can_be_repeated(device: FakeDevice) -> None:
    server = P4RuntimeServer([device], fake_compile, "localhost:0")
    server.start()
    waiter = threading.Thread(target=server.wait)
    waiter.start()
    server.stop()
    server.stop()
    waiter.join(10)
    assert not waiter.is_alive()


# ---- TLS --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate authority, and certificates of a server and a client."""
    folder = tmp_path_factory.mktemp("pki")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for authority in ("ca", "stranger"):
        openssl(
            "req",
            "-x509",
            *new_key,
            "-keyout",
            f"{authority}.key",
            "-out",
            f"{authority}.crt",
            "-days",
            "2",
            "-subj",
            f"/CN={authority}",
        )
    (folder / "names").write_text("subjectAltName=DNS:localhost")
    for name, authority in (("server", "ca"), ("client", "ca"), ("intruder", "stranger")):
        openssl("req", *new_key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl(
            "x509",
            "-req",
            "-in",
            f"{name}.csr",
            "-CA",
            f"{authority}.crt",
            "-CAkey",
            f"{authority}.key",
            "-CAcreateserial",
            "-out",
            f"{name}.crt",
            "-days",
            "2",
            "-extfile",
            "names",
        )
    return folder


def credentials(pki: Path, name: str | None) -> grpc.ChannelCredentials:
    root = (pki / "ca.crt").read_bytes()
    if name is None:
        return grpc.ssl_channel_credentials(root)
    return grpc.ssl_channel_credentials(
        root, (pki / f"{name}.key").read_bytes(), (pki / f"{name}.crt").read_bytes()
    )


@pytest.mark.parametrize(
    ("mutual", "name", "welcome"),
    [(False, None, True), (True, "client", True), (True, None, False), (True, "intruder", False)],
)
def test_tls(pki: Path, device: FakeDevice, mutual: bool, name: str | None, welcome: bool) -> None:
    tls = Tls(
        key=(pki / "server.key").read_bytes(),
        certificate=(pki / "server.crt").read_bytes(),
        client_ca=(pki / "ca.crt").read_bytes() if mutual else None,
    )
    with (
        P4RuntimeServer([device], fake_compile, "localhost:0", tls) as server,
        Client(server.port, credentials=credentials(pki, name)) as client,
    ):
        if welcome:
            client.become_primary()
        else:
            with pytest.raises(grpc.RpcError) as failure:
                client.get_pipeline()
            assert failure.value.code() is StatusCode.UNAVAILABLE


def test_without_tls_a_tls_server_says_nothing(pki: Path, device: FakeDevice) -> None:
    tls = Tls((pki / "server.key").read_bytes(), (pki / "server.crt").read_bytes())
    with P4RuntimeServer([device], fake_compile, "localhost:0", tls) as server, Client(server.port) as client:
        with pytest.raises(grpc.RpcError) as failure:
            client.get_pipeline()
        assert failure.value.code() is StatusCode.UNAVAILABLE


# ---- clients that vanish ----------------------------------------------------------------------------------

_WRITER = """
    import sys
    from tests.p4jit.p4runtime.client import Client, update
    from finsy.proto import p4r

    port, batches = int(sys.argv[1]), sys.stdin.buffer.read()
    client = Client(port, election_id=9)
    client.become_primary()
    request = client.request([p4r.Update.FromString(batches)] * 2000, p4r.WriteRequest.ROLLBACK_ON_ERROR)
    print("writing", flush=True)
    client.stub.Write(request)
"""


def test_a_client_killed_in_the_middle_of_a_write(
    client: Client, server: P4RuntimeServer, names: Names, device: FakeDevice
) -> None:
    """Its batch is applied whole or not at all, its place is free, and the server goes on."""
    device.gate = threading.Event()
    assert client.stream is not None
    # The second update of the batch fails, as it is the same as the first: nothing of it may stay.
    wire = update("INSERT", table_entry=l2(names, 1)).SerializeToString()
    writer = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_WRITER), str(server.port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": ":".join(p for p in sys.path if p)},
    )
    assert writer.stdin is not None
    assert writer.stdout is not None
    writer.stdin.write(wire)
    writer.stdin.close()
    assert writer.stdout.readline() == b"writing\n"
    assert device.waiting.wait(30)
    writer.kill()
    writer.wait(30)
    writer.stdout.close()
    device.gate.set()
    answer = client.stream.arbitration()
    while answer.status.code != NOT_FOUND:
        answer = client.stream.arbitration()
    assert client.read(table_entry=p4r.TableEntry(table_id=names.id("l2"))) == []
    client.stream.arbitrate(10)
    assert client.stream.arbitration().status.code == 0
    client.election_id = 10
    client.insert(table_entry=l2(names, 1))


def test_cancelled_reads(client: Client, names: Names) -> None:
    """A client that stops listening in the middle of a large answer."""
    client.write([update("INSERT", table_entry=l2(names, n)) for n in range(30_000)])
    query = p4r.ReadRequest(device_id=1, entities=[p4r.Entity(table_entry=p4r.TableEntry())])
    for _ in range(5):
        call = client.stub.Read(query)
        next(call)
        call.cancel()
    assert len(client.read(table_entry=p4r.TableEntry(table_id=names.id("l2")))) == 30_000


def test_many_streams_do_not_keep_requests_waiting(client: Client) -> None:
    opened = [client.open() for _ in range(12)]
    for stream in opened:
        stream.arbitrate(None)
        stream.arbitration()
    assert client.get_pipeline().HasField("config")


def test_streams_have_a_limit_over_all_devices(bare: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p4jit.p4runtime.service.MAX_STREAMS", 2)
    bare.become_primary()
    second = bare.open()
    second.arbitrate(None)
    second.arbitration()
    assert bare.open().ended() is StatusCode.RESOURCE_EXHAUSTED
    second.cancel()
    bare.get_pipeline()
