# SPDX-License-Identifier: Apache-2.0
"""Exit statuses, and errors that end a command with one."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    OK = 0
    NO = 1  # errors in a model, differences, a network that does not come up
    USAGE = 2
    REFUSED = 3
    NOT_RUNNING = 4
    INTERRUPTED = 130  # 128 and SIGINT, as shells have it
    BROKEN_PIPE = 141  # 128 and SIGPIPE


class CommandError(Exception):
    """Ends the command. The text says what is wrong, and what to do."""

    def __init__(self, text: str, status: Exit = Exit.NO) -> None:
        super().__init__(text)
        self.status = status
