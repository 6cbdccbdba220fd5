# SPDX-License-Identifier: Apache-2.0
"""The generator as a process: what it is told, what it writes, how it ends."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest
from din.inference.load.__main__ import main
from din.inference.load.outcome import OutcomeError, read_run
from din.inference.load.request import Request, write_schedule

from tests.din.inference_load.server import Behaviour, Server, serving, until

#: Second 0 was before the process was there: all that is late goes at once.
NOW = ("--start-at", "0")


def _schedule(tmp_path: Path, count: int, gap: float = 0.05, tokens: int = 4) -> Path:
    path = tmp_path / "schedule.jsonl"
    write_schedule(
        [Request(n * gap, "chat", 10, tokens, n % 2 == 0, f"r{n}", phase="calm") for n in range(count)], path
    )
    return path


async def _start(schedule: Path, out: Path, server: Server, *more: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "din.inference.load", "--schedule", str(schedule), "--out", str(out),
        "--model", "chat=m", "--base-url", f"chat={server.base_url}", *more,
        stdout=PIPE, stderr=PIPE,
    )  # fmt: skip


async def test_two_processes_share_a_schedules_second_zero(tmp_path: Path) -> None:
    schedule = _schedule(tmp_path, 8)
    outs = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    start = time.time() + 1.5
    async with serving(Behaviour(each=0.01)) as server:
        processes = [await _start(schedule, out, server, "--start-at", str(start)) for out in outs]
        for process in processes:
            assert (await process.communicate(), process.returncode) == ((b"", b""), 0)
    run = read_run(outs)
    assert [each.status for each in run.outcomes] == ["ok"] * 16
    assert [each.start_at for each in run.generators] == [start, start]
    seen = dict(zip(server.peers, server.seen, strict=True))  # of a kept connection the last
    for each in run.outcomes:
        assert each.lag > -0.005
        if int(each.id[1:]) % 2:
            arrival = seen[each.local_address, each.local_port] - start
            assert each.sent - 0.005 < arrival < each.sent + 0.5
    # Of each process, the even requests shared connections and the odd did not.
    by_site = [read_run([out]).outcomes for out in outs]
    for outcomes in by_site:
        odd = {each.connection for each in outcomes if int(each.id[1:]) % 2}
        even = {each.connection for each in outcomes if not int(each.id[1:]) % 2}
        assert len(odd) == 4
        assert not odd & even
    assert {(each.local_address, each.local_port) for each in run.outcomes} == set(server.peers)
    for generator in run.generators:
        assert (generator.requests, generator.unsent) == (8, 0)
        assert generator.cpu_seconds > 0


async def test_a_signal_ends_it_with_what_there_is(tmp_path: Path) -> None:
    path = tmp_path / "schedule.jsonl"
    write_schedule(
        [
            Request(0.0, "chat", 10, 1, False, "whole"),
            Request(0.1, "chat", 10, 100_000, False, "endless"),
            Request(1e12, "chat", 10, 1, False, "never"),
        ],
        path,
    )
    outs = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    async with serving(Behaviour(each=0.01)) as server:
        processes = [await _start(path, out, server, *NOW) for out in outs]
        await until(lambda: len(server.bodies) == 4 and server.chunks_sent > 20)
        for process, number in zip(processes, (signal.SIGTERM, signal.SIGINT), strict=True):
            process.send_signal(number)
            assert (await process.communicate(), process.returncode) == ((b"", b""), 0)
    for out in outs:
        run = read_run([out])
        assert {each.id: each.status for each in run.outcomes} == {"whole": "ok", "endless": "cut"}
        assert [each.unsent for each in run.generators] == [1]


async def test_what_a_killed_process_wrote_is_read(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    async with serving() as server:
        process = await _start(_schedule(tmp_path, 400, gap=0.02), out, server, *NOW)
        await until(lambda: out.exists() and out.read_text().count("\n") >= 5)  # before it ends, that is
        process.kill()
        await process.communicate()
    with out.open("a") as file:
        file.write('{"id": "half')
    run = read_run([out])
    assert len(run.outcomes) >= 5
    assert run.generators == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--model", "chat=m"], "no --base-url chat"),
        (["--base-url", "chat=http://x/v1"], "no --model chat"),
        (["--model", "chat", "--base-url", "chat=http://x/v1"], "--model is SERVICE=…, not 'chat'"),
        (["--model", "chat=m", "--choose", "least-queue"], "no --instance chat"),
        (
            ["--model", "chat=m", "--choose", "least-queue", "--instance", "chat,a"],
            "--instance is SERVICE,NAME",
        ),
        (["--model", "chat=m", "--base-url", "chat=10.0.0.1:8000/v1"], "not '10.0.0.1:8000/v1'"),
        (["--model", "chat=m", "--base-url", "chat=http://x:port/v1"], "not 'http://x:port/v1': Port"),
        (
            ["--model", "chat=m", "--choose", "least-queue", "--instance", "chat,a,http://x,http://[x"],
            "not 'http://[x': Invalid IPv6",
        ),
        (["--timeout", "0"], "--timeout must be positive"),
        (["--scale-bytes", "-1"], "--scale-bytes must be positive"),
    ],
)
def test_wrong_use_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    fixed = ["--schedule", str(_schedule(tmp_path, 1)), "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as ended:
        main([*fixed, *arguments])
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_a_file_that_is_not_there_or_not_a_schedule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fixed = ["--out", str(tmp_path / "out"), "--schedule"]
    assert main([*fixed, str(tmp_path / "missing")]) == 1
    assert "missing" in capsys.readouterr().err
    (tmp_path / "bad").write_text("{}\n")
    assert main([*fixed, str(tmp_path / "bad")]) == 1
    assert f"{tmp_path / 'bad'}:1: at_seconds: is missing" in capsys.readouterr().err
    (tmp_path / "bad").write_bytes(b"\x1f\x8b\x08")
    assert main([*fixed, str(tmp_path / "bad")]) == 1
    assert f"{tmp_path / 'bad'}:1: not JSON" in capsys.readouterr().err


async def test_a_full_disk_is_told_of_and_ends_it(tmp_path: Path) -> None:
    """At once, and not when the last request is answered."""
    path = tmp_path / "schedule.jsonl"
    write_schedule([Request(at, "chat", 10, 1, False, f"r{at}") for at in (0.0, 1e12)], path)
    async with serving() as server:
        process = await _start(path, Path("/dev/full"), server, *NOW)
        _, told = await process.communicate()
    assert process.returncode == 1
    assert told.decode() == "din.inference.load: [Errno 28] No space left on device: '/dev/full'\n"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not JSON"),
        ("[]", "a JSON object"),
        (json.dumps({"id": "r"}), "missing"),
        (json.dumps({"id": "r", "colour": "red"}), "colour: no such field"),
    ],
)
def test_a_bad_line_of_an_output_file_is_named(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "out"
    path.write_text(line + "\n")
    with pytest.raises(OutcomeError, match=says) as error:
        read_run([path])
    assert str(error.value).startswith(f"{path}:1: ")
