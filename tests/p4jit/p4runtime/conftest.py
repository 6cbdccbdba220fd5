# SPDX-License-Identifier: Apache-2.0
"""A server over real gRPC, its client as primary, and the program every test here uses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from finsy.proto import p4i
from google.protobuf import text_format
from p4jit.p4runtime import P4RuntimeServer
from p4jit.p4runtime.pipeline import Compile

from tests.p4jit.p4runtime.client import Client
from tests.p4jit.p4runtime.fake_device import FakeDevice, fake_compile
from tests.p4jit.p4runtime.names import Names
from tests.p4jit.p4runtime.observe import AnyDevice
from tests.p4jit.p4runtime.real_device import compile_pushed, new_device

PROGRAMS = Path(__file__).parent.parent / "programs"


@pytest.fixture(scope="session", autouse=True)
def _quick_stops() -> Iterator[None]:
    """A server waits for its devices' event threads to end: have them look more often whether they should."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("p4jit.p4runtime.controlled._POLL_SECONDS", 0.01)
        yield


@pytest.fixture(scope="session")
def p4info() -> p4i.P4Info:
    return text_format.Parse((PROGRAMS / "everything.p4info.txtpb").read_text(), p4i.P4Info())


@pytest.fixture(scope="session")
def program_json() -> bytes:
    return (PROGRAMS / "everything.json").read_bytes()


@pytest.fixture(scope="session")
def names(p4info: p4i.P4Info) -> Names:
    return Names(p4info)


@pytest.fixture(params=["fake", "real"])
def device(request: pytest.FixtureRequest) -> Iterator[AnyDevice]:
    """Each test runs on the fake and on the real one. A module whose tests only the fake can serve says so
    by a fixture of its own."""
    with closing(FakeDevice() if request.param == "fake" else new_device(1)) as device:
        yield device


@pytest.fixture
def compile_program(device: AnyDevice) -> Compile:
    return fake_compile if isinstance(device, FakeDevice) else compile_pushed


@pytest.fixture
def server(device: AnyDevice, compile_program: Compile) -> Iterator[P4RuntimeServer]:
    with P4RuntimeServer([device], compile_program, "localhost:0") as server:
        yield server


@pytest.fixture
def bare(server: P4RuntimeServer) -> Iterator[Client]:
    """A client that has said nothing yet."""
    with Client(server.port) as client:
        yield client


@pytest.fixture
def client(bare: Client, p4info: p4i.P4Info, program_json: bytes) -> Client:
    """The primary, with its pipeline set."""
    bare.become_primary()
    bare.set_pipeline(p4info, program_json)
    return bare
