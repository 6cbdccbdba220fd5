# SPDX-License-Identifier: Apache-2.0
"""SIGINT and SIGTERM as the ordinary end of a command that runs until it is told to stop."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(BaseException):
    """Raised in the main thread by the first signal, so that whatever it is at is wound up."""


@contextmanager
def until_signalled() -> Iterator[None]:
    """Run the block until it ends or a signal comes: neither is an error. Winding up is not disturbed by
    further SIGTERMs; a further SIGINT ends the process at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        raise Stopped

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except Stopped:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def wait_for_signal() -> None:
    """Sleep until `until_signalled` interrupts it."""
    while True:
        time.sleep(3600)
