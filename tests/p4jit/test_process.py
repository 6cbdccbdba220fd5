# SPDX-License-Identifier: Apache-2.0
"""`p4jit run` as a process of its own: finsy drives it unmodified, and kill -9 leaves nothing behind."""

from __future__ import annotations

import itertools
import re
import signal
import threading
from pathlib import Path

import finsy as fy
import grpc
import pytest
from finsy.proto import p4r
from p4jit.frontend.p4info import load_p4info

from tests.p4jit.cli.command import Running
from tests.p4jit.p4runtime.client import Client

BENCH = Path(__file__).resolve().parents[2] / "scripts" / "bench" / "programs"
CPU_PORT = 255


def switch(port: int = 0) -> Running:
    target = ("--grpc-server-addr", f"127.0.0.1:{port}", "--cpu-port", str(CPU_PORT))
    return Running("run", "--no-p4", "--device-id", "1", "--", *target)


def ready(running: Running) -> int:
    """Wait until it serves; its port."""
    found = re.search(r":(\d+)$", running.wait_for("Server listening on"))
    assert found is not None
    return int(found[1])


def controller(port: int) -> fy.Switch:
    options = fy.SwitchOptions(p4info=BENCH / "l2.p4info.txtpb", p4blob=BENCH / "l2.json", device_id=1)
    return fy.Switch("sw", f"127.0.0.1:{port}", options)


def host(number: int) -> fy.P4TableEntry:
    match = fy.Match(destination=number)
    return fy.P4TableEntry("hosts", match=match, action=fy.Action("forward", port=number % 8))


def raw(number: int) -> p4r.Entity:
    """The same entry as a message."""
    info = load_p4info((BENCH / "l2.p4info.txtpb").read_bytes())
    (table,) = info.tables
    forward = next(a for a in info.actions if a.preamble.alias == "forward")
    exact = p4r.FieldMatch.Exact(value=number.to_bytes(2, "big").lstrip(b"\0"))
    action = p4r.Action(action_id=forward.preamble.id, params=[p4r.Action.Param(param_id=1, value=b"\1")])
    return p4r.Entity(
        table_entry=p4r.TableEntry(
            table_id=table.preamble.id,
            match=[p4r.FieldMatch(field_id=1, exact=exact)],
            action=p4r.TableAction(action=action),
        )
    )


async def entries(sw: fy.Switch) -> int:
    return len([e async for e in sw.read(fy.P4TableEntry("hosts"))])


async def test_finsy_programs_the_process() -> None:
    with switch() as running:
        async with controller(ready(running)) as sw:
            assert sw.is_primary
            await sw.insert([host(n) for n in range(100)])
            assert await entries(sw) == 100
            await sw.delete([host(n) for n in range(50)])
            assert await entries(sw) == 50
        status, _ = running.stop(signal.SIGTERM)
        assert status == 0


async def test_killed_while_written_to_it_restarts_empty_and_says_so() -> None:
    with switch() as running:
        port = ready(running)
        async with controller(port) as sw:
            await sw.insert([host(n) for n in range(1000)])
        wrote, failures = threading.Event(), list[grpc.StatusCode]()
        entities = [raw(n) for n in range(1000, 2000)]

        def write_for_ever() -> None:
            # Above what finsy bid.
            with Client(port, election_id=1000) as client:
                client.become_primary()
                try:
                    for kind in itertools.cycle((p4r.Update.INSERT, p4r.Update.DELETE)):
                        client.write([p4r.Update(type=kind, entity=entity) for entity in entities])
                        wrote.set()
                except grpc.RpcError as error:
                    failures.append(error.code())

        writer = threading.Thread(target=write_for_ever)
        writer.start()
        assert wrote.wait(30)
        running.stop(signal.SIGKILL)
        writer.join(30)
        assert failures == [grpc.StatusCode.UNAVAILABLE]
    with switch(port) as running:
        assert ready(running) == port
        with Client(port) as client:
            request = p4r.ReadRequest(device_id=1, entities=[p4r.Entity(table_entry=p4r.TableEntry())])
            with pytest.raises(grpc.RpcError) as refusal:
                list(client.stub.Read(request))
            assert refusal.value.code() is grpc.StatusCode.FAILED_PRECONDITION
            assert "pipeline" in refusal.value.details()
        async with controller(port) as sw:
            assert await entries(sw) == 0
