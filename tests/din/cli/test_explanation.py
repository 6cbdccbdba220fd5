# SPDX-License-Identifier: Apache-2.0
"""Who is outdone is not said to keep anything."""

from __future__ import annotations

from din.api.schema import RejectionView
from din.cli.explanation import explanation
from rich.console import Console

from .controllers import DECISION


def test_who_may_answer_and_is_outdone_has_nothing_to_keep() -> None:
    outdone = RejectionView(what="chat-4", constraint="ttft", detail="34 ms expected, 8 ms from chat-1")
    console = Console(width=120)
    with console.capture() as capture:
        console.print(explanation([DECISION.model_copy(update={"rejected": [outdone]})]))
    (line,) = (each for each in capture.get().splitlines() if "chat-4 (" in each)
    assert line.split()[0] == "0%"
    assert "keeps" not in line
