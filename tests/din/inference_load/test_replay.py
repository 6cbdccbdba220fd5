# SPDX-License-Identifier: Apache-2.0
"""Traces as schedules."""

from __future__ import annotations

from pathlib import Path

import pytest
from din.inference.load.replay import first_seconds, main, replay
from din.inference.load.request import read_schedule
from din.inference.load.traces import Traced

TRACE = """\
Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
100,ChatGPT,472,18,490,Conversation log
96,ChatGPT,100,200,300,Conversation log
110,GPT-4,1087,0,1087,API log
200,GPT-4,1,1,2,API log
"""


def test_a_schedule_begins_at_once_in_order_and_asks_for_something() -> None:
    found = replay([Traced(9.0, 5, 0), Traced(4.0, 0, 7, (3, 4), 512)], "chat", phase="calm")
    assert [(r.at_seconds, r.prompt_tokens, r.output_tokens, r.phase) for r in found] == [
        (0.0, 1, 7, "calm"),
        (5.0, 5, 1, "calm"),
    ]
    assert (found[0].blocks, found[0].block_tokens) == ((3, 4), 512)
    assert replay([], "chat") == []


def test_the_first_seconds_are_counted_from_the_first_request() -> None:
    trace = [Traced(at, 1, 1) for at in (50.0, 49.0, 60.0, 59.9, 70.0)]
    assert [each.at_seconds for each in first_seconds(trace, 10.0)] == [50.0, 49.0, 59.9]


def test_a_trace_becomes_a_schedule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace, out = tmp_path / "burst.csv", tmp_path / "schedule.jsonl"
    trace.write_text(TRACE)
    scales = ["--rate", "2", "--lengths", "0.5", "--seconds", "7.1"]
    assert main(["burstgpt", str(trace), "--out", str(out), "--service", "chat", *scales]) == 0
    assert capsys.readouterr().out == "3 requests in 7.0 s\n"
    found = list(read_schedule(out))
    assert [(r.id, r.at_seconds, r.prompt_tokens, r.output_tokens, r.keep_alive) for r in found] == [
        ("burst.chat.1", 0.0, 50, 100, False),
        ("burst.chat.0", 2.0, 236, 9, False),
        ("burst.chat.2", 7.0, 544, 1, False),
    ]


def test_seconds_are_those_of_the_schedule(tmp_path: Path) -> None:
    """Though the trace's first line is not its earliest."""
    trace, out = tmp_path / "burst.csv", tmp_path / "schedule.jsonl"
    trace.write_text(TRACE)
    assert main(["burstgpt", str(trace), "--out", str(out), "--service", "chat", "--seconds", "14"]) == 0
    assert [r.at_seconds for r in read_schedule(out)] == [0.0, 4.0]


def test_what_goes_wrong_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = tmp_path / "burst.csv"
    trace.write_text(TRACE.replace("1087,0", "many,0"))
    fixed = ["burstgpt", str(trace), "--out", str(tmp_path / "out"), "--service", "chat"]
    assert main(fixed) == 1
    assert f"{trace}:4: Request tokens: " in capsys.readouterr().err
    assert main(["mooncake", str(tmp_path / "none"), *fixed[2:]]) == 1
    assert "none" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main([*fixed, "--rate", "0"])
    assert ended.value.code == 2
    assert "rate is a positive number" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main([*fixed, "--seconds", "nan"])
    assert ended.value.code == 2
    assert "seconds is a positive number" in capsys.readouterr().err
    trace.write_text(TRACE)
    assert main(["burstgpt", str(trace), "--out", "/dev/full", "--service", "chat"]) == 1
    assert "/dev/full: [Errno 28]" in capsys.readouterr().err
