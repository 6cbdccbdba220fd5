# SPDX-License-Identifier: Apache-2.0
"""How commands take their arguments and how they fail: usage errors exit with 2, all others with 1."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn


class CommandError(Exception):
    """The command cannot go on. The text says what, where and what to do."""


class UsageError(Exception):
    """A command line that makes no sense. The text is one line for the user."""


class Parser(argparse.ArgumentParser):
    """argparse, except that it raises UsageError, so that parsing is a pure function of the arguments."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


class Whole:
    """An argument type: a whole number within bounds, both included."""

    def __init__(self, low: int, high: int | None = None) -> None:
        self._low = low
        self._high = high

    def __call__(self, text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 20):
            raise argparse.ArgumentTypeError(f"{text!r} is not a number")
        number = int(text)
        if number < self._low or (self._high is not None and number > self._high):
            bounds = f"at least {self._low}" if self._high is None else f"{self._low} to {self._high}"
            raise argparse.ArgumentTypeError(f"{number} is out of bounds ({bounds})")
        return number


def read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None


def read_text(path: Path) -> str:
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise CommandError(f"{path}: not UTF-8 text (byte {error.start})") from None
