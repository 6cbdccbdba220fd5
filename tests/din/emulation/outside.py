# SPDX-License-Identifier: Apache-2.0
"""Sandboxes from outside: who starts them, their processes and their network namespaces."""

from __future__ import annotations

import select
import time
from collections.abc import Iterable
from dataclasses import dataclass
from os import close, pidfd_open
from pathlib import Path

import psutil

_SECONDS = 15.0
#: Before a command of root's: without capabilities it is what the kernel takes for an ordinary user, but that
#: its files are root's, and that it needs CAP_SETFCAP to be root in its sandbox.
WITHOUT_CAPABILITIES = ("setpriv", "--bounding-set=-all,+setfcap", "--inh-caps=-all", "--")


@dataclass(frozen=True)
class Tree:
    """A process and all below it, and the network namespaces that they are in and we are not."""

    pids: frozenset[int]
    namespaces: frozenset[int]


def tree(pid: int) -> Tree:
    pids = {pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))}
    namespaces = {found for each in pids if (found := _namespace(each)) is not None}
    return Tree(frozenset(pids), frozenset(namespaces - {_namespace("self")}))


def wait_gone(pids: Iterable[int]) -> None:
    """Until none of them runs."""
    deadline = time.monotonic() + _SECONDS
    for pid in pids:
        try:
            fd = pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            ready, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"process {pid} still runs: {psutil.Process(pid).cmdline()}"
        finally:
            close(fd)


def users_of(namespaces: Iterable[int]) -> list[int]:
    """Processes that are in one of these network namespaces, and alive."""
    wanted = set(namespaces)
    return [each.pid for each in psutil.process_iter() if _namespace(each.pid) in wanted]


def _namespace(pid: int | str) -> int | None:
    try:
        return Path(f"/proc/{pid}/ns/net").stat().st_ino
    except OSError:
        return None
