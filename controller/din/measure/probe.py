# SPDX-License-Identifier: Apache-2.0
"""Asking every model server whether it is well."""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Self

from .health import PROBE_INTERVAL, PROBE_TIMEOUT, Outcome
from .http import Client, HttpError
from .schedule import Beats, Stalls

log = logging.getLogger(__name__)

_SILENT: Final = f"no answer in {PROBE_TIMEOUT:g} s"
#: Errors of connecting that people know by these words.
_WORDS: Final = {
    errno.ECONNREFUSED: "connection refused",
    errno.EHOSTUNREACH: "host unreachable",
    errno.ENETUNREACH: "network unreachable",
    errno.ECONNRESET: "connection reset",
}


def judge(status: int, retry_after: bool) -> tuple[Outcome, str]:
    """What the status of an answer from /health means, and in words."""
    if 200 <= status < 300:
        return Outcome.OK, f"HTTP {status}"
    if status == 429 or (status == 503 and retry_after):
        return Outcome.BUSY, f"HTTP {status}: full"
    if status == 503:
        return Outcome.FAILED, "HTTP 503: its engine is dead, starts or drains"
    if status in (301, 302, 307, 308, 401, 403, 404, 405):
        return Outcome.FAILED, f"HTTP {status}: is its health URL right?"
    return Outcome.FAILED, f"HTTP {status}"


class Prober:
    """``feed(name, outcome, detail, at)`` after each probe. Use as an async context manager; `set` says
    whom to ask, by URL. Each probe is a connection of its own, as a new client's is.
    """

    def __init__(
        self,
        feed: Callable[[str, Outcome, str, float], None],
        interval: float = PROBE_INTERVAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._feed = feed
        self._clock = clock
        self._beats: Beats[str] = Beats(interval, self._probe)
        self._stalls = Stalls()
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._watching = asyncio.create_task(self._stalls.watch(), name="watch for stalls")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._beats.close()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    def set(self, targets: Mapping[str, str]) -> None:
        self._beats.set(targets)

    async def _probe(self, name: str, url: str) -> None:
        stalled = self._stalls.total
        outcome, detail = await _ask(url)
        if detail == _SILENT and self._stalls.total > stalled:
            # It was not given its time: we had none ourselves.
            log.debug("%s: a probe said nothing, for lack of time here", name)
            return
        self._feed(name, outcome, detail, self._clock())


async def _ask(url: str) -> tuple[Outcome, str]:
    try:
        client = Client(url)
    except HttpError as error:
        return Outcome.FAILED, str(error)
    try:
        async with asyncio.timeout(PROBE_TIMEOUT):
            response = await client.get(None)
    except TimeoutError:
        return Outcome.FAILED if client.reached else Outcome.UNREACHED, _SILENT
    except OSError as error:
        # A refusal is its host's word. All else that comes before there is a connection is not, and may be a
        # lack of ours, as of file descriptors.
        answered = client.reached or isinstance(error, ConnectionRefusedError | ConnectionResetError)
        words = _WORDS.get(error.errno or 0, str(error))
        return Outcome.FAILED if answered else Outcome.UNREACHED, words
    except HttpError as error:
        return Outcome.FAILED, str(error)
    return judge(response.status, "retry-after" in response.headers)
