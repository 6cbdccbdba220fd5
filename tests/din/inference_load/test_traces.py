# SPDX-License-Identifier: Apache-2.0
"""Readers of the public traces' formats, on rows of their shape and on bad ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from din.inference.load.traces import (
    READERS,
    Traced,
    TraceError,
    read_azure,
    read_burstgpt,
    read_mooncake,
    scaled,
)

MOONCAKE = """\
{"timestamp": 0, "input_length": 6755, "output_length": 500, "hash_ids": [0, 1, 2]}
{"timestamp": 27482, "input_length": 6472, "output_length": 26, "hash_ids": [0, 14]}
"""
AZURE = """\
TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
"""
BURSTGPT = """\
Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type
5,,,ChatGPT,472,18,490,Conversation log
45.5,,,GPT-4,1087,0,1087,API log
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def one(text: str) -> Path:
        path = tmp_path / "trace"
        path.write_bytes(text.encode(errors="surrogateescape"))
        return path

    return one


Write = Callable[[str], Path]


def test_mooncake(write: Write) -> None:
    assert list(read_mooncake(write(MOONCAKE))) == [
        Traced(0.0, 6755, 500, (0, 1, 2), 512),
        Traced(27.482, 6472, 26, (0, 14), 512),
    ]


def test_azure(write: Write) -> None:
    first, second = read_azure(write(AZURE))
    assert first == Traced(0.0, 374, 44)
    assert (second.prompt_tokens, second.output_tokens) == (396, 109)
    assert second.at_seconds == pytest.approx(4.314579, abs=1e-6)


def test_azure_with_zones(write: Write) -> None:
    header, day = "TIMESTAMP,ContextTokens,GeneratedTokens", "2024-05-10 00:00:00"
    text = f"{header}\n{day}+00:00,1,2\n{day}.25+00:00,3,4\n"
    assert [each.at_seconds for each in read_azure(write(text))] == [0.0, 0.25]


def test_burstgpt(write: Write) -> None:
    assert list(read_burstgpt(write(BURSTGPT))) == [Traced(5.0, 472, 18), Traced(45.5, 1087, 0)]


def test_burstgpt_of_the_first_edition_has_fewer_columns(write: Write) -> None:
    text = (
        "\ufeffTimestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,472,18,490,x\n"
    )
    assert list(read_burstgpt(write(text))) == [Traced(5.0, 472, 18)]


@pytest.mark.parametrize(
    ("reader", "text", "line", "field"),
    [
        ("mooncake", MOONCAKE + "{", 3, "line"),
        ("mooncake", MOONCAKE + "[1]\n", 3, "line"),
        ("mooncake", MOONCAKE.replace("27482", '"x"'), 2, "timestamp"),
        ("mooncake", MOONCAKE.replace("27482", "NaN"), 2, "timestamp"),
        ("mooncake", MOONCAKE.replace("27482", "true"), 2, "timestamp"),
        ("mooncake", MOONCAKE.replace("6472", "-1"), 2, "input_length"),
        ("mooncake", MOONCAKE.replace('"output_length": 26, ', ""), 2, "output_length"),
        ("mooncake", MOONCAKE.replace("[0, 14]", "[0, 1.5]"), 2, "hash_ids"),
        ("mooncake", MOONCAKE.replace("[0, 14]", "7"), 2, "hash_ids"),
        ("azure", AZURE.replace("ContextTokens", "Context"), 1, "ContextTokens"),
        ("azure", AZURE.replace("18:15:50", "25:15:50"), 3, "TIMESTAMP"),
        ("azure", AZURE.replace("396", "39.6"), 3, "ContextTokens"),
        ("azure", AZURE.replace("109", ""), 3, "GeneratedTokens"),
        ("azure", AZURE.replace(",109", ""), 3, "line"),
        ("azure", "", 1, "TIMESTAMP"),
        ("azure", AZURE.replace("396", "39\udcff"), 3, "ContextTokens"),
        ("azure", "\x1f\udc8b\x08\x00", 1, "TIMESTAMP"),  # compressed
        ("mooncake", "\x1f\udc8b\x08\x00", 1, "line"),
        ("mooncake", MOONCAKE + "\udcff\n", 3, "line"),
        ("burstgpt", BURSTGPT.replace("45.5", "later"), 3, "Timestamp"),
        ("burstgpt", BURSTGPT.replace("45.5", "inf"), 3, "Timestamp"),
        ("burstgpt", BURSTGPT.replace("Request tokens", "Requests"), 1, "Request tokens"),
        ("burstgpt", BURSTGPT.replace(",0,1087", ",zero,1087"), 3, "Response tokens"),
    ],
)
def test_a_bad_line_is_named(write: Write, reader: str, text: str, line: int, field: str) -> None:
    path = write(text)
    with pytest.raises(TraceError) as error:
        list(READERS[reader](path))
    assert str(error.value).startswith(f"{path}:{line}: {field}: ")


def test_good_lines_come_before_the_bad_one_is_read(write: Write) -> None:
    reading = read_mooncake(write(MOONCAKE + "bad\n"))
    assert [next(reading).output_tokens, next(reading).output_tokens] == [500, 26]
    with pytest.raises(TraceError):
        next(reading)


def test_scaling_is_lazy_and_exact() -> None:
    def trace() -> Iterator[Traced]:
        yield Traced(10.0, 101, 5, (1,), 512)
        raise AssertionError("read too far")

    assert next(iter(scaled(trace(), rate=4, lengths=0.1))) == Traced(2.5, 11, 1, (1,), 51.2)


@pytest.mark.parametrize(
    "wrong", [{"rate": 0}, {"rate": -1.0}, {"lengths": float("nan")}, {"rate": float("inf")}]
)
def test_scales_are_positive(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        scaled([], **wrong)
