# SPDX-License-Identifier: Apache-2.0
"""What is told of a run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from din.inference.load.outcome import Generator, Outcome, dump
from din.inference.load.summary import main, seconds_of

GENERATOR = Generator(
    start_at=0,
    seconds=10,
    requests=100,
    unsent=0,
    lag_mean=0.001,
    lag_p99=0.002,
    lag_max=0.003,
    loop_lag_p99=0.001,
    loop_lag_max=0.002,
    cpu_seconds=1,
    cpu_busiest=0.1,
)


def _outcome(number: int, **changes: object) -> Outcome:
    """Ten a second; TTFT 0.2 s, 11 tokens 20 ms apart."""
    at = number / 10
    good = Outcome(
        id=f"r{number}",
        service="chat",
        phase="calm",
        scheduled=at,
        prompt_tokens=100,
        asked_tokens=11,
        sent=at,
        status="ok",
        first_token=at + 0.2,
        last_token=at + 0.4,
        end=at + 0.4,
        output_tokens=11,
        chunks=11,
        local_port=40000 + number // 2,
        connection=number // 2,
        instance="one" if number % 4 else "two",
    )
    return replace(good, **changes)  # type: ignore[arg-type]


def _write(path: Path, *records: Outcome | Generator) -> str:
    path.write_text("".join(dump(each) + "\n" for each in records))
    return str(path)


def test_the_time_in_which_they_come_is_that_of_their_rate() -> None:
    assert seconds_of([_outcome(n) for n in range(100)]) == pytest.approx(10)
    assert seconds_of([_outcome(3)]) is None


def test_a_table_of_services_and_phases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = [_outcome(n) for n in range(90)]
    outcomes += [
        _outcome(n, status="429", first_token=None, chunks=0, detail=f"number {n}") for n in range(90, 100)
    ]
    others = _outcome(100, phase="slow", service="code"), _outcome(0, phase="warm-up")
    file = _write(tmp_path / "a", *outcomes, *others, GENERATOR)
    assert main([file, "--slo", "chat=300ms,30ms"]) == 0
    header, calm, slow, reason = capsys.readouterr().out.splitlines()
    assert reason == "429, the first: number 90"
    columns = [header.index(name) for name in ("service", "requests", "TTFT", "TPOT", "goodput", "other")]
    cells = [calm[at:].split("  ")[0] for at in columns]
    assert cells == ["chat", "100", "200 [200, 200]", "20.0 [20.0, 20.0]", cells[4], "429: 10"]
    assert cells[4].startswith("9.00 [")
    assert calm.rstrip().endswith("one 74%, two 26%")
    assert slow.split()[:4] == ["code", "slow", "1", "1"]


def test_what_makes_it_void_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    late = _write(tmp_path / "a", _outcome(0), replace(GENERATOR, lag_p99=0.5))
    killed = _write(tmp_path / "b", _outcome(1))
    assert main([late, killed]) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("void: ")] == [
        "void: 1 of 2 generators did not end by themselves",
        "void: a generator lagged: p99 500.0 ms, allowed 50 ms",
    ]


def test_for_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = _write(tmp_path / "a", *(_outcome(n) for n in range(100)), GENERATOR)
    assert main([file, "--json", "--slo", "chat=300ms,10ms"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["void"] == []
    (row,) = told["rows"]
    assert (row["service"], row["phase"], row["requests"]) == ("chat", "calm", 100)
    assert row["ttft_p50"]["value"] == pytest.approx(0.2)
    assert row["goodput"]["value"] == 0  # each takes 20 ms a token
    assert main([file, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["goodput"] is None


def test_what_goes_wrong_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none")]) == 1
    assert "none" in capsys.readouterr().err
    (tmp_path / "bad").write_text("{}\n")
    assert main([str(tmp_path / "bad")]) == 1
    assert f"{tmp_path / 'bad'}:1: " in capsys.readouterr().err
    for slo in ("chat", "chat=800ms", "chat=800,50", "chat=0ms,1ms"):
        with pytest.raises(SystemExit) as ended:
            main([str(tmp_path / "bad"), "--slo", slo])
        assert ended.value.code == 2
        assert f"not {slo!r}" in capsys.readouterr().err
