# SPDX-License-Identifier: Apache-2.0
"""The file a generator is given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from din.inference.load.request import Request, ScheduleError, read_schedule, write_schedule

GOOD = {
    "at_seconds": 1.5,
    "service": "chat",
    "prompt_tokens": 3,
    "output_tokens": 4,
    "keep_alive": True,
    "id": "r1",
}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    requests = [
        Request(0.1 + 0.2, "chat", 10, 20, False, "a", phase="calm", host="c1"),
        Request(1.0, "code", 10, 20, True, "b", blocks=(1, 2), block_tokens=51.2),
    ]
    write_schedule(requests, tmp_path / "s")
    assert list(read_schedule(tmp_path / "s")) == requests


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not JSON"),
        ("[]", "a JSON object"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "id"}), "id: is missing"),
        (json.dumps({**GOOD, "prompt_tokens": 0}), "prompt_tokens: 0 is less than 1"),
        (json.dumps({**GOOD, "prompt_tokens": 1.5}), "prompt_tokens: 1.5 is of the wrong type"),
        (json.dumps({**GOOD, "output_tokens": True}), "output_tokens: True is of the wrong type"),
        (json.dumps({**GOOD, "keep_alive": 1}), "keep_alive: 1 is of the wrong type"),
        (json.dumps({**GOOD, "at_seconds": -1}), "at_seconds: -1 is less than 0"),
        (json.dumps({**GOOD, "at_seconds": float("nan")}), "at_seconds: nan is less than 0"),
        (json.dumps({**GOOD, "at_seconds": 0.5}), "at_seconds: 0.5 is before the line above"),
        (json.dumps(GOOD), "id: 'r1' occurs twice"),
        (json.dumps({**GOOD, "urgency": 1}), "urgency: no such field"),
        (json.dumps({**GOOD, "blocks": ["x"]}), "blocks: whole numbers"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "s"
    path.write_text(json.dumps(GOOD) + "\n\n" + line + "\n")
    with pytest.raises(ScheduleError) as error:
        list(read_schedule(path))
    assert str(error.value).startswith(f"{path}:3: ")
    assert says in str(error.value)
