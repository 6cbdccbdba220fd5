# SPDX-License-Identifier: Apache-2.0
"""Asking every model server for its metrics, twice a second."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from .exposition import MAX_PAGE, ExpositionError
from .http import Client, HttpError
from .schedule import Beats
from .servers import Reader
from .state import Load

log = logging.getLogger(__name__)

#: Seconds.
INTERVAL: Final = 0.5
#: Of one scrape as a whole. More than an interval, so that a busy server is heard, if late.
TIMEOUT: Final = 1.0


@dataclass(frozen=True)
class Target:
    url: str
    server: str  # vllm | sglang | triton | trtllm


#: No encodings: what is not inflated is as long as it says.
_HEADERS: Final = "Accept: text/plain;version=0.0.4\r\nAccept-Encoding: identity\r\n"


@dataclass
class Source:
    """What became of the scrapes of an instance."""

    reader: Reader
    client: Client | None = None
    load: Load | None = None  # the newest; `load.at` says how old
    scrapes: int = 0
    failures: int = 0
    error: str = ""  # of the newest scrape; "": it went well

    def close(self) -> None:
        if self.client is not None:
            self.client.close()


class Scraper:
    """``feed(name, load)`` is called with each Load. Use as an async context manager; `set` says whom to ask.

    A scrape that fails changes no Load, which thereby grows old. Each server has one connection, kept.
    """

    def __init__(
        self,
        feed: Callable[[str, Load], None],
        interval: float = INTERVAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sources: dict[str, Source] = {}
        self._feed = feed
        self._clock = clock
        self._beats: Beats[Target] = Beats(interval, self._scrape)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._beats.close()
        for source in self.sources.values():
            source.close()

    def set(self, targets: Mapping[str, Target]) -> None:
        """From now on these. KeyError, and nothing is changed: a kind of server that is not known."""
        before = self._beats.targets
        fresh = {
            name: Source(Reader(name, target.server))
            for name, target in targets.items()
            if before.get(name) != target
        }
        for name, source in self.sources.items():
            if name in fresh or name not in targets:
                source.close()
        self.sources = {name: fresh.get(name) or self.sources[name] for name in targets}
        self._beats.set(targets)

    async def _scrape(self, name: str, target: Target) -> None:
        source = self.sources[name]
        source.scrapes += 1
        try:
            if source.client is None:
                source.client = Client(target.url, _HEADERS)
            page = await _page(source.client)
            # When the page was had: what it says is at most a round trip older.
            load = source.reader.read(page, self._clock())
        except (HttpError, OSError, ExpositionError) as error:
            source.failures += 1
            # TimeoutError, which is an OSError, has no words of its own.
            words = str(error) or f"no page within {TIMEOUT:g} s"
            if not source.error:
                log.warning("%s: no metrics from %s: %s", name, target.url, words)
            source.error = words
            return
        if source.error:
            log.info("%s: metrics from %s again", name, target.url)
        source.error = ""
        source.load = load
        self._feed(name, load)


async def _page(client: Client) -> bytes:
    async with asyncio.timeout(TIMEOUT):
        response = await client.get(MAX_PAGE)
    if response.status != 200:
        raise HttpError(f"HTTP {response.status}")
    coding = response.headers.get("content-encoding", "identity")
    if coding != "identity":
        raise HttpError(f"it answers in {coding}, for which it was not asked")
    return response.body
