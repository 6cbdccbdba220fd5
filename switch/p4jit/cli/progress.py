# SPDX-License-Identifier: Apache-2.0
"""Tells that something takes its time: ``compiling leaf.json ... 3.2 s``, on a terminal, else in the log."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_log = logging.getLogger("p4jit")


@contextmanager
def progress(what: str) -> Iterator[None]:
    terminal = sys.stderr.isatty()
    start = time.monotonic()
    if terminal:
        print(f"{what} ... ", end="", file=sys.stderr, flush=True)
    finished = False
    try:
        yield
        finished = True
    finally:
        seconds = time.monotonic() - start
        if terminal:
            print(f"{seconds:.1f} s" if finished else "", file=sys.stderr, flush=True)
        elif finished:
            _log.info("%s took %.1f s", what, seconds)
